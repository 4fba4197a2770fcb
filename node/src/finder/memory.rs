//! Entries that are in no run yet, and those of the last run once more, so that what happened a moment
//! ago is found without the disk. Must not know runs.

use std::collections::BTreeSet;

use super::Query;
use super::entry::{Entry, Position};
use super::run::Order;

/// The entries.
#[derive(Debug, Default)]
pub(super) struct Memory {
    entries: BTreeSet<Entry>,
    /// What became the last run.
    before: BTreeSet<Entry>,
}

impl Memory {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn extend(&mut self, entries: &[Entry]) {
        self.entries.extend(entries);
    }

    /// All, ascending.
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.entries.iter().copied().collect()
    }

    /// Notes that all are in a run now; gives what is forgotten for it.
    #[must_use]
    pub(super) fn turn(&mut self) -> BTreeSet<Entry> {
        std::mem::replace(&mut self.before, std::mem::take(&mut self.entries))
    }

    /// Forgets what is above a height.
    pub(super) fn forget_above(&mut self, height: u64) {
        let last = Position { height, ..Position::LAST }.to_bits();
        self.entries.retain(|entry| entry.position <= last);
        self.before.retain(|entry| entry.position <= last);
    }

    /// Places of a prefix, as the query wants them.
    pub(super) fn positions(&self, prefix: u64, query: &Query) -> Vec<u64> {
        let (from, to) = (query.from.to_bits(), query.to.to_bits());
        if from > to {
            return Vec::new();
        }
        let found = self.entries.range(Entry { prefix, position: from }..=Entry { prefix, position: to });
        let found = found.map(|entry| entry.position);
        match query.order {
            Order::OldestFirst => found.take(query.max).collect(),
            Order::NewestFirst => found.rev().take(query.max).collect(),
        }
    }

    /// Whether there is anything of a prefix, here or in the last run.
    pub(super) fn is_recent(&self, prefix: u64) -> bool {
        let all = Entry { prefix, position: 0 }..=Entry { prefix, position: u64::MAX };
        [&self.entries, &self.before].into_iter().any(|entries| entries.range(all.clone()).next().is_some())
    }
}
