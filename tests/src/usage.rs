//! What another process uses, as Linux tells: memory, processor time, open files. Must not judge.

/// Ticks a second in which Linux states processor time to programs (USER_HZ, fixed by its ABI).
const TICKS_PER_SECOND: f64 = 100.0;

/// Unit of `st_blocks` (Linux, inode(7)).
const BLOCK_BYTES: u64 = 512;

/// Bytes of memory that a process has in use.
///
/// # Panics
/// There is no such process, or no Linux.
#[must_use]
pub fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells it");
    let kib = line.split_whitespace().next().and_then(|text| text.parse::<u64>().ok());
    1024 * kib.expect("a number of KiB")
}

/// Seconds of processor time of all threads of a process so far.
///
/// # Panics
/// There is no such process, or no Linux.
#[must_use]
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    // The program's name, in brackets, may hold spaces; utime and stime are fields 14 and 15.
    let after_name = stat.rsplit_once(')').expect("a name in brackets").1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |field: usize| fields[field - 3].parse::<f64>().expect("a number of ticks");
    (ticks(14) + ticks(15)) / TICKS_PER_SECOND
}

/// Files and sockets that a process has open.
///
/// # Panics
/// There is no such process, or no Linux.
#[must_use]
pub fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the process runs").count()
}

/// Bytes of disk that the files of a folder take, those that are being written among them.
///
/// # Panics
/// There is no such folder.
#[must_use]
pub fn disk_bytes(folder: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).expect("the folder is there").flatten() {
        // What went meanwhile takes nothing.
        let Ok(about) = entry.metadata() else { continue };
        bytes += if about.is_dir() { disk_bytes(&entry.path()) } else { about.blocks() * BLOCK_BYTES };
    }
    bytes
}
