//! Disks that are full, and disks that fail, under a node that mines, takes payments and syncs: it
//! stops in order, says why, unsays nothing, and goes on once there is room.

use std::path::Path;
use std::time::Duration;

use steelyard_tests::accounts::Account;
use steelyard_tests::chain::Chain;
use steelyard_tests::disk::{Disk, read_log};
use steelyard_tests::network::{free_address, tip, wait_for_height};
use steelyard_tests::power::{Data, Names, PowerCut};
use steelyard_tests::process::{Launch, Node, wait_until};
use steelyard_tests::random::Random;
use steelyard_tests::stored::store_chain;

use super::{Crowd, Notes, assert_no_panic, assert_said, printed};
use crate::crash::assert_verifies;

/// Bounds so low that the store is reopened and a checkpoint written again and again.
const LOWERED: &str = "reopen_bytes=200000,checkpoint_records=60";
/// Lives of a node, each with an end of its own.
const LIVES: usize = 6;
/// Blocks of a sync.
const BLOCKS: u64 = 300;

/// A node ends by itself, with the exit code and the words of a failure that is not damage.
fn assert_stops_in_order(launch: &Launch, mut node: Node) {
    let code = node.wait();
    let printed = printed(launch);
    assert_no_panic(&printed);
    assert_eq!(code, Some(1), "{printed}");
    assert_says_why(&printed);
}

fn assert_says_why(printed: &str) {
    let reasons =
        ["No space left on device", "no storage space", "Input/output error", "takes no more writes"];
    assert!(reasons.iter().any(|reason| printed.contains(reason)), "it does not say why: {printed}");
}

#[test]
fn a_full_disk_stops_a_node_in_order_and_loses_nothing() {
    let mut random = Random::for_test(4);
    let disk = Disk::new();
    let launch = disk.under(Launch::dev(&disk.root().join("node"), &["--mine-on-tx"]));
    let launch = launch.env("STEELYARD_LOWERED", LOWERED);
    let (notes, mut crowd, mut refused) = (Notes::default(), Crowd::new(), 0);
    for _ in 0..LIVES {
        let node = launch.start();
        assert_said(&node, &notes.all());
        crowd.use_node((&node, &disk), 1, &notes, || {
            std::thread::sleep(Duration::from_millis(200 + random.below(300)));
            disk.set_room(Some(u32::try_from(random.below(100_000)).unwrap()));
        });
        assert_stops_in_order(&launch, node);
        // Still full: it says so, or needs no room to start and goes on answering.
        match launch.try_start() {
            Err(ended) => {
                refused += 1;
                assert_no_panic(&ended);
                assert!(ended.starts_with("exit status: 1:"), "{ended}");
                assert_says_why(&ended);
            }
            Ok(node) => assert_said(&node, &notes.all()),
        }
        disk.set_room(None);
    }
    let mut node = launch.start();
    assert_said(&node, &notes.all());
    node.kill();
    assert_verifies(&launch.data_dir);
    println!(
        "{LIVES} full disks, {refused} starts refused, {} things said and none unsaid",
        notes.all().len()
    );
}

#[test]
fn a_disk_that_fails_stops_a_node_in_order_and_loses_nothing() {
    let mut random = Random::for_test(5);
    for life in 0..LIVES {
        let disk = Disk::new();
        let launch = disk.under(Launch::dev(&disk.root().join("node"), &["--mine-on-tx"]));
        let launch = launch.env("STEELYARD_LOWERED", LOWERED);
        let (notes, mut crowd) = (Notes::default(), Crowd::new());
        let node = launch.start();
        crowd.use_node((&node, &disk), 1, &notes, || {
            std::thread::sleep(Duration::from_millis(100 + random.below(200)));
            let after = u32::try_from(random.below(30)).unwrap();
            if life % 2 == 0 { disk.fail_sync_after(after) } else { disk.fail_write_after(after) }
        });
        assert_stops_in_order(&launch, node);
        // What a failed sync lost is lost for ever: nothing of it may have been acknowledged before
        // or after. The node's own folder shows it only on a disk that really failed.
        let log = read_log(&disk);
        let mut cut = PowerCut::new(Names::Journal);
        log.iter().for_each(|(operation, _)| cut.apply(operation));
        let left = tempfile::tempdir().unwrap();
        cut.build(&mut random, Data::Dropped, left.path());
        for dir in [left.path().join("node"), launch.data_dir.clone()] {
            let mut node = Launch::dev(&dir, &["--mine-on-tx"]).start();
            assert_said(&node, &notes.all());
            node.kill();
            assert_verifies(&dir);
        }
    }
}

#[test]
fn a_full_disk_stops_a_sync_in_order_and_the_rest_comes_later() {
    let mut random = Random::for_test(7);
    let disk = Disk::new();
    let mut chain = Chain::dev();
    let (alice, bob) = (Account::dev(0), Account::dev(1));
    for amount in 1..=BLOCKS {
        for _ in 0..4 {
            chain.pay(&alice, bob.address, amount);
        }
        chain.mine(1);
    }
    let folder = tempfile::tempdir().unwrap();
    let source_dir = folder.path().join("source");
    store_chain(chain.params(), &source_dir, chain.blocks().cloned());
    let run = |dir: &Path| Launch::run(Path::new("dev"), dir, &["--discover", "off"]);
    let feeding = run(&source_dir).listen(free_address());
    let launch = disk.under(run(&disk.root().join("node"))).connect(feeding.listen);
    disk.set_room(Some(1_000_000));
    let ended = launch.try_start().unwrap_err();
    assert_no_panic(&ended);
    assert_says_why(&ended);
    let mut stops = 0;
    for life in 1..=LIVES as u64 {
        disk.set_room(None);
        let node = launch.start();
        // Its peer comes when there is little room left.
        disk.set_room(Some(u32::try_from(life * 20_000 + random.below(100_000)).unwrap()));
        let mut source = feeding.start();
        if !ends_before(&launch, node, BLOCKS) {
            break;
        }
        source.kill();
        stops += 1;
    }
    let source = feeding.start();
    disk.set_room(None);
    let mut node = launch.start();
    wait_for_height(&node, BLOCKS);
    assert_eq!(tip(&node), tip(&source));
    node.kill();
    assert_verifies(&launch.data_dir);
    println!("{stops} syncs stopped by a full disk, then {BLOCKS} blocks are there");
    assert!(stops > 0, "no sync was stopped");
}

/// Waits until a node stops for want of room, in order, or has so many blocks: whether it stopped.
fn ends_before(launch: &Launch, mut node: Node, height: u64) -> bool {
    let is_stopped = wait_until(
        || "an end of the sync, or of the room".to_owned(),
        || match node.api.try_get("/status") {
            Some(status) => (status.json["height"] == height).then_some(false),
            None => (!node.is_alive()).then_some(true),
        },
    );
    if is_stopped {
        assert_stops_in_order(launch, node);
    }
    is_stopped
}
