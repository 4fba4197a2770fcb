//! BIP 340 keys and signatures over secp256k1. Signing is here for wallets and tests; no part of
//! the node calls it, and nothing here makes a key.

use secp256k1::schnorr;
use secp256k1::{Keypair, XOnlyPublicKey};

/// Bytes of an x-only public key.
pub const PUBLIC_KEY_BYTES: usize = 32;
/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;

/// An x-only public key as bytes; whether it is one at all shows [`PublicKey::lift`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, bincode::Encode, bincode::Decode)]
pub struct PublicKey(pub [u8; PUBLIC_KEY_BYTES]);

/// A signature as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Signature(pub [u8; SIGNATURE_BYTES]);

/// A public key as the point it stands for: lifting costs a tenth of a verification, so it is
/// done once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiftedKey(XOnlyPublicKey);

impl PublicKey {
    /// The point with these bytes as its x coordinate (BIP 340, `lift_x`); `None` when there is none.
    #[must_use]
    pub fn lift(&self) -> Option<LiftedKey> {
        XOnlyPublicKey::from_byte_array(self.0).ok().map(LiftedKey)
    }

    /// Whether `signature` signs `message` under this key (BIP 340, Verification).
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        self.lift().is_some_and(|key| key.verifies(message, signature))
    }
}

impl LiftedKey {
    /// Whether `signature` signs `message` under this key (BIP 340, Verification).
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        schnorr::verify(&schnorr::Signature::from_byte_array(signature.0), message, &self.0).is_ok()
    }
}

/// A secret key. Neither printed nor compared, and erased with its owner; the bytes that it was made
/// from are the caller's to erase.
pub struct SecretKey(Keypair);

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.0.non_secure_erase();
    }
}

impl SecretKey {
    /// The key of these bytes; `None` for zero or a number not below the curve's order.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Option<Self> {
        Keypair::from_secret_bytes(bytes).ok().map(Self)
    }

    /// Its public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.x_only_public_key().0.to_byte_array())
    }

    /// Signs a message with auxiliary randomness of zeros, which BIP 340 allows: a payment that is
    /// signed again after a crash must be the same bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(schnorr::sign_with_aux_rand(message, &self.0, &[0; 32]).to_byte_array())
    }

    /// Signs with given auxiliary randomness.
    #[must_use]
    pub fn sign_with(&self, message: &[u8], randomness: &[u8; 32]) -> Signature {
        Signature(schnorr::sign_with_aux_rand(message, &self.0, randomness).to_byte_array())
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(..)")
    }
}
