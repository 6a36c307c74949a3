-- Tables of what the contract doesn't know. No task has a row here that uses none of it.

-- `lanes`: some runs of the queue have a lane, or limits hold; a claim then takes the long way.
alter table absurd.queues
    add column if not exists paused_at timestamptz,
    add column if not exists lanes boolean not null default false;

-- Templates of the functions of which each queue has its own: see define_queue_function.
create table if not exists absurd.queue_functions (
    prefix text primary key,
    template text not null
);

-- Workers that listen and have room: somebody to notify. They come again every 20 seconds.
create table if not exists absurd.idle_workers (
    queue_name text not null,
    worker_id text not null,
    since timestamptz not null,
    primary key (queue_name, worker_id)
) with (fillfactor = 50);

-- How many runs may be under way at once, and how many may start within a period. Scope `queue`
-- has no subject, `task` a task's name, `key` a key, or '' for all keys without a row.
create table if not exists absurd.limits (
    queue_name text not null,
    scope text not null constraint limits_scope_check check (scope in ('queue', 'task', 'key')),
    subject text not null default '',
    concurrency integer constraint limits_concurrency_check check (concurrency >= 0),
    rate integer constraint limits_rate_check check (rate between 1 and 10000),
    period interval constraint limits_period_check check (period > interval '0'),
    primary key (queue_name, scope, subject),
    constraint limits_rate_has_period check ((rate is null) = (period is null))
);

-- The last starts under a rate limit, as many as its rate.
create table if not exists absurd.rate_usage (
    queue_name text not null,
    scope text not null,
    subject text not null,
    starts timestamptz[] not null,
    last_start timestamptz not null,
    primary key (queue_name, scope, subject)
);
create index if not exists rate_usage_last_start on absurd.rate_usage (queue_name, last_start);

-- Whose turn it is: how many starts each key has had, counted so that one that comes new or back
-- begins with the others of the moment. Key '' stands for the moment itself.
create table if not exists absurd.key_turns (
    queue_name text not null,
    key text not null,
    turns bigint not null,
    primary key (queue_name, key)
) with (fillfactor = 50);
create index if not exists key_turns_turns on absurd.key_turns (queue_name, turns);

-- Which task stands for all spawns of a key until the window ends.
create table if not exists absurd.spawn_windows (
    queue_name text not null,
    window_key text not null,
    task_id uuid not null,
    ends_at timestamptz not null,
    primary key (queue_name, window_key)
);
create index if not exists spawn_windows_ends_at on absurd.spawn_windows (queue_name, ends_at);

create table if not exists absurd.schedules (
    schedule_name text primary key,
    queue_name text not null,
    task_name text not null,
    params jsonb not null,
    options jsonb not null,
    cron text not null,
    time_zone text not null,
    overlap text not null
        constraint schedules_overlap_check check (overlap in ('allow', 'skip', 'replace')),
    catch_up text not null
        constraint schedules_catch_up_check check (catch_up in ('all', 'latest', 'none')),
    next_at timestamptz,
    paused_at timestamptz,
    last_tick timestamptz,
    last_task_id uuid,
    updated_at timestamptz not null
);
create index if not exists schedules_next_at on absurd.schedules (next_at)
    where paused_at is null;

-- Tasks that have failed for good, until somebody deals with them.
create table if not exists absurd.dead_letters (
    dead_letter_id uuid primary key,
    queue_name text not null,
    task_id uuid not null,
    task_name text not null,
    step text,
    error_type text not null,
    message text not null,
    attempts jsonb not null,
    params jsonb not null,
    options jsonb not null,
    state text not null constraint dead_letters_state_check
        check (state in ('pending', 'retrying', 'resolved', 'failed')),
    retried_as uuid,
    note text,
    created_at timestamptz not null,
    updated_at timestamptz not null
);
create unique index if not exists dead_letters_task
    on absurd.dead_letters (queue_name, task_id);
create index if not exists dead_letters_state
    on absurd.dead_letters (queue_name, state, dead_letter_id);

-- Who did what with a dead letter; stays when the letter is deleted.
create table if not exists absurd.dead_letter_audit (
    audit_id bigint generated always as identity primary key,
    dead_letter_id uuid not null,
    acted_at timestamptz not null,
    actor text not null,
    action text not null,
    note text
);
create index if not exists dead_letter_audit_letter
    on absurd.dead_letter_audit (dead_letter_id, audit_id);

-- How far a task has come, by its own words.
create table if not exists absurd.progress (
    queue_name text not null,
    task_id uuid not null,
    fraction double precision,
    message text,
    updated_at timestamptz not null,
    primary key (queue_name, task_id)
);

-- Lines that a task's runs have logged, the last ones of each step.
create table if not exists absurd.log_lines (
    queue_name text not null,
    task_id uuid not null,
    step text not null,
    line bigint not null,
    run_id uuid not null,
    level text not null,
    message text not null,
    logged_at timestamptz not null,
    primary key (queue_name, task_id, step, line)
);

-- Functions whose arguments or columns have changed.
drop function if exists absurd.keep_checkpoint(text, uuid, text, jsonb, uuid);
drop function if exists absurd.claim_runs(text, text, integer, integer, integer, integer);
drop function if exists
    absurd.claim_runs(text, text, integer, integer, integer, integer, boolean);
drop function if exists absurd.spawn_tasks(text, jsonb);
drop function if exists absurd.list_tasks(text, jsonb, uuid, integer);
drop function if exists absurd.get_task(text, uuid);
drop function if exists absurd.list_checkpoints(text, uuid, text, integer);
drop function if exists absurd.queue_stats(text);
