//! A disk under a node: a folder of which every change is written down, and which can be made to
//! fill up, to fail or to take the process with it. `tests/shim/disk.c` is the half of this that is
//! loaded into the process; [`Disk`] holds its strings, [`read_log`] reads what it wrote down. Linux
//! only. Must not know what the files hold.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::process::Launch;

/// A folder that programs use through the shim. Deleted when dropped, unless a test has failed.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
    _folder: Evidence,
}

/// What the shim is told: a word each of `struct control`, in its order.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
enum Word {
    Room,
    WriteFailsIn,
    SyncFailsIn,
    DiesIn,
}

/// Words of `struct control`, each of 8 bytes.
const WORDS: usize = 4;

impl Disk {
    /// An empty folder, and the shim built for it.
    ///
    /// # Panics
    /// There is no C compiler, or no room.
    #[must_use]
    pub fn new() -> Self {
        let folder = Evidence::new();
        // Without links: the shim compares names.
        let base = folder.path().canonicalize().expect("the folder is there");
        let disk = Self { root: base.join("disk"), _folder: folder };
        fs::create_dir(&disk.root).expect("the folder can be written");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("shim/disk.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&disk.beside("disk.so"), &source])
            .arg("-ldl")
            .output()
            .unwrap_or_else(|error| {
                panic!("these tests need a C compiler, and `cc` does not start: {error}")
            });
        assert!(built.status.success(), "disk.c: {}", String::from_utf8_lossy(&built.stderr));
        let nothing = (-1_i64).to_le_bytes().repeat(WORDS);
        fs::write(disk.beside("control"), nothing).expect("the folder can be written");
        disk
    }

    /// The folder whose changes are followed.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A launch whose process uses this disk.
    #[must_use]
    pub fn under(&self, launch: Launch) -> Launch {
        self.env().into_iter().fold(launch, |launch, (name, value)| launch.env(name, &value))
    }

    /// What a process that uses this disk has in its environment.
    #[must_use]
    pub fn env(&self) -> [(&'static str, String); 4] {
        let text = |path: &Path| path.to_str().expect("a plain path").to_owned();
        [
            ("LD_PRELOAD", text(&self.beside("disk.so"))),
            ("SHIM_DISK_ROOT", text(&self.root)),
            ("SHIM_DISK_LOG", text(&self.log())),
            ("SHIM_DISK_CONTROL", text(&self.beside("control"))),
        ]
    }

    /// The log's file.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.beside("log")
    }

    /// Where the log ends now. Whatever was answered before this was asked was done before it.
    #[must_use]
    pub fn moment(&self) -> u64 {
        fs::metadata(self.log()).map_or(0, |meta| meta.len())
    }

    /// So many more bytes can be written; `None` for any number.
    pub fn set_room(&self, bytes: Option<u32>) {
        self.set(Word::Room, bytes.map_or(-1, i64::from));
    }

    /// The write after so many fails with an error of the device, once.
    pub fn fail_write_after(&self, writes: u32) {
        self.set(Word::WriteFailsIn, i64::from(writes));
    }

    /// The sync of a file after so many fails with an error of the device: each open file is told
    /// once, as Linux does, and what was not synced is lost.
    pub fn fail_sync_after(&self, syncs: u32) {
        self.set(Word::SyncFailsIn, i64::from(syncs));
    }

    /// The process kills itself after so many operations, between two of them.
    pub fn kill_after(&self, operations: u32) {
        self.set(Word::DiesIn, i64::from(operations));
    }

    fn set(&self, word: Word, value: i64) {
        // Written in place, as the shim has the file mapped; one aligned word is seen whole.
        let mut control =
            File::options().write(true).open(self.beside("control")).expect("the file is there");
        control.seek(SeekFrom::Start(8 * word as u64)).expect("the file is there");
        control.write_all(&value.to_le_bytes()).expect("there is room");
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.root.with_file_name(name)
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self::new()
    }
}

/// A folder for a test, deleted when dropped; of a test that has failed it is left behind, and named.
#[derive(Debug)]
pub struct Evidence(TempDir);

impl Evidence {
    /// An empty one.
    ///
    /// # Panics
    /// There is no room.
    #[must_use]
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("there is room for a folder"))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Default for Evidence {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Evidence {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.disable_cleanup(true);
            eprintln!("left behind: {}", self.path().display());
        }
    }
}

/// One operation below the folder. A file is known by its inode's number, which a later file may
/// have again; paths are below the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each operation says what its fields are")]
pub enum Operation {
    /// A new, empty file.
    Create { file: u64, path: PathBuf },
    /// Bytes at a place.
    Write { file: u64, at: usize, bytes: Vec<u8> },
    /// Another length.
    Resize { file: u64, length: usize },
    /// Everything done to this file before is durable.
    Sync { file: u64 },
    /// A sync failed: what was not durable will never be.
    SyncFailed { file: u64 },
    /// A file or folder has another name, in place of what had it.
    Rename { from: PathBuf, to: PathBuf },
    /// A file has a second name.
    Link { from: PathBuf, to: PathBuf },
    /// A file's name is gone.
    Unlink { path: PathBuf },
    /// A new folder.
    MakeFolder { path: PathBuf },
    /// An empty folder is gone.
    RemoveFolder { path: PathBuf },
    /// Every name in this folder is durable.
    SyncFolder { path: PathBuf },
}

/// Bytes of a record's fixed part: `struct head`.
const HEAD_BYTES: usize = 32;

/// The log of a disk: each operation, and where its record ends.
///
/// # Panics
/// It is not whole, or of operations that are not known.
#[must_use]
pub fn read_log(disk: &Disk) -> Vec<(Operation, u64)> {
    let bytes = fs::read(disk.log()).expect("a process has used the disk");
    let mut rest = &bytes[..];
    let mut operations = Vec::new();
    while !rest.is_empty() {
        let operation = take_record(&mut rest, disk.root());
        operations.push((operation, (bytes.len() - rest.len()) as u64));
    }
    operations
}

fn take_record(rest: &mut &[u8], root: &Path) -> Operation {
    let mut take = |length: usize| {
        let (head, tail) = rest.split_at_checked(length).expect("the log ends with a whole record");
        *rest = tail;
        head
    };
    let head = take(HEAD_BYTES);
    let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
    let long = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
    let [path, to, data] = [4, 8, 12].map(|at| take(word(at) as usize));
    let below = |path: &[u8]| {
        let path = PathBuf::from(String::from_utf8(path.to_vec()).expect("tests use plain paths"));
        path.strip_prefix(root).expect("only what is below the folder is written down").to_path_buf()
    };
    let (file, at) = (long(16), usize::try_from(long(24)).expect("files of tests are small"));
    match word(0) {
        1 => Operation::Create { file, path: below(path) },
        2 => Operation::Write { file, at, bytes: data.to_vec() },
        3 => Operation::Resize { file, length: at },
        4 => Operation::Sync { file },
        5 => Operation::SyncFailed { file },
        6 => Operation::Rename { from: below(path), to: below(to) },
        7 => Operation::Unlink { path: below(path) },
        8 => Operation::MakeFolder { path: below(path) },
        9 => Operation::RemoveFolder { path: below(path) },
        10 => Operation::SyncFolder { path: below(path) },
        11 => Operation::Link { from: below(path), to: below(to) },
        kind => panic!("the log has an operation {kind}"),
    }
}
