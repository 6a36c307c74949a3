-- Lanes: runs of one task and key, so that a claim can go past all that a limit holds back at
-- once, and take turns between keys. Most runs have none.

-- Turns lanes on for a queue.
create or replace function absurd.use_lanes(p_queue_name text) returns void
language plpgsql as $$
begin
    update absurd.queues set lanes = true where queue_name = p_queue_name and not lanes;
end;
$$;

-- The lane of a new run that has a key, or whose task is limited.
create or replace function absurd.lane_of(p_queue_name text, p_task_name text, p_key text)
returns text[]
language plpgsql as $$
begin
    if p_key is not null then
        perform absurd.use_lanes(p_queue_name);
    end if;
    return array[p_task_name, coalesce(p_key, '')];
end;
$$;

-- The last of at most `p_lanes` lanes behind a lane, and how many they are. Each is found by a look
-- into the index; paused ones are passed over at once and count as one.
create or replace function absurd.look_over_lanes(
    p_queue_name text, p_after text[], p_lanes integer, out seen integer, out reached text[]
)
language plpgsql as $$
begin
    execute format('
        with recursive lanes as (
            (select r.lane, 1 as place from absurd.%1$I r
                where r.state in (''pending'', ''sleeping'') and r.lane > $1
                order by r.lane limit 1)
            union all
            select next.lane, lanes.place + 1 from lanes cross join lateral (
                select r.lane from absurd.%1$I r
                where r.state in (''pending'', ''sleeping'')
                    and r.lane > greatest(lanes.lane, case when lanes.lane[1] = ''$paused''
                        then array[''$paused'', null] end)
                order by r.lane limit 1) next
            where lanes.place < $2
        )
        select count(*), max(lane) from lanes', 'r_' || p_queue_name)
        into seen, reached using p_after, p_lanes;
end;
$$;

-- The due runs at the head of each lane after one and up to another: by priority, then age. Lanes
-- and their levels of priority are found one by one, a look into the index each, so that neither
-- long lanes nor sleeping runs are walked through. Paused ones are left out.
create or replace function absurd.heads_of_lanes(
    p_queue_name text, p_after text[], p_until text[], p_now timestamptz, p_limit integer
) returns table (
    run_id uuid, task_name text, lane text[], priority integer, available_at timestamptz,
    is_start boolean
)
language plpgsql as $$
begin
    return query execute format('
        with recursive levels as (
            (select r.lane, r.priority from absurd.%1$I r
                where r.state in (''pending'', ''sleeping'') and r.lane > $1 and r.lane <= $2
                order by r.lane, r.priority desc limit 1)
            union all
            select next.* from levels cross join lateral (
                (select r.lane, r.priority from absurd.%1$I r
                    where r.state in (''pending'', ''sleeping'') and r.lane = levels.lane
                        and r.priority < levels.priority and levels.lane[1] <> ''$paused''
                    order by r.lane, r.priority desc limit 1)
                union all
                (select r.lane, r.priority from absurd.%1$I r
                    where r.state in (''pending'', ''sleeping'') and r.lane <= $2
                        and r.lane > greatest(levels.lane, case when levels.lane[1] = ''$paused''
                            then array[''$paused'', null] end)
                    order by r.lane, r.priority desc limit 1)
                limit 1) next
        )
        select due.* from levels cross join lateral (
            select r.run_id, r.lane[1], r.lane, r.priority, r.available_at,
                r.started_at is null
            from absurd.%1$I r
            where r.lane = levels.lane and r.state in (''pending'', ''sleeping'')
                and r.priority = levels.priority and r.available_at <= $3
            order by r.lane, r.priority desc, r.available_at, r.run_id limit $4) due
        where levels.lane[1] <> ''$paused''',
        'r_' || p_queue_name) using p_after, p_until, p_now, p_limit;
end;
$$;

-- The due runs of those without a lane. The lane is named in each `order by` because PostgreSQL
-- takes no index's order for it where a column is null.
create or replace function absurd.due_without_lane(
    p_queue_name text, p_now timestamptz, p_limit integer
) returns table (
    run_id uuid, task_name text, lane text[], priority integer, available_at timestamptz,
    is_start boolean
)
language plpgsql as $$
begin
    return query execute format('
        with recursive levels as (
            (select r.priority from absurd.%1$I r
                where r.lane is null and r.state in (''pending'', ''sleeping'')
                order by r.lane, r.priority desc limit 1)
            union all
            select (select r.priority from absurd.%1$I r
                where r.lane is null and r.state in (''pending'', ''sleeping'')
                    and r.priority < levels.priority
                order by r.lane, r.priority desc limit 1)
            from levels where levels.priority is not null
        )
        select due.* from levels cross join lateral (
            select r.run_id, t.task_name, r.lane, r.priority, r.available_at,
                r.started_at is null
            from absurd.%1$I r join absurd.%2$I t on t.task_id = r.task_id
            where r.lane is null and r.state in (''pending'', ''sleeping'')
                and r.priority = levels.priority and r.available_at <= $1
            order by r.lane, r.priority desc, r.available_at, r.run_id limit $2) due
        where levels.priority is not null limit $2',
        'r_' || p_queue_name, 't_' || p_queue_name) using p_now, p_limit;
end;
$$;

-- Sets a task's lane and priority on its current run, whatever that is doing: later attempts
-- have them from there.
create or replace function absurd.change_run(
    p_queue_name text, p_task_id uuid, p_set text, p_value anyelement
) returns void
language plpgsql as $$
declare
    changed integer;
begin
    execute format('update absurd.%1$I r set %3$s
        from absurd.%2$I t
        where t.task_id = $1 and r.run_id = t.last_attempt_run
            and r.state in (''pending'', ''running'', ''sleeping'')',
        'r_' || p_queue_name, 't_' || p_queue_name, p_set) using p_task_id, p_value;
    get diagnostics changed = row_count;
    if changed = 0 then
        raise exception 'task % not found in queue "%", or it has ended',
            p_task_id, p_queue_name using errcode = 'AB005';
    end if;
end;
$$;

-- Keeps a task from being claimed. What runs goes on until it sleeps, waits or ends.
create or replace function absurd.pause_task(p_queue_name text, p_task_id uuid) returns void
language plpgsql as $$
begin
    perform absurd.use_lanes(p_queue_name);
    perform absurd.change_run(p_queue_name, p_task_id,
        'lane = case when r.lane[1] = $2 then r.lane else array_prepend($2, r.lane) end',
        '$paused'::text);
end;
$$;

-- Lets a paused task go on.
create or replace function absurd.resume_task(p_queue_name text, p_task_id uuid) returns void
language plpgsql as $$
begin
    perform absurd.change_run(p_queue_name, p_task_id,
        'lane = case when r.lane[1] = $2 then nullif(r.lane[2:], ''{}'') else r.lane end',
        '$paused'::text);
    perform absurd.wake_workers(p_queue_name);
end;
$$;

-- Changes a task's priority; larger goes first.
create or replace function absurd.set_priority(
    p_queue_name text, p_task_id uuid, p_priority integer
) returns void
language plpgsql as $$
begin
    perform absurd.change_run(p_queue_name, p_task_id, 'priority = $2', p_priority);
end;
$$;

-- Keeps a queue from handing out work; what runs goes on.
create or replace function absurd.pause_queue(p_queue_name text) returns void
language plpgsql as $$
begin
    perform absurd.require_queue(p_queue_name);
    update absurd.queues set paused_at = coalesce(paused_at, absurd.current_time())
    where queue_name = p_queue_name;
end;
$$;

-- Lets a paused queue go on.
create or replace function absurd.resume_queue(p_queue_name text) returns void
language plpgsql as $$
begin
    perform absurd.require_queue(p_queue_name);
    update absurd.queues set paused_at = null where queue_name = p_queue_name;
    perform absurd.wake_workers(p_queue_name);
end;
$$;
