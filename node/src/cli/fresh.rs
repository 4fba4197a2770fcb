//! `dev --fresh`: deletes the chain of a folder with its index and mark, and nothing else in it. Refuses while a process
//! holds the folder, and what is not a chain of the network asked for.

use std::fs;
use std::io;
use std::path::Path;

use steelyard_core::hash::NetworkId;
use steelyard_runtime::dirs::sync_dir;
use steelyard_runtime::exit::CliError;
use steelyard_runtime::lock::FolderLock;

use crate::finder::{self, INDEX_FOLDER};
use crate::mark;
use crate::node::PROGRAM;
use crate::store::{STORE_FOLDER, Store, StoreOpenError};

/// What the store is called while it is being deleted: a kill in between leaves no half store.
const DISCARDED_FOLDER: &str = "chain.discarded";
/// What a store's folder holds at least.
const STORE_FILES: [&str; 2] = ["conf", "db"];

/// Deletes the chain in `data_dir`. Answers whether there was one.
///
/// # Errors
/// The folder is held, or holds something else.
pub fn discard_chain(data_dir: &Path, network: &NetworkId) -> Result<bool, CliError> {
    if !data_dir.exists() {
        return Ok(false);
    }
    let _lock = FolderLock::acquire(data_dir, PROGRAM)?;
    let (store, discarded) = (data_dir.join(STORE_FOLDER), data_dir.join(DISCARDED_FOLDER));
    let failed =
        |error: io::Error| CliError::other("io", format!("cannot delete {}: {error}", store.display()));
    if is_store(&discarded) {
        fs::remove_dir_all(&discarded).map_err(failed)?;
    }
    Store::settle(&store)?;
    if !store.exists() {
        return Ok(false);
    }
    if !is_store(&store) {
        let message = format!("{} does not look like a chain, so it is not deleted", store.display());
        return Err(CliError::usage("not_a_chain", message).with_hint("give another --data-dir"));
    }
    // A damaged store is what --fresh is for; another network's is somebody's by mistake.
    if let Err(error @ StoreOpenError::OtherNetwork { .. }) = Store::open(&store, network) {
        return Err(error.into());
    }
    // The mark first: without its chain it would tell of a loss.
    mark::remove(data_dir).map_err(failed)?;
    // Of no use without the chain, and made again from the next one.
    finder::discard(&data_dir.join(INDEX_FOLDER)).map_err(failed)?;
    fs::rename(&store, &discarded).and_then(|()| sync_dir(data_dir)).map_err(failed)?;
    fs::remove_dir_all(&discarded).map_err(failed)?;
    Ok(true)
}

fn is_store(folder: &Path) -> bool {
    STORE_FILES.iter().any(|name| folder.join(name).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use steelyard_core::params::Params;

    fn dev() -> NetworkId {
        Params::dev().network_id()
    }

    #[test]
    fn the_chain_goes_and_everything_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!discard_chain(dir.path(), &dev()).unwrap());
        drop(Store::open(&dir.path().join(STORE_FOLDER), &dev()).unwrap());
        fs::write(dir.path().join("notes.txt"), "mine").unwrap();
        fs::write(dir.path().join(mark::MARK_FILE), "of this chain").unwrap();
        let index = dir.path().join(INDEX_FOLDER);
        fs::create_dir(&index).unwrap();
        fs::write(index.join("db"), "?").unwrap();
        assert!(discard_chain(dir.path(), &dev()).unwrap());
        let mut names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["LOCK", "notes.txt"]);
        assert!(!discard_chain(&dir.path().join("nowhere"), &dev()).unwrap());
        assert!(!dir.path().join("nowhere").exists());
    }

    #[test]
    fn a_held_folder_another_network_and_other_things_stay() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join(STORE_FOLDER);
        drop(Store::open(&store, &Params::tutorial().network_id()).unwrap());
        assert_eq!(discard_chain(dir.path(), &dev()).unwrap_err().code, "other_network");
        let held = FolderLock::acquire(dir.path(), PROGRAM).unwrap();
        assert_eq!(discard_chain(dir.path(), &dev()).unwrap_err().code, "folder_in_use");
        drop(held);
        assert!(store.join("db").exists());
        fs::remove_dir_all(&store).unwrap();
        fs::create_dir(&store).unwrap();
        fs::write(store.join("thesis.txt"), "years of work").unwrap();
        assert_eq!(discard_chain(dir.path(), &dev()).unwrap_err().code, "not_a_chain");
        assert!(store.join("thesis.txt").exists());
    }
}
