-- Claiming, by the contract.

-- Ends an attempt whose worker has not reported in time.
create or replace function absurd.end_lease(
    p_queue_name text, p_run_id uuid, p_worker_id text, p_expired_at timestamptz,
    p_attempt integer
) returns void
language plpgsql as $$
begin
    perform absurd.end_attempt(p_queue_name, p_run_id,
        jsonb_strip_nulls(jsonb_build_object(
            'name', '$ClaimTimeout',
            'message', format('worker %s did not report before its lease ended', p_worker_id),
            'workerId', p_worker_id,
            'claimExpiredAt', p_expired_at,
            'attempt', p_attempt)),
        null, false);
end;
$$;

-- Cancels every task whose policy is violated (waiting for their locks), fails at most `p_qty`
-- runs whose lease is over (skipping what others hold), then hands due runs to a worker.
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
    claimed uuid[];
begin
    execute format('select absurd.%I($1, $2, $3)', absurd.queue_function('fc', p_queue_name))
        into claimed using p_worker_id, p_claim_timeout, p_qty;
    return query execute format('
        select r.run_id, r.task_id, r.attempt, t.task_name, t.params, t.retry_strategy,
            t.max_attempts, t.headers, r.wake_event, r.event_payload
        from unnest($1) with ordinality as claimed (run_id, place)
            join absurd.%I r on r.run_id = claimed.run_id
            join absurd.%I t on t.task_id = r.task_id
        order by claimed.place', 'r_' || p_queue_name, 't_' || p_queue_name) using claimed;
end;
$$;
