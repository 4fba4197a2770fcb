//! Who is let in, what every answer carries, how much at once, and how it ends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::api::serve;
use crate::limits::API_REQUESTS_MAX;

fn with(mut request: Request<Body>, headers: &[(&'static str, &str)]) -> Request<Body> {
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn only_this_machines_own_names_are_answered() {
    let stage = Stage::new();
    for host in ["127.0.0.1:9334", "[::1]:9334", "localhost"] {
        assert_eq!(stage.ask(with(get("/livez"), &[("host", host)])).await.status, StatusCode::OK, "{host}");
    }
    for host in ["rebound.example", "rebound.example:9334", "10.1.1.1", ""] {
        for path in ["/livez", "/api/v1/status", "/nothing"] {
            let answer = stage.ask(with(get(path), &[("host", host)])).await;
            assert_eq!(answer.refusal(), (421, "host_not_allowed".into()), "{host} {path}");
        }
    }
    let mut two = get("/livez");
    two.headers_mut().append("host", "localhost".parse().unwrap());
    let none = Request::get("/livez").body(Body::empty()).unwrap();
    let absolute = get("http://rebound.example/livez");
    for request in [two, none, absolute] {
        assert_eq!(stage.ask(request).await.status, StatusCode::MISDIRECTED_REQUEST);
    }
}

#[tokio::test]
async fn pages_of_other_sites_submit_nothing() {
    let stage = Stage::new();
    let tx = || post("/api/v1/tx", "application/octet-stream", pay(0, 1).to_bytes());
    for origin in ["http://evil.example", "null", "http://localhost.evil.example"] {
        let answer = stage.ask(with(tx(), &[("origin", origin)])).await;
        assert_eq!(answer.refusal(), (403, "origin_not_allowed".into()), "{origin}");
    }
    let mut untyped = tx();
    untyped.headers_mut().remove("content-type");
    assert_eq!(stage.ask(untyped).await.refusal(), (415, "unsupported_media_type".into()));
    let own = stage.ask(with(tx(), &[("origin", "http://localhost:9334")])).await;
    assert_eq!(own.status, StatusCode::OK);
    assert!(!own.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn a_public_address_needs_the_token_for_all_but_reads() {
    let stage = Stage::bound_to("0.0.0.0:9334");
    assert_eq!(stage.get("/status").await.status, StatusCode::OK);
    let tx = || post("/api/v1/tx", "application/octet-stream", pay(0, 1).to_bytes());
    for headers in [&[][..], &[("authorization", "Bearer x")], &[("authorization", "Basic 0123456789abcdef")]]
    {
        let answer = stage.ask(with(tx(), headers)).await;
        assert_eq!(answer.refusal(), (401, "not_authorised".into()));
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    let allowed = stage.ask(with(tx(), &[("authorization", &format!("Bearer {TOKEN}"))])).await;
    assert_eq!(allowed.status, StatusCode::OK);
}

#[tokio::test]
async fn every_answer_carries_the_policy() {
    let stage = Stage::new();
    let evil = with(get("/livez"), &[("host", "evil.example")]);
    for request in [get("/api/v1/status"), get("/nothing"), get("/api/v1/nothing"), get("/readyz"), evil] {
        let answer = stage.ask(request).await;
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["referrer-policy"], "no-referrer");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert!(answer.headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    }
}

#[tokio::test]
async fn other_methods_are_refused_in_json() {
    let stage = Stage::new();
    for (method, path) in [("POST", "/api/v1/status"), ("GET", "/api/v1/tx"), ("DELETE", "/livez")] {
        let request = Request::builder().method(method).uri(path).header("host", "localhost");
        let answer = stage.ask(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.refusal(), (405, "method_not_allowed".into()), "{method} {path}");
        assert!(answer.headers.contains_key("allow"), "{method} {path}");
    }
    let head = Request::head("/api/v1/status").header("host", "localhost").body(Body::empty()).unwrap();
    let answer = stage.ask(head).await;
    assert_eq!((answer.status, answer.bytes.len()), (StatusCode::OK, 0));
}

/// The API on a socket of its own, until dropped.
struct Served {
    address: SocketAddr,
    shutdown: CancellationToken,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Served {
    async fn new(stage: &Stage) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
        let server = tokio::spawn(serve(listener, stage.router.clone(), shutdown.clone()));
        Self { address, shutdown, server }
    }

    /// A connection on which this much has been said.
    fn say(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    }

    /// The status that a GET is answered with.
    fn get(&self, path: &str) -> u16 {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        self.say(&request).read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

/// A request whose body never comes.
const STUCK: &str = "POST /api/v1/tx HTTP/1.1\r\nHost: localhost\r\n\
    Content-Type: application/octet-stream\r\nContent-Length: 9\r\n\r\n1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_requests_than_the_bound_are_told_to_come_back() {
    let stage = Stage::new();
    let served = Served::new(&stage).await;
    let mut stuck: Vec<TcpStream> = (0..API_REQUESTS_MAX).map(|_| served.say(STUCK)).collect();
    // The question takes a place too, for a moment, and one that is stuck may be refused for it.
    while served.get("/api/v1/status") != 503 {
        stuck.push(served.say(STUCK));
    }
    assert_eq!(served.get("/livez"), 200, "health is told even then");
    drop(stuck);
    while served.get("/api/v1/status") != 200 {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_soon_whatever_clients_hold_open() {
    let stage = Stage::new();
    let served = Served::new(&stage).await;
    let (silent, half) = (served.say(""), served.say(STUCK));
    let mut idle = served.say("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");

    served.shutdown.cancel();

    // The bound itself is asserted beside its constants; here a busy machine may take longer.
    let ended = tokio::time::timeout(Duration::from_secs(5), served.server).await;
    assert!(ended.expect("it ends in time").unwrap().is_ok());
    // Nothing of the node is held by a client that stays: all connections are closed.
    for mut stream in [silent, half, idle] {
        let closed = stream.read_to_end(&mut Vec::new());
        assert!(!closed.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "it stays open");
    }
}
