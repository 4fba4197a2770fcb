//! Peers: what is shown of them, and who may say what about them.

use super::*;
use crate::api::types::{Direction, PeerList, Ready, Status};
use crate::limits::API_BANS_MAX;
use crate::peers::{Ban, PeerInfo};
use crate::sync::SyncStatus;

fn peer(id: u64, is_outbound: bool) -> PeerInfo {
    PeerInfo {
        id,
        address: "127.0.0.1:1111".parse().unwrap(),
        is_outbound,
        is_manual: is_outbound,
        agent: "steelyard-node/0.1.0".to_owned(),
        height: 7,
        since: clock::now_ms() - 1_000,
        ping_ms: is_outbound.then_some(3),
        bytes_in: 10,
        bytes_out: 20,
    }
}

fn banned(number: usize, until: u64, code: &str) -> Ban {
    let bytes = u32::try_from(number).unwrap().to_be_bytes();
    Ban { ip: std::net::Ipv4Addr::from(bytes).into(), until, code: code.to_owned() }
}

#[tokio::test]
async fn peers_are_shown_with_what_was_named_and_who_is_banned() {
    let mut bans: Vec<Ban> = (0..API_BANS_MAX).map(|number| banned(number, 1_000, "bad_root")).collect();
    bans.push(banned(API_BANS_MAX, 0, "operator"));
    let status = PeersStatus {
        peers: vec![peer(1, true), peer(2, false)],
        manual: vec!["127.0.0.1:1111".parse().unwrap(), "[::1]:2".parse().unwrap()],
        known: 5,
        bans,
        sync: SyncStatus::default(),
        news: Vec::new(),
    };
    let stage = Stage::with_peers(status);
    let list: PeerList = stage.get("/peers").await.typed();
    assert_eq!(
        list.peers.iter().map(|peer| peer.direction).collect::<Vec<_>>(),
        [Direction::Outbound, Direction::Inbound]
    );
    assert!(list.peers[0].manual && list.peers[0].connected_ms >= 1_000 && list.peers[0].ping_ms == Some(3));
    assert_eq!((list.manual.len(), list.known), (2, 5));
    // The operator's own are never those left out.
    assert_eq!((list.bans.len(), list.more_bans), (API_BANS_MAX, 1));
    assert_eq!((list.bans[0].code.as_str(), list.bans[0].until), ("operator", None));
    assert_eq!(list.bans[1].until, Some(1_000));
    let json = stage.get("/peers").await.json();
    assert_eq!(
        (&json["peers"][1]["direction"], &json["peers"][1]["ping_ms"]),
        (&"inbound".into(), &Value::Null)
    );
    assert_eq!(stage.get("/status").await.typed::<Status>().peers, 2);
}

#[tokio::test]
async fn only_the_operator_says_who_is_a_peer() {
    let stage = Stage::new();
    let orders = [
        ("POST", "/peers", r#"{"address":"127.0.0.1:1"}"#),
        ("DELETE", "/peers/127.0.0.1:1", ""),
        ("DELETE", "/peers/[::1]:1", ""),
        ("POST", "/bans", r#"{"ip":"10.0.0.7"}"#),
        ("POST", "/bans", r#"{"ip":"10.0.0.7:9"}"#),
        ("DELETE", "/bans/10.0.0.7", ""),
        ("DELETE", "/bans/::7", ""),
    ];
    let order = async |(method, path, body): (&str, &str, &str), token: Option<&str>| {
        let mut request = post(&format!("/api/v1{path}"), "application/json", body.to_owned());
        *request.method_mut() = method.parse().unwrap();
        if let Some(token) = token {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        stage.ask(request).await.refusal()
    };
    for what in orders {
        assert_eq!(order(what, None).await, (401, "not_authorised".into()), "{what:?}");
        assert_eq!(order(what, Some("0123456789abcdee")).await, (401, "not_authorised".into()), "{what:?}");
        // It came to the door of the peers, behind which there is nobody.
        assert_eq!(order(what, Some(TOKEN)).await, (503, "stopping".into()), "{what:?}");
    }
    for (what, code) in [
        (("POST", "/peers", r#"{"address":"localhost:1"}"#), "invalid_address"),
        (("POST", "/peers", r#"{"address":"127.0.0.1"}"#), "invalid_address"),
        (("POST", "/peers", r#"{"address":"127.0.0.1:1","ban":true}"#), "invalid_json"),
        (("POST", "/peers?address=127.0.0.1:1", ""), "unknown_query_key"),
        (("DELETE", "/peers/127.0.0.1", ""), "invalid_address"),
        (("POST", "/bans", r#"{"ip":"example.org"}"#), "invalid_ip"),
        (("DELETE", "/bans/10.0.0", ""), "invalid_ip"),
    ] {
        assert_eq!(order(what, Some(TOKEN)).await, (400, code.to_owned()), "{what:?}");
    }
    let long = format!(r#"{{"address":"{}"}}"#, "1".repeat(2_000));
    assert_eq!(order(("POST", "/peers", &long), Some(TOKEN)).await, (413, "body_too_large".into()));
    assert_eq!(order(("DELETE", "/peers", ""), Some(TOKEN)).await, (405, "method_not_allowed".into()));
    let mut raw = post("/api/v1/bans", "application/octet-stream", "10.0.0.7");
    raw.headers_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    assert_eq!(stage.ask(raw).await.refusal(), (415, "unsupported_media_type".into()));
}

#[tokio::test]
async fn a_node_that_is_far_behind_says_so_and_is_not_ready() {
    let manual = vec!["127.0.0.1:1111".parse().unwrap()];
    let sync = SyncStatus { headers_height: 8, is_catching_up: true, ..SyncStatus::default() };
    let stage = Stage::with_peers(PeersStatus { manual, sync, ..PeersStatus::default() });
    stage.mine().await;
    stage.mine().await;
    let status: Status = stage.get("/status").await.typed();
    assert_eq!((status.syncing, status.sync_progress, status.headers_height), (true, 0.25, 8));
    assert_eq!(status.warnings.iter().map(|warning| warning.code.as_str()).collect::<Vec<_>>(), ["no_peers"]);
    let answer = stage.ask(get("/readyz")).await;
    let ready: Ready = serde_json::from_slice(&answer.bytes).unwrap();
    assert_eq!((answer.status, ready.ready), (StatusCode::SERVICE_UNAVAILABLE, false));
    assert_eq!(ready.reasons[0].code, "syncing");
    assert!(ready.reasons[0].message.contains("block 2 of 8"), "{}", ready.reasons[0].message);

    // What is known of peers is a moment old: the tip may be above their best header by now.
    let sync = SyncStatus { headers_height: 1, ..SyncStatus::default() };
    let stage = Stage::with_peers(PeersStatus { peers: vec![peer(1, true)], sync, ..PeersStatus::default() });
    stage.mine().await;
    stage.mine().await;
    let status: Status = stage.get("/status").await.typed();
    assert_eq!((status.syncing, status.sync_progress, status.headers_height), (false, 1.0, 2));
    assert!(status.warnings.is_empty() && stage.ask(get("/readyz")).await.status == StatusCode::OK);
}
