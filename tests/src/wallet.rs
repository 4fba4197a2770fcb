//! A real wallet as processes: its daemon started, killed and started again, its commands run as a
//! user runs them, its socket asked over HTTP. Knows the program's command line and answers, and
//! nothing of its inside.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::program;

/// A daemon is ready, or an answer is there, long before; only a hang takes so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at something that another process is about to do.
const LOOK: Duration = Duration::from_millis(2);

/// A wallet's folder and how it is used: every command goes to the `dev` network.
#[derive(Clone, Debug)]
pub struct Wallet {
    /// The daemon's folder.
    pub data_dir: PathBuf,
    /// Where the socket is.
    pub runtime_dir: PathBuf,
    /// The nodes it asks.
    pub nodes: Vec<SocketAddr>,
    /// Environment.
    pub env: Vec<(String, String)>,
    _keeper: Arc<Keeper>,
}

/// Ends a daemon that a command has started and nobody has stopped, with the last wallet of its folder.
#[derive(Debug)]
struct Keeper {
    data_dir: PathBuf,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let Ok(note) = std::fs::read(self.data_dir.join("daemon.json")) else { return };
        let Ok(note) = serde_json::from_slice::<Value>(&note) else { return };
        let pid = note["pid"].to_string();
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        // The number may be another process's by now.
        if String::from_utf8_lossy(&line).contains(&*self.data_dir.to_string_lossy()) {
            let _ = Command::new("kill").args(["-KILL", &pid]).status();
        }
    }
}

/// What a command ended with.
#[derive(Debug)]
pub struct Run {
    /// Its exit code; `None` for a signal.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it noted.
    pub stderr: String,
}

impl Run {
    /// What it printed, as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The name of its error.
    #[must_use]
    pub fn error(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_else(|| panic!("no error: {self:?}")).to_owned()
    }

    /// Itself, if it ended well.
    #[must_use]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the programs print UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Wallet {
    /// A wallet in a folder of its own below `folder`.
    #[must_use]
    pub fn new(folder: &Path, nodes: &[SocketAddr]) -> Self {
        let runtime_dir = folder.join("run");
        std::fs::create_dir_all(&runtime_dir).expect("the folder can be written");
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&runtime_dir, private).expect("the folder is ours");
        let data_dir = folder.join("wallet");
        let _keeper = Arc::new(Keeper { data_dir: data_dir.clone() });
        Self { data_dir, runtime_dir, nodes: nodes.to_vec(), env: Vec::new(), _keeper }
    }

    /// With an environment variable, for daemons that are started from now on.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A command, away from the settings of whoever runs the test.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program("steelyard-wallet"));
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("STEELYARD_"))
        {
            command.env_remove(name);
        }
        command.args(args).arg("--data-dir").arg(&self.data_dir).stdin(Stdio::null());
        for node in &self.nodes {
            command.args(["--node", &node.to_string()]);
        }
        command.env("XDG_RUNTIME_DIR", &self.runtime_dir).envs(self.env.iter().cloned());
        command
    }

    /// Runs a command to its end; it starts the daemon if none runs.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Run {
        self.command(args).output().expect("the program starts").into()
    }

    /// Runs a command with `--json`.
    #[must_use]
    pub fn json(&self, args: &[&str]) -> Run {
        self.run(&[args, &["--json"]].concat())
    }

    /// Starts the daemon and waits until it says that it is ready.
    #[must_use]
    pub fn start(&self) -> Daemon {
        self.try_start().unwrap_or_else(|ended| panic!("the daemon ended before it was ready: {ended:?}"))
    }

    /// Starts the daemon; gives what it ended with if that is before it is ready.
    ///
    /// # Errors
    /// Its exit code and what it printed.
    pub fn try_start(&self) -> Result<Daemon, Run> {
        let started = Instant::now();
        let log = self.data_dir.with_extension("log");
        let mut child = self
            .command(&["daemon", "--json"])
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).expect("the folder can be written"))
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("the pipe can be read");
        let said: Option<Value> = serde_json::from_str(&line).ok();
        match said.filter(|said| said["socket"].is_string()) {
            Some(ready) => Ok(Daemon { child, ready_in: started.elapsed(), ready, _stdout: lines }),
            None => {
                let code = child.wait().expect("the child can be waited for").code();
                let stderr = std::fs::read_to_string(&log).unwrap_or_default();
                Err(Run { code, stdout: line, stderr })
            }
        }
    }

    /// Asks the daemon that runs to end, and waits until it has.
    pub fn stop(&self) {
        let stopped = self.run(&["stop", "--no-autostart"]);
        assert!(matches!(stopped.code, Some(0 | 3)), "{stopped:?}");
    }

    /// The spendable coins, as the wallet says.
    #[must_use]
    pub fn spendable(&self) -> String {
        let balance = self.json(&["balance"]).ok().json();
        balance["spendable"].as_str().expect("a decimal").to_owned()
    }

    /// Waits until what the command prints is as wanted.
    pub fn wait_for(&self, args: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
        let asked = Instant::now();
        loop {
            let run = self.json(args);
            if run.code == Some(0) && wanted(&run.json()) {
                return run.json();
            }
            assert!(asked.elapsed() < PATIENCE, "{args:?} does not come: {run:?}");
            std::thread::sleep(10 * LOOK);
        }
    }
}

/// A daemon that runs; killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    /// What it said when it was ready.
    pub ready: Value,
    /// From the start of the process until it said so.
    pub ready_in: Duration,
    _stdout: BufReader<std::process::ChildStdout>,
}

impl Daemon {
    /// SIGKILL, and wait for its end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end and gives its exit code; `None` for a signal.
    pub fn wait(&mut self) -> Option<i32> {
        let asked = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the child can be asked") {
                return status.code();
            }
            assert!(asked.elapsed() < PATIENCE, "the daemon does not end");
            std::thread::sleep(LOOK);
        }
    }

    /// SIGTERM, and its exit code with the time it took.
    pub fn terminate(&mut self) -> (Option<i32>, Duration) {
        let asked = Instant::now();
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("there is a kill program");
        assert!(sent.success());
        (self.wait(), asked.elapsed())
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

    /// A connection to its socket.
    #[must_use]
    pub fn rpc(&self) -> Rpc {
        Rpc::connect(Path::new(self.ready["socket"].as_str().expect("a path")))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One connection to a daemon's socket, kept open between requests.
#[derive(Debug)]
pub struct Rpc {
    stream: BufReader<UnixStream>,
}

impl Rpc {
    /// Connects.
    #[must_use]
    pub fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).expect("the daemon listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a stream has a timeout");
        Self { stream: BufReader::new(stream) }
    }

    /// `GET /api/v1…`: status and JSON.
    pub fn get(&mut self, path: &str) -> (u16, Value) {
        self.ask("GET", path, "").expect("the daemon answers")
    }

    /// `POST /api/v1…`: status and JSON.
    pub fn post(&mut self, path: &str, body: &Value) -> (u16, Value) {
        self.ask("POST", path, &body.to_string()).expect("the daemon answers")
    }

    /// [`Rpc::post`], unless the daemon goes away before it answers.
    pub fn try_post(&mut self, path: &str, body: &Value) -> Option<(u16, Value)> {
        self.ask("POST", path, &body.to_string()).ok()
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> std::io::Result<(u16, Value)> {
        let request = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nHost: wallet\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let ended = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(ended)?;
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let header = line.trim_end().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status, serde_json::from_slice(&body).expect("answers are JSON")))
    }
}
