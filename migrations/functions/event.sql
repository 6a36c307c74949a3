-- Events: the first emit of a name wins. The event's row is locked before any run.

-- Waits for an event: delivers it, reports that the wait timed out, or parks the run. The
-- shared lock on the event's row keeps an emit waiting until this transaction ends, so no
-- event falls between the look and the park.
create or replace function absurd.await_event(
    p_queue_name text, p_task_id uuid, p_run_id uuid, p_step_name text, p_event_name text,
    p_timeout integer default null::integer
) returns table (should_suspend boolean, payload jsonb)
language plpgsql as $$
declare
    kept jsonb;
    run record;
    task_state text;
    delivered jsonb;
begin
    if p_event_name is null or trim(p_event_name) = '' then
        raise exception 'event_name must be given';
    elsif p_timeout < 0 then
        raise exception 'timeout must not be negative';
    end if;
    execute format('select state from absurd.%I where task_id = $1 and checkpoint_name = $2',
        'c_' || p_queue_name) into kept using p_task_id, p_step_name;
    if kept is not null then
        return query select false, kept;
        return;
    end if;
    perform absurd.lock_event(p_queue_name, p_event_name);
    run := absurd.lock_run(p_queue_name, p_run_id);
    if run.state is null then
        perform absurd.refuse_run(p_run_id, null);
    end if;
    execute format('select state from absurd.%I where task_id = $1 for update',
        't_' || p_queue_name) into task_state using run.task_id;
    if task_state = 'cancelled' then
        perform absurd.refuse_run(p_run_id, task_state);
    elsif run.state <> 'running' then
        raise exception 'run % is not currently running: it is %', p_run_id, run.state;
    end if;
    delivered := absurd.take_event(p_queue_name, p_task_id, p_run_id, p_step_name, p_event_name);
    if delivered is not null then
        return query select false, delivered;
    elsif run.wake_event = p_event_name and run.event_payload is null then
        execute format('update absurd.%I set wake_event = null where run_id = $1',
            'r_' || p_queue_name) using p_run_id;
        return query select false, null::jsonb;
    else
        perform absurd.park_on_event(p_queue_name, p_task_id, p_run_id, p_step_name,
            p_event_name, p_timeout);
        return query select true, null::jsonb;
    end if;
end;
$$;

-- Makes sure that an event has a row and takes a shared lock on it. A clean-up may delete the
-- row in between: then it is made again.
create or replace function absurd.lock_event(p_queue_name text, p_event_name text) returns void
language plpgsql as $$
declare
    locked integer := 0;
begin
    while locked = 0 loop
        execute format('insert into absurd.%I (event_name, payload, emitted_at)
            values ($1, null, ''epoch'') on conflict do nothing', 'e_' || p_queue_name)
            using p_event_name;
        execute format('select 1 from absurd.%I where event_name = $1 for share',
            'e_' || p_queue_name) using p_event_name;
        get diagnostics locked = row_count;
    end loop;
end;
$$;

-- Delivers an event that is there: keeps its payload as the step's checkpoint and returns it.
-- Whatever an earlier event left on the run is cleared.
create or replace function absurd.take_event(
    p_queue_name text, p_task_id uuid, p_run_id uuid, p_step_name text, p_event_name text
) returns jsonb
language plpgsql as $$
declare
    event_payload jsonb;
begin
    execute format('select payload from absurd.%I where event_name = $1', 'e_' || p_queue_name)
        into event_payload using p_event_name;
    execute format('update absurd.%I set event_payload = null
        where run_id = $1 and event_payload is not null', 'r_' || p_queue_name) using p_run_id;
    if event_payload is not null then
        perform absurd.keep_checkpoint(p_queue_name, p_task_id, p_step_name, event_payload,
            p_run_id);
    end if;
    return event_payload;
end;
$$;

-- Registers the wait and parks the run, under the event's lock.
create or replace function absurd.park_on_event(
    p_queue_name text, p_task_id uuid, p_run_id uuid, p_step_name text, p_event_name text,
    p_timeout integer
) returns void
language plpgsql as $$
declare
    now timestamptz := absurd.current_time();
    timeout_at timestamptz := now + make_interval(secs => p_timeout);
begin
    execute format('insert into absurd.%I
            (task_id, run_id, step_name, event_name, timeout_at, created_at)
        values ($1, $2, $3, $4, $5, $6)
        on conflict (run_id, step_name) do update set event_name = excluded.event_name,
            timeout_at = excluded.timeout_at, created_at = excluded.created_at',
        'w_' || p_queue_name)
        using p_task_id, p_run_id, p_step_name, p_event_name, timeout_at, now;
    execute format('update absurd.%I set state = ''sleeping'', claimed_by = null,
            claim_expires_at = null, available_at = $2, wake_event = $3, event_payload = null
        where run_id = $1', 'r_' || p_queue_name)
        using p_run_id, coalesce(timeout_at, 'infinity'), p_event_name;
    execute format('update absurd.%I set state = ''sleeping'' where task_id = $1',
        't_' || p_queue_name) using p_task_id;
end;
$$;

-- Emits an event and wakes all who wait for it in time; the others find out by themselves. A
-- name that was emitted before changes nothing.
create or replace function absurd.emit_event(
    p_queue_name text, p_event_name text, p_payload jsonb default null::jsonb
) returns void
language plpgsql as $$
declare
    now timestamptz := absurd.current_time();
    payload jsonb := coalesce(p_payload, 'null');
    emitted integer;
    woken integer;
begin
    if p_event_name is null or trim(p_event_name) = '' then
        raise exception 'event_name must be given';
    end if;
    execute format('insert into absurd.%I as e (event_name, payload, emitted_at)
        values ($1, $2, $3)
        on conflict (event_name) do update set payload = excluded.payload,
            emitted_at = excluded.emitted_at
        where e.payload is null', 'e_' || p_queue_name) using p_event_name, payload, now;
    get diagnostics emitted = row_count;
    if emitted = 0 then
        return;
    end if;
    execute format('
        with waiting as (
            select r.run_id, r.task_id, w.step_name
            from absurd.%1$I w join absurd.%2$I r on r.run_id = w.run_id
            where w.event_name = $1 and (w.timeout_at is null or w.timeout_at > $2)
                and r.state = ''sleeping''
            order by r.run_id for update of r
        ), woken as (
            update absurd.%2$I r set state = ''pending'', available_at = $2, wake_event = null,
                event_payload = $3, claimed_by = null, claim_expires_at = null
            from waiting where r.run_id = waiting.run_id
            returning r.run_id, r.task_id, waiting.step_name
        ), kept as (
            insert into absurd.%3$I
                (task_id, checkpoint_name, state, status, owner_run_id, updated_at)
            select task_id, step_name, $3, ''committed'', run_id, $2 from woken
            on conflict (task_id, checkpoint_name) do update set state = excluded.state,
                status = excluded.status, owner_run_id = excluded.owner_run_id,
                updated_at = excluded.updated_at
        ), tasks as (
            update absurd.%4$I t set state = ''pending'' from woken
            where t.task_id = woken.task_id
        )
        delete from absurd.%1$I w
        where w.event_name = $1 and (w.timeout_at <= $2
            or exists (select from woken where woken.run_id = w.run_id))',
        'w_' || p_queue_name, 'r_' || p_queue_name, 'c_' || p_queue_name, 't_' || p_queue_name)
        using p_event_name, now, payload;
    get diagnostics woken = row_count;
    if woken > 0 then
        perform absurd.wake_workers(p_queue_name);
    end if;
end;
$$;

-- Tells of a task's end: as an event in every queue where somebody waits for it, and to
-- clients that listen. Called by each function that ends a task; a queue that was dropped
-- meanwhile is nobody's loss.
create or replace function absurd.announce_end(p_queue_name text, p_task_id uuid) returns void
language plpgsql as $$
declare
    listener text;
    waiting text[];
begin
    execute format('select awaited_by from absurd.%I where task_id = $1', 't_' || p_queue_name)
        into waiting using p_task_id;
    foreach listener in array waiting loop
        if listener = '' then
            if current_setting('absurd.notify', true) is distinct from 'off' then
                perform pg_notify('absurd_done', p_queue_name);
            end if;
        elsif to_regclass(format('absurd.%I', 'e_' || listener)) is not null then
            perform absurd.emit_event(listener, absurd.end_event(p_task_id),
                absurd.task_end(p_queue_name, p_task_id));
        end if;
    end loop;
end;
$$;

-- The end of a task as all clients keep it; null while it has not ended.
create or replace function absurd.task_end(p_queue_name text, p_task_id uuid) returns jsonb
language sql as $$
    select case state
        when 'completed' then jsonb_build_object('state', state, 'result', result)
        when 'failed' then jsonb_build_object('state', state, 'failure', failure_reason)
        when 'cancelled' then jsonb_build_object('state', state)
    end
    from absurd.get_task_result(p_queue_name, p_task_id)
$$;
