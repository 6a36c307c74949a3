-- Jobs of the pg_cron extension, which is looked for when a function is called and never needed
-- otherwise. Jobs of one queue carry a key made of its name, jobs of all queues carry `all`.

-- Whether pg_cron is there, as far as we use it.
create or replace function absurd.has_cron() returns boolean
language sql stable as $$
    select to_regclass('cron.job') is not null
        and exists (
            select from pg_catalog.pg_proc p
                join pg_catalog.pg_namespace n on n.oid = p.pronamespace
            where n.nspname = 'cron' and p.proname = 'unschedule')
$$;

-- Refuses to go on where jobs can't be scheduled.
create or replace function absurd.require_cron() returns void
language plpgsql as $$
begin
    if not absurd.has_cron()
        or to_regprocedure('cron.schedule(text, text, text)') is null
    then
        raise exception 'pg_cron is not installed in this database'
            using hint = 'create extension pg_cron, or run the maintenance functions yourself';
    end if;
end;
$$;

-- The scope in the names of a queue's jobs.
create or replace function absurd.cron_scope(p_queue_name text) returns text
language sql immutable as $$
    select coalesce(left(md5(p_queue_name), 12), 'all')
$$;

-- Removes the jobs of these names, or of names that begin so, and returns what it removed.
create or replace function absurd.unschedule_jobs(p_names text[], p_prefixes text[])
returns table (job_name text, job_id bigint)
language plpgsql as $$
begin
    for job_name, job_id in execute '
        select jobname::text, jobid from cron.job
        where jobname = any ($1)
            or exists (select from unnest($2) prefix where starts_with(jobname, prefix))
        order by 1, 2' using p_names, p_prefixes
    loop
        execute 'select cron.unschedule($1)' using job_id;
        return next;
    end loop;
end;
$$;

-- Schedules a job and returns its id.
create or replace function absurd.schedule_job(p_name text, p_schedule text, p_command text)
returns bigint
language plpgsql as $$
declare
    job_id bigint;
begin
    execute 'select cron.schedule($1, $2, $3)' into job_id using p_name, p_schedule, p_command;
    return job_id;
end;
$$;

-- Schedules the maintenance of one queue, or of all: partitions, clean-up, detaching.
create or replace function absurd.enable_cron(
    p_queue_name text default null::text,
    p_partition_schedule text default '5 * * * *'::text,
    p_cleanup_schedule text default '17 * * * *'::text,
    p_detach_schedule text default '29 * * * *'::text
) returns table (job_name text, job_id bigint)
language plpgsql as $$
declare
    scope text := absurd.cron_scope(p_queue_name);
    argument text := case when p_queue_name is null then 'null::text'
        else quote_literal(p_queue_name) end;
begin
    if p_queue_name is not null then
        perform absurd.require_queue(p_queue_name);
    end if;
    if coalesce(trim(p_partition_schedule), '') = '' or coalesce(trim(p_cleanup_schedule), '') = ''
        or coalesce(trim(p_detach_schedule), '') = ''
    then
        raise exception 'a schedule must be given for each job';
    end if;
    perform absurd.require_cron();
    perform absurd.unschedule_jobs(array['absurd_partitions_' || scope,
        'absurd_cleanup_' || scope, 'absurd_detach_plan_' || scope], '{}');
    job_name := 'absurd_partitions_' || scope;
    job_id := absurd.schedule_job(job_name, p_partition_schedule,
        format('select absurd.ensure_partitions(%s);', argument));
    return next;
    job_name := 'absurd_cleanup_' || scope;
    job_id := absurd.schedule_job(job_name, p_cleanup_schedule,
        format('select * from absurd.cleanup_all_queues(%s);', argument));
    return next;
    job_name := 'absurd_detach_plan_' || scope;
    job_id := absurd.schedule_job(job_name, p_detach_schedule,
        format('select * from absurd.schedule_detach_jobs(%s);', argument));
    return next;
end;
$$;

-- Removes the jobs of one queue, which need not exist any more, or those of all queues.
create or replace function absurd.disable_cron(p_queue_name text default null::text)
returns table (job_name text, job_id bigint)
language plpgsql as $$
declare
    scope text := absurd.cron_scope(p_queue_name);
begin
    if p_queue_name is not null then
        perform absurd.validate_queue_name(p_queue_name);
    end if;
    -- Removing needs less of pg_cron than scheduling does.
    if not absurd.has_cron() then
        perform absurd.require_cron();
    end if;
    return query select * from absurd.unschedule_jobs(
        array['absurd_partitions_' || scope, 'absurd_cleanup_' || scope,
            'absurd_detach_plan_' || scope],
        array['absurd_detach_run_' || scope || '_', 'absurd_drop_run_' || scope || '_']);
end;
$$;

-- Schedules the detaching and the dropping of the oldest candidate of each table that has no
-- such jobs yet. Detaching concurrently can't run inside a function, hence jobs of their own.
create or replace function absurd.schedule_detach_jobs(p_queue_name text default null::text)
returns table (job_name text, job_id bigint, queue_name text, partition_table text, job_kind text)
language plpgsql as $$
declare
    scope text := absurd.cron_scope(p_queue_name);
    candidate record;
    planned boolean;
    names text;
begin
    if p_queue_name is not null then
        perform absurd.require_queue(p_queue_name);
    end if;
    perform absurd.require_cron();
    for candidate in
        select distinct on (c.parent_table) c.*, left(md5(c.parent_table), 8) as parent_key,
            left(md5(c.parent_table || ':' || c.partition_table), 12) as key
        from absurd.list_detach_candidates(p_queue_name) c
            join absurd.weekly_partitions(c.parent_table) week on week.name = c.partition_table
        order by c.parent_table, week.upper_bound, c.partition_table
    loop
        execute 'select exists (select from cron.job where jobname ~ $1)' into planned
            using '^absurd_(detach|drop)_run_[0-9a-z]+_' || candidate.parent_key || '_';
        continue when planned;
        names := format('%s_%s_%s', scope, candidate.parent_key, candidate.key);
        queue_name := candidate.queue_name;
        partition_table := candidate.partition_table;
        job_kind := 'detach';
        job_name := 'absurd_detach_run_' || names;
        job_id := absurd.schedule_job(job_name, '* * * * *', format(
            'alter table absurd.%I detach partition absurd.%I%s',
            candidate.parent_table, partition_table,
            case when absurd.default_partition(candidate.parent_table) is null
                then ' concurrently' end));
        return next;
        job_kind := 'drop';
        job_name := 'absurd_drop_run_' || names;
        job_id := absurd.schedule_job(job_name, '* * * * *', format(
            'select absurd.drop_detached_partition(%L, %L)', partition_table, job_name));
        return next;
    end loop;
end;
$$;

-- Drops a partition that has been detached, and the jobs that led to it. False while it is
-- still attached, or when it is gone already.
create or replace function absurd.drop_detached_partition(
    p_partition_table text, p_unschedule_job_name text default null::text
) returns boolean
language plpgsql as $$
declare
    partition regclass;
    detach_job text := regexp_replace(p_unschedule_job_name, '^absurd_drop_run_',
        'absurd_detach_run_');
begin
    if p_partition_table is null or trim(p_partition_table) = '' then
        raise exception 'partition_table must be given';
    end if;
    partition := to_regclass(format('absurd.%I', p_partition_table));
    if partition is null then
        perform absurd.forget_jobs(array[p_unschedule_job_name, detach_job]);
        return false;
    elsif exists (select from pg_catalog.pg_inherits where inhrelid = partition) then
        return false;
    end if;
    perform absurd.forget_jobs(array[detach_job]);
    execute format('drop table absurd.%I', p_partition_table);
    perform absurd.forget_jobs(array[p_unschedule_job_name]);
    return true;
end;
$$;

-- Removes jobs by name where pg_cron is there and a name was given.
create or replace function absurd.forget_jobs(p_names text[]) returns void
language plpgsql as $$
begin
    if absurd.has_cron() then
        perform absurd.unschedule_jobs(array_remove(p_names, null), '{}');
    end if;
end;
$$;
