//! The tip and the headers before it. Must not know whether they are valid: [`crate::light`] does.

use super::{COUNT_BYTES, HeaderBytes, Message};
use crate::encode::List;
use crate::hash::HASH_BYTES;
use crate::struct_codec;
use crate::types::header::HEADER_BYTES;

/// Most headers of an answer: the tail that a light proof has in full (specification, section 8).
pub const RECENT_MAX: usize = 576;

/// Asks for the tip and up to so many of the last headers, the tip among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetTip {
    /// 1 to [`RECENT_MAX`]; more is read as that, 0 as 1.
    pub recent: u16,
}

struct_codec!(GetTip { recent });

impl Message for GetTip {
    const KIND: u8 = 16;
    const BYTES_MAX: usize = 2;
}

/// The tip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Consecutive, the tip last.
    pub headers: List<HeaderBytes, RECENT_MAX>,
    /// Work of everything before the tip: with the next field what the tip's history root commits to.
    pub history_work: u128,
    /// Top of the history tree that the tip's header commits to; zeros when it has no leaves.
    pub history_top: [u8; HASH_BYTES],
}

struct_codec!(Tip { headers, history_work, history_top });

impl Message for Tip {
    const KIND: u8 = 17;
    const BYTES_MAX: usize = (COUNT_BYTES + RECENT_MAX * HEADER_BYTES) + 16 + HASH_BYTES;
}
