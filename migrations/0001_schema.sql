-- The schema and its one fixed table. All of it may exist already, made by upstream's 0.4 or 0.5.

create schema if not exists absurd;

-- One row per queue. `created_at` gets its default where absurd.current_time() is made.
create table if not exists absurd.queues (
    queue_name text primary key,
    created_at timestamptz not null,
    storage_mode text not null default 'unpartitioned'
        constraint queues_storage_mode_check
        check (storage_mode in ('unpartitioned', 'partitioned')),
    default_partition text not null default 'enabled'
        constraint queues_default_partition_check
        check (default_partition in ('enabled', 'disabled')),
    partition_lookahead interval not null default interval '28 days'
        constraint queues_partition_lookahead_check
        check (partition_lookahead >= interval '0'),
    partition_lookback interval not null default interval '1 day'
        constraint queues_partition_lookback_check
        check (partition_lookback >= interval '0'),
    cleanup_ttl interval not null default interval '30 days'
        constraint queues_cleanup_ttl_check
        check (cleanup_ttl >= interval '0'),
    cleanup_limit integer not null default 1000
        constraint queues_cleanup_limit_check
        check (cleanup_limit >= 1),
    detach_mode text not null default 'none'
        constraint queues_detach_mode_check
        check (detach_mode in ('none', 'empty')),
    detach_min_age interval not null default interval '30 days'
        constraint queues_detach_min_age_check
        check (detach_min_age >= interval '0')
);
