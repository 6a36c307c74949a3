-- What follows the end of a task, in the same transaction: who waits is told, a chain goes on,
-- children go with their parent, compensations begin, a dead letter is settled.

-- Called by each function that ends a task; `p_awaited_by` and `p_policy` are the task's own.
create or replace function absurd.after_end(
    p_queue_name text, p_task_id uuid, p_awaited_by text[], p_policy jsonb
) returns void
language plpgsql as $$
declare
    task record;
begin
    if p_awaited_by is not null then
        perform absurd.announce_end(p_queue_name, p_task_id);
    end if;
    if p_policy is null then
        return;
    end if;
    execute format('select task_name, state, completed_payload from absurd.%I
        where task_id = $1', 't_' || p_queue_name) into task using p_task_id;
    if p_policy ? 'chain'
        and (task.state = 'completed' or (p_policy->'chain'->>'always')::boolean)
    then
        perform absurd.spawn_next_link(p_queue_name, p_policy->'chain', p_task_id,
            task.completed_payload);
    end if;
    if p_policy ? 'dead_letter' then
        perform absurd.settle_dead_letter((p_policy->>'dead_letter')::uuid, task.state);
    end if;
    if task.state <> 'completed' then
        perform absurd.cancel_children(p_queue_name, p_task_id);
        if p_policy ? 'rollback' then
            perform absurd.spawn_compensations(p_queue_name, p_task_id, task.task_name);
        end if;
    end if;
end;
$$;

-- Spawns the next task of a chain: {name, root, always, links}. A link has params of its own, or
-- takes its predecessor's result.
create or replace function absurd.spawn_next_link(
    p_queue_name text, p_chain jsonb, p_task_id uuid, p_result jsonb
) returns void
language plpgsql as $$
declare
    link jsonb := p_chain->'links'->0;
    rest jsonb := p_chain || jsonb_build_object('links', (p_chain->'links') - 0,
        'root', coalesce(p_chain->'root', to_jsonb(p_task_id)));
    options jsonb := coalesce(link->'options', '{}');
begin
    if link is null then
        return;
    end if;
    perform absurd.spawn_task(coalesce(link->>'queue', p_queue_name), link->>'name',
        case when link ? 'params' then link->'params' else p_result end,
        options || jsonb_build_object('policy',
            coalesce(options->'policy', '{}') || jsonb_build_object('chain', rest)));
end;
$$;

-- Spawns what a task has registered to undo its work: one after the other, last first, each
-- whether the one before could be done or not.
create or replace function absurd.spawn_compensations(
    p_queue_name text, p_task_id uuid, p_task_name text
) returns void
language plpgsql as $$
declare
    links jsonb;
begin
    execute format('select jsonb_agg(state
            order by place desc nulls first, updated_at desc, checkpoint_name desc)
        from absurd.%I where task_id = $1 and checkpoint_name >= ''$rollback:''
            and checkpoint_name < ''$rollback;''', 'c_' || p_queue_name)
        into links using p_task_id;
    perform absurd.spawn_next_link(p_queue_name, jsonb_build_object(
        'name', 'rollback of ' || p_task_name, 'always', true, 'links', links),
        p_task_id, null);
end;
$$;

-- Adds to a task's policy.
create or replace function absurd.add_policy(p_queue_name text, p_task_id uuid, p_policy jsonb)
returns void
language plpgsql as $$
begin
    execute format('update absurd.%I set policy = coalesce(policy, ''{}'') || $2
        where task_id = $1 and not coalesce(policy @> $2, false)', 't_' || p_queue_name)
        using p_task_id, p_policy;
end;
$$;

-- What a new task keeps of the policy of the task that it repeats.
create or replace function absurd.policy_of_copy(p_policy jsonb) returns jsonb
language sql immutable as $$
    select nullif(p_policy - array['parent', 'on_parent_end', 'child_queues', 'dead_letter',
        'rollback'], '{}')
$$;

-- Remembers that a task has children, in this queue, which end with it.
create or replace function absurd.remember_children_in(
    p_queue_name text, p_task_id uuid, p_child_queue text
) returns void
language plpgsql as $$
declare
    known jsonb;
begin
    execute format('select coalesce(policy->''child_queues'', ''[]'') from absurd.%I
        where task_id = $1', 't_' || p_queue_name) into known using p_task_id;
    if not known ? p_child_queue then
        perform absurd.add_policy(p_queue_name, p_task_id, jsonb_build_object(
            'child_queues', known || to_jsonb(p_child_queue)));
    end if;
end;
$$;

-- Cancels the children that end with a task.
create or replace function absurd.cancel_children(p_queue_name text, p_task_id uuid)
returns void
language plpgsql as $$
declare
    queues jsonb;
    queue text;
    child uuid;
begin
    execute format('select policy->''child_queues'' from absurd.%I where task_id = $1',
        't_' || p_queue_name) into queues using p_task_id;
    for queue in select value from jsonb_array_elements_text(queues) order by 1 loop
        continue when not absurd.has_relation('t_' || queue);
        for child in execute format('select task_id from absurd.%I
            where policy ? ''parent'' and policy->''parent''->>''task'' = $1
                and policy->>''on_parent_end'' = ''cancel''
                and state in (''pending'', ''running'', ''sleeping'')
            order by task_id', 't_' || queue) using p_task_id::text
        loop
            perform absurd.cancel_task(queue, child);
        end loop;
    end loop;
end;
$$;

-- Tells the workers of a queue that a task they run was cancelled; off as wake_workers is.
create or replace function absurd.tell_of_cancel(p_queue_name text) returns void
language plpgsql as $$
begin
    if current_setting('absurd.notify', true) is distinct from 'off' then
        perform pg_notify('absurd_cancel', p_queue_name);
    end if;
end;
$$;
