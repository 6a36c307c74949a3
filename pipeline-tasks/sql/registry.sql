-- The registry of products: what the pipeline has made, of what, and where it is now.
--
-- Applied whole, in one transaction, whenever its text has changed: every statement must be one
-- that may be repeated over a schema with data in it. Times of the sky are UTC modified Julian
-- dates, as in Measurement Sets; `pipeline.utc` makes timestamps of them.

create schema if not exists pipeline;

create table if not exists pipeline.installed (
    only_row boolean primary key default true check (only_row),
    digest text not null,
    installed_at timestamptz not null default now()
);

create or replace function pipeline.utc(mjd double precision) returns timestamptz
language sql immutable strict parallel safe
as $$ select to_timestamp((mjd - 40587) * 86400) $$;

create table if not exists pipeline.products (
    product_id bigint generated always as identity primary key,
    kind text not null check (kind in
        ('measurement_set', 'caltable', 'image', 'mosaic', 'report', 'catalogue')),
    path text not null,
    -- Absent where a product belongs to no single observation.
    group_id text,
    observed_from double precision,
    observed_until double precision,
    state text not null default 'present' check (state in ('present', 'moved', 'deleted')),
    -- Of the row that a moved product left at its old path: the product.
    moved_to bigint references pipeline.products on delete cascade,
    -- What was measured of the product itself, for example the noise of an image.
    quality jsonb not null default '{}',
    provenance jsonb not null default '{}',
    created_at timestamptz not null default now(),
    changed_at timestamptz not null default now(),
    unique (kind, path),
    check ((observed_from is null) = (observed_until is null)),
    check (observed_from <= observed_until),
    check ((state = 'moved') = (moved_to is not null))
);
create index if not exists products_of_group on pipeline.products (group_id, kind);
create index if not exists images_by_group on pipeline.products (group_id)
    where kind = 'image';
create index if not exists products_moved on pipeline.products (moved_to)
    where moved_to is not null;

create table if not exists pipeline.photometry (
    group_id text not null,
    source_name text not null,
    ra_deg double precision not null check (ra_deg >= 0 and ra_deg < 360),
    dec_deg double precision not null check (dec_deg between -90 and 90),
    flux_jy double precision not null,
    flux_error_jy double precision not null check (flux_error_jy >= 0),
    snr double precision not null,
    mjd double precision not null,
    image_path text not null,
    measured_at timestamptz not null default now(),
    primary key (group_id, source_name)
);
create index if not exists photometry_of_source on pipeline.photometry (source_name, mjd);
create index if not exists photometry_of_image on pipeline.photometry (image_path);

-- What the light curves tell, as it was computed last; the science is in `light-curves`.
create table if not exists pipeline.variability (
    source_name text primary key,
    ra_deg double precision not null check (ra_deg >= 0 and ra_deg < 360),
    dec_deg double precision not null check (dec_deg between -90 and 90),
    epochs integer not null check (epochs > 1),
    first_mjd double precision not null,
    last_mjd double precision not null,
    mean_flux_jy double precision not null,
    eta double precision not null,
    -- Absent where the mean is not positive.
    v double precision,
    deviation double precision not null,
    is_candidate boolean not null,
    computed_at timestamptz not null default now()
);
create index if not exists most_variable on pipeline.variability (eta desc);

create table if not exists pipeline.caltable_validity (
    product_id bigint primary key references pipeline.products on delete cascade,
    table_type text not null,
    valid_from double precision not null,
    valid_until double precision not null,
    is_usable boolean not null,
    check (valid_from <= valid_until)
);
create index if not exists caltables_by_time
    on pipeline.caltable_validity (valid_from, valid_until);

create table if not exists pipeline.mosaic_builds (
    product_id bigint primary key references pipeline.products on delete cascade,
    name text not null,
    tier text not null
);
create table if not exists pipeline.mosaic_members (
    product_id bigint not null references pipeline.mosaic_builds on delete cascade,
    group_id text not null,
    primary key (product_id, group_id)
);
create index if not exists mosaics_of_group on pipeline.mosaic_members (group_id);

-- Windows of groups for which a mosaic was asked: the memory outlives the tasks.
create table if not exists pipeline.mosaic_windows (
    -- The groups by time, with commas between them.
    groups text primary key,
    is_complete boolean not null,
    task_id uuid not null,
    submitted_at timestamptz not null default now()
);

-- Tasks that ended long ago, as they were when the engine forgot them. Payloads are as the engine
-- keeps them: what is encrypted there is so here.
create table if not exists pipeline.tasks_archive (
    queue_name text not null,
    task_id uuid not null,
    task_name text not null,
    state text not null,
    attempts integer not null,
    enqueue_at timestamptz not null,
    first_started_at timestamptz,
    ended_at timestamptz,
    idempotency_key text,
    headers jsonb,
    attributes jsonb,
    params jsonb,
    result jsonb,
    failure_reason jsonb,
    archived_at timestamptz not null default now(),
    primary key (queue_name, task_id)
);
create index if not exists archive_by_end on pipeline.tasks_archive (task_name, ended_at);

-- Copies one batch of tasks that ended so many days ago into the archive and has the engine delete
-- them, with events of that age: all of that or nothing. The batch is as large as the queue's
-- policy says.
create or replace function pipeline.archive_tasks(p_queue_name text, p_days bigint)
returns table (tasks integer, events integer)
language plpgsql as $$
declare
    ttl_seconds integer := least(p_days * 86400, 2147483647);
    batch integer;
    ended uuid[];
begin
    select cleanup_limit into strict batch from absurd.queues where queue_name = p_queue_name;
    ended := absurd.lock_ended_tasks(p_queue_name,
        absurd.current_time() - make_interval(secs => ttl_seconds), batch);
    insert into pipeline.tasks_archive (queue_name, task_id, task_name, state, attempts,
        enqueue_at, first_started_at, ended_at, idempotency_key, headers, attributes, params,
        result, failure_reason)
    select p_queue_name, t.task_id, t.task_name, t.state, t.attempts, t.enqueue_at,
        t.first_started_at, t.ended_at, t.idempotency_key, t.headers, t.attributes, t.params,
        t.completed_payload, t.failure_reason
    from unnest(ended) e (task_id) cross join lateral absurd.get_task(p_queue_name, e.task_id) t;
    -- The engine picks again. Somebody may have let go of an older task meanwhile, which it would
    -- take instead of one of these; then nothing is done, and the next try takes both.
    tasks := absurd.cleanup_tasks(p_queue_name, ttl_seconds, cardinality(ended));
    if tasks <> cardinality(ended) or exists (select from unnest(ended) e (task_id)
        cross join lateral absurd.get_task(p_queue_name, e.task_id))
    then
        raise exception 'other tasks than were archived would be deleted; try again'
            using errcode = 'serialization_failure';
    end if;
    events := absurd.cleanup_events(p_queue_name, ttl_seconds, batch);
    return next;
end;
$$;

-- The names under which the operators' documents look for products.

create or replace view pipeline.data_registry as
select product_id as id, kind as data_type, path, group_id, state as status,
    observed_from as start_mjd, observed_until as end_mjd,
    pipeline.utc(observed_from) as start_utc, quality, provenance, created_at, changed_at
from pipeline.products
where state <> 'moved';

create or replace view pipeline.ms_index as
select id, path, group_id, status, start_mjd, end_mjd, (start_mjd + end_mjd) / 2 as mid_mjd,
    start_utc, quality, created_at, changed_at
from pipeline.data_registry
where data_type = 'measurement_set';

create or replace view pipeline.images as
select i.id, i.path, (
        select m.path from pipeline.ms_index m
        where m.group_id = i.group_id
        order by m.status = 'present' desc, m.changed_at desc limit 1) as ms_path,
    i.group_id, i.status, i.start_mjd, i.end_mjd, (i.start_mjd + i.end_mjd) / 2 as mid_mjd,
    i.start_utc, (i.quality->>'noise_jy')::double precision as noise_jy, i.quality,
    i.created_at, i.changed_at
from pipeline.data_registry i
where i.data_type = 'image';

create or replace view pipeline.caltables as
select c.id, c.path, c.group_id, v.table_type, c.status, v.is_usable,
    v.valid_from as valid_start_mjd, v.valid_until as valid_end_mjd,
    pipeline.utc(v.valid_from) as valid_start_utc, pipeline.utc(v.valid_until) as valid_end_utc,
    c.start_mjd, c.end_mjd, c.quality, c.created_at, c.changed_at
from pipeline.data_registry c
join pipeline.caltable_validity v on v.product_id = c.id;

create or replace view pipeline.mosaics as
select m.id, b.name, m.path, b.tier, m.status, m.start_mjd, m.end_mjd, m.start_utc,
    (select count(*) from pipeline.mosaic_members g where g.product_id = m.id) as n_images,
    m.quality, m.created_at, m.changed_at
from pipeline.data_registry m
join pipeline.mosaic_builds b on b.product_id = m.id;

create or replace view pipeline.mosaic_groups as
select g.product_id as mosaic_id, m.name, m.path, g.group_id
from pipeline.mosaic_members g
join pipeline.mosaics m on m.id = g.product_id;

create or replace view pipeline.sources as
select source_name, count(*) as epochs, min(mjd) as first_mjd, max(mjd) as last_mjd,
    avg(flux_jy) as mean_flux_jy, stddev_samp(flux_jy) as scatter_jy
from pipeline.photometry
group by source_name;
