//! What stands before the routes.

use hyper::body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// A request with headers of the test's choice.
async fn raw(rig: &Rig, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = HttpRequest::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    ask(rig.socket(), request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()).await
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn paths_methods_and_query_keys_that_nobody_knows_are_refused() {
    let rig = Rig::new(0);
    let cases = [
        ("GET", "/", "unknown_path", 404),
        ("GET", "/api/v1", "unknown_path", 404),
        ("GET", "/api/v1/wallet", "unknown_path", 404),
        ("GET", "/api/v1/wallet/a/b/c", "unknown_path", 404),
        ("GET", "/api/v2/status", "unknown_path", 404),
        ("POST", "/api/v1/status", "wrong_method", 405),
        ("DELETE", "/api/v1/wallets", "wrong_method", 405),
        ("GET", "/api/v1/stop", "wrong_method", 405),
        ("PUT", "/api/v1/wallet/a/tx/b", "wrong_method", 405),
        ("GET", "/api/v1/status?a=1", "unknown_query_key", 400),
        ("GET", "/api/v1/wallet/a/balance?settle=true&settle=true", "invalid_query", 400),
        ("GET", "/api/v1/wallet/a/balance?settle=yes", "invalid_settle", 400),
        ("GET", "/api/v1/wallet/a/txs?limit=0", "invalid_limit", 400),
        ("GET", "/api/v1/wallet/a/txs?limit=101", "invalid_limit", 400),
        ("GET", "/api/v1/wallet/a/txs?before=-1", "invalid_before", 400),
        ("GET", "/api/v1/wallet/a/tx/b?timeout_ms=86400001", "invalid_timeout_ms", 400),
        ("DELETE", "/api/v1/wallet/a/tx/b?confirmations=1", "unknown_query_key", 400),
        ("GET", "/api/v1/wallet/A/txs", "invalid_wallet_name", 400),
        ("GET", "/api/v1/wallet/%2e%2e/balance", "invalid_wallet_name", 400),
    ];
    for (method, path, code, status) in cases {
        let answer = raw(&rig, method, path, &[], "").await;
        assert_eq!(answer.refusal(), (code, 2, status), "{method} {path}");
    }
    assert_eq!(raw(&rig, "POST", "/api/v1/stop?now=1", &[], "").await.refusal().0, "unknown_query_key");
    assert!(!rig.stop.is_cancelled());
}

#[tokio::test]
async fn pages_of_a_browser_are_refused_whatever_they_ask() {
    let rig = Rig::new(0);
    for (method, path) in [("GET", "/api/v1/status"), ("POST", "/api/v1/stop"), ("GET", "/nowhere")] {
        for origin in ["http://localhost", "null", ""] {
            let answer = raw(&rig, method, path, &[("origin", origin)], "").await;
            assert_eq!(answer.refusal(), ("origin_not_allowed", 4, 403), "{method} {path}");
        }
    }
    assert!(!rig.stop.is_cancelled());
}

#[tokio::test]
async fn bodies_are_json_bounded_and_of_one_form() {
    let rig = Rig::new(0);
    let path = "/api/v1/nodes";
    let body = r#"{"addresses":[]}"#;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
        let answer = raw(&rig, "POST", path, &[("content-type", kind)], body).await;
        assert_eq!(answer.refusal(), ("unsupported_media_type", 2, 415), "{kind}");
    }
    assert_eq!(raw(&rig, "POST", path, &[], body).await.refusal().0, "unsupported_media_type");
    for wrong in ["", "{", "[]", r#"{"addresses":[],"more":1}"#, r#"{"addresses":["localhost:1"]}"#] {
        let answer = raw(&rig, "POST", path, &[JSON], wrong).await;
        assert_eq!(answer.refusal(), ("invalid_json", 2, 400), "{wrong}");
    }
    let at_most = format!("{body}{}", " ".repeat(crate::limits::RPC_BODY_BYTES_MAX - body.len()));
    assert_eq!(raw(&rig, "POST", path, &[JSON], &at_most).await.status, StatusCode::OK);
    let answer = raw(&rig, "POST", path, &[JSON], &format!("{at_most} ")).await;
    assert_eq!(answer.refusal(), ("body_too_large", 2, 413));
    let kind = ("content-type", "Application/JSON; charset=utf-8");
    assert_eq!(raw(&rig, "POST", path, &[kind], body).await.status, StatusCode::OK);
    let answer = raw(&rig, "POST", "/api/v1/stop", &[], "now").await;
    assert_eq!(answer.refusal(), ("unexpected_body", 2, 400));
    assert!(!rig.stop.is_cancelled());
}

#[tokio::test]
async fn a_body_whose_length_nobody_gave_is_bounded_too() {
    let rig = Rig::new(0);
    let piece = || Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from(vec![b' '; 1024])));
    let pieces: Vec<_> = std::iter::repeat_with(piece).take(65).collect();
    let body = http_body_util::StreamBody::new(futures_util::stream::iter(pieces));
    let request = HttpRequest::post("/api/v1/nodes").header("host", "localhost").header(JSON.0, JSON.1);
    let stream = UnixStream::connect(rig.socket()).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(request.body(body).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_stop_is_answered_and_passed_on() {
    let rig = Rig::new(0);
    assert_eq!(rig.ask(Method::POST, "/stop", None).await.ok(), json!({"done": true}));
    assert!(rig.stop.is_cancelled());
}

#[tokio::test]
async fn a_shutdown_ends_the_server_with_requests_in_progress_and_connections_open() {
    let rig = Rig::new(1);
    rig.import_dev("dev").await;
    let server = rig.serve_at("other", own_uid().unwrap(), rig.state());
    let waits = async || {
        let mut stream = UnixStream::connect(rig.dir.path().join("other")).await.unwrap();
        let text = "GET /api/v1/wallet/dev/balance?settle=true HTTP/1.1\r\nhost: localhost\r\n\r\n";
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    };
    let (mut waiting, mut resting) =
        (waits().await, UnixStream::connect(rig.dir.path().join("other")).await.unwrap());
    rig.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), server).await.unwrap().unwrap().unwrap();
    for stream in [&mut waiting, &mut resting] {
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert_eq!(answer, b"");
    }
}
