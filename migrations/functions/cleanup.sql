-- Clean-up of what has ended long ago, in bounded batches, oldest first.

-- Deletes up to `p_limit` tasks that ended more than `p_ttl_seconds` ago, with all that belongs
-- to them. Candidates come from the indexes on the times of the three ends; `offset 0` keeps the
-- planner from joining all of history before it takes the first few.
create or replace function absurd.cleanup_tasks(
    p_queue_name text, p_ttl_seconds integer, p_limit integer default 1000
) returns integer
language plpgsql as $$
declare
    before timestamptz;
    deleted integer;
begin
    if p_ttl_seconds is null or p_ttl_seconds < 0 then
        raise exception 'ttl_seconds must be a number of seconds from 0 on';
    end if;
    before := absurd.current_time() - make_interval(secs => p_ttl_seconds);
    execute format('
        with completed as (
            select t.task_id, r.completed_at as ended_at
            from absurd.%2$I r cross join lateral (
                select task_id from absurd.%1$I t
                where t.task_id = r.task_id and t.last_attempt_run = r.run_id
                    and t.state = ''completed'' offset 0) t
            where r.state = ''completed'' and r.completed_at < $1
            order by r.completed_at limit $2
        ), failed as (
            select t.task_id, r.failed_at as ended_at
            from absurd.%2$I r cross join lateral (
                select task_id from absurd.%1$I t
                where t.task_id = r.task_id and t.last_attempt_run = r.run_id
                    and t.state = ''failed'' offset 0) t
            where r.state = ''failed'' and r.failed_at < $1
            order by r.failed_at limit $2
        ), cancelled as (
            select t.task_id, t.cancelled_at as ended_at from absurd.%1$I t
            where t.state = ''cancelled'' and t.cancelled_at < $1
            order by t.cancelled_at limit $2
        ), ended as (
            select task_id from (
                select * from completed union all select * from failed
                union all select * from cancelled) ends
            order by ended_at limit $2
        ), waits as (
            delete from absurd.%4$I w using ended where w.task_id = ended.task_id
        ), checkpoints as (
            delete from absurd.%3$I c using ended where c.task_id = ended.task_id
        ), runs as (
            delete from absurd.%2$I r using ended where r.task_id = ended.task_id
        ) %5$s
        delete from absurd.%1$I t using ended where t.task_id = ended.task_id',
        't_' || p_queue_name, 'r_' || p_queue_name, 'c_' || p_queue_name, 'w_' || p_queue_name,
        case when absurd.is_partitioned(p_queue_name) then
            format(', keys as (
                delete from absurd.%I i using ended where i.task_id = ended.task_id)',
                'i_' || p_queue_name) end)
        using before, p_limit;
    get diagnostics deleted = row_count;
    return deleted;
end;
$$;

-- Deletes up to `p_limit` events emitted more than `p_ttl_seconds` ago.
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
    execute format('delete from absurd.%1$I where event_name in (
            select event_name from absurd.%1$I where emitted_at < $1
            order by emitted_at limit $2)', 'e_' || p_queue_name)
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
