//! Version 0 of the wallet's store, and version 1 as it was when it was new: frozen. Version 1 says
//! which program wrote it (space 0x10, owner 4); everything else is the same.

use steelyard_runtime::sled_door::Door;

use super::LAYOUT;
use crate::road::{KEY_LAST, Sink, StepError, for_each};

/// Version 1 of version 0.
pub(super) fn step(old: &Door, new: &mut Sink<'_>) -> Result<(), StepError> {
    for_each(old, (&[0], &KEY_LAST), |key, value| {
        // The version comes last of all.
        if key == LAYOUT.version_key { Ok(()) } else { new.put(key, value) }
    })
}
