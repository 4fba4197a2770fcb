//! The node's store: where its schema version stands and which one is current.

use steelyard_runtime::sled_door::Door;

use crate::VersionError;

/// The version that this program writes.
pub const VERSION: u32 = 0;

/// Where every version of the store keeps its version. Frozen for good: space 0x10, a = 1, chunk 0.
const VERSION_KEY: [u8; 13] = [0x10, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];

/// What a new store writes, in the commit that creates it.
#[must_use]
pub fn version_entry() -> ([u8; 13], [u8; 4]) {
    (VERSION_KEY, VERSION.to_le_bytes())
}

/// Refuses a store of another version.
///
/// # Errors
/// [`VersionError`]; a disk that does not answer counts as unreadable.
pub fn check(door: &Door) -> Result<(), VersionError> {
    let value = door.get(VERSION_KEY).ok().flatten().ok_or(VersionError::Unreadable)?;
    let found = u32::from_le_bytes(value.try_into().map_err(|_| VersionError::Unreadable)?);
    if found == VERSION { Ok(()) } else { Err(VersionError::Other { found, expected: VERSION }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use steelyard_runtime::sled_door::{Batch, DoorOptions};

    #[test]
    fn another_version_is_refused_and_said() {
        let dir = tempfile::tempdir().unwrap();
        let door = Door::open(dir.path(), DoorOptions { cache_bytes: 1 << 20 }).unwrap();
        assert_eq!(check(&door), Err(VersionError::Unreadable));
        for (found, expected) in
            [(VERSION, Ok(())), (7, Err(VersionError::Other { found: 7, expected: VERSION }))]
        {
            let mut batch = Batch::new();
            batch.put(VERSION_KEY, u32::to_le_bytes(found));
            door.commit(batch).unwrap();
            assert_eq!(check(&door), expected);
        }
    }
}
