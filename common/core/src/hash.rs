//! Hashes and identities: tagged SHA-256 (BIP 340 style) with one domain per purpose, and a
//! newtype for every kind of id. Must not know what is hashed: callers lay their preimages out.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use sha2::block_api::compress256;
use sha2::{Digest, Sha256};

/// Bytes of every hash and id.
pub const HASH_BYTES: usize = 32;

/// One purpose of a hash. A preimage of one domain can never be one of another, because
/// each begins with SHA-256(tag) twice (BIP 340, "Tagged Hashes").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Id of a block: its header's 176 bytes.
    Block,
    /// Id of a transaction: its body, which is also the message that is signed.
    Transaction,
    /// Id of a transaction with its authorization: all its bytes.
    FullTransaction,
    /// Address: a policy's bytes.
    Policy,
    /// Asset id: the id of the issuing transaction.
    Asset,
    /// Body tree: the coinbase's bytes (leaf 0).
    BodyCoinbase,
    /// Body tree: a transaction's full bytes.
    BodyLeaf,
    /// Body tree: left and right.
    BodyInner,
    /// Body tree: count and top.
    BodyRoot,
    /// History tree: block id and work.
    HistoryLeaf,
    /// History tree: left and right, each with its work.
    HistoryInner,
    /// History tree: count, work and top.
    HistoryRoot,
    /// State trie: path of an account.
    StateAccount,
    /// State trie: path of an asset's description.
    StateAsset,
    /// State trie: path and value of a record.
    StateLeaf,
    /// State trie: split bit, left and right.
    StateInner,
    /// A network's parameters.
    Params,
}

/// Every domain, in the order of the enum, with its tag. Frozen: changing one forks every network.
const TAGS: [(Domain, &str); 17] = [
    (Domain::Block, "steelyard/block"),
    (Domain::Transaction, "steelyard/transaction"),
    (Domain::FullTransaction, "steelyard/full-transaction"),
    (Domain::Policy, "steelyard/policy"),
    (Domain::Asset, "steelyard/asset"),
    (Domain::BodyCoinbase, "steelyard/body-coinbase"),
    (Domain::BodyLeaf, "steelyard/body-leaf"),
    (Domain::BodyInner, "steelyard/body-inner"),
    (Domain::BodyRoot, "steelyard/body-root"),
    (Domain::HistoryLeaf, "steelyard/history-leaf"),
    (Domain::HistoryInner, "steelyard/history-inner"),
    (Domain::HistoryRoot, "steelyard/history-root"),
    (Domain::StateAccount, "steelyard/state-account"),
    (Domain::StateAsset, "steelyard/state-asset"),
    (Domain::StateLeaf, "steelyard/state-leaf"),
    (Domain::StateInner, "steelyard/state-inner"),
    (Domain::Params, "steelyard/params"),
];

/// Bytes of a block of SHA-256.
const BLOCK_BYTES: usize = 64;

/// SHA-256's initial state (FIPS 180-4 section 5.3.3).
pub(crate) const SHA256_INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The state of SHA-256 after the tag's 64-byte block, once per domain.
static MIDSTATES: LazyLock<[[u32; 8]; TAGS.len()]> = LazyLock::new(|| {
    TAGS.map(|(_, tag)| {
        let digest: [u8; HASH_BYTES] = Sha256::digest(tag.as_bytes()).into();
        let mut block = [0; BLOCK_BYTES];
        block[..HASH_BYTES].copy_from_slice(&digest);
        block[HASH_BYTES..].copy_from_slice(&digest);
        let mut state = SHA256_INITIAL;
        compress256(&mut state, &[block]);
        state
    })
});

impl Domain {
    /// Tagged hash of the parts, one after another.
    #[must_use]
    pub fn hash(self, parts: &[&[u8]]) -> [u8; HASH_BYTES] {
        // Straight onto the compression function: a trie node's hash is two of them, and the
        // buffered hasher's own bookkeeping would cost as much again.
        let mut state = MIDSTATES[self as usize];
        let mut block = [0; BLOCK_BYTES];
        let (mut filled, mut bytes) = (0, BLOCK_BYTES as u64);
        for part in parts {
            let mut rest = *part;
            bytes += rest.len() as u64;
            while filled + rest.len() >= BLOCK_BYTES {
                let (head, tail) = rest.split_at(BLOCK_BYTES - filled);
                block[filled..].copy_from_slice(head);
                compress256(&mut state, &[block]);
                (rest, filled) = (tail, 0);
            }
            block[filled..filled + rest.len()].copy_from_slice(rest);
            filled += rest.len();
        }
        // FIPS 180-4 section 5.1.1: a one bit, zeros, the length in bits.
        block[filled] = 0x80;
        block[filled + 1..].fill(0);
        if filled + 9 > BLOCK_BYTES {
            compress256(&mut state, &[block]);
            block = [0; BLOCK_BYTES];
        }
        block[BLOCK_BYTES - 8..].copy_from_slice(&(8 * bytes).to_be_bytes());
        compress256(&mut state, &[block]);
        to_bytes(&state)
    }

    /// The tag's text, as the specification writes it.
    #[must_use]
    pub fn tag(self) -> &'static str {
        TAGS[self as usize].1
    }
}

/// A state of SHA-256 as its digest.
pub(crate) fn to_bytes(state: &[u32; 8]) -> [u8; HASH_BYTES] {
    let mut bytes = [0; HASH_BYTES];
    for (word, out) in state.iter().zip(bytes.chunks_exact_mut(4)) {
        out.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

/// SHA-256 of SHA-256: the hash that proof of work is measured by.
#[must_use]
pub fn sha256d(bytes: &[u8]) -> [u8; HASH_BYTES] {
    Sha256::digest(Sha256::digest(bytes)).into()
}

/// An id's text was not 64 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id of 64 lower-case hex digits")]
pub struct ParseIdError;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, bincode::Encode, bincode::Decode)]
        pub struct $name(pub [u8; HASH_BYTES]);

        impl $name {
            /// All zeros: what an empty tree has, and what no hash is known to give.
            pub const ZERO: Self = Self([0; HASH_BYTES]);

            /// The bytes, in the order in which they are printed.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; HASH_BYTES] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                if text.bytes().any(|b| b.is_ascii_uppercase()) {
                    return Err(ParseIdError);
                }
                let mut bytes = [0; HASH_BYTES];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseIdError)?;
                Ok(Self(bytes))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
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

id!(
    /// A block: tagged hash of its header.
    BlockId
);
id!(
    /// A network: the id of its genesis header.
    NetworkId
);
id!(
    /// A transaction: tagged hash of its body, the message its signatures sign.
    TxId
);
id!(
    /// A transaction with one particular authorization: tagged hash of all its bytes.
    FullId
);
id!(
    /// An asset: tagged hash of its issuing transaction's id. Zero stands for coins.
    AssetId
);
id!(
    /// An account: tagged hash of its policy. The text form needs the network's prefix
    /// ([`crate::address`]).
    Address
);
id!(
    /// Root of the tree over a block's transactions.
    BodyRoot
);
id!(
    /// Root of the tree over all earlier headers.
    HistoryRoot
);
id!(
    /// Root of the trie over all records after a block.
    StateRoot
);

impl AssetId {
    /// The coins of the network, where an asset is named.
    pub const COINS: Self = Self::ZERO;
}

impl From<BlockId> for NetworkId {
    fn from(genesis: BlockId) -> Self {
        Self(genesis.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_stand_in_the_order_of_the_enum() {
        for (index, (domain, tag)) in TAGS.iter().enumerate() {
            assert_eq!(*domain as usize, index);
            assert_eq!(domain.tag(), *tag);
        }
    }

    /// Against the plain hasher, at every length around the ends of blocks, however it is cut.
    #[test]
    fn tagged_hash_is_the_one_of_bip340() {
        let tag = Sha256::digest(b"steelyard/block");
        let message: Vec<u8> = (0..=255).collect();
        for length in 0..message.len() {
            let message = &message[..length];
            let expected: [u8; 32] =
                Sha256::new().chain_update(tag).chain_update(tag).chain_update(message).finalize().into();
            for cut in [0, length / 3, length / 2, length] {
                let (head, tail) = message.split_at(cut);
                assert_eq!(Domain::Block.hash(&[head, &[], tail]), expected, "{length} cut at {cut}");
            }
        }
    }

    #[test]
    fn an_id_prints_and_parses_in_byte_order() {
        let mut bytes = [0; 32];
        bytes[0] = 0xab;
        let id = BlockId(bytes);
        assert!(id.to_string().starts_with("ab00"));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("AB".repeat(32).parse::<BlockId>(), Err(ParseIdError));
        assert_eq!("ab".repeat(31).parse::<BlockId>(), Err(ParseIdError));
    }
}
