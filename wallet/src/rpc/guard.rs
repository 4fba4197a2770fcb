//! What stands before every route: no pages of browsers, a time for each request, one log line at
//! debug. Who may connect at all is the listener's matter. Must not know what the routes do.

use std::time::Duration;

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, ORIGIN, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use steelyard_runtime::clock;
use steelyard_runtime::exit::ExitCode;

use super::error::RpcError;
use crate::limits::RPC_REQUEST_MS;

/// Outermost: one log line at debug, without the query, and the headers that every answer has.
pub(super) async fn stamp(request: Request, next: Next) -> Response {
    let started = clock::start();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let (status, micros) = (response.status().as_u16(), started.elapsed().as_micros());
    tracing::debug!(%method, path, status, micros, "request");
    response
}

/// Refuses pages: whatever led a browser's request to the socket, it is not the user's.
pub(super) async fn admit(request: Request, next: Next) -> Response {
    if request.headers().contains_key(ORIGIN) {
        return RpcError::new(ExitCode::NotAuthorised, "origin_not_allowed", "pages may not ask a wallet")
            .into_response();
    }
    next.run(request).await
}

/// So long for a request that waits for nobody else.
pub(super) async fn bound(request: Request, next: Next) -> Response {
    match tokio::time::timeout(Duration::from_millis(RPC_REQUEST_MS), next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            RpcError::new(ExitCode::TimedOut, "timed_out", format!("not done within {RPC_REQUEST_MS} ms"))
                .into_response()
        }
    }
}
