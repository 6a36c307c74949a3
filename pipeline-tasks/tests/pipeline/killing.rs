//! Worker processes that tests kill, and the programs of the field that they start, held at a
//! named moment.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use absurd_sdk::Client;
use absurd_test::{Database, eventually};
use pipeline_tasks::{io::Simulation, model::CatalogueSource};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::TestResult;

/// An observation, and a folder in which each place has its own.
pub(crate) struct Site {
    folder: TempDir,
    database: Database,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) group: String,
}

impl Site {
    pub(crate) async fn new() -> TestResult<Self> {
        let folder = tempfile::tempdir()?;
        let small = Simulation {
            antennas: 5,
            channels: 1,
            integrations: 2,
            ..Simulation::default()
        };
        let seen = small.write(&folder.path().join("probe"))?.into_iter();
        let known = |(number, source): (usize, pipeline_tasks::io::PointSource)| CatalogueSource {
            name: format!("S{number}"),
            position: source.position,
            flux: source.flux,
            spectral_index: 0.0,
        };
        let observed = Simulation {
            sky: seen.enumerate().map(known).collect(),
            ..small
        };
        let incoming = folder.path().join("incoming");
        observed.write(&incoming)?;
        let mut catalogue = "name,ra_deg,dec_deg,s1400_jy,spectral_index\n".to_owned();
        for source in &observed.sky {
            let (ra, dec) = (source.position.ra, source.position.dec);
            let place = format!("{},{}", ra.to_degrees().0, dec.to_degrees().0);
            let row = format!("{},{place},{},0\n", source.name, source.flux.0);
            catalogue.push_str(&row);
        }
        fs::write(folder.path().join("catalogue.csv"), catalogue)?;
        let files = fs::read_dir(&incoming)?.map(|entry| entry.map(|entry| entry.path()));
        Ok(Self {
            files: files.collect::<Result<_, _>>()?,
            folder,
            database: Database::start().await?,
            group: observed.group.to_string(),
        })
    }

    pub(crate) fn client(&self) -> &Client {
        self.database.client()
    }

    /// A place of its own.
    pub(crate) fn place(&self, name: &str) -> TestResult<Place<'_>> {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(folder.join("programs"))?;
        Ok(Place { site: self, folder })
    }
}

/// A folder of products, with programs of its own.
pub(crate) struct Place<'s> {
    pub(crate) site: &'s Site,
    folder: PathBuf,
}

impl Place<'_> {
    pub(crate) fn output(&self) -> PathBuf {
        self.folder.join("output")
    }

    pub(crate) fn work(&self, suffix: &str) -> PathBuf {
        let folder = self.output().join("work").join(&self.site.group);
        folder.join(format!("{}{suffix}", self.site.group))
    }

    /// A worker process; it dies with its handle.
    pub(crate) fn worker(&self, limit: &str) -> TestResult<Child> {
        let programs = self.folder.join("programs");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = [programs].into_iter().chain(std::env::split_paths(&path));
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipeline-worker"));
        command
            .args(["worker", "--lease", "2s"])
            .env("PATH", std::env::join_paths(path)?)
            .env("ABSURD_DATABASE_URL", self.site.database.url())
            .env("ABSURD_QUEUE_NAME", "default")
            .env("ABSURD_WORKER_CONCURRENCY", "1")
            .env("ABSURD_WORKER_POLL_INTERVAL_SEC", "0.1")
            .env("ABSURD_TASK_TIMEOUT_SEC", limit)
            .env(
                "PIPELINE_CATALOGUE",
                self.site.folder.path().join("catalogue.csv"),
            )
            .env("PIPELINE_OUTPUT_DIR", self.output())
            .kill_on_drop(true);
        Ok(command.spawn()?)
    }

    /// Puts a script of the program's name before the program: it notes its process, waits until
    /// it is let go, and becomes the program.
    pub(crate) fn hold(&self, program: &str) -> TestResult {
        let script = self.folder.join("programs").join(program);
        let (started, go) = (self.started(program), self.go(program));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let real = std::env::split_paths(&path).map(|folder| folder.join(program));
        let real = real.into_iter().find(|place| place.is_file());
        let real = real.ok_or_else(|| format!("{program} is not installed"))?;
        let text = format!(
            "#!/bin/sh\necho $$ >> {}\nwhile [ ! -e {} ]; do sleep 0.05; done\nexec {} \"$@\"\n",
            started.display(),
            go.display(),
            real.display()
        );
        fs::write(&script, text)?;
        Ok(fs::set_permissions(
            &script,
            fs::Permissions::from_mode(0o755),
        )?)
    }

    fn started(&self, program: &str) -> PathBuf {
        self.folder.join(format!("{program}.started"))
    }

    pub(crate) fn go(&self, program: &str) -> PathBuf {
        self.folder.join(format!("{program}.go"))
    }

    /// The processes that a held program ran as, once there are so many.
    pub(crate) async fn starts(&self, program: &str, count: usize) -> TestResult<Vec<i32>> {
        let place = self.started(program);
        let read = || fs::read_to_string(&place).unwrap_or_default();
        eventually("the program starts", async || {
            read().lines().count() >= count
        })
        .await?;
        Ok(read().lines().map(str::parse).collect::<Result<_, _>>()?)
    }

    /// The program has begun once more, and no oftener. `WSClean` also starts for looks at the
    /// point spread function.
    pub(crate) async fn check_began_again(&self, program: &str) -> TestResult {
        let starts = self.starts(program, 2).await?.len();
        assert!(
            starts == 2 || program == "wsclean",
            "{program} was started {starts} times"
        );
        Ok(())
    }
}

/// What is half-made in a folder or those in it.
pub(crate) fn parts_in(folder: &Path) -> TestResult<Vec<PathBuf>> {
    let mut parts = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') && name.ends_with(".part") {
            parts.push(path);
        } else if path.is_dir() {
            parts.extend(parts_in(&path)?);
        }
    }
    Ok(parts)
}

/// A process that is there and no zombie that nobody has waited for.
pub(crate) fn is_alive(process: i32) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat"));
    state.is_ok_and(|state| !state.contains(") Z "))
}
