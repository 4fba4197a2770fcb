//! The chain thread: the only writer of everything that is stored. It takes all waiting commands,
//! applies them to snapshots, commits once, publishes, answers all: that is the group commit.
//! A reorganisation is connected on a snapshot first and then committed like anything else, so
//! there is nothing to take back when it fails. Must not know clocks, sockets or where commands
//! come from. Read [`reorganise`] for the way from branch to branch.

mod prune;
mod reorganise;

use std::mem::{replace, take};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use steelyard_core::consensus::block::CheckedBlock;
use steelyard_core::consensus::error::{RULE_SET, RuleError};
use steelyard_core::consensus::transaction::CheckedTx;
use steelyard_core::consensus::transition::connect_block;
use steelyard_core::hash::BlockId;
use steelyard_core::state::{Key, Record, Trie};
use steelyard_runtime::failpoint::lowered;

use self::prune::Pruner;
use super::Command;
use super::error::{Accepted, BlockError};
use super::group::{Group, Reply};
use super::index::{Entry, Number, Verdict};
use super::load::stored_tip;
use super::view::{Moment, Shared, View};
use crate::limits::{
    CHECKPOINT_COMMITS, CHECKPOINT_RECORDS_LEAST, IDLE_MS, LET_GO_MS, REOPEN_BYTES, REOPEN_BYTES_IDLE,
};
use crate::mempool::{Admission, Entry as PendingEntry};
use crate::store::delta::Delta;
use crate::store::log::LogRecord;
use crate::store::{BodyPlace, Commit, Store, StoreError, damaged};
use crate::threads::at_once;

/// Why a branch was not connected: a block of it is invalid, or the machine failed.
enum Obstacle {
    Rule(Number, RuleError),
    Store(StoreError),
}

/// A state, and what was pending on it and is not on the next one.
type Replaced = (Trie, Vec<PendingEntry>);

/// The thread's own state: how far the group has come beyond what is published.
pub(super) struct Writer {
    shared: Arc<Shared>,
    store: Arc<Store>,
    /// The last commit.
    seq: u64,
    /// The tip with the group applied.
    tip: Number,
    /// The state after it.
    state: Trie,
    group: Group,
    /// What was shown before, until there is time to let go of it: in a large state that costs as much
    /// as making what replaced it.
    replaced: Option<Replaced>,
    unsaved_records: u64,
    checkpoint_seq: u64,
    checkpoint: Option<JoinHandle<Result<(), StoreError>>>,
    pruner: Pruner,
}

impl Writer {
    /// `prune` is how many blocks' bodies are kept; `None` for all.
    pub(super) fn new(
        shared: Arc<Shared>,
        store: Arc<Store>,
        unsaved_records: u64,
        prune: Option<u64>,
    ) -> Self {
        let view = shared.read();
        let (seq, tip, state) = (view.seq(), view.index.tip(), view.state());
        drop(view);
        Self {
            shared,
            store,
            seq,
            tip,
            state,
            group: Group::default(),
            replaced: None,
            unsaved_records,
            checkpoint_seq: seq,
            checkpoint: None,
            pruner: Pruner::new(prune),
        }
    }

    /// Runs until asked to stop, or until the store fails: then nothing more is acknowledged.
    pub(super) fn run(mut self, queue: &Receiver<Command>) -> Result<(), StoreError> {
        let result = match self.serve(queue) {
            // Where a checkpoint could not be written its error is the one to tell.
            Err(StoreError::Poisoned) => self.finish_checkpoint().and(Err(StoreError::Poisoned)),
            result => result,
        };
        self.shared.tick(|ticks| ticks.stopping = true);
        if let Err(error) = &result {
            tracing::error!(%error, "the store failed; the node stops");
        }
        result
    }

    fn serve(&mut self, queue: &Receiver<Command>) -> Result<(), StoreError> {
        // A stored branch that other rules had refused may be the best by these.
        let before = self.tip;
        self.connect_best()?;
        if self.tip != before {
            self.commit()?;
        }
        loop {
            let patience_ms = if self.replaced.is_some() { LET_GO_MS } else { IDLE_MS };
            match queue.recv_timeout(Duration::from_millis(patience_ms)) {
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return self.finish_checkpoint(),
                Err(RecvTimeoutError::Timeout) if self.replaced.is_some() => drop(self.replaced.take()),
                Err(RecvTimeoutError::Timeout) => self.keep_house(REOPEN_BYTES_IDLE)?,
                Ok(command) => {
                    self.stage(command)?;
                    let mut stopping = false;
                    while !self.group.is_full() {
                        match queue.try_recv() {
                            Ok(Command::Stop) => {
                                stopping = true;
                                break;
                            }
                            Ok(command) => self.stage(command)?,
                            Err(_) => break,
                        }
                    }
                    self.commit()?;
                    if stopping {
                        return self.finish_checkpoint();
                    }
                    self.keep_house(REOPEN_BYTES)?;
                }
            }
        }
    }

    fn stage(&mut self, command: Command) -> Result<(), StoreError> {
        match command {
            Command::Txs(txs, reply) => {
                let verdicts = txs.into_iter().map(|tx| self.stage_tx(tx)).collect();
                self.group.replies.push(Reply::Txs(reply, verdicts));
            }
            Command::Blocks(blocks, refused, reply) => {
                let mut verdicts = Vec::with_capacity(blocks.len());
                for block in blocks {
                    let verdict = self.stage_block(block)?;
                    let failed = verdict.is_err();
                    verdicts.push(verdict);
                    if failed {
                        break;
                    }
                    // A caller with many blocks must not make the group larger than a kill may cost.
                    if self.group.is_full() {
                        self.commit()?;
                    }
                }
                if let Some((id, reason)) = refused.filter(|_| verdicts.iter().all(Result::is_ok)) {
                    self.refuse(id, reason);
                }
                self.group.replies.push(Reply::Blocks(reply, verdicts));
            }
            Command::Peers(bytes, reply) => {
                self.group.peers = Some(bytes);
                self.group.replies.push(Reply::Peers(reply));
            }
            Command::Moment(reply) => {
                // Nothing is staged then: what is shown is what is stored.
                self.commit()?;
                // Who asked and is gone needs no answer.
                let _ = reply.send(Moment::of(&self.shared.read()));
            }
            Command::Stop => {}
        }
        Ok(())
    }

    fn stage_tx(&mut self, tx: CheckedTx) -> Result<Admission, crate::mempool::PoolError> {
        let id = tx.id();
        let view = &mut *self.shared.write();
        let next = view.index.get(self.tip).header.height + 1;
        let admission = view.pool.admit(&self.shared.params, (&self.state, next), tx, self.seq + 1)?;
        if admission == Admission::Added {
            self.group.admitted.push(id);
        }
        Ok(admission)
    }

    fn stage_block(&mut self, block: CheckedBlock) -> Result<Result<Accepted, BlockError>, StoreError> {
        let number = match self.receive(&block) {
            Ok(Some(number)) => number,
            Ok(None) => return Ok(Ok(Accepted::Known)),
            Err(error) => return Ok(Err(error)),
        };
        let id = block.header().id;
        let (heavier, extends, beyond) = {
            let view = self.shared.read();
            let entry = view.index.get(number);
            let heavier = entry.total_work > view.index.get(self.tip).total_work;
            (heavier, entry.parent == self.tip, heavier && view.index.is_beyond_pruning(number))
        };
        if beyond {
            tracing::warn!(block = %id, "a branch of more work leaves the chain below the blocks kept");
            self.shared.write().is_beyond_pruning = true;
        }
        if !heavier || beyond {
            self.group.blocks.insert(number, block);
            return Ok(Ok(Accepted::Side));
        }
        let connected = if extends {
            self.connect(number, block)
        } else {
            self.group.blocks.insert(number, block);
            self.reorganise(number)
        };
        match connected {
            Ok(()) => Ok(Ok(Accepted::Active)),
            Err(Obstacle::Store(error)) => Err(error),
            Err(Obstacle::Rule(guilty, rule)) => {
                self.condemn(guilty, &rule);
                self.connect_best()?;
                let verdict = if guilty == number {
                    BlockError::Rule(rule)
                } else {
                    BlockError::KnownInvalid { reason: rule.name().into() }
                };
                tracing::warn!(block = %id, error = %verdict, "block refused");
                Ok(Err(verdict))
            }
        }
    }

    /// Remembers a block that was found invalid before it came here.
    fn refuse(&mut self, id: BlockId, reason: String) {
        let view = &mut *self.shared.write();
        if view.index.number(&id).is_none() && view.index.refused(&id).is_none() {
            view.index.refuse(id, reason.clone());
            self.group.refused.push((id, reason));
        }
    }

    /// Notes a new block; `None` for one that is here.
    fn receive(&mut self, block: &CheckedBlock) -> Result<Option<Number>, BlockError> {
        let header = block.header();
        let view = &mut *self.shared.write();
        if let Some(number) = view.index.number(&header.id) {
            return match &view.index.get(number).verdict {
                Verdict::Invalid { reason } => Err(BlockError::KnownInvalid { reason: reason.clone() }),
                _ => Ok(None),
            };
        }
        let refused = view.index.refused(&header.id).or_else(|| view.index.refused(&header.header.prev));
        if let Some(reason) = refused {
            return Err(BlockError::KnownInvalid { reason: reason.to_owned() });
        }
        let unknown = BlockError::UnknownParent(header.header.prev);
        let parent = view.index.number(&header.header.prev).ok_or(unknown)?;
        if let Verdict::Invalid { reason } = &view.index.get(parent).verdict {
            return Err(BlockError::KnownInvalid { reason: reason.clone() });
        }
        let body = block.body().to_bytes();
        let length = u32::try_from(body.len()).expect("bounded by the network's block size");
        let place = BodyPlace { seq: self.seq + 1, offset: self.group.bodies.len() as u64, length };
        let number = view.index.push(Entry {
            header: header.header,
            id: header.id,
            work: header.work,
            total_work: header.total_work,
            parent,
            body: Some(place),
            verdict: Verdict::Unexecuted,
        });
        self.group.received.push((number, length));
        self.group.bodies.extend_from_slice(&body);
        Ok(Some(number))
    }

    fn connect(&mut self, number: Number, block: CheckedBlock) -> Result<(), Obstacle> {
        let connected = connect_block(&self.shared.params, &self.state, block, at_once)
            .map_err(|rule| Obstacle::Rule(number, rule))?;
        let (block, changes, state) = connected.into_parts();
        self.group.connected.insert(number);
        self.group.changes.insert(number, changes);
        // One that came with this group may be left and met again before it is in the store.
        if number >= self.shared.read().visible {
            self.group.blocks.insert(number, block);
        }
        self.state = state;
        self.tip = number;
        Ok(())
    }

    /// One commit for everything staged, then publish, then answer.
    fn commit(&mut self) -> Result<(), StoreError> {
        let seq = self.seq + 1;
        let (fork, down, up) = {
            let view = self.shared.read();
            let fork = view.index.fork_of(view.index.tip(), self.tip);
            (fork, view.index.branch(fork, view.index.tip()), view.index.branch(fork, self.tip))
        };
        let restored = self.restored(&down)?;
        let left = [&down[..], &self.abandoned(&up)].concat();
        if !left.is_empty() {
            self.return_txs(&left, &restored)?;
        }
        let (log, delta) = self.records(&down, &up, restored);
        let txs = self.pending_run(seq);
        let dead_runs = self.shared.write().pool.take_dead_runs();
        let changed: Vec<Key> = touched(&delta);
        let records = delta.records();
        let commit = Commit {
            log,
            bodies: take(&mut self.group.bodies),
            delta,
            pending: txs.iter().map(|tx| (tx.full_id(), tx.bytes())).collect(),
            dead_runs,
            peers: self.group.peers.take(),
        };
        let something = !commit.log.is_empty()
            || !commit.pending.is_empty()
            || !commit.dead_runs.is_empty()
            || commit.peers.is_some();
        if something {
            self.store.commit(seq, &commit)?;
            self.seq = seq;
            self.unsaved_records += records;
        }
        let admitted = !commit.pending.is_empty();
        let group = take(&mut self.group);
        let replaced = something.then(|| self.publish(fork, &up, &changed));
        self.shared.tick(|ticks| {
            ticks.tips += u64::from(!up.is_empty());
            ticks.admissions += u64::from(admitted);
        });
        group.replies.into_iter().for_each(Reply::send);
        self.replaced = replaced.or(self.replaced.take());
        Ok(())
    }

    fn records(
        &mut self,
        down: &[Number],
        up: &[Number],
        restored: Vec<(Key, Option<Record>)>,
    ) -> (LogRecord, Delta) {
        let view = self.shared.read();
        let id = |number: &Number| view.index.get(*number).id;
        let stored = self.group.invalid.iter().map(|(number, reason)| (id(number), reason.clone()));
        let invalid = stored.chain(self.group.refused.iter().cloned());
        let log = LogRecord {
            tip: stored_tip(&view.index, self.tip),
            received: self
                .group
                .received
                .iter()
                .map(|(n, bytes)| (view.index.get(*n).header, *bytes))
                .collect(),
            disconnected: u32::try_from(down.len()).expect("numbers of blocks are u32"),
            connected: up.iter().map(id).collect(),
            invalid: invalid.map(|(id, reason)| (id, RULE_SET, reason)).collect(),
        };
        let changes = &mut self.group.changes;
        let mut changes_of =
            |number| changes.remove(number).expect("each block put on was connected in this group");
        let connected = up.iter().map(|number| (id(number), changes_of(number))).collect();
        (log, Delta { restored, connected })
    }

    /// Transactions that this commit makes durable: those admitted and still there, or all when
    /// the stored runs are mostly waste.
    fn pending_run(&mut self, seq: u64) -> Vec<Arc<CheckedTx>> {
        let view = &mut *self.shared.write();
        if view.pool.runs_are_wasteful() {
            return view.pool.restamp(seq);
        }
        let entries = self.group.admitted.iter().filter_map(|id| view.pool.get(id));
        entries.filter(|entry| entry.seq == seq).map(|entry| Arc::clone(&entry.tx)).collect()
    }

    /// Shows the commit to everybody, and gives what was shown before.
    fn publish(&self, fork: Number, up: &[Number], changed: &[Key]) -> Replaced {
        let view: &mut View = &mut self.shared.write();
        view.reorgs += u64::from(view.index.tip() != fork);
        view.connected += up.len() as u64;
        view.visible = view.index.next_number();
        view.seq = self.seq;
        view.index.activate(fork, up);
        for number in up {
            view.index.get_mut(*number).verdict = Verdict::Connected { seq: self.seq };
        }
        let replaced = replace(&mut view.state, self.state.clone());
        let next = view.tip().header.height + 1;
        let gone = view.pool.revalidate(&self.state, next, changed.iter().copied());
        view.pool_shown = (view.pool.len(), view.pool.bytes());
        if view.is_beyond_pruning {
            view.is_beyond_pruning = view.index.has_beyond_pruning(view.tip().total_work);
        }
        (replaced, gone)
    }

    /// What can wait for a moment between commits: reopening sled, checkpoints, pruning. The first two
    /// write much, and neither has to be done while the disk is full.
    fn keep_house(&mut self, reopen_bytes: u64) -> Result<(), StoreError> {
        if self.checkpoint.as_ref().is_some_and(JoinHandle::is_finished) {
            self.finish_checkpoint()?;
        }
        if self.shared.is_disk_full() {
            return Ok(());
        }
        if self.store.bytes_written() >= lowered("reopen_bytes", reopen_bytes) {
            let took = self.store.reopen()?;
            tracing::debug!(ms = took.as_millis(), "store reopened");
        }
        let least = lowered("checkpoint_records", CHECKPOINT_RECORDS_LEAST);
        let enough = self.unsaved_records > least.max(self.state.len() / 2)
            || self.seq - self.checkpoint_seq > CHECKPOINT_COMMITS;
        if enough && self.checkpoint.is_none() {
            (self.unsaved_records, self.checkpoint_seq) = (0, self.seq);
            let (store, state, seq) = (Arc::clone(&self.store), self.state.clone(), self.seq);
            let write = move || store.write_checkpoint(&state, seq);
            let thread = std::thread::Builder::new().name("checkpoint".into()).spawn(write);
            self.checkpoint = Some(thread.map_err(|source| StoreError::Io { doing: "checkpoint", source })?);
        }
        self.prune()
    }

    /// Waits for a checkpoint that is being written: at a stop it would only be lost work, but
    /// its failure is the store's.
    fn finish_checkpoint(&mut self) -> Result<(), StoreError> {
        match self.checkpoint.take() {
            Some(thread) => {
                thread.join().unwrap_or_else(|_| Err(damaged("the checkpoint's thread ended".into())))
            }
            None => Ok(()),
        }
    }
}

fn touched(delta: &Delta) -> Vec<Key> {
    let connected = delta.connected.iter().flat_map(|(_, changes)| changes.iter().map(|change| change.key));
    let mut keys: Vec<Key> = delta.restored.iter().map(|(key, _)| *key).chain(connected).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}
