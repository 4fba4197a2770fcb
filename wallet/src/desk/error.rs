//! Why the desk did not do what was asked, as types with stable names and exit codes. Must not know
//! how it is asked.

use std::io;

use steelyard_core::amount::{COIN_DECIMALS, format};
use steelyard_runtime::exit::{CliError, ExitCode};

use crate::intent::{IntentId, State, WalletName};
use crate::keystore::KeystoreError;
use crate::limits::{ADDRESSES_TOTAL_MAX, LIVE_INTENTS_MAX, WALLETS_MAX};
use crate::store::{self, StoreError};

/// A refusal. Nothing was written down, unless it says so.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// No open wallet has this name.
    #[error("there is no wallet {name}")]
    UnknownWallet {
        /// The name.
        name: WalletName,
    },
    /// The name is taken.
    #[error("there is a wallet {name}")]
    WalletExists {
        /// The name.
        name: WalletName,
    },
    /// Two wallets of the same words would take each other's nonces.
    #[error("wallet {name} has the same keys as wallet {other}")]
    SameKeys {
        /// The one refused.
        name: WalletName,
        /// The one that is open.
        other: WalletName,
    },
    /// [`WALLETS_MAX`] reached.
    #[error("a daemon keeps at most {WALLETS_MAX} wallets")]
    TooManyWallets,
    /// [`ADDRESSES_TOTAL_MAX`] reached.
    #[error("the wallets of a daemon have at most {ADDRESSES_TOTAL_MAX} addresses together")]
    TooManyAddresses,
    /// The keys are not at hand.
    #[error("the wallet is locked")]
    Locked,
    /// There is no passphrase that could lock it.
    #[error("the wallet is not encrypted: nothing would unlock it again")]
    NotEncrypted,
    /// Too little, with what is on its way out taken off.
    #[error("insufficient funds: have {}, need {}", coins(have), coins(need))]
    InsufficientFunds {
        /// Base units that the best of the addresses in question can spend.
        have: u64,
        /// Base units of amount and fee.
        need: u64,
        /// Whether the addresses together have enough, but none by itself.
        spread: bool,
    },
    /// No node has said what the account holds.
    #[error("the balance is not known yet: no node has answered")]
    NoSnapshot,
    /// The sending address is not the wallet's.
    #[error("the sending address is not one of the wallet's own")]
    ForeignAddress,
    /// The id stands for another payment.
    #[error("id {id} was used for another request")]
    IdReused {
        /// The id.
        id: IntentId,
    },
    /// No send has this id.
    #[error("there is no send {id}")]
    UnknownIntent {
        /// The id.
        id: IntentId,
    },
    /// It is signed: whoever has the bytes can still have it mined.
    #[error("a send that is {} cannot be dropped any more", state.name())]
    NotCancellable {
        /// Where it stands.
        state: State,
    },
    /// [`LIVE_INTENTS_MAX`] reached.
    #[error("the wallet has {LIVE_INTENTS_MAX} sends that are not final yet")]
    OutboxFull,
    /// Nothing to pay.
    #[error("the amount is zero")]
    AmountZero,
    /// Nodes would not relay it, and it would block what is sent after it.
    #[error("a fee rate of {got} is below the {min} base units a byte that nodes relay for")]
    FeeRateTooLow {
        /// Base units a byte.
        got: u64,
        /// The network's least.
        min: u64,
    },
    /// An address could not be derived.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// The store failed: the daemon stops.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The machine refused a thread.
    #[error("the desk could not start: {0}")]
    Start(#[source] io::Error),
    /// The daemon is stopping, or has failed; whether the command was done is not known.
    #[error("the daemon is stopping")]
    Stopped,
}

fn coins(units: &u64) -> String {
    format(*units, COIN_DECIMALS)
}

impl DeskError {
    /// Stable name, snake_case.
    #[must_use]
    pub fn code(&self) -> String {
        let name = match self {
            Self::UnknownWallet { .. } => "unknown_wallet",
            Self::WalletExists { .. } => "wallet_exists",
            Self::SameKeys { .. } => "same_keys",
            Self::TooManyWallets => "too_many_wallets",
            Self::TooManyAddresses => "too_many_addresses",
            Self::Locked => "wallet_locked",
            Self::NotEncrypted => "not_encrypted",
            Self::InsufficientFunds { .. } => "insufficient_funds",
            Self::NoSnapshot => "no_node",
            Self::ForeignAddress => "foreign_address",
            Self::IdReused { .. } => "id_reused",
            Self::UnknownIntent { .. } => "unknown_send",
            Self::NotCancellable { .. } => "not_cancellable",
            Self::OutboxFull => "outbox_full",
            Self::AmountZero => "amount_zero",
            Self::FeeRateTooLow { .. } => "fee_rate_too_low",
            Self::Start(_) => "desk_not_started",
            Self::Stopped => "stopping",
            Self::Keystore(_) => "keystore",
            Self::Store(_) => "store",
        };
        name.to_owned()
    }

    /// How a command that meets it ends.
    #[must_use]
    pub fn exit(&self) -> ExitCode {
        match self {
            Self::UnknownWallet { .. }
            | Self::WalletExists { .. }
            | Self::SameKeys { .. }
            | Self::NotEncrypted
            | Self::ForeignAddress
            | Self::AmountZero => ExitCode::Usage,
            Self::Locked => ExitCode::Locked,
            Self::TooManyWallets
            | Self::TooManyAddresses
            | Self::InsufficientFunds { .. }
            | Self::IdReused { .. }
            | Self::NotCancellable { .. }
            | Self::OutboxFull
            | Self::FeeRateTooLow { .. } => ExitCode::Refused,
            Self::NoSnapshot | Self::Stopped => ExitCode::Unreachable,
            Self::UnknownIntent { .. } | Self::Start(_) | Self::Keystore(_) | Self::Store(_) => {
                ExitCode::Other
            }
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Locked => Some("steelyard-wallet unlock; nothing was written down"),
            Self::InsufficientFunds { spread: true, .. } => {
                Some("the wallet has enough in all, not on one address: send in parts, or gather it first")
            }
            Self::InsufficientFunds { spread: false, .. } => {
                Some("steelyard-wallet balance says what can be sent; send max sends all of it")
            }
            Self::IdReused { .. } => Some("give another --id, or repeat the request as it was"),
            _ => None,
        }
    }
}

impl From<DeskError> for CliError {
    fn from(error: DeskError) -> Self {
        match error {
            DeskError::Keystore(error) => error.into(),
            DeskError::Store(error) => store::hinted(error.into()),
            error => {
                let made = Self::new(error.exit(), error.code(), error.to_string());
                match error.hint() {
                    Some(hint) => made.with_hint(hint),
                    None => made,
                }
            }
        }
    }
}
