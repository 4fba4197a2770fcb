//! Bodies from node to node, one message a body, so that one that is late holds up no other. Must
//! not know whether a body is its header's.

use bincode::de::Decoder;
use bincode::de::read::Reader;
use bincode::enc::Encoder;
use bincode::enc::write::Writer;
use bincode::error::{DecodeError as Refusal, EncodeError as EncodeRefusal};
use bincode::{Decode, Encode};

use super::{COUNT_BYTES, Message};
use crate::encode::List;
use crate::hash::{BlockId, HASH_BYTES};
use crate::params::BLOCK_BYTES_LIMIT;
use crate::struct_codec;

/// Most bodies of a request: what is in flight from one peer.
pub const BODIES_MAX: usize = 16;
/// Longest body, in bytes.
pub const BODY_BYTES_MAX: usize = BLOCK_BYTES_LIMIT as usize;

/// Asks for bodies. Each is answered by a [`Body`] of this request's number, or by a [`Missing`]
/// that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetBodies {
    /// Of which blocks.
    pub ids: List<BlockId, BODIES_MAX>,
}

struct_codec!(GetBodies { ids });

impl Message for GetBodies {
    const KIND: u8 = 34;
    const BYTES_MAX: usize = COUNT_BYTES + BODIES_MAX * HASH_BYTES;
}

/// One body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// Whose.
    pub id: BlockId,
    /// As it is stored: [`crate::types::body::Body::to_bytes`].
    pub bytes: BodyBytes,
}

struct_codec!(Body { id, bytes });

impl Message for Body {
    const KIND: u8 = 35;
    const BYTES_MAX: usize = HASH_BYTES + (COUNT_BYTES + BODY_BYTES_MAX);
}

/// Blocks whose bodies do not come: they are not here, or they are more than one answer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Of the request's ids.
    pub ids: List<BlockId, BODIES_MAX>,
}

struct_codec!(Missing { ids });

impl Message for Missing {
    const KIND: u8 = 36;
    const BYTES_MAX: usize = COUNT_BYTES + BODIES_MAX * HASH_BYTES;
}

/// At most [`BODY_BYTES_MAX`] bytes, on the wire as a list of them, but read in one piece.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct BodyBytes(Vec<u8>);

impl BodyBytes {
    /// These bytes; `None` when there are more than a body may have.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() <= BODY_BYTES_MAX).then_some(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl Encode for BodyBytes {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeRefusal> {
        (self.0.len() as u64).encode(encoder)?;
        encoder.writer().write(&self.0)
    }
}

impl Decode<()> for BodyBytes {
    fn decode<D: Decoder<Context = ()>>(decoder: &mut D) -> Result<Self, Refusal> {
        let claimed = usize::try_from(u64::decode(decoder)?).unwrap_or(usize::MAX);
        if claimed > BODY_BYTES_MAX {
            return Err(Refusal::ArrayLengthMismatch { required: BODY_BYTES_MAX, found: claimed });
        }
        // Copied only when it is there: a claim alone allocates nothing.
        let bytes = decoder.reader().peek_read(claimed).map(<[u8]>::to_vec);
        let bytes = bytes.ok_or(Refusal::UnexpectedEnd { additional: claimed })?;
        decoder.reader().consume(claimed);
        Ok(Self(bytes))
    }
}
