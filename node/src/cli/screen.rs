//! The first screen: what runs, where its data is, who has money, what to try next. One card,
//! shown as text of at most 24 lines of 80 columns or as JSON. Must not start or change anything.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use steelyard_core::address;
use steelyard_core::amount::Coins;
use steelyard_core::hash::{Address, BlockId, NetworkId};
use steelyard_core::params::{DEV_PATH, DEV_WORDS, dev_addresses};
use steelyard_core::state::{Key, Record, Trie};
use steelyard_runtime::{version, words};

use crate::miner::MinerConfig;
use crate::node::{Node, PROGRAM};

/// Columns of a terminal that every terminal has.
const COLUMNS: usize = 80;
/// Columns for a balance beside a full address.
const BALANCE_COLUMNS: usize = 12;

/// Everything the first screen says.
#[derive(Debug, Serialize)]
pub struct Card {
    version: &'static str,
    commit: Option<&'static str>,
    pid: u32,
    network: String,
    network_id: NetworkId,
    api: String,
    p2p: SocketAddr,
    /// Nodes that are dialled because the settings name them.
    dials: Vec<SocketAddr>,
    data_dir: PathBuf,
    token_file: PathBuf,
    disk_bytes: u64,
    height: u64,
    tip: BlockId,
    resumed: bool,
    rebuilt: bool,
    checked_ms: u64,
    ready_ms: u64,
    mining: Option<Mining>,
    dev: Option<Dev>,
}

#[derive(Debug, Serialize)]
struct Mining {
    address: String,
    threads: usize,
    on_tx: bool,
    spacing_ms: u64,
}

/// What only the dev network has: money whose keys everybody knows.
#[derive(Debug, Serialize)]
struct Dev {
    accounts: Vec<Account>,
    words: &'static str,
    path: &'static str,
}

#[derive(Debug, Serialize)]
struct Account {
    index: usize,
    address: String,
    balance: Coins,
}

impl Card {
    /// The card of a node that has just started; with the published accounts for `dev`.
    /// `named` are the addresses that the settings name.
    pub fn of(node: &Node, miner: Option<&MinerConfig>, named: &[SocketAddr], is_dev: bool) -> Self {
        let (shared, ready) = (&node.chain.shared, &node.ready);
        let params = &shared.params;
        let state = shared.read().state();
        let mining = miner.map(|miner| Mining {
            address: address::format(&params.prefix, &miner.address),
            threads: miner.threads,
            on_tx: miner.on_tx && params.is_paced(),
            spacing_ms: params.spacing,
        });
        Self {
            version: version::VERSION,
            commit: version::COMMIT,
            pid: ready.pid,
            network: ready.network.clone(),
            network_id: ready.network_id,
            api: format!("http://{}", super::ask::reachable(ready.api)),
            p2p: super::ask::reachable(ready.p2p),
            dials: named.to_vec(),
            data_dir: ready.data_dir.clone(),
            token_file: ready.token_file.clone(),
            disk_bytes: node.chain.store.disk_bytes(),
            height: ready.height,
            tip: ready.tip,
            resumed: ready.height > 0,
            rebuilt: node.rebuilt,
            checked_ms: millis(node.opened_in),
            ready_ms: millis(node.ready_in),
            mining,
            dev: is_dev.then(|| Dev::of(&state, &params.prefix)),
        }
    }

    /// The card as lines. `bold` marks headings for a terminal that takes colour.
    pub fn text(&self, bold: bool) -> String {
        let heading =
            |word: &str| if bold { format!("\x1b[1m{word:<10}\x1b[0m ") } else { format!("{word:<10} ") };
        let mut lines = vec![self.title()];
        if self.dev.is_none() {
            lines.push(String::new());
        }
        if let Some(dev) = &self.dev {
            lines.push(format!(
                "{}DEV ONLY: these keys are public, anyone can spend from them",
                heading("Accounts")
            ));
            lines.extend(dev.accounts.iter().map(Account::line));
            lines.push(format!("  Words    \"abandon\" 11 times, then \"about\"        Path  {}i", dev.path));
            lines.push(String::new());
        }
        lines.push(heading("Chain") + &self.chain());
        lines.push(heading("Data") + &self.data());
        lines.push(heading("Mining") + &self.mining());
        lines.push(heading("API") + &format!("{}/api/v1", self.api));
        lines.push(heading("Listening") + &self.peers());
        let mut commands = self.commands().into_iter();
        lines.extend(commands.next().map(|first| heading("Try next") + &first));
        lines.extend(commands);
        lines.push("Ctrl-C stops cleanly. Times below are UTC.".to_owned());
        lines.join("\n") + "\n"
    }

    fn title(&self) -> String {
        let id = words::short(&self.network_id);
        let name = format!("{PROGRAM} {}  ·  network {}  ·  id {id}", version::text(), self.network);
        let ready = format!("ready in {}", words::age(self.ready_ms));
        let gap = COLUMNS.saturating_sub(name.chars().count() + ready.chars().count()).max(2);
        format!("{name}{}{ready}", " ".repeat(gap))
    }

    fn chain(&self) -> String {
        let (tip, took) = (words::short(&self.tip), words::age(self.checked_ms));
        match (self.rebuilt, self.resumed) {
            (true, _) => format!("height {}, tip {tip}; damaged state rebuilt in {took}", self.height),
            (false, true) => {
                format!("resumed from disk: height {}, tip {tip}, checked in {took}", self.height)
            }
            (false, false) => format!("new chain, genesis {tip}"),
        }
    }

    fn data(&self) -> String {
        let path = self.data_dir.display().to_string();
        let note = format!("  ({}, safe to kill)", words::bytes(self.disk_bytes));
        // A path is worth more than what is said about it.
        let fits = 11 + path.chars().count() + note.chars().count() <= COLUMNS;
        if fits { path + &note } else { path }
    }

    /// Where others connect, and as many of those that are dialled as fit on the line.
    fn peers(&self) -> String {
        let door = format!("{} for nodes and wallets", self.p2p);
        if self.dials.is_empty() {
            return door;
        }
        let text = |shown: usize| {
            let dials: Vec<String> = self.dials[..shown].iter().map(SocketAddr::to_string).collect();
            let more = self.dials.len() - shown;
            match (shown, more) {
                (0, _) => format!("{door}; dials {more}"),
                (_, 0) => format!("{door}; dials {}", dials.join(", ")),
                _ => format!("{door}; dials {} and {more} more", dials.join(", ")),
            }
        };
        let fits = |shown: &usize| 11 + text(*shown).len() <= COLUMNS;
        (0..=self.dials.len()).rev().find(fits).map_or_else(|| door.clone(), text)
    }

    fn mining(&self) -> String {
        let Some(mining) = &self.mining else { return "off  (--mine ADDRESS mines)".to_owned() };
        let to =
            match self.dev.iter().flat_map(|dev| &dev.accounts).find(|known| known.address == mining.address)
            {
                Some(known) => format!("account {}", known.index),
                None => shortened(&mining.address),
            };
        let threads = words::count(mining.threads as u64, "thread");
        let pace = words::spacing(mining.spacing_ms);
        let faster = if mining.on_tx { " and for a payment" } else { "" };
        format!("{threads}, pays {to}; block every {pace}{faster}")
    }

    /// Commands that work as they stand, copied whole.
    fn commands(&self) -> Vec<String> {
        let api = format!("{}/api/v1", self.api);
        let mut commands =
            vec![format!("curl -s {api}/status"), format!("{:11}curl -s {api}/blocks/tip", "")];
        // One more than fits on a line: the shell joins the two.
        let account = self.dev.as_ref().and_then(|dev| dev.accounts.get(1));
        commands
            .extend(account.map(|account| format!("{:11}curl -s {api}/address/\\\n{}", "", account.address)));
        commands
    }
}

impl Dev {
    fn of(state: &Trie, prefix: &str) -> Self {
        let account = |(index, owner): (usize, Address)| {
            let balance = match state.get(&Key::Account(owner)) {
                Some(Record::Account { balance, .. }) => Coins(*balance),
                _ => Coins(0),
            };
            Account { index, address: address::format(prefix, &owner), balance }
        };
        let accounts = dev_addresses().into_iter().enumerate().map(account).collect();
        Self { accounts, words: DEV_WORDS, path: DEV_PATH }
    }
}

impl Account {
    fn line(&self) -> String {
        let balance = self.balance.to_string();
        // Whole coins where a column cannot hold more; the API has every digit.
        let whole = balance.split('.').next().unwrap_or_default();
        let shown = if balance.len() <= BALANCE_COLUMNS { balance.as_str() } else { whole };
        format!("  {}  {} {shown:>BALANCE_COLUMNS$}", self.index, self.address)
    }
}

fn shortened(address: &str) -> String {
    format!("{}…", address.get(..12).unwrap_or(address))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use steelyard_core::params::Params;

    fn card() -> Card {
        let genesis = Params::dev().genesis();
        let dev = Dev::of(&genesis.state, "dsy");
        let mining =
            Mining { address: dev.accounts[0].address.clone(), threads: 1, on_tx: true, spacing_ms: 2_000 };
        Card {
            version: version::VERSION,
            commit: None,
            pid: 1,
            network: "dev".to_owned(),
            network_id: genesis.id.into(),
            api: "http://127.0.0.1:65535".to_owned(),
            p2p: "127.0.0.1:65535".parse().unwrap(),
            dials: Vec::new(),
            data_dir: "/var/lib/steelyard/dev".into(),
            token_file: "/var/lib/steelyard/dev/api.token".into(),
            disk_bytes: 4_100_000,
            height: 1_234_567,
            tip: genesis.id,
            resumed: true,
            rebuilt: false,
            checked_ms: 200,
            ready_ms: 1_042,
            mining: Some(mining),
            dev: Some(dev),
        }
    }

    #[test]
    fn the_screen_fits_the_smallest_terminal_whatever_happened() {
        for (resumed, rebuilt, mines) in [(false, false, true), (true, false, false), (true, true, true)] {
            let mut card = Card { resumed, rebuilt, ..card() };
            card.mining = card.mining.filter(|_| mines);
            card.dev.as_mut().unwrap().accounts[0].balance = Coins(u64::MAX);
            if let Some(mining) = card.mining.as_mut().filter(|_| resumed) {
                (mining.address, mining.threads) = (address::format("dsy", &Address([7; 32])), 1_024);
            }
            card.p2p = "[2001:db8:1234:5678:9abc:def0:1234:5678]:65535".parse().unwrap();
            card.dials = vec![card.p2p; if rebuilt { 64 } else { usize::from(resumed) }];
            let text = card.text(false);
            assert!(text.lines().count() <= 24, "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
            assert!(!text.contains('\x1b'));
        }
    }

    #[test]
    fn a_restart_says_that_it_goes_on() {
        let text = card().text(false);
        assert!(text.contains("resumed from disk: height 1234567, tip "), "{text}");
        assert!(text.contains(", checked in 0.20 s\n"), "{text}");
        assert!(text.contains("Listening  127.0.0.1:65535 for nodes and wallets\n"), "{text}");
        assert!(Card { rebuilt: true, ..card() }.text(false).contains("; damaged state rebuilt in 0.20 s\n"));
        assert!(Card { resumed: false, ..card() }.text(false).contains("new chain, genesis "));
    }

    #[test]
    fn as_many_dialled_nodes_are_named_as_fit() {
        let peers = |count: u16| {
            let dials = (1..=count).map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect();
            let text = Card { dials, p2p: "127.0.0.1:1".parse().unwrap(), ..card() }.peers();
            text.strip_prefix("127.0.0.1:1 for nodes and wallets").unwrap().to_owned()
        };
        assert_eq!(peers(0), "");
        assert_eq!(peers(1), "; dials 127.0.0.1:1");
        assert_eq!(peers(2), "; dials 127.0.0.1:1, 127.0.0.1:2");
        assert_eq!(peers(3), "; dials 127.0.0.1:1 and 2 more");
        let long = "[2001:db8:1234:5678:9abc:def0:1234:5678]:65535".parse().unwrap();
        assert_eq!(
            Card { dials: vec![long; 3], p2p: long, ..card() }.peers(),
            format!("{long} for nodes and wallets")
        );
        let text = Card { dials: vec![long; 3], ..card() }.peers();
        assert_eq!(text, "127.0.0.1:65535 for nodes and wallets; dials 3");
    }

    #[test]
    fn accounts_are_whole_and_a_node_of_another_network_shows_none() {
        let card = card();
        let text = card.text(false);
        for account in &card.dev.as_ref().unwrap().accounts {
            assert!(text.contains(&account.address));
        }
        let text = Card { dev: None, ..card }.text(false);
        assert!(!text.contains("abandon") && text.lines().count() < 12, "{text}");
    }

    #[test]
    fn every_digit_of_a_balance_is_in_the_json() {
        let mut card = card();
        card.dev.as_mut().unwrap().accounts[1].balance = Coins(u64::MAX);
        let json = serde_json::to_value(&card).unwrap();
        assert_eq!(json["dev"]["accounts"][1]["balance"], "184467440737.09551615");
        assert_eq!(json["tip"].as_str().map(str::len), Some(64));
    }
}
