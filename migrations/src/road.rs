//! How a store of an older version is brought up to date: each step makes a new store beside the old
//! one, which is only read, and then takes its place; the old one is kept as the backup that every
//! upgrade needs. Must not know what stores hold.
//!
//! A kill in the middle loses nothing: what the new store has is a prefix of what it is to have, in
//! the order of its keys, so the next attempt goes on behind its last key, as long as the old store is
//! the one that it was begun from. The version is written last of all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use steelyard_runtime::exit::{CliError, ExitCode};
use steelyard_runtime::sled_door::{Batch, Door, DoorOptions, OpenError, StoreError, is_missing};
use steelyard_runtime::{dirs, disk, failpoint};

use crate::{Age, Layout, VersionError};

/// Reads the whole of an old store and puts the whole of the new one, keys ascending.
pub type Step = fn(&Door, &mut Sink<'_>) -> Result<(), StepError>;

/// Bytes after which what was put is written…
const WRITE_BYTES: u64 = 1024 * 1024;
/// …and entries.
const WRITE_ENTRIES: usize = 64;
/// Bytes after which the new store is reopened, so that its memory stays flat.
const REOPEN_BYTES: u64 = 64 * 1024 * 1024;
/// Room that is left free beside a new store as large as the old one.
const ROOM_BYTES: u64 = 256 * 1024 * 1024;
/// Entries of a page of an old store.
pub(crate) const PAGE_ENTRIES: usize = 64;
/// Above every key that a store has.
pub(crate) const KEY_LAST: [u8; 32] = [0xff; 32];

/// Why a step cannot be gone.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The old store cannot be read, or the new one not written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The new store does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl StepError {
    /// The old store is not what its version says.
    #[must_use]
    pub fn damaged(reason: String) -> Self {
        Self::Store(StoreError::Damaged { reason })
    }
}

/// Why a store was not brought up to date. The old one is there as it was.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// A step failed.
    #[error("the store of schema version {from} cannot be brought to version {}: {source}", from + 1)]
    Step {
        /// The version that the step begins with.
        from: u32,
        /// Why.
        source: StepError,
    },
    /// There must be room for the new store beside the old one.
    #[error(
        "the store of schema version {from} must be copied to be brought up to date: \
         {needed} bytes are needed beside it, {free} are free"
    )]
    NoRoom {
        /// The old store's version.
        from: u32,
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are there.
        free: u64,
    },
    /// The machine refused.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// The machine's answer.
        source: io::Error,
    },
    /// The old store does not open, or is of no known version.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// As [`Layout::check`].
    #[error(transparent)]
    Version(#[from] VersionError),
}

impl UpgradeError {
    fn io<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { doing, path: path.to_path_buf(), source }
    }
}

impl From<UpgradeError> for CliError {
    fn from(error: UpgradeError) -> Self {
        let message = error.to_string();
        match error {
            UpgradeError::Step { source: StepError::Store(StoreError::Damaged { .. }), .. } => {
                Self::damaged("store_damaged", message).with_hint(
                    "nothing was changed; the program that wrote the store may still open it: its verify names the damage",
                )
            }
            UpgradeError::NoRoom { .. } => Self::new(ExitCode::Other, "disk_full", message)
                .with_hint("make room and start again; nothing was changed"),
            UpgradeError::Open(error) | UpgradeError::Step { source: StepError::Open(error), .. } => error.into(),
            UpgradeError::Step { source: StepError::Store(error), .. } => error.into(),
            UpgradeError::Version(_) => Self::damaged("schema_version", message),
            UpgradeError::Io { .. } => Self::other("upgrade", message),
        }
    }
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgraded {
    /// The version that there was.
    pub from: u32,
    /// The version that there is.
    pub to: u32,
    /// Where the old store is.
    pub backup: PathBuf,
}

/// Where the new store is made.
fn aside(dir: &Path) -> PathBuf {
    dir.with_extension("upgrade")
}

/// Where the old store of version `from` goes; the first name that is free.
fn backup(dir: &Path, from: u32) -> PathBuf {
    let names = (1..).map(|number| match number {
        1 => dir.with_extension(format!("v{from}")),
        number => dir.with_extension(format!("v{from}-{number}")),
    });
    names.into_iter().find(|path| !path.exists()).expect("one of all numbers is free")
}

/// Whether a new store may be waiting for the place that its old one has left.
#[must_use]
pub fn is_waiting(dir: &Path) -> bool {
    !is_missing(&aside(dir))
}

/// Puts a new store in its place that was whole when a kill came between the old one's leaving it and
/// the new one's taking it. To be called before anybody finds that there is no store.
///
/// # Errors
/// [`UpgradeError::Io`].
pub fn settle(dir: &Path, options: DoorOptions, layout: &Layout) -> Result<(), UpgradeError> {
    let aside = aside(dir);
    if dir.exists() || !is_waiting(dir) {
        return Ok(());
    }
    // Where somebody has deleted the old store in the middle of an upgrade, the new one is not whole.
    let door = Door::open(&aside, options)?;
    let is_whole = door.get(layout.version_key).is_ok_and(|version| version.is_some());
    drop(door);
    if is_whole {
        tracing::info!("a store that was brought up to date takes its place");
        fs::rename(&aside, dir).map_err(UpgradeError::io("rename", &aside))?;
        sync_parent(dir)?;
    }
    Ok(())
}

/// Brings the store in `dir`, which nobody has open, up to the current version; `writer` is the
/// program and its version. Answers what was done last, nothing where nothing was to do.
///
/// # Errors
/// [`UpgradeError`]; the old store is then in its place as it was.
pub fn upgrade(
    dir: &Path,
    options: DoorOptions,
    layout: &Layout,
    writer: &str,
) -> Result<Option<Upgraded>, UpgradeError> {
    let mut done = None;
    loop {
        let old = Door::open(dir, options)?;
        let Age::Older { found } = layout.check(&old)? else { return Ok(done) };
        done = Some(advance(dir, options, layout, (old, found), writer)?);
    }
}

/// One step.
fn advance(
    dir: &Path,
    options: DoorOptions,
    layout: &Layout,
    (old, from): (Door, u32),
    writer: &str,
) -> Result<Upgraded, UpgradeError> {
    let step = |source: StepError| UpgradeError::Step { from, source };
    let aside = aside(dir);
    check_room(&old, &aside, from)?;
    tracing::info!(from, to = from + 1, "the store is brought up to date; the old one is kept");
    let mark = (layout.mark)(&old).map_err(step)?;
    let new = begin(&aside, options, layout, &mark).map_err(|error| match error {
        Begin::Step(error) => step(error),
        Begin::Io(source) => UpgradeError::io("make", &aside)(source),
    })?;
    let mut sink = Sink::behind(&new, layout).map_err(step)?;
    (layout.steps[from as usize])(&old, &mut sink).and_then(|()| sink.write()).map_err(step)?;
    for name in layout.beside {
        let (source, target) = (dir.join(name), aside.join(name));
        match fs::copy(&source, &target).and_then(|_| fs::File::open(&target)?.sync_all()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            copied => copied.map_err(UpgradeError::io("copy", &source))?,
        }
    }
    failpoint::hit("upgrade.before_version");
    let mut last = Batch::new();
    last.remove(layout.origin_key);
    last.put(layout.version_key, (from + 1).to_le_bytes());
    last.put(layout.writer_key, writer);
    new.commit(last).map_err(|error| step(error.into()))?;
    drop((old, new));
    dirs::sync_dir(&aside).map_err(UpgradeError::io("sync", &aside))?;
    let backup = backup(dir, from);
    failpoint::hit("upgrade.before_renames");
    fs::rename(dir, &backup).map_err(UpgradeError::io("rename", dir))?;
    failpoint::hit("upgrade.between_renames");
    fs::rename(&aside, dir).map_err(UpgradeError::io("rename", &aside))?;
    sync_parent(dir)?;
    failpoint::hit("upgrade.after_renames");
    tracing::info!(version = from + 1, kept = %backup.display(), "the store is up to date; the old one may be deleted");
    Ok(Upgraded { from, to: from + 1, backup })
}

fn check_room(old: &Door, aside: &Path, from: u32) -> Result<(), UpgradeError> {
    let parent = aside.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let free = disk::free_bytes(parent).map_err(UpgradeError::io("look at", parent))?;
    // What an earlier attempt has written is there already.
    let needed = (old.disk_bytes() + ROOM_BYTES).saturating_sub(disk::files_bytes(aside));
    if free < needed { Err(UpgradeError::NoRoom { from, needed, free }) } else { Ok(()) }
}

enum Begin {
    Step(StepError),
    Io(io::Error),
}

/// Opens the new store: the one that an earlier attempt has begun from the same old one, or a new one.
fn begin(aside: &Path, options: DoorOptions, layout: &Layout, mark: &[u8]) -> Result<Door, Begin> {
    if !is_missing(aside) {
        // What a kill left of its first moments may not open at all.
        let begun = Door::open(aside, options).ok();
        let is_same =
            |door: &Door| door.get(layout.origin_key).is_ok_and(|found| found.as_deref() == Some(mark));
        match begun.filter(is_same) {
            Some(door) => return Ok(door),
            None => fs::remove_dir_all(aside).map_err(Begin::Io)?,
        }
    }
    let door = Door::open(aside, options).map_err(|error| Begin::Step(error.into()))?;
    let mut batch = Batch::new();
    batch.put(layout.origin_key, mark);
    door.commit(batch).map_err(|error| Begin::Step(error.into()))?;
    Ok(door)
}

fn sync_parent(dir: &Path) -> Result<(), UpgradeError> {
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    dirs::sync_dir(parent).map_err(UpgradeError::io("sync", parent))
}

/// Takes the entries of a new store, ascending.
pub struct Sink<'a> {
    door: &'a Door,
    /// What is at or below this key is there already.
    behind: Vec<u8>,
    origin_key: &'static [u8],
    batch: Batch,
}

impl<'a> Sink<'a> {
    /// Goes on behind the last key of a store that an earlier attempt has begun.
    fn behind(door: &'a Door, layout: &Layout) -> Result<Self, StepError> {
        let last = door.last_in(vec![0]..=KEY_LAST.to_vec())?.map(|(key, _)| key);
        let behind = last.filter(|key| key != layout.origin_key).unwrap_or_default();
        Ok(Self { door, behind, origin_key: layout.origin_key, batch: Batch::new() })
    }

    /// Adds an entry, unless it is there.
    ///
    /// # Errors
    /// [`StepError`] of the disk.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StepError> {
        debug_assert!(key != self.origin_key);
        if key <= self.behind.as_slice() && !self.behind.is_empty() {
            return Ok(());
        }
        self.batch.put(key, value);
        if self.batch.bytes() >= WRITE_BYTES || self.batch.len() >= WRITE_ENTRIES {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), StepError> {
        failpoint::hit("upgrade.write");
        self.door.write(std::mem::take(&mut self.batch))?;
        if self.door.bytes_written() >= REOPEN_BYTES {
            self.door.reopen()?;
        }
        Ok(())
    }
}

/// Every entry of an old store from `from` to `to`, a page in memory at a time.
///
/// # Errors
/// That of the store, or of `each`.
pub(crate) fn for_each(
    door: &Door,
    (from, to): (&[u8], &[u8]),
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), StepError>,
) -> Result<(), StepError> {
    let mut next = from.to_vec();
    loop {
        let page = door.scan(next..=to.to_vec(), PAGE_ENTRIES)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        next = [last, &[0][..]].concat();
        for (key, value) in &page {
            each(key, value)?;
        }
    }
}
