//! The program as its users start it: arguments, exit codes, first screen, signals. Everything
//! else is tested below the command line.

#![allow(clippy::unwrap_used, reason = "a test ends where something cannot be done")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for anything; a machine under load needs a little of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A user: a home folder, and no settings of whoever runs the tests.
struct User {
    home: TempDir,
}

/// A node in the background, killed when the test ends.
struct Running {
    child: Child,
    ready: Value,
}

impl User {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_steelyard-node"));
        command.args(line.split_whitespace()).env_clear().env("HOME", self.home.path());
        command.current_dir(self.home.path()).stdin(Stdio::null());
        command
    }

    fn runs(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Starts a node and waits until it listens.
    fn starts(&self, line: &str) -> Running {
        let file = self.path("ready.json");
        let _ = std::fs::remove_file(&file);
        let mut command =
            self.command(&format!("{line} --api 127.0.0.1:0 --listen 127.0.0.1:0 --ready-file ready.json"));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut node = Running { child, ready: Value::Null };
        node.ready = wait_for(|| std::fs::read(&file).ok())
            .map(|text| serde_json::from_slice(&text).unwrap())
            .unwrap();
        node
    }
}

impl Running {
    fn signal(&self, name: &str) {
        let kill = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
    }

    /// The code it ends with, soon.
    fn ends(&mut self) -> Option<i32> {
        let started = Instant::now();
        let status = wait_for(|| self.child.try_wait().unwrap()).expect("it ends");
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        status.code()
    }

    /// The first line on its stdout.
    fn says(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        line
    }

    fn get(&self, path: &str) -> (u16, String) {
        let api = self.ready["api"].as_str().unwrap();
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
        let mut response = agent.get(format!("http://{api}{path}")).call().unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(found) = look() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn json(output: &Output) -> Value {
    assert_eq!(stdout(output).lines().count(), 1, "one object: {}", stdout(output));
    serde_json::from_str(stdout(output)).unwrap()
}

#[test]
fn help_and_version_are_data() {
    let user = User::new();
    let help = user.runs("--help");
    assert_eq!(code(&help), Some(0));
    for name in ["dev", "run", "new-network", "verify", "status", "config", "version"] {
        assert!(stdout(&help).contains(&format!("\n  {name} ")), "{name}");
    }
    let version = user.runs("version --json");
    assert_eq!(
        (code(&version), json(&version)["version"].as_str()),
        (Some(0), Some(env!("CARGO_PKG_VERSION")))
    );
    assert!(stdout(&user.runs("--version")).starts_with("steelyard-node "));
}

#[test]
fn wrong_usage_ends_with_2_and_says_why() {
    let user = User::new();
    let wrong = user.runs("dev --colour blue");
    assert_eq!((code(&wrong), stdout(&wrong)), (Some(2), ""));
    assert!(stderr(&wrong).contains("--colour"));
    for (line, name) in [
        ("--json dev --colour", "unknown_argument"),
        ("statsu --json", "unknown_command"),
        ("dev --json --connect localhost:1", "invalid_argument"),
        ("run --json --network atlantis", "unknown_network"),
        ("run --json --network tutorial --mine nobody", "setting_invalid"),
        ("new-network --json dev", "name_taken"),
        ("verify --json", "no_store"),
        ("status --json --config nowhere.toml", "settings_file_unreadable"),
    ] {
        let wrong = user.runs(line);
        assert_eq!(code(&wrong), Some(2), "{line}");
        assert_eq!(json(&wrong)["error"]["code"], name, "{line}");
    }
    let mut command = user.command("status --json");
    let wrong = command.env("STEELYARD_NODE__COLOUR", "blue").output().unwrap();
    assert_eq!((code(&wrong), &json(&wrong)["error"]["code"]), (Some(2), &Value::from("unknown_setting")));
}

#[test]
fn status_without_a_node_ends_with_3_and_the_next_command() {
    let user = User::new();
    let nobody = user.runs("status");
    assert_eq!((code(&nobody), stdout(&nobody)), (Some(3), ""));
    assert!(stderr(&nobody).contains("hint: start it: steelyard-node dev\n"));
    let nobody = user.runs("status --json --network tutorial --data-dir n1");
    assert_eq!(code(&nobody), Some(3));
    assert_eq!(
        json(&nobody)["error"]["hint"],
        "start it: steelyard-node run --network tutorial --data-dir n1"
    );
}

#[test]
fn a_reader_that_is_gone_is_no_failure() {
    let user = User::new();
    for line in ["version", "--help", "config print", "version --json"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended =
            user.command(line).stdout(writer).stderr(Stdio::piped()).spawn().unwrap().wait_with_output();
        let ended = ended.unwrap();
        assert_eq!((code(&ended), stderr(&ended)), (Some(0), ""), "{line}");
    }
}

#[test]
fn settings_say_where_they_come_from() {
    let user = User::new();
    std::fs::write(user.path("my.toml"), "[node]\nmine_threads = 3\napi = \"127.0.0.1:1\"\n").unwrap();
    let mut command = user.command("config print --json --config my.toml --api 127.0.0.1:2");
    let printed = command.env("STEELYARD_NODE__LOG_LEVEL", "debug").output().unwrap();
    let sources: Vec<String> = json(&printed)["settings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| format!("{} {}", row["name"].as_str().unwrap(), row["source"].as_str().unwrap()))
        .collect();
    for expected in [
        "network default",
        "api arguments",
        "mine_threads file my.toml",
        "log_level environment STEELYARD_NODE__LOG_LEVEL",
        "ready_file not set",
    ] {
        assert!(sources.iter().any(|found| found == expected), "{expected} in {sources:?}");
    }
}

#[test]
fn a_new_network_is_a_file_that_a_node_runs() {
    let user = User::new();
    let written = user.runs("new-network class-7 --spacing 1s --start-tries 1000 --json");
    assert_eq!((code(&written), stderr(&written)), (Some(0), ""));
    let again = user.runs("new-network class-7");
    assert_eq!(code(&again), Some(6), "{}", stderr(&again));
    let mut node = user.starts("run --network class-7.toml --json");
    assert_eq!(node.ready["network_id"], json(&written)["network_id"]);
    assert!(Path::new(node.ready["data_dir"].as_str().unwrap()).ends_with("steelyard/class-7"));
    node.signal("-TERM");
    assert_eq!(node.ends(), Some(0));
    let verified = user.runs("verify --network class-7.toml --full --json");
    assert_eq!(
        (code(&verified), json(&verified)["blocks"].as_u64()),
        (Some(0), Some(0)),
        "{}",
        stderr(&verified)
    );
}

#[test]
fn dev_is_ready_at_once_and_stops_when_asked() {
    let user = User::new();
    let mut node = user.starts("dev --data-dir d1 --json");
    let card: Value = serde_json::from_str(&node.says()).unwrap();
    assert_eq!(card["dev"]["accounts"].as_array().map(Vec::len), Some(10));
    assert_eq!(card["network_id"], node.ready["network_id"]);
    assert_eq!(node.get("/livez").0, 200);
    let second = user.runs("dev --data-dir d1 --api 127.0.0.1:0 --json");
    assert_eq!(code(&second), Some(7));
    let message = json(&second)["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains(&format!("steelyard-node (process {})", node.child.id())), "{message}");
    let fresh = user.runs("dev --data-dir d1 --api 127.0.0.1:0 --fresh");
    assert_eq!(code(&fresh), Some(7), "{}", stderr(&fresh));
    // The node that holds the folder is asked to verify it.
    let verified = user.runs("verify --data-dir d1");
    assert_eq!(code(&verified), Some(0), "{}", stderr(&verified));
    for (door, port, other) in [("api", "--api", "--listen"), ("p2p", "--listen", "--api")] {
        let port = format!("{port} {}", node.ready[door].as_str().unwrap());
        let taken = user.runs(&format!("dev --data-dir d2 {port} {other} 127.0.0.1:0 --json"));
        let error = &json(&taken)["error"];
        assert_eq!((code(&taken), &error["code"]), (Some(7), &Value::from("port_in_use")));
        let hint = format!("{} 127.0.0.1:0", port.split(' ').next().unwrap());
        assert!(error["hint"].as_str().unwrap().contains(&hint), "{error}");
    }
    assert_eq!(card["p2p"], node.ready["p2p"]);
    node.signal("-INT");
    assert_eq!(node.ends(), Some(0));
    assert_eq!(code(&user.runs("status --data-dir d1")), Some(3));
}

#[test]
fn a_killed_dev_network_goes_on_where_it_was() {
    let user = User::new();
    let mut node = user.starts("dev --mine-threads 2");
    assert!(node.says().starts_with("steelyard-node "));
    let height = || json(&user.runs("status --json"))["height"].as_u64().filter(|height| *height > 0);
    let height = wait_for(height).expect("a block is mined");
    let card = user.runs("status");
    assert!(stdout(&card).contains("\n  mining    on"), "{}", stdout(&card));
    node.signal("-KILL");
    assert_eq!(node.ends(), None);
    let gone = user.runs("status --json");
    assert_eq!(code(&gone), Some(3), "a stale file names nobody: {}", stdout(&gone));
    let mut node = user.starts("dev --mine off --json");
    let card: Value = serde_json::from_str(&node.says()).unwrap();
    assert_eq!((&card["resumed"], &card["mining"]), (&Value::from(true), &Value::Null));
    assert!(card["height"].as_u64().unwrap() >= height);
    node.signal("-TERM");
    assert_eq!(node.ends(), Some(0));
    let mut node = user.starts("dev --mine off --fresh --json");
    let card: Value = serde_json::from_str(&node.says()).unwrap();
    assert_eq!((&card["resumed"], &card["height"]), (&Value::from(false), &Value::from(0)));
}
