//! The peers: what each is, which workloads it can do, and how its rows are counted.

use super::{order::Workload, pins};
use crate::error::Result;

/// One library on one schema.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Its name in the table and after `--peer`.
    pub(crate) name: &'static str,
    /// What it is written for.
    pub(super) language: Language,
    /// The package on the registry.
    pub(super) package: &'static str,
    /// The file, or the word, of its program.
    pub(super) program: &'static str,
    /// Whose tables it works on.
    pub(super) schema: Schema,
    /// The workloads that it has a notion of.
    pub(super) workloads: &'static [Workload],
    /// It gets one in so many of the tasks: all of them would take minutes.
    pub(super) share: usize,
    /// How to count its rows; absent where it keeps nothing in PostgreSQL.
    pub(super) checks: Option<Checks>,
    /// What it does not do, and what is kept.
    pub(super) note: &'static str,
}

/// Where a package comes from and what starts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    /// This program.
    Ours,
    /// `PyPI`.
    Python,
    /// npm.
    Node,
    /// crates.io.
    Rust,
}

/// Whose tables lie in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Schema {
    /// Those of our migrations.
    Ours,
    /// Those that the published `absurdctl` makes.
    Upstream,
    /// None: the peer makes its own, or needs no PostgreSQL.
    Own,
}

/// Queries that count a peer's rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checks {
    /// Tasks in the queue.
    pub(super) queued: &'static str,
    /// Tasks whose end is not recorded.
    pub(super) unfinished: &'static str,
    /// Tasks whose good end is kept; absent where nothing is kept.
    pub(super) finished: Option<&'static str>,
    /// Kept results of steps; absent where steps can't be told from other rows.
    pub(super) steps: Option<&'static str>,
}

impl Peer {
    /// Whether it has a notion of a workload.
    pub(super) fn can(&self, workload: Workload) -> bool {
        self.workloads.contains(&workload)
    }

    /// Registry, package, version and schema.
    pub(super) fn title(&self) -> String {
        let (registry, list) = match self.language {
            Language::Ours => return format!("absurd-sdk for Rust{}", self.on()),
            Language::Python => ("PyPI", 0),
            Language::Node => ("npm", 1),
            Language::Rust => ("crate", 2),
        };
        let version = pins::version(list, self.package).unwrap_or("of unknown version");
        format!("{registry} {} {version}{}", self.package, self.on())
    }

    fn on(&self) -> &'static str {
        match self.schema {
            Schema::Ours => " on our schema",
            Schema::Upstream => " on upstream's schema",
            Schema::Own => "",
        }
    }

    /// Says that it got fewer tasks.
    pub(super) fn fewer(&self) -> String {
        if self.share == 1 {
            return String::new();
        }
        format!(" It got one in {} of the tasks.", self.share)
    }
}

/// The peers that were asked for, all of them where none was named. Ours always comes along.
pub(crate) fn chosen(names: &[String]) -> Result<Vec<&'static Peer>> {
    let is = |peer: &Peer, name: &str| peer.name.eq_ignore_ascii_case(name.trim());
    for name in names {
        if !PEERS.iter().any(|peer| is(peer, name)) {
            let known: Vec<&str> = PEERS.iter().map(|peer| peer.name).collect();
            return Err(format!("no peer is called `{name}`; known: {}", known.join(", ")).into());
        }
    }
    let wanted = |peer: &&Peer| {
        names.is_empty() || peer.name == OURS || names.iter().any(|name| is(peer, name))
    };
    Ok(PEERS.iter().filter(wanted).collect())
}

const OURS: &str = "ours";

const QUEUE: &[Workload] = &[Workload::W1, Workload::W2, Workload::W3, Workload::W6];
const ALL_BUT_BULK: &[Workload] = &[
    Workload::W1,
    Workload::W3,
    Workload::W4,
    Workload::W5,
    Workload::W6,
    Workload::W7,
];

const ABSURD: Checks = Checks {
    queued: "select count(*) from absurd.t_default",
    unfinished: "select count(*) from absurd.t_default where state <> 'completed'",
    finished: Some("select count(*) from absurd.t_default where state = 'completed'"),
    steps: Some("select count(*) from absurd.c_default"),
};
const GRAPHILE_WORKER: Checks = Checks {
    queued: "select count(*) from graphile_worker.jobs",
    unfinished: "select count(*) from graphile_worker.jobs",
    finished: None,
    steps: None,
};
const DBOS: Checks = Checks {
    queued: "select count(*) from dbos.workflow_status",
    unfinished: "select count(*) from dbos.workflow_status where status <> 'SUCCESS'",
    finished: Some("select count(*) from dbos.workflow_status where status = 'SUCCESS'"),
    steps: Some("select count(*) from dbos.operation_outputs"),
};
const PG_BOSS: Checks = Checks {
    queued: "select count(*) from pgboss.job where name = 'default'",
    unfinished: "select count(*) from pgboss.job where name = 'default' and state <> 'completed'",
    finished: Some(
        "select count(*) from pgboss.job where name = 'default' and state = 'completed'",
    ),
    steps: None,
};
const PROCRASTINATE: Checks = Checks {
    queued: "select count(*) from procrastinate_jobs",
    unfinished: "select count(*) from procrastinate_jobs where status <> 'succeeded'",
    finished: Some("select count(*) from procrastinate_jobs where status = 'succeeded'"),
    steps: None,
};
const APALIS: Checks = Checks {
    queued: "select count(*) from apalis.jobs",
    unfinished: "select count(*) from apalis.jobs where status <> 'Done'",
    finished: Some("select count(*) from apalis.jobs where status = 'Done'"),
    steps: None,
};
const UNDERWAY: Checks = Checks {
    queued: "select count(*) from underway.task",
    unfinished: "select count(*) from underway.task where state <> 'succeeded'",
    finished: Some("select count(*) from underway.task where state = 'succeeded'"),
    steps: None,
};
const DUROXIDE: Checks = Checks {
    queued: "select count(*) from orchestrator_queue",
    unfinished: "select (select count(*) from orchestrator_queue)
        + (select count(*) from executions where status <> 'Completed')",
    finished: Some("select count(*) from executions where status = 'Completed'"),
    steps: Some(
        r#"select count(*) from history where event_data like '%"type":"ActivityCompleted"%'"#,
    ),
};

const ABSURD_PY: Peer = Peer {
    name: "absurd-py",
    language: Language::Python,
    package: "absurd-sdk",
    program: "with_absurd",
    schema: Schema::Upstream,
    workloads: ALL_BUT_BULK,
    share: 1,
    checks: Some(ABSURD),
    note: "Has no bulk spawn, and polls.",
};

const ABSURD_TS: Peer = Peer {
    name: "absurd-ts",
    language: Language::Node,
    package: "absurd-sdk",
    program: "absurd",
    schema: Schema::Upstream,
    workloads: ALL_BUT_BULK,
    share: 1,
    checks: Some(ABSURD),
    note: "Has no bulk spawn, and polls.",
};

/// All of them, in the order of the table.
const PEERS: &[Peer] = &[
    Peer {
        name: OURS,
        language: Language::Ours,
        package: "absurd-sdk",
        program: "notified",
        schema: Schema::Ours,
        workloads: &Workload::ALL,
        share: 1,
        checks: Some(ABSURD),
        note: "Keeps all tasks, attempts and steps. As with all others, one process calls and \
               works: in W6 and W7 a call takes the worker's claim along (an eager start). Of two \
               processes see the targets of W6 and W7.",
    },
    Peer {
        name: "ours-on-upstream",
        language: Language::Ours,
        package: "absurd-sdk",
        program: "polling",
        schema: Schema::Upstream,
        workloads: &Workload::ALL,
        share: 1,
        checks: Some(ABSURD),
        note: "No notifications there, so it polls; many tasks are spawned one by one.",
    },
    ABSURD_PY,
    Peer {
        name: "absurd-py-on-ours",
        schema: Schema::Ours,
        ..ABSURD_PY
    },
    ABSURD_TS,
    Peer {
        name: "absurd-ts-on-ours",
        schema: Schema::Ours,
        ..ABSURD_TS
    },
    Peer {
        name: "graphile-worker",
        language: Language::Node,
        package: "graphile-worker",
        program: "graphile_worker",
        schema: Schema::Own,
        workloads: QUEUE,
        share: 1,
        checks: Some(GRAPHILE_WORKER),
        note: "A queue: no steps, no events, no results; a job that is done is deleted.",
    },
    Peer {
        name: "graphile_worker",
        language: Language::Rust,
        package: "graphile_worker",
        program: "graphile_worker",
        schema: Schema::Own,
        workloads: QUEUE,
        share: 1,
        checks: Some(GRAPHILE_WORKER),
        note: "A queue: no steps, no events, no results; a job that is done is deleted.",
    },
    Peer {
        name: "dbos-py",
        language: Language::Python,
        package: "dbos",
        program: "with_dbos",
        schema: Schema::Own,
        workloads: ALL_BUT_BULK,
        share: 1,
        checks: Some(DBOS),
        note: "Keeps workflows and steps. Has no bulk spawn; its queue polls, its signals don't.",
    },
    Peer {
        name: "dbos-ts",
        language: Language::Node,
        package: "@dbos-inc/dbos-sdk",
        program: "dbos",
        schema: Schema::Own,
        workloads: ALL_BUT_BULK,
        share: 1,
        checks: Some(DBOS),
        note: "Keeps workflows and steps. Has no bulk spawn; its queue polls, its signals don't.",
    },
    Peer {
        name: "duroxide",
        language: Language::Rust,
        package: "duroxide-pg",
        program: "duroxide",
        schema: Schema::Own,
        workloads: ALL_BUT_BULK,
        share: 10,
        checks: Some(DUROXIDE),
        note: "Keeps the history of each orchestration and reads all of it for each step. Has no \
               bulk spawn, and polls.",
    },
    Peer {
        name: "restate",
        language: Language::Rust,
        package: "restate-sdk",
        program: "restate",
        schema: Schema::Own,
        workloads: ALL_BUT_BULK,
        share: 1,
        checks: None,
        note: "Has a server with a log and storage of its own instead of PostgreSQL, so nothing \
               is in one transaction with the application's data. Has no bulk spawn. Its server \
               pushes: in W3 and W4 the first thousand had begun when the clock started, and in W6 \
               and W7 many handlers before the call had returned, which counts as no time.",
    },
    Peer {
        name: "pg-boss",
        language: Language::Node,
        package: "pg-boss",
        program: "pg_boss",
        schema: Schema::Own,
        workloads: QUEUE,
        share: 1,
        checks: Some(PG_BOSS),
        note: "A queue: no steps, no events. Keeps jobs that are done, and their results. In W3 a \
               batch of jobs ends as one.",
    },
    Peer {
        name: "procrastinate",
        language: Language::Python,
        package: "procrastinate",
        program: "with_procrastinate",
        schema: Schema::Own,
        workloads: QUEUE,
        share: 1,
        checks: Some(PROCRASTINATE),
        note: "A queue: no steps, no events, no results. Keeps jobs that are done.",
    },
    Peer {
        name: "apalis-postgres",
        language: Language::Rust,
        package: "apalis-postgres",
        program: "apalis",
        schema: Schema::Own,
        workloads: QUEUE,
        share: 1,
        checks: Some(APALIS),
        note: "A queue: no events, and a flow's steps are jobs of their own. Keeps jobs that are \
               done, and their results.",
    },
    Peer {
        name: "underway",
        language: Language::Rust,
        package: "underway",
        program: "underway",
        schema: Schema::Own,
        workloads: QUEUE,
        share: 10,
        checks: Some(UNDERWAY),
        note: "A queue: no events, and a job's steps are tasks of their own. Keeps tasks that are \
               done, and their attempts.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_has_a_version_and_a_name_of_its_own() {
        for (index, peer) in PEERS.iter().enumerate() {
            assert!(!peer.title().contains("unknown"), "{}", peer.title());
            let twin = PEERS[..index].iter().any(|other| other.name == peer.name);
            assert!(!twin, "{}", peer.name);
        }
    }

    #[test]
    fn ours_comes_along() {
        let peers = chosen(&["graphile_worker".to_owned()]).unwrap();
        assert_eq!(peers.len(), 2);
        assert_eq!(peers[0].name, OURS);
        chosen(&["nobody".to_owned()]).unwrap_err();
    }
}
