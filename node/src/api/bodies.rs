//! Stored bodies, for the routes: read off the async threads, a few at once, and held against
//! their header before a byte of them is used. Must not know HTTP.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use steelyard_core::hash::{Address, BlockId, TxId};
use steelyard_core::types::body::{Body, Coinbase};
use steelyard_core::types::transaction::Transaction;

use super::Api;
use super::error::ApiError;
use crate::chain::check::load_body;
use crate::chain::index::{Entry, Number};
use crate::chain::view::View;
use crate::clock;

/// Summaries of bodies that are remembered: some pages of the list of blocks.
const SUMMARIES_MAX: usize = 1_024;
/// After a start the index of transactions is made from the bodies: how long a request waits for it…
const INDEX_WAIT: Duration = Duration::from_secs(10);
/// …and how often it looks.
const INDEX_LOOK: Duration = Duration::from_millis(20);

/// A block, and how it stood at one moment.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    /// What the index has of it.
    pub(super) entry: Entry,
    /// Whether it was on the active chain.
    pub(super) active: bool,
    /// Blocks from it to the tip, itself included; 0 for one that is not active.
    pub(super) confirmations: u64,
}

impl Placed {
    /// A block on the active chain.
    pub(super) fn active(view: &View, entry: &Entry) -> Self {
        let confirmations = view.tip().header.height.saturating_sub(entry.header.height) + 1;
        Self { entry: entry.clone(), active: true, confirmations }
    }

    /// Any block.
    pub(super) fn any(view: &View, number: Number, entry: &Entry) -> Self {
        if view.is_active(number) {
            return Self::active(view, entry);
        }
        Self { entry: entry.clone(), active: false, confirmations: 0 }
    }
}

/// What a list of blocks says of a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodySummary {
    /// The coinbase's miner and amount; genesis has none.
    pub(super) coinbase: Option<(Address, u64)>,
    /// Transactions.
    pub(super) tx_count: u64,
}

/// Summaries by block, the oldest forgotten first. They never change.
#[derive(Default)]
pub(super) struct Summaries(Mutex<(HashMap<BlockId, BodySummary>, VecDeque<BlockId>)>);

impl Summaries {
    fn get(&self, id: &BlockId) -> Option<BodySummary> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.get(id).copied()
    }

    fn put(&self, id: BlockId, summary: BodySummary) {
        let (by_id, order) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if by_id.insert(id, summary).is_some() {
            return;
        }
        order.push_back(id);
        if order.len() > SUMMARIES_MAX
            && let Some(oldest) = order.pop_front()
        {
            by_id.remove(&oldest);
        }
    }
}

impl Api {
    /// Does blocking work, when one of the few places for it is free. The place is kept until the
    /// work ends, also when nobody waits for it any more.
    pub(super) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let place = Arc::clone(&self.workers).acquire_owned().await.map_err(|_| ApiError::busy())?;
        let api = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            work(&api)
        });
        done.await.map_err(|_| ApiError::internal("blocking work ended early"))?
    }

    /// A block's body, which is what its header says. Blocks.
    pub(super) fn body(&self, entry: &Entry) -> Result<Body, ApiError> {
        let body = load_body(&self.chain.shared, &self.chain.store, entry)?;
        if body.root() != entry.header.body_root {
            let (id, height) = (entry.id, entry.header.height);
            return Err(ApiError::damaged(&format!(
                "the body of block {id} at height {height} is not its header's"
            )));
        }
        Ok(body)
    }

    /// What a list says of a body. Blocks.
    pub(super) fn body_summary(&self, entry: &Entry) -> Result<BodySummary, ApiError> {
        if let Some(summary) = self.summaries.get(&entry.id) {
            return Ok(summary);
        }
        let body = self.body(entry)?;
        let coinbase = coinbase(entry, &body)?;
        let tx_count = body.items.len().saturating_sub(1) as u64;
        let summary = BodySummary { coinbase: coinbase.map(|paid| (paid.miner, paid.amount)), tx_count };
        self.summaries.put(entry.id, summary);
        Ok(summary)
    }

    /// Calls `found` with the block and place of each of these transactions that is where it may
    /// be; each body is read once. Blocks.
    pub(super) fn locate(
        &self,
        candidates: Candidates,
        mut found: impl FnMut(TxId, &Placed, u32, &Body),
    ) -> Result<(), ApiError> {
        for (placed, wanted) in candidates.0.into_values() {
            let body = self.body(&placed.entry)?;
            for (id, item) in wanted {
                let bytes = usize::try_from(item).ok().and_then(|item| body.items.get(item));
                let tx = bytes.and_then(|bytes| Transaction::from_bytes(bytes).ok());
                if tx.is_some_and(|tx| tx.body.id() == id) {
                    found(id, &placed, item, &body);
                }
            }
        }
        Ok(())
    }

    /// Waits until every block's transactions can be looked up.
    pub(super) async fn indexed(&self) -> Result<(), ApiError> {
        let started = clock::start();
        while !is_indexed(&self.chain.shared.read()) {
            if started.elapsed() > INDEX_WAIT {
                let message = "the index of transactions is being made after the start; it does not say yet";
                return Err(ApiError::unavailable("indexing", message));
            }
            tokio::time::sleep(INDEX_LOOK).await;
        }
        Ok(())
    }
}

/// Blocks of the active chain in which transactions may be, by height, with their places.
pub(super) struct Candidates(BTreeMap<u64, (Placed, Vec<(TxId, u32)>)>);

impl Candidates {
    /// Where these transactions may be.
    pub(super) fn of(view: &View, ids: &[TxId]) -> Self {
        let mut blocks: BTreeMap<u64, (Placed, Vec<(TxId, u32)>)> = BTreeMap::new();
        for id in ids {
            for position in view.txs().candidates(id) {
                let Some(entry) = view.active(position.height) else { continue };
                let block = blocks
                    .entry(position.height)
                    .or_insert_with(|| (Placed::active(view, entry), Vec::new()));
                block.1.push((*id, position.item));
            }
        }
        Self(blocks)
    }
}

/// Whether every block's transactions can be looked up.
pub(super) fn is_indexed(view: &View) -> bool {
    view.txs().next_missing().is_none_or(|height| height == 0)
}

/// A body's coinbase; genesis has none.
pub(super) fn coinbase(entry: &Entry, body: &Body) -> Result<Option<Coinbase>, ApiError> {
    let Some(bytes) = body.items.first() else { return Ok(None) };
    let coinbase = Coinbase::from_bytes(bytes);
    coinbase
        .map(Some)
        .map_err(|error| ApiError::damaged(&format!("the coinbase of block {}: {error}", entry.id)))
}

/// A body's transactions with their bytes, in their order.
pub(super) fn transactions(entry: &Entry, body: &Body) -> Result<Vec<(Transaction, Vec<u8>)>, ApiError> {
    let read = |(place, bytes): (usize, &Vec<u8>)| {
        let tx = Transaction::from_bytes(bytes).map_err(|error| {
            ApiError::damaged(&format!("transaction {place} of block {}: {error}", entry.id))
        })?;
        Ok((tx, bytes.clone()))
    };
    body.items.iter().enumerate().skip(1).map(read).collect()
}
