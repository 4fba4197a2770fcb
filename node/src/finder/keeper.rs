//! The index's thread: opens the store, reads block after block behind the tip, turns what is in memory
//! into runs and merges them, a piece at a time. Whatever fails, it says so and begins again: it never
//! holds up anybody. Must not know who asks for what it gathers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use steelyard_runtime::sled_door::{Batch, is_missing};
use steelyard_runtime::{clock, failpoint};

use super::entry::{Entry, Mark, entries_of};
use super::merge::{Merge, Step};
use super::run::{Run, RunWriter};
use super::shelf::{IndexFault, Shelf, discard};
use super::{Finder, FinderLimits};
use crate::chain::Chain;
use crate::chain::check::load_right_body;
use crate::chain::error::LoadError;
use crate::chain::index;
use crate::limits::{
    INDEX_BATCH_KEYS, INDEX_BLOCKS_AT_ONCE, INDEX_ENTRIES_AT_ONCE, INDEX_RUNS_MAX, REOPEN_BYTES,
    REOPEN_BYTES_IDLE,
};
use crate::store::StoreError;

/// How long the thread waits for something to happen before it looks again.
const LOOK: Duration = Duration::from_secs(1);

/// The thread's own.
pub(super) struct Keeper {
    chain: Chain,
    dir: PathBuf,
    limits: FinderLimits,
    finder: Arc<Finder>,
}

impl Keeper {
    pub(super) fn new(chain: Chain, dir: PathBuf, limits: FinderLimits, finder: Arc<Finder>) -> Self {
        Self { chain, dir, limits, finder }
    }

    /// Runs until the node stops.
    pub(super) fn run(self) {
        let _end = End(&self.finder);
        let (mut is_unfit, mut said) = (false, None);
        while !self.is_stopping() {
            let served = self.open(is_unfit).and_then(|shelf| Session::new(&self, shelf)?.serve());
            let Err(fault) = served else { return };
            is_unfit = matches!(fault, IndexFault::Unfit(_));
            let reason = fault.to_string();
            // The same is said once, however often it is tried.
            if said.as_ref() != Some(&reason) {
                tracing::warn!(reason, "the index cannot be used; it is tried again soon");
            }
            self.finder.fail(reason.clone());
            said = Some(reason);
            self.pause();
        }
    }

    fn is_stopping(&self) -> bool {
        self.chain.shared.ticks().stopping
    }

    fn pause(&self) {
        let since = clock::start();
        while let Some(left) = self.limits.retry.checked_sub(since.elapsed()).filter(|left| !left.is_zero()) {
            let seen = self.chain.shared.ticks();
            if seen.stopping {
                return;
            }
            let _ = self.chain.shared.wait(seen, left);
        }
    }

    /// Opens the index, or makes a new one: where there is none, and in place of one that is not fit.
    fn open(&self, is_unfit: bool) -> Result<Shelf, IndexFault> {
        let opened = if is_unfit {
            Err(IndexFault::Unfit("it was damaged".into()))
        } else if is_missing(&self.dir) {
            self.create()?;
            self.open_stored()
        } else {
            self.open_stored()
        };
        let reason = match opened {
            Err(IndexFault::Unfit(reason)) => reason,
            opened => return opened,
        };
        tracing::warn!(reason, "the index is not fit; it is made again from the blocks");
        let failed = |error: std::io::Error| {
            IndexFault::Machine(format!("cannot delete {}: {error}", self.dir.display()))
        };
        discard(&self.dir).map_err(failed)?;
        self.create()?;
        self.open_stored()
    }

    fn create(&self) -> Result<(), IndexFault> {
        let shared = &self.chain.shared;
        Shelf::create(&self.dir, &shared.network, shared.genesis.id)
    }

    fn open_stored(&self) -> Result<Shelf, IndexFault> {
        let shared = &self.chain.shared;
        let shelf = Shelf::open(&self.dir, &shared.network, |id| shared.read().block(id).is_some())?;
        if shelf.unread > 0 {
            return Err(IndexFault::Unfit(format!(
                "it lacks {} blocks that could not be read",
                shelf.unread
            )));
        }
        shelf.sweep()?;
        Ok(shelf)
    }
}

/// Says at the end of the thread that nothing comes any more, unless the node stops.
struct End<'a>(&'a Finder);

impl Drop for End<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("its thread ended early through a fault of the program".into());
        }
    }
}

/// An open index being kept.
struct Session<'a> {
    keeper: &'a Keeper,
    /// What is on disk.
    shelf: Shelf,
    /// The last block whose entries are in memory or on disk.
    mark: Mark,
    unread: u64,
    /// Blocks in memory.
    blocks: u64,
    next_number: u64,
    merge: Option<Merge>,
    /// Runs that no manifest names any more, and how many of their keys are deleted.
    retired: Vec<(Arc<Run>, usize)>,
}

impl<'a> Session<'a> {
    fn new(keeper: &'a Keeper, shelf: Shelf) -> Result<Self, IndexFault> {
        keeper.finder.take_fault();
        keeper.finder.open(&shelf);
        let (mark, unread, next_number) = (shelf.mark, shelf.unread, shelf.next_number()?);
        Ok(Self { keeper, shelf, mark, unread, blocks: 0, next_number, merge: None, retired: Vec::new() })
    }

    /// Follows the chain until the node stops.
    fn serve(mut self) -> Result<(), IndexFault> {
        loop {
            let seen = self.keeper.chain.shared.ticks();
            if let Some(fault) = self.keeper.finder.take_fault() {
                return Err(fault);
            }
            if seen.stopping {
                return if self.blocks > 0 { Ok(self.flush()?) } else { Ok(()) };
            }
            // More runs than these would make every look slow: then they are merged first.
            let has_advanced = self.shelf.runs.len() < INDEX_RUNS_MAX && self.advance()?;
            let is_busy = self.merge_on()? | self.delete_retired()? | has_advanced;
            let bytes = if is_busy { REOPEN_BYTES } else { REOPEN_BYTES_IDLE };
            if self.shelf.door.bytes_written() >= bytes {
                self.shelf.door.reopen()?;
            }
            if !is_busy {
                let _ = self.keeper.chain.shared.wait(seen, LOOK);
            }
        }
    }

    /// Reads some of the next blocks of the active chain; whether there were any.
    fn advance(&mut self) -> Result<bool, IndexFault> {
        let (fork, next) = {
            let view = self.keeper.chain.shared.read();
            let (number, _) = view.block(&self.mark.id).ok_or_else(|| {
                IndexFault::Unfit(format!("the chain does not know its block {}", self.mark.id))
            })?;
            let fork = view.index().get(view.index().active_ancestor(number));
            let fork = Mark { height: fork.header.height, id: fork.id };
            let heights = (fork.height + 1..).map_while(|height| view.active(height));
            (fork, heights.take(INDEX_BLOCKS_AT_ONCE).cloned().collect::<Vec<_>>())
        };
        if fork != self.mark {
            // Of another branch: what is in runs does no harm, and what is in memory can go.
            self.mark = fork;
            self.keeper.finder.change(|live| {
                live.memory.forget_above(fork.height);
                live.mark = fork;
            });
            self.keeper.finder.progress.send_replace(Some(fork));
        }
        for entry in &next {
            if self.keeper.is_stopping() {
                break;
            }
            self.learn(entry)?;
            let limits = &self.keeper.limits;
            if self.in_memory() >= limits.memory_entries || self.blocks >= limits.memory_blocks {
                self.flush()?;
                break;
            }
        }
        Ok(!next.is_empty())
    }

    /// Takes a block in, the next of those read.
    fn learn(&mut self, entry: &index::Entry) -> Result<(), IndexFault> {
        let chain = &self.keeper.chain;
        let entries = match load_right_body(&chain.shared, &chain.store, entry) {
            Ok(body) => entries_of(&self.shelf.secret, entry.header.height, &body)
                .map_err(|error| format!("its body holds what no block does: {error}")),
            Err(LoadError::Store(error @ StoreError::Damaged { .. })) => Err(error.to_string()),
            Err(LoadError::Store(error)) => return Err(IndexFault::Machine(error.to_string())),
            Err(error @ LoadError::Rule { .. }) => Err(error.to_string()),
            // Nobody can look into it any more.
            Err(LoadError::Pruned { .. } | LoadError::PrunedState { .. }) => Ok(Vec::new()),
        };
        let entries = entries.unwrap_or_else(|error| {
            let (id, height) = (entry.id, entry.header.height);
            tracing::error!(error, block = %id, height, "this block's transactions cannot be looked up");
            self.unread += 1;
            Vec::new()
        });
        let finder = &self.keeper.finder;
        for some in entries.chunks(INDEX_ENTRIES_AT_ONCE) {
            finder.change(|live| live.memory.extend(some));
        }
        self.mark = Mark { height: entry.header.height, id: entry.id };
        self.blocks += 1;
        finder.change(|live| live.mark = self.mark);
        finder.progress.send_replace(Some(self.mark));
        Ok(())
    }

    fn in_memory(&self) -> usize {
        self.keeper.finder.change(|live| live.memory.len()).unwrap_or(0)
    }

    /// Makes what is in memory a run, and with it the progress durable.
    fn flush(&mut self) -> Result<(), StoreError> {
        failpoint::hit("index.before_run");
        let finder = &self.keeper.finder;
        let entries: Vec<Entry> = finder.change(|live| live.memory.entries()).unwrap_or_default();
        if !entries.is_empty() {
            let mut writer = RunWriter::new(self.take_number(), entries.len() as u64);
            for entry in entries {
                writer.push(&self.shelf.door, entry)?;
            }
            self.shelf.runs.push(Arc::new(writer.finish(&self.shelf.door, 0)?));
        }
        (self.shelf.mark, self.shelf.unread, self.blocks) = (self.mark, self.unread, 0);
        self.shelf.commit()?;
        let runs = self.shelf.runs.clone().into();
        // Freed after the lock is released.
        let _forgotten = finder.change(|live| {
            live.runs = runs;
            live.memory.turn()
        });
        Ok(())
    }

    fn take_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    /// Goes on with a merge, or begins one that is due; whether there was one.
    fn merge_on(&mut self) -> Result<bool, StoreError> {
        let merge = match self.merge.take() {
            Some(merge) => merge,
            None => {
                let Some(level) = self.due() else { return Ok(false) };
                let of_level = |run: &&Arc<Run>| run.mark.level == level;
                let runs: Vec<_> = self.shelf.runs.iter().filter(of_level).cloned().collect();
                let number = self.take_number();
                Merge::new(&self.shelf.door, &runs, number)?
            }
        };
        let inputs = merge.inputs();
        match merge.step(&self.shelf.door)? {
            Step::More(merge) => self.merge = Some(merge),
            Step::Done(run) => {
                let is_merged = |run: &Arc<Run>| inputs.contains(&run.mark.number);
                let (merged, mut runs): (Vec<_>, Vec<_>) =
                    self.shelf.runs.iter().cloned().partition(is_merged);
                runs.push(Arc::new(run));
                self.shelf.runs = runs;
                self.shelf.commit()?;
                failpoint::hit("index.after_merge");
                let runs = self.shelf.runs.clone().into();
                self.keeper.finder.change(|live| live.runs = runs);
                self.retired.extend(merged.into_iter().map(|run| (run, 0)));
            }
        }
        Ok(true)
    }

    /// The lowest level with enough runs to be merged.
    fn due(&self) -> Option<u8> {
        let count = |level: &u8| self.shelf.runs.iter().filter(|run| run.mark.level == *level).count();
        let mut levels: Vec<u8> = self.shelf.runs.iter().map(|run| run.mark.level).collect();
        levels.sort_unstable();
        levels.dedup();
        levels.into_iter().find(|level| count(level) >= self.keeper.limits.fan_out)
    }

    /// Deletes some of what merged runs had, once nobody reads them any more; whether anything was.
    fn delete_retired(&mut self) -> Result<bool, StoreError> {
        let is_unread = |(run, _): &(Arc<Run>, usize)| Arc::strong_count(run) == 1;
        let Some(place) = self.retired.iter().position(is_unread) else { return Ok(false) };
        let (run, deleted) = &mut self.retired[place];
        let mut batch = Batch::new();
        run.mark.keys().skip(*deleted).take(INDEX_BATCH_KEYS).for_each(|key| batch.remove(key));
        *deleted += batch.len();
        if batch.len() < INDEX_BATCH_KEYS {
            self.retired.swap_remove(place);
        }
        if !batch.is_empty() {
            self.shelf.door.write(batch)?;
            failpoint::hit("index.after_delete");
        }
        Ok(true)
    }
}
