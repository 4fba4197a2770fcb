//! Stored bodies, for the routes: read off the async threads, a few at once, and what lists say of
//! them remembered. Must not know HTTP.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use steelyard_core::hash::{Address, BlockId};
use steelyard_core::types::body::{Body, Coinbase};
use steelyard_core::types::transaction::Transaction;

use super::Api;
use super::error::ApiError;
use crate::chain::error::LoadError;
use crate::chain::index::Entry;
use crate::lookup;

/// Summaries of bodies that are remembered: some pages of the list of blocks.
const SUMMARIES_MAX: usize = 1_024;

/// What a list of blocks says of a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodySummary {
    /// The coinbase's miner and amount; genesis has none.
    pub(super) coinbase: Option<(Address, u64)>,
    /// Transactions.
    pub(super) tx_count: u64,
    /// Nothing is known of it: it is pruned.
    pub(super) is_pruned: bool,
}

impl BodySummary {
    /// Of a body that is not here any more.
    pub(super) const PRUNED: Self = Self { coinbase: None, tx_count: 0, is_pruned: true };
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
    /// Does blocking work, when one of the few places for it is free.
    pub(super) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let api = Arc::clone(self);
        self.workers.run(move || work(&api)).await?
    }

    /// A block's body, which is what its header says. Blocks.
    pub(super) fn body(&self, entry: &Entry) -> Result<Body, ApiError> {
        Ok(lookup::body(&self.chain, entry)?)
    }

    /// What a list says of a body; of a pruned one that it is. Blocks.
    pub(super) fn body_summary(&self, entry: &Entry) -> Result<BodySummary, ApiError> {
        if let Some(summary) = self.summaries.get(&entry.id) {
            return Ok(summary);
        }
        let body = match lookup::body(&self.chain, entry) {
            Err(LoadError::Pruned { .. }) => return Ok(BodySummary::PRUNED),
            body => body?,
        };
        let coinbase = coinbase(entry, &body)?;
        let tx_count = body.items.len().saturating_sub(1) as u64;
        let coinbase = coinbase.map(|paid| (paid.miner, paid.amount));
        let summary = BodySummary { coinbase, tx_count, is_pruned: false };
        self.summaries.put(entry.id, summary);
        Ok(summary)
    }
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
