//! What can go wrong with a keystore, as types and as what a user reads. No text here ever holds a
//! secret: there is no variant that carries one. Must not know the file's layout.

use std::io;
use std::path::{Path, PathBuf};

use steelyard_runtime::exit::CliError;

use super::seal::{CostError, OutOfMemory};

/// Why a keystore did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// The passphrase does not open the seal. What somebody changed in the file on purpose, its
    /// checksum too, looks the same.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// The wallet is encrypted, and no passphrase was given.
    #[error("the wallet is locked: its passphrase is needed")]
    Locked,
    /// The file's content is not what was written.
    #[error("the keystore {} is damaged: {fault}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The file is whole, but of another version of the program.
    #[error("the keystore {} has version {found}, this program reads version {expected}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The file's.
        found: u16,
        /// This program's.
        expected: u16,
    },
    /// There is a file of that name, which is never replaced.
    #[error("there is a wallet in {}", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The machine refused.
    #[error("cannot {doing} the keystore {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried, as a verb: "read", "create".
        doing: &'static str,
        /// The machine's answer.
        source: io::Error,
    },
    /// A new wallet's cost is out of bounds.
    #[error("cost of a passphrase: {0}")]
    Cost(#[from] CostError),
    /// The machine has too little memory to try the passphrase.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
    /// The system gave no randomness to make a wallet from.
    #[error("the system gives no randomness: {0}")]
    Randomness(#[source] io::Error),
    /// Of 2^127 sentences one gives no keys (BIP 32, "Master key generation").
    #[error("these words give no keys; make a wallet of others")]
    NoAccount,
    /// Indices end at 2^31 - 1, and of 2^127 below that one has no key (BIP 32).
    #[error("there is no address of index {index}")]
    NoKey {
        /// Which.
        index: u32,
    },
    /// A body that another account sends.
    #[error("the sender is not the wallet's address {index}")]
    WrongSender {
        /// Whose key was to sign.
        index: u32,
    },
    /// A body for another network.
    #[error("the transaction is for another network than the wallet")]
    WrongNetwork,
}

/// What is wrong with a damaged keystore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It ends too early or goes on too long.
    #[error("it has {got} bytes, where {expected} are expected")]
    Length {
        /// Bytes, as far as they were read.
        got: usize,
        /// Bytes of a whole one.
        expected: usize,
    },
    /// The first bytes are not a keystore's.
    #[error("it does not begin as a keystore does")]
    Magic,
    /// The last bytes are not the hash of those before.
    #[error("its checksum does not match")]
    Checksum,
    /// A tag that no version has written.
    #[error("{field} {tag} is unknown")]
    Tag {
        /// Of what.
        field: &'static str,
        /// The tag.
        tag: u8,
    },
    /// A cost that would exhaust the machine.
    #[error("cost of a passphrase: {0}")]
    Cost(CostError),
    /// Bytes that stand for nothing are not zero.
    #[error("what should be empty is not")]
    NotEmpty,
    /// Its public key is no point of the curve.
    #[error("its public key is none")]
    PublicKey,
    /// The secret is no entropy of words.
    #[error("its secret is not that of a wallet")]
    Secret,
    /// The public key is not the secret's.
    #[error("its public key is not that of its secret")]
    Mismatch,
}

impl KeystoreError {
    pub(super) fn io(path: &Path, doing: &'static str, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), doing, source }
    }

    pub(super) fn damaged(path: &Path, fault: Fault) -> Self {
        Self::Damaged { path: path.to_owned(), fault }
    }

    /// A stable name for programs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::WrongPassphrase => "wrong_passphrase",
            Self::Locked => "wallet_locked",
            Self::Damaged { .. } => "keystore_damaged",
            Self::Version { .. } => "keystore_version",
            Self::Exists { .. } => "wallet_exists",
            Self::Io { .. } => "keystore_unavailable",
            Self::Cost(_) => "passphrase_cost",
            Self::OutOfMemory(_) => "out_of_memory",
            Self::Randomness(_) => "no_randomness",
            Self::NoAccount => "unusable_words",
            Self::NoKey { .. } => "no_such_address",
            Self::WrongSender { .. } => "wrong_sender",
            Self::WrongNetwork => "wrong_network",
        }
    }
}

impl From<KeystoreError> for CliError {
    fn from(error: KeystoreError) -> Self {
        let (name, message) = (error.name(), error.to_string());
        match error {
            KeystoreError::WrongPassphrase => Self::locked(name, message),
            KeystoreError::Locked => Self::locked(name, message).with_hint("steelyard-wallet unlock"),
            KeystoreError::Damaged { .. } => Self::damaged(name, message).with_hint(
                "move the file aside and restore the wallet from its words: steelyard-wallet restore",
            ),
            KeystoreError::Exists { .. } => {
                Self::refused(name, message).with_hint("choose another name: --wallet NAME")
            }
            KeystoreError::Version { .. } => {
                Self::other(name, message).with_hint("use the version of the program that wrote it")
            }
            KeystoreError::Cost(_) | KeystoreError::NoKey { .. } => Self::usage(name, message),
            KeystoreError::NoAccount | KeystoreError::WrongSender { .. } | KeystoreError::WrongNetwork => {
                Self::refused(name, message)
            }
            KeystoreError::Io { .. } | KeystoreError::OutOfMemory(_) | KeystoreError::Randomness(_) => {
                Self::other(name, message)
            }
        }
    }
}
