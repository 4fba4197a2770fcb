//! Every block the node has, by number of arrival, which of them are active, and which blocks it
//! will not have. Must not know bodies, states or rules.

use std::collections::{HashMap, VecDeque};

use steelyard_core::hash::BlockId;
use steelyard_core::history::{History, HistoryFrontier, HistoryNode};
use steelyard_core::types::header::Header;

use crate::limits::REFUSED_BLOCKS_MAX;
use crate::store::BodyPlace;

/// A block's number: blocks in the order in which they arrived, genesis 0.
pub type Number = u32;

/// What is known of a block's validity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Header and body are right in themselves; it was never executed.
    Unexecuted,
    /// It was connected once, last by this commit, whose delta takes it back. Genesis: 0.
    Connected {
        /// The commit.
        seq: u64,
    },
    /// It breaks a rule, or a block before it does.
    Invalid {
        /// The rule's name.
        reason: String,
    },
}

/// One block.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its header.
    pub header: Header,
    /// Its id.
    pub id: BlockId,
    /// Its own work.
    pub work: u128,
    /// Its work and that of everything before it.
    pub total_work: u128,
    /// Its parent; genesis is its own.
    pub parent: Number,
    /// Where its body lies; genesis has none.
    pub body: Option<BodyPlace>,
    /// Whether it is valid.
    pub verdict: Verdict,
}

impl Entry {
    /// Whether it is known to be invalid.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        matches!(self.verdict, Verdict::Invalid { .. })
    }

    fn history_leaf(&self) -> HistoryNode {
        HistoryNode::leaf(&self.id, self.work)
    }
}

/// All blocks.
#[derive(Debug)]
pub struct Index {
    entries: Vec<Entry>,
    by_id: HashMap<BlockId, Number>,
    /// The active chain, by height.
    active: Vec<Number>,
    /// History over the active chain.
    history: History,
    /// Height below which bodies and undo may be missing.
    bodies_from: u64,
    /// Blocks found invalid on arrival, with the rule's name: not stored, not judged again.
    refused: HashMap<BlockId, String>,
    /// The same, oldest first.
    refused_order: VecDeque<BlockId>,
}

impl Index {
    /// An index of genesis alone.
    #[must_use]
    pub fn new(genesis: Entry) -> Self {
        let mut history = History::default();
        history.push(genesis.history_leaf());
        Self {
            by_id: HashMap::from([(genesis.id, 0)]),
            entries: vec![genesis],
            active: vec![0],
            history,
            bodies_from: 0,
            refused: HashMap::new(),
            refused_order: VecDeque::new(),
        }
    }

    /// Remembers a block that is not here as invalid. Full: the oldest is forgotten.
    pub fn refuse(&mut self, id: BlockId, reason: String) {
        if self.refused.insert(id, reason).is_none() {
            self.refused_order.push_back(id);
        }
        while self.refused_order.len() > REFUSED_BLOCKS_MAX {
            let oldest = self.refused_order.pop_front();
            oldest.and_then(|id| self.refused.remove(&id));
        }
    }

    /// Why a block that is not here is invalid: the rule's name.
    #[must_use]
    pub fn refused(&self, id: &BlockId) -> Option<&str> {
        // One that was forgotten and judged again may have been kept, on a branch of little work.
        self.refused.get(id).map(String::as_str).filter(|_| !self.by_id.contains_key(id))
    }

    /// Adds a block whose parent is there.
    pub fn push(&mut self, entry: Entry) -> Number {
        let number = self.next_number();
        self.by_id.insert(entry.id, number);
        self.entries.push(entry);
        number
    }

    /// The number that the next block will have.
    #[must_use]
    pub fn next_number(&self) -> Number {
        Number::try_from(self.entries.len()).expect("memory ends before four billion headers")
    }

    /// Forgets blocks from `number` on, none of which is active or anybody's parent among the rest.
    pub fn truncate(&mut self, number: Number) {
        for entry in self.entries.drain(number as usize..) {
            self.by_id.remove(&entry.id);
        }
    }

    /// A block.
    #[must_use]
    pub fn get(&self, number: Number) -> &Entry {
        &self.entries[number as usize]
    }

    /// A block, to change what is known of it.
    pub fn get_mut(&mut self, number: Number) -> &mut Entry {
        &mut self.entries[number as usize]
    }

    /// The number of a block.
    #[must_use]
    pub fn number(&self, id: &BlockId) -> Option<Number> {
        self.by_id.get(id).copied()
    }

    /// Every block, by number.
    pub fn iter(&self) -> impl Iterator<Item = (Number, &Entry)> {
        (0..).zip(&self.entries)
    }

    /// The active chain's last block.
    #[must_use]
    pub fn tip(&self) -> Number {
        *self.active.last().expect("genesis is always active")
    }

    /// The active block at a height.
    #[must_use]
    pub fn active(&self, height: u64) -> Option<Number> {
        self.active.get(usize::try_from(height).ok()?).copied()
    }

    /// Whether a block is on the active chain.
    #[must_use]
    pub fn is_active(&self, number: Number) -> bool {
        self.active(self.get(number).header.height) == Some(number)
    }

    /// Makes the blocks up to `fork`, then `branch`, the active chain.
    pub fn activate(&mut self, fork: Number, branch: &[Number]) {
        let keep = self.get(fork).header.height + 1;
        debug_assert!(self.is_active(fork));
        self.active.truncate(keep as usize);
        self.history.truncate(keep);
        for number in branch {
            self.active.push(*number);
            self.history.push(self.entries[*number as usize].history_leaf());
        }
    }

    /// The last block that two branches share.
    #[must_use]
    pub fn fork_of(&self, mut a: Number, mut b: Number) -> Number {
        while a != b {
            let (at_a, at_b) = (self.get(a), self.get(b));
            if at_a.header.height >= at_b.header.height {
                a = at_a.parent;
            }
            if at_b.header.height >= at_a.header.height {
                b = at_b.parent;
            }
        }
        a
    }

    /// The blocks after `from` up to `to`, oldest first; `from` is an ancestor of `to`.
    #[must_use]
    pub fn branch(&self, from: Number, to: Number) -> Vec<Number> {
        let mut branch = Vec::new();
        let mut at = to;
        while at != from {
            branch.push(at);
            at = self.get(at).parent;
        }
        branch.reverse();
        branch
    }

    /// The history up to and including a block, on whichever branch it is.
    #[must_use]
    pub fn frontier(&self, number: Number) -> HistoryFrontier {
        let fork = self.active_ancestor(number);
        let mut frontier = self
            .history
            .frontier(self.get(fork).header.height + 1)
            .expect("the history covers the active chain");
        for number in self.branch(fork, number) {
            frontier.push(self.get(number).history_leaf());
        }
        frontier
    }

    /// The history of the active chain.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The last block of the active chain that a block descends from, or is.
    #[must_use]
    pub fn active_ancestor(&self, mut number: Number) -> Number {
        while !self.is_active(number) {
            number = self.get(number).parent;
        }
        number
    }

    /// Height below which bodies and undo may be missing; 0 when all are kept.
    #[must_use]
    pub fn bodies_from(&self) -> u64 {
        self.bodies_from
    }

    /// Notes that bodies and undo below this height may be missing.
    pub fn set_bodies_from(&mut self, height: u64) {
        self.bodies_from = height;
    }

    /// Whether the branch of a block leaves the active chain below what is needed to take blocks back:
    /// it cannot be followed, whatever its work, and nothing is said about it.
    #[must_use]
    pub fn is_beyond_pruning(&self, number: Number) -> bool {
        self.bodies_from > 0 && self.get(self.active_ancestor(number)).header.height + 1 < self.bodies_from
    }

    /// Among valid blocks with more work than `than` that can be connected, the one with most; of
    /// equals the first to have arrived.
    #[must_use]
    pub fn best_above(&self, than: u128) -> Option<Number> {
        let mut best: Option<(u128, Number)> = None;
        for (number, entry) in self.iter() {
            let most = best.map_or(than, |(work, _)| work);
            if entry.total_work > most && !self.is_barred(number) {
                best = Some((entry.total_work, number));
            }
        }
        best.map(|(_, number)| number)
    }

    /// Whether a block stands on an invalid one or on a branch that cannot be followed.
    fn is_barred(&self, number: Number) -> bool {
        self.descends_from_invalid(number) || self.is_beyond_pruning(number)
    }

    /// Whether there is a valid block of more work than `than` on a branch that cannot be followed.
    #[must_use]
    pub fn has_beyond_pruning(&self, than: u128) -> bool {
        let is_one = |(number, entry): (Number, &Entry)| {
            entry.total_work > than && !self.descends_from_invalid(number) && self.is_beyond_pruning(number)
        };
        self.bodies_from > 0 && self.iter().any(is_one)
    }

    fn descends_from_invalid(&self, number: Number) -> bool {
        let mut at = number;
        loop {
            let entry = self.get(at);
            if entry.is_invalid() {
                return true;
            }
            if self.is_active(at) || at == entry.parent {
                return false;
            }
            at = entry.parent;
        }
    }
}
