//! What the store has done since it was opened, as numbers that anybody reads without a lock.
//! Must not know who shows them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often something was done, and how long that took in all.
#[derive(Debug, Default)]
pub struct Timed {
    times: AtomicU64,
    micros: AtomicU64,
}

impl Timed {
    pub(super) fn count(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
        self.times.fetch_add(1, Ordering::Relaxed);
    }

    /// How often.
    #[must_use]
    pub fn times(&self) -> u64 {
        self.times.load(Ordering::Relaxed)
    }

    /// How long in all.
    #[must_use]
    pub fn took(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }
}

/// The numbers.
#[derive(Debug, Default)]
pub struct Figures {
    /// Durable commits, from their first byte to their fdatasync.
    pub commits: Timed,
    /// sled closed and opened again, while readers and the chain thread waited.
    pub reopens: Timed,
    /// Checkpoints written behind the chain thread.
    pub checkpoints: Timed,
    checkpoint_records: AtomicU64,
    bytes_before: AtomicU64,
}

impl Figures {
    pub(super) fn checkpoint(&self, took: Duration, records: u64) {
        self.checkpoints.count(took);
        self.checkpoint_records.store(records, Ordering::Relaxed);
    }

    /// `bytes` were written before it.
    pub(super) fn reopened(&self, took: Duration, bytes: u64) {
        self.reopens.count(took);
        self.bytes_before.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Records of the last checkpoint; 0 before the first one.
    #[must_use]
    pub fn checkpoint_records(&self) -> u64 {
        self.checkpoint_records.load(Ordering::Relaxed)
    }

    /// Bytes written before the last reopening.
    pub(super) fn bytes_before(&self) -> u64 {
        self.bytes_before.load(Ordering::Relaxed)
    }
}
