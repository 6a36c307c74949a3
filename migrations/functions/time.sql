-- Clock, ids, weeks, versions: what every other function stands on.

-- The engine's clock. The setting absurd.fake_now replaces it, per session or transaction.
create or replace function absurd.current_time() returns timestamptz
language plpgsql volatile as $$
declare
    fake text := current_setting('absurd.fake_now', true);
begin
    if fake is null or trim(fake) = '' then
        return clock_timestamp();
    end if;
    return fake::timestamptz;
end;
$$;

-- Here, because the table is older than the function.
alter table absurd.queues alter created_at set default absurd.current_time();

-- The upstream release whose behaviour this schema has. Upstream's tools decide by it whether
-- to migrate; any other answer makes them overwrite our functions or refuse to work.
create or replace function absurd.get_schema_version() returns text
language sql volatile as $$
    select '0.5.1'
$$;

-- The release of this engine.
create or replace function absurd.engine_version() returns text
language sql immutable as $$
    select '1'
$$;

-- A UUIDv7 of the engine's clock: 48 bits of milliseconds, then chance. Built by hand on
-- PostgreSQL 18 too, whose own function doesn't follow absurd.fake_now.
create or replace function absurd.portable_uuidv7() returns uuid
language plpgsql volatile as $$
declare
    millis bigint := floor(extract(epoch from absurd.current_time()) * 1000);
    bytes bytea := uuid_send(gen_random_uuid());
begin
    bytes := overlay(bytes placing substring(int8send(millis) from 3) from 1 for 6);
    -- Version 4 is 0100 and version 7 is 0111 in the high half of byte 6; bit 48 is its lowest.
    return encode(set_bit(set_bit(bytes, 52, 1), 53, 1), 'hex')::uuid;
end;
$$;

-- A time as a count of 4096ths of a millisecond, the finest that a UUIDv7 can hold.
create or replace function absurd.uuidv7_ticks(p_ts timestamptz) returns bigint
language sql stable as $$
    select (date_part('epoch', p_ts) * 4096000)::bigint
$$;

-- A UUIDv7 whose 12 bits behind the version refine its time (RFC 9562, 6.2, method 3), so that
-- ids of ascending ticks ascend: they fill indexes from one end, and tasks that were spawned
-- together start in the order of spawning. Its last 62 bits are those of a random UUID: chance
-- costs more than all else of an id, so what is spawned by one call shares it.
create or replace function absurd.uuidv7_at(p_ticks bigint, p_chance uuid) returns uuid
language sql immutable as $$
    select encode(overlay(uuid_send(p_chance) placing
        int8send((p_ticks >> 12 << 16) | (7 << 12) | (p_ticks & 4095)) from 1), 'hex')::uuid
$$;

-- It took its chance itself.
drop function if exists absurd.uuidv7_at(bigint);

-- The id of a task's first run: the task's with its last bit turned.
create or replace function absurd.first_run_id(p_task_id uuid) returns uuid
language sql immutable as $$
    select encode(set_bit(uuid_send(p_task_id), 120, 1 - get_bit(uuid_send(p_task_id), 120)),
        'hex')::uuid
$$;

-- The time in a UUIDv7; null for any other version.
create or replace function absurd.uuidv7_timestamp(p_id uuid) returns timestamptz
language sql immutable strict as $$
    select case when substr(p_id::text, 15, 1) = '7' then
        to_timestamp(
            ('x' || lpad(substr(replace(p_id::text, '-', ''), 1, 12), 16, '0'))::bit(64)::bigint
            / 1000.0)
    end
$$;

-- The smallest UUIDv7 of a time's millisecond.
create or replace function absurd.uuidv7_floor(p_ts timestamptz) returns uuid
language plpgsql immutable strict as $$
declare
    millis numeric := floor(extract(epoch from p_ts) * 1000);
begin
    if millis < 0 or millis >= 281474976710656 then
        raise exception 'a UUIDv7 can''t hold the time %', p_ts;
    end if;
    return (lpad(to_hex(millis::bigint), 12, '0') || '70008000000000000000')::uuid;
end;
$$;

-- Monday 00:00 UTC of a time's ISO week.
create or replace function absurd.week_bucket_utc(p_ts timestamptz) returns timestamptz
language sql immutable strict as $$
    select date_trunc('week', p_ts at time zone 'UTC') at time zone 'UTC'
$$;

-- Last digit of the ISO year and the ISO week, in UTC: the name of a weekly partition.
create or replace function absurd.partition_week_tag(p_ts timestamptz) returns text
language sql immutable strict as $$
    select right(to_char(p_ts at time zone 'UTC', 'IYYY'), 1)
        || to_char(p_ts at time zone 'UTC', 'IW')
$$;

-- Wakes the workers of a queue at the commit, if one of them waits to be woken: a notification
-- makes commits wait for each other. Off by the setting absurd.notify = off. It goes by the real
-- clock, as listening does.
create or replace function absurd.wake_workers(p_queue_name text) returns void
language plpgsql as $$
begin
    perform pg_notify('absurd_wake', p_queue_name) from absurd.idle_workers
    where queue_name = p_queue_name and since > clock_timestamp() - interval '1 minute'
        and current_setting('absurd.notify', true) is distinct from 'off'
    limit 1;
end;
$$;

-- Notes that a worker waits to be woken, or, with `p_idle` false, that it is busy. Most calls
-- write nothing. A worker looks for work once more after it was noted: what came in between
-- notified nobody.
create or replace function absurd.note_idle_worker(
    p_queue_name text, p_worker_id text, p_idle boolean
) returns void
language plpgsql as $$
declare
    now timestamptz := clock_timestamp();
begin
    if not p_idle then
        delete from absurd.idle_workers
        where queue_name = p_queue_name and worker_id = p_worker_id;
        return;
    end if;
    perform from absurd.idle_workers
    where queue_name = p_queue_name and worker_id = p_worker_id
        and since > now - interval '20 seconds';
    if not found then
        insert into absurd.idle_workers (queue_name, worker_id, since)
        values (p_queue_name, p_worker_id, now)
        on conflict (queue_name, worker_id) do update set since = excluded.since;
        delete from absurd.idle_workers where ctid in (
            select ctid from absurd.idle_workers
            where queue_name = p_queue_name and since < now - interval '10 minutes'
            limit 10 for update skip locked);
    end if;
end;
$$;
