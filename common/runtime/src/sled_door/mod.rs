//! The safe door to sled 0.34.7: the only place in the workspace that may name it.
//!
//! What it guards against, each met in measurement: a half-written snapshot that bricks a store, one
//! that is durable only after the file no longer fits the one before it, panics on damaged pages,
//! `flush` that is not durable, values that land in files nobody fsyncs, memory that grows, and an
//! open that re-reads all log since the last one. The last two are why the engine can be closed and
//! opened in process ([`Door::reopen`]) while the door stays: sled writes its snapshot only at open.
//!
//! One tree, one batch per commit. A commit is one applied batch, a flush and an fdatasync of
//! `<dir>/db`; it is durable when it returns. Must not know what is stored: the key layout belongs
//! to each program's `store/schema.rs`.
//!
//! Read next: `open.rs` (what an open does), `order.rs` (what must be durable in the middle of it),
//! `whole.rs` (how a store is made), `quiet.rs` (panics as values).

mod batch;
mod error;
mod open;
mod order;
mod quiet;
#[cfg(test)]
mod tests;
mod whole;

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

pub use batch::Batch;
pub use error::{OpenError, StoreError};
pub use whole::{is_missing, make_whole};

use crate::{clock, disk, failpoint};
use open::Engine;

/// Largest value, bytes. A leaf holds up to 17 values and must stay under a quarter of a segment,
/// else sled moves it to a file in `blobs` that it never fsyncs.
pub const VALUE_BYTES_MAX: usize = 32 * 1024;

/// Size of sled's log segments, bytes. Pinned in each store's `conf`: changing it makes every
/// existing store unreadable.
const SEGMENT_BYTES: usize = 8 * 1024 * 1024;

/// Milliseconds between two background flushes; without them sled leaks memory.
const FLUSH_EVERY_MS: u64 = 500;

/// Caches that sled has: each holds the leaf it was asked for last, whatever `cache_bytes` says, and looks at
/// its size only after 64 accesses.
const CACHES: u64 = 256;
/// A value that is read counts as accessed once for so many of its bytes, and once more: without that a store
/// of gigabytes that is read here and there would stay in memory whole. With it two leaves of values of the
/// greatest size make a cache look.
const BYTES_AN_ACCESS: usize = 1024;
/// Values of a leaf that is not the last one: sled halves a leaf of 17.
const LEAF_VALUES: u64 = 9;
/// Most that what is read of values of the greatest size, one after another, takes in memory, bytes, whatever
/// `cache_bytes` says.
pub const LARGE_VALUES_MEMORY: u64 = CACHES * 3 * LEAF_VALUES * VALUE_BYTES_MAX as u64;

const _: () = assert!(17 * VALUE_BYTES_MAX < SEGMENT_BYTES / 4);

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// How to open a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DoorOptions {
    /// Bytes of content sled may keep in memory; resident memory is three to four times that, or
    /// [`LARGE_VALUES_MEMORY`], if that is more.
    pub cache_bytes: u64,
}

/// An open store. Shared by reference between threads; readers wait only while it is reopened.
pub struct Door {
    dir: PathBuf,
    options: DoorOptions,
    engine: RwLock<Option<Engine>>,
    /// Held over flush, fdatasync and the verdict on them: the kernel reports a lost write once,
    /// so a second commit must not sync between the first one's failure and its poisoning.
    durable: Mutex<()>,
    poisoned: AtomicBool,
    bytes_written: AtomicU64,
    #[cfg(test)]
    fail_next_sync: AtomicBool,
}

impl Door {
    /// Opens the store in `dir`, creating the folder (0700) when missing.
    ///
    /// # Errors
    /// [`OpenError::Damaged`] when the content cannot be read, by error or by panic of the engine;
    /// [`OpenError::Locked`] when it is still in use after a second; [`OpenError::Io`] when the
    /// machine refuses.
    pub fn open(dir: &Path, options: DoorOptions) -> Result<Door, OpenError> {
        let engine = open::open(dir, options)?;
        Ok(Door {
            dir: dir.to_path_buf(),
            options,
            engine: RwLock::new(Some(engine)),
            durable: Mutex::new(()),
            poisoned: AtomicBool::new(false),
            bytes_written: AtomicU64::new(0),
            #[cfg(test)]
            fail_next_sync: AtomicBool::new(false),
        })
    }

    /// Applies `batch` whole and makes it durable, with everything written before it.
    ///
    /// # Errors
    /// After any error but [`StoreError::ValueTooLarge`] and [`StoreError::Closed`] it is unknown
    /// whether the batch will be there after a restart, and the door takes no more writes. Where
    /// the engine met damage in the middle of the batch, even a part of it may be there: the
    /// caller's check of the whole state at start has to tell.
    pub fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        failpoint::hit("commit.before_apply");
        // The lock is held throughout, so no reopen comes between the batch and its fdatasync.
        let slot = self.slot();
        let engine = slot.as_ref().ok_or(StoreError::Closed)?;
        self.apply(engine, batch)?;
        failpoint::hit("commit.after_apply");
        self.make_durable(engine, || failpoint::hit("commit.after_flush"))?;
        failpoint::hit("commit.after_fdatasync");
        Ok(())
    }

    /// Applies `batch` whole without making it durable: for what a later commit refers to (bodies,
    /// checkpoints). It is durable no later than the next commit, and never after a later batch.
    ///
    /// # Errors
    /// As [`Door::commit`].
    pub fn write(&self, batch: Batch) -> Result<(), StoreError> {
        failpoint::hit("write.before_apply");
        let slot = self.slot();
        self.apply(slot.as_ref().ok_or(StoreError::Closed)?, batch)?;
        failpoint::hit("write.after_apply");
        Ok(())
    }

    /// Makes everything written so far durable.
    ///
    /// # Errors
    /// [`StoreError::Io`] or [`StoreError::Damaged`], after which the door takes no more writes.
    pub fn sync(&self) -> Result<(), StoreError> {
        let slot = self.slot();
        self.make_durable(slot.as_ref().ok_or(StoreError::Closed)?, || ())
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the engine cannot read its page, by error or by panic.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|db| {
            let value = db.get(key.as_ref())?;
            let value = value.map(|value| value.to_vec());
            count(db, key.as_ref(), value.as_deref().unwrap_or_default(), BYTES_AN_ACCESS)?;
            Ok(value)
        })
    }

    /// The first `limit` entries of the inclusive range, in order of keys. One page: go on from the
    /// last key with a zero byte added. No iterator outlives the call, so none is held over a reopen.
    ///
    /// # Errors
    /// As [`Door::get`].
    pub fn scan<K: AsRef<[u8]>>(
        &self,
        range: RangeInclusive<K>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let (from, to) = (range.start().as_ref(), range.end().as_ref());
        if from > to {
            return Ok(Vec::new());
        }
        self.read(|db| {
            let entries = db.range::<&[u8], _>(from..=to).take(limit).map(|entry| entry.map(owned));
            let entries = entries.collect::<Result<Vec<Entry>, _>>()?;
            // Those of one leaf come together.
            entries.iter().try_for_each(|(key, value)| count(db, key, value, 8 * BYTES_AN_ACCESS))?;
            Ok(entries)
        })
    }

    /// The entry with the highest key of the inclusive range.
    ///
    /// # Errors
    /// As [`Door::get`].
    pub fn last_in<K: AsRef<[u8]>>(&self, range: RangeInclusive<K>) -> Result<Option<Entry>, StoreError> {
        let (from, to) = (range.start().as_ref(), range.end().as_ref());
        if from > to {
            return Ok(None);
        }
        self.read(|db| db.range::<&[u8], _>(from..=to).next_back().transpose().map(|entry| entry.map(owned)))
    }

    /// Bytes of keys and values written since the last open or reopen.
    pub fn bytes_written(&self) -> u64 {
        self.bytes_written.load(Ordering::Relaxed)
    }

    /// Closes and opens the engine while readers and writers wait, so that the next start re-reads
    /// little and memory is given back. Answers how long they waited.
    ///
    /// # Errors
    /// [`OpenError::Poisoned`] after a failed commit; else as [`Door::open`], and the door then
    /// answers [`StoreError::Closed`] until a later reopen succeeds.
    pub fn reopen(&self) -> Result<Duration, OpenError> {
        let started = clock::start();
        let mut slot = self.engine.write().unwrap_or_else(PoisonError::into_inner);
        if self.is_poisoned() {
            return Err(OpenError::Poisoned { dir: self.dir.clone() });
        }
        if let Some(engine) = slot.as_ref() {
            self.make_durable(engine, || ()).map_err(|error| self.not_reopened(error))?;
        }
        if let Some(engine) = slot.take()
            && !open::close(engine)
        {
            return Err(OpenError::damaged(&self.dir, "the storage engine stopped before it could close"));
        }
        *slot = Some(open::open(&self.dir, self.options)?);
        self.bytes_written.store(0, Ordering::Relaxed);
        drop(slot);
        let waited = started.elapsed();
        crate::process::give_memory_back();
        Ok(waited)
    }

    /// Forgets the engine without waiting for its close, for a process about to exit. What was
    /// committed is durable; what was only written may be lost.
    pub fn leak(self) {
        let mut slot = self.engine.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = slot.take() {
            std::mem::forget(engine.db);
        }
    }

    /// The store's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether an earlier failure has closed the door for writing.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// Bytes of all files below the store's folder; what cannot be read counts nothing.
    pub fn disk_bytes(&self) -> u64 {
        disk::files_bytes(&self.dir)
    }

    /// Whether sled has put no value into `<dir>/blobs`, whose files are never durable.
    pub fn blobs_empty(&self) -> bool {
        fs::read_dir(self.dir.join("blobs")).map_or(true, |mut entries| entries.next().is_none())
    }

    fn slot(&self) -> RwLockReadGuard<'_, Option<Engine>> {
        self.engine.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, engine: &Engine, batch: Batch) -> Result<(), StoreError> {
        self.check_not_poisoned()?;
        let bytes = batch.bytes();
        let changes = batch.into_changes()?;
        self.bytes_written.fetch_add(bytes, Ordering::Relaxed);
        self.poison_on_error(guarded("write", || engine.db.apply_batch(changes)))
    }

    fn make_durable(&self, engine: &Engine, after_flush: impl FnOnce()) -> Result<(), StoreError> {
        let _alone = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_not_poisoned()?;
        let flushed = guarded("flush", || engine.db.flush());
        let outcome = flushed.and_then(|_| {
            after_flush();
            self.fdatasync(engine)
        });
        self.poison_on_error(outcome)
    }

    fn fdatasync(&self, engine: &Engine) -> Result<(), StoreError> {
        #[cfg(test)]
        if self.fail_next_sync.swap(false, Ordering::AcqRel) {
            let source = std::io::Error::other("simulated");
            return Err(StoreError::Io { doing: "sync", source });
        }
        engine.file.sync_data().map_err(|source| StoreError::Io { doing: "sync", source })
    }

    fn not_reopened(&self, error: StoreError) -> OpenError {
        match error {
            StoreError::Io { doing, source } => OpenError::io(&self.dir, doing, source),
            StoreError::Poisoned => OpenError::Poisoned { dir: self.dir.clone() },
            other => OpenError::damaged(&self.dir, &other.to_string()),
        }
    }

    fn check_not_poisoned(&self) -> Result<(), StoreError> {
        if self.is_poisoned() { Err(StoreError::Poisoned) } else { Ok(()) }
    }

    fn poison_on_error(&self, outcome: Result<(), StoreError>) -> Result<(), StoreError> {
        if outcome.is_err() {
            self.poisoned.store(true, Ordering::Release);
        }
        outcome
    }

    fn read<T>(&self, work: impl FnOnce(&sled::Db) -> Result<T, sled::Error>) -> Result<T, StoreError> {
        let slot = self.slot();
        let engine = slot.as_ref().ok_or(StoreError::Closed)?;
        guarded("read", || work(&engine.db))
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let slot = self.engine.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = slot.take() {
            open::close(engine);
        }
    }
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("dir", &self.dir).field("options", &self.options).finish_non_exhaustive()
    }
}

/// Runs the engine on this thread; its panic is damage.
fn guarded<T>(doing: &'static str, work: impl FnOnce() -> Result<T, sled::Error>) -> Result<T, StoreError> {
    match quiet::caught(work) {
        Ok(outcome) => outcome.map_err(|error| StoreError::from_engine(doing, error)),
        Err(quiet::Panicked) => Err(StoreError::stopped()),
    }
}

/// Counts the leaf of a value that was read as often as the value is heavy: see [`BYTES_AN_ACCESS`].
fn count(db: &sled::Db, key: &[u8], value: &[u8], bytes_an_access: usize) -> Result<(), sled::Error> {
    (0..value.len() / bytes_an_access).try_for_each(|_| db.contains_key(key).map(|_| ()))
}

fn owned((key, value): (sled::IVec, sled::IVec)) -> Entry {
    (key.to_vec(), value.to_vec())
}
