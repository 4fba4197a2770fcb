//! Long syncs between real nodes: whole, verified, killed on either side and resumed.
//! `STEELYARD_BLOCKS` sets the length of the longest.

use std::path::PathBuf;

use steelyard_core::params::Params;
use steelyard_node::limits::GROUP_BLOCKS_MAX;
use steelyard_tests::chainfile::Blocks;
use steelyard_tests::generate::{BLOCKS_FILE, NETWORK_FILE, Plan, write};
use steelyard_tests::network::{free_address, tip, wait_for_height};
use steelyard_tests::process::{Launch, Node, run_node, wait_until};
use steelyard_tests::random::Random;
use steelyard_tests::stored::store_chain;
use tempfile::TempDir;

use super::times;

/// Kills of one test, half of them of either side on average.
const KILLS: u64 = 6;

/// A generated chain in the folder `served`, and beside it room for other nodes' folders.
struct World {
    folder: TempDir,
    tip: (u64, String),
}

impl World {
    fn new(blocks: u64, payments: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan { blocks, payments, accounts: 200, waiting: 0, seed: 12 };
        let text = |params: &Params| steelyard_runtime::network_file::to_toml(params);
        let made = write(&plan, folder.path(), text).unwrap();
        let tip = (made.tip.header.height, made.tip.id.to_string());
        let world = Self { folder, tip };
        let file = Blocks::open(&world.path(BLOCKS_FILE)).unwrap();
        store_chain(&plan.params(&plan.accounts()), &world.path("served"), file.map(Result::unwrap));
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A node that has the same address in all of its lives.
    fn launch(&self, name: &str) -> Launch {
        let launch = Launch::run(&self.path(NETWORK_FILE), &self.path(name), &["--discover", "off"]);
        launch.listen(free_address())
    }

    fn wait_for_tip(&self, node: &Node) {
        let describe = || format!("{:?} is not {:?}", self.tip, tip(node));
        // Long chains take longer than a test is patient: what counts is that it goes on.
        let mut last = 0;
        while last < self.tip.0 {
            last = wait_until(describe, || Some(tip(node).0).filter(|height| *height > last));
        }
        assert_eq!(tip(node), self.tip);
    }

    fn verify(&self, name: &str) {
        let (network, folder) = (self.path(NETWORK_FILE), self.path(name));
        let plain = |path: &PathBuf| path.to_str().expect("a plain path").to_owned();
        let args =
            ["verify", "--full", "--json", "--network", &plain(&network), "--data-dir", &plain(&folder)];
        let output = run_node(&args);
        assert!(output.status.success(), "verify --full: {}", String::from_utf8_lossy(&output.stdout));
    }

    /// A fresh node takes the whole chain from the one that has it, and from the disk again.
    fn sync(&self) {
        let serving = self.launch("served").start();
        let launch = self.launch("fresh").connect(serving.p2p);
        let mut fresh = launch.start();
        self.wait_for_tip(&fresh);
        assert_eq!(fresh.terminate().0, Some(0));
        drop(serving);
        let again = self.launch("fresh").start();
        assert_eq!(tip(&again), self.tip);
    }
}

#[test]
fn scenario_12_sync_of_100_blocks() {
    let world = World::new(100, 0);
    world.sync();
    world.verify("fresh");
}

#[test]
fn scenario_12_sync_of_1000_blocks() {
    let world = World::new(1_000, 0);
    world.sync();
    world.verify("fresh");
}

#[test]
fn scenario_12_sync_of_10000_blocks() {
    let blocks = u64::try_from(times("STEELYARD_BLOCKS", 10_000)).expect("a number of blocks");
    let world = World::new(blocks, 0);
    world.sync();
}

#[test]
fn scenario_12_sync_of_20000_payments() {
    let world = World::new(200, 100);
    world.sync();
    world.verify("fresh");
}

/// Kills come while blocks do, at heights that the seed decides. Nothing that was seen is lost but
/// what one commit may hold.
#[test]
fn scenario_12_a_sync_goes_on_where_a_kill_of_either_side_left_it() {
    let world = World::new(4_000, 2);
    let mut random = Random::for_test(1_204);
    // Each dials the other, so that whoever comes back finds the one that stayed.
    let (served, fresh) = (world.launch("served"), world.launch("fresh"));
    let (served, fresh) = (served.clone().connect(fresh.listen), fresh.connect(served.listen));
    let (mut serving, mut syncing) = (served.start(), fresh.start());
    let mut reached = 0;
    for kill in 1..=KILLS {
        // Each kill has its share of the chain.
        let share = world.tip.0 / (KILLS + 1);
        let at = share * (kill - 1) + 1 + random.below(share);
        wait_for_height(&syncing, at);
        let seen = tip(&syncing).0;
        let is_of_syncing = random.below(2) == 0;
        if is_of_syncing {
            syncing.kill();
            syncing = fresh.start();
        } else {
            serving.kill();
            serving = served.start();
        }
        let after = tip(&syncing).0;
        println!("kill {kill} at {seen}, of the syncing node: {is_of_syncing}; then {after}");
        assert!(after + GROUP_BLOCKS_MAX as u64 >= seen, "{after} after {seen}");
        assert!(after >= reached, "{after} after {reached}");
        reached = after.saturating_sub(GROUP_BLOCKS_MAX as u64);
    }
    world.wait_for_tip(&syncing);
    drop((serving, syncing));
    world.verify("fresh");
    world.verify("served");
}
