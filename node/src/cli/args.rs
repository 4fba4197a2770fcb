//! The arguments as types. Must not know defaults: those belong to the settings, where each value
//! remembers where it came from.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};
use steelyard_core::amount::Coins;
use steelyard_runtime::settings::Flag;
use steelyard_runtime::{version, words};

use super::config::SECTION;

/// A node of a Steelyard network.
///
/// Begin with `steelyard-node dev`: a network of your own with ten funded accounts, mining, and
/// an HTTP API, which survives being killed.
#[derive(Debug, Parser)]
#[command(name = "steelyard-node", version = version::text(), arg_required_else_help = true)]
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
    /// Answer with one JSON object, errors too
    #[arg(long, global = true)]
    pub json: bool,
    /// Settings file, read before the network's own in the settings folder
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<String>,
    /// How the log on stderr is written: text or json
    #[arg(long, global = true, value_name = "FORMAT", value_parser = ["text", "json"])]
    pub log_format: Option<String>,
    /// What is logged: error, warn, info, debug, trace, or a filter like steelyard_node=debug
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a network of your own: funded accounts, mining, API; its chain is kept between starts
    Dev(DevArgs),
    /// Run a node of a network
    Run(RunArgs),
    /// Write the file of a new network
    NewNetwork(NewNetworkArgs),
    /// Check the store against its commitments; changes nothing
    Verify(VerifyArgs),
    /// Make the store again from its own blocks where it is damaged; the old one is kept
    Repair(RepairArgs),
    /// Copy the chain into a folder, also while the node runs
    Backup(BackupArgs),
    /// Make the chain of a folder from a backup
    Restore(BackupArgs),
    /// Write the blocks of the chain into one file, also while the node runs
    Export(ExportArgs),
    /// Take the blocks of a file, each by all rules
    Import(ImportArgs),
    /// Look at why a node does not run, or is unwell
    Doctor(DoctorArgs),
    /// Ask the running node whether it can be worked with
    Health(AskArgs),
    /// Ask the running node how it is
    Status(AskArgs),
    /// Ask the running node who is connected
    Peers(AskArgs),
    /// Ask the running node where branches of the chain end
    Tips(AskArgs),
    /// Tell the running node whom to connect to, and whom never
    #[command(subcommand)]
    Peer(PeerCommand),
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
    Print(RunArgs),
}

/// `peer …`
#[derive(Debug, Subcommand)]
pub enum PeerCommand {
    /// Connect to a node, now and after every start
    Add(PeerArgs),
    /// Hang up and forget a node; it may connect again
    Remove(PeerArgs),
    /// Hang up, and refuse everything from and to an IP until it is unbanned
    Ban(BanArgs),
    /// End a ban, also one for misbehaviour
    Unban(BanArgs),
}

/// `peer add` and `peer remove`
#[derive(Debug, Args)]
pub struct PeerArgs {
    /// Where the other node listens
    #[arg(value_name = "IP:PORT", value_parser = peer)]
    pub address: SocketAddr,
    /// Which node is told.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// `peer ban` and `peer unban`
#[derive(Debug, Args)]
pub struct BanArgs {
    /// Whose nodes; a port is not looked at
    #[arg(value_name = "IP", value_parser = ip)]
    pub ip: IpAddr,
    /// Which node is told.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Where a node keeps its data.
#[derive(Debug, Args)]
pub struct FolderArgs {
    /// The node's folder [default: the network's in the user's data folder]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
}

/// Which network it is.
#[derive(Debug, Args)]
pub struct NetworkArgs {
    /// dev, tutorial, or a file that new-network wrote [default: dev]
    #[arg(long, value_name = "NETWORK")]
    pub network: Option<String>,
}

/// Where the API is.
#[derive(Debug, Args)]
pub struct ApiArgs {
    /// Address of the API; port 0 takes a free one [default: 127.0.0.1 and the network's port]
    #[arg(long, value_name = "IP:PORT")]
    pub api: Option<String>,
}

/// What `dev` and `run` share.
#[derive(Debug, Args)]
pub struct NodeArgs {
    #[command(flatten)]
    folder: FolderArgs,
    #[command(flatten)]
    api: ApiArgs,
    /// Mine, and pay the rewards to this address; "off" does not mine [default of dev: account 0]
    #[arg(long, value_name = "ADDRESS")]
    mine: Option<String>,
    /// Threads that mine [default: 1]
    #[arg(long, value_name = "N")]
    mine_threads: Option<String>,
    /// Written as JSON once the node listens: process, API, network, token file, tip
    #[arg(long, value_name = "PATH")]
    ready_file: Option<String>,
    /// Where nodes and wallets connect; port 0 takes a free one [default: 127.0.0.1 and the network's port]
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<String>,
    /// Stay connected to this node; may be given again and again
    #[arg(long, value_name = "IP:PORT", action = ArgAction::Append, value_parser = peer)]
    connect: Vec<SocketAddr>,
    /// Ask peers for further nodes and tell them; off connects to named ones only [default: on]
    #[arg(long, value_name = "on|off", value_parser = ["on", "off"])]
    discover: Option<String>,
    /// Keep the bodies of the last so many blocks, 288 at least, and delete older ones; headers and
    /// balances stay whole [default: off]
    #[arg(long, value_name = "BLOCKS|off")]
    prune: Option<String>,
    /// Keep an index, to look up transactions, histories and assets; off answers wallets in part only [default: on]
    #[arg(long, value_name = "on|off", value_parser = ["on", "off"])]
    index: Option<String>,
}

/// `dev`
#[derive(Debug, Args)]
pub struct DevArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Mine a block at once when a transaction is pending
    #[arg(long)]
    mine_on_tx: bool,
    /// Delete the chain of this folder first, and nothing else
    #[arg(long)]
    pub fresh: bool,
}

/// `run`
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    node: NodeArgs,
}

/// `verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Execute every block again from genesis
    #[arg(long)]
    pub full: bool,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    folder: FolderArgs,
}

/// `repair`
#[derive(Debug, Args)]
pub struct RepairArgs {
    /// Make it again also where nothing is wrong
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    folder: FolderArgs,
}

/// `backup` and `restore`
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The backup's folder
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    folder: FolderArgs,
}

/// `export`
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The file to write, which is not there yet; - is stdout, where no node runs
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Height of the first block
    #[arg(long, value_name = "HEIGHT", default_value_t = 1)]
    pub from: u64,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    folder: FolderArgs,
}

/// `import`
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file to read; - is stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    folder: FolderArgs,
}

/// `doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    ask: AskArgs,
    /// Where nodes and wallets would connect [default: 127.0.0.1 and the network's port]
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<String>,
}

/// `status`, and everything else that asks a running node
#[derive(Debug, Args)]
pub struct AskArgs {
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    folder: FolderArgs,
    #[command(flatten)]
    api: ApiArgs,
}

/// `new-network`
#[derive(Debug, Args)]
pub struct NewNetworkArgs {
    /// Its name: 1 to 32 of a-z, 0-9 and the hyphen
    pub name: String,
    /// Intended time from block to block, like 500ms, 30s or 2m
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = words::parse_time)]
    pub spacing: u64,
    /// Coins for each of the first blocks
    #[arg(long, value_name = "COINS", default_value = "10")]
    pub reward: Coins,
    /// Blocks until the reward halves; 0: never [default: 2102400]
    #[arg(long, value_name = "BLOCKS")]
    pub halving: Option<u64>,
    /// Coins that an address owns from the beginning; may be given again and again
    #[arg(long, value_name = "ADDRESS=COINS", action = ArgAction::Append)]
    pub allocate: Vec<String>,
    /// What addresses begin with, before the 1
    #[arg(long, value_name = "LETTERS", default_value = "sy")]
    pub prefix: String,
    /// Most transactions of a block; 0: as many as its bytes hold
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub max_block_txs: u64,
    /// Tries that the first block takes on average [default: measured here, one thread, one spacing]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub start_tries: Option<u64>,
    /// The file to write [default: NAME.toml]
    #[arg(long, value_name = "FILE")]
    pub out: Option<String>,
}

impl Globals {
    /// What they set.
    pub fn flags(&self) -> Vec<Flag> {
        given([("log_format", &self.log_format), ("log_level", &self.log_level)])
    }
}

impl NodeArgs {
    fn flags(&self) -> Vec<Flag> {
        let mut flags = given([
            ("data_dir", &self.folder.data_dir),
            ("api", &self.api.api),
            ("listen", &self.listen),
            ("discover", &self.discover),
            ("index", &self.index),
            ("mine", &self.mine),
            ("mine_threads", &self.mine_threads),
            ("ready_file", &self.ready_file),
            ("prune", &self.prune),
        ]);
        flags.extend(self.connect.iter().map(|peer| (SECTION, "connect", peer.to_string())));
        flags
    }
}

impl DevArgs {
    /// What they set: the network too, because `dev` is one.
    pub fn flags(&self) -> Vec<Flag> {
        let mut flags = self.node.flags();
        flags.push((SECTION, "network", "dev".to_owned()));
        if self.mine_on_tx {
            flags.push((SECTION, "mine_on_tx", "true".to_owned()));
        }
        flags
    }
}

impl RunArgs {
    /// What they set.
    pub fn flags(&self) -> Vec<Flag> {
        let mut flags = self.node.flags();
        flags.extend(given([("network", &self.network.network)]));
        flags
    }
}

/// What the commands set that work on a folder.
macro_rules! folder_flags {
    ($($args:ident),*) => {$(
        impl $args {
            /// What they set.
            pub fn flags(&self) -> Vec<Flag> {
                given([("network", &self.network.network), ("data_dir", &self.folder.data_dir)])
            }
        }
    )*};
}

folder_flags!(VerifyArgs, RepairArgs, BackupArgs, ExportArgs, ImportArgs);

impl DoctorArgs {
    /// What they set.
    pub fn flags(&self) -> Vec<Flag> {
        let mut flags = self.ask.flags();
        flags.extend(given([("listen", &self.listen)]));
        flags
    }
}

impl PeerCommand {
    /// Which node is told.
    pub fn ask(&self) -> &AskArgs {
        match self {
            Self::Add(args) | Self::Remove(args) => &args.ask,
            Self::Ban(args) | Self::Unban(args) => &args.ask,
        }
    }
}

impl AskArgs {
    /// What they set.
    pub fn flags(&self) -> Vec<Flag> {
        let folder = ("data_dir", &self.folder.data_dir);
        given([("network", &self.network.network), folder, ("api", &self.api.api)])
    }
}

fn peer(text: &str) -> Result<SocketAddr, String> {
    let needed = "IP:PORT is needed, like 127.0.0.1:9333; host names are not taken";
    let address: Option<SocketAddr> = text.parse().ok();
    address.filter(|address| address.port() != 0).ok_or_else(|| needed.to_owned())
}

fn ip(text: &str) -> Result<IpAddr, String> {
    let needed = "an IP is needed, like 10.0.0.7; host names are not taken";
    let ip = text.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    ip.map_err(|_| needed.to_owned())
}

fn given<const N: usize>(flags: [(&'static str, &Option<String>); N]) -> Vec<Flag> {
    let given = flags.into_iter().filter_map(|(name, value)| Some((SECTION, name, value.clone()?)));
    given.collect()
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
        for line in ["steelyard-node --json version", "steelyard-node version --json"] {
            assert!(parsed(line).unwrap().globals.json);
        }
    }

    fn flags(line: &str) -> Vec<String> {
        let flags = match parsed(line).unwrap().command {
            Command::Dev(args) => args.flags(),
            Command::Run(args) => args.flags(),
            Command::Peers(args) | Command::Tips(args) => args.flags(),
            Command::Peer(command) => command.ask().flags(),
            _ => panic!("{line}"),
        };
        flags.into_iter().map(|(_, name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn peers_are_named_again_and_again() {
        let line = "steelyard-node dev --connect 127.0.0.1:1 --discover off --connect [::1]:2";
        let expected = ["discover=off", "connect=127.0.0.1:1", "connect=[::1]:2", "network=dev"];
        assert_eq!(flags(line), expected);
        assert_eq!(flags("steelyard-node run --connect=127.0.0.1:1"), ["connect=127.0.0.1:1"]);
        assert_eq!(flags("steelyard-node run --index off"), ["index=off"]);
        let refused = [
            "run --connect localhost:1",
            "run --connect 127.0.0.1",
            "dev --discover maybe",
            "dev --index maybe",
        ];
        for line in refused {
            let error = parsed(&format!("steelyard-node {line}")).unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue),
                "{line}: {error}"
            );
        }
        let error = parsed("steelyard-node run --connect localhost:1").unwrap_err().to_string();
        assert!(error.contains("host names are not taken"), "{error}");
    }

    #[test]
    fn what_asks_a_running_node_finds_it_in_one_way() {
        let place = "--network tutorial --data-dir d --api 127.0.0.1:1";
        let expected = ["network=tutorial", "data_dir=d", "api=127.0.0.1:1"];
        for line in ["peers", "tips", "peer add 127.0.0.1:2", "peer ban 10.0.0.7"] {
            assert_eq!(flags(&format!("steelyard-node {line} {place}")), expected, "{line}");
        }
    }

    #[test]
    fn whose_nodes_are_banned_is_an_ip_with_or_without_a_port() {
        for (text, expected) in [("10.0.0.7", "10.0.0.7"), ("10.0.0.7:1", "10.0.0.7"), ("[::7]:1", "::7")] {
            let line = format!("steelyard-node peer unban {text}");
            let Command::Peer(PeerCommand::Unban(args)) = parsed(&line).unwrap().command else { panic!() };
            assert_eq!(args.ip.to_string(), expected);
        }
        for line in ["peer ban example.org", "peer add 10.0.0.7", "peer remove 10.0.0.7:0", "peer ban"] {
            assert!(parsed(&format!("steelyard-node {line}")).is_err(), "{line}");
        }
    }

    #[test]
    fn dev_is_its_own_network() {
        assert_eq!(
            parsed("steelyard-node dev --network dev").unwrap_err().kind(),
            ErrorKind::UnknownArgument
        );
        assert_eq!(flags("steelyard-node dev --mine-on-tx"), ["network=dev", "mine_on_tx=true"]);
    }
}
