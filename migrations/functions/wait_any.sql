-- One park for several waits: of the branches of a task, of which the first one wakes it.

-- Waits, {place, step, event or queue and task or seconds or until, timeout} each, for events,
-- ends of tasks and times. Returns those that are over already; none when the run was parked,
-- or, with `p_park` false, when it goes on in other branches meanwhile. Locks the tasks, then the
-- events by name (shared), then the run, then its task.
create or replace function absurd.wait_for_any(
    p_queue_name text, p_worker_id text, p_task_id uuid, p_run_id uuid, p_waits jsonb,
    p_park boolean default true
) returns table (place integer, outcome text, payload jsonb)
language plpgsql as $$
declare
    waits jsonb := '[]';
    event text;
    wait record;
    any_over boolean := false;
begin
    waits := absurd.lock_awaited_tasks(p_queue_name, p_task_id, p_waits);
    for event in select distinct value->>'event' from jsonb_array_elements(waits)
        where value ? 'event' order by 1
    loop
        perform absurd.lock_event(p_queue_name, event);
    end loop;
    perform absurd.held_run_of(p_queue_name, p_worker_id, p_task_id, p_run_id);
    waits := absurd.keep_wake_times(p_queue_name, p_task_id, p_run_id, waits);
    for wait in
        select (value->>'place')::integer as place, value as wait
        from jsonb_array_elements(waits)
    loop
        select * into outcome, payload from absurd.look_at_wait(
            p_queue_name, p_task_id, p_run_id, wait.wait);
        if outcome is not null then
            place := wait.place;
            any_over := true;
            return next;
        end if;
    end loop;
    if any_over then
        return;
    end if;
    perform absurd.register_waits(p_queue_name, p_task_id, p_run_id, waits);
    if p_park then
        perform absurd.park_on_waits(p_queue_name, p_task_id, p_run_id, waits);
    end if;
end;
$$;

-- Locks the tasks among waits, by id; each becomes a wait for the event of its end.
create or replace function absurd.lock_awaited_tasks(
    p_queue_name text, p_task_id uuid, p_waits jsonb
) returns jsonb
language plpgsql as $$
declare
    waits jsonb := '[]';
    wait jsonb;
    child_id uuid;
begin
    for wait in select value from jsonb_array_elements(p_waits) order by value->>'task' loop
        if wait ? 'task' then
            child_id := wait->>'task';
            wait := wait || jsonb_build_object('event', absurd.end_event(child_id),
                'end', absurd.awaited_end(p_queue_name, p_task_id, wait->>'queue', child_id));
        end if;
        waits := waits || jsonb_build_array(wait);
    end loop;
    return waits;
end;
$$;

-- Gives each wait for a time its `until`, which is computed once and kept as the checkpoint.
create or replace function absurd.keep_wake_times(
    p_queue_name text, p_task_id uuid, p_run_id uuid, p_waits jsonb
) returns jsonb
language plpgsql as $$
declare
    waits jsonb := '[]';
    wait jsonb;
    kept jsonb;
begin
    for wait in select value from jsonb_array_elements(p_waits) loop
        if not wait ? 'event' then
            kept := absurd.kept_state(p_queue_name, p_task_id, wait->>'step');
            if kept is null then
                kept := absurd.wake_time(wait, absurd.current_time());
                perform absurd.keep_checkpoint(p_queue_name, p_task_id, wait->>'step', kept,
                    p_run_id);
            end if;
            wait := wait || jsonb_build_object('until', kept);
        end if;
        waits := waits || jsonb_build_array(wait);
    end loop;
    return waits;
end;
$$;

-- Whether a wait is over: delivered, timed out or due; nulls where it is not.
create or replace function absurd.look_at_wait(
    p_queue_name text, p_task_id uuid, p_run_id uuid, p_wait jsonb,
    out outcome text, out payload jsonb
)
language plpgsql as $$
declare
    step_name text := p_wait->>'step';
    gave_up boolean;
begin
    if p_wait ? 'until' then
        if (p_wait->>'until')::timestamptz <= absurd.current_time() then
            outcome := 'due';
        end if;
        return;
    end if;
    select * into outcome, payload
    from absurd.wait_outcome(p_queue_name, p_task_id, step_name);
    if outcome is not null then
        return;
    end if;
    if jsonb_typeof(p_wait->'end') = 'object' then
        payload := p_wait->'end';
        perform absurd.keep_checkpoint(p_queue_name, p_task_id, step_name, payload, p_run_id);
    else
        payload := absurd.take_event(p_queue_name, p_task_id, p_run_id, step_name,
            p_wait->>'event');
    end if;
    if payload is not null then
        outcome := 'delivered';
        return;
    end if;
    execute format('select timeout_at <= $3 from absurd.%I
        where run_id = $1 and step_name = $2', 'w_' || p_queue_name)
        into gave_up using p_run_id, step_name, absurd.current_time();
    if gave_up then
        outcome := 'timed_out';
        perform absurd.keep_checkpoint(p_queue_name, p_task_id, '$timeout:' || step_name,
            'true', p_run_id);
    end if;
end;
$$;

-- Registers the waits of a run. One that stood already keeps its deadline; what the run no longer
-- waits for goes.
create or replace function absurd.register_waits(
    p_queue_name text, p_task_id uuid, p_run_id uuid, p_waits jsonb
) returns void
language plpgsql as $$
declare
    now timestamptz := absurd.current_time();
begin
    execute format('delete from absurd.%I where run_id = $1 and step_name not in (
            select value->>''step'' from jsonb_array_elements($2))', 'w_' || p_queue_name)
        using p_run_id, p_waits;
    execute format('insert into absurd.%I as w
            (task_id, run_id, step_name, event_name, timeout_at, created_at)
        select $1, $2, value->>''step'', value->>''event'',
            absurd.seconds_after($4, (value->>''timeout'')::double precision), $4
        from jsonb_array_elements($3) where value ? ''event''
        on conflict (run_id, step_name) do update set event_name = excluded.event_name,
            timeout_at = case when w.event_name = excluded.event_name then w.timeout_at
                else excluded.timeout_at end', 'w_' || p_queue_name)
        using p_task_id, p_run_id, p_waits, now;
end;
$$;

-- Parks a run until the first of its waits is over.
create or replace function absurd.park_on_waits(
    p_queue_name text, p_task_id uuid, p_run_id uuid, p_waits jsonb
) returns void
language plpgsql as $$
declare
    wake_at timestamptz;
begin
    execute format('select least(
            (select min(timeout_at) from absurd.%I where run_id = $1),
            (select min((value->>''until'')::timestamptz) from jsonb_array_elements($2)))',
        'w_' || p_queue_name) into wake_at using p_run_id, p_waits;
    perform absurd.park_run(
        p_queue_name, p_run_id, p_task_id, coalesce(wake_at, 'infinity'));
end;
$$;
