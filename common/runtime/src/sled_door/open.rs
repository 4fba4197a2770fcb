//! Opening and closing the engine on one folder, with every guard sled 0.34.7 needs.
//!
//! Order of an open: own lock probe, removal of half-written snapshots, the engine on its own
//! thread, a check that old content was found again, fsync of what sled never fsyncs. Must not
//! know keys or values.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::error::OpenError;
use super::order;
use super::quiet::{self, NoAnswer};
use super::{DoorOptions, FLUSH_EVERY_MS, SEGMENT_BYTES};
use crate::dirs;

/// Wait between two looks at a lock that is still held.
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// Looks at a held lock before giving up: one second in all. sled's threads release it a little
/// after the close, and the kernel a little after a kill.
const LOCK_LOOKS_MAX: u32 = 50;

/// Present once an open found none of the content that was there. sled would open the folder as an
/// empty store from then on and so forget that there was any.
const UNREADABLE_NOTE: &str = "unreadable";

const CONTENT_LOST: &str = "none of its earlier content could be read";

/// The engine, open on one folder.
pub(super) struct Engine {
    pub(super) db: sled::Db,
    /// An own handle on `<dir>/db`: `flush` alone is `sync_file_range` on Linux and no promise.
    pub(super) file: File,
    background_before: u64,
}

/// Opens the engine on `dir`, which is created when missing.
pub(super) fn open(dir: &Path, options: DoorOptions) -> Result<Engine, OpenError> {
    dirs::create_private(dir).map_err(|source| OpenError::io(dir, "create", source))?;
    if dir.join(UNREADABLE_NOTE).exists() {
        return Err(OpenError::damaged(dir, CONTENT_LOST));
    }
    let mut looks = 0;
    loop {
        match open_once(dir, options) {
            Err(OpenError::Locked { .. }) if looks < LOCK_LOOKS_MAX => {
                looks += 1;
                thread::sleep(LOCK_RETRY);
            }
            outcome => return outcome,
        }
    }
}

/// Makes the folder's entries durable: sled never fsyncs `conf`, nor any folder.
fn sync_entries(dir: &Path) -> io::Result<()> {
    File::open(dir.join("conf"))?.sync_all()?;
    dirs::sync_dir(dir)?;
    match dir.parent() {
        Some(parent) if parent.as_os_str().is_empty() => dirs::sync_dir(Path::new(".")),
        Some(parent) => dirs::sync_dir(parent),
        None => Ok(()),
    }
}

/// Closes the engine and waits for it, unless one of its threads has died and it would wait for
/// ever; `false` then, and the lock stays held until the process ends.
pub(super) fn close(engine: Engine) -> bool {
    let Engine { db, file, background_before } = engine;
    drop(file);
    let closed = quiet::on_own_thread("store-close", background_before, move || drop(db));
    if closed.is_err() {
        tracing::warn!("the store did not close cleanly; what was committed is safe");
    }
    closed.is_ok()
}

fn open_once(dir: &Path, options: DoorOptions) -> Result<Engine, OpenError> {
    let had_content = probe(dir)?;
    let background_before = quiet::background_panics();
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(options.cache_bytes)
        .segment_size(SEGMENT_BYTES)
        .flush_every_ms(Some(FLUSH_EVERY_MS));
    let (folder, failure) = (dir.to_path_buf(), order::Failure::default());
    let told = Arc::clone(&failure);
    let open = move || order::kept(&folder, &told, || config.open());
    let answer = quiet::on_own_thread("store-open", background_before, open);
    if let Some(source) = order::taken(&failure) {
        return Err(OpenError::io(dir, "sync", source));
    }
    let db = match answer {
        Ok(Ok(db)) => db,
        Ok(Err(error)) if is_lock_held(&error) => return Err(OpenError::Locked { dir: dir.to_path_buf() }),
        Ok(Err(error)) => return Err(OpenError::from_engine(dir, error)),
        Err(NoAnswer::Panicked) => return Err(OpenError::damaged(dir, "a page could not be decoded")),
        Err(NoAnswer::NotStarted(source)) => return Err(OpenError::io(dir, "open", source)),
    };
    let recovered = db.was_recovered();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(dir.join("db"))
        .map_err(|source| OpenError::io(dir, "open", source))?;
    make_private(dir).map_err(|source| OpenError::io(dir, "make private", source))?;
    sync_entries(dir).map_err(|source| OpenError::io(dir, "sync", source))?;
    let engine = Engine { db, file, background_before };
    if had_content && !recovered {
        let noted = note_unreadable(dir);
        close(engine);
        noted.map_err(|source| OpenError::io(dir, "note the damage of", source))?;
        return Err(OpenError::damaged(dir, CONTENT_LOST));
    }
    Ok(engine)
}

/// sled makes files with whatever mode the process's mask leaves: they become the owner's alone.
#[cfg(unix)]
fn make_private(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let mode = if entry.file_type()?.is_dir() { 0o700 } else { 0o600 };
        match fs::set_permissions(entry.path(), fs::Permissions::from_mode(mode)) {
            // An old snapshot that sled has just replaced.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            outcome => outcome?,
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn make_private(_dir: &Path) -> io::Result<()> {
    Ok(())
}

/// Takes the engine's lock for a moment, so that nobody else's half-written snapshot is removed,
/// removes what a killed open left behind, and makes durable what a killed process wrote. Answers whether `db` holds anything but zeros.
fn probe(dir: &Path) -> Result<bool, OpenError> {
    let mut file = match OpenOptions::new().read(true).write(true).open(dir.join("db")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(OpenError::io(dir, "open", source)),
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { dir: dir.to_path_buf() }),
        Err(TryLockError::Error(source)) => return Err(OpenError::io(dir, "lock", source)),
    }
    remove_half_snapshots(dir).map_err(|source| OpenError::io(dir, "clean", source))?;
    // What a killed process wrote is in the kernel's memory at best; the snapshot that the engine
    // makes of it at once would be durable before it, and no open survives that after a power cut.
    file.sync_data().map_err(|source| OpenError::io(dir, "sync", source))?;
    let had_content = holds_content(&mut file).map_err(|source| OpenError::io(dir, "read", source))?;
    file.unlock().map_err(|source| OpenError::io(dir, "unlock", source))?;
    Ok(had_content)
}

/// sled takes a snapshot that was cut short for its newest one and refuses the folder for ever
/// (spacejam/sled#1527). The older snapshot is still there, so the cut one can go.
fn remove_half_snapshots(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn holds_content(file: &mut File) -> io::Result<bool> {
    let mut piece = vec![0; 64 * 1024];
    loop {
        let length = file.read(&mut piece)?;
        if length == 0 {
            return Ok(false);
        }
        if piece[..length].iter().any(|byte| *byte != 0) {
            return Ok(true);
        }
    }
}

fn note_unreadable(dir: &Path) -> io::Result<()> {
    let text = b"an open of this folder found none of its earlier content\n";
    crate::ready::write_atomically(&dir.join(UNREADABLE_NOTE), text, 0o600)
}

/// sled 0.34.7 gives a held lock as an unspecific io error with this text (its config.rs).
fn is_lock_held(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(source) if source.to_string().starts_with("could not acquire lock"))
}
