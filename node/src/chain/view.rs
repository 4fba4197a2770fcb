//! What everybody but the chain thread sees: committed things only. Readers take the lock for
//! moments; states are snapshots, cloned in no time and kept as long as one likes.
//! Must not know commands or the store.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use steelyard_core::hash::{BlockId, FullId, NetworkId, TxId};
use steelyard_core::params::{Genesis, Params};
use steelyard_core::state::Trie;

use super::index::{Entry, Index, Number};
use crate::mempool::{self, Mempool};

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
    pub fn select(&self, bytes_max: u64) -> Vec<Arc<steelyard_core::consensus::transaction::CheckedTx>> {
        self.pool.select(self.seq, bytes_max)
    }

    /// The pending transaction of exactly the bytes with this id: they passed every check that needs
    /// no state.
    #[must_use]
    pub fn verified(
        &self,
        full_id: &FullId,
    ) -> Option<Arc<steelyard_core::consensus::transaction::CheckedTx>> {
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
}

/// Counts what happens, so that those who wait know that something did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticks {
    /// Changes of the tip.
    pub tips: u64,
    /// Commits that admitted transactions.
    pub admissions: u64,
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

    /// Notes whether the node is far behind others.
    pub fn set_catching_up(&self, is_catching_up: bool) {
        self.catching_up.store(is_catching_up, Ordering::Relaxed);
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
}
