//! What a send is: the request as it was made, and the states that it passes. Must not know the
//! store, nodes or keys: [`crate::desk`] moves intents from state to state.
//!
//! ```text
//! Intended ── signed, nonce taken ──> Signed ── a node has it ──> Pending ── mined ──> Confirmed
//!    │                                  │                            │                    │ deep
//!    └─> Cancelled                      └──────> Expired, Replaced <─┘                 Settled
//! ```
//!
//! `Confirmed` goes back to `Signed` when its block leaves the chain: the same bytes go out again.
//! `Settled`, `Expired`, `Replaced` and `Cancelled` are final.

use std::fmt;
use std::str::FromStr;

use steelyard_core::encode::List;
use steelyard_core::hash::{Address, BlockId, TxId};
use steelyard_core::types::transaction::{MEMO_BYTES_MAX, TX_BYTES_MAX};
use steelyard_core::wire::Text;
use steelyard_core::wire::hello::REASON_BYTES_MAX;
use steelyard_core::wire::submit::RULE_BYTES_MAX;
use steelyard_core::{struct_codec, tagged_codec};

/// Longest id of an intent.
pub const ID_CHARS_MAX: usize = 64;
/// Longest name of a wallet.
pub const NAME_CHARS_MAX: usize = 32;

/// Text that is no name or id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("1 to {max} of {allowed}")]
pub struct NameError {
    max: usize,
    allowed: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $max:expr, $allowed:literal, $is_allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                let is_allowed: fn(u8) -> bool = $is_allowed;
                let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
                if first && text.len() <= $max && text.bytes().all(is_allowed) {
                    return Ok(Self(text.to_owned()));
                }
                Err(NameError { max: $max, allowed: $allowed })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// What the caller calls a send. Who asks again by the same id is answered by the same payment.
    IntentId,
    ID_CHARS_MAX,
    "letters, digits, '.', '_', ':' and '-', a letter or digit first",
    |byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte)
);
name!(
    /// A wallet's name, also its file's.
    WalletName,
    NAME_CHARS_MAX,
    "a-z, 0-9, '_' and '-', a letter or digit first",
    |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte)
);

/// How much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Base units of coins, above zero.
    Units {
        /// How many.
        units: u64,
    },
    /// All that the sending account can spend, less the fee.
    Max {},
}

tagged_codec!(Amount, "amount",
    1 => Units { units },
    2 => Max {},
);

/// What was asked for. Compared whole: the same id with another request is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who is paid.
    pub to: Address,
    /// How much.
    pub amount: Amount,
    /// Which of the wallet's own addresses pays; `None`: the first that can.
    pub from: Option<Address>,
    /// Any bytes, for all to read.
    pub memo: List<u8, MEMO_BYTES_MAX>,
    /// Base units a byte; `None`: what the network's nodes relay for.
    pub fee_rate: Option<u64>,
    /// Blocks after which it is void; `None`: the wallet's default; 0: never.
    pub expiry_blocks: Option<u64>,
}

struct_codec!(Request { to, amount, from, memo, fee_rate, expiry_blocks });

/// What a request comes to on the balances of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Number of the sending address in the wallet.
    pub index: u32,
    /// The sending address.
    pub sender: Address,
    /// Base units for the receiver.
    pub amount: u64,
    /// Base units for the miner.
    pub fee: u64,
    /// Last height of a block that may hold it; 0 for no end.
    pub expiry: u64,
}

struct_codec!(Plan { index, sender, amount, fee, expiry });

/// A signed transaction. Its bytes never change: whatever happens, it is these that are sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Its id.
    pub id: TxId,
    /// The sender's nonce that it takes.
    pub nonce: u64,
    /// Its full bytes.
    pub bytes: List<u8, TX_BYTES_MAX>,
}

struct_codec!(Signed { id, nonce, bytes });

/// Where a send stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Written down, not signed: waits for a node's answer about the account, or for the keys.
    Intended {},
    /// Signed, and the bytes are on disk; no node is known to have them.
    Signed {},
    /// A node has it, durably.
    Pending {},
    /// In a block of the chain.
    Confirmed {
        /// The block's height.
        height: u64,
        /// The block.
        block: BlockId,
        /// The block's time, unix ms.
        time: u64,
    },
    /// In a block deep enough. Final.
    Settled {
        /// The block's height.
        height: u64,
        /// The block.
        block: BlockId,
        /// The block's time, unix ms.
        time: u64,
    },
    /// No block may hold it any more. Final: nothing was paid.
    Expired {},
    /// Another transaction took its nonce. Final: nothing was paid by this one.
    Replaced {},
    /// Dropped before it was signed. Final: nothing was paid.
    Cancelled {},
}

tagged_codec!(State, "intent state",
    1 => Intended {},
    2 => Signed {},
    3 => Pending {},
    4 => Confirmed { height, block, time },
    5 => Settled { height, block, time },
    6 => Expired {},
    7 => Replaced {},
    8 => Cancelled {},
);

impl State {
    /// Whether nothing will ever change it.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Settled { .. } | Self::Expired {} | Self::Replaced {} | Self::Cancelled {})
    }

    /// Stable name, snake_case.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Intended {} => "intended",
            Self::Signed {} => "signed",
            Self::Pending {} => "pending",
            Self::Confirmed { .. } => "confirmed",
            Self::Settled { .. } => "settled",
            Self::Expired {} => "expired",
            Self::Replaced {} => "replaced",
            Self::Cancelled {} => "cancelled",
        }
    }

    /// The block that holds it.
    #[must_use]
    pub fn block(&self) -> Option<(u64, BlockId, u64)> {
        match *self {
            Self::Confirmed { height, block, time } | Self::Settled { height, block, time } => {
                Some((height, block, time))
            }
            _ => None,
        }
    }
}

/// Why a send does not go on by itself, as a node or the wallet last said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// Stable name: a rule's, or `wallet_locked`, `no_node`, `insufficient_funds`, `not_signed`.
    pub code: Text<RULE_BYTES_MAX>,
    /// In words.
    pub reason: Text<REASON_BYTES_MAX>,
}

struct_codec!(Obstacle { code, reason });

/// One send, from the moment it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// What the caller calls it.
    pub id: IntentId,
    /// Its number among the wallet's intents, in the order of their making.
    pub seq: u64,
    /// When it was asked for, unix ms.
    pub created: u64,
    /// When its state last changed, unix ms.
    pub changed: u64,
    /// What was asked for.
    pub request: Request,
    /// What that comes to; `None` while no balance is known. Fixed once it is signed.
    pub plan: Option<Plan>,
    /// The transaction, from `Signed` on.
    pub signed: Option<Signed>,
    /// Where it stands.
    pub state: State,
    /// Why it does not go on, where that is known.
    pub obstacle: Option<Obstacle>,
}

impl Intent {
    /// Base units that leave the sender if it is ever mined: amount and fee. 0 while unknown.
    #[must_use]
    pub fn outflow(&self) -> u64 {
        self.plan.map_or(0, |plan| plan.amount.saturating_add(plan.fee))
    }

    /// Whether its outflow is not yet in the balances that the chain shows.
    #[must_use]
    pub fn is_outstanding(&self) -> bool {
        matches!(self.state, State::Intended {} | State::Signed {} | State::Pending {})
    }
}
