//! The API over a real chain in a folder of its own, asked without a socket. The files below tell
//! what is read, what is submitted, how the node is, what is known of branches and peers, and who is let in.

mod forks;
mod guards;
mod health;
mod history;
mod peers;
mod prune;
mod reads;
mod submits;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use steelyard_core::address;
use steelyard_core::amount::COIN;
use steelyard_core::consensus::pow::search;
use steelyard_core::consensus::template::Payout;
use steelyard_core::crypto::keys::SecretKey;
use steelyard_core::crypto::policy::Policy;
use steelyard_core::encode::List;
use steelyard_core::hash::{Address, AssetId, BlockId};
use steelyard_core::params::{Params, dev_addresses};
use steelyard_core::types::transaction::{Action, Authorization, BODY_FORMAT, Payment, Transaction, TxBody};
use steelyard_core::work::from_bits;
use steelyard_runtime::clock;
use tempfile::TempDir;
use tower::ServiceExt;

use super::{ApiState, router};
use crate::chain::check::UncheckedBlock;
use crate::chain::error::Accepted;
use crate::chain::{Chain, load};
use crate::disk::{Disk, DiskLimits};
use crate::finder::{Finder, FinderLimits, INDEX_FOLDER};
use crate::mark::Keeper;
use crate::miner;
use crate::peers::{Peers, PeersStatus};
use crate::store::{Store, StoreError};

/// Secret key of the dev network's first account. Published.
const SECRET: &str = "e01fea8a48e2854fdd0255c12b1d704967d9401f11c3f4980006ced8977574dc";
const TOKEN: &str = "0123456789abcdef";
/// Somebody with nothing.
const STRANGER: Address = Address([9; 32]);

/// A node's API without its sockets.
struct Stage {
    chain: Chain,
    state: ApiState,
    router: Router,
    writer: Option<JoinHandle<Result<(), StoreError>>>,
    folder: Arc<TempDir>,
}

/// An answer.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    bytes: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    fn typed<T: DeserializeOwned>(&self) -> T {
        assert_eq!(self.status, StatusCode::OK, "{}", String::from_utf8_lossy(&self.bytes));
        serde_json::from_slice(&self.bytes).unwrap()
    }

    /// Status and `error.code`, of an error that has all its parts.
    fn refusal(&self) -> (u16, String) {
        let json = self.json();
        assert!(json["error"]["message"].is_string() && json["error"].get("hint").is_some(), "{json}");
        (self.status.as_u16(), json["error"]["code"].as_str().unwrap().to_owned())
    }
}

impl Stage {
    fn new() -> Self {
        Self::bound_to("127.0.0.1:9334")
    }

    fn bound_to(bound: &str) -> Self {
        Self::whole(Params::dev(), PeersStatus::default(), bound)
    }

    fn with_peers(peers: PeersStatus) -> Self {
        Self::whole(Params::dev(), peers, "127.0.0.1:9334")
    }

    /// A node of another network.
    fn of(params: Params) -> Self {
        Self::whole(params, PeersStatus::default(), "127.0.0.1:9334")
    }

    /// A node without an index.
    fn without_index() -> Self {
        let mut stage = Self::new();
        stage.state.finder = Finder::off();
        stage.router = router(stage.state.clone());
        stage
    }

    fn whole(params: Params, peers: PeersStatus, bound: &str) -> Self {
        Self::open(Arc::new(tempfile::tempdir().unwrap()), params, (peers, bound), None)
    }

    /// A node in a folder, which keeps the bodies of so many blocks.
    fn open(
        folder: Arc<TempDir>,
        params: Params,
        (peers, bound): (PeersStatus, &str),
        prune: Option<u64>,
    ) -> Self {
        let store = Store::open(&folder.path().join("chain"), &params.network_id()).unwrap();
        let mut loaded = load::load(params, &store).unwrap();
        loaded.prune = prune;
        let (chain, writer) = Chain::start(loaded, Arc::new(store)).unwrap();
        let bound: SocketAddr = bound.parse().unwrap();
        let peers = Peers::idle(peers);
        let index = folder.path().join(INDEX_FOLDER);
        let (finder, _) = Finder::start(&chain, &index, FinderLimits::NODE).unwrap();
        let limits = DiskLimits { warn_bytes: 1_000, stop_bytes: 200 };
        let state = ApiState {
            chain: chain.clone(),
            finder,
            peers,
            miner: None,
            disk: Arc::new(Disk::new(folder.path(), limits)),
            mark: Arc::new(Keeper::open(folder.path(), &chain.shared)),
            token: TOKEN.into(),
            data_dir: folder.path().into(),
            bound,
        };
        Self { chain, router: router(state.clone()), state, writer: Some(writer), folder }
    }

    async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec();
        Answer { status, headers, bytes }
    }

    /// GET of a path below `/api/v1`.
    async fn get(&self, path: &str) -> Answer {
        self.ask(get(&format!("/api/v1{path}"))).await
    }

    async fn post(&self, path: &str, kind: &str, body: impl Into<Body>) -> Answer {
        self.ask(post(&format!("/api/v1{path}"), kind, body)).await
    }

    async fn submit(&self, tx: &Transaction) -> Answer {
        self.post("/tx", "application/octet-stream", tx.to_bytes()).await
    }

    /// The same, with the mark that lies in its folder now held against the chain.
    fn marked_anew(mut self) -> Self {
        self.state.mark = Arc::new(Keeper::open(self.folder.path(), &self.chain.shared));
        self.router = router(self.state.clone());
        self
    }

    /// A block for the stranger with what is pending.
    fn block(&self) -> UncheckedBlock {
        let payout = Payout { miner: STRANGER, extra: List::new(b"<b>hi".to_vec()).unwrap() };
        let template = miner::template(&self.chain, &payout, clock::now_ms());
        let mut header = template.header;
        header.nonce = search(&header, from_bits(header.bits).unwrap(), 0, u64::MAX).unwrap();
        UncheckedBlock { header, body: template.body }
    }

    /// Mines a block for the stranger with what is pending.
    async fn mine(&self) -> BlockId {
        let (block, chain) = (self.block(), self.chain.clone());
        let id = block.header.id();
        let accepted = tokio::task::spawn_blocking(move || chain.submit_block(block, clock::now_ms()));
        assert_eq!(accepted.await.unwrap(), Ok(Accepted::Active));
        id
    }

    fn text(&self, address: &Address) -> String {
        address::format(&self.chain.shared.params.prefix, address)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.chain.stop();
        self.writer.take().unwrap().join().unwrap().unwrap();
    }
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).header("host", "localhost:9334").body(Body::empty()).unwrap()
}

fn post(path: &str, kind: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post(path).header("host", "localhost:9334").header("content-type", kind);
    request.body(body.into()).unwrap()
}

/// The first dev account's address.
fn payer() -> Address {
    dev_addresses()[0]
}

/// Something the first dev account does, signed.
fn act(nonce: u64, fee: u64, action: Action) -> Transaction {
    let body = TxBody {
        format: BODY_FORMAT,
        network: Params::dev().network_id(),
        sender: payer(),
        nonce,
        fee,
        expiry: 0,
        memo: List::new(b"for tea".to_vec()).unwrap(),
        action,
    };
    sign(body)
}

fn sign(body: TxBody) -> Transaction {
    let secret = SecretKey::new(hex::decode(SECRET).unwrap().try_into().unwrap()).unwrap();
    let signature = secret.sign(&body.id().0);
    let authorization = Authorization {
        policy: Policy::single(secret.public()).unwrap().into(),
        signers: 1,
        signatures: List::new(vec![signature]).unwrap(),
    };
    Transaction { body, authorization }
}

/// Pays the stranger so many coins.
fn pay(nonce: u64, coins: u64) -> Transaction {
    let payment = Payment { asset: AssetId::COINS, to: STRANGER, amount: coins * COIN };
    act(nonce, 1_000, Action::Transfer { payments: List::new(vec![payment]).unwrap() })
}
