//! Whether the node lives and whether it can be worked with, and an index of what there is.
//! Must not know more of the chain than whether it answers, how far behind others it is and whether it
//! has room.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::error::ApiError;
use super::status;
use super::types::{Live, Notice, Ready};

/// How long the chain thread may take to answer: a commit of a large group, and some.
const PROBE_MAX: Duration = Duration::from_secs(2);
/// The chain thread is asked at most so often.
const PROBE_AGE_MAX: Duration = Duration::from_millis(500);

/// What `/` answers.
const INDEX: &str = r#"steelyard-node

/api/v1/status
/api/v1/blocks?from=H&limit=N  /blocks/tip  /blocks/tip/height  /headers?from=H&limit=N
/api/v1/block/{id}  /block/{id}/raw  /block/{id}/txs  /block-height/{height}
/api/v1/tx/{id}  /tx/{id}/raw  /tx/{id}/proof
/api/v1/address/{address}  /address/{address}/proof?asset=ID  /address/{address}/holdings?after=ID&limit=N
/api/v1/address/{address}/txs?before=PLACE&limit=N  /assets?after=PLACE&limit=N  /asset/{id}
/api/v1/mempool  /mempool/txs?before=ARRIVAL&limit=N
/api/v1/peers  /chain-tips  /forks?depth=N
POST /api/v1/tx  /txs

With the operator's token:
POST /api/v1/verify?full=true
POST /api/v1/backup {"dir":"/PATH"}  /export {"file":"/PATH","from":H}
POST /api/v1/peers {"address":"IP:PORT"}  DELETE /api/v1/peers/{address}
POST /api/v1/bans {"ip":"IP"}  DELETE /api/v1/bans/{ip}

/livez  /readyz  /metrics
"#;

/// `GET /`.
pub(super) async fn index() -> &'static str {
    INDEX
}

/// `GET /livez`.
pub(super) async fn live() -> Json<Live> {
    Json(Live { live: true })
}

/// `GET /readyz`.
pub(super) async fn ready(State(api): State<Arc<Api>>) -> Result<Response, ApiError> {
    let mut reasons: Vec<Notice> = if api.chain.shared.ticks().stopping {
        vec![Notice::new("stopping", "the node is stopping")]
    } else {
        status::disk_full(&api)
            .into_iter()
            .chain(status::stuck(&api).or_else(|| status::behind(&api)))
            .collect()
    };
    if reasons.is_empty() {
        reasons.extend(api.probe.get(|age, _| age < PROBE_AGE_MAX, probe(&api)).await?);
    }
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let ready = Ready { ready: reasons.is_empty(), reasons };
    Ok((status, Json(ready)).into_response())
}

/// Asks the chain thread to admit nothing: it answers as it would anybody who submits something.
async fn probe(api: &Api) -> Result<Option<Notice>, ApiError> {
    Ok(match tokio::time::timeout(PROBE_MAX, api.chain.submit_txs(Vec::new())).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(Notice::new(error.name(), error.to_string())),
        Err(_) => Some(Notice::new("chain_slow", "the chain thread does not answer in time")),
    })
}
