//! What the system says of this process, as far as it says it (nothing where there is no `/proc`), and
//! memory given back to it. Must not know who wants to know.

use std::fs;

/// Memory that is resident, in bytes.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    resident_of(&fs::read_to_string("/proc/self/status").ok()?)
}

/// File descriptors that are open.
#[must_use]
pub fn open_files() -> Option<u64> {
    let listed = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    // The list is one of them while it is read.
    Some(listed.saturating_sub(1))
}

/// Lets threads share as many heaps as there are cores. glibc would make eight a core, each of which fills
/// holes with its own threads' values alone: a node under load then keeps half as much again as it uses.
/// For the beginning of a program, before it has threads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "a foreign call without arguments that touch memory of ours")]
pub fn share_heaps() {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // SAFETY: mallopt changes a setting of the allocator, which no other thread reads yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, cores.try_into().unwrap_or(libc::c_int::MAX));
    }
}

/// Lets threads share heaps, where they would not.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn share_heaps() {}

/// Returns freed memory to the system: glibc keeps what was freed, a part for each thread. Who
/// allocates meanwhile may wait for it: for now and then, not for every piece of work.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "a foreign call without arguments that touch memory of ours")]
pub fn give_memory_back() {
    // SAFETY: malloc_trim may be called at any time from any thread; it only frees unused pages.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Returns freed memory to the system, where that has to be asked for.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_memory_back() {}

/// `/proc/self/status` says it in KiB; `statm` would in pages, whose size it does not say.
fn resident_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_resident_is_read_and_nothing_else_is_taken_for_it() {
        assert_eq!(resident_of("Name:\tx\nVmHWM:\t  9 kB\nVmRSS:\t    1234 kB\n"), Some(1_263_616));
        for other in
            ["", "VmRSS:\t12", "VmRSS:\tmany kB", "RssAnon:\t 12 kB", "VmRSS: 99999999999999999999 kB"]
        {
            assert_eq!(resident_of(other), None, "{other}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory_and_files() {
        assert!(resident_bytes().unwrap() > 100_000);
        let before = open_files().unwrap();
        let file = fs::File::open("/proc/self/status").unwrap();
        assert!(before > 0 && open_files().is_some());
        drop(file);
    }
}
