//! Tell me when something changes: a hint to ask again, and proof of nothing. Must not know what
//! changed beyond that.

use super::pending::ADDRESSES_MAX;
use super::{COUNT_BYTES, HeaderBytes, Message};
use crate::encode::List;
use crate::hash::{Address, HASH_BYTES};
use crate::struct_codec;
use crate::types::header::HEADER_BYTES;

/// Asks for a [`Notice`] at once, after each change of the tip, and after each commit that admits a
/// transaction from or to one of the addresses. A later request takes the place of this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Whose transactions matter.
    pub addresses: List<Address, ADDRESSES_MAX>,
}

struct_codec!(Watch { addresses });

impl Message for Watch {
    const KIND: u8 = 26;
    const BYTES_MAX: usize = COUNT_BYTES + ADDRESSES_MAX * HASH_BYTES;
}

/// Something changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The tip now.
    pub tip: HeaderBytes,
    /// 1 when a watched address has pending transactions that it had not at the last notice.
    pub touched: u8,
}

struct_codec!(Notice { tip, touched });

impl Message for Notice {
    const KIND: u8 = 27;
    const BYTES_MAX: usize = HEADER_BYTES + 1;
}
