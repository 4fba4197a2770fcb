//! Finding transactions in the bodies of the active chain, for every door of the node: where they
//! may be, and whether they are there. A body is held against its header before a byte of it is
//! used. [`submission`] brings transactions in and says of one that comes again how it stands,
//! [`workers`] bounds what blocks. Must not know HTTP, frames, or who asks.

pub mod submission;
pub mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use steelyard_core::hash::TxId;
use steelyard_core::types::body::Body;
use steelyard_core::types::transaction::Transaction;
use steelyard_runtime::clock;

use crate::chain::Chain;
use crate::chain::check::load_right_body;
use crate::chain::error::{ChainError, LoadError};
use crate::chain::index::{Entry, Number};
use crate::chain::view::{Shared, View};

/// After a start the index of transactions is made from the bodies: how long a request waits for it…
const INDEX_WAIT: Duration = Duration::from_secs(10);
/// …and how often it looks.
const INDEX_LOOK: Duration = Duration::from_millis(20);

/// Why a question about transactions has no answer.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The chain thread does not answer.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A stored body is not what was stored.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Not every block has been read since the start: what is not found may yet be there.
    #[error("the index of transactions is being made after the start; it does not say yet")]
    Indexing,
    /// Work ended before it was done: a fault of the program.
    #[error("blocking work ended early")]
    Ended,
}

/// A block, and how it stood at one moment.
#[derive(Clone, Debug)]
pub struct Placed {
    /// What the index has of it.
    pub entry: Entry,
    /// Whether it was on the active chain.
    pub active: bool,
    /// Blocks from it to the tip, itself included; 0 for one that is not active.
    pub confirmations: u64,
}

impl Placed {
    /// A block on the active chain.
    #[must_use]
    pub fn active(view: &View, entry: &Entry) -> Self {
        let confirmations = view.tip().header.height.saturating_sub(entry.header.height) + 1;
        Self { entry: entry.clone(), active: true, confirmations }
    }

    /// Any block.
    #[must_use]
    pub fn any(view: &View, number: Number, entry: &Entry) -> Self {
        if view.is_active(number) {
            return Self::active(view, entry);
        }
        Self { entry: entry.clone(), active: false, confirmations: 0 }
    }
}

/// Blocks of the active chain in which transactions may be, by height, with their places: as they
/// stood at one moment, and readable whatever becomes of the active chain since.
#[derive(Debug, Default)]
pub struct Candidates(BTreeMap<u64, (Placed, Vec<(TxId, u32)>)>);

impl Candidates {
    /// Where these transactions may be.
    #[must_use]
    pub fn of(view: &View, ids: &[TxId]) -> Self {
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

    /// Heights of the blocks, ascending.
    pub fn heights(&self) -> impl Iterator<Item = u64> {
        self.0.keys().copied()
    }
}

/// Whether every block's transactions can be looked up.
#[must_use]
pub fn is_indexed(view: &View) -> bool {
    view.txs().next_missing().is_none_or(|height| height == 0)
}

/// Waits until every block's transactions can be looked up, 10 seconds at most.
///
/// # Errors
/// [`LookupError::Indexing`].
pub async fn indexed(shared: &Shared) -> Result<(), LookupError> {
    let started = clock::start();
    while !is_indexed(&shared.read()) {
        if started.elapsed() > INDEX_WAIT {
            return Err(LookupError::Indexing);
        }
        tokio::time::sleep(INDEX_LOOK).await;
    }
    Ok(())
}

/// A block's body, which is what its header says. Blocks.
///
/// # Errors
/// [`LoadError`] when it is not there, another, or pruned.
pub fn body(chain: &Chain, entry: &Entry) -> Result<Body, LoadError> {
    load_right_body(&chain.shared, &chain.store, entry)
}

/// Calls `found` with the block and place of each of these transactions that is where it may be;
/// each body is read once. Gives those that may be in a block whose body is pruned. Blocks.
///
/// # Errors
/// [`LoadError`] of the first body that should be there and cannot be read.
pub fn locate(
    chain: &Chain,
    candidates: Candidates,
    mut found: impl FnMut(TxId, &Placed, u32, &Body),
) -> Result<BTreeSet<TxId>, LoadError> {
    let mut pruned = BTreeSet::new();
    for (placed, wanted) in candidates.0.into_values() {
        let body = match body(chain, &placed.entry) {
            Err(LoadError::Pruned { .. }) => {
                pruned.extend(wanted.into_iter().map(|(id, _)| id));
                continue;
            }
            body => body?,
        };
        for (id, item) in wanted {
            let bytes = usize::try_from(item).ok().and_then(|item| body.items.get(item));
            let tx = bytes.and_then(|bytes| Transaction::from_bytes(bytes).ok());
            if tx.is_some_and(|tx| tx.body.id() == id) {
                found(id, &placed, item, &body);
            }
        }
    }
    Ok(pruned)
}
