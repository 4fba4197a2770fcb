//! The state: every record of the ledger, under one root that each block's header commits to.
//! Must not know blocks, transactions or stores. Read [`record`] for what is held, [`trie`]
//! for how, [`proof`] and [`excerpt`] for what a client without the state can check.

pub mod excerpt;
pub mod proof;
pub mod record;
pub mod trie;

#[cfg(test)]
mod tests;

pub use excerpt::{Excerpt, Wanted};
pub use proof::{PROOF_BYTES_MAX, Proof, ProofError};
pub use record::{AssetDescription, Key, Path, Record};
pub use trie::{BuildError, Trie};

use crate::hash::{AssetId, Domain, HASH_BYTES};
use record::{PATH_BYTES, VALUE_BYTES_MAX};

/// Bits of a path: splits are below it, and a trie is at most this deep. Changing it forks.
const PATH_BITS: u16 = 8 * PATH_BYTES as u16;

type Hash = [u8; HASH_BYTES];

/// Whoever can say what one record is now: the trie, changes laid over it, a map in a test.
pub trait StateRead {
    /// The record under the key, or `None` where there is none.
    fn get(&self, key: &Key) -> Option<Record>;
}

/// One bit of a path, counted from the most significant of byte 0 (specification, section 3).
fn bit(path: &Path, index: u16) -> bool {
    path[usize::from(index / 8)] >> (7 - index % 8) & 1 == 1
}

/// First bit in which two paths differ; [`PATH_BITS`] for equal ones.
fn first_difference(a: &Path, b: &Path) -> u16 {
    for (index, (a, b)) in (0..).zip(a.iter().zip(b)) {
        if a != b {
            return 8 * index + u16::from((a ^ b).leading_zeros() as u8);
        }
    }
    PATH_BITS
}

/// Whether the key names a holding of coins. There is none: it would lie on the path of the
/// address's account, which is where coins are held.
fn is_holding_of_coins(key: &Key) -> bool {
    matches!(key, Key::Holding(_, asset) if *asset == AssetId::COINS)
}

/// Hash of a leaf: its path, then its value. `None` for what cannot be a record: key and record
/// of different kinds, a holding of coins, a value above [`VALUE_BYTES_MAX`].
fn hash_leaf(path: &Path, key: &Key, record: &Record) -> Option<Hash> {
    let value = record::encode(key, record)?;
    let is_sound = value.len() <= VALUE_BYTES_MAX && !is_holding_of_coins(key);
    is_sound.then(|| Domain::StateLeaf.hash(&[path, &value]))
}

/// Hash of an inner node: the bit it splits at (little-endian), then left and right. The split
/// is hashed, because without it the same leaves could be said to lie under other paths.
fn hash_inner(split: u16, left: &Hash, right: &Hash) -> Hash {
    let mut preimage = [0; 2 + 2 * HASH_BYTES];
    preimage[..2].copy_from_slice(&split.to_le_bytes());
    preimage[2..2 + HASH_BYTES].copy_from_slice(left);
    preimage[2 + HASH_BYTES..].copy_from_slice(right);
    Domain::StateInner.hash(&[&preimage])
}
