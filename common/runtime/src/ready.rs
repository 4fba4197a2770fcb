//! Small files written whole or not at all: ready files, notes, token files.
//! Must not know what they say.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rand::Rng;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{dirs, failpoint};

/// Bytes of the largest small file that is read back.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What the name of a file ends with while it is written.
const BESIDE_ENDS: &str = ".tmp";

/// Writes `bytes` to `path` with the given mode (0600 for anything private): a reader sees the old
/// file or the new one, also after a power cut.
///
/// # Errors
/// Those of the machine; the old file is then untouched and nothing is left behind.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = folder_of(path);
    let beside = beside(&folder, path)?;
    let written = write_new(&beside, bytes, mode).and_then(|()| {
        failpoint::hit("file.before_rename");
        fs::rename(&beside, path)
    });
    if written.is_err() {
        // The first failure is the one to tell; the rest of it goes if it can.
        let _ = fs::remove_file(&beside);
        return written;
    }
    dirs::sync_dir(&folder)
}

/// Removes what writers of `path` left beside it when they were killed.
///
/// # Errors
/// Those of the machine.
pub fn remove_leftovers(path: &Path) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let begins = format!(".{}.", name.to_string_lossy());
    for entry in fs::read_dir(folder_of(path))? {
        let entry = entry?;
        let found = entry.file_name();
        let middle = found.to_str().and_then(|name| name.strip_prefix(&begins)?.strip_suffix(BESIDE_ENDS));
        if middle.is_some_and(|middle| middle.len() == 16 && u64::from_str_radix(middle, 16).is_ok()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Writes `value` as JSON to `path`, mode 0600; see [`write_atomically`].
///
/// # Errors
/// Those of the machine, and of values JSON cannot hold (maps without string keys).
pub fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    write_atomically(path, &text, 0o600)
}

/// Reads a JSON file of at most [`FILE_BYTES_MAX`] bytes.
///
/// # Errors
/// Those of the machine; `InvalidData` when it is too long or not what is expected.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    let text = read_bounded(path)?;
    serde_json::from_slice(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Reads a file of at most [`FILE_BYTES_MAX`] bytes.
///
/// # Errors
/// Those of the machine; `InvalidData` when it is too long.
pub fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is too long"));
    }
    Ok(bytes)
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// A name in the same folder that no other writer takes.
fn beside(folder: &Path, path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{:016x}{BESIDE_ENDS}", rand::rng().random::<u64>()));
    Ok(folder.join(hidden))
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(mode);
    }
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Note {
        pid: u32,
        api: String,
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_note_is_read_back_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ready.json");
        for pid in [1, 2] {
            let note = Note { pid, api: "127.0.0.1:1".to_owned() };
            write_json(&path, &note).unwrap();
            assert_eq!(read_json::<Note>(&path).unwrap(), note);
        }
        assert_eq!(names(dir.path()), ["ready.json"]);
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        fs::create_dir(&path).unwrap();
        assert!(write_atomically(&path, b"x", 0o600).is_err());
        assert_eq!(names(dir.path()), ["taken"]);
        assert!(write_atomically(&dir.path().join("no/where"), b"x", 0o600).is_err());
    }

    #[test]
    fn what_killed_writers_left_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("note");
        let others = [".note.000000000000000g.tmp", ".note.tmp", ".notes.0123456789abcdef.tmp", "note"];
        for name in others {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        fs::write(beside(dir.path(), &path).unwrap(), "half").unwrap();
        remove_leftovers(&path).unwrap();
        let mut left = names(dir.path());
        left.sort();
        assert_eq!(left, others);
    }

    #[test]
    fn what_is_no_note_is_invalid_data() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("note");
        fs::write(&path, "{\"pid\":").unwrap();
        assert_eq!(read_json::<Note>(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let long = FILE_BYTES_MAX + 1;
        File::create(&path).unwrap().set_len(long).unwrap();
        assert_eq!(read_bounded(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        fs::remove_file(&path).unwrap();
        assert_eq!(read_json::<Note>(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[cfg(unix)]
    #[test]
    fn the_mode_is_the_one_asked_for() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, "old and open").unwrap();
        write_atomically(&path, b"new", 0o600).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
