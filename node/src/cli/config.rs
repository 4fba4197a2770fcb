//! The settings of one run: arguments, environment, files and defaults made into the values that
//! the commands work with. Must not know what a command does with them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use steelyard_core::address;
use steelyard_core::hash::Address;
use steelyard_core::params::Params;
use steelyard_runtime::dirs;
use steelyard_runtime::exit::CliError;
use steelyard_runtime::logs::{self, LogFormat};
use steelyard_runtime::output::Output;
use steelyard_runtime::settings::{
    self, Flag, Key, NetworkSettings, Row, Settings, SettingsError, Source, Sources, environment,
};
use steelyard_runtime::words;

use super::args::Globals;
use super::events::Form;
use crate::disk::DiskLimits;
use crate::limits::{PEERS_MANUAL_MAX, PRUNE_DEPTH_LEAST};
use crate::miner::MinerConfig;
use crate::node::NodeConfig;

/// The section of this program's settings.
pub const SECTION: &str = "node";
/// The folder of this program in the folder of the user's data.
const DATA_FOLDER: &str = "steelyard";
/// Most threads that mine.
const MINE_THREADS_MAX: usize = 1_024;
/// What settings of room are counted in.
const MIB: u64 = 1024 * 1024;
/// The value of `mine` that does not.
const MINE_OFF: &str = "off";
/// The value of `prune` that does not.
const PRUNE_OFF: &str = "off";

/// Every setting, and the section of the program that shares the files.
const KEYS: [Key; 17] = [
    Key::new(SECTION, "network", Some("dev")),
    Key::new(SECTION, "data_dir", None),
    Key::new(SECTION, "api", None),
    Key::new(SECTION, "listen", None),
    Key::new(SECTION, "connect", None),
    Key::new(SECTION, "discover", Some("on")),
    Key::new(SECTION, "index", Some("on")),
    Key::new(SECTION, "mine", None),
    Key::new(SECTION, "mine_threads", Some("1")),
    Key::new(SECTION, "mine_on_tx", Some("false")),
    Key::new(SECTION, "disk_warn", Some("1024")),
    Key::new(SECTION, "disk_stop", Some("200")),
    Key::new(SECTION, "prune", Some("off")),
    Key::new(SECTION, "ready_file", None),
    Key::new(SECTION, "log_format", Some("text")),
    Key::new(SECTION, "log_level", Some(logs::LEVEL_DEFAULT)),
    Key::other_program("wallet"),
];

/// The settings of one run, its network known.
#[derive(Debug)]
pub struct Resolved {
    /// The network.
    pub params: Params,
    /// The network as it was given: a name or a file.
    pub network: String,
    settings: Settings,
    files: Vec<PathBuf>,
}

impl Resolved {
    /// Resolves everything and starts the log.
    ///
    /// # Errors
    /// Wrong usage, wherever it was given.
    pub fn new(globals: &Globals, mut flags: Vec<Flag>) -> Result<Self, CliError> {
        flags.extend(globals.flags());
        let given = globals.config.as_ref().map(PathBuf::from);
        let resolved = Self::resolve(&flags, &environment().collect::<Vec<_>>(), given, dirs::config_dir())?;
        let format = resolved.settings.require(SECTION, "log_format")?;
        let level = resolved.settings.get(SECTION, "log_level").unwrap_or(logs::LEVEL_DEFAULT);
        logs::init(format, level).map_err(|error| CliError::usage("log_setting", error.to_string()))?;
        Ok(resolved)
    }

    fn resolve(
        flags: &[Flag],
        env: &[(String, String)],
        given: Option<PathBuf>,
        folder: Option<PathBuf>,
    ) -> Result<Self, CliError> {
        let sources = Sources { flags, env, given, folder };
        let NetworkSettings { params, network, settings, files } =
            settings::resolve_for_network(&KEYS, SECTION, sources)?;
        Ok(Self { params, network, settings, files })
    }

    /// What a node needs. `mine_default` gets the rewards when the settings name nobody.
    ///
    /// # Errors
    /// Wrong usage.
    pub fn node(&self, mine_default: Option<Address>) -> Result<NodeConfig, CliError> {
        Ok(NodeConfig {
            params: self.params.clone(),
            data_dir: self.data_dir()?,
            api: self.settings.parse(SECTION, "api")?.unwrap_or_else(|| self.api_default()),
            listen: self.settings.parse(SECTION, "listen")?.unwrap_or_else(|| self.listen_default()),
            connect: self.connect()?,
            discover: self.is_on("discover")?,
            index: self.is_on("index")?,
            prune: self.prune()?,
            miner: self.miner(mine_default)?,
            disk: self.disk()?,
            ready_file: self.settings.get(SECTION, "ready_file").map(PathBuf::from),
        })
    }

    /// The node's folder.
    ///
    /// # Errors
    /// Nobody named one and the user has no home.
    pub fn data_dir(&self) -> Result<PathBuf, CliError> {
        let named = self.settings.get(SECTION, "data_dir").map(PathBuf::from);
        named.or_else(|| dirs::data_dir(DATA_FOLDER, &self.params.name)).ok_or_else(|| {
            CliError::usage("no_data_dir", "there is no home folder to keep data in")
                .with_hint("give --data-dir DIR")
        })
    }

    /// The API's address, where somebody named one, and whether it was an argument.
    ///
    /// # Errors
    /// Wrong usage.
    pub fn api_named(&self) -> Result<Option<(SocketAddr, bool)>, CliError> {
        let address = self.settings.parse(SECTION, "api")?;
        let is_flag = self.settings.source(SECTION, "api") == Some(&Source::Flag);
        Ok(address.map(|address| (address, is_flag)))
    }

    /// How events are told: not at all beside `--json`, else as the log is written.
    ///
    /// # Errors
    /// Wrong usage.
    pub fn events(&self, out: Output) -> Result<Option<Form>, CliError> {
        let form = match self.settings.require(SECTION, "log_format")? {
            LogFormat::Text => Some(Form::Lines).filter(|_| !out.is_json()),
            LogFormat::Json => Some(Form::Log),
        };
        Ok(form)
    }

    /// Where the API and where nodes and wallets would be found.
    ///
    /// # Errors
    /// Wrong usage.
    pub fn addresses(&self) -> Result<(SocketAddr, SocketAddr), CliError> {
        let api = self.settings.parse(SECTION, "api")?.unwrap_or_else(|| self.api_default());
        Ok((api, self.settings.parse(SECTION, "listen")?.unwrap_or_else(|| self.listen_default())))
    }

    /// The flags with which a further command means the same network and folder, a space before each.
    #[must_use]
    pub fn same(&self) -> String {
        let folder = self.data_dir_named().map(|dir| format!(" --data-dir {}", words::shell(dir)));
        let network = Some(self.network.as_str()).filter(|network| *network != "dev");
        let network = network.map(|network| format!(" --network {}", words::shell(network)));
        network.unwrap_or_default() + &folder.unwrap_or_default()
    }

    /// Whether the user chose the folder: commands that are shown then have to name it.
    pub fn data_dir_named(&self) -> Option<&str> {
        self.settings.get(SECTION, "data_dir")
    }

    fn api_default(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.params.policy.api_port)
    }

    fn listen_default(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.params.policy.p2p_port)
    }

    fn connect(&self) -> Result<Vec<SocketAddr>, SettingsError> {
        let invalid = |reason: &str| self.settings.invalid(SECTION, "connect", reason);
        let mut peers: Vec<SocketAddr> = Vec::new();
        for item in self.settings.list(SECTION, "connect") {
            let needed = || format!("{item:?} is no IP:PORT; host names are not taken");
            let peer = item.parse().map_err(|_| invalid(&needed()))?;
            if !peers.contains(&peer) {
                peers.push(peer);
            }
        }
        if peers.len() > PEERS_MANUAL_MAX {
            return Err(invalid(&format!("{PEERS_MANUAL_MAX} nodes at most are possible")));
        }
        Ok(peers)
    }

    fn is_on(&self, name: &str) -> Result<bool, SettingsError> {
        match self.settings.get(SECTION, name) {
            Some("on") => Ok(true),
            Some("off") => Ok(false),
            _ => Err(self.settings.invalid(SECTION, name, "on or off is needed")),
        }
    }

    fn prune(&self) -> Result<Option<u64>, SettingsError> {
        let text = self.settings.get(SECTION, "prune").filter(|text| *text != PRUNE_OFF);
        let least = format!("off or a number of blocks, {PRUNE_DEPTH_LEAST} at least, is needed");
        let invalid = || self.settings.invalid(SECTION, "prune", &least);
        let depth = |text: &str| text.parse().ok().filter(|depth| *depth >= PRUNE_DEPTH_LEAST);
        text.map(|text| depth(text).ok_or_else(invalid)).transpose()
    }

    fn miner(&self, default: Option<Address>) -> Result<Option<MinerConfig>, SettingsError> {
        let invalid = |name: &str, reason: &str| self.settings.invalid(SECTION, name, reason);
        let threads: usize = self.settings.require(SECTION, "mine_threads")?;
        if threads == 0 || threads > MINE_THREADS_MAX {
            return Err(invalid("mine_threads", &format!("1 to {MINE_THREADS_MAX} are possible")));
        }
        let on_tx = self.settings.require(SECTION, "mine_on_tx")?;
        let address = match self.settings.get(SECTION, "mine") {
            None => default,
            Some(MINE_OFF) => None,
            Some(text) => {
                let parsed = address::parse(&self.params.prefix, text);
                Some(parsed.map_err(|error| invalid("mine", &error.to_string()))?)
            }
        };
        Ok(address.map(|address| MinerConfig { address, threads, on_tx }))
    }

    fn disk(&self) -> Result<DiskLimits, SettingsError> {
        let bytes = |name: &str| {
            let mib: u64 = self.settings.require(SECTION, name)?;
            let too_many = || self.settings.invalid(SECTION, name, "so many MiB are on no disk");
            mib.checked_mul(MIB).ok_or_else(too_many)
        };
        Ok(DiskLimits { warn_bytes: bytes("disk_warn")?, stop_bytes: bytes("disk_stop")? })
    }

    /// The settings as they are shown: defaults that follow from the network filled in.
    fn rows(&self) -> Vec<Row> {
        let mut rows = self.settings.rows();
        for row in rows.iter_mut().filter(|row| row.value.is_none()) {
            row.value = match row.name {
                "api" => Some(self.api_default().to_string()),
                "listen" => Some(self.listen_default().to_string()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn resolve(flags: &[(&'static str, &str)], folder: Option<&Path>) -> Result<Resolved, CliError> {
        let flags: Vec<Flag> =
            flags.iter().map(|(name, value)| (SECTION, *name, (*value).to_owned())).collect();
        Resolved::resolve(&flags, &[], None, folder.map(Path::to_path_buf))
    }

    #[test]
    fn an_argument_for_the_api_is_known_as_one() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("dev.toml"), "[node]\napi = \"127.0.0.1:1\"\n").unwrap();
        let api =
            |flags: &[(&'static str, &str)]| resolve(flags, Some(dir.path())).unwrap().api_named().unwrap();
        assert_eq!(api(&[]).unwrap(), ("127.0.0.1:1".parse().unwrap(), false));
        assert_eq!(api(&[("api", "127.0.0.1:2")]).unwrap(), ("127.0.0.1:2".parse().unwrap(), true));
        assert_eq!(api(&[("network", "tutorial")]), None);
    }

    #[test]
    fn the_miner_is_off_unless_somebody_is_paid() {
        let alice = Address([7; 32]);
        let text = address::format("dsy", &alice);
        let miner = |flags: &[(&'static str, &str)], default| resolve(flags, None).unwrap().miner(default);
        assert!(miner(&[], None).unwrap().is_none());
        assert_eq!(miner(&[], Some(alice)).unwrap().unwrap().address, alice);
        assert!(miner(&[("mine", "off")], Some(alice)).unwrap().is_none());
        let config = miner(&[("mine", &text), ("mine_threads", "3")], None).unwrap().unwrap();
        assert_eq!((config.address, config.threads, config.on_tx), (alice, 3, false));
        let error = miner(&[("mine", &text.replace("dsy1", "sy1"))], None).unwrap_err();
        assert!(error.to_string().starts_with("setting \"node.mine\" is \"sy1"), "{error}");
        for threads in ["0", "1025", "many"] {
            assert!(miner(&[("mine_threads", threads)], None).is_err());
        }
    }

    #[test]
    fn what_is_kept_is_everything_or_enough_for_a_reorganisation() {
        let prune = |flags: &[(&'static str, &str)]| resolve(flags, None).unwrap().node(None);
        assert_eq!(prune(&[]).unwrap().prune, None);
        assert_eq!(prune(&[("prune", "off")]).unwrap().prune, None);
        assert_eq!(prune(&[("prune", "288")]).unwrap().prune, Some(288));
        for depth in ["287", "0", "-1", "many", ""] {
            let error = prune(&[("prune", depth)]).unwrap_err();
            assert!(error.to_string().contains("288 at least"), "{depth}: {error}");
        }
    }

    #[test]
    fn peers_come_from_arguments_or_files_and_are_addresses() {
        let dir = tempfile::tempdir().unwrap();
        let file = "[node]\nconnect = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\ndiscover = \"off\"\n";
        std::fs::write(dir.path().join("dev.toml"), file).unwrap();
        let node = |flags: &[(&'static str, &str)]| resolve(flags, Some(dir.path())).unwrap().node(None);
        let ports = |flags: &[(&'static str, &str)]| -> Vec<u16> {
            node(flags).unwrap().connect.into_iter().map(|peer| peer.port()).collect()
        };
        assert_eq!(ports(&[]), [1, 2]);
        assert_eq!(
            ports(&[("connect", "[::1]:3"), ("connect", "127.0.0.1:1"), ("connect", "[::1]:3")]),
            [3, 1]
        );
        assert!(!node(&[]).unwrap().discover && node(&[("discover", "on")]).unwrap().discover);
        let bare = resolve(&[], None).unwrap().node(None).unwrap();
        assert!(bare.connect.is_empty() && bare.discover && bare.index);
        assert!(!node(&[("index", "off")]).unwrap().index);
        let many: Vec<String> = (0..=PEERS_MANUAL_MAX).map(|host| format!("10.0.1.{host}:1")).collect();
        for (name, value) in
            [("connect", "localhost:1"), ("connect", &many.join(",")), ("discover", "yes"), ("index", "yes")]
        {
            assert_eq!(node(&[(name, value)]).unwrap_err().code, "setting_invalid", "{value}");
        }
    }

    #[test]
    fn room_is_set_in_mib_and_nothing_switches_it_off() {
        let disk = |flags: &[(&'static str, &str)]| resolve(flags, None).unwrap().disk();
        assert_eq!(disk(&[]).unwrap(), DiskLimits::default());
        let off = DiskLimits { warn_bytes: 3 * MIB, stop_bytes: 0 };
        assert_eq!(disk(&[("disk_warn", "3"), ("disk_stop", "0")]).unwrap(), off);
        for wrong in ["-1", "1 GiB", "", "17592186044416"] {
            assert!(disk(&[("disk_stop", wrong)]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn defaults_follow_from_the_network() {
        let resolved = resolve(&[("network", "tutorial"), ("data_dir", "/d")], None).unwrap();
        let config = resolved.node(None).unwrap();
        assert_eq!(config.api.to_string(), "127.0.0.1:9344");
        assert_eq!(config.listen.to_string(), "127.0.0.1:9343");
        assert_eq!(config.data_dir, Path::new("/d"));
        let api = resolved.rows().into_iter().find(|row| row.name == "api").unwrap();
        assert_eq!((api.value.as_deref(), api.source.as_str()), (Some("127.0.0.1:9344"), "default"));
        assert_eq!(resolve(&[("network", "atlantis")], None).unwrap_err().code, "unknown_network");
    }
}
