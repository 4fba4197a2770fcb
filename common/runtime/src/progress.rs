//! Progress of long work on stderr: a bar with rate and time left on a terminal, else a line every
//! ten seconds. Must not know what is counted; the label names it.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock;
use crate::output::to_stderr;

/// Time between two redraws on a terminal.
const REDRAW_EVERY: Duration = Duration::from_millis(100);

/// Time between two lines where nobody watches.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Width of the bar itself, characters.
const BAR_WIDTH: u64 = 24;

/// A reporter of one piece of work. May be shared between threads; ends its line when dropped.
#[derive(Debug)]
pub struct Progress {
    label: String,
    terminal: bool,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    done: u64,
    total: u64,
    /// Elapsed time of the last report; none yet on a terminal.
    shown: Option<Duration>,
    finished: bool,
}

impl Progress {
    /// Starts at nothing done of `total`; a `total` of 0 means it is not known yet. The label names
    /// the unit: "blocks checked".
    pub fn new(label: &str, total: u64) -> Progress {
        let terminal = io::stderr().is_terminal();
        // Where nobody watches, work that takes less than the interval says only its last line.
        let shown = if terminal { None } else { Some(Duration::ZERO) };
        let state = State { done: 0, total, shown, finished: false };
        Progress { label: label.to_owned(), terminal, started: clock::start(), state: Mutex::new(state) }
    }

    /// Says how much is done in all.
    pub fn set(&self, done: u64) {
        self.update(|state| state.done = done);
    }

    /// Says how much there is in all, for a goal that moves.
    pub fn set_total(&self, total: u64) {
        self.update(|state| state.total = total);
    }

    /// Shows the last state and ends the line. Later calls show nothing.
    pub fn finish(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.finished {
            state.finished = true;
            self.show(*state, self.started.elapsed());
            if self.terminal {
                to_stderr("\n");
            }
        }
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let elapsed = self.started.elapsed();
        let every = if self.terminal { REDRAW_EVERY } else { LINE_EVERY };
        if !state.finished && due(state.shown, elapsed, every) {
            state.shown = Some(elapsed);
            self.show(*state, elapsed);
        }
    }

    fn show(&self, state: State, elapsed: Duration) {
        let text = report(&self.label, state.done, state.total, elapsed);
        if self.terminal {
            let bar = bar(state.done, state.total);
            to_stderr(&format!("\r\x1b[2K{bar} {text}"));
        } else {
            to_stderr(&format!("{text}\n"));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if self.terminal && !state.finished && state.shown.is_some() {
            to_stderr("\n");
        }
    }
}

fn due(shown: Option<Duration>, elapsed: Duration, every: Duration) -> bool {
    shown.is_none_or(|at| elapsed.saturating_sub(at) >= every)
}

fn bar(done: u64, total: u64) -> String {
    let filled = if total == 0 { 0 } else { scaled(done.min(total), BAR_WIDTH, total) };
    let mark = |count: u64, sign: &str| sign.repeat(usize::try_from(count).expect("at most the bar's width"));
    format!("[{}{}]", mark(filled, "#"), mark(BAR_WIDTH - filled, "-"))
}

/// "blocks checked 500/1000 (50%), 100/s, 5s left"
fn report(label: &str, done: u64, total: u64, elapsed: Duration) -> String {
    let mut text = format!("{label} {done}");
    if total > 0 {
        text += &format!("/{total} ({}%)", scaled(done.min(total), 100, total));
    }
    let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    if done > 0 && elapsed_ms > 0 {
        text += &format!(", {}/s", rate(done, elapsed_ms));
        if total > done {
            text += &format!(", {} left", time(scaled(total - done, elapsed_ms, done) / 1000));
        }
    }
    text
}

fn rate(done: u64, elapsed_ms: u64) -> String {
    let tenths = scaled(done, 10_000, elapsed_ms);
    if tenths < 100 { format!("{}.{}", tenths / 10, tenths % 10) } else { (tenths / 10).to_string() }
}

fn time(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// `value * by / of` without overflow; `of` is not 0.
fn scaled(value: u64, by: u64, of: u64) -> u64 {
    u64::try_from(u128::from(value) * u128::from(by) / u128::from(of)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_holds_share_rate_and_time_left() {
        let text = report("blocks checked", 500, 1000, Duration::from_secs(5));
        assert_eq!(text, "blocks checked 500/1000 (50%), 100/s, 5s left");
        let text = report("blocks checked", 3, 10_000, Duration::from_secs(2));
        assert_eq!(text, "blocks checked 3/10000 (0%), 1.5/s, 1h51m left");
    }

    #[test]
    fn a_report_of_nothing_or_of_an_unknown_total_invents_no_numbers() {
        assert_eq!(report("blocks", 0, 10, Duration::ZERO), "blocks 0/10 (0%)");
        assert_eq!(report("blocks", 7, 0, Duration::from_secs(1)), "blocks 7, 7.0/s");
        assert_eq!(report("blocks", 12, 10, Duration::from_secs(1)), "blocks 12/10 (100%), 12/s");
    }

    #[test]
    fn the_bar_is_never_longer_than_its_width() {
        assert_eq!(bar(0, 10), format!("[{}]", "-".repeat(24)));
        assert_eq!(bar(5, 10), format!("[{}{}]", "#".repeat(12), "-".repeat(12)));
        assert_eq!(bar(u64::MAX, 10), format!("[{}]", "#".repeat(24)));
        assert_eq!(bar(5, 0), format!("[{}]", "-".repeat(24)));
    }

    #[test]
    fn reports_keep_their_distance() {
        let second = Duration::from_secs(1);
        assert!(due(None, Duration::ZERO, second));
        assert!(!due(Some(second), second * 3 / 2, second));
        assert!(due(Some(second), second * 2, second));
    }
}
