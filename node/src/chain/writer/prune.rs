//! Old bodies, and deltas that neither a start nor a reorganisation within the blocks kept can need,
//! go a few at a time between commits. What may be missing is said first, durably and to everybody.
//! Must not know how the store deletes.

use super::Writer;
use crate::chain::index::Number;
use crate::limits::{PRUNE_BATCHES, PRUNE_LOOKS, PRUNE_STEP};
use crate::store::schema::Space;
use crate::store::{StoreError, checkpoint};

/// How far pruning is.
pub(super) struct Pruner {
    /// Bodies of so many blocks are kept; `None`: nothing is deleted.
    depth: Option<u64>,
    /// Blocks that arrived before this one are all deep.
    next: Number,
    /// All bodies of commits before this one are deleted.
    bodies: u64,
    /// All deltas of commits before this one are deleted.
    deltas: u64,
}

impl Pruner {
    pub(super) fn new(depth: Option<u64>) -> Self {
        // Genesis has no body.
        Self { depth, next: 1, bodies: 0, deltas: 0 }
    }
}

impl Writer {
    /// One turn: says what may go from now on, and deletes a part of what may.
    pub(super) fn prune(&mut self) -> Result<(), StoreError> {
        let Some(depth) = self.pruner.depth else { return Ok(()) };
        let shared = std::sync::Arc::clone(&self.shared);
        let Some(_deleting) = shared.pruning.delete() else { return Ok(()) };
        self.advance_mark(depth)?;
        let bodies = self.first_kept();
        if bodies <= self.pruner.bodies && bodies <= self.pruner.deltas {
            return Ok(());
        }
        // A block that is kept came no earlier than it was connected: its undo is in a later delta. What a
        // start replays comes after the checkpoint.
        let replayed = checkpoint::mark(self.store.door())?.map_or(1, |mark| mark.seq + 1);
        let deltas = bodies.min(replayed);
        for _ in 0..PRUNE_BATCHES {
            if self.pruner.bodies < bodies {
                if self.store.delete_before(Space::Body, bodies)? {
                    self.pruner.bodies = bodies;
                }
            } else if self.pruner.deltas < deltas {
                if self.store.delete_before(Space::Delta, deltas)? {
                    self.pruner.deltas = deltas;
                }
            } else {
                break;
            }
        }
        Ok(())
    }

    /// Says, for several blocks together, that they are too deep to be kept.
    fn advance_mark(&mut self, depth: u64) -> Result<(), StoreError> {
        let (tip, before) = {
            let view = self.shared.read();
            (view.tip().header.height, view.index.bodies_from())
        };
        let from = (tip + 1).saturating_sub(depth);
        if from < before.saturating_add(PRUNE_STEP) {
            return Ok(());
        }
        self.store.set_bodies_from(from)?;
        self.shared.write().index.set_bodies_from(from);
        Ok(())
    }

    /// The first commit that may have received a block that is kept, on whichever branch: all before it
    /// received only deep ones. Looks at a part of the blocks.
    fn first_kept(&mut self) -> u64 {
        let view = self.shared.read();
        let (from, end) = (view.index.bodies_from(), view.index.next_number());
        let last = end.min(self.pruner.next.saturating_add(PRUNE_LOOKS));
        while self.pruner.next < last && view.index.get(self.pruner.next).header.height < from {
            self.pruner.next += 1;
        }
        if self.pruner.next == end {
            return self.seq + 1;
        }
        view.index.get(self.pruner.next).body.map_or(0, |place| place.seq)
    }
}
