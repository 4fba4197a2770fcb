//! What is wrong with a node's folder and what it needs of the machine, one check a line, each bad
//! one with what to do. Must not know the command line, nor change anything of the chain.

use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use serde::Serialize;
use steelyard_core::params::Params;
use steelyard_runtime::exit::{CliError, ExitCode};
use steelyard_runtime::lock::{FolderLock, LockError};
use steelyard_runtime::{clock, disk, ready, words};

use crate::backup::{MANIFEST_FILE, NOTE_FILE, Note};
use crate::limits::{DISK_STOP_BYTES, DISK_WARN_BYTES};
use crate::node::NODE_FILE;
use crate::store::build::{BUILD_FOLDER, KEPT_PREFIX};
use crate::store::{PROGRAM, STORE_FOLDER, Store};
use crate::verify;

/// How it stands with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It will have to be looked at.
    Warn,
    /// A node cannot run, or not for long.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What: stable, snake_case.
    pub name: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was found, one line.
    pub message: String,
    /// What to do.
    pub fix: Option<String>,
    /// The exit code that says which kind of bad it is.
    #[serde(skip)]
    pub exit: ExitCode,
}

impl Check {
    /// All is well.
    #[must_use]
    pub fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, message: message.into(), fix: None, exit: ExitCode::Ok }
    }

    /// Not well, and no hindrance.
    #[must_use]
    pub fn warn(name: &'static str, message: impl Into<String>, fix: Option<String>) -> Self {
        Self { name, verdict: Verdict::Warn, message: message.into(), fix, exit: ExitCode::Ok }
    }

    /// A hindrance.
    #[must_use]
    pub fn bad(name: &'static str, message: impl Into<String>, fix: String, exit: ExitCode) -> Self {
        Self { name, verdict: Verdict::Bad, message: message.into(), fix: Some(fix), exit }
    }

    /// A hindrance that a command would end with.
    #[must_use]
    pub fn failed(name: &'static str, error: CliError, fix: String) -> Self {
        let fix = error.hint.unwrap_or(fix);
        Self::bad(name, error.message, fix, error.exit)
    }
}

/// The exit code of all checks: that of the worst, damage before what is in use before the rest.
#[must_use]
pub fn worst(checks: &[Check]) -> ExitCode {
    let mut bad = checks.iter().filter(|check| check.verdict == Verdict::Bad).map(|check| check.exit);
    let rank = |exit: &ExitCode| match exit {
        ExitCode::Damaged => 3,
        ExitCode::InUse => 2,
        _ => 1,
    };
    let first = bad.next();
    first.map_or(ExitCode::Ok, |first| bad.fold(first, |a, b| if rank(&b) > rank(&a) { b } else { a }))
}

/// What a node would run with.
#[derive(Clone, Debug)]
pub struct Patient {
    /// The network.
    pub params: Params,
    /// The node's folder.
    pub data_dir: PathBuf,
    /// Where its API would listen.
    pub api: SocketAddr,
    /// Where nodes and wallets would connect.
    pub listen: SocketAddr,
    /// Flags with which a command means this folder, a space before each.
    pub same: String,
}

/// Looks at everything that needs no running node. Answers whether one holds the folder, too.
#[must_use]
pub fn examine(patient: &Patient) -> (Vec<Check>, bool) {
    let dir = &patient.data_dir;
    let mut checks = vec![folder(dir), room(dir)];
    if !dir.is_dir() {
        checks.extend(ports(patient));
        return (checks, false);
    }
    let held = match FolderLock::acquire(dir, PROGRAM) {
        Ok(lock) => {
            checks.push(Check::ok("lock", "no process holds the folder"));
            // What a killed command left can be told from what one is doing only while nobody is.
            checks.extend(leftovers(dir));
            checks.push(store(patient));
            drop(lock);
            checks.extend(ports(patient));
            false
        }
        Err(error @ LockError::Held { .. }) => {
            checks.push(holder(dir, &error));
            true
        }
        Err(error) => {
            let fix = format!("make {} readable and writable for you", dir.display());
            checks.push(Check::failed("lock", error.into(), fix));
            false
        }
    };
    checks.push(last_backup(patient));
    (checks, held)
}

fn folder(dir: &Path) -> Check {
    match fs::metadata(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Check::ok("folder", format!("{} is not there yet; the first start makes it", dir.display()))
        }
        Err(error) => {
            let message = format!("{} cannot be looked at: {error}", dir.display());
            Check::bad("folder", message, "give another --data-dir".into(), ExitCode::Other)
        }
        Ok(meta) if !meta.is_dir() => {
            let message = format!("{} is no folder", dir.display());
            Check::bad("folder", message, "give another --data-dir".into(), ExitCode::Usage)
        }
        Ok(meta) => match open_to_others(&meta) {
            Some(mode) => Check::warn(
                "folder",
                format!("{} can be entered by others (mode {mode:o})", dir.display()),
                Some(format!("chmod 700 {}", words::shell(&dir.display().to_string()))),
            ),
            None => Check::ok("folder", format!("{} is yours alone", dir.display())),
        },
    }
}

/// The mode of a folder that others may read or enter.
#[cfg(unix)]
fn open_to_others(meta: &fs::Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    Some(meta.permissions().mode() & 0o777).filter(|mode| mode & 0o077 != 0)
}

#[cfg(not(unix))]
fn open_to_others(_meta: &fs::Metadata) -> Option<u32> {
    None
}

fn room(dir: &Path) -> Check {
    let there = dir.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let free = match disk::free_bytes(there) {
        Ok(free) => free,
        Err(error) => return Check::warn("disk", format!("free room is not known: {error}"), None),
    };
    let message = format!("{} free", words::bytes(free));
    let fix = || "make room on this disk, or move the folder to another".to_owned();
    if free < DISK_STOP_BYTES {
        Check::bad("disk", message, fix(), ExitCode::Other)
    } else if free < DISK_WARN_BYTES {
        Check::warn("disk", message, Some(fix()))
    } else {
        Check::ok("disk", message)
    }
}

fn holder(dir: &Path, held: &LockError) -> Check {
    if dir.join(NODE_FILE).exists() {
        return Check::ok("lock", held.to_string());
    }
    let message = format!("{held}, and it does not say where it answers: it starts, or is a command");
    Check::warn("lock", message, None)
}

/// What a command that was killed, or a repair, has left in the folder.
fn leftovers(dir: &Path) -> Vec<Check> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let half = [BUILD_FOLDER, "chain.new", "chain.discarded"];
    let mut found = Vec::new();
    for name in names {
        let what = if name.starts_with(KEPT_PREFIX) {
            "is a store that a repair replaced"
        } else if half.contains(&name.as_str()) {
            "was left half made by a command that was killed"
        } else {
            continue;
        };
        let path = dir.join(name);
        let size = words::bytes(disk::files_bytes(&path));
        let fix = format!("rm -r {}", words::shell(&path.display().to_string()));
        found.push(Check::warn("leftover", format!("{} {what} ({size})", path.display()), Some(fix)));
    }
    let cut = fs::read_dir(dir.join(STORE_FOLDER)).into_iter().flatten().flatten();
    if cut.into_iter().any(|entry| entry.file_name().to_string_lossy().ends_with(".generating")) {
        let message = "a snapshot of the store was cut short by a kill; it is removed when the store opens";
        found.push(Check::ok("snapshot", message));
    }
    found
}

/// Opens the store and judges it the quick way. The folder's lock is held.
fn store(patient: &Patient) -> Check {
    let folder = patient.data_dir.join(STORE_FOLDER);
    if !Store::is_there(&folder) {
        return Check::ok("store", "there is no chain yet; the first start makes one");
    }
    let genesis = patient.params.genesis();
    let fix = format!("steelyard-node repair{}", patient.same);
    let store = match Store::open(&folder, &genesis.id.into()) {
        Ok(store) => store,
        Err(error) => return Check::failed("store", error.into(), fix),
    };
    match verify::of_stopped((&patient.params, &genesis), &store, false, &mut |_, _| ()) {
        Ok(report) => {
            let blocks = words::count(report.blocks, "block");
            Check::ok("store", format!("opens, and its last {blocks} are in order"))
        }
        Err(failure) => {
            let error = CliError::from(failure);
            Check::bad("store", error.message, fix, error.exit)
        }
    }
}

/// Whether the ports can be had. Port 0 takes any.
fn ports(patient: &Patient) -> Vec<Check> {
    let look = |(name, flag, address): (&'static str, &str, SocketAddr)| {
        if address.port() == 0 {
            return Check::ok(name, "takes any free port");
        }
        match TcpListener::bind(address) {
            Ok(_) => Check::ok(name, format!("{address} is free")),
            Err(error) => {
                let message = format!("{address} cannot be had: {error}");
                let fix =
                    format!("stop who listens there (ss -ltnp), or take a free port: {flag} 127.0.0.1:0");
                let is_taken = error.kind() == ErrorKind::AddrInUse;
                Check::bad(name, message, fix, if is_taken { ExitCode::InUse } else { ExitCode::Usage })
            }
        }
    };
    [("api_port", "--api", patient.api), ("p2p_port", "--listen", patient.listen)].map(look).into()
}

fn last_backup(patient: &Patient) -> Check {
    let how = || Some(format!("steelyard-node backup DIR{}", patient.same));
    let note: Note = match ready::read_json(&patient.data_dir.join(NOTE_FILE)) {
        Ok(note) => note,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Check::ok("backup", "none was made from this folder");
        }
        Err(error) => return Check::warn("backup", format!("{NOTE_FILE} cannot be read: {error}"), how()),
    };
    let age = words::age(clock::now_ms().saturating_sub(note.time));
    if note.dir.join(MANIFEST_FILE).is_file() {
        Check::ok("backup", format!("the last is {}, {age} old", note.dir.display()))
    } else {
        let message = format!("the last, {}, {age} ago, is gone or was not finished", note.dir.display());
        Check::warn("backup", message, how())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_decides() {
        let bad = |exit| Check::bad("a", "b", String::new(), exit);
        let (fine, dubious) = (Check::ok("a", "b"), Check::warn("a", "b", None));
        assert_eq!(worst(&[fine.clone(), dubious.clone()]), ExitCode::Ok);
        assert_eq!(worst(&[dubious, bad(ExitCode::Other), fine]), ExitCode::Other);
        let all = [bad(ExitCode::Usage), bad(ExitCode::InUse), bad(ExitCode::Damaged), bad(ExitCode::Other)];
        assert_eq!(worst(&all[..2]), ExitCode::InUse);
        assert_eq!(worst(&all), ExitCode::Damaged);
    }
}
