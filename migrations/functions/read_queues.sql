-- Read models of events, waits and queues.

-- Who waits for events: one task, or all who wait for one event, or all; 1,000 at most.
create or replace function absurd.list_waits(
    p_queue_name text, p_task_id uuid default null, p_event_name text default null
) returns table (
    task_id uuid, run_id uuid, step_name text, event_name text, timeout_at timestamptz,
    created_at timestamptz
)
language plpgsql stable as $$
begin
    return query execute format('
        select w.task_id, w.run_id, w.step_name, w.event_name, w.timeout_at, w.created_at
        from absurd.%I w %s order by w.run_id, w.step_name limit 1000',
        'w_' || p_queue_name, concat('where true',
            case when p_task_id is not null then ' and w.task_id = $1' end,
            case when p_event_name is not null then ' and w.event_name = $2' end))
        using p_task_id, p_event_name;
end;
$$;

-- Events that were emitted, newest first, those after the event of the given time and name.
create or replace function absurd.list_events(
    p_queue_name text, p_filter jsonb default '{}'::jsonb,
    p_before_time timestamptz default null, p_before_name text default null,
    p_limit integer default 50
) returns table (event_name text, payload jsonb, emitted_at timestamptz)
language plpgsql stable as $$
declare
    filter jsonb := coalesce(p_filter, '{}');
begin
    perform absurd.check_filter(filter, array['event_name', 'prefix']);
    return query execute format('
        select e.event_name, e.payload, e.emitted_at from absurd.%I e
        where e.payload is not null %s
        order by e.emitted_at desc, e.event_name desc limit $3',
        'e_' || p_queue_name, concat(
            case when p_before_time is not null then
                ' and e.emitted_at <= $1 and (e.emitted_at, e.event_name) < ($1, $2)' end,
            case when filter ? 'event_name' then ' and e.event_name = $4->>''event_name''' end,
            case when filter ? 'prefix'
                then ' and starts_with(e.event_name, $4->>''prefix'')' end))
        using p_before_time, p_before_name, least(greatest(coalesce(p_limit, 50), 1), 1000),
            filter;
end;
$$;

-- How queues stand: tasks by state, runs that are due, and since when. Live states are counted
-- by the indexes of what is due and what is leased; ended ones by the indexes of their ends.
create or replace function absurd.queue_stats(p_queue_name text default null)
returns table (
    queue_name text, pending bigint, running bigint, sleeping bigint, completed bigint,
    failed bigint, cancelled bigint, due bigint, oldest_due_at timestamptz,
    paused_at timestamptz
)
language plpgsql stable as $$
declare
    queue text;
begin
    for queue in
        select q.queue_name from absurd.queues q
        where p_queue_name is null or q.queue_name = p_queue_name order by q.queue_name
    loop
        continue when not absurd.has_relation('t_' || queue);
        return query execute format('
            select $1, live.pending, held.running, live.sleeping,
                (select count(*) from absurd.%1$I where state = ''completed''),
                (select count(*) from absurd.%2$I where state = ''failed''),
                (select count(*) from absurd.%2$I where state = ''cancelled''),
                live.due, live.oldest_due_at,
                (select paused_at from absurd.queues where queue_name = $1)
            from (
                select count(*) filter (where r.state = ''pending'') as pending,
                    count(*) filter (where r.state = ''sleeping'') as sleeping,
                    count(*) filter (where r.available_at <= $2) as due,
                    min(r.available_at) filter (where r.available_at <= $2) as oldest_due_at
                from absurd.%1$I r where r.state in (''pending'', ''sleeping'')) live,
                (select count(*) as running from absurd.%1$I where state = ''running'') held',
            'r_' || queue, 't_' || queue) using queue, absurd.current_time();
    end loop;
end;
$$;
