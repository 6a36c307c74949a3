//! Durable execution on PostgreSQL: client, worker and task context.
