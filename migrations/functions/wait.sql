-- Waits whose timeout is remembered, fenced by the worker's id.

-- What a wait has come to already: delivered or timed out; no row when neither. As in
-- await_event, a checkpoint without a state counts for none.
create or replace function absurd.wait_outcome(
    p_queue_name text, p_task_id uuid, p_step_name text
) returns table (outcome text, payload jsonb)
language plpgsql as $$
begin
    return query execute format('
        select case when checkpoint_name = $2 then ''delivered'' else ''timed_out'' end,
            case when checkpoint_name = $2 then state end
        from absurd.%I
        where task_id = $1 and checkpoint_name in ($2, $3)
            and (state is not null or checkpoint_name = $3)
        order by checkpoint_name = $2 desc limit 1', 'c_' || p_queue_name)
        using p_task_id, p_step_name, '$timeout:' || p_step_name;
end;
$$;

-- Locks a run that the worker must hold, and refuses one of another task.
create or replace function absurd.held_run_of(
    p_queue_name text, p_worker_id text, p_task_id uuid, p_run_id uuid
) returns record
language plpgsql as $$
declare
    run record := absurd.held_run(p_queue_name, p_worker_id, p_run_id);
begin
    if run.task_id <> p_task_id then
        raise exception 'run % does not belong to task %', p_run_id, p_task_id
            using errcode = 'AB005';
    end if;
    return run;
end;
$$;

-- Waits for an event: delivers it, reports a timeout, or parks the run. Locks the event's row
-- (shared), then the run, then its task.
create or replace function absurd.wait_for_event(
    p_queue_name text, p_worker_id text, p_task_id uuid, p_run_id uuid, p_step_name text,
    p_event_name text, p_timeout integer default null
) returns table (outcome text, payload jsonb)
language plpgsql as $$
declare
    run record;
begin
    if p_event_name is null or trim(p_event_name) = '' then
        raise exception 'event_name must be given' using errcode = 'AB005';
    elsif p_timeout < 0 then
        raise exception 'timeout must not be negative' using errcode = 'AB005';
    end if;
    return query select * from absurd.wait_outcome(p_queue_name, p_task_id, p_step_name);
    if found then
        return;
    end if;
    perform absurd.lock_event(p_queue_name, p_event_name);
    run := absurd.held_run_of(p_queue_name, p_worker_id, p_task_id, p_run_id);
    payload := absurd.take_event(p_queue_name, p_task_id, p_run_id, p_step_name, p_event_name);
    if payload is not null then
        outcome := 'delivered';
    elsif run.wake_event = p_event_name and run.event_payload is null then
        outcome := 'timed_out';
        execute format('update absurd.%I set wake_event = null where run_id = $1',
            'r_' || p_queue_name) using p_run_id;
        perform absurd.keep_checkpoint(p_queue_name, p_task_id, '$timeout:' || p_step_name,
            'true', p_run_id);
    else
        outcome := 'parked';
        perform absurd.park_on_event(p_queue_name, p_task_id, p_run_id, p_step_name,
            p_event_name, p_timeout);
    end if;
    return next;
end;
$$;

-- The end of a task, in any queue, that a run of another task waits for; null while it lives: the
-- run's queue will be told of it, as an event. Locks that task's row, so that it can't end between
-- the look and the park.
create or replace function absurd.awaited_end(
    p_queue_name text, p_task_id uuid, p_child_queue text, p_child_task_id uuid
) returns jsonb
language plpgsql as $$
declare
    child record;
    child_end jsonb;
begin
    if p_child_task_id = p_task_id then
        raise exception 'task % can''t wait for itself', p_task_id using errcode = 'AB005';
    end if;
    execute format('select task_id, awaited_by from absurd.%I where task_id = $1 for update',
        't_' || p_child_queue) into child using p_child_task_id;
    if child.task_id is null then
        raise exception 'task % not found in queue "%"', p_child_task_id, p_child_queue
            using errcode = 'AB005';
    end if;
    child_end := absurd.task_end(p_child_queue, p_child_task_id);
    if child_end is null then
        -- A child that was retried after its failure lives again: the end that was told is
        -- void. Nobody can tell of another one meanwhile, for that takes the child's lock.
        execute format('update absurd.%I set payload = null, emitted_at = ''epoch''
            where event_name = $1 and payload is not null', 'e_' || p_queue_name)
            using absurd.end_event(p_child_task_id);
        perform absurd.add_awaiter(
            p_child_queue, p_child_task_id, child.awaited_by, p_queue_name);
    end if;
    return child_end;
end;
$$;

-- The event of a task's end, in each queue that waits for it.
create or replace function absurd.end_event(p_task_id uuid) returns text
language sql immutable as $$
    select '$awaitTaskResult:' || p_task_id::text
$$;

-- Waits for the end of a task. Locks that task's row, then all that wait_for_event locks.
create or replace function absurd.wait_for_task(
    p_queue_name text, p_worker_id text, p_task_id uuid, p_run_id uuid, p_step_name text,
    p_child_queue text, p_child_task_id uuid, p_timeout integer default null
) returns table (outcome text, payload jsonb)
language plpgsql as $$
begin
    return query select * from absurd.wait_outcome(p_queue_name, p_task_id, p_step_name);
    if found then
        return;
    end if;
    payload := absurd.awaited_end(p_queue_name, p_task_id, p_child_queue, p_child_task_id);
    if payload is null then
        return query select * from absurd.wait_for_event(p_queue_name, p_worker_id, p_task_id,
            p_run_id, p_step_name, absurd.end_event(p_child_task_id), p_timeout);
        return;
    end if;
    perform absurd.held_run_of(p_queue_name, p_worker_id, p_task_id, p_run_id);
    perform absurd.keep_checkpoint(p_queue_name, p_task_id, p_step_name, payload, p_run_id);
    outcome := 'delivered';
    return next;
end;
$$;

-- Notes who is to be told of a task's end: a queue, or '' for clients that listen. Its task's lock
-- is held; claims that have passed by meanwhile have skipped the task, so they look again.
create or replace function absurd.add_awaiter(
    p_queue_name text, p_task_id uuid, p_awaited_by text[], p_awaiter text
) returns void
language plpgsql as $$
begin
    if p_awaiter <> all (coalesce(p_awaited_by, '{}')) then
        execute format('update absurd.%I set awaited_by = array_append(awaited_by, $2)
            where task_id = $1', 't_' || p_queue_name) using p_task_id, p_awaiter;
    end if;
    execute format('select absurd.wake_workers($1) from absurd.%I
        where task_id = $2 and state = ''pending''', 't_' || p_queue_name)
        using p_queue_name, p_task_id;
end;
$$;

-- As get_task_result; while the task has not ended, asks for a notification on the channel
-- absurd_done when it does.
create or replace function absurd.watch_task_result(p_queue_name text, p_task_id uuid)
returns table (task_id uuid, state text, result jsonb, failure_reason jsonb)
language plpgsql as $$
declare
    awaiters text[];
    unwatched integer;
begin
    perform absurd.validate_queue_name(p_queue_name);
    execute format('select awaited_by from absurd.%I
        where task_id = $1 and state in (''pending'', ''running'', ''sleeping'')
            and not (coalesce(awaited_by, ''{}'') @> array[''''])
        for update', 't_' || p_queue_name) into awaiters using p_task_id;
    get diagnostics unwatched = row_count;
    if unwatched > 0 then
        perform absurd.add_awaiter(p_queue_name, p_task_id, awaiters, '');
    end if;
    return query select * from absurd.get_task_result(p_queue_name, p_task_id);
end;
$$;
