//! Where confirmed transactions are: 16 bytes each in memory, by a keyed prefix of their ids, so
//! that nobody can make ids collide. Answers are candidates: the reader holds them against the
//! bodies. Must not know bodies.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use steelyard_core::hash::TxId;

/// Bits of a position that number the transaction within its block (a block holds fewer items
/// than its bytes allow, see the assertion).
const ITEM_BITS: u32 = 24;
const _: () = assert!(steelyard_core::params::BLOCK_BYTES_LIMIT <= 1 << ITEM_BITS);

/// Where a transaction may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Height of the active block.
    pub height: u64,
    /// Item of its body; the coinbase is 0.
    pub item: u32,
}

/// Positions by id.
#[derive(Debug, Default)]
pub struct TxIndex {
    secret: RandomState,
    positions: HashMap<u64, u64>,
    /// Positions that another of the same prefix has displaced.
    others: HashMap<u64, Vec<u64>>,
    /// Heights below this one that are not indexed yet, at start.
    missing_below: u64,
}

impl TxIndex {
    /// An empty index that owes the heights up to `tip`.
    #[must_use]
    pub fn new(tip: u64) -> Self {
        Self { missing_below: tip + 1, ..Self::default() }
    }

    /// Notes a block's transactions, in the order of its body.
    pub fn insert(&mut self, height: u64, ids: impl IntoIterator<Item = TxId>) {
        for (item, id) in (1u64..).zip(ids) {
            let prefix = self.prefix(&id);
            let position = height << ITEM_BITS | item;
            if let Some(displaced) = self.positions.insert(prefix, position)
                && displaced != position
            {
                self.others.entry(prefix).or_default().push(displaced);
            }
        }
    }

    /// Where a transaction may be, latest first.
    #[must_use]
    pub fn candidates(&self, id: &TxId) -> Vec<Position> {
        let prefix = self.prefix(id);
        let others = self.others.get(&prefix).into_iter().flatten().rev();
        let all = self.positions.get(&prefix).into_iter().chain(others);
        all.map(|p| Position { height: p >> ITEM_BITS, item: (p & ((1 << ITEM_BITS) - 1)) as u32 }).collect()
    }

    /// The next height to be indexed at start, from the tip downwards; `None` when all are.
    #[must_use]
    pub fn next_missing(&self) -> Option<u64> {
        self.missing_below.checked_sub(1)
    }

    /// Notes that `height`, the next missing one, is indexed.
    pub fn settle(&mut self, height: u64) {
        if self.missing_below == height + 1 {
            self.missing_below = height;
        }
    }

    fn prefix(&self, id: &TxId) -> u64 {
        self.secret.hash_one(id.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_that_moved_is_found_in_both_places_latest_first() {
        let mut index = TxIndex::new(0);
        let (a, b) = (TxId([1; 32]), TxId([2; 32]));
        index.insert(5, [a, b]);
        index.insert(6, [b]);
        let at = |height, item| Position { height, item };
        assert_eq!(index.candidates(&a), [at(5, 1)]);
        assert_eq!(index.candidates(&b), [at(6, 1), at(5, 2)]);
        assert_eq!(index.candidates(&TxId([3; 32])), []);
    }

    #[test]
    fn heights_are_owed_from_the_tip_down() {
        let mut index = TxIndex::new(2);
        for height in [2, 1, 0] {
            assert_eq!(index.next_missing(), Some(height));
            index.settle(height);
        }
        assert_eq!(index.next_missing(), None);
    }
}
