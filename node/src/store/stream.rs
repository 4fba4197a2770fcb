//! Streams: byte strings of any length as chunks of at most 32 KiB, with their length in front, so that
//! chunks left over from a killed attempt are never taken for content, and a check, because sled's own
//! checksums have let flipped bits through. Bodies have no check: a part of a stream of them is read
//! alone, and each is held against its header. Must not know what the bytes are.

use sha2::{Digest, Sha256};
use steelyard_runtime::sled_door::{Batch, Door, VALUE_BYTES_MAX};

use super::schema::{Space, key, range, split};
use super::{StoreError, damaged};

/// Bytes of the length in front.
const LENGTH_BYTES: usize = 8;
/// Bytes of the check behind it: a fault goes unseen once in 2^64.
const CHECK_BYTES: usize = 8;
/// Longest stream that is read into memory at once.
const STREAM_BYTES_MAX: u64 = 1 << 30;
/// Chunks fetched at once: readers of long streams hold at most this much twice.
const SCAN_CHUNKS: usize = 64;

/// Adds a stream to a batch.
pub fn put(batch: &mut Batch, space: Space, a: u64, bytes: &[u8]) {
    for (chunk, value) in chunks(space, a, bytes) {
        batch.put(key(space, a, chunk), value);
    }
}

/// Writes a stream ahead of the commit that refers to it, in batches of a few chunks. Not durable
/// before that commit is.
///
/// # Errors
/// [`StoreError`] of the disk.
pub fn write_ahead(door: &Door, space: Space, a: u64, bytes: &[u8]) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    for (chunk, value) in chunks(space, a, bytes) {
        batch.put(key(space, a, chunk), value);
        if batch.len() == 8 {
            door.write(std::mem::replace(&mut batch, Batch::new()))?;
        }
    }
    if !batch.is_empty() {
        door.write(batch)?;
    }
    Ok(())
}

/// What stands in front of the bytes.
fn head(space: Space, a: u64, bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    match space {
        Space::Body => length.to_vec(),
        _ => [length, check(space, a, bytes)].concat(),
    }
}

fn head_bytes(space: Space) -> usize {
    if space == Space::Body { LENGTH_BYTES } else { LENGTH_BYTES + CHECK_BYTES }
}

/// The first bytes of SHA-256 over the stream's place, length and bytes: one that was moved is found too.
fn check(space: Space, a: u64, bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let length = (bytes.len() as u64).to_le_bytes();
    let place = Sha256::new().chain_update([space as u8]).chain_update(a.to_be_bytes());
    let digest: [u8; 32] = place.chain_update(length).chain_update(bytes).finalize().into();
    *digest.first_chunk().expect("a digest is longer")
}

/// The chunks of a stream, by number.
pub fn chunks(space: Space, a: u64, bytes: &[u8]) -> impl Iterator<Item = (u32, Vec<u8>)> + '_ {
    let head = head(space, a, bytes);
    let (first, rest) = bytes.split_at(bytes.len().min(VALUE_BYTES_MAX - head.len()));
    let first = std::iter::once([&head[..], first].concat());
    let others = rest.chunks(VALUE_BYTES_MAX).map(<[u8]>::to_vec);
    (0..).zip(first.chain(others))
}

/// Reads a whole stream; `None` when there is none.
///
/// # Errors
/// [`StoreError::Damaged`] when chunks are missing or the check does not hold, or the disk's error.
pub fn read(door: &Door, space: Space, a: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(first) = door.get(key(space, a, 0))? else { return Ok(None) };
    let head = Head::read(space, a, &first)?;
    let bytes = read_bytes(door, (space, a), (0, head.length))?;
    head.confirm((space, a), bytes).map(Some)
}

/// Reads `length` bytes of a body's stream from `offset` on, touching only the chunks that hold them.
///
/// # Errors
/// [`StoreError::Damaged`] when chunks are missing or short, or the disk's error.
pub fn read_part(door: &Door, a: u64, part: (u64, u64)) -> Result<Vec<u8>, StoreError> {
    read_bytes(door, (Space::Body, a), part)
}

fn read_bytes(
    door: &Door,
    (space, a): (Space, u64),
    (offset, length): (u64, u64),
) -> Result<Vec<u8>, StoreError> {
    let chunk_bytes = VALUE_BYTES_MAX as u64;
    let (mut at, end) = (head_bytes(space) as u64 + offset, head_bytes(space) as u64 + offset + length);
    // A damaged length must not claim memory that its chunks would not fill.
    let mut bytes =
        Vec::with_capacity(usize::try_from(length.min(SCAN_CHUNKS as u64 * chunk_bytes)).unwrap_or(0));
    while at < end {
        let chunk = u32::try_from(at / chunk_bytes).map_err(|_| missing(space, a, u32::MAX))?;
        let value = door.get(key(space, a, chunk))?.ok_or_else(|| missing(space, a, chunk))?;
        let from = at % chunk_bytes;
        let to = (from + (end - at)).min(chunk_bytes);
        let part = value.get(from as usize..to as usize).ok_or_else(|| missing(space, a, chunk))?;
        bytes.extend_from_slice(part);
        at += to - from;
    }
    Ok(bytes)
}

/// Calls `each` with every stream of a space from `a` = `from` on, ascending.
///
/// # Errors
/// [`StoreError::Damaged`] when a stream is not whole, the disk's error, or that of `each`.
pub fn for_each(
    door: &Door,
    space: Space,
    from: u64,
    mut each: impl FnMut(u64, Vec<u8>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let all = range(space, from, u64::MAX);
    let mut next = *all.start();
    let mut open: Option<(u64, Head, Vec<u8>)> = None;
    loop {
        let page = door.scan(next..=*all.end(), SCAN_CHUNKS)?;
        let Some((last, _)) = page.last() else { break };
        let (a, chunk) = split(last).ok_or_else(|| missing(space, 0, 0))?;
        next = key(space, a, chunk.saturating_add(1));
        for (found, value) in &page {
            let (a, chunk) = split(found).ok_or_else(|| missing(space, 0, 0))?;
            if chunk == 0 {
                finish(space, open.take(), &mut each)?;
                let head = Head::read(space, a, value)?;
                open = Some((a, head, value[head_bytes(space)..].to_vec()));
            } else if let Some((_, head, bytes)) = open.as_mut().filter(|(stream, ..)| *stream == a) {
                // Chunks past the length are left over from an attempt that was killed.
                if (bytes.len() as u64) < head.length {
                    bytes.extend_from_slice(value);
                }
            } else {
                return Err(missing(space, a, 0));
            }
        }
    }
    finish(space, open, &mut each)
}

fn finish(
    space: Space,
    stream: Option<(u64, Head, Vec<u8>)>,
    each: &mut impl FnMut(u64, Vec<u8>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let Some((a, head, mut bytes)) = stream else { return Ok(()) };
    if (bytes.len() as u64) < head.length {
        return Err(missing(space, a, 0));
    }
    bytes.truncate(usize::try_from(head.length).map_err(|_| missing(space, a, 0))?);
    each(a, head.confirm((space, a), bytes)?)
}

/// What stands in front of a stream.
struct Head {
    length: u64,
    /// `None` of bodies.
    check: Option<[u8; CHECK_BYTES]>,
}

impl Head {
    fn read(space: Space, a: u64, first: &[u8]) -> Result<Self, StoreError> {
        let cut = || missing(space, a, 0);
        let (length, rest) = first.split_first_chunk::<LENGTH_BYTES>().ok_or_else(cut)?;
        let length = Some(u64::from_le_bytes(*length)).filter(|length| *length <= STREAM_BYTES_MAX);
        let check = match space {
            Space::Body => None,
            _ => Some(*rest.first_chunk().ok_or_else(cut)?),
        };
        Ok(Self { length: length.ok_or_else(cut)?, check })
    }

    /// The bytes, if they are those that were written.
    fn confirm(&self, (space, a): (Space, u64), bytes: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        if self.check.is_some_and(|written| written != check(space, a, &bytes)) {
            return Err(damaged(format!("{space:?} {a} is not what was written")));
        }
        Ok(bytes)
    }
}

fn missing(space: Space, a: u64, chunk: u32) -> StoreError {
    damaged(format!("{space:?} {a} is not whole (chunk {chunk})"))
}
