//! Every key-space of the index's store: one tree, 13-byte keys, values of at most 32 KiB, each with a
//! checksum of its own, because what is missing from an index shows nowhere else. Must not know
//! blocks.
//!
//! | space | a | chunk | value |
//! |---|---|---|---|
//! | META | 1 | 0 | head: format, network, secret |
//! | META | 2 | 0 | manifest: how far the index is, and its runs |
//! | RUN | run | 0.. | entries, ascending, [`CHUNK_ENTRIES`] a chunk |
//! | FENCE | run | 0.. | the first entry of each chunk |
//! | BLOOM | run | 0.. | the run's filter |
//!
//! A run's values are written before the manifest that names it, and deleted after the one that does
//! not. What no manifest names is left over from a kill.

use std::ops::RangeInclusive;

use steelyard_core::hash::{BlockId, NetworkId, sha256d};
use steelyard_runtime::sled_door::{Door, VALUE_BYTES_MAX};

use super::entry::{ENTRY_BYTES, Mark, SECRET_BYTES, Secret};
use crate::limits::INDEX_RUNS_MAX;
use crate::store::bytes::{Reader, count};
use crate::store::{StoreError, damaged};

/// The format of everything here. Another one is made again from blocks, never migrated.
const FORMAT: u32 = 1;
/// Bytes of the checksum at the end of each value.
const CHECKSUM_BYTES: usize = 8;
/// Most bytes of a value without its checksum.
pub(super) const PAYLOAD_BYTES_MAX: usize = VALUE_BYTES_MAX - ENTRY_BYTES;
/// Entries of a chunk.
pub(super) const CHUNK_ENTRIES: usize = PAYLOAD_BYTES_MAX / ENTRY_BYTES;
/// Words of a chunk of a filter.
pub(super) const CHUNK_WORDS: usize = PAYLOAD_BYTES_MAX / 8;

const _: () = assert!(PAYLOAD_BYTES_MAX + CHECKSUM_BYTES <= VALUE_BYTES_MAX);
const _: () = assert!(MANIFEST_BYTES + INDEX_RUNS_MAX * RUN_BYTES <= PAYLOAD_BYTES_MAX);

/// Bytes of a manifest without runs, and of each run in it.
const MANIFEST_BYTES: usize = 8 + 32 + 8 + 4;
const RUN_BYTES: usize = 8 + 1 + 8 + 8;

/// META: format, network, secret.
pub(super) const META_HEAD: u64 = 1;
/// META: what the index is made of.
pub(super) const META_MANIFEST: u64 = 2;

/// One kind of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Space {
    Meta = 0x10,
    Run = 0x20,
    Fence = 0x30,
    Bloom = 0x40,
}

/// The spaces of runs.
pub(super) const RUN_SPACES: [Space; 3] = [Space::Run, Space::Fence, Space::Bloom];

/// A key: space u8, a u64 and chunk u32 big-endian.
pub(super) type StoreKey = [u8; 13];

/// The key of a chunk.
pub(super) fn key(space: Space, a: u64, chunk: u32) -> StoreKey {
    let mut key = [0; 13];
    key[0] = space as u8;
    key[1..9].copy_from_slice(&a.to_be_bytes());
    key[9..].copy_from_slice(&chunk.to_be_bytes());
    key
}

/// All keys of a space with `a` in `from..=to`.
pub(super) fn range(space: Space, from: u64, to: u64) -> RangeInclusive<StoreKey> {
    key(space, from, 0)..=key(space, to, u32::MAX)
}

/// A value as it is stored: the payload, and a checksum of it under this key.
pub(super) fn sealed(key: &StoreKey, mut payload: Vec<u8>) -> Vec<u8> {
    let checksum = checksum(key, &payload);
    payload.extend_from_slice(&checksum);
    payload
}

/// The payload of the value under a key.
///
/// # Errors
/// [`StoreError::Damaged`] when there is none or another than was written, or the disk's.
pub(super) fn get(door: &Door, key: &StoreKey) -> Result<Vec<u8>, StoreError> {
    let damage = |what: &str| damaged(format!("value {} of the index {what}", hex::encode(key)));
    let mut value = door.get(key)?.ok_or_else(|| damage("is missing"))?;
    let length = value.len().checked_sub(CHECKSUM_BYTES).ok_or_else(|| damage("is too short"))?;
    let found = value.split_off(length);
    if found != checksum(key, &value) {
        return Err(damage("is not what was written"));
    }
    Ok(value)
}

fn checksum(key: &StoreKey, payload: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let hash = sha256d(&[&key[..], payload].concat());
    *hash.first_chunk().expect("a hash has 32 bytes")
}

/// Whose index it is.
pub(super) struct Head {
    pub(super) network: NetworkId,
    pub(super) secret: Secret,
}

impl Head {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        [&FORMAT.to_le_bytes()[..], &self.network.0, &self.secret.0].concat()
    }

    /// # Errors
    /// [`StoreError::Damaged`], for another format too.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader::new("head of the index", bytes);
        let format = reader.u32()?;
        if format != FORMAT {
            return Err(damaged(format!("the index has format {format}, this program writes {FORMAT}")));
        }
        let head =
            Self { network: NetworkId(reader.array()?), secret: Secret(reader.array::<SECRET_BYTES>()?) };
        reader.end()?;
        Ok(head)
    }
}

/// A run as the manifest names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunMark {
    pub(super) number: u64,
    /// How often its oldest entries were merged.
    pub(super) level: u8,
    pub(super) entries: u64,
    /// Of its filter.
    pub(super) words: u64,
}

impl RunMark {
    pub(super) fn chunks(&self) -> u64 {
        self.entries.div_ceil(CHUNK_ENTRIES as u64)
    }

    /// The keys of everything it has.
    pub(super) fn keys(&self) -> impl Iterator<Item = StoreKey> + use<> {
        let lengths = [
            (Space::Run, self.chunks()),
            (Space::Fence, self.chunks().div_ceil(CHUNK_ENTRIES as u64)),
            (Space::Bloom, self.words.div_ceil(CHUNK_WORDS as u64)),
        ];
        let number = self.number;
        let keys = move |(space, chunks): (Space, u64)| {
            (0..u32::try_from(chunks).unwrap_or(u32::MAX)).map(move |chunk| key(space, number, chunk))
        };
        lengths.into_iter().flat_map(keys)
    }
}

/// What the index is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    /// The last block whose entries are in the runs, as all before it.
    pub(super) mark: Mark,
    /// Of them, blocks whose bodies could not be read: with any the index is made again at the next start.
    pub(super) unread: u64,
    pub(super) runs: Vec<RunMark>,
}

impl Manifest {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(MANIFEST_BYTES + self.runs.len() * RUN_BYTES);
        out.extend_from_slice(&self.mark.height.to_le_bytes());
        out.extend_from_slice(&self.mark.id.0);
        out.extend_from_slice(&self.unread.to_le_bytes());
        out.extend_from_slice(&count(self.runs.len()));
        for run in &self.runs {
            out.extend_from_slice(&run.number.to_le_bytes());
            out.push(run.level);
            out.extend_from_slice(&run.entries.to_le_bytes());
            out.extend_from_slice(&run.words.to_le_bytes());
        }
        out
    }

    /// # Errors
    /// [`StoreError::Damaged`].
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader::new("manifest of the index", bytes);
        let mark = Mark { height: reader.u64()?, id: BlockId(reader.array()?) };
        let unread = reader.u64()?;
        let mut runs = Vec::new();
        for _ in 0..reader.count(RUN_BYTES)? {
            runs.push(RunMark {
                number: reader.u64()?,
                level: reader.u8()?,
                entries: reader.u64()?,
                words: reader.u64()?,
            });
        }
        reader.end()?;
        Ok(Self { mark, unread, runs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_and_manifest_read_back_and_nothing_shorter_does() {
        let run = RunMark { number: 7, level: 2, entries: 9_000, words: 1_407 };
        let mark = Mark { height: 5, id: BlockId([3; 32]) };
        let manifest = Manifest { mark, unread: 1, runs: vec![run, RunMark { number: 8, ..run }] };
        let bytes = manifest.to_bytes();
        assert_eq!(bytes.len(), MANIFEST_BYTES + 2 * RUN_BYTES);
        assert_eq!(Manifest::from_bytes(&bytes).unwrap(), manifest);
        assert!((0..bytes.len()).all(|cut| Manifest::from_bytes(&bytes[..cut]).is_err()));
        let head = Head { network: NetworkId([4; 32]), secret: Secret([5; SECRET_BYTES]) }.to_bytes();
        assert!((0..head.len()).all(|cut| Head::from_bytes(&head[..cut]).is_err()));
        assert_eq!(Head::from_bytes(&head).unwrap().network, NetworkId([4; 32]));
        let mut other = head;
        other[0] += 1;
        assert!(Head::from_bytes(&other).err().unwrap().to_string().contains("format 2"));
    }

    #[test]
    fn a_run_names_all_its_keys() {
        let run = RunMark { number: 1, level: 0, entries: 2 * CHUNK_ENTRIES as u64 + 1, words: 5_000 };
        let expected = [
            key(Space::Run, 1, 0),
            key(Space::Run, 1, 1),
            key(Space::Run, 1, 2),
            key(Space::Fence, 1, 0),
            key(Space::Bloom, 1, 0),
            key(Space::Bloom, 1, 1),
        ];
        assert_eq!(run.keys().collect::<Vec<_>>(), expected);
    }
}
