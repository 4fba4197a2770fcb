//! Making a store from a backup: everything is checked first, built aside, loaded, compared with
//! the manifest, and only then put in place. Must not know commands.

use std::path::Path;

use steelyard_core::params::Params;
use steelyard_migrations::node::LAYOUT;
use steelyard_runtime::failpoint;
use steelyard_runtime::lock::FolderLock;
use steelyard_runtime::sled_door::{Entry, VALUE_BYTES_MAX};

use super::{BackupError, Manifest, NETWORK_FILE, datafile};
use crate::chain::load;
use crate::chain::view::Moment;
use crate::limits::REOPEN_BYTES_IDLE;
use crate::mark;
use crate::store::build::Build;
use crate::store::{PROGRAM, STORE_FOLDER, Store, damaged};

/// Bytes of entries that are written at once.
const BATCH_BYTES: usize = 8 * VALUE_BYTES_MAX;

/// Restores the backup in `dir` into a node's folder that holds no chain. A kill at any moment leaves
/// nothing or all of it. `progress` hears how many bytes are done, and of how many: each is read twice.
///
/// # Errors
/// [`BackupError`]; nothing is in place then.
pub fn restore(
    params: Params,
    dir: &Path,
    data_dir: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest, BackupError> {
    let manifest = Manifest::read(dir)?;
    check_kind(&params, dir, &manifest)?;
    let folder = data_dir.join(STORE_FOLDER);
    let _lock = FolderLock::acquire(data_dir, PROGRAM)?;
    if Store::is_there(&folder) {
        return Err(BackupError::HoldsChain { dir: folder });
    }
    let (mut done, total) = (0, 2 * manifest.bytes());
    let mut read = |bytes| {
        done += bytes;
        progress(done, total);
    };
    for file in &manifest.files {
        datafile::check(dir, file, &mut read)?;
    }
    failpoint::hit("restore.checked");
    let io = |source| BackupError::io("build", &folder, source);
    let build = Build::begin(data_dir).map_err(io)?;
    fill(&params, dir, &manifest, &build, &mut read)?;
    failpoint::hit("restore.filled");
    compare(params, &manifest, &build)?;
    // One of a chain that was here before would tell of a loss.
    mark::remove(data_dir).map_err(io)?;
    build.place().map_err(io)?;
    progress(total, total);
    Ok(manifest)
}

/// It is one that this program can read, of the network that is asked for.
fn check_kind(params: &Params, dir: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let expected = params.network_id();
    if manifest.network_id != expected {
        let has_file = manifest.files.iter().any(|file| file.name == NETWORK_FILE);
        return Err(BackupError::OtherNetwork {
            name: manifest.network.clone(),
            found: manifest.network_id,
            expected,
            file: has_file.then(|| dir.join(NETWORK_FILE)),
        });
    }
    if manifest.schema > LAYOUT.version() {
        return Err(BackupError::Schema { found: manifest.schema, expected: LAYOUT.version() });
    }
    Ok(())
}

/// Writes every entry into a new store, durable when this returns.
fn fill(
    params: &Params,
    dir: &Path,
    manifest: &Manifest,
    build: &Build,
    read: &mut dyn FnMut(u64),
) -> Result<(), BackupError> {
    let store = Store::open(&build.dir(), &params.network_id())?;
    let (mut entries, mut batch, mut batch_bytes) = (0, Vec::<Entry>::new(), 0);
    let write = |batch: &mut Vec<Entry>| -> Result<(), BackupError> {
        store.put_entries(batch)?;
        batch.clear();
        failpoint::hit("restore.batch_written");
        // sled gives memory back, and writes its snapshot, only when it is opened.
        if store.bytes_written() >= REOPEN_BYTES_IDLE {
            store.reopen().map_err(|error| damaged(error.to_string()))?;
        }
        Ok(())
    };
    for file in manifest.data_files() {
        datafile::for_each_entry(&dir.join(&file.name), |entry, bytes| {
            entries += 1;
            batch_bytes += entry.0.len() + entry.1.len();
            batch.push(entry);
            read(bytes);
            if batch_bytes >= BATCH_BYTES {
                batch_bytes = 0;
                write(&mut batch)?;
            }
            Ok(())
        })?;
    }
    write(&mut batch)?;
    store.sync()?;
    if entries != manifest.entries {
        return Err(BackupError::Mismatch {
            reason: format!("it has {entries} entries, not {}", manifest.entries),
        });
    }
    Ok(())
}

/// Opens the store as a start does: it must be the chain that the manifest names.
fn compare(params: Params, manifest: &Manifest, build: &Build) -> Result<(), BackupError> {
    let store = Store::open(&build.dir(), &manifest.network_id)?;
    let loaded = load::load(params, &store)?;
    let found = Moment::of(&loaded.shared.read());
    let reason = if found.tip.id != manifest.tip || found.tip.header.height != manifest.height {
        format!("its tip is {} at height {}", found.tip.id, found.tip.header.height)
    } else if loaded.rebuilt || found.state.root() != manifest.state_root {
        format!("its state is not {}", manifest.state_root)
    } else if found.seq != manifest.seq {
        format!("its last commit is {}", found.seq)
    } else {
        return Ok(());
    };
    Err(BackupError::Mismatch { reason })
}
