//! A set of changes that is applied whole or not at all. Must not know what keys mean.

use super::{StoreError, VALUE_BYTES_MAX};

/// Changes collected for one [`Door::write`](super::Door::write) or [`Door::commit`](super::Door::commit).
///
/// The last change of a key wins. Keys of a batch are applied in no particular order, which nobody
/// sees: readers see all or nothing after a restart.
#[derive(Debug, Default, Clone)]
pub struct Batch {
    changes: sled::Batch,
    count: usize,
    bytes: u64,
    largest_value_bytes: usize,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Sets `key` to `value`, of at most [`VALUE_BYTES_MAX`] bytes. A larger one is the caller's
    /// fault: debug builds panic, others refuse the whole batch when it is written.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let (key, value) = (key.as_ref(), value.as_ref());
        debug_assert!(value.len() <= VALUE_BYTES_MAX, "a value of {} bytes", value.len());
        self.largest_value_bytes = self.largest_value_bytes.max(value.len());
        self.count += 1;
        self.bytes += (key.len() + value.len()) as u64;
        self.changes.insert(key, value);
    }

    /// Removes `key`; a key that is not there is no error.
    pub fn remove(&mut self, key: impl AsRef<[u8]>) {
        let key = key.as_ref();
        self.count += 1;
        self.bytes += key.len() as u64;
        self.changes.remove(key);
    }

    /// Bytes of all keys and values put in so far, a key counted each time it was named.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of puts and removes so far.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nothing was put in or removed.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn into_changes(self) -> Result<sled::Batch, StoreError> {
        if self.largest_value_bytes > VALUE_BYTES_MAX {
            return Err(StoreError::ValueTooLarge { bytes: self.largest_value_bytes });
        }
        Ok(self.changes)
    }

    /// A batch as it would be in a release build that was handed too large a value.
    #[cfg(test)]
    pub(super) fn oversized(key: &[u8]) -> Batch {
        let mut batch = Batch::new();
        batch.put(key, [0]);
        batch.largest_value_bytes = VALUE_BYTES_MAX + 1;
        batch
    }
}
