-- Writing about runs of one queue: see define_queue_function.
--
-- Runs are found by their ids and looked at afterwards (`offset 0`): by statistics of a moment
-- in which nothing ran PostgreSQL would look for `running` first, and walk over all that run or,
-- under a snapshot that is held open, ever ran.

-- One checkpoint: what a task that is alone writes. Refuses as `fw` does.
select absurd.define_queue_function('fk', $template$
create or replace function absurd."fk_{queue}"(
    p_worker_id text, p_task uuid, p_run uuid, p_step text, p_state jsonb, p_place integer
) returns void
language plpgsql set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $body$
begin
    perform from (
        select r.state, r.claimed_by from absurd."r_{queue}" r
        where r.run_id = p_run offset 0 for update) r
    where r.state = 'running' and r.claimed_by = p_worker_id;
    if not found then
        raise exception 'run % is not held by this worker any more', p_run
            using errcode = 'AB004';
    end if;
    insert into absurd."c_{queue}"
        (task_id, checkpoint_name, state, status, owner_run_id, updated_at, place)
    values (p_task, p_step, p_state, 'committed', p_run, absurd.current_time(), p_place)
    on conflict (task_id, checkpoint_name) do update set state = excluded.state,
        status = excluded.status, owner_run_id = excluded.owner_run_id,
        updated_at = excluded.updated_at, place = excluded.place;
end;
$body$
$template$);

-- The writes that nearly all are: checkpoints, ends of runs that ended well, renewals of leases.
-- All of them or none: where the worker doesn't hold every run of `p_held`, which are those that
-- the other lists name, or a value can't be stored, this fails, and write_runs says which one it
-- was. Locks the runs by id, then their tasks.
select absurd.define_queue_function('fw', $template$
create or replace function absurd."fw_{queue}"(
    p_worker_id text, p_held uuid[], p_tasks uuid[], p_runs uuid[], p_steps text[],
    p_states jsonb[], p_places integer[], p_ended uuid[], p_results jsonb[], p_renewed uuid[],
    p_seconds integer[]
) returns void
language plpgsql set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $body$
declare
    now timestamptz := absurd.current_time();
    held integer;
    ended record;
begin
    perform from (
        select r.state, r.claimed_by from absurd."r_{queue}" r
        where r.run_id = any (p_held) order by r.run_id offset 0 for update) r
    where r.state = 'running' and r.claimed_by = p_worker_id;
    get diagnostics held = row_count;
    if held <> cardinality(p_held) then
        raise exception '% of % runs are not held by this worker any more',
            cardinality(p_held) - held, cardinality(p_held) using errcode = 'AB004';
    end if;
    if p_runs <> '{}' then
        insert into absurd."c_{queue}"
            (task_id, checkpoint_name, state, status, owner_run_id, updated_at, place)
        select kept.task, kept.step, kept.state, 'committed', kept.run, now, kept.place
        from unnest(p_tasks, p_runs, p_steps, p_states, p_places)
            as kept (task, run, step, state, place)
        on conflict (task_id, checkpoint_name) do update set state = excluded.state,
            status = excluded.status, owner_run_id = excluded.owner_run_id,
            updated_at = excluded.updated_at, place = excluded.place;
    end if;
    if p_renewed <> '{}' then
        update absurd."r_{queue}" r
        set claim_expires_at = now + make_interval(secs => lease.seconds)
        from unnest(p_renewed, p_seconds) as lease (run, seconds)
        where r.run_id = lease.run and r.claim_expires_at is not null;
    end if;
    if p_ended = '{}' then
        return;
    end if;
    for ended in
        with run as (
            update absurd."r_{queue}" r set state = 'completed', completed_at = now,
                result = good.result
            from unnest(p_ended, p_results) as good (run, result)
            where r.run_id = good.run
            returning r.run_id, r.task_id, r.result
        ), task as (
            update absurd."t_{queue}" t set state = 'completed', completed_payload = run.result,
                last_attempt_run = run.run_id
            from run where t.task_id = run.task_id
            returning t.task_id, t.awaited_by, t.policy
        ), waits as (
            delete from absurd."w_{queue}" w using run where w.run_id = run.run_id
        )
        select task.* from task
        where task.awaited_by is not null or task.policy is not null
        order by task.task_id
    loop
        perform absurd.after_end({literal}, ended.task_id, ended.awaited_by, ended.policy);
    end loop;
end;
$body$
$template$);
