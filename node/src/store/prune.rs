//! Bodies and deltas that are kept no more. META says below which height bodies may be missing, and
//! says so durably before the first of them goes: after a kill at any moment nothing is missing that
//! nobody knows of. Must not know which commits are deep: the chain thread does.

use steelyard_runtime::failpoint;
use steelyard_runtime::sled_door::Batch;

use super::schema::{META_PRUNED, Space, key, range};
use super::{Store, StoreError, damaged};

/// Keys deleted in one batch: sled's batches are costly when long.
pub const PRUNE_KEYS: usize = 32;

impl Store {
    /// Height below which bodies and undo may be missing; 0 for a store that keeps all.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn bodies_from(&self) -> Result<u64, StoreError> {
        let Some(value) = self.door.get(key(Space::Meta, META_PRUNED, 0))? else { return Ok(0) };
        let below = value.try_into().map(u64::from_le_bytes);
        below.map_err(|_| damaged("the height below which blocks are pruned cannot be read".into()))
    }

    /// Notes that bodies and undo below a height may be missing from now on. Durable when it returns.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_bodies_from(&self, below: u64) -> Result<(), StoreError> {
        failpoint::hit("prune.before_mark");
        let mut batch = Batch::new();
        batch.put(key(Space::Meta, META_PRUNED, 0), below.to_le_bytes());
        self.door.commit(batch)?;
        failpoint::hit("prune.after_mark");
        Ok(())
    }

    /// Deletes the first [`PRUNE_KEYS`] keys of a space with `a` below `before`; whether none is left.
    /// Durable no later than the next commit: what comes back after a power cut is deleted again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn delete_before(&self, space: Space, before: u64) -> Result<bool, StoreError> {
        let Some(last) = before.checked_sub(1) else { return Ok(true) };
        let page = self.door.scan(range(space, 0, last), PRUNE_KEYS)?;
        if page.is_empty() {
            return Ok(true);
        }
        let mut batch = Batch::new();
        page.iter().for_each(|(found, _)| batch.remove(found));
        self.door.write(batch)?;
        failpoint::hit("prune.after_delete");
        Ok(page.len() < PRUNE_KEYS)
    }
}

#[cfg(test)]
mod tests {
    use steelyard_core::hash::NetworkId;

    use super::*;
    use crate::store::schema::SENTINELS;

    /// Also where the first stream is longer than a batch: its rest goes with the next one.
    #[test]
    fn what_lies_before_a_commit_goes_in_batches_and_sentinels_stay() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("chain"), &NetworkId([1; 32])).unwrap();
        let mut batch = Batch::new();
        for (seq, chunks) in [(1, 50), (2, 1), (7, 3), (8, 2)] {
            (0..chunks).for_each(|chunk| batch.put(key(Space::Body, seq, chunk), [1]));
        }
        batch.put(key(Space::Delta, 1, 0), [1]);
        store.door().commit(batch).unwrap();
        let count = |store: &Store, space| {
            let all = key(space, 0, 0)..=key(space, u64::MAX, u32::MAX);
            store.door().scan(all, 1_000).unwrap().len() - 2 * SENTINELS as usize
        };
        assert!(store.delete_before(Space::Body, 0).unwrap() && store.delete_before(Space::Body, 1).unwrap());
        assert_eq!(count(&store, Space::Body), 56);
        assert!(!store.delete_before(Space::Body, 8).unwrap());
        assert_eq!(count(&store, Space::Body), 56 - PRUNE_KEYS);
        assert!(store.delete_before(Space::Body, 8).unwrap() && store.delete_before(Space::Body, 8).unwrap());
        assert_eq!((count(&store, Space::Body), count(&store, Space::Delta)), (2, 1));
    }

    #[test]
    fn the_mark_is_there_after_a_start_and_a_short_one_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let (dir, network) = (folder.path().join("chain"), NetworkId([1; 32]));
        let store = Store::open(&dir, &network).unwrap();
        assert_eq!(store.bodies_from().unwrap(), 0);
        store.set_bodies_from(300).unwrap();
        drop(store);
        let store = Store::open(&dir, &network).unwrap();
        assert_eq!(store.bodies_from().unwrap(), 300);
        let mut batch = Batch::new();
        batch.put(key(Space::Meta, META_PRUNED, 0), [1, 2]);
        store.door().commit(batch).unwrap();
        assert!(matches!(store.bodies_from(), Err(StoreError::Damaged { .. })));
    }
}
