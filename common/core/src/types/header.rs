//! The header: 176 bytes laid out by hand, which commit to everything else. Must not know rules.

use crate::hash::{BlockId, BodyRoot, Domain, HistoryRoot, StateRoot, sha256d};
use crate::work::U256;

/// Bytes of a header. 183 is the most that keeps the tail of the search in one compression.
pub const HEADER_BYTES: usize = 176;
/// Bytes that stay as they are during a search: two blocks of SHA-256.
pub const HEADER_FIXED_BYTES: usize = 128;
/// The only version.
pub const HEADER_VERSION: u32 = 1;

/// A block's header. Times are unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Always [`HEADER_VERSION`].
    pub version: u32,
    /// Blocks since genesis, which is 0.
    pub height: u64,
    /// Id of the parent; for genesis the hash of the network's parameters.
    pub prev: BlockId,
    /// Commits to all earlier headers and their work.
    pub history_root: HistoryRoot,
    /// Commits to the coinbase and the transactions.
    pub body_root: BodyRoot,
    /// Commits to every record after this block.
    pub state_root: StateRoot,
    /// The network's running time up to the parent, in ms: pauses count one half-life at most.
    pub elapsed: u64,
    /// The parent's time.
    pub prev_time: u64,
    /// This block's time.
    pub time: u64,
    /// Target in compact form.
    pub bits: u32,
    /// What the search varies.
    pub nonce: u64,
}

impl Header {
    /// The 176 bytes, integers little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        let mut rest = &mut out[..];
        let mut put = |bytes: &[u8]| {
            let (head, tail) = std::mem::take(&mut rest).split_at_mut(bytes.len());
            head.copy_from_slice(bytes);
            rest = tail;
        };
        put(&self.version.to_le_bytes());
        put(&self.height.to_le_bytes());
        put(&self.prev.0);
        put(&self.history_root.0);
        put(&self.body_root.0);
        put(&self.state_root.0);
        put(&self.elapsed.to_le_bytes());
        put(&self.prev_time.to_le_bytes());
        put(&self.time.to_le_bytes());
        put(&self.bits.to_le_bytes());
        put(&self.nonce.to_le_bytes());
        out
    }

    /// Reads 176 bytes; every string of that length is a header.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Self {
        let mut rest = &bytes[..];
        Self {
            version: u32::from_le_bytes(take(&mut rest)),
            height: u64::from_le_bytes(take(&mut rest)),
            prev: BlockId(take(&mut rest)),
            history_root: HistoryRoot(take(&mut rest)),
            body_root: BodyRoot(take(&mut rest)),
            state_root: StateRoot(take(&mut rest)),
            elapsed: u64::from_le_bytes(take(&mut rest)),
            prev_time: u64::from_le_bytes(take(&mut rest)),
            time: u64::from_le_bytes(take(&mut rest)),
            bits: u32::from_le_bytes(take(&mut rest)),
            nonce: u64::from_le_bytes(take(&mut rest)),
        }
    }

    /// The block's id: tagged hash of the bytes.
    #[must_use]
    pub fn id(&self) -> BlockId {
        BlockId(Domain::Block.hash(&[&self.to_bytes()]))
    }

    /// What proof of work measures: SHA-256d of the bytes, read as a little-endian integer.
    #[must_use]
    pub fn pow_hash(&self) -> U256 {
        U256::from_little_endian(&sha256d(&self.to_bytes()))
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (head, tail) = rest.split_first_chunk::<N>().expect("the fields add up to HEADER_BYTES");
    *rest = tail;
    *head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_fields_are_one_to_one() {
        let bytes: [u8; HEADER_BYTES] = std::array::from_fn(|i| i as u8);
        let header = Header::from_bytes(&bytes);
        assert_eq!(header.to_bytes(), bytes);
        assert_eq!(header.version, 0x0302_0100);
        assert_eq!(header.nonce.to_le_bytes(), bytes[168..]);
        assert_eq!(header.time.to_le_bytes(), bytes[156..164]);
    }
}
