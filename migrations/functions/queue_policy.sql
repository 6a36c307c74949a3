-- A queue's policy: how its partitions are made and what is cleaned up.

-- The policy of a queue; no row when there is no such queue.
create or replace function absurd.get_queue_policy(p_queue_name text)
returns table (
    queue_name text, storage_mode text, default_partition text, partition_lookahead interval,
    partition_lookback interval, cleanup_ttl interval, cleanup_limit integer, detach_mode text,
    detach_min_age interval
)
language sql as $$
    select q.queue_name, q.storage_mode, q.default_partition, q.partition_lookahead,
        q.partition_lookback, q.cleanup_ttl, q.cleanup_limit, q.detach_mode, q.detach_min_age
    from absurd.queues q where q.queue_name = p_queue_name
$$;

-- An interval of a policy change, or the stored one where the change doesn't name it.
create or replace function absurd.policy_interval(p_policy jsonb, p_field text, p_stored interval)
returns interval
language plpgsql stable as $$
declare
    changed interval;
begin
    if not p_policy ? p_field then
        return p_stored;
    end if;
    changed := (p_policy->>p_field)::interval;
    if changed < interval '0' then
        raise exception '% must not be negative', p_field;
    end if;
    return changed;
end;
$$;

-- A word of a policy change, or the stored one where the change doesn't name it.
create or replace function absurd.policy_word(
    p_policy jsonb, p_field text, p_stored text, p_legal text[]
) returns text
language plpgsql immutable as $$
declare
    word text := lower(trim(p_policy->>p_field));
begin
    if not p_policy ? p_field then
        return p_stored;
    elsif word is null or word <> all (p_legal) then
        raise exception '% must be % or %', p_field, p_legal[1], p_legal[2];
    end if;
    return word;
end;
$$;

-- Changes the fields that are given. Turning the default partition on or off creates or drops
-- it, in the same transaction. Locks the registry row.
create or replace function absurd.set_queue_policy(p_queue_name text, p_policy jsonb)
returns void
language plpgsql as $$
declare
    policy jsonb := coalesce(p_policy, '{}');
    fields constant text[] := array['partition_lookahead', 'partition_lookback', 'cleanup_ttl',
        'cleanup_limit', 'detach_mode', 'detach_min_age', 'default_partition'];
    field text;
    stored absurd.queues;
    wanted_default text;
    wanted_limit integer;
begin
    perform absurd.validate_queue_name(p_queue_name);
    if jsonb_typeof(policy) <> 'object' then
        raise exception 'policy must be a JSON object';
    end if;
    for field in select jsonb_object_keys(policy) loop
        if field <> all (fields) then
            raise exception 'unknown policy field "%"; known are %',
                field, array_to_string(fields, ', ');
        end if;
    end loop;
    select * into stored from absurd.queues where queue_name = p_queue_name for update;
    if stored.queue_name is null then
        raise exception 'queue "%" does not exist', p_queue_name;
    end if;
    wanted_limit := case when policy ? 'cleanup_limit'
        then (policy->>'cleanup_limit')::integer else stored.cleanup_limit end;
    if wanted_limit < 1 then
        raise exception 'cleanup_limit must be at least 1';
    end if;
    wanted_default := absurd.policy_word(policy, 'default_partition', stored.default_partition,
        array['enabled', 'disabled']);
    if policy ? 'default_partition' and stored.storage_mode <> 'partitioned' then
        raise exception 'default_partition is for partitioned queues only';
    end if;
    update absurd.queues set
        partition_lookahead =
            absurd.policy_interval(policy, 'partition_lookahead', stored.partition_lookahead),
        partition_lookback =
            absurd.policy_interval(policy, 'partition_lookback', stored.partition_lookback),
        cleanup_ttl = absurd.policy_interval(policy, 'cleanup_ttl', stored.cleanup_ttl),
        cleanup_limit = wanted_limit,
        detach_mode = absurd.policy_word(policy, 'detach_mode', stored.detach_mode,
            array['none', 'empty']),
        detach_min_age =
            absurd.policy_interval(policy, 'detach_min_age', stored.detach_min_age),
        default_partition = wanted_default
    where queue_name = p_queue_name;
    if wanted_default = 'enabled' and stored.default_partition = 'disabled' then
        perform absurd.ensure_partitions(p_queue_name);
    elsif wanted_default = 'disabled' and stored.default_partition = 'enabled' then
        perform absurd.drop_default_partitions(p_queue_name);
    end if;
end;
$$;
