//! The program as its users start it: arguments, exit codes, the daemon behind the commands, files
//! and their modes. No node runs here: what needs one is tested beside one.

#![allow(clippy::unwrap_used, reason = "a test ends where something cannot be done")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use steelyard_core::address;
use steelyard_core::params::dev_addresses;
use tempfile::TempDir;

/// Longest wait for anything; a machine under load needs a little of it.
const PATIENCE: Duration = Duration::from_secs(60);
/// The passphrase of these tests: looked for wherever it must not be.
const PASSPHRASE: &str = "correct horse battery";

/// A port of the machine's own services that no test and no node listens at: refused at once.
const NODE: &str = "127.0.0.1:1";
/// Another such port.
const OTHER_NODE: &str = "127.0.0.1:2";

/// A user: a home folder and a runtime folder. Their daemon ends with them.
struct User {
    home: TempDir,
}

impl User {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("run")).unwrap();
        fs::set_permissions(home.path().join("run"), fs::Permissions::from_mode(0o700)).unwrap();
        let user = Self { home };
        fs::write(user.path("pass"), format!("{PASSPHRASE}\n")).unwrap();
        fs::write(user.path("wrong"), "wrong\n").unwrap();
        fs::write(user.path("empty"), "").unwrap();
        user
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The daemon's folder.
    fn data(&self) -> PathBuf {
        self.path("d")
    }

    /// Ready to run with these arguments; the folder and the node come from the environment.
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_steelyard-wallet"));
        command.args(line.split_whitespace()).env_clear().current_dir(self.home.path()).stdin(Stdio::null());
        command.env("HOME", self.home.path()).env("XDG_RUNTIME_DIR", self.path("run"));
        command.env("PATH", std::env::var_os("PATH").unwrap());
        command.env("STEELYARD_WALLET__DATA_DIR", self.data()).env("STEELYARD_WALLET__NODE", NODE);
        command
    }

    fn runs(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Runs what has to go well.
    fn does(&self, line: &str) -> Value {
        let output = self.runs(&format!("{line} --json"));
        assert_eq!(code(&output), Some(0), "{line}: {} {}", stdout(&output), stderr(&output));
        json(&output)
    }

    /// Runs what has to fail: in text and in JSON, with the same code and name.
    fn fails(&self, line: &str, exit: i32, name: &str) -> Value {
        let text = self.runs(line);
        assert_eq!((code(&text), stdout(&text)), (Some(exit), ""), "{line}: {}", stderr(&text));
        assert!(stderr(&text).contains("error: "), "{line}: {}", stderr(&text));
        let output = self.runs(&format!("{line} --json"));
        assert_eq!(code(&output), Some(exit), "{line}: {}", stdout(&output));
        let error = json(&output)["error"].clone();
        assert_eq!(error["code"], name, "{line}: {error}");
        error
    }

    /// The process of the daemon, as its file says.
    fn daemon(&self) -> Option<u32> {
        let text = fs::read(self.data().join("daemon.json")).ok()?;
        let ready: Value = serde_json::from_slice(&text).ok()?;
        u32::try_from(ready["pid"].as_u64()?).ok()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = self.command("stop").output();
        // One that does not stop when asked must not outlive its test either.
        if let Some(pid) = self.daemon() {
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).output();
        }
    }
}

/// A daemon in the foreground.
struct Foreground {
    child: Child,
    first: String,
}

impl Foreground {
    /// Starts one and waits for its first line.
    fn start(user: &User, line: &str) -> Self {
        let mut command = user.command(&format!("daemon {line}"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
        Self { child, first }
    }

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
}

impl Drop for Foreground {
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
    assert_eq!(stdout(output).lines().count(), 1, "one object: {} {}", stdout(output), stderr(output));
    serde_json::from_str(stdout(output)).unwrap()
}

fn account(number: usize) -> String {
    address::format("dsy", &dev_addresses()[number])
}

/// Every file and folder below, with its mode.
fn tree(folder: &Path) -> Vec<(PathBuf, u32, bool)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        found.push((path.clone(), meta.permissions().mode() & 0o777, meta.is_dir()));
        if meta.is_dir() {
            found.extend(tree(&path));
        }
    }
    found
}

#[test]
fn help_and_version_are_data() {
    let user = User::new();
    let help = user.runs("--help");
    assert_eq!(code(&help), Some(0));
    for name in [
        "create",
        "restore",
        "import-dev",
        "address",
        "balance",
        "send",
        "tx",
        "status",
        "lock",
        "unlock",
        "daemon",
        "stop",
        "config",
        "version",
    ] {
        assert!(stdout(&help).contains(&format!("\n  {name} ")), "{name}");
    }
    assert!(!stdout(&help).contains("--passphrase "), "no such argument is offered");
    assert_eq!(user.does("version")["version"], env!("CARGO_PKG_VERSION"));
    assert!(stdout(&user.runs("--version")).starts_with("steelyard-wallet "));
    assert!(!user.data().exists(), "none of this starts anything");
}

#[test]
fn wrong_usage_ends_with_2_and_starts_nothing() {
    let user = User::new();
    let bob = account(1);
    let foreign = bob.replace("dsy1", "tsy1");
    for (line, name) in [
        ("balanse".to_owned(), "unknown_command"),
        ("balance --colour".to_owned(), "unknown_argument"),
        ("--wallet Main balance".to_owned(), "invalid_argument"),
        (format!("send 1,5 --to {bob}"), "invalid_amount"),
        (format!("send 0 --to {bob}"), "invalid_amount"),
        ("send 1 --to nobody".to_owned(), "invalid_address"),
        (format!("send 1 --to {foreign}"), "invalid_address"),
        (format!("send 1 --to {bob} --from nobody"), "invalid_address"),
        ("balance --address nobody".to_owned(), "invalid_address"),
        ("balance --network atlantis".to_owned(), "unknown_network"),
        ("import-dev --network tutorial".to_owned(), "not_the_dev_network"),
        ("create".to_owned(), "passphrase_needed"),
        ("create --passphrase-file nowhere".to_owned(), "secret_unreadable"),
        ("restore".to_owned(), "words_needed"),
        ("restore --words-file pass".to_owned(), "word_count"),
        (format!("unlock --passphrase {}", PASSPHRASE.split(' ').next().unwrap()), "secret_refused"),
    ] {
        let error = user.fails(&line, 2, name);
        assert!(!error.to_string().contains("horse"), "{error}");
    }
    let mut command = user.command("status --json");
    let wrong = command.env("STEELYARD_WALLET__COLOUR", "blue").output().unwrap();
    assert_eq!((code(&wrong), &json(&wrong)["error"]["code"]), (Some(2), &Value::from("unknown_setting")));
    assert!(!user.data().exists(), "none of this starts anything");
}

#[test]
fn a_command_that_may_start_nothing_ends_with_3() {
    let user = User::new();
    let bob = account(1);
    for line in ["balance".to_owned(), "status".to_owned(), format!("send 1 --to {bob}")] {
        let error = user.fails(&format!("{line} --no-autostart"), 3, "daemon_unreachable");
        assert!(error["hint"].as_str().unwrap().contains("steelyard-wallet daemon"), "{error}");
    }
    assert_eq!(user.does("stop")["stopped"], false);
    assert!(!user.data().exists());
}

#[test]
fn a_reader_that_is_gone_is_no_failure() {
    let user = User::new();
    user.does("import-dev");
    for line in ["version", "--help", "config print", "status", "address list", "address list --json"] {
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
    fs::write(user.path("my.toml"), "[wallet]\nlog_level = \"debug\"\n[node]\nmine = \"off\"\n").unwrap();
    let printed = user.does("config print --config my.toml --node 127.0.0.1:2 --node 127.0.0.1:3");
    let rows: Vec<String> = printed["settings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| format!("{} {}", row["name"].as_str().unwrap(), row["source"].as_str().unwrap()))
        .collect();
    assert_eq!(
        rows,
        [
            "network default",
            "data_dir environment STEELYARD_WALLET__DATA_DIR",
            "node arguments",
            "log_format default",
            "log_level file my.toml",
        ]
    );
    assert_eq!(printed["settings"][2]["value"], "127.0.0.1:2,127.0.0.1:3");
}

#[test]
fn a_wallet_is_made_locked_and_unlocked() {
    let user = User::new();
    let made = user.runs("create --words 24 --passphrase-file pass");
    assert_eq!(code(&made), Some(0), "{}", stderr(&made));
    assert!(stdout(&made).contains("\n   1. ") && stdout(&made).contains(" 24. "), "{}", stdout(&made));
    assert!(stderr(&made).starts_with("started the daemon"), "{}", stderr(&made));
    user.fails("create --passphrase-file pass", 2, "wallet_exists");
    assert_eq!(user.does("status")["wallets"][0]["unlocked"], false);
    // The public half needs no passphrase.
    let first = user.does("address");
    assert_eq!((&first["wallet"], &first["index"]), (&Value::from("main"), &Value::from(0)));
    assert_ne!(user.does("address new")["address"], first["address"]);
    user.fails("address show 7", 2, "no_such_address");
    user.fails("unlock --passphrase-file wrong", 5, "wrong_passphrase");
    user.fails("unlock", 2, "passphrase_needed");
    let unlocked = user.does("unlock --passphrase-file pass --for 1h");
    assert_eq!(unlocked["unlocked"], true);
    assert!(unlocked["unlocked_until"].is_u64(), "{unlocked}");
    assert_eq!(user.does("lock")["unlocked"], false);
    // By an open descriptor, which no other process can read.
    let script = "exec \"$0\" unlock --json --passphrase-fd 3 3<pass";
    let own = user.command("");
    let mut shell = with_program(&own, "sh");
    let unlocked = shell.args(["-c", script]).arg(own.get_program()).output().unwrap();
    assert_eq!(code(&unlocked), Some(0), "{}", stdout(&unlocked));
    assert_nothing_secret(&user, stdout(&made));
    for (path, mode, is_folder) in tree(&user.data()) {
        assert_eq!(mode, if is_folder { 0o700 } else { 0o600 }, "{}", path.display());
    }
}

/// The same environment and folder for another program.
fn with_program(command: &Command, program: &str) -> Command {
    let mut other = Command::new(program);
    other.env_clear().current_dir(command.get_current_dir().unwrap()).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        other.env(name, value.unwrap());
    }
    other
}

/// Neither passphrase nor words in any file of the daemon, its log among them.
fn assert_nothing_secret(user: &User, shown: &str) {
    let rows = shown.lines().filter(|line| line.contains(". ") && line.starts_with("  "));
    let words: Vec<&str> = rows.flat_map(str::split_whitespace).filter(|word| !word.ends_with('.')).collect();
    assert_eq!(words.len(), 24, "{shown}");
    let pairs: Vec<String> = words.windows(2).map(|pair| pair.join(" ")).collect();
    for (path, _, _) in tree(&user.data()).iter().filter(|(_, _, is_folder)| !is_folder) {
        let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        for secret in pairs.iter().map(String::as_str).chain([PASSPHRASE]) {
            assert!(!text.contains(secret), "{} holds a secret", path.display());
        }
    }
}

#[test]
fn words_bring_the_same_wallet_back() {
    let user = User::new();
    let made = user.does("create --passphrase-file empty --wallet first");
    let warned = user.runs("create --passphrase-file empty --wallet second");
    assert!(stderr(&warned).contains("warning: without a passphrase"), "{}", stderr(&warned));
    assert_eq!(made["encrypted"], false);
    user.fails("lock --wallet first", 2, "not_encrypted");
    user.fails("balance --address x", 2, "invalid_address");
    let error = user.fails("address", 2, "wallet_needed");
    assert!(error["message"].as_str().unwrap().ends_with("first, second"), "{error}");
    let named = user.command("address --json").env("STEELYARD_WALLET", "second").output().unwrap();
    assert_eq!(json(&named)["wallet"], "second");
    user.does("stop");
    let words = made["words"].as_str().unwrap();
    let other = User::new();
    fs::write(other.path("words"), format!("{}\n", words.to_uppercase())).unwrap();
    let restored = other.does("restore --words-file words --passphrase-file pass --birthday 7");
    assert_eq!((&restored["address"], &restored["encrypted"]), (&made["address"], &Value::from(true)));
    assert!(restored.get("words").is_none(), "they are not shown again: {restored}");
    assert_eq!(other.does("status")["wallets"][0]["birthday"], 7);
    // By standard input.
    let third = User::new();
    let mut child = third.command("restore --words-fd 0 --passphrase-file empty --json");
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(words.as_bytes()).unwrap();
    assert_eq!(json(&child.wait_with_output().unwrap())["address"], made["address"]);
}

#[test]
fn the_dev_accounts_are_there_at_once_and_once() {
    let user = User::new();
    let made = user.does("import-dev");
    assert_eq!(made["address"], account(0));
    assert_eq!(
        (&made["already"], made["addresses"].as_array().map(Vec::len)),
        (&Value::from(false), Some(10))
    );
    assert_eq!(user.does("import-dev")["already"], true);
    assert_eq!(user.does("address show 3")["address"], account(3));
    user.does("create --wallet other --passphrase-file empty");
    user.fails("import-dev --wallet other", 6, "wallet_exists");
    // No node has answered, so there is no figure to show.
    user.fails("balance --wallet dev", 3, "no_reading");
    let rows = user.runs("address list --wallet dev");
    assert_eq!(stdout(&rows).matches("not known yet").count(), 10, "{}", stdout(&rows));
}

#[test]
fn a_send_without_a_node_is_kept_and_said() {
    let user = User::new();
    user.does("import-dev");
    let bob = account(1);
    let line = format!("send 1.5 --to {bob} --id order-7");
    let error = user.fails(&line, 3, "node_unreachable");
    assert_eq!(error["intent"], "order-7");
    assert!(error["hint"].as_str().unwrap().contains("order-7"), "{error}");
    let other = user.fails(&format!("send 1.6 --to {bob} --id order-7"), 6, "id_reused");
    assert!(!other["message"].as_str().unwrap().is_empty());
    // Kept whatever becomes of the daemon.
    let pid = user.daemon().unwrap();
    assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
    let kept = user.does("tx show order-7");
    assert_eq!((&kept["state"], &kept["amount"]), (&Value::from("intended"), &Value::from("1.5")));
    assert_ne!(user.daemon(), Some(pid));
    let late = user.fails("tx wait order-7 --timeout 1", 9, "timed_out");
    assert!(
        late["message"].as_str().unwrap().starts_with("after 1 second the send order-7 is intended"),
        "{late}"
    );
    // Who waits goes on waiting when the daemon is killed, and hears what became of it.
    let mut waits = user.command("tx wait order-7 --json");
    let waits = waits.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let pid = user.daemon().unwrap();
    assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
    assert_eq!(user.does("tx cancel order-7")["state"], "cancelled");
    let heard = waits.wait_with_output().unwrap();
    assert_eq!((code(&heard), &json(&heard)["error"]["code"]), (Some(6), &Value::from("cancelled")));
    assert_eq!(user.does("tx list")["txs"][0]["id"], "order-7");
    // What will never be paid is no success, however often it is asked for.
    assert_eq!(user.fails(&line, 6, "cancelled")["intent"], "order-7");
    user.fails("tx wait order-7", 6, "cancelled");
    user.fails("tx show nothing", 2, "unknown_tx");
    // An id that was not given is told before the request goes out.
    let nameless = user.runs(&format!("send 1 --to {bob}"));
    assert_eq!(code(&nameless), Some(3));
    let first = stderr(&nameless).lines().next().unwrap();
    let id = first.strip_prefix("intent ").and_then(|rest| rest.split(':').next()).unwrap();
    assert_eq!(first, format!("intent {id}: asking again with --id {id} pays once"));
    assert_eq!(user.does(&format!("tx show {id}"))["id"], id);
}

#[test]
fn a_daemon_that_ends_between_two_questions_is_started_again() {
    let user = User::new();
    user.does("import-dev");
    user.does("stop");
    // One that answers whether it is there and is gone with the next question, as one that is killed.
    let socket = user.path("run/ending");
    let listener = UnixListener::bind(&socket).unwrap();
    let ends = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let asked = request_line(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]").unwrap();
        drop(stream);
        let (mut stream, _) = listener.accept().unwrap();
        (asked, request_line(&mut stream))
    });
    let params = steelyard_core::params::Params::dev();
    let note = serde_json::json!({
        "pid": 1, "socket": socket, "network": "dev", "network_id": params.network_id().to_string(),
        "data_dir": user.data(), "version": "0", "nodes": [],
    });
    fs::write(user.data().join("daemon.json"), note.to_string()).unwrap();
    let told = user.does("tx list");
    assert_eq!(told["txs"].as_array().map(Vec::len), Some(0));
    let (first, second) = ends.join().unwrap();
    assert!(first.starts_with("GET /api/v1/wallets ") && second.starts_with("GET /api/v1/status "));
}

/// The first line of a request, read to the end of its head.
fn request_line(stream: &mut UnixStream) -> String {
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap).take_while(|line| !line.is_empty());
    let first = lines.next().unwrap();
    lines.for_each(drop);
    first
}

#[test]
fn a_locked_wallet_sends_nothing() {
    let user = User::new();
    user.does("create --passphrase-file pass");
    user.fails(&format!("send 1 --to {} --id rent", account(1)), 5, "wallet_locked");
    assert_eq!(user.does("tx list")["txs"].as_array().map(Vec::len), Some(0));
    // Unlocked it is kept for a node, also once it is locked again.
    user.does("unlock --passphrase-file pass");
    let error = user.fails(&format!("send 1 --to {} --id rent", account(1)), 3, "node_unreachable");
    assert_eq!(error["intent"], "rent");
    user.does("lock");
    let kept = user.does("tx show rent");
    assert_eq!(kept["state"], "intended");
    assert!(kept["next_action"].as_str().unwrap().contains("unlock"), "{kept}");
}

#[test]
fn a_daemon_in_the_foreground_is_found_and_stops_when_asked() {
    let user = User::new();
    let mut daemon = Foreground::start(&user, "--json --ready-file ready.json");
    let ready: Value = serde_json::from_str(&daemon.first).unwrap();
    assert_eq!(ready["pid"], daemon.child.id());
    assert_eq!(fs::read_to_string(user.path("ready.json")).unwrap(), daemon.first);
    assert!(Path::new(ready["socket"].as_str().unwrap()).starts_with(user.path("run")), "{ready}");
    assert_eq!(user.does("status --no-autostart")["pid"], daemon.child.id());
    // One that runs is told of further nodes.
    let status = user.does(&format!("status --node {OTHER_NODE}"));
    let nodes: Vec<&str> =
        status["nodes"].as_array().unwrap().iter().map(|node| node["address"].as_str().unwrap()).collect();
    assert_eq!(nodes, [NODE, OTHER_NODE]);
    // A second one is refused, by name.
    let second = user.fails("daemon", 7, "folder_in_use");
    let holder = format!("(process {})", daemon.child.id());
    assert!(second["message"].as_str().unwrap().contains(&holder), "{second}");
    user.fails("status --network tutorial", 2, "other_network");
    assert_eq!(user.does("stop")["stopped"], true);
    assert_eq!(daemon.ends(), Some(0));
    assert!(!user.data().join("daemon.json").exists());
    for signal in ["-TERM", "-INT"] {
        let mut daemon = Foreground::start(&user, "");
        assert!(daemon.first.starts_with("steelyard-wallet "), "{}", daemon.first);
        daemon.signal(signal);
        assert_eq!(daemon.ends(), Some(0), "{signal}");
    }
}

#[test]
fn commands_that_start_the_daemon_at_once_share_one() {
    let user = User::new();
    let mut children = Vec::new();
    for _ in 0..6 {
        let mut command = user.command("status --json");
        children.push(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    }
    let pids: Vec<u64> = children
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().unwrap();
            assert_eq!(code(&output), Some(0), "{} {}", stdout(&output), stderr(&output));
            json(&output)["pid"].as_u64().unwrap()
        })
        .collect();
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
}

#[test]
fn damage_ends_with_8_and_says_where() {
    let user = User::new();
    let made = user.does("create --passphrase-file empty");
    user.does("stop");
    let file = PathBuf::from(made["file"].as_str().unwrap());
    let whole = fs::read(&file).unwrap();
    for damaged in [&whole[..whole.len() - 1], &[][..]] {
        fs::write(&file, damaged).unwrap();
        for line in ["address", "daemon"] {
            let error = user.fails(line, 8, "keystore_damaged");
            assert!(error["message"].as_str().unwrap().contains(file.to_str().unwrap()), "{error}");
            assert!(error["hint"].is_string(), "{error}");
        }
    }
    fs::write(&file, &whole).unwrap();
    assert_eq!(user.does("address")["address"], made["address"]);
}
