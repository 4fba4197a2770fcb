//! The order that sled's opening lacks. It renames its new snapshot into place, removes the old one and
//! then overwrites parts of its file that whoever opens without the new one still needs, and syncs the
//! folder nowhere between: after a power cut the new snapshot may be gone, from a file that needs it, and
//! the store is lost (sled 0.34.7, `write_snapshot` and `advance_snapshot` in its pagecache/snapshot.rs;
//! its pagecache/iterator.rs says itself that overwriting before is not safe). The only moment between
//! that it lets others have is a line of its log, said on the thread that opens. Must not know what a
//! snapshot holds.

use std::cell::RefCell;
use std::fmt::{self, Write};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once, PoisonError};

use log::{LevelFilter, Log, Metadata, Record};

use crate::dirs;

/// Where sled says it…
const TARGET: &str = "sled::pagecache::snapshot";
/// …and how the line begins, before anything is removed or overwritten.
const RENAMED: &str = "renamed snapshot to";

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
    let _heard = Heard::new();
    OPENING.set(Some((dir.to_path_buf(), Arc::clone(failure))));
    let result = open();
    OPENING.set(None);
    result
}

/// What [`kept`] left there.
pub(super) fn taken(failure: &Failure) -> Option<io::Error> {
    failure.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// As long as there is one, all of sled's log is heard. Otherwise none: it says something of each page.
struct Heard;

/// How many there are.
static HEARD: Mutex<u32> = Mutex::new(0);

impl Heard {
    fn new() -> Self {
        static LISTENING: Once = Once::new();
        LISTENING.call_once(|| {
            if let Err(error) = log::set_logger(&Listener) {
                tracing::warn!(%error, "the order of a store's opening is not watched");
            }
        });
        let mut count = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
        *count += 1;
        log::set_max_level(LevelFilter::Trace);
        Self
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        let mut count = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
        *count -= 1;
        if *count == 0 {
            log::set_max_level(LevelFilter::Off);
        }
    }
}

/// Hears of sled's log what concerns the order, and nothing else of anybody's.
struct Listener;

impl Log for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let synced = OPENING.with_borrow(|opening| {
            let Some((dir, failure)) = opening else { return Ok(()) };
            if !begins(record.args(), RENAMED) {
                return Ok(());
            }
            dirs::sync_dir(dir)
                .map_err(|error| *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error))
        });
        assert!(synced.is_ok(), "nothing may be overwritten before the new snapshot is durable");
    }

    fn flush(&self) {}
}

/// Whether what is to be said begins so. Goes no further: some lines say all of a snapshot.
fn begins(said: &fmt::Arguments<'_>, wanted: &str) -> bool {
    let mut missing = Missing(wanted);
    // Ends with an error as soon as it is known.
    let _ = missing.write_fmt(*said);
    missing.0.is_empty()
}

/// What of a beginning has not been said yet.
struct Missing<'a>(&'a str);

impl fmt::Write for Missing<'_> {
    fn write_str(&mut self, said: &str) -> fmt::Result {
        if said.starts_with(self.0) {
            self.0 = "";
            return Err(fmt::Error);
        }
        self.0 = self.0.strip_prefix(said).ok_or(fmt::Error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What sled says when a snapshot is in its place, and what it does then.
    fn replace(overwritten: &mut bool) {
        log::trace!(target: TARGET, "renamed snapshot to {}", "snap.00");
        *overwritten = true;
    }

    #[test]
    fn a_folder_that_cannot_be_synced_stops_the_opening_before_anything_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let (failure, mut overwritten) = (Failure::default(), false);
        kept(dir.path(), &failure, || replace(&mut overwritten));
        assert!(overwritten && taken(&failure).is_none());
        let (missing, mut overwritten) = (dir.path().join("missing"), false);
        let stopped = super::super::quiet::caught(|| kept(&missing, &failure, || replace(&mut overwritten)));
        assert!(stopped.is_err() && !overwritten);
        assert_eq!(taken(&failure).unwrap().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_beginning_is_known_from_its_pieces_and_no_more_is_put_into_words() {
        struct Endless;
        impl fmt::Display for Endless {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                panic!("this is after what has to be known")
            }
        }
        assert!(begins(&format_args!("a {} {}", "beginning", Endless), "a beginning"));
        assert!(!begins(&format_args!("another {Endless}"), "a beginning"));
        assert!(!begins(&format_args!("a {}", "begin"), "a beginning"));
    }

    #[test]
    fn nothing_else_is_listened_to() {
        let (failure, missing) = (Failure::default(), Path::new("missing"));
        kept(missing, &failure, || {
            log::trace!(target: TARGET, "read a snapshot");
            log::trace!(target: "sled", "renamed snapshot to");
        });
        replace(&mut false);
        assert!(taken(&failure).is_none());
    }
}
