//! What only the operator may ask for, with the token of the node's folder, whatever address the
//! API listens on. Must not know commands.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use steelyard_runtime::exit::CliError;

use super::Api;
use super::error::ApiError;
use super::guard;
use super::request::Args;
use crate::verify::{self, Report};

/// `POST /verify?full=true`: judges the store of the running node up to its last commit. One at a
/// time; takes as long as it takes, and goes on when its asker is gone.
pub(super) async fn verify(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    args: Args,
) -> Result<Json<Report>, ApiError> {
    guard::check_token(&api.token, &headers)?;
    let is_full = match args.text("full") {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => {
            let message = format!("full={other:?} where true or false is needed");
            return Err(ApiError::bad_request("invalid_full", message));
        }
    };
    let place = Arc::clone(&api.verifications).try_acquire_owned().map_err(|_| ApiError::busy())?;
    let judging = tokio::task::spawn_blocking(move || {
        let _place = place;
        verify::check(&api.chain, &api.finder, is_full, &mut |_, _| ())
    });
    let judged = judging.await.map_err(|_| ApiError::internal("a verification ended early"))?;
    judged.map(Json).map_err(|failure| {
        let error = CliError::from(failure);
        tracing::error!(%error, "the store is damaged");
        let refused = ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, &error.code, error.message);
        match error.hint {
            Some(hint) => refused.hint(hint),
            None => refused,
        }
    })
}
