//! Groups of real nodes on a network of their own: each has a folder and an address that it keeps
//! over its lives, so that others find it again. Knows the programs' commands and API as a user does,
//! and nothing of their inside.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::Value;
use steelyard_core::address;
use steelyard_core::amount::{COIN, Coins};
use steelyard_core::hash::{Address, NetworkId};
use steelyard_core::types::transaction::Transaction;
use tempfile::TempDir;

use crate::accounts::{Account, Terms, coins};
use crate::process::{Launch, Node, run_node, wait_until};

/// What each funded address of a network begins with, in base units.
pub const FUNDS: u64 = 1_000 * COIN;
/// What every payment here pays its miner, in base units: more than any node asks for.
pub const FEE: u64 = COIN / 1_000;
/// What addresses of such a network begin with.
const PREFIX: &str = "sy";

/// Ports below those that systems give out by themselves: a node between two lives finds its own free.
const PORTS: std::ops::Range<u16> = 10_000..30_000;
/// Ports of one test process, so that two at once do not meet.
const PORTS_PER_PROCESS: u16 = 200;

/// A network that `new-network` has made, and the folder that all of its nodes are in. Deleted when
/// dropped.
#[derive(Debug)]
pub struct Network {
    folder: TempDir,
    file: PathBuf,
    /// Its id.
    pub id: NetworkId,
}

impl Network {
    /// A network of this spacing, whose first block takes so many tries, and on which each of these
    /// accounts has [`FUNDS`].
    #[must_use]
    pub fn new(spacing: &str, start_tries: u64, funded: &[Account]) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let file = folder.path().join("network.toml");
        let tries = start_tries.to_string();
        let allocations: Vec<String> =
            funded.iter().map(|account| format!("{}={}", text(&account.address), Coins(FUNDS))).collect();
        let mut args = vec!["new-network", "suite", "--json", "--spacing", spacing, "--start-tries", &tries];
        args.extend(["--out", plain(&file)]);
        args.extend(allocations.iter().flat_map(|allocation| ["--allocate", allocation]));
        let output = run_node(&args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let made: Value = serde_json::from_slice(&output.stdout).expect("one object");
        let mut id = NetworkId([0; 32]);
        let written = made["network_id"].as_str().expect("an id");
        hex::decode_to_slice(written, &mut id.0).expect("64 hex digits");
        Self { folder, file, id }
    }

    /// A node that connects to nobody but whom it is told to, at an address of its own.
    #[must_use]
    pub fn node(&self, name: &str) -> Launch {
        self.discovering(name).flags(&["--discover", "off"])
    }

    /// A node that asks for further ones, at an address of its own.
    #[must_use]
    pub fn discovering(&self, name: &str) -> Launch {
        Launch::run(&self.file, &self.folder.path().join(name), &[]).listen(free_address())
    }

    /// A payment with the usual fee.
    #[must_use]
    pub fn pay(&self, from: &Account, nonce: u64, to: Address, amount: u64) -> Transaction {
        from.pay(self.id, Terms::of_nonce(nonce).fee(FEE), vec![coins(to, amount)])
    }

    /// Checks a stopped node's folder from genesis on.
    ///
    /// # Panics
    /// It finds damage.
    pub fn verify(&self, launch: &Launch) {
        let args = ["verify", "--full", "--json", "--network", plain(&self.file), "--data-dir"];
        let output = run_node(&[&args[..], &[plain(&launch.data_dir)]].concat());
        assert!(output.status.success(), "verify --full: {}", String::from_utf8_lossy(&output.stdout));
    }
}

/// An address as it is written on such a network.
#[must_use]
pub fn text(address: &Address) -> String {
    address::format(PREFIX, address)
}

/// Submits a payment and gives its id.
///
/// # Panics
/// It is refused.
pub fn submit(node: &Node, tx: &Transaction) -> String {
    let answer = node.api.submit(&tx.to_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json["id"].as_str().expect("an id").to_owned()
}

/// Height and id of a node's tip.
#[must_use]
pub fn tip(node: &Node) -> (u64, String) {
    let status = node.api.get("/status").json;
    (number(&status["height"]), status["tip"].as_str().expect("an id").to_owned())
}

/// Work of a node's active chain.
#[must_use]
pub fn work(node: &Node) -> u128 {
    node.api.get("/status").json["work"].as_str().and_then(|work| work.parse().ok()).expect("a decimal")
}

/// Waits until a node has so many blocks.
pub fn wait_for_height(node: &Node, height: u64) {
    node.api.wait_for("/status", |answer| answer.json["height"].as_u64() >= Some(height));
}

/// Waits until all nodes have the same tip, and gives it.
pub fn wait_for_one_tip(nodes: &[&Node]) -> (u64, String) {
    let tips = || nodes.iter().map(|node| tip(node)).collect::<Vec<_>>();
    let is_one = |tips: &Vec<(u64, String)>| tips.windows(2).all(|pair| pair[0] == pair[1]);
    let found = wait_until(|| format!("one tip of {:?}", tips()), || Some(tips()).filter(is_one));
    found.into_iter().next().expect("there are nodes")
}

/// Waits until a node follows another one that mines on: only then is an empty pool at both the end of
/// all payments.
pub fn wait_until_followed(miner: &Node, follower: &Node) {
    let (_, id) = tip(miner);
    let _ = follower.api.wait_for(&format!("/block/{id}"), |answer| answer.json["active"] == true);
}

/// Waits until a transaction is in a block of a node's chain, and gives the block.
pub fn wait_for_block(node: &Node, id: &str) -> String {
    let confirmed = |json: &Value| json["status"] == "confirmed";
    let answer = node.api.wait_for(&format!("/tx/{id}"), |answer| confirmed(&answer.json));
    answer.json["block"].as_str().expect("an id").to_owned()
}

/// Waits until a node has nothing pending.
pub fn wait_for_empty_pool(node: &Node) {
    node.api.wait_for("/mempool", |answer| answer.json["txs"] == 0);
}

/// The connected peers of a node, as `/peers` lists them.
#[must_use]
pub fn peers(node: &Node) -> Vec<Value> {
    node.api.get("/peers").json["peers"].as_array().expect("a list").clone()
}

/// Waits until a node has so many peers.
pub fn wait_for_peers(node: &Node, count: usize) {
    let is_there = |peers: &Vec<Value>| peers.len() == count;
    wait_until(
        || format!("{count} peers of {}: {:?}", node.p2p, peers(node)),
        || Some(peers(node)).filter(is_there),
    );
}

/// Waits until a node is connected to an address that it has dialled.
pub fn wait_for_connection(node: &Node, to: SocketAddr) {
    let is_it = |peer: &Value| peer["address"] == to.to_string() && peer["direction"] == "outbound";
    wait_until(
        || format!("{} connected to {to}: {:?}", node.p2p, peers(node)),
        || peers(node).iter().any(is_it).then_some(()),
    );
}

/// A node's active chain from genesis on, every block as the API describes it.
#[must_use]
pub fn chain(node: &Node) -> Vec<Value> {
    let (height, _) = tip(node);
    (0..=height).map(|height| node.api.get(&format!("/block-height/{height}")).json).collect()
}

/// How often a transaction is in a chain that [`chain`] gave.
#[must_use]
pub fn count_in(chain: &[Value], id: &str) -> usize {
    let txs = chain.iter().filter_map(|block| block["txs"].as_array()).flatten();
    txs.filter(|tx| *tx == id).count()
}

/// Confirmed base units and nonce of an address at a node.
#[must_use]
pub fn account(node: &Node, address: &Address) -> (u64, u64) {
    let json = node.api.get(&format!("/address/{}", text(address))).json;
    (base_units(&json["balance"]), number(&json["nonce"]))
}

/// An amount of the API in base units.
#[must_use]
pub fn base_units(amount: &Value) -> u64 {
    amount.as_str().and_then(|text| text.parse::<Coins>().ok()).expect("a decimal").0
}

/// Asks a node to stop, and waits until it has.
///
/// # Panics
/// It does not end well.
pub fn stop(mut node: Node) {
    assert_eq!(node.terminate().0, Some(0), "a clean stop");
}

/// An address of this machine where nobody listens and no other node of this process will.
#[must_use]
pub fn free_address() -> SocketAddr {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let blocks = (PORTS.end - PORTS.start) / PORTS_PER_PROCESS;
    let block = u16::try_from(std::process::id() % u32::from(blocks)).expect("below the count of blocks");
    loop {
        let place = TAKEN.fetch_add(1, Ordering::Relaxed) % PORTS_PER_PROCESS;
        let port = PORTS.start + block * PORTS_PER_PROCESS + place;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

fn number(json: &Value) -> u64 {
    json.as_u64().expect("a number")
}

fn plain(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}
