//! What a request says: its path, its query, its body. Everything malformed has its own code,
//! everything has a bound, and nothing that may be a secret is repeated. Must not know what is
//! asked for.

use std::future::poll_fn;
use std::pin::Pin;

use axum::body::{Body, HttpBody};
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::handler::Handler;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use serde::de::DeserializeOwned;
use steelyard_runtime::exit::ExitCode;
use zeroize::Zeroizing;

use super::error::RpcError;
use crate::intent::WalletName;
use crate::limits::{RPC_BODY_BYTES_MAX, RPC_PAGE_MAX};

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
    post(handler).layer(from_fn(|request: Request, next: Next| check_keys(&[], request, next)))
}

/// GET and POST of one path, neither with a query.
pub(super) fn read_or_submit<G, P, T, U, S>(reads: G, submits: P) -> MethodRouter<S>
where
    G: Handler<T, S>,
    P: Handler<U, S>,
    T: 'static,
    U: 'static,
    S: Clone + Send + Sync + 'static,
{
    read(&[], reads).merge(submit(submits))
}

/// GET with these query keys and DELETE without any, of one path.
pub(super) fn read_or_drop<G, D, T, U, S>(
    keys: &'static [&'static str],
    reads: G,
    drops: D,
) -> MethodRouter<S>
where
    G: Handler<T, S>,
    D: Handler<U, S>,
    T: 'static,
    U: 'static,
    S: Clone + Send + Sync + 'static,
{
    let drops = axum::routing::delete(drops);
    read(keys, reads)
        .merge(drops.layer(from_fn(|request: Request, next: Next| check_keys(&[], request, next))))
}

async fn check_keys(keys: &'static [&'static str], request: Request, next: Next) -> Response {
    match check_query(request.uri(), keys) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn check_query(uri: &Uri, keys: &[&str]) -> Result<(), RpcError> {
    let pairs = pairs(uri)?;
    for (place, (key, _)) in pairs.iter().enumerate() {
        if !keys.contains(&key.as_str()) {
            let known = if keys.is_empty() {
                "it takes none".into()
            } else {
                format!("it takes {}", keys.join(", "))
            };
            return Err(
                RpcError::usage("unknown_query_key", format!("unknown query key {key:?}")).hint(known)
            );
        }
        if pairs[..place].iter().any(|(earlier, _)| earlier == key) {
            return Err(RpcError::usage("invalid_query", format!("query key {key:?} comes twice")));
        }
    }
    Ok(())
}

fn pairs(uri: &Uri) -> Result<Vec<(String, String)>, RpcError> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|error| RpcError::usage("invalid_query", error.body_text()))?;
    Ok(pairs)
}

/// The query, whose keys were checked by the route.
pub(super) struct Args(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Args {
    type Rejection = RpcError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, RpcError> {
        pairs(&parts.uri).map(Self)
    }
}

impl Args {
    /// The value of a key.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == key).map(|(_, value)| value.as_str())
    }

    /// The value of a key that is a number.
    pub(super) fn number(&self, key: &str) -> Result<Option<u64>, RpcError> {
        let Some(text) = self.text(key) else { return Ok(None) };
        let refused =
            || RpcError::usage(&format!("invalid_{key}"), format!("{key}={text:?} is no whole number"));
        number(text).map(Some).ok_or_else(refused)
    }

    /// The value of a key that is `true` or `false`; not there is `false`.
    pub(super) fn flag(&self, key: &str) -> Result<bool, RpcError> {
        match self.text(key) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(text) => {
                let message = format!("{key}={text:?} where true or false is needed");
                Err(RpcError::usage(&format!("invalid_{key}"), message))
            }
        }
    }

    /// How many items a list may have: 1 to [`RPC_PAGE_MAX`], which is also the default.
    pub(super) fn limit(&self) -> Result<usize, RpcError> {
        let limit = self.number("limit")?.map_or(Ok(RPC_PAGE_MAX), usize::try_from);
        match limit {
            Ok(limit) if (1..=RPC_PAGE_MAX).contains(&limit) => Ok(limit),
            _ => {
                let message = format!("limit is not within 1 and {RPC_PAGE_MAX}");
                Err(RpcError::usage("invalid_limit", message))
            }
        }
    }
}

/// Digits only: no sign, no space.
fn number(text: &str) -> Option<u64> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits.then(|| text.parse().ok()).flatten()
}

fn bad_path(error: PathRejection) -> RpcError {
    RpcError::usage("invalid_path", error.body_text())
}

fn wallet_name(text: &str) -> Result<WalletName, RpcError> {
    text.parse()
        .map_err(|error| RpcError::usage("invalid_wallet_name", format!("a wallet's name is {error}")))
}

/// The wallet that the path names.
pub(super) struct Named(pub(super) WalletName);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = RpcError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, RpcError> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(bad_path)?;
        wallet_name(&text).map(Self)
    }
}

/// The wallet that the path names, and the last part of the path.
pub(super) struct NamedTx(pub(super) WalletName, pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for NamedTx {
    type Rejection = RpcError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, RpcError> {
        let Path((name, id)) =
            Path::<(String, String)>::from_request_parts(parts, state).await.map_err(bad_path)?;
        Ok(Self(wallet_name(&name)?, id))
    }
}

/// A JSON body of exactly this form, whose faults are told in full.
pub(super) struct JsonBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = RpcError;

    async fn from_request(request: Request, _: &S) -> Result<Self, RpcError> {
        let body = json_body(request).await?;
        let value = serde_json::from_slice(&body);
        value.map(Self).map_err(|error| RpcError::usage("invalid_json", error.to_string()))
    }
}

/// A JSON body of exactly this form that holds secrets: of its faults only the place is told.
pub(super) struct SecretBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for SecretBody<T> {
    type Rejection = RpcError;

    async fn from_request(request: Request, _: &S) -> Result<Self, RpcError> {
        let body = json_body(request).await?;
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            // The parser's own words repeat what it found.
            let message = format!(
                "the body is not of the form that is needed: line {}, column {}",
                error.line(),
                error.column()
            );
            RpcError::usage("invalid_json", message)
        })
    }
}

/// No body, or an empty object.
pub(super) struct NoBody;

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = RpcError;

    async fn from_request(request: Request, _: &S) -> Result<Self, RpcError> {
        let body = collect(request).await?;
        match body.as_slice() {
            b"" | b"{}" => Ok(Self),
            _ => Err(RpcError::usage("unexpected_body", "this takes no body")),
        }
    }
}

/// A content type is insisted on: pages of other sites cannot send this one without asking first,
/// which nobody answers.
async fn json_body(request: Request) -> Result<Zeroizing<Vec<u8>>, RpcError> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if kind != "application/json" {
        let message = format!("content type {kind:?} where application/json is needed");
        return Err(RpcError::new(ExitCode::Usage, "unsupported_media_type", message));
    }
    collect(request).await
}

async fn collect(request: Request) -> Result<Zeroizing<Vec<u8>>, RpcError> {
    let claimed = claimed_length(request.headers()).unwrap_or(RPC_BODY_BYTES_MAX);
    if claimed > RPC_BODY_BYTES_MAX {
        return Err(too_large());
    }
    let mut body: Body = request.into_body();
    // All the room at once: a vector that grows leaves its shorter self in memory, secrets and all.
    let mut bytes = Zeroizing::new(Vec::with_capacity(claimed));
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame =
            frame.map_err(|error| RpcError::usage("incomplete_body", format!("the body: {error}")))?;
        let data = frame.into_data().unwrap_or_default();
        if bytes.len() + data.len() > RPC_BODY_BYTES_MAX {
            return Err(too_large());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

fn claimed_length(headers: &HeaderMap) -> Option<usize> {
    let text = headers.get(CONTENT_LENGTH)?.to_str().ok()?;
    number(text).and_then(|length| usize::try_from(length).ok())
}

fn too_large() -> RpcError {
    RpcError::usage("body_too_large", format!("at most {RPC_BODY_BYTES_MAX} bytes are taken here"))
}
