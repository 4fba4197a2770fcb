//! Pending transactions, by sender and nonce. A decision needs only the transaction, the state and
//! the pool; durability is the caller's: an entry names the commit it becomes durable with, and is
//! shown to nobody before. Bounded in bytes; written answers to "full": a transaction that waits
//! for a missing nonce is refused, any other takes the place of a cheaper one or is refused.
//! Must not know blocks, stores or the network.

mod checks;
mod entry;
mod error;
mod revalidate;
mod room;
mod runs;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;

use steelyard_core::consensus::transaction::CheckedTx;
use steelyard_core::consensus::transition::Overlay;
use steelyard_core::hash::{Address, AssetId, FullId, TxId};
use steelyard_core::params::Params;
use steelyard_core::state::StateRead;

pub use entry::{Entry, FeeRate};
pub use error::PoolError;

use self::runs::Runs;
use crate::limits::MEMPOOL_BYTES_MAX;

/// What became of an admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is pending now.
    Added,
    /// It was pending before, perhaps with another authorization: the first valid one stays.
    Known,
}

/// All that one sender has pending.
#[derive(Debug, Default)]
struct Sender {
    /// By nonce.
    entries: BTreeMap<u64, Entry>,
    /// Sum of what they take, by asset.
    outflow: BTreeMap<AssetId, u128>,
}

impl Sender {
    fn floor_below(&self, nonce: u64) -> Option<FeeRate> {
        self.entries.range(..nonce).next_back().map(|(_, entry)| entry.floor)
    }

    /// Brings the floors from `nonce` on in line with what is before them.
    fn settle_floors(&mut self, nonce: u64) {
        let mut below = self.floor_below(nonce);
        for (_, entry) in self.entries.range_mut(nonce..) {
            let floor = below.map_or(entry.rate, |below| below.min(entry.rate));
            if entry.floor == floor {
                break;
            }
            entry.floor = floor;
            below = Some(floor);
        }
    }
}

/// The pool.
#[derive(Debug)]
pub struct Mempool {
    bytes_max: usize,
    by_id: HashMap<TxId, (Address, u64)>,
    by_full_id: HashMap<FullId, TxId>,
    /// In order of arrival.
    by_arrival: BTreeMap<u64, TxId>,
    senders: HashMap<Address, Sender>,
    /// Who is paid by what.
    receivers: HashMap<Address, BTreeSet<TxId>>,
    /// Those that end, by their last height.
    expiries: BTreeSet<(u64, TxId)>,
    /// Each sender's last transaction, cheapest first: what is evicted.
    last: BTreeSet<(FeeRate, u64, Address)>,
    runs: Runs,
    bytes: usize,
    queued_bytes: usize,
    arrivals: u64,
}

impl Default for Mempool {
    fn default() -> Self {
        Self::new(MEMPOOL_BYTES_MAX)
    }
}

impl Mempool {
    /// An empty pool of at most so many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            by_id: HashMap::new(),
            by_full_id: HashMap::new(),
            by_arrival: BTreeMap::new(),
            senders: HashMap::new(),
            receivers: HashMap::new(),
            expiries: BTreeSet::new(),
            last: BTreeSet::new(),
            runs: Runs::default(),
            bytes: 0,
            queued_bytes: 0,
            arrivals: 0,
        }
    }

    /// Decides on a transaction for blocks of height `next` and above, and takes it in. It becomes
    /// durable with commit `seq`.
    ///
    /// # Errors
    /// [`PoolError`], the first that applies: expiry, nonce, funds and asset rules as in a block,
    /// then the node's own limits.
    pub fn admit(
        &mut self,
        params: &Params,
        (state, next): (&dyn StateRead, u64),
        tx: CheckedTx,
        seq: u64,
    ) -> Result<Admission, PoolError> {
        if self.by_id.contains_key(&tx.id()) {
            return Ok(Admission::Known);
        }
        let (_, account_nonce) = Overlay::new(state).account(tx.tx().body.sender);
        self.check_rules((state, next), &tx, account_nonce)?;
        let mut entry = Entry::new(tx, state, (seq, self.arrivals));
        let min = entry.rate.weight.saturating_mul(params.policy.relay_fee_min);
        if entry.rate.fee < min {
            return Err(PoolError::FeeTooLow { got: entry.rate.fee, min });
        }
        let replaced = self.check_replacement(params, &entry)?;
        self.check_funds(state, account_nonce, &entry, replaced.as_ref())?;
        if let Some(sender) = self.senders.get(&entry.sender()) {
            entry.floor = sender.floor_below(entry.nonce()).map_or(entry.rate, |floor| floor.min(entry.rate));
        }
        let sender = self.senders.get(&entry.sender());
        let before =
            sender.map_or(0, |sender| sender.entries.range(account_nonce..entry.nonce()).count() as u64);
        entry.queued = account_nonce + before != entry.nonce();
        self.make_room(&entry, replaced.as_ref(), account_nonce)?;
        if let Some(replaced) = replaced {
            self.remove(&replaced.tx.id());
        }
        self.insert(entry);
        Ok(Admission::Added)
    }

    /// Takes in what was stored as pending, in the order in which it was stored: what was stored
    /// later for a nonce had taken the place of what was stored before.
    ///
    /// # Errors
    /// As [`Mempool::admit`].
    pub fn restore(
        &mut self,
        params: &Params,
        (state, next): (&dyn StateRead, u64),
        tx: CheckedTx,
        seq: u64,
    ) -> Result<Admission, PoolError> {
        let (id, sender, nonce) = (tx.id(), tx.tx().body.sender, tx.tx().body.nonce);
        let old = self.senders.get(&sender).and_then(|sender| sender.entries.get(&nonce));
        if let Some(old) = old.map(|old| old.tx.id()).filter(|old| *old != id) {
            self.remove(&old);
        }
        let admitted = self.admit(params, (state, next), tx, seq);
        if admitted.is_err() {
            self.revalidate_sender((state, next), sender, &mut Vec::new());
        }
        admitted
    }

    fn insert(&mut self, entry: Entry) {
        let (id, address, nonce) = (entry.tx.id(), entry.sender(), entry.nonce());
        self.arrivals += 1;
        self.bytes += entry.bytes();
        if entry.queued {
            self.queued_bytes += entry.bytes();
        }
        self.by_id.insert(id, (address, nonce));
        self.by_full_id.insert(entry.tx.full_id(), id);
        self.by_arrival.insert(entry.arrival, id);
        for payment in entry.payments() {
            self.receivers.entry(payment.to).or_default().insert(id);
        }
        if entry.tx.tx().body.expiry != 0 {
            self.expiries.insert((entry.tx.tx().body.expiry, id));
        }
        self.runs.join(entry.run, entry.tx.bytes().len() as u64);
        let closes_gap = !entry.queued;
        self.forget_last(address);
        let sender = self.senders.entry(address).or_default();
        // Coins are there with nothing where no fee is paid.
        for (asset, amount) in entry.outflow.iter().filter(|(_, amount)| **amount > 0) {
            *sender.outflow.entry(*asset).or_default() += amount;
        }
        sender.entries.insert(nonce, entry);
        sender.settle_floors(nonce + 1);
        if closes_gap {
            let followers = sender.entries.range_mut(nonce + 1..);
            for (expected, (nonce, follower)) in (nonce + 1..).zip(followers) {
                if *nonce != expected || !follower.queued {
                    break;
                }
                follower.queued = false;
                self.queued_bytes -= follower.bytes();
            }
        }
        self.note_last(address);
    }

    /// Removes a transaction. Those of its sender that follow are not looked at: whoever removes one
    /// from the middle puts another there or revalidates the sender.
    fn remove(&mut self, id: &TxId) -> Option<Entry> {
        let (address, nonce) = self.by_id.remove(id)?;
        self.forget_last(address);
        let sender = self.senders.get_mut(&address).expect("by_id names only senders there are");
        let entry = sender.entries.remove(&nonce).expect("by_id names only nonces there are");
        self.by_arrival.remove(&entry.arrival);
        for (asset, amount) in entry.outflow.iter().filter(|(_, amount)| **amount > 0) {
            let sum = sender.outflow.get_mut(asset).expect("every entry was added");
            *sum -= amount;
            if *sum == 0 {
                sender.outflow.remove(asset);
            }
        }
        sender.settle_floors(nonce);
        if sender.entries.is_empty() {
            self.senders.remove(&address);
        }
        self.by_full_id.remove(&entry.tx.full_id());
        for payment in entry.payments() {
            if let Some(ids) = self.receivers.get_mut(&payment.to) {
                ids.remove(id);
                if ids.is_empty() {
                    self.receivers.remove(&payment.to);
                }
            }
        }
        self.expiries.remove(&(entry.tx.tx().body.expiry, *id));
        self.runs.leave(entry.run, entry.tx.bytes().len() as u64);
        self.bytes -= entry.bytes();
        if entry.queued {
            self.queued_bytes -= entry.bytes();
        }
        self.note_last(address);
        Some(entry)
    }

    fn forget_last(&mut self, address: Address) {
        if let Some((_, entry)) =
            self.senders.get(&address).and_then(|sender| sender.entries.last_key_value())
        {
            self.last.remove(&(entry.floor, entry.arrival, address));
        }
    }

    fn note_last(&mut self, address: Address) {
        if let Some((_, entry)) =
            self.senders.get(&address).and_then(|sender| sender.entries.last_key_value())
        {
            self.last.insert((entry.floor, entry.arrival, address));
        }
    }

    /// Transactions that a block may hold, dearest first, each after those of its sender that come
    /// before it, until they weigh `bytes_max`. Only what is durable by commit `seq`.
    #[must_use]
    pub fn select(&self, seq: u64, bytes_max: u64) -> Vec<Arc<CheckedTx>> {
        let head = |sender: &Sender, from: u64| {
            let (_, entry) = sender.entries.range(from..).next()?;
            (!entry.queued && entry.seq <= seq)
                .then(|| (entry.rate, std::cmp::Reverse(entry.arrival), entry.sender(), entry.nonce()))
        };
        let mut heads: BinaryHeap<_> = self.senders.values().filter_map(|sender| head(sender, 0)).collect();
        let (mut chosen, mut bytes) = (Vec::new(), 0);
        while let Some((_, _, address, nonce)) = heads.pop() {
            let sender = &self.senders[&address];
            let tx = &sender.entries[&nonce].tx;
            bytes += tx.bytes().len() as u64;
            if bytes > bytes_max {
                break;
            }
            chosen.push(Arc::clone(tx));
            heads.extend(head(sender, nonce + 1));
        }
        chosen
    }

    /// A pending transaction.
    #[must_use]
    pub fn get(&self, id: &TxId) -> Option<&Entry> {
        let (address, nonce) = self.by_id.get(id)?;
        self.senders.get(address)?.entries.get(nonce)
    }

    /// The pending transaction of exactly the bytes with this id.
    #[must_use]
    pub fn by_full_id(&self, full_id: &FullId) -> Option<&Entry> {
        self.get(self.by_full_id.get(full_id)?)
    }

    /// Whether exactly these bytes passed their signature check here.
    #[must_use]
    pub fn holds(&self, id: &TxId, full_id: &FullId) -> bool {
        self.get(id).is_some_and(|entry| entry.tx.full_id() == *full_id)
    }

    /// What an address has pending: as sender, and as receiver.
    #[must_use]
    pub fn of_address(&self, address: &Address) -> (Vec<&Entry>, Vec<&Entry>) {
        (self.sent_by(address).collect(), self.paid_to(address).collect())
    }

    /// What an address has pending as sender, by nonce.
    pub fn sent_by(&self, address: &Address) -> impl Iterator<Item = &Entry> {
        self.senders.get(address).into_iter().flat_map(|sender| sender.entries.values())
    }

    /// What an address has pending as receiver, by id.
    pub fn paid_to(&self, address: &Address) -> impl Iterator<Item = &Entry> {
        self.receivers.get(address).into_iter().flatten().filter_map(|id| self.get(id))
    }

    /// Every pending transaction, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.senders.values().flat_map(|sender| sender.entries.values())
    }

    /// The first `max` pending transactions by arrival, from this number of arrival on, that are durable
    /// by commit `seq`. None is passed over: the first that is not durable yet ends it.
    #[must_use]
    pub fn after(&self, arrival: u64, seq: u64, max: usize) -> Vec<(u64, TxId)> {
        let found = self.by_arrival.range(arrival..).take(max);
        let is_durable = |id: &TxId| self.get(id).is_some_and(|entry| entry.seq <= seq);
        found.map(|(arrival, id)| (*arrival, *id)).take_while(|(_, id)| is_durable(id)).collect()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Memory they are counted for, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Notes a run of the store with its size, alive or not.
    pub fn note_run(&mut self, seq: u64, bytes: u64) {
        self.runs.note(seq, bytes);
    }

    /// Runs of the store of which nothing is pending any more: to be deleted with the next commit.
    pub fn take_dead_runs(&mut self) -> Vec<u64> {
        self.runs.take_dead()
    }

    /// Whether the stored runs hold so much more than what is pending that they should be rewritten.
    #[must_use]
    pub fn runs_are_wasteful(&self) -> bool {
        self.runs.are_wasteful()
    }

    /// Moves every transaction to the run of commit `seq`, which must then hold all of them.
    pub fn restamp(&mut self, seq: u64) -> Vec<Arc<CheckedTx>> {
        let mut all: Vec<&mut Entry> =
            self.senders.values_mut().flat_map(|s| s.entries.values_mut()).collect();
        all.sort_unstable_by_key(|entry| entry.arrival);
        // Those that are shown stay shown: only where they are stored changes.
        for entry in all.iter_mut().filter(|entry| entry.run != seq) {
            let bytes = entry.tx.bytes().len() as u64;
            self.runs.leave(entry.run, bytes);
            entry.run = seq;
            self.runs.join(seq, bytes);
        }
        all.into_iter().map(|entry| Arc::clone(&entry.tx)).collect()
    }
}
