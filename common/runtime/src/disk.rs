//! How much room a disk has, and how much files take of it. Must not know who wants to write.
//!
//! Debug builds take the number in the file that `STEELYARD_FREE_BYTES_FILE` names instead, where there
//! is one: tests fill a disk with it, and make room again. Release builds hold nothing of this.

use std::path::Path;
use std::{fs, io};

/// Bytes that a program without privileges may still write to the filesystem that holds `path`.
///
/// # Errors
/// The machine's, of a path that is not there among them.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    if let Some(pretended) = pretended() {
        return Ok(pretended);
    }
    let filesystem = rustix::fs::statvfs(path)?;
    Ok(filesystem.f_bavail.saturating_mul(filesystem.f_frsize))
}

#[cfg(debug_assertions)]
fn pretended() -> Option<u64> {
    let file = std::env::var_os("STEELYARD_FREE_BYTES_FILE")?;
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(not(debug_assertions))]
fn pretended() -> Option<u64> {
    None
}

/// Bytes of all files below a folder; what cannot be read counts nothing.
#[must_use]
pub fn files_bytes(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => files_bytes(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_room_and_a_missing_one_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(free_bytes(dir.path()).unwrap() > 0);
        let missing = free_bytes(&dir.path().join("missing")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
