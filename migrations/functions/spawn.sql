-- Spawning, in place or anew.

-- Refuses spawn options that can't be followed, with the error that names the option; else
-- returns max_attempts.
create or replace function absurd.check_spawn(p_task_name text, p_options jsonb) returns integer
language plpgsql as $$
declare
    attempts integer;
begin
    if p_task_name is null or trim(p_task_name) = '' then
        raise exception 'task_name must be given';
    end if;
    if p_options ? 'retry_strategy' then
        perform absurd.retry_delay_seconds(p_options->'retry_strategy', 1);
    end if;
    attempts := (p_options->>'max_attempts')::integer;
    if attempts < 1 then
        raise exception 'max_attempts must be at least 1, not %', attempts;
    end if;
    if p_options ? 'key' and trim(p_options->>'key') = '' then
        raise exception 'key must not be blank' using errcode = 'AB005';
    elsif p_options ? 'attributes' and jsonb_typeof(p_options->'attributes') <> 'object' then
        raise exception 'attributes must be a JSON object' using errcode = 'AB005';
    end if;
    return attempts;
end;
$$;

-- When the first run of a task is due.
create or replace function absurd.start_time(p_options jsonb, p_now timestamptz)
returns timestamptz
language plpgsql immutable as $$
begin
    return greatest(p_now, coalesce((p_options->>'start_at')::timestamptz,
        absurd.seconds_after(p_now, (p_options->>'delay_seconds')::double precision)));
end;
$$;

-- Under `unique`, {key, seconds, debounce}: finds the task that stands for the window's key, or
-- makes the new one stand for it. A debounced task that has not begun takes the new params, and
-- begins when the window, which starts anew, ends.
create or replace function absurd.spawned_in_window(
    p_queue_name text, p_window jsonb, p_params jsonb, p_new_task uuid, p_now timestamptz
) returns uuid
language plpgsql as $$
declare
    window_end timestamptz :=
        absurd.seconds_after(p_now, (p_window->>'seconds')::double precision);
    debounce boolean := coalesce((p_window->>'debounce')::boolean, false);
    standing record;
    moved integer := 0;
begin
    delete from absurd.spawn_windows where ctid in (
        select ctid from absurd.spawn_windows
        where queue_name = p_queue_name and ends_at <= p_now
        order by ends_at limit 10 for update skip locked);
    insert into absurd.spawn_windows (queue_name, window_key, task_id, ends_at)
    values (p_queue_name, p_window->>'key', p_new_task, window_end)
    on conflict (queue_name, window_key) do nothing;
    select task_id, ends_at into standing from absurd.spawn_windows
    where queue_name = p_queue_name and window_key = p_window->>'key' for update;
    if standing.task_id = p_new_task then
        return null;
    end if;
    if debounce then
        execute format('
            with run as (
                update absurd.%1$I r set available_at = $2 from absurd.%2$I t
                where t.task_id = $1 and r.run_id = t.last_attempt_run
                    and r.state = ''pending'' and r.started_at is null
                returning r.task_id
            )
            update absurd.%2$I t set params = $3 from run where t.task_id = run.task_id',
            'r_' || p_queue_name, 't_' || p_queue_name)
            using standing.task_id, window_end, coalesce(p_params, 'null');
        get diagnostics moved = row_count;
    end if;
    if moved = 1 then
        update absurd.spawn_windows set ends_at = window_end
        where queue_name = p_queue_name and window_key = p_window->>'key';
    elsif debounce or standing.ends_at <= p_now then
        update absurd.spawn_windows set ends_at = window_end, task_id = p_new_task
        where queue_name = p_queue_name and window_key = p_window->>'key';
        return null;
    end if;
    return standing.task_id;
end;
$$;

-- Creates a task with its first run, or finds the task that has the idempotency key already.
-- A second transaction with the same key waits for the first one to end.
create or replace function absurd.spawn_task(
    p_queue_name text, p_task_name text, p_params jsonb, p_options jsonb default '{}'::jsonb
) returns table (task_id uuid, run_id uuid, attempt integer, created boolean)
language plpgsql as $$
begin
    return query execute format('select * from absurd.%I($1, $2, $3)',
        absurd.queue_function('fs', p_queue_name))
        using p_task_name, p_params, coalesce(p_options, '{}');
end;
$$;

-- The options by which a task like this one is spawned, as it stands now.
create or replace function absurd.spawn_options_of(p_queue_name text, p_task_id uuid)
returns jsonb
language plpgsql as $$
declare
    options jsonb;
begin
    execute format('
        select jsonb_object_agg(name, value)
        from absurd.%I t left join absurd.%I r on r.run_id = t.last_attempt_run
            cross join lateral (values
                (''headers'', t.headers), (''retry_strategy'', t.retry_strategy),
                (''max_attempts'', to_jsonb(t.max_attempts)),
                (''cancellation'', t.cancellation), (''attributes'', t.attributes),
                (''policy'', absurd.policy_of_copy(t.policy)),
                (''key'', to_jsonb(absurd.lane_key(r.lane))),
                (''priority'', to_jsonb(nullif(r.priority, 0)))) as option (name, value)
        where t.task_id = $1 and value is not null',
        't_' || p_queue_name, 'r_' || p_queue_name) into options using p_task_id;
    return coalesce(options, '{}');
end;
$$;

-- The task that holds an idempotency key. It may vanish while being looked up: a partitioned
-- queue then asks the caller to try again, an ordinary one returns a row of nulls.
create or replace function absurd.spawned_before(
    p_queue_name text, p_key text, p_partitioned boolean
) returns table (task_id uuid, run_id uuid, attempt integer, created boolean)
language plpgsql as $$
declare
    found_task uuid;
    found_run uuid;
    found_attempt integer;
begin
    if p_partitioned then
        execute format('select t.task_id, t.last_attempt_run, t.attempts
            from absurd.%I i join absurd.%I t using (task_id)
            where i.idempotency_key = $1 for key share of i',
            'i_' || p_queue_name, 't_' || p_queue_name)
            into found_task, found_run, found_attempt using p_key;
        if found_task is null then
            raise exception 'the task of idempotency key "%" is being removed', p_key
                using errcode = '40001', hint = 'call again';
        end if;
        if found_run is null then
            raise exception 'task % of idempotency key "%" has no run', found_task, p_key;
        end if;
    else
        execute format('select task_id, last_attempt_run, attempts from absurd.%I
            where idempotency_key = $1', 't_' || p_queue_name)
            into found_task, found_run, found_attempt using p_key;
    end if;
    return query select found_task, found_run, found_attempt,
        case when found_task is not null then false end;
end;
$$;

-- Gives a failed task another attempt, in place or as a new task. Locks the task only.
create or replace function absurd.retry_task(
    p_queue_name text, p_task_id uuid, p_options jsonb default '{}'::jsonb
) returns table (task_id uuid, run_id uuid, attempt integer, created boolean)
language plpgsql as $$
declare
    options jsonb := coalesce(p_options, '{}');
    wanted integer := (options->>'max_attempts')::integer;
    task record;
    new_run uuid := absurd.portable_uuidv7();
    now timestamptz := absurd.current_time();
begin
    if wanted < 1 then
        raise exception 'max_attempts must be at least 1, not %', wanted;
    end if;
    execute format('select * from absurd.%I where task_id = $1 for update', 't_' || p_queue_name)
        into task using p_task_id;
    if task.task_id is null then
        raise exception 'task % not found in queue "%"', p_task_id, p_queue_name;
    end if;
    if task.state <> 'failed' then
        raise exception 'only failed tasks can be retried; task % is %', p_task_id, task.state;
    end if;
    if coalesce((options->>'spawn_new')::boolean, false) then
        return query select * from absurd.spawn_task(p_queue_name, task.task_name, task.params,
            absurd.spawn_options_of(p_queue_name, p_task_id)
                || jsonb_strip_nulls(jsonb_build_object('max_attempts', wanted)));
        return;
    end if;
    wanted := coalesce(wanted, coalesce(task.max_attempts, task.attempts) + 1);
    if wanted <= task.attempts then
        raise exception 'max_attempts (%) must be greater than current attempts (%)',
            wanted, task.attempts;
    end if;
    perform absurd.add_run(p_queue_name, new_run, task.last_attempt_run, 'pending',
        absurd.start_time(options, now));
    perform absurd.retry_of_letter(p_queue_name, p_task_id);
    execute format('update absurd.%I set state = ''pending'', max_attempts = $2, attempts = $3,
            last_attempt_run = $4, cancelled_at = null
        where task_id = $1', 't_' || p_queue_name)
        using p_task_id, wanted, task.attempts + 1, new_run;
    perform absurd.wake_workers(p_queue_name);
    return query select p_task_id, new_run, task.attempts + 1, false;
end;
$$;
