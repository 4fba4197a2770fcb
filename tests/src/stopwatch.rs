//! Wall clock and processor time of this process, for programs that print rates. Must not judge:
//! no test depends on either.

use std::time::Instant;

/// Ticks a second in which Linux states processor time to programs (USER_HZ, fixed by its ABI).
const TICKS_PER_SECOND: f64 = 100.0;

/// Started with the work it measures.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    started: Instant,
    cpu_before: Option<f64>,
}

/// What some work took.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Seconds by the wall clock.
    pub wall_s: f64,
    /// Seconds of processor time of all threads; `None` where the system does not tell.
    pub cpu_s: Option<f64>,
}

impl Stopwatch {
    /// Starts.
    #[must_use]
    pub fn start() -> Self {
        let cpu_before = cpu_seconds();
        Self { started: Instant::now(), cpu_before }
    }

    /// What has been spent since the start.
    #[must_use]
    pub fn cost(&self) -> Cost {
        // First: to be told the processor time takes some milliseconds.
        let wall_s = self.started.elapsed().as_secs_f64();
        let cpu_s = cpu_seconds().zip(self.cpu_before).map(|(now, before)| now - before);
        Cost { wall_s, cpu_s }
    }
}

impl Cost {
    /// A line on so many of something.
    #[must_use]
    pub fn rate(&self, count: u64, what: &str) -> String {
        let per_second = |seconds: f64| count as f64 / seconds.max(1e-9);
        let cpu = self
            .cpu_s
            .map_or_else(String::new, |cpu| format!(", {:.0}/s of processor time", per_second(cpu)));
        format!("{count} {what}: {:.0}/s by wall clock{cpu}", per_second(self.wall_s))
    }
}

/// User and system time of all threads so far.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name, in brackets, may hold spaces; utime and stime are fields 14 and 15.
    let after_name = stat.rsplit_once(')')?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
    Some((ticks(14)? + ticks(15)?) / TICKS_PER_SECOND)
}
