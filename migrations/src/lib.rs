//! Schema versions of the stores: which one is current, which store is refused, and how an older one
//! is brought up to date. Must not know the ledger, nor the stores' live encodings: they move on,
//! history must not.
//!
//! | module | holds |
//! |---|---|
//! | [`node`], [`wallet`] | where each store keeps its version, and its steps |
//! | `node/v0.rs`, `wallet/v0.rs` | the step from that version to the next, with all it must know of both |
//! | [`road`] | how any step is gone: beside the old store, which is kept; safe to kill at any moment |
//!
//! A step that was released is never changed. To make version N + 1: freeze a store of version N under
//! `fixtures/`, write `vN.rs` with its own copies of the encodings it reads and writes, add it to the
//! store's steps, and have the suite compare what it gives with a fresh store of the same story.

pub mod node;
pub mod road;
pub mod wallet;

use steelyard_runtime::sled_door::Door;

/// What the road must know of one program's store.
#[derive(Clone, Copy)]
pub struct Layout {
    /// Where every version keeps its version, a little-endian u32. Frozen for good.
    pub version_key: &'static [u8],
    /// Where versions from 1 on keep the name and version of the program that wrote them. Frozen too.
    pub writer_key: &'static [u8],
    /// Where a store that is being made keeps the mark of the one that it is made from.
    origin_key: &'static [u8],
    /// What changes with each commit to a store, of whatever version: two stores with the same are the same.
    mark: fn(&Door) -> Result<Vec<u8>, road::StepError>,
    /// Small files of the store's folder that go with it.
    beside: &'static [&'static str],
    /// `steps[v]` makes version v + 1 of version v.
    steps: &'static [road::Step],
}

impl Layout {
    /// The version that this program writes.
    #[must_use]
    pub fn version(&self) -> u32 {
        u32::try_from(self.steps.len()).expect("a handful of steps")
    }

    /// What a new store writes beside its content, in the commit that creates it. `writer` is the
    /// program and its version.
    #[must_use]
    pub fn entries(&self, writer: &str) -> [(&'static [u8], Vec<u8>); 2] {
        let version = self.version().to_le_bytes().to_vec();
        [(self.version_key, version), (self.writer_key, writer.as_bytes().to_vec())]
    }

    /// How the version of an open store compares with this program's.
    ///
    /// # Errors
    /// [`VersionError`]: a newer store, or none that can be told; a disk that does not answer counts as that.
    pub fn check(&self, door: &Door) -> Result<Age, VersionError> {
        let value = door.get(self.version_key).ok().flatten().ok_or(VersionError::Unreadable)?;
        let found = u32::from_le_bytes(value.try_into().map_err(|_| VersionError::Unreadable)?);
        let expected = self.version();
        if found > expected {
            let writer = door.get(self.writer_key).ok().flatten().unwrap_or_default();
            let shown: String = String::from_utf8_lossy(&writer).chars().take(WRITER_CHARS_MAX).collect();
            let writer = shown.escape_debug().to_string();
            return Err(VersionError::Newer { found, expected, writer });
        }
        Ok(if found == expected { Age::Current } else { Age::Older { found } })
    }
}

/// Characters of a writer's name that are shown.
const WRITER_CHARS_MAX: usize = 80;

/// A store that this program can use, now or once it is brought up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// As this program writes it.
    Current,
    /// An earlier version, to be brought up to date by [`road::upgrade`].
    Older {
        /// The store's version.
        found: u32,
    },
}

/// A store that this program cannot use.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VersionError {
    /// Written by a later program.
    #[error(
        "the store has schema version {found}, written by {writer}; this program reads versions up to {expected}: \
         use the program that wrote it, or a later one"
    )]
    Newer {
        /// The store's.
        found: u32,
        /// This program's.
        expected: u32,
        /// The program that wrote it, as it names itself.
        writer: String,
    },
    /// The version cannot be read.
    #[error("the store has no readable schema version")]
    Unreadable,
}

#[cfg(test)]
mod tests {
    use super::*;
    use steelyard_runtime::sled_door::{Batch, DoorOptions};

    #[test]
    fn a_newer_store_is_refused_with_who_wrote_it() {
        for layout in [node::LAYOUT, wallet::LAYOUT] {
            let dir = tempfile::tempdir().unwrap();
            let door = Door::open(dir.path(), DoorOptions { cache_bytes: 1 << 20 }).unwrap();
            assert_eq!(layout.check(&door), Err(VersionError::Unreadable));
            let put = |key: &[u8], value: &[u8]| {
                let mut batch = Batch::new();
                batch.put(key, value);
                door.commit(batch).unwrap();
            };
            for (key, value) in layout.entries("a program 1.2") {
                put(key, &value);
            }
            assert_eq!(layout.check(&door), Ok(Age::Current));
            put(layout.version_key, &0_u32.to_le_bytes());
            assert_eq!(layout.check(&door), Ok(Age::Older { found: 0 }));
            let newer = layout.version() + 7;
            put(layout.version_key, &newer.to_le_bytes());
            let expected = layout.version();
            let writer = "a program 1.2".to_owned();
            assert_eq!(layout.check(&door), Err(VersionError::Newer { found: newer, expected, writer }));
            put(layout.version_key, &[1, 2, 3]);
            assert_eq!(layout.check(&door), Err(VersionError::Unreadable));
        }
    }
}
