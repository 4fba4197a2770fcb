//! The frame reader: however a stream is cut, the same frames come out of it, none longer than its kind
//! may be there, and written again they are the stream. What they carry goes to the target of messages.
//! Must not know sockets.

use bytes::BytesMut;
use steelyard_core::wire;
use steelyard_ledger::fuzz::input::Input;
use steelyard_ledger::fuzz::wire::message;
use steelyard_ledger::random::Random;
use steelyard_runtime::frame::{Frame, FrameCodec, HEAD_BYTES};
use tokio_util::codec::Decoder;

/// Longest body by kind.
type Caps = fn(u8) -> Option<usize>;

/// Who reads: before the handshake, then a node from a light client, a light client, a node from a node.
const READERS: [Caps; 4] =
    [wire::handshake_bytes_max, wire::request_bytes_max, wire::answer_bytes_max, wire::peer_bytes_max];
/// Longest piece of a random cut.
const PIECE_BYTES_MAX: u64 = 40;

/// The target: who reads u8, seed of the cut u16, the stream.
pub fn frame(input: &[u8]) {
    let mut input = Input::new(input);
    let caps = READERS[usize::from(input.u8()) % READERS.len()];
    let mut random = Random::new(u64::from(input.u16()));
    let stream = input.rest();
    let whole = read(caps, std::iter::once(stream));
    same(&whole, &read(caps, stream.chunks(1)));
    same(&whole, &read(caps, cut(stream, &mut random).into_iter()));
    let (frames, error) = whole;
    let mut written = BytesMut::new();
    for frame in &frames {
        assert!(caps(frame.kind).is_some_and(|max| frame.body.len() <= max), "kind {}", frame.kind);
        frame.write_to(&mut written).expect("it was short enough to be read");
        message(&[&[frame.kind], &frame.body[..]].concat());
    }
    assert!(stream.starts_with(&written));
    assert_eq!(error.is_none(), stream.len() == written.len(), "{error:?}");
}

/// The frames of a stream that arrives in these pieces and ends, and the name of what is wrong with it.
fn read<'a>(caps: Caps, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<&'static str>) {
    let (mut codec, mut buffer, mut frames) = (FrameCodec::new(caps), BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error.name())),
            }
        }
        assert!(buffer.len() < HEAD_BYTES, "{} bytes are left in the buffer", buffer.len());
    }
    loop {
        match codec.decode_eof(&mut buffer) {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, None),
            Err(error) => return (frames, Some(error.name())),
        }
    }
}

fn same(one: &(Vec<Frame>, Option<&str>), other: &(Vec<Frame>, Option<&str>)) {
    assert_eq!(one.0, other.0, "one cut, other frames");
    // A length that no kind may have is refused before the kind is there, and may be one of none.
    let is_early = |name: Option<&str>| matches!(name, Some("frame_too_long" | "frame_unknown_kind"));
    assert!(one.1 == other.1 || is_early(one.1) && is_early(other.1), "{:?} and {:?}", one.1, other.1);
}

fn cut<'a>(stream: &'a [u8], random: &mut Random) -> Vec<&'a [u8]> {
    let (mut pieces, mut rest) = (Vec::new(), stream);
    while !rest.is_empty() {
        let bytes = usize::try_from(random.below(PIECE_BYTES_MAX)).expect("small").min(rest.len());
        let (piece, tail) = rest.split_at(bytes);
        pieces.push(piece);
        rest = tail;
    }
    pieces
}
