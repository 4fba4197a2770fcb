//! Block bodies: a list of byte strings, the coinbase first. The root is computed over the
//! strings before any of them is decoded, so that a wrong body is the sender's fault and a body
//! that hashes right but does not decode is the block's. Must not know rules.

use crate::encode::{self, DecodeError, List};
use crate::hash::{Address, BodyRoot, Domain};
use crate::merkle::{Frontier, Join, Levels};
use crate::struct_codec;
use crate::types::header::HEADER_BYTES;

/// Longest free text of a coinbase, in bytes.
pub const COINBASE_EXTRA_BYTES_MAX: usize = 64;
/// Longest coinbase: height, miner, amount, extra.
pub const COINBASE_BYTES_MAX: usize = 8 + 32 + 8 + (8 + COINBASE_EXTRA_BYTES_MAX);

/// What a miner pays itself. Height and amount make it unique and a miner's income provable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coinbase {
    /// The header's.
    pub height: u64,
    /// Who is paid.
    pub miner: Address,
    /// Reward and fees, exactly.
    pub amount: u64,
    /// Any bytes.
    pub extra: List<u8, COINBASE_EXTRA_BYTES_MAX>,
}

struct_codec!(Coinbase { height, miner, amount, extra });

impl Coinbase {
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
        encode::decode(bytes, COINBASE_BYTES_MAX)
    }
}

/// A body as byte strings: the coinbase, then each transaction.
#[derive(Clone, Debug, PartialEq, Eq, Default, bincode::Encode)]
pub struct Body {
    /// The strings.
    pub items: Vec<Vec<u8>>,
}

/// Bytes of a count or length in front of what it counts.
const LENGTH_BYTES: usize = 8;

impl Body {
    /// Bytes as stored and sent: count, then each string with its length.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode::encode(self)
    }

    /// Bytes that the whole block has, header included.
    #[must_use]
    pub fn block_bytes(&self) -> usize {
        let strings = self.items.iter().map(|item| LENGTH_BYTES + item.len());
        HEADER_BYTES + LENGTH_BYTES + strings.sum::<usize>()
    }

    /// Reads what [`Body::to_bytes`] wrote, at most `max` bytes. Allocates no more than is there:
    /// the strings are cut out of the input by hand.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn from_bytes(bytes: &[u8], max: usize) -> Result<Self, DecodeError> {
        if bytes.len() > max {
            return Err(DecodeError::TooLong { got: bytes.len(), max });
        }
        let mut rest = bytes;
        let count = length(&mut rest)?;
        if count > rest.len() / LENGTH_BYTES {
            return Err(DecodeError::Truncated);
        }
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            let bytes = length(&mut rest)?;
            let (item, tail) = rest.split_at_checked(bytes).ok_or(DecodeError::Truncated)?;
            items.push(item.to_vec());
            rest = tail;
        }
        if rest.is_empty() { Ok(Self { items }) } else { Err(DecodeError::Trailing { excess: rest.len() }) }
    }

    /// H(count u32 || top) over the strings.
    #[must_use]
    pub fn root(&self) -> BodyRoot {
        let leaves: Frontier<BodyNode> = self.leaves().collect();
        root_of(u32::try_from(self.items.len()).expect("bounded by the block's bytes"), leaves.top())
    }

    /// Path from item `index` to the root's top, leaf first; `None` when there is no such item.
    #[must_use]
    pub fn path(&self, index: u64) -> Option<Vec<BodyNode>> {
        let mut levels = Levels::default();
        self.leaves().for_each(|leaf| levels.push(leaf));
        levels.path(index, levels.count())
    }

    fn leaves(&self) -> impl Iterator<Item = BodyNode> {
        self.items.iter().enumerate().map(|(index, item)| leaf(index as u64, item))
    }
}

fn length(rest: &mut &[u8]) -> Result<usize, DecodeError> {
    let (head, tail) = rest.split_first_chunk::<LENGTH_BYTES>().ok_or(DecodeError::Truncated)?;
    *rest = tail;
    usize::try_from(u64::from_le_bytes(*head)).map_err(|_| DecodeError::Truncated)
}

/// A hash in the body tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyNode(pub [u8; 32]);

impl Join for BodyNode {
    fn join(left: &Self, right: &Self) -> Self {
        Self(Domain::BodyInner.hash(&[&left.0, &right.0]))
    }
}

/// The leaf of item `index`: the coinbase has a tag of its own.
#[must_use]
pub fn leaf(index: u64, item: &[u8]) -> BodyNode {
    let domain = if index == 0 { Domain::BodyCoinbase } else { Domain::BodyLeaf };
    BodyNode(domain.hash(&[item]))
}

/// H(count u32 || top), top zeros for no leaves.
#[must_use]
pub fn root_of(count: u32, top: Option<BodyNode>) -> BodyRoot {
    let top = top.map_or([0; 32], |node| node.0);
    BodyRoot(Domain::BodyRoot.hash(&[&count.to_le_bytes(), &top]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::top_of_path;

    fn body(items: usize) -> Body {
        Body { items: (0..items).map(|i| vec![i as u8; i]).collect() }
    }

    #[test]
    fn a_body_reads_back_and_nothing_else_does() {
        for items in 0..6 {
            let bytes = body(items).to_bytes();
            assert_eq!(bytes.len() + HEADER_BYTES, body(items).block_bytes());
            assert_eq!(Body::from_bytes(&bytes, bytes.len()), Ok(body(items)));
            let (got, max) = (bytes.len(), bytes.len() - 1);
            assert_eq!(Body::from_bytes(&bytes, max), Err(DecodeError::TooLong { got, max }));
            for cut in 0..bytes.len() {
                assert_eq!(Body::from_bytes(&bytes[..cut], 1000), Err(DecodeError::Truncated));
            }
            let longer = [bytes.clone(), vec![0]].concat();
            assert_eq!(Body::from_bytes(&longer, 1000), Err(DecodeError::Trailing { excess: 1 }));
        }
        let claim = u64::MAX.to_le_bytes();
        assert_eq!(Body::from_bytes(&claim, 1000), Err(DecodeError::Truncated));
    }

    #[test]
    fn every_item_has_a_path_to_the_root() {
        for items in 1..9 {
            let body = body(items);
            for (index, item) in body.items.iter().enumerate() {
                let path = body.path(index as u64).unwrap();
                let top = top_of_path(&leaf(index as u64, item), index as u64, items as u64, &path);
                assert_eq!(root_of(items as u32, top), body.root());
            }
        }
    }
}
