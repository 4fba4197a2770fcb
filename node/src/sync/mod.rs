//! Sync: which headers and bodies to ask of which peer, what to submit, whom to drop, as a machine:
//! events and the present moment in, actions out. Headers come first and are checked for everything
//! that needs no body before one is asked for. Must not know sockets, clocks, threads, the store,
//! randomness or waiting: the same events give the same actions.
//!
//! | file | what |
//! |---|---|
//! | `headers` | asking for headers and judging them |
//! | `bodies` | the window of bodies, what is submitted and what became of it |
//! | `announce` | the word that there is a new tip |
//! | `lag` | peers that stay behind, and a tip that stands for long |
//! | `serve` | answers to others; needs no machine |
//! | `tree` | headers ahead of their blocks |
//! | `peer` | what is known of one peer |

mod announce;
mod bodies;
mod headers;
mod lag;
mod peer;
pub mod serve;
#[cfg(test)]
pub(crate) mod tests;
mod tree;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use steelyard_core::hash::BlockId;
use steelyard_core::history::HistoryFrontier;
use steelyard_core::params::Params;
use steelyard_core::types::header::Header;
use steelyard_core::wire;

use self::peer::{Best, Peer};
use self::tree::{BodyState, Tree};
use crate::chain::check::UncheckedBlock;
use crate::chain::error::{Accepted, BlockError};
use crate::limits::{SYNC_CATCH_UP_BLOCKS, SYNC_CATCH_UP_MS, SYNC_INVALID_MAX, SYNC_STALL_MS};

/// Names a connection; never given to another one.
pub type PeerId = u64;

/// The present moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For the times of headers: unix ms. May jump.
    pub unix_ms: u64,
    /// For deadlines: ms since any fixed moment. Never goes back.
    pub mono_ms: u64,
}

/// A block that the chain has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its header.
    pub header: Header,
    /// Its id.
    pub id: BlockId,
    /// Its work and that of everything before it.
    pub total_work: u128,
    /// Whether its body is stored; genesis counts as such.
    pub has_body: bool,
    /// Why it, or a block before it, is invalid.
    pub invalid: Option<String>,
}

/// What sync reads of the chain: committed blocks only.
pub trait ChainRead {
    /// The active chain's last block.
    fn tip(&self) -> Known;
    /// A block on any branch.
    fn block(&self, id: &BlockId) -> Option<Known>;
    /// The history up to and including a block on any branch.
    fn frontier(&self, id: &BlockId) -> Option<HistoryFrontier>;
    /// Ids of the active chain, the tip first: ten one after another, then at doubling distances,
    /// genesis last. At most [`wire::headers::LOCATOR_MAX`].
    fn locator(&self) -> Vec<BlockId>;
    /// Headers of the active chain after the first of these blocks that is on it, oldest first, at
    /// most `max`; after genesis when none is.
    fn headers_after(&self, locator: &[BlockId], max: usize) -> Vec<Header>;
    /// Whether a branch on this block leaves the active chain below what is kept to take blocks back:
    /// it cannot be followed.
    fn is_beyond_pruning(&self, id: &BlockId) -> bool;
    /// A body as it is stored.
    fn body(&self, id: &BlockId) -> Option<Vec<u8>>;
    /// Why a block that is not stored was found invalid on arrival, also before the last start: the
    /// rule's name.
    fn refused(&self, id: &BlockId) -> Option<String>;
}

/// What nodes say to one another about blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the messages say it
pub enum PeerMessage {
    GetHeaders(wire::GetHeaders),
    Headers(wire::Headers),
    GetBodies(wire::GetBodies),
    Body(wire::Body),
    Missing(wire::Missing),
    Announce(wire::Announce),
}

/// What other nodes ask for, answered by [`serve::answer`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the messages say it
pub enum PeerRequest {
    GetHeaders(wire::GetHeaders),
    GetBodies(wire::GetBodies),
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The handshake with a peer is done.
    PeerUp {
        /// Which.
        peer: PeerId,
        /// Whether this node has chosen to dial it; not so of one that was named by hand.
        is_outbound: bool,
        /// Height of its tip, as it says.
        height: u64,
        /// Its tip, as it says.
        tip: BlockId,
        /// Height from which on it has bodies, as it says; 0 for one that keeps all.
        bodies_from: u64,
    },
    /// A peer is gone.
    PeerDown {
        /// Which.
        peer: PeerId,
    },
    /// A peer said something, within its cap. Requests are for [`serve::answer`]; here they are ignored.
    Message {
        /// Who.
        peer: PeerId,
        /// The frame's number: of the request that it answers; 0 of an announcement.
        request: u32,
        /// What.
        message: PeerMessage,
    },
    /// The chain's word on a submitted block, one for each that has one, in order.
    Judged {
        /// Which.
        id: BlockId,
        /// What became of it.
        verdict: Result<Accepted, BlockError>,
    },
    /// The chain has another tip.
    TipChanged,
    /// Whether the chain takes blocks. While it does not, none is asked for or submitted; headers are
    /// followed, so that it is known how many are missing.
    Takes(bool),
    /// The moment of [`Sync::next_wake`] has come, or any other.
    Tick,
}

/// What is to be done, in order.
#[derive(Clone, Debug)]
pub enum Action {
    /// To be sent.
    Send {
        /// To whom.
        peer: PeerId,
        /// The frame's number.
        request: u32,
        /// What.
        message: PeerMessage,
    },
    /// To be given to the chain, in this order; each is the child of the one before it.
    Submit {
        /// The blocks.
        blocks: Vec<UncheckedBlock>,
    },
    /// To be told why and hung up on. No event of this peer follows.
    Drop {
        /// Whom.
        peer: PeerId,
        /// Stable name, snake_case.
        code: &'static str,
        /// In words.
        reason: String,
    },
}

/// How far sync is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncStatus {
    /// Height of the tip.
    pub tip_height: u64,
    /// Height of the best chain of headers, the tip's at least.
    pub headers_height: u64,
    /// Work that is known of, the tip's at least: that of the best chain of headers.
    pub best_work: u128,
    /// Height that each peer's tip has, or that it says.
    pub peers: BTreeMap<PeerId, u64>,
    /// Headers whose blocks are not in the chain.
    pub headers_ahead: usize,
    /// Bodies in flight.
    pub in_flight: usize,
    /// Bytes of bodies that are not judged.
    pub body_bytes: usize,
    /// Headers that wait for their time.
    pub held: usize,
    /// Whether more work than the tip's is known of.
    pub syncing: bool,
    /// Whether there is so much more that the tip is not worth mining on, and it is coming: more than
    /// [`SYNC_CATCH_UP_BLOCKS`] blocks, of which a new one was taken, or new headers of more work than
    /// ever, within [`SYNC_CATCH_UP_MS`]. Who withholds blocks cannot keep it true.
    pub is_catching_up: bool,
    /// Height of the next block on the way to more work, when everybody who has the branch prunes and has
    /// no body of it any more.
    pub unserved: Option<u64>,
    /// Whether a branch of more work than the tip's leaves the active chain too deep to be followed here.
    pub is_beyond_pruning: bool,
}

/// A header ahead of the clock.
#[derive(Debug)]
struct Held {
    peer: PeerId,
    id: BlockId,
    header: Header,
}

/// The machine. What it knows is lost with it; what the chain has stays, and sync resumes there.
#[derive(Debug)]
pub struct Sync {
    params: Params,
    peers: BTreeMap<PeerId, Peer>,
    tree: Tree,
    held: Vec<Held>,
    /// Found invalid, oldest first, with the rule.
    invalid: VecDeque<(BlockId, String)>,
    invalid_ids: BTreeSet<BlockId>,
    /// Blocks with the chain thread, submission by submission.
    submissions: VecDeque<VecDeque<BlockId>>,
    /// For the next body of a peer that owes some, ms.
    stall: u64,
    requests: u32,
    /// The tip's height and work, as last seen.
    tip: (u64, u128),
    /// The tip, as last seen, and when to ask everybody if it still stands, monotonic ms.
    standing: Option<(BlockId, u64)>,
    /// When one more peer may be asked for headers although others are, monotonic ms.
    next_headers: Option<u64>,
    /// The most work that headers here ever had.
    most_work: u128,
    /// The chain takes no blocks.
    is_paused: bool,
    /// See [`SyncStatus::unserved`].
    unserved: Option<u64>,
    /// See [`SyncStatus::is_beyond_pruning`].
    is_beyond_pruning: bool,
    /// When a new block was taken or [`Sync::most_work`] rose, monotonic ms.
    progress: Option<u64>,
    /// The last event's moment.
    now: Now,
}

/// One call of the machine.
struct Turn<'a> {
    now: Now,
    chain: &'a dyn ChainRead,
    out: Vec<Action>,
}

impl Turn<'_> {
    fn send(&mut self, peer: PeerId, request: u32, message: PeerMessage) {
        self.out.push(Action::Send { peer, request, message });
    }
}

impl Sync {
    /// A machine that knows no peers.
    #[must_use]
    pub fn new(params: Params) -> Self {
        Self {
            params,
            peers: BTreeMap::new(),
            tree: Tree::default(),
            held: Vec::new(),
            invalid: VecDeque::new(),
            invalid_ids: BTreeSet::new(),
            submissions: VecDeque::new(),
            stall: SYNC_STALL_MS,
            requests: 0,
            tip: (0, 0),
            standing: None,
            next_headers: None,
            most_work: 0,
            is_paused: false,
            unserved: None,
            is_beyond_pruning: false,
            progress: None,
            now: Now { unix_ms: 0, mono_ms: 0 },
        }
    }

    /// Takes an event and says what to do.
    pub fn handle(&mut self, now: Now, chain: &dyn ChainRead, event: Event) -> Vec<Action> {
        self.handle_all(now, chain, [event])
    }

    /// Takes events of one moment, in their order, and says what to do after all of them: what to ask
    /// next is looked for once.
    pub fn handle_all(
        &mut self,
        now: Now,
        chain: &dyn ChainRead,
        events: impl IntoIterator<Item = Event>,
    ) -> Vec<Action> {
        let turn = &mut Turn { now, chain, out: Vec::new() };
        let tip = chain.tip();
        (self.tip, self.now) = ((tip.header.height, tip.total_work), now);
        self.most_work = self.most_work.max(tip.total_work);
        for event in events {
            self.happened(turn, event);
        }
        self.retry_held(turn);
        self.check_deadlines(turn);
        self.check_standing(turn, &tip.id);
        self.check_lag(turn, &tip);
        self.ask_headers(turn);
        self.ask_bodies(turn);
        std::mem::take(&mut turn.out)
    }

    fn happened(&mut self, turn: &mut Turn<'_>, event: Event) {
        match event {
            Event::PeerUp { peer, is_outbound, height, tip, bodies_from } => {
                let new = Peer { is_outbound, said: height, bodies_from, ..Peer::default() };
                self.peer_up(turn, peer, new, (height, tip));
            }
            Event::PeerDown { peer } => self.forget_peer(peer),
            Event::Message { peer, request, message } if self.peers.contains_key(&peer) => {
                self.message(turn, peer, request, message);
            }
            Event::Message { .. } | Event::Tick => {}
            Event::Judged { id, verdict } => self.judged(turn, id, verdict),
            Event::TipChanged => self.tip_changed(turn),
            Event::Takes(takes) => self.is_paused = !takes,
        }
    }

    /// How far sync is, as of the last event.
    #[must_use]
    pub fn status(&self) -> SyncStatus {
        let best = self.tree.best().filter(|node| node.promised > self.tip.1);
        let headers_height = best.map_or(0, |node| node.checked.header.height).max(self.tip.0);
        let height = |peer: &Peer| {
            let claimed = peer.claimed.map_or(0, |(height, _)| height);
            peer.best.map_or(0, |best| best.height).max(claimed)
        };
        let (body_bytes, in_flight) = self.tree.load();
        SyncStatus {
            tip_height: self.tip.0,
            headers_height,
            best_work: best.map_or(0, |node| node.promised).max(self.tip.1),
            peers: self.peers.iter().map(|(id, peer)| (*id, height(peer))).collect(),
            headers_ahead: self.tree.len(),
            in_flight,
            body_bytes,
            held: self.held.len(),
            syncing: best.is_some(),
            is_catching_up: self.catching_up_until().is_some(),
            unserved: self.unserved,
            is_beyond_pruning: self.is_beyond_pruning,
        }
    }

    /// When the node no longer counts as catching up unless something comes; `None` when it does not now.
    fn catching_up_until(&self) -> Option<u64> {
        let best = self.tree.best().filter(|node| node.promised > self.tip.1)?;
        let behind = best.checked.header.height.saturating_sub(self.tip.0);
        let until = self.progress? + SYNC_CATCH_UP_MS;
        (behind > SYNC_CATCH_UP_BLOCKS && self.now.mono_ms < until).then_some(until)
    }

    /// [`SyncStatus::is_catching_up`] alone.
    #[must_use]
    pub fn is_catching_up(&self) -> bool {
        self.catching_up_until().is_some()
    }

    /// When something is due though nothing happens, monotonic ms.
    #[must_use]
    pub fn next_wake(&self) -> Option<u64> {
        let of_peer = |peer: &Peer| {
            let bodies = (!peer.flights.is_empty()).then_some(peer.progress + self.stall);
            // While a request is open there is nothing to do about who lags.
            let lag = peer.lag.filter(|_| peer.request.is_none()).map(|lag| lag.until);
            [peer.headers_deadline(), bodies, peer.reask, lag].into_iter().flatten().min()
        };
        let of_held = |held: &Held| {
            let ahead = held.header.time.saturating_sub(self.params.drift).saturating_sub(self.now.unix_ms);
            self.now.mono_ms.saturating_add(ahead)
        };
        let peers = self.peers.values().filter_map(of_peer);
        let standing = self.standing.filter(|_| !self.peers.is_empty()).map(|(_, until)| until);
        let own = [standing, self.next_headers, self.catching_up_until()];
        peers.chain(self.held.iter().map(of_held)).chain(own.into_iter().flatten()).min()
    }

    fn peer_up(&mut self, turn: &mut Turn<'_>, peer: PeerId, new: Peer, (height, tip): (u64, BlockId)) {
        if let Some(rule) = self.invalid_reason(turn.chain, &tip) {
            turn.out.push(known_invalid(peer, &rule));
            return;
        }
        let best = self.find(turn.chain, &tip);
        let claimed = best.is_none().then_some((height, tip));
        self.peers.insert(peer, Peer { best, claimed, ..new });
        // The tip may have changed since this end's word of it in the handshake.
        self.announce(turn, peer);
    }

    fn message(&mut self, turn: &mut Turn<'_>, peer: PeerId, request: u32, message: PeerMessage) {
        match message {
            PeerMessage::GetHeaders(_) | PeerMessage::GetBodies(_) => {}
            PeerMessage::Headers(got) => self.answer(turn, peer, request, &got.headers),
            PeerMessage::Announce(got) => self.announced(turn, peer, &got.headers),
            PeerMessage::Body(got) => self.body(turn, peer, &got),
            PeerMessage::Missing(got) => self.missing(peer, &got),
        }
    }

    /// A block that is here, as header or whole.
    fn find(&self, chain: &dyn ChainRead, id: &BlockId) -> Option<Best> {
        if let Some(node) = self.tree.get(id) {
            let (height, work) = (node.checked.header.height, node.checked.total_work);
            return Some(Best { id: *id, height, work });
        }
        let known = chain.block(id).filter(|known| known.has_body && known.invalid.is_none())?;
        Some(Best { id: *id, height: known.header.height, work: known.total_work })
    }

    /// Why a block is known to be invalid.
    fn invalid_reason(&self, chain: &dyn ChainRead, id: &BlockId) -> Option<String> {
        if self.invalid_ids.contains(id) {
            return self.invalid.iter().find(|(known, _)| known == id).map(|(_, rule)| rule.clone());
        }
        chain.block(id).map_or_else(|| chain.refused(id), |known| known.invalid)
    }

    fn remember_invalid(&mut self, id: BlockId, rule: &str) {
        if !self.invalid_ids.insert(id) {
            return;
        }
        self.invalid.push_back((id, rule.to_owned()));
        while self.invalid.len() > SYNC_INVALID_MAX {
            if let Some((oldest, _)) = self.invalid.pop_front() {
                self.invalid_ids.remove(&oldest);
            }
        }
    }

    fn drop_peer(&mut self, turn: &mut Turn<'_>, peer: PeerId, code: &'static str, reason: &str) {
        if self.peers.contains_key(&peer) {
            turn.out.push(Action::Drop { peer, code, reason: reason.to_owned() });
            self.forget_peer(peer);
        }
    }

    /// Forgets a peer, and the headers that nobody else has.
    fn forget_peer(&mut self, peer: PeerId) {
        let Some(gone) = self.peers.remove(&peer) else { return };
        for id in gone.flights.keys() {
            self.tree.set_body(id, BodyState::Wanted);
        }
        self.held.retain(|held| held.peer != peer);
        self.forget_unoffered();
    }

    fn forget_unoffered(&mut self) {
        let mut offered = BTreeSet::new();
        for best in self.peers.values().filter_map(|peer| peer.best) {
            let new: Vec<BlockId> = self
                .tree
                .ancestry(&best.id)
                .map(|node| node.checked.id)
                .take_while(|id| !offered.contains(id))
                .collect();
            offered.extend(new);
        }
        self.tree.retain(|id| offered.contains(id));
        self.release_flights();
    }

    /// Forgets flights of headers that are forgotten.
    fn release_flights(&mut self) {
        for peer in self.peers.values_mut() {
            peer.flights.retain(|id, _| self.tree.contains(id));
        }
    }

    fn next_request(&mut self) -> u32 {
        // 0 is the number of what nobody asked for.
        self.requests = self.requests.wrapping_add(1).max(1);
        self.requests
    }
}

fn known_invalid(peer: PeerId, rule: &str) -> Action {
    let reason = format!("its chain holds a block that was found invalid: {rule}");
    Action::Drop { peer, code: "known_invalid", reason }
}
