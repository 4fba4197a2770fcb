//! The framed protocol as another node speaks it, byte by byte: whatever the pieces, messages are
//! understood; what no node says is refused by its head, before the rest is there. The frames
//! themselves are tested where they are defined.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use steelyard_core::encode::List;
use steelyard_core::hash::{BlockId, NetworkId, TxId};
use steelyard_core::params::Params;
use steelyard_core::wire::{
    Announce, Body, Bye, GetHeaders, Headers, Hello, Message, PROTOCOL_VERSION, Ping, Pong, Role, Submit,
    Text, TxIds, hello,
};
use steelyard_runtime::frame::{Frame, HEAD_BYTES};
use steelyard_tests::process::{Launch, Node};
use steelyard_tests::random::Random;

/// Only a hang takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection of bytes.
struct Wire(TcpStream);

/// A hello of another process each time: two connections of one are not kept.
fn greeting(role: Role, network: NetworkId) -> Hello {
    static GREETINGS: AtomicU64 = AtomicU64::new(1);
    let nonce = GREETINGS.fetch_add(1, Ordering::Relaxed);
    let (agent, version) = (Text::new("suite"), PROTOCOL_VERSION);
    let (magic, tip) = (hello::MAGIC, Params::dev().genesis().id);
    Hello { magic, version, role, network, nonce, port: 0, height: 0, tip, bodies_from: 0, agent }
}

/// A message as it travels.
fn framed(request: u32, message: &impl Message) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    Frame::of(request, message).unwrap().write_to(&mut bytes).unwrap();
    bytes.to_vec()
}

/// The beginning of a frame that claims a body of so many bytes.
fn head(kind: u8, body: usize) -> Vec<u8> {
    let length = u32::try_from(body + HEAD_BYTES - 4).unwrap();
    [&length.to_le_bytes()[..], &[kind], &[0; 4]].concat()
}

impl Wire {
    fn dial(node: &Node) -> Self {
        let stream = TcpStream::connect(node.p2p).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    /// A connection whose handshake is done, as another node's.
    fn meet(node: &Node) -> Self {
        let mut wire = Self::dial(node);
        wire.write(&framed(0, &greeting(Role::Node, Params::dev().network_id())));
        assert_eq!(wire.next().unwrap().kind, Hello::KIND);
        wire
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// The next frame; `None` when the other end has hung up.
    fn next(&mut self) -> Option<Frame> {
        let mut head = [0; HEAD_BYTES];
        self.0.read_exact(&mut head).ok()?;
        let length = u32::from_le_bytes(head[..4].try_into().unwrap());
        let mut body = vec![0; length as usize + 4 - HEAD_BYTES];
        self.0.read_exact(&mut body).ok()?;
        let request = u32::from_le_bytes(head[5..].try_into().unwrap());
        Some(Frame { kind: head[4], request, body: Bytes::from(body) })
    }

    /// The next message of a kind: the node says things of its own accord, too.
    fn wait_for<M: Message>(&mut self) -> (u32, M) {
        loop {
            let frame = self.next().expect("the node goes on");
            if frame.kind == M::KIND {
                return (frame.request, M::from_bytes(&frame.body).unwrap());
            }
            assert_ne!(frame.kind, Bye::KIND, "{:?}", Bye::from_bytes(&frame.body));
        }
    }

    /// The code with which the node hangs up; empty when it says nothing.
    fn bye(&mut self) -> String {
        let mut code = String::new();
        while let Some(frame) = self.next() {
            if frame.kind == Bye::KIND {
                code = Bye::from_bytes(&frame.body).unwrap().code.to_string();
                // Who is told hangs up.
                let _ = self.0.shutdown(std::net::Shutdown::Write);
            }
        }
        code
    }

    fn assert_lives(&mut self, nonce: u64) {
        self.write(&framed(1, &Ping { nonce }));
        assert_eq!(self.wait_for::<Pong>(), (1, Pong { nonce }));
    }
}

fn start(folder: &tempfile::TempDir) -> Node {
    Launch::dev(&folder.path().join("node"), &["--mine", "off", "--discover", "off"]).start()
}

/// Lots of what the node takes without an answer and of what it answers, and a ping at the end.
fn conversation(random: &mut Random, ids: usize, lots: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for lot in 0..lots {
        let mut id = || random.bytes(32).try_into().unwrap();
        let unknown: Vec<TxId> = (0..ids).map(|_| TxId(id())).collect();
        let locator: Vec<BlockId> = (0..5).map(|_| BlockId(id())).collect();
        bytes.extend(framed(0, &TxIds { ids: List::new(unknown).unwrap() }));
        bytes.extend(framed(100 + lot, &GetHeaders { locator: List::new(locator).unwrap() }));
    }
    bytes.extend(framed(7, &Ping { nonce: 77 }));
    bytes
}

#[test]
fn scenario_13_messages_are_understood_in_pieces_of_any_size() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(&folder);
    let mut random = Random::for_test(13);
    // One byte at a time, and more than the largest piece.
    let slow = (1, conversation(&mut random, 30, 1));
    let long = (34, conversation(&mut random, 1_000, 34));
    assert!(long.1.len() > 1 << 20);
    let pieces =
        [(&slow, 1), (&long, 4_095), (&long, 4_096), (&long, 4_097), (&long, 8_192), (&long, 1 << 20)];
    for ((lots, bytes), piece) in pieces {
        let mut wire = Wire::dial(&node);
        let mut writer = Wire(wire.0.try_clone().unwrap());
        let hello = framed(0, &greeting(Role::Node, Params::dev().network_id()));
        let bytes = [hello, bytes.clone()].concat();
        std::thread::scope(|scope| {
            scope.spawn(move || bytes.chunks(piece).for_each(|piece| writer.write(piece)));
            let (mut answered, mut is_ponged) = (0, false);
            while answered < *lots || !is_ponged {
                let frame = wire.next().expect("the node goes on");
                match frame.kind {
                    Headers::KIND => {
                        assert_eq!(frame.request, 100 + answered, "in the order of the requests");
                        answered += 1;
                    }
                    Pong::KIND => is_ponged = Pong::from_bytes(&frame.body).unwrap().nonce == 77,
                    kind => assert_ne!(kind, Bye::KIND, "{:?}", Bye::from_bytes(&frame.body)),
                }
            }
        });
    }
}

#[test]
fn scenario_13_what_no_node_says_is_refused_by_its_head() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(&folder);
    let mut honest = Wire::meet(&node);
    let cases: [(&str, Vec<u8>, &str); 9] = [
        ("a length that does not count itself", 4u32.to_le_bytes().to_vec(), "frame_too_short"),
        ("four gigabytes", vec![0xff; 4], "frame_too_long"),
        ("a kind of nothing", vec![9, 0, 0, 0, 200], "frame_unknown_kind"),
        ("a second hello", head(Hello::KIND, 10)[..5].to_vec(), "frame_unknown_kind"),
        ("what only wallets say", head(Submit::KIND, 10)[..5].to_vec(), "frame_unknown_kind"),
        ("a body that nobody asked for", head(Body::KIND, 1_000)[..5].to_vec(), "frame_unknown_kind"),
        ("a ping with a byte too many", head(Ping::KIND, Ping::BYTES_MAX + 1), "frame_too_long"),
        ("too many headers", head(Announce::KIND, Announce::BYTES_MAX + 1)[..5].to_vec(), "frame_too_long"),
        ("too short a ping", [head(Ping::KIND, 3), vec![1; 3]].concat(), "undecodable"),
    ];
    for (nonce, (what, bytes, code)) in (0..).zip(cases) {
        let mut wire = Wire::meet(&node);
        // Nothing follows it: the refusal waits for nothing.
        wire.write(&bytes);
        assert_eq!(wire.bye(), code, "{what}");
        honest.assert_lives(nonce);
    }
}

/// The tutorial's node took pickled objects; others send what they like.
#[test]
fn scenario_13_who_does_not_speak_the_protocol_is_told_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(&folder);
    let pickled = b"\x80\x04\x95\x1c\0\0\0\0\0\0\0}\x94\x8c\x07request\x94\x8c\x0bget_balance\x94s.";
    let strangers: [&[u8]; 4] =
        [b"GET / HTTP/1.1\r\n\r\n", pickled, &[0xff; 64], &framed(0, &Ping { nonce: 1 })];
    for bytes in strangers {
        let mut wire = Wire::dial(&node);
        wire.write(bytes);
        assert!(wire.next().is_none(), "{bytes:?}");
    }
    let mut wire = Wire::dial(&node);
    wire.write(&framed(0, &greeting(Role::Node, NetworkId([7; 32]))));
    assert_eq!(wire.bye(), "wrong_network");
    Wire::meet(&node).assert_lives(1);
}

#[test]
fn scenario_14_of_two_connections_of_one_process_the_second_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(&folder);
    let hello = framed(0, &greeting(Role::Node, Params::dev().network_id()));
    let [mut first, mut second] = [Wire::dial(&node), Wire::dial(&node)];
    first.write(&hello);
    first.assert_lives(1);
    second.write(&hello);
    assert_eq!(second.bye(), "duplicate");
    first.assert_lives(2);
}
