//! Version 0 of the node's store, and version 1 as it was when it was new: frozen.
//!
//! | space | version 0 | version 1 |
//! |---|---|---|
//! | 0x10 META | 1 version, 2 network, 3 checkpoint | and 4 the program that wrote it |
//! | 0x20 LOG | a stream a commit: received, taken off, put on, invalid | with the tip after the commit in front, and a check |
//! | 0x30 MEMPOOL, 0x40 DELTA, 0x70 PEERS | streams | streams with a check |
//! | 0x50 BODY, 0x60 CHECKPOINT | | the same |
//!
//! A stream lies in chunks of 32 KiB under one `a`: its length, u64 little-endian, and from version 1
//! on the first 8 bytes of SHA-256 over space, a (big-endian), length (little-endian) and bytes; then
//! the bytes. BODY's have no check: each body is held against its header.
//!
//! Each space has 34 empty entries at `a` = 0 and at `a` = 2^64 - 1. PEERS may be without them in
//! version 0.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use steelyard_runtime::sled_door::Door;

use super::key;
use crate::road::{Sink, StepError, for_each};

const META: u8 = 0x10;
const LOG: u8 = 0x20;
const MEMPOOL: u8 = 0x30;
const DELTA: u8 = 0x40;
const BODY: u8 = 0x50;
const CHECKPOINT: u8 = 0x60;
const PEERS: u8 = 0x70;

const SENTINELS: u32 = 34;
const VALUE_BYTES: usize = 32 * 1024;
const META_NETWORK: u64 = 2;
const META_CHECKPOINT: u64 = 3;

/// Version 1 of version 0.
pub(super) fn step(old: &Door, new: &mut Sink<'_>) -> Result<(), StepError> {
    put_sentinels(new, META, 0)?;
    for a in [META_NETWORK, META_CHECKPOINT] {
        let found = key(META, a, 0);
        match old.get(found)? {
            Some(value) => new.put(&found, &value)?,
            None if a == META_NETWORK => {
                return Err(StepError::damaged("the network's id is missing".into()));
            }
            None => {}
        }
    }
    let network = old.get(key(META, META_NETWORK, 0))?.and_then(|value| value.try_into().ok());
    let genesis = network.ok_or_else(|| StepError::damaged("the network's id cannot be read".into()))?;
    put_sentinels(new, META, u64::MAX)?;
    let mut chain = Chain::new(genesis);
    streams(old, new, LOG, |seq, bytes| chain.with_tip(seq, bytes).map(Some))?;
    streams(old, new, MEMPOOL, |_, bytes| Ok(Some(bytes)))?;
    streams(old, new, DELTA, |_, bytes| Ok(Some(bytes)))?;
    copy(old, new, BODY)?;
    copy(old, new, CHECKPOINT)?;
    streams(old, new, PEERS, |_, bytes| Ok(Some(bytes)))
}

fn put_sentinels(new: &mut Sink<'_>, space: u8, a: u64) -> Result<(), StepError> {
    (0..SENTINELS).try_for_each(|chunk| new.put(&key(space, a, chunk), &[]))
}

/// Everything of a space between its sentinels.
fn content(space: u8) -> ([u8; 13], [u8; 13]) {
    (key(space, 1, 0), key(space, u64::MAX - 1, u32::MAX))
}

fn copy(old: &Door, new: &mut Sink<'_>, space: u8) -> Result<(), StepError> {
    put_sentinels(new, space, 0)?;
    let (from, to) = content(space);
    for_each(old, (&from, &to), |key, value| new.put(key, value))?;
    put_sentinels(new, space, u64::MAX)
}

/// Every stream of a space, with what `change` makes of it. One that is not whole ends a step in LOG;
/// elsewhere it is left out: the node makes deltas good from the bodies, and can do without the rest.
fn streams(
    old: &Door,
    new: &mut Sink<'_>,
    space: u8,
    mut change: impl FnMut(u64, Vec<u8>) -> Result<Option<Vec<u8>>, StepError>,
) -> Result<(), StepError> {
    put_sentinels(new, space, 0)?;
    let mut open: Option<Stream> = None;
    let (from, to) = content(space);
    let mut finish = |stream: Option<Stream>, new: &mut Sink<'_>| -> Result<(), StepError> {
        let Some(Stream { a, length, mut bytes, next: _ }) = stream else { return Ok(()) };
        if bytes.len() < length {
            if space == LOG {
                return Err(StepError::damaged(format!("the log of commit {a} is not whole")));
            }
            tracing::warn!(space, a, "a stream that is not whole is left out");
            return Ok(());
        }
        // Chunks past the length are left over from an attempt that was killed.
        bytes.truncate(length);
        match change(a, bytes)? {
            Some(bytes) => put_stream(new, space, a, &bytes),
            None => Ok(()),
        }
    };
    for_each(old, (&from, &to), |found, value| {
        let (a, chunk) = split(found)?;
        if chunk == 0 {
            finish(open.take(), new)?;
            open = Some(Stream::begin(a, value)?);
        } else if let Some(stream) = open.as_mut().filter(|stream| stream.a == a && stream.next == chunk) {
            stream.next += 1;
            if stream.bytes.len() < stream.length {
                stream.bytes.extend_from_slice(value);
            }
        }
        Ok(())
    })?;
    finish(open.take(), new)?;
    put_sentinels(new, space, u64::MAX)
}

/// A stream of version 0 that is being read.
struct Stream {
    a: u64,
    length: usize,
    bytes: Vec<u8>,
    /// The chunk that goes on.
    next: u32,
}

impl Stream {
    fn begin(a: u64, first: &[u8]) -> Result<Self, StepError> {
        let head = first.split_first_chunk::<8>();
        let (length, bytes) =
            head.ok_or_else(|| StepError::damaged(format!("a stream of commit {a} is cut")))?;
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        Ok(Self { a, length, bytes: bytes.to_vec(), next: 1 })
    }
}

fn split(found: &[u8]) -> Result<(u64, u32), StepError> {
    let parts = found.get(1..).and_then(|rest| rest.split_first_chunk::<8>());
    let parts = parts
        .and_then(|(a, chunk)| Some((u64::from_be_bytes(*a), u32::from_be_bytes(chunk.try_into().ok()?))));
    parts.ok_or_else(|| StepError::damaged("a key has no known form".into()))
}

fn put_stream(new: &mut Sink<'_>, space: u8, a: u64, bytes: &[u8]) -> Result<(), StepError> {
    let length = (bytes.len() as u64).to_le_bytes();
    let check = Sha256::new()
        .chain_update([space])
        .chain_update(a.to_be_bytes())
        .chain_update(length)
        .chain_update(bytes)
        .finalize();
    let whole = [&length[..], &check[..8], bytes].concat();
    for (chunk, value) in (0..).zip(whole.chunks(VALUE_BYTES)) {
        new.put(&key(space, a, chunk), value)?;
    }
    Ok(())
}

/// The active chain, as far as a tip needs it: ids by height, and what is known of every block.
struct Chain {
    active: Vec<[u8; 32]>,
    blocks: HashMap<[u8; 32], Block>,
}

/// A block: figures that a tip has.
#[derive(Clone, Copy, Default)]
struct Block {
    /// Work of it and all before it, genesis not counted.
    work: u128,
    time: u64,
    elapsed: u64,
}

const HEADER_BYTES: usize = 176;

impl Chain {
    /// The network's id is its genesis block's.
    fn new(genesis: [u8; 32]) -> Self {
        Self { active: vec![genesis], blocks: HashMap::from([(genesis, Block::default())]) }
    }

    /// A commit's log with the tip after it in front: height u64, id 32, work u128, time u64, elapsed u64.
    /// Of genesis the last three are 0.
    fn with_tip(&mut self, seq: u64, log: Vec<u8>) -> Result<Vec<u8>, StepError> {
        self.follow(&log)
            .ok_or_else(|| StepError::damaged(format!("the log of commit {seq} contradicts itself")))?;
        let height = self.active.len() as u64 - 1;
        let id = *self.active.last().expect("genesis is never taken off");
        let block = self.blocks[&id];
        let mut out = Vec::with_capacity(72 + log.len());
        out.extend_from_slice(&height.to_le_bytes());
        out.extend_from_slice(&id);
        out.extend_from_slice(&block.work.to_le_bytes());
        out.extend_from_slice(&block.time.to_le_bytes());
        out.extend_from_slice(&block.elapsed.to_le_bytes());
        out.extend_from_slice(&log);
        Ok(out)
    }

    /// Does what a log says: received u32 {header 176, body bytes u32}, taken off u32, put on u32 {id 32}.
    /// What follows are marks of invalid blocks.
    fn follow(&mut self, mut log: &[u8]) -> Option<()> {
        for _ in 0..take_u32(&mut log)? {
            let header = take::<HEADER_BYTES>(&mut log)?;
            take_u32(&mut log)?;
            let prev: [u8; 32] = header[12..44].try_into().ok()?;
            let number = |at: usize| header[at..at + 8].try_into().ok().map(u64::from_le_bytes);
            let (elapsed, time) = (number(140)?, number(156)?);
            let bits = u32::from_le_bytes(header[164..168].try_into().ok()?);
            let work = self.blocks.get(&prev)?.work.checked_add(work_of(bits)?)?;
            self.blocks.insert(block_id(&header), Block { work, time, elapsed });
        }
        let off = take_u32(&mut log)? as usize;
        self.active.truncate(self.active.len().checked_sub(off).filter(|left| *left > 0)?);
        for _ in 0..take_u32(&mut log)? {
            let id = take::<32>(&mut log)?;
            self.blocks.get(&id)?;
            self.active.push(id);
        }
        Some(())
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    take(bytes).map(u32::from_le_bytes)
}

/// BIP 340's tagged hash with the tag "steelyard/block".
fn block_id(header: &[u8; HEADER_BYTES]) -> [u8; 32] {
    let tag = Sha256::digest("steelyard/block");
    Sha256::new().chain_update(tag).chain_update(tag).chain_update(header).finalize().into()
}

// The macro's own arithmetic is out of our hands.
#[allow(missing_docs, clippy::all, clippy::pedantic, unsafe_code)]
mod integers {
    uint::construct_uint! {
        /// 256-bit unsigned integer.
        pub struct U256(4);
    }
}

/// floor(2^256 / (target + 1)) of compact bits; `None` above u128 and for bits that no header has.
fn work_of(bits: u32) -> Option<u128> {
    use integers::U256;
    let (exponent, mantissa) = (bits >> 24, U256::from(bits & 0x007f_ffff));
    if exponent > 32 || bits & 0x0080_0000 != 0 || mantissa.is_zero() {
        return None;
    }
    let target =
        if exponent <= 3 { mantissa >> (8 * (3 - exponent)) } else { mantissa << (8 * (exponent - 3)) };
    let work = (!target / target.checked_add(U256::one())?).checked_add(U256::one())?;
    (work.bits() <= 128).then(|| work.low_u128())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_of_known_bits() {
        assert_eq!(work_of(0x1d00_ffff), Some(0x1_0001_0001));
        assert_eq!(work_of(0x207f_ffff), Some(2));
        assert_eq!((work_of(0x0100_0001), work_of(0), work_of(0xff7f_ffff)), (None, None, None));
    }
}
