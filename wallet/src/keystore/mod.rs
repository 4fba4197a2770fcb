//! A wallet's keystore: one file that holds the secret sealed under a passphrase, and the public
//! half of its account in the clear, so that a locked wallet gives addresses and shows balances.
//! Must not know balances, nodes or the daemon; the time and the cost are arguments.
//!
//! | file | what |
//! |---|---|
//! | `secret` | words and passphrases |
//! | `derive` | keys from a seed |
//! | `seal` | passphrase to key, key to seal |
//! | `file` | the layout, reading, creating |
//! | `error` | what can go wrong |
//! | `random` | the system's randomness |
//! | `stack` | what is left of work with secrets |
//!
//! Whoever can write the file of a locked wallet can put another account's public half into it, and
//! the wallet would give that account's addresses until it is unlocked: only the secret shows the
//! difference. So the file is its owner's alone (0600), and unlocking compares.

pub mod derive;
mod error;
mod file;
mod random;
mod seal;
mod secret;
mod stack;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use steelyard_core::crypto::policy::Policy;
use steelyard_core::encode::List;
use steelyard_core::hash::{Address, NetworkId};
use steelyard_core::types::transaction::{Authorization, Transaction, TxBody};

pub use error::{Fault, KeystoreError};
pub use seal::{CostError, KdfCost, KdfInput, OutOfMemory, argon2id, seal, unseal};
pub use secret::{Passphrase, WORD_COUNTS, Words, WordsError};

use derive::{Account, Signer};
use file::{Header, Lock, SECRET_BYTES, Sealed};
use stack::swept;

/// Which wallet, whatever its file is called: random, made with the file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WalletId(pub [u8; file::ID_BYTES]);

impl fmt::Display for WalletId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for WalletId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WalletId({self})")
    }
}

/// Where a wallet's words came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Made here: nothing of it is older than the file.
    Created,
    /// Given by the user: there may be a history.
    Restored,
    /// The published words of the `dev` network.
    Dev,
}

/// All that makes a new keystore.
#[derive(Debug)]
pub struct NewKeystore<'a> {
    /// The only network it will sign for.
    pub network: NetworkId,
    /// Height below which no block holds a transaction of the wallet.
    pub birthday: u64,
    /// Now, unix ms.
    pub created_ms: u64,
    /// Where the words came from.
    pub origin: Origin,
    /// What its keys are derived from.
    pub words: &'a Words,
    /// `None` or empty: the file is not encrypted.
    pub passphrase: Option<&'a Passphrase>,
    /// What a try of the passphrase costs; nothing without one.
    pub cost: KdfCost,
}

/// A keystore that is open, and locked: no secret in the clear, unless the file holds it so.
pub struct Keystore {
    path: PathBuf,
    header: Header,
    account: Account,
    sealed: Sealed,
}

impl Keystore {
    /// Makes the file: whole and durable, or not at all. Slow with a passphrase, by its cost.
    ///
    /// # Errors
    /// [`KeystoreError::Exists`] when there is a file of that name, [`KeystoreError::Cost`] for a
    /// cost that would not be read back, and those of the machine.
    pub fn create(path: &Path, new: NewKeystore<'_>) -> Result<Self, KeystoreError> {
        // Said before the slow part; what comes into being meanwhile is not replaced either.
        if fs::symlink_metadata(path).is_ok() {
            return Err(KeystoreError::Exists { path: path.to_owned() });
        }
        let passphrase = new.passphrase.filter(|passphrase| !passphrase.is_empty());
        let lock = passphrase.map(|_| new_lock(new.cost)).transpose()?;
        let account = signer_of(new.words)?.account().clone();
        let header = Header {
            id: WalletId(random::bytes().map_err(KeystoreError::Randomness)?),
            network: new.network,
            created_ms: new.created_ms,
            birthday: new.birthday,
            origin: new.origin,
            lock,
            account: account.to_bytes(),
        };
        let sealed = swept(|| sealed_in(&header, new.words, passphrase))?;
        file::create(path, &header, &sealed)?;
        Ok(Self { path: path.to_owned(), header, account, sealed })
    }

    /// Reads the file, and nothing of it that is sealed.
    ///
    /// # Errors
    /// [`KeystoreError::Damaged`], [`KeystoreError::Version`], [`KeystoreError::Io`].
    pub fn open(path: &Path) -> Result<Self, KeystoreError> {
        let (header, sealed) = file::read(path)?;
        let account = Account::from_bytes(&header.account)
            .ok_or_else(|| KeystoreError::damaged(path, Fault::PublicKey))?;
        Ok(Self { path: path.to_owned(), header, account, sealed })
    }

    /// Whether unlocking takes a passphrase.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.header.lock.is_some()
    }

    /// Which wallet it is.
    #[must_use]
    pub fn id(&self) -> WalletId {
        self.header.id
    }

    /// The only network it signs for.
    #[must_use]
    pub fn network(&self) -> NetworkId {
        self.header.network
    }

    /// Height below which no block holds a transaction of the wallet.
    #[must_use]
    pub fn birthday(&self) -> u64 {
        self.header.birthday
    }

    /// When the file was made, unix ms.
    #[must_use]
    pub fn created_ms(&self) -> u64 {
        self.header.created_ms
    }

    /// Where its words came from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.header.origin
    }

    /// Who may spend from address `index`, below 2^31: its one key. Needs no passphrase.
    ///
    /// # Errors
    /// [`KeystoreError::NoKey`].
    pub fn policy(&self, index: u32) -> Result<Policy, KeystoreError> {
        let key = self.account.key(index).ok_or(KeystoreError::NoKey { index })?;
        Ok(Policy::single(key).expect("a derived key is a point"))
    }

    /// Address `index`, below 2^31. Needs no passphrase.
    ///
    /// # Errors
    /// [`KeystoreError::NoKey`].
    pub fn address(&self, index: u32) -> Result<Address, KeystoreError> {
        self.policy(index).map(|policy| policy.address())
    }

    /// The keys. Slow when encrypted, by the file's cost; a keystore that is not takes any
    /// passphrase.
    ///
    /// # Errors
    /// [`KeystoreError::Locked`] without a passphrase where one is needed,
    /// [`KeystoreError::WrongPassphrase`], [`KeystoreError::OutOfMemory`], and
    /// [`KeystoreError::Damaged`] when what was sealed is not the wallet's secret.
    pub fn unlock(&self, passphrase: Option<&Passphrase>) -> Result<Keys, KeystoreError> {
        swept(|| self.unsealed(passphrase))
    }

    fn unsealed(&self, passphrase: Option<&Passphrase>) -> Result<Keys, KeystoreError> {
        let mut secret = self.sealed.secret.clone();
        if let Some(lock) = &self.header.lock {
            let given = passphrase.filter(|passphrase| !passphrase.is_empty());
            let key = key_of(given.ok_or(KeystoreError::Locked)?, lock)?;
            let clear = self.header.to_bytes();
            if !seal::unseal(&key, &lock.nonce, &clear, secret.as_mut_slice(), &self.sealed.tag) {
                return Err(KeystoreError::WrongPassphrase);
            }
        }
        let damaged = |fault| KeystoreError::damaged(&self.path, fault);
        let words = read_back(&secret).ok_or_else(|| damaged(Fault::Secret))?;
        let signer = signer_of(&words)?;
        if signer.account().to_bytes() != self.header.account {
            return Err(damaged(Fault::Mismatch));
        }
        Ok(Keys { network: self.header.network, signer, words })
    }
}

impl fmt::Debug for Keystore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keystore")
            .field("path", &self.path)
            .field("id", &self.header.id)
            .finish_non_exhaustive()
    }
}

/// An unlocked wallet's keys. Erased when dropped.
pub struct Keys {
    network: NetworkId,
    signer: Signer,
    words: Words,
}

impl Keys {
    /// Signs with the key of address `index`. The same body gives the same bytes, always: a payment
    /// that is signed again after a crash is the same payment.
    ///
    /// # Errors
    /// [`KeystoreError::NoKey`]; [`KeystoreError::WrongNetwork`] and
    /// [`KeystoreError::WrongSender`] for a body that this key cannot sign for.
    pub fn sign(&self, index: u32, body: TxBody) -> Result<Transaction, KeystoreError> {
        if body.network != self.network {
            return Err(KeystoreError::WrongNetwork);
        }
        swept(|| {
            let key = self.signer.key(index).ok_or(KeystoreError::NoKey { index })?;
            let policy = Policy::single(key.public()).expect("a secret key's public key is a point");
            if policy.address() != body.sender {
                return Err(KeystoreError::WrongSender { index });
            }
            let signatures = List::new(vec![key.sign(&body.id().0)]).expect("one is not too many");
            let authorization = Authorization { policy: policy.into(), signers: 1, signatures };
            Ok(Transaction { body, authorization })
        })
    }

    /// The words, for who asks to see them again.
    #[must_use]
    pub fn words(&self) -> &Words {
        &self.words
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

fn new_lock(cost: KdfCost) -> Result<Lock, KeystoreError> {
    cost.check()?;
    let salt = random::bytes().map_err(KeystoreError::Randomness)?;
    let nonce = random::bytes().map_err(KeystoreError::Randomness)?;
    Ok(Lock { cost, salt, nonce })
}

/// The words' secret, sealed if the header says how.
fn sealed_in(
    header: &Header,
    words: &Words,
    passphrase: Option<&Passphrase>,
) -> Result<Sealed, KeystoreError> {
    let mut sealed = Sealed { secret: lay_out(words), tag: Default::default() };
    if let (Some(lock), Some(passphrase)) = (&header.lock, passphrase) {
        let key = key_of(passphrase, lock)?;
        sealed.tag = seal::seal(&key, &lock.nonce, &header.to_bytes(), sealed.secret.as_mut_slice());
    }
    Ok(sealed)
}

/// The seal's key. Its cost was checked when the lock was made or read.
fn key_of(passphrase: &Passphrase, lock: &Lock) -> Result<Zeroizing<[u8; seal::KEY_BYTES]>, KeystoreError> {
    let input = KdfInput { password: passphrase.as_bytes(), salt: &lock.salt, secret: &[], associated: &[] };
    Ok(argon2id(&input, lock.cost)?)
}

fn signer_of(words: &Words) -> Result<Signer, KeystoreError> {
    Signer::from_seed(words.seed("").as_slice()).ok_or(KeystoreError::NoAccount)
}

/// The secret as the file holds it: length, entropy, zeros.
fn lay_out(words: &Words) -> Zeroizing<[u8; SECRET_BYTES]> {
    let (entropy, length) = words.entropy();
    let mut secret = Zeroizing::new([0; SECRET_BYTES]);
    secret[0] = u8::try_from(length).expect("at most 32");
    secret[1..].copy_from_slice(entropy.as_slice());
    secret
}

/// The words of what [`lay_out`] laid out; `None` for anything else.
fn read_back(secret: &[u8; SECRET_BYTES]) -> Option<Words> {
    let (length, rest) = secret.split_first()?;
    let (entropy, zeros) = rest.split_at_checked(usize::from(*length))?;
    if zeros.iter().any(|byte| *byte != 0) {
        return None;
    }
    Words::from_entropy(entropy)
}
