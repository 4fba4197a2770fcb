//! Other nodes: who is connected and who is dialled, what is asked of them and told to them. One
//! thread owns every decision (`hub`); what to decide is in machines without sockets, [`crate::sync`]
//! for blocks, `relay` for transactions, `book` for addresses. Must not know HTTP or light clients.
//!
//! | file | what |
//! |---|---|
//! | `hub` | the thread: events in, machines asked, actions out |
//! | `session` | one connection: reads, writes, serves what it is asked |
//! | `ledger` | what one peer was asked for |
//! | `serve` | answers to other nodes |
//! | `submitter` | blocks on their way to the chain thread |
//! | `chain` | what sync and relay read of the chain |
//! | `relay` | which transactions to tell and to ask for |
//! | `book` | addresses: whom to dial, whom never |

mod book;
mod chain;
mod hub;
mod ledger;
mod relay;
mod serve;
mod session;
mod submitter;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use steelyard_core::hash::{BlockId, TxId};
use steelyard_core::wire::{self, Hello, PROTOCOL_VERSION, Role, Text, hello};
use steelyard_runtime::link::Link;
use steelyard_runtime::version;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use self::book::Book;
use self::hub::{Hub, Inputs};
use self::relay::TxVerdict;
use self::session::{Context, End, Weight};
use crate::chain::Chain;
use crate::chain::error::{Accepted, BlockError, ChainError};
use crate::chain::view::{Shared, Ticks};
use crate::finder::Finder;
use crate::limits::{
    NET_WRITE_MS, PEERS_COMMANDS_MAX, PEERS_EVENT_KIB_MAX, PEERS_EVENTS_MAX, PEERS_WORKERS_MAX, PRUNE_MARGIN,
};
use crate::lookup::workers::Workers;
use crate::store::PROGRAM;
use crate::sync::{PeerId, PeerMessage, SyncStatus};

/// The thread that decides. A fault of ours in it ends the process: a node that hears nothing must
/// not look alive.
pub const THREAD: &str = "peers";
/// The thread that waits for the chain's word on blocks. As [`THREAD`].
pub const SUBMITTER_THREAD: &str = "submitter";

/// A connected peer, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// Names the connection; never given to another one.
    pub id: PeerId,
    /// The other end: of an outbound connection where it listens, else where it called from.
    pub address: SocketAddr,
    /// Whether this node has dialled.
    pub is_outbound: bool,
    /// Whether it was named by hand.
    pub is_manual: bool,
    /// Program and version, as it says. Visible ASCII.
    pub agent: String,
    /// Height of its tip, as far as known.
    pub height: u64,
    /// Since when, unix ms.
    pub since: u64,
    /// The last answer to a ping took so long, ms.
    pub ping_ms: Option<u64>,
    /// Bytes of frames received.
    pub bytes_in: u64,
    /// Bytes of frames sent.
    pub bytes_out: u64,
}

/// Whose connections are refused and who is not dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Whose. Never this machine's own.
    pub ip: IpAddr,
    /// Until when, unix ms; 0 for until the operator says otherwise.
    pub until: u64,
    /// Stable name, snake_case: what it did, or `operator`.
    pub code: String,
}

/// Everything that is shown of peers.
#[derive(Clone, Debug, Default)]
pub struct PeersStatus {
    /// Connected, by id.
    pub peers: Vec<PeerInfo>,
    /// Addresses named by hand, connected or not.
    pub manual: Vec<SocketAddr>,
    /// Addresses known in all.
    pub known: usize,
    /// Bans, by address.
    pub bans: Vec<Ban>,
    /// How far sync is.
    pub sync: SyncStatus,
    /// Peers that came and went, numbered from 1 on, the last [`crate::limits::PEERS_NEWS_MAX`] of them.
    pub news: Vec<(u64, String)>,
}

/// Why a command about peers was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeersError {
    /// Too many commands wait.
    #[error("the node is busy; try again")]
    Busy,
    /// The node stops, and the command did not reach it.
    #[error("the node is stopping")]
    Stopping,
    /// The node ended before it said what became of the command: it may be done, or not.
    #[error("the node ended before it could say what became of this: it may have been done")]
    Unknown,
    /// It makes no sense, or a bound is reached.
    #[error("{message}")]
    Refused {
        /// Stable name, snake_case.
        code: &'static str,
        /// In words.
        message: String,
    },
}

/// What an operator may ask for; true when it changed anything.
enum Order {
    Add(SocketAddr),
    Remove(SocketAddr),
    Ban(IpAddr),
    Unban(IpAddr),
}

/// A connection whose handshake is done.
pub(crate) struct Arrival {
    /// The connection.
    pub(crate) link: Link<TcpStream>,
    /// The other end.
    pub(crate) address: SocketAddr,
    /// Whether this node has dialled.
    pub(crate) is_outbound: bool,
    /// Kept as long as the connection is.
    pub(crate) place: Box<dyn Send>,
}

/// What a peer says to the peers' thread.
enum Said {
    Blocks(PeerMessage),
    TxIds(wire::TxIds),
    Txs(wire::Txs),
    GetAddresses,
    Addresses(wire::Addresses),
}

impl Said {
    /// How much of what was asked for it answers.
    fn items(&self) -> usize {
        match self {
            Self::Blocks(PeerMessage::Missing(missing)) => missing.ids.len(),
            _ => 1,
        }
    }
}

/// What happened, for the peers' thread.
enum HubEvent {
    /// A handshake is done.
    Arrived(Box<Arrival>),
    /// An address that was dialled did not become a connection; the other end may be this node.
    NotReached { address: SocketAddr, reason: String, is_own: bool },
    /// A session is over.
    Ended { peer: PeerId, end: End },
    /// A peer said something.
    Said { peer: PeerId, request: u32, said: Said, weight: Weight },
    /// A peer was sent these transactions.
    Served { peer: PeerId, ids: Vec<TxId> },
    /// The chain's word on submitted blocks, one each up to the first that fails.
    Judged(Vec<(BlockId, Result<Accepted, BlockError>)>),
    /// What became of transactions of a peer, with the rule that it should not have broken.
    TxsJudged { peer: PeerId, verdicts: Vec<(TxId, TxVerdict, &'static str)> },
    /// The book is on disk, or was not taken.
    Saved(Result<(), ChainError>),
}

/// Who this node is, to others.
#[derive(Clone)]
struct Identity {
    shared: Arc<Shared>,
    /// Of this process.
    nonce: u64,
    /// Where it takes connections.
    port: u16,
    /// Whether it deletes old bodies.
    prunes: bool,
}

impl Identity {
    fn hello(&self) -> Hello {
        let (height, tip, kept) = {
            let view = self.shared.read();
            (view.tip().header.height, view.tip().id, view.bodies_from())
        };
        let bodies_from = bodies_from(kept, self.prunes);
        let (magic, version, role) = (hello::MAGIC, PROTOCOL_VERSION, Role::Node);
        let (network, nonce, port) = (self.shared.network, self.nonce, self.port);
        let agent = Text::new(&format!("{PROGRAM}/{}", version::VERSION));
        Hello { magic, version, role, network, nonce, port, height, tip, bodies_from, agent }
    }
}

/// What others are told of the bodies that are kept: less than all where they are deleted meanwhile.
fn bodies_from(kept: u64, prunes: bool) -> u64 {
    match (kept, prunes) {
        (kept, false) => kept,
        (0, true) => 1,
        (kept, true) => kept.saturating_add(PRUNE_MARGIN),
    }
}

/// Where connections of other nodes come in.
#[derive(Clone)]
pub struct Entrance {
    identity: Identity,
    events: mpsc::Sender<HubEvent>,
}

impl Entrance {
    /// Who this node is, now.
    #[must_use]
    pub fn hello(&self) -> Hello {
        self.identity.hello()
    }

    /// Hands over a connection that another node has opened and greeted on. `place` is kept as long
    /// as it lasts.
    pub async fn arrived(&self, link: Link<TcpStream>, address: SocketAddr, place: Box<dyn Send>) {
        let arrival = Box::new(Arrival { link, address, is_outbound: false, place });
        // Nobody there: the node stops, and the connection closes.
        let _ = self.events.send(HubEvent::Arrived(arrival)).await;
    }
}

/// How to be with other nodes.
#[derive(Clone, Debug)]
pub struct PeersConfig {
    /// Addresses to stay connected to.
    pub connect: Vec<SocketAddr>,
    /// Whether addresses are asked for, told, and dialled that nobody named.
    pub discover: bool,
    /// Where this node takes connections, already listening; 0 for nowhere.
    pub port: u16,
    /// Whether this node deletes old bodies.
    pub prunes: bool,
}

/// What runs after a start.
pub struct Started {
    /// The door for operators.
    pub peers: Peers,
    /// The door for connections.
    pub entrance: Entrance,
    /// End when the node stops.
    pub threads: Vec<JoinHandle<()>>,
}

/// Starts the peers' threads; connections run on the runtime that this is called on. `kept` is what
/// the store holds of peers.
///
/// # Errors
/// The machine has no thread left, or an address of the configuration makes no sense.
pub fn start(
    (chain, finder): (&Chain, &Arc<Finder>),
    config: &PeersConfig,
    kept: Option<Vec<u8>>,
    ticks: watch::Receiver<Ticks>,
    stopping: CancellationToken,
) -> Result<Started, StartError> {
    let (events_in, events) = mpsc::channel(PEERS_EVENTS_MAX);
    let (commands_in, commands) = mpsc::channel(PEERS_COMMANDS_MAX);
    let (shared, nonce) = (Arc::clone(&chain.shared), rand::random());
    let identity = Identity { shared, nonce, port: config.port, prunes: config.prunes };
    let book = open_book(config, kept)?;
    let (submissions, submitter) = submitter::start(chain, events_in.clone())?;
    let context = Context {
        chain: chain.clone(),
        finder: Arc::clone(finder),
        workers: Workers::new(PEERS_WORKERS_MAX, Duration::from_millis(NET_WRITE_MS)),
        events: events_in.clone(),
        weights: Arc::new(Semaphore::new(PEERS_EVENT_KIB_MAX)),
        stopping,
    };
    let runtime = Handle::current();
    let hub = Hub::new(identity.clone(), context, runtime, submissions, (book, config.discover));
    let peers = Peers { shown: Arc::clone(&hub.shown), commands: commands_in };
    let own_runtime = Builder::new_current_thread().enable_time().build()?;
    let inputs = Inputs { events, commands, ticks };
    let run = move || own_runtime.block_on(hub.run(inputs));
    let thread = std::thread::Builder::new().name(THREAD.into()).spawn(run)?;
    let entrance = Entrance { identity, events: events_in };
    Ok(Started { peers, entrance, threads: vec![thread, submitter] })
}

/// Why peers cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The machine has no thread left.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// An address that makes no sense.
    #[error("cannot connect to {address}: {reason}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// In words.
        reason: String,
    },
}

fn open_book(config: &PeersConfig, kept: Option<Vec<u8>>) -> Result<Book, StartError> {
    let mut book = Book::new(rand::random(), config.discover);
    if let Some(error) = kept.and_then(|kept| book.load(&kept).err()) {
        // Addresses can be had again; the chain does not depend on them.
        tracing::warn!(%error, "the addresses of peers in the store are not used");
    }
    for address in &config.connect {
        book.add_manual(*address, false)
            .map_err(|error| StartError::Address { address: *address, reason: error.to_string() })?;
    }
    Ok(book)
}

/// An order, and where its outcome goes.
type Command = (Order, oneshot::Sender<Result<bool, PeersError>>);

/// The door to the peers' thread.
#[derive(Clone)]
pub struct Peers {
    shown: Arc<RwLock<Arc<PeersStatus>>>,
    commands: mpsc::Sender<Command>,
}

impl Peers {
    /// Everything that is shown, as of a moment ago.
    #[must_use]
    pub fn status(&self) -> Arc<PeersStatus> {
        Arc::clone(&self.shown.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps an address and stays connected to it, also over restarts. False when it was named before.
    ///
    /// # Errors
    /// [`PeersError`].
    pub async fn add(&self, address: SocketAddr) -> Result<bool, PeersError> {
        self.order(Order::Add(address)).await
    }

    /// Hangs up and forgets an address. False when it was not known.
    ///
    /// # Errors
    /// [`PeersError`].
    pub async fn remove(&self, address: SocketAddr) -> Result<bool, PeersError> {
        self.order(Order::Remove(address)).await
    }

    /// Hangs up and refuses everything from and to an IP, also over restarts. False when it was banned.
    ///
    /// # Errors
    /// [`PeersError`].
    pub async fn ban(&self, ip: IpAddr) -> Result<bool, PeersError> {
        self.order(Order::Ban(ip)).await
    }

    /// Ends a ban, of whatever kind. False when there was none.
    ///
    /// # Errors
    /// [`PeersError`].
    pub async fn unban(&self, ip: IpAddr) -> Result<bool, PeersError> {
        self.order(Order::Unban(ip)).await
    }

    async fn order(&self, order: Order) -> Result<bool, PeersError> {
        let (reply, outcome) = oneshot::channel();
        self.commands.try_send((order, reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => PeersError::Busy,
            mpsc::error::TrySendError::Closed(_) => PeersError::Stopping,
        })?;
        outcome.await.unwrap_or(Err(PeersError::Unknown))
    }

    /// A door with no thread behind it.
    #[cfg(test)]
    #[must_use]
    pub fn idle(status: PeersStatus) -> Self {
        let (commands, _) = mpsc::channel(1);
        Self { shown: Arc::new(RwLock::new(Arc::new(status))), commands }
    }
}
