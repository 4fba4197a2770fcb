//! The framed protocol's messages: what nodes and wallets say to one another, one file a kind,
//! each with its cap as a formula. Must not know sockets, frames in flight, or who is right.
//!
//! A frame is `length u32 || kind u8 || request u32 || body`, little-endian; the length counts what
//! follows it. A request carries a number that its sender picks, and the answer carries the same;
//! what nobody asked for carries the number of the request that subscribed to it.
//!
//! | file | messages |
//! |---|---|
//! | [`hello`] | the handshake, and the word before a hang-up |
//! | [`ping`] | whether the other end lives |
//! | [`failure`] | a request that is not answered |
//! | [`tip`] | the tip and the last headers |
//! | [`state`] | records with their proofs |
//! | [`submit`] | transactions on their way in |
//! | [`status`] | where transactions are, with their proofs |
//! | [`pending`] | what is on its way to an address |
//! | [`watch`] | tell me when something changes |
//! | [`headers`] | between nodes: headers after a common block; a new tip |
//! | [`bodies`] | between nodes: bodies, one a message |
//! | [`txs`] | between nodes: pending transactions |
//! | [`addresses`] | between nodes: where other nodes are |

pub mod addresses;
pub mod bodies;
pub mod failure;
pub mod headers;
pub mod hello;
pub mod pending;
pub mod ping;
pub mod state;
pub mod status;
pub mod submit;
pub mod text;
pub mod tip;
pub mod txs;
pub mod watch;

use bincode::{Decode, Encode};

use crate::encode::{self, DecodeError};
use crate::types::header::{HEADER_BYTES, Header};

pub use addresses::{Addresses, GetAddresses, NodeAddress};
pub use bodies::{Body, BodyBytes, GetBodies, Missing};
pub use failure::Failure;
pub use headers::{Announce, GetHeaders, Headers};
pub use hello::{Bye, Hello, Role};
pub use pending::{GetPending, Pending};
pub use ping::{Ping, Pong};
pub use state::{GetState, State, StateKey};
pub use status::{Found, GetStatus, HistoryStep, Status, Statuses};
pub use submit::{Submit, Verdict, Verdicts};
pub use text::Text;
pub use tip::{GetTip, Tip};
pub use txs::{GetTxs, TxIds, Txs};
pub use watch::{Notice, Watch};

/// The protocol that this program speaks. A change that an older program would misread has a new one.
pub const PROTOCOL_VERSION: u16 = 1;
/// Bytes of a frame that stand before its body: kind and request.
pub const ENVELOPE_BYTES: usize = 1 + 4;
/// Longest frame before the handshake is done, the length itself not counted.
pub const HANDSHAKE_FRAME_BYTES_MAX: usize = 1024;
/// Bytes of a list's count, or of a text's length.
const COUNT_BYTES: usize = 8;

const _: () = assert!(Hello::BYTES_MAX + ENVELOPE_BYTES <= HANDSHAKE_FRAME_BYTES_MAX);
const _: () = assert!(Bye::BYTES_MAX + ENVELOPE_BYTES <= HANDSHAKE_FRAME_BYTES_MAX);

/// One kind of message.
pub trait Message: Encode + Decode<()> {
    /// Its number on the wire. Never given to another kind.
    const KIND: u8;
    /// Longest body, in bytes.
    const BYTES_MAX: usize;

    /// Its body.
    fn to_bytes(&self) -> Vec<u8> {
        encode::encode(self)
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`DecodeError`].
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        encode::decode(bytes, Self::BYTES_MAX)
    }
}

/// Longest body that a node takes from a light client, by kind; `None` for what it does not take.
#[must_use]
pub fn request_bytes_max(kind: u8) -> Option<usize> {
    match kind {
        Bye::KIND => Some(Bye::BYTES_MAX),
        Ping::KIND => Some(Ping::BYTES_MAX),
        GetTip::KIND => Some(GetTip::BYTES_MAX),
        GetState::KIND => Some(GetState::BYTES_MAX),
        Submit::KIND => Some(Submit::BYTES_MAX),
        GetStatus::KIND => Some(GetStatus::BYTES_MAX),
        GetPending::KIND => Some(GetPending::BYTES_MAX),
        Watch::KIND => Some(Watch::BYTES_MAX),
        _ => None,
    }
}

/// Longest body that a light client takes from a node, by kind; `None` for what it does not take.
#[must_use]
pub fn answer_bytes_max(kind: u8) -> Option<usize> {
    match kind {
        Bye::KIND => Some(Bye::BYTES_MAX),
        Pong::KIND => Some(Pong::BYTES_MAX),
        Failure::KIND => Some(Failure::BYTES_MAX),
        Tip::KIND => Some(Tip::BYTES_MAX),
        State::KIND => Some(State::BYTES_MAX),
        Verdicts::KIND => Some(Verdicts::BYTES_MAX),
        Statuses::KIND => Some(Statuses::BYTES_MAX),
        Pending::KIND => Some(Pending::BYTES_MAX),
        Notice::KIND => Some(Notice::BYTES_MAX),
        _ => None,
    }
}

/// Longest body that a node takes from another node, by kind; `None` for what it does not take.
#[must_use]
pub fn peer_bytes_max(kind: u8) -> Option<usize> {
    match kind {
        Bye::KIND => Some(Bye::BYTES_MAX),
        Ping::KIND => Some(Ping::BYTES_MAX),
        Pong::KIND => Some(Pong::BYTES_MAX),
        GetHeaders::KIND => Some(GetHeaders::BYTES_MAX),
        Headers::KIND => Some(Headers::BYTES_MAX),
        GetBodies::KIND => Some(GetBodies::BYTES_MAX),
        Body::KIND => Some(Body::BYTES_MAX),
        Missing::KIND => Some(Missing::BYTES_MAX),
        Announce::KIND => Some(Announce::BYTES_MAX),
        TxIds::KIND => Some(TxIds::BYTES_MAX),
        GetTxs::KIND => Some(GetTxs::BYTES_MAX),
        Txs::KIND => Some(Txs::BYTES_MAX),
        GetAddresses::KIND => Some(GetAddresses::BYTES_MAX),
        Addresses::KIND => Some(Addresses::BYTES_MAX),
        _ => None,
    }
}

/// Longest body before the handshake is done: only its own two kinds are taken. A hello may be longer
/// than this version's, so that one of another version can be told which version this is.
#[must_use]
pub fn handshake_bytes_max(kind: u8) -> Option<usize> {
    match kind {
        Hello::KIND => Some(HANDSHAKE_FRAME_BYTES_MAX - ENVELOPE_BYTES),
        Bye::KIND => Some(Bye::BYTES_MAX),
        _ => None,
    }
}

/// A header as its own 176 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct HeaderBytes(pub [u8; HEADER_BYTES]);

impl From<&Header> for HeaderBytes {
    fn from(header: &Header) -> Self {
        Self(header.to_bytes())
    }
}

impl From<&HeaderBytes> for Header {
    fn from(bytes: &HeaderBytes) -> Self {
        Self::from_bytes(&bytes.0)
    }
}

#[cfg(test)]
mod tests;
