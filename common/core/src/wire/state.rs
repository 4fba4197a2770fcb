//! Records of the state after the tip, each with its proof of inclusion or absence. Must not know
//! whether a proof holds.

use super::{COUNT_BYTES, HeaderBytes, Message};
use crate::encode::List;
use crate::hash::{Address, AssetId, HASH_BYTES};
use crate::state::{Key, PROOF_BYTES_MAX};
use crate::types::header::HEADER_BYTES;
use crate::{struct_codec, tagged_codec};

/// Most records of a request.
pub const KEYS_MAX: usize = 64;

/// Names one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateKey {
    /// Coins and nonce of an address.
    Account {
        /// Whose.
        address: Address,
    },
    /// What an address holds of an asset other than coins.
    Holding {
        /// Whose.
        address: Address,
        /// Of what.
        asset: AssetId,
    },
    /// The description of an asset.
    Asset {
        /// Which.
        asset: AssetId,
    },
}

tagged_codec!(StateKey, "state key",
    1 => Account { address },
    2 => Holding { address, asset },
    3 => Asset { asset },
);

impl From<&StateKey> for Key {
    fn from(key: &StateKey) -> Self {
        match *key {
            StateKey::Account { address } => Self::Account(address),
            StateKey::Holding { address, asset } => Self::Holding(address, asset),
            StateKey::Asset { asset } => Self::Asset(asset),
        }
    }
}

/// Asks for records. A holding of coins is none: coins are in the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetState {
    /// Which.
    pub keys: List<StateKey, KEYS_MAX>,
}

struct_codec!(GetState { keys });

impl Message for GetState {
    const KIND: u8 = 18;
    const BYTES_MAX: usize = COUNT_BYTES + KEYS_MAX * (1 + 2 * HASH_BYTES);
}

/// One proof for each key, in their order, all against one header's state root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The tip whose state it is.
    pub header: HeaderBytes,
    /// Bytes of [`crate::state::Proof`].
    pub proofs: List<List<u8, PROOF_BYTES_MAX>, KEYS_MAX>,
}

struct_codec!(State { header, proofs });

impl Message for State {
    const KIND: u8 = 19;
    const BYTES_MAX: usize = HEADER_BYTES + COUNT_BYTES + KEYS_MAX * (COUNT_BYTES + PROOF_BYTES_MAX);
}
