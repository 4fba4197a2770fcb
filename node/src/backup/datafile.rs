//! Data files: a line that says what follows, then entries, each a key's length (u8), a value's
//! length (u32, little-endian), key and value. Written and read one entry at a time. Must not know
//! what entries mean.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use steelyard_runtime::sled_door::{Entry, VALUE_BYTES_MAX};

use super::{BackupError, FileNote, data_name};
use crate::limits::{BACKUP_FILE_BYTES_MAX, BACKUP_FILES_MAX};

/// What a data file begins with.
const MAGIC: &[u8] = b"steelyard backup entries 1\n";
/// Bytes that are read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Creates a file for its owner alone, where none is.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

/// Writes entries into as many files as they need.
pub(super) struct Writer<'a> {
    dir: &'a Path,
    current: Option<Current>,
    /// The files that are whole and durable.
    files: Vec<FileNote>,
    entries: u64,
}

struct Current {
    path: PathBuf,
    out: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl Current {
    fn put(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        for part in parts {
            self.out.write_all(part)?;
            self.hash.update(part);
            self.bytes += part.len() as u64;
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<FileNote> {
        self.out.flush()?;
        self.out.get_ref().sync_all()?;
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned());
        let sha256 = hex::encode(self.hash.finalize());
        Ok(FileNote { name: name.unwrap_or_default(), bytes: self.bytes, sha256 })
    }
}

impl<'a> Writer<'a> {
    pub(super) fn new(dir: &'a Path) -> Self {
        Self { dir, current: None, files: Vec::new(), entries: 0 }
    }

    /// Appends an entry.
    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), BackupError> {
        let key_length = u8::try_from(key.len()).expect("keys of the store have 13 bytes");
        let length = u32::try_from(value.len()).expect("values of the store have at most 32 KiB");
        let bytes = (1 + 4 + key.len() + value.len()) as u64;
        if self.current.as_ref().is_some_and(|current| current.bytes + bytes > BACKUP_FILE_BYTES_MAX) {
            self.close()?;
        }
        let mut current = match self.current.take() {
            Some(current) => current,
            None => self.open()?,
        };
        let put = current.put(&[&[key_length], &length.to_le_bytes(), key, value]);
        put.map_err(|source| BackupError::io("write", &current.path, source))?;
        self.current = Some(current);
        self.entries += 1;
        Ok(())
    }

    /// Ends the last file, and gives all of them with the number of their entries.
    pub(super) fn finish(mut self) -> Result<(Vec<FileNote>, u64), BackupError> {
        self.close()?;
        Ok((self.files, self.entries))
    }

    fn open(&self) -> Result<Current, BackupError> {
        if self.files.len() >= BACKUP_FILES_MAX {
            return Err(BackupError::TooLarge);
        }
        let path = self.dir.join(data_name(self.files.len()));
        let failed = |source| BackupError::io("write", &path, source);
        let out = BufWriter::new(create(&path).map_err(failed)?);
        let mut current = Current { path: path.clone(), out, hash: Sha256::new(), bytes: 0 };
        current.put(&[MAGIC]).map_err(failed)?;
        Ok(current)
    }

    fn close(&mut self) -> Result<(), BackupError> {
        let Some(current) = self.current.take() else { return Ok(()) };
        let path = current.path.clone();
        self.files.push(current.finish().map_err(|source| BackupError::io("write", &path, source))?);
        Ok(())
    }
}

/// Holds a file against what is noted of it. `each` hears how many bytes are read.
pub(super) fn check(dir: &Path, note: &FileNote, each: &mut dyn FnMut(u64)) -> Result<(), BackupError> {
    let path = dir.join(&note.name);
    let mut file = File::open(&path).map_err(|source| unreadable(&path, source))?;
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let length = file.read(&mut piece).map_err(|source| unreadable(&path, source))?;
        if length == 0 {
            break;
        }
        hash.update(&piece[..length]);
        bytes += length as u64;
        each(length as u64);
    }
    if bytes != note.bytes {
        return Err(BackupError::damaged(&path, &format!("it has {bytes} bytes, not {}", note.bytes)));
    }
    if hex::encode(hash.finalize()) != note.sha256 {
        return Err(BackupError::damaged(&path, "its checksum does not match"));
    }
    Ok(())
}

/// Calls `each` with every entry of a file, and the bytes it takes there.
pub(super) fn for_each_entry(
    path: &Path,
    mut each: impl FnMut(Entry, u64) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let short = |source| unreadable(path, source);
    let mut input = BufReader::with_capacity(PIECE_BYTES, File::open(path).map_err(short)?);
    let mut magic = [0; MAGIC.len()];
    input.read_exact(&mut magic).map_err(short)?;
    if magic != MAGIC {
        return Err(BackupError::damaged(path, "it is no data file"));
    }
    let mut key_length = [0; 1];
    while input.read(&mut key_length).map_err(short)? > 0 {
        let mut length = [0; 4];
        input.read_exact(&mut length).map_err(short)?;
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
        if length > VALUE_BYTES_MAX {
            return Err(BackupError::damaged(path, "an entry is longer than any can be"));
        }
        let mut entry = (vec![0; usize::from(key_length[0])], vec![0; length]);
        input.read_exact(&mut entry.0).map_err(short)?;
        input.read_exact(&mut entry.1).map_err(short)?;
        let bytes = (1 + 4 + entry.0.len() + entry.1.len()) as u64;
        each(entry, bytes)?;
    }
    Ok(())
}

/// A file that is not there or ends too early is damage, and not the machine's refusal.
fn unreadable(path: &Path, source: io::Error) -> BackupError {
    match source.kind() {
        io::ErrorKind::NotFound => BackupError::damaged(path, "it is missing"),
        io::ErrorKind::UnexpectedEof => BackupError::damaged(path, "it ends too early"),
        _ => BackupError::io("read", path, source),
    }
}
