//! The arguments as types. Must not know defaults of settings: those belong to the settings, where
//! each value remembers where it came from.

use std::ffi::OsString;
use std::net::SocketAddr;

use clap::{ArgAction, Args, Parser, Subcommand};
use steelyard_runtime::exit::CliError;
use steelyard_runtime::settings::Flag;
use steelyard_runtime::{version, words};

use super::config::SECTION;
use crate::intent::{IntentId, WalletName};
use crate::limits::RPC_PAGE_MAX;

/// A wallet of a Steelyard network.
///
/// Begin with `steelyard-wallet import-dev` beside a running `steelyard-node dev`, or with
/// `steelyard-wallet create`. Commands ask a daemon, and start it when none runs.
#[derive(Debug, Parser)]
#[command(name = "steelyard-wallet", version = version::text(), arg_required_else_help = true)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes, before or after its name.
#[derive(Debug, Args)]
#[command(next_help_heading = "Every command")]
pub struct Globals {
    /// dev, tutorial, or a file that steelyard-node new-network wrote [default: dev]
    #[arg(long, global = true, value_name = "NETWORK")]
    pub network: Option<String>,
    /// The daemon's folder [default: the network's in the user's data folder]
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Which wallet [default: STEELYARD_WALLET, else the only one there is]
    #[arg(long, global = true, value_name = "NAME")]
    pub wallet: Option<WalletName>,
    /// A node to ask; again and again for several [default: 127.0.0.1 and the network's port]
    #[arg(long, global = true, value_name = "IP:PORT", action = ArgAction::Append)]
    pub node: Vec<SocketAddr>,
    /// Answer with one JSON object, errors too
    #[arg(long, global = true)]
    pub json: bool,
    /// Answer every question with yes
    #[arg(long, short = 'y', global = true)]
    pub yes: bool,
    /// Fail where no daemon runs, instead of starting one
    #[arg(long, global = true)]
    pub no_autostart: bool,
    /// Settings file, read before the network's own in the settings folder
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<String>,
    /// How the daemon's log is written: text or json
    #[arg(long, global = true, value_name = "FORMAT", value_parser = ["text", "json"])]
    pub log_format: Option<String>,
    /// What is logged: error, warn, info, debug, trace, or a filter like steelyard_wallet=debug
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Taken only to be refused: what stands in the arguments, all users of the machine can read.
    #[arg(long, global = true, hide = true, num_args = 0..=1, default_missing_value = "")]
    passphrase: Option<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a wallet and show its words, this once
    Create(CreateArgs),
    /// Make a wallet from the words of an earlier one
    Restore(RestoreArgs),
    /// Make the wallet of the dev network's ten published accounts
    ImportDev,
    /// Show, list or add the wallet's addresses
    Address(AddressArgs),
    /// Show what the wallet has, and of which moment that is
    Balance(BalanceArgs),
    /// Pay, exactly once for each id
    Send(SendArgs),
    /// Look at sends, wait for them, cancel them
    #[command(subcommand)]
    Tx(TxCommand),
    /// Address, balance and transfer by a numbered menu, for classes
    Menu,
    /// Show the daemon, its nodes and wallets
    Status,
    /// Forget the keys of the wallet until it is unlocked
    Lock,
    /// Take the passphrase, so that the wallet can sign
    Unlock(UnlockArgs),
    /// Run the daemon in the foreground
    Daemon(DaemonArgs),
    /// Ask the daemon to end, and wait until it has
    Stop,
    /// Look at the settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show version and commit
    Version,
}

/// `config …`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show each setting and where its value comes from
    Print,
}

/// Where a passphrase comes from when nobody is asked for it.
#[derive(Debug, Default, Args)]
pub struct PassphraseArgs {
    /// File that holds the passphrase; an empty one stands for no passphrase
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_fd")]
    pub passphrase_file: Option<String>,
    /// Open file descriptor that the passphrase is read from; 0 is standard input
    #[arg(long, value_name = "N")]
    pub passphrase_fd: Option<u32>,
}

/// `create`
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// How many words the wallet is made of: 12 or 24
    #[arg(long, value_name = "N", default_value = "12", value_parser = word_count)]
    pub words: u8,
    /// What guards the keys.
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

/// `restore`
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// File that holds the words
    #[arg(long, value_name = "FILE", conflicts_with = "words_fd")]
    pub words_file: Option<String>,
    /// Open file descriptor that the words are read from; 0 is standard input
    #[arg(long, value_name = "N")]
    pub words_fd: Option<u32>,
    /// Height of a block before which nobody paid the wallet
    #[arg(long, value_name = "HEIGHT", default_value_t = 0)]
    pub birthday: u64,
    /// What guards the keys.
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
    /// Taken only to be refused, as the passphrase is.
    #[arg(long = "words", hide = true, num_args = 0..)]
    words: Option<Vec<String>>,
    /// Taken only to be refused, as the passphrase is.
    #[arg(hide = true)]
    sentence: Vec<String>,
}

/// `address`
#[derive(Debug, Args)]
pub struct AddressArgs {
    /// What of it; the wallet's first address where nothing is said.
    #[command(subcommand)]
    pub command: Option<AddressCommand>,
}

/// `address …`
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum AddressCommand {
    /// Make the next address
    New,
    /// Show all of them, with what each has
    List,
    /// Show one of them
    Show {
        /// Its number
        #[arg(value_name = "NUMBER", default_value_t = 0)]
        number: u32,
    },
}

/// `balance`
#[derive(Debug, Args)]
pub struct BalanceArgs {
    /// Of this address alone
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<String>,
}

/// `send`
#[derive(Clone, Debug, Args)]
pub struct SendArgs {
    /// Coins to pay, like 1.5, or max for all that one address can spend
    #[arg(value_name = "AMOUNT", allow_negative_numbers = true)]
    pub amount: String,
    /// Who is paid
    #[arg(long, value_name = "ADDRESS")]
    pub to: String,
    /// Which of the wallet's addresses pays [default: the first that can]
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<String>,
    /// Text in the transaction, for all to read
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub memo: String,
    /// Base units for the miner, a byte [default: what the network's nodes relay for]
    #[arg(long, value_name = "UNITS")]
    pub fee_rate: Option<u64>,
    /// What you call this send: asked again with it, it still pays once [default: a random one]
    #[arg(long, value_name = "KEY")]
    pub id: Option<IntentId>,
    /// Blocks after which it is void where nobody mined it; 0: never [default: 1000]
    #[arg(long, value_name = "BLOCKS")]
    pub expiry: Option<u64>,
    /// Only show what it would be
    #[arg(long, conflicts_with = "wait")]
    pub dry_run: bool,
    /// Wait until it has so many confirmations [default: 1]
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "1",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub wait: Option<u64>,
    /// How long to wait, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub timeout: u64,
}

/// `tx …`
#[derive(Debug, Subcommand)]
pub enum TxCommand {
    /// Show the newest sends
    List {
        /// How many
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = page)]
        limit: usize,
        /// Those before this one: the number that the last page named
        #[arg(long, value_name = "NUMBER")]
        before: Option<u64>,
    },
    /// Show one send: its state, why, and what comes next
    Show {
        /// Your id of it, or the transaction's
        id: IntentId,
    },
    /// Wait until a send has its confirmations
    Wait {
        /// Your id of it, or the transaction's
        id: IntentId,
        /// How many
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
        confirmations: u64,
        /// How long to wait, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 600)]
        timeout: u64,
    },
    /// Drop a send that is not signed yet
    Cancel {
        /// Your id of it
        id: IntentId,
    },
}

/// `unlock`
#[derive(Debug, Args)]
pub struct UnlockArgs {
    /// How long, like 30s, 10m or 2h [default: until it is locked or the daemon ends]
    #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
    pub seconds: Option<u64>,
    /// What guards the keys.
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

/// `daemon`
#[derive(Debug, Args)]
pub struct DaemonArgs {
    /// Written as JSON once the daemon answers: process, socket, network
    #[arg(long, value_name = "PATH")]
    pub ready_file: Option<String>,
}

impl Globals {
    /// What they set.
    pub fn flags(&self) -> Vec<Flag> {
        let texts = [
            ("network", &self.network),
            ("data_dir", &self.data_dir),
            ("log_format", &self.log_format),
            ("log_level", &self.log_level),
        ];
        let texts = texts.into_iter().filter_map(|(name, value)| Some((SECTION, name, value.clone()?)));
        let nodes = self.node.iter().map(|node| (SECTION, "node", node.to_string()));
        texts.chain(nodes).collect()
    }
}

impl Cli {
    /// Refuses secrets that were given as arguments, without a word of them.
    ///
    /// # Errors
    /// `secret_refused`.
    pub fn check(&self) -> Result<(), CliError> {
        let refused = |what: &str, hint: &str| {
            let message = format!(
                "{what} not taken from the arguments, where every user of this machine can read them"
            );
            Err(CliError::usage("secret_refused", message).with_hint(hint))
        };
        if self.globals.passphrase.is_some() {
            return refused(
                "passphrases are",
                "use --passphrase-file FILE or --passphrase-fd N, or be asked",
            );
        }
        match &self.command {
            Command::Restore(args) if args.words.is_some() || !args.sentence.is_empty() => {
                refused("words are", "use --words-file FILE or --words-fd N, or be asked")
            }
            _ => Ok(()),
        }
    }
}

/// The arguments with every `--node` at their end. The parser would let those after a command's name
/// take the place of those before it, and a node that was named must not be dropped unsaid.
pub fn with_nodes_last(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let (mut others, mut nodes) = (Vec::new(), Vec::new());
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            nodes.push(arg);
            nodes.extend(args.by_ref());
        } else if arg == "--node" {
            nodes.push(arg);
            nodes.extend(args.next());
        } else if arg.as_encoded_bytes().starts_with(b"--node=") {
            nodes.push(arg);
        } else {
            others.push(arg);
        }
    }
    others.append(&mut nodes);
    others
}

fn word_count(text: &str) -> Result<u8, String> {
    match text {
        "12" => Ok(12),
        "24" => Ok(24),
        _ => Err("12 or 24 words are possible".to_owned()),
    }
}

fn page(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=RPC_PAGE_MAX).contains(number));
    number.ok_or_else(|| format!("1 to {RPC_PAGE_MAX} are possible"))
}

/// A time in whole seconds, one at least.
fn seconds(text: &str) -> Result<u64, String> {
    let ms = words::parse_time(text)?;
    if ms < 1_000 { Err("one second at least".to_owned()) } else { Ok(ms / 1_000) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    fn parsed(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_arguments_are_declared_without_contradiction() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_every_command_takes_may_stand_before_and_after_its_name() {
        let flags = "--network tutorial --data-dir d --wallet w --node 127.0.0.1:1 --node 127.0.0.1:2 \
                     --json --yes --no-autostart --config c --log-format json --log-level debug";
        let flags = flags.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut seen = Vec::new();
        for line in [
            format!("steelyard-wallet {flags} balance"),
            format!("steelyard-wallet balance {flags}"),
            format!("steelyard-wallet {flags} tx list"),
            format!("steelyard-wallet tx {flags} list"),
            format!("steelyard-wallet tx list {flags}"),
        ] {
            let globals = parsed(&line).unwrap().globals;
            assert!(globals.json && globals.yes && globals.no_autostart, "{line}");
            assert_eq!(globals.wallet.as_ref().map(WalletName::as_str), Some("w"), "{line}");
            assert_eq!(globals.config.as_deref(), Some("c"), "{line}");
            seen.push(globals.flags());
        }
        assert_eq!(seen[0].len(), 6, "{:?}", seen[0]);
        assert!(seen.iter().all(|flags| *flags == seen[0]), "{seen:?}");
    }

    #[test]
    fn nodes_on_both_sides_of_a_command_are_all_meant() {
        for line in [
            "steelyard-wallet --node 127.0.0.1:1 status --node 127.0.0.1:2 --json",
            "steelyard-wallet --node=127.0.0.1:1 tx --node 127.0.0.1:2 list --json",
            "steelyard-wallet --json --node=127.0.0.1:1 tx show --node 127.0.0.1:2 -- order-7",
        ] {
            let gathered = with_nodes_last(line.split(' ').map(OsString::from));
            let globals = Cli::try_parse_from(gathered).unwrap().globals;
            let nodes: Vec<u16> = globals.node.iter().map(SocketAddr::port).collect();
            assert_eq!((nodes, globals.json), (vec![1, 2], true), "{line}");
        }
        // What is wrong stays wrong, and what is data stays where it was.
        for line in ["steelyard-wallet status --node", "steelyard-wallet --node status"] {
            assert!(Cli::try_parse_from(with_nodes_last(line.split(' ').map(OsString::from))).is_err());
        }
        let line = "steelyard-wallet tx -- --node x";
        let gathered = with_nodes_last(line.split(' ').map(OsString::from));
        assert_eq!(gathered.join(std::ffi::OsStr::new(" ")), line);
    }

    #[test]
    fn secrets_are_refused_and_not_repeated() {
        for line in [
            "steelyard-wallet unlock --passphrase hunter2",
            "steelyard-wallet unlock --passphrase=hunter2",
            "steelyard-wallet --passphrase hunter2 unlock",
            "steelyard-wallet create --passphrase",
            "steelyard-wallet restore --words hunter2 abandon",
            "steelyard-wallet restore hunter2 abandon about",
        ] {
            let error = parsed(line).unwrap().check().unwrap_err();
            assert_eq!(error.code, "secret_refused", "{line}");
            let told = format!("{error:?}");
            assert!(!told.contains("hunter2") && !told.contains("abandon"), "{told}");
        }
        assert!(parsed("steelyard-wallet restore --birthday 7").unwrap().check().is_ok());
    }

    #[test]
    fn waiting_means_one_confirmation_unless_more_are_asked_for() {
        let wait = |flags: &str| {
            let line = format!("steelyard-wallet send 1 --to x{flags}");
            parsed(&line).map(|cli| match cli.command {
                Command::Send(args) => args.wait,
                _ => panic!("a send"),
            })
        };
        assert_eq!(wait("").unwrap(), None);
        assert_eq!(wait(" --wait").unwrap(), Some(1));
        assert_eq!(wait(" --wait 3 --memo y").unwrap(), Some(3));
        assert!(wait(" --wait 0").is_err());
        assert_eq!(wait(" --wait --dry-run").unwrap_err().kind(), ErrorKind::ArgumentConflict);
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        for line in [
            "steelyard-wallet create --words 13",
            "steelyard-wallet tx list --limit 0",
            "steelyard-wallet tx list --limit 101",
            "steelyard-wallet unlock --for 10",
            "steelyard-wallet unlock --for 999ms",
            "steelyard-wallet --wallet A balance",
            "steelyard-wallet --node localhost balance",
            "steelyard-wallet send 1 --to x --id .",
        ] {
            assert_eq!(parsed(line).unwrap_err().kind(), ErrorKind::ValueValidation, "{line}");
        }
        for line in [
            "steelyard-wallet create --passphrase-file a --passphrase-fd 3",
            "steelyard-wallet restore --words-file a --words-fd 3",
        ] {
            assert_eq!(parsed(line).unwrap_err().kind(), ErrorKind::ArgumentConflict, "{line}");
        }
        let Command::Unlock(args) = parsed("steelyard-wallet unlock --for 10m").unwrap().command else {
            panic!("unlock")
        };
        assert_eq!(args.seconds, Some(600));
    }
}
