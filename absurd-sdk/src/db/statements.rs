//! Every statement that the SDK sends: its name, its text, one line of purpose.

use crate::ids::QueueName;

/// A statement, known by its name in logs, metrics and tests.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) name: &'static str,
    /// The text; `{queue}` inside a quoted name stands for the queue's own function.
    pub(crate) sql: &'static str,
}

impl Statement {
    /// The text for a queue.
    pub(crate) fn of_queue(&self, queue: &QueueName) -> String {
        let name = queue.as_str().replace('"', "\"\"");
        self.sql.replace("{queue}", &name)
    }
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
                to_regprocedure(
                    'absurd.claim_runs(text,text,integer,integer,boolean)')
                    is not null as claim_runs,
                to_regprocedure('absurd.write_runs(text,text,jsonb)') is not null as write_runs,
                to_regprocedure('absurd.wait_for_event(text,text,uuid,uuid,text,text,integer)')
                    is not null as waits,
                to_regprocedure('absurd.watch_task_result(text,uuid)') is not null as watch,
                to_regprocedure('absurd.spawn_tasks(text,text[],jsonb[],jsonb[])')
                    is not null as spawn_tasks,
                to_regprocedure('absurd.list_tasks(text,jsonb,uuid,integer)')
                    is not null as read_models,
                to_regprocedure('absurd.wait_for_any(text,text,uuid,uuid,jsonb,boolean)')
                    is not null as extras";

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
        "select task_id, run_id, attempt, created from absurd.spawn_tasks($4, $1, $2, $3)";
    /// The same, for tasks that have no key.
    SPAWN_NEW_TASKS = "spawn_new_tasks":
        "select task_id, run_id, 1 as attempt, true as created
           from absurd.\"fm_{queue}\"($1, $2, $3)";
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
        "select run_id, task_id, attempt, task_name, params, max_attempts, headers, claimed_at,
                checkpoint_names, checkpoint_states, checkpoint_places, more_checkpoints, policy
           from absurd.\"fr_{queue}\"($1, $2, $3, $4)";
    /// A task, and runs to execute, which it may be among: the claim is made after it.
    SPAWN_AND_CLAIM = "spawn_and_claim":
        "select spawned.task_id as spawned_task, spawned.run_id as spawned_run,
                spawned.attempt as spawned_attempt, spawned.created,
                claimed.run_id, claimed.task_id, claimed.attempt, task_name, params, max_attempts,
                headers, claimed_at, checkpoint_names, checkpoint_states, checkpoint_places,
                more_checkpoints, policy
           from absurd.\"fs_{queue}\"($5, $6, $7) spawned
                left join lateral absurd.\"fr_{queue}\"($1, $2,
                    case when spawned.task_id is not null then $3::integer end, $4) claimed
                    on true";
    /// An event, and runs to execute, which those that it wakes may be among.
    EMIT_AND_CLAIM = "emit_and_claim":
        "select run_id, task_id, attempt, task_name, params, max_attempts, headers, claimed_at,
                checkpoint_names, checkpoint_states, checkpoint_places, more_checkpoints, policy
           from absurd.emit_event($5, $6, $7) emitted
                left join lateral absurd.\"fr_{queue}\"($1, $2,
                    case when emitted::text is not null then $3::integer end, $4) on true";
    /// Has a queue of some other making get its own functions.
    QUEUE_FUNCTION = "queue_function": "select absurd.queue_function('fr', $1)";
    /// A batch of checkpoints, good ends and renewals, all or none.
    WRITE_PLAIN = "write_plain":
        "select absurd.\"fw_{queue}\"($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    /// One checkpoint.
    WRITE_CHECKPOINT = "write_checkpoint":
        "select absurd.\"fk_{queue}\"($1, $2, $3, $4, $5, $6)";
    /// A batch of any writes, each with its answer.
    WRITE_RUNS = "write_runs":
        "select item, code, message, detail from absurd.write_runs($1, $2, $3)";
    /// All checkpoints of a run, with their places.
    RUN_CHECKPOINTS = "run_checkpoints":
        "select checkpoint_name, state, place from absurd.run_checkpoints($1, $2, $3)";
    /// Parks a run on several waits.
    WAIT_FOR_ANY = "wait_for_any":
        "select place, outcome, payload from absurd.wait_for_any($1, $2, $3, $4, $5, $6)";
    /// Parks a run on an event.
    WAIT_FOR_EVENT = "wait_for_event":
        "select outcome, payload from absurd.wait_for_event($1, $2, $3, $4, $5, $6, $7)";
    /// Parks a run on the end of another task.
    WAIT_FOR_TASK = "wait_for_task":
        "select outcome, payload from absurd.wait_for_task($1, $2, $3, $4, $5, $6, $7, $8)";

    // The same on upstream's schema, by the contract's own functions.
    /// Runs to execute.
    CLAIM_TASK = "claim_task":
        "select run_id, task_id, attempt, task_name, params, max_attempts, headers,
                absurd.current_time() as claimed_at
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

    // What upstream's schema knows nothing of.
    /// Keeps a queue from handing out work.
    PAUSE_QUEUE = "pause_queue": "select absurd.pause_queue($1)";
    /// Lets it go on.
    RESUME_QUEUE = "resume_queue": "select absurd.resume_queue($1)";
    /// Keeps a task from being claimed.
    PAUSE_TASK = "pause_task": "select absurd.pause_task($1, $2)";
    /// Lets it go on.
    RESUME_TASK = "resume_task": "select absurd.resume_task($1, $2)";
    /// Larger first.
    SET_PRIORITY = "set_priority": "select absurd.set_priority($1, $2, $3)";
    /// Sets or removes a limit.
    SET_LIMIT = "set_limit": "select absurd.set_limit($1, $2, $3, $4, $5, $6)";
    /// The limits of a queue.
    LIST_LIMITS = "list_limits": "select to_jsonb(row) as row from absurd.list_limits($1) as row";
    /// A new task from the middle of another.
    FORK_TASK = "fork_task":
        "select to_jsonb(row) as row from absurd.fork_task($1, $2, $3, $4) as row";
    /// Tasks that have failed for good.
    LIST_DEAD_LETTERS = "list_dead_letters":
        "select to_jsonb(row) as row from absurd.list_dead_letters($1, $2, $3) as row";
    /// Tries one again.
    RETRY_DEAD_LETTER = "retry_dead_letter":
        "select to_jsonb(row) as row from absurd.retry_dead_letter($1, $2) as row";
    /// Tries many again.
    RETRY_DEAD_LETTERS = "retry_dead_letters":
        "select to_jsonb(row) as row from absurd.retry_dead_letters($1, $2) as row";
    /// Says that one is dealt with.
    RESOLVE_DEAD_LETTER = "resolve_dead_letter": "select absurd.resolve_dead_letter($1, $2, $3)";
    /// Forgets one.
    DELETE_DEAD_LETTER = "delete_dead_letter": "select absurd.delete_dead_letter($1, $2, $3)";
    /// Who did what with one.
    DEAD_LETTER_AUDIT = "list_dead_letter_audit":
        "select to_jsonb(row) as row from absurd.list_dead_letter_audit($1) as row";
    /// Creates or changes a schedule.
    SET_SCHEDULE = "set_schedule": "select absurd.set_schedule($1, $2, $3)";
    /// Removes it.
    DELETE_SCHEDULE = "delete_schedule":
        "select to_jsonb(row) as row from absurd.delete_schedule($1) as row";
    /// Pauses it, or lets it go on.
    PAUSE_SCHEDULE = "pause_schedule": "select absurd.pause_schedule($1, $2)";
    /// All schedules, or those that are due.
    LIST_SCHEDULES = "list_schedules":
        "select to_jsonb(row) as row from absurd.list_schedules($1) as row";
    /// Fires ticks, if nobody else has.
    FIRE_SCHEDULE = "fire_schedule":
        "select to_jsonb(row) as row from absurd.fire_schedule($1, $2, array(
            select tick::timestamptz from jsonb_array_elements_text($3) tick), $4) as row";
    /// Fires ticks of the past.
    BACKFILL_SCHEDULE = "backfill_schedule":
        "select to_jsonb(row) as row from absurd.backfill_schedule($1, array(
            select tick::timestamptz from jsonb_array_elements_text($2) tick)) as row";
    /// What a task has logged.
    LIST_LOG_LINES = "list_log_lines":
        "select to_jsonb(row) as row from absurd.list_log_lines($1, $2, $3) as row";

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
