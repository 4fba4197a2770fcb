//! The daemon as a whole: the only file that knows all parts. Starts them in order, says where it
//! listens once it does, stops them in order. Must not know the command line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use steelyard_core::hash::NetworkId;
use steelyard_core::params::Params;
use steelyard_runtime::dirs::create_private;
use steelyard_runtime::exit::{CliError, ExitCode};
use steelyard_runtime::lock::FolderLock;
use steelyard_runtime::{clock, ready, version};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::desk::{Desk, WalletAtStart};
use crate::intent::WalletName;
use crate::keystore::{KdfCost, Keystore};
use crate::light::{self, Light, LightConfig, Wanted};
use crate::limits::{NODES_MAX, WALLETS_MAX};
use crate::rpc::socket::{self, Places};
use crate::rpc::{self, AddNodes, NotAdded, RpcState, RpcTimes, Wake, keystore_file};
use crate::store::{STORE_FOLDER, Store, StoreError};

/// The program's name, as its folder's lock says it.
pub const PROGRAM: &str = "steelyard-wallet";
/// What the running daemon says about itself, inside its folder: how its commands find it.
pub const DAEMON_FILE: &str = "daemon.json";
/// Folder of keystores inside the daemon's folder.
pub const WALLETS_FOLDER: &str = "wallets";
/// Ending of a keystore's name.
const KEYSTORE_ENDING: &str = "keys";
/// A stop takes no longer: what is acknowledged is durable already.
const STOP_MAX: Duration = Duration::from_millis(4_500);
/// Requests in progress have so long to be answered.
const SERVER_STOP_MAX: Duration = Duration::from_millis(500);

/// Time between two looks whether the desk still runs.
const FAILED_POLL: Duration = Duration::from_millis(100);

/// How to run.
#[derive(Clone, Debug)]
pub struct DaemonConfig {
    /// The network.
    pub params: Params,
    /// The daemon's folder.
    pub data_dir: PathBuf,
    /// The nodes to talk to, at most `NODES_MAX`.
    pub nodes: Vec<SocketAddr>,
    /// Written once all is listening.
    pub ready_file: Option<PathBuf>,
}

/// What the ready file and [`DAEMON_FILE`] hold.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ready {
    /// The process.
    pub pid: u32,
    /// The socket that it listens at.
    pub socket: PathBuf,
    /// The network's name.
    pub network: String,
    /// The network's id.
    pub network_id: NetworkId,
    /// The daemon's folder.
    pub data_dir: PathBuf,
    /// The program's version.
    pub version: String,
    /// The nodes that it was started with.
    pub nodes: Vec<SocketAddr>,
}

/// A daemon that runs.
pub struct Daemon {
    /// The door to the wallets.
    pub desk: Desk,
    /// What it said about itself.
    pub ready: Ready,
    /// How long it took to start.
    pub ready_in: Duration,
    shutdown: CancellationToken,
    stop: CancellationToken,
    writer: JoinHandle<Result<(), StoreError>>,
    light: Arc<Light>,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
    _lock: FolderLock,
}

impl Daemon {
    /// Starts everything.
    ///
    /// # Errors
    /// [`CliError`] with the exit code that the cause has: folder in use, damage, usage.
    pub async fn start(config: DaemonConfig) -> Result<Self, CliError> {
        let started = clock::start();
        let nodes = distinct(&config.nodes)?;
        create_private(&config.data_dir).map_err(|error| cannot("create", &config.data_dir, &error))?;
        let lock = FolderLock::acquire(&config.data_dir, PROGRAM)?;
        let data_dir =
            config.data_dir.canonicalize().map_err(|error| cannot("find", &config.data_dir, &error))?;
        // Before the store: what is wrong with the socket's folder is found in no time.
        let places = Places::of_this_process()?;
        let path = socket::path_for(&data_dir, &places)?;
        let (params, folder) = (config.params.clone(), data_dir.clone());
        let (store, wallets) = tokio::task::spawn_blocking(move || open(&params, &folder))
            .await
            .map_err(|_| CliError::other("open", "opening the wallets ended early"))??;
        let (wanted, asked) = watch::channel(Arc::new(Wanted::default()));
        let (desk, writer) = Desk::start(config.params.clone(), store, wallets, wanted)?;
        let shutdown = CancellationToken::new();
        let following = LightConfig { params: config.params.clone(), nodes: nodes.clone() };
        let light = Arc::new(light::start(following, asked, desk.events(), shutdown.clone()));
        let ready = describe(&config.params, &desk, (data_dir, path, nodes));
        let stop = CancellationToken::new();
        let opened = socket::listen(&ready.socket, places.uid).map_err(CliError::from).and_then(|listener| {
            let server = rpc::serve(listener, state(&desk, &ready, &light, &stop), shutdown.clone());
            let server = tokio::spawn(server);
            write_ready(&ready, config.ready_file.as_deref()).map(|()| server)
        });
        let server = match opened {
            Ok(server) => server,
            Err(error) => {
                shutdown.cancel();
                desk.stop().await;
                return Err(error);
            }
        };
        let ready_in = started.elapsed();
        Ok(Self { desk, ready, ready_in, shutdown, stop, writer, light, server, _lock: lock })
    }

    /// Waits until the desk ends by itself, which only a failing store makes it do, or the socket is
    /// served no longer.
    pub async fn failed(&self) {
        while !self.writer.is_finished() && !self.server.is_finished() {
            tokio::time::sleep(FAILED_POLL).await;
        }
    }

    /// Waits until the daemon has to end: a command asked it to, or it [`failed`](Self::failed).
    pub async fn ended(&self) {
        tokio::select! {
            () = self.failed() => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Stops in order: no new requests, the link, the desk; then the socket and [`DAEMON_FILE`] go.
    /// Does not wait for sled's own close: everything acknowledged is durable. What does not end in
    /// time is left to the process's exit.
    ///
    /// # Errors
    /// The store's failure, if it was that which stopped the daemon, or what else did.
    pub async fn stop(self) -> Result<(), CliError> {
        let deadline = clock::start() + STOP_MAX;
        let by_itself = self.writer.is_finished() || self.server.is_finished();
        self.shutdown.cancel();
        // Requests that are slower than this lose nothing but their answer.
        let _ = tokio::time::timeout(SERVER_STOP_MAX, self.server).await;
        let ending = async {
            if let Ok(light) = Arc::try_unwrap(self.light) {
                light.stopped().await;
            }
            self.desk.stop().await;
        };
        let _ = tokio::time::timeout_at(deadline.into(), ending).await;
        wait_until(deadline, || self.writer.is_finished()).await;
        // Stale ones are harmless: who tries them finds nobody there. Ours until the lock is gone.
        let _ = std::fs::remove_file(&self.ready.socket);
        let _ = std::fs::remove_file(self.ready.data_dir.join(DAEMON_FILE));
        if !self.writer.is_finished() {
            return Ok(());
        }
        match self.writer.join() {
            Ok(Ok(())) if by_itself => {
                Err(CliError::other("ended_early", "a part of the daemon ended early"))
            }
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(CliError::other("desk_thread", "the desk ended early")),
        }
    }
}

/// Each node once.
fn distinct(nodes: &[SocketAddr]) -> Result<Vec<SocketAddr>, CliError> {
    let mut distinct: Vec<SocketAddr> = Vec::new();
    for node in nodes {
        if !distinct.contains(node) {
            distinct.push(*node);
        }
    }
    if distinct.len() > NODES_MAX {
        let message = format!("{} nodes where {NODES_MAX} is the most", distinct.len());
        return Err(CliError::usage("too_many_nodes", message));
    }
    Ok(distinct)
}

/// Opens the keystores and the store. Blocks.
fn open(params: &Params, data_dir: &Path) -> Result<(Store, Vec<WalletAtStart>), CliError> {
    let folder = data_dir.join(WALLETS_FOLDER);
    create_private(&folder).map_err(|error| cannot("create", &folder, &error))?;
    let network = params.network_id();
    let mut wallets = Vec::new();
    for name in names(&folder)? {
        wallets.push(open_wallet(&folder, name, network)?);
    }
    let store = Store::open(&data_dir.join(STORE_FOLDER), &network)?;
    Ok((store, wallets))
}

/// The wallets that have a keystore here, in order. Files on their way to a name are hidden.
fn names(folder: &Path) -> Result<Vec<WalletName>, CliError> {
    let failed = |error| cannot("read", folder, &error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_keystore = path.extension().is_some_and(|ending| ending == KEYSTORE_ENDING);
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if !is_keystore || stem.starts_with('.') {
            continue;
        }
        let name = stem.parse().map_err(|error| {
            let message = format!("{} is no wallet's name: {error}", path.display());
            CliError::usage("invalid_wallet_name", message).with_hint("rename the file, or move it away")
        })?;
        names.push(name);
    }
    if names.len() > WALLETS_MAX {
        let message = format!("{} has {} wallets, {WALLETS_MAX} at most", folder.display(), names.len());
        return Err(CliError::refused("too_many_wallets", message));
    }
    names.sort();
    Ok(names)
}

fn open_wallet(folder: &Path, name: WalletName, network: NetworkId) -> Result<WalletAtStart, CliError> {
    let file = keystore_file(folder, &name);
    let keystore = Keystore::open(&file)?;
    if keystore.network() != network {
        let message = format!("{} is of network {}, not {network}", file.display(), keystore.network());
        return Err(CliError::usage("other_network", message)
            .with_hint("give another --data-dir, or the --network that this wallet was made for"));
    }
    let keys = if keystore.is_encrypted() { None } else { Some(keystore.unlock(None)?) };
    Ok(WalletAtStart { name, keystore, keys })
}

fn describe(params: &Params, desk: &Desk, at: (PathBuf, PathBuf, Vec<SocketAddr>)) -> Ready {
    let (data_dir, socket, nodes) = at;
    Ready {
        pid: std::process::id(),
        socket,
        network: params.name.clone(),
        network_id: desk.shared.network,
        data_dir,
        version: version::VERSION.to_owned(),
        nodes,
    }
}

fn state(desk: &Desk, ready: &Ready, light: &Arc<Light>, stop: &CancellationToken) -> RpcState {
    // Weak: who serves does not keep the link from ending.
    let link = Arc::downgrade(light);
    let add_nodes: AddNodes = Arc::new(move |nodes| {
        let light = link.upgrade().ok_or(NotAdded::Stopped)?;
        light.add_nodes(nodes).map_err(|_| NotAdded::TooMany)
    });
    let link = Arc::downgrade(light);
    let wake: Wake = Arc::new(move || {
        if let Some(light) = link.upgrade() {
            light.wake();
        }
    });
    RpcState {
        desk: desk.clone(),
        nodes: ready.nodes.clone(),
        add_nodes,
        wake,
        data_dir: ready.data_dir.clone(),
        wallets_dir: ready.data_dir.join(WALLETS_FOLDER),
        kdf_cost: KdfCost::default(),
        times: RpcTimes::default(),
        stop: stop.clone(),
    }
}

fn write_ready(ready: &Ready, ready_file: Option<&Path>) -> Result<(), CliError> {
    let own = ready.data_dir.join(DAEMON_FILE);
    for file in std::iter::once(own.as_path()).chain(ready_file) {
        ready::write_json(file, ready).map_err(|error| cannot("write", file, &error))?;
    }
    Ok(())
}

fn cannot(verb: &str, path: &Path, error: &std::io::Error) -> CliError {
    CliError::new(ExitCode::Other, "io", format!("cannot {verb} {}: {error}", path.display()))
}

async fn wait_until(deadline: Instant, done: impl Fn() -> bool) {
    while !done() && clock::start() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[cfg(test)]
mod tests;
