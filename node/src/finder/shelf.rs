//! The index's store as it is opened, made and thrown away: rebuilt from blocks, never migrated. What
//! does not open, is another network's or knows a block that the chain does not, is made again. Must
//! not know threads, nor what is not on disk yet.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use steelyard_core::hash::{BlockId, NetworkId};
use steelyard_runtime::dirs::sync_dir;
use steelyard_runtime::failpoint;
use steelyard_runtime::sled_door::{Batch, Door, DoorOptions, OpenError, make_whole};

use super::entry::{Mark, SECRET_BYTES, Secret};
use super::run::Run;
use super::schema::{Head, META_HEAD, META_MANIFEST, Manifest, RUN_SPACES, Space, get, key, range, sealed};
use crate::limits::{INDEX_BATCH_CHUNKS, INDEX_CACHE_BYTES};
use crate::store::{StoreError, damaged};

/// Folder of the index inside the node's folder.
pub const INDEX_FOLDER: &str = "index";
/// What the folder of a store holds at least.
const STORE_FILES: [&str; 2] = ["conf", "db"];
const DOOR: DoorOptions = DoorOptions { cache_bytes: INDEX_CACHE_BYTES };

/// Why the index cannot be used now.
#[derive(Debug, thiserror::Error)]
pub enum IndexFault {
    /// It is not this chain's, or cannot be read: it has to be made again.
    #[error("{0}")]
    Unfit(String),
    /// The machine refuses: the same folder may be as good as before later.
    #[error("{0}")]
    Machine(String),
}

impl From<StoreError> for IndexFault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged { reason } => Self::Unfit(reason),
            other => Self::Machine(other.to_string()),
        }
    }
}

impl From<OpenError> for IndexFault {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Damaged { .. } => Self::Unfit(error.to_string()),
            _ => Self::Machine(error.to_string()),
        }
    }
}

/// An index that is open.
pub(super) struct Shelf {
    pub(super) door: Arc<Door>,
    pub(super) secret: Secret,
    /// The last block whose entries are on disk.
    pub(super) mark: Mark,
    pub(super) unread: u64,
    /// Oldest first.
    pub(super) runs: Vec<Arc<Run>>,
}

impl Shelf {
    /// Opens the index in a folder, which is left as it is when it is not fit.
    ///
    /// # Errors
    /// [`IndexFault`].
    pub(super) fn open(
        dir: &Path,
        network: &NetworkId,
        is_known: impl Fn(&BlockId) -> bool,
    ) -> Result<Self, IndexFault> {
        if !is_store(dir) {
            return Err(foreign(dir));
        }
        let door = Door::open(dir, DOOR)?;
        let head = Head::from_bytes(&get(&door, &key(Space::Meta, META_HEAD, 0))?)?;
        if head.network != *network {
            return Err(IndexFault::Unfit(format!("it belongs to network {}, not {network}", head.network)));
        }
        let manifest = Manifest::from_bytes(&get(&door, &key(Space::Meta, META_MANIFEST, 0))?)?;
        if !is_known(&manifest.mark.id) {
            return Err(IndexFault::Unfit(format!("the chain does not know its block {}", manifest.mark.id)));
        }
        let mut runs = Vec::with_capacity(manifest.runs.len());
        for run in &manifest.runs {
            runs.push(Arc::new(Run::load(&door, *run)?));
        }
        let (mark, unread) = (manifest.mark, manifest.unread);
        Ok(Self { door: Arc::new(door), secret: head.secret, mark, unread, runs })
    }

    /// Makes an empty index, of a chain that begins with `genesis`, where there is none.
    ///
    /// # Errors
    /// [`IndexFault::Machine`].
    pub(super) fn create(dir: &Path, network: &NetworkId, genesis: BlockId) -> Result<(), IndexFault> {
        let secret: [u8; SECRET_BYTES] = rand::random();
        let head = Head { network: *network, secret: Secret(secret) };
        let mark = Mark { height: 0, id: genesis };
        let manifest = Manifest { mark, unread: 0, runs: Vec::new() };
        let mut batch = Batch::new();
        for (a, payload) in [(META_HEAD, head.to_bytes()), (META_MANIFEST, manifest.to_bytes())] {
            let at = key(Space::Meta, a, 0);
            batch.put(at, sealed(&at, payload));
        }
        make_whole(dir, DOOR, batch, |_| Ok(())).map_err(|error| IndexFault::Machine(error.to_string()))
    }

    /// What the index is made of from now on, durable when this returns.
    ///
    /// # Errors
    /// [`StoreError`]: it is not known whether it is so.
    pub(super) fn commit(&self) -> Result<(), StoreError> {
        let runs = self.runs.iter().map(|run| run.mark).collect();
        let manifest = Manifest { mark: self.mark, unread: self.unread, runs };
        let at = key(Space::Meta, META_MANIFEST, 0);
        let mut batch = Batch::new();
        batch.put(at, sealed(&at, manifest.to_bytes()));
        failpoint::hit("index.before_manifest");
        self.door.commit(batch)?;
        failpoint::hit("index.after_manifest");
        Ok(())
    }

    /// Deletes what a kill left of runs that no manifest names.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn sweep(&self) -> Result<(), StoreError> {
        let mut known: Vec<u64> = self.runs.iter().map(|run| run.mark.number).collect();
        known.sort_unstable();
        let mut from = 0;
        for number in known.into_iter().map(Some).chain([None]) {
            let to = number.map_or(Some(u64::MAX), |number: u64| number.checked_sub(1));
            if let Some(to) = to.filter(|to| from <= *to) {
                RUN_SPACES.into_iter().try_for_each(|space| self.clear(space, from, to))?;
            }
            from = number.map_or(u64::MAX, |number| number.saturating_add(1));
        }
        Ok(())
    }

    fn clear(&self, space: Space, from: u64, to: u64) -> Result<(), StoreError> {
        loop {
            let page = self.door.scan(range(space, from, to), INDEX_BATCH_CHUNKS)?;
            if page.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::new();
            page.iter().for_each(|(found, _)| batch.remove(found));
            self.door.write(batch)?;
        }
    }

    /// The number for the next run: above that of each there is.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when there is none.
    pub(super) fn next_number(&self) -> Result<u64, StoreError> {
        let last = self.runs.iter().map(|run| run.mark.number).max().unwrap_or(0);
        last.checked_add(1).ok_or_else(|| damaged("the runs of the index are numbered wrongly".into()))
    }
}

/// Throws an index away, if there is one; what is none is left alone. A kill in between leaves one or
/// none, never half of one.
///
/// # Errors
/// The machine's.
pub fn discard(dir: &Path) -> std::io::Result<()> {
    let aside = aside(dir);
    if is_store(&aside) {
        std::fs::remove_dir_all(&aside)?;
    }
    if !is_store(dir) {
        return Ok(());
    }
    failpoint::hit("index.before_discard");
    std::fs::rename(dir, &aside)?;
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_dir(parent.unwrap_or(Path::new(".")))?;
    failpoint::hit("index.after_rename");
    std::fs::remove_dir_all(&aside)
}

fn is_store(folder: &Path) -> bool {
    STORE_FILES.iter().any(|name| folder.join(name).is_file())
}

/// Somebody's, which nothing is done to.
fn foreign(dir: &Path) -> IndexFault {
    IndexFault::Machine(format!(
        "{} does not look like an index, so it is left alone; move it away",
        dir.display()
    ))
}

/// What an index is called while it is being deleted.
fn aside(dir: &Path) -> PathBuf {
    dir.with_extension("discarded")
}
