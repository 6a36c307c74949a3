-- Schedules. Cron patterns are read by clients; here stands when each fires next, and that no
-- tick fires twice.

-- Creates or changes a schedule. `p_definition` has all its columns but the times.
create or replace function absurd.set_schedule(
    p_schedule_name text, p_definition jsonb, p_next_at timestamptz
) returns void
language plpgsql as $$
begin
    if p_schedule_name is null or trim(p_schedule_name) = '' then
        raise exception 'schedule_name must be given' using errcode = 'AB005';
    end if;
    perform absurd.require_queue(p_definition->>'queue_name');
    perform absurd.check_spawn(p_definition->>'task_name', p_definition->'options');
    insert into absurd.schedules as s (schedule_name, queue_name, task_name, params, options,
        cron, time_zone, overlap, catch_up, next_at, updated_at)
    select p_schedule_name, d.queue_name, d.task_name, coalesce(d.params, 'null'),
        coalesce(d.options, '{}'), d.cron, d.time_zone, d.overlap, d.catch_up, p_next_at,
        absurd.current_time()
    from jsonb_to_record(p_definition) as d (queue_name text, task_name text, params jsonb,
        options jsonb, cron text, time_zone text, overlap text, catch_up text)
    on conflict (schedule_name) do update set queue_name = excluded.queue_name,
        task_name = excluded.task_name, params = excluded.params, options = excluded.options,
        overlap = excluded.overlap, catch_up = excluded.catch_up,
        -- A deploy that says the same again must not lose ticks that are due.
        next_at = case when (s.cron, s.time_zone) = (excluded.cron, excluded.time_zone)
            then coalesce(s.next_at, excluded.next_at) else excluded.next_at end,
        cron = excluded.cron, time_zone = excluded.time_zone, updated_at = excluded.updated_at;
end;
$$;

-- Removes a schedule; tasks that it spawned stay. Says whether there was one.
create or replace function absurd.delete_schedule(p_schedule_name text) returns boolean
language plpgsql as $$
begin
    delete from absurd.schedules where schedule_name = p_schedule_name;
    return found;
end;
$$;

-- Pauses a schedule (`p_next_at` null), or lets it go on with its next tick then.
create or replace function absurd.pause_schedule(
    p_schedule_name text, p_next_at timestamptz default null
) returns void
language plpgsql as $$
begin
    update absurd.schedules set next_at = coalesce(p_next_at, next_at),
        paused_at = case when p_next_at is null
            then coalesce(paused_at, absurd.current_time()) end
    where schedule_name = p_schedule_name;
    if not found then
        raise exception 'schedule "%" not found', p_schedule_name using errcode = 'AB005';
    end if;
end;
$$;

-- All schedules, by name, with the database's clock; or those that are due, the longest
-- overdue first.
create or replace function absurd.list_schedules(
    p_due boolean default false, p_limit integer default 1000
) returns table (
    schedule_name text, queue_name text, task_name text, params jsonb, options jsonb, cron text,
    time_zone text, overlap text, catch_up text, next_at timestamptz, paused_at timestamptz,
    last_tick timestamptz, last_task_id uuid, now timestamptz
)
language plpgsql stable as $$
declare
    right_now timestamptz := absurd.current_time();
begin
    return query
        select s.schedule_name, s.queue_name, s.task_name, s.params, s.options, s.cron,
            s.time_zone, s.overlap, s.catch_up, s.next_at, s.paused_at, s.last_tick,
            s.last_task_id, right_now
        from absurd.schedules s
        where not p_due or s.paused_at is null and s.next_at <= right_now
        order by case when p_due then s.next_at end, s.schedule_name
        limit least(greatest(coalesce(p_limit, 1000), 1), 1000);
end;
$$;

-- Spawns the task of one tick, once: its idempotency key is made of schedule and tick. Null
-- when the overlap policy leaves the tick out.
create or replace function absurd.spawn_tick(
    p_schedule absurd.schedules, p_tick timestamptz, p_last_task uuid, p_overlap text
) returns uuid
language plpgsql as $$
declare
    tick text := to_char(p_tick at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');
    options jsonb := p_schedule.options;
    last_state text;
    spawned uuid;
begin
    if p_last_task is not null and p_overlap <> 'allow' then
        select state into last_state
        from absurd.get_task_result(p_schedule.queue_name, p_last_task);
        if last_state in ('pending', 'running', 'sleeping') then
            if p_overlap = 'skip' then
                return null;
            end if;
            perform absurd.cancel_task(p_schedule.queue_name, p_last_task);
        end if;
    end if;
    select task_id into spawned from absurd.spawn_task(p_schedule.queue_name,
        p_schedule.task_name, p_schedule.params, options || jsonb_build_object(
            'idempotency_key', format('schedule:%s:%s', p_schedule.schedule_name, tick),
            'headers', coalesce(options->'headers', '{}') || jsonb_build_object(
                'schedule', p_schedule.schedule_name, 'scheduled-at', tick)));
    return spawned;
end;
$$;

-- Fires the given ticks of a schedule, if its next tick is still `p_expected`: of all schedulers
-- that try, one does. Returns whether this one did.
create or replace function absurd.fire_schedule(
    p_schedule_name text, p_expected timestamptz, p_ticks timestamptz[], p_next_at timestamptz
) returns boolean
language plpgsql as $$
declare
    schedule absurd.schedules;
    tick timestamptz;
    spawned uuid;
begin
    select * into schedule from absurd.schedules
    where schedule_name = p_schedule_name for update;
    if schedule.paused_at is not null or schedule.next_at is distinct from p_expected
        or schedule.next_at > absurd.current_time()
    then
        return false;
    end if;
    foreach tick in array p_ticks loop
        spawned := absurd.spawn_tick(schedule, tick, schedule.last_task_id, schedule.overlap);
        schedule.last_task_id := coalesce(spawned, schedule.last_task_id);
        schedule.last_tick := tick;
    end loop;
    update absurd.schedules set next_at = p_next_at, last_tick = schedule.last_tick,
        last_task_id = schedule.last_task_id
    where schedule_name = p_schedule_name;
    return true;
end;
$$;

-- Spawns the tasks of ticks in the past, whatever the overlap policy; those that fired before
-- are left out. Returns how many there were.
create or replace function absurd.backfill_schedule(
    p_schedule_name text, p_ticks timestamptz[]
) returns integer
language plpgsql as $$
declare
    schedule absurd.schedules;
    made integer;
begin
    select * into schedule from absurd.schedules
    where schedule_name = p_schedule_name for update;
    if schedule.schedule_name is null then
        raise exception 'schedule "%" not found', p_schedule_name using errcode = 'AB005';
    end if;
    execute format('select count(*) from unnest($1) tick
        where not exists (select from absurd.%I t where t.idempotency_key = format(
            ''schedule:%%s:%%s'', $2,
            to_char(tick at time zone ''UTC'', ''YYYY-MM-DD"T"HH24:MI:SS"Z"'')))',
        't_' || schedule.queue_name) into made using p_ticks, p_schedule_name;
    perform absurd.spawn_tick(schedule, tick, null, 'allow') from unnest(p_ticks) tick;
    return made;
end;
$$;
