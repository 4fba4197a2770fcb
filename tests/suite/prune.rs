//! Nodes that prune, as processes: what they promised is there after any kill, wallets and other nodes
//! are served by them, and what they cannot do is said. `STEELYARD_KILLS` says how many kills at random
//! moments (20 unless told).

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use steelyard_core::hash::{Address, AssetId};
use steelyard_core::params::Params;
use steelyard_core::types::transaction::Payment;
use steelyard_node::limits::PRUNE_STEP;
use steelyard_tests::accounts::{Account, Terms};
use steelyard_tests::chainfile::Blocks;
use steelyard_tests::generate::{BLOCKS_FILE, NETWORK_FILE, Plan, write};
use steelyard_tests::inprocess::InProcess;
use steelyard_tests::network::{free_address, tip};
use steelyard_tests::process::{Launch, Node, run_node, wait_until};
use steelyard_tests::random::Random;
use steelyard_tests::stored::{copy_folder, store_chain};
use steelyard_tests::wallet::Wallet;
use tempfile::TempDir;

/// Blocks whose bodies are kept: the least that may be.
const DEPTH: u64 = 288;
const PRUNE: [&str; 2] = ["--prune", "288"];

/// A folder with a generated network and chains of it, none of which a node has run on.
struct World {
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A node's folder with so many blocks and payments in each, other ones with each seed, on the same
    /// network. Gives the tip's id.
    fn store(&self, name: &str, (blocks, payments): (u64, u64), seed: u64) -> String {
        let plan = Plan { blocks, payments, accounts: 20, waiting: 0, seed };
        let made = self.path(&format!("made-{name}"));
        let summary = write(&plan, &made, steelyard_runtime::network_file::to_toml).unwrap();
        let file = Blocks::open(&made.join(BLOCKS_FILE)).unwrap();
        store_chain(&plan.params(&plan.accounts()), &self.path(name), file.map(Result::unwrap));
        std::fs::copy(made.join(NETWORK_FILE), self.path(NETWORK_FILE)).unwrap();
        summary.tip.id.to_string()
    }

    fn launch(&self, name: &str, flags: &[&str]) -> Launch {
        let launch = Launch::run(&self.path(NETWORK_FILE), &self.path(name), &["--discover", "off"]);
        launch.flags(flags).listen(free_address())
    }

    /// `verify --full`: the height from which on blocks were executed.
    fn verify(&self, name: &str) -> u64 {
        let (network, folder) = (self.path(NETWORK_FILE), self.path(name));
        verify_full(network.to_str().unwrap(), &folder)
    }
}

fn verify_full(network: &str, folder: &Path) -> u64 {
    let args = ["verify", "--full", "--json", "--network", network, "--data-dir", folder.to_str().unwrap()];
    let output = run_node(&args);
    assert!(output.status.success(), "verify --full: {}", String::from_utf8_lossy(&output.stdout));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    report["executed_from"].as_u64().unwrap()
}

fn pruned_below(node: &Node) -> u64 {
    node.api.get("/status").json["pruned_below"].as_u64().unwrap_or(0)
}

/// Every block that is promised can be read; which those are may change meanwhile.
fn assert_promised(node: &Node) {
    let (before, (height, _)) = (pruned_below(node), tip(node));
    let mut lists = Vec::new();
    for start in (before.max(1)..=height).step_by(100) {
        lists.push(node.api.get(&format!("/blocks?from={start}&limit=100")).json);
    }
    // In this order: what was mined meanwhile lets more go.
    let (from, now) = (pruned_below(node), tip(node).0);
    assert!(from == 0 || (before <= from && from + DEPTH <= now + 1), "{before}, {from} of {now}");
    let blocks: Vec<&Value> = lists.iter().flat_map(|list| list.as_array().unwrap()).collect();
    assert!(blocks.len() as u64 > height - before.max(1));
    for block in blocks {
        assert!(block["pruned"] == false || block["height"].as_u64().unwrap() < from, "{from}: {block}");
    }
}

fn warnings(node: &Node) -> Vec<String> {
    let status = node.api.get("/status").json;
    let codes = status["warnings"].as_array().unwrap().iter();
    codes.map(|warning| warning["code"].as_str().unwrap().to_owned()).collect()
}

fn wait_for_warning(node: &Node, code: &str) {
    wait_until(
        || format!("{code}, only {:?}", warnings(node)),
        || warnings(node).contains(&code.to_owned()).then_some(()),
    );
    let ready = node.api.get_root("/readyz");
    assert_eq!((ready.status, ready.json["reasons"][0]["code"].as_str()), (503, Some(code)));
}

fn wait_until_pruned(node: &Node) {
    let wanted = (tip(node).0 + 1).saturating_sub(DEPTH + PRUNE_STEP);
    wait_until(|| format!("pruned up to {wanted}"), || (pruned_below(node) > wanted).then_some(()));
}

#[test]
fn a_kill_at_each_step_of_pruning_leaves_what_was_promised() {
    if !cfg!(debug_assertions) {
        println!("skipped: fail points are compiled into debug builds only");
        return;
    }
    let world = World::new();
    world.store("base", (700, 40), 1);
    let steps = [
        "prune.before_mark",
        "commit.before_apply",
        "commit.after_flush",
        "prune.after_mark",
        "write.before_apply",
        "prune.after_delete",
        "prune.after_delete@2",
    ];
    for step in steps {
        copy_folder(&world.path("base"), &world.path(step));
        let launch = world.launch(step, &PRUNE);
        if let Ok(mut node) = launch.clone().env("STEELYARD_FAILPOINT", step).try_start() {
            assert_eq!(node.wait(), None, "{step}: the node should have been ended by its fail point");
        }
        // Without the flag it starts on whatever is there and leaves it so.
        let mut node = world.launch(step, &[]).start();
        assert_eq!(tip(&node).0, 700);
        let from = pruned_below(&node);
        assert!(from == 0 || from == 701 - DEPTH, "{step}: {from}");
        assert_promised(&node);
        node.kill();
        let executed_from = world.verify(step);
        assert_eq!(executed_from, from.max(1), "{step}");
        let mut node = launch.start();
        wait_until_pruned(&node);
        assert_promised(&node);
        node.kill();
        assert_eq!(world.verify(step), 701 - DEPTH);
    }
}

/// The dev network with so many blocks, mined at once.
fn mined(data_dir: &Path, blocks: u64) {
    std::fs::create_dir_all(data_dir).unwrap();
    let mut node = InProcess::open(&Params::dev(), &data_dir.join(steelyard_node::store::STORE_FOLDER));
    (0..blocks).for_each(|_| drop(node.mine(Address([7; 32]))));
    node.stop();
}

/// Payments, each of which is mined at once, until told to stop or nobody answers. Gives the next nonce.
fn pay(node: &Node, nonce: &mut u64, stop: &AtomicBool) {
    let account = Account::dev(1);
    while !stop.load(Ordering::Relaxed) {
        let payment = Payment { asset: AssetId::COINS, to: Address([9; 32]), amount: 1 };
        let tx = account.pay(Params::dev().network_id(), Terms::of_nonce(*nonce), vec![payment]);
        let Some(answer) = node.api.try_submit(&tx.to_bytes()).filter(|answer| answer.code() != "stopping")
        else {
            return;
        };
        assert_eq!(answer.status, 200, "{answer:?}");
        *nonce += 1;
    }
}

#[test]
fn kills_at_random_moments_while_mining_and_pruning_lose_nothing_promised() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("node");
    mined(&data_dir, 400);
    let kills = std::env::var("STEELYARD_KILLS").map_or(20, |text| text.parse().expect("a number"));
    let mut random = Random::for_test(288);
    let launch = Launch::dev(&data_dir, &["--mine-on-tx"]).flags(&PRUNE);
    let (mut nonce, mut seen) = (0, (0, 0));
    for _ in 0..kills {
        let mut node = launch.start();
        assert!((pruned_below(&node), tip(&node).0) >= seen, "{seen:?}");
        assert_promised(&node);
        let alive_ms = random.below(300);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| pay(&node, &mut nonce, &stop));
            std::thread::sleep(Duration::from_millis(alive_ms));
            seen = (pruned_below(&node), tip(&node).0);
            let killed = std::process::Command::new("kill").args(["-KILL", &node.pid().to_string()]).status();
            assert!(killed.unwrap().success());
            stop.store(true, Ordering::Relaxed);
        });
        node.kill();
    }
    let mut node = launch.start();
    wait_until_pruned(&node);
    let (from, height) = (pruned_below(&node), tip(&node).0);
    println!("{kills} kills, {height} blocks, bodies from {from} on");
    node.kill();
    assert!(verify_full("dev", &data_dir) >= from);
}

#[test]
fn a_wallet_is_served_by_a_node_that_prunes() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("node");
    mined(&data_dir, 400);
    let launch = Launch::dev(&data_dir, &["--mine-on-tx"]).flags(&PRUNE);
    let node = launch.start();
    wait_until_pruned(&node);
    let first = node.api.get("/block-height/1").json;
    assert_eq!((first["pruned"].as_bool(), first["height"].as_u64()), (Some(true), Some(1)));
    let raw = node.api.get(&format!("/block/{}/raw", first["id"].as_str().unwrap()));
    assert_eq!((raw.status, raw.code()), (410, "pruned"));
    let wallet = Wallet::new(folder.path(), &[node.p2p]);
    let _ = wallet.json(&["import-dev"]).ok();
    let before = wallet.json(&["balance"]).ok().json();
    assert_eq!(before["as_of"]["synced"], true);
    let to = steelyard_core::address::format("dsy", &Account::numbered(1).address);
    let sent = wallet.json(&["send", "1.5", "--to", &to, "--wait"]).ok().json();
    assert!(["confirmed", "settled"].contains(&sent["state"].as_str().unwrap()), "{sent}");
    assert_eq!(node.api.get(&format!("/address/{to}")).json["balance"], "1.5");
    let after = wallet.json(&["balance"]).ok().json();
    assert_ne!(after["total"], before["total"]);
    wallet.stop();
}

#[test]
fn a_fresh_node_says_that_only_pruned_peers_are_there_and_syncs_once_a_full_one_is() {
    let world = World::new();
    let id = world.store("full", (700, 1), 1);
    copy_folder(&world.path("full"), &world.path("pruned"));
    let pruned = world.launch("pruned", &PRUNE).start();
    wait_until_pruned(&pruned);
    let mut fresh = world.launch("fresh", &[]).connect(pruned.p2p).start();
    wait_for_warning(&fresh, "no_full_peer");
    assert_eq!(fresh.api.get("/status").json["headers_height"], 700);
    let full = world.launch("full", &[]).start();
    assert_eq!(fresh.add_peer(full.p2p).status, 200);
    wait_until(|| format!("{:?}", tip(&fresh)), || (tip(&fresh) == (700, id.clone())).then_some(()));
    wait_until(|| "ready".into(), || (fresh.api.get_root("/readyz").status == 200).then_some(()));
    assert!(!warnings(&fresh).contains(&"no_full_peer".to_owned()));
    // Nobody thinks the less of who prunes.
    let peers = fresh.api.get("/peers").json;
    assert_eq!(peers["peers"].as_array().unwrap().len(), 2, "{peers}");
    assert!(peers["bans"].as_array().unwrap().is_empty());
    fresh.kill();
    assert_eq!(world.verify("fresh"), 1);
}

#[test]
fn a_reorganisation_beyond_what_is_kept_stops_mining_and_says_what_to_do() {
    let world = World::new();
    let ours = world.store("ours", (700, 1), 1);
    world.store("theirs", (760, 1), 2);
    let theirs = world.launch("theirs", &[]).start();
    let miner = steelyard_core::address::format("gsy", &Address([7; 32]));
    let launch = world.launch("ours", &PRUNE).connect(theirs.p2p);
    let mut node = launch.clone().start();
    wait_for_warning(&node, "reorg_beyond_pruning");
    assert_eq!(tip(&node), (700, ours.clone()));
    assert!(pruned_below(&node) == 701 - DEPTH && node.is_alive());
    node.kill();
    // Nor after a start, when it is told to mine: what it may find before it hears of the others is its own.
    let mut node = launch.mine(&miner).start();
    wait_for_warning(&node, "reorg_beyond_pruning");
    let (height, _) = tip(&node);
    assert!(height < 760);
    assert_eq!(node.api.get("/block-height/700").json["id"], ours.as_str());
    assert_eq!(node.terminate().0, Some(0));
    let refused = world.verify("ours");
    assert!(refused >= 701 - DEPTH, "nothing is marked, and the store is in order");
}
