//! How much room a disk has. Must not know who wants to write.

use std::io;
use std::path::Path;

/// Bytes that a program without privileges may still write to the filesystem that holds `path`.
///
/// # Errors
/// The machine's, of a path that is not there among them.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let filesystem = rustix::fs::statvfs(path)?;
    Ok(filesystem.f_bavail.saturating_mul(filesystem.f_frsize))
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
