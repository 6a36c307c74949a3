//! A PostgreSQL server of our own: made, started, stopped, killed.

use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    error::TestError,
    programs::{as_server_user, cache_folder, folder, give_to_server_user, run},
};

/// Whether a commit is on disk when it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// As in production: for demos, benchmarks and data that is to stay.
    On,
    /// Faster; a crash of the machine, not of the server, loses everything. For tests.
    Off,
}

/// A running server with a superuser `postgres`.
#[derive(Debug)]
pub struct Postgres {
    place: Place,
    /// Removed with the server; absent where the data is to stay.
    _temporary: Option<TempDir>,
    stops: bool,
}

/// Where a server lives, and how to reach it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) programs: PathBuf,
    pub(crate) folder: PathBuf,
    port: u16,
    password: String,
}

impl Postgres {
    /// A server for this test alone, which it may stop and start. It goes with its handle.
    pub async fn private() -> Result<Self, TestError> {
        Self::private_with(Durability::Off).await
    }

    /// The same, and whether its commits are on disk when they return.
    pub async fn private_with(durability: Durability) -> Result<Self, TestError> {
        blocking(move || {
            let temporary = tempfile::Builder::new()
                .prefix("absurd-pg-")
                .tempdir()
                .map_err(TestError::file(std::env::temp_dir()))?;
            give_to_server_user(temporary.path())?;
            let place = Place::create(temporary.path(), durability)?;
            place.start()?;
            Ok(Self {
                place,
                _temporary: Some(temporary),
                stops: true,
            })
        })
        .await
    }

    /// A server whose data stays in a folder. It stops with the handle that started it; one that
    /// runs already is used as it is.
    pub async fn in_folder(folder: &Path, durability: Durability) -> Result<Self, TestError> {
        let folder = folder.to_owned();
        blocking(move || {
            fs::create_dir_all(&folder).map_err(TestError::file(&folder))?;
            give_to_server_user(&folder)?;
            let place = match Place::read(&folder)? {
                Some(place) => place,
                None => Place::create(&folder, durability)?,
            };
            let stops = !place.is_running();
            if stops {
                place.start()?;
            }
            Ok(Self {
                place,
                _temporary: None,
                stops,
            })
        })
        .await
    }

    /// The user's own server in the cache folder, for programs that were told of no database.
    pub async fn personal() -> Result<Self, TestError> {
        Self::in_folder(&cache_folder("absurd"), Durability::On).await
    }

    /// The URL of one of its databases, for the superuser. It holds the password.
    pub fn url(&self, database: &str) -> String {
        self.place.url(database)
    }

    /// Stops it as a crash would: no checkpoint, no goodbye to anybody.
    pub async fn stop_immediately(&self) -> Result<(), TestError> {
        let place = self.place.clone();
        blocking(move || place.stop("immediate")).await
    }

    /// Stops it in good order, for settings that are read at the start only.
    pub async fn stop(&self) -> Result<(), TestError> {
        let place = self.place.clone();
        blocking(move || place.stop("fast")).await
    }

    /// Starts it again, on the same port.
    pub async fn start(&self) -> Result<(), TestError> {
        let place = self.place.clone();
        blocking(move || place.start()).await
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.stops {
            // One that is stopped already says so; nothing is left to do then.
            let _ = self.place.stop("fast");
        }
    }
}

impl Place {
    /// Makes the data folder, with a free port and a password of its own.
    pub(crate) fn create(folder: &Path, durability: Durability) -> Result<Self, TestError> {
        let programs = self::folder()?;
        let data = folder.join("data");
        if data.exists() {
            // Left by a process that died half-way.
            fs::remove_dir_all(&data).map_err(TestError::file(&data))?;
        }
        let password = Uuid::new_v4().simple().to_string();
        let password_file = folder.join("password");
        write_private(&password_file, &password)?;
        give_to_server_user(&password_file)?;
        let mut initdb = as_server_user(&programs.join("initdb"));
        initdb
            .args([
                "--username=postgres",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ])
            .args(["--auth=scram-sha-256", "--pwfile"])
            .arg(&password_file)
            .arg("--pgdata")
            .arg(&data);
        run("initdb", &mut initdb)?;
        fs::remove_file(&password_file).map_err(TestError::file(&password_file))?;
        let socket = TcpListener::bind(("127.0.0.1", 0)).map_err(TestError::file("127.0.0.1"))?;
        let port = socket
            .local_addr()
            .map_err(TestError::file("127.0.0.1"))?
            .port();
        drop(socket);
        let settings = match durability {
            Durability::On => "",
            Durability::Off => "fsync = off\nfull_page_writes = off\n",
        };
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\n\
             max_connections = 300\nmax_wal_size = 2GB\n{settings}"
        );
        let file = data.join("postgresql.auto.conf");
        fs::write(&file, settings).map_err(TestError::file(&file))?;
        give_to_server_user(&file)?;
        let file = folder.join("connection");
        write_private(&file, &format!("{port}\n{password}\n"))?;
        Ok(Self {
            programs,
            folder: folder.to_owned(),
            port,
            password,
        })
    }

    /// The server of a folder, if one was made there.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, TestError> {
        let Ok(connection) = fs::read_to_string(folder.join("connection")) else {
            return Ok(None);
        };
        let mut lines = connection.lines();
        let port = lines.next().and_then(|port| port.parse().ok());
        let (Some(port), Some(password)) = (port, lines.next()) else {
            return Ok(None);
        };
        Ok(Some(Self {
            programs: self::folder()?,
            folder: folder.to_owned(),
            port,
            password: password.to_owned(),
        }))
    }

    pub(crate) fn url(&self, database: &str) -> String {
        let Self { port, password, .. } = self;
        format!("postgresql://postgres:{password}@127.0.0.1:{port}/{database}")
    }

    pub(crate) fn start(&self) -> Result<(), TestError> {
        let mut start = self.pg_ctl("start");
        start
            .arg("-w")
            .arg("-l")
            .arg(self.folder.join("data/server.log"));
        run("pg_ctl start", &mut start)
    }

    pub(crate) fn is_running(&self) -> bool {
        run("pg_ctl status", &mut self.pg_ctl("status")).is_ok()
    }

    fn stop(&self, mode: &str) -> Result<(), TestError> {
        let mut stop = self.pg_ctl("stop");
        stop.args(["-w", "-m", mode]);
        run("pg_ctl stop", &mut stop)
    }

    fn pg_ctl(&self, action: &str) -> Command {
        let mut command = as_server_user(&self.programs.join("pg_ctl"));
        command.arg(action).arg("-D").arg(self.folder.join("data"));
        command
    }
}

/// Writes a file that nobody else can read.
fn write_private(path: &Path, text: &str) -> Result<(), TestError> {
    let file = fs::File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(TestError::file(path))
}

/// Runs what waits for programs and files where that disturbs nobody.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TestError> + Send + 'static,
) -> Result<T, TestError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| TestError::Thread)?
}
