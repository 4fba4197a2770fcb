//! A real node as a process: started, asked over HTTP, killed, started again. Knows the program's
//! command line and API as a user does, and nothing of its inside.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A node is ready, or an answer is there, long before; only a hang takes so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at something that another process is about to do.
const LOOK: Duration = Duration::from_millis(2);

/// Looks again and again until there is what is looked for; the others get on meanwhile.
///
/// # Panics
/// It does not come, which is said by `what`.
pub fn wait_until<T>(what: impl Fn() -> String, mut look: impl FnMut() -> Option<T>) -> T {
    let asked = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(asked.elapsed() < PATIENCE, "it does not come: {}", what());
        std::thread::sleep(5 * LOOK);
    }
}

/// The node's program.
#[must_use]
pub fn node_program() -> PathBuf {
    program("steelyard-node")
}

/// A program of this workspace, which cargo has put beside this test's own.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("this program has a path");
    let folder = own.ancestors().skip(1).find(|folder| !folder.ends_with("deps"));
    let program = folder.expect("programs run from target/<profile>, tests from its deps").join(name);
    assert!(
        program.exists(),
        "{} is missing: run `cargo test --workspace`, which builds it",
        program.display()
    );
    program
}

/// A command of the node's program, away from the settings of whoever runs the test.
#[must_use]
pub fn node_command(args: &[&str]) -> Command {
    let mut command = Command::new(node_program());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("STEELYARD_"))
    {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs a command of the node's program to its end.
#[must_use]
pub fn run_node(args: &[&str]) -> Output {
    node_command(args).output().expect("the program starts")
}

/// How a node is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Subcommand and flags but for folder, addresses and ready file.
    pub args: Vec<String>,
    /// The node's folder.
    pub data_dir: PathBuf,
    /// Where nodes and wallets connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Environment.
    pub env: Vec<(String, String)>,
}

/// Any free port of this machine.
const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

impl Launch {
    /// `dev` in a folder, with further flags.
    #[must_use]
    pub fn dev(data_dir: &Path, flags: &[&str]) -> Self {
        let args = std::iter::once("dev").chain(flags.iter().copied()).map(str::to_owned).collect();
        Self { args, data_dir: data_dir.to_owned(), listen: ANYWHERE, env: Vec::new() }
    }

    /// `run` on a network file, with further flags.
    #[must_use]
    pub fn run(network: &Path, data_dir: &Path, flags: &[&str]) -> Self {
        let network = network.to_str().expect("a plain path");
        let args = ["run", "--network", network].iter().chain(flags).map(|arg| (*arg).to_owned()).collect();
        Self { args, data_dir: data_dir.to_owned(), listen: ANYWHERE, env: Vec::new() }
    }

    /// With an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With further flags.
    #[must_use]
    pub fn flags(mut self, flags: &[&str]) -> Self {
        self.args.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    /// Taking connections here, also after a restart.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Staying connected to an address.
    #[must_use]
    pub fn connect(self, address: SocketAddr) -> Self {
        self.flags(&["--connect", &address.to_string()])
    }

    /// Mining to an address.
    #[must_use]
    pub fn mine(self, address: &str) -> Self {
        self.flags(&["--mine", address])
    }

    /// Starts it and waits until it says that it is ready.
    #[must_use]
    pub fn start(&self) -> Node {
        self.try_start().unwrap_or_else(|ended| panic!("the node ended before it was ready: {ended}"))
    }

    /// Starts it and kills it after so long, ready or not.
    pub fn start_and_kill_after(&self, alive: Duration) {
        let mut child = node_command(&self.args.iter().map(String::as_str).collect::<Vec<_>>())
            .args(["--data-dir", self.data_dir.to_str().expect("a plain path")])
            .args(["--api", "127.0.0.1:0", "--listen", &self.listen.to_string()])
            .envs(self.env.iter().cloned())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        std::thread::sleep(alive);
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Starts it; gives what it printed if it ends before it is ready.
    ///
    /// # Errors
    /// Exit status and output.
    pub fn try_start(&self) -> Result<Node, String> {
        let ready_file = self.data_dir.with_extension("ready.json");
        let _ = std::fs::remove_file(&ready_file);
        let log_file = self.data_dir.with_extension("log");
        let log = || std::fs::File::create(&log_file).expect("the folder can be written");
        let mut command = node_command(&self.args.iter().map(String::as_str).collect::<Vec<_>>());
        command
            .args(["--data-dir", self.data_dir.to_str().expect("a plain path")])
            .args(["--api", "127.0.0.1:0", "--listen", &self.listen.to_string()])
            .args(["--ready-file", ready_file.to_str().expect("a plain path")])
            .envs(self.env.iter().cloned())
            .stdout(Stdio::null())
            .stderr(log());
        let started = Instant::now();
        let mut child = command.spawn().expect("the program starts");
        loop {
            if let Ok(bytes) = std::fs::read(&ready_file) {
                let ready: Value =
                    serde_json::from_slice(&bytes).expect("the ready file is JSON, written whole");
                let api = Api::new(ready["api"].as_str().expect("an address"));
                let p2p = ready["p2p"].as_str().and_then(|text| text.parse().ok()).expect("an address");
                return Ok(Node { child, ready, api, p2p, ready_in: started.elapsed() });
            }
            if let Some(status) = child.try_wait().expect("the child can be asked") {
                return Err(format!("{status}: {}", std::fs::read_to_string(&log_file).unwrap_or_default()));
            }
            assert!(started.elapsed() < PATIENCE, "the node is not ready");
            std::thread::sleep(LOOK);
        }
    }
}

/// A node that runs; killed when dropped.
#[derive(Debug)]
pub struct Node {
    child: Child,
    /// What its ready file says.
    pub ready: Value,
    /// Its API.
    pub api: Api,
    /// Where nodes and wallets connect.
    pub p2p: SocketAddr,
    /// From the start of the process until its ready file was there.
    pub ready_in: Duration,
}

impl Node {
    /// SIGKILL, and wait for its end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and its exit code with the time it took.
    pub fn terminate(&mut self) -> (Option<i32>, Duration) {
        let asked = Instant::now();
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("there is a kill program");
        assert!(sent.success());
        (self.wait(), asked.elapsed())
    }

    /// Waits for its end and gives its exit code; `None` for a signal.
    pub fn wait(&mut self) -> Option<i32> {
        let asked = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the child can be asked") {
                return status.code();
            }
            assert!(asked.elapsed() < PATIENCE, "the node does not end");
            std::thread::sleep(LOOK);
        }
    }

    /// Has it stay connected to an address, as its operator; it is durable when this returns.
    #[must_use]
    pub fn add_peer(&self, address: SocketAddr) -> Answer {
        self.api.post_as(&self.token(), "/peers", &serde_json::json!({ "address": address }))
    }

    /// Has it hang up on an address and forget it, as its operator.
    #[must_use]
    pub fn remove_peer(&self, address: SocketAddr) -> Answer {
        self.api.delete_as(&self.token(), &format!("/peers/{address}"))
    }

    /// What its operator proves to be one with.
    ///
    /// # Panics
    /// Its folder is gone.
    #[must_use]
    pub fn token(&self) -> String {
        let file = self.ready["token_file"].as_str().expect("a path");
        std::fs::read_to_string(file).expect("the token file is there").trim().to_owned()
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("the child can be asked").is_none()
    }

    /// The process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A node's HTTP API, by its address.
#[derive(Clone, Debug)]
pub struct Api {
    base: String,
    agent: ureq::Agent,
}

/// An answer: status and JSON (or text as a JSON string).
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub json: Value,
}

impl Answer {
    /// `error.code` of a refusal.
    #[must_use]
    pub fn code(&self) -> &str {
        self.json["error"]["code"].as_str().unwrap_or("")
    }
}

impl Api {
    /// The API at `address`.
    #[must_use]
    pub fn new(address: &str) -> Self {
        let config =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
        Self { base: format!("http://{address}"), agent: config.into() }
    }

    /// GET of a path below `/api/v1`; `None` when nobody answers.
    #[must_use]
    pub fn try_get(&self, path: &str) -> Option<Answer> {
        answer(self.agent.get(format!("{}/api/v1{path}", self.base)).call())
    }

    /// GET of a path below `/api/v1`.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        self.try_get(path).unwrap_or_else(|| panic!("no answer to {path}"))
    }

    /// GET of a path of the server.
    #[must_use]
    pub fn get_root(&self, path: &str) -> Answer {
        answer(self.agent.get(format!("{}{path}", self.base)).call())
            .unwrap_or_else(|| panic!("no answer to {path}"))
    }

    /// POST of a transaction's bytes; `None` when nobody answers.
    #[must_use]
    pub fn try_submit(&self, tx: &[u8]) -> Option<Answer> {
        let request = self.agent.post(format!("{}/api/v1/tx", self.base));
        answer(request.header("content-type", "application/octet-stream").send(tx))
    }

    /// POST of a transaction's bytes.
    #[must_use]
    pub fn submit(&self, tx: &[u8]) -> Answer {
        self.try_submit(tx).expect("the node answers")
    }

    /// POST of nothing; `None` when nobody answers.
    #[must_use]
    pub fn try_post_empty(&self, path: &str) -> Option<Answer> {
        answer(self.agent.post(format!("{}/api/v1{path}", self.base)).send_empty())
    }

    /// POST of JSON with the operator's token.
    #[must_use]
    pub fn post_as(&self, token: &str, path: &str, body: &Value) -> Answer {
        self.try_post_as(token, path, body).unwrap_or_else(|| panic!("no answer to {path}"))
    }

    /// POST of JSON with the operator's token; `None` when nobody answers.
    #[must_use]
    pub fn try_post_as(&self, token: &str, path: &str, body: &Value) -> Option<Answer> {
        let request = self.agent.post(format!("{}/api/v1{path}", self.base));
        answer(request.header("authorization", format!("Bearer {token}")).send_json(body))
    }

    /// DELETE with the operator's token.
    #[must_use]
    pub fn delete_as(&self, token: &str, path: &str) -> Answer {
        let request = self.agent.delete(format!("{}/api/v1{path}", self.base));
        answer(request.header("authorization", format!("Bearer {token}")).call())
            .unwrap_or_else(|| panic!("no answer to {path}"))
    }

    /// POST of many transactions at once; `None` when nobody answers.
    #[must_use]
    pub fn try_post_batch(&self, txs: &[Vec<u8>]) -> Option<Answer> {
        let txs: Vec<String> = txs.iter().map(hex::encode).collect();
        let request = self.agent.post(format!("{}/api/v1/txs", self.base));
        answer(request.send_json(serde_json::json!({ "txs": txs })))
    }

    /// Asks again and again until the answer is as wanted.
    pub fn wait_for(&self, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let asked = Instant::now();
        loop {
            let answer = self.get(path);
            if wanted(&answer) {
                return answer;
            }
            assert!(asked.elapsed() < PATIENCE, "{path} still answers {answer:?}");
            std::thread::sleep(LOOK);
        }
    }
}

fn answer(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Option<Answer> {
    let mut response = response.ok()?;
    let status = response.status().as_u16();
    let text = response.body_mut().read_to_string().ok()?;
    let json = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Some(Answer { status, json })
}
