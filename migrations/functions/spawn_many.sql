-- Spawning thousands of tasks in one trip.

-- Spawns the i-th task by the i-th name, params and options, and answers in this order. A single
-- name stands for all tasks, and so do single options. Those without an idempotency key go in by
-- two inserts for all of them.
create or replace function absurd.spawn_tasks(
    p_queue_name text, p_names text[], p_params jsonb[], p_options jsonb[]
) returns table (task_id uuid, run_id uuid, attempt integer, created boolean)
language plpgsql as $$
declare
    common_name text := case when cardinality(p_names) = 1 then p_names[1] end;
    common_options jsonb := case when cardinality(p_options) = 1 then p_options[1] end;
begin
    if exists (select from unnest(p_options) as task (options)
        where task.options ?| array['idempotency_key', 'unique'])
    then
        return query
            select spawned.*
            from unnest(p_names, p_params, p_options) with ordinality
                    as task (name, params, options, place)
                cross join lateral absurd.spawn_task(p_queue_name, coalesce(task.name, common_name),
                    task.params, coalesce(task.options, common_options)) spawned
            order by task.place;
        return;
    end if;
    return query execute format('select task_id, run_id, 1, true from absurd.%I($1, $2, $3)',
        absurd.queue_function('fm', p_queue_name)) using p_names, p_params, p_options;
end;
$$;
