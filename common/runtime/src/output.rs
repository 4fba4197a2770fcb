//! What a command prints: data on stdout, the rest on stderr, one JSON object with `--json`.
//!
//! A reader that goes away (`| head`) ends the process quietly. Must not know amounts, ids or any
//! other domain value: it prints what it is given.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::exit::{CliError, ExitCode};

/// Where a command's words go. Cheap to copy; decides nothing but form.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
    terminal: bool,
    colour: bool,
}

#[derive(Serialize)]
struct ErrorObject<'a> {
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: &'a str,
    message: &'a str,
    hint: Option<&'a str>,
}

impl Output {
    /// Output of a command; `json` is its `--json` flag.
    pub fn new(json: bool) -> Output {
        Output { json, terminal: io::stdout().is_terminal(), colour: stderr_takes_colour() }
    }

    /// Whether the command was asked for JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether stdout is a terminal, so that a person reads it.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether coloured text may go to stdout: a terminal, and `NO_COLOR` unset.
    pub fn colours(&self) -> bool {
        self.terminal && !self.json && colour_wanted()
    }

    /// Prints one line of text on stdout. Prints nothing with `--json`, whose one object comes from
    /// [`Output::json`]: a command may call both.
    pub fn line(&self, text: &str) {
        if !self.json {
            self.bytes(format!("{text}\n").as_bytes());
        }
    }

    /// Prints `value` as one line of JSON on stdout. Prints nothing without `--json`.
    pub fn json(&self, value: &impl Serialize) {
        if self.json {
            self.bytes(json_line(value).as_bytes());
        }
    }

    /// Prints `bytes` on stdout as they are, with `--json` and without: completions, raw blocks.
    pub fn bytes(&self, bytes: &[u8]) {
        let mut stdout = io::stdout().lock();
        end_on_failure(stdout.write_all(bytes).and_then(|()| stdout.flush()));
    }

    /// Prints one line on stderr for the person watching: status, warnings, what happens next.
    pub fn note(&self, text: &str) {
        to_stderr(&format!("{text}\n"));
    }

    /// Prints a command's error: text on stderr, or the JSON object on stdout.
    pub fn error(&self, error: &CliError) {
        if self.json {
            self.bytes(error_json(error).as_bytes());
        } else {
            to_stderr(&error_text(error, self.colour));
        }
    }
}

/// Writes to stderr. Whether anybody reads it changes nothing, so a failure is dropped.
pub(crate) fn to_stderr(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Whether stderr is a terminal and colour is wanted.
pub(crate) fn stderr_takes_colour() -> bool {
    io::stderr().is_terminal() && colour_wanted()
}

/// no-color.org: set and not empty means no colour.
fn colour_wanted() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    !unwanted && !dumb
}

fn json_line(value: &impl Serialize) -> String {
    let text =
        serde_json::to_string(value).expect("output values have string keys and no failing serialiser");
    text + "\n"
}

fn error_json(error: &CliError) -> String {
    let body = ErrorBody { code: &error.code, message: &error.message, hint: error.hint.as_deref() };
    json_line(&ErrorObject { error: body })
}

fn error_text(error: &CliError, colour: bool) -> String {
    let (red, cyan, plain) = if colour { ("\x1b[1;31m", "\x1b[36m", "\x1b[0m") } else { ("", "", "") };
    let mut text = format!("{red}error:{plain} {}\n", error.message);
    if let Some(hint) = &error.hint {
        text += &format!("{cyan}hint:{plain} {hint}\n");
    }
    text
}

/// What a failed write to stdout means for the process: `None` goes on.
fn exit_after(outcome: &io::Result<()>) -> Option<ExitCode> {
    match outcome {
        Ok(()) => None,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Some(ExitCode::Ok),
        Err(_) => Some(ExitCode::Other),
    }
}

fn end_on_failure(outcome: io::Result<()>) {
    let Some(code) = exit_after(&outcome) else { return };
    if let (Err(error), ExitCode::Other) = (outcome, code) {
        to_stderr(&format!("error: cannot write the output: {error}\n"));
    }
    std::process::exit(i32::from(code));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> CliError {
        CliError::refused("insufficient_funds", "have \"1\", need 2").with_hint("receive first")
    }

    #[test]
    fn an_error_is_two_lines_of_text() {
        assert_eq!(error_text(&refused(), false), "error: have \"1\", need 2\nhint: receive first\n");
        assert!(error_text(&refused(), true).starts_with("\x1b[1;31merror:\x1b[0m have"));
    }

    #[test]
    fn an_error_is_one_json_object() {
        let text = error_json(&refused());
        assert_eq!(
            text,
            "{\"error\":{\"code\":\"insufficient_funds\",\"message\":\"have \\\"1\\\", need 2\",\
             \"hint\":\"receive first\"}}\n"
        );
        let text = error_json(&CliError::other("failed", "it failed"));
        assert!(text.ends_with("\"hint\":null}}\n"));
    }

    #[test]
    fn a_reader_gone_is_no_failure_and_a_full_disk_is() {
        let broken = Err(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(exit_after(&broken), Some(ExitCode::Ok));
        let full = Err(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(exit_after(&full), Some(ExitCode::Other));
        assert_eq!(exit_after(&Ok(())), None);
    }

    /// The child of the next test: ends before its last line if a reader that is gone ends it.
    #[test]
    #[ignore = "prints without end; run by the_process_ends_quietly_when_its_reader_is_gone"]
    fn endless_lines() {
        for _ in 0..100_000 {
            Output::new(false).line("a line of some length that fills the pipe");
        }
        panic!("the reader was gone and nobody noticed");
    }

    #[test]
    fn the_process_ends_quietly_when_its_reader_is_gone() {
        use std::io::{BufRead, BufReader};
        use std::process::{Command, Stdio};
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["output::tests::endless_lines", "--exact", "--ignored", "--nocapture"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("fills the pipe")));
        drop(lines);
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success());
        assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    }
}
