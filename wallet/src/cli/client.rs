//! Asks the daemon: HTTP/1.1 over its Unix socket, one connection for each request. Must not know
//! what is asked, nor how a daemon is started.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use steelyard_runtime::exit::CliError;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use zeroize::Zeroizing;

use super::failure::Failure;
use crate::limits::RPC_REQUEST_MS;
use crate::rpc::types::{ErrorAnswer, ErrorBody};

/// Longest wait for a whole answer: the daemon's own limit, and what it waits for nodes.
const ANSWER_WITHIN: Duration = Duration::from_millis(RPC_REQUEST_MS + 15_000);
/// Bytes of the longest answer that is read: a page of sends with the longest memos is far shorter.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes that a request with a secret takes at most, so that its buffer never moves and leaves a
/// copy behind.
const REQUEST_BYTES: usize = 8 * 1024;
/// What every path begins with.
const BASE: &str = "/api/v1";

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody took the connection: nothing was asked.
    #[error("no daemon answers on {}: {source}", socket.display())]
    NotReached {
        /// Where it should be.
        socket: PathBuf,
        /// The machine's answer.
        source: io::Error,
    },
    /// Whoever listens there is another user: nothing was asked, so no passphrase went there.
    #[error("the socket {} is served by another user ({uid})", socket.display())]
    OtherUser {
        /// Where it should be.
        socket: PathBuf,
        /// Who listens.
        uid: u32,
    },
    /// The connection broke: the daemon may have done what was asked.
    #[error("the daemon went away before it answered: {0}")]
    Broken(String),
    /// No answer in time: the daemon may have done what was asked.
    #[error("the daemon has not answered for {} s", .0.as_secs())]
    Silent(Duration),
    /// An answer that no daemon of this version gives: it may have done what was asked.
    #[error("the daemon's answer cannot be read: {0}")]
    Strange(String),
    /// The daemon says no.
    #[error("{}", .0.message)]
    Refused(Box<ErrorBody>),
}

impl CallError {
    /// Whether what was asked may have been done, though nobody says so.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::Silent(_) | Self::Strange(_))
    }

    /// Whether there was nobody to ask.
    pub fn is_nobody(&self) -> bool {
        matches!(self, Self::NotReached { .. })
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let message = error.to_string();
        let again = "steelyard-wallet status asks how it is, and starts it where none runs";
        match error {
            CallError::Refused(body) => (*body).into(),
            CallError::OtherUser { .. } => CliError::not_authorised("socket_of_another_user", message)
                .with_hint("remove daemon.json from the data folder; a new daemon makes a socket of its own")
                .into(),
            CallError::Strange(_) => CliError::other("daemon_answer", message)
                .with_hint(
                    "is it another version? steelyard-wallet stop ends it, the next command starts this one",
                )
                .into(),
            CallError::NotReached { .. } | CallError::Broken(_) | CallError::Silent(_) => {
                CliError::unreachable("daemon_unreachable", message).with_hint(again).into()
            }
        }
    }
}

/// A way to the daemon.
pub struct Client {
    socket: PathBuf,
    /// The only user whose daemon is talked to.
    owner: u32,
    runtime: Runtime,
    answer_within: Duration,
}

impl Client {
    /// A way to the daemon that listens on `socket`, and that runs as the owner of `note`, the file
    /// that names the socket. Asks nothing yet.
    ///
    /// # Errors
    /// Those of the machine.
    pub fn new(socket: &Path, note: &Path) -> io::Result<Self> {
        let owner = fs::metadata(note)?.uid();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { socket: socket.to_owned(), owner, runtime, answer_within: ANSWER_WITHIN })
    }

    /// Whether anybody answers. A process that was killed takes connections until it is gone, and
    /// answers none: that is nobody.
    ///
    /// # Errors
    /// As any request.
    pub fn answers(&self) -> Result<bool, CallError> {
        match self.get::<IgnoredAny>("/wallets") {
            Ok(IgnoredAny) => Ok(true),
            Err(CallError::NotReached { .. } | CallError::Broken(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.call(Method::GET, path, Bytes::new())
    }

    /// Asks for a change. The body is erased once it is sent.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, CallError> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(REQUEST_BYTES));
        serde_json::to_writer(&mut *bytes, body).map_err(|error| CallError::Strange(error.to_string()))?;
        self.call(Method::POST, path, Bytes::from_owner(bytes))
    }

    /// Asks for a change that needs no more words.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn post_nothing<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.call(Method::POST, path, Bytes::new())
    }

    /// Asks for an end of something.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.call(Method::DELETE, path, Bytes::new())
    }

    fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Result<T, CallError> {
        let asked = async {
            let stream = connect(&self.socket, self.owner).await?;
            let exchange = exchange(stream, request(method, path, body)?);
            let answered = tokio::time::timeout(self.answer_within, exchange).await;
            answered.map_err(|_| CallError::Silent(self.answer_within))?
        };
        let (status, bytes) = self.runtime.block_on(asked)?;
        read(status, &bytes)
    }
}

async fn connect(socket: &Path, owner: u32) -> Result<UnixStream, CallError> {
    let not_reached = |source| CallError::NotReached { socket: socket.to_owned(), source };
    let stream = UnixStream::connect(socket).await.map_err(not_reached)?;
    let uid = stream.peer_cred().map_err(not_reached)?.uid();
    if uid == owner { Ok(stream) } else { Err(CallError::OtherUser { socket: socket.to_owned(), uid }) }
}

fn request(method: Method, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, CallError> {
    let mut request =
        Request::builder().method(method).uri(format!("{BASE}{path}")).header(header::HOST, "localhost");
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    request.body(Full::new(body)).map_err(|error| CallError::Strange(error.to_string()))
}

/// One request and its whole answer. From here on the daemon may have done what is asked.
async fn exchange(
    stream: UnixStream,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Zeroizing<Vec<u8>>), CallError> {
    let broken = |error: hyper::Error| match error.is_parse() {
        true => CallError::Strange(error.to_string()),
        false => CallError::Broken(error.to_string()),
    };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Driven here and not by a task: it ends with this exchange.
    let ask = async {
        let response: Response<_> = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| match error.downcast::<LengthLimitError>() {
            Ok(_) => CallError::Strange(format!("it is longer than {ANSWER_BYTES_MAX} bytes")),
            Err(error) => CallError::Broken(error.to_string()),
        })?;
        Ok((status, Zeroizing::new(body.to_bytes().to_vec())))
    };
    let drive = async {
        // Its failure reaches the request too, which tells it better.
        let _ = connection.await;
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        biased;
        answered = ask => answered,
        never = drive => match never {},
    }
}

fn read<T: DeserializeOwned>(status: StatusCode, bytes: &[u8]) -> Result<T, CallError> {
    if status.is_success() {
        return serde_json::from_slice(bytes).map_err(|error| CallError::Strange(described(&error)));
    }
    match serde_json::from_slice::<ErrorAnswer>(bytes) {
        Ok(answer) => Err(CallError::Refused(Box::new(answer.error))),
        Err(_) => Err(CallError::Strange(format!("status {status} without words"))),
    }
}

/// Where it went wrong, and not what stood there: it may be a secret.
fn described(error: &serde_json::Error) -> String {
    format!("not the JSON that was expected (column {})", error.column())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;
    use std::thread::JoinHandle;

    use steelyard_runtime::exit::ExitCode;

    use crate::rpc::types::{Done, Secret, Unlock};

    /// A server that takes one connection, reads a request and answers with these bytes.
    struct Server {
        dir: tempfile::TempDir,
        thread: JoinHandle<String>,
    }

    impl Server {
        fn start(answer: impl FnOnce(&mut dyn Write) + Send + 'static) -> (Self, Client) {
            let dir = tempfile::tempdir().unwrap();
            let socket = dir.path().join("s");
            let listener = UnixListener::bind(&socket).unwrap();
            let thread = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let asked = read_request(&mut stream);
                answer(&mut stream);
                asked
            });
            let client = Client::new(&socket, dir.path()).unwrap();
            (Self { dir, thread }, client)
        }

        /// What it was asked.
        fn ends(self) -> String {
            let asked = self.thread.join().unwrap();
            drop(self.dir);
            asked
        }
    }

    /// The head, and as much body as it announces.
    fn read_request(stream: &mut impl Read) -> String {
        let (mut text, mut byte) = (String::new(), [0]);
        while !text.ends_with("\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
            text.push(byte[0].into());
        }
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        stream.read_exact(&mut body).unwrap();
        text + &String::from_utf8(body).unwrap()
    }

    fn whole(status: &str, body: &str) -> Vec<u8> {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    fn says(bytes: Vec<u8>) -> (Server, Client) {
        // A client that has heard enough may hang up first.
        Server::start(move |stream| drop(stream.write_all(&bytes)))
    }

    fn code(error: CallError) -> (ExitCode, String) {
        let failure = Failure::from(error);
        (failure.error.exit, failure.error.code)
    }

    #[test]
    fn a_good_answer_is_read_and_the_request_is_what_was_meant() {
        let (server, client) = says(whole("200 OK", "{\"done\":true}"));
        let body = Unlock { passphrase: Secret::new("hunter2".to_owned()), seconds: None };
        let answer: Done = client.post("/wallet/main/unlock", &body).unwrap();
        assert!(answer.done);
        let asked = server.ends();
        assert!(asked.starts_with("POST /api/v1/wallet/main/unlock HTTP/1.1\r\n"), "{asked}");
        assert!(asked.ends_with("\r\n\r\n{\"passphrase\":\"hunter2\",\"seconds\":null}"), "{asked}");
        let (server, client) = says(whole("200 OK", "{\"done\":true}"));
        let _: Done = client.get("/status").unwrap();
        assert!(server.ends().starts_with("GET /api/v1/status HTTP/1.1\r\n"));
    }

    #[test]
    fn a_refusal_carries_its_exit_code_and_hint() {
        let body = "{\"error\":{\"code\":\"insufficient_funds\",\"message\":\"have 1, need 2\",\
                    \"hint\":\"receive first\",\"exit\":6}}";
        let (server, client) = says(whole("422 Unprocessable Entity", body));
        let error = client.get::<Done>("/x").unwrap_err();
        assert!(!error.is_open());
        let failure = Failure::from(error);
        assert_eq!(failure.error.exit, ExitCode::Refused);
        assert_eq!(failure.error.hint.as_deref(), Some("receive first"));
        server.ends();
    }

    #[test]
    fn garbage_is_an_error_that_repeats_none_of_it() {
        for answer in [
            b"hunter2 hunter2\r\n\r\n".to_vec(),
            whole("200 OK", "\"hunter2\""),
            whole("200 OK", "{\"done\":\"hunter2\"}"),
            whole("500 Internal Server Error", "hunter2"),
        ] {
            let (server, client) = says(answer);
            let error = client.get::<Done>("/x").unwrap_err();
            assert!(matches!(error, CallError::Strange(_)), "{error:?}");
            assert!(error.is_open());
            assert!(!error.to_string().contains("hunter2"), "{error}");
            assert_eq!(code(error), (ExitCode::Other, "daemon_answer".to_owned()));
            server.ends();
        }
    }

    #[test]
    fn an_answer_without_end_is_not_read_to_its_end() {
        let (server, client) = Server::start(|stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let chunk = [b' '; 64 * 1024];
            // Until the client hangs up: more than it may keep, and not for ever.
            let most = 1024 * ANSWER_BYTES_MAX / chunk.len();
            let sent = (0..most).take_while(|_| stream.write_all(&chunk).is_ok()).count();
            assert!(sent < most, "the client takes anything");
        });
        let error = client.get::<Done>("/x").unwrap_err();
        assert!(error.to_string().contains("longer than 4194304 bytes"), "{error}");
        drop(client);
        server.ends();
    }

    #[test]
    fn a_connection_that_breaks_leaves_the_outcome_open() {
        let half = whole("200 OK", "{\"done\":true}");
        for answer in [Vec::new(), b"HTTP/1.1 200".to_vec(), half[..half.len() - 1].to_vec()] {
            let (server, client) = says(answer);
            let error = client.get::<Done>("/x").unwrap_err();
            assert!(error.is_open() && matches!(error, CallError::Broken(_)), "{error:?}");
            assert_eq!(code(error), (ExitCode::Unreachable, "daemon_unreachable".to_owned()));
            server.ends();
        }
    }

    #[test]
    fn who_takes_connections_and_answers_none_is_nobody() {
        let (server, client) = says(Vec::new());
        assert!(!client.answers().unwrap());
        server.ends();
        // Nothing listens there any more.
        assert!(!client.answers().unwrap());
        let (server, client) = says(whole("200 OK", "[]"));
        assert!(client.answers().unwrap());
        assert!(server.ends().starts_with("GET /api/v1/wallets "));
        let (server, client) = says(whole("200 OK", "garbage"));
        assert!(client.answers().is_err());
        server.ends();
    }

    #[test]
    fn a_silent_daemon_is_left() {
        let (sender, held) = std::sync::mpsc::channel::<()>();
        let (server, mut client) = Server::start(move |_| {
            // Ends when the other end of the channel is dropped.
            let _ = held.recv();
        });
        client.answer_within = Duration::from_millis(50);
        let error = client.get::<Done>("/x").unwrap_err();
        assert!(error.is_open() && matches!(error, CallError::Silent(_)), "{error:?}");
        drop(sender);
        server.ends();
    }

    #[test]
    fn nobody_there_and_somebody_else_there_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let client = Client::new(&socket, dir.path()).unwrap();
        let error = client.get::<Done>("/x").unwrap_err();
        assert!(error.is_nobody() && !error.is_open(), "{error:?}");
        let listener = UnixListener::bind(&socket).unwrap();
        let other = Client { owner: client.owner + 1, ..client };
        let error = other.get::<Done>("/x").unwrap_err();
        assert!(!error.is_nobody() && !error.is_open());
        assert_eq!(code(error), (ExitCode::NotAuthorised, "socket_of_another_user".to_owned()));
        drop(listener);
        // The file is there, and nobody behind it.
        assert!(other.get::<Done>("/x").unwrap_err().is_nobody());
    }
}
