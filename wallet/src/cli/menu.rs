//! `menu`: the tutorial's numbered menu, for classes: a loop over `address`, `balance` and `send`.
//! Must not know how any of them does its work, and has no way of its own to pay.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use steelyard_runtime::exit::CliError;
use steelyard_runtime::output::Output;

use super::args::{AddressArgs, BalanceArgs, SendArgs};
use super::config::Resolved;
use super::failure::Failure;
use super::{address, ask, balance, send, which};

/// The menu as it is shown.
const ROWS: &str = "
1  address    where to be paid
2  balance    what the wallet has
3  transfer   pay somebody
4  quit";
/// Bytes of the longest line that is taken, its end not counted.
const LINE_BYTES_MAX: u64 = 4 * 1024;
/// The name of the error of [`ask`] where the input ends at its question.
const NO_ANSWER: &str = "no_answer";

/// What can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Address,
    Balance,
    Transfer,
    Quit,
}

/// What was typed.
#[derive(Debug)]
enum Line {
    /// A line, the blanks around it dropped.
    Text(String),
    /// One that cannot be taken; it is read to its end.
    Unfit(CliError),
    /// There are no more.
    End,
}

/// Why a question is left without an answer.
enum Left {
    /// Back to the menu.
    Back,
    /// No more is asked for.
    End,
    /// Nothing can be read.
    Failed(CliError),
}

/// The command. What fails in it is told, and the menu goes on: it ends well when it is left or when
/// the input ends.
///
/// # Errors
/// JSON was asked for, or the input cannot be read.
pub fn run(resolved: &Resolved, yes: bool, out: Output) -> Result<(), Failure> {
    if out.is_json() {
        let error = CliError::usage("invalid_argument", "the menu is for people: it takes no --json");
        let hint = "these take it: steelyard-wallet address, steelyard-wallet balance, steelyard-wallet send";
        return Err(error.with_hint(hint).into());
    }
    // A wallet that is missing is said before anything is typed. It can be made beside the menu.
    if let Err(failure) = greet(resolved, out) {
        failure.tell(out);
    }
    loop {
        match turn(resolved, yes, out) {
            Ok(()) | Err(Left::Back) => {}
            Err(Left::End) => return Ok(()),
            Err(Left::Failed(error)) => return Err(error.into()),
        }
    }
}

fn greet(resolved: &Resolved, out: Output) -> Result<(), Failure> {
    let (_, wallet) = which::open(resolved, out)?;
    out.note(&format!("wallet {wallet}, network {}", resolved.params.name));
    Ok(())
}

/// Shows the menu once and does what is chosen.
fn turn(resolved: &Resolved, yes: bool, out: Output) -> Result<(), Left> {
    out.note(ROWS);
    let done = match answer("Number: ", out, choice)? {
        Choice::Address => address::run(resolved, &AddressArgs { command: None }, out),
        Choice::Balance => balance::run(resolved, &BalanceArgs { address: None }, out),
        Choice::Transfer => transfer(resolved, yes, out)?,
        Choice::Quit => return Err(Left::End),
    };
    let Err(failure) = done else { return Ok(()) };
    failure.tell(out);
    if failure.error.code == NO_ANSWER { Err(Left::End) } else { Ok(()) }
}

fn transfer(resolved: &Resolved, yes: bool, out: Output) -> Result<Result<(), Failure>, Left> {
    let to = answer("To: ", out, |text| {
        resolved.check_address("to", text)?;
        Ok(text.to_owned())
    })?;
    let amount = if ask::somebody() {
        answer("Amount: ", out, send::amount)?
    } else {
        // The next line of a script was meant for the menu, and its number would be paid unasked.
        once("Amount: ", send::amount)?.map_err(|error| {
            out.error(&error);
            Left::Back
        })?
    };
    let args = SendArgs {
        amount,
        to,
        from: None,
        memo: String::new(),
        fee_rate: None,
        id: None,
        expiry: None,
        dry_run: false,
        wait: None,
        timeout: 0,
    };
    Ok(send::pay(resolved, &args, yes, out)
        .map(|id| out.note(&format!("to wait for its block: steelyard-wallet tx wait {id}"))))
}

/// Asks until the answer is one, and says of each other why it is none.
fn answer<T>(question: &str, out: Output, parse: impl Fn(&str) -> Result<T, CliError>) -> Result<T, Left> {
    loop {
        match once(question, &parse)? {
            Ok(answer) => return Ok(answer),
            Err(error) => out.error(&error),
        }
    }
}

/// Asks once.
fn once<T>(question: &str, parse: impl Fn(&str) -> Result<T, CliError>) -> Result<Result<T, CliError>, Left> {
    let is_typed = io::stdin().is_terminal();
    // Whether anybody reads the question changes nothing. Where nobody types, nobody ends its line.
    let end = if is_typed { "" } else { "\n" };
    let _ = write!(io::stderr(), "{question}{end}");
    // The lock ends with this line: the question before a payment reads from here, too.
    match read(&mut io::stdin().lock()) {
        Ok(Line::Text(text)) if text.is_empty() => Err(Left::Back),
        Ok(Line::Text(text)) => Ok(parse(&text)),
        Ok(Line::Unfit(error)) => Ok(Err(error)),
        Ok(Line::End) => {
            if is_typed {
                let _ = writeln!(io::stderr());
            }
            Err(Left::End)
        }
        Err(error) => {
            let message = format!("cannot read what was typed: {error}");
            Err(Left::Failed(CliError::other("input_unreadable", message)))
        }
    }
}

/// The next line, in bounded memory whatever its length.
fn read(input: &mut impl BufRead) -> io::Result<Line> {
    let unfit = |message: String| Ok(Line::Unfit(CliError::usage("unfit_line", message)));
    let mut line = Vec::new();
    if input.take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut line)? == 0 {
        return Ok(Line::End);
    }
    if line.len() as u64 > LINE_BYTES_MAX && !line.ends_with(b"\n") {
        input.skip_until(b'\n')?;
        return unfit(format!("the line is too long: {LINE_BYTES_MAX} bytes at most are possible"));
    }
    match String::from_utf8(line) {
        Ok(text) => Ok(Line::Text(text.trim().to_owned())),
        Err(_) => unfit("the line is not UTF-8 text".to_owned()),
    }
}

fn choice(text: &str) -> Result<Choice, CliError> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "address" => Ok(Choice::Address),
        "2" | "balance" => Ok(Choice::Balance),
        "3" | "transfer" => Ok(Choice::Transfer),
        "4" | "quit" => Ok(Choice::Quit),
        _ => {
            let message = format!("\"{}\" is not in the menu", text.escape_debug());
            let hint = "type a number from 1 to 4, or its word: address, balance, transfer, quit";
            Err(CliError::usage("unknown_choice", message).with_hint(hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All lines up to the end, as text; an unfit one as the name of its error.
    fn lines(mut bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            match read(&mut bytes).unwrap() {
                Line::Text(text) => lines.push(text),
                Line::Unfit(error) => lines.push(error.message),
                Line::End => return lines,
            }
        }
    }

    #[test]
    fn every_row_is_chosen_by_its_number_and_its_word() {
        let choices = [Choice::Address, Choice::Balance, Choice::Transfer, Choice::Quit];
        let rows: Vec<&str> = ROWS.trim().lines().collect();
        assert_eq!(rows.len(), choices.len());
        for (row, expected) in rows.iter().zip(choices) {
            let words: Vec<&str> = row.split_whitespace().take(2).collect();
            assert_eq!(words.len(), 2);
            for word in words {
                assert_eq!(choice(word).unwrap(), expected, "{word}");
                assert_eq!(choice(&word.to_uppercase()).unwrap(), expected, "{word}");
            }
        }
    }

    #[test]
    fn what_is_not_in_the_menu_is_named_and_commands_no_terminal() {
        for wrong in ["0", "5", "11", "1 2", "-1", "pay", "\u{1b}[2J"] {
            let error = choice(wrong).unwrap_err();
            assert_eq!(error.code, "unknown_choice", "{wrong}");
            assert!(!error.message.contains('\u{1b}'), "{error:?}");
        }
        assert_eq!(choice("pay").unwrap_err().message, "\"pay\" is not in the menu");
    }

    #[test]
    fn lines_are_taken_as_people_and_scripts_write_them() {
        assert_eq!(lines(b""), [""; 0]);
        assert_eq!(lines(b" 1 \r\n\n\tbalance\n4"), ["1", "", "balance", "4"]);
        assert_eq!(lines(b"\xff\n4\n"), ["the line is not UTF-8 text", "4"]);
    }

    #[test]
    fn a_long_line_is_refused_whole() {
        let refused = "the line is too long: 4096 bytes at most are possible";
        for (length, fits) in [(4_095, true), (4_096, true), (4_097, false), (4_098, false), (100_000, false)]
        {
            let text = "1".repeat(length);
            let expected = if fits { text.as_str() } else { refused };
            assert_eq!(lines(format!("{text}\n2\n").as_bytes()), [expected, "2"], "{length}");
            assert_eq!(lines(text.as_bytes()), [expected], "{length} at the end");
        }
    }
}
