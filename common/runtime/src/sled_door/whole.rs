//! A new store, made whole or not at all. Must not know what it holds.

use std::io;
use std::path::Path;

use super::error::OpenError;
use super::{Batch, Door, DoorOptions};
use crate::{dirs, failpoint};

/// Whether there is no such folder, or nothing in it: then a store may be made there.
#[must_use]
pub fn is_missing(dir: &Path) -> bool {
    std::fs::read_dir(dir)
        .map_or_else(|error| error.kind() == io::ErrorKind::NotFound, |mut entries| entries.next().is_none())
}

/// Makes a store with this content aside and puts it in its place whole: sled does not survive a
/// kill while it writes the first bytes of a folder, and a folder that is there but empty of
/// content must be damage, never taken for a new store. `beside` puts files of the caller's own
/// into the folder before it is moved, and makes them durable.
///
/// # Errors
/// As [`Door::open`]; nothing is left in `dir` then.
pub fn make_whole(
    dir: &Path,
    options: DoorOptions,
    content: Batch,
    beside: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<(), OpenError> {
    let aside = dir.with_extension("new");
    let io = |source| OpenError::io(dir, "create", source);
    if aside.exists() {
        std::fs::remove_dir_all(&aside).map_err(io)?;
    }
    let door = Door::open(&aside, options)?;
    door.commit(content).map_err(|error| door.not_reopened(error))?;
    drop(door);
    beside(&aside).map_err(io)?;
    failpoint::hit("store.before_rename");
    std::fs::rename(&aside, dir).map_err(io)?;
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    dirs::sync_dir(parent.unwrap_or(Path::new("."))).map_err(io)
}
