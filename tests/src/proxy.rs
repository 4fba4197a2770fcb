//! A node that is not to be trusted: it passes the framed protocol on to a real node, and hangs or
//! lies at the place it is told. Knows the messages, and nothing of either program's inside.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use steelyard_core::encode::List;
use steelyard_core::hash::NetworkId;
use steelyard_core::types::header::Header;
use steelyard_core::wire::{
    self, Found, HeaderBytes, Hello, Message, Pending, State, Status, Statuses, Submit, Tip, Verdicts,
};
use steelyard_runtime::frame::Frame;
use steelyard_runtime::link::{Link, LinkTimes, read};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The proxy itself is never the one that waits too short.
const TIMES: LinkTimes = LinkTimes {
    handshake: Duration::from_secs(60),
    frame: Duration::from_secs(60),
    write: Duration::from_secs(60),
};

/// What it does instead of what a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Nothing else.
    Honest,
    /// Accepts, and never says a word.
    HangAtOnce,
    /// Is a node, and never answers a request.
    HangAfterHandshake,
    /// Says that it is of another network.
    OtherNetwork,
    /// Changes a hash in every proof of a record.
    BrokenProof,
    /// Changes the balance in every proof of a record.
    OtherBalance,
    /// Answers each record with the proof of another.
    SwappedProofs,
    /// Gives the state under a header that nobody mined.
    OtherHeader,
    /// Gives headers of which one does not follow from the one before.
    BrokenChain,
    /// Claims more work than the tip commits to.
    ClaimedWork,
    /// Says of every transaction that it is in a block, which does not hold it.
    FalseConfirmation,
    /// Invents a pending payment.
    FalsePending,
    /// Takes submissions, passes them on, and hangs up before it answers.
    SwallowVerdicts,
    /// Takes submissions and throws them away, saying that they are pending.
    SwallowSubmissions,
}

/// A proxy that runs; its connections end when it is dropped.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    behaviour: watch::Sender<Behaviour>,
    submissions: Arc<AtomicU64>,
    _runtime: tokio::runtime::Runtime,
}

impl Proxy {
    /// A proxy before the node at this address.
    #[must_use]
    pub fn start(node: SocketAddr, network: NetworkId, behaviour: Behaviour) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a thread can be started");
        let (behaviour, changes) = watch::channel(behaviour);
        let submissions = Arc::new(AtomicU64::new(0));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let counted = Arc::clone(&submissions);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let session =
                    Session { node, network, changes: changes.clone(), counted: Arc::clone(&counted) };
                tokio::spawn(async move { session.serve(stream).await });
            }
        });
        Self { address, behaviour, submissions, _runtime: runtime }
    }

    /// Behaves so from now on, on connections that are open too, but for the handshake.
    pub fn behave(&self, behaviour: Behaviour) {
        self.behaviour.send_replace(behaviour);
    }

    /// Transactions that were submitted so far.
    #[must_use]
    pub fn submissions(&self) -> u64 {
        self.submissions.load(Ordering::SeqCst)
    }
}

struct Session {
    node: SocketAddr,
    network: NetworkId,
    changes: watch::Receiver<Behaviour>,
    counted: Arc<AtomicU64>,
}

impl Session {
    fn behaviour(&self) -> Behaviour {
        *self.changes.borrow()
    }

    /// Serves one client to its end; whatever goes wrong ends it.
    async fn serve(self, stream: TcpStream) -> Option<()> {
        stream.set_nodelay(true).ok()?;
        if self.behaviour() == Behaviour::HangAtOnce {
            return std::future::pending().await;
        }
        let upstream = TcpStream::connect(self.node).await.ok()?;
        upstream.set_nodelay(true).ok()?;
        let own = Hello {
            magic: wire::hello::MAGIC,
            version: wire::PROTOCOL_VERSION,
            role: wire::Role::Light,
            network: self.network,
            nonce: rand::random(),
            port: 0,
            height: 0,
            tip: Default::default(),
            bodies_from: 0,
            agent: wire::Text::new("proxy"),
        };
        let node = Link::dial(upstream, own, wire::answer_bytes_max, TIMES).await.ok()?;
        let mut said = node.peer().clone();
        let mut client = if self.behaviour() == Behaviour::OtherNetwork {
            said.network = NetworkId([7; 32]);
            // The client's hello is of the real network, so the handshake is done by hand.
            return lie_about_the_network(stream, &said).await;
        } else {
            Link::accept(stream, said, wire::request_bytes_max, TIMES).await.ok()?
        };
        let mut node = node;
        loop {
            tokio::select! {
                frame = client.next() => {
                    let frame = frame.ok()??;
                    self.pass_on(&mut client, &mut node, frame).await?;
                }
                frame = node.next() => {
                    let frame = frame.ok()??;
                    if self.behaviour() == Behaviour::HangAfterHandshake {
                        continue;
                    }
                    let frame = self.bent(frame)?;
                    client.send_frame(&frame).await.ok()?;
                }
            }
        }
    }

    async fn pass_on(
        &self,
        client: &mut Link<TcpStream>,
        node: &mut Link<TcpStream>,
        frame: Frame,
    ) -> Option<()> {
        if frame.kind == Submit::KIND {
            let submit: Submit = read(&frame).ok()?;
            self.counted.fetch_add(submit.txs.len() as u64, Ordering::SeqCst);
            if self.behaviour() == Behaviour::SwallowSubmissions {
                let verdicts = submit.txs.iter().map(|_| wire::Verdict::Pending {}).collect();
                let verdicts = Verdicts { verdicts: List::new(verdicts)? };
                return client.send(frame.request, &verdicts).await.ok();
            }
        }
        node.send_frame(&frame).await.ok()
    }

    /// What the client is given for what the node said; `None` hangs up.
    fn bent(&self, frame: Frame) -> Option<Frame> {
        let behaviour = self.behaviour();
        match frame.kind {
            State::KIND => bent_state(behaviour, frame),
            Tip::KIND => bent_tip(behaviour, frame),
            Statuses::KIND if behaviour == Behaviour::FalseConfirmation => false_statuses(frame),
            Pending::KIND if behaviour == Behaviour::FalsePending => {
                let txs = List::new(vec![List::new(vec![1; 200])?])?;
                Frame::of(frame.request, &Pending { txs, more: 0 }).ok()
            }
            Verdicts::KIND if behaviour == Behaviour::SwallowVerdicts => None,
            _ => Some(frame),
        }
    }
}

/// Says hello as a node of another network, and waits for the hang-up.
async fn lie_about_the_network(mut stream: TcpStream, said: &Hello) -> Option<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut bytes = bytes::BytesMut::new();
    Frame::of(0, said).ok()?.write_to(&mut bytes).ok()?;
    stream.write_all(&bytes).await.ok()?;
    let mut rest = Vec::new();
    stream.take(4_096).read_to_end(&mut rest).await.ok()?;
    Some(())
}

fn bent_state(behaviour: Behaviour, frame: Frame) -> Option<Frame> {
    let State { mut header, proofs } = read(&frame).ok()?;
    let mut proofs: Vec<Vec<u8>> = proofs.iter().map(|proof| proof.to_vec()).collect();
    match behaviour {
        // Steps begin after their count: 2 bytes of split, 32 of hash.
        Behaviour::BrokenProof => proofs.iter_mut().for_each(|proof| proof[2 + 2 + 5] ^= 1),
        // An account's value ends with balance and nonce.
        Behaviour::OtherBalance => proofs.iter_mut().for_each(|proof| {
            let place = proof.len() - 16;
            proof[place] ^= 1;
        }),
        Behaviour::SwappedProofs => proofs.rotate_left(1),
        Behaviour::OtherHeader => {
            let mut other = Header::from(&header);
            other.state_root.0[0] ^= 1;
            header = HeaderBytes::from(&other);
        }
        _ => return Some(frame),
    }
    let proofs = proofs.into_iter().map(List::new).collect::<Option<Vec<_>>>()?;
    Frame::of(frame.request, &State { header, proofs: List::new(proofs)? }).ok()
}

fn bent_tip(behaviour: Behaviour, frame: Frame) -> Option<Frame> {
    let mut tip: Tip = read(&frame).ok()?;
    match behaviour {
        Behaviour::ClaimedWork => tip.history_work += 1_000_000,
        Behaviour::BrokenChain => {
            let mut headers = tip.headers.to_vec();
            let mut first = Header::from(headers.first()?);
            first.nonce ^= 1 << 40;
            headers[0] = HeaderBytes::from(&first);
            tip.headers = List::new(headers)?;
        }
        _ => return Some(frame),
    }
    Frame::of(frame.request, &tip).ok()
}

fn false_statuses(frame: Frame) -> Option<Frame> {
    let statuses: Statuses = read(&frame).ok()?;
    let found = || Found {
        header: statuses.tip,
        index: 1,
        count: 2,
        body_path: List::new(vec![[9; 32]]).expect("one is few"),
        history_path: List::new(Vec::new()).expect("none is few"),
    };
    let lies = statuses.statuses.iter().map(|_| Status::Confirmed { found: Box::new(found()) }).collect();
    Frame::of(frame.request, &Statuses { tip: statuses.tip, statuses: List::new(lies)? }).ok()
}
