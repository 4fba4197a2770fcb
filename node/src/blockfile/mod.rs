//! Blocks of the active chain as one file: written as a stream, read as a stream, every rule checked
//! on the way in as for a block from a peer. Must not know commands or sockets.
//!
//! All integers are little-endian.
//!
//! | part | bytes |
//! |---|---|
//! | head | magic 16, version u32, network id 32, height of the first block u64, number of blocks u64 |
//! | each block, ascending | length u32 of what follows, header 176, body |
//! | end | 0 u32, number of blocks u64, id of the last 32, SHA-256 of everything before it 32 |
//!
//! Read `export`, then `import`.

mod error;
mod export;
mod import;

use steelyard_core::params::BLOCK_BYTES_LIMIT;
use steelyard_core::types::header::HEADER_BYTES;

pub use self::error::BlockFileError;
pub use self::export::{Exported, export, of_stopped, to_file};
pub use self::import::{Imported, import, into_stopped};

/// What such a file begins with.
const MAGIC: &[u8; 16] = b"steelyard blocks";
/// Version of the form.
const VERSION: u32 = 1;
/// Bytes of the head.
const HEAD_BYTES: usize = MAGIC.len() + 4 + 32 + 8 + 8;
/// Bytes of the end without its checksum, the length of 0 left out.
const END_BYTES: usize = 8 + 32;
/// Bytes of the longest block of any network.
const RECORD_BYTES_MAX: usize = HEADER_BYTES + BLOCK_BYTES_LIMIT as usize;
