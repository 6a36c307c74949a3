-- Spawning into one queue: see define_queue_function.

-- See spawn_task.
select absurd.define_queue_function('fs', $template$
create or replace function absurd."fs_{queue}"(p_task_name text, p_params jsonb, options jsonb)
returns table (task_id uuid, run_id uuid, attempt integer, created boolean)
language plpgsql set plan_cache_mode = force_generic_plan as $body$
declare
    attempts_max integer := absurd.check_spawn(p_task_name, options);
    key text := options->>'idempotency_key';
    partitioned boolean := key is not null and absurd.is_partitioned({literal});
    now timestamptz := absurd.current_time();
    new_task uuid := absurd.uuidv7_at(absurd.uuidv7_ticks(now), gen_random_uuid());
    new_run uuid := absurd.first_run_id(new_task);
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
    insert into absurd."t_{queue}" (task_id, task_name, params, headers, retry_strategy,
        max_attempts, cancellation, enqueue_at, state, attempts, last_attempt_run,
        idempotency_key, policy, attributes)
    values (new_task, p_task_name, coalesce(p_params, 'null'), options->'headers',
        options->'retry_strategy', attempts_max, options->'cancellation', now, 'pending', 1,
        new_run, key, options->'policy', options->'attributes')
    on conflict do nothing;
    if key is not null and not found then
        return query select * from absurd.spawned_before({literal}, key, false);
        return;
    end if;
    insert into absurd."r_{queue}" (run_id, task_id, attempt, state, available_at, created_at,
        priority, lane, cancel_at)
    values (new_run, new_task, 1, 'pending', start_at, now,
        coalesce((options->>'priority')::integer, 0),
        case when options->>'key' is not null or exists (select from absurd.limits l
                where l.queue_name = {literal} and l.scope = 'task' and l.subject = p_task_name)
            then absurd.lane_of({literal}, p_task_name, options->>'key') end,
        absurd.cancel_time(options->'cancellation', now, null));
    if start_at <= now then
        perform absurd.wake_workers({literal});
    end if;
    task_id := new_task;
    run_id := new_run;
    attempt := 1;
    created := true;
    return next;
end;
$body$
$template$);

-- See spawn_tasks; tasks that can't have been spawned before, for they have neither a key nor a
-- window.
select absurd.define_queue_function('fm', $template$
create or replace function absurd."fm_{queue}"(
    p_names text[], p_params jsonb[], p_options jsonb[]
) returns table (task_id uuid, run_id uuid)
language plpgsql set plan_cache_mode = force_generic_plan as $body$
declare
    now timestamptz := absurd.current_time();
    ticks bigint := absurd.uuidv7_ticks(now);
    task_chance uuid := gen_random_uuid();
    run_chance uuid := absurd.first_run_id(task_chance);
    common_name text := case when cardinality(p_names) = 1 then p_names[1] end;
    common_options jsonb := case when cardinality(p_options) = 1 then p_options[1] end;
begin
    -- Of the rest there is nothing to refuse.
    perform absurd.check_spawn(given.name, given.options)
    from (select coalesce(name, common_name), coalesce(options, common_options)
        from unnest(p_names, p_options) as one (name, options)) as given (name, options)
    where coalesce(trim(given.name), '') = ''
        or given.options ?| array['retry_strategy', 'key', 'attributes']
        or (given.options->>'max_attempts')::integer < 1;
    return query
        with task as materialized (
            select coalesce(one.name, common_name) as name,
                coalesce(one.params, 'null') as params,
                coalesce(one.options, common_options) as options,
                absurd.uuidv7_at(ticks + one.place, task_chance) as task_id,
                absurd.uuidv7_at(ticks + one.place, run_chance) as run_id
            from unnest(p_names, p_params, p_options) with ordinality
                as one (name, params, options, place)
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
                case when t.options->>'key' is not null or t.name = any (array(
                        select l.subject from absurd.limits l
                        where l.queue_name = {literal} and l.scope = 'task'))
                    then absurd.lane_of({literal}, t.name, t.options->>'key') end,
                absurd.cancel_time(t.options->'cancellation', now, null)
            from task t
        )
        select t.task_id, t.run_id from task t;
    perform absurd.wake_workers({literal});
end;
$body$
$template$);
