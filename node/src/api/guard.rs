//! What stands before every route: who may ask, from where, how much at once and for how long.
//! Pages of other sites get nothing: a name that was rebound to this machine is no allowed host,
//! no answer has CORS headers, and what changes anything needs a content type that browsers do not
//! send across sites unasked. Must not know what the routes do.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, ORIGIN, REFERRER_POLICY,
};
use axum::http::header::{HeaderMap, X_CONTENT_TYPE_OPTIONS};
use axum::http::uri::{Authority, Uri};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use steelyard_runtime::{clock, token};

use super::Api;
use super::error::ApiError;
use crate::limits::API_REQUEST_MS;

/// Answers load nothing, frame nothing and are framed by nobody.
const CONTENT_POLICY: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Outermost: one log line at debug, and the headers that every answer has.
pub(super) async fn stamp(request: Request, next: Next) -> Response {
    let started = clock::start();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = harden(next.run(request).await);
    let (status, micros) = (response.status().as_u16(), started.elapsed().as_micros());
    tracing::debug!(%method, path, status, micros, "request");
    response
}

/// An answer with the headers that every one has.
pub(super) fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Refuses whoever may not ask.
pub(super) async fn admit(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    match check(&api, request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

/// So many requests at once, each for so long.
pub(super) async fn bound(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let Ok(_place) = api.requests.try_acquire() else { return ApiError::busy().into_response() };
    match tokio::time::timeout(Duration::from_millis(API_REQUEST_MS), next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::unavailable("timed_out", format!("not done within {API_REQUEST_MS} ms"))
            .hint("what was submitted may still be taken: GET /api/v1/tx/{id} says whether it was")
            .into_response(),
    }
}

fn check(api: &Api, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    check_host(api.bound, uri, headers)?;
    if method == Method::GET || method == Method::HEAD {
        return Ok(());
    }
    check_origin(api.bound, headers)?;
    if api.bound.ip().to_canonical().is_loopback() { Ok(()) } else { check_token(&api.token, headers) }
}

/// The operator's token must be there.
pub(super) fn check_token(wanted: &str, headers: &HeaderMap) -> Result<(), ApiError> {
    if is_authorised(wanted, headers) {
        return Ok(());
    }
    let refused =
        ApiError::new(StatusCode::UNAUTHORIZED, "not_authorised", "this needs the operator's token");
    Err(refused.hint("Authorization: Bearer and the content of the token file in the node's folder"))
}

/// The host that was asked for must be this machine by a name that nobody else can give it.
pub(super) fn check_host(bound: SocketAddr, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    let mut named = headers.get_all(HOST).iter();
    let header = named.next().and_then(|value| value.to_str().ok());
    let is_one = named.next().is_none();
    let hosts = [header, uri.authority().map(Authority::as_str)];
    let is_allowed = is_one && header.is_some() && hosts.iter().flatten().all(|host| is_own(bound, host));
    if is_allowed {
        return Ok(());
    }
    let message = format!("host {:?} is not this node's", header.unwrap_or(""));
    let refused = ApiError::new(StatusCode::MISDIRECTED_REQUEST, "host_not_allowed", message);
    Err(refused.hint(format!("ask for localhost or {}", bound.ip())))
}

/// A page that sends something must come from this machine, too.
fn check_origin(bound: SocketAddr, headers: &HeaderMap) -> Result<(), ApiError> {
    for origin in headers.get_all(ORIGIN) {
        let origin = origin.to_str().unwrap_or("");
        let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        if !host.is_some_and(|host| is_own(bound, host)) {
            let message = format!("pages of {origin:?} may not do this");
            return Err(ApiError::new(StatusCode::FORBIDDEN, "origin_not_allowed", message));
        }
    }
    Ok(())
}

/// Whether a host, with or without a port, is `localhost`, a loopback address or the one listened
/// on. On all addresses: any address, because only names can be rebound.
fn is_own(bound: SocketAddr, host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    let name = authority.host();
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let Ok(ip) = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() else { return false };
    let ip = ip.to_canonical();
    ip.is_loopback() || bound.ip().is_unspecified() || ip == bound.ip().to_canonical()
}

fn is_authorised(wanted: &str, headers: &HeaderMap) -> bool {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.split_once(' '));
    given.is_some_and(|(scheme, given)| {
        scheme.eq_ignore_ascii_case("bearer") && token::same(given.trim(), wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_nobody_else_can_give_are_own() {
        let loopback: SocketAddr = "127.0.0.1:9334".parse().unwrap();
        let lan: SocketAddr = "192.168.1.5:9334".parse().unwrap();
        let all: SocketAddr = "0.0.0.0:9334".parse().unwrap();
        for host in
            ["localhost", "LOCALHOST:1", "127.0.0.1:9334", "127.0.0.9", "[::1]:80", "[::ffff:127.0.0.1]"]
        {
            assert!([loopback, lan, all].into_iter().all(|bound| is_own(bound, host)), "{host}");
        }
        let hostile =
            ["", "evil.example", "localhost.evil.example", "a@localhost", "127.0.0.1.evil.example", "x:y:z"];
        for host in hostile {
            assert!(![loopback, lan, all].into_iter().any(|bound| is_own(bound, host)), "{host}");
        }
        let owns = |host| [loopback, lan, all].map(|bound| is_own(bound, host));
        assert_eq!(owns("192.168.1.5:80"), [false, true, true]);
        assert_eq!(owns("192.168.1.6"), [false, false, true]);
    }
}
