//! A keystore as bytes and as a file: where each field is, what it may hold, how the file comes
//! into being. Must not know passphrases or derivation: what is sealed is bytes.
//!
//! Integers are little-endian. Every file of this version has [`FILE_BYTES`]; a file of any version
//! begins with magic and version and ends with its checksum.
//!
//! | bytes | field |
//! |---|---|
//! | 8 | magic, `STEELKEY` |
//! | 2 | version |
//! | 16 | wallet id |
//! | 32 | network id |
//! | 8 | created, unix ms |
//! | 8 | birthday, a height |
//! | 1 | origin: 1 created, 2 restored, 3 dev |
//! | 1 | seal: 0 none, 1 Argon2id and XChaCha20-Poly1305 |
//! | 12 | cost: memory in KiB, passes, lanes (zeros without a seal) |
//! | 16 | salt (zeros without a seal) |
//! | 24 | nonce (zeros without a seal) |
//! | 65 | the account's public key, compressed, and chain code |
//! | 33 | the secret: bytes of entropy u8, entropy, zeros up to 32; sealed, or as it is |
//! | 16 | the seal's tag over the secret and all before it (zeros without a seal) |
//! | 32 | SHA-256 of all before it |
//!
//! The checksum tells a damaged file from a wrong passphrase, which the seal alone cannot.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use steelyard_core::hash::NetworkId;
use steelyard_runtime::{dirs, ready};

use super::derive::ACCOUNT_BYTES;
use super::error::{Fault, KeystoreError};
use super::seal::{KdfCost, NONCE_BYTES, SALT_BYTES, TAG_BYTES};
use super::secret::ENTROPY_BYTES_MAX;
use super::{Origin, WalletId, random};

/// First bytes of every keystore. Frozen.
pub const MAGIC: [u8; 8] = *b"STEELKEY";
/// The version this program reads and writes.
pub const VERSION: u16 = 1;
/// Bytes of the secret: its length, and as much as the longest needs, so that the file does not
/// tell how many words there are.
pub const SECRET_BYTES: usize = 1 + ENTROPY_BYTES_MAX;
/// Bytes of a wallet's id.
pub const ID_BYTES: usize = 16;
/// Bytes before the secret, to which the seal binds it.
pub const HEADER_BYTES: usize =
    START_BYTES + (ID_BYTES + 32 + 8 + 8 + 1) + (1 + COST_BYTES + SALT_BYTES + NONCE_BYTES) + ACCOUNT_BYTES;
/// Bytes of a keystore.
pub const FILE_BYTES: usize = HEADER_BYTES + SECRET_BYTES + TAG_BYTES + CHECKSUM_BYTES;

/// Magic and version.
const START_BYTES: usize = MAGIC.len() + 2;
const COST_BYTES: usize = 3 * 4;
const CHECKSUM_BYTES: usize = 32;
/// Bytes of the longest keystore of any version to come: more is not read.
const FILE_BYTES_MAX: usize = 4096;

const ORIGIN_CREATED: u8 = 1;
const ORIGIN_RESTORED: u8 = 2;
const ORIGIN_DEV: u8 = 3;
const SEAL_NONE: u8 = 0;
const SEAL_PASSPHRASE: u8 = 1;

/// All that stands in the clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which wallet.
    pub id: WalletId,
    /// Of which network.
    pub network: NetworkId,
    /// When the file was made, unix ms.
    pub created_ms: u64,
    /// No transaction of the wallet is in a block below this height.
    pub birthday: u64,
    /// Where the words came from.
    pub origin: Origin,
    /// How the secret is sealed, if it is.
    pub lock: Option<Lock>,
    /// The account's public half.
    pub account: [u8; ACCOUNT_BYTES],
}

/// How a passphrase becomes the key of the seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// What a try costs.
    pub cost: KdfCost,
    /// Of this file alone.
    pub salt: [u8; SALT_BYTES],
    /// Of this file alone.
    pub nonce: [u8; NONCE_BYTES],
}

/// The secret, sealed or as it is, and its tag.
#[derive(Clone)]
pub struct Sealed {
    /// Length, entropy, zeros.
    pub secret: Zeroizing<[u8; SECRET_BYTES]>,
    /// Zeros without a seal.
    pub tag: [u8; TAG_BYTES],
}

impl Header {
    /// What the seal binds the secret to.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let origin = match self.origin {
            Origin::Created => ORIGIN_CREATED,
            Origin::Restored => ORIGIN_RESTORED,
            Origin::Dev => ORIGIN_DEV,
        };
        let mut writer = Writer { bytes: [0; HEADER_BYTES], at: 0 };
        writer.put(&MAGIC);
        writer.put(&VERSION.to_le_bytes());
        writer.put(&self.id.0);
        writer.put(&self.network.0);
        writer.put(&self.created_ms.to_le_bytes());
        writer.put(&self.birthday.to_le_bytes());
        writer.put(&[origin]);
        if let Some(Lock { cost, salt, nonce }) = &self.lock {
            writer.put(&[SEAL_PASSPHRASE]);
            for part in [cost.memory_kib, cost.passes, cost.lanes] {
                writer.put(&part.to_le_bytes());
            }
            writer.put(salt);
            writer.put(nonce);
        } else {
            writer.put(&[SEAL_NONE]);
            writer.put(&[0; COST_BYTES + SALT_BYTES + NONCE_BYTES]);
        }
        writer.put(&self.account);
        writer.bytes
    }

    /// Reads what [`Header::to_bytes`] wrote, after magic and version were read.
    fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Result<Self, Fault> {
        let mut reader = Reader { rest: &bytes[START_BYTES..] };
        let id = WalletId(reader.take());
        let network = NetworkId(reader.take());
        let created_ms = u64::from_le_bytes(reader.take());
        let birthday = u64::from_le_bytes(reader.take());
        let origin = match reader.take() {
            [ORIGIN_CREATED] => Origin::Created,
            [ORIGIN_RESTORED] => Origin::Restored,
            [ORIGIN_DEV] => Origin::Dev,
            [tag] => return Err(Fault::Tag { field: "origin", tag }),
        };
        let [seal] = reader.take();
        let [memory_kib, passes, lanes] = std::array::from_fn(|_| u32::from_le_bytes(reader.take()));
        let cost = KdfCost { memory_kib, passes, lanes };
        let (salt, nonce) = (reader.take(), reader.take());
        let lock = match seal {
            SEAL_NONE => None,
            SEAL_PASSPHRASE => {
                cost.check().map_err(Fault::Cost)?;
                Some(Lock { cost, salt, nonce })
            }
            tag => return Err(Fault::Tag { field: "seal", tag }),
        };
        let account = reader.take();
        let header = Self { id, network, created_ms, birthday, origin, lock, account };
        // One header has one form: what is not read must be what would be written.
        if header.to_bytes() == *bytes { Ok(header) } else { Err(Fault::NotEmpty) }
    }
}

/// Writes fields one after another.
struct Writer {
    bytes: [u8; HEADER_BYTES],
    at: usize,
}

impl Writer {
    fn put(&mut self, field: &[u8]) {
        self.bytes[self.at..][..field.len()].copy_from_slice(field);
        self.at += field.len();
    }
}

/// Reads fields one after another.
struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.rest.split_first_chunk().expect("the fields are as long as the header");
        self.rest = rest;
        *field
    }
}

/// The whole file. Without a seal it holds the secret.
#[must_use]
pub fn to_bytes(header: &Header, sealed: &Sealed) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES));
    bytes.extend_from_slice(&header.to_bytes());
    bytes.extend_from_slice(sealed.secret.as_slice());
    bytes.extend_from_slice(&sealed.tag);
    let checksum = Sha256::digest(bytes.as_slice());
    bytes.extend_from_slice(&checksum);
    bytes
}

/// Why bytes are no keystore of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// They are damaged.
    Damaged(Fault),
    /// They are whole, of another version.
    Version(u16),
}

impl From<Fault> for Unreadable {
    fn from(fault: Fault) -> Self {
        Self::Damaged(fault)
    }
}

/// Reads what [`to_bytes`] wrote.
///
/// # Errors
/// The first thing that is wrong: magic, checksum, version, fields.
pub fn from_bytes(bytes: &[u8]) -> Result<(Header, Sealed), Unreadable> {
    let wrong_length = Fault::Length { got: bytes.len(), expected: FILE_BYTES };
    let too_short = || Unreadable::from(wrong_length);
    if !bytes.starts_with(&MAGIC[..MAGIC.len().min(bytes.len())]) {
        return Err(Fault::Magic.into());
    }
    let (body, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(too_short)?;
    if Sha256::digest(body)[..] != checksum[..] {
        // A wrong length says more than a wrong checksum; a right one leaves only that.
        let is_whole = bytes.len() == FILE_BYTES;
        return Err(if is_whole { Fault::Checksum } else { wrong_length }.into());
    }
    let version = body[..].get(MAGIC.len()..START_BYTES).ok_or_else(too_short)?;
    let version = u16::from_le_bytes(version.try_into().expect("two bytes"));
    if version != VERSION {
        return Err(Unreadable::Version(version));
    }
    let (header, rest) = body.split_first_chunk().ok_or_else(too_short)?;
    let (secret, tag) = rest.split_first_chunk().ok_or_else(too_short)?;
    let tag = tag.try_into().map_err(|_| wrong_length)?;
    let header = Header::from_bytes(header)?;
    if header.lock.is_none() && tag != [0; TAG_BYTES] {
        return Err(Fault::NotEmpty.into());
    }
    Ok((header, Sealed { secret: Zeroizing::new(*secret), tag }))
}

/// Reads a keystore's file.
///
/// # Errors
/// [`KeystoreError::Io`], [`KeystoreError::Damaged`], [`KeystoreError::Version`].
pub fn read(path: &Path) -> Result<(Header, Sealed), KeystoreError> {
    let bytes = read_bounded(path).map_err(|source| KeystoreError::io(path, "read", source))?;
    from_bytes(&bytes).map_err(|unreadable| match unreadable {
        Unreadable::Damaged(fault) => KeystoreError::damaged(path, fault),
        Unreadable::Version(found) => {
            KeystoreError::Version { path: path.to_owned(), found, expected: VERSION }
        }
    })
}

/// At most one byte more than a keystore may have. The room is there at once: bytes that grow
/// leave their shorter selves in memory, and without a seal they hold the secret.
fn read_bounded(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let most = FILE_BYTES_MAX + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(most));
    File::open(path)?.take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Makes a keystore's file, mode 0600: whole and durable, or not at all, and never in the place of
/// another. A crash may leave a hidden file beside it. The file system must know hard links.
///
/// # Errors
/// [`KeystoreError::Exists`], [`KeystoreError::Io`].
pub fn create(path: &Path, header: &Header, sealed: &Sealed) -> Result<(), KeystoreError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => KeystoreError::Exists { path: path.to_owned() },
        _ => KeystoreError::io(path, "create", source),
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside = beside(folder).map_err(failed)?;
    ready::write_atomically(&beside, &to_bytes(header, sealed), 0o600).map_err(failed)?;
    // A rename would replace a file that came into being meanwhile; a second name for the same
    // file is refused where there is one.
    let named = fs::hard_link(&beside, path);
    // The first failure is the one to tell; the hidden name goes if it can.
    let _ = fs::remove_file(&beside);
    named.and_then(|()| dirs::sync_dir(folder)).map_err(failed)
}

/// A hidden name in the folder that no other writer takes.
fn beside(folder: &Path) -> io::Result<PathBuf> {
    let suffix = hex::encode(random::bytes::<8>()?);
    Ok(folder.join(format!(".keystore-{suffix}.new")))
}
