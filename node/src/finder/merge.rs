//! Several runs into one, a piece at a time, so that new blocks are indexed in between. What two runs
//! both hold is kept once. Entries of blocks that are no longer active are kept too: whether a block
//! is, may change again, and each cost somebody the work of a block. Must not know which runs there
//! are, nor how one becomes part of the index.

use std::sync::Arc;

use steelyard_runtime::failpoint;
use steelyard_runtime::sled_door::Door;

use super::entry::Entry;
use super::run::{Run, RunReader, RunWriter};
use crate::limits::INDEX_BATCH_CHUNKS;
use crate::store::StoreError;

/// Entries merged at once: about one batch of the disk.
const STEP_ENTRIES: usize = INDEX_BATCH_CHUNKS * super::schema::CHUNK_ENTRIES;

/// A merge that is not done yet.
pub(super) struct Merge {
    /// What is read, and the next entry of each.
    inputs: Vec<(RunReader, Option<Entry>)>,
    writer: RunWriter,
    level: u8,
}

/// What came of a step.
pub(super) enum Step {
    /// There is more to do.
    More(Merge),
    /// The run that stands for the others.
    Done(Run),
}

impl Merge {
    /// Begins to merge runs into run `number`, of a level above theirs.
    ///
    /// # Errors
    /// [`StoreError`] of the first chunks.
    pub(super) fn new(door: &Door, runs: &[Arc<Run>], number: u64) -> Result<Self, StoreError> {
        let entries = runs.iter().map(|run| run.mark.entries).sum();
        let level = runs.iter().map(|run| run.mark.level).max().unwrap_or(0).saturating_add(1);
        let mut inputs = Vec::with_capacity(runs.len());
        for run in runs {
            let mut reader = RunReader::new(Arc::clone(run));
            let first = reader.next(door)?;
            inputs.push((reader, first));
        }
        Ok(Self { inputs, writer: RunWriter::new(number, entries), level })
    }

    /// Numbers of the runs that are merged.
    pub(super) fn inputs(&self) -> Vec<u64> {
        self.inputs.iter().map(|(reader, _)| reader.run().mark.number).collect()
    }

    /// Goes on by one piece.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn step(mut self, door: &Door) -> Result<Step, StoreError> {
        for _ in 0..STEP_ENTRIES {
            let Some(least) = self.inputs.iter().filter_map(|(_, next)| *next).min() else {
                failpoint::hit("index.before_merge_end");
                return Ok(Step::Done(self.writer.finish(door, self.level)?));
            };
            for (reader, next) in self.inputs.iter_mut().filter(|(_, next)| *next == Some(least)) {
                *next = reader.next(door)?;
            }
            self.writer.push(door, least)?;
        }
        failpoint::hit("index.after_merge_step");
        Ok(Step::More(self))
    }
}
