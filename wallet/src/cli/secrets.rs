//! Where passphrases and words come from: a file, an open descriptor, or a prompt without echo.
//! Never an argument, never the environment. Must not know what they open.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use steelyard_runtime::exit::CliError;
use steelyard_runtime::output::Output;
use zeroize::Zeroizing;

use super::args::PassphraseArgs;
use crate::rpc::types::Secret;

/// Bytes of the longest passphrase or sentence that is taken: the socket takes it whole.
const SECRET_BYTES_MAX: usize = 4 * 1024;

/// A place that holds a secret.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    /// A file.
    File(&'a str),
    /// An open descriptor.
    Descriptor(u32),
    /// Nobody named one: a person is asked.
    Asked,
}

impl PassphraseArgs {
    fn place(&self) -> Place<'_> {
        place(self.passphrase_file.as_deref(), self.passphrase_fd)
    }
}

/// The place that two arguments name, of which the parser lets through one at most.
pub fn place(file: Option<&str>, descriptor: Option<u32>) -> Place<'_> {
    match (file, descriptor) {
        (Some(file), _) => Place::File(file),
        (None, Some(number)) => Place::Descriptor(number),
        (None, None) => Place::Asked,
    }
}

/// A passphrase for a wallet that is made now: asked for twice. An empty one stands for none, which
/// is said on stderr.
///
/// # Errors
/// There is none to be had, or the two are not the same.
pub fn new_passphrase(args: &PassphraseArgs, out: Output) -> Result<Secret, CliError> {
    let passphrase = match args.place() {
        Place::Asked => asked_twice(out)?,
        place => from(place, "passphrase")?,
    };
    if passphrase.expose().is_empty() {
        out.note(
            "warning: without a passphrase the keys are not encrypted: whoever reads the file can spend",
        );
    }
    Ok(passphrase)
}

/// The passphrase of a wallet that there is.
///
/// # Errors
/// There is none to be had.
pub fn passphrase(args: &PassphraseArgs) -> Result<Secret, CliError> {
    match args.place() {
        Place::Asked => {
            need_terminal("passphrase")?;
            prompt("Passphrase: ")
        }
        place => from(place, "passphrase"),
    }
}

/// The words of a wallet.
///
/// # Errors
/// There are none to be had.
pub fn words(place: Place<'_>) -> Result<Secret, CliError> {
    match place {
        Place::Asked => {
            need_terminal("words")?;
            prompt("Words, with spaces between them (not shown): ")
        }
        place => from(place, "words"),
    }
}

fn asked_twice(out: Output) -> Result<Secret, CliError> {
    need_terminal("passphrase")?;
    loop {
        let first = prompt("New passphrase (empty: the keys are not encrypted): ")?;
        let second = prompt("The same again: ")?;
        if first.expose() == second.expose() {
            return Ok(first);
        }
        out.note("these are not the same");
    }
}

fn need_terminal(what: &str) -> Result<(), CliError> {
    if io::stdin().is_terminal() {
        return Ok(());
    }
    let message = format!("the {what} cannot be asked for: standard input is no terminal");
    let hint = match what {
        "words" => "give --words-file FILE or --words-fd N",
        _ => "give --passphrase-file FILE or --passphrase-fd N; an empty file stands for no passphrase",
    };
    Err(CliError::usage(format!("{what}_needed"), message).with_hint(hint))
}

fn prompt(question: &str) -> Result<Secret, CliError> {
    let answer = rpassword::prompt_password(question)
        .map_err(|error| CliError::usage("no_answer", format!("the terminal gives no answer: {error}")))?;
    bounded(Secret::new(answer), "what was typed")
}

fn from(place: Place<'_>, what: &str) -> Result<Secret, CliError> {
    let (name, opened): (_, io::Result<Box<dyn Read>>) = match place {
        Place::File(path) => (format!("the {what} in {path}"), open(Path::new(path))),
        Place::Descriptor(0) => (format!("the {what} on standard input"), Ok(Box::new(io::stdin().lock()))),
        Place::Descriptor(number) => {
            (format!("the {what} on descriptor {number}"), open(Path::new(&format!("/dev/fd/{number}"))))
        }
        Place::Asked => (String::new(), Err(io::ErrorKind::Unsupported.into())),
    };
    let refused = |reason: &dyn std::fmt::Display| {
        CliError::usage("secret_unreadable", format!("cannot read {name}: {reason}"))
    };
    // The room at once: a buffer that grows leaves its shorter self in memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX + 1));
    let most = SECRET_BYTES_MAX as u64 + 1;
    opened.and_then(|file| file.take(most).read_to_end(&mut bytes)).map_err(|error| refused(&error))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| refused(&"it is not UTF-8 text"))?;
    bounded(Secret::new(line(text).to_owned()), &name)
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    Ok(Box::new(File::open(path)?))
}

/// What a person wrote into a file: the editor's last line end does not belong to it.
fn line(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

fn bounded(secret: Secret, name: &str) -> Result<Secret, CliError> {
    if secret.expose().len() <= SECRET_BYTES_MAX {
        return Ok(secret);
    }
    let message = format!("cannot read {name}: {SECRET_BYTES_MAX} bytes at most are possible");
    Err(CliError::usage("secret_unreadable", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<String, CliError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        std::fs::write(&file, bytes).unwrap();
        from(Place::File(file.to_str().unwrap()), "passphrase").map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn one_line_end_is_dropped_and_nothing_else() {
        for (bytes, expected) in [
            ("", ""),
            ("\n", ""),
            ("hunter2", "hunter2"),
            ("hunter2\n", "hunter2"),
            ("hunter2\r\n", "hunter2"),
            ("hunter2\n\n", "hunter2\n"),
            (" two words \n", " two words "),
        ] {
            assert_eq!(read(bytes.as_bytes()).unwrap(), expected, "{bytes:?}");
        }
        assert_eq!(read(&[b'x'; SECRET_BYTES_MAX]).unwrap().len(), SECRET_BYTES_MAX);
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_not_repeated() {
        for bytes in [&[b'x'; SECRET_BYTES_MAX + 1][..], b"hunter2\xff"] {
            let error = read(bytes).unwrap_err();
            assert_eq!(error.code, "secret_unreadable");
            assert!(!error.message.contains("hunter2") && !error.message.contains("xx"), "{error}");
        }
        let error = from(Place::File("/nowhere/secret"), "words").unwrap_err();
        assert!(error.message.starts_with("cannot read the words in /nowhere/secret: "), "{error}");
        let error = from(Place::Descriptor(999), "words").unwrap_err();
        assert!(error.message.starts_with("cannot read the words on descriptor 999: "), "{error}");
    }
}
