-- Writing about runs of one queue: see define_queue_function.

-- The writes of a batch that need no subtransaction of their own: checkpoints, renewals, and
-- completions that are the last of their runs. Answers as write_runs does; items are numbered by
-- themselves or by their place. Locks the runs by id, then their tasks.
--
-- Of two writes for one step the last one counts, and so does the last lease.
select absurd.define_queue_function('fw', $template$
create or replace function absurd."fw_{queue}"(p_worker_id text, p_writes jsonb)
returns table (item integer, code text, message text, detail jsonb)
language plpgsql set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $body$
declare
    now timestamptz := absurd.current_time();
    written record;
begin
    perform from absurd."r_{queue}" r
    where r.run_id = any (array(
        select (write->>'run')::uuid from jsonb_array_elements(p_writes) write))
    order by r.run_id for update;
    for written in
        with held as materialized (
            select coalesce(w.item, w.ordinality::integer - 1) as item, w.op, w.run, w.step,
                w.state, w.place, w.result, r.run_id, r.task_id,
                case w.op when 'extend' then w.seconds
                    else nullif(greatest(w.extend, 0), 0) end as extend,
                r.state = 'running' as running,
                r.state = 'running' and r.claim_expires_at is not null as leased,
                absurd.fence(absurd.fenced_state(r.state, t.state), r.claimed_by, p_worker_id)
                    as code
            from rows from (jsonb_to_recordset(p_writes) as (item integer, op text, run uuid,
                    step text, state jsonb, place integer, extend integer, seconds integer,
                    result jsonb)) with ordinality w
                left join absurd."r_{queue}" r on r.run_id = w.run
                left join absurd."t_{queue}" t on t.task_id = r.task_id
        ), kept as (
            insert into absurd."c_{queue}"
                (task_id, checkpoint_name, state, status, owner_run_id, updated_at, place)
            select distinct on (h.task_id, h.step)
                h.task_id, h.step, h.state, 'committed', h.run_id, now, h.place
            from held h where h.code is null and h.op = 'checkpoint'
            order by h.task_id, h.step, h.item desc
            on conflict (task_id, checkpoint_name) do update set state = excluded.state,
                status = excluded.status, owner_run_id = excluded.owner_run_id,
                updated_at = excluded.updated_at, place = excluded.place
        ), leases as (
            update absurd."r_{queue}" r
            set claim_expires_at = now + make_interval(secs => extension.seconds)
            from (
                select distinct on (h.run_id) h.run_id, h.extend as seconds from held h
                where h.code is null and h.leased and h.extend is not null
                    and not exists (select from held c
                        where c.op = 'complete' and c.run_id = h.run_id)
                order by h.run_id, h.item desc) extension
            where r.run_id = extension.run_id
        ), run as (
            update absurd."r_{queue}" r set state = 'completed', completed_at = now,
                result = held.result
            from held
            where r.run_id = held.run_id and held.op = 'complete' and held.code is null
                and held.running
            returning r.run_id, r.task_id, r.result
        ), task as (
            update absurd."t_{queue}" t set state = 'completed', completed_payload = run.result,
                last_attempt_run = run.run_id
            from run where t.task_id = run.task_id
            returning t.task_id, run.run_id, t.awaited_by, t.policy
        ), waits as (
            delete from absurd."w_{queue}" w using run where w.run_id = run.run_id
        )
        select h.item, h.code, absurd.fence_message(h.run, h.code) as message, task.task_id,
            task.awaited_by, task.policy
        from held h left join task on task.run_id = h.run_id and h.op = 'complete'
        order by task.task_id
    loop
        if written.awaited_by is not null or written.policy is not null then
            perform absurd.after_end(
                {literal}, written.task_id, written.awaited_by, written.policy);
        end if;
        item := written.item;
        code := written.code;
        message := written.message;
        return next;
    end loop;
end;
$body$
$template$);
