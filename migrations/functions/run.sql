-- The ends of runs and tasks. Everywhere: the run's row first, then the task's, waits last.

-- Locks a run and returns it; null where there is none.
create or replace function absurd.lock_run(
    p_queue_name text, p_run_id uuid,
    out task_id uuid, out attempt integer, out state text, out claimed_by text,
    out claim_expires_at timestamptz, out wake_event text, out event_payload jsonb
)
language plpgsql as $$
begin
    execute format('select task_id, attempt, state, claimed_by, claim_expires_at, wake_event,
        event_payload from absurd.%I where run_id = $1 for update', 'r_' || p_queue_name)
        into task_id, attempt, state, claimed_by, claim_expires_at, wake_event, event_payload
        using p_run_id;
end;
$$;

-- Refuses with the contract's words: a cancelled run, a failed one, one that does not run.
create or replace function absurd.refuse_run(p_run_id uuid, p_state text) returns void
language plpgsql as $$
begin
    if p_state = 'cancelled' then
        raise exception 'task of run % has been cancelled', p_run_id using errcode = 'AB001';
    elsif p_state = 'failed' then
        raise exception 'run % has already failed', p_run_id using errcode = 'AB002';
    elsif p_state is null then
        raise exception 'run % not found', p_run_id;
    end if;
    raise exception 'run % is not currently running: it is %', p_run_id, p_state;
end;
$$;

-- Ends a run and its task well.
create or replace function absurd.complete_run(
    p_queue_name text, p_run_id uuid, p_state jsonb default null::jsonb
) returns void
language plpgsql as $$
declare
    run record := absurd.lock_run(p_queue_name, p_run_id);
begin
    if run.state is distinct from 'running' then
        perform absurd.refuse_run(p_run_id, run.state);
    end if;
    perform absurd.finish_run(p_queue_name, p_run_id, run.task_id, p_state);
end;
$$;

-- What complete_run does once the run is locked and known to run.
create or replace function absurd.finish_run(
    p_queue_name text, p_run_id uuid, p_task_id uuid, p_result jsonb
) returns void
language plpgsql as $$
declare
    task record;
begin
    execute format('update absurd.%I set state = ''completed'', completed_at = $2, result = $3
        where run_id = $1', 'r_' || p_queue_name)
        using p_run_id, absurd.current_time(), p_result;
    execute format('update absurd.%I set state = ''completed'', completed_payload = $2,
            last_attempt_run = $3
        where task_id = $1 returning awaited_by, policy', 't_' || p_queue_name)
        into task using p_task_id, p_result, p_run_id;
    execute format('delete from absurd.%I where run_id = $1', 'w_' || p_queue_name)
        using p_run_id;
    perform absurd.after_end(p_queue_name, p_task_id, task.awaited_by, task.policy);
end;
$$;

-- Parks a run until a time. The same run resumes: no attempt is spent.
create or replace function absurd.schedule_run(
    p_queue_name text, p_run_id uuid, p_wake_at timestamptz
) returns void
language plpgsql as $$
declare
    run record := absurd.lock_run(p_queue_name, p_run_id);
begin
    if run.state is distinct from 'running' then
        raise exception 'run % is not currently running in queue "%"', p_run_id, p_queue_name;
    end if;
    perform absurd.park_run(p_queue_name, p_run_id, run.task_id, p_wake_at);
end;
$$;

-- What schedule_run does once the run is locked and known to run.
create or replace function absurd.park_run(
    p_queue_name text, p_run_id uuid, p_task_id uuid, p_wake_at timestamptz
) returns void
language plpgsql as $$
begin
    execute format('update absurd.%I set state = ''sleeping'', claimed_by = null,
            claim_expires_at = null, available_at = $2, wake_event = null
        where run_id = $1', 'r_' || p_queue_name) using p_run_id, p_wake_at;
    execute format('update absurd.%I set state = ''sleeping'' where task_id = $1',
        't_' || p_queue_name) using p_task_id;
end;
$$;

-- Ends a run badly; the task is tried again, or fails, or is cancelled by its policy.
create or replace function absurd.fail_run(
    p_queue_name text, p_run_id uuid, p_reason jsonb,
    p_retry_at timestamptz default null::timestamptz
) returns void
language plpgsql as $$
declare
    run record := absurd.lock_run(p_queue_name, p_run_id);
begin
    if run.state is null or run.state not in ('running', 'sleeping') then
        perform absurd.refuse_run(p_run_id, run.state);
    end if;
    perform absurd.end_attempt(p_queue_name, p_run_id, p_reason, p_retry_at, false);
end;
$$;

-- When the next attempt of a task is due; null when its stored strategy can't be followed, which
-- ends the task instead of the caller's sweep.
create or replace function absurd.next_attempt_at(
    p_strategy jsonb, p_attempt integer, p_now timestamptz
) returns timestamptz
language plpgsql immutable as $$
begin
    return p_now + make_interval(secs => absurd.retry_delay_seconds(p_strategy, p_attempt));
exception when sqlstate 'AB003' then
    return null;
end;
$$;

-- Adds the attempt that follows another one, with its lane and priority.
create or replace function absurd.add_run(
    p_queue_name text, p_new_run uuid, p_old_run uuid, p_state text, p_available_at timestamptz
) returns void
language plpgsql as $$
begin
    execute format('insert into absurd.%1$I (run_id, task_id, attempt, state, available_at,
            created_at, priority, lane, cancel_at)
        select $1, task_id, attempt + 1, $3, $4, $5, priority, lane, cancel_at
        from absurd.%1$I where run_id = $2', 'r_' || p_queue_name)
        using p_new_run, p_old_run, p_state, p_available_at, absurd.current_time();
end;
$$;

-- What fail_run does once the run is locked. `p_terminal` allows no further attempt.
create or replace function absurd.end_attempt(
    p_queue_name text, p_run_id uuid, p_reason jsonb, p_retry_at timestamptz, p_terminal boolean
) returns void
language plpgsql as $$
declare
    now timestamptz := absurd.current_time();
    run record := absurd.lock_run(p_queue_name, p_run_id);
    task record;
    next_at timestamptz;
    task_state text := 'failed';
    new_run uuid;
begin
    execute format('select * from absurd.%I where task_id = $1 for update', 't_' || p_queue_name)
        into task using run.task_id;
    execute format('update absurd.%I set state = ''failed'', wake_event = null, failed_at = $2,
            failure_reason = $3
        where run_id = $1', 'r_' || p_queue_name) using p_run_id, now, p_reason;
    if not p_terminal and (task.max_attempts is null or run.attempt < task.max_attempts) then
        next_at := coalesce(p_retry_at, case when task.retry_strategy is null then now
            else absurd.next_attempt_at(task.retry_strategy, run.attempt, now) end);
        if next_at < now then
            next_at := now;
        end if;
    end if;
    if next_at is not null then
        task_state := case
            when task.first_started_at is not null and next_at >= absurd.policy_deadline(
                task.cancellation, task.enqueue_at, task.first_started_at) then 'cancelled'
            when next_at > now then 'sleeping'
            else 'pending' end;
    end if;
    if task_state in ('sleeping', 'pending') then
        new_run := absurd.portable_uuidv7();
        perform absurd.add_run(p_queue_name, new_run, p_run_id, task_state, next_at);
    end if;
    execute format('update absurd.%I set state = $2, attempts = greatest(attempts, $3),
            last_attempt_run = $4,
            cancelled_at = case when $2 = ''cancelled'' then coalesce(cancelled_at, $5)
                else cancelled_at end
        where task_id = $1', 't_' || p_queue_name)
        using run.task_id, task_state, run.attempt + (new_run is not null)::integer,
            coalesce(new_run, p_run_id), now;
    execute format('delete from absurd.%I where run_id = $1', 'w_' || p_queue_name)
        using p_run_id;
    if task_state = 'pending' then
        perform absurd.wake_workers(p_queue_name);
    elsif task_state <> 'sleeping' then
        if task_state = 'failed' then
            perform absurd.write_dead_letter(p_queue_name, run.task_id);
        end if;
        perform absurd.after_end(p_queue_name, run.task_id, task.awaited_by, task.policy);
    end if;
end;
$$;

-- Moves a lease to `p_extend_by` seconds from now; it may become shorter.
create or replace function absurd.extend_claim(
    p_queue_name text, p_run_id uuid, p_extend_by integer
) returns void
language plpgsql as $$
declare
    run record;
    task_state text;
begin
    if p_extend_by is null or p_extend_by <= 0 then
        raise exception 'extend_by must be > 0';
    end if;
    run := absurd.lock_run(p_queue_name, p_run_id);
    execute format('select state from absurd.%I where task_id = $1 for update',
        't_' || p_queue_name) into task_state using run.task_id;
    if task_state = 'cancelled' then
        perform absurd.refuse_run(p_run_id, task_state);
    elsif run.state is distinct from 'running' then
        perform absurd.refuse_run(p_run_id, run.state);
    elsif run.claim_expires_at is null then
        raise exception 'run % has no lease that could be extended', p_run_id;
    end if;
    execute format('update absurd.%I set claim_expires_at = $2 where run_id = $1',
        'r_' || p_queue_name)
        using p_run_id, absurd.current_time() + make_interval(secs => p_extend_by);
end;
$$;

-- Cancels a task with its live runs; one that has ended stays as it is. Waits for the runs'
-- locks before it touches the task, so that whoever holds a run can still end it.
create or replace function absurd.cancel_task(p_queue_name text, p_task_id uuid) returns void
language plpgsql as $$
declare
    task record;
begin
    perform absurd.cancel_children(p_queue_name, p_task_id);
    execute format('select 1 from absurd.%I
        where task_id = $1 and state in (''pending'', ''running'', ''sleeping'')
        order by run_id for update', 'r_' || p_queue_name) using p_task_id;
    execute format('select task_id, state, awaited_by, policy from absurd.%I
        where task_id = $1 for update', 't_' || p_queue_name) into task using p_task_id;
    if task.task_id is null then
        raise exception 'task % not found in queue "%"', p_task_id, p_queue_name;
    end if;
    if task.state in ('completed', 'failed', 'cancelled') then
        return;
    end if;
    execute format('update absurd.%I set state = ''cancelled'', claimed_by = null,
            claim_expires_at = null
        where task_id = $1 and state in (''pending'', ''running'', ''sleeping'')',
        'r_' || p_queue_name) using p_task_id;
    execute format('update absurd.%I set state = ''cancelled'',
            cancelled_at = coalesce(cancelled_at, $2)
        where task_id = $1', 't_' || p_queue_name) using p_task_id, absurd.current_time();
    execute format('delete from absurd.%I where task_id = $1', 'w_' || p_queue_name)
        using p_task_id;
    if task.state = 'running' then
        perform absurd.tell_of_cancel(p_queue_name);
    end if;
    perform absurd.after_end(p_queue_name, p_task_id, task.awaited_by, task.policy);
end;
$$;
