//! Runs the comparison: cases go to the second implementation, which recomputes them and stops at the
//! first difference. Must not know what a case says.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Case, Statistics};

/// The environment variable that multiplies the number of cases; 1 where it is not set.
pub const CASES_ENV: &str = "STEELYARD_CASES";

/// What the number of cases of an everyday run is multiplied by.
#[must_use]
pub fn factor() -> u64 {
    match std::env::var(CASES_ENV) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{CASES_ENV} is not a number: {text}")),
        Err(_) => 1,
    }
}

/// Whether there is a Python to compare with. Where there is none the test says that it skips, which
/// a run for everybody (`CI` is set) must not.
#[must_use]
pub fn is_there() -> bool {
    let version = Command::new("python3").arg("--version").output();
    if version.is_ok_and(|output| output.status.success()) {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "there is no python3 to compare with");
    println!("SKIPPED: there is no python3 to compare with");
    false
}

/// Pipes the cases through `tests/reference/check.py` of the repository at `root`, which must find as
/// many of each kind as there are, and no difference. Gives what they were.
pub fn compare(root: &Path, cases: impl Iterator<Item = Case> + Send) -> Statistics {
    let mut reference = Command::new("python3")
        .arg(root.join("tests/reference/check.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let input = reference.stdin.take().expect("piped");
    let (statistics, output) = std::thread::scope(|scope| {
        // Written from a thread of its own, or both sides could wait for the other to read.
        let writer = scope.spawn(move || write(input, cases));
        let output = reference.wait_with_output().expect("python3 ends");
        (writer.join().expect("cases are made without a panic"), output)
    });
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}{complained}");
    assert!(output.status.success(), "the two implementations differ: {said}{complained}");
    let mut all = 0;
    for (kind, count) in statistics.kinds() {
        let line = format!("{kind} {count}");
        assert!(said.lines().any(|said| said == line), "the reference did not see {line}");
        all += count;
    }
    assert!(all > 0, "no cases are no comparison");
    assert_eq!(said.lines().last(), Some(format!("{all} cases agree").as_str()));
    statistics
}

/// Writes cases until there are no more or nobody reads: a difference ends the other side.
fn write(input: impl Write, cases: impl Iterator<Item = Case>) -> Statistics {
    let mut input = BufWriter::new(input);
    let mut statistics = Statistics::default();
    for case in cases {
        statistics.count(&case);
        if writeln!(input, "{}", case.line()).is_err() {
            return statistics;
        }
    }
    // Nobody there to read the rest: the other side's exit code says so.
    let _ = input.flush();
    statistics
}
