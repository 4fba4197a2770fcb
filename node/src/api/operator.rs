//! What only the operator may ask for, with the token of the node's folder, whatever address the
//! API listens on. Must not know commands.

use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use steelyard_runtime::exit::{CliError, ExitCode};

use super::Api;
use super::error::ApiError;
use super::guard;
use super::request::{Args, Payload, json};
use super::types::{OrderBackup, OrderExport};
use crate::backup::{self, Manifest};
use crate::blockfile::{self, Exported};
use crate::limits::API_PATH_BODY_BYTES_MAX;
use crate::verify::{self, Failure, Report};

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
        let report = verify::check(&api.chain, &api.finder, is_full, &mut |_, _| ())?;
        Ok::<_, Failure>(Report { rolled_back: api.mark.loss(), ..report })
    });
    let judged = judging.await.map_err(|_| ApiError::internal("a verification ended early"))?;
    judged.map(Json).map_err(|failure| refusal(failure.into()))
}

/// `POST /backup`: copies the store as of its last commit into a folder of this machine. One copy at a
/// time; goes on when its asker is gone.
pub(super) async fn backup(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    request: Request,
) -> Result<Json<Manifest>, ApiError> {
    guard::check_token(&api.token, &headers)?;
    let OrderBackup { dir } = body(request).await?;
    check_absolute(&dir)?;
    let copied = copy(&api, move |api| backup::of_running(&api.chain, (&api.data_dir, &dir), &mut |_, _| ()));
    copied.await?.map(Json).map_err(|error| refusal(error.into()))
}

/// `POST /export`: writes blocks of the active chain into a file of this machine. As [`backup()`].
pub(super) async fn export(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    request: Request,
) -> Result<Json<Exported>, ApiError> {
    guard::check_token(&api.token, &headers)?;
    let OrderExport { file, from } = body(request).await?;
    check_absolute(&file)?;
    let copied = copy(&api, move |api| {
        blockfile::to_file((&api.chain.shared, &api.chain.store), from, &file, &mut |_, _| ())
    });
    copied.await?.map(Json).map_err(|error| refusal(error.into()))
}

/// Copies, off the async threads, when no other copy is being made.
async fn copy<T: Send + 'static>(
    api: &Arc<Api>,
    work: impl FnOnce(&Api) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let place = Arc::clone(&api.copies).try_acquire_owned().map_err(|_| ApiError::busy())?;
    let api = Arc::clone(api);
    let copying = tokio::task::spawn_blocking(move || {
        let _place = place;
        work(&api)
    });
    copying.await.map_err(|_| ApiError::internal("a copy ended early"))
}

async fn body<T: DeserializeOwned>(request: Request) -> Result<T, ApiError> {
    match Payload::read(request, API_PATH_BODY_BYTES_MAX).await? {
        Payload::Json(text) => json(&text),
        Payload::Raw(_) => Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "this is ordered in application/json",
        )),
    }
}

/// Any other would be taken from where the node was started, which its operator does not mean.
fn check_absolute(path: &Path) -> Result<(), ApiError> {
    if path.is_absolute() {
        return Ok(());
    }
    let message = format!("{} is no absolute path", path.display());
    Err(ApiError::bad_request("invalid_path", message))
}

/// A command's error as an answer: the exit code can be told from the status.
fn refusal(error: CliError) -> ApiError {
    let status = match error.exit {
        ExitCode::Usage => StatusCode::BAD_REQUEST,
        ExitCode::InUse => StatusCode::CONFLICT,
        ExitCode::Refused => StatusCode::UNPROCESSABLE_ENTITY,
        ExitCode::Damaged => {
            tracing::error!(%error, "the store is damaged");
            StatusCode::INTERNAL_SERVER_ERROR
        }
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let refused = ApiError::new(status, &error.code, error.message);
    match error.hint {
        Some(hint) => refused.hint(hint),
        None => refused,
    }
}
