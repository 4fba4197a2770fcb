//! The handshake: each end says once who it is, the one that dialled first, and nothing else is
//! taken before. The word before a hang-up, so that the other end knows why. Must not know what
//! follows.

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError as Refusal, EncodeError as EncodeRefusal};
use bincode::{Decode, Encode};

use super::{COUNT_BYTES, Message, Text};
use crate::encode::unknown_tag;
use crate::hash::{BlockId, HASH_BYTES, NetworkId};
use crate::struct_codec;

/// What every handshake begins with: another protocol's bytes are told from an older version's.
pub const MAGIC: [u8; 8] = *b"steelyrd";
/// Longest name of a program and its version.
pub const AGENT_BYTES_MAX: usize = 64;
/// Longest name of a reason.
pub const CODE_BYTES_MAX: usize = 32;
/// Longest reason in words.
pub const REASON_BYTES_MAX: usize = 256;

/// What an end of a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Keeps a chain and serves it.
    Node,
    /// Keeps no chain and asks.
    Light,
}

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Always [`MAGIC`].
    pub magic: [u8; 8],
    /// The protocol's version.
    pub version: u16,
    /// What the speaker is.
    pub role: Role,
    /// The network it is on, and no other.
    pub network: NetworkId,
    /// Random, the same for all connections of one process: who meets its own has dialled itself.
    pub nonce: u64,
    /// Where the speaker takes connections, at the address that it is seen to have; 0 for nowhere.
    pub port: u16,
    /// Height of the tip; 0 of a light client.
    pub height: u64,
    /// The tip; zeros of a light client.
    pub tip: BlockId,
    /// Height from which on the speaker has the bodies of its active chain; 0: it has all and keeps them;
    /// else it prunes, and the height rises with its tip. 0 of a light client.
    pub bodies_from: u64,
    /// Program and version, for people.
    pub agent: Text<AGENT_BYTES_MAX>,
}

struct_codec!(Hello { magic, version, role, network, nonce, port, height, tip, bodies_from, agent });

impl Message for Hello {
    const KIND: u8 = 1;
    const BYTES_MAX: usize =
        8 + 2 + 1 + HASH_BYTES + 8 + 2 + 8 + HASH_BYTES + 8 + (COUNT_BYTES + AGENT_BYTES_MAX);
}

/// Why the speaker hangs up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bye {
    /// Stable name, snake_case.
    pub code: Text<CODE_BYTES_MAX>,
    /// In words.
    pub reason: Text<REASON_BYTES_MAX>,
}

struct_codec!(Bye { code, reason });

impl Message for Bye {
    const KIND: u8 = 2;
    const BYTES_MAX: usize = (COUNT_BYTES + CODE_BYTES_MAX) + (COUNT_BYTES + REASON_BYTES_MAX);
}

impl Bye {
    /// A reason.
    #[must_use]
    pub fn new(code: &str, reason: &str) -> Self {
        Self { code: Text::new(code), reason: Text::new(reason) }
    }
}

const NODE: u8 = 1;
const LIGHT: u8 = 2;

impl Encode for Role {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeRefusal> {
        match self {
            Self::Node => NODE.encode(encoder),
            Self::Light => LIGHT.encode(encoder),
        }
    }
}

impl Decode<()> for Role {
    fn decode<D: Decoder<Context = ()>>(decoder: &mut D) -> Result<Self, Refusal> {
        match u8::decode(decoder)? {
            NODE => Ok(Self::Node),
            LIGHT => Ok(Self::Light),
            tag => Err(unknown_tag("role", tag)),
        }
    }
}
