//! Sorted runs: written once, ascending, in chunks; of each the first entries of its chunks (fences) and
//! a filter are in memory, so a look reads one chunk, and of runs that hold nothing most often none.
//! Must not know which runs there are.

use std::ops::RangeInclusive;
use std::sync::Arc;

use steelyard_runtime::failpoint;
use steelyard_runtime::sled_door::{Batch, Door};

use super::bloom::Bloom;
use super::entry::{ENTRY_BYTES, Entry};
use super::schema::{CHUNK_ENTRIES, CHUNK_WORDS, RunMark, Space, get, key, sealed};
use crate::limits::INDEX_BATCH_CHUNKS;
use crate::store::{StoreError, damaged};

/// From which end entries are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The first in the chain first.
    OldestFirst,
    /// The last in the chain first.
    NewestFirst,
}

/// A run that can be searched.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) mark: RunMark,
    fences: Vec<Entry>,
    bloom: Bloom,
}

impl Run {
    /// Reads fences and filter of a run.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when they are not what was written, or the disk's.
    pub(super) fn load(door: &Door, mark: RunMark) -> Result<Self, StoreError> {
        let damage = || damaged(format!("run {} of the index cannot be read", mark.number));
        let (mut fences, mut words) = (Vec::new(), Vec::new());
        for at in mark.keys() {
            match at[0] {
                space if space == Space::Fence as u8 => fences.extend(entries(&get(door, &at)?)),
                space if space == Space::Bloom as u8 => {
                    words.extend(get(door, &at)?.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)));
                }
                _ => {}
            }
        }
        let is_whole = fences.len() as u64 == mark.chunks() && words.len() as u64 == mark.words;
        if !is_whole || words.is_empty() || !fences.is_sorted() {
            return Err(damage());
        }
        Ok(Self { mark, fences, bloom: Bloom::from_words(words) })
    }

    /// Places of a prefix, within `range`, the first `max` of that order.
    ///
    /// # Errors
    /// As [`Run::load`].
    pub(super) fn positions(
        &self,
        door: &Door,
        prefix: u64,
        range: &RangeInclusive<u64>,
        (order, max): (Order, usize),
    ) -> Result<Vec<u64>, StoreError> {
        let mut found = Vec::new();
        if max == 0 || range.is_empty() || !self.bloom.may_hold(prefix) {
            return Ok(found);
        }
        let (from, to) =
            (Entry { prefix, position: *range.start() }, Entry { prefix, position: *range.end() });
        // The chunks that may hold one of them: from the last that begins at or before `from`…
        let first = self.fences.partition_point(|fence| *fence <= from).saturating_sub(1);
        // …to the last that begins at or before `to`.
        let end = self.fences.partition_point(|fence| *fence <= to);
        let mut chunks = first..end;
        loop {
            let next = if order == Order::OldestFirst { chunks.next() } else { chunks.next_back() };
            let Some(chunk) = next else { return Ok(found) };
            let entries = self.chunk(door, chunk)?;
            let inside =
                entries.partition_point(|entry| *entry < from)..entries.partition_point(|entry| *entry <= to);
            let mut inside: Vec<u64> = entries[inside].iter().map(|entry| entry.position).collect();
            if order == Order::NewestFirst {
                inside.reverse();
            }
            found.extend(inside.into_iter().take(max - found.len()));
            if found.len() == max {
                return Ok(found);
            }
        }
    }

    /// The entries of a chunk.
    fn chunk(&self, door: &Door, chunk: usize) -> Result<Vec<Entry>, StoreError> {
        let damage = || damaged(format!("chunk {chunk} of run {} of the index", self.mark.number));
        let number = u32::try_from(chunk).map_err(|_| damage())?;
        let entries: Vec<Entry> = entries(&get(door, &key(Space::Run, self.mark.number, number))?).collect();
        let before = chunk as u64 * CHUNK_ENTRIES as u64;
        let expected = self.mark.entries.saturating_sub(before).min(CHUNK_ENTRIES as u64);
        if entries.len() as u64 != expected || entries.first() != self.fences.get(chunk) {
            return Err(damage());
        }
        Ok(entries)
    }
}

fn entries(payload: &[u8]) -> impl Iterator<Item = Entry> + '_ {
    payload.as_chunks::<ENTRY_BYTES>().0.iter().map(Entry::from_bytes)
}

/// A run being read from end to end, a chunk at a time.
pub(super) struct RunReader {
    run: Arc<Run>,
    next_chunk: usize,
    entries: std::vec::IntoIter<Entry>,
}

impl RunReader {
    pub(super) fn new(run: Arc<Run>) -> Self {
        Self { run, next_chunk: 0, entries: Vec::new().into_iter() }
    }

    pub(super) fn run(&self) -> &Arc<Run> {
        &self.run
    }

    /// The next entry; `None` after the last.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a chunk is not what was written, or the disk's.
    pub(super) fn next(&mut self, door: &Door) -> Result<Option<Entry>, StoreError> {
        if self.entries.as_slice().is_empty() && self.next_chunk < self.run.fences.len() {
            self.entries = self.run.chunk(door, self.next_chunk)?.into_iter();
            self.next_chunk += 1;
        }
        Ok(self.entries.next())
    }
}

/// A run being written. Nothing of it counts before a manifest names it.
pub(super) struct RunWriter {
    number: u64,
    entries: u64,
    chunk: Vec<u8>,
    batch: Batch,
    fences: Vec<Entry>,
    bloom: Bloom,
}

impl RunWriter {
    /// Run `number`, of at most so many entries.
    pub(super) fn new(number: u64, entries_max: u64) -> Self {
        let bloom = Bloom::new(entries_max);
        Self { number, entries: 0, chunk: Vec::new(), batch: Batch::new(), fences: Vec::new(), bloom }
    }

    /// Adds an entry, which is greater than all before.
    ///
    /// # Errors
    /// [`StoreError`] of the disk.
    pub(super) fn push(&mut self, door: &Door, entry: Entry) -> Result<(), StoreError> {
        if self.chunk.is_empty() {
            self.fences.push(entry);
        }
        self.bloom.insert(entry.prefix);
        self.chunk.extend_from_slice(&entry.to_bytes());
        self.entries += 1;
        if self.chunk.len() == CHUNK_ENTRIES * ENTRY_BYTES { self.end_chunk(door) } else { Ok(()) }
    }

    fn end_chunk(&mut self, door: &Door) -> Result<(), StoreError> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::take(&mut self.chunk);
        self.put(door, Space::Run, self.fences.len() - 1, chunk)
    }

    /// Writes a value, in batches of a few.
    fn put(&mut self, door: &Door, space: Space, chunk: usize, payload: Vec<u8>) -> Result<(), StoreError> {
        let chunk = u32::try_from(chunk).map_err(|_| damaged("a run of the index is too long".into()))?;
        let at = key(space, self.number, chunk);
        self.batch.put(at, sealed(&at, payload));
        if self.batch.len() == INDEX_BATCH_CHUNKS { self.write(door) } else { Ok(()) }
    }

    fn write(&mut self, door: &Door) -> Result<(), StoreError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        door.write(std::mem::take(&mut self.batch))?;
        failpoint::hit("index.after_batch");
        Ok(())
    }

    /// Writes what is left, fences and filter. It is durable no later than the manifest that names it.
    ///
    /// # Errors
    /// [`StoreError`] of the disk.
    pub(super) fn finish(mut self, door: &Door, level: u8) -> Result<Run, StoreError> {
        self.end_chunk(door)?;
        failpoint::hit("index.before_fences");
        let fences: Vec<u8> = self.fences.iter().flat_map(|fence| fence.to_bytes()).collect();
        for (chunk, payload) in fences.chunks(CHUNK_ENTRIES * ENTRY_BYTES).enumerate() {
            self.put(door, Space::Fence, chunk, payload.to_vec())?;
        }
        let words = self.bloom.words().len();
        for chunk in 0..words.div_ceil(CHUNK_WORDS) {
            let part = &self.bloom.words()[chunk * CHUNK_WORDS..words.min((chunk + 1) * CHUNK_WORDS)];
            let payload = part.iter().flat_map(|word| word.to_le_bytes()).collect();
            self.put(door, Space::Bloom, chunk, payload)?;
        }
        self.write(door)?;
        let mark = RunMark { number: self.number, level, entries: self.entries, words: words as u64 };
        Ok(Run { mark, fences: self.fences, bloom: self.bloom })
    }
}
