-- Which runs a claim takes from a queue with lanes: within all limits, by priority, with turns
-- between keys, then by age.

-- The due runs at the head of each lane. No more than 200 lanes at a time; the next claim of the
-- session goes on behind them.
create or replace function absurd.heads_of_lanes(
    p_queue_name text, p_now timestamptz, p_limit integer
) returns table (
    run_id uuid, task_name text, lane text[], priority integer, available_at timestamptz,
    is_start boolean
)
language plpgsql as $$
declare
    lanes_max constant integer := 200;
    cursor_of text[] := nullif(current_setting('absurd.lane_cursor', true), '');
    after text[] := '{}';
    lanes text[] := '{}';
    next_lane text[];
    seen integer := 0;
begin
    if cursor_of[1] = p_queue_name then
        after := cursor_of[2:];
    end if;
    return query select * from absurd.due_in_lane(p_queue_name, null, p_now, p_limit);
    for next_lane in select * from absurd.waiting_lanes(p_queue_name, after, lanes_max) loop
        seen := seen + 1;
        return query select * from absurd.due_in_lane(p_queue_name, next_lane, p_now, p_limit);
    end loop;
    if seen = lanes_max then
        perform set_config('absurd.lane_cursor',
            array_prepend(p_queue_name, next_lane)::text, false);
        return;
    end if;
    -- The end was reached: what lies before the cursor comes next, now or with the next claim.
    perform set_config('absurd.lane_cursor', '', false);
    if after <> '{}' then
        for next_lane in
            select lane from absurd.waiting_lanes(p_queue_name, '{}', lanes_max - seen) lane
            where lane <= after
        loop
            return query
                select * from absurd.due_in_lane(p_queue_name, next_lane, p_now, p_limit);
        end loop;
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

-- Picks runs and notes their starts under rate limits. Nothing is locked but the claims.
create or replace function absurd.pick_runs(
    p_queue_name text, p_now timestamptz, p_qty integer
) returns uuid[]
language plpgsql as $$
declare
    picked uuid[] := '{}';
    running jsonb;
    room jsonb := '{}';
    starts jsonb := '{}';
    candidate record;
    subject text;
    found_room record;
    fits boolean;
begin
    perform absurd.lock_claims(p_queue_name);
    running := absurd.count_running(p_queue_name);
    for candidate in
        select head.*, array_remove(array['queue/', 'task/' || head.task_name,
            case when head.lane[2] <> '' then 'key/' || head.lane[2] end], null) as subjects
        from (
            select *, coalesce((running->>('key/' || h.lane[2]))::bigint, 0)
                + row_number() over (partition by h.lane
                    order by h.priority desc, h.available_at, h.run_id) as turn
            from absurd.heads_of_lanes(p_queue_name, p_now, p_qty) h) head
        order by head.priority desc, case when head.lane[2] <> '' then head.turn else 0 end,
            head.available_at, head.run_id
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
        foreach subject in array candidate.subjects loop
            room := jsonb_set(room, array[subject], jsonb_build_object(
                'runs', (room->subject->>'runs')::integer - 1,
                'starts', (room->subject->>'starts')::integer - candidate.is_start::integer));
            starts := starts || jsonb_build_object(subject,
                coalesce((starts->>subject)::integer, 0) + candidate.is_start::integer);
        end loop;
    end loop;
    perform absurd.note_starts(p_queue_name, split_part(key, '/', 1),
        substr(key, strpos(key, '/') + 1), value::integer, p_now)
    from jsonb_each_text(starts);
    return picked;
end;
$$;
