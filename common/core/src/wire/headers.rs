//! Headers from node to node: those after a place that both know, and the word that there is a new
//! tip. Must not know whether they are valid, nor which chain is better.

use super::{COUNT_BYTES, HeaderBytes, Message};
use crate::encode::List;
use crate::hash::{BlockId, HASH_BYTES};
use crate::struct_codec;
use crate::types::header::HEADER_BYTES;

/// Most ids of a locator: ten steps of one, then doubling, reach genesis from any height with fewer.
pub const LOCATOR_MAX: usize = 101;
/// Most headers of an answer. An answer of so many says that there may be more.
pub const HEADERS_MAX: usize = 2_000;
/// Most headers of an announcement: the tip and those before it that the other end may lack.
pub const ANNOUNCE_MAX: usize = 8;

/// Asks for the headers of the active chain after the first of these blocks that is on it; after
/// genesis when none is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetHeaders {
    /// Blocks of the asker, newest first.
    pub locator: List<BlockId, LOCATOR_MAX>,
}

struct_codec!(GetHeaders { locator });

impl Message for GetHeaders {
    const KIND: u8 = 32;
    const BYTES_MAX: usize = COUNT_BYTES + LOCATOR_MAX * HASH_BYTES;
}

/// The headers, consecutive, oldest first; none when the asker has the tip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    /// The headers.
    pub headers: List<HeaderBytes, HEADERS_MAX>,
}

struct_codec!(Headers { headers });

impl Message for Headers {
    const KIND: u8 = 33;
    const BYTES_MAX: usize = COUNT_BYTES + HEADERS_MAX * HEADER_BYTES;
}

/// A new tip, sent without having been asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announce {
    /// Consecutive, the new tip last, as far back as the other end is not known to have.
    pub headers: List<HeaderBytes, ANNOUNCE_MAX>,
}

struct_codec!(Announce { headers });

impl Message for Announce {
    const KIND: u8 = 37;
    const BYTES_MAX: usize = COUNT_BYTES + ANNOUNCE_MAX * HEADER_BYTES;
}
