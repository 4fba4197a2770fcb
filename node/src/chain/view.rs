//! What everybody but the chain thread sees: committed things only. Readers take the lock for
//! moments; states are snapshots, cloned in no time and kept as long as one likes.
//! Must not know commands or the store.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use steelyard_core::consensus::transaction::CheckedTx;
use steelyard_core::hash::{BlockId, FullId, NetworkId, TxId};
use steelyard_core::params::{Genesis, Params};
use steelyard_core::state::Trie;

use super::gate::Gate;
use super::index::{Entry, Index, Number};
use crate::mempool::{self, Mempool};

/// Everything as of one commit: what a copy of the store is made of, beside what never changes.
#[derive(Clone, Debug)]
pub struct Moment {
    /// The commit.
    pub seq: u64,
    /// The tip.
    pub tip: Entry,
    /// The state after it.
    pub state: Trie,
    /// Pending transactions, in order of arrival.
    pub pending: Vec<Arc<CheckedTx>>,
}

impl Moment {
    /// What a view shows. While the chain thread has commands staged, what they took out of the pool is
    /// not shown any more although it is stored: [`super::Chain::moment`] asks when none are.
    #[must_use]
    pub fn of(view: &View) -> Self {
        let mut pending: Vec<&mempool::Entry> = view.pending_all().collect();
        pending.sort_unstable_by_key(|entry| entry.arrival);
        let pending = pending.into_iter().map(|entry| Arc::clone(&entry.tx)).collect();
        Self { seq: view.seq, tip: view.tip().clone(), state: view.state(), pending }
    }
}

/// The published state of the node.
#[derive(Debug)]
pub struct View {
    /// Every block. Numbers from [`View::visible`] on are not committed yet.
    pub(super) index: Index,
    /// Blocks that are committed.
    pub(super) visible: Number,
    /// The last commit.
    pub(super) seq: u64,
    /// The state after the tip.
    pub(super) state: Trie,
    /// Pending transactions; those of later commits are not to be shown.
    pub(super) pool: Mempool,
    /// Pending transactions that are committed: count and bytes.
    pub(super) pool_shown: (usize, usize),
    /// Reorganisations since the start.
    pub(super) reorgs: u64,
    /// Blocks put on the active chain since the start.
    pub(super) connected: u64,
    /// A stored branch had more work than the tip and could not be followed.
    pub(super) is_beyond_pruning: bool,
}

impl View {
    /// The active chain's last block.
    #[must_use]
    pub fn tip(&self) -> &Entry {
        self.index.get(self.index.tip())
    }

    /// A block by id.
    #[must_use]
    pub fn block(&self, id: &BlockId) -> Option<(Number, &Entry)> {
        let number = self.index.number(id).filter(|number| *number < self.visible)?;
        Some((number, self.index.get(number)))
    }

    /// Why a block that is not stored was found invalid: the rule's name. Also over restarts, while
    /// the rules are the same.
    #[must_use]
    pub fn refused(&self, id: &BlockId) -> Option<&str> {
        self.index.refused(id)
    }

    /// The active block at a height.
    #[must_use]
    pub fn active(&self, height: u64) -> Option<&Entry> {
        self.index.active(height).map(|number| self.index.get(number))
    }

    /// Whether a block is on the active chain.
    #[must_use]
    pub fn is_active(&self, number: Number) -> bool {
        self.index.is_active(number)
    }

    /// Blocks to read whole branches from. May hold blocks that are not committed yet.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Blocks from a number on, by number. Those of a lower one stay what they are, but for their verdicts.
    pub fn blocks_from(&self, from: Number) -> impl Iterator<Item = (Number, &Entry)> {
        (from..self.visible).map(|number| (number, self.index.get(number)))
    }

    /// The state after the tip: a snapshot.
    #[must_use]
    pub fn state(&self) -> Trie {
        self.state.clone()
    }

    /// The last commit.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// A pending transaction, once it is durable.
    #[must_use]
    pub fn pending(&self, id: &TxId) -> Option<&mempool::Entry> {
        self.pool.get(id).filter(|entry| entry.seq <= self.seq)
    }

    /// Every pending transaction that is durable, in no order.
    pub fn pending_all(&self) -> impl Iterator<Item = &mempool::Entry> {
        self.pool.iter().filter(|entry| entry.seq <= self.seq)
    }

    /// The first `max` pending transactions by arrival, from this number of arrival on, durable only.
    #[must_use]
    pub fn pending_after(&self, arrival: u64, max: usize) -> Vec<(u64, TxId)> {
        self.pool.after(arrival, self.seq, max)
    }

    /// What an address has pending, as sender and as receiver, durable only.
    #[must_use]
    pub fn pending_of(
        &self,
        address: &steelyard_core::hash::Address,
    ) -> (Vec<&mempool::Entry>, Vec<&mempool::Entry>) {
        let (mut sent, mut received) = self.pool.of_address(address);
        sent.retain(|entry| entry.seq <= self.seq);
        received.retain(|entry| entry.seq <= self.seq);
        (sent, received)
    }

    /// What an address has pending as receiver, durable only: as far as it is asked for.
    pub fn pending_to(
        &self,
        address: &steelyard_core::hash::Address,
    ) -> impl Iterator<Item = &mempool::Entry> {
        self.pool.paid_to(address).filter(|entry| entry.seq <= self.seq)
    }

    /// Whether one of these addresses has anything pending, as sender or as receiver, that became
    /// durable after commit `seq`. Also said when they have more pending than is looked at.
    #[must_use]
    pub fn has_pending_since(
        &self,
        addresses: &[steelyard_core::hash::Address],
        seq: u64,
        looks_max: usize,
    ) -> bool {
        if self.seq <= seq {
            return false;
        }
        let of = |address| self.pool.sent_by(address).chain(self.pool.paid_to(address));
        let mut all = addresses.iter().flat_map(of).enumerate();
        all.any(|(looks, entry)| looks == looks_max || (entry.seq > seq && entry.seq <= self.seq))
    }

    /// Pending transactions that are durable: how many, and the memory they are counted for.
    #[must_use]
    pub fn pending_size(&self) -> (usize, usize) {
        self.pool_shown
    }

    /// Transactions for a block, dearest first.
    #[must_use]
    pub fn select(&self, bytes_max: u64) -> Vec<Arc<CheckedTx>> {
        self.pool.select(self.seq, bytes_max)
    }

    /// The pending transaction of exactly the bytes with this id: they passed every check that needs
    /// no state.
    #[must_use]
    pub fn verified(&self, full_id: &FullId) -> Option<Arc<CheckedTx>> {
        self.pool.by_full_id(full_id).map(|entry| Arc::clone(&entry.tx))
    }

    /// Whether exactly these transaction bytes passed their signature check here.
    #[must_use]
    pub fn is_verified(&self, id: &TxId, full_id: &FullId) -> bool {
        self.pool.holds(id, full_id)
    }

    /// Reorganisations since the start.
    #[must_use]
    pub fn reorgs(&self) -> u64 {
        self.reorgs
    }

    /// Blocks put on the active chain since the start, those that were left again among them.
    #[must_use]
    pub fn connected(&self) -> u64 {
        self.connected
    }

    /// Height of the first block of which body and undo are kept; 0 for a node that keeps all.
    #[must_use]
    pub fn bodies_from(&self) -> u64 {
        self.index.bodies_from()
    }
}

/// Counts what happens, so that those who wait know that something did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticks {
    /// Changes of the tip.
    pub tips: u64,
    /// Commits that admitted transactions.
    pub admissions: u64,
    /// The disk is full: nothing is taken that would have to be written.
    pub disk_full: bool,
    /// The node is stopping.
    pub stopping: bool,
}

/// The view with its network, shared by all.
#[derive(Debug)]
pub struct Shared {
    /// The network.
    pub params: Params,
    /// Its id.
    pub network: NetworkId,
    /// Its first block.
    pub genesis: Genesis,
    view: RwLock<View>,
    ticks: Mutex<Ticks>,
    ticked: Condvar,
    catching_up: AtomicBool,
    beyond_pruning: AtomicBool,
    /// Who may read bodies and undo without any of them going meanwhile.
    pub(crate) pruning: Gate,
}

impl Shared {
    /// Shares a view.
    #[must_use]
    pub fn new(params: Params, genesis: Genesis, view: View) -> Self {
        Self {
            params,
            network: genesis.id.into(),
            genesis,
            view: RwLock::new(view),
            ticks: Mutex::default(),
            ticked: Condvar::new(),
            catching_up: AtomicBool::new(false),
            beyond_pruning: AtomicBool::new(false),
            pruning: Gate::default(),
        }
    }

    /// Reads. Never across an await, I/O, or anything long.
    pub fn read(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the node is known to be far behind others: what it mined now would be in vain.
    #[must_use]
    pub fn is_catching_up(&self) -> bool {
        self.catching_up.load(Ordering::Relaxed)
    }

    /// Whether a branch of more work than the tip leaves the active chain below the blocks that this
    /// node has kept: it cannot be followed, and what is mined here is in vain.
    #[must_use]
    pub fn is_beyond_pruning(&self) -> bool {
        self.beyond_pruning.load(Ordering::Relaxed) || self.read().is_beyond_pruning
    }

    /// Notes whether others have such a branch.
    pub fn set_beyond_pruning(&self, is_beyond_pruning: bool) {
        self.beyond_pruning.store(is_beyond_pruning, Ordering::Relaxed);
    }

    /// Notes whether the node is far behind others.
    pub fn set_catching_up(&self, is_catching_up: bool) {
        self.catching_up.store(is_catching_up, Ordering::Relaxed);
    }

    /// Whether the disk is full: what is submitted now is refused, what is committed can be read.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        self.ticks().disk_full
    }

    /// What has happened so far.
    #[must_use]
    pub fn ticks(&self) -> Ticks {
        *self.ticks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that something happened and wakes who waits.
    pub fn tick(&self, note: impl FnOnce(&mut Ticks)) {
        note(&mut self.ticks.lock().unwrap_or_else(PoisonError::into_inner));
        self.ticked.notify_all();
    }

    /// Waits until something has happened since `seen`, or for so long.
    #[must_use]
    pub fn wait(&self, seen: Ticks, at_most: Duration) -> Ticks {
        let ticks = self.ticks.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.ticked.wait_timeout_while(ticks, at_most, |ticks| *ticks == seen);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits for so long, or until the node stops; whether it goes on.
    #[must_use]
    pub fn rest(&self, time: Duration) -> bool {
        let ticks = self.ticks.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.ticked.wait_timeout_while(ticks, time, |ticks| !ticks.stopping);
        !waited.unwrap_or_else(PoisonError::into_inner).0.stopping
    }
}
