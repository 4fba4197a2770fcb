//! The search for a nonce, one batch at a time: two compressions of SHA-256 a try, because the
//! first 128 bytes of a header stay fixed. Must not know threads, clocks or where to start.

use sha2::block_api::compress256;

use crate::hash::{HASH_BYTES, SHA256_INITIAL, to_bytes};
use crate::types::header::{HEADER_BYTES, HEADER_FIXED_BYTES, Header};
use crate::work::U256;

const BLOCK: usize = 64;
const TAIL_BYTES: usize = HEADER_BYTES - HEADER_FIXED_BYTES;
const NONCE_AT: usize = TAIL_BYTES - 8;

const _: () = assert!(HEADER_FIXED_BYTES == 2 * BLOCK && TAIL_BYTES + 9 <= BLOCK);

/// Tries `tries` nonces from `start` on, wrapping. The nonce that meets `target`, if any.
#[must_use]
pub fn search(header: &Header, target: U256, start: u64, tries: u64) -> Option<u64> {
    let bytes = header.to_bytes();
    let (fixed, tail) = bytes.split_at(HEADER_FIXED_BYTES);
    let mut midstate = SHA256_INITIAL;
    for block in fixed.chunks_exact(BLOCK) {
        compress256(&mut midstate, &[block.try_into().expect("chunks of a block")]);
    }
    let mut first = padded(tail, HEADER_BYTES);
    let mut second = padded(&[0; 32], 32);
    // Most significant 32 bits of the target: nearly every try is decided by them.
    let coarse = (target >> 224usize).low_u32();
    for step in 0..tries {
        let nonce = start.wrapping_add(step);
        first[NONCE_AT..TAIL_BYTES].copy_from_slice(&nonce.to_le_bytes());
        let mut inner = midstate;
        compress256(&mut inner, &[first]);
        second[..HASH_BYTES].copy_from_slice(&to_bytes(&inner));
        let mut outer = SHA256_INITIAL;
        compress256(&mut outer, &[second]);
        // The digest is read little-endian: its last word, byte-swapped, is the top.
        if outer[7].swap_bytes() > coarse {
            continue;
        }
        if U256::from_little_endian(&to_bytes(&outer)) <= target {
            return Some(nonce);
        }
    }
    None
}

/// The last block of a message of `length` bytes that ends with `tail` (FIPS 180-4 section 5.1.1).
fn padded(tail: &[u8], length: usize) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..tail.len()].copy_from_slice(tail);
    block[tail.len()] = 0x80;
    block[BLOCK - 8..].copy_from_slice(&(length as u64 * 8).to_be_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::header::Header;

    #[test]
    fn the_search_finds_exactly_the_nonces_that_the_rule_accepts() {
        let header = Header::from_bytes(&std::array::from_fn(|i| i as u8));
        let target = U256::MAX >> 8;
        let accepted = |nonce: &u64| Header { nonce: *nonce, ..header }.pow_hash() <= target;
        let expected: Vec<u64> = (0..3000).filter(accepted).collect();
        assert!(expected.len() > 3);
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(nonce) = search(&header, target, from, 3000 - from) {
            found.push(nonce);
            from = nonce + 1;
        }
        assert_eq!(found, expected);
    }

    /// The target at which each hash is just enough: what is looked at first of both is equal then.
    #[test]
    fn a_hash_equal_to_the_target_is_found_and_one_above_it_is_not() {
        let header = Header::from_bytes(&[7; HEADER_BYTES]);
        for nonce in 0..100 {
            let hash = Header { nonce, ..header }.pow_hash();
            assert_eq!(search(&header, hash, nonce, 1), Some(nonce));
            assert_eq!(search(&header, hash - 1, nonce, 1), None);
        }
    }

    #[test]
    fn the_search_wraps_and_ends() {
        let header = Header::from_bytes(&[0; HEADER_BYTES]);
        assert_eq!(search(&header, U256::MAX, u64::MAX, 1), Some(u64::MAX));
        assert_eq!(search(&header, U256::zero(), u64::MAX, 5), None);
    }
}
