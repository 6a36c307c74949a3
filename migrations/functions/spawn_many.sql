-- Spawning thousands of tasks in one trip.

-- Spawns each {name, params, options} of an array; rows say which item became which task. Tasks
-- without an idempotency key go in by two inserts for all of them.
create or replace function absurd.spawn_tasks(p_queue_name text, p_tasks jsonb)
returns table (item integer, task_id uuid, run_id uuid, attempt integer, created boolean)
language plpgsql as $$
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
    return query execute format('select * from absurd.%I($1)',
        absurd.queue_function('fm', p_queue_name)) using p_tasks;
    perform absurd.wake_workers(p_queue_name);
end;
$$;
