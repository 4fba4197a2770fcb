//! A hundred bad connections at once, and a thousand idle ones: the node mines, serves and answers on,
//! in bounded memory, and has its places back when they are gone. Kinds of bad peers one by one, each
//! with the reason it is hung up on for.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use steelyard_core::encode::List;
use steelyard_core::hash::{BlockId, NetworkId};
use steelyard_core::wire::{
    Announce, Bye, GetBodies, GetHeaders, HeaderBytes, Hello, Message, Ping, Role, TxIds, peer_bytes_max,
};
use steelyard_node::limits::{NET_CONNECTIONS_MAX, PEERS_EVENT_KIB_MAX, PEERS_REQUESTS_MAX};
use steelyard_runtime::frame::{Frame, STEP_BYTES};
use steelyard_runtime::link::{Link, LinkTimes};
use steelyard_tests::accounts::Account;
use steelyard_tests::chain::Chain;
use steelyard_tests::network::{Network, text, tip, wait_for_height};
use steelyard_tests::peer::{Behaviour, Holdings, ScriptedPeer, frame, greeting};
use steelyard_tests::process::{Launch, Node, wait_until};
use steelyard_tests::usage::{open_files, resident_bytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;

/// Connections of each kind.
const OF_EACH: usize = 25;
/// All of them.
const HOSTILE: usize = 4 * OF_EACH;
/// Blocks that the node finds meanwhile, at least.
const MEANWHILE: u64 = 25;
/// Connections that only open.
const IDLE: usize = 1_000;
/// Before one that was hung up on comes again.
const PAUSE: Duration = Duration::from_millis(50);
/// What one connection may hold beyond what all of them share: what it is read with, a body that has
/// begun, requests, and answers to them that it does not take. The chain here is short, so an answer
/// is less than a step.
const BYTES_EACH: u64 =
    (16 * 1024 + STEP_BYTES + PEERS_REQUESTS_MAX * GetBodies::BYTES_MAX + 3 * STEP_BYTES) as u64;
/// Memory that all of them together may cost the node.
const BYTES_MAX: u64 = PEERS_EVENT_KIB_MAX as u64 * 1024 + HOSTILE as u64 * BYTES_EACH;
/// Only a hang takes so long.
const PATIENCE: Duration = Duration::from_secs(60);
const TIMES: LinkTimes = LinkTimes { handshake: PATIENCE, frame: PATIENCE, write: PATIENCE };

/// What a bad connection does.
#[derive(Clone, Copy)]
enum Kind {
    /// Opens, and says nothing.
    Silent,
    /// Greets, then sends a message byte by byte, one a second.
    Slow,
    /// Sends lengths that nobody could mean, and rubbish.
    Huge,
    /// Asks and announces without end, and never reads.
    Flood,
}

/// One of them, as long as it is let: who is hung up on comes again.
async fn hostile(kind: Kind, node: SocketAddr, network: NetworkId, number: usize) {
    loop {
        if let Ok(stream) = TcpStream::connect(node).await {
            // Whatever goes wrong was meant to.
            let _ = misbehave(kind, stream, network, number).await;
        }
        sleep(PAUSE).await;
    }
}

async fn misbehave(
    kind: Kind,
    mut stream: TcpStream,
    network: NetworkId,
    number: usize,
) -> std::io::Result<()> {
    if !matches!(kind, Kind::Silent) {
        stream.write_all(&bytes_of(&frame(0, &greeting(network, Role::Node)))).await?;
    }
    match kind {
        Kind::Silent => drop(stream.read(&mut [0; 1]).await?),
        Kind::Slow => {
            for byte in bytes_of(&frame(0, &Bye::new("slow", &"x".repeat(200)))) {
                stream.write_all(&[byte]).await?;
                sleep(Duration::from_secs(1)).await;
            }
        }
        Kind::Huge => {
            let rubbish: [&[u8]; 4] = [
                &u32::MAX.to_le_bytes(),
                &[0, 0, 0, 0],
                &[0xff, 0xff, 0xff, 0x7f, Announce::KIND, 0, 0, 0, 0],
                &[0x5a; 4_096],
            ];
            stream.write_all(rubbish[number % rubbish.len()]).await?;
            while stream.read(&mut [0; 1_024]).await? > 0 {}
        }
        Kind::Flood => {
            let flood = flood(number);
            loop {
                stream.write_all(&flood).await?;
            }
        }
    }
    Ok(())
}

/// Some hundred messages of one kind.
fn flood(number: usize) -> Vec<u8> {
    let many = |count: usize| vec![BlockId([7; 32]); count];
    let header = HeaderBytes::from(&Chain::dev().empty_draft().header);
    let message = match number % 5 {
        0 => frame(1, &Ping { nonce: 1 }),
        1 => frame(2, &GetHeaders { locator: List::new(many(101)).unwrap() }),
        2 => frame(3, &GetBodies { ids: List::new(many(16)).unwrap() }),
        3 => frame(0, &Announce { headers: List::new(vec![header]).unwrap() }),
        _ => frame(0, &TxIds { ids: List::new((0..1_000).map(|_| rand_id()).collect()).unwrap() }),
    };
    bytes_of(&message).repeat(100)
}

fn rand_id() -> steelyard_core::hash::TxId {
    let account = Account::numbered(rand::random());
    steelyard_core::hash::TxId(account.address.0)
}

fn bytes_of(frame: &Frame) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    frame.write_to(&mut bytes).unwrap();
    bytes.to_vec()
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Greets as a wallet, and keeps the connection; none when there is no place.
async fn visit(node: SocketAddr, network: NetworkId) -> Option<Link<TcpStream>> {
    let stream = TcpStream::connect(node).await.ok()?;
    Link::dial(stream, greeting(network, Role::Light), peer_bytes_max, TIMES).await.ok()
}

/// Waits until so many places for connections are free.
fn wait_for_places(node: &Node, network: NetworkId, count: usize) {
    let runtime = runtime();
    let visits = || {
        let visits: Vec<_> = (0..count).map(|_| runtime.spawn(visit(node.p2p, network))).collect();
        let links = visits.into_iter().map(|visit| runtime.block_on(visit).unwrap());
        links.flatten().count()
    };
    wait_until(|| format!("{count} free places"), || (visits() == count).then_some(()));
}

/// A miner on a network of its own.
fn mining(network: &Network) -> Node {
    let node = network.node("mining").mine(&text(&Account::numbered(1).address)).start();
    wait_for_height(&node, 1);
    node
}

/// A fresh node takes the chain from a busy one up to a height, and has the same block there.
fn assert_serves_a_fresh_node(network: &Network, node: &Node, name: &str, height: u64) {
    let fresh = network.node(name).connect(node.p2p).start();
    wait_for_height(&fresh, height);
    let path = format!("/block-height/{height}");
    wait_until(
        || format!("one block at {height}"),
        || (fresh.api.get(&path).json["id"] == node.api.get(&path).json["id"]).then_some(()),
    );
}

#[test]
fn a_hundred_hostile_connections_do_not_keep_a_node_from_its_work() {
    let network = Network::new("200ms", 2_000, &[]);
    let mut node = mining(&network);
    let (before, files) = (resident_bytes(node.pid()), open_files(node.pid()));
    let hostiles = runtime();
    for number in 0..OF_EACH {
        for kind in [Kind::Silent, Kind::Slow, Kind::Huge, Kind::Flood] {
            hostiles.spawn(hostile(kind, node.p2p, network.id, number));
        }
    }
    // Silent and slow ones stay for long; the others are hung up on and come again.
    let stay = files + 2 * OF_EACH;
    let open = || open_files(node.pid());
    wait_until(|| format!("{stay} files open: {}", open()), || (open() >= stay).then_some(()));
    let (height, _) = tip(&node);
    let (mut during, mut most) = (0, 0);
    for more in 1..=MEANWHILE {
        wait_for_height(&node, height + more);
        during = during.max(resident_bytes(node.pid()));
        most = most.max(open().saturating_sub(files));
    }
    assert_serves_a_fresh_node(&network, &node, "fresh", height + MEANWHILE);
    during = during.max(resident_bytes(node.pid()));
    assert_eq!(node.api.get("/status").status, 200);
    hostiles.shutdown_background();
    wait_for_places(&node, network.id, NET_CONNECTIONS_MAX);
    let after = resident_bytes(node.pid());
    let mib = |bytes: u64| bytes >> 20;
    println!(
        "RSS in MiB: {} before, {} during, {} after; {} more are allowed, {most} connections at once",
        mib(before),
        mib(during),
        mib(after),
        mib(BYTES_MAX)
    );
    assert!(during.saturating_sub(before) <= BYTES_MAX, "{during} during, {before} before");
    assert!(most <= NET_CONNECTIONS_MAX + 32, "{most} connections at once");
    assert!(node.is_alive());
}

#[test]
fn a_thousand_idle_connections_are_refused_beyond_the_bound() {
    let network = Network::new("200ms", 2_000, &[]);
    let mut node = mining(&network);
    let files = open_files(node.pid());
    let idle = runtime();
    let (closed, count) = std::sync::mpsc::channel();
    for _ in 0..IDLE {
        let (address, closed) = (node.p2p, closed.clone());
        idle.spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("the listener takes it");
            // Or the kernel, whose queue is short, might leave this end believing in a connection that
            // the other end has never heard of.
            let _ = stream.write_all(&[0]).await;
            let _ = stream.read(&mut [0; 1]).await;
            let _ = closed.send(());
        });
    }
    let mut most = 0;
    for _ in 0..IDLE - NET_CONNECTIONS_MAX {
        count.recv_timeout(PATIENCE).expect("what has no place is closed");
        most = most.max(open_files(node.pid()));
    }
    // Some are being accepted or closed at any moment.
    assert!(most <= files + NET_CONNECTIONS_MAX + 32, "{most} files open, {files} before");
    let (height, _) = tip(&node);
    wait_for_height(&node, height + 2);
    drop(idle);
    assert_serves_a_fresh_node(&network, &node, "fresh", height + 2);
    wait_for_places(&node, network.id, NET_CONNECTIONS_MAX);
    assert!(node.is_alive());
}

/// One of each kind, one after another, each with more blocks than the node: it is hung up on for what it
/// does, or is left waiting, and the next block of an honest peer is taken every time.
#[test]
fn each_kind_of_bad_peer_is_dropped_for_its_own_reason() {
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::run("dev".as_ref(), &folder.path().join("node"), &["--discover", "off"]).start();
    let mut chain = Chain::dev();
    chain.mine(20);
    let peer = ScriptedPeer::start(Holdings::of(&chain), Behaviour::Honest);
    peer.dial(node.p2p);
    wait_for_height(&node, 20);
    let mut longer = chain.fork_at(10).mined_by(&Account::numbered(5));
    longer.mine(40);
    let cases: [(Behaviour, &[&str]); 8] = [
        (Behaviour::Withholds(11), &["stalled"]),
        (Behaviour::WrongBody(11), &["body_root"]),
        (Behaviour::RubbishBody(11), &["malformed_body"]),
        (Behaviour::Twice, &["unasked", "frame_unknown_kind"]),
        (Behaviour::Unasked, &["unasked", "frame_unknown_kind"]),
        (Behaviour::Unconnected, &["unconnected_headers"]),
        // Neither is hung up on at once: the one has its time, the other is only of no use.
        (Behaviour::Lacks, &[]),
        (Behaviour::Mute, &[]),
    ];
    // Those that stay, stay to the end.
    let mut kept = Vec::new();
    for (behaviour, codes) in cases {
        let bad = ScriptedPeer::start(Holdings::of(&longer), behaviour);
        bad.dial(node.p2p);
        if codes.is_empty() {
            bad.wait_for_kind(GetHeaders::KIND, 1);
        } else {
            let ending = bad.wait_for_end(1);
            assert!(codes.contains(&ending.code()), "{behaviour:?}: {ending:?}");
        }
        kept.push(bad);
        chain.mine(1);
        peer.hold(Holdings::of(&chain));
        let expected = (chain.height(), chain.tip().id.to_string());
        wait_until(|| format!("{expected:?} after {behaviour:?}"), || (tip(&node) == expected).then_some(()));
    }
    assert_eq!((peer.seen().connections, peer.seen().endings), (1, Vec::new()));
}

/// What was said in the handshake decides whether a peer is one.
#[test]
fn a_stranger_of_another_network_or_version_is_told_why() {
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::run("dev".as_ref(), &folder.path().join("node"), &["--discover", "off"]).start();
    let network = steelyard_core::params::Params::dev().network_id();
    let right = greeting(network, Role::Node);
    let cases: [(Hello, &str); 3] = [
        (Hello { network: NetworkId([1; 32]), ..right.clone() }, "wrong_network"),
        (Hello { version: right.version + 1, ..right.clone() }, "wrong_version"),
        (Hello { magic: *b"otherone", ..right }, "wrong_magic"),
    ];
    let runtime = runtime();
    for (hello, code) in cases {
        let heard = runtime.block_on(async {
            let mut stream = TcpStream::connect(node.p2p).await.unwrap();
            stream.write_all(&bytes_of(&frame(0, &hello))).await.unwrap();
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes).await;
            bytes
        });
        assert_eq!(heard.get(4), Some(&Bye::KIND), "{code}: {heard:?}");
        assert!(heard.windows(code.len()).any(|part| part == code.as_bytes()), "{code}: {heard:?}");
    }
}
