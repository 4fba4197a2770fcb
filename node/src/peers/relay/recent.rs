//! What was noted last, so many of it: the oldest is forgotten. Must not know what it means.

use std::collections::{BTreeMap, VecDeque};

/// Notes by key, at most so many.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    max: usize,
    /// In the order in which they came.
    order: VecDeque<K>,
    notes: BTreeMap<K, V>,
}

impl<K: Copy + Ord, V: Copy + Ord> Recent<K, V> {
    pub(super) fn new(max: usize) -> Self {
        Self { max, order: VecDeque::new(), notes: BTreeMap::new() }
    }

    /// Notes something. Of two notes about one key the greater stays, at the first one's place.
    pub(super) fn insert(&mut self, key: K, note: V) {
        match self.notes.get_mut(&key) {
            Some(before) => *before = note.max(*before),
            None => {
                self.notes.insert(key, note);
                self.order.push_back(key);
            }
        }
        if self.order.len() > self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.notes.remove(&oldest);
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.notes.get(key).copied()
    }

    pub(super) fn clear(&mut self) {
        self.order.clear();
        self.notes.clear();
    }

    /// How many there are, counted in both ways.
    #[cfg(test)]
    pub(super) fn lens(&self) -> (usize, usize) {
        (self.order.len(), self.notes.len())
    }
}
