-- What a worker writes about the runs it holds, in batches. Every write is fenced: the run has
-- to be running and claimed by this very worker.

-- Why a write is refused; null where the worker holds the run, or has completed it itself with
-- a batch whose answer was lost.
create or replace function absurd.fence(p_state text, p_claimed_by text, p_worker_id text)
returns text
language sql immutable as $$
    select case
        when p_state in ('running', 'completed') and p_claimed_by = p_worker_id then null
        when p_state = 'cancelled' then 'AB001'
        when p_state = 'failed' then 'AB002'
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

-- Locks a run that the worker must hold, and returns it.
create or replace function absurd.held_run(
    p_queue_name text, p_worker_id text, p_run_id uuid,
    out task_id uuid, out attempt integer, out wake_event text, out event_payload jsonb
)
language plpgsql as $$
declare
    run record := absurd.lock_run(p_queue_name, p_run_id);
    code text := absurd.fence(run.state, run.claimed_by, p_worker_id);
begin
    if code is null and run.state <> 'running' then
        code := 'AB004';
    end if;
    if code is not null then
        raise exception '%', absurd.fence_message(p_run_id, code) using errcode = code;
    end if;
    task_id := run.task_id;
    attempt := run.attempt;
    wake_event := run.wake_event;
    event_payload := run.event_payload;
end;
$$;

-- Applies a batch and answers for each of its items: null, or a SQLSTATE and what happened. An
-- item that is refused leaves the others alone. Locks: the events that are emitted, by name,
-- then all runs of the batch, by id; then the tasks.
create or replace function absurd.write_runs(
    p_queue_name text, p_worker_id text, p_writes jsonb
) returns table (item integer, code text, message text, detail jsonb)
language plpgsql as $$
declare
    write record;
begin
    for write in
        select (place - 1)::integer as item, value
        from jsonb_array_elements(p_writes) with ordinality as writes (value, place)
        where value->>'op' = 'emit'
        order by value->>'queue', value->>'event', place
    loop
        return query select * from absurd.write_alone(
            p_queue_name, p_worker_id, write.item, write.value);
    end loop;
    execute format('select 1 from absurd.%I where run_id in (
            select (value->>''run'')::uuid from jsonb_array_elements($1) as writes (value))
        order by run_id for update', 'r_' || p_queue_name) using p_writes;
    return query select * from absurd.write_checkpoints(p_queue_name, p_worker_id, p_writes);
    return query select * from absurd.write_ends(p_queue_name, p_worker_id, p_writes);
    for write in
        select (place - 1)::integer as item, value
        from jsonb_array_elements(p_writes) with ordinality as writes (value, place)
        where value->>'op' not in ('emit', 'checkpoint', 'complete')
        order by (value->>'run')::uuid, place
    loop
        return query select * from absurd.write_alone(
            p_queue_name, p_worker_id, write.item, write.value);
    end loop;
end;
$$;

-- All checkpoints of a batch, whose runs are locked, with the leases that they move on.
create or replace function absurd.write_checkpoints(
    p_queue_name text, p_worker_id text, p_writes jsonb
) returns table (item integer, code text, message text, detail jsonb)
language plpgsql as $$
begin
    return query execute format('
        with held as (
            select (place - 1)::integer as item, r.run_id, (value->>''task'')::uuid as task_id,
                value->>''step'' as step, value->''state'' as state,
                (value->>''extend'')::integer as extend,
                r.state = ''running'' and r.claim_expires_at is not null as leased,
                absurd.fence(r.state, r.claimed_by, $2) as code
            from jsonb_array_elements($1) with ordinality as writes (value, place)
                left join absurd.%1$I r on r.run_id = (value->>''run'')::uuid
            where value->>''op'' = ''checkpoint''
        ), kept as (
            insert into absurd.%2$I
                (task_id, checkpoint_name, state, status, owner_run_id, updated_at)
            select distinct on (task_id, step)
                task_id, step, state, ''committed'', run_id, $3
            from held where code is null
            order by task_id, step, item desc
            on conflict (task_id, checkpoint_name) do update set state = excluded.state,
                status = excluded.status, owner_run_id = excluded.owner_run_id,
                updated_at = excluded.updated_at
        ), leases as (
            update absurd.%1$I r
            set claim_expires_at = $3 + make_interval(secs => extension.seconds)
            from (
                select run_id, max(extend) as seconds from held
                where code is null and leased and extend > 0 group by run_id) extension
            where r.run_id = extension.run_id
        )
        select item, code, absurd.fence_message(run_id, code), null::jsonb from held',
        'r_' || p_queue_name, 'c_' || p_queue_name)
        using p_writes, p_worker_id, absurd.current_time();
end;
$$;

-- All completions of a batch, whose runs are locked.
create or replace function absurd.write_ends(
    p_queue_name text, p_worker_id text, p_writes jsonb
) returns table (item integer, code text, message text, detail jsonb)
language plpgsql as $$
declare
    ended record;
begin
    for ended in execute format('
        with held as (
            select (place - 1)::integer as item, r.run_id, value->''result'' as result,
                r.state, absurd.fence(r.state, r.claimed_by, $2) as code
            from jsonb_array_elements($1) with ordinality as writes (value, place)
                left join absurd.%1$I r on r.run_id = (value->>''run'')::uuid
            where value->>''op'' = ''complete''
        ), run as (
            update absurd.%1$I r set state = ''completed'', completed_at = $3,
                result = held.result
            from held
            where r.run_id = held.run_id and held.code is null and held.state = ''running''
            returning r.run_id, r.task_id, r.result
        ), task as (
            update absurd.%2$I t set state = ''completed'', completed_payload = run.result,
                last_attempt_run = run.run_id
            from run where t.task_id = run.task_id
            returning t.task_id, run.run_id, t.awaited_by is not null as awaited
        ), waits as (
            delete from absurd.%3$I w using run where w.run_id = run.run_id
        )
        select held.item, held.code, absurd.fence_message(held.run_id, held.code) as message,
            task.task_id, coalesce(task.awaited, false) as awaited
        from held left join task using (run_id)',
        'r_' || p_queue_name, 't_' || p_queue_name, 'w_' || p_queue_name)
        using p_writes, p_worker_id, absurd.current_time()
    loop
        if ended.awaited then
            perform absurd.announce_end(p_queue_name, ended.task_id);
        end if;
        item := ended.item;
        code := ended.code;
        message := ended.message;
        return next;
    end loop;
end;
$$;

-- One item by itself, in a subtransaction: what it raises is its answer.
create or replace function absurd.write_alone(
    p_queue_name text, p_worker_id text, p_item integer, p_write jsonb
) returns table (item integer, code text, message text, detail jsonb)
language plpgsql as $$
begin
    item := p_item;
    detail := case p_write->>'op'
        when 'emit' then absurd.write_emit(p_queue_name, p_worker_id, p_write)
        when 'spawn' then absurd.write_spawn(p_queue_name, p_worker_id, p_write)
        when 'sleep' then absurd.write_sleep(p_queue_name, p_worker_id, p_write)
        when 'fail' then absurd.write_failure(p_queue_name, p_worker_id, p_write)
        else absurd.write_move(p_queue_name, p_worker_id, p_write)
    end;
    return next;
exception when others then
    code := sqlstate;
    message := sqlerrm;
    detail := null;
    return next;
end;
$$;
