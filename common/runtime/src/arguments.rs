//! Reads a program's arguments, and what is said about wrong ones. Must not know which arguments a
//! program takes: those are its own type.

use std::ffi::OsString;

use clap::Parser;
use clap::error::ErrorKind;

use crate::exit::{CliError, ExitCode};
use crate::output::Output;

/// Reads the arguments, the program's own name first. What cannot be read has been told when this
/// returns: as one JSON object where `--json` was among them.
///
/// # Errors
/// How the process is to end: help was shown, or the error was.
pub fn parse<C: Parser>(args: impl IntoIterator<Item = OsString>, program: &str) -> Result<C, ExitCode> {
    let args: Vec<OsString> = args.into_iter().collect();
    C::try_parse_from(&args).map_err(|error| {
        let is_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
        let mut own = args.iter().skip(1).take_while(|arg| *arg != "--");
        if !is_help && own.any(|arg| arg == "--json") {
            Output::new(true).error(&described(&error, program));
        } else {
            // A reader that is gone changes nothing.
            let _ = error.print();
        }
        if is_help { ExitCode::Ok } else { ExitCode::Usage }
    })
}

/// A parser's error for programs: its first paragraph, and its tip or where the usage is.
#[must_use]
pub fn described(error: &clap::Error, program: &str) -> CliError {
    let usage = format!("{program} --help");
    let code = match error.kind() {
        ErrorKind::UnknownArgument => "unknown_argument",
        ErrorKind::InvalidSubcommand => "unknown_command",
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => "invalid_argument",
        ErrorKind::MissingRequiredArgument | ErrorKind::MissingSubcommand => "missing_argument",
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            return CliError::usage("missing_argument", "a command is needed").with_hint(usage);
        }
        _ => "usage",
    };
    let text = error.render().to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = first.trim_start_matches("error: ").split_whitespace().collect();
    let mut hints = text.lines().map(str::trim).filter_map(|line| line.strip_prefix("tip: "));
    let hint = hints.next_back().map_or(usage, str::to_owned);
    CliError::usage(code, words.join(" ")).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Subcommand;

    #[derive(Debug, Parser)]
    #[command(name = "scales", arg_required_else_help = true)]
    struct Cli {
        #[command(subcommand)]
        command: Command,
    }

    #[derive(Debug, Subcommand)]
    enum Command {
        Status,
        Weigh {
            #[arg(long)]
            grams: u64,
        },
    }

    fn wrong(line: &str) -> CliError {
        described(&Cli::try_parse_from(line.split(' ')).unwrap_err(), "scales")
    }

    fn ended(line: &str) -> Result<Cli, ExitCode> {
        parse(line.split(' ').map(OsString::from), "scales")
    }

    #[test]
    fn a_parsers_error_is_one_line_with_a_hint() {
        let error = wrong("scales statsu");
        assert_eq!((error.exit, error.code.as_str()), (ExitCode::Usage, "unknown_command"));
        assert_eq!(error.message, "unrecognized subcommand 'statsu'");
        assert!(error.hint.unwrap().contains("'status'"));
        let error = wrong("scales weigh --grams some");
        assert_eq!((error.code.as_str(), error.hint.as_deref()), ("invalid_argument", Some("scales --help")));
        assert!(error.message.contains("'some'") && !error.message.contains('\n'));
        assert_eq!(wrong("scales weigh").code, "missing_argument");
        assert_eq!(wrong("scales").code, "missing_argument");
    }

    #[test]
    fn help_is_no_failure_and_a_wrong_argument_is() {
        assert!(matches!(ended("scales weigh --grams 7").unwrap().command, Command::Weigh { grams: 7 }));
        assert!(matches!(ended("scales status").unwrap().command, Command::Status));
        assert_eq!(ended("scales --help").unwrap_err(), ExitCode::Ok);
        assert_eq!(ended("scales --heavy").unwrap_err(), ExitCode::Usage);
    }
}
