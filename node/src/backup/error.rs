//! Why a backup is not made or not taken, and how a command ends with it. Must not know commands.

use std::io;
use std::path::{Path, PathBuf};

use steelyard_core::hash::NetworkId;
use steelyard_runtime::exit::CliError;
use steelyard_runtime::lock::LockError;

use crate::chain::error::{ChainError, LoadError};
use crate::limits::{BACKUP_FILE_BYTES_MAX, BACKUP_FILES_MAX};
use crate::store::{StoreError, StoreOpenError};

/// Why a backup is not made or not taken.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The folder for it is not empty.
    #[error("{} is not empty", dir.display())]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
    },
    /// The chain is larger than a backup may be.
    #[error("the chain does not fit into {BACKUP_FILES_MAX} files of {BACKUP_FILE_BYTES_MAX} bytes")]
    TooLarge,
    /// The stored state is not the tip's: a copy would be no better.
    #[error("the stored state is damaged and was rebuilt from the blocks, for now in memory only")]
    Rebuilt,
    /// There is no chain to copy.
    #[error("{} holds no chain", dir.display())]
    NoStore {
        /// The node's folder.
        dir: PathBuf,
    },
    /// There is no manifest.
    #[error("{} is no backup: it has no manifest, so none is there or one was not finished", dir.display())]
    Unfinished {
        /// The folder.
        dir: PathBuf,
    },
    /// Files of another form.
    #[error("the backup has format {found}, this program reads format {expected}")]
    Format {
        /// The backup's.
        found: u32,
        /// This program's.
        expected: u32,
    },
    /// Written from a store of a later program.
    #[error("the backup is of a store of schema version {found}, this program reads version {expected}")]
    Schema {
        /// The backup's.
        found: u32,
        /// This program's.
        expected: u32,
    },
    /// A file is not as it was written.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A backup of another network.
    #[error("the backup is of network {name} ({found}), not of {expected}")]
    OtherNetwork {
        /// The backup's network.
        name: String,
        /// Its id.
        found: NetworkId,
        /// The one asked for.
        expected: NetworkId,
        /// The backup's own network file, where it has one.
        file: Option<PathBuf>,
    },
    /// Where it should go there is a chain.
    #[error("{} holds a chain", dir.display())]
    HoldsChain {
        /// The store's folder.
        dir: PathBuf,
    },
    /// What was restored is not what the manifest says.
    #[error("the restored store is not what the manifest says: {reason}")]
    Mismatch {
        /// Which figure.
        reason: String,
    },
    /// The machine refuses.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// Of what.
        path: PathBuf,
        /// The machine's answer.
        source: io::Error,
    },
    /// A process holds the folder, or it cannot be locked.
    #[error(transparent)]
    Held(#[from] LockError),
    /// The chain thread does not answer.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A store does not open.
    #[error(transparent)]
    Open(#[from] StoreOpenError),
    /// A store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A store does not hold a chain.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl BackupError {
    pub(super) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { doing, path: path.to_path_buf(), source }
    }

    pub(super) fn damaged(path: &Path, reason: &str) -> Self {
        Self::Damaged { path: path.to_path_buf(), reason: reason.to_owned() }
    }
}

/// What to do about a backup that is damaged.
const DAMAGED_HINT: &str = "nothing was restored; take another backup, or fetch the blocks from peers";

impl From<BackupError> for CliError {
    fn from(error: BackupError) -> Self {
        let message = error.to_string();
        match error {
            BackupError::NotEmpty { dir } => Self::refused("not_empty", message).with_hint(format!(
                "name a folder that is not there yet; without {} in it {} is no whole backup",
                super::MANIFEST_FILE,
                dir.display()
            )),
            BackupError::TooLarge => Self::refused("too_large", message),
            BackupError::Rebuilt => Self::damaged("store_damaged", message)
                .with_hint("steelyard-node repair mends it; a node that has started mends its state too"),
            BackupError::NoStore { .. } => {
                Self::usage("no_store", message).with_hint("give the node's folder: --data-dir")
            }
            BackupError::Unfinished { .. } => Self::damaged("no_manifest", message)
                .with_hint("give the folder that steelyard-node backup made"),
            BackupError::Format { .. } | BackupError::Schema { .. } => {
                Self::damaged("backup_version", message).with_hint("restore it with the program that made it")
            }
            BackupError::Damaged { .. } => Self::damaged("backup_damaged", message).with_hint(DAMAGED_HINT),
            BackupError::Mismatch { .. } => Self::damaged("backup_mismatch", message).with_hint(DAMAGED_HINT),
            BackupError::OtherNetwork { name, file, .. } => {
                let network = file.map_or(name, |file| file.display().to_string());
                Self::usage("other_network", message).with_hint(format!("give --network {network}"))
            }
            BackupError::HoldsChain { .. } => Self::refused("chain_exists", message)
                .with_hint("give another --data-dir, or move that folder away"),
            BackupError::Io { .. } => Self::other("io", message),
            BackupError::Held(error) => error.into(),
            BackupError::Chain(_) => Self::other("stopping", message),
            BackupError::Open(error) => error.into(),
            BackupError::Store(error) | BackupError::Load(LoadError::Store(error)) => error.into(),
            BackupError::Load(LoadError::Rule { .. }) => Self::damaged("stored_block", message),
            BackupError::Load(LoadError::Pruned { .. } | LoadError::PrunedState { .. }) => {
                Self::damaged("pruned", message)
            }
        }
    }
}
