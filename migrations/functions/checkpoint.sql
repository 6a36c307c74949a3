-- Checkpoints: what a task remembers.

-- Writes a checkpoint unconditionally. `p_place`: see queue_columns.
create or replace function absurd.keep_checkpoint(
    p_queue_name text, p_task_id uuid, p_step_name text, p_state jsonb, p_run_id uuid,
    p_place integer default null
) returns void
language plpgsql as $$
begin
    execute format('insert into absurd.%I as c
            (task_id, checkpoint_name, state, status, owner_run_id, updated_at, place)
        values ($1, $2, $3, ''committed'', $4, $5, $6)
        on conflict (task_id, checkpoint_name) do update set state = excluded.state,
            status = excluded.status, owner_run_id = excluded.owner_run_id,
            updated_at = excluded.updated_at, place = excluded.place', 'c_' || p_queue_name)
        using p_task_id, p_step_name, p_state, p_run_id, absurd.current_time(), p_place;
end;
$$;

-- Writes a checkpoint and may move the run's lease. A stale attempt's overwrite of a newer
-- attempt's checkpoint is dropped without a word, as the contract wants it.
create or replace function absurd.set_task_checkpoint_state(
    p_queue_name text, p_task_id uuid, p_step_name text, p_state jsonb, p_owner_run uuid,
    p_extend_claim_by integer default null::integer
) returns void
language plpgsql as $$
declare
    run record;
    owner_attempt integer;
begin
    if p_step_name is null or trim(p_step_name) = '' then
        raise exception 'step_name must be given';
    end if;
    execute format('select r.attempt, r.state, t.state as task_state
        from absurd.%I r left join absurd.%I t using (task_id) where r.run_id = $1',
        'r_' || p_queue_name, 't_' || p_queue_name) into run using p_owner_run;
    if run.attempt is null then
        raise exception 'run % not found', p_owner_run;
    elsif run.task_state = 'cancelled' then
        perform absurd.refuse_run(p_owner_run, run.task_state);
    elsif run.state = 'failed' then
        perform absurd.refuse_run(p_owner_run, run.state);
    end if;
    if p_extend_claim_by > 0 then
        execute format('update absurd.%I set claim_expires_at = $2
            where run_id = $1 and state = ''running'' and claim_expires_at is not null',
            'r_' || p_queue_name)
            using p_owner_run,
                absurd.current_time() + make_interval(secs => p_extend_claim_by);
    end if;
    execute format('select r.attempt from absurd.%I c join absurd.%I r on r.run_id = c.owner_run_id
        where c.task_id = $1 and c.checkpoint_name = $2',
        'c_' || p_queue_name, 'r_' || p_queue_name)
        into owner_attempt using p_task_id, p_step_name;
    if owner_attempt is null or run.attempt >= owner_attempt then
        perform absurd.keep_checkpoint(p_queue_name, p_task_id, p_step_name, p_state,
            p_owner_run);
    end if;
end;
$$;

-- One checkpoint, whoever wrote it.
create or replace function absurd.get_task_checkpoint_state(
    p_queue_name text, p_task_id uuid, p_step_name text,
    p_include_pending boolean default false
) returns table (
    checkpoint_name text, state jsonb, status text, owner_run_id uuid, updated_at timestamptz
)
language plpgsql as $$
begin
    return query execute format('
        select checkpoint_name, state, status, owner_run_id, updated_at from absurd.%I
        where task_id = $1 and checkpoint_name = $2 and (status = ''committed'' or $3)',
        'c_' || p_queue_name)
        using p_task_id, p_step_name, coalesce(p_include_pending, false);
end;
$$;

-- The checkpoints that a run may see: its own, and those of earlier attempts.
create or replace function absurd.get_task_checkpoint_states(
    p_queue_name text, p_task_id uuid, p_run_id uuid
) returns table (
    checkpoint_name text, state jsonb, status text, owner_run_id uuid, updated_at timestamptz
)
language plpgsql as $$
declare
    run record;
begin
    execute format('select task_id, attempt from absurd.%I where run_id = $1',
        'r_' || p_queue_name) into run using p_run_id;
    if run.task_id is null then
        raise exception 'run % not found', p_run_id;
    elsif run.task_id <> p_task_id then
        raise exception 'run % does not belong to task %', p_run_id, p_task_id;
    end if;
    return query execute format('
        select c.checkpoint_name, c.state, c.status, c.owner_run_id, c.updated_at
        from absurd.%I c left join absurd.%I r on r.run_id = c.owner_run_id
        where c.task_id = $1 and c.status = ''committed''
            and (r.attempt is null or r.attempt <= $2)
        order by c.updated_at',
        'c_' || p_queue_name, 'r_' || p_queue_name) using p_task_id, run.attempt;
end;
$$;

-- A task's state, with its result once completed or its last failure once failed.
create or replace function absurd.get_task_result(p_queue_name text, p_task_id uuid)
returns table (task_id uuid, state text, result jsonb, failure_reason jsonb)
language plpgsql as $$
begin
    perform absurd.validate_queue_name(p_queue_name);
    return query execute format('
        select t.task_id, t.state,
            case t.state when ''completed'' then t.completed_payload end,
            case t.state when ''failed'' then r.failure_reason end
        from absurd.%I t left join absurd.%I r
            on r.run_id = t.last_attempt_run and t.state = ''failed''
        where t.task_id = $1', 't_' || p_queue_name, 'r_' || p_queue_name)
        using p_task_id;
end;
$$;
