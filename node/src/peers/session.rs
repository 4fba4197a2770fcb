//! One connection to another node: reads, writes and serves at the same time, so that two nodes with
//! much to say never wait for one another. Every wait has an end and every queue a bound; who
//! passes one is hung up on. Must not know what messages mean for the chain, the pool or the book.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use steelyard_core::wire::{
    Addresses, Announce, Body, GetAddresses, GetBodies, GetHeaders, GetTxs, Headers, Message, Missing, Ping,
    Pong, TxIds, Txs,
};
use steelyard_runtime::bucket::Bucket;
use steelyard_runtime::clock;
use steelyard_runtime::frame::{Frame, HEAD_BYTES};
use steelyard_runtime::link::{Link, LinkError, LinkReader, LinkWriter, read};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::ledger::Ledger;
use super::serve::{self, Request};
use super::{HubEvent, Said};
use crate::chain::Chain;
use crate::finder::Finder;
use crate::limits::{
    PEERS_ASKS_BURST, PEERS_ASKS_PER_SECOND, PEERS_DEAD_MS, PEERS_EVENT_KIB_PER_PEER_MAX,
    PEERS_MESSAGES_BURST, PEERS_MESSAGES_PER_SECOND, PEERS_PING_MS, PEERS_REQUESTS_MAX, PEERS_SENDS_MAX,
    PEERS_WRITE_BYTES,
};
use crate::lookup::workers::Workers;
use crate::sync::{PeerId, PeerMessage};

/// Answers to pings that wait to be written.
const PONGS_MAX: usize = 8;
/// The first ping: how far a peer is, is of interest at once.
const FIRST_PING: Duration = Duration::from_millis(200);
/// No ping was answered yet.
const NO_PING: u64 = u64::MAX;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// The other end has closed it.
    #[error("it closed the connection")]
    Closed,
    /// Nothing was heard for too long.
    #[error("nothing was heard of it for too long")]
    Dead,
    /// It asks faster than it reads.
    #[error("it asks for more than it reads")]
    TooManyRequests,
    /// An answer to nothing.
    #[error("it answers what it was not asked")]
    Unasked,
    /// Its requests cannot be served now.
    #[error("this node is too busy to serve it")]
    Busy,
    /// It does not keep to the protocol, or the connection failed.
    #[error(transparent)]
    Failed(#[from] LinkError),
    /// The peers' thread said so.
    #[error("{reason}")]
    HungUp {
        /// Stable name, snake_case.
        code: &'static str,
        /// In words.
        reason: String,
    },
}

impl End {
    /// Stable name: the code of the bye that tells it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Dead => "dead",
            Self::TooManyRequests => "too_many_requests",
            Self::Unasked => "unasked",
            Self::Busy => "busy",
            Self::Failed(error) => error.name(),
            Self::HungUp { code, .. } => code,
        }
    }

    /// Whether it can only come from a peer that breaks the protocol, and not from a slow one, a bad
    /// line or this node's own doing.
    pub(super) fn is_misbehaviour(&self) -> bool {
        use steelyard_runtime::frame::FrameError;
        match self {
            Self::TooManyRequests | Self::Unasked => true,
            Self::Failed(error) => match error {
                LinkError::Decode { .. } | LinkError::UnexpectedKind { .. } => true,
                LinkError::Frame(error) => !matches!(error, FrameError::Ended | FrameError::Io(_)),
                _ => false,
            },
            Self::Closed | Self::Dead | Self::Busy | Self::HungUp { .. } => false,
        }
    }

    fn is_told(&self) -> bool {
        !matches!(self, Self::Closed | Self::Failed(LinkError::Bye(_) | LinkError::Io(_)))
    }
}

/// What every session is given.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) chain: Chain,
    pub(super) finder: Arc<Finder>,
    pub(super) workers: Workers,
    pub(super) events: mpsc::Sender<HubEvent>,
    /// KiB of messages that wait for the peers' thread.
    pub(super) weights: Arc<Semaphore>,
    pub(super) stopping: CancellationToken,
}

/// Figures of a connection.
#[derive(Debug)]
pub(super) struct Counters {
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
    ping_ms: AtomicU64,
}

impl Counters {
    pub(super) fn ping_ms(&self) -> Option<u64> {
        Some(self.ping_ms.load(Ordering::Relaxed)).filter(|ms| *ms != NO_PING)
    }
}

/// The peers' thread's end of a session. Dropped, the connection is closed without a word.
pub(super) struct Session {
    pub(super) counters: Arc<Counters>,
    sends: mpsc::Sender<Frame>,
    ledger: Arc<Ledger>,
    farewell: oneshot::Sender<(&'static str, String)>,
}

/// The peer does not take what it is told.
#[derive(Debug)]
pub(super) struct NotReading;

impl Session {
    /// Starts a session on a connection whose handshake is done. `place` is kept as long as it is.
    pub(super) fn start(
        runtime: &Handle,
        peer: PeerId,
        link: Link<TcpStream>,
        place: Box<dyn Send>,
        context: &Context,
    ) -> Self {
        let counters = Counters { bytes_in: 0.into(), bytes_out: 0.into(), ping_ms: AtomicU64::new(NO_PING) };
        let (counters, ledger) = (Arc::new(counters), Arc::new(Ledger::default()));
        let (sends, own) = mpsc::channel(PEERS_SENDS_MAX);
        let (farewell, told) = oneshot::channel();
        let tasks = Tasks {
            peer,
            context: context.clone(),
            counters: Arc::clone(&counters),
            ledger: Arc::clone(&ledger),
            started: clock::start(),
        };
        runtime.spawn(async move {
            let _place = place;
            tasks.run(link, own, told).await;
        });
        Self { counters, sends, ledger, farewell }
    }

    /// Sends a message when its turn comes. `items` is how much it asks for.
    ///
    /// # Errors
    /// [`NotReading`]: too much waits already.
    pub(super) fn send(&self, frame: Frame, items: usize) -> Result<(), NotReading> {
        // Before it is sent: the answer may be quicker than this thread.
        self.ledger.asked(frame.kind, items);
        match self.sends.try_send(frame) {
            Err(TrySendError::Full(_)) => Err(NotReading),
            // The end of a session that is over is told by itself.
            Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
        }
    }

    /// Hangs up after a last word.
    pub(super) fn hang_up(self, code: &'static str, reason: String) {
        // One that is over needs no word.
        let _ = self.farewell.send((code, reason));
    }
}

/// What the tasks of a session share.
struct Tasks {
    peer: PeerId,
    context: Context,
    counters: Arc<Counters>,
    ledger: Arc<Ledger>,
    started: Instant,
}

/// What the writer sends, in the order of their turns.
struct Queues {
    /// What this node says of its own accord.
    own: mpsc::Receiver<Frame>,
    pongs: mpsc::Receiver<Vec<Frame>>,
    answers: mpsc::Receiver<Vec<Frame>>,
}

impl Tasks {
    async fn run(
        self,
        link: Link<TcpStream>,
        own: mpsc::Receiver<Frame>,
        told: oneshot::Receiver<(&'static str, String)>,
    ) {
        let (mut reader, mut writer) = link.split();
        let block_bytes_max =
            usize::try_from(self.context.chain.shared.params.block_bytes_max).unwrap_or(usize::MAX);
        let ledger = Arc::clone(&self.ledger);
        reader.set_caps(move |kind| ledger.bytes_max(kind, block_bytes_max));
        let (requests, asked) = mpsc::channel(PEERS_REQUESTS_MAX);
        // The frames of one answer at a time wait here.
        let (answers, served) = mpsc::channel(1);
        let (pongs, ponged) = mpsc::channel(PONGS_MAX);
        let pinged = AtomicU64::new(0);
        let end = tokio::select! {
            biased;
            () = self.context.stopping.cancelled() => {
                End::HungUp { code: "stopping", reason: "the node is stopping".to_owned() }
            }
            word = told => match word {
                Ok((code, reason)) => End::HungUp { code, reason },
                // Dropped without a word: nobody is interested any more.
                Err(_) => End::Closed,
            },
            end = self.read(&mut reader, requests, pongs, &pinged) => end,
            end = self.serve(asked, answers) => end,
            end = self.write(&mut writer, Queues { own, answers: served, pongs: ponged }, &pinged) => end,
        };
        tracing::debug!(peer = self.peer, code = end.name(), reason = %end, "a connection to a node ended");
        let is_told = end.is_told().then(|| (end.name(), end.to_string()));
        // First the word to the thread, which waits for no courtesy.
        let _ = self.context.events.send(HubEvent::Ended { peer: self.peer, end }).await;
        if let Some((code, reason)) = is_told {
            writer.bye(code, &reason).await;
            reader.drain().await;
        }
    }

    /// Reads until the connection ends.
    async fn read(
        &self,
        reader: &mut LinkReader<TcpStream>,
        requests: mpsc::Sender<(u32, Request)>,
        pongs: mpsc::Sender<Vec<Frame>>,
        pinged: &AtomicU64,
    ) -> End {
        let own_weights = Arc::new(Semaphore::new(PEERS_EVENT_KIB_PER_PEER_MAX));
        let mut pace = Pace::new();
        loop {
            let frame = match timeout(Duration::from_millis(PEERS_DEAD_MS), reader.next()).await {
                Err(_) => return End::Dead,
                Ok(Err(error)) => return error.into(),
                Ok(Ok(None)) => return End::Closed,
                Ok(Ok(Some(frame))) => frame,
            };
            let bytes = HEAD_BYTES + frame.body.len();
            self.counters.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
            pace.wait(frame.kind).await;
            let taken = match frame.kind {
                Ping::KIND => pong(&frame, &pongs),
                Pong::KIND => self.pong(&frame, pinged),
                _ => match Request::read(&frame) {
                    Ok(Some(request)) => {
                        requests.try_send((frame.request, request)).map_err(|_| End::TooManyRequests)
                    }
                    Ok(None) => self.said(&frame, &own_weights).await,
                    Err(error) => Err(error.into()),
                },
            };
            if let Err(end) = taken {
                return end;
            }
        }
    }

    /// Brings a message to the peers' thread.
    async fn said(&self, frame: &Frame, own_weights: &Arc<Semaphore>) -> Result<(), End> {
        let said = said(frame)?;
        if !self.ledger.answered(frame.kind, said.items()) {
            return Err(End::Unasked);
        }
        let kib = u32::try_from(1 + frame.body.len() / 1024).unwrap_or(u32::MAX);
        let weight = |weights: &Arc<Semaphore>| Arc::clone(weights).acquire_many_owned(kib);
        // Neither is ever closed.
        let (Ok(own), Ok(all)) = (weight(own_weights).await, weight(&self.context.weights).await) else {
            return Err(End::Closed);
        };
        let event = HubEvent::Said {
            peer: self.peer,
            request: frame.request,
            said,
            weight: Weight { _own: own, _all: all },
        };
        self.context.events.send(event).await.map_err(|_| End::Closed)
    }

    /// Now, in ms since before the session began; never 0.
    fn moment(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn pong(&self, frame: &Frame, pinged: &AtomicU64) -> Result<(), End> {
        let sent = read::<Pong>(frame)?.nonce;
        // The nonce is the moment; one that was not sent says nothing.
        if sent == pinged.load(Ordering::Relaxed) && sent != 0 {
            self.counters.ping_ms.store(self.moment().saturating_sub(sent), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Answers requests, one after another.
    async fn serve(
        &self,
        mut asked: mpsc::Receiver<(u32, Request)>,
        answers: mpsc::Sender<Vec<Frame>>,
    ) -> End {
        while let Some((number, request)) = asked.recv().await {
            let frames = match request {
                Request::Blocks(request) => {
                    let chain = self.context.chain.clone();
                    match self.context.workers.run(move || serve::blocks(&chain, number, &request)).await {
                        Ok(frames) => frames,
                        Err(_) => return End::Busy,
                    }
                }
                Request::Txs(request) => {
                    let (txs, ids) = serve::txs(&self.context.chain, &request);
                    let event = HubEvent::Served { peer: self.peer, ids };
                    if self.context.events.send(event).await.is_err() {
                        return End::Closed;
                    }
                    Frame::of(number, &txs).into_iter().collect()
                }
            };
            if answers.send(frames).await.is_err() {
                return End::Closed;
            }
        }
        End::Closed
    }

    /// Writes what this node says of its own accord, then answers, and pings in silence.
    async fn write(&self, writer: &mut LinkWriter<TcpStream>, mut queues: Queues, pinged: &AtomicU64) -> End {
        let mut rest = FIRST_PING;
        loop {
            let mut frames = tokio::select! {
                biased;
                // None when the thread has let go: its last word is on the way.
                Some(frame) = queues.own.recv() => vec![frame],
                Some(frames) = queues.pongs.recv() => frames,
                Some(frames) = queues.answers.recv() => frames,
                () = sleep(rest) => {
                    rest = Duration::from_millis(PEERS_PING_MS);
                    let nonce = self.moment();
                    pinged.store(nonce, Ordering::Relaxed);
                    Frame::of(0, &Ping { nonce }).into_iter().collect()
                }
            };
            while frames.iter().map(|frame| frame.body.len()).sum::<usize>() < PEERS_WRITE_BYTES {
                match queues.own.try_recv() {
                    Ok(frame) => frames.push(frame),
                    Err(_) => break,
                }
            }
            // A long answer in pieces: each has the time of one frame.
            for piece in pieces(&frames) {
                if let Err(error) = writer.send_frames(piece).await {
                    return error.into();
                }
                let bytes: usize = piece.iter().map(|frame| HEAD_BYTES + frame.body.len()).sum();
                self.counters.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
            }
        }
    }
}

/// A message's share of what may wait for the peers' thread, given back when dropped.
pub(super) struct Weight {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

/// How fast a peer may ask and tell.
struct Pace {
    asks: Bucket,
    tells: Bucket,
}

impl Pace {
    fn new() -> Self {
        let now: Instant = clock::start();
        Self {
            asks: Bucket::new(PEERS_ASKS_BURST, PEERS_ASKS_PER_SECOND, now),
            tells: Bucket::new(PEERS_MESSAGES_BURST, PEERS_MESSAGES_PER_SECOND, now),
        }
    }

    /// Waits until a message of this kind may be taken; answers always may.
    async fn wait(&mut self, kind: u8) {
        let bucket = match kind {
            GetHeaders::KIND | GetBodies::KIND | GetTxs::KIND => &mut self.asks,
            Ping::KIND | Announce::KIND | TxIds::KIND | GetAddresses::KIND => &mut self.tells,
            _ => return,
        };
        let wait = bucket.take(clock::start());
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }
}

/// Never waits: two ends that wait with reading until they have written would wait for ever. Who
/// pings and does not read goes without.
fn pong(frame: &Frame, pongs: &mpsc::Sender<Vec<Frame>>) -> Result<(), End> {
    let pong = Pong { nonce: read::<Ping>(frame)?.nonce };
    let _ = pongs.try_send(Frame::of(frame.request, &pong).into_iter().collect());
    Ok(())
}

fn said(frame: &Frame) -> Result<Said, LinkError> {
    Ok(match frame.kind {
        Headers::KIND => Said::Blocks(PeerMessage::Headers(read(frame)?)),
        Body::KIND => Said::Blocks(PeerMessage::Body(read(frame)?)),
        Missing::KIND => Said::Blocks(PeerMessage::Missing(read(frame)?)),
        Announce::KIND => Said::Blocks(PeerMessage::Announce(read(frame)?)),
        TxIds::KIND => Said::TxIds(read(frame)?),
        Txs::KIND => Said::Txs(read(frame)?),
        GetAddresses::KIND => {
            let GetAddresses {} = read(frame)?;
            Said::GetAddresses
        }
        _ => Said::Addresses(read::<Addresses>(frame)?),
    })
}

/// Frames in pieces of some [`PEERS_WRITE_BYTES`], one frame each at least.
fn pieces(frames: &[Frame]) -> impl Iterator<Item = &[Frame]> {
    let mut rest = frames;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |frame: &&Frame| {
            bytes += frame.body.len();
            bytes <= PEERS_WRITE_BYTES
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (piece, after) = rest.split_at(count);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_all_frames_in_their_order() {
        let frame = |bytes: usize| Frame { kind: 1, request: 0, body: vec![0; bytes].into() };
        let frames: Vec<Frame> =
            [10, PEERS_WRITE_BYTES, 3 * PEERS_WRITE_BYTES, 1, 2, 3].map(frame).into_iter().collect();
        let pieces: Vec<&[Frame]> = pieces(&frames).collect();
        assert_eq!(pieces.concat(), frames);
        assert_eq!(pieces.iter().map(|piece| piece.len()).collect::<Vec<_>>(), [1, 1, 1, 3]);
        assert!(super::pieces(&[]).next().is_none());
    }
}
