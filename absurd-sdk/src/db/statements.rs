//! Every statement that the SDK sends: its name, its text, one line of purpose.

/// A statement, known by its name in logs, metrics and tests.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
}

macro_rules! statements {
    ($($(#[$doc:meta])* $constant:ident = $name:literal: $sql:literal;)*) => {
        $(
            $(#[$doc])*
            pub(crate) static $constant: Statement = Statement { name: $name, sql: $sql };
        )*

        /// All of them, for the test that holds each against the schema.
        #[doc(hidden)]
        pub static ALL: &[(&str, &str)] = &[$(($name, $sql)),*];
    };
}

statements! {
    /// Which additive functions exist.
    FEATURES = "features":
        "select to_regclass('absurd.queues') is not null as has_schema,
                to_regprocedure('absurd.claim_runs(text,text,integer,integer,integer,integer)')
                    is not null as claim_runs,
                to_regprocedure('absurd.write_runs(text,text,jsonb)') is not null as write_runs,
                to_regprocedure('absurd.wait_for_event(text,text,uuid,uuid,text,text,integer)')
                    is not null as waits,
                to_regprocedure('absurd.watch_task_result(text,uuid)') is not null as watch,
                to_regprocedure('absurd.spawn_tasks(text,jsonb)') is not null as spawn_tasks,
                to_regprocedure('absurd.list_tasks(text,jsonb,uuid,integer)')
                    is not null as read_models";

    /// The database's clock.
    CURRENT_TIME = "current_time": "select absurd.current_time() as now";

    // Queues.
    /// Creates a queue of a storage mode.
    CREATE_QUEUE = "create_queue": "select absurd.create_queue($1, $2)";
    /// Drops a queue with all it holds.
    DROP_QUEUE = "drop_queue": "select absurd.drop_queue($1)";
    /// Names of all queues.
    LIST_QUEUES = "list_queues": "select queue_name from absurd.list_queues()";
    /// A queue's policy, intervals as text.
    GET_QUEUE_POLICY = "get_queue_policy":
        "select queue_name, storage_mode, default_partition, partition_lookahead::text,
                partition_lookback::text, cleanup_ttl::text, cleanup_limit, detach_mode,
                detach_min_age::text
           from absurd.get_queue_policy($1)";
    /// Changes the fields given.
    SET_QUEUE_POLICY = "set_queue_policy": "select absurd.set_queue_policy($1, $2)";

    // Tasks, from outside.
    /// One task.
    SPAWN_TASK = "spawn_task":
        "select task_id, run_id, attempt, created from absurd.spawn_task($1, $2, $3, $4)";
    /// Thousands of tasks in one trip.
    SPAWN_TASKS = "spawn_tasks":
        "select item, task_id, run_id, attempt, created from absurd.spawn_tasks($1, $2)
          order by item";
    /// First write wins.
    EMIT_EVENT = "emit_event": "select absurd.emit_event($1, $2, $3)";
    /// No-op on a task that has ended.
    CANCEL_TASK = "cancel_task": "select absurd.cancel_task($1, $2)";
    /// In place or as a new task.
    RETRY_TASK = "retry_task":
        "select task_id, run_id, attempt, created from absurd.retry_task($1, $2, $3)";
    /// A task's state and end.
    GET_TASK_RESULT = "get_task_result":
        "select task_id, state, result, failure_reason from absurd.get_task_result($1, $2)";
    /// The same, and asks to be notified of the end.
    WATCH_TASK_RESULT = "watch_task_result":
        "select task_id, state, result, failure_reason from absurd.watch_task_result($1, $2)";

    // A worker's calls on our schema.
    /// Runs to execute, with their checkpoints.
    CLAIM_RUNS = "claim_runs":
        "select run_id, task_id, attempt, task_name, params, max_attempts, headers, wake_event,
                event_payload, claimed_at, checkpoints, more_checkpoints
           from absurd.claim_runs($1, $2, $3, $4)";
    /// A batch of checkpoints, ends and renewals.
    WRITE_RUNS = "write_runs":
        "select item, code, message, detail from absurd.write_runs($1, $2, $3)";
    /// Parks a run on an event.
    WAIT_FOR_EVENT = "wait_for_event":
        "select outcome, payload from absurd.wait_for_event($1, $2, $3, $4, $5, $6, $7)";
    /// Parks a run on the end of another task.
    WAIT_FOR_TASK = "wait_for_task":
        "select outcome, payload from absurd.wait_for_task($1, $2, $3, $4, $5, $6, $7, $8)";

    // The same on upstream's schema, by the contract's own functions.
    /// Runs to execute.
    CLAIM_TASK = "claim_task":
        "select run_id, task_id, attempt, task_name, params, max_attempts, headers, wake_event,
                event_payload, absurd.current_time() as claimed_at
           from absurd.claim_task($1, $2, $3, $4)";
    /// A task's checkpoints as its run may see them.
    GET_CHECKPOINTS = "get_task_checkpoint_states":
        "select checkpoint_name, state from absurd.get_task_checkpoint_states($1, $2, $3)";
    /// One checkpoint.
    SET_CHECKPOINT = "set_task_checkpoint_state":
        "select absurd.set_task_checkpoint_state($1, $2, $3, $4, $5, $6)";
    /// A run's good end.
    COMPLETE_RUN = "complete_run": "select absurd.complete_run($1, $2, $3)";
    /// A run's bad end; the delay counts from the database's now.
    FAIL_RUN = "fail_run":
        "select absurd.fail_run($1, $2, $3,
            absurd.current_time() + make_interval(secs => $4::double precision))";
    /// Parks a run for a time.
    SCHEDULE_RUN = "schedule_run":
        "select absurd.schedule_run($1, $2,
            absurd.current_time() + make_interval(secs => $3::double precision))";
    /// Moves a lease on.
    EXTEND_CLAIM = "extend_claim": "select absurd.extend_claim($1, $2, $3)";
    /// Parks a run on an event.
    AWAIT_EVENT = "await_event":
        "select should_suspend, payload from absurd.await_event($1, $2, $3, $4, $5, $6)";

    // Maintenance.
    /// One batch of clean-up in every queue, or in one.
    CLEANUP_ALL = "cleanup_all_queues":
        "select queue_name, tasks_deleted, events_deleted from absurd.cleanup_all_queues($1)";

    // Read models.
    /// Tasks, newest first.
    LIST_TASKS = "list_tasks":
        "select to_jsonb(row) as row
           from absurd.list_tasks($1, $2, $3, $4) as row";
    /// One task in full.
    GET_TASK = "get_task": "select to_jsonb(row) as row from absurd.get_task($1, $2) as row";
    /// A task's attempts.
    LIST_RUNS = "list_runs": "select to_jsonb(row) as row from absurd.list_runs($1, $2) as row";
    /// A task's checkpoints, oldest first.
    LIST_CHECKPOINTS = "list_checkpoints":
        "select to_jsonb(row) as row from absurd.list_checkpoints($1, $2, $3, $4) as row";
    /// Who waits for what.
    LIST_WAITS = "list_waits":
        "select to_jsonb(row) as row
           from absurd.list_waits($1, $2, $3) as row";
    /// Events, newest first.
    LIST_EVENTS = "list_events":
        "select to_jsonb(row) as row
           from absurd.list_events($1, $2, $3, $4, $5) as row";
    /// Tasks by state, and what is due.
    QUEUE_STATS = "queue_stats": "select to_jsonb(row) as row from absurd.queue_stats($1) as row";
    /// The queue that holds a task or run id.
    FIND_TASK = "find_task": "select to_jsonb(row) as row from absurd.find_task($1) as row";
}
