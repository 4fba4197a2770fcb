//! Transactions: a body (what is meant) and an authorization (who may say so). Must not know
//! the state or the rules.

use bincode::{Decode, Encode};

use crate::crypto::keys::{SIGNATURE_BYTES, Signature};
use crate::crypto::policy::{KEYS_MAX, POLICY_BYTES_MAX, UncheckedPolicy};
use crate::encode::{self, DecodeError, List};
use crate::hash::{Address, AssetId, Domain, FullId, NetworkId, TxId};
use crate::state::record::SYMBOL_BYTES_MAX;
use crate::{struct_codec, tagged_codec};

/// The only format of a body.
pub const BODY_FORMAT: u8 = 1;
/// Longest memo, in bytes.
pub const MEMO_BYTES_MAX: usize = 256;
/// Most payments of a transfer.
pub const PAYMENTS_MAX: usize = 256;
/// Bytes of a payment.
pub const PAYMENT_BYTES: usize = 32 + 32 + 8;
/// Longest body: format, network, sender, nonce, fee, expiry, memo, and a full transfer.
pub const TX_BODY_BYTES_MAX: usize =
    1 + 32 + 32 + 8 + 8 + 8 + (8 + MEMO_BYTES_MAX) + (1 + 8 + PAYMENTS_MAX * PAYMENT_BYTES);
/// Longest authorization: policy, signer bitmap, signatures.
pub const AUTHORIZATION_BYTES_MAX: usize = POLICY_BYTES_MAX + 2 + (8 + KEYS_MAX * SIGNATURE_BYTES);
/// Longest transaction.
pub const TX_BYTES_MAX: usize = TX_BODY_BYTES_MAX + AUTHORIZATION_BYTES_MAX;

/// One amount to one address.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Payment {
    /// Coins ([`AssetId::COINS`]) or a token.
    pub asset: AssetId,
    /// Any 32 bytes: whether anybody can spend from there is the payer's care.
    pub to: Address,
    /// Base units, above zero.
    pub amount: u64,
}

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Pays.
    Transfer {
        /// 1 to 256, in any order.
        payments: List<Payment, PAYMENTS_MAX>,
    },
    /// Makes a new asset and credits the sender with its supply.
    Issue {
        /// 1 to 12 of A-Z 0-9.
        symbol: List<u8, SYMBOL_BYTES_MAX>,
        /// At most 18.
        decimals: u8,
        /// At least 1 unless mintable.
        supply: u64,
        /// Whether the issuer may make more later.
        mintable: bool,
    },
    /// Makes more of an asset and credits the sender, who must be its issuer.
    Mint {
        /// Which.
        asset: AssetId,
        /// How much, above zero.
        amount: u64,
    },
    /// Destroys the sender's own units.
    Burn {
        /// Which.
        asset: AssetId,
        /// How much, above zero.
        amount: u64,
    },
}

tagged_codec!(Action, "action",
    1 => Transfer { payments },
    2 => Issue { symbol, decimals, supply, mintable },
    3 => Mint { asset, amount },
    4 => Burn { asset, amount },
);

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxBody {
    /// Always [`BODY_FORMAT`].
    pub format: u8,
    /// The network it is for, and no other.
    pub network: NetworkId,
    /// Whose account it spends from. Without it a signature by a key would move to every policy
    /// that holds the key.
    pub sender: Address,
    /// Transactions the sender has made before this one.
    pub nonce: u64,
    /// Base units of coins for the miner.
    pub fee: u64,
    /// Last height of a block that may hold it; 0 for no end.
    pub expiry: u64,
    /// Any bytes.
    pub memo: List<u8, MEMO_BYTES_MAX>,
    /// What it does.
    pub action: Action,
}

struct_codec!(TxBody { format, network, sender, nonce, fee, expiry, memo, action });

impl TxBody {
    /// The transaction's id, which is the message its signatures sign: nobody can change it.
    #[must_use]
    pub fn id(&self) -> TxId {
        TxId(Domain::Transaction.hash(&[&encode::encode(self)]))
    }
}

/// Who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// Must hash to the sender.
    pub policy: UncheckedPolicy,
    /// Which keys sign: bit i for key i, exactly m bits, all below n.
    pub signers: u16,
    /// Their signatures, in key order.
    pub signatures: List<Signature, KEYS_MAX>,
}

struct_codec!(Authorization { policy, signers, signatures });

/// A transaction as it is sent, pooled and mined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// What is signed.
    pub body: TxBody,
    /// By whom.
    pub authorization: Authorization,
}

struct_codec!(Transaction { body, authorization });

impl Transaction {
    /// Its canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode::encode(self)
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        encode::decode(bytes, TX_BYTES_MAX)
    }
}

/// The id of these transaction bytes with their authorization: what caches, filters and relay go by.
#[must_use]
pub fn full_id(bytes: &[u8]) -> FullId {
    FullId(Domain::FullTransaction.hash(&[bytes]))
}

/// The asset that an issuing transaction makes. Not by issuer and nonce: such an id could become
/// another asset after a reorganisation.
#[must_use]
pub fn asset_id(issuing: &TxId) -> AssetId {
    AssetId(Domain::Asset.hash(&[&issuing.0]))
}
