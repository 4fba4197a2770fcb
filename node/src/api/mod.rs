//! HTTP, from the view: reads are answered from what is committed, and what is submitted goes
//! through the chain's door like anything else. [`types`] has every answer, [`error`] every
//! refusal, `guard` what stands before the routes. The view is read for moments only, never
//! across an await or beside the store. Must not know the command line.

mod address;
mod assets;
mod blocks;
mod bodies;
mod cached;
pub mod error;
mod forks;
mod guard;
mod health;
mod history;
mod listener;
mod mempool;
mod metrics;
pub mod opening;
mod operator;
mod peers;
mod request;
mod status;
mod submit;
#[cfg(test)]
mod tests;
mod tx;
pub mod types;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use steelyard_runtime::clock;
use steelyard_runtime::connections::{ConnectionLimits, Connections};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::bodies::Summaries;
use self::cached::Cached;
use self::error::ApiError;
use self::forks::Leaves;
use self::listener::ApiListener;
use self::request::{operate, read, remove, submit};
use crate::chain::Chain;
use crate::disk::Disk;
use crate::finder::Finder;
use crate::limits::{
    API_BATCHES_MAX, API_CONNECTIONS_MAX, API_REQUEST_MS, API_REQUESTS_MAX, API_WORKERS_MAX,
};
use crate::lookup::workers::Workers;
use crate::mark::Keeper;
use crate::miner::MinerStatus;
use crate::peers::Peers;

/// The bounds of connections: one may rest for longer than a request may take.
const CONNECTION_LIMITS: ConnectionLimits = ConnectionLimits {
    connections_max: API_CONNECTIONS_MAX,
    idle: Duration::from_millis(2 * API_REQUEST_MS),
};

/// After a stop: requests in progress may go on for so long…
const STOP_GRACE: Duration = Duration::from_millis(250);
/// …and connections have so long to notice that they are closed.
const CLOSE_GRACE: Duration = Duration::from_millis(100);

// The node waits no longer than half a second for its server.
const _: () = assert!(STOP_GRACE.as_millis() + CLOSE_GRACE.as_millis() < 500);

/// What the routes need.
#[derive(Clone)]
pub struct ApiState {
    /// The chain.
    pub chain: Chain,
    /// Its index.
    pub finder: Arc<Finder>,
    /// The peers.
    pub peers: Peers,
    /// The miner's figures and its threads, where it mines.
    pub miner: Option<(Arc<MinerStatus>, usize)>,
    /// The room there is.
    pub disk: Arc<Disk>,
    /// How far the store was at the start.
    pub mark: Arc<Keeper>,
    /// The operator's token.
    pub token: Arc<str>,
    /// The node's folder.
    pub data_dir: Arc<Path>,
    /// Where the API listens.
    pub bound: SocketAddr,
}

/// The state with what the routes share.
struct Api {
    chain: Chain,
    finder: Arc<Finder>,
    peers: Peers,
    miner: Option<(Arc<MinerStatus>, usize)>,
    disk: Arc<Disk>,
    mark: Arc<Keeper>,
    token: Arc<str>,
    data_dir: Arc<Path>,
    bound: SocketAddr,
    /// When it began to answer, unix ms.
    started: u64,
    requests: Semaphore,
    workers: Workers,
    batches: Semaphore,
    verifications: Arc<Semaphore>,
    copies: Arc<Semaphore>,
    summaries: Summaries,
    leaves: Leaves,
    disk_bytes: Cached<u64>,
    pool: Cached<mempool::Survey>,
    probe: Cached<Option<types::Notice>>,
}

impl Api {
    fn new(state: ApiState) -> Self {
        Self {
            chain: state.chain,
            finder: state.finder,
            peers: state.peers,
            miner: state.miner,
            disk: state.disk,
            mark: state.mark,
            token: state.token,
            data_dir: state.data_dir,
            bound: state.bound,
            started: clock::now_ms(),
            requests: Semaphore::new(API_REQUESTS_MAX),
            workers: Workers::new(API_WORKERS_MAX, Duration::from_millis(API_REQUEST_MS)),
            batches: Semaphore::new(API_BATCHES_MAX),
            verifications: Arc::new(Semaphore::new(1)),
            copies: Arc::new(Semaphore::new(1)),
            summaries: Summaries::default(),
            leaves: Leaves::default(),
            disk_bytes: Cached::default(),
            pool: Cached::default(),
            probe: Cached::default(),
        }
    }
}

/// Every route.
pub fn router(state: ApiState) -> Router {
    let api = Arc::new(Api::new(state));
    Router::new()
        .nest("/api/v1", routes().layer(from_fn_with_state(Arc::clone(&api), guard::bound)).merge(long()))
        .route("/", read(&[], health::index))
        .route("/livez", read(&[], health::live))
        .route("/readyz", read(&[], health::ready))
        .route("/metrics", read(&[], metrics::metrics))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::clone(&api), guard::admit))
        .layer(from_fn(guard::stamp))
        .with_state(api)
}

fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/status", read(&[], status::status))
        .route("/blocks", read(&["from", "limit"], blocks::list))
        .route("/blocks/tip", read(&[], blocks::tip))
        .route("/blocks/tip/height", read(&[], blocks::tip_height))
        .route("/headers", read(&["from", "limit"], blocks::headers))
        .route("/block/{id}", read(&[], blocks::by_id))
        .route("/block/{id}/raw", read(&[], blocks::raw))
        .route("/block/{id}/txs", read(&[], blocks::txs))
        .route("/block-height/{height}", read(&[], blocks::by_height))
        .route("/tx", submit(submit::one))
        .route("/txs", submit(submit::many))
        .route("/tx/{id}", read(&[], tx::one))
        .route("/tx/{id}/raw", read(&[], tx::raw))
        .route("/tx/{id}/proof", read(&[], tx::proof))
        .route("/address/{address}", read(&[], address::info))
        .route("/address/{address}/proof", read(&["asset"], address::proof))
        .route("/address/{address}/holdings", read(&["after", "limit"], address::holdings))
        .route("/address/{address}/txs", read(&["before", "limit"], history::list))
        .route("/assets", read(&["after", "limit"], assets::list))
        .route("/asset/{id}", read(&[], assets::one))
        .route("/mempool", read(&[], mempool::summary))
        .route("/mempool/txs", read(&["before", "limit"], mempool::list))
        .route("/chain-tips", read(&[], forks::tips))
        .route("/forks", read(&["depth"], forks::forks))
        .route("/peers", read(&[], peers::list).merge(submit(peers::add)))
        .route("/peers/{address}", remove(peers::remove))
        .route("/bans", submit(peers::ban))
        .route("/bans/{ip}", remove(peers::unban))
}

/// Routes that bound themselves, because they take longer than any request may.
fn long() -> Router<Arc<Api>> {
    Router::new()
        .route("/verify", operate(&["full"], operator::verify))
        .route("/backup", submit(operator::backup))
        .route("/export", submit(operator::export))
}

async fn unknown_path(uri: Uri) -> ApiError {
    ApiError::not_found("unknown_path", format!("there is no {}", uri.path()))
        .hint("GET / lists what there is")
}

async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not take {method}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}

/// Serves these routes until `shutdown`, and ends soon after it whatever clients do.
///
/// # Errors
/// The listener's.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let closing = CancellationToken::new();
    let connections = Connections::new(ApiListener(listener), CONNECTION_LIMITS, closing.clone());
    let served = axum::serve(connections, routes).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let give_up = async {
        shutdown.cancelled().await;
        tokio::time::sleep(STOP_GRACE).await;
        closing.cancel();
        tokio::time::sleep(CLOSE_GRACE).await;
    };
    tokio::select! {
        served = async { served.await } => served,
        () = give_up => Ok(()),
    }
}
