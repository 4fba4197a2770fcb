//! Schema versions of the stores. There is no release to migrate from yet: version 0 is the
//! only one, and any other is refused with the command that rebuilds. Must not know the ledger,
//! nor the stores' live encodings: they move on, history must not.

pub mod node;
pub mod wallet;

use steelyard_runtime::sled_door::Door;

/// A store that this program cannot use as it is.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VersionError {
    /// Written by another version of the program.
    #[error(
        "the store has schema version {found}, this program reads version {expected}; \
         use the program that wrote it, or start anew in an empty --data-dir (dev: --fresh)"
    )]
    Other {
        /// The store's.
        found: u32,
        /// This program's.
        expected: u32,
    },
    /// The version cannot be read.
    #[error("the store has no readable schema version")]
    Unreadable,
}

/// Refuses a store whose version, a little-endian u32 under `key`, is not `expected`.
fn check_at(door: &Door, key: &[u8], expected: u32) -> Result<(), VersionError> {
    let value = door.get(key).ok().flatten().ok_or(VersionError::Unreadable)?;
    let found = u32::from_le_bytes(value.try_into().map_err(|_| VersionError::Unreadable)?);
    if found == expected { Ok(()) } else { Err(VersionError::Other { found, expected }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use steelyard_runtime::sled_door::{Batch, DoorOptions};

    /// What every store's check does, on a store that has nothing but a version.
    pub fn another_version_is_refused(
        key: &[u8],
        version: u32,
        check: impl Fn(&Door) -> Result<(), VersionError>,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let door = Door::open(dir.path(), DoorOptions { cache_bytes: 1 << 20 }).unwrap();
        assert_eq!(check(&door), Err(VersionError::Unreadable));
        for (found, answer) in [
            (version, Ok(())),
            (version + 7, Err(VersionError::Other { found: version + 7, expected: version })),
        ] {
            let mut batch = Batch::new();
            batch.put(key, u32::to_le_bytes(found));
            door.commit(batch).unwrap();
            assert_eq!(check(&door), answer);
        }
    }
}
