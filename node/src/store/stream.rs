//! Streams: byte strings of any length as chunks of at most 32 KiB, with their length in front,
//! so that chunks left over from a killed attempt are never taken for content.
//! Must not know what the bytes are.

use steelyard_runtime::sled_door::{Batch, Door, VALUE_BYTES_MAX};

use super::schema::{Space, key, range, split};
use super::{StoreError, damaged};

/// Bytes of the length in front.
const LENGTH_BYTES: usize = 8;
/// Longest stream that is read into memory at once.
const STREAM_BYTES_MAX: u64 = 1 << 30;
/// Chunks fetched at once: readers of long streams hold at most this much twice.
const SCAN_CHUNKS: usize = 64;

/// Adds a stream to a batch.
pub fn put(batch: &mut Batch, space: Space, a: u64, bytes: &[u8]) {
    for (chunk, value) in chunks(bytes) {
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
    for (chunk, value) in chunks(bytes) {
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

/// The chunks of a stream, by number.
pub fn chunks(bytes: &[u8]) -> impl Iterator<Item = (u32, Vec<u8>)> + '_ {
    let length = (bytes.len() as u64).to_le_bytes();
    let (head, rest) = bytes.split_at(bytes.len().min(VALUE_BYTES_MAX - LENGTH_BYTES));
    let first = std::iter::once([&length[..], head].concat());
    let others = rest.chunks(VALUE_BYTES_MAX).map(<[u8]>::to_vec);
    (0..).zip(first.chain(others))
}

/// Reads a whole stream; `None` when there is none.
///
/// # Errors
/// [`StoreError::Damaged`] when chunks are missing, or the disk's error.
pub fn read(door: &Door, space: Space, a: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(first) = door.get(key(space, a, 0))? else { return Ok(None) };
    let length = length(space, a, &first)?;
    read_part(door, space, a, (0, length)).map(Some)
}

/// Reads `length` bytes from `offset` on, touching only the chunks that hold them.
///
/// # Errors
/// [`StoreError::Damaged`] when chunks are missing or short, or the disk's error.
pub fn read_part(
    door: &Door,
    space: Space,
    a: u64,
    (offset, length): (u64, u64),
) -> Result<Vec<u8>, StoreError> {
    let chunk_bytes = VALUE_BYTES_MAX as u64;
    let (mut at, end) = (LENGTH_BYTES as u64 + offset, LENGTH_BYTES as u64 + offset + length);
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
    let mut open: Option<(u64, u64, Vec<u8>)> = None;
    loop {
        let page = door.scan(next..=*all.end(), SCAN_CHUNKS)?;
        let Some((last, _)) = page.last() else { break };
        let (a, chunk) = split(last).ok_or_else(|| missing(space, 0, 0))?;
        next = key(space, a, chunk.saturating_add(1));
        for (found, value) in &page {
            let (a, chunk) = split(found).ok_or_else(|| missing(space, 0, 0))?;
            if chunk == 0 {
                finish(space, open.take(), &mut each)?;
                let length = length(space, a, value)?;
                open = Some((a, length, value[LENGTH_BYTES..].to_vec()));
            } else if let Some((_, length, bytes)) = open.as_mut().filter(|(stream, ..)| *stream == a) {
                // Chunks past the length are left over from an attempt that was killed.
                if (bytes.len() as u64) < *length {
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
    stream: Option<(u64, u64, Vec<u8>)>,
    each: &mut impl FnMut(u64, Vec<u8>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let Some((a, length, mut bytes)) = stream else { return Ok(()) };
    if (bytes.len() as u64) < length {
        return Err(missing(space, a, 0));
    }
    bytes.truncate(usize::try_from(length).map_err(|_| missing(space, a, 0))?);
    each(a, bytes)
}

fn length(space: Space, a: u64, first: &[u8]) -> Result<u64, StoreError> {
    let length = first.first_chunk::<LENGTH_BYTES>().map(|bytes| u64::from_le_bytes(*bytes));
    length.filter(|length| *length <= STREAM_BYTES_MAX).ok_or_else(|| missing(space, a, 0))
}

fn missing(space: Space, a: u64, chunk: u32) -> StoreError {
    damaged(format!("{space:?} {a} is not whole (chunk {chunk})"))
}
