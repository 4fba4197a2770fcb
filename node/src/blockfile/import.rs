//! Reading blocks into the chain, through the same door as those of peers: all rules are checked, a
//! group is one commit, blocks that are here are passed over. Whatever ends it, what came before is
//! kept, so the same file again goes on from there.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest, Sha256};
use steelyard_core::hash::{BlockId, NetworkId};
use steelyard_core::params::{BLOCK_BYTES_LIMIT, Params};
use steelyard_core::types::body::Body;
use steelyard_core::types::header::{HEADER_BYTES, Header};
use steelyard_runtime::lock::FolderLock;
use steelyard_runtime::{clock, failpoint};

use super::{BlockFileError, END_BYTES, HEAD_BYTES, MAGIC, RECORD_BYTES_MAX, VERSION};
use crate::chain::check::{Tail, UncheckedBlock};
use crate::chain::error::{Accepted, BlockError};
use crate::chain::{Chain, Submission, load};
use crate::limits::{GROUP_BLOCKS_MAX, GROUP_BYTES_MAX, SYNC_SUBMISSIONS_MAX};
use crate::store::{PROGRAM, STORE_FOLDER, Store, damaged};

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Blocks of the file.
    pub blocks: u64,
    /// Those of them that were not here before.
    pub new: u64,
    /// Height of the chain's tip now.
    pub height: u64,
    /// The tip now: not the file's last block where another branch has more work.
    pub tip: BlockId,
}

/// Imports into the store in a node's folder, which no node may have open; see [`import`].
///
/// # Errors
/// [`BlockFileError`]; blocks before the first that is wrong are kept.
pub fn into_stopped(
    params: Params,
    data_dir: &Path,
    input: &mut dyn Read,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Imported, BlockFileError> {
    let _lock = FolderLock::acquire(data_dir, PROGRAM)?;
    let genesis = params.genesis();
    let store = Arc::new(Store::open(&data_dir.join(STORE_FOLDER), &genesis.id.into())?);
    let loaded = load::load_from(params, genesis, &store)?;
    let failed = |source| BlockFileError::Io { doing: "start a thread for", source };
    let (chain, writer) = Chain::start(loaded, store).map_err(failed)?;
    let imported = import(&chain, input, progress);
    chain.stop();
    writer.join().unwrap_or_else(|_| Err(damaged("the chain's thread ended early".into())))?;
    imported
}

/// Reads a whole file into a chain. `progress` hears how many blocks are done, and of how many.
///
/// # Errors
/// [`BlockFileError`]; blocks before the first that is wrong are kept.
pub fn import(
    chain: &Chain,
    input: &mut dyn Read,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Imported, BlockFileError> {
    let mut reader = Reader { input, hash: Sha256::new(), offset: 0 };
    let head = reader.head(chain.shared.network)?;
    let mut taker = Taker { chain, tail: None, group: Group::default(), waiting: VecDeque::new(), new: 0 };
    let read = read_blocks(&mut reader, &head, &mut taker, progress);
    // What was read is taken first, also when something is wrong after it: what is wrong with a block
    // comes before what is wrong later in the file.
    taker.flush()?;
    while taker.settle()? {}
    let last = read?;
    reader.end(&head, last)?;
    let view = chain.shared.read();
    let (height, tip) = (view.tip().header.height, view.tip().id);
    Ok(Imported { blocks: head.count, new: taker.new, height, tip })
}

/// Hands every block on, and gives the id of the last.
fn read_blocks(
    reader: &mut Reader<'_>,
    head: &Head,
    taker: &mut Taker<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Option<BlockId>, BlockFileError> {
    let (mut done, mut last) = (0, None);
    loop {
        let place = Place { height: head.from.saturating_add(done), offset: reader.offset };
        let Some(record) = reader.record(&place)? else { break };
        let (header, body) = record.split_first_chunk::<HEADER_BYTES>().expect("its length was checked");
        let header = Header::from_bytes(header);
        let id = header.id();
        if header.height != place.height {
            return Err(place.wrong(format!("it says that its height is {}", header.height)));
        }
        if last.is_some_and(|last| last != header.prev) {
            return Err(place.wrong("its parent is not the block before it".to_owned()));
        }
        if !taker.knows(&id) {
            let body = Body::from_bytes(body, usize::try_from(BLOCK_BYTES_LIMIT).unwrap_or(usize::MAX));
            let body = body.map_err(|error| place.wrong(format!("its body cannot be read: {error}")))?;
            taker.take(UncheckedBlock { header, body }, record.len(), place)?;
        }
        last = Some(id);
        done += 1;
        progress(done, head.count);
    }
    if done == head.count {
        return Ok(last);
    }
    let reason = format!("{done} blocks are before it, {} were to be", head.count);
    Err(BlockFileError::End { offset: reader.offset - 4, reason })
}

/// What a file says about itself.
struct Head {
    from: u64,
    count: u64,
}

/// Where a block is.
#[derive(Clone, Copy)]
struct Place {
    height: u64,
    offset: u64,
}

impl Place {
    fn wrong(&self, reason: String) -> BlockFileError {
        BlockFileError::Block { height: self.height, offset: self.offset, reason }
    }

    /// What the chain says of the block here.
    fn refused(&self, error: BlockError) -> BlockFileError {
        let Self { height, offset } = *self;
        match error {
            BlockError::Rule(_) | BlockError::KnownInvalid { .. } => self.wrong(error.to_string()),
            error => BlockFileError::NotNow { height, offset, error },
        }
    }
}

/// Reads parts, and knows the checksum of what it has read.
struct Reader<'a> {
    input: &'a mut dyn Read,
    hash: Sha256,
    offset: u64,
}

impl Reader<'_> {
    fn head(&mut self, expected: NetworkId) -> Result<Head, BlockFileError> {
        let bytes = self.exactly(HEAD_BYTES)?.ok_or(BlockFileError::NoBlockFile)?;
        let rest = bytes.strip_prefix(MAGIC).ok_or(BlockFileError::NoBlockFile)?;
        let (version, rest) = rest.split_at(4);
        let (network, rest) = rest.split_at(32);
        let (from, count) = rest.split_at(8);
        let version = u32::from_le_bytes(version.try_into().expect("4 bytes"));
        if version != VERSION {
            return Err(BlockFileError::Version { found: version, expected: VERSION });
        }
        let found = NetworkId(network.try_into().expect("32 bytes"));
        if found != expected {
            return Err(BlockFileError::OtherNetwork { found, expected });
        }
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("8 bytes"));
        Ok(Head { from: number(from), count: number(count) })
    }

    /// The next block's bytes; `None` at the end.
    fn record(&mut self, place: &Place) -> Result<Option<Vec<u8>>, BlockFileError> {
        let truncated =
            || BlockFileError::Truncated { height: place.height.saturating_sub(1), offset: place.offset };
        let length = self.exactly(4)?.ok_or_else(truncated)?;
        let length = u32::from_le_bytes(length.try_into().expect("4 bytes"));
        if length == 0 {
            return Ok(None);
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if !(HEADER_BYTES..=RECORD_BYTES_MAX).contains(&length) {
            return Err(place.wrong(format!("{length} bytes are no block's length")));
        }
        self.exactly(length)?.ok_or_else(truncated).map(Some)
    }

    fn end(&mut self, head: &Head, last: Option<BlockId>) -> Result<(), BlockFileError> {
        let offset = self.offset - 4;
        let wrong = |reason: &str| BlockFileError::End { offset, reason: reason.to_owned() };
        let end = self.exactly(END_BYTES)?.ok_or_else(|| wrong("it is cut off"))?;
        let (count, tip) = end.split_at(8);
        if count != head.count.to_le_bytes() || last.is_some_and(|last| tip != last.0) {
            return Err(wrong("it names other blocks"));
        }
        let expected = self.hash.clone().finalize();
        if self.exactly(expected.len())?.ok_or_else(|| wrong("it is cut off"))? != expected[..] {
            return Err(wrong("its checksum does not match"));
        }
        match self.exactly(1)? {
            None => Ok(()),
            Some(_) => Err(wrong("something comes after it")),
        }
    }

    /// The next bytes; `None` when the file ends before there are so many.
    fn exactly(&mut self, length: usize) -> Result<Option<Vec<u8>>, BlockFileError> {
        // What a length claims is not believed before it is there.
        let mut bytes = Vec::new();
        let read = Read::take(&mut *self.input, length as u64).read_to_end(&mut bytes);
        match read {
            Ok(read) if read < length => return Ok(None),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            Err(source) => return Err(BlockFileError::Io { doing: "read", source }),
        }
        self.hash.update(&bytes);
        self.offset += bytes.len() as u64;
        Ok(Some(bytes))
    }
}

/// Consecutive blocks that go to the chain together.
#[derive(Default)]
struct Group {
    blocks: Vec<UncheckedBlock>,
    places: Vec<Place>,
    bytes: usize,
}

/// Hands groups to the chain, the next one being read and checked while one is committed.
struct Taker<'a> {
    chain: &'a Chain,
    tail: Option<Tail>,
    group: Group,
    waiting: VecDeque<(Submission, Vec<Place>)>,
    new: u64,
}

impl Taker<'_> {
    /// Whether a block is here and right. One that is here and wrong is submitted, to be refused by name.
    fn knows(&self, id: &BlockId) -> bool {
        self.chain.shared.read().block(id).is_some_and(|(_, entry)| !entry.is_invalid())
    }

    fn take(&mut self, block: UncheckedBlock, bytes: usize, place: Place) -> Result<(), BlockFileError> {
        self.group.blocks.push(block);
        self.group.places.push(place);
        self.group.bytes += bytes;
        if self.group.blocks.len() >= GROUP_BLOCKS_MAX || self.group.bytes >= GROUP_BYTES_MAX {
            self.flush()?;
        }
        Ok(())
    }

    /// Submits what has come together.
    fn flush(&mut self) -> Result<(), BlockFileError> {
        let Group { blocks, places, .. } = std::mem::take(&mut self.group);
        if blocks.is_empty() {
            return Ok(());
        }
        while self.waiting.len() >= SYNC_SUBMISSIONS_MAX {
            self.settle()?;
        }
        let (submission, tail) = self.chain.begin_blocks(self.tail.take(), blocks, clock::now_ms());
        self.tail = tail;
        self.waiting.push_back((submission, places));
        Ok(())
    }

    /// Waits for the oldest submission; false when there is none.
    fn settle(&mut self) -> Result<bool, BlockFileError> {
        let Some((submission, places)) = self.waiting.pop_front() else { return Ok(false) };
        for (verdict, place) in submission.wait().into_iter().zip(places) {
            match verdict {
                Ok(accepted) => self.new += u64::from(accepted != Accepted::Known),
                Err(error) => {
                    // Of what comes after it nothing can be said.
                    self.waiting.clear();
                    self.group = Group::default();
                    return Err(place.refused(error));
                }
            }
        }
        failpoint::hit("import.group_committed");
        Ok(true)
    }
}
