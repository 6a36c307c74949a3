-- A claim that brings what an execution needs: one trip instead of one more for each run.

-- As claim_task, with the checkpoints that each run may see, as one object. Where they are more
-- than `p_checkpoint_rows` or longer than `p_checkpoint_bytes` they stay behind, and
-- `more_checkpoints` says so. `places` are those of the checkpoints that have one.
create or replace function absurd.claim_runs(
    p_queue_name text, p_worker_id text, p_claim_timeout integer, p_qty integer,
    p_checkpoint_rows integer default 256, p_checkpoint_bytes integer default 1048576
) returns table (
    run_id uuid, task_id uuid, attempt integer, task_name text, params jsonb,
    retry_strategy jsonb, max_attempts integer, headers jsonb, wake_event text,
    event_payload jsonb, claimed_at timestamptz, checkpoints jsonb, more_checkpoints boolean,
    places jsonb, policy jsonb
)
language plpgsql as $$
declare
    claimed uuid[];
begin
    -- Two statements: what the previous holder wrote just before this claim is only visible
    -- to a snapshot that is taken after it.
    select array_agg(claim.run_id) into claimed
    from absurd.claim_task(p_queue_name, p_worker_id, p_claim_timeout, p_qty) claim;
    if claimed is null then
        return;
    end if;
    -- They are measured twice. As they are stored, so that no more than the limit is ever read
    -- and put together; then as they are sent, for compressed ones can grow a lot.
    return query execute format('
        select r.run_id, r.task_id, r.attempt, t.task_name, t.params, t.retry_strategy,
            t.max_attempts, t.headers, r.wake_event, r.event_payload, r.started_at,
            case when kept.fit then kept.states else ''{}'' end, not kept.fit,
            case when kept.fit then kept.places end, t.policy
        from unnest($1) with ordinality as claimed (run_id, place)
            join absurd.%1$I r on r.run_id = claimed.run_id
            join absurd.%2$I t on t.task_id = r.task_id
            cross join lateral (
                select count(*) <= $2 and coalesce(sum(pg_column_size(c.state)), 0) <= $3 as fit
                from (
                    select c.state from absurd.%3$I c
                    where c.task_id = r.task_id and c.status = ''committed''
                    limit $2::bigint + 1) c
            ) stored
            cross join lateral (
                select built.*, stored.fit and pg_column_size(built.states) <= $3 as fit
                from (
                    select coalesce(jsonb_object_agg(c.checkpoint_name, c.state), ''{}'')
                            as states,
                        jsonb_object_agg(c.checkpoint_name, c.place)
                            filter (where c.place is not null) as places
                    from absurd.%3$I c
                        left join absurd.%1$I owner on owner.run_id = c.owner_run_id
                    where stored.fit and c.task_id = r.task_id and c.status = ''committed''
                        and (owner.attempt is null or owner.attempt <= r.attempt)
                    offset 0) built
            ) kept
        order by claimed.place',
        'r_' || p_queue_name, 't_' || p_queue_name, 'c_' || p_queue_name)
        using claimed, coalesce(p_checkpoint_rows, 256), coalesce(p_checkpoint_bytes, 1048576);
end;
$$;

-- All checkpoints that a run may see, with their places.
create or replace function absurd.run_checkpoints(
    p_queue_name text, p_task_id uuid, p_run_id uuid
) returns table (checkpoint_name text, state jsonb, place integer)
language plpgsql as $$
begin
    return query execute format('
        select seen.checkpoint_name, seen.state, c.place
        from absurd.get_task_checkpoint_states($1, $2, $3) seen
            join absurd.%I c on c.task_id = $2 and c.checkpoint_name = seen.checkpoint_name',
        'c_' || p_queue_name) using p_queue_name, p_task_id, p_run_id;
end;
$$;
