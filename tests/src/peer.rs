//! A node whose every word is the test's: it holds a chain, dials or listens, serves honestly or in
//! the way it is told, and writes down what it was asked and why it was hung up on. Knows the
//! messages, and nothing of a real node's inside.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use steelyard_core::encode::List;
use steelyard_core::hash::{BlockId, NetworkId};
use steelyard_core::params::Params;
use steelyard_core::types::header::Header;
use steelyard_core::wire::headers::{ANNOUNCE_MAX, HEADERS_MAX};
use steelyard_core::wire::{
    Addresses, Announce, Body, BodyBytes, GetAddresses, GetBodies, GetHeaders, GetTxs, HeaderBytes, Headers,
    Hello, Message, Missing, PROTOCOL_VERSION, Ping, Pong, Role, Text, Txs, hello, peer_bytes_max,
};
use steelyard_runtime::frame::Frame;
use steelyard_runtime::link::{Link, LinkError, LinkTimes, read};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::chain::Chain;
use crate::process::wait_until;
use crate::tip::Block;

/// This end is never the one that waits too short.
const TIMES: LinkTimes = LinkTimes {
    handshake: Duration::from_secs(60),
    frame: Duration::from_secs(60),
    write: Duration::from_secs(60),
};
/// Parent of headers that connect to nothing.
const NOWHERE: BlockId = BlockId([0x5a; 32]);

/// A chain as it is served. Nothing in it need be valid.
#[derive(Clone, Debug)]
pub struct Holdings {
    network: NetworkId,
    /// Those after genesis, with their bodies' bytes.
    blocks: Vec<(Header, Vec<u8>)>,
    /// Places in `blocks`, by id.
    places: HashMap<BlockId, usize>,
}

impl Holdings {
    /// These blocks, from height 1 on.
    #[must_use]
    pub fn new<'a>(params: &Params, blocks: impl IntoIterator<Item = &'a Block>) -> Self {
        let blocks: Vec<_> = blocks.into_iter().map(|block| (block.header, block.body.to_bytes())).collect();
        let places = blocks.iter().enumerate().map(|(place, (header, _))| (header.id(), place)).collect();
        Self { network: params.network_id(), blocks, places }
    }

    /// A whole chain.
    #[must_use]
    pub fn of(chain: &Chain) -> Self {
        Self::new(chain.params(), chain.blocks())
    }

    /// Height and id of the last block.
    #[must_use]
    pub fn tip(&self) -> (u64, BlockId) {
        let genesis = (0, BlockId(self.network.0));
        self.blocks.last().map_or(genesis, |(header, _)| (header.height, header.id()))
    }

    /// Headers after the first of these blocks that is here.
    fn after(&self, locator: &[BlockId]) -> impl Iterator<Item = &Header> {
        let from = locator.iter().find_map(|id| self.places.get(id)).map_or(0, |place| place + 1);
        self.blocks[from..].iter().map(|(header, _)| header)
    }

    /// The body of the block at a height, above 0.
    fn body_at(&self, height: u64) -> &[u8] {
        &self.blocks[usize::try_from(height).expect("a height in memory") - 1].1
    }

    /// The word on the tip.
    fn news(&self) -> Frame {
        let from = self.blocks.len().saturating_sub(ANNOUNCE_MAX);
        let headers = self.blocks[from..].iter().map(|(header, _)| HeaderBytes::from(header)).collect();
        frame(0, &Announce { headers: list(headers) })
    }
}

/// What it does instead of what a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Nothing else.
    Honest,
    /// Hears and says nothing.
    Mute,
    /// Never sends the body of this height, and says nothing of it.
    Withholds(u64),
    /// Says of all bodies that it does not have them.
    Lacks,
    /// Sends another block's body in place of this height's.
    WrongBody(u64),
    /// Sends bytes that are no body in place of this height's.
    RubbishBody(u64),
    /// Sends every answer twice.
    Twice,
    /// Sends a body before anybody has asked.
    Unasked,
    /// Announces headers that connect to nothing, one for each question.
    Unconnected,
}

/// What happened to it.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Connections whose handshake was done.
    pub connections: usize,
    /// How those that are over ended, oldest first.
    pub endings: Vec<Ending>,
    /// Messages that came, by kind.
    pub heard: BTreeMap<u8, u64>,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// After a last word.
    Bye {
        /// Stable name.
        code: String,
        /// In words.
        reason: String,
    },
    /// Without one; why, if anything is known.
    Closed(String),
}

impl Ending {
    /// The code of the last word.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Bye { code, .. } => code,
            Self::Closed(_) => "",
        }
    }
}

/// One that runs; its connections end when it is dropped.
#[derive(Debug)]
pub struct ScriptedPeer {
    /// Where it listens.
    pub address: SocketAddr,
    inner: Arc<Inner>,
    runtime: Option<Runtime>,
}

#[derive(Debug)]
struct Inner {
    nonce: u64,
    port: u16,
    behaviour: Mutex<Behaviour>,
    holdings: watch::Sender<Arc<Holdings>>,
    seen: Mutex<Seen>,
}

impl ScriptedPeer {
    /// One that listens, and dials when it is told to.
    #[must_use]
    pub fn start(holdings: Holdings, behaviour: Behaviour) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a thread can be started");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let inner = Arc::new(Inner {
            nonce: rand::random(),
            port: address.port(),
            behaviour: Mutex::new(behaviour),
            holdings: watch::Sender::new(Arc::new(holdings)),
            seen: Mutex::default(),
        });
        let accepting = Arc::clone(&inner);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let inner = Arc::clone(&accepting);
                tokio::spawn(async move {
                    let link = Link::accept(stream, inner.hello(), peer_bytes_max, TIMES).await;
                    inner.serve(link).await;
                });
            }
        });
        Self { address, inner, runtime: Some(runtime) }
    }

    /// Dials a node, and serves it from then on.
    pub fn dial(&self, node: SocketAddr) {
        let inner = Arc::clone(&self.inner);
        self.runtime.as_ref().expect("it runs until it is dropped").spawn(async move {
            let link = async {
                let stream = TcpStream::connect(node).await?;
                stream.set_nodelay(true)?;
                Link::dial(stream, inner.hello(), peer_bytes_max, TIMES).await
            };
            inner.serve(link.await).await;
        });
    }

    /// Holds this chain from now on, and announces its tip to everybody.
    pub fn hold(&self, holdings: Holdings) {
        self.inner.holdings.send_replace(Arc::new(holdings));
    }

    /// What happened to it so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.inner.seen().clone()
    }

    /// Waits until so many connections are over, and gives the end of the last of them.
    #[must_use]
    pub fn wait_for_end(&self, count: usize) -> Ending {
        let describe = || format!("end {count} of {:?}: {:?}", self.inner.behaviour(), self.seen());
        wait_until(describe, || self.seen().endings.get(count - 1).cloned())
    }

    /// Waits until it has heard so many messages of a kind.
    pub fn wait_for_kind(&self, kind: u8, count: u64) {
        let describe = || format!("{count} messages of kind {kind}: {:?}", self.seen());
        wait_until(describe, || self.seen().heard.get(&kind).filter(|heard| **heard >= count).copied());
    }
}

impl Drop for ScriptedPeer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Inner {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn behaviour(&self) -> Behaviour {
        *self.behaviour.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hello(&self) -> Hello {
        let (network, (height, tip)) = {
            let holdings = self.holdings.borrow();
            (holdings.network, holdings.tip())
        };
        Hello { port: self.port, height, tip, nonce: self.nonce, ..greeting(network, Role::Node) }
    }

    /// Serves a connection to its end.
    async fn serve(&self, link: Result<Link<TcpStream>, LinkError>) {
        let ending = match link {
            Ok(link) => {
                self.seen().connections += 1;
                self.talk(link).await
            }
            Err(error) => ended(error),
        };
        self.seen().endings.push(ending);
    }

    async fn talk(&self, mut link: Link<TcpStream>) -> Ending {
        let mut changes = self.holdings.subscribe();
        let mut to_say = self.opening();
        loop {
            for frame in to_say {
                // Who has hung up has said why, which is read next.
                let _ = link.send_frame(&frame).await;
            }
            to_say = tokio::select! {
                next = link.next() => match next {
                    Ok(Some(frame)) => {
                        *self.seen().heard.entry(frame.kind).or_default() += 1;
                        self.answers(&frame)
                    }
                    Ok(None) => return Ending::Closed(String::new()),
                    Err(error) => return ended(error),
                },
                Ok(()) = changes.changed() => vec![changes.borrow_and_update().news()],
            };
        }
    }

    /// What it says before it is asked.
    fn opening(&self) -> Vec<Frame> {
        let holdings = self.holdings.borrow().clone();
        match self.behaviour() {
            Behaviour::Unasked => {
                let (_, id) = holdings.tip();
                vec![frame(1, &Body { id, bytes: BodyBytes::default() })]
            }
            Behaviour::Unconnected => vec![unconnected(&holdings)],
            _ => Vec::new(),
        }
    }

    fn answers(&self, asked: &Frame) -> Vec<Frame> {
        let holdings = self.holdings.borrow().clone();
        let number = asked.request;
        let answers = match asked.kind {
            _ if self.behaviour() == Behaviour::Mute => Vec::new(),
            Ping::KIND => vec![frame(number, &Pong { nonce: of::<Ping>(asked).nonce })],
            GetHeaders::KIND => self.headers(&holdings, number, &of::<GetHeaders>(asked)),
            GetBodies::KIND => {
                let asked = of::<GetBodies>(asked);
                asked.ids.iter().filter_map(|id| self.body(&holdings, number, id)).collect()
            }
            GetTxs::KIND => vec![frame(number, &Txs { txs: List::default() })],
            GetAddresses::KIND => vec![frame(number, &Addresses { addresses: list(Vec::new()) })],
            _ => Vec::new(),
        };
        let is_answer = asked.kind == GetHeaders::KIND || asked.kind == GetBodies::KIND;
        match self.behaviour() {
            Behaviour::Twice if is_answer => answers.iter().flat_map(|it| [it.clone(), it.clone()]).collect(),
            _ => answers,
        }
    }

    fn headers(&self, holdings: &Holdings, number: u32, asked: &GetHeaders) -> Vec<Frame> {
        if self.behaviour() == Behaviour::Unconnected {
            let none = Headers { headers: list(Vec::new()) };
            return vec![frame(number, &none), unconnected(holdings)];
        }
        let headers = holdings.after(&asked.locator).take(HEADERS_MAX).map(HeaderBytes::from).collect();
        vec![frame(number, &Headers { headers: list(headers) })]
    }

    /// The word on a body that was asked for.
    fn body(&self, holdings: &Holdings, number: u32, id: &BlockId) -> Option<Frame> {
        let place = holdings.places.get(id);
        let Some((header, bytes)) = place.map(|place| &holdings.blocks[*place]) else {
            return Some(frame(number, &Missing { ids: list(vec![*id]) }));
        };
        let bytes = match self.behaviour() {
            Behaviour::Lacks => return Some(frame(number, &Missing { ids: list(vec![*id]) })),
            Behaviour::Withholds(height) if height == header.height => return None,
            Behaviour::WrongBody(height) if height == header.height => holdings.body_at(height - 1).to_vec(),
            Behaviour::RubbishBody(height) if height == header.height => vec![0xee; 100],
            _ => bytes.clone(),
        };
        Some(frame(number, &Body { id: *id, bytes: BodyBytes::new(bytes)? }))
    }
}

/// What a test says first on a connection of its own making.
#[must_use]
pub fn greeting(network: NetworkId, role: Role) -> Hello {
    let (magic, version, tip) = (hello::MAGIC, PROTOCOL_VERSION, BlockId::ZERO);
    let (nonce, agent) = (rand::random(), Text::new("steelyard-tests"));
    Hello { magic, version, role, network, nonce, port: 0, height: 0, tip, bodies_from: 0, agent }
}

/// The frame of a message, which is not too long.
#[must_use]
pub fn frame(request: u32, message: &impl Message) -> Frame {
    Frame::of(request, message).expect("the test keeps to the message's bound")
}

/// A header after a block that nobody has.
fn unconnected(holdings: &Holdings) -> Frame {
    let mut header = holdings.blocks.last().expect("a chain of at least one block").0;
    header.prev = NOWHERE;
    frame(0, &Announce { headers: list(vec![HeaderBytes::from(&header)]) })
}

fn ended(error: LinkError) -> Ending {
    match error {
        LinkError::Bye(bye) => Ending::Bye { code: bye.code.to_string(), reason: bye.reason.to_string() },
        other => Ending::Closed(other.to_string()),
    }
}

fn of<M: Message>(frame: &Frame) -> M {
    read(frame).expect("a node sends what decodes")
}

fn list<T: std::fmt::Debug, const MAX: usize>(items: Vec<T>) -> List<T, MAX> {
    List::new(items).expect("the test keeps to the list's bound")
}
