//! Why blocks are not exported or imported, and how a command ends with it. Must not know commands.

use std::io;
use std::path::PathBuf;

use steelyard_core::hash::NetworkId;
use steelyard_runtime::exit::CliError;
use steelyard_runtime::lock::LockError;

use crate::chain::error::{BlockError, LoadError};
use crate::store::{StoreError, StoreOpenError};

/// Why blocks are not exported or imported.
#[derive(Debug, thiserror::Error)]
pub enum BlockFileError {
    /// There is a file of that name.
    #[error("{} is there already", file.display())]
    Exists {
        /// The file.
        file: PathBuf,
    },
    /// There is no chain to export.
    #[error("{} holds no chain", dir.display())]
    NoStore {
        /// The node's folder.
        dir: PathBuf,
    },
    /// The chain ends before the first block that is asked for.
    #[error("the chain ends at height {height}, and blocks from {from} on are asked for")]
    BeyondTip {
        /// Where it ends.
        height: u64,
        /// What is asked for.
        from: u64,
    },
    /// The file cannot be read or written.
    #[error("cannot {doing} the file: {source}")]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// The machine's answer.
        source: io::Error,
    },
    /// It does not begin as such a file does.
    #[error("this is no file of blocks")]
    NoBlockFile,
    /// Another version of the form.
    #[error("the file has version {found}, this program reads version {expected}")]
    Version {
        /// The file's.
        found: u32,
        /// This program's.
        expected: u32,
    },
    /// Blocks of another network.
    #[error("the file is of network {found}, not of {expected}")]
    OtherNetwork {
        /// The file's.
        found: NetworkId,
        /// The one asked for.
        expected: NetworkId,
    },
    /// It ends before its end.
    #[error("the file ends too early, after block {height} at byte {offset}; what is whole of it is taken")]
    Truncated {
        /// The last whole block.
        height: u64,
        /// Where the next one would begin.
        offset: u64,
    },
    /// A block of it cannot be read, or breaks a rule.
    #[error("block {height} at byte {offset} is not right: {reason}; what is before it is taken")]
    Block {
        /// Its height, by its place in the file.
        height: u64,
        /// Where it begins.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// Its end does not fit what is before it.
    #[error("the end of the file at byte {offset} is not right: {reason}; its blocks are right and taken")]
    End {
        /// Where it begins.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// Nothing is wrong with the block: it cannot be taken here or now.
    #[error("block {height} at byte {offset} cannot be taken: {error}; what is before it is taken")]
    NotNow {
        /// Its height, by its place in the file.
        height: u64,
        /// Where it begins.
        offset: u64,
        /// Why.
        error: BlockError,
    },
    /// A process holds the folder, or it cannot be locked.
    #[error(transparent)]
    Held(#[from] LockError),
    /// The store does not open.
    #[error(transparent)]
    Open(#[from] StoreOpenError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store does not hold a chain, or not this block of it.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl From<BlockFileError> for CliError {
    fn from(error: BlockFileError) -> Self {
        let message = error.to_string();
        match error {
            BlockFileError::Exists { .. } => {
                Self::refused("file_exists", message).with_hint("give another FILE, or delete that one first")
            }
            BlockFileError::NoStore { .. } => {
                Self::usage("no_store", message).with_hint("give the node's folder: --data-dir")
            }
            BlockFileError::BeyondTip { .. } => Self::usage("beyond_tip", message),
            BlockFileError::Io { .. } => Self::other("io", message),
            BlockFileError::NoBlockFile => Self::damaged("no_block_file", message)
                .with_hint("give a file that steelyard-node export wrote"),
            BlockFileError::Version { .. } => Self::damaged("block_file_version", message),
            BlockFileError::OtherNetwork { .. } => {
                Self::usage("other_network", message).with_hint("give the --network that the file is of")
            }
            BlockFileError::Truncated { .. } => Self::damaged("file_truncated", message)
                .with_hint("import a whole file: it goes on where this one ends"),
            BlockFileError::Block { .. } => Self::damaged("file_block", message)
                .with_hint("import a right file: it goes on where this one is wrong"),
            BlockFileError::End { .. } => Self::damaged("file_end", message),
            BlockFileError::NotNow { error, .. } => {
                Self::refused(error.name(), message).with_hint(match error {
                    BlockError::AheadOfTime { .. } => "set this machine's clock right, and import again",
                    BlockError::UnknownParent(_) => "import a file that begins at a lower height first",
                    _ => "import again",
                })
            }
            BlockFileError::Held(error) => Self::from(error)
                .with_hint("stop the node first: blocks go into a store that no node has open"),
            BlockFileError::Open(error) => error.into(),
            BlockFileError::Store(error) | BlockFileError::Load(LoadError::Store(error)) => error.into(),
            BlockFileError::Load(LoadError::Pruned { .. }) => Self::refused("pruned", message)
                .with_hint("begin with a block that is kept: --from HEIGHT; or ask a node without --prune"),
            BlockFileError::Load(LoadError::PrunedState { .. }) => Self::damaged("pruned", message),
            BlockFileError::Load(LoadError::Rule { .. }) => {
                Self::damaged("stored_block", message).with_hint("steelyard-node repair keeps what is right")
            }
        }
    }
}
