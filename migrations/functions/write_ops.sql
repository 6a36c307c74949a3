-- The writes of a batch that go one by one.

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

-- Emits an event once. The event is locked before the run; if the run turns out to be lost,
-- the caller's subtransaction takes the emit back.
create or replace function absurd.write_emit(p_queue_name text, p_worker_id text, p_write jsonb)
returns jsonb
language plpgsql as $$
declare
    task_id uuid := p_write->>'task';
    run_id uuid := p_write->>'run';
begin
    if absurd.kept_state(p_queue_name, task_id, p_write->>'step') is null then
        perform absurd.emit_event(p_write->>'queue', p_write->>'event', p_write->'payload');
        perform absurd.held_run(p_queue_name, p_worker_id, run_id);
        perform absurd.keep_checkpoint(p_queue_name, task_id, p_write->>'step', 'true', run_id);
    end if;
    return null;
end;
$$;

-- Spawns a task once and keeps its ids.
create or replace function absurd.write_spawn(p_queue_name text, p_worker_id text, p_write jsonb)
returns jsonb
language plpgsql as $$
declare
    task_id uuid := p_write->>'task';
    run_id uuid := p_write->>'run';
    kept jsonb := absurd.kept_state(p_queue_name, task_id, p_write->>'step');
begin
    if kept is not null then
        return kept;
    end if;
    perform absurd.held_run(p_queue_name, p_worker_id, run_id);
    select to_jsonb(spawned) into kept
    from absurd.spawn_task(p_write->>'queue', p_write->>'name', p_write->'params',
        p_write->'options') spawned;
    perform absurd.keep_checkpoint(p_queue_name, task_id, p_write->>'step', kept, run_id);
    return kept;
end;
$$;

-- Parks a run until a time that is computed once and kept, in the form that every client reads.
create or replace function absurd.write_sleep(p_queue_name text, p_worker_id text, p_write jsonb)
returns jsonb
language plpgsql as $$
declare
    task_id uuid := p_write->>'task';
    run_id uuid := p_write->>'run';
    now timestamptz := absurd.current_time();
    kept text;
    wake_at timestamptz;
begin
    perform absurd.held_run(p_queue_name, p_worker_id, run_id);
    kept := absurd.kept_state(p_queue_name, task_id, p_write->>'step') #>> '{}';
    wake_at := coalesce(kept, p_write->>'until')::timestamptz;
    if wake_at is null then
        wake_at := now + make_interval(secs => (p_write->>'seconds')::double precision);
    end if;
    if kept is null then
        kept := to_char(wake_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"');
        perform absurd.keep_checkpoint(p_queue_name, task_id, p_write->>'step', to_jsonb(kept),
            run_id);
    end if;
    if wake_at > now then
        perform absurd.park_run(p_queue_name, run_id, task_id, wake_at);
    end if;
    return jsonb_build_object('parked', wake_at > now, 'wake_at', kept);
end;
$$;

-- Ends a run badly. The same failure sent again by the same worker is no error: its first
-- answer was lost.
create or replace function absurd.write_failure(
    p_queue_name text, p_worker_id text, p_write jsonb
) returns jsonb
language plpgsql as $$
declare
    run_id uuid := p_write->>'run';
    run record := absurd.lock_run(p_queue_name, run_id);
begin
    if run.state = 'failed' and run.claimed_by = p_worker_id then
        return null;
    end if;
    perform absurd.held_run(p_queue_name, p_worker_id, run_id);
    perform absurd.end_attempt(p_queue_name, run_id, p_write->'reason',
        absurd.current_time()
            + make_interval(secs => (p_write->>'retry_in')::double precision),
        coalesce((p_write->>'terminal')::boolean, false));
    return null;
end;
$$;

-- Moves a run on: extends its lease, defers it, or hands it back with its attempt unspent.
create or replace function absurd.write_move(p_queue_name text, p_worker_id text, p_write jsonb)
returns jsonb
language plpgsql as $$
declare
    run_id uuid := p_write->>'run';
    now timestamptz := absurd.current_time();
    held record := absurd.held_run(p_queue_name, p_worker_id, run_id);
    after interval := make_interval(secs => (p_write->>'seconds')::double precision);
begin
    if p_write->>'op' = 'extend' then
        execute format('update absurd.%I set claim_expires_at = $2
            where run_id = $1 and claim_expires_at is not null', 'r_' || p_queue_name)
            using run_id, now + after;
    elsif p_write->>'op' = 'defer' then
        perform absurd.park_run(p_queue_name, run_id, held.task_id, now + after);
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
