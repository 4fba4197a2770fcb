//! The wallet's store: where its schema version stands, and its steps.

mod v0;

use steelyard_runtime::sled_door::Door;

use crate::Layout;
use crate::road::StepError;

/// The store in the daemon's folder `store`.
pub const LAYOUT: Layout = Layout {
    // Space 0x10 (META), owner 1.
    version_key: &single(0x10, 1),
    writer_key: &single(0x10, 4),
    origin_key: &single(0x10, 9),
    mark: commits,
    // How many commits there were, once more: without it a store that lost its end is not noticed.
    beside: &["commits"],
    steps: &[v0::step],
};

/// A key of a single value. Frozen for good.
const fn single(space: u8, number: u8) -> [u8; 17] {
    [space, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, number]
}

/// How many commits there were: every version counts them under space 0x18, owner 1.
fn commits(door: &Door) -> Result<Vec<u8>, StepError> {
    let missing = || StepError::damaged("the number of commits is missing".into());
    door.get(single(0x18, 1))?.ok_or_else(missing)
}
