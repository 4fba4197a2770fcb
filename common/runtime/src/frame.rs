//! Frames: a stream of bytes cut into messages, and back. What the other end claims is judged
//! before anything is kept for it, and memory grows only by what has arrived.
//! Must not know sockets, deadlines, or what a body says.
//!
//! A frame is `length u32 || kind u8 || request u32 || body`, little-endian; the length counts what
//! follows it.

use std::{fmt, io};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use steelyard_core::wire::{ENVELOPE_BYTES, Message};
use tokio_util::codec::{Decoder, Encoder};

/// Bytes of the length.
const LENGTH_BYTES: usize = 4;
/// Bytes of a frame that stand before its body.
pub const HEAD_BYTES: usize = LENGTH_BYTES + ENVELOPE_BYTES;
/// Longest body whose length can be written.
pub const BODY_BYTES_MAX: usize = u32::MAX as usize - ENVELOPE_BYTES;
/// How far the memory of a body may run ahead of the bytes that have arrived.
pub const STEP_BYTES: usize = 64 * 1024;

/// Longest body by kind, in bytes; `None`: the kind is not taken. Asked anew for each frame, so that
/// what nobody waits for can be refused by its head.
pub trait Caps: Fn(u8) -> Option<usize> + Send + Sync + 'static {}

impl<F: Fn(u8) -> Option<usize> + Send + Sync + 'static> Caps for F {}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The kind of its message.
    pub kind: u8,
    /// The request that it is, or that it answers.
    pub request: u32,
    /// The message.
    pub body: Bytes,
}

impl Frame {
    /// The frame of a message.
    ///
    /// # Errors
    /// [`FrameError::TooLong`]: the message is longer than its own kind may be, and no other end
    /// would take it.
    pub fn of<M: Message>(request: u32, message: &M) -> Result<Self, FrameError> {
        let body = Bytes::from(message.to_bytes());
        judge_body(M::KIND, body.len(), M::BYTES_MAX)?;
        Ok(Self { kind: M::KIND, request, body })
    }

    /// Appends the bytes on the wire.
    ///
    /// # Errors
    /// [`FrameError::TooLong`]: the body is longer than [`BODY_BYTES_MAX`]; nothing is appended.
    pub fn write_to(&self, bytes: &mut BytesMut) -> Result<(), FrameError> {
        let length = length_of(self.kind, self.body.len())?;
        bytes.reserve(HEAD_BYTES + self.body.len());
        bytes.put_u32_le(length);
        bytes.put_u8(self.kind);
        bytes.put_u32_le(self.request);
        bytes.put_slice(&self.body);
        Ok(())
    }
}

/// Bytes that are no frame, or none that is taken. The stream is of no use after it: where the next
/// frame begins is not known.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A length that does not even count kind and request.
    #[error("a frame of {got} bytes, which is shorter than its own head")]
    TooShort {
        /// The length claimed.
        got: u32,
    },
    /// A kind that is not taken, here or now.
    #[error("a message of kind {kind}, which is not taken")]
    UnknownKind {
        /// The kind claimed.
        kind: u8,
    },
    /// A body longer than its kind may be.
    #[error("a message of kind {kind} with {got} bytes where {max} is the most")]
    TooLong {
        /// The kind claimed.
        kind: u8,
        /// Bytes of the body, as claimed.
        got: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A body longer than that of any kind that is taken: seen before the kind is there.
    #[error("a message of {got} bytes where {max} is the most of any kind")]
    TooLongForAnyKind {
        /// Bytes of the body, as claimed.
        got: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The stream ends within a frame.
    #[error("the stream ends within a frame")]
    Ended,
    /// The machine's or the other end's failure.
    #[error("cannot move a frame: {0}")]
    Io(#[from] io::Error),
}

impl FrameError {
    /// The error's name, stable.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::TooShort { .. } => "frame_too_short",
            Self::UnknownKind { .. } => "frame_unknown_kind",
            Self::TooLong { .. } | Self::TooLongForAnyKind { .. } => "frame_too_long",
            Self::Ended => "frame_ended",
            Self::Io(_) => "io",
        }
    }
}

/// Cuts a stream into frames. It takes the bytes of a body out of the stream's buffer as they
/// arrive, so that buffer holds less than a head between two reads and need not grow.
pub struct FrameCodec {
    caps: Box<dyn Caps>,
    begun: Option<Begun>,
}

impl fmt::Debug for FrameCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameCodec").field("begun", &self.begun).finish_non_exhaustive()
    }
}

/// A frame whose head is taken, and what has arrived of its body.
#[derive(Debug)]
struct Begun {
    kind: u8,
    request: u32,
    length: usize,
    body: Vec<u8>,
}

impl FrameCodec {
    /// A codec that takes what `caps` allows.
    #[must_use]
    pub fn new(caps: impl Caps) -> Self {
        Self { caps: Box::new(caps), begun: None }
    }

    /// Takes what `caps` allows from the next head on; a body that has begun is not judged again.
    pub fn set_caps(&mut self, caps: impl Caps) {
        self.caps = Box::new(caps);
    }

    /// Whether a frame's head is taken and its body is not complete.
    #[must_use]
    pub fn is_within_body(&self) -> bool {
        self.begun.is_some()
    }

    /// Longest body of any kind that is taken now, or 0.
    fn longest(&self) -> usize {
        (0..=u8::MAX).filter_map(&self.caps).max().unwrap_or(0)
    }

    /// Takes a head as soon as it is complete, and judges each part of it as soon as that is there.
    fn head(&self, bytes: &mut BytesMut) -> Result<Option<Begun>, FrameError> {
        let Some(length) = bytes.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let claimed = u32::from_le_bytes(*length);
        let Some(length) = (claimed as usize).checked_sub(ENVELOPE_BYTES) else {
            return Err(FrameError::TooShort { got: claimed });
        };
        let Some(kind) = bytes.get(LENGTH_BYTES).copied() else {
            let max = self.longest();
            return if length > max {
                Err(FrameError::TooLongForAnyKind { got: length, max })
            } else {
                Ok(None)
            };
        };
        let max = (self.caps)(kind).ok_or(FrameError::UnknownKind { kind })?;
        judge_body(kind, length, max)?;
        if bytes.len() < HEAD_BYTES {
            return Ok(None);
        }
        bytes.advance(LENGTH_BYTES + 1);
        Ok(Some(Begun { kind, request: bytes.get_u32_le(), length, body: Vec::new() }))
    }
}

impl Begun {
    /// Takes what has arrived of the body; whether it is complete.
    fn take(&mut self, bytes: &mut BytesMut) -> bool {
        let missing = self.length - self.body.len();
        let arrived = missing.min(bytes.len());
        if arrived > self.body.capacity() - self.body.len() {
            self.body.reserve_exact(arrived.max(missing.min(STEP_BYTES)));
        }
        self.body.extend_from_slice(&bytes[..arrived]);
        bytes.advance(arrived);
        arrived == missing
    }
}

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = FrameError;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let begun = match self.begun.take() {
            Some(begun) => Some(begun),
            None => self.head(bytes)?,
        };
        let Some(mut begun) = begun else { return Ok(None) };
        if begun.take(bytes) {
            let Begun { kind, request, body, .. } = begun;
            return Ok(Some(Frame { kind, request, body: Bytes::from(body) }));
        }
        self.begun = Some(begun);
        Ok(None)
    }

    fn decode_eof(&mut self, bytes: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        match self.decode(bytes)? {
            Some(frame) => Ok(Some(frame)),
            None if self.is_within_body() || !bytes.is_empty() => Err(FrameError::Ended),
            None => Ok(None),
        }
    }
}

impl Encoder<Frame> for FrameCodec {
    type Error = FrameError;

    fn encode(&mut self, frame: Frame, bytes: &mut BytesMut) -> Result<(), FrameError> {
        frame.write_to(bytes)
    }
}

fn judge_body(kind: u8, got: usize, max: usize) -> Result<(), FrameError> {
    if got > max { Err(FrameError::TooLong { kind, got, max }) } else { Ok(()) }
}

/// The length on the wire of a frame with a body of so many bytes.
fn length_of(kind: u8, body: usize) -> Result<u32, FrameError> {
    let length = body.checked_add(ENVELOPE_BYTES).and_then(|length| u32::try_from(length).ok());
    length.ok_or(FrameError::TooLong { kind, got: body, max: BODY_BYTES_MAX })
}

#[cfg(test)]
mod tests;
