-- Read models of tasks, paged by key so that a page costs the same however long the history is.

-- Refuses a filter with a field that nobody reads: it would silently list too much.
create or replace function absurd.check_filter(p_filter jsonb, p_known text[]) returns void
language plpgsql as $$
declare
    field text;
begin
    for field in select jsonb_object_keys(p_filter) loop
        if field <> all (p_known) then
            raise exception 'unknown filter "%"; known are %',
                field, array_to_string(p_known, ', ') using errcode = 'AB005';
        end if;
    end loop;
end;
$$;

-- The key of a lane; null where the lane has none, or stands for a limited task only.
create or replace function absurd.lane_key(p_lane text[]) returns text
language sql immutable as $$
    select nullif(case when p_lane[1] = '$paused' then p_lane[3] else p_lane[2] end, '')
$$;

-- Tasks, newest first, those spawned before task `p_before`.
create or replace function absurd.list_tasks(
    p_queue_name text, p_filter jsonb default '{}'::jsonb, p_before uuid default null,
    p_limit integer default 50
) returns table (
    task_id uuid, task_name text, state text, attempts integer, max_attempts integer,
    enqueue_at timestamptz, first_started_at timestamptz, ended_at timestamptz,
    last_attempt_run uuid, idempotency_key text, headers jsonb, attributes jsonb,
    priority integer, key text, is_paused boolean, parent_task_id uuid
)
language plpgsql stable as $$
declare
    filter jsonb := coalesce(p_filter, '{}');
begin
    perform absurd.check_filter(filter, array['state', 'task_name', 'idempotency_key',
        'created_after', 'created_before', 'attributes', 'parent_task_id']);
    return query execute format('
        select t.task_id, t.task_name, t.state, t.attempts, t.max_attempts, t.enqueue_at,
            t.first_started_at,
            case t.state when ''completed'' then r.completed_at when ''failed'' then r.failed_at
                when ''cancelled'' then t.cancelled_at end,
            t.last_attempt_run, t.idempotency_key,
            case when jsonb_typeof(t.headers) = ''object'' then t.headers end,
            t.attributes, r.priority, absurd.lane_key(r.lane),
            coalesce(r.lane[1] = ''$paused'', false), (t.policy->''parent''->>''task'')::uuid
        from (
            select * from absurd.%1$I t
            where ($1 is null or t.task_id < $1) %3$s
            order by t.task_id desc limit $2) t
            left join absurd.%2$I r on r.run_id = t.last_attempt_run
        order by t.task_id desc',
        't_' || p_queue_name, 'r_' || p_queue_name, concat(
            case when filter ? 'state' then ' and t.state = $3->>''state''' end,
            case when filter ? 'task_name' then ' and t.task_name = $3->>''task_name''' end,
            case when filter ? 'idempotency_key'
                then ' and t.idempotency_key = $3->>''idempotency_key''' end,
            case when filter ? 'attributes' then ' and t.attributes @> ($3->''attributes'')' end,
            case when filter ? 'parent_task_id' then ' and t.policy ? ''parent''
                and t.policy->''parent''->>''task'' = $3->>''parent_task_id''' end,
            case when filter ? 'created_after' then ' and t.task_id >=
                absurd.uuidv7_floor(($3->>''created_after'')::timestamptz)' end,
            case when filter ? 'created_before' then ' and t.task_id <
                absurd.uuidv7_floor(($3->>''created_before'')::timestamptz)' end))
        using p_before, least(greatest(coalesce(p_limit, 50), 1), 1000), filter;
end;
$$;

-- One task in full.
create or replace function absurd.get_task(p_queue_name text, p_task_id uuid)
returns table (
    task_id uuid, task_name text, state text, attempts integer, max_attempts integer,
    enqueue_at timestamptz, first_started_at timestamptz, ended_at timestamptz,
    last_attempt_run uuid, idempotency_key text, headers jsonb, attributes jsonb,
    priority integer, key text, is_paused boolean, parent_task_id uuid, params jsonb,
    retry_strategy jsonb, cancellation jsonb, completed_payload jsonb, failure_reason jsonb,
    cancelled_at timestamptz, available_at timestamptz, wake_event text, policy jsonb,
    progress jsonb
)
language plpgsql stable as $$
begin
    return query execute format('
        select t.task_id, t.task_name, t.state, t.attempts, t.max_attempts, t.enqueue_at,
            t.first_started_at,
            case t.state when ''completed'' then r.completed_at when ''failed'' then r.failed_at
                when ''cancelled'' then t.cancelled_at end,
            t.last_attempt_run, t.idempotency_key,
            case when jsonb_typeof(t.headers) = ''object'' then t.headers end,
            t.attributes, r.priority, absurd.lane_key(r.lane),
            coalesce(r.lane[1] = ''$paused'', false), (t.policy->''parent''->>''task'')::uuid,
            t.params, t.retry_strategy, t.cancellation, t.completed_payload, r.failure_reason,
            t.cancelled_at, nullif(r.available_at, ''infinity''), r.wake_event, t.policy,
            (select jsonb_build_object(''fraction'', p.fraction, ''message'', p.message,
                    ''updated_at'', p.updated_at)
                from absurd.progress p where p.queue_name = $2 and p.task_id = $1)
        from absurd.%I t left join absurd.%I r on r.run_id = t.last_attempt_run
        where t.task_id = $1', 't_' || p_queue_name, 'r_' || p_queue_name)
        using p_task_id, p_queue_name;
end;
$$;

-- A task's attempts, first one first.
create or replace function absurd.list_runs(p_queue_name text, p_task_id uuid)
returns table (
    run_id uuid, attempt integer, state text, claimed_by text, claim_expires_at timestamptz,
    available_at timestamptz, wake_event text, started_at timestamptz,
    completed_at timestamptz, failed_at timestamptz, created_at timestamptz, result jsonb,
    failure_reason jsonb
)
language plpgsql stable as $$
begin
    return query execute format('
        select r.run_id, r.attempt, r.state, r.claimed_by, r.claim_expires_at,
            nullif(r.available_at, ''infinity''), r.wake_event, r.started_at, r.completed_at,
            r.failed_at, r.created_at, r.result, r.failure_reason
        from absurd.%I r where r.task_id = $1 order by r.attempt', 'r_' || p_queue_name)
        using p_task_id;
end;
$$;

-- A task's checkpoints by name, those after `p_after`.
create or replace function absurd.list_checkpoints(
    p_queue_name text, p_task_id uuid, p_after text default null, p_limit integer default 200
) returns table (
    checkpoint_name text, state jsonb, owner_run_id uuid, updated_at timestamptz,
    place integer
)
language plpgsql stable as $$
begin
    return query execute format('
        select c.checkpoint_name, c.state, c.owner_run_id, c.updated_at, c.place
        from absurd.%I c
        where c.task_id = $1 and ($2 is null or c.checkpoint_name > $2)
            and c.status = ''committed''
        order by c.checkpoint_name limit $3', 'c_' || p_queue_name)
        using p_task_id, p_after, least(greatest(coalesce(p_limit, 200), 1), 1000);
end;
$$;

-- The queue that holds a task, found by the id of the task or of one of its runs.
create or replace function absurd.find_task(p_id uuid)
returns table (queue_name text, task_id uuid)
language plpgsql stable as $$
declare
    queue text;
begin
    for queue in select q.queue_name from absurd.queues q order by q.queue_name loop
        continue when not absurd.has_relation('t_' || queue);
        execute format('
            select task_id from absurd.%I where task_id = $1
            union all select task_id from absurd.%I where run_id = $1 limit 1',
            't_' || queue, 'r_' || queue) into task_id using p_id;
        if task_id is not null then
            queue_name := queue;
            return next;
            return;
        end if;
    end loop;
end;
$$;
