//! Who goes when the pool is full. Must not know the state.

use std::collections::BTreeSet;

use super::{Entry, Mempool, PoolError};
use crate::limits::QUEUED_BYTES_MAX;

impl Mempool {
    /// Evicts cheaper transactions, always the last of a sender, so that no nonce is left in the
    /// air; never for one that is itself in the air. What counts is what a miner gets who takes
    /// the transaction with all that must come before it.
    pub(super) fn make_room(
        &mut self,
        entry: &Entry,
        replaced: Option<&Entry>,
        next: u64,
    ) -> Result<(), PoolError> {
        let freed_queue = replaced.filter(|old| old.queued).map_or(0, Entry::bytes);
        if entry.queued && self.queued_bytes - freed_queue + entry.bytes() > QUEUED_BYTES_MAX {
            return Err(PoolError::QueueFull { next });
        }
        let mut bytes = self.bytes + entry.bytes() - replaced.map_or(0, Entry::bytes);
        let others = self.last.iter().filter(|(.., address)| *address != entry.sender());
        let mut lasts = others.map(|(floor, arrival, address)| (*floor, *arrival, *address, 0)).peekable();
        // Those that become the last of their sender when others go.
        let mut uncovered = BTreeSet::new();
        let mut evicted = Vec::new();
        while bytes > self.bytes_max {
            let is_uncovered = match (lasts.peek(), uncovered.first()) {
                (Some(last), Some(uncovered)) => uncovered < last,
                (last, _) => last.is_none(),
            };
            let cheapest = if is_uncovered { uncovered.pop_first() } else { lasts.next() };
            let cheapest = cheapest.filter(|(floor, ..)| !entry.queued && *floor < entry.floor);
            let (_, _, address, behind) = cheapest.ok_or(PoolError::Full)?;
            let mut left = self.senders[&address].entries.values().rev().skip(behind);
            let doomed = left.next().expect("as many are left as were not counted");
            bytes -= doomed.bytes();
            evicted.push(doomed.tx.id());
            uncovered.extend(left.next().map(|entry| (entry.floor, entry.arrival, address, behind + 1)));
        }
        for id in evicted {
            self.remove(&id);
        }
        Ok(())
    }
}
