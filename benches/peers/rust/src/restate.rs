//! Restate: its server, which keeps its own log and storage and needs no PostgreSQL, and the
//! crate `restate-sdk`. Server and service talk over HTTP, as they always do.

use std::{
    env,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use reqwest::Client;
use restate_sdk::prelude::*;
use serde_json::{Value, json};
use tokio::{
    process::{Child, Command},
    sync::watch,
    time::{Instant, sleep},
};

use crate::shared::{self, Executed, Moments, Order, Result};

// Tuning: the server's defaults, of which one matters: a thousand invocations at once. Its log
// is on disk when an answer returns, as it is by default.
const SETTINGS: &[(&str, &str)] = &[
    ("RESTATE_LOG_FILTER", "error"),
    ("RESTATE_DISABLE_TELEMETRY", "true"),
    ("RESTATE_LISTEN_MODE", "tcp"),
];
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const UNFINISHED: &str = "select count(*) as n from sys_invocation where status <> 'completed'";

/// The service; its handlers wait for the word to begin.
struct Peer {
    executed: Executed,
    moments: Moments,
    gate: watch::Receiver<bool>,
    parked: tokio::sync::mpsc::UnboundedSender<(usize, String)>,
}

impl Peer {
    async fn opened(&self) -> HandlerResult<()> {
        let mut gate = self.gate.clone();
        let opened = gate.wait_for(|open| *open).await;
        Ok(opened.map(drop).map_err(|_| TerminalError::new("closed"))?)
    }
}

#[restate_sdk::service]
impl Peer {
    #[handler]
    async fn nothing(&self, _ctx: Context<'_>, _number: u64) -> HandlerResult<()> {
        self.opened().await?;
        self.executed.one_more();
        Ok(())
    }

    #[handler]
    async fn steps(&self, ctx: Context<'_>, count: u64) -> HandlerResult<()> {
        self.opened().await?;
        for number in 0..count {
            ctx.run(async || Ok(shared::payload())).await?;
            self.moments.tell(index(number)?);
        }
        self.executed.one_more();
        Ok(())
    }

    #[handler]
    async fn begin(&self, _ctx: Context<'_>, number: u64) -> HandlerResult<()> {
        self.moments.tell(index(number)?);
        Ok(())
    }

    #[handler]
    async fn resume(&self, ctx: Context<'_>, number: u64) -> HandlerResult<()> {
        let (id, signal) = ctx.awakeable::<u64>();
        let _ = self.parked.send((index(number)?, id));
        signal.await?;
        self.moments.tell(index(number)?);
        Ok(())
    }
}

fn index(number: u64) -> HandlerResult<usize> {
    Ok(usize::try_from(number)?)
}

/// Measures.
pub(crate) async fn run(order: &Order) -> Result {
    shared::note("defaults, a thousand invocations at once").await?;
    let (executed, moments) = (Executed::of(order), Moments::new());
    let (open, gate) = watch::channel(false);
    let (parked, mut parkings) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start().await?;
    let service = Peer {
        executed: executed.clone(),
        moments: moments.clone(),
        gate,
        parked,
    };
    server.serve(service).await?;
    match order.workload.as_str() {
        "W1" => {
            let sender = server.sender();
            shared::from_clients(order, move |number| {
                let sender = sender.clone();
                async move { sender.send("nothing", number).await }
            })
            .await?;
        }
        "W3" | "W4" => {
            let (name, input) = match order.workload.as_str() {
                "W3" => ("nothing", 0),
                _ => ("steps", order.steps),
            };
            server.send_all(name, input, order).await?;
            shared::ready().await?;
            let begun = Instant::now();
            open.send_replace(true);
            executed.enough().await;
            server.recorded().await?;
            shared::rate(executed.count(), begun).await?;
        }
        "W5" => {
            open.send_replace(true);
            shared::ready().await?;
            server.sender().send("steps", order.steps).await?;
            shared::latencies(&moments.gaps(order.steps).await?).await?;
        }
        "W6" => {
            let sender = server.sender();
            shared::samples(order, async |number| {
                sender.send("begin", number).await?;
                moments.since(Instant::now(), number).await
            })
            .await?;
        }
        "W7" => {
            let sender = server.sender();
            let mut ids = vec![String::new(); order.pauses_ms.len()];
            for number in 0..ids.len() {
                sender.send("resume", number).await?;
            }
            for _ in 0..ids.len() {
                let (number, id) = parkings.recv().await.ok_or("no handler parked")?;
                ids[number] = id;
            }
            shared::samples(order, async |number| {
                sender.resolve(&ids[number], number).await?;
                moments.since(Instant::now(), number).await
            })
            .await?;
        }
        _ => shared::unknown(order)?,
    }
    server.stop().await
}

/// The server's process, with a folder of its own that goes with it.
struct Server {
    child: Child,
    folder: PathBuf,
    http: Client,
    ingress: String,
    admin: String,
}

/// What sends invocations, and a signal to one of them.
#[derive(Clone)]
struct Sender {
    http: Client,
    ingress: String,
}

impl Sender {
    async fn send(&self, handler: &str, input: usize) -> Result {
        let url = format!("{}/Peer/{handler}/send", self.ingress);
        self.post(url, input).await
    }

    async fn resolve(&self, awakeable: &str, value: usize) -> Result {
        let url = format!("{}/restate/awakeables/{awakeable}/resolve", self.ingress);
        self.post(url, value).await
    }

    async fn post(&self, url: String, body: usize) -> Result {
        let sent = self.http.post(url).json(&body).send().await?;
        sent.error_for_status()?.bytes().await?;
        Ok(())
    }
}

impl Server {
    async fn start() -> Result<Self> {
        let [ingress, admin, node] = [free_port()?, free_port()?, free_port()?];
        let folder = env::temp_dir().join(format!("restate-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let child = Command::new(program()?)
            .arg("--no-logo")
            .arg("--base-dir")
            .arg(&folder)
            // It leaves folders of its own there.
            .env("TMPDIR", &folder)
            .envs(SETTINGS.iter().copied())
            .env("RESTATE_INGRESS__BIND_PORT", ingress.to_string())
            .env("RESTATE_ADMIN__BIND_PORT", admin.to_string())
            .env("RESTATE_BIND_PORT", node.to_string())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let server = Self {
            child,
            folder,
            http: Client::new(),
            ingress: format!("http://127.0.0.1:{ingress}"),
            admin: format!("http://127.0.0.1:{admin}"),
        };
        server.wait_for(format!("{}/health", server.admin)).await?;
        server
            .wait_for(format!("{}/restate/health", server.ingress))
            .await?;
        Ok(server)
    }

    async fn wait_for(&self, url: String) -> Result {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let answer = self.http.get(&url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if Instant::now() > give_up {
                return Err(format!("{url} never answers").into());
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Serves the handlers, and tells the server where.
    async fn serve(&self, service: Peer) -> Result {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let endpoint = Endpoint::builder().bind(service).build();
        tokio::spawn(HttpServer::new(endpoint).listen_and_serve(address));
        let deployment = json!({ "uri": format!("http://{address}") });
        let url = format!("{}/deployments", self.admin);
        let made = self.http.post(url).json(&deployment).send().await?;
        made.error_for_status()?;
        Ok(())
    }

    fn sender(&self) -> Sender {
        Sender {
            http: self.http.clone(),
            ingress: self.ingress.clone(),
        }
    }

    async fn send_all(&self, name: &str, input: usize, order: &Order) -> Result {
        let sender = self.sender();
        let clients = (0..order.clients).map(|first| {
            let sender = sender.clone();
            async move {
                for _ in (first..order.tasks).step_by(order.clients) {
                    sender.send(name, input).await?;
                }
                Result::Ok(())
            }
        });
        futures::future::try_join_all(clients).await?;
        Ok(())
    }

    /// Waits until the server knows of no invocation that is under way.
    async fn recorded(&self) -> Result {
        let url = format!("{}/query", self.admin);
        loop {
            let query = self.http.post(&url).json(&json!({ "query": UNFINISHED }));
            let answer = query.header("accept", "application/json").send().await?;
            let answer: Value = answer.error_for_status()?.json().await?;
            if answer["rows"][0]["n"] == 0 {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn stop(mut self) -> Result {
        self.child.kill().await?;
        Ok(std::fs::remove_dir_all(&self.folder)?)
    }
}

/// The server's program: in the tools' folder of npm, beside the one that this program lies in.
fn program() -> Result<PathBuf> {
    let this = env::current_exe()?;
    let tools = this.ancestors().nth(3).unwrap_or(Path::new("/"));
    Ok(tools.join("node/node_modules/@restatedev/restate-server-linux-x64/bin/restate-server"))
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
