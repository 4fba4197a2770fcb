//! Progress while the node is far behind others, counted from where it was when that began. Must
//! not know what makes it far.

use std::time::{Duration, Instant};

use steelyard_runtime::progress::Progress;
use steelyard_runtime::{clock, words};

use super::{Form, line};
use crate::limits::SYNC_CATCH_UP_BLOCKS;

/// Time between two events of the log.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// One way to the tip of others.
pub(super) struct CatchUp {
    from: u64,
    started: Instant,
    told: Told,
}

/// How it is told.
enum Told {
    /// A bar on a terminal, else a line now and then.
    Bar(Progress),
    /// Events of the log: when the last one was.
    Log(Instant),
    /// Nobody wants to know.
    Nothing,
}

impl CatchUp {
    /// Begins at a height.
    pub(super) fn start(from: u64, form: Form) -> Self {
        let started = clock::start();
        let told = match form {
            Form::Log => Told::Log(started),
            Form::Lines if tracing::enabled!(tracing::Level::INFO) => {
                Told::Bar(Progress::new("blocks synced", 0))
            }
            Form::Lines => Told::Nothing,
        };
        Self { from, started, told }
    }

    /// Where the node is, and where the best header known is.
    pub(super) fn look(&mut self, height: u64, best: u64) {
        let (done, total) = counts(self.from, height, best);
        match &mut self.told {
            Told::Bar(progress) => {
                progress.set_total(total);
                progress.set(done);
            }
            Told::Log(last) if last.elapsed() >= LOG_EVERY => {
                *last = clock::start();
                tracing::info!(height, best, done, total, "syncing");
            }
            Told::Log(_) | Told::Nothing => {}
        }
    }

    /// The node has come up with the others, or nothing comes any more.
    pub(super) fn finish(mut self, height: u64, best: u64) {
        self.look(height, best);
        let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let is_there = best.saturating_sub(height) <= SYNC_CATCH_UP_BLOCKS;
        match &self.told {
            Told::Bar(progress) => {
                progress.finish();
                line(&last_line(height, best, is_there, ms));
            }
            Told::Log(_) if is_there => tracing::info!(height, ms, "synced"),
            Told::Log(_) => tracing::warn!(height, best, ms, "sync stands still"),
            Told::Nothing => {}
        }
    }
}

fn last_line(height: u64, best: u64, is_there: bool, ms: u64) -> String {
    let (at, age) = (words::grouped(height), words::age(ms));
    if is_there {
        format!("synced to height {at} in {age}")
    } else {
        format!(
            "sync stands still at height {at} of {} after {age}: nobody sends the rest",
            words::grouped(best)
        )
    }
}

/// Blocks that are done and all that there are, both from where it began: a rate is then one of
/// this time. The best header may be of a branch that is given up.
fn counts(from: u64, height: u64, best: u64) -> (u64, u64) {
    (height.saturating_sub(from), best.max(height).saturating_sub(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_count_from_where_it_began() {
        assert_eq!(counts(5_000, 5_000, 10_000), (0, 5_000));
        assert_eq!(counts(5_000, 7_500, 10_000), (2_500, 5_000));
        assert_eq!(counts(5_000, 10_000, 9_000), (5_000, 5_000));
        assert_eq!(counts(5_000, 4_999, 4_999), (0, 0), "a reorganisation went below the beginning");
    }

    #[test]
    fn a_sync_that_stops_half_way_is_not_called_done() {
        assert_eq!(last_line(1_234, 1_240, true, 61_000), "synced to height 1,234 in 1 min");
        let text = last_line(10, 1_234, false, 61_000);
        assert_eq!(text, "sync stands still at height 10 of 1,234 after 1 min: nobody sends the rest");
    }
}
