//! Samples of the index: of some of the last blocks a transaction is found through it, and the block by
//! its miner's address. Must not know how the index is kept.

use steelyard_core::types::body::Coinbase;
use steelyard_core::types::transaction::Transaction;

use super::failure::INDEX_RULE;
use super::{Failure, Source};
use crate::chain::index::{Entry, Index};
use crate::chain::view::Shared;
use crate::finder::{Finder, Found, Key, Order, Position, Query};

/// Blocks that are looked up.
const SAMPLES: u64 = 100;

/// The index that is sampled, and the chain that it follows meanwhile, where a node runs.
pub(super) struct Sampled<'a> {
    pub(super) finder: &'a Finder,
    pub(super) shared: Option<&'a Shared>,
}

impl Sampled<'_> {
    /// Samples the active blocks from a height on, as far as they are indexed. An index that cannot be
    /// asked now says so elsewhere, and is no damage.
    pub(super) fn check(&self, source: &Source<'_>, index: &Index, from: u64) -> Result<(), Failure> {
        let Ok(Some(Found { mark, .. })) = self.finder.find(&[]) else { return Ok(()) };
        let Some(number) = index.number(&mark.id) else { return Ok(()) };
        let indexed = index.get(index.active_ancestor(number)).header.height;
        let blocks = (indexed + 1).saturating_sub(from);
        let samples = blocks.min(SAMPLES);
        for sample in 0..samples {
            let height = from + sample * blocks / samples;
            let number = index.active(height).expect("asked for heights up to the tip's");
            self.check_block(source, index.get(number))?;
        }
        Ok(())
    }

    fn check_block(&self, source: &Source<'_>, entry: &Entry) -> Result<(), Failure> {
        let body = source.body(entry)?;
        let height = entry.header.height;
        let Some(coinbase) = body.items.first().and_then(|bytes| Coinbase::from_bytes(bytes).ok()) else {
            return Ok(());
        };
        // Another place in each block.
        let item = 1 + height.checked_rem(body.items.len() as u64 - 1).unwrap_or(0);
        let bytes = usize::try_from(item).ok().and_then(|item| body.items.get(item));
        let tx = bytes.and_then(|bytes| Transaction::from_bytes(bytes).ok());
        let tx = tx.map(|tx| (Key::Tx(tx.body.id()), item as u32));
        for (key, item) in [Some((Key::Address(coinbase.miner), 0)), tx].into_iter().flatten() {
            let place = Position { height, item };
            let query = Query { key, from: place, to: place, order: Order::OldestFirst, max: 1 };
            let Ok(Some(found)) = self.finder.find(&[query]) else { return Ok(()) };
            if found.places[0].is_empty() && self.stands(entry) {
                let message = format!("item {item} is not found through the index");
                return Err(Failure::of_block(entry, INDEX_RULE, message));
            }
        }
        Ok(())
    }

    /// Whether the block is still active: of one that is not the index may have forgotten what it held.
    fn stands(&self, entry: &Entry) -> bool {
        let is_active = |shared: &Shared| {
            shared.read().active(entry.header.height).is_some_and(|active| active.id == entry.id)
        };
        self.shared.is_none_or(is_active)
    }
}
