//! `create`, `restore`, `import-dev`: wallets made. Must not know how keys follow from words.

use std::io;
use std::io::IsTerminal;

use rand::seq::index::sample;
use serde::Serialize;
use steelyard_core::params::Params;
use steelyard_runtime::exit::CliError;
use steelyard_runtime::output::Output;

use super::args::{CreateArgs, RestoreArgs};
use super::client::{CallError, Client};
use super::config::Resolved;
use super::failure::Failure;
use super::{ask, secrets, start};
use crate::intent::WalletName;
use crate::keystore::Words;
use crate::rpc::types::{Addresses, NewWallet, Secret, WalletMade, WalletSource};

/// The name of a wallet that nobody named.
const NAME: &str = "main";
/// The name of the dev network's wallet.
const DEV_NAME: &str = "dev";
/// Words that a person is asked back.
const ASKED_BACK: usize = 2;
/// What words are for, in lines that no terminal breaks: they are counted to be erased.
const ABOUT_WORDS: [&str; 3] = [
    "These words are the wallet: who has them can spend, without any passphrase.",
    "Write them down on paper now; steelyard-wallet restore brings it back from them.",
    "They are not shown again.",
];
/// Words of one row on the screen.
const ROW_WORDS: usize = 4;
/// Letters of the longest word of the list.
const WORD_CHARS: usize = 8;

/// `create`.
///
/// # Errors
/// No passphrase, a name that is taken, or no daemon.
pub fn create(resolved: &Resolved, args: &CreateArgs, yes: bool, out: Output) -> Result<(), Failure> {
    let passphrase = secrets::new_passphrase(&args.passphrase, out)?;
    let client = start::open(resolved, out)?;
    let source = WalletSource::Create { words: args.words };
    let made = make(&client, NewWallet { name: name(resolved, NAME), source, passphrase, birthday: 0 })?;
    told(&made, out);
    if let (Some(words), false) = (&made.words, out.is_json()) {
        let asks = !yes && io::stdout().is_terminal() && ask::somebody();
        show_words(words, asks, out)?;
    }
    out.json(&made);
    Ok(())
}

/// `restore`.
///
/// # Errors
/// No words, wrong words, no passphrase, a name that is taken, or no daemon.
pub fn restore(resolved: &Resolved, args: &RestoreArgs, out: Output) -> Result<(), Failure> {
    if args.words_fd.is_some() && args.words_fd == args.passphrase.passphrase_fd {
        let message = "words and passphrase cannot both be read from one descriptor";
        return Err(CliError::usage("invalid_argument", message).into());
    }
    let words = secrets::words(secrets::place(args.words_file.as_deref(), args.words_fd))?;
    // Before anything starts, and before anybody is asked for a passphrase.
    Words::parse(words.expose()).map_err(CliError::from)?;
    let passphrase = secrets::new_passphrase(&args.passphrase, out)?;
    let client = start::open(resolved, out)?;
    let source = WalletSource::Restore { words };
    let new = NewWallet { name: name(resolved, NAME), source, passphrase, birthday: args.birthday };
    let made = make(&client, new)?;
    told(&made, out);
    out.json(&made);
    Ok(())
}

/// What `import-dev` answers.
#[derive(Serialize)]
struct Imported {
    name: WalletName,
    address: String,
    addresses: Vec<String>,
    encrypted: bool,
    /// Whether it was there before.
    already: bool,
}

/// `import-dev`. Done again it changes nothing.
///
/// # Errors
/// Another network, a name that another wallet has, or no daemon.
pub fn import_dev(resolved: &Resolved, out: Output) -> Result<(), Failure> {
    if resolved.params.network_id() != Params::dev().network_id() {
        let message = format!("the network {} has no published accounts: only dev has", resolved.params.name);
        let error = CliError::usage("not_the_dev_network", message);
        return Err(error.with_hint("steelyard-wallet create makes a wallet of your own").into());
    }
    let client = start::open(resolved, out)?;
    let name = name(resolved, DEV_NAME);
    let new = NewWallet {
        name: name.clone(),
        source: WalletSource::Dev,
        passphrase: Secret::default(),
        birthday: 0,
    };
    let already = match client.post::<WalletMade>("/wallets", &new) {
        Ok(_) => false,
        Err(CallError::Refused(body)) if body.code == "wallet_exists" => true,
        Err(error) => return Err(error.into()),
    };
    let Addresses { addresses, .. } = client.get(&format!("/wallet/{name}/addresses"))?;
    let addresses: Vec<String> = addresses.into_iter().map(|info| info.address).collect();
    let first = steelyard_core::params::dev_addresses().into_iter().next();
    let first = first.map(|first| steelyard_core::address::format(&resolved.params.prefix, &first));
    let Some(address) = first.filter(|first| addresses.first() == Some(first)) else {
        let error = CliError::refused("wallet_exists", format!("{name} is another wallet"));
        return Err(error.with_hint("choose another name: --wallet NAME").into());
    };
    let count = addresses.len();
    let state = if already { "is there already" } else { "made" };
    out.line(&format!("wallet {name} {state}: {count} accounts of the dev network, the first is"));
    out.line(&format!("  {address}"));
    if !out.is_json() {
        out.note("DEV ONLY: the keys of these accounts are public, anyone can spend from them");
        out.note("next: steelyard-wallet balance, steelyard-wallet address list");
    }
    out.json(&Imported { name, address, addresses, encrypted: false, already });
    Ok(())
}

fn name(resolved: &Resolved, default: &str) -> WalletName {
    let default = || default.parse().expect("the names of this file are names");
    resolved.wallet.clone().unwrap_or_else(default)
}

/// A wallet that may be there though nobody said so is found by `status`.
fn make(client: &Client, new: NewWallet) -> Result<WalletMade, Failure> {
    client.post("/wallets", &new).map_err(|error| match error {
        error if error.is_open() => {
            let mut failure = Failure::from(error);
            let hint = format!("steelyard-wallet status shows whether the wallet {} was made", new.name);
            failure.error.hint = Some(hint);
            failure
        }
        error => error.into(),
    })
}

fn told(made: &WalletMade, out: Output) {
    let guard = if made.encrypted { "encrypted" } else { "not encrypted" };
    out.line(&format!("wallet {} made, {guard}: {}", made.name, made.file));
    out.line(&format!("its first address: {}", made.address));
}

/// Shows the words, and on a terminal makes sure that they were written down.
fn show_words(words: &Secret, asks: bool, out: Output) -> Result<(), CliError> {
    let list: Vec<&str> = words.expose().split(' ').collect();
    loop {
        let shown = table(&list);
        out.line("");
        out.line(&shown);
        out.line("");
        ABOUT_WORDS.iter().for_each(|line| out.line(line));
        if !asks {
            return Ok(());
        }
        ask::line("Press Enter when they are written down: ")?;
        // The words, an empty line before and after them, what is said of them, and the question.
        let rows = shown.lines().count() + ABOUT_WORDS.len() + 3;
        out.bytes(format!("\x1b[{rows}A\x1b[J").as_bytes());
        if asked_back(&list)? {
            out.line("right: these are the words of the wallet");
            return Ok(());
        }
        out.line("that is not what was shown; here they are again");
    }
}

/// Asks for some of the words, whichever come up.
fn asked_back(words: &[&str]) -> Result<bool, CliError> {
    let mut places = sample(&mut rand::rng(), words.len(), ASKED_BACK.min(words.len())).into_vec();
    places.sort_unstable();
    for place in places {
        let answer = ask::line(&format!("Word {}: ", place + 1))?;
        if !answer.eq_ignore_ascii_case(words[place]) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The words with their numbers, in rows.
fn table(words: &[&str]) -> String {
    let cells = words.iter().enumerate();
    let cells: Vec<String> =
        cells.map(|(place, word)| format!("{:>4}. {word:<WORD_CHARS$}", place + 1)).collect();
    let rows: Vec<String> = cells.chunks(ROW_WORDS).map(|row| row.concat().trim_end().to_owned()).collect();
    rows.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use steelyard_core::params::DEV_WORDS;

    #[test]
    fn words_are_numbered_and_fit_a_terminal() {
        let words: Vec<&str> = DEV_WORDS.split(' ').collect();
        let text = table(&words);
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[0], "   1. abandon    2. abandon    3. abandon    4. abandon");
        assert_eq!(rows[2], "   9. abandon   10. abandon   11. abandon   12. about");
        let longest = table(&["abstract"; 24]);
        assert_eq!(longest.lines().count(), 6);
        assert!(longest.lines().chain(ABOUT_WORDS).all(|row| row.len() <= 80));
    }
}
