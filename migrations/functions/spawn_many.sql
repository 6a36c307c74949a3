-- Spawning thousands of tasks in one trip.

-- Spawns each {name, params, options} of an array; rows say which item became which task. Tasks
-- without an idempotency key go in by two inserts for all of them.
create or replace function absurd.spawn_tasks(p_queue_name text, p_tasks jsonb)
returns table (item integer, task_id uuid, run_id uuid, attempt integer, created boolean)
language plpgsql as $$
declare
    now timestamptz := absurd.current_time();
begin
    perform absurd.check_spawn(kind.name, kind.options)
    from (
        select distinct value->>'name' as name, value->'options' as options
        from jsonb_array_elements(p_tasks) as tasks (value)) kind;
    return query
        select (place - 1)::integer, spawned.*
        from jsonb_array_elements(p_tasks) with ordinality as tasks (value, place)
            cross join lateral absurd.spawn_task(
                p_queue_name, value->>'name', value->'params', value->'options') spawned
        where value->'options' ?| array['idempotency_key', 'unique'];
    return query execute format('
        with task as materialized (
            select (place - 1)::integer as item, value->>''name'' as name,
                coalesce(value->''params'', ''null'') as params, value->''options'' as options,
                absurd.portable_uuidv7() as task_id, absurd.portable_uuidv7() as run_id
            from jsonb_array_elements($1) with ordinality as tasks (value, place)
            where not coalesce(
                value->''options'' ?| array[''idempotency_key'', ''unique''], false)
        ), tasks as (
            insert into absurd.%1$I (task_id, task_name, params, headers, retry_strategy,
                max_attempts, cancellation, enqueue_at, state, attempts, last_attempt_run,
                policy, attributes)
            select task_id, name, params, options->''headers'', options->''retry_strategy'',
                (options->>''max_attempts'')::integer, options->''cancellation'', $2,
                ''pending'', 1, run_id, options->''policy'', options->''attributes''
            from task
        ), runs as (
            insert into absurd.%2$I (run_id, task_id, attempt, state, available_at, created_at,
                priority, lane)
            select run_id, task_id, 1, ''pending'', absurd.start_time(options, $2), $2,
                coalesce((options->>''priority'')::integer, 0),
                absurd.lane_of($3, name, options->>''key'')
            from task
        )
        select item, task_id, run_id, 1, true from task',
        't_' || p_queue_name, 'r_' || p_queue_name) using p_tasks, now, p_queue_name;
    perform absurd.wake_workers(p_queue_name);
end;
$$;
