//! One pending transaction, and how it compares with others.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use steelyard_core::consensus::transaction::CheckedTx;
use steelyard_core::consensus::transition::outflow;
use steelyard_core::hash::{Address, AssetId};
use steelyard_core::params::BYTES_PER_NEW_RECORD;
use steelyard_core::state::{Key, StateRead};
use steelyard_core::types::transaction::{Action, Payment};

use crate::limits::MEMPOOL_OVERHEAD_BYTES;

/// Fee per weight, compared exactly.
#[derive(Clone, Copy, Debug)]
pub struct FeeRate {
    /// Base units.
    pub fee: u64,
    /// Bytes, a record that the transaction creates counting as [`BYTES_PER_NEW_RECORD`].
    pub weight: u64,
}

impl FeeRate {
    fn product(self, other: Self) -> u128 {
        u128::from(self.fee) * u128::from(other.weight)
    }
}

impl Ord for FeeRate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.product(*other).cmp(&other.product(*self))
    }
}

impl PartialOrd for FeeRate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for FeeRate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for FeeRate {}

/// A pending transaction.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The transaction.
    pub tx: Arc<CheckedTx>,
    /// The commit that makes it durable: it is shown to nobody before.
    pub seq: u64,
    /// The commit whose stored run holds it.
    pub run: u64,
    /// Order of arrival, which decides between equal rates.
    pub arrival: u64,
    /// What it pays.
    pub rate: FeeRate,
    /// The least that it or one of its sender before it pays: nobody mines it for more.
    pub floor: FeeRate,
    /// What it takes from its sender, by asset.
    pub outflow: BTreeMap<AssetId, u128>,
    /// Whether it waits for a missing nonce.
    pub queued: bool,
}

impl Entry {
    /// Weighs a transaction against a state.
    #[must_use]
    pub fn new(tx: CheckedTx, state: &dyn StateRead, (seq, arrival): (u64, u64)) -> Self {
        let body = &tx.tx().body;
        let created = created_records(&tx, state) * BYTES_PER_NEW_RECORD;
        let rate = FeeRate { fee: body.fee, weight: tx.bytes().len() as u64 + created };
        let mut outflow = outflow(body.fee, payments(&tx));
        if let Action::Burn { asset, amount } = body.action {
            *outflow.entry(asset).or_default() += u128::from(amount);
        }
        Self { tx: Arc::new(tx), seq, run: seq, arrival, rate, floor: rate, outflow, queued: false }
    }

    /// Memory that it is counted for, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.tx.bytes().len() + MEMPOOL_OVERHEAD_BYTES
    }

    /// Its sender.
    #[must_use]
    pub fn sender(&self) -> Address {
        self.tx.tx().body.sender
    }

    /// Its nonce.
    #[must_use]
    pub fn nonce(&self) -> u64 {
        self.tx.tx().body.nonce
    }

    /// What it pays to whom.
    #[must_use]
    pub fn payments(&self) -> &[Payment] {
        payments(&self.tx)
    }
}

fn payments(tx: &CheckedTx) -> &[Payment] {
    match &tx.tx().body.action {
        Action::Transfer { payments } => payments,
        _ => &[],
    }
}

/// Records that are not there yet and would be after it.
fn created_records(tx: &CheckedTx, state: &dyn StateRead) -> u64 {
    let mut keys: Vec<Key> = payments(tx)
        .iter()
        .map(|payment| match payment.asset {
            AssetId::COINS => Key::Account(payment.to),
            asset => Key::Holding(payment.to, asset),
        })
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let created = keys.iter().filter(|key| state.get(key).is_none()).count() as u64;
    // An issue makes a description and a holding.
    if matches!(tx.tx().body.action, Action::Issue { .. }) { created + 2 } else { created }
}
