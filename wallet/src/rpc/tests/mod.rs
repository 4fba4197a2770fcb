//! The socket, asked as commands ask it, over a real desk and a real store, with nodes that are only
//! told of: each test says what they do.

mod guards;
mod nodes;
mod secrets;
mod sends;
mod sockets;
mod wallets;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Method, Request as HttpRequest, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use steelyard_core::amount::Coins;
use steelyard_core::hash::{BlockId, TxId};
use steelyard_core::params::Params;
use steelyard_core::wire::Verdict;
use steelyard_runtime::clock;
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::socket::{listen, own_uid};
use super::*;
use crate::keystore::KdfCost;
use crate::light::{LightEvent, Reading, Standing, Wanted};
use crate::store::Store;
use crate::view::{Account, Link, NodeStatus, Snapshot};

/// A node, by its number.
fn node(number: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], number))
}

/// A block of this height on the branch of this number.
fn block(height: u64, branch: u8) -> BlockId {
    let mut id = [branch; 32];
    id[..8].copy_from_slice(&height.to_be_bytes());
    BlockId(id)
}

/// What a request was answered.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    body: Value,
}

impl Answer {
    /// The refusal's code, its exit code and the status.
    #[track_caller]
    fn refusal(&self) -> (&str, u64, u16) {
        let error = &self.body["error"];
        let code = error["code"].as_str().unwrap_or_else(|| panic!("no refusal: {self:?}"));
        (code, error["exit"].as_u64().unwrap(), self.status.as_u16())
    }

    fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_else(|| panic!("no refusal: {self:?}"))
    }

    fn hint(&self) -> &str {
        self.body["error"]["hint"].as_str().unwrap_or_else(|| panic!("no hint: {self:?}"))
    }

    /// The answer, which must be one.
    #[track_caller]
    fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self.body
    }
}

/// A desk, and its socket.
struct Rig {
    dir: TempDir,
    desk: Desk,
    wanted: watch::Receiver<Arc<Wanted>>,
    nodes: u16,
    added: Arc<Mutex<Vec<SocketAddr>>>,
    stop: CancellationToken,
    shutdown: CancellationToken,
}

impl Rig {
    /// On the dev network, with so many nodes of which nothing is known yet.
    fn new(nodes: u16) -> Self {
        Self::on(Params::dev(), nodes)
    }

    fn on(params: Params, nodes: u16) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store"), &params.network_id()).unwrap();
        let (wants, wanted) = watch::channel(Arc::new(Wanted::default()));
        let (desk, _thread) = Desk::start(params, store, Vec::new(), wants).unwrap();
        std::fs::create_dir(dir.path().join("wallets")).unwrap();
        let (stop, shutdown) = (CancellationToken::new(), CancellationToken::new());
        let rig = Self { dir, desk, wanted, nodes, added: Arc::default(), stop, shutdown };
        rig.serve_at("s", own_uid().unwrap(), rig.state());
        rig
    }

    /// What its socket is served with. What is answered is answered long before any of these times is
    /// over, or the test fails.
    fn state(&self) -> RpcState {
        let adds = Arc::clone(&self.added);
        let long = Duration::from_secs(20);
        RpcState {
            desk: self.desk.clone(),
            nodes: (1..=self.nodes).map(node).collect(),
            wake: Arc::new(|| ()),
            add_nodes: Arc::new(move |nodes| {
                let mut added = adds.lock().unwrap();
                if added.len() + nodes.len() > 2 {
                    return Err(NotAdded::TooMany);
                }
                added.extend(nodes);
                Ok(())
            }),
            data_dir: self.dir.path().to_path_buf(),
            wallets_dir: self.dir.path().join("wallets"),
            kdf_cost: KdfCost { memory_kib: 64, passes: 1, lanes: 1 },
            times: RpcTimes {
                settle: long,
                outcome: long,
                second_opinion: long,
                woken: Duration::from_millis(1),
            },
            stop: self.stop.clone(),
        }
    }

    /// Serves one user at a socket of this name, until the shutdown.
    fn serve_at(
        &self,
        name: &str,
        uid: u32,
        state: RpcState,
    ) -> tokio::task::JoinHandle<std::io::Result<()>> {
        let listener = listen(&self.dir.path().join(name), uid).unwrap();
        tokio::spawn(serve(listener, state, self.shutdown.clone()))
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    /// Asks as the commands do.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.ask_at(self.socket(), method, path, body).await
    }

    async fn ask_at(&self, socket: PathBuf, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = HttpRequest::builder().method(method).uri(format!("/api/v1{path}"));
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        ask(socket, request.body(Full::new(body)).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, Some(body)).await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.ask(Method::DELETE, path, None).await
    }

    /// The request in the background.
    fn later(&self, path: &str, body: Option<Value>) -> tokio::task::JoinHandle<Answer> {
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let request = HttpRequest::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header("content-type", "application/json");
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        tokio::spawn(ask(self.socket(), request.body(Full::new(body)).unwrap()))
    }

    /// The dev network's wallet, under this name.
    async fn import_dev(&self, name: &str) -> Value {
        self.post("/wallets", json!({"name": name, "source": "dev", "passphrase": ""})).await.ok()
    }

    /// What the link tells, and the desk has taken when this returns.
    async fn tell(&self, event: LightEvent) {
        assert!(self.desk.events().tell(event).await, "the desk has ended");
        // Answered after everything before it is shown.
        self.desk.lock(&"nobody".parse().unwrap()).await.unwrap_err();
    }

    /// A node answers, with its tip at this height of branch 0.
    async fn up(&self, number: u16, height: u64) {
        self.up_on(number, height, 0).await;
    }

    async fn up_on(&self, number: u16, height: u64, branch: u8) {
        let status = NodeStatus {
            address: node(number),
            link: Link::Up,
            agent: "steelyard-node/0.1.0".to_owned(),
            tip: Some((height, block(height, branch), u128::from(height) + 1)),
            failure: None,
            answered: Some(clock::now_ms()),
            tried: true,
        };
        self.tell(LightEvent::Node(status)).await;
    }

    /// A node does not answer.
    async fn down(&self, number: u16) {
        let status = NodeStatus {
            address: node(number),
            link: Link::Down,
            agent: String::new(),
            tip: None,
            failure: Some(("refused".to_owned(), "connection refused".to_owned())),
            answered: None,
            tried: true,
        };
        self.tell(LightEvent::Node(status)).await;
    }

    /// What a node proves at this height: so many base units at each address.
    fn snapshot(&self, height: u64, balance: u64) -> Snapshot {
        let params = &self.desk.shared.params;
        let mut tip = params.genesis().header;
        (tip.height, tip.time) = (height, clock::now_ms());
        let account = Account { balance, nonce: 0 };
        let addresses = self.wanted.borrow().addresses.clone();
        Snapshot {
            tip,
            id: block(height, 0),
            total_work: u128::from(height) + 1,
            accounts: addresses.into_iter().map(|address| (address, account)).collect(),
            incoming: Vec::new(),
            incoming_more: false,
            node: node(1),
            taken: clock::now_ms(),
        }
    }

    /// Node 1 was read, and is up: so many base units at each address.
    async fn read(&self, height: u64, balance: u64) {
        let snapshot = self.snapshot(height, balance);
        // In the link's order: who sees that a node was tried finds what it said.
        self.tell(LightEvent::Reading(Box::new(Reading { snapshot, standings: Vec::new() }))).await;
        self.up(1, height).await;
    }

    /// Waits until the desk wants a transaction sent, and gives its id.
    async fn outgoing(&mut self) -> TxId {
        let wanted =
            self.wanted.wait_for(|wanted| wanted.outgoing.iter().any(|one| one.submit)).await.unwrap();
        wanted.outgoing.iter().find(|one| one.submit).unwrap().id
    }

    async fn sending(&self, id: TxId) {
        self.tell(LightEvent::Sending { ids: vec![id], node: node(1) }).await;
    }

    async fn verdict(&self, id: TxId, number: u16, verdict: Verdict) {
        self.tell(LightEvent::Verdict { id, node: node(number), verdict }).await;
    }

    /// Node 1 says that a block holds the transaction, with its tip at this height.
    async fn mined(&self, id: TxId, height: u64, tip: u64) {
        let standing = Standing::Confirmed { height, block: block(height, 0), time: 1 };
        let snapshot = self.snapshot(tip, 0);
        let reading = Reading { snapshot, standings: vec![(id, standing)] };
        self.tell(LightEvent::Reading(Box::new(reading))).await;
        self.up(1, tip).await;
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// One request on a connection of its own.
async fn ask(socket: PathBuf, request: HttpRequest<Full<Bytes>>) -> Answer {
    let (mut parts, body) = request.into_parts();
    parts.headers.entry("host").or_insert("localhost".parse().unwrap());
    let stream = UnixStream::connect(socket).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(HttpRequest::from_parts(parts, body)).await.unwrap();
    let status = answer.status();
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    Answer { status, body: serde_json::from_slice(&body).unwrap_or_else(|_| panic!("no JSON: {body:?}")) }
}
