//! What can go wrong at the door to sled, as types. Must not know what is stored.
//!
//! The engine's own words go to the log at debug level; what a user reads is written here.

use std::io;
use std::path::{Path, PathBuf};

use crate::exit::{CliError, ExitCode};

/// Why a store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The files are there but cannot be read back: a fault of the content, not of the moment.
    #[error("the store in {} is damaged: {reason}", dir.display())]
    Damaged {
        /// The store's folder.
        dir: PathBuf,
        /// What could not be read, in plain words.
        reason: String,
    },
    /// Another process (or a close that has not ended) holds the store.
    #[error("the store in {} is in use", dir.display())]
    Locked {
        /// The store's folder.
        dir: PathBuf,
    },
    /// The machine refused: permissions, disk full, too many open files.
    #[error("cannot {doing} the store in {}: {source}", dir.display())]
    Io {
        /// The store's folder.
        dir: PathBuf,
        /// What was tried, as a verb: "open", "create".
        doing: &'static str,
        /// The machine's answer.
        source: io::Error,
    },
    /// An earlier commit failed; only a new process may open this store again.
    #[error("the store in {} is closed for writing after a failed commit", dir.display())]
    Poisoned {
        /// The store's folder.
        dir: PathBuf,
    },
}

/// Why a read or a write of an open store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The content could not be read back.
    #[error("the store is damaged: {reason}")]
    Damaged {
        /// What could not be read, in plain words.
        reason: String,
    },
    /// The machine refused: disk full, device error.
    #[error("cannot {doing} the store: {source}")]
    Io {
        /// What was tried, as a verb: "read", "write", "flush".
        doing: &'static str,
        /// The machine's answer.
        source: io::Error,
    },
    /// An earlier write or commit failed, so what the store holds is known only after a restart.
    #[error("the store takes no more writes after a failed commit; restart to see what it holds")]
    Poisoned,
    /// A value is larger than [`VALUE_BYTES_MAX`](super::VALUE_BYTES_MAX); nothing was written.
    #[error("a value of {bytes} bytes is larger than the store takes")]
    ValueTooLarge {
        /// Length of the largest value of the batch.
        bytes: usize,
    },
    /// A reopen failed earlier, so there is nothing to read from.
    #[error("the store is closed")]
    Closed,
}

impl OpenError {
    /// Sorts the engine's error: a fault of the content or of the machine.
    pub(super) fn from_engine(dir: &Path, error: sled::Error) -> OpenError {
        match sort(error) {
            Fault::Content(reason) => OpenError::Damaged { dir: dir.to_path_buf(), reason },
            Fault::Machine(source) => OpenError::Io { dir: dir.to_path_buf(), doing: "open", source },
        }
    }

    pub(super) fn io(dir: &Path, doing: &'static str, source: io::Error) -> OpenError {
        OpenError::Io { dir: dir.to_path_buf(), doing, source }
    }

    pub(super) fn damaged(dir: &Path, reason: &str) -> OpenError {
        OpenError::Damaged { dir: dir.to_path_buf(), reason: reason.to_owned() }
    }
}

impl StoreError {
    /// Sorts the engine's error: a fault of the content or of the machine.
    pub(super) fn from_engine(doing: &'static str, error: sled::Error) -> StoreError {
        match sort(error) {
            Fault::Content(reason) => StoreError::Damaged { reason },
            Fault::Machine(source) => StoreError::Io { doing, source },
        }
    }

    pub(super) fn stopped() -> StoreError {
        StoreError::Damaged { reason: "a page could not be decoded".to_owned() }
    }
}

impl From<OpenError> for CliError {
    fn from(error: OpenError) -> CliError {
        let message = error.to_string();
        match error {
            OpenError::Damaged { .. } => CliError::new(ExitCode::Damaged, "store_damaged", message),
            OpenError::Locked { .. } => CliError::new(ExitCode::InUse, "store_in_use", message),
            OpenError::Io { source, .. } => unavailable(&source, message),
            OpenError::Poisoned { .. } => CliError::new(ExitCode::Other, "store_poisoned", message),
        }
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> CliError {
        let message = error.to_string();
        match error {
            StoreError::Damaged { .. } => CliError::new(ExitCode::Damaged, "store_damaged", message),
            StoreError::Io { source, .. } => unavailable(&source, message),
            StoreError::Poisoned => CliError::new(ExitCode::Other, "store_poisoned", message),
            StoreError::ValueTooLarge { .. } | StoreError::Closed => {
                CliError::new(ExitCode::Other, "store_failed", message)
            }
        }
    }
}

/// An open store that does not open again is no longer there to be written.
impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> StoreError {
        match error {
            OpenError::Damaged { reason, .. } => StoreError::Damaged { reason },
            OpenError::Io { doing, source, .. } => StoreError::Io { doing, source },
            OpenError::Locked { .. } => {
                StoreError::Io { doing: "open", source: io::Error::other("it is in use") }
            }
            OpenError::Poisoned { .. } => StoreError::Poisoned,
        }
    }
}

/// The machine's refusal, and what to do. What was acknowledged was durable before it.
fn unavailable(source: &io::Error, message: String) -> CliError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            CliError::other("disk_full", format!("no space left on the disk: {message}"))
                .with_hint("nothing that was acknowledged is lost; free some room and start again")
        }
        _ => CliError::other("store_unavailable", message).with_hint(
            "nothing that was acknowledged is lost; start again once the disk is well: the system's log says more",
        ),
    }
}

enum Fault {
    Content(String),
    Machine(io::Error),
}

fn sort(error: sled::Error) -> Fault {
    tracing::debug!(%error, "the storage engine answered with an error");
    match error {
        sled::Error::Io(source) => sort_io(source),
        sled::Error::Unsupported(_) => Fault::Content("its settings file does not fit".to_owned()),
        sled::Error::Corruption { .. } => Fault::Content("a checksum does not match".to_owned()),
        sled::Error::CollectionNotFound(_) | sled::Error::ReportableBug(_) => {
            Fault::Content("its parts do not fit together".to_owned())
        }
    }
}

/// A file that ends too early, or names a file that is not there, is damage and not the machine.
fn sort_io(source: io::Error) -> Fault {
    match source.kind() {
        io::ErrorKind::UnexpectedEof => Fault::Content("a file ends too early".to_owned()),
        io::ErrorKind::NotFound => Fault::Content("a file is missing".to_owned()),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            Fault::Content("a file holds no valid data".to_owned())
        }
        _ => Fault::Machine(as_the_machine_said(source)),
    }
}

/// The engine hands on a failure of its own threads as the debug form of the machine's answer.
fn as_the_machine_said(source: io::Error) -> io::Error {
    let text = source.to_string();
    let code = text.strip_prefix("Os { code: ").and_then(|rest| rest.split(',').next()?.parse().ok());
    code.map_or(source, io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn io(kind: io::ErrorKind) -> StoreError {
        StoreError::Io { doing: "write", source: kind.into() }
    }

    #[test]
    fn a_full_disk_a_failing_one_and_damage_are_told_apart() {
        for (error, exit, code) in [
            (io(io::ErrorKind::StorageFull), ExitCode::Other, "disk_full"),
            (io(io::ErrorKind::QuotaExceeded), ExitCode::Other, "disk_full"),
            (io(io::ErrorKind::Other), ExitCode::Other, "store_unavailable"),
            (StoreError::stopped(), ExitCode::Damaged, "store_damaged"),
        ] {
            let told = CliError::from(error);
            assert_eq!((told.exit, told.code.as_str()), (exit, code));
            let is_kept =
                told.hint.is_some_and(|hint| hint.contains("nothing that was acknowledged is lost"));
            assert_eq!(is_kept, exit == ExitCode::Other, "{code}");
        }
    }

    #[test]
    fn a_failure_of_the_engines_threads_reads_as_the_machine_said_it() {
        let full = io::Error::from_raw_os_error(28);
        let handed_on = io::Error::new(full.kind(), format!("{full:?}"));
        assert_eq!(as_the_machine_said(handed_on).to_string(), full.to_string());
        assert_eq!(as_the_machine_said(io::Error::other("x")).to_string(), "x");
    }

    #[test]
    fn a_reopening_that_fails_is_what_it_was() {
        let dir = PathBuf::from("x");
        let error = |error: OpenError| CliError::from(StoreError::from(error)).code;
        assert_eq!(error(OpenError::damaged(&dir, "so")), "store_damaged");
        assert_eq!(error(OpenError::io(&dir, "open", io::ErrorKind::StorageFull.into())), "disk_full");
        assert_eq!(error(OpenError::Locked { dir: dir.clone() }), "store_unavailable");
        assert_eq!(error(OpenError::Poisoned { dir }), "store_poisoned");
    }
}
