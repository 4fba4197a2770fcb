//! What a request says: its path, its query, its body, what its sender has already. Everything
//! malformed has its own code, everything has a bound. Must not know what is asked for.

use std::future::poll_fn;
use std::pin::Pin;
use std::str::FromStr;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, Query, Request};
use axum::handler::Handler;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::limits::API_PAGE_MAX;

/// A GET route that takes these query keys and no others.
pub(super) fn read<H, T, S>(keys: &'static [&'static str], handler: H) -> MethodRouter<S>
where
    H: Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    get(handler).layer(from_fn(move |request: Request, next: Next| check_keys(keys, request, next)))
}

/// A POST route, which takes no query.
pub(super) fn submit<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    operate(&[], handler)
}

/// A POST route that takes these query keys and no others.
pub(super) fn operate<H, T, S>(keys: &'static [&'static str], handler: H) -> MethodRouter<S>
where
    H: Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    post(handler).layer(from_fn(move |request: Request, next: Next| check_keys(keys, request, next)))
}

/// A DELETE route, which takes no query.
pub(super) fn remove<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    delete(handler).layer(from_fn(|request: Request, next: Next| check_keys(&[], request, next)))
}

async fn check_keys(keys: &'static [&'static str], request: Request, next: Next) -> Response {
    match parse_query(request.uri(), keys) {
        Ok(_) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn parse_query(uri: &axum::http::Uri, keys: &[&str]) -> Result<Vec<(String, String)>, ApiError> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|error| ApiError::bad_request("invalid_query", error.body_text()))?;
    for (place, (key, _)) in pairs.iter().enumerate() {
        if !keys.contains(&key.as_str()) {
            let known = if keys.is_empty() {
                "it takes none".into()
            } else {
                format!("it takes {}", keys.join(", "))
            };
            return Err(
                ApiError::bad_request("unknown_query_key", format!("unknown query key {key:?}")).hint(known)
            );
        }
        if pairs[..place].iter().any(|(earlier, _)| earlier == key) {
            return Err(ApiError::bad_request("invalid_query", format!("query key {key:?} comes twice")));
        }
    }
    Ok(pairs)
}

/// The query, whose keys were checked by [`read`] or [`operate`].
pub(super) struct Args(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Args {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|error| ApiError::bad_request("invalid_query", error.body_text()))?;
        Ok(Self(pairs))
    }
}

impl Args {
    /// The value of a key.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == key).map(|(_, value)| value.as_str())
    }

    /// The value of a key that is a number.
    pub(super) fn number(&self, key: &str) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.text(key) else { return Ok(None) };
        let refused =
            || ApiError::bad_request(&format!("invalid_{key}"), format!("{key}={text:?} is no whole number"));
        number(text).map(Some).ok_or_else(refused)
    }

    /// How many items a list may have: 1 to [`API_PAGE_MAX`], which is also the default.
    pub(super) fn limit(&self) -> Result<u64, ApiError> {
        let limit = self.number("limit")?.unwrap_or(API_PAGE_MAX);
        if limit == 0 || limit > API_PAGE_MAX {
            let message = format!("limit={limit} where 1 to {API_PAGE_MAX} are possible");
            return Err(ApiError::bad_request("invalid_limit", message));
        }
        Ok(limit)
    }
}

/// The last part of the path.
pub(super) struct Segment(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let refused = |error: PathRejection| ApiError::bad_request("invalid_path", error.body_text());
        Path::<String>::from_request_parts(parts, state).await.map(|Path(text)| Self(text)).map_err(refused)
    }
}

impl Segment {
    /// An id.
    pub(super) fn id<T: FromStr>(&self) -> Result<T, ApiError> {
        let message = format!("{:?} is not an id of 64 lower-case hex digits", self.0);
        self.0.parse().map_err(|_| ApiError::bad_request("invalid_id", message))
    }

    /// A height.
    pub(super) fn height(&self) -> Result<u64, ApiError> {
        let message = || format!("{:?} is no height: a whole number is needed", self.0);
        number(&self.0).ok_or_else(|| ApiError::bad_request("invalid_height", message()))
    }
}

/// Digits only: no sign, no space.
fn number(text: &str) -> Option<u64> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits.then(|| text.parse().ok()).flatten()
}

/// The body of a POST, as its sender says it is to be read.
pub(super) enum Payload {
    /// `application/octet-stream`.
    Raw(Vec<u8>),
    /// `application/json`.
    Json(Vec<u8>),
}

impl Payload {
    /// Reads a body of at most `max` bytes. A content type is insisted on: pages of other sites
    /// cannot send these two without asking first, which nobody answers.
    pub(super) async fn read(request: Request, max: usize) -> Result<Self, ApiError> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let kind = kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        let is_json = match kind.as_str() {
            "application/octet-stream" => false,
            "application/json" => true,
            _ => {
                let message = format!("content type {kind:?}");
                let refused =
                    ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message);
                return Err(refused.hint("raw bytes as application/octet-stream, or hex in application/json"));
            }
        };
        let claimed = request.headers().get(CONTENT_LENGTH).and_then(|value| number(value.to_str().ok()?));
        if claimed.is_some_and(|claimed| claimed > max as u64) {
            return Err(too_large(max));
        }
        let bytes = collect(request.into_body(), max).await?;
        Ok(if is_json { Self::Json(bytes) } else { Self::Raw(bytes) })
    }
}

async fn collect(mut body: Body, max: usize) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame =
            frame.map_err(|error| ApiError::bad_request("incomplete_body", format!("the body: {error}")))?;
        let data: Bytes = frame.into_data().unwrap_or_default();
        if bytes.len() + data.len() > max {
            return Err(too_large(max));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

fn too_large(max: usize) -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!("at most {max} bytes are taken here"),
    )
}

/// Reads JSON of exactly this form.
pub(super) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| ApiError::bad_request("invalid_json", error.to_string()))
}

/// Says under which tag an answer stands, or only that the sender has it already.
pub(super) struct Tag(String);

impl Tag {
    /// A tag of text that changes whenever the answer does.
    pub(super) fn new(content: impl std::fmt::Display) -> Self {
        Self(format!("\"{content}\""))
    }

    /// Whether the request says that its sender has this one (RFC 9110 section 13.1.2).
    pub(super) fn is_known(&self, headers: &HeaderMap) -> bool {
        let named = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        named
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == self.0)
    }

    /// The answer that the sender has.
    pub(super) fn not_modified(&self) -> Response {
        self.mark(StatusCode::NOT_MODIFIED.into_response())
    }

    /// Puts the tag on an answer.
    pub(super) fn mark(&self, mut response: Response) -> Response {
        if let Ok(value) = HeaderValue::from_str(&self.0) {
            response.headers_mut().insert(ETAG, value);
        }
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }
}

/// Bytes as they are.
pub(super) fn octets(bytes: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, "application/octet-stream")], bytes).into_response()
}
