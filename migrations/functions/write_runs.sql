-- What a worker writes about the runs it holds, in batches. Every write is fenced: the run has
-- to be running and claimed by this very worker.

-- Applies a batch and answers for each of its items: null, or a SQLSTATE and what happened. An
-- item that is refused leaves the others alone. Locks: the events that it emits, by queue and
-- name; all runs of the batch, by id; then their tasks. Batches that need none of that go by the
-- queue's own function `fw`.
create or replace function absurd.write_runs(
    p_queue_name text, p_worker_id text, p_writes jsonb
) returns table (item integer, code text, message text, detail jsonb)
language plpgsql as $$
declare
    emits jsonb;
    others jsonb;
    write jsonb;
begin
    select sorted.emits, sorted.others into emits, others from absurd.sort_writes(p_writes) sorted;
    if emits is not null then
        return query select * from absurd.write_emits(
            p_queue_name, p_worker_id, p_writes, emits);
    else
        perform absurd.lock_runs(p_queue_name, p_writes);
    end if;
    for write in select value from jsonb_array_elements(others) loop
        return query select * from absurd.write_alone(p_queue_name, p_worker_id, write);
    end loop;
end;
$$;

-- Numbers the writes of a batch and sorts them by how they go: emits, which come before any run
-- is locked; then the rest, by run and in the given order.
create or replace function absurd.sort_writes(p_writes jsonb, out emits jsonb, out others jsonb)
language sql immutable as $$
    with numbered as (
        select value || jsonb_build_object('item', place - 1) as write, place
        from jsonb_array_elements(p_writes) with ordinality as writes (value, place)
    )
    select
        jsonb_agg(write order by write->>'queue', write->>'event', place)
            filter (where write->>'op' = 'emit'),
        jsonb_agg(write order by (write->>'run') collate "C", place)
            filter (where write->>'op' is distinct from 'emit')
    from numbered
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

-- One numbered write by itself, in a subtransaction: what it raises is its answer.
create or replace function absurd.write_alone(
    p_queue_name text, p_worker_id text, p_write jsonb
) returns table (item integer, code text, message text, detail jsonb)
language plpgsql as $$
begin
    item := p_write->'item';
    detail := case p_write->>'op'
        when 'checkpoint' then absurd.write_plain(p_queue_name, p_worker_id, p_write)
        when 'complete' then absurd.write_plain(p_queue_name, p_worker_id, p_write)
        when 'extend' then absurd.write_plain(p_queue_name, p_worker_id, p_write)
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
    item := p_write->'item';
    code := sqlstate;
    message := sqlerrm;
    detail := null;
    return next;
end;
$$;
