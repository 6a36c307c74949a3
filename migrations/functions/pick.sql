-- Which runs a claim takes from a queue with lanes: within all limits, by priority, with turns
-- between keys, then by age.

-- Due runs that have begun before, where a rate limits starts: they must not stand behind starts
-- that it holds back. A run may be among the heads of its lane too.
create or replace function absurd.due_resumes(
    p_queue_name text, p_now timestamptz, p_limit integer
) returns table (
    run_id uuid, task_name text, lane text[], priority integer, available_at timestamptz,
    is_start boolean
)
language plpgsql as $$
begin
    if not exists (select from absurd.limits
        where queue_name = p_queue_name and rate is not null)
    then
        return;
    end if;
    return query execute format('
        select r.run_id, t.task_name, r.lane, r.priority, r.available_at, false
        from absurd.%I r join absurd.%I t on t.task_id = r.task_id
        where r.state in (''pending'', ''sleeping'') and r.started_at is not null
            and r.available_at <= $1 and r.lane[1] is distinct from ''$paused''
            and t.state in (''pending'', ''running'', ''sleeping'')
        order by r.available_at limit $2',
        'r_' || p_queue_name, 't_' || p_queue_name) using p_now, p_limit;
end;
$$;

-- What a claim may choose from: the due runs at the head of each lane. No more than 200 lanes at a
-- time; the next claim of the session goes on behind them.
create or replace function absurd.due_heads(
    p_queue_name text, p_now timestamptz, p_limit integer
) returns table (
    run_id uuid, task_name text, lane text[], priority integer, available_at timestamptz,
    is_start boolean
)
language plpgsql as $$
declare
    lanes_max constant integer := 200;
    went_to text[] := nullif(current_setting('absurd.lane_cursor', true), '');
    after text[] := '{}';
    reached text[];
    seen integer;
begin
    if went_to[1] = p_queue_name then
        after := went_to[2:];
    end if;
    return query select * from absurd.due_without_lane(p_queue_name, p_now, p_limit);
    return query select * from absurd.due_resumes(p_queue_name, p_now, p_limit);
    select ahead.seen, ahead.reached into seen, reached
    from absurd.look_over_lanes(p_queue_name, after, lanes_max) ahead;
    return query select * from absurd.heads_of_lanes(
        p_queue_name, after, reached, p_now, p_limit);
    if seen = lanes_max then
        perform set_config('absurd.lane_cursor',
            array_prepend(p_queue_name, reached)::text, false);
        return;
    end if;
    -- The end was reached: what lies before the cursor comes now.
    perform set_config('absurd.lane_cursor', '', false);
    if after <> '{}' then
        select least(ahead.reached, after) into reached
        from absurd.look_over_lanes(p_queue_name, '{}', lanes_max - seen) ahead;
        return query select * from absurd.heads_of_lanes(
            p_queue_name, '{}', reached, p_now, p_limit);
    end if;
end;
$$;

-- The runs under way, counted by what limits may count: {"queue/": 3, "task/a": 2, "key/b": 1}.
create or replace function absurd.count_running(p_queue_name text) returns jsonb
language plpgsql as $$
declare
    counted jsonb;
begin
    execute format('
        with running as (
            select t.task_name, absurd.lane_key(r.lane) as key
            from absurd.%I r join absurd.%I t on t.task_id = r.task_id
            where r.state = ''running''
        ), counts as (
            select ''queue/'' as subject, count(*) as runs from running
            union all select ''task/'' || task_name, count(*) from running group by 1
            union all select ''key/'' || key, count(*) from running where key is not null group by 1
        )
        select jsonb_object_agg(subject, runs) from counts',
        'r_' || p_queue_name, 't_' || p_queue_name) into counted;
    return counted;
end;
$$;

-- Notes the turns that keys have had. The moment moves on to the first turn of this claim; keys
-- that it has overtaken need no row.
create or replace function absurd.note_turns(
    p_queue_name text, p_moment bigint, p_turns jsonb
) returns void
language plpgsql as $$
declare
    moment bigint;
begin
    if p_turns = '{}' then
        return;
    end if;
    select greatest(p_moment, min(value::bigint) - 1) into moment from jsonb_each_text(p_turns);
    insert into absurd.key_turns as k (queue_name, key, turns)
    select p_queue_name, key, value::bigint from jsonb_each_text(p_turns)
    union all select p_queue_name, '', moment
    on conflict (queue_name, key) do update set turns = excluded.turns;
    delete from absurd.key_turns k where ctid in (
        select ctid from absurd.key_turns
        where queue_name = p_queue_name and turns <= moment and key <> ''
        order by turns limit 50);
end;
$$;

-- Picks runs and notes their starts under rate limits. Nothing is locked but the claims.
create or replace function absurd.pick_runs(
    p_queue_name text, p_now timestamptz, p_qty integer
) returns uuid[]
language plpgsql as $$
declare
    picked uuid[] := '{}';
    running jsonb;
    moment bigint;
    taken jsonb := '{}';
    room jsonb := '{}';
    starts jsonb := '{}';
    candidate record;
    subject text;
    found_room record;
    fits boolean;
begin
    perform absurd.lock_claims(p_queue_name);
    running := absurd.count_running(p_queue_name);
    select coalesce(max(turns), 0) into moment from absurd.key_turns
    where queue_name = p_queue_name and key = '';
    for candidate in
        select head.*, array_remove(array['queue/', 'task/' || head.task_name,
            'key/' || nullif(head.key, '')], null) as subjects
        from (
            select h.*, greatest(k.turns, moment) + row_number() over (partition by h.key
                order by h.priority desc, h.available_at, h.run_id) as turn
            from (
                select distinct on (run_id) *, coalesce(absurd.lane_key(lane), '') as key
                from absurd.due_heads(p_queue_name, p_now, p_qty)) h
                left join absurd.key_turns k on k.queue_name = p_queue_name
                    and k.key = '/' || h.key) head
        order by head.priority desc, head.turn, head.available_at, head.run_id
    loop
        exit when cardinality(picked) = p_qty;
        fits := true;
        foreach subject in array candidate.subjects loop
            if not room ? subject then
                found_room := absurd.room_of(p_queue_name, split_part(subject, '/', 1),
                    substr(subject, strpos(subject, '/') + 1),
                    coalesce((running->>subject)::integer, 0), p_now);
                room := room || jsonb_build_object(subject, to_jsonb(found_room));
            end if;
            fits := fits and coalesce((room->subject->>'runs')::integer, 1) > 0
                and (not candidate.is_start
                    or coalesce((room->subject->>'starts')::integer, 1) > 0);
        end loop;
        continue when not fits;
        picked := picked || candidate.run_id;
        taken := taken || jsonb_build_object('/' || candidate.key, candidate.turn);
        foreach subject in array candidate.subjects loop
            room := jsonb_set(room, array[subject], jsonb_build_object(
                'runs', (room->subject->>'runs')::integer - 1,
                'starts', (room->subject->>'starts')::integer - candidate.is_start::integer));
            starts := starts || jsonb_build_object(subject,
                coalesce((starts->>subject)::integer, 0) + candidate.is_start::integer);
        end loop;
    end loop;
    perform absurd.note_turns(p_queue_name, moment, taken);
    perform absurd.note_starts(p_queue_name, split_part(key, '/', 1),
        substr(key, strpos(key, '/') + 1), value::integer, p_now)
    from jsonb_each_text(starts);
    return picked;
end;
$$;
