-- Partitions of one week each, by the time in the ids.

-- The parents of a partitioned queue's partitions, in the order in which they are treated.
create or replace function absurd.partitioned_tables(p_queue_name text) returns setof text
language sql immutable as $$
    select unnest(array['t_', 'r_', 'c_', 'w_']) || p_queue_name
$$;

-- The statements that create the partitions a queue lacks: the default ones where the policy
-- wants them, and each week from the look-back to the look-ahead.
create or replace function absurd.partitions_lacking(p_queue_name text, p_now timestamptz)
returns setof text
language plpgsql stable as $$
begin
    return query
        with queue as (
            select queue_name, default_partition,
                absurd.week_bucket_utc(p_now - partition_lookback) as first_week,
                absurd.week_bucket_utc(p_now + partition_lookahead) as last_week
            from absurd.queues
            where queue_name = p_queue_name and storage_mode = 'partitioned'
        ), wanted (parent, child, bounds) as (
            select parent, parent || '_d', 'default'
            from queue, absurd.partitioned_tables(queue_name) parent
            where default_partition = 'enabled'
            union all
            select parent, parent || '_' || absurd.partition_week_tag(week),
                format('for values from (%L) to (%L)', absurd.uuidv7_floor(week),
                    absurd.uuidv7_floor(week + interval '168h'))
            from queue, absurd.partitioned_tables(queue_name) parent,
                generate_series(first_week, last_week, interval '168h') week
        )
        select format('create table if not exists absurd.%I partition of absurd.%I %s',
            child, parent, bounds)
        from wanted where not absurd.has_relation(child);
end;
$$;

-- Creates the partitions that one queue, or all, lack. A queue that lacks none is only looked at.
create or replace function absurd.ensure_partitions(p_queue_name text default null::text)
returns void
language plpgsql as $$
declare
    queue text;
    statement text;
    now timestamptz := absurd.current_time();
begin
    if p_queue_name is not null then
        perform absurd.require_queue(p_queue_name);
    end if;
    for queue in
        select queue_name from absurd.queues
        where storage_mode = 'partitioned'
            and (p_queue_name is null or queue_name = p_queue_name)
        order by queue_name
    loop
        continue when not exists (select from absurd.partitions_lacking(queue, now));
        perform absurd.lock_queue_tables(queue);
        for statement in select * from absurd.partitions_lacking(queue, now) loop
            execute statement;
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

-- The attached default partition of a table, under whatever name; null when there is none.
create or replace function absurd.default_partition(p_parent text) returns text
language sql stable as $$
    select child.relname::text
    from pg_catalog.pg_partitioned_table
        join pg_catalog.pg_class child on child.oid = partdefid
    where partrelid = to_regclass(format('absurd.%I', p_parent))
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
        if absurd.default_partition(parent) = parent || '_d' then
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
