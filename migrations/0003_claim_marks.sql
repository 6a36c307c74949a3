-- Where the claims of a queue have come to, while looks over the whole of it are slow: see
-- functions/queue_claim.sql.
alter table absurd.queues add column if not exists claim_mark jsonb;
