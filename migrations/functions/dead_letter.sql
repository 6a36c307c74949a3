-- Dead letters: tasks that have failed for good, and what people do about them.

-- Writes down a task that has just failed: its last error, and those of its attempts. A task
-- that was the retry of another one speaks for that one's letter.
create or replace function absurd.write_dead_letter(p_queue_name text, p_task_id uuid)
returns void
language plpgsql as $$
declare
    attempts_max constant integer := 20;
    now timestamptz := absurd.current_time();
    task record;
    errors jsonb;
    last jsonb;
begin
    execute format('select * from absurd.%I where task_id = $1', 't_' || p_queue_name)
        into task using p_task_id;
    execute format('select jsonb_agg(failed order by failed->''attempt'') from (
            select jsonb_build_object(''attempt'', attempt, ''run_id'', run_id,
                ''failed_at'', failed_at, ''error'', failure_reason) as failed
            from absurd.%I where task_id = $1 and state = ''failed''
            order by attempt desc limit $2) attempts', 'r_' || p_queue_name)
        into errors using p_task_id, attempts_max;
    last := errors->-1->'error';
    if task.policy ? 'dead_letter' then
        update absurd.dead_letters d set state = 'failed', updated_at = now,
            step = last->>'step', error_type = coalesce(last->>'name', 'Error'),
            message = coalesce(last->>'message', last::text, ''),
            attempts = case when d.task_id = p_task_id then errors
                else d.attempts || errors end
        where dead_letter_id = (task.policy->>'dead_letter')::uuid;
        return;
    end if;
    insert into absurd.dead_letters (dead_letter_id, queue_name, task_id, task_name, step,
        error_type, message, attempts, params, options, state, created_at, updated_at)
    values (absurd.portable_uuidv7(), p_queue_name, p_task_id, task.task_name, last->>'step',
        coalesce(last->>'name', 'Error'), coalesce(last->>'message', last::text, ''),
        errors, task.params,
        absurd.spawn_options_of(p_queue_name, p_task_id), 'pending', now, now)
    on conflict (queue_name, task_id) do update set state = 'pending', updated_at = now,
        step = excluded.step, error_type = excluded.error_type, message = excluded.message,
        attempts = excluded.attempts;
end;
$$;

-- The retry of a dead letter's task has ended. A failure was written down before.
create or replace function absurd.settle_dead_letter(p_dead_letter_id uuid, p_task_state text)
returns void
language plpgsql as $$
begin
    update absurd.dead_letters
    set updated_at = absurd.current_time(),
        state = case p_task_state when 'completed' then 'resolved' else 'failed' end
    where dead_letter_id = p_dead_letter_id and state = 'retrying';
end;
$$;

-- Notes who did what.
create or replace function absurd.audit_dead_letter(
    p_dead_letter_id uuid, p_actor text, p_action text, p_note text
) returns void
language plpgsql as $$
begin
    insert into absurd.dead_letter_audit (dead_letter_id, acted_at, actor, action, note)
    values (p_dead_letter_id, absurd.current_time(), coalesce(nullif(trim(p_actor), ''),
        current_user), p_action, p_note);
end;
$$;

-- Locks a dead letter; AB005 when there is none.
create or replace function absurd.lock_dead_letter(p_dead_letter_id uuid)
returns absurd.dead_letters
language plpgsql as $$
declare
    letter absurd.dead_letters;
begin
    select * into letter from absurd.dead_letters
    where dead_letter_id = p_dead_letter_id for update;
    if letter.dead_letter_id is null then
        raise exception 'dead letter % not found', p_dead_letter_id using errcode = 'AB005';
    end if;
    return letter;
end;
$$;

-- A retry that retry_task makes in place belongs to the task's letter, if there is one.
create or replace function absurd.retry_of_letter(p_queue_name text, p_task_id uuid)
returns void
language plpgsql as $$
declare
    letter uuid;
begin
    update absurd.dead_letters set state = 'retrying', updated_at = absurd.current_time()
    where queue_name = p_queue_name and task_id = p_task_id
    returning dead_letter_id into letter;
    if letter is not null then
        perform absurd.add_policy(p_queue_name, p_task_id,
            jsonb_build_object('dead_letter', letter));
    end if;
end;
$$;

-- Retries a dead letter. Options: `mode` in_place (from its last checkpoint; the default),
-- as_new (from its first step) or from_step (`step`); `max_attempts`, `delay_seconds`, `actor`,
-- `note`.
create or replace function absurd.retry_dead_letter(p_dead_letter_id uuid, p_options jsonb)
returns table (task_id uuid, run_id uuid, attempt integer, created boolean)
language plpgsql as $$
declare
    letter absurd.dead_letters := absurd.lock_dead_letter(p_dead_letter_id);
    mode text := coalesce(p_options->>'mode', 'in_place');
    delay jsonb := jsonb_strip_nulls(
        jsonb_build_object('delay_seconds', p_options->'delay_seconds'));
    policy jsonb := coalesce(letter.options->'policy', '{}')
        || jsonb_build_object('dead_letter', p_dead_letter_id);
    retried record;
begin
    if letter.state not in ('pending', 'failed') then
        raise exception 'dead letter % is %, so it can''t be retried',
            p_dead_letter_id, letter.state using errcode = 'AB005';
    end if;
    if mode = 'in_place' then
        select * into retried from absurd.retry_task(letter.queue_name, letter.task_id,
            jsonb_strip_nulls(jsonb_build_object('max_attempts', p_options->'max_attempts'))
                || delay);
    elsif mode = 'as_new' then
        select * into retried from absurd.spawn_task(letter.queue_name, letter.task_name,
            letter.params, letter.options || jsonb_build_object('policy', policy) || delay);
    elsif mode = 'from_step' then
        select * into retried from absurd.fork_task(letter.queue_name, letter.task_id,
            p_options->>'step', jsonb_build_object('policy', policy) || delay);
    else
        raise exception 'mode must be in_place, as_new or from_step, not "%"', mode
            using errcode = 'AB005';
    end if;
    update absurd.dead_letters d set state = 'retrying', retried_as = retried.task_id,
        updated_at = absurd.current_time()
    where d.dead_letter_id = p_dead_letter_id;
    perform absurd.audit_dead_letter(p_dead_letter_id, p_options->>'actor', 'retry ' || mode,
        p_options->>'note');
    return query select retried.task_id, retried.run_id, retried.attempt, retried.created;
end;
$$;

-- Retries those that a filter (see list_dead_letters) finds, oldest first, at most `limit`
-- (1,000), each `stagger_seconds` after the one before. Letters in other hands are left out,
-- and so are those whose retry is refused, for which `refusal` says why.
create or replace function absurd.retry_dead_letters(p_filter jsonb, p_options jsonb)
returns table (dead_letter_id uuid, task_id uuid, refusal text)
language plpgsql as $$
declare
    stagger double precision := coalesce((p_options->>'stagger_seconds')::double precision, 0);
    delayed double precision := 0;
    letter uuid;
begin
    for letter in
        select d.dead_letter_id from absurd.dead_letters d
        where d.state in ('pending', 'failed') and absurd.letter_matches(d, p_filter)
        order by d.dead_letter_id
        limit least(greatest(coalesce((p_options->>'limit')::integer, 100), 1), 1000)
        for update skip locked
    loop
        dead_letter_id := letter;
        begin
            select retried.task_id into task_id from absurd.retry_dead_letter(letter,
                p_options || jsonb_build_object('delay_seconds', delayed)) retried;
            refusal := null;
            delayed := delayed + stagger;
        exception when others then
            task_id := null;
            refusal := sqlerrm;
        end;
        return next;
    end loop;
end;
$$;

-- Says that a dead letter needs nothing more.
create or replace function absurd.resolve_dead_letter(
    p_dead_letter_id uuid, p_actor text, p_note text
) returns void
language plpgsql as $$
begin
    perform absurd.lock_dead_letter(p_dead_letter_id);
    update absurd.dead_letters set state = 'resolved', updated_at = absurd.current_time(),
        note = coalesce(p_note, note)
    where dead_letter_id = p_dead_letter_id;
    perform absurd.audit_dead_letter(p_dead_letter_id, p_actor, 'resolve', p_note);
end;
$$;

-- Deletes a dead letter; its task and the audit stay.
create or replace function absurd.delete_dead_letter(
    p_dead_letter_id uuid, p_actor text, p_note text
) returns void
language plpgsql as $$
begin
    perform absurd.lock_dead_letter(p_dead_letter_id);
    delete from absurd.dead_letters where dead_letter_id = p_dead_letter_id;
    perform absurd.audit_dead_letter(p_dead_letter_id, p_actor, 'delete', p_note);
end;
$$;

-- Whether a letter is what a filter asks for.
create or replace function absurd.letter_matches(p_letter absurd.dead_letters, p_filter jsonb)
returns boolean
language sql immutable as $$
    select to_jsonb(p_letter) @> coalesce(p_filter, '{}')
$$;

-- Dead letters, newest first, those before letter `p_before`. A filter has values for any of
-- queue_name, task_id, task_name, step, error_type, state.
create or replace function absurd.list_dead_letters(
    p_filter jsonb default '{}'::jsonb, p_before uuid default null, p_limit integer default 50
) returns setof absurd.dead_letters
language plpgsql stable as $$
begin
    perform absurd.check_filter(p_filter, array['dead_letter_id', 'queue_name', 'task_id',
        'task_name', 'step', 'error_type', 'state']);
    return query select * from absurd.dead_letters d
        where (p_before is null or d.dead_letter_id < p_before)
            and absurd.letter_matches(d, p_filter)
        order by d.dead_letter_id desc limit least(greatest(coalesce(p_limit, 50), 1), 1000);
end;
$$;

-- What was done with a dead letter, first things first.
create or replace function absurd.list_dead_letter_audit(p_dead_letter_id uuid)
returns table (acted_at timestamptz, actor text, action text, note text)
language sql stable as $$
    select a.acted_at, a.actor, a.action, a.note from absurd.dead_letter_audit a
    where a.dead_letter_id = p_dead_letter_id order by a.audit_id
$$;
