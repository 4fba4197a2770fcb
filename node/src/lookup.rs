//! Finding transactions in the bodies of the active chain, for every door of the node: where they
//! may be by the index, and whether they are there. A body is held against its header before a byte
//! of it is used. [`submission`] brings transactions in and says of one that comes again how it stands,
//! [`workers`] bounds what blocks. Must not know HTTP, frames, or who asks.
//!
//! The index is behind the tip, so it is asked first ([`Look::at`]), and the view is read after it, at one
//! moment: what the view then says of pending transactions and of active blocks belongs together, and
//! what is in neither is unknown for certain if the index had come up to that moment's tip
//! ([`Look::is_certain`]). If not, the asker waits until it has ([`indexed`]) and begins again.

pub mod submission;
pub mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use steelyard_core::hash::TxId;
use steelyard_core::types::body::Body;
use steelyard_core::types::transaction::Transaction;

use crate::chain::Chain;
use crate::chain::check::load_right_body;
use crate::chain::error::{ChainError, LoadError};
use crate::chain::index::{Entry, Number};
use crate::chain::view::{Shared, View};
use crate::finder::{Finder, FinderError, Key, Mark, Position, Query, indexed_height};
use crate::limits::INDEX_PLACES_MAX;

/// How long a request waits for the index to come up to the tip.
const INDEX_WAIT: Duration = Duration::from_secs(10);

/// Why a question about transactions has no answer.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The chain thread does not answer.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A stored body is not what was stored.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Not every block has been read: what is not found may yet be there.
    #[error("the index has not read every block yet; what is not found may be in the rest")]
    Indexing,
    /// There is no index to ask.
    #[error(transparent)]
    Index(#[from] FinderError),
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

/// Where transactions may be, as the index said.
#[derive(Debug)]
pub struct Look {
    places: Vec<(TxId, Vec<Position>)>,
    /// How far the index had come.
    mark: Option<Mark>,
}

impl Look {
    /// Asks the index where these transactions may be. Reads the disk.
    ///
    /// # Errors
    /// [`FinderError`].
    pub fn at(finder: &Finder, ids: &[TxId]) -> Result<Self, FinderError> {
        let ids: BTreeSet<TxId> = ids.iter().copied().collect();
        let queries: Vec<_> = ids.iter().map(|id| Query::newest(Key::Tx(*id), INDEX_PLACES_MAX)).collect();
        let found = finder.find(&queries)?;
        let mark = found.as_ref().map(|found| found.mark);
        let places = found.map(|found| found.places).unwrap_or_default();
        Ok(Self { places: ids.into_iter().zip(places).collect(), mark })
    }

    /// Whether the index had read every block that is active in this view: what is not found then is
    /// in none of them.
    #[must_use]
    pub fn is_certain(&self, view: &View) -> bool {
        self.mark.is_some_and(|mark| indexed_height(view, &mark) == view.tip().header.height)
    }
}

/// Blocks of the active chain in which transactions may be, by height, with their places: as they
/// stood at one moment, and readable whatever becomes of the active chain since.
#[derive(Debug, Default)]
pub struct Candidates(BTreeMap<u64, (Placed, Vec<(TxId, u32)>)>);

impl Candidates {
    /// Where those of the transactions that are wanted may be.
    #[must_use]
    pub fn of(view: &View, look: &Look, is_wanted: impl Fn(&TxId) -> bool) -> Self {
        let mut blocks: BTreeMap<u64, (Placed, Vec<(TxId, u32)>)> = BTreeMap::new();
        for (id, positions) in look.places.iter().filter(|(id, _)| is_wanted(id)) {
            for position in positions {
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

/// Whether the index has read every block.
#[must_use]
pub fn is_indexed(shared: &Shared, finder: &Finder) -> bool {
    let view = shared.read();
    finder.indexed_height(&view) == Some(view.tip().header.height)
}

/// Waits until the index has come up to what is the tip now, 10 seconds at most.
///
/// # Errors
/// [`LookupError::Indexing`], [`LookupError::Index`].
pub async fn indexed(shared: &Shared, finder: &Finder) -> Result<(), LookupError> {
    let tip = {
        let view = shared.read();
        Mark { height: view.tip().header.height, id: view.tip().id }
    };
    let is_reached = || {
        let view = shared.read();
        let is_left = view.active(tip.height).is_none_or(|entry| entry.id != tip.id);
        // After a reorganisation the asker looks at another tip.
        is_left || finder.indexed_height(&view).is_some_and(|height| height >= tip.height)
    };
    let mut progress = finder.progress();
    let reached = async {
        while !is_reached() {
            if let Some(reason) = finder.failure() {
                return Err(FinderError::Failed(reason).into());
            }
            progress.changed().await.map_err(|_| LookupError::Ended)?;
        }
        Ok(())
    };
    tokio::time::timeout(INDEX_WAIT, reached).await.unwrap_or(Err(LookupError::Indexing))
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
