-- Queues: their tables, created, brought up to date and dropped.

-- Refuses names that no table could carry: the longest name derived is `r_<queue>_sai`, and
-- PostgreSQL keeps 63 bytes.
create or replace function absurd.validate_queue_name(p_queue_name text) returns text
language plpgsql as $$
begin
    if p_queue_name is null or p_queue_name = '' then
        raise exception 'queue_name must be given';
    elsif octet_length(p_queue_name) > 57 then
        raise exception 'queue_name "%" has % bytes; at most 57 are possible',
            p_queue_name, octet_length(p_queue_name);
    end if;
    return p_queue_name;
end;
$$;

-- Refuses a name that is given but can't be that of a registered queue.
create or replace function absurd.require_queue(p_queue_name text) returns void
language plpgsql as $$
begin
    perform absurd.validate_queue_name(p_queue_name);
    if not exists (select from absurd.queues where queue_name = p_queue_name) then
        raise exception 'queue "%" does not exist', p_queue_name;
    end if;
end;
$$;

-- Whether a queue's tables are partitioned; no registry row means that they are not.
create or replace function absurd.is_partitioned(p_queue_name text) returns boolean
language sql stable as $$
    select coalesce((
        select storage_mode = 'partitioned' from absurd.queues where queue_name = p_queue_name
    ), false)
$$;

-- Whether a relation of the schema exists.
create or replace function absurd.has_relation(p_name text) returns boolean
language sql stable as $$
    select exists (
        select from pg_catalog.pg_class
        where relnamespace = 'absurd'::regnamespace and relname = p_name)
$$;

-- The columns that we add to the contract's tables, all of them null or constant where nobody
-- uses them.
--
-- `awaited_by`: who is to be told of the task's end. `policy`: what the contract has no word for,
-- from timeouts to chains. `attributes`: for users to find tasks by. `lane`: the task's name and
-- its key where limits or fairness need them, after `$paused` while the task is. `cancel_at`: when
-- the task's policy cancels it, `infinity` while that can't be said, null without a policy.
-- `place`: how many operations the function had begun when it reached this one.
create or replace function absurd.queue_columns()
returns table (prefix text, name text, definition text)
language sql immutable as $$
    values ('t_', 'awaited_by', 'text[]'), ('t_', 'policy', 'jsonb'),
        ('t_', 'attributes', 'jsonb'), ('r_', 'priority', 'integer not null default 0'),
        ('r_', 'lane', 'text[]'), ('r_', 'cancel_at', 'timestamptz'),
        ('c_', 'place', 'integer')
$$;

-- The same for a table's definition.
create or replace function absurd.own_columns(p_prefix text) returns text
language sql immutable as $$
    select string_agg(name || ' ' || definition, ', ')
    from absurd.queue_columns() where prefix = p_prefix
$$;

-- The definitions of a queue's tables, by name.
create or replace function absurd.queue_tables(p_queue_name text, p_partitioned boolean)
returns table (name text, definition text)
language sql stable as $$
    with layout as (
        select case when p_partitioned then ' partition by range (task_id)'
                else ' with (fillfactor = 70)' end as by_task,
            case when p_partitioned then ' partition by range (run_id)'
                else ' with (fillfactor = 70)' end as by_run,
            case when p_partitioned then ' partition by range (run_id)' else '' end as waits,
            -- As one constant: PostgreSQL reads a constraint anew for every statement, and an
            -- array of six constants it has to put together each time.
            'check (state = any (''{pending,running,sleeping,completed,failed,cancelled}'''
                '::text[]))' as is_state
    )
    select 't_' || p_queue_name, '(
        task_id uuid primary key,
        task_name text not null,
        params jsonb not null,
        headers jsonb,
        retry_strategy jsonb,
        max_attempts integer,
        cancellation jsonb,
        enqueue_at timestamptz not null default absurd.current_time(),
        first_started_at timestamptz,
        state text not null ' || is_state || ',
        attempts integer not null default 0,
        last_attempt_run uuid,
        completed_payload jsonb,
        cancelled_at timestamptz,
        idempotency_key text' || case when p_partitioned then '' else ' unique' end || ',
        ' || absurd.own_columns('t_') || ')' || by_task from layout
    union all select 'r_' || p_queue_name, '(
        run_id uuid primary key,
        task_id uuid not null,
        attempt integer not null,
        state text not null ' || is_state || ',
        claimed_by text,
        claim_expires_at timestamptz,
        available_at timestamptz not null,
        wake_event text,
        event_payload jsonb,
        started_at timestamptz,
        completed_at timestamptz,
        failed_at timestamptz,
        result jsonb,
        failure_reason jsonb,
        created_at timestamptz not null default absurd.current_time(),
        ' || absurd.own_columns('r_') || ')' || by_run from layout
    union all select 'c_' || p_queue_name, '(
        task_id uuid not null,
        checkpoint_name text not null,
        state jsonb,
        status text not null default ''committed'',
        owner_run_id uuid,
        updated_at timestamptz not null default absurd.current_time(),
        ' || absurd.own_columns('c_') || ',
        primary key (task_id, checkpoint_name))' || by_task from layout
    union all select 'e_' || p_queue_name, '(
        event_name text primary key,
        payload jsonb,
        emitted_at timestamptz not null default absurd.current_time())'
    union all select 'w_' || p_queue_name, '(
        task_id uuid not null,
        run_id uuid not null,
        step_name text not null,
        event_name text not null,
        timeout_at timestamptz,
        created_at timestamptz not null default absurd.current_time(),
        primary key (run_id, step_name))' || waits from layout
    union all select 'i_' || p_queue_name, '(
        idempotency_key text primary key,
        task_id uuid not null)' where p_partitioned
$$;

-- The definitions of a queue's indexes: those of the contract, then ours. Ours hold only what
-- can be claimed, cancelled by policy, or cleaned up, so that no sweep reads history. None on t_
-- is about its state: updates of t_ write no index at all.
create or replace function absurd.queue_indexes(p_queue_name text, p_partitioned boolean)
returns table (name text, definition text)
language sql stable as $$
    select prefix || p_queue_name || suffix,
        format('on absurd.%I %s', prefix || p_queue_name, columns)
    from (values
        ('t_', '_ci', '(task_id) where cancellation is not null'),
        ('r_', '_sai', '(state, available_at)'),
        ('r_', '_ti', '(task_id)'),
        ('r_', '_cei', '(claim_expires_at)
            where state = ''running'' and claim_expires_at is not null'),
        ('e_', '_eai', '(emitted_at)'),
        ('w_', '_eni', '(event_name)'),
        ('w_', '_ti', '(task_id)'),
        ('i_', '_ti', '(task_id)'),
        ('r_', '_lan', '(lane, priority desc, available_at, run_id)
            where state in (''pending'', ''sleeping'')'),
        ('t_', '_par', '((policy->''parent''->>''task'')) where policy ? ''parent'''),
        ('t_', '_atr', 'using gin (attributes jsonb_path_ops) where attributes is not null'),
        ('r_', '_pdl', '(cancel_at) where cancel_at is not null
            and state in (''pending'', ''running'', ''sleeping'')'),
        ('r_', '_cmp', '(completed_at, task_id) where state = ''completed'''),
        ('r_', '_fld', '(failed_at, task_id) where state = ''failed'''),
        ('t_', '_cnl', '(cancelled_at) where cancelled_at is not null')
    ) as wanted (prefix, suffix, columns)
    where p_partitioned or prefix <> 'i_'
$$;

-- The statements that create what a queue lacks of its tables, columns and indexes.
create or replace function absurd.queue_lacks(p_queue_name text, p_partitioned boolean)
returns setof text
language sql stable as $$
    with lacking (place, statement) as (
        select 1, format('create table if not exists absurd.%I %s', name, definition)
        from absurd.queue_tables(p_queue_name, p_partitioned)
        where not absurd.has_relation(name)
        union all
        select 2, format('alter table absurd.%I add column if not exists %I %s',
            prefix || p_queue_name, name, definition)
        from absurd.queue_columns()
        where absurd.has_relation(prefix || p_queue_name) and not exists (
            select from pg_catalog.pg_attribute
            where attrelid = to_regclass(format('absurd.%I', prefix || p_queue_name))
                and attname = name and not attisdropped)
        union all
        select 3, format('create index if not exists %I %s', name, definition)
        from absurd.queue_indexes(p_queue_name, p_partitioned)
        where not absurd.has_relation(name)
    )
    select statement from lacking order by place, statement
$$;

-- Functions of which each queue has its own, with the queue's tables in their text: PostgreSQL
-- plans their statements once in a session, where a statement that names its table by a variable
-- is planned at every call. A template has {queue} inside of quoted names, and {literal} for the
-- queue's name as text. Plans are kept while tables grow from nothing, so functions that look
-- into tables allow for nothing but indexes.
create or replace function absurd.define_queue_function(p_prefix text, p_template text)
returns void
language plpgsql as $$
begin
    insert into absurd.queue_functions (prefix, template) values (p_prefix, p_template)
    on conflict (prefix) do update set template = excluded.template;
end;
$$;

-- The name of a queue's own function, which is made here if a queue of some other making has
-- none. `p_prefix` has two letters, so that all names fit.
create or replace function absurd.queue_function(p_prefix text, p_queue_name text) returns text
language plpgsql as $$
declare
    name text := p_prefix || '_' || p_queue_name;
begin
    perform from pg_catalog.pg_proc
    where proname = name and pronamespace = 'absurd'::regnamespace;
    if not found and absurd.has_relation('t_' || p_queue_name) then
        perform absurd.lock_queue_tables(p_queue_name);
        perform absurd.make_queue_functions(p_queue_name);
    elsif not found then
        raise exception 'queue "%" does not exist', p_queue_name using errcode = '42P01';
    end if;
    return name;
end;
$$;

-- Makes a queue's own functions, of the templates as they are now.
create or replace function absurd.make_queue_functions(p_queue_name text) returns void
language plpgsql as $$
declare
    own record;
    definition text;
begin
    for own in select f.prefix, f.template from absurd.queue_functions f order by f.prefix loop
        definition := replace(replace(own.template, '{queue}', replace(p_queue_name, '"', '""')),
            '{literal}', quote_literal(p_queue_name));
        begin
            execute definition;
        exception when invalid_function_definition then
            -- An earlier release's returned something else.
            perform absurd.drop_queue_function(own.prefix, p_queue_name);
            execute definition;
        end;
    end loop;
end;
$$;

-- Drops one of them, in all its forms.
create or replace function absurd.drop_queue_function(p_prefix text, p_queue_name text)
returns void
language plpgsql as $$
declare
    dropped text;
begin
    for dropped in
        select p.oid::regprocedure::text from pg_catalog.pg_proc p
        where p.proname = p_prefix || '_' || p_queue_name
            and p.pronamespace = 'absurd'::regnamespace
    loop
        execute 'drop function ' || dropped;
    end loop;
end;
$$;

-- Keeps others from creating or dropping tables of this queue until the transaction ends: `if
-- not exists` alone fails when two create the same. Comes after the registry row's lock.
create or replace function absurd.lock_queue_tables(p_queue_name text) returns void
language plpgsql as $$
begin
    perform pg_advisory_xact_lock(hashtextextended('absurd queue ' || p_queue_name, 0));
end;
$$;

-- Creates what a queue lacks. One that lacks nothing is only looked at.
create or replace function absurd.complete_queue(p_queue_name text, p_partitioned boolean)
returns void
language plpgsql as $$
declare
    statement text;
begin
    if exists (select from absurd.queue_lacks(p_queue_name, p_partitioned)) then
        perform absurd.lock_queue_tables(p_queue_name);
        for statement in select * from absurd.queue_lacks(p_queue_name, p_partitioned) loop
            execute statement;
        end loop;
        perform absurd.make_queue_functions(p_queue_name);
    end if;
end;
$$;

-- Creates what a queue lacks, its partitions included.
create or replace function absurd.ensure_queue_tables(p_queue_name text) returns void
language plpgsql as $$
declare
    partitioned boolean;
begin
    perform absurd.validate_queue_name(p_queue_name);
    partitioned := absurd.is_partitioned(p_queue_name);
    perform absurd.complete_queue(p_queue_name, partitioned);
    if partitioned then
        perform absurd.ensure_partitions(p_queue_name);
    end if;
end;
$$;

-- Creates a queue; one that exists with the same storage mode is brought up to date.
create or replace function absurd.create_queue(p_queue_name text, p_storage_mode text)
returns void
language plpgsql as $$
declare
    wanted text := lower(trim(p_storage_mode));
    stored text;
begin
    perform absurd.validate_queue_name(p_queue_name);
    if wanted is null or wanted not in ('unpartitioned', 'partitioned') then
        raise exception 'storage_mode must be unpartitioned or partitioned, not "%"',
            p_storage_mode;
    end if;
    -- Whoever comes second waits here until the first one's tables are there.
    insert into absurd.queues (queue_name, storage_mode) values (p_queue_name, wanted)
    on conflict (queue_name) do nothing;
    select storage_mode into stored from absurd.queues where queue_name = p_queue_name;
    if stored <> wanted then
        raise exception 'queue "%" exists already as %, not %', p_queue_name, stored, wanted;
    end if;
    perform absurd.ensure_queue_tables(p_queue_name);
end;
$$;

-- An unpartitioned queue.
create or replace function absurd.create_queue(p_queue_name text) returns void
language plpgsql as $$
begin
    perform absurd.create_queue(p_queue_name, 'unpartitioned');
end;
$$;

-- Drops a queue, its tables of whatever shape, and its scheduled jobs. Unknown names are fine.
-- Locks the registry row before any table, as set_queue_policy does.
create or replace function absurd.drop_queue(p_queue_name text) returns void
language plpgsql as $$
declare
    prefix text;
begin
    if p_queue_name is null then
        return;
    end if;
    if octet_length(p_queue_name) between 1 and 57 and absurd.has_cron() then
        perform absurd.disable_cron(p_queue_name);
    end if;
    perform from absurd.queues where queue_name = p_queue_name for update;
    perform absurd.lock_queue_tables(p_queue_name);
    perform absurd.drop_queue_function(own.prefix, p_queue_name)
    from absurd.queue_functions own;
    foreach prefix in array array['i_', 'w_', 'e_', 'c_', 'r_', 't_'] loop
        if to_regclass(format('absurd.%I', prefix || p_queue_name)) is not null then
            execute format('drop table absurd.%I cascade', prefix || p_queue_name);
        end if;
    end loop;
    foreach prefix in array array['limits', 'rate_usage', 'key_turns', 'idle_workers',
        'spawn_windows', 'schedules',
        'dead_letters', 'progress', 'log_lines', 'queues']
    loop
        execute format('delete from absurd.%I where queue_name = $1', prefix)
            using p_queue_name;
    end loop;
end;
$$;

-- All queues, by name.
create or replace function absurd.list_queues() returns table (queue_name text)
language sql as $$
    select q.queue_name from absurd.queues q order by q.queue_name
$$;

-- Whether a queue's tables are all there, of the right kind, with the columns that our indexes
-- need. Anybody may register a queue whose tables are not.
create or replace function absurd.has_ordinary_tables(p_queue_name text, p_partitioned boolean)
returns boolean
language sql stable as $$
    select bool_and(exists (
        select from pg_catalog.pg_class c
        where c.relnamespace = 'absurd'::regnamespace and c.relname = prefix || p_queue_name
            and c.relkind = case when p_partitioned and by_week then 'p' else 'r' end
            and columns <@ array(
                select attname::text from pg_catalog.pg_attribute
                where attrelid = c.oid and not attisdropped)))
    from (values
        ('t_', true, array['task_id', 'state', 'cancellation', 'enqueue_at',
            'first_started_at', 'cancelled_at']),
        ('r_', true, array['run_id', 'task_id', 'state', 'available_at', 'claim_expires_at',
            'completed_at', 'failed_at']),
        ('c_', true, array['task_id', 'checkpoint_name']),
        ('w_', true, array['task_id', 'run_id', 'event_name']),
        ('e_', false, array['event_name', 'emitted_at']),
        ('i_', false, array['idempotency_key', 'task_id'])
    ) as ordinary (prefix, by_week, columns)
    where p_partitioned or prefix <> 'i_'
$$;

-- Brings every registered queue of ordinary shape up to date; called after every migration, so
-- no single queue may stop it: partitions, which rows can stand in the way of, are left alone.
create or replace function absurd.upgrade_queues() returns void
language plpgsql as $$
declare
    queue record;
begin
    for queue in
        select queue_name, storage_mode = 'partitioned' as partitioned from absurd.queues
        where octet_length(queue_name) between 1 and 57
        order by queue_name
    loop
        continue when not absurd.has_ordinary_tables(queue.queue_name, queue.partitioned);
        perform absurd.complete_queue(queue.queue_name, queue.partitioned);
        perform absurd.lock_queue_tables(queue.queue_name);
        perform absurd.make_queue_functions(queue.queue_name);
        execute format('update absurd.%1$I r set cancel_at = absurd.cancel_time(
                t.cancellation, t.enqueue_at, t.first_started_at)
            from absurd.%2$I t
            where t.cancellation is not null and r.run_id = t.last_attempt_run
                and r.cancel_at is null and t.state in (''pending'', ''running'', ''sleeping'')',
            'r_' || queue.queue_name, 't_' || queue.queue_name);
    end loop;
end;
$$;
