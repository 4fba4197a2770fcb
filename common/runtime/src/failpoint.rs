//! Named places where a debug build can be made to die, and bounds that it can be made to reach
//! soon, for crash tests.
//!
//! `STEELYARD_FAILPOINT=name` kills the process at the first hit of `name`, `name@N` at the N-th;
//! `STEELYARD_LOWERED=name=N,…` lowers bounds. Release builds hold nothing of this. Must not know
//! what happens at the places, nor what the bounds are for.

/// Dies here, without unwinding or flushing, if the environment says so.
#[cfg(debug_assertions)]
pub fn hit(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static CHOSEN: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static HITS: AtomicU64 = AtomicU64::new(0);

    let chosen = CHOSEN.get_or_init(|| std::env::var("STEELYARD_FAILPOINT").ok().map(|text| parsed(&text)));
    let Some((place, at)) = chosen else { return };
    if place == name && HITS.fetch_add(1, Ordering::SeqCst) + 1 == *at {
        std::process::abort();
    }
}

/// Does nothing in release builds.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn hit(_name: &str) {}

/// The bound that is named, or what the environment lowers it to.
#[cfg(debug_assertions)]
pub fn lowered(name: &str, bound: u64) -> u64 {
    use std::sync::OnceLock;

    static CHOSEN: OnceLock<String> = OnceLock::new();

    let chosen = CHOSEN.get_or_init(|| std::env::var("STEELYARD_LOWERED").unwrap_or_default());
    lowered_by(chosen, name).map_or(bound, |lower| lower.min(bound))
}

/// The bound, in release builds.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn lowered(_name: &str, bound: u64) -> u64 {
    bound
}

/// What a list of `name=N` says of a name.
#[cfg(debug_assertions)]
fn lowered_by(list: &str, name: &str) -> Option<u64> {
    let mut pairs = list.split(',').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).and_then(|(_, number)| number.parse().ok())
}

/// The name and at which hit, counted from 1. A count that is no number is part of the name.
#[cfg(debug_assertions)]
fn parsed(text: &str) -> (String, u64) {
    let counted = text.rsplit_once('@').and_then(|(name, count)| Some((name, count.parse().ok()?)));
    match counted {
        Some((name, count)) => (name.to_owned(), count),
        None => (text.to_owned(), 1),
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_name_may_carry_a_count() {
        assert_eq!(parsed("commit.after_flush"), ("commit.after_flush".to_owned(), 1));
        assert_eq!(parsed("commit.after_flush@3"), ("commit.after_flush".to_owned(), 3));
        assert_eq!(parsed("a@b"), ("a@b".to_owned(), 1));
    }

    #[test]
    fn a_bound_is_lowered_by_its_name() {
        assert_eq!(lowered_by("reopen=5,other=7", "other"), Some(7));
        assert_eq!(lowered_by("reopen=x,other", "reopen"), None);
        assert_eq!(lowered_by("", "other"), None);
        assert_eq!(lowered("nobody.names.this", 9), 9);
    }

    /// Passes when no failpoint is chosen; the next test runs it in a child with one.
    #[test]
    fn three_hits() {
        for _ in 0..3 {
            hit("test.three_hits");
        }
        hit("test.other");
    }

    #[test]
    fn the_process_dies_at_the_chosen_hit_only() {
        let survives = |failpoint: &str| {
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["failpoint::tests::three_hits", "--exact"])
                .env("STEELYARD_FAILPOINT", failpoint)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            status.unwrap().success()
        };
        assert!(!survives("test.three_hits"));
        assert!(!survives("test.three_hits@3"));
        assert!(survives("test.three_hits@4"));
        assert!(survives("test.nobody"));
    }
}
