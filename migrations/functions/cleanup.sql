-- Clean-up of what has ended long ago, in bounded batches, oldest first.

-- Locks up to `p_limit` tasks that ended before a time, with all their runs, and returns them,
-- the oldest first. Candidates come from the indexes on the times of the three ends; `offset 0`,
-- like a lock inside a subquery, makes the planner look up these few and not join all of history.
--
-- A task is left out if somebody holds it or one of its runs, so nothing waits and no order of
-- locks matters; and if it was retried meanwhile, which changes its state and its last run.
create or replace function absurd.lock_ended_tasks(
    p_queue_name text, p_before timestamptz, p_limit integer
) returns uuid[]
language plpgsql as $$
declare
    ended uuid[];
begin
    execute format('
        with completed as (
            select t.*, r.completed_at as ended_at
            from absurd.%2$I r cross join lateral (
                select task_id, state, last_attempt_run from absurd.%1$I t
                where t.task_id = r.task_id and t.last_attempt_run = r.run_id
                    and t.state = ''completed'' offset 0) t
            where r.state = ''completed'' and r.completed_at < $1
            order by r.completed_at limit $2
        ), failed as (
            select t.*, r.failed_at as ended_at
            from absurd.%2$I r cross join lateral (
                select task_id, state, last_attempt_run from absurd.%1$I t
                where t.task_id = r.task_id and t.last_attempt_run = r.run_id
                    and t.state = ''failed'' offset 0) t
            where r.state = ''failed'' and r.failed_at < $1
            order by r.failed_at limit $2
        ), cancelled as (
            select t.task_id, t.state, t.last_attempt_run, t.cancelled_at as ended_at
            from absurd.%1$I t
            where t.state = ''cancelled'' and t.cancelled_at < $1
            order by t.cancelled_at limit $2
        ), picked as (
            select * from (
                select * from completed union all select * from failed
                union all select * from cancelled) ends
            order by ended_at limit $2
        ), locked_runs as materialized (
            select r.run_id from picked cross join lateral (
                select run_id from absurd.%2$I r
                where r.task_id = picked.task_id for update skip locked) r
        ), locked_tasks as materialized (
            select t.task_id from picked cross join lateral (
                select task_id from absurd.%1$I t
                where t.task_id = picked.task_id and t.state = picked.state
                    and t.last_attempt_run is not distinct from picked.last_attempt_run
                for update skip locked) t
        )
        select array(
            select task_id from locked_tasks
            except
            select picked.task_id from picked cross join lateral (
                select run_id from absurd.%2$I r where r.task_id = picked.task_id offset 0) r
            where r.run_id not in (select run_id from locked_runs))',
        't_' || p_queue_name, 'r_' || p_queue_name)
        into ended using p_before, p_limit;
    return ended;
end;
$$;

-- Deletes up to `p_limit` tasks that ended more than `p_ttl_seconds` ago, with all that belongs
-- to them. Tasks in use are left for the next time.
create or replace function absurd.cleanup_tasks(
    p_queue_name text, p_ttl_seconds integer, p_limit integer default 1000
) returns integer
language plpgsql as $$
declare
    ended uuid[];
    prefix text;
    deleted integer;
begin
    if p_ttl_seconds is null or p_ttl_seconds < 0 then
        raise exception 'ttl_seconds must be a number of seconds from 0 on';
    end if;
    ended := absurd.lock_ended_tasks(p_queue_name,
        absurd.current_time() - make_interval(secs => p_ttl_seconds), p_limit);
    -- The tasks come last, and theirs is the number.
    foreach prefix in array array['w_', 'c_', 'r_', 'i_', 't_'] loop
        continue when prefix = 'i_' and not absurd.is_partitioned(p_queue_name);
        execute format('delete from absurd.%I where task_id = any ($1)', prefix || p_queue_name)
            using ended;
        get diagnostics deleted = row_count;
    end loop;
    delete from absurd.progress where queue_name = p_queue_name and task_id = any (ended);
    delete from absurd.log_lines where queue_name = p_queue_name and task_id = any (ended);
    return deleted;
end;
$$;

-- Deletes up to `p_limit` events emitted more than `p_ttl_seconds` ago. An event that a wait or
-- an emit holds is left out: the lock looks again at its time, so none is lost that is new.
create or replace function absurd.cleanup_events(
    p_queue_name text, p_ttl_seconds integer, p_limit integer default 1000
) returns integer
language plpgsql as $$
declare
    deleted integer;
begin
    if p_ttl_seconds is null or p_ttl_seconds < 0 then
        raise exception 'ttl_seconds must be a number of seconds from 0 on';
    end if;
    execute format('delete from absurd.%1$I where event_name = any (array(
            select event_name from absurd.%1$I where emitted_at < $1
            order by emitted_at limit $2 for update skip locked))', 'e_' || p_queue_name)
        using absurd.current_time() - make_interval(secs => p_ttl_seconds), p_limit;
    get diagnostics deleted = row_count;
    return deleted;
end;
$$;

-- One batch of both in every queue, or in one, as the policies say.
create or replace function absurd.cleanup_all_queues(p_queue_name text default null::text)
returns table (queue_name text, tasks_deleted integer, events_deleted integer)
language plpgsql as $$
declare
    queue absurd.queues;
    ttl_seconds integer;
begin
    if p_queue_name is not null then
        perform absurd.require_queue(p_queue_name);
    end if;
    for queue in
        select * from absurd.queues q
        where p_queue_name is null or q.queue_name = p_queue_name
        order by q.queue_name
    loop
        ttl_seconds := least(floor(extract(epoch from queue.cleanup_ttl)), 2147483647);
        return query select queue.queue_name,
            absurd.cleanup_tasks(queue.queue_name, ttl_seconds, queue.cleanup_limit),
            absurd.cleanup_events(queue.queue_name, ttl_seconds, queue.cleanup_limit);
    end loop;
end;
$$;
