//! A node with any manners: honest where nothing else is said.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use steelyard_core::hash::{BlockId, NetworkId};
use steelyard_core::wire::{Hello, Message, PROTOCOL_VERSION, Role, Text, Watch, hello, request_bytes_max};
use steelyard_runtime::frame::Frame;
use steelyard_runtime::link::{Link, LinkTimes};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::ledger::{Ledger, say};

const TIMES: LinkTimes = LinkTimes {
    handshake: Duration::from_secs(30),
    frame: Duration::from_secs(30),
    write: Duration::from_secs(30),
};
pub(super) const AGENT: &str = "fake/1";

/// What is said in place of an honest answer.
pub(super) enum Reply {
    Say(Frame),
    /// Nothing, for ever.
    Silence,
    Close,
    Bye(&'static str),
}

type Hook = Arc<dyn Fn(&mut Ledger, &Frame, Option<Frame>) -> Option<Reply> + Send + Sync>;

/// How a node behaves.
#[derive(Clone)]
pub(super) struct Manners {
    /// Whether it greets at all.
    greets: bool,
    /// The network that it claims.
    network: Option<NetworkId>,
    /// Whether it sends notices as fast as they are taken.
    storms: bool,
    /// Request and honest answer to what is said; `None`: nothing is, and the connection goes on.
    hook: Hook,
}

impl Manners {
    pub(super) fn honest() -> Self {
        Self {
            greets: true,
            network: None,
            storms: false,
            hook: Arc::new(|_, _, honest| honest.map(Reply::Say)),
        }
    }

    pub(super) fn mute() -> Self {
        Self { greets: false, ..Self::honest() }
    }

    pub(super) fn storming() -> Self {
        Self { storms: true, ..Self::honest() }
    }

    /// Flooding, and dumb at one kind.
    pub(super) fn storming_and_silent_at(kind: u8) -> Self {
        Self { storms: true, ..Self::at(kind, |_, _, _| None) }
    }

    /// As one of another network, which takes anybody.
    pub(super) fn of_network(network: NetworkId) -> Self {
        Self { network: Some(network), ..Self::honest() }
    }

    /// With its own answers to messages of one kind.
    pub(super) fn at<F>(kind: u8, reply: F) -> Self
    where
        F: Fn(&mut Ledger, &Frame, Option<Frame>) -> Option<Reply> + Send + Sync + 'static,
    {
        let hook = move |ledger: &mut Ledger, frame: &Frame, honest: Option<Frame>| {
            if frame.kind == kind { reply(ledger, frame, honest) } else { honest.map(Reply::Say) }
        };
        Self { hook: Arc::new(hook), ..Self::honest() }
    }
}

/// A running node. Dropped, it is gone.
pub(super) struct Fake {
    pub(super) address: SocketAddr,
    ledger: Arc<Mutex<Ledger>>,
    changes: watch::Sender<()>,
    /// Connections so far.
    connections: Arc<Mutex<usize>>,
    _tasks: JoinSet<()>,
}

impl Fake {
    pub(super) async fn start(ledger: Ledger, manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, ledger) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(ledger)));
        let (changes, connections) = (watch::Sender::new(()), Arc::new(Mutex::new(0)));
        let mut tasks = JoinSet::new();
        let served = Served { ledger: Arc::clone(&ledger), manners, changes: changes.subscribe() };
        let count = Arc::clone(&connections);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                *count.lock().unwrap() += 1;
                connections.spawn(served.clone().serve(stream));
            }
        });
        Self { address, ledger, changes, connections, _tasks: tasks }
    }

    /// Changes the ledger, and tells who watches.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        let result = change(&mut self.ledger.lock().unwrap());
        self.changes.send_replace(());
        result
    }

    /// Looks at the ledger.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        look(&self.ledger.lock().unwrap())
    }

    pub(super) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

#[derive(Clone)]
struct Served {
    ledger: Arc<Mutex<Ledger>>,
    manners: Manners,
    changes: watch::Receiver<()>,
}

impl Served {
    async fn serve(mut self, stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        if !self.manners.greets {
            // Keeps the connection, and says nothing on it.
            let _kept = stream;
            return std::future::pending().await;
        }
        let network = self.manners.network.unwrap_or_else(|| self.ledger.lock().unwrap().network());
        let own = Hello {
            magic: hello::MAGIC,
            version: PROTOCOL_VERSION,
            role: Role::Node,
            network,
            nonce: 1,
            port: 0,
            height: 0,
            tip: BlockId::ZERO,
            bodies_from: 0,
            agent: Text::new(AGENT),
        };
        match self.manners.network {
            // Greets without minding whom: an end that minds would hang up.
            Some(_) => self.greet_anybody(stream, &own).await,
            None => {
                let Ok(link) = Link::accept(stream, own, request_bytes_max, TIMES).await else { return };
                let _ = self.converse(link).await;
            }
        }
    }

    async fn greet_anybody(&self, stream: TcpStream, own: &Hello) {
        use tokio::io::AsyncWriteExt;
        let mut stream = stream;
        let frame = say(0, own);
        let length = (frame.body.len() as u32 + 5).to_le_bytes();
        let bytes = [&length[..], &[frame.kind], &frame.request.to_le_bytes(), &frame.body].concat();
        let _ = stream.write_all(&bytes).await;
        std::future::pending::<()>().await;
    }

    async fn converse(&mut self, mut link: Link<TcpStream>) -> Option<()> {
        let mut watch = None;
        loop {
            let frame = tokio::select! {
                biased;
                frame = link.next() => frame.ok()??,
                Ok(()) = self.changes.changed(), if watch.is_some() => {
                    self.notify(&mut link, watch?).await?;
                    continue;
                }
                () = std::future::ready(()), if self.manners.storms && watch.is_some() => {
                    self.notify(&mut link, watch?).await?;
                    continue;
                }
            };
            let reply = {
                let mut ledger = self.ledger.lock().unwrap();
                let honest = ledger.answer(&frame);
                (self.manners.hook)(&mut ledger, &frame, honest)
            };
            match reply {
                Some(Reply::Say(answer)) => link.send_frame(&answer).await.ok()?,
                Some(Reply::Silence) => std::future::pending().await,
                Some(Reply::Close) => return None,
                Some(Reply::Bye(code)) => {
                    link.bye(code, "for a test").await;
                    return None;
                }
                None => {}
            }
            if frame.kind == Watch::KIND {
                watch = Some(frame.request);
                self.notify(&mut link, frame.request).await?;
            }
        }
    }

    async fn notify(&self, link: &mut Link<TcpStream>, watch: u32) -> Option<()> {
        let notice = self.ledger.lock().unwrap().notice();
        // What is flooded is what makes work: a hint that something has changed.
        let touched = u8::from(self.manners.storms);
        link.send(watch, &steelyard_core::wire::Notice { touched, ..notice }).await.ok()
    }
}
