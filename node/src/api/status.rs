//! The node at a glance. Must not know what the figures are made of.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use steelyard_runtime::clock;

use super::Api;
use super::error::ApiError;
use super::types::{Decimal, Notice, Status};
use crate::chain::index::Entry;
use crate::disk::Room;
use crate::limits::INDEX_LAG_BLOCKS;
use crate::peers::PeersStatus;

/// Age at which the size of the store's files is looked up again.
const DISK_AGE_MAX: Duration = Duration::from_secs(1);

/// `GET /status`.
pub(super) async fn status(State(api): State<Arc<Api>>) -> Result<Json<Status>, ApiError> {
    let disk_bytes = disk_bytes(&api).await?;
    let shared = &api.chain.shared;
    let (tip, (txs, bytes), indexed_height, from) = {
        let view = shared.read();
        let indexed_height = api.finder.indexed_height(&view);
        (view.tip().clone(), view.pending_size(), indexed_height, view.bodies_from())
    };
    let height = tip.header.height;
    let peers = api.peers.status();
    let (syncing, headers_height) = (peers.sync.is_catching_up, peers.sync.headers_height.max(height));
    Ok(Json(Status {
        network: shared.params.name.clone(),
        network_id: shared.network,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        height,
        tip: tip.id,
        work: Decimal(tip.total_work),
        tip_time: tip.header.time,
        elapsed: tip.header.elapsed,
        syncing,
        sync_progress: if syncing { height as f64 / headers_height.max(1) as f64 } else { 1.0 },
        headers_height,
        peers: peers.peers.len() as u64,
        mempool_txs: txs as u64,
        mempool_bytes: bytes as u64,
        mining: api.miner.is_some(),
        hash_rate: api.miner.as_ref().map_or(0, |(miner, threads)| miner.hash_rate(*threads)),
        disk_bytes,
        pruned_below: Some(from).filter(|from| *from > 0),
        indexed_height,
        warnings: warnings(&api, &peers, &tip, indexed_height),
    }))
}

/// Bytes of the store's files, at most a second old.
pub(super) async fn disk_bytes(api: &Arc<Api>) -> Result<u64, ApiError> {
    let look = api.blocking(|api| Ok(api.chain.store.disk_bytes()));
    api.disk_bytes.get(|age, _| age < DISK_AGE_MAX, look).await
}

/// That there is no room, with figures.
pub(super) fn disk_full(api: &Api) -> Option<Notice> {
    let is_full = api.disk.room() == Room::Full;
    api.disk.warning().filter(|_| is_full).map(|(code, text)| Notice::new(code, text))
}

/// That blocks are missing which others have, with figures.
pub(super) fn behind(api: &Api) -> Option<Notice> {
    let peers = api.peers.status();
    let height = api.chain.shared.read().tip().header.height;
    let best = peers.sync.headers_height.max(height);
    let message = || format!("block {height} of {best} is reached ({} %)", height * 100 / best.max(1));
    peers.sync.is_catching_up.then(|| Notice::new("syncing", message()))
}

/// That the blocks which the node needs cannot be had or followed: what to do is the operator's.
pub(super) fn stuck(api: &Api) -> Option<Notice> {
    let (peers, from) = (api.peers.status(), api.chain.shared.read().bodies_from());
    if api.chain.shared.is_beyond_pruning() {
        let message = format!(
            "a chain of more work leaves this one below height {from}, the first that is not pruned here, and \
             cannot be followed; stop the node and start it anew in an empty --data-dir"
        );
        return Some(Notice::new("reorg_beyond_pruning", message));
    }
    let height = peers.sync.unserved?;
    let message = format!(
        "all connected peers have pruned block {height}, which is needed next; connect to one that keeps all \
         blocks: steelyard-node peer add IP:PORT"
    );
    Some(Notice::new("no_full_peer", message))
}

fn warnings(api: &Api, peers: &PeersStatus, tip: &Entry, indexed_height: Option<u64>) -> Vec<Notice> {
    let mut warnings = Vec::new();
    if peers.peers.is_empty() && !peers.manual.is_empty() {
        let message = format!("no peer is connected; {} named by hand", peers.manual.len());
        warnings.push(Notice::new("no_peers", message));
    }
    warnings.extend(stuck(api));
    let ahead_ms = tip.header.time.saturating_sub(clock::now_ms());
    if ahead_ms > api.chain.shared.params.drift {
        let message = format!("this machine's clock is {ahead_ms} ms behind the tip's time; set it right");
        warnings.push(Notice::new("clock_behind", message));
    }
    let behind = tip.header.height.saturating_sub(indexed_height.unwrap_or(0));
    if let Some(reason) = api.finder.failure() {
        let message = format!("transactions, histories and assets cannot be looked up: {reason}");
        warnings.push(Notice::new("index_failed", message));
    } else if api.finder.is_on() && behind > INDEX_LAG_BLOCKS {
        let message = format!("the last {behind} blocks are not in the index yet");
        warnings.push(Notice::new("indexing", message));
    }
    warnings.extend(api.disk.warning().map(|(code, text)| Notice::new(code, text)));
    warnings.extend(api.mark.loss().map(|loss| Notice::new("store_rolled_back", loss.text())));
    if api.chain.shared.ticks().stopping {
        warnings.push(Notice::new("stopping", "the node is stopping"));
    }
    warnings
}
