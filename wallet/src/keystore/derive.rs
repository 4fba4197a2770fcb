//! Keys from a seed (BIP 32) on the path that every network shares, [`ACCOUNT_PATH`]`/0/i`: key i
//! is the only key of address i. Secret keys are erased with their owner. Must not know words, files
//! or passphrases.

pub use bip32::Prefix;
use bip32::{ChainCode, ChildNumber, PrivateKey as _, PrivateKeyBytes, PublicKey as _, PublicKeyBytes};
use secp256k1::{Scalar, SecretKey as RawKey};
use zeroize::Zeroizing;

use steelyard_core::crypto::keys::{PUBLIC_KEY_BYTES, PublicKey, SecretKey};

use super::stack::swept;

/// Where a wallet's account is (BIP 44: purpose 44', coin type 1' for every network but Bitcoin's
/// own, account 0'). Frozen: words give other addresses on another path.
pub const ACCOUNT_PATH: &str = "m/44'/1'/0'";
/// The branch below the account whose addresses are given out (BIP 44, "Change"). There is no
/// other: accounts have a balance and nothing to give change for.
const RECEIVING: u32 = 0;
/// Bytes of the account's public half: compressed key and chain code.
pub const ACCOUNT_BYTES: usize = KEY_BYTES + CHAIN_CODE_BYTES;
/// Bytes of a compressed public key (SEC 1 section 2.3.3).
const KEY_BYTES: usize = 1 + PUBLIC_KEY_BYTES;
const CHAIN_CODE_BYTES: usize = 32;

/// A secret key of the tree with all that its text form has.
pub type ExtendedSecret = bip32::ExtendedPrivateKey<Secret>;
/// A public key of the tree with all that its text form has.
pub type ExtendedPublic = bip32::ExtendedPublicKey<secp256k1::PublicKey>;

/// A secret key of the tree as the arithmetic of BIP 32 wants it. On the heap: it stays in one
/// place when its owner moves.
#[derive(Clone)]
pub struct Secret(Box<Zeroizing<PrivateKeyBytes>>);

impl Secret {
    /// What the curve's library reads. Its keys erase nothing by themselves.
    fn with_raw<T>(&self, work: impl FnOnce(&RawKey) -> T) -> T {
        let mut raw = RawKey::from_secret_bytes(**self.0).expect("checked when the key was made");
        let result = work(&raw);
        raw.non_secure_erase();
        result
    }
}

impl bip32::PrivateKey for Secret {
    type PublicKey = secp256k1::PublicKey;

    fn from_bytes(bytes: &PrivateKeyBytes) -> bip32::Result<Self> {
        let mut raw = RawKey::from_secret_bytes(*bytes)?;
        raw.non_secure_erase();
        Ok(Self(Box::new(Zeroizing::new(*bytes))))
    }

    fn to_bytes(&self) -> PrivateKeyBytes {
        **self.0
    }

    /// BIP 32, "Private parent key to private child key": parent and tweak, added.
    fn derive_child(&self, tweak: PrivateKeyBytes) -> bip32::Result<Self> {
        let tweak = Zeroizing::new(tweak);
        let mut scalar = Scalar::from_be_bytes(*tweak)?;
        let sum = self.with_raw(|parent| parent.add_tweak(&scalar));
        scalar.non_secure_erase();
        let mut child = sum?;
        let bytes = Zeroizing::new(child.to_secret_bytes());
        child.non_secure_erase();
        Ok(Self(Box::new(bytes)))
    }

    fn public_key(&self) -> secp256k1::PublicKey {
        self.with_raw(secp256k1::PublicKey::from_secret_key)
    }
}

/// The public half of a wallet's account: it gives every address and signs nothing. It is no
/// secret of the coins but one of privacy, and with one secret key of an address it would give all
/// others (BIP 32, "Security"): so no single secret key ever leaves a keystore.
#[derive(Clone)]
pub struct Account {
    bytes: [u8; ACCOUNT_BYTES],
    /// Parent of the addresses' keys, and its chain code.
    receiving: (secp256k1::PublicKey, ChainCode),
}

impl Account {
    /// Reads compressed key and chain code; `None` when the key is no point of the curve, or, for
    /// one in 2^127, has no branch of addresses.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; ACCOUNT_BYTES]) -> Option<Self> {
        let (key, chain_code) = bytes.split_at(KEY_BYTES);
        let key: PublicKeyBytes = key.try_into().ok()?;
        let chain_code: ChainCode = chain_code.try_into().ok()?;
        let key = <secp256k1::PublicKey as bip32::PublicKey>::from_bytes(key).ok()?;
        let (tweak, chain_code) = key.derive_tweak(&chain_code, ChildNumber(RECEIVING)).ok()?;
        Some(Self { bytes: *bytes, receiving: (key.derive_child(tweak).ok()?, chain_code) })
    }

    /// Compressed key and chain code.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; ACCOUNT_BYTES] {
        self.bytes
    }

    /// The public key of address `index`; `None` from 2^31 on, and for one index in 2^127.
    #[must_use]
    pub fn key(&self, index: u32) -> Option<PublicKey> {
        let point = self.receiving.0.derive_child(self.tweak(index)?).ok()?;
        Some(PublicKey(point.x_only_public_key().0.to_byte_array()))
    }

    /// What is added to both halves of the parent for the key of address `index`.
    fn tweak(&self, index: u32) -> Option<PrivateKeyBytes> {
        let number = ChildNumber::new(index, false).ok()?;
        let (key, chain_code) = &self.receiving;
        key.derive_tweak(chain_code, number).ok().map(|(tweak, _)| tweak)
    }
}

/// The secret half of a wallet's account, with its public half.
pub struct Signer {
    account: Account,
    /// Parent of the addresses' keys: a signature costs one step of derivation.
    receiving: Secret,
}

impl Signer {
    /// The account of a seed; `None` for one seed in 2^127, which has none.
    #[must_use]
    pub fn from_seed(seed: &[u8]) -> Option<Self> {
        swept(|| Self::derive(seed))
    }

    fn derive(seed: &[u8]) -> Option<Self> {
        let path = ACCOUNT_PATH.parse().expect("a path");
        let account = ExtendedSecret::derive_from_path(seed, &path).ok()?;
        let mut bytes = [0; ACCOUNT_BYTES];
        bytes[..KEY_BYTES].copy_from_slice(&account.public_key().to_bytes());
        bytes[KEY_BYTES..].copy_from_slice(&account.attrs().chain_code);
        let receiving = account.derive_child(ChildNumber(RECEIVING)).ok()?;
        Some(Self { account: Account::from_bytes(&bytes)?, receiving: receiving.private_key().clone() })
    }

    /// The public half.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The secret key of address `index`, the caller's to erase; `None` from 2^31 on, and for one
    /// index in 2^127.
    #[must_use]
    pub fn key(&self, index: u32) -> Option<SecretKey> {
        let child = self.receiving.derive_child(self.account.tweak(index)?).ok()?;
        SecretKey::new(**child.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use steelyard_core::params::DEV_PATH;

    #[test]
    fn the_path_is_the_published_one() {
        assert_eq!(format!("{ACCOUNT_PATH}/{RECEIVING}/"), DEV_PATH);
    }

    #[test]
    fn both_halves_give_the_same_keys() {
        let signer = Signer::from_seed(&[7; 64]).unwrap();
        let account = Account::from_bytes(&signer.account().to_bytes()).unwrap();
        for index in [0, 1, 2, 1000, (1 << 31) - 1] {
            assert_eq!(account.key(index), Some(signer.key(index).unwrap().public()), "{index}");
        }
        for index in [1 << 31, u32::MAX] {
            assert!(account.key(index).is_none() && signer.key(index).is_none(), "{index}");
        }
        assert_ne!(account.key(0), account.key(1));
    }

    #[test]
    fn no_account_but_on_the_curve() {
        let mut bytes = Signer::from_seed(&[7; 64]).unwrap().account().to_bytes();
        for first in [0, 1, 4, 6, 0xff] {
            bytes[0] = first;
            assert!(Account::from_bytes(&bytes).is_none(), "{first}");
        }
        // x = 5 is on no point of secp256k1.
        bytes[..KEY_BYTES].fill(0);
        (bytes[0], bytes[KEY_BYTES - 1]) = (2, 5);
        assert!(Account::from_bytes(&bytes).is_none());
    }
}
