//! The wallet's store: where its schema version stands and which one is current.

use steelyard_runtime::sled_door::Door;

use crate::{VersionError, check_at};

/// The version that this program writes.
pub const VERSION: u32 = 0;

/// Where every version of the store keeps its version. Frozen for good: space 0x10, owner 1.
const VERSION_KEY: [u8; 17] = [0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// What a new store writes, in the commit that creates it.
#[must_use]
pub fn version_entry() -> ([u8; 17], [u8; 4]) {
    (VERSION_KEY, VERSION.to_le_bytes())
}

/// Refuses a store of another version.
///
/// # Errors
/// [`VersionError`]; a disk that does not answer counts as unreadable.
pub fn check(door: &Door) -> Result<(), VersionError> {
    check_at(door, &VERSION_KEY, VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_refused_and_said() {
        crate::tests::another_version_is_refused(&VERSION_KEY, VERSION, check);
    }
}
