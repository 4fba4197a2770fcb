//! Relay: which pending transactions to tell to which peer, and which to ask for of whom, as a machine:
//! events and the present moment in, actions out. Must not know sockets, clocks, threads, randomness or
//! what makes a transaction valid: the same events give the same actions.
//!
//! What a peer was told is a number: the pool is told in order of arrival, and from its beginning
//! again after a while, which heals what was lost. A peer is not told what it announced or sent, nor,
//! that time and the next, what was sent to it.
//!
//! | file | what |
//! |---|---|
//! | `wanted` | what others announced and is not here |
//! | `recent` | bounded memory |

mod recent;
#[cfg(test)]
mod tests;
mod wanted;

use std::collections::BTreeMap;
use std::ops::Bound;

use steelyard_core::consensus::error::TxRule;
use steelyard_core::encode::List;
use steelyard_core::hash::TxId;
use steelyard_core::types::transaction::{TX_BYTES_MAX, Transaction};
use steelyard_core::wire::txs::{TX_IDS_MAX, TXS_MAX};
use steelyard_core::wire::{GetTxs, TxIds};

use self::recent::Recent;
use self::wanted::{Stage, Wanted};
use crate::limits::{
    RELAY_BUSY_MS, RELAY_CHECKS_MAX, RELAY_KNOWN_MAX, RELAY_REFUSED_MAX, RELAY_REQUEST_MS,
    RELAY_REQUESTS_FIRST, RELAY_REQUESTS_MAX, RELAY_RETELL_MS, RELAY_TELL_FULL_MS, RELAY_TELL_MS,
};
use crate::sync::PeerId;

/// What nodes say to one another about transactions, beside the answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TxMessage {
    /// An announcement, with the number 0.
    Ids(TxIds),
    /// A request. Its number has the highest bit, which those of [`crate::sync`] do not come to.
    Get(GetTxs),
}

/// What is to be done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RelayAction {
    /// To be sent.
    Send {
        /// To whom.
        peer: PeerId,
        /// The frame's number.
        request: u32,
        /// What.
        message: TxMessage,
    },
    /// To be checked and submitted, in this order. [`Relay::judged`] is to be called for each, once.
    Check {
        /// Who sent them.
        peer: PeerId,
        /// By id, full bytes.
        txs: Vec<(TxId, Vec<u8>)>,
    },
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TxVerdict {
    /// It is pending now, or it was pending or confirmed before.
    Taken,
    /// By the state or by the node's limits, which is nobody's fault
    /// ([`steelyard_core::consensus::error::Blame`]).
    Refused,
    /// By its form or its signatures: whoever sent it is to be dropped.
    Guilty,
    /// It was not looked at.
    Busy,
}

/// What relay reads of the chain's view.
pub(super) trait PoolRead {
    /// Whether it is pending, or probably confirmed.
    fn is_known(&self, id: &TxId) -> bool;
    /// The first `max` pending transactions by arrival, from this number of arrival on, durable only.
    fn after(&self, arrival: u64, max: usize) -> Vec<(u64, TxId)>;
}

/// A request that is not answered.
#[derive(Debug)]
struct Request {
    ids: Vec<TxId>,
    /// Monotonic ms.
    deadline: u64,
    is_late: bool,
}

/// One peer.
#[derive(Debug)]
struct Peer {
    /// Everything that arrived in the pool before this number was told or need not be.
    cursor: u64,
    /// There may be something to tell.
    is_behind: bool,
    /// Not before this moment, monotonic ms.
    tell_at: u64,
    /// When the pool is told from its beginning again, monotonic ms; `None` before the first time.
    retell_at: Option<u64>,
    /// How many times that was.
    round: u64,
    /// What it is known to have, by the beginning of the id, and until which round. Only the peer itself
    /// puts ids here: if it finds two that begin alike, nobody but itself does not hear of one.
    has: Recent<u64, u64>,
    requests: BTreeMap<u32, Request>,
    /// Requests that may wait for its answer: few before its first one, none after it let its time
    /// pass, until it answers.
    requests_max: usize,
}

impl Peer {
    fn new() -> Self {
        Self {
            cursor: 0,
            is_behind: true,
            tell_at: 0,
            retell_at: None,
            round: 0,
            has: Recent::new(RELAY_KNOWN_MAX),
            requests: BTreeMap::new(),
            requests_max: RELAY_REQUESTS_FIRST,
        }
    }

    fn next_wake(&self) -> u64 {
        let tell = self.is_behind.then_some(self.tell_at);
        let open = self.requests.values().filter(|request| !request.is_late);
        let deadline = open.map(|request| request.deadline).min();
        let retell = self.retell_at.unwrap_or(0);
        [tell, deadline].into_iter().flatten().fold(retell, u64::min)
    }

    /// Announcements that are due.
    fn tell(&mut self, now_ms: u64, pool: &dyn PoolRead) -> Option<TxIds> {
        if self.retell_at.is_none_or(|at| now_ms >= at) {
            self.retell_at = Some(now_ms + RELAY_RETELL_MS);
            self.round += 1;
            (self.cursor, self.is_behind) = (0, true);
        }
        if !self.is_behind || now_ms < self.tell_at {
            return None;
        }
        let found = pool.after(self.cursor, TX_IDS_MAX);
        self.is_behind = found.len() >= TX_IDS_MAX;
        self.cursor = found.last().map_or(self.cursor, |(arrival, _)| arrival + 1);
        let is_new = |id: &TxId| self.has.get(&beginning(id)).is_none_or(|until| until < self.round);
        let ids: Vec<TxId> = found.into_iter().map(|(_, id)| id).filter(is_new).collect();
        if self.is_behind || !ids.is_empty() {
            let is_full = ids.len() == TX_IDS_MAX;
            self.tell_at = now_ms + if is_full { RELAY_TELL_FULL_MS } else { RELAY_TELL_MS };
        }
        List::new(ids).filter(|ids| !ids.is_empty()).map(|ids| TxIds { ids })
    }
}

fn beginning(id: &TxId) -> u64 {
    id.0.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// The machine.
#[derive(Debug)]
pub(super) struct Relay {
    peers: BTreeMap<PeerId, Peer>,
    wanted: Wanted,
    refused: Recent<TxId, ()>,
    requests: u32,
    /// Who was asked last.
    turn: PeerId,
    is_paused: bool,
    /// Nothing is asked for until then, monotonic ms: the node had no time for what it got.
    quiet_until: Option<u64>,
    /// Something is due that no moment says.
    is_due: bool,
}

impl Relay {
    /// A machine that knows no peers.
    pub(super) fn new() -> Self {
        Self {
            peers: BTreeMap::new(),
            wanted: Wanted::default(),
            refused: Recent::new(RELAY_REFUSED_MAX),
            requests: 0,
            turn: 0,
            is_paused: false,
            quiet_until: None,
            is_due: false,
        }
    }

    /// The handshake with a peer is done. It is told the whole pool.
    pub(super) fn peer_up(&mut self, peer: PeerId) {
        self.peers.insert(peer, Peer::new());
    }

    /// A peer is gone.
    pub(super) fn peer_down(&mut self, peer: PeerId) {
        if self.peers.remove(&peer).is_some() {
            self.wanted.peer_down(peer);
            self.is_due = true;
        }
    }

    /// A peer says which transactions it has.
    pub(super) fn announced(
        &mut self,
        now_ms: u64,
        pool: &dyn PoolRead,
        peer: PeerId,
        ids: &[TxId],
    ) -> Vec<RelayAction> {
        let Some(announcer) = self.peers.get_mut(&peer) else { return Vec::new() };
        for id in ids {
            announcer.has.insert(beginning(id), u64::MAX);
            if self.refused.get(id).is_none() && !pool.is_known(id) {
                self.wanted.announce(peer, *id);
            }
        }
        self.ask(now_ms, pool)
    }

    /// A peer answers a request.
    ///
    /// # Errors
    /// The name of what it did wrong: it was not asked, or not for these, or they are none. It is
    /// to be dropped, then.
    #[allow(clippy::too_many_arguments)] // itself and five
    pub(super) fn received(
        &mut self,
        now_ms: u64,
        pool: &dyn PoolRead,
        peer: PeerId,
        request: u32,
        txs: &[List<u8, TX_BYTES_MAX>],
    ) -> Result<Vec<RelayAction>, &'static str> {
        let Some(sender) = self.peers.get_mut(&peer) else { return Ok(Vec::new()) };
        let asked = sender.requests.get(&request).ok_or("unsolicited_txs")?;
        let (mut missing, mut got) = (asked.ids.clone(), Vec::with_capacity(txs.len()));
        for bytes in txs {
            let tx = Transaction::from_bytes(bytes).map_err(|error| TxRule::Malformed(error).name())?;
            let id = tx.body.id();
            let place = missing.iter().position(|asked| *asked == id).ok_or("unrequested_tx")?;
            missing.remove(place);
            got.push((id, bytes));
        }
        sender.requests.remove(&request);
        sender.requests_max = RELAY_REQUESTS_MAX;
        for id in missing {
            self.wanted.leave(peer, &id);
        }
        let mut checks = Vec::with_capacity(got.len());
        for (id, bytes) in got {
            // Others may have sent it meanwhile; what comes late may find no room and is asked for again.
            match self.wanted.stage(&id) {
                Some(Stage::Asked(..)) => {}
                Some(Stage::Waiting) if self.wanted.busy() < RELAY_CHECKS_MAX => {}
                _ => continue,
            }
            if pool.is_known(&id) {
                self.wanted.forget(&id);
            } else {
                self.wanted.set(&id, Stage::Checking);
                checks.push((id, bytes.to_vec()));
            }
        }
        let mut actions = Vec::new();
        if !checks.is_empty() {
            actions.push(RelayAction::Check { peer, txs: checks });
        }
        actions.extend(self.ask(now_ms, pool));
        Ok(actions)
    }

    /// The word on a transaction that was to be checked. When it was taken, the pool shows it by now.
    #[allow(clippy::too_many_arguments)] // itself and five
    pub(super) fn judged(
        &mut self,
        now_ms: u64,
        pool: &dyn PoolRead,
        peer: PeerId,
        id: TxId,
        verdict: TxVerdict,
    ) -> Vec<RelayAction> {
        if self.wanted.stage(&id) != Some(Stage::Checking) {
            return Vec::new();
        }
        match verdict {
            TxVerdict::Taken => self.wanted.forget(&id),
            TxVerdict::Refused => {
                self.refused.insert(id, ());
                self.wanted.forget(&id);
            }
            // Of the id nothing is said: somebody else may have it with the right signatures.
            TxVerdict::Guilty => {
                self.wanted.leave(peer, &id);
                self.wanted.set(&id, Stage::Waiting);
            }
            TxVerdict::Busy => {
                self.wanted.set(&id, Stage::Waiting);
                self.quiet_until = Some(now_ms + RELAY_BUSY_MS);
            }
        }
        self.ask(now_ms, pool)
    }

    /// The chain has another tip: what the state refused is asked for when it is announced again.
    pub(super) fn tip_changed(&mut self) {
        self.refused.clear();
    }

    /// While the node is far behind, or its disk full, announcements are kept and nothing is asked for.
    pub(super) fn set_paused(&mut self, paused: bool) {
        self.is_due |= self.is_paused && !paused;
        self.is_paused = paused;
    }

    /// The moment of [`Relay::next_wake`] has come, or any other.
    pub(super) fn tick(&mut self, now_ms: u64, pool: &dyn PoolRead) -> Vec<RelayAction> {
        self.is_due = false;
        self.check_deadlines(now_ms);
        let mut actions = self.ask(now_ms, pool);
        for (id, peer) in &mut self.peers {
            if let Some(ids) = peer.tell(now_ms, pool) {
                actions.push(RelayAction::Send { peer: *id, request: 0, message: TxMessage::Ids(ids) });
            }
        }
        actions
    }

    /// There are new transactions in the pool, durable.
    pub(super) fn pool_changed(&mut self) {
        for peer in self.peers.values_mut() {
            peer.is_behind = true;
        }
    }

    /// When something is due, monotonic ms; often a moment that is past, which means now.
    pub(super) fn next_wake(&self) -> Option<u64> {
        let of_peers = self.peers.values().map(Peer::next_wake);
        let due = self.is_due.then_some(0);
        of_peers.chain(self.quiet_until).chain(due).min()
    }

    /// These were sent to a peer that asked for them. It may refuse them, so they are told to it once
    /// more in the end.
    pub(super) fn served(&mut self, peer: PeerId, ids: &[TxId]) {
        let Some(peer) = self.peers.get_mut(&peer) else { return };
        for id in ids {
            peer.has.insert(beginning(id), peer.round + 1);
        }
    }

    /// Takes what was asked for from peers that are late. They are not dropped: they may be slow.
    fn check_deadlines(&mut self, now_ms: u64) {
        for (id, peer) in &mut self.peers {
            for (number, request) in &mut peer.requests {
                if request.is_late || now_ms < request.deadline {
                    continue;
                }
                request.is_late = true;
                peer.requests_max = 0;
                for tx in &request.ids {
                    if self.wanted.stage(tx) == Some(Stage::Asked(*id, *number)) {
                        self.wanted.set(tx, Stage::Waiting);
                    }
                }
            }
        }
    }

    /// Asks for what waits, of the peers in turn: one that announces more gets no more of the room.
    fn ask(&mut self, now_ms: u64, pool: &dyn PoolRead) -> Vec<RelayAction> {
        let mut actions = Vec::new();
        self.quiet_until = self.quiet_until.filter(|until| now_ms < *until);
        if self.is_paused || self.quiet_until.is_some() {
            return actions;
        }
        // Room for a whole request, or many would be made of one transaction each.
        while self.wanted.busy() + TXS_MAX <= RELAY_CHECKS_MAX
            && let Some(peer) = self.next_peer()
        {
            self.turn = peer;
            actions.extend(self.request(now_ms, pool, peer));
        }
        actions
    }

    /// The next peer that has what waits and may be asked.
    fn next_peer(&self) -> Option<PeerId> {
        let after = self.peers.range((Bound::Excluded(self.turn), Bound::Unbounded));
        let mut all = after.chain(self.peers.range(..=self.turn));
        let is_free = |id: PeerId, peer: &Peer| {
            peer.requests.len() < peer.requests_max && self.wanted.first_waiting(id).is_some()
        };
        all.find(|(id, peer)| is_free(**id, peer)).map(|(id, _)| *id)
    }

    /// One request to this peer; none when what it announced is here by now.
    fn request(&mut self, now_ms: u64, pool: &dyn PoolRead, to: PeerId) -> Option<RelayAction> {
        let request = self.requests.wrapping_add(1) | 1 << 31;
        let mut ids = Vec::new();
        while ids.len() < TXS_MAX
            && let Some(id) = self.wanted.first_waiting(to)
        {
            if pool.is_known(&id) {
                self.wanted.forget(&id);
                continue;
            }
            self.wanted.set(&id, Stage::Asked(to, request));
            ids.push(id);
        }
        let list = List::new(ids.clone()).filter(|ids| !ids.is_empty())?;
        self.requests = request;
        let deadline = now_ms + RELAY_REQUEST_MS;
        self.peers.get_mut(&to)?.requests.insert(request, Request { ids, deadline, is_late: false });
        Some(RelayAction::Send { peer: to, request, message: TxMessage::Get(GetTxs { ids: list }) })
    }
}
