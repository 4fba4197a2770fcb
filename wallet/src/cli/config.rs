//! The settings of one run: arguments, environment, files and defaults made into the values that
//! the commands work with, and which wallet they mean. Must not know what a command does with them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use steelyard_core::address;
use steelyard_core::params::Params;
use steelyard_runtime::dirs;
use steelyard_runtime::exit::CliError;
use steelyard_runtime::logs;
use steelyard_runtime::output::Output;
use steelyard_runtime::settings::{self, Key, NetworkSettings, Row, Settings, Source, Sources, environment};

use super::args::Globals;
use crate::intent::WalletName;
use crate::limits::NODES_MAX;

/// The section of this program's settings.
pub const SECTION: &str = "wallet";
/// The folder of this program in the folder of the user's data.
const DATA_FOLDER: &str = "steelyard-wallet";
/// The variable that names the wallet where no argument does. No setting: a file that chose the
/// wallet would be a current wallet in disguise.
const WALLET_VARIABLE: &str = "STEELYARD_WALLET";

/// Every setting, and the section of the program that shares the files.
const KEYS: [Key; 6] = [
    Key::new(SECTION, "network", Some("dev")),
    Key::new(SECTION, "data_dir", None),
    Key::new(SECTION, "node", None),
    Key::new(SECTION, "log_format", Some("text")),
    Key::new(SECTION, "log_level", Some(logs::LEVEL_DEFAULT)),
    Key::other_program("node"),
];

/// The settings of one run, its network known.
#[derive(Debug)]
pub struct Resolved {
    /// The network.
    pub params: Params,
    /// Whether a missing daemon is started.
    pub autostart: bool,
    /// The wallet that was named, by argument or variable.
    pub wallet: Option<WalletName>,
    /// The network as it was given: a name or a file.
    network: String,
    /// The file that `--config` named.
    config: Option<String>,
    settings: Settings,
    files: Vec<PathBuf>,
}

impl Resolved {
    /// Resolves everything.
    ///
    /// # Errors
    /// Wrong usage, wherever it was given.
    pub fn new(globals: &Globals) -> Result<Self, CliError> {
        let env: Vec<_> = environment().collect();
        let named = env.iter().find(|(name, _)| name == WALLET_VARIABLE).map(|(_, value)| value.clone());
        Self::resolve(globals, &env, named.as_deref(), dirs::config_dir())
    }

    fn resolve(
        globals: &Globals,
        env: &[(String, String)],
        named: Option<&str>,
        folder: Option<PathBuf>,
    ) -> Result<Self, CliError> {
        let given = globals.config.as_ref().map(PathBuf::from);
        let sources = Sources { flags: &globals.flags(), env, given, folder };
        let NetworkSettings { params, network, settings, files } =
            settings::resolve_for_network(&KEYS, SECTION, sources)?;
        let wallet = match (&globals.wallet, named.filter(|name| !name.is_empty())) {
            (Some(wallet), _) => Some(wallet.clone()),
            (None, Some(name)) => Some(name.parse().map_err(|error| {
                CliError::usage("setting_invalid", format!("{WALLET_VARIABLE} is \"{name}\": {error}"))
            })?),
            (None, None) => None,
        };
        let (autostart, config) = (!globals.no_autostart, globals.config.clone());
        Ok(Self { params, autostart, wallet, network, config, settings, files })
    }

    /// Starts the log, which only the daemon writes.
    ///
    /// # Errors
    /// A format or filter that there is not.
    pub fn start_log(&self) -> Result<(), CliError> {
        let format = self.settings.require(SECTION, "log_format")?;
        let level = self.settings.get(SECTION, "log_level").unwrap_or(logs::LEVEL_DEFAULT);
        logs::init(format, level).map_err(|error| CliError::usage("log_setting", error.to_string()))
    }

    /// The daemon's folder, absolute.
    ///
    /// # Errors
    /// Nobody named one and the user has no home.
    pub fn data_dir(&self) -> Result<PathBuf, CliError> {
        let named = self.settings.get(SECTION, "data_dir").map(PathBuf::from);
        let dir = named.or_else(|| dirs::data_dir(DATA_FOLDER, &self.params.name)).ok_or_else(|| {
            CliError::usage("no_data_dir", "there is no home folder to keep data in")
                .with_hint("give --data-dir DIR")
        })?;
        absolute(&dir)
    }

    /// The nodes to ask, at least one.
    ///
    /// # Errors
    /// Wrong usage: what is no address, or too many.
    pub fn nodes(&self) -> Result<Vec<SocketAddr>, CliError> {
        let invalid = |reason: String| CliError::from(self.settings.invalid(SECTION, "node", &reason));
        let mut nodes: Vec<SocketAddr> = Vec::new();
        for item in self.settings.list(SECTION, "node") {
            let node = item.parse().map_err(|_| invalid(format!("\"{item}\" is no IP:PORT")))?;
            if !nodes.contains(&node) {
                nodes.push(node);
            }
        }
        if nodes.len() > NODES_MAX {
            return Err(invalid(format!("{NODES_MAX} nodes at most are possible")));
        }
        if nodes.is_empty() {
            nodes.push(self.node_default());
        }
        Ok(nodes)
    }

    /// The nodes that the arguments name: a daemon that runs already is told about them.
    ///
    /// # Errors
    /// As [`Resolved::nodes`].
    pub fn nodes_in_arguments(&self) -> Result<Vec<SocketAddr>, CliError> {
        if self.settings.source(SECTION, "node") == Some(&Source::Flag) {
            self.nodes()
        } else {
            Ok(Vec::new())
        }
    }

    /// The arguments of a daemon with the same settings, wherever it is started from.
    ///
    /// # Errors
    /// As [`Resolved::data_dir`] and [`Resolved::nodes`].
    pub fn daemon_arguments(&self) -> Result<Vec<String>, CliError> {
        let mut arguments: Vec<String> = ["daemon", "--json", "--network"].map(str::to_owned).into();
        let is_file = !matches!(self.network.as_str(), "dev" | "tutorial");
        arguments.push(if is_file {
            text(&absolute(Path::new(&self.network))?)?
        } else {
            self.network.clone()
        });
        arguments.extend(["--data-dir".to_owned(), text(&self.data_dir()?)?]);
        for node in self.nodes()? {
            arguments.extend(["--node".to_owned(), node.to_string()]);
        }
        if let Some(config) = &self.config {
            arguments.extend(["--config".to_owned(), text(&absolute(Path::new(config))?)?]);
        }
        for (flag, name) in [("--log-format", "log_format"), ("--log-level", "log_level")] {
            if let Some(value) = self.settings.get(SECTION, name) {
                arguments.extend([flag.to_owned(), value.to_owned()]);
            }
        }
        Ok(arguments)
    }

    /// An address of the network, read here so that a wrong one starts nothing.
    ///
    /// # Errors
    /// `invalid_address`, which says what is wrong with it.
    pub fn check_address(&self, flag: &str, text: &str) -> Result<(), CliError> {
        let checked = address::parse(&self.params.prefix, text);
        checked.map(|_| ()).map_err(|error| {
            let message = format!("{flag} \"{}\": {error}", text.escape_debug());
            let hint =
                format!("addresses of the network {} begin with {}1", self.params.name, self.params.prefix);
            CliError::usage("invalid_address", message).with_hint(hint)
        })
    }

    fn node_default(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.params.policy.p2p_port)
    }

    /// The settings as they are shown: defaults that follow from the network filled in.
    fn rows(&self) -> Vec<Row> {
        let mut rows = self.settings.rows();
        for row in rows.iter_mut().filter(|row| row.value.is_none()) {
            row.value = match row.name {
                "node" => Some(self.node_default().to_string()),
                "data_dir" => self.data_dir().ok().map(|path| path.display().to_string()),
                _ => None,
            };
            if row.value.is_some() {
                "default".clone_into(&mut row.source);
            }
        }
        rows
    }
}

/// `config print`.
pub fn print(resolved: &Resolved, out: Output) {
    settings::print(resolved.rows(), &resolved.files, out);
}

fn absolute(path: &Path) -> Result<PathBuf, CliError> {
    std::path::absolute(path)
        .map_err(|error| CliError::usage("bad_path", format!("\"{}\" is no path: {error}", path.display())))
}

/// A path as an argument; one that is no text cannot have come from the settings, which are text.
fn text(path: &Path) -> Result<String, CliError> {
    let no_text = || CliError::usage("bad_path", format!("{} is no UTF-8 text", path.display()));
    path.to_str().map(str::to_owned).ok_or_else(no_text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Cli;
    use clap::Parser;

    fn resolve(flags: &str, named: Option<&str>, folder: Option<&Path>) -> Result<Resolved, CliError> {
        let cli = Cli::try_parse_from(format!("steelyard-wallet status {flags}").split_whitespace()).unwrap();
        Resolved::resolve(&cli.globals, &[], named, folder.map(Path::to_path_buf))
    }

    #[test]
    fn the_wallet_is_the_arguments_or_the_variables() {
        let named = |flags: &str, variable| {
            resolve(flags, variable, None).map(|resolved| resolved.wallet.map(|name| name.to_string()))
        };
        assert_eq!(named("", None).unwrap(), None);
        assert_eq!(named("", Some("")).unwrap(), None);
        assert_eq!(named("", Some("shop")).unwrap().as_deref(), Some("shop"));
        assert_eq!(named("--wallet mine", Some("shop")).unwrap().as_deref(), Some("mine"));
        let error = named("", Some("My Wallet")).unwrap_err();
        assert!(error.message.starts_with("STEELYARD_WALLET is \"My Wallet\": 1 to 32 of"), "{error}");
    }

    #[test]
    fn nodes_come_from_arguments_or_files_and_are_never_none() {
        let dir = tempfile::tempdir().unwrap();
        let nodes = |flags: &str| {
            let resolved = resolve(flags, None, Some(dir.path())).unwrap();
            let texts = |nodes: Vec<SocketAddr>| nodes.iter().map(ToString::to_string).collect::<Vec<_>>();
            (texts(resolved.nodes().unwrap()), texts(resolved.nodes_in_arguments().unwrap()))
        };
        let none = Vec::<String>::new();
        assert_eq!(nodes(""), (vec!["127.0.0.1:9333".to_owned()], none.clone()));
        assert_eq!(nodes("--network tutorial"), (vec!["127.0.0.1:9343".to_owned()], none.clone()));
        let own = "[wallet]\nnode = [\"10.0.0.1:1\", \"10.0.0.2:2\"]\n";
        std::fs::write(dir.path().join("dev.toml"), own).unwrap();
        assert_eq!(nodes(""), (vec!["10.0.0.1:1".to_owned(), "10.0.0.2:2".to_owned()], none));
        let given = vec!["10.0.0.3:3".to_owned(), "[::1]:4".to_owned()];
        assert_eq!(nodes("--node 10.0.0.3:3 --node [::1]:4 --node 10.0.0.3:3"), (given.clone(), given));
        std::fs::write(dir.path().join("dev.toml"), "[wallet]\nnode = \"localhost\"\n").unwrap();
        let error = resolve("", None, Some(dir.path())).unwrap().nodes().unwrap_err();
        assert!(error.message.contains("\"localhost\" is no IP:PORT"), "{error}");
        let many: Vec<_> = (0..=NODES_MAX).map(|port| format!("--node 127.0.0.1:{port}")).collect();
        assert!(resolve(&many.join(" "), None, None).unwrap().nodes().is_err());
    }

    #[test]
    fn a_daemon_gets_the_same_settings_whatever_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let network = dir.path().join("class.toml");
        let params = Params::new_network("class", 1_767_225_600_000, 1_000);
        std::fs::write(&network, steelyard_runtime::network_file::to_toml(&params)).unwrap();
        let flags = format!("--network {} --data-dir d --log-level debug", network.display());
        let resolved = resolve(&flags, None, None).unwrap();
        let arguments = resolved.daemon_arguments().unwrap();
        let cli = Cli::try_parse_from(
            std::iter::once("steelyard-wallet").chain(arguments.iter().map(String::as_str)),
        );
        let again = Resolved::resolve(&cli.unwrap().globals, &[], None, None).unwrap();
        assert_eq!(again.params, resolved.params);
        assert!(again.data_dir().unwrap().is_absolute());
        assert_eq!(again.data_dir().unwrap(), resolved.data_dir().unwrap());
        assert_eq!(again.nodes().unwrap(), resolved.nodes().unwrap());
        assert_eq!(again.settings.get(SECTION, "log_level"), Some("debug"));
    }

    #[test]
    fn an_address_is_checked_for_its_network() {
        let resolved = resolve("", None, None).unwrap();
        let own = steelyard_core::params::dev_addresses()[0];
        assert!(resolved.check_address("--to", &address::format("dsy", &own)).is_ok());
        for wrong in [address::format("tsy", &own), "nobody".to_owned(), "\u{1b}[2J".to_owned()] {
            let error = resolved.check_address("--to", &wrong).unwrap_err();
            assert_eq!(error.code, "invalid_address");
            assert!(!error.message.contains('\u{1b}'), "{error:?}");
        }
    }

    #[test]
    fn what_is_printed_names_its_source() {
        let resolved = resolve("--data-dir /d --node 127.0.0.1:1", None, None).unwrap();
        let lines: Vec<_> = resolved
            .rows()
            .into_iter()
            .map(|row| format!("{}={} {}", row.name, row.value.unwrap_or_default(), row.source))
            .collect();
        assert_eq!(
            lines,
            [
                "network=dev default",
                "data_dir=/d arguments",
                "node=127.0.0.1:1 arguments",
                "log_format=text default",
                "log_level=info default",
            ]
        );
    }
}
