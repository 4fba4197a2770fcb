//! Finds the daemon by the file that it keeps in its folder, and starts one where none answers. Must
//! not know what it is asked.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use steelyard_runtime::exit::{CliError, ExitCode};
use steelyard_runtime::output::Output;
use steelyard_runtime::ready::read_json;
use steelyard_runtime::{clock, dirs};

use super::client::Client;
use super::config::Resolved;
use super::failure::{Failure, exit_code};
use crate::daemon::{DAEMON_FILE, Ready};
use crate::rpc::types::{AddNodes, Done};

/// What a daemon that a command started logs, inside its folder.
pub const LOG_FILE: &str = "daemon.log";
/// A log that is longer is begun anew with the next daemon.
const LOG_BYTES_MAX: u64 = 1024 * 1024;
/// A daemon that was started answers within so long.
const READY_WITHIN: Duration = Duration::from_secs(15);
/// A daemon that holds the folder, or has just let it go, is looked for so long…
const OTHER_WITHIN: Duration = Duration::from_secs(5);
/// …again and again.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Bytes of the longest first line of a daemon.
const FIRST_LINE_BYTES_MAX: u64 = 64 * 1024;

/// How it goes with a daemon that was started.
#[derive(Debug)]
enum Started {
    /// It answers.
    Ready,
    /// Another process holds the folder.
    Held(CliError),
}

/// What a daemon prints instead of being ready.
#[derive(Deserialize)]
struct Refusal {
    error: RefusalBody,
}

#[derive(Deserialize)]
struct RefusalBody {
    code: String,
    message: String,
    hint: Option<String>,
}

/// The daemon of these settings; started where none answers, unless that was forbidden.
///
/// # Errors
/// None answers and none can be started, with the reason that the daemon gives for it.
pub fn open(resolved: &Resolved, out: Output) -> Result<Client, Failure> {
    // Before anything starts: a wrong address of a node is wrong usage.
    let nodes = resolved.nodes_in_arguments()?;
    if let Some(client) = find(resolved)? {
        if !nodes.is_empty() {
            let _: Done = client.post("/nodes", &AddNodes { addresses: nodes })?;
        }
        return Ok(client);
    }
    if !resolved.autostart {
        let message = format!("no daemon runs in {}", resolved.data_dir()?.display());
        let error = CliError::unreachable("daemon_unreachable", message);
        return Err(error.with_hint("leave out --no-autostart, or run steelyard-wallet daemon").into());
    }
    start(resolved, out)
}

/// The daemon of these settings, where one answers.
///
/// # Errors
/// It is of another network or another user's, or its file cannot be read.
pub fn find(resolved: &Resolved) -> Result<Option<Client>, Failure> {
    let file = resolved.data_dir()?.join(DAEMON_FILE);
    let opened = read_json::<Ready>(&file).and_then(|ready| Ok((Client::new(&ready.socket, &file)?, ready)));
    let (client, ready) = match opened {
        Ok(opened) => opened,
        // One that means nothing is a left-over: the next daemon puts its own in its place.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => {
            return Ok(None);
        }
        Err(error) => {
            let message = format!("cannot read {}: {error}", file.display());
            return Err(CliError::other("daemon_file", message).into());
        }
    };
    if !client.answers()? {
        return Ok(None);
    }
    let own = resolved.params.network_id();
    if ready.network_id != own {
        let message = format!(
            "the daemon in {} is of the network {} ({}), not of {} ({own})",
            ready.data_dir.display(),
            ready.network,
            ready.network_id,
            resolved.params.name
        );
        let error = CliError::usage("other_network", message);
        return Err(error.with_hint("name its network with --network, or another --data-dir").into());
    }
    Ok(Some(client))
}

fn start(resolved: &Resolved, out: Output) -> Result<Client, Failure> {
    let data_dir = resolved.data_dir()?;
    let arguments = resolved.daemon_arguments()?;
    let program = std::env::current_exe()
        .map_err(|error| CliError::other("program", format!("cannot find this program: {error}")))?;
    let began = clock::start();
    loop {
        let mut command = Command::new(&program);
        command.args(&arguments);
        let held = match launch(command, &data_dir, READY_WITHIN)? {
            Started::Ready => None,
            Started::Held(error) => Some(error),
        };
        if let Some(client) = find(resolved)? {
            if held.is_none() && !out.is_json() {
                out.note("started the daemon; it runs on: steelyard-wallet stop ends it");
            }
            return Ok(client);
        }
        // Somebody else was faster and is not listening yet, or is ending and will be gone.
        if began.elapsed() > OTHER_WITHIN {
            return Err(held.unwrap_or_else(gone_again).into());
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn gone_again() -> CliError {
    CliError::unreachable("daemon_unreachable", "the daemon was started and is gone again")
        .with_hint(format!("{LOG_FILE} in the data folder says why"))
}

/// Starts `command` apart from this terminal and waits for its first line.
fn launch(mut command: Command, data_dir: &Path, within: Duration) -> Result<Started, CliError> {
    let failed =
        |doing: &str, error: &io::Error| CliError::other("daemon_start", format!("cannot {doing}: {error}"));
    dirs::create_private(data_dir)
        .map_err(|error| failed(&format!("make the folder {}", data_dir.display()), &error))?;
    let log = data_dir.join(LOG_FILE);
    let stderr = open_log(&log).map_err(|error| failed(&format!("write {}", log.display()), &error))?;
    // Its own process group: Ctrl-C here is not meant for it. Its folder: it keeps no other one busy.
    command.process_group(0).current_dir(data_dir);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
    let mut child = command.spawn().map_err(|error| failed("start the daemon", &error))?;
    let line = first_line(&mut child, within)
        .map_err(|error| failed("read what the daemon says", &error))?
        .ok_or_else(|| {
        // Killed, so that nobody waits for a daemon that nobody knows; its data is safe.
        let _ = child.kill();
        let _ = child.wait();
        CliError::unreachable(
            "daemon_unreachable",
            format!("the daemon was started and is not ready after {} s", within.as_secs()),
        )
        .with_hint(format!("{} says what it does", log.display()))
    })?;
    if serde_json::from_str::<Ready>(&line).is_ok() {
        return Ok(Started::Ready);
    }
    let status = child.wait().map_err(|error| failed("wait for the daemon", &error))?;
    let error = refusal(&line, status, &log);
    if error.exit == ExitCode::InUse { Ok(Started::Held(error)) } else { Err(error) }
}

/// For its owner alone; kept from start to start while it is short.
fn open_log(path: &Path) -> io::Result<File> {
    let is_long = fs::metadata(path).is_ok_and(|meta| meta.len() > LOG_BYTES_MAX);
    let log = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    if is_long {
        log.set_len(0)?;
    }
    Ok(log)
}

/// The first line on stdout, empty where there is none; nothing when the time is over.
fn first_line(child: &mut Child, within: Duration) -> io::Result<Option<String>> {
    let stdout = child.stdout.take().ok_or(ErrorKind::BrokenPipe)?;
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::Builder::new().name("first line".to_owned()).spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(stdout.take(FIRST_LINE_BYTES_MAX)).read_line(&mut line);
        // Nobody listens any more when the time was over.
        let _ = sender.send(read.map(|_| line));
    })?;
    receiver.recv_timeout(within).ok().transpose()
}

/// What the daemon ended with, as our own error.
fn refusal(line: &str, status: ExitStatus, log: &Path) -> CliError {
    let exit = status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::Other, exit_code);
    match serde_json::from_str::<Refusal>(line) {
        Ok(Refusal { error }) => {
            let told = CliError::new(exit, error.code, error.message);
            CliError { hint: error.hint, ..told }
        }
        Err(_) => CliError::new(exit, "daemon_start", format!("the daemon was started and ended: {status}"))
            .with_hint(format!("{} says why", log.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Cli;
    use clap::Parser;
    use std::os::unix::fs::PermissionsExt;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn launched(script: &str, within: Duration) -> (tempfile::TempDir, Result<Started, CliError>) {
        let dir = tempfile::tempdir().unwrap();
        let started = launch(shell(script), dir.path(), within);
        (dir, started)
    }

    #[test]
    fn what_the_daemon_refuses_is_passed_on() {
        let said = "{\"error\":{\"code\":\"keystore_damaged\",\"message\":\"main.key: cut off\",\
                    \"hint\":\"restore it\"}}";
        let (_dir, started) = launched(&format!("echo '{said}'; exit 8"), READY_WITHIN);
        let error = started.unwrap_err();
        assert_eq!((error.exit, error.code.as_str()), (ExitCode::Damaged, "keystore_damaged"));
        assert_eq!(
            (error.message.as_str(), error.hint.as_deref()),
            ("main.key: cut off", Some("restore it"))
        );
    }

    #[test]
    fn a_folder_in_use_means_that_another_was_faster() {
        let said = "{\"error\":{\"code\":\"folder_in_use\",\"message\":\"held\",\"hint\":null}}";
        let (_dir, started) = launched(&format!("echo '{said}'; exit 7"), READY_WITHIN);
        assert!(matches!(started, Ok(Started::Held(error)) if error.code == "folder_in_use"));
    }

    #[test]
    fn a_daemon_that_dies_without_words_names_its_log() {
        for script in ["exit 1", "echo hello; exit 1", "kill -KILL $$"] {
            let (dir, started) = launched(script, READY_WITHIN);
            let error = started.unwrap_err();
            assert_eq!((error.exit, error.code.as_str()), (ExitCode::Other, "daemon_start"), "{script}");
            let log = dir.path().join(LOG_FILE).display().to_string();
            assert!(error.hint.is_some_and(|hint| hint.contains(&log)));
        }
    }

    #[test]
    fn a_daemon_that_says_nothing_is_ended() {
        let (dir, started) = launched("echo $$ >pid; exec sleep 600", Duration::from_millis(300));
        let error = started.unwrap_err();
        assert_eq!((error.exit, error.code.as_str()), (ExitCode::Unreachable, "daemon_unreachable"));
        // Where the machine was so slow that not even the shell ran, there is no file.
        if let Ok(pid) = fs::read_to_string(dir.path().join("pid")) {
            assert!(!Path::new(&format!("/proc/{}", pid.trim())).exists(), "process {pid} lives on");
        }
    }

    #[test]
    fn the_log_is_private_and_begun_anew_when_long() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join(LOG_FILE);
        for expected in ["one\n", "one\none\n"] {
            launch(shell("echo one >&2; exit 1"), dir.path(), READY_WITHIN).unwrap_err();
            assert_eq!(fs::read_to_string(&log).unwrap(), expected);
        }
        assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
        OpenOptions::new().write(true).open(&log).unwrap().set_len(LOG_BYTES_MAX + 1).unwrap();
        launch(shell("echo two >&2; exit 1"), dir.path(), READY_WITHIN).unwrap_err();
        assert_eq!(fs::read_to_string(&log).unwrap(), "two\n");
    }

    #[test]
    fn nobody_is_started_where_that_is_forbidden() {
        let dir = tempfile::tempdir().unwrap();
        let line = format!("steelyard-wallet status --no-autostart --data-dir {}", dir.path().display());
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let resolved = Resolved::new(&cli.globals).unwrap();
        let refused = || open(&resolved, Output::new(true)).err().unwrap().error;
        assert_eq!(refused().code, "daemon_unreachable");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        // A file that means nothing and a file of a daemon that is gone name nobody.
        let gone = serde_json::json!({ "socket": dir.path().join("s") }).to_string();
        for left in ["{", gone.as_str()] {
            fs::write(dir.path().join(DAEMON_FILE), left).unwrap();
            assert_eq!(refused().code, "daemon_unreachable");
        }
        fs::remove_file(dir.path().join(DAEMON_FILE)).unwrap();
        fs::create_dir(dir.path().join(DAEMON_FILE)).unwrap();
        assert_eq!(refused().code, "daemon_file");
    }
}
