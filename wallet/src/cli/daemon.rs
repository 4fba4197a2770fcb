//! `daemon`: runs it in the foreground until it is asked to stop. `stop`: asks it to. Must not know
//! how the parts of a daemon are put together.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::Duration;

use serde::Serialize;
use steelyard_runtime::exit::{CliError, ExitCode};
use steelyard_runtime::lock::LOCK_FILE;
use steelyard_runtime::output::Output;
use steelyard_runtime::signals::Signals;
use steelyard_runtime::{clock, version, words};
use tokio::runtime::{Builder, Runtime};

use super::args::DaemonArgs;
use super::config::Resolved;
use super::failure::Failure;
use super::{notify, shown, start};
use crate::daemon::{Daemon, DaemonConfig, PROGRAM};
use crate::rpc::types::Done;

/// Threads for connections and commands: what is slow runs elsewhere.
const WORKERS: usize = 2;
/// A second signal this soon is the first one again, passed on by a wrapper such as timeout(1) that
/// got it too: the stop keeps this much time.
const SAME_SIGNAL: Duration = Duration::from_millis(500);
/// A daemon that was asked to stop has ended within so long.
const STOPPED_WITHIN: Duration = Duration::from_secs(10);
/// Time between two looks whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// `daemon`.
///
/// # Errors
/// [`CliError`] with the exit code of the cause: the folder in use, damage, usage.
pub fn run(resolved: &Resolved, args: &DaemonArgs, out: Output) -> Result<(), Failure> {
    resolved.start_log()?;
    let config = DaemonConfig {
        params: resolved.params.clone(),
        data_dir: resolved.data_dir()?,
        nodes: resolved.nodes()?,
        ready_file: args.ready_file.as_ref().map(PathBuf::from),
    };
    let runtime =
        runtime().map_err(|error| CliError::other("runtime", format!("cannot start threads: {error}")))?;
    let ended = runtime.block_on(serve(config, out));
    // What does not end by itself is left to the process's end, which is safe at any moment.
    runtime.shutdown_background();
    Ok(ended?)
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(WORKERS).thread_name("async").enable_all().build()
}

async fn serve(config: DaemonConfig, out: Output) -> Result<(), CliError> {
    let mut signals = Signals::listen()
        .map_err(|error| CliError::other("signals", format!("cannot listen for signals: {error}")))?;
    let nodes: Vec<String> = config.nodes.iter().map(ToString::to_string).collect();
    let daemon = tokio::select! {
        started = Daemon::start(config) => started?,
        _ = signals.next() => return Ok(()),
    };
    notify::tell(notify::READY);
    out.line(&screen(&daemon, &nodes));
    out.json(&daemon.ready);
    tokio::select! {
        () = daemon.ended() => {}
        _ = signals.next() => {}
    }
    notify::tell(notify::STOPPING);
    let stopped = tokio::select! {
        stopped = daemon.stop() => stopped,
        code = again(&mut signals) => process::exit(code),
    };
    if stopped.is_ok() && !out.is_json() {
        out.note("stopped");
    }
    stopped
}

/// The second signal, after which nothing is waited for any more.
async fn again(signals: &mut Signals) -> i32 {
    let first = clock::start();
    let code = signals.next().await;
    tokio::time::sleep(SAME_SIGNAL.saturating_sub(first.elapsed())).await;
    code
}

fn screen(daemon: &Daemon, nodes: &[String]) -> String {
    let ready = &daemon.ready;
    let title = format!("{PROGRAM} {}, process {}", version::text(), ready.pid);
    let rows = shown::card(&[
        ("network", Some(format!("{}, id {}", ready.network, words::short(&ready.network_id)))),
        ("data", Some(ready.data_dir.display().to_string())),
        ("socket", Some(ready.socket.display().to_string())),
        ("nodes", Some(nodes.join(", "))),
    ]);
    format!("{title}\n{rows}\nCtrl-C stops it; in another terminal: steelyard-wallet status")
}

/// What `stop` answers.
#[derive(Serialize)]
struct Stopped {
    /// Whether one ran.
    stopped: bool,
    data_dir: PathBuf,
}

/// `stop`. Where none runs there is nothing to do.
///
/// # Errors
/// It does not answer, or does not end.
pub fn stop(resolved: &Resolved, out: Output) -> Result<(), Failure> {
    let data_dir = resolved.data_dir()?;
    let Some(client) = start::find(resolved)? else {
        out.line(&format!("no daemon runs in {}", data_dir.display()));
        out.json(&Stopped { stopped: false, data_dir });
        return Ok(());
    };
    match client.post_nothing::<Done>("/stop") {
        Ok(_) => {}
        // It may be faster than its answer.
        Err(error) if error.is_nobody() || error.is_open() => {}
        Err(error) => return Err(error.into()),
    }
    let asked = clock::start();
    while !is_free(&data_dir) {
        if asked.elapsed() > STOPPED_WITHIN {
            let message =
                format!("the daemon was asked to stop and runs on after {} s", STOPPED_WITHIN.as_secs());
            return Err(CliError::new(ExitCode::TimedOut, "still_running", message).into());
        }
        thread::sleep(LOOK_EVERY);
    }
    out.line("stopped");
    out.json(&Stopped { stopped: true, data_dir });
    Ok(())
}

/// Whether no process holds the folder. Takes the lock for a moment where it is free, and writes
/// nothing.
fn is_free(data_dir: &Path) -> bool {
    match File::open(data_dir.join(LOCK_FILE)) {
        Ok(file) => file.try_lock().is_ok(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use steelyard_runtime::lock::FolderLock;

    #[test]
    fn a_folder_is_free_when_nobody_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        assert!(is_free(dir.path()));
        let held = FolderLock::acquire(dir.path(), "another").unwrap();
        assert!(!is_free(dir.path()));
        drop(held);
        assert!(is_free(dir.path()));
        // Looking left it as it was.
        assert!(FolderLock::acquire(dir.path(), "another").is_ok());
    }
}
