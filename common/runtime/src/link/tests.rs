//! Two ends that say who they are and go on, and everything that keeps them from it. Time is
//! tokio's own and stands still but for what is waited for.

use bytes::Bytes;
use steelyard_core::hash::BlockId;
use steelyard_core::wire::hello::MAGIC;
use steelyard_core::wire::{
    GetTip, HANDSHAKE_FRAME_BYTES_MAX, PROTOCOL_VERSION, Ping, Pong, Text, answer_bytes_max,
    request_bytes_max,
};
use tokio::io::{DuplexStream, duplex};
use tokio::time::Instant;

use super::*;
use crate::frame::HEAD_BYTES;

/// Larger than everything that a test leaves unread on purpose.
const ROOMY: usize = 1024 * 1024;
const TIMES: LinkTimes = LinkTimes {
    handshake: Duration::from_secs(10),
    frame: Duration::from_secs(30),
    write: Duration::from_secs(20),
};
/// A kind for bodies that have no meaning.
const PLAIN: u8 = 200;

fn caps(kind: u8) -> Option<usize> {
    match kind {
        PLAIN => Some(64 * 1024),
        Bye::KIND | Ping::KIND | Pong::KIND => request_bytes_max(kind).or(answer_bytes_max(kind)),
        _ => None,
    }
}

fn node() -> Hello {
    Hello {
        magic: MAGIC,
        version: PROTOCOL_VERSION,
        role: Role::Node,
        network: NetworkId([5; 32]),
        nonce: 1,
        port: 0,
        height: 77,
        tip: BlockId([8; 32]),
        bodies_from: 0,
        agent: Text::new("steelyard-node 0.1.0"),
    }
}

fn light() -> Hello {
    let agent = Text::new("steelyard-wallet 0.1.0");
    Hello { role: Role::Light, nonce: 2, height: 0, tip: BlockId::ZERO, agent, ..node() }
}

fn plain(request: u32, bytes: usize) -> Frame {
    let body: Bytes = (0..bytes).map(|at| (at % 251) as u8).collect();
    Frame { kind: PLAIN, request, body }
}

fn wire(frame: &Frame) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    frame.write_to(&mut bytes).unwrap();
    bytes.to_vec()
}

fn hello_frame(hello: &Hello) -> Vec<u8> {
    wire(&Frame::of(NO_REQUEST, hello).unwrap())
}

/// A light client's link to a node, and the node's to the client.
async fn linked(buffer: usize) -> (Link<DuplexStream>, Link<DuplexStream>) {
    let (near, far) = duplex(buffer);
    let (dialled, accepted) =
        tokio::join!(Link::dial(near, light(), caps, TIMES), Link::accept(far, node(), caps, TIMES));
    (dialled.unwrap(), accepted.unwrap())
}

/// A node's link, and the other end's raw stream, which has done its handshake.
async fn raw(buffer: usize) -> (Link<DuplexStream>, DuplexStream) {
    let (mut near, far) = duplex(buffer);
    near.write_all(&hello_frame(&light())).await.unwrap();
    let link = Link::accept(far, node(), caps, TIMES).await.unwrap();
    let mut greeting = vec![0; hello_frame(&node()).len()];
    near.read_exact(&mut greeting).await.unwrap();
    assert_eq!(greeting, hello_frame(&node()));
    (link, near)
}

/// What an accepting end makes of these bytes, after which the other end closes if it is said to,
/// and everything that it says itself.
async fn accepted(bytes: &[u8], closes: bool) -> (Result<Link<DuplexStream>, LinkError>, Vec<u8>) {
    let (mut near, far) = duplex(ROOMY);
    near.write_all(bytes).await.unwrap();
    if closes {
        near.shutdown().await.unwrap();
    }
    let link = Link::accept(far, node(), caps, TIMES).await;
    let mut said = Vec::new();
    if link.is_err() {
        near.read_to_end(&mut said).await.unwrap();
    }
    (link, said)
}

/// The same of an end that dials, without its own hello.
async fn dialled(bytes: &[u8], closes: bool) -> (Result<Link<DuplexStream>, LinkError>, Vec<u8>) {
    let (mut near, far) = duplex(ROOMY);
    near.write_all(bytes).await.unwrap();
    if closes {
        near.shutdown().await.unwrap();
    }
    let link = Link::dial(far, light(), caps, TIMES).await;
    let mut said = Vec::new();
    if link.is_err() {
        near.read_to_end(&mut said).await.unwrap();
        let greeting = hello_frame(&light());
        assert_eq!(said[..greeting.len()], greeting);
        said.drain(..greeting.len());
    }
    (link, said)
}

/// The bye that these bytes are, and nothing else.
fn only_bye(bytes: &[u8]) -> Bye {
    let mut codec = FrameCodec::new(handshake_bytes_max);
    let mut bytes = BytesMut::from(bytes);
    let frame = codec.decode(&mut bytes).unwrap().unwrap();
    assert_eq!((frame.request, bytes.len()), (NO_REQUEST, 0));
    read(&frame).unwrap()
}

#[tokio::test(start_paused = true)]
async fn both_ends_say_who_they_are_and_go_on() {
    let (mut client, mut server) = linked(64).await;
    assert_eq!((client.peer(), server.peer()), (&node(), &light()));
    client.send(7, &Ping { nonce: 3 }).await.unwrap();
    let frame = server.next().await.unwrap().unwrap();
    assert_eq!((frame.request, read::<Ping>(&frame).unwrap()), (7, Ping { nonce: 3 }));
    server.send(7, &Pong { nonce: 3 }).await.unwrap();
    let frame = client.next().await.unwrap().unwrap();
    assert_eq!(read::<Pong>(&frame).unwrap(), Pong { nonce: 3 });
    drop(client);
    assert!(server.next().await.unwrap().is_none());
    assert!(server.next().await.unwrap().is_none());
    assert_eq!(server.send(8, &Ping { nonce: 4 }).await.unwrap_err().name(), "io");
    assert_eq!(server.send(8, &Ping { nonce: 4 }).await.unwrap_err().name(), "closed");
}

#[tokio::test(start_paused = true)]
async fn two_nodes_link_too() {
    let (near, far) = duplex(ROOMY);
    let other = Hello { nonce: 9, ..node() };
    let (dialled, accepted) =
        tokio::join!(Link::dial(near, other.clone(), caps, TIMES), Link::accept(far, node(), caps, TIMES));
    assert_eq!((dialled.unwrap().peer(), accepted.unwrap().peer()), (&node(), &other));
}

#[tokio::test(start_paused = true)]
async fn a_dialler_need_not_wait_for_the_answer_to_its_hello() {
    let mut bytes = hello_frame(&light());
    bytes.extend(wire(&plain(1, 10)));
    bytes.extend(wire(&plain(2, 0)));
    let (link, _) = accepted(&bytes, true).await;
    let mut link = link.unwrap();
    assert_eq!(link.next().await.unwrap().unwrap(), plain(1, 10));
    assert_eq!(link.next().await.unwrap().unwrap(), plain(2, 0));
    assert!(link.next().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn each_wrong_field_is_refused_by_its_name() {
    let wrong = [
        (Hello { magic: *b"bitcoin!", ..light() }, "wrong_magic"),
        (Hello { version: PROTOCOL_VERSION + 1, ..light() }, "wrong_version"),
        (Hello { version: 0, ..light() }, "wrong_version"),
        (Hello { network: NetworkId([6; 32]), ..light() }, "wrong_network"),
        (Hello { nonce: node().nonce, ..light() }, "own_connection"),
    ];
    for (hello, name) in wrong {
        let (link, said) = accepted(&hello_frame(&hello), false).await;
        let error = link.unwrap_err();
        assert_eq!(error.name(), name);
        assert_eq!(only_bye(&said), Bye::new(name, &error.to_string()));
        // The end that dials refuses the same of a node.
        let nonce = if name == "own_connection" { light().nonce } else { node().nonce };
        let hello = Hello { role: Role::Node, nonce, ..hello };
        let (link, said) = dialled(&hello_frame(&hello), false).await;
        assert_eq!(link.unwrap_err().name(), name);
        assert_eq!(only_bye(&said).code.as_str(), name);
    }
    let (link, said) = dialled(&hello_frame(&Hello { nonce: 9, ..light() }), false).await;
    assert!(matches!(link, Err(LinkError::WrongRole)));
    assert_eq!(only_bye(&said).code.as_str(), "wrong_role");
}

#[tokio::test(start_paused = true)]
async fn the_fields_are_judged_in_order() {
    let mut hello = Hello {
        magic: *b"bitcoin!",
        version: 9,
        network: NetworkId([6; 32]),
        nonce: light().nonce,
        ..light()
    };
    for name in ["wrong_magic", "wrong_version", "wrong_network", "own_connection", "wrong_role"] {
        let (link, _) = dialled(&hello_frame(&hello), false).await;
        assert_eq!(link.unwrap_err().name(), name);
        match name {
            "wrong_magic" => hello.magic = MAGIC,
            "wrong_version" => hello.version = PROTOCOL_VERSION,
            "wrong_network" => hello.network = light().network,
            _ => hello.nonce = 9,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_versions_hello_is_told_its_version_though_it_does_not_decode() {
    let mut body = [MAGIC.as_slice(), &9u16.to_le_bytes()].concat();
    for more in [&[][..], b"fields that are not known yet", &[7; 900]] {
        body.extend_from_slice(more);
        let frame = Frame { kind: Hello::KIND, request: NO_REQUEST, body: body.clone().into() };
        let (link, said) = accepted(&wire(&frame), false).await;
        assert!(matches!(link, Err(LinkError::WrongVersion { got: 9, expected: PROTOCOL_VERSION })));
        assert_eq!(only_bye(&said).code.as_str(), "wrong_version");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hello_that_does_not_decode_is_told_nothing() {
    let full = Frame::of(NO_REQUEST, &light()).unwrap();
    for bytes in [0, 1, 7, 8, 9, 10, full.body.len() - 1] {
        let frame = Frame { body: full.body.slice(..bytes), ..full.clone() };
        let (link, said) = accepted(&wire(&frame), false).await;
        assert_eq!(link.unwrap_err().name(), "undecodable", "{bytes} bytes");
        assert!(said.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_before_the_hello_is_told_nothing() {
    for kind in [0, Ping::KIND, GetTip::KIND, PLAIN, 255] {
        let frame = Frame { kind, request: 1, body: Bytes::from_static(&[0; 8]) };
        for (link, said) in [accepted(&wire(&frame), false).await, dialled(&wire(&frame), false).await] {
            let error = link.unwrap_err();
            assert!(matches!(error, LinkError::Frame(FrameError::UnknownKind { kind: got }) if got == kind));
            assert!(said.is_empty());
        }
    }
    let (link, said) = accepted(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", false).await;
    assert_eq!((link.unwrap_err().name(), said.len()), ("frame_unknown_kind", 0));
}

#[tokio::test(start_paused = true)]
async fn a_hello_of_more_than_a_kibibyte_is_refused_before_it_is_read() {
    let begun = Instant::now();
    for length in [HANDSHAKE_FRAME_BYTES_MAX + 1, u32::MAX as usize] {
        let claimed = u32::try_from(length).unwrap().to_le_bytes();
        for bytes in [&claimed[..], &[&claimed[..], &[Hello::KIND]].concat()] {
            let (link, said) = accepted(bytes, false).await;
            assert_eq!((link.unwrap_err().name(), said.len()), ("frame_too_long", 0));
        }
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_second_hello_is_an_unknown_kind() {
    let (mut link, mut near) = raw(ROOMY).await;
    near.write_all(&hello_frame(&light())).await.unwrap();
    let error = link.next().await.unwrap_err();
    assert!(matches!(error, LinkError::Frame(FrameError::UnknownKind { kind: Hello::KIND })));
    assert_eq!(link.next().await.unwrap_err().name(), "closed");
}

#[tokio::test(start_paused = true)]
async fn silence_ends_the_handshake_in_time_and_in_silence() {
    let greeting = hello_frame(&light());
    for sent in [0, 1, HEAD_BYTES, greeting.len() - 1] {
        let begun = Instant::now();
        let (link, said) = accepted(&greeting[..sent], false).await;
        assert!(matches!(link, Err(LinkError::HandshakeTimeout)));
        assert_eq!((begun.elapsed(), said.len()), (TIMES.handshake, 0));
        let begun = Instant::now();
        let (link, said) = dialled(&greeting[..sent], false).await;
        assert!(matches!(link, Err(LinkError::HandshakeTimeout)));
        assert_eq!((begun.elapsed(), said.len()), (TIMES.handshake, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_takes_no_hello_ends_the_handshake_in_time() {
    let begun = Instant::now();
    let (_near, far) = duplex(10);
    assert!(matches!(Link::dial(far, light(), caps, TIMES).await, Err(LinkError::HandshakeTimeout)));
    assert_eq!(begun.elapsed(), TIMES.handshake);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_closes_within_the_handshake_is_closed() {
    let greeting = hello_frame(&node());
    let begun = Instant::now();
    for sent in 0..greeting.len() {
        let expected = if sent == 0 { "closed" } else { "frame_ended" };
        let (link, said) = accepted(&greeting[..sent], true).await;
        assert_eq!((link.unwrap_err().name(), said.len()), (expected, 0));
        let (link, said) = dialled(&greeting[..sent], true).await;
        assert_eq!((link.unwrap_err().name(), said.len()), (expected, 0));
    }
    let (near, far) = duplex(ROOMY);
    drop(near);
    assert_eq!(Link::dial(far, light(), caps, TIMES).await.unwrap_err().name(), "io");
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn who_dials_itself_is_told() {
    let (near, far) = duplex(ROOMY);
    let begun = Instant::now();
    let (dialled, accepted) =
        tokio::join!(Link::dial(near, node(), caps, TIMES), Link::accept(far, node(), caps, TIMES));
    assert!(matches!(accepted, Err(LinkError::OwnConnection)));
    let Err(LinkError::Bye(bye)) = dialled else { panic!("{dialled:?}") };
    assert_eq!(bye.code.as_str(), "own_connection");
    // The refusing end does not wait once the other has gone.
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_bye_says_why_and_ends_the_link() {
    let (client, mut server) = linked(ROOMY).await;
    let begun = Instant::now();
    let last = tokio::spawn(async move {
        client.bye("busy", "come back later").await;
        begun.elapsed()
    });
    let error = server.next().await.unwrap_err();
    assert_eq!(error.to_string(), "the other end hung up: come back later (busy)");
    assert!(matches!(error, LinkError::Bye(bye) if bye == Bye::new("busy", "come back later")));
    assert_eq!(server.next().await.unwrap_err().name(), "closed");
    drop(server);
    assert_eq!(last.await.unwrap(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_bye_to_an_end_that_never_hangs_up_takes_a_second() {
    for buffer in [400, ROOMY] {
        let (mut link, mut near) = raw(buffer).await;
        near.write_all(&[1; 100]).await.unwrap();
        if buffer == 400 {
            // And to one that takes nothing: there is no room for the bye.
            link.send_frame(&plain(1, buffer - HEAD_BYTES)).await.unwrap();
        }
        let begun = Instant::now();
        link.bye("busy", "come back later").await;
        assert_eq!(begun.elapsed(), BYE_MAX);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bye_that_does_not_decode_is_an_error() {
    let (mut link, mut near) = raw(ROOMY).await;
    near.write_all(&wire(&Frame { kind: Bye::KIND, request: 0, body: Bytes::from_static(b"?") }))
        .await
        .unwrap();
    assert!(matches!(link.next().await, Err(LinkError::Decode { kind: Bye::KIND, .. })));
    assert_eq!(link.next().await.unwrap_err().name(), "closed");
}

#[tokio::test(start_paused = true)]
async fn a_byte_a_second_within_a_frame_ends_at_the_deadline() {
    let (mut link, mut near) = raw(ROOMY).await;
    let begun = Instant::now();
    tokio::spawn(async move {
        for byte in wire(&plain(1, 1000)) {
            near.write_all(&[byte]).await.unwrap_or_default();
            sleep(Duration::from_secs(1)).await;
        }
    });
    assert!(matches!(link.next().await, Err(LinkError::FrameTimeout)));
    assert_eq!(begun.elapsed(), TIMES.frame);
    assert_eq!(link.next().await.unwrap_err().name(), "closed");
}

#[tokio::test(start_paused = true)]
async fn giving_up_the_wait_and_waiting_anew_is_no_new_deadline() {
    let (mut link, mut near) = raw(ROOMY).await;
    near.write_all(&wire(&plain(1, 1000))[..100]).await.unwrap();
    let begun = Instant::now();
    let mut rounds = 0;
    while rounds < 10 {
        rounds += 1;
        match timeout(Duration::from_secs(7), link.next()).await {
            Err(_) => {}
            Ok(Err(LinkError::FrameTimeout)) => break,
            Ok(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((rounds, begun.elapsed()), (5, TIMES.frame));
}

#[tokio::test(start_paused = true)]
async fn each_frame_has_its_own_deadline_and_a_frame_in_time_is_fine() {
    let (mut link, mut near) = raw(ROOMY).await;
    let sender = tokio::spawn(async move {
        for request in 0..10 {
            let bytes = wire(&plain(request, 100));
            let (first, last) = bytes.split_at(50);
            near.write_all(first).await.unwrap();
            sleep(TIMES.frame - Duration::from_millis(1)).await;
            near.write_all(last).await.unwrap();
        }
    });
    for request in 0..10 {
        assert_eq!(link.next().await.unwrap().unwrap(), plain(request, 100));
    }
    sender.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_has_arrived_counts_however_late_it_is_looked_at() {
    let (mut link, mut near) = raw(ROOMY).await;
    let bytes = wire(&plain(1, 50_000));
    near.write_all(&bytes[..10]).await.unwrap();
    assert!(timeout(Duration::from_secs(1), link.next()).await.is_err());
    near.write_all(&bytes[10..]).await.unwrap();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(link.next().await.unwrap().unwrap(), plain(1, 50_000));
}

#[tokio::test(start_paused = true)]
async fn an_hour_between_two_frames_is_fine() {
    let (mut client, mut server) = linked(ROOMY).await;
    let sender = tokio::spawn(async move {
        for nonce in 0..3 {
            sleep(Duration::from_secs(3600)).await;
            client.send(1, &Ping { nonce }).await.unwrap();
        }
    });
    let begun = Instant::now();
    for nonce in 0..3 {
        let frame = server.next().await.unwrap().unwrap();
        assert_eq!(read::<Ping>(&frame).unwrap(), Ping { nonce });
    }
    assert_eq!(begun.elapsed(), Duration::from_secs(3 * 3600));
    sender.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_end_that_never_reads_is_given_up_at_the_deadline() {
    let (mut link, _near) = raw(4096).await;
    let mut sent = 0;
    let begun = Instant::now();
    let error = loop {
        match link.send_frame(&plain(1, 1000)).await {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, LinkError::WriteTimeout));
    assert_eq!((sent, begun.elapsed()), (4, TIMES.write));
    assert_eq!(link.send_frame(&plain(1, 0)).await.unwrap_err().name(), "closed");
}

#[tokio::test(start_paused = true)]
async fn a_sending_given_up_half_way_is_the_last() {
    let (mut link, mut near) = raw(500).await;
    assert!(timeout(Duration::from_secs(1), link.send_frame(&plain(1, 1000))).await.is_err());
    let mut half = [0; 500];
    near.read_exact(&mut half).await.unwrap();
    assert_eq!(half, wire(&plain(1, 1000))[..500]);
    // Now there is room, but the other end would take it for the rest of the first.
    assert!(matches!(link.send_frame(&plain(2, 0)).await, Err(LinkError::Closed)));
    near.write_all(&wire(&plain(3, 1))).await.unwrap();
    assert_eq!(link.next().await.unwrap().unwrap(), plain(3, 1));
}

#[tokio::test(start_paused = true)]
async fn waiting_may_be_given_up_at_every_byte() {
    let (mut link, mut near) = raw(ROOMY).await;
    let sent = [plain(1, 40), plain(2, 0), plain(3, 5000)];
    let mut received = Vec::new();
    for frame in &sent {
        for byte in wire(frame) {
            near.write_all(&[byte]).await.unwrap();
            // Polled once, which takes the byte, and dropped.
            let next = link.next();
            tokio::select! {
                biased;
                frame = next => received.push(frame.unwrap().unwrap()),
                () = std::future::ready(()) => {}
            }
        }
    }
    assert_eq!(received, sent);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_closes_within_a_frame_has_ended_it() {
    let bytes = wire(&plain(1, 3));
    for sent in 0..=bytes.len() {
        let (mut link, mut near) = raw(ROOMY).await;
        near.write_all(&bytes[..sent]).await.unwrap();
        drop(near);
        if sent == bytes.len() {
            assert_eq!(link.next().await.unwrap().unwrap(), plain(1, 3));
        }
        if sent == 0 || sent == bytes.len() {
            assert!(link.next().await.unwrap().is_none());
        } else {
            assert!(matches!(link.next().await, Err(LinkError::Frame(FrameError::Ended))));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_split_link_goes_both_ways_at_once() {
    // Far more than the connection holds goes both ways: neither end may wait for the other to read.
    let (client, server) = linked(100).await;
    let talk = |link: Link<DuplexStream>| async move {
        let (mut reader, mut writer) = link.split();
        let send = async {
            for request in 0..50 {
                writer.send_frame(&plain(request, 3000)).await.unwrap();
            }
        };
        let receive = async {
            for request in 0..50 {
                assert_eq!(reader.next().await.unwrap().unwrap(), plain(request, 3000));
            }
        };
        tokio::join!(send, receive);
        (reader, writer)
    };
    let (client, server) = tokio::join!(talk(client), talk(server));
    let ((mut reader, mut writer), (mut other, farewell)) = (client, server);
    assert_eq!((reader.peer(), other.peer()), (&node(), &light()));
    writer.send(1, &Ping { nonce: 5 }).await.unwrap();
    assert_eq!(read::<Ping>(&other.next().await.unwrap().unwrap()).unwrap(), Ping { nonce: 5 });
    let begun = Instant::now();
    tokio::join!(farewell.bye("done", ""), async {
        assert_eq!(reader.next().await.unwrap_err().name(), "bye");
    });
    assert_eq!(begun.elapsed(), Duration::ZERO);
    drop((reader, writer));
    assert!(other.next().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_caps_may_follow_from_who_the_other_end_is() {
    let (mut link, mut near) = raw(ROOMY).await;
    near.write_all(&wire(&plain(1, 1))).await.unwrap();
    link.set_caps(|kind| (kind == PLAIN).then_some(0));
    assert_eq!(link.next().await.unwrap_err().name(), "frame_too_long");
    let (link, mut near) = raw(ROOMY).await;
    near.write_all(&wire(&plain(1, 1))).await.unwrap();
    let (mut reader, _writer) = link.split();
    reader.set_caps(request_bytes_max);
    assert_eq!(reader.next().await.unwrap_err().name(), "frame_unknown_kind");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_link_keeps_one_buffer_whatever_has_passed() {
    let (mut link, mut near) = raw(100_000).await;
    for request in 0..100 {
        let bytes = wire(&plain(request, 60_000 - request as usize));
        near.write_all(&bytes).await.unwrap();
        near.write_all(&bytes[..3]).await.unwrap();
        assert_eq!(link.next().await.unwrap().unwrap(), plain(request, 60_000 - request as usize));
        near.write_all(&bytes[3..]).await.unwrap();
        link.next().await.unwrap().unwrap();
    }
    // A wait begins, for which the buffer is made ready: only then it counts as a whole.
    assert!(timeout(Duration::from_secs(1), link.next()).await.is_err());
    let kept = link.ends.inbound.bytes.capacity();
    assert!(kept <= 2 * READ_BYTES, "{kept} bytes are kept");
}

#[test]
fn a_frame_is_read_as_its_own_kind_only() {
    let frame = Frame::of(1, &Ping { nonce: 1 }).unwrap();
    assert!(matches!(
        read::<Pong>(&frame),
        Err(LinkError::UnexpectedKind { got: Ping::KIND, expected: Pong::KIND })
    ));
    let short = Frame { body: frame.body.slice(1..), ..frame };
    assert!(matches!(
        read::<Ping>(&short),
        Err(LinkError::Decode { kind: Ping::KIND, error: DecodeError::Truncated })
    ));
}

#[test]
fn every_errors_name_fits_a_bye() {
    let network = NetworkId([0xff; 32]);
    let errors = [
        LinkError::Frame(FrameError::Ended),
        LinkError::Decode { kind: 1, error: DecodeError::Truncated },
        LinkError::UnexpectedKind { got: 1, expected: 2 },
        LinkError::WrongMagic,
        LinkError::WrongVersion { got: u16::MAX, expected: u16::MAX },
        LinkError::WrongNetwork { got: network, expected: network },
        LinkError::WrongRole,
        LinkError::OwnConnection,
        LinkError::HandshakeTimeout,
        LinkError::FrameTimeout,
        LinkError::WriteTimeout,
        LinkError::Closed,
        LinkError::Io(io::ErrorKind::BrokenPipe.into()),
    ];
    let mut names: Vec<_> = errors.iter().map(LinkError::name).collect();
    for error in &errors {
        let bye = Bye::new(error.name(), &error.to_string());
        assert_eq!((bye.code.as_str(), bye.reason.as_str()), (error.name(), &*error.to_string()));
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), errors.len());
}
