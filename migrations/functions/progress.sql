-- What a run tells about itself: progress, log lines, attributes, compensations.

-- How far the task has come. Only the last word is kept.
create or replace function absurd.write_progress(
    p_queue_name text, p_worker_id text, p_write jsonb
) returns jsonb
language plpgsql as $$
declare
    held record := absurd.held_run(p_queue_name, p_worker_id, (p_write->>'run')::uuid);
begin
    insert into absurd.progress as p (queue_name, task_id, fraction, message, updated_at)
    values (p_queue_name, held.task_id, (p_write->>'fraction')::double precision,
        p_write->>'message', absurd.current_time())
    on conflict (queue_name, task_id) do update set fraction = excluded.fraction,
        message = coalesce(excluded.message, p.message), updated_at = excluded.updated_at;
    return null;
end;
$$;

-- Lines of a step's log, {level, message} each. The last 200 of a step are kept.
create or replace function absurd.write_log(p_queue_name text, p_worker_id text, p_write jsonb)
returns jsonb
language plpgsql as $$
declare
    lines_max constant integer := 200;
    run_id uuid := p_write->>'run';
    held record := absurd.held_run(p_queue_name, p_worker_id, run_id);
    step_name text := coalesce(p_write->>'step', '');
    last bigint;
begin
    select max(line) into last from absurd.log_lines
    where queue_name = p_queue_name and task_id = held.task_id and step = step_name;
    insert into absurd.log_lines
        (queue_name, task_id, step, line, run_id, level, message, logged_at)
    select p_queue_name, held.task_id, step_name, coalesce(last, 0) + place, run_id,
        value->>'level', value->>'message', absurd.current_time()
    from jsonb_array_elements(p_write->'lines') with ordinality as lines (value, place);
    delete from absurd.log_lines
    where queue_name = p_queue_name and task_id = held.task_id and step = step_name
        and line <= coalesce(last, 0) + jsonb_array_length(p_write->'lines') - lines_max;
    return null;
end;
$$;

-- Sets attributes of the task; one that is null goes away.
create or replace function absurd.write_attributes(
    p_queue_name text, p_worker_id text, p_write jsonb
) returns jsonb
language plpgsql as $$
declare
    held record := absurd.held_run(p_queue_name, p_worker_id, (p_write->>'run')::uuid);
begin
    execute format('update absurd.%I
        set attributes = (
            select jsonb_object_agg(key, value)
            from jsonb_each(coalesce(attributes, ''{}'') || $2) where value <> ''null'')
        where task_id = $1', 't_' || p_queue_name)
        using held.task_id, p_write->'attributes';
    return null;
end;
$$;

-- Registers a task, {queue, name, params, options}, that undoes what this one has done.
create or replace function absurd.write_compensation(
    p_queue_name text, p_worker_id text, p_write jsonb
) returns jsonb
language plpgsql as $$
declare
    run_id uuid := p_write->>'run';
    held record := absurd.held_run(p_queue_name, p_worker_id, run_id);
begin
    perform absurd.add_policy(p_queue_name, held.task_id, '{"rollback": true}');
    perform absurd.keep_checkpoint(p_queue_name, held.task_id, p_write->>'step',
        p_write->'state', run_id, (p_write->>'place')::integer);
    return null;
end;
$$;

-- Lines that a task has logged, of one step or of all, in their order; 1,000 at most.
create or replace function absurd.list_log_lines(
    p_queue_name text, p_task_id uuid, p_step text default null
) returns table (
    step text, line bigint, run_id uuid, level text, message text, logged_at timestamptz
)
language sql stable as $$
    select l.step, l.line, l.run_id, l.level, l.message, l.logged_at from absurd.log_lines l
    where l.queue_name = p_queue_name and l.task_id = p_task_id
        and (p_step is null or l.step = p_step)
    order by l.logged_at, l.step, l.line limit 1000
$$;
