//! The one place that says which status a refusal has. A message tells what and why, a hint what
//! to do. Must not know routes.

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use steelyard_core::consensus::error::TxRule;

use super::types::{ErrorBody, ErrorDetail};
use crate::chain::error::{ChainError, LoadError, TxError};
use crate::finder::FinderError;
use crate::lookup::LookupError;
use crate::mempool::PoolError;
use crate::peers::PeersError;
use crate::store::StoreError;

/// A request that has no other answer.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    detail: Box<ErrorDetail>,
}

impl ApiError {
    /// Any error.
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let detail = ErrorDetail { code: code.to_owned(), message: message.into(), hint: None };
        Self { status, detail: Box::new(detail) }
    }

    /// The same with what to do about it.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.detail.hint = Some(hint.into());
        self
    }

    /// The request itself is wrong.
    pub(super) fn bad_request(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// There is no such thing here.
    pub(super) fn not_found(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// Not now; soon.
    pub(super) fn unavailable(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
    }

    /// Everything that may be in progress at once is.
    pub(super) fn busy() -> Self {
        ChainError::Busy.into()
    }

    /// A fault of the program.
    pub(super) fn internal(what: &str) -> Self {
        tracing::error!(what, "a request failed through a fault of the program");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the request failed through a fault of the program",
        )
    }

    /// What is stored is not what was stored: nothing of it is served.
    pub(super) fn damaged(what: &str) -> Self {
        tracing::error!(what, "stored data is damaged and is not served");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "damaged", what)
            .hint("steelyard-node verify --full names all damage; stopped, steelyard-node repair mends it")
    }

    /// It was here and was deleted on purpose.
    pub(super) fn pruned(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "pruned", message).hint("a node without --prune has it")
    }

    /// Without its status, for a list of verdicts.
    pub(super) fn into_body(self) -> ErrorBody {
        ErrorBody { error: *self.detail }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = (status, Json(self.into_body())).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<ChainError> for ApiError {
    fn from(error: ChainError) -> Self {
        let message = error.to_string();
        match error {
            ChainError::Busy | ChainError::Stopping => Self::unavailable(error.name(), message),
            ChainError::Unknown => Self::unavailable(error.name(), message)
                .hint("once it runs again: GET /api/v1/tx/{id} says it; the same bytes sent again pay once"),
            ChainError::DiskFull => Self::new(StatusCode::INSUFFICIENT_STORAGE, error.name(), message)
                .hint("free some room on the node's disk; it goes on by itself, then send it again"),
        }
    }
}

/// Rules and limits of this node: 400 for bytes that are no transaction, 422 for one that is but
/// cannot be taken as it is, 503 where the same bytes may be taken later.
impl From<PoolError> for ApiError {
    fn from(error: PoolError) -> Self {
        let status = match &error {
            PoolError::Rule(TxRule::Malformed(_)) => StatusCode::BAD_REQUEST,
            PoolError::Full => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let refused = Self::new(status, error.name(), error.to_string());
        match hint(&error) {
            Some(hint) => refused.hint(hint),
            None => refused,
        }
    }
}

fn hint(error: &PoolError) -> Option<String> {
    let rule = match error {
        PoolError::Rule(rule) => rule,
        PoolError::FeeTooLow { .. } | PoolError::ReplacementFeeTooLow { .. } | PoolError::Full => {
            return Some("sign it again with a higher fee".into());
        }
        PoolError::QueueFull { .. } => return None,
    };
    match rule {
        TxRule::Malformed(_) => Some("send the transaction's canonical bytes".into()),
        TxRule::WrongNetwork { .. } => Some("GET /api/v1/status names this node's network".into()),
        TxRule::NonceUsed { expected, .. } | TxRule::NonceGap { expected, .. } => {
            Some(format!("sign it again with nonce {expected}, or the next after what is pending"))
        }
        TxRule::Expired { .. } => Some("sign it again with a later expiry, or 0 for none".into()),
        TxRule::InsufficientFunds { .. } | TxRule::InsufficientAsset { .. } => {
            Some("what is already pending counts; GET /api/v1/address/{address} shows both".into())
        }
        _ => None,
    }
}

impl From<TxRule> for ApiError {
    fn from(rule: TxRule) -> Self {
        PoolError::from(rule).into()
    }
}

impl From<TxError> for ApiError {
    fn from(error: TxError) -> Self {
        match error {
            TxError::Pool(error) => error.into(),
            TxError::Chain(error) => error.into(),
        }
    }
}

impl From<PeersError> for ApiError {
    fn from(error: PeersError) -> Self {
        let message = error.to_string();
        match error {
            PeersError::Busy => Self::unavailable("busy", message),
            PeersError::Stopping => Self::unavailable("stopping", message),
            PeersError::Unknown => Self::unavailable("outcome_unknown", message)
                .hint("once it runs again: steelyard-node peers says it, and saying it twice does no harm"),
            PeersError::Refused { code, .. } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Damaged { .. }) {
            return Self::damaged(&error.to_string());
        }
        tracing::error!(%error, "the store cannot be read");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "store", error.to_string())
    }
}

impl From<LoadError> for ApiError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Store(error) => error.into(),
            LoadError::Pruned { .. } => Self::pruned(error.to_string()),
            error => Self::damaged(&error.to_string()),
        }
    }
}

impl From<FinderError> for ApiError {
    fn from(error: FinderError) -> Self {
        let message = error.to_string();
        match &error {
            FinderError::Off => Self::new(StatusCode::NOT_IMPLEMENTED, error.name(), message)
                .hint("ask another node, or start this one with --index on"),
            FinderError::Failed(_) => Self::unavailable(error.name(), message),
        }
    }
}

impl From<LookupError> for ApiError {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::Chain(error) => error.into(),
            LookupError::Load(error) => error.into(),
            LookupError::Indexing => Self::unavailable("indexing", error.to_string()),
            LookupError::Index(error) => error.into(),
            LookupError::Ended => Self::internal("blocking work ended early"),
        }
    }
}
