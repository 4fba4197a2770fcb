//! The API while the node opens its store: it says which block is the last one as soon as sled is
//! open, long before the state is read and proven, and refuses everything else by name. Afterwards
//! all requests go to the real routes. Must not know how a store is opened.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use steelyard_core::params::{Genesis, Params};
use tower::ServiceExt;

use super::error::ApiError;
use super::types::{Decimal, Live, Notice, Ready, Status};
use super::{ApiState, guard, router};
use crate::chain::load::genesis_entry;
use crate::store::log::StoredTip;

/// What answers from the first moment on.
pub struct Opening {
    network: String,
    genesis: StoredTip,
    bound: SocketAddr,
    tip: OnceLock<StoredTip>,
    routes: OnceLock<Router>,
}

impl Opening {
    /// Nothing is known yet but the network; the API listens at `bound`.
    #[must_use]
    pub fn new(params: &Params, genesis: &Genesis, bound: SocketAddr) -> Self {
        let (header, work) = (&genesis.header, genesis_entry(genesis).work);
        let genesis =
            StoredTip { height: 0, id: genesis.id, work, time: header.time, elapsed: header.elapsed };
        Self { network: params.name.clone(), genesis, bound, tip: OnceLock::new(), routes: OnceLock::new() }
    }

    /// The store is open: this is the last block, genesis where there is none.
    pub fn found(&self, tip: Option<StoredTip>) {
        let with_genesis = |tip: StoredTip| match tip.height {
            0 => self.genesis,
            _ => StoredTip { work: tip.work.saturating_add(self.genesis.work), ..tip },
        };
        // Told once.
        let _ = self.tip.set(tip.map_or(self.genesis, with_genesis));
    }

    /// The state is proven: from now on everything is answered.
    pub fn opened(&self, state: ApiState) {
        let _ = self.routes.set(router(state));
    }

    fn answer(&self, request: &Request) -> Result<Response, ApiError> {
        guard::check_host(self.bound, request.uri(), request.headers())?;
        let tip = self.tip.get();
        match (request.method(), request.uri().path(), tip) {
            (&Method::GET, "/livez", _) => Ok(Json(Live { live: true }).into_response()),
            (&Method::GET, "/readyz", _) => {
                let ready = Ready { ready: false, reasons: vec![self.notice()] };
                Ok((StatusCode::SERVICE_UNAVAILABLE, Json(ready)).into_response())
            }
            (&Method::GET, "/api/v1/status", Some(tip)) => Ok(Json(self.status(tip)).into_response()),
            (&Method::GET, "/api/v1/blocks/tip/height", Some(tip)) => {
                Ok(tip.height.to_string().into_response())
            }
            _ => Err(ApiError::unavailable("opening", self.notice().message)
                .hint("GET /readyz says when everything is answered")),
        }
    }

    fn notice(&self) -> Notice {
        let message = match self.tip.get() {
            Some(tip) => format!("block {} is the last one; the state after it is being read", tip.height),
            None => "the store is being opened".to_owned(),
        };
        Notice::new("opening", message)
    }

    /// Of the tip everything, of what is not read yet nothing.
    fn status(&self, tip: &StoredTip) -> Status {
        Status {
            network: self.network.clone(),
            network_id: self.genesis.id.into(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            height: tip.height,
            tip: tip.id,
            work: Decimal(tip.work),
            tip_time: tip.time,
            elapsed: tip.elapsed,
            syncing: false,
            sync_progress: 1.0,
            headers_height: tip.height,
            peers: 0,
            mempool_txs: 0,
            mempool_bytes: 0,
            mining: false,
            hash_rate: 0,
            disk_bytes: 0,
            pruned_below: None,
            indexed_height: None,
            warnings: vec![self.notice()],
        }
    }
}

/// Every request, from the first moment to the last.
pub fn gate(opening: Arc<Opening>) -> Router {
    Router::new().fallback(pass).with_state(opening)
}

async fn pass(State(opening): State<Arc<Opening>>, request: Request) -> Response {
    if let Some(routes) = opening.routes.get() {
        return match routes.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
    }
    let answer = opening.answer(&request).unwrap_or_else(IntoResponse::into_response);
    guard::harden(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use serde_json::Value;
    use steelyard_core::hash::BlockId;

    async fn ask(gate: &Router, path: &str, host: &str) -> (u16, Value) {
        let request = Request::get(path).header("host", host).body(Body::empty()).unwrap();
        let response = gate.clone().oneshot(request).await.unwrap();
        assert!(response.headers().contains_key("content-security-policy"), "{path}");
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn the_last_block_is_told_before_anything_else_is() {
        let params = Params::dev();
        let genesis = params.genesis();
        let opening = Arc::new(Opening::new(&params, &genesis, "127.0.0.1:9334".parse().unwrap()));
        let gate = gate(Arc::clone(&opening));
        for path in ["/api/v1/status", "/api/v1/blocks/tip/height", "/api/v1/mempool", "/nothing"] {
            let (status, answer) = ask(&gate, path, "localhost").await;
            assert_eq!((status, &answer["error"]["code"]), (503, &"opening".into()), "{path}");
        }
        assert_eq!(ask(&gate, "/livez", "localhost").await.0, 200);
        let tip = StoredTip { height: 7, id: BlockId([9; 32]), work: 14, time: 5, elapsed: 3 };
        opening.found(Some(tip));
        let (status, answer) = ask(&gate, "/api/v1/status", "localhost").await;
        assert_eq!((status, &answer["height"], &answer["tip_time"]), (200, &7.into(), &5.into()));
        // Genesis has a work of two by its bits.
        assert_eq!((&answer["tip"], &answer["work"]), (&"09".repeat(32).into(), &"16".into()));
        assert_eq!(answer["warnings"][0]["code"], "opening");
        assert_eq!(ask(&gate, "/api/v1/blocks/tip/height", "localhost").await, (200, 7.into()));
        assert_eq!(ask(&gate, "/api/v1/blocks/tip", "localhost").await.0, 503);
        let (status, answer) = ask(&gate, "/readyz", "localhost").await;
        assert_eq!((status, &answer["reasons"][0]["code"]), (503, &"opening".into()));
        // Who may not ask later may not ask now.
        assert_eq!(ask(&gate, "/livez", "rebound.example").await.0, 421);
    }

    #[tokio::test]
    async fn of_a_new_store_genesis_is_the_last_block() {
        let params = Params::dev();
        let genesis = params.genesis();
        for tip in [None, Some(StoredTip { id: genesis.id, ..StoredTip::default() })] {
            let opening = Arc::new(Opening::new(&params, &genesis, "127.0.0.1:9334".parse().unwrap()));
            opening.found(tip);
            let (_, answer) = ask(&gate(opening), "/api/v1/status", "localhost").await;
            assert_eq!(answer["tip"], genesis.id.to_string());
            assert_eq!((&answer["work"], &answer["tip_time"]), (&"2".into(), &genesis.header.time.into()));
        }
    }
}
