//! Links: a connection between two ends that have said who they are and speak frames from then on,
//! with a deadline for everything that the other end could draw out.
//! Must not know what kind of socket it is, nor what any message after the handshake means.
//!
//! The end that dialled speaks first; the other says nothing before it has heard a hello, so that
//! who does not speak the protocol learns nothing. A quiet link is a good link: only a frame that
//! has begun must end in time.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::BytesMut;
use steelyard_core::encode::DecodeError;
use steelyard_core::hash::NetworkId;
use steelyard_core::wire::hello::MAGIC;
use steelyard_core::wire::{Bye, Hello, Message, Role, handshake_bytes_max};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Sleep, sleep, timeout};
use tokio_util::codec::Decoder;

use crate::frame::{Caps, Frame, FrameCodec, FrameError};

/// The request number of frames that belong to no request: the handshake's, and a bye.
pub const NO_REQUEST: u32 = 0;
/// Longest time for a last word: to send it, and to wait until the other end hangs up.
pub const BYE_MAX: Duration = Duration::from_secs(1);
/// Bytes read at once: what a quiet link keeps.
const READ_BYTES: usize = 16 * 1024;
/// Bytes of the other end that are thrown away at once while it is waited for to hang up.
const DRAIN_BYTES: usize = 1024;

/// The deadlines of a link.
#[derive(Clone, Copy, Debug)]
pub struct LinkTimes {
    /// From the connection to the end of the handshake.
    pub handshake: Duration,
    /// From the first byte of a frame that is seen to its last.
    pub frame: Duration,
    /// From the start of sending a frame until the other end has taken all of it.
    pub write: Duration,
}

/// Why a link failed. It is of no use afterwards, except after [`LinkError::Decode`] and
/// [`LinkError::UnexpectedKind`] of [`read`], which leave it where it is.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The bytes are no frame, or none that is taken.
    #[error(transparent)]
    Frame(FrameError),
    /// The body is no message of its kind.
    #[error("a message of kind {kind} that does not decode: {error}")]
    Decode {
        /// The kind.
        kind: u8,
        /// What is wrong with the body.
        error: DecodeError,
    },
    /// Another message than the one that belongs here.
    #[error("a message of kind {got} where {expected} is expected")]
    UnexpectedKind {
        /// The kind that came.
        got: u8,
        /// The kind that belongs here.
        expected: u8,
    },
    /// The other end speaks another protocol.
    #[error("the other end speaks another protocol")]
    WrongMagic,
    /// The other end speaks another version of the protocol.
    #[error("the other end speaks version {got} of the protocol, this one {expected}")]
    WrongVersion {
        /// The other end's.
        got: u16,
        /// The own.
        expected: u16,
    },
    /// The other end is on another network.
    #[error("the other end is on network {got}, this one on {expected}")]
    WrongNetwork {
        /// The other end's.
        got: NetworkId,
        /// The own.
        expected: NetworkId,
    },
    /// The other end is no node, but was dialled as one.
    #[error("the other end is no node")]
    WrongRole,
    /// Both ends are this process.
    #[error("this is a connection to itself")]
    OwnConnection,
    /// The handshake took too long.
    #[error("the other end did not finish the handshake in time")]
    HandshakeTimeout,
    /// A frame began and did not end in time.
    #[error("the other end did not finish a message in time")]
    FrameTimeout,
    /// The other end did not take a frame in time.
    #[error("the other end did not take a message in time")]
    WriteTimeout,
    /// The other end hung up within the handshake without a word, or the link was used after it had
    /// failed or after a sending was given up half-way.
    #[error("the connection is closed")]
    Closed,
    /// The other end said why it hangs up.
    #[error("the other end hung up: {} ({})", .0.reason, .0.code)]
    Bye(Bye),
    /// The machine's or the other end's failure.
    #[error("the connection failed: {0}")]
    Io(io::Error),
}

impl LinkError {
    /// The error's name, stable: the code of the [`Bye`] that tells it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Frame(error) => error.name(),
            Self::Decode { .. } => "undecodable",
            Self::UnexpectedKind { .. } => "unexpected_kind",
            Self::WrongMagic => "wrong_magic",
            Self::WrongVersion { .. } => "wrong_version",
            Self::WrongNetwork { .. } => "wrong_network",
            Self::WrongRole => "wrong_role",
            Self::OwnConnection => "own_connection",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::FrameTimeout => "frame_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::Closed => "closed",
            Self::Bye(_) => "bye",
            Self::Io(_) => "io",
        }
    }

    /// Whether the other end said who it is and is told why that does not do. Who sent anything
    /// else is told nothing.
    fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::WrongMagic
                | Self::WrongVersion { .. }
                | Self::WrongNetwork { .. }
                | Self::WrongRole
                | Self::OwnConnection
        )
    }
}

impl From<FrameError> for LinkError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Io(error) => Self::Io(error),
            error => Self::Frame(error),
        }
    }
}

impl From<io::Error> for LinkError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads the message of a frame.
///
/// # Errors
/// [`LinkError::UnexpectedKind`] for a frame of another kind, [`LinkError::Decode`] for a body that
/// is not its message's.
pub fn read<M: Message>(frame: &Frame) -> Result<M, LinkError> {
    if frame.kind != M::KIND {
        return Err(LinkError::UnexpectedKind { got: frame.kind, expected: M::KIND });
    }
    M::from_bytes(&frame.body).map_err(|error| LinkError::Decode { kind: frame.kind, error })
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub struct Link<S> {
    ends: Ends<S>,
    peer: Hello,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    /// Greets the node at the other end of a connection that this process has opened. Frames
    /// after the handshake are bounded by `caps`.
    ///
    /// # Errors
    /// Every [`LinkError`] but [`LinkError::UnexpectedKind`]. The connection is then closed, after a
    /// [`Bye`] with the error's name if the other end is refused for what it is.
    pub async fn dial(stream: S, own: Hello, caps: impl Caps, times: LinkTimes) -> Result<Self, LinkError> {
        Self::greet(Ends::new(stream, times), own, caps, Side::Dials).await
    }

    /// Waits for the greeting of whoever has opened this connection, and greets back. Frames
    /// after the handshake are bounded by `caps`.
    ///
    /// # Errors
    /// As [`Link::dial`], but for [`LinkError::WrongRole`]: nodes and light clients are welcome.
    pub async fn accept(stream: S, own: Hello, caps: impl Caps, times: LinkTimes) -> Result<Self, LinkError> {
        Self::greet(Ends::new(stream, times), own, caps, Side::Accepts).await
    }

    async fn greet(mut ends: Ends<S>, own: Hello, caps: impl Caps, side: Side) -> Result<Self, LinkError> {
        let handshake = ends.inbound.times.handshake;
        let met = timeout(handshake, ends.meet(&own, side)).await;
        match met.unwrap_or(Err(LinkError::HandshakeTimeout)) {
            Ok(peer) => {
                ends.inbound.codec.set_caps(caps);
                Ok(Self { ends, peer })
            }
            Err(error) => {
                if error.is_refusal() {
                    ends.bye(error.name(), &error.to_string()).await;
                }
                Err(error)
            }
        }
    }

    /// Who the other end says it is.
    pub fn peer(&self) -> &Hello {
        &self.peer
    }

    /// Bounds frames by `caps` from the next one on: who the other end is may decide what is taken.
    pub fn set_caps(&mut self, caps: impl Caps) {
        self.ends.inbound.codec.set_caps(caps);
    }

    /// Sends a message, and returns when the connection has taken it. Reads nothing meanwhile: two
    /// ends that both send much at any time must [`Link::split`]. Dropped half-way, the link sends
    /// nothing more.
    ///
    /// # Errors
    /// [`LinkError::WriteTimeout`], [`LinkError::Io`], [`LinkError::Closed`] after either;
    /// [`LinkError::Frame`] for a message longer than its kind may be, of which nothing is sent.
    pub async fn send<M: Message>(&mut self, request: u32, message: &M) -> Result<(), LinkError> {
        self.send_frame(&Frame::of(request, message)?).await
    }

    /// Sends a frame; otherwise as [`Link::send`].
    ///
    /// # Errors
    /// As [`Link::send`].
    pub async fn send_frame(&mut self, frame: &Frame) -> Result<(), LinkError> {
        self.ends.outbound.send(&mut self.ends.stream, std::slice::from_ref(frame)).await
    }

    /// The next frame, however long it takes to begin; `None` when the other end has closed between
    /// two frames. May be dropped at any point and called again: nothing is lost.
    ///
    /// # Errors
    /// [`LinkError::Frame`], [`LinkError::FrameTimeout`], [`LinkError::Bye`], [`LinkError::Decode`]
    /// of a bye, [`LinkError::Io`]; [`LinkError::Closed`] after any of them.
    pub async fn next(&mut self) -> Result<Option<Frame>, LinkError> {
        self.ends.inbound.next(&mut self.ends.stream).await
    }

    /// Says why, and hangs up. Takes at most [`BYE_MAX`], and fails silently: it is a courtesy.
    pub async fn bye(mut self, code: &str, reason: &str) {
        self.ends.bye(code, reason).await;
    }

    /// The two directions, for two tasks. The connection closes when both are dropped.
    pub fn split(self) -> (LinkReader<S>, LinkWriter<S>) {
        let Self { ends: Ends { stream, inbound, outbound }, peer } = self;
        let (from, to) = tokio::io::split(stream);
        (LinkReader { stream: from, inbound, peer }, LinkWriter { stream: to, outbound })
    }
}

/// What comes in over a link.
#[derive(Debug)]
pub struct LinkReader<S> {
    stream: ReadHalf<S>,
    inbound: Inbound,
    peer: Hello,
}

impl<S: AsyncRead + AsyncWrite + Unpin> LinkReader<S> {
    /// Who the other end says it is.
    pub fn peer(&self) -> &Hello {
        &self.peer
    }

    /// As [`Link::set_caps`].
    pub fn set_caps(&mut self, caps: impl Caps) {
        self.inbound.codec.set_caps(caps);
    }

    /// As [`Link::next`].
    ///
    /// # Errors
    /// As [`Link::next`].
    pub async fn next(&mut self) -> Result<Option<Frame>, LinkError> {
        self.inbound.next(&mut self.stream).await
    }

    /// Waits until the other end hangs up, [`BYE_MAX`] at most, whatever it still sends: after a
    /// last word, or it might be taken back before it is heard.
    pub async fn drain(mut self) {
        let _ = timeout(BYE_MAX, drain(&mut self.stream)).await;
    }
}

/// What goes out over a link.
#[derive(Debug)]
pub struct LinkWriter<S> {
    stream: WriteHalf<S>,
    outbound: Outbound,
}

impl<S: AsyncRead + AsyncWrite + Unpin> LinkWriter<S> {
    /// As [`Link::send`], while the other half reads.
    ///
    /// # Errors
    /// As [`Link::send`].
    pub async fn send<M: Message>(&mut self, request: u32, message: &M) -> Result<(), LinkError> {
        self.send_frame(&Frame::of(request, message)?).await
    }

    /// As [`Link::send_frame`], while the other half reads.
    ///
    /// # Errors
    /// As [`Link::send`].
    pub async fn send_frame(&mut self, frame: &Frame) -> Result<(), LinkError> {
        self.send_frames(std::slice::from_ref(frame)).await
    }

    /// Sends frames in one piece, which has the time of one frame.
    ///
    /// # Errors
    /// As [`Link::send`].
    pub async fn send_frames(&mut self, frames: &[Frame]) -> Result<(), LinkError> {
        self.outbound.send(&mut self.stream, frames).await
    }

    /// Says why, and sends nothing more. Takes at most [`BYE_MAX`], and fails silently. The
    /// connection closes when the reader is dropped too.
    pub async fn bye(mut self, code: &str, reason: &str) {
        let _ = timeout(BYE_MAX, self.outbound.bye(&mut self.stream, code, reason)).await;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Dials,
    Accepts,
}

/// A connection, whatever has been said on it.
#[derive(Debug)]
struct Ends<S> {
    stream: S,
    inbound: Inbound,
    outbound: Outbound,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Ends<S> {
    fn new(stream: S, times: LinkTimes) -> Self {
        let inbound = Inbound::new(FrameCodec::new(handshake_bytes_max), times);
        Self { stream, inbound, outbound: Outbound { write_max: times.write, broken: false } }
    }

    /// Both hellos; the other end's.
    async fn meet(&mut self, own: &Hello, side: Side) -> Result<Hello, LinkError> {
        let greeting = Frame::of(NO_REQUEST, own)?;
        if side == Side::Dials {
            self.outbound.send(&mut self.stream, std::slice::from_ref(&greeting)).await?;
        }
        let frame = self.inbound.next(&mut self.stream).await?.ok_or(LinkError::Closed)?;
        let peer = judged(&frame, own, side)?;
        if side == Side::Accepts {
            self.outbound.send(&mut self.stream, std::slice::from_ref(&greeting)).await?;
        }
        Ok(peer)
    }

    /// Says why and waits until the other end hangs up: a socket closed with something unread would
    /// take back the last word before it is heard.
    async fn bye(&mut self, code: &str, reason: &str) {
        let _ = timeout(BYE_MAX, async {
            self.outbound.bye(&mut self.stream, code, reason).await?;
            Ok::<(), LinkError>(drain(&mut self.stream).await?)
        })
        .await;
    }
}

async fn drain<R: AsyncRead + Unpin>(stream: &mut R) -> io::Result<()> {
    let mut unread = [0; DRAIN_BYTES];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

/// The other end's hello, if it is one that this end goes on with.
fn judged(frame: &Frame, own: &Hello, side: Side) -> Result<Hello, LinkError> {
    judge_protocol(&frame.body, own.version)?;
    let peer: Hello = read(frame)?;
    if peer.network != own.network {
        return Err(LinkError::WrongNetwork { got: peer.network, expected: own.network });
    }
    if peer.nonce == own.nonce {
        return Err(LinkError::OwnConnection);
    }
    if side == Side::Dials && peer.role != Role::Node {
        return Err(LinkError::WrongRole);
    }
    Ok(peer)
}

/// Magic and version stand first in every version's hello, and are judged on the bytes: what
/// follows them in another version need not decode here.
fn judge_protocol(body: &[u8], expected: u16) -> Result<(), LinkError> {
    let Some((magic, rest)) = body.split_first_chunk() else { return Ok(()) };
    if *magic != MAGIC {
        return Err(LinkError::WrongMagic);
    }
    match rest.first_chunk().map(|version| u16::from_le_bytes(*version)) {
        Some(got) if got != expected => Err(LinkError::WrongVersion { got, expected }),
        _ => Ok(()),
    }
}

/// Frames out of a stream.
#[derive(Debug)]
struct Inbound {
    codec: FrameCodec,
    /// What is read and not yet taken.
    bytes: BytesMut,
    times: LinkTimes,
    /// When the frame that has begun must be complete. Kept here and not in the waiting, so that a
    /// waiting given up and begun anew is no new chance.
    deadline: Option<Pin<Box<Sleep>>>,
    failed: bool,
}

impl Inbound {
    fn new(codec: FrameCodec, times: LinkTimes) -> Self {
        Self { codec, bytes: BytesMut::new(), times, deadline: None, failed: false }
    }

    async fn next<R: AsyncRead + Unpin>(&mut self, stream: &mut R) -> Result<Option<Frame>, LinkError> {
        if self.failed {
            return Err(LinkError::Closed);
        }
        let next = self.frame(stream).await;
        let next = next.and_then(|frame| frame.map(unless_bye).transpose());
        self.failed = next.is_err();
        next
    }

    /// Nothing is held across a wait but in `self`, so dropping this loses nothing.
    async fn frame<R: AsyncRead + Unpin>(&mut self, stream: &mut R) -> Result<Option<Frame>, LinkError> {
        loop {
            if let Some(frame) = self.codec.decode(&mut self.bytes)? {
                self.deadline = None;
                return Ok(Some(frame));
            }
            if self.read_more(stream).await? == 0 {
                return Ok(self.codec.decode_eof(&mut self.bytes)?);
            }
        }
    }

    /// Reads what is there, or waits for it; how many bytes came.
    async fn read_more<R: AsyncRead + Unpin>(&mut self, stream: &mut R) -> Result<usize, LinkError> {
        let has_begun = self.codec.is_within_body() || !self.bytes.is_empty();
        // Less than a head is left of what was read: this never asks for more than it had.
        self.bytes.reserve(READ_BYTES.saturating_sub(self.bytes.len()));
        let Self { bytes, deadline, times, .. } = self;
        if !has_begun {
            return Ok(stream.read_buf(bytes).await?);
        }
        let deadline = deadline.get_or_insert_with(|| Box::pin(sleep(times.frame)));
        // What has arrived counts, however late this end comes to look at it: reading goes first.
        tokio::select! {
            biased;
            read = stream.read_buf(bytes) => Ok(read?),
            () = deadline => Err(LinkError::FrameTimeout),
        }
    }
}

fn unless_bye(frame: Frame) -> Result<Frame, LinkError> {
    if frame.kind == Bye::KIND { Err(LinkError::Bye(read(&frame)?)) } else { Ok(frame) }
}

/// Frames into a stream.
#[derive(Debug)]
struct Outbound {
    write_max: Duration,
    /// A frame was sent half: nothing that follows would be understood.
    broken: bool,
}

impl Outbound {
    async fn send<W: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut W,
        frames: &[Frame],
    ) -> Result<(), LinkError> {
        let mut bytes = BytesMut::new();
        frames.iter().try_for_each(|frame| frame.write_to(&mut bytes))?;
        // Whole again only at the end: this may be dropped at the wait.
        if std::mem::replace(&mut self.broken, true) {
            return Err(LinkError::Closed);
        }
        let written = timeout(self.write_max, async {
            stream.write_all(&bytes).await?;
            stream.flush().await
        });
        written.await.map_err(|_| LinkError::WriteTimeout)??;
        self.broken = false;
        Ok(())
    }

    async fn bye<W: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut W,
        code: &str,
        reason: &str,
    ) -> Result<(), LinkError> {
        self.send(stream, &[Frame::of(NO_REQUEST, &Bye::new(code, reason))?]).await?;
        Ok(stream.shutdown().await?)
    }
}

#[cfg(test)]
mod tests;
