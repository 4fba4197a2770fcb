//! The link to nodes: connections, the answers held against what they must prove, and the next
//! node when one fails or lies. Must not know keys, the store or what a send is: it is told which
//! addresses and transactions matter, and tells what it found.

//!
//! | file | what |
//! |---|---|
//! | `check` | answers held against what they must prove |
//! | `node` | one node: connect, serve, pause, again |
//! | `session` | one connection: requests, notices, and what is next |
//! | `reading` | everything asked at one tip |
//! | `submit` | what is to be submitted, and what was said of it |

mod check;
mod node;
mod reading;
mod session;
mod submit;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use steelyard_core::hash::{Address, BlockId, TxId};
use steelyard_core::params::Params;
use steelyard_core::wire::Verdict;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::node::{Context, Node};
use crate::limits::{
    NODE_ANSWER_MS, NODE_BANNED_MS, NODE_PAUSE_MS, NODE_PAUSE_MS_MAX, NODE_READING_PAUSE_MS, NODE_REFRESH_MS,
    NODE_RETRY_MS, NODES_MAX,
};
use crate::view::{NodeStatus, Snapshot};

pub use self::check::LightLie;

/// What the nodes are asked about.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// All addresses, ascending, no more than `ADDRESSES_TOTAL_MAX`.
    pub addresses: Vec<Address>,
    /// Transactions that are not final, in the order in which they are to be sent.
    pub outgoing: Vec<Outgoing>,
}

/// A transaction of ours.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Its id.
    pub id: TxId,
    /// Its full bytes.
    pub bytes: Arc<[u8]>,
    /// Whether no node is known to have it: then it is submitted; else it is only asked about.
    pub submit: bool,
}

/// Where a node says a transaction is; a place in a block is proven under the reading's tip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Neither pending nor in the chain.
    Unknown,
    /// Neither pending nor in a block that the node has kept: it may be in an earlier one.
    Missing,
    /// Pending and durable.
    Pending,
    /// In a block.
    Confirmed {
        /// The block's height.
        height: u64,
        /// The block.
        block: BlockId,
        /// The block's time, unix ms.
        time: u64,
    },
}

impl Standing {
    /// Whether the node does not have it to show.
    #[must_use]
    pub fn is_absent(self) -> bool {
        matches!(self, Self::Unknown | Self::Missing)
    }
}

/// One node's answers about one moment, all at one tip.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The tip and the accounts.
    pub snapshot: Snapshot,
    /// Every outgoing transaction that was asked about, but for those said to be unknown of which
    /// the node has said otherwise since.
    pub standings: Vec<(TxId, Standing)>,
}

/// What the link has to tell. Delivered in order for each node.
#[derive(Clone, Debug)]
pub enum LightEvent {
    /// How it stands with a node has changed.
    Node(NodeStatus),
    /// A node was read.
    Reading(Box<Reading>),
    /// These bytes are about to be written to a node: from here on it may have them.
    Sending {
        /// Which transactions.
        ids: Vec<TxId>,
        /// To whom.
        node: SocketAddr,
    },
    /// What a node said of a transaction that was submitted to it.
    Verdict {
        /// Which transaction.
        id: TxId,
        /// Who said it.
        node: SocketAddr,
        /// What.
        verdict: Verdict,
    },
}

/// What a link is started with.
#[derive(Clone, Debug)]
pub struct LightConfig {
    /// The network.
    pub params: Params,
    /// Nodes to talk to, in order of preference for the eye alone: all are talked to. Those beyond
    /// `NODES_MAX` are left out, with a warning in the log.
    pub nodes: Vec<SocketAddr>,
}

/// How patient the link is.
#[derive(Clone, Copy, Debug)]
pub struct LightTimes {
    /// For a connection with its handshake, and for each answer.
    pub answer: Duration,
    /// First pause after a node failed; it doubles…
    pub pause: Duration,
    /// …up to this.
    pub pause_max: Duration,
    /// Pause after a node lied.
    pub banned: Duration,
    /// A node that has nothing to tell is asked again after so long.
    pub refresh: Duration,
    /// Shortest pause between two readings of one node.
    pub reading_pause: Duration,
    /// Pause after a node was busy, or its tip would not stand still.
    pub retry: Duration,
}

impl Default for LightTimes {
    fn default() -> Self {
        Self {
            answer: Duration::from_millis(NODE_ANSWER_MS),
            pause: Duration::from_millis(NODE_PAUSE_MS),
            pause_max: Duration::from_millis(NODE_PAUSE_MS_MAX),
            banned: Duration::from_millis(NODE_BANNED_MS),
            refresh: Duration::from_millis(NODE_REFRESH_MS),
            reading_pause: Duration::from_millis(NODE_READING_PAUSE_MS),
            retry: Duration::from_millis(NODE_RETRY_MS),
        }
    }
}

/// Who is told.
pub trait Sink: Clone + Send + Sync + 'static {
    /// Takes an event, and waits while there is no room for it; false once nobody listens any more.
    fn tell(&self, event: LightEvent) -> impl Future<Output = bool> + Send;
}

/// More nodes than `NODES_MAX`: none of them was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{got} nodes, {NODES_MAX} at most")]
pub struct TooManyNodes {
    /// How many it would have been.
    pub got: usize,
}

/// The link, running.
#[derive(Debug)]
pub struct Light {
    known: Mutex<Vec<SocketAddr>>,
    /// Has room for every node that can ever be added.
    added: mpsc::Sender<Vec<SocketAddr>>,
    wake: Arc<Notify>,
    task: JoinHandle<()>,
}

/// Starts to follow what is `wanted`, at every node at once, until `shutdown`. Each node has a task
/// of its own: none waits for another. To be called within a tokio runtime.
pub fn start(
    config: LightConfig,
    wanted: watch::Receiver<Arc<Wanted>>,
    sink: impl Sink,
    shutdown: CancellationToken,
) -> Light {
    start_with(config, LightTimes::default(), wanted, sink, shutdown)
}

/// As [`start`], with another patience.
pub fn start_with(
    config: LightConfig,
    times: LightTimes,
    wanted: watch::Receiver<Arc<Wanted>>,
    sink: impl Sink,
    shutdown: CancellationToken,
) -> Light {
    let genesis = config.params.genesis().id;
    let params = Arc::new(config.params);
    let (nonce, wake) = (rand::random(), Arc::<Notify>::default());
    let woken = Arc::clone(&wake);
    let context = Context { params, genesis, nonce, times, wanted, sink, shutdown, wake };
    let (added, nodes) = mpsc::channel(NODES_MAX);
    let light =
        Light { known: Mutex::default(), added, wake: woken, task: tokio::spawn(supervise(context, nodes)) };
    let taken = &config.nodes[..config.nodes.len().min(NODES_MAX)];
    if light.add_nodes(taken).is_err() || taken.len() < config.nodes.len() {
        tracing::warn!(
            got = config.nodes.len(),
            max = NODES_MAX,
            "too many nodes: the last ones are left out"
        );
    }
    light
}

impl Light {
    /// Talks to these nodes too. Those that are known already are left as they are.
    ///
    /// # Errors
    /// [`TooManyNodes`]: then none is added.
    pub fn add_nodes(&self, nodes: &[SocketAddr]) -> Result<(), TooManyNodes> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new: Vec<SocketAddr> = Vec::new();
        for node in nodes {
            if !known.contains(node) && !new.contains(node) {
                new.push(*node);
            }
        }
        let got = known.len() + new.len();
        if got > NODES_MAX {
            return Err(TooManyNodes { got });
        }
        if !new.is_empty() {
            known.extend(&new);
            // There is room, since each takes at least one of the places; after a shutdown nobody reads.
            let _ = self.added.try_send(new);
        }
        Ok(())
    }

    /// Somebody waits for an answer: nodes that are down are tried again soon.
    pub fn wake(&self) {
        self.wake.notify_waiters();
    }

    /// Waits until all of it has ended. Only a shutdown ends it.
    pub async fn stopped(self) {
        let Self { added, task, .. } = self;
        let _ = task.await;
        drop(added);
    }
}

/// Starts a task for each node that is added, and ends when all of them have.
async fn supervise<S: Sink>(context: Context<S>, added: mpsc::Receiver<Vec<SocketAddr>>) {
    let (tasks, shutdown) = (TaskTracker::new(), context.shutdown.clone());
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = admit(&context, &tasks, added) => {}
    }
    tasks.close();
    tasks.wait().await;
}

/// Each is told of before it is started: who listens hears of them in the order in which they were given.
async fn admit<S: Sink>(
    context: &Context<S>,
    tasks: &TaskTracker,
    mut added: mpsc::Receiver<Vec<SocketAddr>>,
) {
    while let Some(batch) = added.recv().await {
        for address in batch {
            let mut node = Node::new(context.clone(), address);
            if !node.tell_status().await {
                return;
            }
            tasks.spawn(node.run());
        }
    }
    // Nobody is left to add any; those that run go on.
    std::future::pending().await
}

#[cfg(test)]
mod tests;
