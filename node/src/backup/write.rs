//! Making a backup, of a store that no node has open or of a running chain's. Must not know the API.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use sha2::{Digest, Sha256};
use steelyard_core::params::Params;
use steelyard_migrations::node::LAYOUT;
use steelyard_runtime::dirs::{create_private, sync_dir};
use steelyard_runtime::lock::FolderLock;
use steelyard_runtime::network_file::to_toml;
use steelyard_runtime::sled_door::is_missing;
use steelyard_runtime::{clock, failpoint, ready};

use super::datafile::{self, Writer};
use super::{BackupError, FORMAT, FileNote, Manifest, NETWORK_FILE, NOTE_FILE, Note};
use crate::chain::view::Moment;
use crate::chain::{Chain, load};
use crate::store::entries::{for_each_checkpoint_entry, run_entries};
use crate::store::schema::{Space, split};
use crate::store::{PROGRAM, STORE_FOLDER, Store};

/// Spaces of which nothing changes once its commit is done: the others are written anew.
const KEPT: [Space; 3] = [Space::Log, Space::Delta, Space::Body];

/// Backs up the store in a node's folder, which no node may have open.
///
/// # Errors
/// [`BackupError`]; what was written of it is deleted.
pub fn of_stopped(
    params: Params,
    data_dir: &Path,
    dir: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest, BackupError> {
    let folder = data_dir.join(STORE_FOLDER);
    if !Store::is_there(&folder) {
        return Err(BackupError::NoStore { dir: data_dir.to_path_buf() });
    }
    let _lock = FolderLock::acquire(data_dir, PROGRAM)?;
    let genesis = params.genesis();
    let store = Store::open(&folder, &genesis.id.into())?;
    let loaded = load::load_from(params.clone(), genesis, &store)?;
    if loaded.rebuilt {
        return Err(BackupError::Rebuilt);
    }
    let moment = Moment::of(&loaded.shared.read());
    write(&params, &store, &moment, (data_dir, dir), progress)
}

/// Backs up the store of a chain that goes on meanwhile, as of its last commit; as [`write()`].
///
/// # Errors
/// [`BackupError`]; what was written of it is deleted.
pub fn of_running(
    chain: &Chain,
    folders: (&Path, &Path),
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest, BackupError> {
    // Bodies that the copy's own mark does not call pruned must be in it.
    let _reading = chain.shared.pruning.read();
    let moment = chain.moment()?;
    write(&chain.shared.params, &chain.store, &moment, folders, progress)
}

/// Backs up a store as of a moment of its chain into `dir`, which must be missing or empty, and notes in the
/// node's folder `data_dir` that it was begun. `progress` hears how many commits are copied, and of how many.
///
/// # Errors
/// [`BackupError`]; what was written of it is deleted.
pub fn write(
    params: &Params,
    store: &Store,
    moment: &Moment,
    (data_dir, dir): (&Path, &Path),
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest, BackupError> {
    if !is_missing(dir) {
        return Err(BackupError::NotEmpty { dir: dir.to_path_buf() });
    }
    create_private(dir).map_err(|source| BackupError::io("create", dir, source))?;
    let time = clock::now_ms();
    let note = data_dir.join(NOTE_FILE);
    let noted = ready::write_json(&note, &Note { dir: dir.to_path_buf(), time });
    noted.map_err(|source| BackupError::io("write", &note, source))?;
    let made = copy(params, store, moment, dir, progress).and_then(|(files, entries)| {
        failpoint::hit("backup.before_manifest");
        let manifest = Manifest {
            format: FORMAT,
            network: params.name.clone(),
            network_id: params.network_id(),
            schema: LAYOUT.version(),
            height: moment.tip.header.height,
            tip: moment.tip.id,
            state_root: moment.state.root(),
            seq: moment.seq,
            pending: moment.pending.len() as u64,
            time,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            entries,
            files,
        };
        manifest.save(dir)
    });
    let is_ours =
        !matches!(&made, Err(BackupError::Io { source, .. }) if source.kind() == ErrorKind::AlreadyExists);
    if made.is_err() && is_ours {
        // The failure is what is told; a folder that stays has no manifest and is no backup.
        let _ = discard(dir);
    }
    made
}

/// Everything but the manifest, durable.
fn copy(
    params: &Params,
    store: &Store,
    moment: &Moment,
    dir: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(Vec<FileNote>, u64), BackupError> {
    let mut out = Writer::new(dir);
    let mut put = |key: &[u8], value: &[u8]| out.put(key, value);
    let small = [store.identity_entries()?, store.peers_entries()?, run_entries(moment.seq, &moment.pending)];
    small.iter().flatten().try_for_each(|(key, value)| put(key, value))?;
    for_each_checkpoint_entry(&moment.state, moment.seq, &mut put)?;
    let spaces = KEPT.len() as u64;
    for (place, space) in (0..).zip(KEPT) {
        let mut seen = 0;
        store.for_each_entry(space, moment.seq, |key, value| {
            let seq = split(key).map_or(seen, |(seq, _)| seq);
            if seq > seen {
                seen = seq;
                progress((place * moment.seq + seq) / spaces, moment.seq);
                failpoint::hit("backup.commit_copied");
            }
            put(key, value)
        })?;
    }
    progress(moment.seq, moment.seq);
    let (mut files, entries) = out.finish()?;
    let built_in = [Params::dev(), Params::tutorial()].map(|params| params.network_id());
    if !built_in.contains(&params.network_id()) {
        files.push(write_network(params, dir)?);
    }
    sync_dir(dir).map_err(|source| BackupError::io("sync", dir, source))?;
    Ok((files, entries))
}

fn write_network(params: &Params, dir: &Path) -> Result<FileNote, BackupError> {
    let path = dir.join(NETWORK_FILE);
    let text = to_toml(params);
    let written = datafile::create(&path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|source| BackupError::io("write", &path, source))?;
    let sha256 = hex::encode(Sha256::digest(text.as_bytes()));
    Ok(FileNote { name: NETWORK_FILE.to_owned(), bytes: text.len() as u64, sha256 })
}

/// Deletes what an attempt wrote, and nothing else: the folder was empty.
fn discard(dir: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        fs::remove_file(entry?.path())?;
    }
    fs::remove_dir(dir)
}
