//! The node as a whole: the only file that knows all parts. Starts them in order, writes the ready
//! file once all is listening, stops them in order. Must not know the command line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use steelyard_core::hash::{BlockId, NetworkId};
use steelyard_core::params::{Genesis, Params};
use steelyard_runtime::dirs::create_private;
use steelyard_runtime::exit::CliError;
use steelyard_runtime::lock::FolderLock;
use steelyard_runtime::{clock, ready, token, words};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::opening::{Opening, gate};
use crate::api::{self, ApiState};
use crate::chain::load::{self, Loaded};
use crate::chain::view::Ticks;
use crate::chain::{Chain, error::LoadError};
use crate::disk::{self, DiskLimits};
use crate::finder::{Finder, FinderLimits, INDEX_FOLDER};
use crate::limits::DISK_STOP_BYTES;
use crate::mark::Keeper;
use crate::memory;
use crate::miner::{self, MinerConfig, MinerStatus};
use crate::net;
use crate::peers::{self, Peers, PeersConfig, StartError};
pub use crate::store::PROGRAM;
use crate::store::log::StoredTip;
use crate::store::{STORE_FOLDER, Store, StoreError};

/// What the running node says about itself, inside its folder: how its own commands find it.
pub const NODE_FILE: &str = "node.json";
/// The operator's token, inside the node's folder.
pub const TOKEN_FILE: &str = "api.token";
/// What to do when the API's port is taken…
const API_TAKEN: &str =
    "another node may run there: steelyard-node status; or take a free port: --api 127.0.0.1:0";
/// …and when that for nodes and wallets is.
const P2P_TAKEN: &str =
    "another node may run there: steelyard-node status; or take a free port: --listen 127.0.0.1:0";
/// What to do about a store that others' blocks alone can mend.
const ANEW: &str =
    "take the chain from other nodes again: an empty --data-dir, or steelyard-node dev --fresh";
/// A stop takes no longer: what is acknowledged is durable already.
const STOP_MAX: Duration = Duration::from_millis(4_500);

/// How to run.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The network.
    pub params: Params,
    /// The node's folder.
    pub data_dir: PathBuf,
    /// Where the API listens; port 0 picks one.
    pub api: SocketAddr,
    /// Where nodes and wallets connect; port 0 picks one.
    pub listen: SocketAddr,
    /// Nodes to stay connected to.
    pub connect: Vec<SocketAddr>,
    /// Whether nodes are dialled that nobody named, and addresses asked for and told.
    pub discover: bool,
    /// Bodies of so many blocks are kept, at least; `None` for all.
    pub prune: Option<u64>,
    /// Whether transactions, histories and assets can be looked up.
    pub index: bool,
    /// Mines, if told to.
    pub miner: Option<MinerConfig>,
    /// Free bytes of the disk below which something is done.
    pub disk: DiskLimits,
    /// Written once all is listening.
    pub ready_file: Option<PathBuf>,
}

/// What the ready file holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ready {
    /// The process.
    pub pid: u32,
    /// Where nodes and wallets connect.
    pub p2p: SocketAddr,
    /// Where the API listens.
    pub api: SocketAddr,
    /// The network's name.
    pub network: String,
    /// The network's id.
    pub network_id: NetworkId,
    /// The node's folder.
    pub data_dir: PathBuf,
    /// The operator's token.
    pub token_file: PathBuf,
    /// Height of the tip at start.
    pub height: u64,
    /// The tip at start.
    pub tip: BlockId,
}

/// What serves others: the API and the framed protocol.
type Servers = (tokio::task::JoinHandle<std::io::Result<()>>, tokio::task::JoinHandle<()>);

/// A node that runs.
pub struct Node {
    /// The door to the chain.
    pub chain: Chain,
    /// The index of the chain.
    pub finder: Arc<Finder>,
    /// The door to the peers.
    pub peers: Peers,
    /// What it said about itself.
    pub ready: Ready,
    /// How long it took to open the store and prove its state.
    pub opened_in: Duration,
    /// How long it took in all.
    pub ready_in: Duration,
    /// Whether the state had to be rebuilt from the blocks.
    pub rebuilt: bool,
    shutdown: CancellationToken,
    writer: JoinHandle<Result<(), StoreError>>,
    others: Vec<JoinHandle<()>>,
    mark: Arc<Keeper>,
    servers: Servers,
    _lock: FolderLock,
}

impl Node {
    /// Starts everything.
    ///
    /// # Errors
    /// [`CliError`] with the exit code that the cause has: folder or port in use, damage, usage.
    pub async fn start(config: NodeConfig) -> Result<Self, CliError> {
        let started = clock::start();
        create_private(&config.data_dir).map_err(|error| cannot("create", &config.data_dir, &error))?;
        let lock = FolderLock::acquire(&config.data_dir, PROGRAM)?;
        // The ports before the store: the commonest mistake is found in no time.
        let (api_listener, api) = listen(config.api, API_TAKEN).await?;
        let (p2p_listener, p2p) = listen(config.listen, P2P_TAKEN).await?;
        let data_dir = config.data_dir.canonicalize().unwrap_or_else(|_| config.data_dir.clone());
        let shutdown = CancellationToken::new();
        let genesis = genesis_of(&config.params).await?;
        let opening = Arc::new(Opening::new(&config.params, &genesis, api));
        let served = tokio::spawn(api::serve(api_listener, gate(Arc::clone(&opening)), shutdown.clone()));
        let (store, loaded) = load_store(&config, &data_dir, (genesis, &opening)).await?;
        let (opened_in, rebuilt) = (started.elapsed(), loaded.rebuilt);
        let thread = |error: std::io::Error| CliError::other("thread", error.to_string());
        let (chain, writer) = Chain::start(loaded, store).map_err(thread)?;
        // Before anybody who asks how much room there is.
        let (disk, watching) = disk::start(&chain.shared, &data_dir, config.disk).map_err(thread)?;
        let mark = Arc::new(Keeper::open(&data_dir, &chain.shared));
        let marking = mark.start().map_err(thread)?;
        let (ticks, ticking) = net::ticks::start(&chain.shared).map_err(thread)?;
        let giving_back = memory::start(&chain.shared).map_err(thread)?;
        let mut others = vec![watching, marking, ticking, giving_back];
        let (finder, keeping) = start_index(&config, &chain).map_err(thread)?;
        others.extend(keeping);
        let token_file = config.data_dir.join(TOKEN_FILE);
        let token = token::create(&token_file).map_err(|error| cannot("write", &token_file, &error))?;
        let (miner, threads) = start_miner(&config, &chain).map_err(thread)?;
        others.extend(threads);
        let stopping = (ticks.clone(), shutdown.clone());
        let started_peers = start_peers(&config, (&chain, &finder), p2p.port(), stopping)?;
        others.extend(started_peers.threads);
        opening.opened(ApiState {
            chain: chain.clone(),
            finder: Arc::clone(&finder),
            miner,
            peers: started_peers.peers.clone(),
            disk,
            mark: Arc::clone(&mark),
            token: token.into(),
            data_dir: data_dir.into(),
            bound: api,
        });
        let asked = (chain.clone(), Arc::clone(&finder));
        let net = net::serve(p2p_listener, asked, started_peers.entrance, ticks, shutdown.clone());
        let servers = (served, tokio::spawn(net));
        let ready = describe(&config, &chain, (api, p2p), token_file);
        write_ready(&config, &ready)?;
        let ready_in = started.elapsed();
        Ok(Self {
            chain,
            finder,
            peers: started_peers.peers,
            ready,
            opened_in,
            ready_in,
            rebuilt,
            shutdown,
            writer,
            others,
            mark,
            servers,
            _lock: lock,
        })
    }

    /// Waits until the chain thread ends by itself, which only a failing store makes it do.
    pub async fn failed(&self) {
        while !self.writer.is_finished() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Stops in order: no new requests, miners, chain thread. Does not wait for sled's own close:
    /// everything acknowledged is durable. What does not end in time is left to the process's exit.
    ///
    /// # Errors
    /// The store's failure, if it was that which stopped the node.
    pub async fn stop(self) -> Result<(), CliError> {
        let deadline = clock::start() + STOP_MAX;
        self.shutdown.cancel();
        self.chain.stop();
        wait_until(deadline, || self.others.iter().all(JoinHandle::is_finished)).await;
        wait_until(deadline, || self.writer.is_finished()).await;
        let left = deadline.saturating_duration_since(clock::start());
        // Requests that are slower than this lose nothing but their answer.
        let served = async { tokio::join!(self.servers.0, self.servers.1) };
        let _ = tokio::time::timeout(left.min(Duration::from_millis(500)), served).await;
        // The commits of the last moments are marked too. A disk that hangs is not waited for.
        let left = deadline.saturating_duration_since(clock::start());
        let _ = tokio::time::timeout(left, tokio::task::spawn_blocking(move || self.mark.save())).await;
        // A stale file is harmless: who reads it finds nobody there.
        let _ = std::fs::remove_file(self.ready.data_dir.join(NODE_FILE));
        if !self.writer.is_finished() {
            return Ok(());
        }
        match self.writer.join() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(store_failed(error, &self.ready.data_dir)),
            Err(_) => Err(CliError::other("chain_thread", "the chain thread ended early")),
        }
    }
}

/// Opens and loads a store. Blocks.
///
/// # Errors
/// [`CliError`] with the exit code of the cause.
pub fn open(params: Params, data_dir: &Path) -> Result<(Arc<Store>, Loaded), CliError> {
    let genesis = params.genesis();
    open_and_tell(params, genesis, data_dir, |_| ())
}

/// [`open`] for who has computed the network's genesis, and wants to know the last block as soon as
/// sled is open.
fn open_and_tell(
    params: Params,
    genesis: Genesis,
    data_dir: &Path,
    found: impl FnOnce(Option<StoredTip>),
) -> Result<(Arc<Store>, Loaded), CliError> {
    let store = Store::open(&data_dir.join(STORE_FOLDER), &genesis.id.into())?;
    found(store.tip().map_err(|error| load_error(error.into()))?);
    let loaded = load::load_from(params, genesis, &store).map_err(load_error)?;
    Ok((Arc::new(store), loaded))
}

/// The network's genesis, away from the async threads: with many allocations it takes long.
async fn genesis_of(params: &Params) -> Result<Genesis, CliError> {
    let params = params.clone();
    let made = tokio::task::spawn_blocking(move || params.genesis()).await;
    made.map_err(|_| CliError::other("genesis", "computing the network's genesis ended early"))
}

/// Opens and loads the store, away from the async threads.
async fn load_store(
    config: &NodeConfig,
    data_dir: &Path,
    (genesis, opening): (Genesis, &Arc<Opening>),
) -> Result<(Arc<Store>, Loaded), CliError> {
    let (params, folder, told) = (config.params.clone(), data_dir.to_path_buf(), Arc::clone(opening));
    let open = move || open_and_tell(params, genesis, &folder, |tip| told.found(tip));
    let opened = tokio::task::spawn_blocking(open).await;
    let (store, loaded) =
        opened.map_err(|_| CliError::damaged("open", "opening the store ended early"))??;
    Ok((store, Loaded { prune: config.prune, ..loaded }))
}

/// The miner's figures and how many threads it has, where it mines.
type Mining = Option<(Arc<MinerStatus>, usize)>;

fn start_miner(config: &NodeConfig, chain: &Chain) -> std::io::Result<(Mining, Vec<JoinHandle<()>>)> {
    let Some(miner) = &config.miner else { return Ok((None, Vec::new())) };
    let (status, threads) = miner::start(chain, miner)?;
    Ok((Some((status, threads.len())), threads))
}

fn start_peers(
    config: &NodeConfig,
    (chain, finder): (&Chain, &Arc<Finder>),
    port: u16,
    (ticks, stopping): (watch::Receiver<Ticks>, CancellationToken),
) -> Result<peers::Started, StartError> {
    // Addresses can be had again; the chain does not depend on them.
    let kept = chain.store.peers().unwrap_or_else(|error| {
        tracing::warn!(%error, "the addresses of peers in the store are not used");
        None
    });
    let config = PeersConfig {
        connect: config.connect.clone(),
        discover: config.discover,
        port,
        prunes: config.prune.is_some(),
    };
    peers::start((chain, finder), &config, kept, ticks, stopping)
}

/// Starts the index, if there is to be one; it opens its store by itself.
fn start_index(config: &NodeConfig, chain: &Chain) -> std::io::Result<(Arc<Finder>, Option<JoinHandle<()>>)> {
    if !config.index {
        return Ok((Finder::off(), None));
    }
    let folder = config.data_dir.join(INDEX_FOLDER);
    let (finder, keeping) = Finder::start(chain, &folder, FinderLimits::NODE)?;
    Ok((finder, Some(keeping)))
}

/// A store that opens but does not hold a chain, with what to do.
#[must_use]
pub fn load_error(error: LoadError) -> CliError {
    let hint = "steelyard-node repair keeps what is right; steelyard-node verify --full names the damage";
    match error {
        LoadError::Store(error) => CliError::from(error).with_hint(hint),
        LoadError::Rule { .. } => CliError::damaged("stored_block", error.to_string()).with_hint(hint),
        LoadError::Pruned { .. } | LoadError::PrunedState { .. } => {
            CliError::damaged("pruned", error.to_string()).with_hint(ANEW)
        }
    }
}

/// The failure that ended the chain thread, with the folder that it concerns and what to do.
fn store_failed(error: StoreError, data_dir: &Path) -> CliError {
    let error = CliError::from(error);
    let message = format!("{}, in {}", error.message, data_dir.display());
    let hint = (error.code == "disk_full").then(|| {
        let needed = words::bytes(DISK_STOP_BYTES);
        format!("nothing that was acknowledged is lost; free {needed} or more on that disk and start again")
    });
    CliError { message, hint: hint.or(error.hint.clone()), ..error }
}

/// Listens, and says where: with `taken` for a hint where somebody else does.
async fn listen(address: SocketAddr, taken: &str) -> Result<(TcpListener, SocketAddr), CliError> {
    let listener = TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            CliError::in_use("port_in_use", format!("{address} is in use")).with_hint(taken)
        }
        _ => CliError::usage("listen", format!("cannot listen on {address}: {error}")),
    })?;
    let bound = listener.local_addr().map_err(|error| CliError::other("listen", error.to_string()))?;
    Ok((listener, bound))
}

fn describe(
    config: &NodeConfig,
    chain: &Chain,
    (api, p2p): (SocketAddr, SocketAddr),
    token_file: PathBuf,
) -> Ready {
    let view = chain.shared.read();
    let absolute = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    Ready {
        pid: std::process::id(),
        p2p,
        api,
        network: config.params.name.clone(),
        network_id: chain.shared.network,
        data_dir: absolute(&config.data_dir),
        token_file: absolute(&token_file),
        height: view.tip().header.height,
        tip: view.tip().id,
    }
}

fn write_ready(config: &NodeConfig, ready: &Ready) -> Result<(), CliError> {
    let own = config.data_dir.join(NODE_FILE);
    for file in std::iter::once(&own).chain(&config.ready_file) {
        ready::write_json(file, ready).map_err(|error| cannot("write", file, &error))?;
    }
    Ok(())
}

impl From<StartError> for CliError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Thread(_) => Self::other("thread", error.to_string()),
            StartError::Address { .. } => Self::usage("connect", error.to_string()),
        }
    }
}

fn cannot(verb: &str, path: &Path, error: &std::io::Error) -> CliError {
    CliError::other("io", format!("cannot {verb} {}: {error}", path.display()))
}

async fn wait_until(deadline: Instant, done: impl Fn() -> bool) {
    while !done() && clock::start() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
