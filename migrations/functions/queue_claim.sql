-- Claiming from one queue: see define_queue_function.

-- Whether leases are over that were not by `p_seen`. Without sorts it goes by the index that has
-- the order, whatever the statistics say; `exists` would forget the order.
select absurd.define_queue_function('fe', $template$
create or replace function absurd."fe_{queue}"(p_now timestamptz, p_seen timestamptz)
returns boolean
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off
set enable_sort = off
as $body$
begin
    return (
        select true from absurd."r_{queue}" r
        where r.state = 'running' and r.claim_expires_at <= p_now
            and r.claim_expires_at > coalesce(p_seen, '-infinity')
        order by r.claim_expires_at limit 1) is not null;
end;
$body$
$template$);

-- What a claim takes, whatever the queue is like: locks due runs with their tasks, by priority,
-- then age, and returns their ids in this order. Runs or tasks that others hold are skipped. First
-- come tasks whose policy is violated and leases that are over.
--
-- Levels of priority are found one by one, so that sleeping runs of a higher one are not walked
-- through; of the lane in `order by` see due_without_lane.
--
-- Under a snapshot that is held open nothing dead leaves the indexes, and each look walks over all
-- that was ever claimed. Where that is slow a mark is kept: the place that claims have come to, and
-- the time up to which expired leases were seen. Claims go on from there until its time is over or
-- they find nothing. Each session has its own, and all see the queue's, which is a little older.
select absurd.define_queue_function('fl', $template$
create or replace function absurd."fl_{queue}"(p_now timestamptz, p_qty integer) returns uuid[]
language plpgsql set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_sort = on
as $body$
declare
    slow constant interval := '2 ms';
    looks_within constant interval := '10 s';
    mark jsonb := nullif(current_setting('absurd.claim_mark', true), '');
    shared jsonb;
    mark_until timestamptz;
    -- When to look again for what was slow to find.
    expired_at timestamptz;
    urgent_at timestamptz;
    looks_for_urgent boolean;
    seen timestamptz;
    begun timestamptz;
    took interval := '0';
    is_paused boolean;
    has_lanes boolean;
    has_expired boolean := false;
    -- Beyond any priority.
    over_all constant bigint := 2147483648;
    level bigint;
    below bigint;
    marked bigint;
    from_time timestamptz;
    from_run uuid;
    violated uuid;
    expired record;
    picked uuid[] := '{}';
begin
    select q.paused_at is not null, q.lanes, q.claim_mark into is_paused, has_lanes, shared
    from absurd.queues q where q.queue_name = {literal};
    if (mark->>'queue' = {literal}) is not true
        or (shared->>'until')::timestamptz > (mark->>'until')::timestamptz
    then
        mark := shared;
    end if;
    if (mark->>'until')::timestamptz > clock_timestamp() and not is_paused and not has_lanes then
        mark_until := mark->>'until';
        marked := mark->>'priority';
        urgent_at := mark->>'urgent_at';
        looks_for_urgent := (urgent_at > clock_timestamp()) is not true;
        expired_at := mark->>'expired_at';
        seen := mark->>'seen';
    end if;
    if (mark_until is not null and expired_at > clock_timestamp()) is not true then
        begun := clock_timestamp();
        has_expired := absurd."fe_{queue}"(p_now, seen);
        took := clock_timestamp() - begun;
        expired_at := case when took > slow
            then clock_timestamp() + least(20 * took, looks_within) end;
        if not has_expired then
            seen := p_now;
        end if;
    end if;
    if mark_until is null and exists (select from absurd."r_{queue}" r
        where r.cancel_at is not null and r.state in ('pending', 'running', 'sleeping')
            and r.cancel_at <= p_now)
    then
        for violated in
            select distinct r.task_id from absurd."r_{queue}" r
            where r.cancel_at is not null and r.state in ('pending', 'running', 'sleeping')
                and r.cancel_at <= p_now
            order by r.task_id
        loop
            perform absurd.cancel_task({literal}, violated);
        end loop;
    end if;
    if has_expired then
        for expired in
            select r.run_id, r.claimed_by, r.claim_expires_at, r.attempt
            from absurd."r_{queue}" r
            where r.state = 'running' and r.claim_expires_at <= p_now
                and r.claim_expires_at > coalesce(seen, '-infinity')
            order by r.claim_expires_at limit p_qty for update skip locked
        loop
            perform absurd.end_lease({literal}, expired.run_id, expired.claimed_by,
                expired.claim_expires_at, expired.attempt);
        end loop;
    end if;
    if is_paused then
        return null;
    elsif has_lanes then
        picked := absurd.pick_runs({literal}, p_now, p_qty);
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
        loop
            level := over_all;
            loop
                begun := clock_timestamp();
                if mark_until is null or level <= marked then
                    select r.priority, r.available_at, r.run_id into level, from_time, from_run
                    from absurd."r_{queue}" r
                    where r.lane is null and r.state in ('pending', 'sleeping')
                        and r.priority < level
                    order by r.lane, r.priority desc, r.available_at, r.run_id limit 1;
                    took := took + (clock_timestamp() - begun);
                else
                    below := level;
                    level := null;
                    if looks_for_urgent then
                        select r.priority, r.available_at, r.run_id
                            into level, from_time, from_run
                        from absurd."r_{queue}" r
                        where r.lane is null and r.state in ('pending', 'sleeping')
                            and r.priority < below and r.priority > marked
                        order by r.lane, r.priority desc, r.available_at, r.run_id limit 1;
                        urgent_at := case when clock_timestamp() - begun > slow
                            then clock_timestamp()
                                + least(20 * (clock_timestamp() - begun), looks_within) end;
                    end if;
                    if level is null then
                        level := marked;
                        from_time := mark->>'available_at';
                        from_run := mark->>'run_id';
                    end if;
                end if;
                exit when level is null;
                picked := picked || array(
                    select r.run_id
                    from absurd."r_{queue}" r join absurd."t_{queue}" t on t.task_id = r.task_id
                    where r.lane is null and r.state in ('pending', 'sleeping')
                        and r.priority = level and r.available_at <= p_now
                        and (r.available_at, r.run_id) >= (from_time, from_run)
                        and t.state in ('pending', 'running', 'sleeping')
                    order by r.lane, r.priority desc, r.available_at, r.run_id
                    limit p_qty - cardinality(picked) for update of r, t skip locked);
                exit when cardinality(picked) = p_qty;
            end loop;
            exit when picked <> '{}' or mark_until is null;
            mark_until := null;
        end loop;
        if mark_until is null and took > slow then
            marked := over_all;
            mark_until := clock_timestamp() + least(20 * took, looks_within);
        end if;
    end if;
    if picked <> '{}' and mark_until is not null then
        mark := coalesce((
            -- More urgent ones than the mark's do not move it back to them.
            select jsonb_build_object('priority', r.priority, 'available_at', r.available_at,
                'run_id', r.run_id)
            from absurd."r_{queue}" r
            where r.run_id = picked[cardinality(picked)] and r.priority <= marked), mark)
            || jsonb_build_object('queue', {literal}, 'until', mark_until, 'seen', seen,
                'expired_at', expired_at, 'urgent_at', urgent_at, 'at', clock_timestamp());
        perform set_config('absurd.claim_mark', mark::text, false);
        -- Seldom, for its versions stay as well; and nobody waits for it.
        if ((shared->>'until')::timestamptz >= mark_until
            and (shared->>'at')::timestamptz > clock_timestamp() - interval '1 s') is not true
        then
            perform from absurd.queues q
            where q.queue_name = {literal} for no key update skip locked;
            if found then
                update absurd.queues q set claim_mark = mark where q.queue_name = {literal};
            end if;
        end if;
    end if;
    return picked;
end;
$body$
$template$);

-- Makes due runs a worker's, by priority, then age, and returns their ids in this order, or null. A
-- wait among several that has timed out is remembered, for such a run wakes without an event of
-- its own.
--
-- What a claim of one run costs is to set up its statements and expressions. So most are one look,
-- one pick and the changes; `fl` has the rest: marks, lanes, several priorities, what is violated
-- or over. Where a mark has just ended looks are slow, so `fl` has the only one. Without sorts, as
-- in `fe`.
select absurd.define_queue_function('fc', $template$
create or replace function absurd."fc_{queue}"(
    p_worker_id text, p_claim_timeout integer, p_qty integer
) returns uuid[]
language plpgsql set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_sort = off
as $body$
declare
    now timestamptz := absurd.current_time();
    marks_since timestamptz := clock_timestamp() - interval '1 minute';
    qty integer := greatest(coalesce(p_qty, 1), 1);
    worker text := coalesce(nullif(p_worker_id, ''), 'worker');
    lease timestamptz;
    look record;
    picked uuid[];
begin
    select first.priority, first.available_at, first.run_id,
        of_queue.is_special or last.priority < first.priority
            or (select true from absurd."r_{queue}" r
                where r.state = 'running' and r.claim_expires_at <= now
                order by r.claim_expires_at limit 1)
            or (select true from absurd."r_{queue}" r
                where r.cancel_at is not null and r.state in ('pending', 'running', 'sleeping')
                    and r.cancel_at <= now
                order by r.cancel_at limit 1) as is_special,
        -- Without the time to plan this, once in a session.
        clock_timestamp() - of_queue.begun as took
    into look
    from (
            -- A queue of some other making may have no row.
            select coalesce(q.paused_at is not null or q.lanes
                or (q.claim_mark->>'until')::timestamptz > marks_since, false)
                or coalesce((nullif(current_setting('absurd.claim_mark', true), '')::jsonb
                    ->>'until')::timestamptz > marks_since, false) as is_special,
                clock_timestamp() as begun
            from (select) as one left join absurd.queues q on q.queue_name = {literal}
        ) of_queue
        left join lateral (
            select r.priority, r.available_at, r.run_id from absurd."r_{queue}" r
            where not of_queue.is_special
                and r.lane is null and r.state in ('pending', 'sleeping')
            order by r.lane, r.priority desc, r.available_at, r.run_id limit 1) first on true
        left join lateral (
            select r.priority from absurd."r_{queue}" r
            where first.run_id is not null
                and r.lane is null and r.state in ('pending', 'sleeping')
            order by r.lane desc, r.priority, r.available_at desc, r.run_id desc limit 1
        ) last on true;
    if look.is_special or look.took > '2 ms' then
        picked := absurd."fl_{queue}"(now, qty);
    elsif look.available_at <= now then
        picked := array(
            select r.run_id
            from absurd."r_{queue}" r join absurd."t_{queue}" t on t.task_id = r.task_id
            where r.lane is null and r.state in ('pending', 'sleeping')
                and r.priority = look.priority and r.available_at <= now
                and (r.available_at, r.run_id) >= (look.available_at, look.run_id)
                and t.state in ('pending', 'running', 'sleeping')
            order by r.lane, r.priority desc, r.available_at, r.run_id
            limit qty for update of r, t skip locked);
    end if;
    if (picked <> '{}') is not true then
        return null;
    end if;
    if coalesce(p_claim_timeout, 30) > 0 then
        lease := now + make_interval(secs => coalesce(p_claim_timeout, 30));
    end if;
    update absurd."t_{queue}" t set state = 'running', attempts = greatest(t.attempts, r.attempt),
        first_started_at = coalesce(t.first_started_at, now), last_attempt_run = r.run_id
    from absurd."r_{queue}" r
    where r.run_id = any (picked) and t.task_id = r.task_id;
    update absurd."r_{queue}" r set state = 'running', claimed_by = worker,
        claim_expires_at = lease, started_at = now, available_at = now,
        -- From now on it is the time since the first start that counts.
        cancel_at = case when r.cancel_at is not null then (
            select absurd.cancel_time(t.cancellation, t.enqueue_at, t.first_started_at)
            from absurd."t_{queue}" t where t.task_id = r.task_id) end
    where r.run_id = any (picked);
    if exists (select from absurd."w_{queue}" w
        where w.run_id = any (picked) and w.timeout_at <= now)
    then
        with over as (
            delete from absurd."w_{queue}" w using absurd."r_{queue}" r
            where w.run_id = any (picked) and w.timeout_at <= now and r.run_id = w.run_id
            returning w.task_id, w.run_id, w.step_name, r.wake_event
        )
        insert into absurd."c_{queue}"
            (task_id, checkpoint_name, state, status, owner_run_id, updated_at)
        select over.task_id, '$timeout:' || over.step_name, 'true', 'committed', over.run_id, now
        from over where over.wake_event is null
        on conflict do nothing;
    end if;
    return picked;
end;
$body$
$template$);

-- Claims, and reads what the executions need: see claim_runs.
select absurd.define_queue_function('fr', $template$
create or replace function absurd."fr_{queue}"(
    p_worker_id text, p_claim_timeout integer, p_qty integer, p_listens boolean
) returns table (
    run_id uuid, task_id uuid, attempt integer, task_name text, params jsonb,
    retry_strategy jsonb, max_attempts integer, headers jsonb, wake_event text,
    event_payload jsonb, claimed_at timestamptz, checkpoint_names text[],
    checkpoint_states jsonb[], checkpoint_places integer[], more_checkpoints boolean,
    policy jsonb
)
language plpgsql set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $body$
declare
    rows_max constant integer := 2000;
    bytes_max constant integer := 1048576;
    claimed uuid[] := absurd."fc_{queue}"(p_worker_id, p_claim_timeout, p_qty);
begin
    if p_listens or (p_listens is null and cardinality(claimed) = p_qty) then
        perform absurd.note_idle_worker({literal}, p_worker_id,
            coalesce(cardinality(claimed), 0) < p_qty);
    end if;
    if claimed is null then
        return;
    end if;
    -- Two statements: what the previous holder wrote just before this claim is only visible
    -- to a snapshot that is taken after it.
    --
    -- Checkpoints are measured twice. As they are stored, so that no more than the limit is ever
    -- read and put together; then as they are sent, for compressed ones can grow a lot.
    return query
        select r.run_id, r.task_id, r.attempt, t.task_name, t.params, t.retry_strategy,
            t.max_attempts, t.headers, r.wake_event, r.event_payload, r.started_at,
            case when sent.fit then sent.names end, case when sent.fit then sent.states end,
            case when sent.fit then sent.places end, stored.rows > 0 and sent.fit is not true,
            t.policy
        from unnest(claimed) with ordinality as claimed (run_id, place)
            join absurd."r_{queue}" r on r.run_id = claimed.run_id
            join absurd."t_{queue}" t on t.task_id = r.task_id
            cross join lateral (
                select count(*) as rows, coalesce(sum(pg_column_size(c.state)), 0) as bytes
                from (
                    select c.state from absurd."c_{queue}" c
                    where c.task_id = r.task_id and c.status = 'committed'
                    limit rows_max + 1) c
            ) stored
            cross join lateral (
                select kept.*, pg_column_size(kept.states) <= bytes_max as fit
                from (
                    select array_agg(c.checkpoint_name) as names, array_agg(c.state) as states,
                        array_agg(c.place) as places
                    from absurd."c_{queue}" c
                    where stored.rows between 1 and rows_max and stored.bytes <= bytes_max
                        and c.task_id = r.task_id and c.status = 'committed'
                        -- Not those of a later attempt, should this one be stale.
                        and (c.owner_run_id = any (array(
                            select later.run_id from absurd."r_{queue}" later
                            where later.task_id = r.task_id and later.attempt > r.attempt))
                        ) is not true
                    offset 0) kept
            ) sent
        order by claimed.place;
end;
$body$
$template$);
