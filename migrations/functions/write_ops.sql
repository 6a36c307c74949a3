-- The fence, and the writes of a batch that go one by one.

-- Why a write is refused; null where the worker holds the run. That the task was cancelled goes
-- before all that its run is.
create or replace function absurd.fence(
    p_run_state text, p_task_state text, p_claimed_by text, p_worker_id text
) returns text
language sql immutable as $$
    select case
        when p_task_state = 'cancelled' or p_run_state = 'cancelled' then 'AB001'
        when p_run_state = 'failed' then 'AB002'
        when p_run_state = 'running' and p_claimed_by = p_worker_id then null
        else 'AB004'
    end
$$;

-- The words for it.
create or replace function absurd.fence_message(p_run_id uuid, p_code text) returns text
language sql immutable as $$
    select case p_code
        when 'AB001' then format('task of run %s has been cancelled', p_run_id)
        when 'AB002' then format('run %s has already failed', p_run_id)
        when 'AB004' then format('run %s is not held by this worker any more', p_run_id)
    end
$$;

-- Why a run is not held, by a plain look at it; null where it is.
create or replace function absurd.run_refusal(
    p_queue_name text, p_worker_id text, p_run_id uuid
) returns text
language plpgsql as $$
declare
    refusal text;
begin
    execute format('
        select absurd.fence(r.state, t.state, r.claimed_by, $2)
        from (select $1 as run_id) wanted
            left join absurd.%I r using (run_id) left join absurd.%I t using (task_id)',
        'r_' || p_queue_name, 't_' || p_queue_name) into refusal using p_run_id, p_worker_id;
    return refusal;
end;
$$;

-- Locks a run that the worker must hold, and returns it.
create or replace function absurd.held_run(
    p_queue_name text, p_worker_id text, p_run_id uuid,
    out task_id uuid, out attempt integer, out wake_event text, out event_payload jsonb
)
language plpgsql as $$
declare
    run record := absurd.lock_run(p_queue_name, p_run_id);
    code text := absurd.run_refusal(p_queue_name, p_worker_id, p_run_id);
begin
    if code is not null then
        raise exception '%', absurd.fence_message(p_run_id, code) using errcode = code;
    end if;
    task_id := run.task_id;
    attempt := run.attempt;
    wake_event := run.wake_event;
    event_payload := run.event_payload;
end;
$$;

-- A checkpoint's state; null where there is none.
create or replace function absurd.kept_state(p_queue_name text, p_task_id uuid, p_step_name text)
returns jsonb
language plpgsql as $$
declare
    kept jsonb;
begin
    execute format('select coalesce(state, ''null'') from absurd.%I
        where task_id = $1 and checkpoint_name = $2', 'c_' || p_queue_name)
        into kept using p_task_id, p_step_name;
    return kept;
end;
$$;

-- A time that many seconds from another, at most a century: beyond it lie times that clients
-- can't read.
create or replace function absurd.seconds_after(p_time timestamptz, p_seconds double precision)
returns timestamptz
language sql immutable strict as $$
    select p_time + make_interval(secs => least(p_seconds, 3155760000))
$$;

-- A checkpoint, a run's good end or the renewal of a lease: what a queue's own function does with
-- many at once. A run that this worker has completed was so by a batch whose answer was lost.
create or replace function absurd.write_plain(
    p_queue_name text, p_worker_id text, p_write jsonb
) returns jsonb
language plpgsql as $$
declare
    run_id uuid := p_write->>'run';
    run record := absurd.lock_run(p_queue_name, run_id);
    seconds integer := coalesce(p_write->>'extend', p_write->>'seconds')::integer;
    is_step boolean := p_write->>'op' = 'checkpoint';
    is_end boolean := p_write->>'op' = 'complete';
    runs constant uuid[] := array[run_id];
begin
    if run.state = 'completed' and run.claimed_by = p_worker_id then
        return null;
    end if;
    perform absurd.held_run(p_queue_name, p_worker_id, run_id);
    execute format('select absurd.%I($1, $11, $2, $3, $4, $5, $6, $7, $8, $9, $10)',
        absurd.queue_function('fw', p_queue_name))
        using p_worker_id,
            case when is_step then array[run.task_id] else '{}' end,
            case when is_step then runs else '{}' end,
            case when is_step then array[p_write->>'step'] else '{}' end,
            case when is_step then array[p_write->'state'] else '{}' end,
            case when is_step then array[(p_write->>'place')::integer] else '{}' end,
            case when is_end then runs else '{}' end,
            case when is_end then array[p_write->'result'] else '{}' end,
            case when seconds > 0 then runs else '{}' end,
            case when seconds > 0 then array[seconds] else '{}' end, runs;
    return null;
end;
$$;

-- Emits an event unless the step says that it was emitted before, and answers for the item.
-- `emitted` says that the checkpoint is still to be kept: the caller locks the run first.
create or replace function absurd.write_emit(p_queue_name text, p_worker_id text, p_write jsonb)
returns jsonb
language plpgsql as $$
declare
    run_id uuid := p_write->>'run';
    code text := absurd.run_refusal(p_queue_name, p_worker_id, run_id);
    emitted boolean := false;
begin
    if code is null and absurd.kept_state(
        p_queue_name, (p_write->>'task')::uuid, p_write->>'step') is null
    then
        perform absurd.emit_event(p_write->>'queue', p_write->>'event', p_write->'payload');
        emitted := true;
    end if;
    return jsonb_build_object('item', p_write->'item', 'code', code,
        'message', absurd.fence_message(run_id, code), 'emitted', emitted);
exception when others then
    return jsonb_build_object('item', p_write->'item', 'code', sqlstate, 'message', sqlerrm,
        'emitted', false);
end;
$$;

-- Spawns a task once and keeps its ids.
create or replace function absurd.write_spawn(p_queue_name text, p_worker_id text, p_write jsonb)
returns jsonb
language plpgsql as $$
declare
    run_id uuid := p_write->>'run';
    held record := absurd.held_run(p_queue_name, p_worker_id, run_id);
    kept jsonb := absurd.kept_state(p_queue_name, held.task_id, p_write->>'step');
begin
    if kept is null then
        select to_jsonb(spawned) into kept
        from absurd.spawn_task(p_write->>'queue', p_write->>'name', p_write->'params',
            p_write->'options') spawned;
        perform absurd.keep_checkpoint(p_queue_name, held.task_id, p_write->>'step', kept,
            run_id, (p_write->>'place')::integer);
        if p_write->'options'->'policy'->>'on_parent_end' = 'cancel' then
            perform absurd.remember_children_in(
                p_queue_name, held.task_id, p_write->>'queue');
        end if;
    end if;
    return kept;
end;
$$;

-- When a sleep of `seconds` or `until` is over, in the form that every client reads.
create or replace function absurd.wake_time(p_sleep jsonb, p_now timestamptz) returns jsonb
language plpgsql immutable as $$
declare
    wake_at timestamptz := coalesce((p_sleep->>'until')::timestamptz,
        absurd.seconds_after(p_now, (p_sleep->>'seconds')::double precision));
begin
    if wake_at is null then
        raise exception 'a sleep needs `seconds` or `until`' using errcode = 'AB005';
    end if;
    return to_jsonb(to_char(wake_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'));
end;
$$;

-- Parks a run until a time that is computed once and kept.
-- A checkpoint that is no text was not written by a sleep, and is replaced.
create or replace function absurd.write_sleep(p_queue_name text, p_worker_id text, p_write jsonb)
returns jsonb
language plpgsql as $$
declare
    run_id uuid := p_write->>'run';
    held record := absurd.held_run(p_queue_name, p_worker_id, run_id);
    now timestamptz := absurd.current_time();
    kept jsonb := absurd.kept_state(p_queue_name, held.task_id, p_write->>'step');
    wake_at timestamptz;
begin
    if jsonb_typeof(kept) = 'string' then
        wake_at := (kept #>> '{}')::timestamptz;
    else
        kept := absurd.wake_time(p_write, now);
        wake_at := (kept #>> '{}')::timestamptz;
        perform absurd.keep_checkpoint(p_queue_name, held.task_id, p_write->>'step', kept,
            run_id, (p_write->>'place')::integer);
    end if;
    if wake_at > now then
        perform absurd.park_run(p_queue_name, run_id, held.task_id, wake_at);
    end if;
    return jsonb_build_object('parked', wake_at > now, 'wake_at', kept);
end;
$$;

-- Ends a run badly. The same failure sent again by the same worker is no error: its first
-- answer was lost. A failure for another reason is one, most of all a lease that was over.
create or replace function absurd.write_failure(
    p_queue_name text, p_worker_id text, p_write jsonb
) returns jsonb
language plpgsql as $$
declare
    run_id uuid := p_write->>'run';
    run record := absurd.lock_run(p_queue_name, run_id);
    is_repeat boolean;
begin
    if run.state = 'failed' and run.claimed_by = p_worker_id then
        execute format('select failure_reason is not distinct from $2 from absurd.%I
            where run_id = $1', 'r_' || p_queue_name)
            into is_repeat using run_id, p_write->'reason';
    end if;
    if is_repeat then
        return null;
    end if;
    perform absurd.held_run(p_queue_name, p_worker_id, run_id);
    perform absurd.end_attempt(p_queue_name, run_id, p_write->'reason',
        absurd.seconds_after(
            absurd.current_time(), (p_write->>'retry_in')::double precision),
        coalesce((p_write->>'terminal')::boolean, false));
    return null;
end;
$$;

-- Moves a run on: defers it, or hands it back with its attempt unspent.
create or replace function absurd.write_move(p_queue_name text, p_worker_id text, p_write jsonb)
returns jsonb
language plpgsql as $$
declare
    run_id uuid := p_write->>'run';
    now timestamptz := absurd.current_time();
    held record := absurd.held_run(p_queue_name, p_worker_id, run_id);
begin
    if p_write->>'op' = 'defer' then
        perform absurd.park_run(p_queue_name, run_id, held.task_id,
            absurd.seconds_after(now, (p_write->>'seconds')::double precision));
    elsif p_write->>'op' = 'release' then
        execute format('update absurd.%I set state = ''pending'', claimed_by = null,
                claim_expires_at = null, available_at = $2
            where run_id = $1', 'r_' || p_queue_name) using run_id, now;
        execute format('update absurd.%I set state = ''pending'' where task_id = $1',
            't_' || p_queue_name) using held.task_id;
        perform absurd.wake_workers(p_queue_name);
    else
        raise exception 'unknown write "%"', p_write->>'op' using errcode = 'AB005';
    end if;
    return null;
end;
$$;
