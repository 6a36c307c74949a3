-- Forks: a new task that begins in the middle of another one.

-- Spawns a task like another one, which keeps the checkpoints that were reached before the step
-- `p_from_step`; all of them where that is null. The other one stays as it is. Options as for a
-- spawn go before those of the other task; `params` replaces its params.
create or replace function absurd.fork_task(
    p_queue_name text, p_task_id uuid, p_from_step text, p_options jsonb default '{}'::jsonb
) returns table (task_id uuid, run_id uuid, attempt integer, created boolean)
language plpgsql as $$
declare
    task record;
    forked record;
    first record;
    has_rollback boolean;
begin
    execute format('select * from absurd.%I where task_id = $1', 't_' || p_queue_name)
        into task using p_task_id;
    if task.task_id is null then
        raise exception 'task % not found in queue "%"', p_task_id, p_queue_name
            using errcode = 'AB005';
    end if;
    execute format('select place, updated_at from absurd.%I
        where task_id = $1 and checkpoint_name = $2', 'c_' || p_queue_name)
        into first using p_task_id, p_from_step;
    if p_from_step is not null and first.updated_at is null then
        raise exception 'task % has no checkpoint "%"', p_task_id, p_from_step
            using errcode = 'AB005';
    end if;
    select * into forked from absurd.spawn_task(p_queue_name, task.task_name,
        case when p_options ? 'params' then p_options->'params' else task.params end,
        absurd.spawn_options_of(p_queue_name, p_task_id) || coalesce(p_options, '{}'));
    if forked.created then
        execute format('insert into absurd.%1$I
                (task_id, checkpoint_name, state, status, owner_run_id, updated_at, place)
            select $1, checkpoint_name, state, status, $2, updated_at, place
            from absurd.%1$I
            where task_id = $3 and ($4 is null or case
                when place is not null and $5 is not null then place < $5
                else updated_at < $6 end)', 'c_' || p_queue_name)
            using forked.task_id, forked.run_id, p_task_id, p_from_step, first.place,
                first.updated_at;
        -- What it has not done itself it would have to undo all the same.
        execute format('select exists (select from absurd.%I where task_id = $1
            and checkpoint_name >= ''$rollback:'' and checkpoint_name < ''$rollback;'')',
            'c_' || p_queue_name) into has_rollback using forked.task_id;
        if has_rollback then
            perform absurd.add_policy(p_queue_name, forked.task_id, '{"rollback": true}');
        end if;
    end if;
    return query select forked.task_id, forked.run_id, forked.attempt, forked.created;
end;
$$;
