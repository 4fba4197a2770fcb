//! The pool alone: what it lets in, in which order it gives up and gives out, and that its books
//! are right after anything.

mod admission;
mod random;
mod room;
mod runs;
mod state;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use steelyard_core::amount::COIN;
use steelyard_core::encode::List;
use steelyard_core::hash::{Address, AssetId, NetworkId};
use steelyard_core::state::{Key, Record, Trie};
use steelyard_core::types::transaction::{Action, Payment};

use super::*;
use crate::chain::tests::maker::{account, act, params};
use crate::limits::SENDER_NONCES_MAX;
use steelyard_core::consensus::error::TxRule;
use steelyard_core::consensus::transition::apply;

/// Checks everything that the pool keeps twice, and what must hold against the state.
pub fn assert_sound(pool: &Mempool, state: &Trie) {
    let entries: Vec<&Entry> = pool.iter().collect();
    assert_eq!(pool.by_id.len(), entries.len());
    assert_eq!(pool.bytes, entries.iter().map(|entry| entry.bytes()).sum::<usize>());
    let queued = entries.iter().filter(|entry| entry.queued);
    assert_eq!(pool.queued_bytes, queued.map(|entry| entry.bytes()).sum::<usize>());
    assert!(pool.bytes <= pool.bytes_max);
    let mut arrivals = BTreeMap::new();
    let mut receivers: HashMap<Address, BTreeSet<TxId>> = HashMap::new();
    let (mut expiries, mut last, mut runs) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::<u64, u64>::new());
    for entry in &entries {
        let (id, body) = (entry.tx.id(), &entry.tx.tx().body);
        assert_eq!(pool.by_id[&id], (entry.sender(), entry.nonce()));
        assert!(entry.arrival < pool.arrivals);
        arrivals.insert(entry.arrival, id);
        for payment in entry.payments() {
            receivers.entry(payment.to).or_default().insert(id);
        }
        if body.expiry != 0 {
            expiries.insert((body.expiry, id));
        }
        *runs.entry(entry.run).or_default() += 1;
    }
    assert_eq!(pool.by_arrival, arrivals);
    let full: HashMap<_, _> = pool.iter().map(|entry| (entry.tx.full_id(), entry.tx.id())).collect();
    assert_eq!(pool.by_full_id, full);
    assert_eq!((&pool.receivers, &pool.expiries), (&receivers, &expiries));
    assert_eq!(pool.runs.alive(), runs);
    for (address, sender) in &pool.senders {
        assert!(!sender.entries.is_empty());
        assert_sender_sound(state, *address, sender);
        let entry = sender.entries.last_key_value().unwrap().1;
        last.insert((entry.floor, entry.arrival, *address));
    }
    assert_eq!(pool.last, last);
}

fn assert_sender_sound(state: &Trie, address: Address, sender: &Sender) {
    let (_, account_nonce) = Overlay::new(state).account(address);
    let mut outflow: BTreeMap<AssetId, u128> = BTreeMap::new();
    let (mut expected, mut floor) = (account_nonce, None::<FeeRate>);
    for (nonce, entry) in &sender.entries {
        assert!(*nonce >= account_nonce && *nonce < account_nonce + SENDER_NONCES_MAX);
        assert_eq!((*nonce, address), (entry.nonce(), entry.sender()));
        assert_eq!(entry.queued, *nonce != expected, "waits if and only if a nonce before it is missing");
        expected += u64::from(!entry.queued);
        for (asset, amount) in &entry.outflow {
            *outflow.entry(*asset).or_default() += amount;
        }
        let least = floor.map_or(entry.rate, |floor| floor.min(entry.rate));
        assert_eq!(entry.floor, least);
        floor = Some(least);
    }
    outflow.retain(|_, amount| *amount > 0);
    assert_eq!(sender.outflow, outflow);
    for (asset, amount) in outflow {
        assert!(
            amount <= u128::from(checks::balance(state, address, asset)),
            "funds cover all that is pending"
        );
    }
}

/// A pool over the genesis of the test network.
struct Stage {
    params: Params,
    network: NetworkId,
    state: Trie,
    next: u64,
    pool: Mempool,
}

impl Stage {
    fn new(bytes_max: usize) -> Self {
        let params = params();
        let genesis = params.genesis();
        let (network, state) = (genesis.id.into(), genesis.state);
        Self { params, network, state, next: 1, pool: Mempool::new(bytes_max) }
    }

    fn admit(&mut self, tx: &CheckedTx, seq: u64) -> Result<Admission, PoolError> {
        let admitted = self.pool.admit(&self.params, (&self.state, self.next), tx.clone(), seq);
        assert_sound(&self.pool, &self.state);
        admitted
    }

    /// A payment of one base unit to an account that is there.
    fn pay(&self, from: u8, nonce: u64, fee: u64) -> CheckedTx {
        self.pay_amount(from, nonce, fee, 1)
    }

    fn pay_amount(&self, from: u8, nonce: u64, fee: u64, amount: u64) -> CheckedTx {
        self.transfer((from, nonce, fee), AssetId::COINS, amount)
    }

    fn transfer(&self, terms: (u8, u64, u64), asset: AssetId, amount: u64) -> CheckedTx {
        let payment = Payment { asset, to: account(7).address, amount };
        self.act(terms, Action::Transfer { payments: List::new(vec![payment]).unwrap() })
    }

    fn act(&self, terms: (u8, u64, u64), action: Action) -> CheckedTx {
        act(self.network, terms, (0, Vec::new()), action)
    }

    fn expiring(&self, from: u8, nonce: u64, expiry: u64) -> CheckedTx {
        let payment = Payment { asset: AssetId::COINS, to: account(7).address, amount: 1 };
        let action = Action::Transfer { payments: List::new(vec![payment]).unwrap() };
        act(self.network, (from, nonce, 0), (expiry, Vec::new()), action)
    }

    /// Changes records as a block would.
    fn change(&mut self, changes: Vec<(Key, Option<Record>)>) {
        let keys: Vec<Key> = changes.iter().map(|(key, _)| *key).collect();
        self.state.update(changes);
        self.pool.revalidate(&self.state, self.next, keys);
        assert_sound(&self.pool, &self.state);
    }

    fn set_account(&mut self, from: u8, balance: u64, nonce: u64) {
        self.change(vec![(Key::Account(account(from).address), Some(Record::Account { balance, nonce }))]);
    }

    /// Who and which nonce, of all that is pending, in order.
    fn pending(&self) -> Vec<(u8, u64)> {
        let number = |address| (0..=9).find(|number| account(*number).address == address).unwrap();
        let mut pending: Vec<_> =
            self.pool.iter().map(|entry| (number(entry.sender()), entry.nonce())).collect();
        pending.sort_unstable();
        pending
    }
}

/// What one payment of this kind is counted for.
fn pay_bytes() -> usize {
    let stage = Stage::new(0);
    stage.pay(0, 0, 0).bytes().len() + crate::limits::MEMPOOL_OVERHEAD_BYTES
}

const GENESIS_BALANCE: u64 = 1_000 * COIN;
