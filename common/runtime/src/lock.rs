//! One process per folder: the kernel's lock on a file named `LOCK`, which says who holds it.
//! Must not know what else the folder holds.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::dirs;
use crate::exit::CliError;

/// Name of the lock file in its folder.
pub const LOCK_FILE: &str = "LOCK";

/// Bytes of a lock file that are read; a longer one is not ours.
const LOCK_BYTES_MAX: u64 = 4096;

/// Who holds a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// The program's name.
    pub program: String,
}

/// Why a folder could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{} is in use{}", dir.display(), by(holder.as_ref()))]
    Held {
        /// The folder.
        dir: PathBuf,
        /// Who holds it, where it could be read.
        holder: Option<Holder>,
    },
    /// The folder or its lock file cannot be made or written.
    #[error("cannot lock {}: {source}", dir.display())]
    Io {
        /// The folder.
        dir: PathBuf,
        /// The machine's answer.
        source: io::Error,
    },
}

impl From<LockError> for CliError {
    fn from(error: LockError) -> CliError {
        let message = error.to_string();
        match error {
            LockError::Held { .. } => CliError::in_use("folder_in_use", message)
                .with_hint("stop that process, or choose another folder with --data-dir"),
            LockError::Io { .. } => CliError::other("folder_unavailable", message),
        }
    }
}

fn by(holder: Option<&Holder>) -> String {
    holder.map_or(String::new(), |holder| format!(" by {} (process {})", holder.program, holder.pid))
}

/// A held folder, until dropped or the process dies, however it dies.
#[derive(Debug)]
pub struct FolderLock {
    file: File,
}

impl FolderLock {
    /// Takes `dir` for this process, creating it (0700) when missing.
    ///
    /// # Errors
    /// [`LockError::Held`] at once when another holds it; [`LockError::Io`].
    pub fn acquire(dir: &Path, program: &str) -> Result<FolderLock, LockError> {
        let failed = |source| LockError::Io { dir: dir.to_path_buf(), source };
        dirs::create_private(dir).map_err(failed)?;
        let mut file = open(&dir.join(LOCK_FILE)).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = read(&mut file);
                return Err(LockError::Held { dir: dir.to_path_buf(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let holder = Holder { pid: std::process::id(), program: program.to_owned() };
        write(&mut file, &holder).map_err(failed)?;
        Ok(FolderLock { file })
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // The name of one who is gone would mislead.
        let _ = self.file.set_len(0);
        // Closing the file is not enough while a child being started still shares its handle.
        let _ = self.file.unlock();
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

/// `None` when the holder has not written its name yet.
fn read(file: &mut File) -> Option<Holder> {
    let mut text = Vec::new();
    file.take(LOCK_BYTES_MAX).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn write(file: &mut File, holder: &Holder) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(serde_json::to_string(holder)?.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_was_first() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("node");
        let first = FolderLock::acquire(&folder, "steelyard-node").unwrap();
        let error = FolderLock::acquire(&folder, "steelyard-wallet").unwrap_err();
        let LockError::Held { holder: Some(holder), .. } = &error else { panic!("{error:?}") };
        assert_eq!(holder, &Holder { pid: std::process::id(), program: "steelyard-node".to_owned() });
        let text = format!("is in use by steelyard-node (process {})", std::process::id());
        assert!(error.to_string().ends_with(&text));
        drop(first);
        FolderLock::acquire(&folder, "steelyard-wallet").unwrap();
    }

    #[test]
    fn a_dead_holders_name_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let long = Holder { pid: 1, program: "x".repeat(100) };
        std::fs::write(dir.path().join(LOCK_FILE), serde_json::to_vec(&long).unwrap()).unwrap();
        let _held = FolderLock::acquire(dir.path(), "steelyard-node").unwrap();
        let text = std::fs::read_to_string(dir.path().join(LOCK_FILE)).unwrap();
        assert_eq!(serde_json::from_str::<Holder>(&text).unwrap().program, "steelyard-node");
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_read_folder_or_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        let _held = FolderLock::acquire(&folder, "steelyard-node").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join(LOCK_FILE)), 0o600);
    }
}
