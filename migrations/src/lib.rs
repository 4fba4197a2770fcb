//! Schema versions of the stores. There is no release to migrate from yet: version 0 is the
//! only one, and any other is refused with the command that rebuilds. Must not know the ledger,
//! nor the stores' live encodings: they move on, history must not.

pub mod node;

/// A store that this program cannot use as it is.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VersionError {
    /// Written by another version of the program.
    #[error(
        "the store has schema version {found}, this program reads version {expected}; \
         use the program that wrote it, or start anew in an empty --data-dir (dev: --fresh)"
    )]
    Other {
        /// The store's.
        found: u32,
        /// This program's.
        expected: u32,
    },
    /// The version cannot be read.
    #[error("the store has no readable schema version")]
    Unreadable,
}
