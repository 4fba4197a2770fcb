//! Files of generated blocks and payments: a line that says what follows, then records, each a
//! u32 (little-endian) length and so many bytes. Read and written one record at a time. Must not
//! know whether what they hold is valid.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use steelyard_core::params::BLOCK_BYTES_LIMIT;
use steelyard_core::types::body::Body;
use steelyard_core::types::header::{HEADER_BYTES, Header};

use crate::tip::Block;

/// First line of a file of blocks.
pub const BLOCKS_MAGIC: &[u8] = b"steelyard blocks 1\n";
/// First line of a file of payments.
pub const PAYMENTS_MAGIC: &[u8] = b"steelyard payments 1\n";
/// Most bytes of a record: those of the largest block of any network.
const RECORD_BYTES_MAX: usize = BLOCK_BYTES_LIMIT as usize;

/// Writes records one after another.
pub struct RecordWriter {
    out: BufWriter<File>,
    bytes: u64,
}

impl RecordWriter {
    /// Begins a new file with its first line.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(path: &Path, magic: &[u8]) -> io::Result<Self> {
        let mut out = BufWriter::new(File::create(path)?);
        out.write_all(magic)?;
        Ok(Self { out, bytes: magic.len() as u64 })
    }

    /// Appends a block.
    ///
    /// # Errors
    /// What the file system says.
    pub fn block(&mut self, block: &Block) -> io::Result<()> {
        self.record(&[&block.header.to_bytes(), &block.body.to_bytes()])
    }

    /// Appends a transaction's bytes.
    ///
    /// # Errors
    /// What the file system says.
    pub fn payment(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.record(&[bytes])
    }

    /// Ends the file and says how long it is.
    ///
    /// # Errors
    /// What the file system says.
    pub fn finish(mut self) -> io::Result<u64> {
        self.out.flush()?;
        Ok(self.bytes)
    }

    fn record(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        assert!(length <= RECORD_BYTES_MAX, "no valid block is longer");
        self.out.write_all(&u32::try_from(length).expect("bounded above").to_le_bytes())?;
        self.bytes += 4 + length as u64;
        parts.iter().try_for_each(|part| self.out.write_all(part))
    }
}

/// The blocks of a file, from 1 on.
pub struct Blocks(Records);

/// The payments of a file, each as a transaction's bytes.
pub struct Payments(Records);

impl Blocks {
    /// Opens a file of blocks.
    ///
    /// # Errors
    /// What the file system says, or that the file is of another kind.
    pub fn open(path: &Path) -> io::Result<Self> {
        Records::open(path, BLOCKS_MAGIC).map(Self)
    }
}

impl Payments {
    /// Opens a file of payments.
    ///
    /// # Errors
    /// What the file system says, or that the file is of another kind.
    pub fn open(path: &Path) -> io::Result<Self> {
        Records::open(path, PAYMENTS_MAGIC).map(Self)
    }
}

impl Iterator for Blocks {
    type Item = io::Result<Block>;
    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.and_then(|bytes| block_of(&bytes)))
    }
}

impl Iterator for Payments {
    type Item = io::Result<Vec<u8>>;
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

struct Records(BufReader<File>);

impl Records {
    fn open(path: &Path, magic: &[u8]) -> io::Result<Self> {
        let mut input = BufReader::new(File::open(path)?);
        let mut found = vec![0; magic.len()];
        input.read_exact(&mut found)?;
        if found == magic { Ok(Self(input)) } else { Err(malformed("a file of another kind")) }
    }

    fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        let mut length = [0; 4];
        match self.0.read(&mut length[..1]) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) => return Some(Err(error)),
        }
        Some(self.0.read_exact(&mut length[1..]).and_then(|()| self.record(u32::from_le_bytes(length))))
    }

    fn record(&mut self, length: u32) -> io::Result<Vec<u8>> {
        let length = usize::try_from(length).expect("32 bits fit");
        if length > RECORD_BYTES_MAX {
            return Err(malformed("a record longer than any block"));
        }
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

fn block_of(bytes: &[u8]) -> io::Result<Block> {
    let (header, body) = bytes
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or_else(|| malformed("a block shorter than a header"))?;
    let body = Body::from_bytes(body, RECORD_BYTES_MAX).map_err(|error| malformed(&error.to_string()))?;
    Ok(Block { header: Header::from_bytes(header), body })
}

fn malformed(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
