//! The order that sled's opening lacks. It renames its new snapshot into place, removes the old one and
//! then overwrites parts of its file that only the old one needs, without a sync of the folder between:
//! after a power cut the old snapshot may be there again, on a file that no longer fits it, and the
//! store is lost (sled 0.34.7, `write_snapshot` and `advance_snapshot` in its pagecache/snapshot.rs; its
//! own comment there says that nothing may be overwritten before the new snapshot is safe). The only
//! moment between that it lets others have is a line of its log, said on the thread that opens. Must
//! not know what a snapshot holds.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once, PoisonError};

use log::{LevelFilter, Log, Metadata, Record};

use crate::dirs;

/// Where sled says it…
const TARGET: &str = "sled::pagecache::snapshot";
/// …and how the line begins, before it removes the first old snapshot.
const BEFORE_REMOVAL: &str = "removing old snapshot file";

/// Why the folder could not be synced, where it could not.
pub(super) type Failure = Arc<Mutex<Option<io::Error>>>;

thread_local! {
    /// The folder that this thread opens.
    static OPENING: RefCell<Option<(PathBuf, Failure)>> = const { RefCell::new(None) };
}

/// Runs `open`, which opens sled on `dir`, on this thread, and makes its new snapshot durable before
/// anything is overwritten. Where that fails, sled is stopped by a panic before it overwrites anything,
/// and `failure` says why.
pub(super) fn kept<T>(dir: &Path, failure: &Failure, open: impl FnOnce() -> T) -> T {
    listen();
    let outer = OPENING.replace(Some((dir.to_path_buf(), Arc::clone(failure))));
    let result = open();
    OPENING.set(outer);
    result
}

/// What [`kept`] left there.
pub(super) fn taken(failure: &Failure) -> Option<io::Error> {
    failure.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Hears of sled's log what concerns the order, and nothing else of anybody's.
struct Listener;

impl Log for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) || !record.args().to_string().starts_with(BEFORE_REMOVAL) {
            return;
        }
        let synced = OPENING.with_borrow(|opening| {
            let Some((dir, failure)) = opening else { return Ok(()) };
            dirs::sync_dir(dir)
                .map_err(|error| *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error))
        });
        assert!(synced.is_ok(), "a snapshot that is not durable must not replace another");
    }

    fn flush(&self) {}
}

fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| match log::set_logger(&Listener) {
        // What sled says more often, of each page, stays below this.
        Ok(()) => log::set_max_level(LevelFilter::Debug),
        Err(error) => tracing::warn!(%error, "the order of a store's opening is not watched"),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What sled says before it removes a snapshot, and what it does then.
    fn replace(removed: &mut bool) {
        log::debug!(target: TARGET, "removing old snapshot file {:?}", "snap.00");
        *removed = true;
    }

    #[test]
    fn a_folder_that_cannot_be_synced_stops_the_opening_before_anything_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (failure, mut removed) = (Failure::default(), false);
        kept(dir.path(), &failure, || replace(&mut removed));
        assert!(removed && taken(&failure).is_none());
        let (missing, mut removed) = (dir.path().join("missing"), false);
        let stopped = super::super::quiet::caught(|| kept(&missing, &failure, || replace(&mut removed)));
        assert!(stopped.is_err() && !removed);
        assert_eq!(taken(&failure).unwrap().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn nothing_else_is_listened_to() {
        let (failure, missing) = (Failure::default(), Path::new("missing"));
        kept(missing, &failure, || {
            log::debug!(target: TARGET, "read a snapshot");
            log::debug!(target: "sled", "removing old snapshot file");
        });
        replace(&mut false);
        assert!(taken(&failure).is_none());
    }
}
