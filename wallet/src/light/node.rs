//! One node: connect, serve until it fails, pause, again. The task keeps how it stands with the
//! node, and tells each change. Must not know what is asked on a connection.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use steelyard_core::hash::{BlockId, TxId};
use steelyard_core::params::Params;
use steelyard_core::wire::{Hello, PROTOCOL_VERSION, Role, Text, answer_bytes_max, hello};
use steelyard_runtime::link::{Link as Connection, LinkError, LinkTimes};
use steelyard_runtime::{clock, version};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::check::{LightLie, Rules};
use super::session::Session;
use super::{LightEvent, LightTimes, Reading, Sink, Wanted};
use crate::limits::NODE_TOLD_MS;
use crate::view::{Link, NodeStatus};

/// This program, as nodes are told.
const AGENT: &str = "steelyard-wallet";

/// What every node's task is given.
#[derive(Clone)]
pub(super) struct Context<S> {
    pub(super) params: Arc<Params>,
    pub(super) genesis: BlockId,
    /// Of this process.
    pub(super) nonce: u64,
    pub(super) times: LightTimes,
    pub(super) wanted: watch::Receiver<Arc<Wanted>>,
    pub(super) sink: S,
    pub(super) shutdown: CancellationToken,
    /// Somebody waits for an answer: pauses of nodes that are down are cut short.
    pub(super) wake: Arc<Notify>,
}

impl<S> Context<S> {
    /// What answers are held against.
    pub(super) fn rules(&self) -> Rules<'_> {
        Rules { params: &self.params, genesis: self.genesis }
    }
}

/// Why a connection is over.
#[derive(Debug)]
pub(super) enum End {
    /// Nobody wants to know any more.
    Stopped,
    /// It failed: a stable name, and words.
    Failed(String, String),
    /// The node said what no honest node says.
    Lied(LightLie),
}

impl End {
    /// A failure.
    pub(super) fn failed(code: &str, words: impl Into<String>) -> Self {
        Self::Failed(code.to_owned(), words.into())
    }
}

impl From<LightLie> for End {
    fn from(lie: LightLie) -> Self {
        Self::Lied(lie)
    }
}

impl From<LinkError> for End {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::WrongNetwork { got, expected } => Self::Lied(LightLie::WrongNetwork { got, expected }),
            LinkError::Bye(bye) if !bye.code.as_str().is_empty() => {
                Self::failed(bye.code.as_str(), bye.reason.as_str())
            }
            error => Self::failed(error.name(), error.to_string()),
        }
    }
}

/// A node's task.
pub(super) struct Node<S> {
    pub(super) context: Context<S>,
    status: NodeStatus,
    told: Option<NodeStatus>,
    /// The next one.
    pause: Duration,
}

impl<S: Sink> Node<S> {
    /// A node that was never reached.
    pub(super) fn new(context: Context<S>, address: SocketAddr) -> Self {
        let (agent, link) = (String::new(), Link::Connecting);
        let status =
            NodeStatus { address, link, agent, tip: None, failure: None, answered: None, tried: false };
        Self { pause: context.times.pause, context, status, told: None }
    }

    /// Where it is.
    pub(super) fn address(&self) -> SocketAddr {
        self.status.address
    }

    /// Keeps up with it until the shutdown, or until nobody listens.
    pub(super) async fn run(mut self) {
        let shutdown = self.context.shutdown.clone();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            () = self.keep() => {}
        }
    }

    async fn keep(&mut self) {
        loop {
            let known = to_submit(&self.context.wanted.borrow_and_update()).collect();
            let end = self.attempt().await;
            tracing::debug!(node = %self.address(), ?end, "a connection ended");
            let is_told = match end {
                End::Stopped => false,
                End::Failed(code, words) => self.fail((code, words), &known).await,
                End::Lied(lie) => self.ban(&lie).await,
            };
            if !is_told {
                return;
            }
        }
    }

    /// One connection, from its beginning to its end.
    async fn attempt(&mut self) -> End {
        let connection = match self.connect().await {
            Ok(connection) => connection,
            Err(end) => return end,
        };
        connection.peer().agent.as_str().clone_into(&mut self.status.agent);
        if !self.tell_status().await {
            return End::Stopped;
        }
        Session::new(self, connection).serve().await
    }

    /// A connection with its handshake, both within one answer's time.
    async fn connect(&self) -> Result<Connection<TcpStream>, End> {
        let (answer, started) = (self.context.times.answer, clock::start());
        let connecting = timeout(answer, TcpStream::connect(self.address())).await;
        let too_late =
            |_| End::failed("connect_timeout", format!("no connection within {} ms", answer.as_millis()));
        let unreachable = |error| End::failed("unreachable", format!("cannot connect: {error}"));
        let stream = connecting.map_err(too_late)?.map_err(unreachable)?;
        // Each request is one write, and no later one is worth waiting for.
        let _ = stream.set_nodelay(true);
        let handshake = answer.saturating_sub(started.elapsed());
        let times = LinkTimes { handshake, frame: answer, write: answer };
        Ok(Connection::dial(stream, self.hello(), answer_bytes_max, times).await?)
    }

    fn hello(&self) -> Hello {
        Hello {
            magic: hello::MAGIC,
            version: PROTOCOL_VERSION,
            role: Role::Light,
            network: self.context.rules().network(),
            nonce: self.context.nonce,
            port: 0,
            height: 0,
            tip: BlockId::ZERO,
            bodies_from: 0,
            agent: Text::new(&format!("{AGENT}/{}", version::VERSION)),
        }
    }

    /// Tells that it failed, and pauses; false once nobody listens.
    async fn fail(&mut self, failure: (String, String), known: &HashSet<TxId>) -> bool {
        let jitter = rand::random_range(0.75..=1.25);
        let (pause, max) = (self.pause, self.context.times.pause_max);
        self.pause = (2 * pause).min(max);
        self.status.link = Link::Down;
        self.end_of_attempt(failure).await && self.rest(pause.min(max).mul_f64(jitter), known).await
    }

    /// Tells that it lied, and pauses for long; false once nobody listens.
    async fn ban(&mut self, lie: &LightLie) -> bool {
        tracing::warn!(node = %self.address(), code = lie.name(), %lie, "a node lied and is left alone");
        self.status.link = Link::Banned;
        if !self.end_of_attempt((lie.name().to_owned(), lie.to_string())).await {
            return false;
        }
        sleep(self.context.times.banned).await;
        self.status.link = Link::Connecting;
        self.tell_status().await
    }

    async fn end_of_attempt(&mut self, failure: (String, String)) -> bool {
        self.status.failure = Some(failure);
        self.status.tried = true;
        self.tell_status().await
    }

    /// A pause that is cut short by a transaction to submit that was not `known` before the attempt,
    /// though not below the first pause: who has just started the node that was down, and sends, need
    /// not wait until it is tried again.
    async fn rest(&mut self, pause: Duration, known: &HashSet<TxId>) -> bool {
        let least = pause.min(self.context.times.pause);
        sleep(least).await;
        tokio::select! {
            () = sleep(pause - least) => true,
            () = self.context.wake.notified() => true,
            is_listened = something_new(&mut self.context.wanted, known) => is_listened,
        }
    }

    /// Tells the reading, and that the node answers; false once nobody listens.
    pub(super) async fn tell_reading(&mut self, reading: Reading) -> bool {
        let snapshot = &reading.snapshot;
        let tip = (snapshot.tip.height, snapshot.id, snapshot.total_work);
        self.status.link = Link::Up;
        self.status.tip = Some(tip);
        self.status.failure = None;
        self.status.answered = Some(snapshot.taken);
        self.status.tried = true;
        self.pause = self.context.times.pause;
        // The reading first: who sees that the node was tried may look for what it said.
        self.context.sink.tell(LightEvent::Reading(Box::new(reading))).await && self.tell_status().await
    }

    /// Notes that it was asked and did not serve, though the connection goes on; false once nobody
    /// listens.
    pub(super) async fn tell_refused(&mut self, failure: Option<(String, String)>) -> bool {
        self.status.tried = true;
        self.status.failure = failure.or(self.status.failure.take());
        self.tell_status().await
    }

    /// Tells how it stands, if that is new; false once nobody listens.
    pub(super) async fn tell_status(&mut self) -> bool {
        if self.told.as_ref().is_some_and(|told| is_same(told, &self.status)) {
            return true;
        }
        self.told = Some(self.status.clone());
        self.context.sink.tell(LightEvent::Node(self.status.clone())).await
    }
}

/// Whether nothing has changed but, by a little, the time of the last answer.
fn is_same(told: &NodeStatus, now: &NodeStatus) -> bool {
    let since = now.answered.unwrap_or(0).abs_diff(told.answered.unwrap_or(0));
    since < NODE_TOLD_MS && NodeStatus { answered: told.answered, ..now.clone() } == *told
}

/// What is to be submitted.
fn to_submit(wanted: &Wanted) -> impl Iterator<Item = TxId> {
    wanted.outgoing.iter().filter(|outgoing| outgoing.submit).map(|outgoing| outgoing.id)
}

/// Waits until there is something to submit that is not known yet; false once nobody wants anything
/// any more.
async fn something_new(wanted: &mut watch::Receiver<Arc<Wanted>>, known: &HashSet<TxId>) -> bool {
    loop {
        if to_submit(&wanted.borrow_and_update()).any(|id| !known.contains(&id)) {
            return true;
        }
        if wanted.changed().await.is_err() {
            return false;
        }
    }
}
