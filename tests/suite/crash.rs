//! SIGKILL at random moments and at every step of a commit: everything acknowledged is there
//! afterwards, roots are right, no open fails.
//!
//! `STEELYARD_KILLS` says how many kills at random moments (20 unless told). These tests do look at
//! the clock: a moment is what they are about. Nothing is asserted about how long anything takes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use steelyard_core::amount::COIN;
use steelyard_core::hash::{Address, AssetId, NetworkId};
use steelyard_core::params::Params;
use steelyard_core::types::transaction::Payment;
use steelyard_tests::accounts::{Account, Terms};
use steelyard_tests::process::{Api, Launch, Node, run_node};
use steelyard_tests::random::Random;

/// What the node has said, and must never unsay.
#[derive(Default)]
struct Acknowledged {
    /// Block ids by height.
    blocks: BTreeMap<u64, String>,
    /// Transactions.
    txs: Vec<String>,
}

/// One sender of payments, across all lives of the node.
pub(crate) struct Payer {
    account: Account,
    pub(crate) nonce: u64,
}

impl Payer {
    pub(crate) fn new(i: usize) -> Self {
        Self { account: Account::dev(i), nonce: 0 }
    }

    pub(crate) fn payment(&self, network: NetworkId) -> (String, Vec<u8>) {
        let to = Address([u8::try_from(self.nonce % 251).unwrap(); 32]);
        let payments = vec![Payment { asset: AssetId::COINS, to, amount: COIN / 1_000 }];
        let tx = self.account.pay(network, Terms::of_nonce(self.nonce), payments);
        (tx.body.id().to_string(), tx.to_bytes())
    }

    /// Pays until told to stop or until nobody answers. The payment without an answer is sent
    /// again in the node's next life: the same bytes, so it is paid once.
    fn pay(&mut self, api: &Api, stop: &AtomicBool, said: &Mutex<Acknowledged>) {
        let network = Params::dev().network_id();
        while !stop.load(Ordering::Relaxed) {
            let (id, bytes) = self.payment(network);
            let Some(answer) = api.try_submit(&bytes) else { return };
            if ["stopping", "outcome_unknown"].contains(&answer.code()) {
                return;
            }
            assert_eq!(answer.status, 200, "payment {} of {}: {answer:?}", self.nonce, self.account.address);
            said.lock().unwrap().txs.push(id);
            self.nonce += 1;
        }
    }
}

fn watch_tip(api: &Api, stop: &AtomicBool, said: &Mutex<Acknowledged>) {
    while !stop.load(Ordering::Relaxed) {
        let Some(answer) = api.try_get("/blocks/tip").filter(|answer| answer.status == 200) else { return };
        let (height, id) =
            (answer.json["height"].as_u64().unwrap(), answer.json["id"].as_str().unwrap().to_owned());
        said.lock().unwrap().blocks.insert(height, id);
    }
}

/// Everything said from `from` on still holds, and nothing looks as if it did not: the mark beside the
/// store is never ahead of it.
fn assert_kept(node: &Node, said: &Acknowledged, (blocks_from, txs_from): (u64, usize)) {
    let warnings = node.api.get("/status").json["warnings"].to_string();
    assert!(!warnings.contains("store_rolled_back"), "{warnings}");
    for (height, id) in said.blocks.range(blocks_from..) {
        let answer = node.api.get(&format!("/block-height/{height}"));
        assert_eq!(answer.json["id"].as_str(), Some(id.as_str()), "acknowledged block {height}: {answer:?}");
    }
    for id in &said.txs[txs_from..] {
        let answer = node.api.get(&format!("/tx/{id}"));
        assert_eq!(answer.status, 200, "acknowledged transaction {id}: {answer:?}");
    }
}

pub(crate) fn assert_verifies(data_dir: &Path) {
    let output = run_node(&[
        "verify",
        "--full",
        "--json",
        "--network",
        "dev",
        "--data-dir",
        data_dir.to_str().unwrap(),
    ]);
    assert!(output.status.success(), "verify --full: {}", String::from_utf8_lossy(&output.stdout));
}

fn kills() -> usize {
    std::env::var("STEELYARD_KILLS").map_or(20, |text| text.parse().expect("STEELYARD_KILLS is a number"))
}

/// Scenario 17.
#[test]
fn scenario_17_kill_at_random_moments_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("node");
    let mut random = Random::for_test(17);
    let launch = Launch::dev(&data_dir, &["--mine-on-tx"]);
    let said = Mutex::new(Acknowledged::default());
    let mut payers: Vec<Payer> = (1..4).map(Payer::new).collect();
    let (mut checked, mut opens) = ((0, 0), Vec::new());
    for round in 0..=kills() {
        let mut node = launch.start();
        opens.push(node.ready_in);
        {
            let said = said.lock().unwrap();
            assert_kept(&node, &said, checked);
            checked = (said.blocks.keys().last().copied().unwrap_or(0), said.txs.len());
        }
        if round == kills() {
            node.kill();
            break;
        }
        let alive_ms = random.below(400);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for payer in &mut payers {
                scope.spawn(|| payer.pay(&node.api, &stop, &said));
            }
            scope.spawn(|| watch_tip(&node.api, &stop, &said));
            std::thread::sleep(Duration::from_millis(alive_ms));
            let status = std::process::Command::new("kill").args(["-KILL", &node.pid().to_string()]).status();
            assert!(status.unwrap().success());
            stop.store(true, Ordering::Relaxed);
        });
        node.kill();
    }
    assert_verifies(&data_dir);
    let said = said.into_inner().unwrap();
    let mut node = launch.start();
    assert_kept(&node, &said, (0, 0));
    crate::index::assert_histories(&node.api);
    node.kill();
    opens.sort();
    println!(
        "{} kills, {} blocks and {} transactions acknowledged, none lost; ready in {:?} median, {:?} at most",
        kills(),
        said.blocks.len(),
        said.txs.len(),
        opens[opens.len() / 2],
        opens[opens.len() - 1],
    );
}

/// Steps of a commit, in their order. Each is hit with a small block and with one whose body is
/// written ahead in chunks.
const STEPS: [&str; 7] = [
    "write.before_apply",
    "write.after_apply",
    "store.after_bodies",
    "commit.before_apply",
    "commit.after_apply",
    "commit.after_flush",
    "commit.after_fdatasync",
];

#[test]
fn a_kill_at_each_step_of_a_commit_leaves_before_or_after() {
    if !cfg!(debug_assertions) {
        println!("skipped: fail points are compiled into debug builds only");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (number, step) in STEPS.iter().enumerate() {
        for hit in [1, 2, 5] {
            let data_dir = folder.path().join(format!("node-{number}-{hit}"));
            kill_at_step(&data_dir, step, hit);
        }
    }
}

#[test]
fn a_kill_while_a_store_is_created_leaves_one_that_opens() {
    if !cfg!(debug_assertions) {
        println!("skipped: fail points are compiled into debug builds only");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let steps = STEPS.iter().filter(|step| step.starts_with("commit.")).chain(&["store.before_rename"]);
    for step in steps {
        let data_dir = folder.path().join(step);
        let launch = Launch::dev(&data_dir, &[]);
        let ended = launch.clone().env("STEELYARD_FAILPOINT", step).try_start();
        assert!(ended.is_err(), "{step}: the node should have been ended by its fail point");
        let mut node = launch.start();
        node.api.wait_for("/status", |answer| answer.json["height"].as_u64() >= Some(1));
        node.kill();
        assert_verifies(&data_dir);
    }
}

/// The first open of a folder: sled itself does not survive a kill there.
#[test]
fn a_kill_at_any_moment_of_the_first_open_leaves_a_node_that_starts() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random::for_test(1);
    for round in 0..40 {
        let data_dir = folder.path().join(format!("node-{round}"));
        let launch = Launch::dev(&data_dir, &[]);
        for _ in 0..2 {
            launch.start_and_kill_after(Duration::from_micros(random.below(60_000)));
        }
        launch.start().kill();
    }
}

fn kill_at_step(data_dir: &Path, step: &str, hit: u32) {
    let launch = Launch::dev(data_dir, &["--mine-on-tx"]);
    // A life without the fail point first: creating a store is a commit too.
    let mut node = launch.start();
    node.api.wait_for("/status", |answer| answer.json["height"].as_u64() >= Some(1));
    node.kill();
    let said = Mutex::new(Acknowledged::default());
    let stop = AtomicBool::new(false);
    let mut payers: Vec<Payer> = (1..10).map(Payer::new).collect();
    let armed = launch.clone().env("STEELYARD_FAILPOINT", &format!("{step}@{hit}"));
    // A step that is hit before the node is ready ends it there.
    if let Ok(mut node) = armed.try_start() {
        let mut dealer = payers.pop().unwrap();
        std::thread::scope(|scope| {
            for payer in &mut payers {
                scope.spawn(|| payer.pay(&node.api, &stop, &said));
            }
            scope.spawn(|| watch_tip(&node.api, &stop, &said));
            scope.spawn(|| while node.api.try_post_batch(&big_batch(&mut dealer)).is_some() {});
        });
        assert_eq!(node.wait(), None, "{step}@{hit}: the node should have been ended by its fail point");
    }
    let mut node = launch.start();
    assert_kept(&node, &said.into_inner().unwrap(), (0, 0));
    node.kill();
    assert_verifies(data_dir);
}

/// The next payments with long memos, together more than the 32 KiB above which bodies are
/// written ahead.
pub(crate) fn big_batch(payer: &mut Payer) -> Vec<Vec<u8>> {
    let network = Params::dev().network_id();
    let from = payer.nonce;
    payer.nonce += 120;
    let payment = |nonce: u64| {
        let terms = Terms { nonce, memo: vec![7; 256], ..Terms::default() };
        let payment = Payment { asset: AssetId::COINS, to: Address([7; 32]), amount: 1 };
        payer.account.pay(network, terms, vec![payment]).to_bytes()
    };
    (from..from + 120).map(payment).collect()
}
