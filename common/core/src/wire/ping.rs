//! Whether the other end lives. Must not know who asks.

use super::Message;
use crate::struct_codec;

/// Asks for the same number back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Any number.
    pub nonce: u64,
}

struct_codec!(Ping { nonce });

impl Message for Ping {
    const KIND: u8 = 3;
    const BYTES_MAX: usize = 8;
}

/// The number back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pong {
    /// The ping's.
    pub nonce: u64,
}

struct_codec!(Pong { nonce });

impl Message for Pong {
    const KIND: u8 = 4;
    const BYTES_MAX: usize = 8;
}
