-- Spawning into one queue: see define_queue_function.

-- See spawn_task.
select absurd.define_queue_function('fs', $template$
create or replace function absurd."fs_{queue}"(p_task_name text, p_params jsonb, options jsonb)
returns table (task_id uuid, run_id uuid, attempt integer, created boolean)
language plpgsql as $body$
declare
    attempts_max integer := absurd.check_spawn(p_task_name, options);
    key text := options->>'idempotency_key';
    partitioned boolean := key is not null and absurd.is_partitioned({literal});
    now timestamptz := absurd.current_time();
    new_task uuid := absurd.portable_uuidv7();
    new_run uuid := absurd.portable_uuidv7();
    start_at timestamptz := now;
    standing uuid;
begin
    if options ?| array['start_at', 'delay_seconds'] then
        start_at := absurd.start_time(options, now);
    end if;
    if options ? 'unique' then
        standing := absurd.spawned_in_window(
            {literal}, options->'unique', p_params, new_task, now);
        if standing is not null then
            return query select t.task_id, t.last_attempt_run, t.attempts, false
                from absurd."t_{queue}" t where t.task_id = standing;
            if found then
                return;
            end if;
        elsif (options->'unique'->>'debounce')::boolean then
            start_at := greatest(start_at, absurd.seconds_after(
                now, (options->'unique'->>'seconds')::double precision));
        end if;
    end if;
    if partitioned then
        insert into absurd."i_{queue}" (idempotency_key, task_id) values (key, new_task)
        on conflict do nothing;
        if not found then
            return query select * from absurd.spawned_before({literal}, key, true);
            return;
        end if;
    end if;
    if key is not null and not partitioned then
        insert into absurd."t_{queue}" (task_id, task_name, params, headers, retry_strategy,
            max_attempts, cancellation, enqueue_at, state, attempts, last_attempt_run,
            idempotency_key, policy, attributes)
        values (new_task, p_task_name, coalesce(p_params, 'null'), options->'headers',
            options->'retry_strategy', attempts_max, options->'cancellation', now, 'pending', 1,
            new_run, key, options->'policy', options->'attributes')
        on conflict (idempotency_key) do nothing;
        if not found then
            return query select * from absurd.spawned_before({literal}, key, false);
            return;
        end if;
    else
        insert into absurd."t_{queue}" (task_id, task_name, params, headers, retry_strategy,
            max_attempts, cancellation, enqueue_at, state, attempts, last_attempt_run,
            idempotency_key, policy, attributes)
        values (new_task, p_task_name, coalesce(p_params, 'null'), options->'headers',
            options->'retry_strategy', attempts_max, options->'cancellation', now, 'pending', 1,
            new_run, key, options->'policy', options->'attributes');
    end if;
    insert into absurd."r_{queue}" (run_id, task_id, attempt, state, available_at, created_at,
        priority, lane, cancel_at)
    values (new_run, new_task, 1, 'pending', start_at, now,
        coalesce((options->>'priority')::integer, 0),
        absurd.lane_of({literal}, p_task_name, options->>'key'),
        absurd.cancel_time(options->'cancellation', now, null));
    if start_at <= now then
        perform absurd.wake_workers({literal});
    end if;
    return query select new_task, new_run, 1, true;
end;
$body$
$template$);

-- See spawn_tasks; those without a key, none of which can have been spawned before.
select absurd.define_queue_function('fm', $template$
create or replace function absurd."fm_{queue}"(p_tasks jsonb)
returns table (item integer, task_id uuid, run_id uuid, attempt integer, created boolean)
language plpgsql as $body$
declare
    now timestamptz := absurd.current_time();
    limited text[] := array(select l.subject from absurd.limits l
        where l.queue_name = {literal} and l.scope = 'task');
begin
    return query
        with task as materialized (
            select (place - 1)::integer as item, value->>'name' as name,
                coalesce(value->'params', 'null') as params, value->'options' as options,
                absurd.portable_uuidv7() as task_id, absurd.portable_uuidv7() as run_id
            from jsonb_array_elements(p_tasks) with ordinality as tasks (value, place)
            where not coalesce(value->'options' ?| array['idempotency_key', 'unique'], false)
        ), tasks as (
            insert into absurd."t_{queue}" (task_id, task_name, params, headers, retry_strategy,
                max_attempts, cancellation, enqueue_at, state, attempts, last_attempt_run,
                policy, attributes)
            select t.task_id, t.name, t.params, t.options->'headers',
                t.options->'retry_strategy', (t.options->>'max_attempts')::integer,
                t.options->'cancellation', now, 'pending', 1, t.run_id, t.options->'policy',
                t.options->'attributes'
            from task t
        ), runs as (
            insert into absurd."r_{queue}" (run_id, task_id, attempt, state, available_at,
                created_at, priority, lane, cancel_at)
            select t.run_id, t.task_id, 1, 'pending',
                case when t.options ?| array['start_at', 'delay_seconds']
                    then absurd.start_time(t.options, now) else now end,
                now, coalesce((t.options->>'priority')::integer, 0),
                case when t.options ? 'key' or t.name = any (limited)
                    then absurd.lane_of({literal}, t.name, t.options->>'key') end,
                absurd.cancel_time(t.options->'cancellation', now, null)
            from task t
        )
        select t.item, t.task_id, t.run_id, 1, true from task t;
end;
$body$
$template$);
