//! HTTP on the daemon's socket, from the view: reads never wait for a node, and what changes
//! anything goes through the desk. [`types`] has every request and answer, [`error`] every refusal,
//! [`socket`] the place where it listens, `guard` what stands before the routes. The view is read
//! for moments only, never across an await. Must not know the command line, nor the nodes' protocol.

mod agreement;
mod balance;
pub mod error;
mod guard;
mod request;
mod sends;
mod shown;
pub mod socket;
mod status;
#[cfg(test)]
mod tests;
mod txs;
pub mod types;
mod waiting;
mod wallets;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware::from_fn;
use steelyard_core::address;
use steelyard_core::hash::Address;
use steelyard_runtime::connections::{ConnectionLimits, Connections};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::agreement::Agreement;
use self::error::RpcError;
use self::request::{read, read_or_drop, read_or_submit, submit};
use self::socket::OwnListener;
pub use self::wallets::keystore_file;
use crate::desk::Desk;
use crate::keystore::KdfCost;
use crate::limits::{NODE_ANSWER_MS, RPC_CONNECTIONS_MAX, RPC_KDF_MAX, RPC_REQUEST_MS, RPC_WAIT_MS_MAX};

/// The bounds of connections: one may rest for longer than its longest request may wait.
const CONNECTION_LIMITS: ConnectionLimits = ConnectionLimits {
    connections_max: RPC_CONNECTIONS_MAX,
    idle: Duration::from_millis(RPC_WAIT_MS_MAX + RPC_REQUEST_MS),
};

/// After a stop: requests in progress may go on for so long…
const STOP_GRACE: Duration = Duration::from_millis(250);
/// …and connections have so long to notice that they are closed.
const CLOSE_GRACE: Duration = Duration::from_millis(100);

/// Why nodes were not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAdded {
    /// There would be more than `NODES_MAX`.
    TooMany,
    /// The daemon is ending.
    Stopped,
}

/// Adds nodes to those that the wallet talks to.
pub type AddNodes = Arc<dyn Fn(&[SocketAddr]) -> Result<(), NotAdded> + Send + Sync>;

/// Has nodes that are down tried again.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// How patient answers are with nodes.
#[derive(Clone, Copy, Debug)]
pub struct RpcTimes {
    /// A balance that is to settle waits so long for the nodes.
    pub settle: Duration,
    /// A send waits so long for a node to take it.
    pub outcome: Duration,
    /// One node's refusal may be made up for by another for so long.
    pub second_opinion: Duration,
    /// Nodes that were all down get so long to show that one of them is back.
    pub woken: Duration,
}

impl Default for RpcTimes {
    /// One deadline of a node and what goes around it, so that one that hangs is left for the next.
    fn default() -> Self {
        Self {
            settle: Duration::from_millis(NODE_ANSWER_MS + 500),
            outcome: Duration::from_millis(NODE_ANSWER_MS + 1_000),
            second_opinion: Duration::from_millis(300),
            woken: Duration::from_millis(300),
        }
    }
}

/// What the routes need.
#[derive(Clone)]
pub struct RpcState {
    /// The door to everything that changes.
    pub desk: Desk,
    /// The nodes that the daemon was started with, in their order.
    pub nodes: Vec<SocketAddr>,
    /// Adds nodes.
    pub add_nodes: AddNodes,
    /// Has nodes that are down tried again.
    pub wake: Wake,
    /// The daemon's folder, absolute.
    pub data_dir: PathBuf,
    /// The folder of keystores.
    pub wallets_dir: PathBuf,
    /// What a try of a new wallet's passphrase costs.
    pub kdf_cost: KdfCost,
    /// How patient answers are.
    pub times: RpcTimes,
    /// Cancelled when somebody asks the daemon to stop.
    pub stop: CancellationToken,
}

/// The state with what the routes share.
struct Api {
    desk: Desk,
    nodes: Mutex<Vec<SocketAddr>>,
    add_nodes: AddNodes,
    wake: Wake,
    data_dir: PathBuf,
    wallets_dir: PathBuf,
    kdf_cost: KdfCost,
    times: RpcTimes,
    kdf: Semaphore,
    agreement: Agreement,
    stop: CancellationToken,
}

impl Api {
    fn new(state: RpcState) -> Self {
        Self {
            desk: state.desk,
            nodes: Mutex::new(state.nodes),
            add_nodes: state.add_nodes,
            wake: state.wake,
            data_dir: state.data_dir,
            wallets_dir: state.wallets_dir,
            kdf_cost: state.kdf_cost,
            times: state.times,
            kdf: Semaphore::new(RPC_KDF_MAX),
            agreement: Agreement::new(),
            stop: state.stop,
        }
    }

    /// The nodes, as far as they were given.
    fn given_nodes(&self) -> Vec<SocketAddr> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An address as this network writes it.
    fn text_of(&self, address: &Address) -> String {
        address::format(&self.desk.shared.params.prefix, address)
    }
}

/// Every route.
pub fn router(state: RpcState) -> Router {
    router_of(Arc::new(Api::new(state)))
}

fn router_of(api: Arc<Api>) -> Router {
    Router::new()
        .nest("/api/v1", routes().layer(from_fn(guard::bound)).merge(long()))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn(guard::admit))
        .layer(from_fn(guard::stamp))
        .with_state(api)
}

fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/status", read(&[], status::status))
        .route("/wallets", read_or_submit(wallets::list, wallets::make))
        .route("/wallet/{name}/addresses", read_or_submit(wallets::addresses, wallets::new_address))
        .route("/wallet/{name}/balance", read(&["address", "settle"], balance::balance))
        .route("/wallet/{name}/txs", read(&["before", "limit"], txs::list))
        .route("/wallet/{name}/unlock", submit(wallets::unlock))
        .route("/wallet/{name}/lock", submit(wallets::lock))
        .route("/nodes", submit(status::add_nodes))
        .route("/stop", submit(status::stop))
}

/// Routes that bound themselves: they wait for others, and what they say when time is up is theirs.
fn long() -> Router<Arc<Api>> {
    Router::new().route("/wallet/{name}/sends", submit(sends::send)).route(
        "/wallet/{name}/tx/{id}",
        read_or_drop(&["confirmations", "timeout_ms"], txs::show, txs::cancel),
    )
}

async fn unknown_path(uri: Uri) -> RpcError {
    RpcError::usage("unknown_path", format!("there is no {}", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> RpcError {
    RpcError::usage("wrong_method", format!("{} does not take {method}", uri.path()))
}

/// Serves until told to stop, and closes every connection then.
///
/// # Errors
/// Those of the listener.
pub async fn serve(
    listener: OwnListener,
    state: RpcState,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let closing = CancellationToken::new();
    let connections = Connections::new(listener, CONNECTION_LIMITS, closing.clone());
    let api = Arc::new(Api::new(state));
    let served = axum::serve(connections, router_of(Arc::clone(&api)))
        .with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let give_up = async {
        shutdown.cancelled().await;
        tokio::time::sleep(STOP_GRACE).await;
        closing.cancel();
        tokio::time::sleep(CLOSE_GRACE).await;
    };
    tokio::select! {
        served = async { served.await } => served,
        () = give_up => Ok(()),
        () = agreement::watch(&api) => Ok(()),
    }
}
