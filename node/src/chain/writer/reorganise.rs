//! From one branch to another: on a snapshot, whole or not at all; and what is remembered of a
//! branch that cannot be connected. Must not know commits.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use steelyard_core::consensus::block::CheckedBlock;
use steelyard_core::consensus::error::RuleError;
use steelyard_core::consensus::transition::{Change, connect_block, disconnect_changes};
use steelyard_core::state::{Key, Record, Trie};

use super::{Obstacle, Writer};
use crate::chain::check::load_block;
use crate::chain::error::LoadError;
use crate::chain::index::{Number, Verdict};
use crate::mempool::Admission;
use crate::store::{StoreError, damaged};
use crate::threads::at_once;

impl Writer {
    /// Moves to a branch with more work, whole or not at all.
    pub(super) fn reorganise(&mut self, to: Number) -> Result<(), Obstacle> {
        let (from, before) = (self.tip, self.state.clone());
        let connected: HashSet<Number> = self.group.connected.clone();
        let (fork, down, up) = {
            let view = self.shared.read();
            let fork = view.index.fork_of(from, to);
            (fork, view.index.branch(fork, from), view.index.branch(fork, to))
        };
        let moved = self.descend(fork, &down).map_err(Obstacle::Store).and_then(|()| {
            self.tip = fork;
            up.iter().try_for_each(|number| {
                let block = self.take_block(*number).map_err(Obstacle::Store)?;
                self.connect(*number, block)
            })
        });
        if moved.is_err() {
            (self.tip, self.state) = (from, before);
            // What the attempt connected was never part of the chain.
            self.group.connected = connected;
        }
        moved
    }

    /// Takes blocks back, newest first. Where their undo is damaged, the blocks below and they
    /// themselves are executed again: slow, but a node that stops here would stop for good.
    fn descend(&mut self, fork: Number, down: &[Number]) -> Result<(), StoreError> {
        self.state = match self.undone(fork, down) {
            Err(StoreError::Damaged { reason }) => {
                tracing::warn!(reason, "executing the blocks below the fork again");
                // Worth a checkpoint, or the next start meets the same damage.
                self.unsaved_records = self.unsaved_records.max(u64::MAX / 2);
                self.executed(fork, down)?
            }
            undone => undone?,
        };
        Ok(())
    }

    /// The state at the fork by each block's own undo, which the fork's header must confirm.
    fn undone(&mut self, fork: Number, down: &[Number]) -> Result<Trie, StoreError> {
        let mut state = self.state.clone();
        for number in down.iter().rev() {
            let changes = self.changes_of(*number)?;
            state = disconnect_changes(&state, &changes);
            self.group.changes.insert(*number, changes);
        }
        let (id, expected) = {
            let view = self.shared.read();
            let entry = view.index.get(fork);
            (entry.id, entry.header.state_root)
        };
        if state.root() != expected {
            return Err(damaged(format!("taking blocks back does not lead to the state of block {id}")));
        }
        Ok(state)
    }

    /// The state at the fork by the bodies from genesis on, and from there the changes of the
    /// blocks to be taken back.
    fn executed(&mut self, fork: Number, down: &[Number]) -> Result<Trie, StoreError> {
        let from = self.shared.read().index.bodies_from();
        if from > 1 {
            return Err(damaged(LoadError::PrunedState { from }.to_string()));
        }
        let below = self.shared.read().index.branch(0, fork);
        let mut state = self.shared.genesis.state.clone();
        for number in &below {
            (_, state) = self.execute(&state, *number)?;
        }
        let at_fork = state.clone();
        for number in down {
            let (changes, after) = self.execute(&state, *number)?;
            self.group.changes.insert(*number, changes);
            state = after;
        }
        Ok(at_fork)
    }

    fn execute(&self, state: &Trie, number: Number) -> Result<(Vec<Change>, Trie), StoreError> {
        let block = self.take_block(number)?;
        let id = block.header().id;
        let connected = connect_block(&self.shared.params, state, block, at_once)
            .map_err(|rule| damaged(format!("stored block {id}: {rule}")))?;
        let (_, changes, state) = connected.into_parts();
        Ok((changes, state))
    }

    fn changes_of(&self, number: Number) -> Result<Vec<Change>, StoreError> {
        if let Some(changes) = self.group.changes.get(&number) {
            return Ok(changes.clone());
        }
        let (id, verdict) = {
            let view = self.shared.read();
            let entry = view.index.get(number);
            (entry.id, entry.verdict.clone())
        };
        let missing = || damaged(format!("the undo of block {id} is missing"));
        let Verdict::Connected { seq } = verdict else { return Err(missing()) };
        let delta = self.store.delta(seq)?;
        delta
            .connected
            .into_iter()
            .find(|(found, _)| *found == id)
            .map(|(_, changes)| changes)
            .ok_or_else(missing)
    }

    /// A block that arrived earlier, in this group or from the store.
    fn take_block(&self, number: Number) -> Result<CheckedBlock, StoreError> {
        if let Some(block) = self.group.blocks.get(&number) {
            return Ok(block.clone());
        }
        let entry = self.shared.read().index.get(number).clone();
        load_block(&self.shared, &self.store, &entry).map_err(|error| match error {
            LoadError::Store(error) => error,
            error => damaged(error.to_string()),
        })
    }

    /// Remembers a block as invalid, and all after it.
    pub(super) fn condemn(&mut self, guilty: Number, rule: &RuleError) {
        let view = &mut *self.shared.write();
        let reason = rule.name().to_owned();
        let is_last = guilty + 1 == view.index.next_number();
        if is_last && guilty >= view.visible {
            // It has just arrived: nothing of it is kept but its id and what was wrong.
            let id = view.index.get(guilty).id;
            view.index.truncate(guilty);
            if let Some((_, length)) = self.group.received.pop() {
                self.group.bodies.truncate(self.group.bodies.len() - length as usize);
            }
            self.group.blocks.remove(&guilty);
            view.index.refuse(id, reason.clone());
            self.group.refused.push((id, reason));
            return;
        }
        // A parent has a lower number than its children.
        let mut condemned = BTreeSet::from([guilty]);
        for (number, entry) in view.index.iter().skip(guilty as usize + 1) {
            if condemned.contains(&entry.parent) {
                condemned.insert(number);
            }
        }
        for number in condemned {
            view.index.get_mut(number).verdict = Verdict::Invalid { reason: reason.clone() };
            self.group.invalid.push((number, reason.clone()));
        }
    }

    /// Goes to the best of the branches that are left, if it has more work than the tip.
    pub(super) fn connect_best(&mut self) -> Result<(), StoreError> {
        loop {
            let best = {
                let view = self.shared.read();
                view.index.best_above(view.index.get(self.tip).total_work)
            };
            let Some(best) = best else { return Ok(()) };
            match self.reorganise(best) {
                Ok(()) => {}
                Err(Obstacle::Rule(guilty, rule)) => self.condemn(guilty, &rule),
                Err(Obstacle::Store(error)) => return Err(error),
            }
        }
    }

    /// Records as they were at the fork point: the oldest block taken back has the last word.
    pub(super) fn restored(&self, down: &[Number]) -> Result<Vec<(Key, Option<Record>)>, StoreError> {
        let mut restored = BTreeMap::new();
        for number in down.iter().rev() {
            restored.extend(self.changes_of(*number)?.into_iter().map(|change| (change.key, change.old)));
        }
        Ok(restored.into_iter().collect())
    }

    /// Blocks that were connected in this group and are not on its last branch `up`: nobody saw
    /// them as part of the chain, but their callers were or will be told that they were taken.
    pub(super) fn abandoned(&self, up: &[Number]) -> Vec<Number> {
        let is_left = |number: &Number| up.binary_search(number).is_err();
        let mut left: Vec<Number> = self.group.connected.iter().copied().filter(is_left).collect();
        left.sort_unstable();
        left
    }

    /// Transactions of blocks that are left return to the pool, as far as the new branch leaves
    /// them valid, and become durable with the commit that leaves the blocks.
    pub(super) fn return_txs(
        &mut self,
        left: &[Number],
        restored: &[(Key, Option<Record>)],
    ) -> Result<(), StoreError> {
        let next = {
            let view = &mut *self.shared.write();
            let next = view.index.get(self.tip).header.height + 1;
            let connected = self.group.changes.values().flatten().map(|change| change.key);
            view.pool.revalidate(&self.state, next, restored.iter().map(|(key, _)| *key).chain(connected));
            next
        };
        for number in left {
            for tx in self.take_block(*number)?.txs() {
                let view = &mut *self.shared.write();
                let admitted =
                    view.pool.admit(&self.shared.params, (&self.state, next), tx.clone(), self.seq + 1);
                if admitted == Ok(Admission::Added) {
                    self.group.admitted.push(tx.id());
                }
            }
        }
        Ok(())
    }
}
