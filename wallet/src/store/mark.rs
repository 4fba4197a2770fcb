//! A witness beside sled's files of how many durable commits there were: a database file that was
//! cut short opens without a word as what it was some commits ago, and a wallet that forgets a
//! payment makes it twice. Must not know what a commit holds.
//!
//! The mark is written after its commit is durable and is not synced itself: it survives a kill, and
//! after a power cut it may be behind, never ahead. So a store with fewer commits than the mark
//! says has lost some, and nothing else follows from it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

/// Its file in the store's folder.
const MARK_FILE: &str = "commits";
/// Count and check.
const MARK_BYTES: usize = 16;

/// The open mark. It goes with its folder when that is renamed.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
}

impl Mark {
    /// Opens or makes the mark, readable by its owner alone. Answers what it says; `None` where it is
    /// new, or not whole: then nothing can be told.
    pub(super) fn open(dir: &Path) -> io::Result<(Self, Option<u64>)> {
        let path = dir.join(MARK_FILE);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        let mut bytes = Vec::with_capacity(MARK_BYTES + 1);
        Read::take(&mut file, MARK_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok((Self { file }, read(&bytes)))
    }

    /// Says that there were so many.
    pub(super) fn set(&mut self, commits: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&bytes_of(commits))
    }

    /// Makes it durable, for a new store.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

fn bytes_of(commits: u64) -> [u8; MARK_BYTES] {
    let mut bytes = [0; MARK_BYTES];
    bytes[..8].copy_from_slice(&commits.to_le_bytes());
    let digest: [u8; 32] = Sha256::digest(commits.to_le_bytes()).into();
    bytes[8..].copy_from_slice(&digest[..8]);
    bytes
}

fn read(bytes: &[u8]) -> Option<u64> {
    let commits = u64::from_le_bytes(*bytes.first_chunk()?);
    (bytes == bytes_of(commits)).then_some(commits)
}
