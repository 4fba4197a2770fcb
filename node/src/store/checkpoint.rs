//! CHECKPOINT values: every record of the state at one commit, ascending by path, written in
//! the background from a snapshot. Until its mark is durable the previous generation stands.
//! Must not know blocks.

use steelyard_core::state::Trie;
use steelyard_core::state::record::{self, Key, Record};
use steelyard_runtime::sled_door::{Batch, Door, VALUE_BYTES_MAX};

use super::bytes::Reader;
use super::schema::{FIRST, LAST, META_CHECKPOINT, Space, key, range, split};
use super::{StoreError, damaged};

/// Says which checkpoint is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Number of the checkpoint.
    pub generation: u64,
    /// Commit whose state it holds; 0 for genesis.
    pub seq: u64,
    /// Its chunks.
    pub chunks: u32,
    /// Its records.
    pub records: u64,
}

const MARK_BYTES: usize = 8 + 8 + 4 + 8;
/// Keys deleted in one batch: sled's batches of scattered keys are costly when long.
const DELETE_KEYS: usize = 32;

/// The newest whole checkpoint.
///
/// # Errors
/// [`StoreError`].
pub fn mark(door: &Door) -> Result<Option<Mark>, StoreError> {
    let Some(value) = door.get(key(Space::Meta, META_CHECKPOINT, 0))? else { return Ok(None) };
    if value.len() != MARK_BYTES {
        return Err(damaged("the checkpoint's mark cannot be read".into()));
    }
    let mut reader = Reader::new("checkpoint's mark", &value);
    let (generation, seq) = (reader.u64()?, reader.u64()?);
    Ok(Some(Mark { generation, seq, chunks: reader.u32()?, records: reader.u64()? }))
}

/// Reads a checkpoint into a state.
///
/// # Errors
/// [`StoreError::Damaged`] when a chunk is missing, unreadable or out of order.
pub fn load(door: &Door, mark: &Mark) -> Result<Trie, StoreError> {
    build(records(door, mark)?)
}

/// The state of these records, ascending by path.
///
/// # Errors
/// [`StoreError::Damaged`] when they are none.
pub fn build(records: impl IntoIterator<Item = (Key, Record)>) -> Result<Trie, StoreError> {
    Trie::from_sorted(records).map_err(|error| damaged(format!("the checkpoint is no state: {error}")))
}

/// The records of a checkpoint, ascending by path if nothing is damaged.
///
/// # Errors
/// [`StoreError::Damaged`] when a chunk is missing or unreadable.
pub fn records(door: &Door, mark: &Mark) -> Result<Vec<(Key, Record)>, StoreError> {
    let mut records: Vec<(Key, Record)> = Vec::new();
    for chunk in 0..mark.chunks {
        let value = door.get(key(Space::Checkpoint, mark.generation, chunk))?;
        let value = value.ok_or_else(|| damaged(format!("chunk {chunk} of the checkpoint is missing")))?;
        let mut reader = Reader::new("chunk of the checkpoint", &value);
        while !reader.is_empty() {
            let length = usize::from(reader.u8()?);
            records.push(record::decode(reader.slice(length)?).map_err(|_| reader.damage())?);
        }
    }
    if records.len() as u64 != mark.records {
        return Err(damaged(format!("the checkpoint has {} records, not {}", records.len(), mark.records)));
    }
    Ok(records)
}

/// Writes the state after commit `seq` as a new checkpoint, makes it the newest and deletes the
/// others. Safe to kill at any moment.
///
/// # Errors
/// [`StoreError`] of the disk.
pub fn write(door: &Door, state: &Trie, seq: u64) -> Result<Mark, StoreError> {
    // Above whatever is there: a mark may be damaged, and an attempt may have left chunks behind.
    let newest = door.last_in(range(Space::Checkpoint, 0, u64::MAX))?;
    let newest = newest.and_then(|(found, _)| split(&found)).map_or(0, |(generation, _)| generation);
    let generation = if newest < LAST { newest + 1 } else { FIRST };
    let chunks = for_each_chunk(state, |chunk, value| {
        let mut batch = Batch::new();
        batch.put(key(Space::Checkpoint, generation, chunk), value);
        door.write(batch)
    })?;
    let mark = Mark { generation, seq, chunks, records: state.len() };
    steelyard_runtime::failpoint::hit("checkpoint.before_mark");
    let mut batch = Batch::new();
    batch.put(key(Space::Meta, META_CHECKPOINT, 0), mark.to_bytes());
    door.commit(batch)?;
    steelyard_runtime::failpoint::hit("checkpoint.after_mark");
    delete(door, |found| found != generation)?;
    Ok(mark)
}

impl Mark {
    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(MARK_BYTES);
        value.extend_from_slice(&self.generation.to_le_bytes());
        value.extend_from_slice(&self.seq.to_le_bytes());
        value.extend_from_slice(&self.chunks.to_le_bytes());
        value.extend_from_slice(&self.records.to_le_bytes());
        value
    }
}

/// Calls `each` with the number and the value of every chunk of a state, and counts them.
///
/// # Errors
/// Those of `each`.
pub fn for_each_chunk<E>(
    state: &Trie,
    mut each: impl FnMut(u32, Vec<u8>) -> Result<(), E>,
) -> Result<u32, E> {
    let (mut chunks, mut chunk) = (0, Vec::with_capacity(VALUE_BYTES_MAX));
    for (record_key, record) in state.iter() {
        let value =
            record::encode(&record_key, record).expect("a state pairs a key with its own kind of record");
        if chunk.len() + 1 + value.len() > VALUE_BYTES_MAX {
            each(chunks, std::mem::take(&mut chunk))?;
            chunks += 1;
        }
        chunk.push(u8::try_from(value.len()).expect("a record's value is shorter than 256 bytes"));
        chunk.extend_from_slice(&value);
    }
    each(chunks, chunk)?;
    Ok(chunks + 1)
}

fn delete(door: &Door, doomed: impl Fn(u64) -> bool) -> Result<(), StoreError> {
    let all = range(Space::Checkpoint, 0, u64::MAX);
    let mut from = *all.start();
    loop {
        let page = door.scan(from..=*all.end(), DELETE_KEYS)?;
        let Some((generation, chunk)) = page.last().and_then(|(last, _)| split(last)) else { return Ok(()) };
        from = key(Space::Checkpoint, generation, chunk.saturating_add(1));
        let mut batch = Batch::new();
        for (found, _) in page.iter().filter(|(found, _)| split(found).is_some_and(|(a, _)| doomed(a))) {
            batch.remove(found);
        }
        if !batch.is_empty() {
            door.write(batch)?;
        }
    }
}
