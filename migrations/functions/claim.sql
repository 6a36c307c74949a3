-- Claiming, and the sweeps that only a claim makes.

-- Cancels every task whose policy is violated (waiting for their locks), then fails at most
-- `p_qty` runs whose lease is over (skipping what others hold).
create or replace function absurd.sweep_queue(
    p_queue_name text, p_now timestamptz, p_qty integer
) returns void
language plpgsql as $$
declare
    violated uuid;
    expired record;
begin
    for violated in execute format('select task_id from absurd.%I
        where cancellation is not null and state in (''pending'', ''running'', ''sleeping'')
            and absurd.policy_deadline(cancellation, enqueue_at, first_started_at) <= $1
        order by task_id', 't_' || p_queue_name) using p_now
    loop
        perform absurd.cancel_task(p_queue_name, violated);
    end loop;
    for expired in execute format('select run_id, claimed_by, claim_expires_at, attempt
        from absurd.%I where state = ''running'' and claim_expires_at <= $1
        order by claim_expires_at, run_id limit $2 for update skip locked',
        'r_' || p_queue_name) using p_now, p_qty
    loop
        perform absurd.end_attempt(p_queue_name, expired.run_id,
            jsonb_strip_nulls(jsonb_build_object(
                'name', '$ClaimTimeout',
                'message', format('worker %s did not report before its lease ended',
                    expired.claimed_by),
                'workerId', expired.claimed_by,
                'claimExpiredAt', expired.claim_expires_at,
                'attempt', expired.attempt)),
            null, false);
    end loop;
end;
$$;

-- Hands due runs to a worker, by priority, then age. Runs or tasks that others hold are skipped.
create or replace function absurd.claim_task(
    p_queue_name text, p_worker_id text, p_claim_timeout integer default 30,
    p_qty integer default 1
) returns table (
    run_id uuid, task_id uuid, attempt integer, task_name text, params jsonb,
    retry_strategy jsonb, max_attempts integer, headers jsonb, wake_event text,
    event_payload jsonb
)
language plpgsql as $$
declare
    now timestamptz := absurd.current_time();
    lease integer := greatest(coalesce(p_claim_timeout, 30), 0);
    qty integer := greatest(coalesce(p_qty, 1), 1);
    queue record;
    lease_ends timestamptz;
    picked uuid[];
begin
    if lease > 0 then
        lease_ends := now + make_interval(secs => lease);
    end if;
    perform absurd.sweep_queue(p_queue_name, now, qty);
    select q.paused_at is not null as is_paused, q.lanes into queue
    from absurd.queues q where q.queue_name = p_queue_name;
    if queue.is_paused then
        return;
    elsif queue.lanes then
        picked := absurd.pick_runs(p_queue_name, now, qty);
    end if;
    return query execute format(absurd.claim_statement(picked is not null),
        'r_' || p_queue_name, 't_' || p_queue_name, 'w_' || p_queue_name,
        'c_' || p_queue_name)
        using now, qty, coalesce(nullif(p_worker_id, ''), 'worker'), lease_ends, picked;
end;
$$;

-- The statement of a claim, with places for the names of tables: of the runs that were picked,
-- or of the first that are due. Of levels of priority see due_in_lane. A wait among several that
-- has timed out is remembered, for such a run wakes without an event of its own.
create or replace function absurd.claim_statement(p_picked boolean) returns text
language sql immutable as $$
    select 'with recursive ' || case when p_picked then 'due as materialized (
            select r.run_id, r.available_at, picked.place
            from unnest($5) with ordinality as picked (run_id, place)
                cross join lateral (
                    select r.run_id, r.available_at
                    from absurd.%1$I r join absurd.%2$I t on t.task_id = r.task_id
                    where r.run_id = picked.run_id and r.state in (''pending'', ''sleeping'')
                        and t.state in (''pending'', ''running'', ''sleeping'')
                    for update of r, t skip locked) r
        )' else 'levels as (
            (select r.priority from absurd.%1$I r
                where r.lane is null and r.state in (''pending'', ''sleeping'')
                order by r.lane, r.priority desc limit 1)
            union all
            select (select r.priority from absurd.%1$I r
                where r.lane is null and r.state in (''pending'', ''sleeping'')
                    and r.priority < levels.priority
                order by r.lane, r.priority desc limit 1)
            from levels where levels.priority is not null
        ), due as materialized (
            select r.run_id, r.available_at, 0 - r.priority::bigint as place
            from levels cross join lateral (
                select r.run_id, r.available_at, r.priority
                from absurd.%1$I r join absurd.%2$I t on t.task_id = r.task_id
                where r.lane is null and r.state in (''pending'', ''sleeping'')
                    and r.priority = levels.priority and r.available_at <= $1
                    and t.state in (''pending'', ''running'', ''sleeping'')
                order by r.lane, r.priority desc, r.available_at, r.run_id
                limit $2 for update of r, t skip locked) r
            limit $2
        )' end || ', run as (
            update absurd.%1$I r set state = ''running'', claimed_by = $3,
                claim_expires_at = $4, started_at = $1, available_at = $1
            from due where r.run_id = due.run_id
            returning r.run_id, r.task_id, r.attempt, r.wake_event, r.event_payload,
                due.available_at as due_at, due.place
        ), task as (
            update absurd.%2$I t set state = ''running'',
                attempts = greatest(t.attempts, run.attempt),
                first_started_at = coalesce(t.first_started_at, $1),
                last_attempt_run = run.run_id
            from run where t.task_id = run.task_id
            returning t.task_id, t.task_name, t.params, t.retry_strategy, t.max_attempts,
                t.headers
        ), over as (
            delete from absurd.%3$I w using run
            where w.run_id = run.run_id and w.timeout_at <= $1
            returning w.task_id, w.run_id, w.step_name, run.wake_event
        ), timed_out as (
            insert into absurd.%4$I
                (task_id, checkpoint_name, state, status, owner_run_id, updated_at)
            select task_id, ''$timeout:'' || step_name, ''true'', ''committed'', run_id, $1
            from over where wake_event is null
            on conflict do nothing
        )
        select run.run_id, run.task_id, run.attempt, task.task_name, task.params,
            task.retry_strategy, task.max_attempts, task.headers, run.wake_event,
            run.event_payload
        from run join task using (task_id)
        order by run.place, run.due_at, run.run_id'
$$;
