-- A claim that brings what an execution needs: one trip instead of one more for each run.

-- As claim_task, with the checkpoints that each run may see: their names, states and places, in
-- this order. Where they are more than 2,000 or longer than 1 MiB they stay behind, and
-- `more_checkpoints` says so. A worker that `p_listens` and gets fewer runs than it asks for is to
-- be notified of the next; null says that it listens, and was noted less than half a minute ago.
create or replace function absurd.claim_runs(
    p_queue_name text, p_worker_id text, p_claim_timeout integer, p_qty integer,
    p_listens boolean default false
) returns table (
    run_id uuid, task_id uuid, attempt integer, task_name text, params jsonb,
    retry_strategy jsonb, max_attempts integer, headers jsonb, wake_event text,
    event_payload jsonb, claimed_at timestamptz, checkpoint_names text[],
    checkpoint_states jsonb[], checkpoint_places integer[], more_checkpoints boolean,
    policy jsonb
)
language plpgsql as $$
begin
    return query execute format('select * from absurd.%I($1, $2, $3, $4)',
        absurd.queue_function('fr', p_queue_name))
        using p_worker_id, p_claim_timeout, p_qty, p_listens;
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
