-- What a worker writes about the runs it holds, in batches. Every write is fenced: the run has
-- to be running and claimed by this very worker.

-- Applies a batch and answers for each of its items: null, or a SQLSTATE and what happened. An
-- item that is refused leaves the others alone. Locks: the events that it emits, by queue and
-- name; all runs of the batch, by id; then their tasks.
create or replace function absurd.write_runs(
    p_queue_name text, p_worker_id text, p_writes jsonb
) returns table (item integer, code text, message text, detail jsonb)
language plpgsql as $$
declare
    emits jsonb;
    together jsonb;
    alone jsonb;
    write jsonb;
begin
    select batch.emits, batch.together, batch.alone into emits, together, alone
    from absurd.sort_writes(p_writes) batch;
    if emits is null then
        perform absurd.lock_runs(p_queue_name, p_writes);
    else
        return query select * from absurd.write_emits(
            p_queue_name, p_worker_id, p_writes, emits);
    end if;
    if together is not null then
        begin
            return query select * from absurd.write_together(
                p_queue_name, p_worker_id, together);
        exception when others then
            -- One of them can't be written. Which one, each by itself will show.
            alone := coalesce(alone, '[]') || together;
        end;
    end if;
    for write in select value from jsonb_array_elements(alone) loop
        return query select * from absurd.write_alone(
            p_queue_name, p_worker_id, (write->>'item')::integer, write);
    end loop;
end;
$$;

-- Numbers the writes of a batch and sorts them by how they go: emits, which come before any run
-- is locked; then in one statement all runs that only go on and maybe complete at last; one by
-- one the rest, by run and in the given order.
create or replace function absurd.sort_writes(
    p_writes jsonb, out emits jsonb, out together jsonb, out alone jsonb
)
language sql immutable as $$
    with numbered as (
        select value || jsonb_build_object('item', place - 1) as write, place,
            value->>'op' as op, value->>'run' as run,
            row_number() over (
                partition by value->>'run', value->>'op' = 'emit' order by place desc
            ) = 1 as is_last
        from jsonb_array_elements(p_writes) with ordinality as writes (value, place)
    ), sorted as (
        select *, case when op = 'emit' then 'emit' when bool_and(
            coalesce(op in ('checkpoint', 'extend') or op = 'complete' and is_last, false)
        ) over (partition by run, op = 'emit') then 'together' else 'alone' end as way
        from numbered
    )
    select
        jsonb_agg(write order by write->>'queue', write->>'event', place)
            filter (where way = 'emit'),
        jsonb_agg(write order by run collate "C", place) filter (where way = 'together'),
        jsonb_agg(write order by run collate "C", place) filter (where way = 'alone')
    from sorted
$$;

-- Locks all runs of a batch.
create or replace function absurd.lock_runs(p_queue_name text, p_writes jsonb) returns void
language plpgsql as $$
begin
    execute format('select 1 from absurd.%I where run_id in (
            select (value->>''run'')::uuid from jsonb_array_elements($1) as writes (value))
        order by run_id for update', 'r_' || p_queue_name) using p_writes;
end;
$$;

-- Emits the events of a batch and locks the batch's runs after them: who holds a run must not
-- wait for an event. A run that is lost in between takes the emits back with it; the second
-- look then leaves it out.
create or replace function absurd.write_emits(
    p_queue_name text, p_worker_id text, p_writes jsonb, p_emits jsonb
) returns table (item integer, code text, message text, detail jsonb)
language plpgsql as $$
declare
    write jsonb;
    answers jsonb;
begin
    loop
        begin
            answers := '[]';
            for write in select value from jsonb_array_elements(p_emits) loop
                answers := answers || absurd.write_emit(p_queue_name, p_worker_id, write);
            end loop;
            perform absurd.lock_runs(p_queue_name, p_writes);
            for write in
                select emit.value
                from jsonb_array_elements(p_emits) as emit (value)
                    join jsonb_array_elements(answers) as answer (value)
                        on answer.value->'item' = emit.value->'item'
                where (answer.value->>'emitted')::boolean
            loop
                perform absurd.held_run(p_queue_name, p_worker_id, (write->>'run')::uuid);
                perform absurd.keep_checkpoint(p_queue_name, (write->>'task')::uuid,
                    write->>'step', 'true', (write->>'run')::uuid,
                    (write->>'place')::integer);
            end loop;
            exit;
        exception when sqlstate 'AB001' or sqlstate 'AB002' or sqlstate 'AB004' then
            continue;
        end;
    end loop;
    return query select answer.* from jsonb_to_recordset(answers)
        as answer (item integer, code text, message text, detail jsonb);
end;
$$;

-- The writes that need no subtransaction of their own, whose runs are locked.
create or replace function absurd.write_together(
    p_queue_name text, p_worker_id text, p_writes jsonb
) returns table (item integer, code text, message text, detail jsonb)
language plpgsql as $$
begin
    return query select * from absurd.write_checkpoints(p_queue_name, p_worker_id, p_writes);
    return query select * from absurd.write_ends(p_queue_name, p_worker_id, p_writes);
end;
$$;

-- The checkpoints and renewals among numbered writes. Of two for one step the last one counts,
-- and so does the last lease.
create or replace function absurd.write_checkpoints(
    p_queue_name text, p_worker_id text, p_writes jsonb
) returns table (item integer, code text, message text, detail jsonb)
language plpgsql as $$
begin
    return query execute format('
        with held as (
            select (value->>''item'')::integer as item, value->>''op'' as op,
                value->>''run'' as run, r.run_id, r.task_id, value->>''step'' as step,
                value->''state'' as state, (value->>''place'')::integer as place,
                case value->>''op'' when ''extend'' then (value->>''seconds'')::integer
                    else nullif(greatest((value->>''extend'')::integer, 0), 0) end as extend,
                r.state = ''running'' and r.claim_expires_at is not null as leased,
                absurd.fence(absurd.fenced_state(r.state, t.state), r.claimed_by, $2) as code
            from jsonb_array_elements($1) as writes (value)
                left join absurd.%1$I r on r.run_id = (value->>''run'')::uuid
                left join absurd.%3$I t on t.task_id = r.task_id
            where value->>''op'' in (''checkpoint'', ''extend'')
        ), kept as (
            insert into absurd.%2$I
                (task_id, checkpoint_name, state, status, owner_run_id, updated_at, place)
            select distinct on (task_id, step)
                task_id, step, state, ''committed'', run_id, $3, place
            from held where code is null and op = ''checkpoint''
            order by task_id, step, item desc
            on conflict (task_id, checkpoint_name) do update set state = excluded.state,
                status = excluded.status, owner_run_id = excluded.owner_run_id,
                updated_at = excluded.updated_at, place = excluded.place
        ), leases as (
            update absurd.%1$I r
            set claim_expires_at = $3 + make_interval(secs => extension.seconds)
            from (
                select distinct on (run_id) run_id, extend as seconds from held
                where code is null and leased and extend is not null
                order by run_id, item desc) extension
            where r.run_id = extension.run_id
        )
        select item, code, absurd.fence_message(run::uuid, code), null::jsonb from held',
        'r_' || p_queue_name, 'c_' || p_queue_name, 't_' || p_queue_name)
        using p_writes, p_worker_id, absurd.current_time();
end;
$$;

-- The completions among numbered writes.
create or replace function absurd.write_ends(
    p_queue_name text, p_worker_id text, p_writes jsonb
) returns table (item integer, code text, message text, detail jsonb)
language plpgsql as $$
declare
    ended record;
begin
    for ended in execute format('
        with held as (
            select (value->>''item'')::integer as item, value->>''run'' as run, r.run_id,
                value->''result'' as result, r.state,
                absurd.fence(absurd.fenced_state(r.state, t.state), r.claimed_by, $2) as code
            from jsonb_array_elements($1) as writes (value)
                left join absurd.%1$I r on r.run_id = (value->>''run'')::uuid
                left join absurd.%2$I t on t.task_id = r.task_id
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
            returning t.task_id, run.run_id, t.awaited_by, t.policy
        ), waits as (
            delete from absurd.%3$I w using run where w.run_id = run.run_id
        )
        select held.item, held.code, absurd.fence_message(held.run::uuid, held.code) as message,
            task.task_id, task.awaited_by, task.policy
        from held left join task using (run_id)
        order by task.task_id',
        'r_' || p_queue_name, 't_' || p_queue_name, 'w_' || p_queue_name)
        using p_writes, p_worker_id, absurd.current_time()
    loop
        if ended.awaited_by is not null or ended.policy is not null then
            perform absurd.after_end(
                p_queue_name, ended.task_id, ended.awaited_by, ended.policy);
        end if;
        item := ended.item;
        code := ended.code;
        message := ended.message;
        return next;
    end loop;
end;
$$;

-- One numbered write by itself, in a subtransaction: what it raises is its answer.
create or replace function absurd.write_alone(
    p_queue_name text, p_worker_id text, p_item integer, p_write jsonb
) returns table (item integer, code text, message text, detail jsonb)
language plpgsql as $$
declare
    op text := p_write->>'op';
begin
    if op in ('checkpoint', 'extend', 'complete') then
        return query select * from absurd.write_together(
            p_queue_name, p_worker_id, jsonb_build_array(p_write));
        return;
    end if;
    item := p_item;
    detail := case op
        when 'spawn' then absurd.write_spawn(p_queue_name, p_worker_id, p_write)
        when 'sleep' then absurd.write_sleep(p_queue_name, p_worker_id, p_write)
        when 'fail' then absurd.write_failure(p_queue_name, p_worker_id, p_write)
        when 'progress' then absurd.write_progress(p_queue_name, p_worker_id, p_write)
        when 'log' then absurd.write_log(p_queue_name, p_worker_id, p_write)
        when 'compensate' then absurd.write_compensation(p_queue_name, p_worker_id, p_write)
        when 'attributes' then absurd.write_attributes(p_queue_name, p_worker_id, p_write)
        else absurd.write_move(p_queue_name, p_worker_id, p_write)
    end;
    return next;
exception when others then
    item := p_item;
    code := sqlstate;
    message := sqlerrm;
    detail := null;
    return next;
end;
$$;
