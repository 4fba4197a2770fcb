//! Peers: who is connected, and what the operator may say about them. Must not know how they are
//! found or dropped.

use std::cmp::Reverse;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use steelyard_runtime::clock;

use super::Api;
use super::error::ApiError;
use super::guard;
use super::request::{Payload, Segment, json};
use super::types::{AddBan, AddPeer, Ban, Changed, Direction, Peer, PeerList};
use crate::limits::{API_BANS_MAX, API_COMMAND_BODY_BYTES_MAX};
use crate::peers::{self, PeerInfo, PeersError, PeersStatus};

/// What an address of a peer looks like.
const ADDRESS_HINT: &str =
    "IP:PORT is needed, like 127.0.0.1:9333 or [2001:db8::1]:9333; host names are not taken";

/// `GET /peers`.
pub(super) async fn list(State(api): State<Arc<Api>>) -> Json<PeerList> {
    Json(describe(&api.peers.status(), clock::now_ms()))
}

/// `POST /peers`.
pub(super) async fn add(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    request: Request,
) -> Result<Json<Changed>, ApiError> {
    guard::check_token(&api.token, &headers)?;
    let address = parse_peer(&body::<AddPeer>(request).await?.address)?;
    changed(api.peers.add(address).await)
}

/// `DELETE /peers/{address}`.
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    address: Segment,
) -> Result<Json<Changed>, ApiError> {
    guard::check_token(&api.token, &headers)?;
    changed(api.peers.remove(parse_peer(&address.0)?).await)
}

/// `POST /bans`.
pub(super) async fn ban(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    request: Request,
) -> Result<Json<Changed>, ApiError> {
    guard::check_token(&api.token, &headers)?;
    let ip = parse_ip(&body::<AddBan>(request).await?.ip)?;
    changed(api.peers.ban(ip).await)
}

/// `DELETE /bans/{ip}`.
pub(super) async fn unban(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    ip: Segment,
) -> Result<Json<Changed>, ApiError> {
    guard::check_token(&api.token, &headers)?;
    changed(api.peers.unban(parse_ip(&ip.0)?).await)
}

fn changed(outcome: Result<bool, PeersError>) -> Result<Json<Changed>, ApiError> {
    Ok(Json(Changed { changed: outcome? }))
}

async fn body<T: DeserializeOwned>(request: Request) -> Result<T, ApiError> {
    match Payload::read(request, API_COMMAND_BODY_BYTES_MAX).await? {
        Payload::Json(text) => json(&text),
        Payload::Raw(_) => Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "this is told in application/json",
        )),
    }
}

fn parse_peer(text: &str) -> Result<SocketAddr, ApiError> {
    let refused = || ApiError::bad_request("invalid_address", format!("{text:?} is no address of a peer"));
    text.parse().map_err(|_| refused().hint(ADDRESS_HINT))
}

fn parse_ip(text: &str) -> Result<IpAddr, ApiError> {
    let ip = text.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    let refused = || ApiError::bad_request("invalid_ip", format!("{text:?} is no IP"));
    ip.map_err(|_| refused().hint("an IP is needed, like 10.0.0.7 or 2001:db8::1; host names are not taken"))
}

fn describe(status: &PeersStatus, now: u64) -> PeerList {
    let mut bans: Vec<&peers::Ban> = status.bans.iter().collect();
    bans.sort_by_key(|ban| Reverse(if ban.until == 0 { u64::MAX } else { ban.until }));
    let more_bans = bans.len().saturating_sub(API_BANS_MAX) as u64;
    bans.truncate(API_BANS_MAX);
    let ban = |ban: &peers::Ban| Ban {
        ip: ban.ip,
        until: Some(ban.until).filter(|until| *until > 0),
        code: ban.code.clone(),
    };
    PeerList {
        peers: status.peers.iter().map(|info| peer(info, now)).collect(),
        manual: status.manual.clone(),
        known: status.known as u64,
        bans: bans.into_iter().map(ban).collect(),
        more_bans,
    }
}

fn peer(info: &PeerInfo, now: u64) -> Peer {
    Peer {
        id: info.id,
        address: info.address,
        direction: if info.is_outbound { Direction::Outbound } else { Direction::Inbound },
        manual: info.is_manual,
        agent: info.agent.clone(),
        height: info.height,
        since: info.since,
        connected_ms: now.saturating_sub(info.since),
        ping_ms: info.ping_ms,
        bytes_in: info.bytes_in,
        bytes_out: info.bytes_out,
    }
}
