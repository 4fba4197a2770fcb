//! The watch over the room on the node's disk: plenty, low, full. While it is full nothing is taken that
//! would have to be written; what is committed is read as ever, and all goes on by itself once there is
//! room. [`Shared::is_disk_full`] is where everybody who takes something looks. Must not know who that is.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use steelyard_runtime::{disk, words};

use crate::chain::view::Shared;
use crate::limits::{DISK_LOOK_MS, DISK_MARGIN_PERCENT, DISK_STOP_BYTES, DISK_WARN_BYTES};

/// Free bytes below which something is done; 0 for never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskLimits {
    /// The operator is warned.
    pub warn_bytes: u64,
    /// Nothing more is taken.
    pub stop_bytes: u64,
}

impl Default for DiskLimits {
    fn default() -> Self {
        Self { warn_bytes: DISK_WARN_BYTES, stop_bytes: DISK_STOP_BYTES }
    }
}

impl DiskLimits {
    /// How much room so many free bytes are, after it was as `before`: a bound that was passed is only
    /// left again with a margin, so that nothing goes on and off.
    #[must_use]
    pub fn judge(&self, before: Room, free: u64) -> Room {
        let is_below =
            |bound: u64, was_below: bool| free < if was_below { with_margin(bound) } else { bound };
        if is_below(self.stop_bytes, before == Room::Full) {
            Room::Full
        } else if is_below(self.warn_bytes, before != Room::Plenty) {
            Room::Low
        } else {
            Room::Plenty
        }
    }
}

fn with_margin(bound: u64) -> u64 {
    bound.saturating_add(bound / 100 * DISK_MARGIN_PERCENT)
}

/// How much room there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Room {
    /// Enough.
    #[default]
    Plenty,
    /// The operator should make some.
    Low,
    /// Nothing more is taken.
    Full,
}

/// The disk of a node's folder, as of the last look.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
    limits: DiskLimits,
    seen: Mutex<Seen>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    room: Room,
    /// `None` where the system does not say.
    free: Option<u64>,
}

/// Looks at once, and then again and again until the node stops.
///
/// # Errors
/// The machine has no thread left.
pub fn start(
    shared: &Arc<Shared>,
    dir: &Path,
    limits: DiskLimits,
) -> std::io::Result<(Arc<Disk>, JoinHandle<()>)> {
    let disk = Arc::new(Disk::new(dir, limits));
    disk.look(shared);
    let (watched, shared) = (Arc::clone(&disk), Arc::clone(shared));
    let thread = std::thread::Builder::new().name("disk".into()).spawn(move || {
        while shared.rest(Duration::from_millis(DISK_LOOK_MS)) {
            watched.look(&shared);
        }
    })?;
    Ok((disk, thread))
}

impl Disk {
    /// A disk that nobody has looked at.
    #[must_use]
    pub fn new(dir: &Path, limits: DiskLimits) -> Self {
        Self { dir: dir.to_path_buf(), limits, seen: Mutex::default() }
    }

    fn look(&self, shared: &Shared) {
        match disk::free_bytes(&self.dir) {
            Ok(free) => self.note(shared, free),
            Err(error) => {
                // What was seen before stands: a disk is not full because it does not answer.
                let before = self.seen();
                self.set(Seen { free: None, ..before });
                if before.free.is_some() {
                    tracing::warn!(%error, "cannot see how much room the disk has");
                }
            }
        }
    }

    /// Takes in that so many bytes are free.
    pub(crate) fn note(&self, shared: &Shared, free: u64) {
        let before = self.seen().room;
        let room = self.limits.judge(before, free);
        self.set(Seen { room, free: Some(free) });
        if room == before {
            return;
        }
        match self.warning() {
            Some((code, text)) => tracing::warn!(code, "{text}"),
            None => tracing::info!(free, "there is room on the disk again"),
        }
        shared.tick(|ticks| ticks.disk_full = room == Room::Full);
    }

    /// How much room there is.
    #[must_use]
    pub fn room(&self) -> Room {
        self.seen().room
    }

    /// Free bytes at the last look, where the system says.
    #[must_use]
    pub fn free_bytes(&self) -> Option<u64> {
        self.seen().free
    }

    /// What an operator should know: a stable name, and what is the matter.
    #[must_use]
    pub fn warning(&self) -> Option<(&'static str, String)> {
        let seen = self.seen();
        let free = words::bytes(seen.free.unwrap_or(0));
        let (dir, stop) = (self.dir.display(), self.limits.stop_bytes);
        match seen.room {
            Room::Plenty => None,
            Room::Low => {
                Some(("disk_low", format!("{free} are free on the disk of {dir}{}", stops_at(stop))))
            }
            Room::Full => {
                let needed = words::bytes(with_margin(stop));
                let what = "nothing is taken, mined or fetched until there are";
                Some(("disk_full", format!("only {free} are free on the disk of {dir}: {what} {needed}")))
            }
        }
    }

    fn seen(&self) -> Seen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only the thread that looks does this.
    fn set(&self, seen: Seen) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }
}

fn stops_at(stop: u64) -> String {
    match stop {
        0 => String::new(),
        _ => format!("; below {} nothing more is taken", words::bytes(stop)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: DiskLimits = DiskLimits { warn_bytes: 1_000, stop_bytes: 200 };

    #[test]
    fn a_bound_is_passed_at_once_and_left_with_a_margin() {
        let mut room = Room::Plenty;
        let mut judge = |free| {
            room = LIMITS.judge(room, free);
            room
        };
        let story = [
            (1_000, Room::Plenty),
            (999, Room::Low),
            (1_099, Room::Low),
            (1_100, Room::Plenty),
            (200, Room::Low),
            (199, Room::Full),
            (219, Room::Full),
            (220, Room::Low),
            (0, Room::Full),
            // Out of full past both bounds, and out of full to between the second and its margin.
            (1_100, Room::Plenty),
            (0, Room::Full),
            (1_050, Room::Low),
        ];
        for (free, expected) in story {
            assert_eq!(judge(free), expected, "{free}");
        }
    }

    #[test]
    fn a_bound_of_nothing_is_none_and_the_greatest_does_not_overflow() {
        let off = DiskLimits { warn_bytes: 0, stop_bytes: 0 };
        let all = DiskLimits { warn_bytes: u64::MAX, stop_bytes: u64::MAX };
        for before in [Room::Plenty, Room::Low, Room::Full] {
            assert_eq!(off.judge(before, 0), Room::Plenty);
            assert_eq!(all.judge(before, u64::MAX - 1), Room::Full);
        }
        let only_stop = DiskLimits { warn_bytes: 0, ..LIMITS };
        assert_eq!(only_stop.judge(Room::Full, 220), Room::Plenty);
    }
}
