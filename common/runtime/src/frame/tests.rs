//! However a stream is cut, the same frames come out of it; and what is no frame is refused with
//! nothing kept for what it claimed.

use futures_util::{SinkExt, StreamExt};
use steelyard_core::wire::{HANDSHAKE_FRAME_BYTES_MAX, Hello, Ping, Text, handshake_bytes_max};
use tokio_util::codec::{FramedRead, FramedWrite};

use super::*;

const MIB: usize = 1024 * 1024;
/// Bytes that a vector may have beyond what was asked of it, and a stream's own buffer.
const SLACK: usize = 64;

/// A kind for small bodies, one for large ones, one for empty ones, one for huge ones, and no other.
fn caps(kind: u8) -> Option<usize> {
    match kind {
        1 => Some(9_000),
        2 => Some(MIB),
        3 => Some(0),
        4 => Some(BODY_BYTES_MAX),
        _ => None,
    }
}

fn small(kind: u8) -> Option<usize> {
    if kind == 4 { None } else { caps(kind) }
}

/// A body in which every byte depends on its place, so that a byte lost or doubled shows.
fn body(bytes: usize) -> Bytes {
    (0..bytes).map(|at| (at % 251) as u8).collect()
}

fn frame(kind: u8, request: u32, bytes: usize) -> Frame {
    Frame { kind, request, body: body(bytes) }
}

fn wire(frames: &[Frame]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    for frame in frames {
        frame.write_to(&mut bytes).unwrap();
    }
    bytes.to_vec()
}

/// The frames of a stream that arrives in these pieces and then ends. Whatever arrives, the memory
/// held is never more than a step ahead of it.
fn arrive<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Frame>, FrameError> {
    let (mut codec, mut bytes, mut frames) = (FrameCodec::new(caps), BytesMut::new(), Vec::new());
    for piece in pieces {
        bytes.extend_from_slice(piece);
        while let Some(frame) = codec.decode(&mut bytes)? {
            frames.push(frame);
        }
        assert!(bytes.len() < HEAD_BYTES, "{} bytes are left in the buffer", bytes.len());
        if let Some(begun) = &codec.begun {
            assert!(begun.body.capacity() <= begun.body.len() + STEP_BYTES + SLACK);
            assert!(begun.body.capacity() <= begun.length + SLACK);
        }
    }
    while let Some(frame) = codec.decode_eof(&mut bytes)? {
        frames.push(frame);
    }
    Ok(frames)
}

/// SplitMix64, from the seed in `STEELYARD_SEED`, else from this one; prints which.
struct Random(u64);

impl Random {
    fn for_test(seed: u64) -> Self {
        let given = std::env::var("STEELYARD_SEED").ok();
        let seed = given.map_or(seed, |text| text.parse().unwrap());
        println!("STEELYARD_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % bound as u64) as usize
    }
}

#[test]
fn a_frame_has_these_bytes() {
    let bytes = wire(&[Frame { kind: 1, request: 0x0403_0201, body: Bytes::from_static(b"ab") }]);
    assert_eq!(bytes, [7, 0, 0, 0, 1, 1, 2, 3, 4, b'a', b'b']);
    assert_eq!(wire(&[frame(3, 0, 0)]), [5, 0, 0, 0, 3, 0, 0, 0, 0]);
}

#[test]
fn frames_of_every_length_arrive_byte_by_byte_and_at_once() {
    for bytes in [1, 2, 7, 8, 9, 10, 4095, 4096, 4097, 8191, 8192, 8193] {
        let sent = [frame(1, 7, bytes)];
        let stream = wire(&sent);
        assert_eq!(arrive(stream.chunks(1)).unwrap(), sent, "{bytes} bytes, one by one");
        assert_eq!(arrive([&stream[..]]).unwrap(), sent, "{bytes} bytes at once");
    }
}

#[test]
fn a_mebibyte_arrives_in_any_pieces() {
    let sent = [frame(2, u32::MAX, MIB), frame(3, 1, 0)];
    let stream = wire(&sent);
    for piece in [1, 7, 4095, 4096, 4097, STEP_BYTES - 1, STEP_BYTES, STEP_BYTES + 1, 100_003, 2 * MIB] {
        assert_eq!(arrive(stream.chunks(piece)).unwrap(), sent, "in pieces of {piece}");
    }
}

#[test]
fn small_frames_arrive_cut_at_every_two_points() {
    let sent = [frame(1, 1, 1), frame(3, 2, 0), frame(1, 3, 12)];
    let stream = wire(&sent);
    for first in 0..=stream.len() {
        for second in first..=stream.len() {
            let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
            assert_eq!(arrive(pieces).unwrap(), sent, "cut at {first} and {second}");
        }
    }
}

#[test]
fn frames_of_4096_bytes_arrive_cut_at_every_point() {
    for bytes in [4095, 4096, 4097] {
        let sent = [frame(1, 1, bytes)];
        let stream = wire(&sent);
        for cut in 0..=stream.len() {
            assert_eq!(arrive([&stream[..cut], &stream[cut..]]).unwrap(), sent, "{bytes} cut at {cut}");
        }
    }
}

#[test]
fn many_frames_arrive_in_one_piece() {
    let sent: Vec<_> = (0..1_000).map(|at| frame(1, at, at as usize % 50)).collect();
    let stream = wire(&sent);
    assert_eq!(arrive([&stream[..]]).unwrap(), sent);
    assert_eq!(arrive(stream.chunks(4096)).unwrap(), sent);
}

/// The tutorial's receiver read pieces of 4096 bytes and took a piece that was shorter for the
/// message's last. The last piece of a message with `len % 4096 == 0` is not shorter: the receiver
/// waited for another, and the message was lost. A message cut short by the network was taken for
/// whole, for the same reason. A frame says how long it is, so no length and no cut is special.
#[test]
fn the_tutorials_lost_messages_of_multiples_of_4096_bytes_arrive() {
    let sentence = b"Every amount is weighed, and the beam must lie level before the block is sealed. ";
    for multiple in [1, 2, 3, 16] {
        // Once the message alone, once the whole frame has such a length.
        for bytes in [4096 * multiple, 4096 * multiple - HEAD_BYTES] {
            let said: Bytes = sentence.iter().copied().cycle().take(bytes).collect();
            let sent = [Frame { kind: 2, request: 1, body: said }, frame(3, 2, 0)];
            let stream = wire(&sent);
            for piece in [1, 1000, 4095, 4096, 4097, stream.len()] {
                assert_eq!(arrive(stream.chunks(piece)).unwrap(), sent, "{bytes} bytes by {piece}");
            }
            // The message is there with its own last byte: it waits for nothing that follows.
            let mut codec = FrameCodec::new(caps);
            let mut first = BytesMut::from(&stream[..HEAD_BYTES + bytes]);
            assert_eq!(codec.decode(&mut first).unwrap().unwrap(), sent[0]);
        }
    }
}

#[test]
fn random_streams_cut_anywhere_give_the_same_frames() {
    let mut random = Random::for_test(20_261_122);
    for stream_number in 0..1_000 {
        let sent: Vec<_> = (0..random.below(12))
            .map(|request| {
                let limit = [2, 300, 9_001][random.below(3)];
                frame(1, request as u32, random.below(limit))
            })
            .collect();
        let stream = wire(&sent);
        let (mut pieces, mut rest) = (Vec::new(), &stream[..]);
        let longest = [1, 20, 5_000, 70_000][random.below(4)];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(1 + random.below(longest)));
            pieces.push(piece);
            rest = after;
        }
        assert_eq!(arrive(pieces).unwrap(), sent, "stream {stream_number}");
    }
}

#[test]
fn a_stream_that_ends_within_a_frame_is_an_error_at_every_place() {
    assert_eq!(arrive([]).unwrap(), []);
    // 9 bytes are the shortest frame: 1 to 8 are none, and say nothing wrong before they end.
    let stream = wire(&[frame(1, 1, 3), frame(3, 2, 0)]);
    let whole = HEAD_BYTES + 3;
    for end in 1..stream.len() {
        let result = arrive(stream[..end].chunks(1));
        match end == whole {
            true => assert_eq!(result.unwrap(), [frame(1, 1, 3)]),
            false => assert_eq!(result.unwrap_err().name(), "frame_ended", "at {end}"),
        }
    }
}

/// What the codec says once it has been given these bytes, one by one, and after how many.
fn refused(caps: impl Caps, bytes: &[u8]) -> (FrameError, usize) {
    let (mut codec, mut buffer) = (FrameCodec::new(caps), BytesMut::new());
    for (at, byte) in bytes.iter().enumerate() {
        buffer.extend_from_slice(&[*byte]);
        let capacity = buffer.capacity();
        match codec.decode(&mut buffer) {
            Ok(frame) => assert_eq!(frame, None),
            Err(error) => {
                assert!(codec.begun.is_none(), "something is kept of a frame that is refused");
                assert_eq!(buffer.capacity(), capacity, "the buffer grew for a frame that is refused");
                assert!(capacity <= SLACK);
                return (error, at + 1);
            }
        }
    }
    panic!("{bytes:?} is not refused")
}

#[test]
fn a_length_that_cannot_be_is_refused_at_its_fourth_byte() {
    for got in 0..5 {
        let (error, after) = refused(caps, &[got, 0, 0, 0, 1]);
        assert!(matches!(error, FrameError::TooShort { got: told } if told == u32::from(got)));
        assert_eq!(after, 4);
    }
    let (error, after) = refused(small, &[0xff, 0xff, 0xff, 0xff, 1]);
    assert!(matches!(error, FrameError::TooLongForAnyKind { got, max: MIB } if got == BODY_BYTES_MAX));
    assert_eq!(after, 4);
    let no_kind = |_: u8| None;
    let (error, after) = refused(no_kind, &[6, 0, 0, 0, 1]);
    assert!(matches!(error, FrameError::TooLongForAnyKind { got: 1, max: 0 }));
    assert_eq!(after, 4);
}

#[test]
fn a_kind_that_is_not_taken_is_refused_at_the_fifth_byte() {
    for kind in [0, 5, 255] {
        let (error, after) = refused(caps, &[5, 0, 0, 0, kind, 0, 0, 0, 0]);
        assert!(matches!(error, FrameError::UnknownKind { kind: told } if told == kind));
        assert_eq!(after, 5);
    }
}

#[test]
fn a_body_one_byte_above_its_kinds_cap_is_refused_at_the_fifth_byte() {
    for (kind, cap) in [(1, 9_000), (2, MIB), (3, 0)] {
        let mut stream = wire(&[Frame { kind, request: 0, body: body(cap + 1) }]);
        let (error, after) = refused(caps, &stream);
        assert!(matches!(error, FrameError::TooLong { kind: told, got, max }
            if told == kind && got == cap + 1 && max == cap));
        assert_eq!(after, 5);
        // In one piece the same, though there is more to take.
        assert_eq!(arrive([&stream[..]]).unwrap_err().name(), "frame_too_long");
        stream = wire(&[Frame { kind, request: 0, body: body(cap) }]);
        assert_eq!(arrive([&stream[..]]).unwrap().len(), 1);
    }
}

#[test]
fn four_gibibytes_that_are_allowed_and_claimed_cost_what_has_arrived() {
    let (mut codec, mut bytes) = (FrameCodec::new(caps), BytesMut::new());
    bytes.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 4, 0, 0, 0, 0]);
    assert_eq!(codec.decode(&mut bytes).unwrap(), None);
    assert_eq!(codec.begun.as_ref().unwrap().body.capacity(), 0);
    for arrived in 1..300 {
        bytes.extend_from_slice(&[7; 1000]);
        assert_eq!(codec.decode(&mut bytes).unwrap(), None);
        let capacity = codec.begun.as_ref().unwrap().body.capacity();
        assert!(capacity <= arrived * 1000 + STEP_BYTES, "{capacity} for {arrived} thousand");
    }
    assert!(bytes.capacity() <= 4096, "the stream's own buffer has {} bytes", bytes.capacity());
}

#[test]
fn a_body_too_long_for_its_length_is_refused_and_not_sent() {
    assert_eq!(length_of(1, 0).unwrap(), 5);
    assert_eq!(length_of(1, BODY_BYTES_MAX).unwrap(), u32::MAX);
    for got in [BODY_BYTES_MAX + 1, usize::MAX] {
        let told = length_of(9, got).unwrap_err();
        assert!(matches!(told, FrameError::TooLong { kind: 9, got: is, max: BODY_BYTES_MAX } if is == got));
    }
}

#[test]
fn a_message_has_its_frame() {
    let ping = Frame::of(9, &Ping { nonce: 1 }).unwrap();
    assert_eq!((ping.kind, ping.request, &ping.body[..]), (Ping::KIND, 9, &[1, 0, 0, 0, 0, 0, 0, 0][..]));
}

#[test]
fn other_caps_hold_from_the_next_head_on() {
    let mut codec = FrameCodec::new(handshake_bytes_max);
    assert!(codec.longest() + ENVELOPE_BYTES <= HANDSHAKE_FRAME_BYTES_MAX);
    let stream = wire(&[frame(Hello::KIND, 0, 20), frame(3, 1, 0)]);
    let mut bytes = BytesMut::from(&stream[..HEAD_BYTES + 10]);
    assert_eq!(codec.decode(&mut bytes).unwrap(), None);
    assert!(codec.is_within_body());
    codec.set_caps(|kind| (kind == 3).then_some(0));
    bytes.extend_from_slice(&stream[HEAD_BYTES + 10..]);
    assert_eq!(codec.decode(&mut bytes).unwrap().unwrap(), frame(Hello::KIND, 0, 20));
    assert!(!codec.is_within_body());
    assert_eq!(codec.decode(&mut bytes).unwrap().unwrap(), frame(3, 1, 0));
    bytes.extend_from_slice(&stream);
    assert_eq!(codec.decode(&mut bytes).unwrap_err().name(), "frame_unknown_kind");
}

#[tokio::test]
async fn the_codec_serves_framed_streams() {
    let (near, far) = tokio::io::duplex(100);
    let sent: Vec<_> = (0..20).map(|at| frame(1, at, 4096)).collect();
    let mut sink = FramedWrite::new(near, FrameCodec::new(caps));
    let send = async {
        for frame in sent.clone() {
            sink.send(frame).await.unwrap();
        }
        drop(sink);
    };
    let receive = FramedRead::new(far, FrameCodec::new(caps)).map(Result::unwrap).collect::<Vec<_>>();
    let ((), received) = tokio::join!(send, receive);
    assert_eq!(received, sent);
}

#[test]
fn every_error_has_its_own_words() {
    let errors = [
        FrameError::TooShort { got: 4 },
        FrameError::UnknownKind { kind: 9 },
        FrameError::TooLong { kind: 9, got: 2, max: 1 },
        FrameError::TooLongForAnyKind { got: 2, max: 1 },
        FrameError::Ended,
        FrameError::Io(io::ErrorKind::BrokenPipe.into()),
    ];
    let names = errors.each_ref().map(FrameError::name);
    let expected =
        ["frame_too_short", "frame_unknown_kind", "frame_too_long", "frame_too_long", "frame_ended", "io"];
    assert_eq!(names, expected);
    for error in &errors {
        // Each fits a bye as it is.
        assert_eq!(Text::<32>::new(error.name()).as_str(), error.name());
        assert_eq!(Text::<256>::new(&error.to_string()).as_str(), error.to_string());
    }
}
