-- Retry and cancellation policies, as pure functions of their JSON.

-- A number of a retry strategy; AB003 when it is none.
create or replace function absurd.strategy_number(
    p_strategy jsonb, p_field text, p_default double precision
) returns double precision
language plpgsql immutable as $$
begin
    return coalesce((p_strategy->>p_field)::double precision, p_default);
exception when invalid_text_representation or numeric_value_out_of_range then
    raise exception 'retry_strategy.% is no number', p_field using errcode = 'AB003';
end;
$$;

-- Seconds to wait after attempt `p_attempt` has failed. Refuses a strategy that it can't follow
-- with AB003.
create or replace function absurd.retry_delay_seconds(p_strategy jsonb, p_attempt integer)
returns double precision
language plpgsql immutable as $$
declare
    day_seconds constant double precision := 86400;
    failures constant integer := greatest(coalesce(p_attempt, 1), 1) - 1;
    kind text;
    base double precision;
    factor double precision;
    longest double precision;
begin
    if p_strategy is null then
        return 0;
    end if;
    if jsonb_typeof(p_strategy) <> 'object' then
        raise exception 'retry_strategy must be a JSON object' using errcode = 'AB003';
    end if;
    kind := coalesce(p_strategy->>'kind', 'none');
    if kind not in ('none', 'fixed', 'exponential') then
        raise exception 'retry_strategy.kind must be none, fixed or exponential, not "%"', kind
            using errcode = 'AB003';
    end if;
    if kind = 'none' then
        return 0;
    end if;
    base := absurd.strategy_number(
        p_strategy, 'base_seconds', case kind when 'fixed' then 60 else 30 end);
    -- NaN is above every number, so the upper bound refuses it too.
    if base < 0 or base > day_seconds then
        raise exception 'retry_strategy.base_seconds must be from 0 to 86400'
            using errcode = 'AB003';
    end if;
    if kind = 'fixed' then
        return base;
    end if;
    factor := absurd.strategy_number(p_strategy, 'factor', 2);
    longest := absurd.strategy_number(p_strategy, 'max_seconds', day_seconds);
    if factor < 0 or factor >= 'infinity' then
        raise exception 'retry_strategy.factor must be a finite number from 0 on'
            using errcode = 'AB003';
    end if;
    if longest < 0 or longest > day_seconds then
        raise exception 'retry_strategy.max_seconds must be from 0 to 86400'
            using errcode = 'AB003';
    end if;
    if base = 0 then
        return 0;
    end if;
    begin
        return least(base * power(factor, failures), longest);
    exception when numeric_value_out_of_range then
        return case when factor < 1 then 0 else longest end;
    end;
end;
$$;

-- When a task's cancellation policy is violated: `max_delay` counts until the first start,
-- `max_duration` from it. Null when never. Values that are no number count as absent.
create or replace function absurd.policy_deadline(
    p_cancellation jsonb, p_enqueue_at timestamptz, p_first_started_at timestamptz
) returns timestamptz
language plpgsql immutable as $$
declare
    seconds text := p_cancellation->>(
        case when p_first_started_at is null then 'max_delay' else 'max_duration' end);
begin
    if seconds !~ '^-?[0-9]{1,11}([.][0-9]+)?$' then
        return null;
    end if;
    return coalesce(p_first_started_at, p_enqueue_at)
        + make_interval(secs => seconds::double precision);
end;
$$;

-- A run's `cancel_at`: see queue_columns.
create or replace function absurd.cancel_time(
    p_cancellation jsonb, p_enqueue_at timestamptz, p_first_started_at timestamptz
) returns timestamptz
language sql immutable as $$
    select case when p_cancellation is not null then coalesce(
        absurd.policy_deadline(p_cancellation, p_enqueue_at, p_first_started_at), 'infinity') end
$$;
