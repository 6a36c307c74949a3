-- Partitions of one week each, by the time in the ids.

-- The parents of a partitioned queue's partitions, in the order in which they are treated.
create or replace function absurd.partitioned_tables(p_queue_name text) returns setof text
language sql immutable as $$
    select unnest(array['t_', 'r_', 'c_', 'w_']) || p_queue_name
$$;

-- Creates the partitions that partitioned queues lack: the default ones where the policy wants
-- them, and each week from the look-back to the look-ahead.
create or replace function absurd.ensure_partitions(p_queue_name text default null::text)
returns void
language plpgsql as $$
declare
    queue record;
    parent text;
    week timestamptz;
    child text;
    now timestamptz := absurd.current_time();
begin
    if p_queue_name is not null then
        perform absurd.require_queue(p_queue_name);
    end if;
    for queue in
        select * from absurd.queues
        where storage_mode = 'partitioned'
            and (p_queue_name is null or queue_name = p_queue_name)
        order by queue_name
    loop
        for parent in select absurd.partitioned_tables(queue.queue_name) loop
            if queue.default_partition = 'enabled'
                and not absurd.has_relation(parent || '_d')
            then
                execute format('create table absurd.%I partition of absurd.%I default',
                    parent || '_d', parent);
            end if;
            for week in
                select absurd.week_bucket_utc(now - queue.partition_lookback) + n * interval '168h'
                from generate_series(0, floor(extract(epoch from
                    absurd.week_bucket_utc(now + queue.partition_lookahead)
                    - absurd.week_bucket_utc(now - queue.partition_lookback)) / 604800)::integer) n
            loop
                child := parent || '_' || absurd.partition_week_tag(week);
                if not absurd.has_relation(child) then
                    execute format('create table absurd.%I partition of absurd.%I
                        for values from (%L) to (%L)', child, parent,
                        absurd.uuidv7_floor(week),
                        absurd.uuidv7_floor(week + interval '168h'));
                end if;
            end loop;
        end loop;
    end loop;
end;
$$;

-- The attached weekly partitions of a table, with their upper bounds.
create or replace function absurd.weekly_partitions(p_parent text)
returns table (name text, upper_bound uuid)
language sql stable as $$
    select child.relname::text,
        substring(pg_get_expr(child.relpartbound, child.oid) from 'TO \(''([0-9a-f-]+)''\)')::uuid
    from pg_catalog.pg_inherits
        join pg_catalog.pg_class child on child.oid = inhrelid
        join pg_catalog.pg_class parent on parent.oid = inhparent
    where parent.relnamespace = 'absurd'::regnamespace and parent.relname = p_parent
        and pg_get_expr(child.relpartbound, child.oid) <> 'DEFAULT'
$$;

-- Whether a table of the schema holds a row.
create or replace function absurd.has_rows(p_table text) returns boolean
language plpgsql stable as $$
declare
    found boolean;
begin
    execute format('select exists (select from absurd.%I)', p_table) into found;
    return found;
end;
$$;

-- Weekly partitions that are empty and old enough to be detached, where the policy says so.
create or replace function absurd.list_detach_candidates(p_queue_name text default null::text)
returns table (queue_name text, parent_table text, partition_table text)
language plpgsql as $$
begin
    if p_queue_name is not null then
        perform absurd.require_queue(p_queue_name);
    end if;
    return query
        select q.queue_name, parent.name, week.name
        from absurd.queues q
            cross join lateral absurd.partitioned_tables(q.queue_name)
                with ordinality as parent (name, place)
            cross join lateral absurd.weekly_partitions(parent.name) week
        where q.storage_mode = 'partitioned' and q.detach_mode = 'empty'
            and (p_queue_name is null or q.queue_name = p_queue_name)
            and absurd.uuidv7_timestamp(week.upper_bound)
                < absurd.current_time() - q.detach_min_age
            and not absurd.has_rows(week.name)
        order by q.queue_name, parent.place, week.upper_bound, week.name;
end;
$$;

-- Removes an empty default partition: it must hold no row, or those would be lost.
create or replace function absurd.drop_default_partitions(p_queue_name text) returns void
language plpgsql as $$
declare
    parent text;
begin
    for parent in select absurd.partitioned_tables(p_queue_name) loop
        if absurd.has_relation(parent || '_d') then
            execute format('lock table absurd.%I in access exclusive mode', parent || '_d');
            if absurd.has_rows(parent || '_d') then
                raise exception 'default partition % holds rows and can''t be removed',
                    parent || '_d';
            end if;
            execute format('alter table absurd.%I detach partition absurd.%I',
                parent, parent || '_d');
            execute format('drop table absurd.%I', parent || '_d');
        end if;
    end loop;
end;
$$;
