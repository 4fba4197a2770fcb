//! How it stands with the daemon: its nodes, its wallets, and what an operator should know; more
//! nodes; the end. Must not know sends.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::extract::State;
use steelyard_runtime::exit::ExitCode;
use steelyard_runtime::words;
use steelyard_runtime::{clock, version};

use super::error::RpcError;
use super::request::{JsonBody, NoBody};
use super::types::{AddNodes, Done, Status};
use super::{Api, NotAdded, shown, waiting};
use crate::intent;
use crate::limits::NODES_MAX;
use crate::view::View;

/// A tip older than so many block times…
const STALE_SPACINGS: u64 = 60;
/// …and never younger than this, in ms, is told.
const STALE_MS_MIN: u64 = 10 * 60_000;

/// `GET /status`.
pub(super) async fn status(State(api): State<Arc<Api>>) -> Json<Status> {
    let shared = &api.desk.shared;
    let given = api.given_nodes();
    let view = shared.read();
    Json(Status {
        version: version::VERSION.to_owned(),
        network: shared.params.name.clone(),
        network_id: shared.network,
        pid: std::process::id(),
        data_dir: api.data_dir.display().to_string(),
        as_of: view.snapshot.as_ref().map(|snapshot| shown::as_of(&view, snapshot)),
        wallets: view.wallets.iter().map(|(name, wallet)| shown::wallet(name, wallet)).collect(),
        nodes: shown::nodes(&given, &view),
        warnings: warnings(&api, &given, &view),
    })
}

fn warnings(api: &Api, given: &[SocketAddr], view: &View) -> Vec<String> {
    let (params, now) = (&api.desk.shared.params, clock::now_ms());
    let failed = view.failed.as_ref().map(|reason| format!("the daemon cannot go on: {reason}"));
    let silent =
        (!waiting::any_up(view)).then(|| format!("no node answers: {}", shown::failures(given, view)));
    let disagreement = api.agreement.warning(params, view, now);
    let stale = view.snapshot.as_ref().and_then(|snapshot| {
        let age = now.saturating_sub(snapshot.tip.time);
        let is_stale = age > params.spacing.saturating_mul(STALE_SPACINGS).max(STALE_MS_MIN);
        let height = snapshot.tip.height;
        is_stale.then(|| format!("the newest block known, {height}, is {} old", words::age(age)))
    });
    let mut warnings: Vec<String> = [failed, silent, disagreement, stale].into_iter().flatten().collect();
    for (name, wallet) in view.wallets.iter().filter(|(_, wallet)| !wallet.unlocked) {
        let waiting =
            wallet.live.values().filter(|intent| matches!(intent.state, intent::State::Intended {})).count();
        if waiting > 0 {
            warnings.push(format!(
                "wallet {name} is locked with sends waiting: {waiting}; steelyard-wallet unlock --wallet {name}"
            ));
        }
    }
    warnings
}

/// `POST /nodes`.
pub(super) async fn add_nodes(
    State(api): State<Arc<Api>>,
    JsonBody(more): JsonBody<AddNodes>,
) -> Result<Json<Done>, RpcError> {
    (api.add_nodes)(&more.addresses).map_err(|error| match error {
        NotAdded::TooMany => {
            RpcError::new(ExitCode::Refused, "too_many_nodes", format!("{NODES_MAX} nodes at most"))
        }
        NotAdded::Stopped => RpcError::new(ExitCode::Unreachable, "stopped", "the daemon is ending"),
    })?;
    let mut nodes = api.nodes.lock().unwrap_or_else(PoisonError::into_inner);
    for address in more.addresses {
        if !nodes.contains(&address) {
            nodes.push(address);
        }
    }
    Ok(Json(Done { done: true }))
}

/// `POST /stop`.
pub(super) async fn stop(State(api): State<Arc<Api>>, _: NoBody) -> Json<Done> {
    tracing::info!("asked to stop");
    api.stop.cancel();
    Json(Done { done: true })
}
