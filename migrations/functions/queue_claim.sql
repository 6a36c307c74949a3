-- Claiming from one queue: see define_queue_function.

-- Makes due runs a worker's, by priority, then age, and returns their ids in this order. Runs or
-- tasks that others hold are skipped. A wait among several that has timed out is remembered, for
-- such a run wakes without an event of its own.
--
-- Levels of priority are found one by one, so that sleeping runs of a higher one are not walked
-- through; of the lane in `order by` see due_without_lane.
select absurd.define_queue_function('fc', $template$
create or replace function absurd."fc_{queue}"(
    p_worker_id text, p_claim_timeout integer, p_qty integer
) returns uuid[]
language plpgsql set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $body$
declare
    now timestamptz := absurd.current_time();
    lease integer := greatest(coalesce(p_claim_timeout, 30), 0);
    qty integer := greatest(coalesce(p_qty, 1), 1);
    worker text := coalesce(nullif(p_worker_id, ''), 'worker');
    queue record;
    violated uuid;
    expired record;
    picked uuid[];
begin
    for violated in
        select distinct r.task_id from absurd."r_{queue}" r
        where r.cancel_at is not null and r.state in ('pending', 'running', 'sleeping')
            and r.cancel_at <= now
        order by r.task_id
    loop
        perform absurd.cancel_task({literal}, violated);
    end loop;
    for expired in
        select r.run_id, r.claimed_by, r.claim_expires_at, r.attempt
        from absurd."r_{queue}" r
        where r.state = 'running' and r.claim_expires_at <= now
        order by r.claim_expires_at, r.run_id limit qty for update skip locked
    loop
        perform absurd.end_lease({literal}, expired.run_id, expired.claimed_by,
            expired.claim_expires_at, expired.attempt);
    end loop;
    select q.paused_at is not null as is_paused, q.lanes into queue
    from absurd.queues q where q.queue_name = {literal};
    if queue.is_paused then
        return null;
    elsif queue.lanes then
        picked := absurd.pick_runs({literal}, now, qty);
        picked := array(
            select r.run_id
            from unnest(picked) with ordinality as wanted (run_id, place) cross join lateral (
                select r.run_id
                from absurd."r_{queue}" r join absurd."t_{queue}" t on t.task_id = r.task_id
                where r.run_id = wanted.run_id and r.state in ('pending', 'sleeping')
                    and t.state in ('pending', 'running', 'sleeping')
                for update of r, t skip locked) r
            order by wanted.place);
    else
        picked := array(
            with recursive levels as (
                (select r.priority from absurd."r_{queue}" r
                    where r.lane is null and r.state in ('pending', 'sleeping')
                    order by r.lane, r.priority desc limit 1)
                union all
                select (select r.priority from absurd."r_{queue}" r
                    where r.lane is null and r.state in ('pending', 'sleeping')
                        and r.priority < levels.priority
                    order by r.lane, r.priority desc limit 1)
                from levels where levels.priority is not null
            )
            select r.run_id from levels cross join lateral (
                select r.run_id
                from absurd."r_{queue}" r join absurd."t_{queue}" t on t.task_id = r.task_id
                where r.lane is null and r.state in ('pending', 'sleeping')
                    and r.priority = levels.priority and r.available_at <= now
                    and t.state in ('pending', 'running', 'sleeping')
                order by r.lane, r.priority desc, r.available_at, r.run_id
                limit qty for update of r, t skip locked) r
            limit qty);
    end if;
    if picked = '{}' then
        return null;
    end if;
    with run as (
        update absurd."r_{queue}" r set state = 'running', claimed_by = worker,
            claim_expires_at = case when lease > 0 then now + make_interval(secs => lease) end,
            started_at = now, available_at = now,
            -- From now on it is the time since the first start that counts.
            cancel_at = case when r.cancel_at is not null then (
                select absurd.cancel_time(
                    t.cancellation, t.enqueue_at, coalesce(t.first_started_at, now))
                from absurd."t_{queue}" t where t.task_id = r.task_id) end
        where r.run_id = any (picked)
        returning r.run_id, r.task_id, r.attempt, r.wake_event
    ), task as (
        update absurd."t_{queue}" t set state = 'running',
            attempts = greatest(t.attempts, run.attempt),
            first_started_at = coalesce(t.first_started_at, now), last_attempt_run = run.run_id
        from run where t.task_id = run.task_id
    ), over as (
        delete from absurd."w_{queue}" w using run
        where w.run_id = run.run_id and w.timeout_at <= now
        returning w.task_id, w.run_id, w.step_name, run.wake_event
    )
    insert into absurd."c_{queue}"
        (task_id, checkpoint_name, state, status, owner_run_id, updated_at)
    select over.task_id, '$timeout:' || over.step_name, 'true', 'committed', over.run_id, now
    from over where over.wake_event is null
    on conflict do nothing;
    return picked;
end;
$body$
$template$);

-- What an execution of claimed runs needs: see claim_runs.
select absurd.define_queue_function('fr', $template$
create or replace function absurd."fr_{queue}"(
    p_claimed uuid[], p_checkpoint_rows bigint, p_checkpoint_bytes bigint
) returns table (
    run_id uuid, task_id uuid, attempt integer, task_name text, params jsonb,
    retry_strategy jsonb, max_attempts integer, headers jsonb, wake_event text,
    event_payload jsonb, claimed_at timestamptz, checkpoints jsonb, more_checkpoints boolean,
    places jsonb, policy jsonb
)
language plpgsql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $body$
begin
    -- They are measured twice. As they are stored, so that no more than the limit is ever read
    -- and put together; then as they are sent, for compressed ones can grow a lot.
    return query
        select r.run_id, r.task_id, r.attempt, t.task_name, t.params, t.retry_strategy,
            t.max_attempts, t.headers, r.wake_event, r.event_payload, r.started_at,
            case when kept.fit then kept.states else '{}' end, not kept.fit,
            case when kept.fit then kept.places end, t.policy
        from unnest(p_claimed) with ordinality as claimed (run_id, place)
            join absurd."r_{queue}" r on r.run_id = claimed.run_id
            join absurd."t_{queue}" t on t.task_id = r.task_id
            cross join lateral (
                select count(*) <= p_checkpoint_rows
                    and coalesce(sum(pg_column_size(c.state)), 0) <= p_checkpoint_bytes as fit
                from (
                    select c.state from absurd."c_{queue}" c
                    where c.task_id = r.task_id and c.status = 'committed'
                    limit p_checkpoint_rows + 1) c
            ) stored
            cross join lateral (
                select built.*,
                    stored.fit and pg_column_size(built.states) <= p_checkpoint_bytes as fit
                from (
                    select coalesce(jsonb_object_agg(c.checkpoint_name, c.state), '{}') as states,
                        jsonb_object_agg(c.checkpoint_name, c.place)
                            filter (where c.place is not null) as places
                    from absurd."c_{queue}" c
                        left join absurd."r_{queue}" owner on owner.run_id = c.owner_run_id
                    where stored.fit and c.task_id = r.task_id and c.status = 'committed'
                        and (owner.attempt is null or owner.attempt <= r.attempt)
                    offset 0) built
            ) kept
        order by claimed.place;
end;
$body$
$template$);
