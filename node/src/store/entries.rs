//! A store's entries as keys and values, for who copies one or reads a damaged one key by key.
//! Must not know what values mean.

use std::sync::Arc;

use steelyard_core::consensus::transaction::CheckedTx;
use steelyard_core::state::Trie;
use steelyard_runtime::sled_door::{Batch, Entry};

use super::checkpoint::{Mark, for_each_chunk};
use super::schema::{FIRST, META_CHECKPOINT, PEERS_ALL, Space, key, range, split};
use super::{Store, StoreError, pending, stream};

/// Entries that are read at once: some 2 MiB where values are large.
const PAGE_ENTRIES: usize = 64;
/// Reads of the peers until two are the same. Full: the last one is taken.
const PEERS_READS_MAX: usize = 8;

impl Store {
    /// Calls `each` with every entry of a space up to `a` = `until`, ascending.
    ///
    /// # Errors
    /// [`StoreError`], or that of `each`.
    pub fn for_each_entry<E: From<StoreError>>(
        &self,
        space: Space,
        until: u64,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let all = range(space, 0, until);
        let mut from = all.start().to_vec();
        loop {
            let page = self.door.scan(from.as_slice()..=all.end().as_slice(), PAGE_ENTRIES)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            from = [&last[..], &[0]].concat();
            page.iter().try_for_each(|(key, value)| each(key, value))?;
        }
    }

    /// What says which store it is: everything of META but which checkpoint is whole.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn identity_entries(&self) -> Result<Vec<Entry>, StoreError> {
        let mut entries = self.door.scan(range(Space::Meta, 0, u64::MAX), PAGE_ENTRIES)?;
        entries.retain(|(found, _)| *found != key(Space::Meta, META_CHECKPOINT, 0));
        Ok(entries)
    }

    /// Addresses of other nodes and bans. A commit may replace them while they are read, chunk by
    /// chunk: they are read until they stay the same.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn peers_entries(&self) -> Result<Vec<Entry>, StoreError> {
        let read = || self.door.scan(range(Space::Peers, PEERS_ALL, PEERS_ALL), usize::MAX);
        let mut entries = read()?;
        for _ in 0..PEERS_READS_MAX {
            let again = read()?;
            if again == entries {
                break;
            }
            entries = again;
        }
        Ok(entries)
    }

    /// Adds entries, which are durable with the next [`Store::sync`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_entries(&self, entries: &[Entry]) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        entries.iter().for_each(|(key, value)| batch.put(key, value));
        self.door.write(batch)
    }

    /// Makes everything written so far durable.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn sync(&self) -> Result<(), StoreError> {
        self.door.sync()
    }

    /// The first commit after `seq` that a space holds anything of.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn next_after(&self, space: Space, seq: u64) -> Result<Option<u64>, StoreError> {
        let page = self.door.scan(range(space, seq.saturating_add(1), u64::MAX), 1)?;
        Ok(page.first().and_then(|(found, _)| split(found)).map(|(a, _)| a))
    }

    /// The run of pending transactions of one commit, those left out that are damaged; `None` for none.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it cannot be read.
    pub fn run(&self, seq: u64) -> Result<Option<Vec<Vec<u8>>>, StoreError> {
        let Some(bytes) = stream::read(&self.door, Space::Mempool, seq)? else { return Ok(None) };
        pending::from_bytes(&bytes).map(|(txs, _)| Some(txs))
    }
}

/// Calls `each` with the entries of the only checkpoint of a store: the state after commit `seq`.
///
/// # Errors
/// Those of `each`.
pub fn for_each_checkpoint_entry<E>(
    state: &Trie,
    seq: u64,
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let generation = FIRST;
    let chunks =
        for_each_chunk(state, |chunk, value| each(&key(Space::Checkpoint, generation, chunk), &value))?;
    let mark = Mark { generation, seq, chunks, records: state.len() };
    each(&key(Space::Meta, META_CHECKPOINT, 0), &mark.to_bytes())
}

/// The entries of the run in which commit `seq` would store these transactions.
#[must_use]
pub fn run_entries(seq: u64, txs: &[Arc<CheckedTx>]) -> Vec<Entry> {
    if txs.is_empty() {
        return Vec::new();
    }
    let run = pending::to_bytes(txs.iter().map(|tx| (tx.full_id(), tx.bytes())));
    let entry = |(chunk, value)| (key(Space::Mempool, seq, chunk).to_vec(), value);
    stream::chunks(Space::Mempool, seq, &run).map(entry).collect()
}
