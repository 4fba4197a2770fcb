//! Questions to a person: yes or no, a word, a pause. On stderr, answered on standard input. Must
//! not know what is asked, and asks nobody where nobody sits.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use steelyard_runtime::exit::CliError;

/// Bytes of the longest answer.
const ANSWER_BYTES_MAX: u64 = 1024;

/// Whether a person reads the questions and types the answers.
pub fn somebody() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for yes or no; anything but yes is no.
///
/// # Errors
/// The terminal gives no answer.
pub fn yes(question: &str) -> Result<bool, CliError> {
    let answer = line(&format!("{question} [y/N] "))?;
    Ok(is_yes(&answer))
}

/// Asks for a line, the blanks around it dropped.
///
/// # Errors
/// The terminal gives no answer: standard input has ended, too.
pub fn line(question: &str) -> Result<String, CliError> {
    let gone = |reason: &dyn std::fmt::Display| {
        CliError::usage("no_answer", format!("the terminal gives no answer: {reason}"))
    };
    let mut stderr = io::stderr().lock();
    stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush()).map_err(|error| gone(&error))?;
    drop(stderr);
    read(io::stdin().lock()).map_err(|error| gone(&error))?.ok_or_else(|| gone(&"it has ended"))
}

fn read(mut input: impl BufRead) -> io::Result<Option<String>> {
    let mut answer = String::new();
    let bytes = (&mut input).take(ANSWER_BYTES_MAX).read_line(&mut answer)?;
    if bytes as u64 == ANSWER_BYTES_MAX && !answer.ends_with('\n') {
        // The rest is no answer to the next question.
        input.skip_until(b'\n')?;
    }
    Ok((bytes > 0).then(|| answer.trim().to_owned()))
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for answer in ["y", "Y", "yes", "YES"] {
            assert!(is_yes(answer));
        }
        for answer in ["", "n", "no", "yess", "j", "y y"] {
            assert!(!is_yes(answer), "{answer}");
        }
    }

    #[test]
    fn an_answer_is_one_line_and_the_end_is_none() {
        assert_eq!(read(&b" yes \r\nno\n"[..]).unwrap().as_deref(), Some("yes"));
        assert_eq!(read(&b"\n"[..]).unwrap().as_deref(), Some(""));
        assert_eq!(read(&b""[..]).unwrap(), None);
        let mut long = &[&[b'y'; 4096][..], b"\nno\n"].concat()[..];
        assert_eq!(read(&mut long).unwrap().map(|text| text.len()), Some(1024));
        assert_eq!(read(&mut long).unwrap().as_deref(), Some("no"), "the rest of a long line is no answer");
    }
}
