//! A copy of the chain store in a folder: complete as of one commit, made while the node runs, and
//! held against checksums before any of it is used. Logical: keys and values, never sled's files.
//! Must not know commands or sockets.
//!
//! What never changes (log, deltas, bodies up to the commit) is copied as it is. What changes is
//! written anew from the chain's [`Moment`](crate::chain::view::Moment): its state becomes the only
//! checkpoint, what is pending becomes one run. So nothing can be deleted while it is copied, and a
//! restored store starts without replaying anything.
//!
//! | file in the folder | holds |
//! |---|---|
//! | `data-00001`… | entries (`datafile`) |
//! | `network.toml` | the network, where it is not built in |
//! | `manifest.json` | what it is a copy of, and every file's length and checksum; written last |
//!
//! Without a manifest it is no backup. Read `write`, then `restore`.

mod datafile;
mod error;
mod restore;
mod write;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use steelyard_core::hash::{BlockId, NetworkId, StateRoot};
use steelyard_runtime::ready;

pub use self::error::BackupError;
pub use self::restore::restore;
pub use self::write::{of_running, of_stopped, write};
use crate::limits::BACKUP_FILES_MAX;

/// The file that makes a folder a backup.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The network's parameters, for a network that is not built in.
pub const NETWORK_FILE: &str = "network.toml";
/// In a node's folder: where its last backup was begun, and when.
pub const NOTE_FILE: &str = "backup.json";
/// Version of the files' form.
const FORMAT: u32 = 1;

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileNote {
    /// Its name in the folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of all of it, hex.
    pub sha256: String,
}

/// What a backup is a copy of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the files' form.
    pub format: u32,
    /// The network's name.
    pub network: String,
    /// The network's id.
    pub network_id: NetworkId,
    /// Schema version of the entries.
    pub schema: u32,
    /// Height of the tip.
    pub height: u64,
    /// The tip.
    pub tip: BlockId,
    /// Root of the state after it.
    pub state_root: StateRoot,
    /// The last commit that is in it.
    pub seq: u64,
    /// Pending transactions.
    pub pending: u64,
    /// When it was made, unix ms.
    pub time: u64,
    /// Version of the program that made it.
    pub program: String,
    /// Entries of all data files.
    pub entries: u64,
    /// The data files, in order, then the network's.
    pub files: Vec<FileNote>,
}

/// A manifest as its file holds it: one line of JSON. Only exactly these bytes are taken.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    manifest: Manifest,
    /// SHA-256 of the manifest's JSON, hex.
    sha256: String,
}

/// Where a node's last backup was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The backup's folder.
    pub dir: PathBuf,
    /// When, unix ms.
    pub time: u64,
}

impl Manifest {
    /// Reads the manifest of a folder.
    ///
    /// # Errors
    /// [`BackupError`] when there is none, or not one byte for byte as it was written.
    pub fn read(dir: &Path) -> Result<Self, BackupError> {
        let path = dir.join(MANIFEST_FILE);
        let bytes = ready::read_bounded(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => BackupError::Unfinished { dir: dir.to_path_buf() },
            std::io::ErrorKind::InvalidData => BackupError::damaged(&path, "it is too long"),
            _ => BackupError::io("read", &path, source),
        })?;
        let damaged = || BackupError::damaged(&path, "it is not as it was written");
        let sealed: Sealed = serde_json::from_slice(&bytes).map_err(|_| damaged())?;
        if sealed.to_bytes() != bytes || checksum(&sealed.manifest) != sealed.sha256 {
            return Err(damaged());
        }
        let Sealed { manifest, .. } = sealed;
        if manifest.format != FORMAT {
            return Err(BackupError::Format { found: manifest.format, expected: FORMAT });
        }
        manifest.check_names().then_some(manifest).ok_or_else(damaged)
    }

    /// Writes it whole: from then on the folder is a backup.
    fn save(self, dir: &Path) -> Result<Self, BackupError> {
        let path = dir.join(MANIFEST_FILE);
        let sealed = Sealed { sha256: checksum(&self), manifest: self };
        let written = ready::write_atomically(&path, &sealed.to_bytes(), 0o600);
        written.map_err(|source| BackupError::io("write", &path, source))?;
        Ok(sealed.manifest)
    }

    /// The data files.
    fn data_files(&self) -> impl Iterator<Item = &FileNote> {
        self.files.iter().filter(|file| file.name != NETWORK_FILE)
    }

    /// Names are those that this program gives, so none leads out of the folder.
    fn check_names(&self) -> bool {
        let (data, network) = (self.data_files().count(), self.files.last());
        let others = self.files.len() - data;
        let is_last = others == 0 || network.is_some_and(|file| file.name == NETWORK_FILE);
        let are_given = self.data_files().enumerate().all(|(place, file)| file.name == data_name(place));
        data <= BACKUP_FILES_MAX && others <= 1 && is_last && are_given
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

impl Sealed {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = json(self);
        bytes.push(b'\n');
        bytes
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("strings and numbers are JSON")
}

fn checksum(manifest: &Manifest) -> String {
    hex::encode(Sha256::digest(json(manifest)))
}

/// The name of the data file at this place, from 0 on.
fn data_name(place: usize) -> String {
    format!("data-{:05}", place + 1)
}
