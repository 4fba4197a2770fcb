//! The seal over a wallet's secret: a passphrase becomes a key (Argon2id, RFC 9106), and the key
//! seals (XChaCha20-Poly1305, draft-irtf-cfrg-xchacha-03). Must not know what is sealed, nor files.

use argon2::{Algorithm, Argon2, Block, ParamsBuilder, Version};
use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};
use zeroize::Zeroizing;

/// Bytes of the salt that a passphrase is hashed with (RFC 9106 section 3.1 recommends 16).
pub const SALT_BYTES: usize = 16;
/// Bytes of a nonce: long enough to be random.
pub const NONCE_BYTES: usize = 24;
/// Bytes of the tag that shows a wrong key or changed bytes.
pub const TAG_BYTES: usize = 16;
/// Bytes of a key.
pub const KEY_BYTES: usize = 32;

/// Most memory that a file may ask for, in KiB: 1 GiB. A file is not trusted with more.
pub const MEMORY_KIB_MAX: u32 = 1024 * 1024;
/// Most passes that a file may ask for.
pub const PASSES_MAX: u32 = 64;
/// Most lanes that a file may ask for.
pub const LANES_MAX: u32 = 16;
/// KiB that each lane needs (RFC 9106 section 3.1).
const MEMORY_KIB_PER_LANE: u32 = 8;

/// What one try of a passphrase costs, its owner and whoever guesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KdfCost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes, which are worked on one after another here.
    pub lanes: u32,
}

impl Default for KdfCost {
    /// RFC 9106 section 4, second choice, with one lane for four: they would be worked on one
    /// after another by us and together by whoever guesses.
    fn default() -> Self {
        Self { memory_kib: 64 * 1024, passes: 3, lanes: 1 }
    }
}

/// A cost out of its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{parameter} of {got}, where {least} to {most} is allowed")]
pub struct CostError {
    /// Which part.
    pub parameter: &'static str,
    /// What was asked for.
    pub got: u32,
    /// The least there is.
    pub least: u32,
    /// The most there is.
    pub most: u32,
}

/// The machine has not the memory that the cost asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no {memory_kib} KiB of memory to try a passphrase with")]
pub struct OutOfMemory {
    /// How much it would take.
    pub memory_kib: u32,
}

impl KdfCost {
    /// Checks every bound, before a byte is allocated.
    ///
    /// # Errors
    /// [`CostError`], the first that applies.
    pub fn check(&self) -> Result<(), CostError> {
        let within = |parameter, got, least, most| {
            let is_within = (least..=most).contains(&got);
            if is_within { Ok(()) } else { Err(CostError { parameter, got, least, most }) }
        };
        within("lanes", self.lanes, 1, LANES_MAX)?;
        within("passes", self.passes, 1, PASSES_MAX)?;
        within("memory (KiB)", self.memory_kib, MEMORY_KIB_PER_LANE * self.lanes, MEMORY_KIB_MAX)
    }
}

/// What Argon2 hashes (RFC 9106 section 3.1). A keystore has a password and a salt; the two others
/// are here because the RFC's test vector has them.
#[derive(Clone, Copy)]
pub struct KdfInput<'a> {
    /// The passphrase's bytes.
    pub password: &'a [u8],
    /// At least 8 bytes.
    pub salt: &'a [u8],
    /// A key of the program's own.
    pub secret: &'a [u8],
    /// At most 32 bytes.
    pub associated: &'a [u8],
}

/// Argon2id, version 0x13, of 32 bytes (RFC 9106). The memory it worked in is erased.
///
/// # Errors
/// [`OutOfMemory`].
///
/// # Panics
/// A cost that [`KdfCost::check`] refuses, a salt too short and associated data too long.
pub fn argon2id(input: &KdfInput<'_>, cost: KdfCost) -> Result<Zeroizing<[u8; KEY_BYTES]>, OutOfMemory> {
    let params = ParamsBuilder::new()
        .m_cost(cost.memory_kib)
        .t_cost(cost.passes)
        .p_cost(cost.lanes)
        .output_len(KEY_BYTES)
        .data(input.associated.try_into().expect("the caller keeps to its bound"))
        .build()
        .expect("the caller checked the cost");
    let count = params.block_count();
    let function = Argon2::new_with_secret(input.secret, Algorithm::Argon2id, Version::V0x13, params)
        .expect("only a secret of 4 GiB is too long");
    let mut blocks = Zeroizing::new(Vec::new());
    blocks.try_reserve_exact(count).map_err(|_| OutOfMemory { memory_kib: cost.memory_kib })?;
    blocks.resize(count, Block::default());
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    function
        .hash_password_into_with_memory(input.password, input.salt, key.as_mut_slice(), blocks.as_mut_slice())
        .expect("lengths are checked above, and the blocks are as many as it says");
    Ok(key)
}

/// Seals `text` in place under a key and a nonce that were never used together; `clear` is bound to
/// it. The tag.
pub fn seal(
    key: &[u8; KEY_BYTES],
    nonce: &[u8; NONCE_BYTES],
    clear: &[u8],
    text: &mut [u8],
) -> [u8; TAG_BYTES] {
    XChaCha20Poly1305::new(key.into())
        .encrypt_inout_detached(nonce.into(), clear, text.into())
        .expect("only a text of 256 GiB is too long")
        .into()
}

/// Opens what [`seal`] sealed, in place. Whether key, nonce, `clear`, `text` and tag are those of
/// then; if not, `text` stays as it is.
#[must_use]
pub fn unseal(
    key: &[u8; KEY_BYTES],
    nonce: &[u8; NONCE_BYTES],
    clear: &[u8],
    text: &mut [u8],
    tag: &[u8; TAG_BYTES],
) -> bool {
    XChaCha20Poly1305::new(key.into())
        .decrypt_inout_detached(nonce.into(), clear, text.into(), tag.into())
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_checked_at_both_ends() {
        let cost = |memory_kib, passes, lanes| KdfCost { memory_kib, passes, lanes };
        for right in [cost(8, 1, 1), cost(128, 64, 16), cost(MEMORY_KIB_MAX, 1, 1), KdfCost::default()] {
            assert_eq!(right.check(), Ok(()), "{right:?}");
        }
        let max = u32::MAX;
        for (wrong, parameter) in [
            (cost(7, 1, 1), "memory (KiB)"),
            (cost(127, 1, 16), "memory (KiB)"),
            (cost(MEMORY_KIB_MAX + 1, 1, 1), "memory (KiB)"),
            (cost(max, max, 1), "passes"),
            (cost(8, 0, 1), "passes"),
            (cost(8, 65, 1), "passes"),
            (cost(8, 1, 0), "lanes"),
            (cost(max, max, max), "lanes"),
        ] {
            assert_eq!(wrong.check().unwrap_err().parameter, parameter, "{wrong:?}");
        }
    }

    #[test]
    fn each_part_of_a_seal_counts() {
        let (key, nonce) = ([1; KEY_BYTES], [2; NONCE_BYTES]);
        let mut text = *b"what is sealed";
        let tag = seal(&key, &nonce, b"clear", &mut text);
        assert_ne!(&text, b"what is sealed");
        let sealed = text;
        let mut changed = tag;
        changed[0] ^= 1;
        assert!(!unseal(&[3; KEY_BYTES], &nonce, b"clear", &mut text, &tag));
        assert!(!unseal(&key, &[3; NONCE_BYTES], b"clear", &mut text, &tag));
        assert!(!unseal(&key, &nonce, b"cleat", &mut text, &tag));
        assert!(!unseal(&key, &nonce, b"clear", &mut text, &changed));
        assert_eq!(text, sealed);
        assert!(unseal(&key, &nonce, b"clear", &mut text, &tag));
        assert_eq!(&text, b"what is sealed");
    }
}
