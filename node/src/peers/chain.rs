//! What sync and relay read of the chain, for their machines and for other nodes: the view for
//! moments, the store for bodies. Must not know peers.

use steelyard_core::hash::{BlockId, TxId};
use steelyard_core::history::HistoryFrontier;
use steelyard_core::types::header::Header;
use steelyard_core::wire::headers::LOCATOR_MAX;

use super::relay::PoolRead;
use crate::chain::Chain;
use crate::chain::error::LoadError;
use crate::chain::index::{Entry, Verdict};
use crate::finder::Finder;
use crate::lookup;
use crate::sync::{ChainRead, Known};

/// Ids of a locator that stand one after another, before the distances double.
const LOCATOR_DENSE: u64 = 10;

/// The committed chain.
pub(super) struct Reader<'a>(pub(super) &'a Chain);

impl ChainRead for Reader<'_> {
    fn tip(&self) -> Known {
        known(self.0.shared.read().tip())
    }

    fn block(&self, id: &BlockId) -> Option<Known> {
        self.0.shared.read().block(id).map(|(_, entry)| known(entry))
    }

    fn frontier(&self, id: &BlockId) -> Option<HistoryFrontier> {
        let view = self.0.shared.read();
        let (number, _) = view.block(id)?;
        Some(view.index().frontier(number))
    }

    fn locator(&self) -> Vec<BlockId> {
        let view = self.0.shared.read();
        heights(view.tip().header.height).filter_map(|height| Some(view.active(height)?.id)).collect()
    }

    fn headers_after(&self, locator: &[BlockId], max: usize) -> Vec<Header> {
        let view = self.0.shared.read();
        let active = |id: &BlockId| {
            let (number, entry) = view.block(id)?;
            view.is_active(number).then_some(entry.header.height)
        };
        let from = locator.iter().find_map(active).unwrap_or(0);
        (from + 1..).map_while(|height| view.active(height)).take(max).map(|entry| entry.header).collect()
    }

    fn refused(&self, id: &BlockId) -> Option<String> {
        self.0.shared.read().refused(id).map(str::to_owned)
    }

    fn is_beyond_pruning(&self, id: &BlockId) -> bool {
        let view = self.0.shared.read();
        view.block(id).is_some_and(|(number, _)| view.index().is_beyond_pruning(number))
    }

    fn body(&self, id: &BlockId) -> Option<Vec<u8>> {
        let entry = {
            let view = self.0.shared.read();
            let (_, entry) = view.block(id)?;
            // Genesis has none; one that is known to be invalid is no use to anybody.
            entry.body.as_ref().filter(|_| !entry.is_invalid())?;
            entry.clone()
        };
        match lookup::body(self.0, &entry) {
            Ok(body) => Some(body.to_bytes()),
            Err(LoadError::Pruned { .. }) => None,
            Err(error) => {
                tracing::error!(%error, "stored data is damaged or cannot be read, and is not served");
                None
            }
        }
    }
}

/// What is pending, and what was a moment ago.
pub(super) struct Pool<'a>(pub(super) &'a Chain, pub(super) &'a Finder);

impl PoolRead for Pool<'_> {
    /// By what is in memory: of a transaction that is long in the chain nobody tells, and who does
    /// hears that its nonce is used.
    fn is_known(&self, id: &TxId) -> bool {
        self.0.shared.read().pending(id).is_some() || self.1.is_recent(id)
    }

    fn after(&self, arrival: u64, max: usize) -> Vec<(u64, TxId)> {
        self.0.shared.read().pending_after(arrival, max)
    }
}

fn known(entry: &Entry) -> Known {
    let invalid = match &entry.verdict {
        Verdict::Invalid { reason } => Some(reason.clone()),
        Verdict::Unexecuted | Verdict::Connected { .. } => None,
    };
    Known {
        header: entry.header,
        id: entry.id,
        total_work: entry.total_work,
        has_body: entry.body.is_some() || entry.header.height == 0,
        invalid,
    }
}

/// Heights of a locator: the tip's and those just before it, then at doubling distances, genesis last.
fn heights(tip: u64) -> impl Iterator<Item = u64> {
    let dense = (0..LOCATOR_DENSE).map(Some);
    let sparse = (0..u64::BITS).map(|power| 1u64.checked_shl(power)?.checked_add(LOCATOR_DENSE - 1));
    let back = dense.chain(sparse).map_while(move |back| back.filter(|back| *back < tip));
    back.map(move |back| tip - back).take(LOCATOR_MAX - 1).chain([0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locator_is_dense_then_sparse_and_ends_at_genesis() {
        let of = |tip| heights(tip).collect::<Vec<_>>();
        assert_eq!(of(0), [0]);
        assert_eq!(of(3), [3, 2, 1, 0]);
        assert_eq!(of(12), [12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
        assert_eq!(of(40), [40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 27, 23, 15, 0]);
        let longest = of(u64::MAX);
        assert!(longest.len() <= LOCATOR_MAX && longest.windows(2).all(|pair| pair[0] > pair[1]));
    }
}
