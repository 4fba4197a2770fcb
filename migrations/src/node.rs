//! The node's store: where its schema version stands, and its steps.

mod v0;

use steelyard_runtime::sled_door::Door;

use crate::Layout;
use crate::road::StepError;

/// The store in the node's folder `chain`.
pub const LAYOUT: Layout = Layout {
    // Space 0x10 (META), a = 1, chunk 0.
    version_key: &meta(1),
    writer_key: &meta(4),
    origin_key: &meta(9),
    mark: last_commit,
    beside: &[],
    steps: &[v0::step],
};

/// A key of META. Frozen for good.
const fn meta(a: u8) -> [u8; 13] {
    [0x10, 0, 0, 0, 0, 0, 0, 0, a, 0, 0, 0, 0]
}

/// The last commit: every version has space 0x20, a = the commit's number, a key with each.
fn last_commit(door: &Door) -> Result<Vec<u8>, StepError> {
    let (first, last) = (key(0x20, 1, 0), key(0x20, u64::MAX - 1, u32::MAX));
    let found = door.last_in(first..=last)?;
    Ok(found.map_or_else(|| vec![0], |(key, _)| key))
}

/// A key of any space: every version has keys of 13 bytes, space u8, a u64 and chunk u32 big-endian.
fn key(space: u8, a: u64, chunk: u32) -> [u8; 13] {
    let mut key = [0; 13];
    key[0] = space;
    key[1..9].copy_from_slice(&a.to_be_bytes());
    key[9..].copy_from_slice(&chunk.to_be_bytes());
    key
}
