//! The framed protocol of a real node, as a wallet without the chain uses it and as strangers misuse
//! it: everything is held against the checks of a light client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream as Socket};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use steelyard_core::amount::COIN;
use steelyard_core::encode::List;
use steelyard_core::hash::{BlockId, NetworkId};
use steelyard_core::light::{check_found, check_tip};
use steelyard_core::params::Params;
use steelyard_core::state::{Key, Proof, Record};
use steelyard_core::types::header::Header;
use steelyard_core::types::transaction::Transaction;
use steelyard_core::wire::{
    Failure, GetPending, GetState, GetStatus, GetTip, Hello, Message, Notice, PROTOCOL_VERSION, Pending,
    Ping, Pong, Role, State, StateKey, Status, Statuses, Submit, Text, Tip, Verdict, Verdicts, Watch,
    answer_bytes_max, hello,
};
use steelyard_node::limits::NET_CONNECTIONS_MAX;
use steelyard_runtime::frame::Frame;
use steelyard_runtime::link::{Link, LinkError, LinkTimes, read};
use steelyard_tests::accounts::{Account, Terms, coins};
use steelyard_tests::process::{Launch, Node};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// Only a hang takes so long.
const PATIENCE: Duration = Duration::from_secs(60);
const TIMES: LinkTimes = LinkTimes { handshake: PATIENCE, frame: PATIENCE, write: PATIENCE };

/// A light client.
struct Client {
    runtime: Runtime,
    link: Link<TcpStream>,
    requests: u32,
    notices: Vec<Notice>,
}

fn greeting(network: NetworkId) -> Hello {
    let agent = Text::new("steelyard-tests");
    let (magic, version, tip) = (hello::MAGIC, PROTOCOL_VERSION, BlockId::ZERO);
    Hello {
        magic,
        version,
        role: Role::Light,
        network,
        nonce: 1,
        port: 0,
        height: 0,
        tip,
        bodies_from: 0,
        agent,
    }
}

impl Client {
    fn dial(address: SocketAddr) -> Result<Self, LinkError> {
        Self::dial_on(address, Params::dev().network_id())
    }

    fn dial_on(address: SocketAddr, network: NetworkId) -> Result<Self, LinkError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let link = runtime.block_on(async {
            let stream = TcpStream::connect(address).await?;
            Link::dial(stream, greeting(network), answer_bytes_max, TIMES).await
        })?;
        Ok(Self { runtime, link, requests: 0, notices: Vec::new() })
    }

    /// The next frame; `None` when the connection has ended without a word.
    fn next(&mut self) -> Result<Option<Frame>, LinkError> {
        let waited = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, self.link.next()).await });
        waited.expect("the node says something")
    }

    fn send(&mut self, request: &impl Message) -> Result<(), LinkError> {
        self.requests += 1;
        self.runtime.block_on(self.link.send(self.requests, request))
    }

    /// The answer to a request; what is noticed meanwhile is kept.
    fn try_ask<M: Message>(&mut self, request: &impl Message) -> Option<M> {
        self.send(request).ok()?;
        loop {
            let frame = self.next().ok()??;
            match frame.kind {
                Notice::KIND => self.notices.push(read(&frame).unwrap()),
                Failure::KIND => panic!("{:?}", read::<Failure>(&frame)),
                _ => {
                    assert_eq!(frame.request, self.requests);
                    return Some(read(&frame).unwrap());
                }
            }
        }
    }

    fn ask<M: Message>(&mut self, request: &impl Message) -> M {
        self.try_ask(request).expect("an answer")
    }

    fn notice(&mut self) -> Notice {
        if self.notices.is_empty() {
            return read(&self.next().unwrap().unwrap()).unwrap();
        }
        self.notices.remove(0)
    }

    fn try_submit(&mut self, tx: &Transaction) -> Option<Verdict> {
        let txs = list(vec![list(tx.to_bytes())]);
        Some(self.try_ask::<Verdicts>(&Submit { txs })?.verdicts[0].clone())
    }

    /// Where a transaction is; the proof of one in a block has been checked, and its height is given.
    fn status(&mut self, tx: &Transaction) -> (Status, Option<u64>) {
        let statuses: Statuses = self.ask(&GetStatus { ids: list(vec![tx.body.id()]) });
        let status = statuses.statuses[0].clone();
        let height = match &status {
            Status::Confirmed { found } => {
                let tip = Header::from(&statuses.tip);
                Some(check_found(&Params::dev(), &tip, &tx.to_bytes(), found).unwrap().header.height)
            }
            _ => None,
        };
        (status, height)
    }

    /// The code with which the node hangs up.
    fn bye(&mut self) -> String {
        loop {
            match self.next() {
                Ok(Some(_)) => {}
                Err(LinkError::Bye(bye)) => return bye.code.to_string(),
                other => panic!("{other:?}"),
            }
        }
    }
}

fn list<T: std::fmt::Debug, const MAX: usize>(items: Vec<T>) -> List<T, MAX> {
    List::new(items).unwrap()
}

/// Pays a receiver of its own from a dev account.
fn payment(from: usize, nonce: u64) -> (Account, Transaction) {
    let receiver = Account::numbered(100 + from as u64);
    let terms = Terms::of_nonce(nonce).fee(1_000);
    let tx = Account::dev(from).pay(Params::dev().network_id(), terms, vec![coins(receiver.address, COIN)]);
    (receiver, tx)
}

fn connect(node: &Node) -> Client {
    Client::dial(node.p2p).unwrap()
}

/// Whether the node answers everything that a wallet needs, with proofs.
fn assert_serves(client: &mut Client) {
    let (params, genesis) = (Params::dev(), Params::dev().genesis());
    let tip: Tip = client.ask(&GetTip { recent: 20 });
    let tip = check_tip(&params, genesis.id, &tip).unwrap();
    let keys =
        [Account::dev(3).address, Account::numbered(7).address].map(|address| StateKey::Account { address });
    let state: State = client.ask(&GetState { keys: list(keys.to_vec()) });
    let header = Header::from(&state.header);
    assert!(header.height >= tip.header.height);
    let proven = |place: usize| {
        let proof = Proof::from_bytes(&state.proofs[place]).unwrap();
        proof.verify(&header.state_root, &Key::from(&keys[place])).unwrap()
    };
    assert!(matches!(proven(0), Some(Record::Account { balance, .. }) if balance >= COIN));
    assert_eq!(proven(1), None);
    assert_eq!(client.ask::<Pong>(&Ping { nonce: 8 }), Pong { nonce: 8 });
}

#[test]
fn a_payment_is_brought_followed_and_proven() {
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::dev(&folder.path().join("node"), &["--mine", "off"]).start();
    let mut client = connect(&node);
    assert_serves(&mut client);
    let (receiver, tx) = payment(1, 0);
    assert_eq!(client.status(&tx).0, Status::Unknown {});
    // Told at once, and then of the payment.
    client.send(&Watch { addresses: list(vec![receiver.address]) }).unwrap();
    let first = client.notice();
    assert_eq!((Header::from(&first.tip).height, first.touched), (0, 0));
    assert_eq!(connect(&node).try_submit(&tx), Some(Verdict::Pending {}));
    assert_eq!(client.notice().touched, 1);
    assert_eq!(client.status(&tx).0, Status::Pending { queued: 0 });
    let pending: Pending = client.ask(&GetPending { addresses: list(vec![receiver.address]) });
    assert_eq!((pending.txs.len(), pending.more, &*pending.txs[0]), (1, 0, &*tx.to_bytes()));
    drop(node);
    // The same chain with a miner.
    let node = Launch::dev(&folder.path().join("node"), &["--mine-on-tx"]).start();
    let mut client = connect(&node);
    client.send(&Watch { addresses: list(vec![receiver.address]) }).unwrap();
    let height = loop {
        client.notice();
        if let (Status::Confirmed { .. }, Some(height)) = client.status(&tx) {
            break height;
        }
    };
    // The proof holds under later tips too.
    while Header::from(&client.notice().tip).height < height + 2 {}
    assert_eq!(client.status(&tx).1, Some(height));
    assert_eq!(client.try_submit(&tx), Some(Verdict::Confirmed {}), "the same bytes again");
    assert_serves(&mut client);
    let state: State =
        client.ask(&GetState { keys: list(vec![StateKey::Account { address: receiver.address }]) });
    let proof = Proof::from_bytes(&state.proofs[0]).unwrap();
    let root = Header::from(&state.header).state_root;
    let record = proof.verify(&root, &Key::Account(receiver.address)).unwrap();
    assert!(matches!(record, Some(Record::Account { balance: COIN, .. })), "{record:?}");
}

#[test]
fn what_the_node_has_taken_outlives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let launch = Launch::dev(&folder.path().join("node"), &["--mine", "off"]);
    let mut node = launch.start();
    let txs: Vec<Transaction> = (0..20).map(|nonce| payment(2, nonce).1).collect();
    let mut client = connect(&node);
    for tx in &txs {
        assert_eq!(client.try_submit(tx), Some(Verdict::Pending {}));
    }
    node.kill();
    assert!(client.next().map_or(true, |frame| frame.is_none()), "the connection has ended");
    let node = launch.start();
    let mut client = connect(&node);
    for tx in &txs {
        assert_eq!(client.status(tx).0, Status::Pending { queued: 0 });
        assert_eq!(client.try_submit(tx), Some(Verdict::Pending {}));
    }
}

/// Only debug builds have the places to die at.
#[cfg(debug_assertions)]
#[test]
fn a_death_around_the_commit_leaves_all_or_nothing_and_the_same_bytes_may_come_again() {
    let expected =
        [("light.before_submit", Status::Unknown {}), ("light.after_submit", Status::Pending { queued: 0 })];
    for (place, status) in expected {
        let folder = tempfile::tempdir().unwrap();
        let launch = Launch::dev(&folder.path().join("node"), &["--mine", "off"]);
        let mut node = launch.clone().env("STEELYARD_FAILPOINT", place).start();
        let (_, tx) = payment(3, 0);
        assert_eq!(connect(&node).try_submit(&tx), None, "{place}: nobody is left to answer");
        assert_eq!(node.wait(), None);
        let node = launch.start();
        let mut client = connect(&node);
        assert_eq!(client.status(&tx).0, status, "{place}");
        assert_eq!(client.try_submit(&tx), Some(Verdict::Pending {}), "{place}");
    }
}

#[test]
fn strangers_are_told_why_they_are_hung_up_on() {
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::dev(&folder.path().join("node"), &["--mine", "off"]).start();
    match Client::dial_on(node.p2p, NetworkId([7; 32])).map(|_| ()) {
        Err(LinkError::Bye(bye)) => assert_eq!(bye.code.as_str(), "wrong_network"),
        other => panic!("{other:?}"),
    }
    let mut client = connect(&node);
    let too_long = Frame { kind: Ping::KIND, request: 1, body: vec![0; Ping::BYTES_MAX + 1].into() };
    client.runtime.block_on(client.link.send_frame(&too_long)).unwrap();
    assert_eq!(client.bye(), "frame_too_long");
    assert_serves(&mut connect(&node));
}

/// What strangers send: bytes of no protocol, a length of four gigabytes, half a head, nothing.
const RUBBISH: [&[u8]; 4] = [b"GET / HTTP/1.1\r\n\r\n", &[0xff; 9], &[200, 0], &[]];

#[test]
fn an_honest_client_is_served_among_a_hundred_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Launch::dev(&folder.path().join("node"), &["--mine-on-tx"]).start();
    let mut honest = connect(&node);
    let strangers: Vec<Socket> = (0..80)
        .map(|i| {
            let mut socket = Socket::connect(node.p2p).unwrap();
            socket.write_all(RUBBISH[i % RUBBISH.len()]).unwrap();
            socket
        })
        .collect();
    // Those that know the protocol and then stop within a message.
    let half: Vec<Socket> = (0..20)
        .map(|_| {
            let mut socket = Socket::connect(node.p2p).unwrap();
            let mut bytes = BytesMut::new();
            let hello = greeting(Params::dev().network_id());
            Frame::of(0, &hello).unwrap().write_to(&mut bytes).unwrap();
            Frame::of(1, &Ping { nonce: 1 }).unwrap().write_to(&mut bytes).unwrap();
            socket.write_all(&bytes[..bytes.len() - 1]).unwrap();
            socket
        })
        .collect();
    assert_serves(&mut honest);
    let (_, tx) = payment(4, 0);
    assert_eq!(honest.try_submit(&tx), Some(Verdict::Pending {}));
    assert_serves(&mut connect(&node));
    drop((strangers, half));
    assert!(node.is_alive());
    assert_serves(&mut honest);
}

#[test]
fn further_connections_are_closed_at_once_and_places_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::dev(&folder.path().join("node"), &["--mine", "off"]).start();
    let mut all: Vec<Client> = (0..NET_CONNECTIONS_MAX).map(|_| connect(&node)).collect();
    let mut further = Socket::connect(node.p2p).unwrap();
    further.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(matches!(further.read(&mut [0]), Ok(0) | Err(_)), "closed without a word");
    assert_serves(all.last_mut().unwrap());
    all.pop();
    let asked = Instant::now();
    let mut again = loop {
        if let Ok(client) = Client::dial(node.p2p) {
            break client;
        }
        assert!(asked.elapsed() < PATIENCE, "the place does not come back");
    };
    assert_serves(&mut again);
}

#[test]
fn a_stop_does_not_wait_for_connections() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Launch::dev(&folder.path().join("node"), &["--mine", "off"]).start();
    let mut client = connect(&node);
    client.send(&Watch { addresses: list(Vec::new()) }).unwrap();
    let _others: Vec<Client> = (0..10).map(|_| connect(&node)).collect();
    let _silent = Socket::connect(node.p2p).unwrap();
    assert_serves(&mut client);
    let (code, took) = node.terminate();
    assert_eq!(code, Some(0));
    println!("a stop with connections took {took:?}");
    assert_eq!(client.bye(), "stopping");
}
