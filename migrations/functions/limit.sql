-- Limits: how many runs may be under way at once, how many may start within a period.

-- Sets, changes or (with neither concurrency nor rate) removes a limit. `p_concurrency` 0 pauses
-- the subject. Runs that wait already get their lane.
create or replace function absurd.set_limit(
    p_queue_name text, p_scope text, p_subject text, p_concurrency integer,
    p_rate integer default null, p_period_seconds double precision default null
) returns void
language plpgsql as $$
declare
    limited text := coalesce(p_subject, '');
begin
    perform absurd.require_queue(p_queue_name);
    if p_scope is null or p_scope not in ('queue', 'task', 'key') then
        raise exception 'scope must be queue, task or key, not "%"', p_scope
            using errcode = 'AB005';
    elsif p_concurrency < 0 or p_rate < 1 or p_rate > 10000 or p_period_seconds <= 0
        or (p_rate is null) <> (p_period_seconds is null)
    then
        raise exception 'a limit has a concurrency from 0 on, a rate from 1 to 10000 with a '
            'period above 0, or both' using errcode = 'AB005';
    elsif (p_scope = 'queue') <> (limited = '') and p_scope <> 'key' then
        raise exception 'a limit of scope % has % subject', p_scope,
            case p_scope when 'queue' then 'no' else 'a' end using errcode = 'AB005';
    end if;
    -- No claim looks at limits that are half changed.
    perform absurd.lock_claims(p_queue_name);
    delete from absurd.limits l
    where l.queue_name = p_queue_name and l.scope = p_scope and l.subject = limited;
    if p_concurrency is not null or p_rate is not null then
        insert into absurd.limits (queue_name, scope, subject, concurrency, rate, period)
        values (p_queue_name, p_scope, limited, p_concurrency, p_rate,
            make_interval(secs => p_period_seconds));
        perform absurd.use_lanes(p_queue_name);
    end if;
    if p_rate is not null then
        -- See due_resumes. Queues without a rate go without this index.
        execute format('create index if not exists %I on absurd.%I (available_at)
            where state in (''pending'', ''sleeping'') and started_at is not null',
            'r_' || p_queue_name || '_res', 'r_' || p_queue_name);
    end if;
    if p_scope = 'task' then
        execute format('update absurd.%I r set lane = array[$1, '''']
            from absurd.%I t
            where t.task_id = r.task_id and t.task_name = $1 and r.lane is null
                and r.state in (''pending'', ''running'', ''sleeping'')',
            'r_' || p_queue_name, 't_' || p_queue_name) using limited;
    end if;
    perform absurd.wake_workers(p_queue_name);
end;
$$;

-- The limits of one queue, or of all.
create or replace function absurd.list_limits(p_queue_name text default null)
returns table (
    queue_name text, scope text, subject text, concurrency integer, rate integer,
    period_seconds double precision
)
language sql stable as $$
    select l.queue_name, l.scope, l.subject, l.concurrency, l.rate,
        extract(epoch from l.period)::double precision
    from absurd.limits l where p_queue_name is null or l.queue_name = p_queue_name
    order by 1, 2, 3
$$;

-- Claims of a queue with lanes go one after the other: else two could each take the last place.
create or replace function absurd.lock_claims(p_queue_name text) returns void
language plpgsql as $$
begin
    perform pg_advisory_xact_lock(hashtextextended('absurd claim ' || p_queue_name, 0));
end;
$$;

-- What holds of a subject: its own row, for keys else the row of all keys.
create or replace function absurd.limit_of(p_queue_name text, p_scope text, p_subject text)
returns absurd.limits
language sql stable as $$
    select * from absurd.limits
    where queue_name = p_queue_name and scope = p_scope and subject in (p_subject, '')
        and (p_scope = 'key' or subject = p_subject)
    order by subject desc limit 1
$$;

-- How many more runs of a subject may go (under way now: `p_running`), and how many may start.
create or replace function absurd.room_of(
    p_queue_name text, p_scope text, p_subject text, p_running integer, p_now timestamptz,
    out runs integer, out starts integer
)
language plpgsql as $$
declare
    rule absurd.limits := absurd.limit_of(p_queue_name, p_scope, p_subject);
begin
    if rule.concurrency is not null then
        runs := greatest(rule.concurrency - p_running, 0);
    end if;
    if rule.rate is not null then
        select rule.rate - count(*) filter (where start > p_now - rule.period) into starts
        from absurd.rate_usage u, unnest(u.starts) start
        where u.queue_name = p_queue_name and u.scope = p_scope and u.subject = p_subject;
        starts := greatest(coalesce(starts, rule.rate), 0);
    end if;
end;
$$;

-- Notes the starts of a claim under the rate limits that hold for them, and forgets a few
-- subjects that have not started anything for a day.
create or replace function absurd.note_starts(
    p_queue_name text, p_scope text, p_subject text, p_starts integer, p_now timestamptz
) returns void
language plpgsql as $$
declare
    rule absurd.limits := absurd.limit_of(p_queue_name, p_scope, p_subject);
begin
    if rule.rate is null or p_starts = 0 then
        return;
    end if;
    insert into absurd.rate_usage as u (queue_name, scope, subject, starts, last_start)
    values (p_queue_name, p_scope, p_subject, array_fill(p_now, array[p_starts]), p_now)
    on conflict (queue_name, scope, subject) do update set last_start = p_now,
        starts = (array(
            select start from unnest(u.starts) start where start > p_now - rule.period)
            || excluded.starts);
    delete from absurd.rate_usage where ctid in (
        select ctid from absurd.rate_usage
        where queue_name = p_queue_name and last_start < p_now - interval '1 day'
            and last_start < p_now - rule.period
        order by last_start limit 10 for update skip locked);
end;
$$;
