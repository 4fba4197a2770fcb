//! Which stored runs of pending transactions are still needed. A block removes nothing from
//! the store (deleting thousands of keys would cost more than the rest of its commit): a run is
//! deleted whole once nothing in it is pending.

use std::collections::BTreeMap;

use crate::limits::{MEMPOOL_WASTE_BYTES, MEMPOOL_WASTE_FACTOR};

#[derive(Debug, Default)]
struct Run {
    alive: u64,
    bytes: u64,
}

/// The runs, by the commit that wrote them.
#[derive(Debug, Default)]
pub struct Runs {
    runs: BTreeMap<u64, Run>,
    dead: Vec<u64>,
    stored_bytes: u64,
    alive_bytes: u64,
}

impl Runs {
    /// A run that the store holds, after what is still pending of it has joined: dead if nothing has.
    pub fn note(&mut self, seq: u64, bytes: u64) {
        match self.runs.get_mut(&seq) {
            Some(run) => {
                self.stored_bytes += bytes.saturating_sub(run.bytes);
                run.bytes = run.bytes.max(bytes);
            }
            None => self.dead.push(seq),
        }
    }

    /// A transaction is pending in this run.
    pub fn join(&mut self, seq: u64, bytes: u64) {
        let run = self.runs.entry(seq).or_default();
        run.alive += 1;
        run.bytes += bytes;
        self.stored_bytes += bytes;
        self.alive_bytes += bytes;
    }

    /// It is no more.
    pub fn leave(&mut self, seq: u64, bytes: u64) {
        self.alive_bytes -= bytes;
        let run = self.runs.get_mut(&seq).expect("it joined");
        run.alive -= 1;
        if run.alive == 0 {
            self.bury(seq);
        }
    }

    fn bury(&mut self, seq: u64) {
        let run = self.runs.remove(&seq).expect("there is such a run");
        self.stored_bytes -= run.bytes;
        self.dead.push(seq);
    }

    /// The dead ones, once. A run that died and was joined again (a transaction replaced by the
    /// next of the same commit) is not dead.
    pub fn take_dead(&mut self) -> Vec<u64> {
        let mut dead = std::mem::take(&mut self.dead);
        dead.retain(|seq| !self.runs.contains_key(seq));
        dead.sort_unstable();
        dead.dedup();
        dead
    }

    /// Whether rewriting what is alive would free most of what is stored.
    pub fn are_wasteful(&self) -> bool {
        self.stored_bytes > MEMPOOL_WASTE_BYTES + MEMPOOL_WASTE_FACTOR * self.alive_bytes
    }

    /// How many transactions are pending in each run.
    #[cfg(test)]
    pub fn alive(&self) -> BTreeMap<u64, u64> {
        self.runs.iter().map(|(seq, run)| (*seq, run.alive)).collect()
    }

    /// What the runs hold, alive or not.
    #[cfg(test)]
    pub fn stored_bytes(&self) -> u64 {
        self.stored_bytes
    }
}
