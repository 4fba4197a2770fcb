//! Disks that are full, and disks that fail, under a node that mines, takes payments and syncs: it
//! stops in order, says why, unsays nothing, and goes on once there is room.

use std::time::Duration;

use steelyard_tests::accounts::Account;
use steelyard_tests::chain::Chain;
use steelyard_tests::disk::{Disk, read_log};
use steelyard_tests::network::{tip, wait_for_height};
use steelyard_tests::power::{Data, Names, PowerCut};
use steelyard_tests::process::{Launch, Node};
use steelyard_tests::random::Random;
use steelyard_tests::stored::store_chain;

use super::{Crowd, Notes, assert_no_panic, assert_said, printed};
use crate::crash::assert_verifies;

/// Bounds so low that the store is reopened and a checkpoint written again and again.
const LOWERED: &str = "reopen_bytes=200000,checkpoint_records=60";
/// Lives of a node, each with an end of its own.
const LIVES: usize = 6;

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
    for amount in 1..=300 {
        for _ in 0..4 {
            chain.pay(&alice, bob.address, amount);
        }
        chain.mine(1);
    }
    let folder = tempfile::tempdir().unwrap();
    let source_dir = folder.path().join("source");
    store_chain(chain.params(), &source_dir, chain.blocks().cloned());
    let run = |dir: &std::path::Path| Launch::run(std::path::Path::new("dev"), dir, &["--discover", "off"]);
    let source = run(&source_dir).start();
    let launch = disk.under(run(&disk.root().join("node"))).connect(source.p2p);
    let mut stops = 0;
    for room in (1..).map(|round| round * 150_000) {
        disk.set_room(Some(room + u32::try_from(random.below(50_000)).unwrap()));
        match launch.try_start() {
            Err(ended) => {
                assert_no_panic(&ended);
                assert!(ended.starts_with("exit status: 1:"), "{ended}");
                assert_says_why(&ended);
            }
            Ok(mut node) => {
                let ended = steelyard_tests::process::wait_until(
                    || "an end of the sync, or of the room".to_owned(),
                    || match node.is_alive() {
                        false => Some(true),
                        true => node
                            .api
                            .try_get("/status")
                            .and_then(|status| (status.json["height"] == 300).then_some(false)),
                    },
                );
                if !ended {
                    assert_eq!(tip(&node), tip(&source));
                    break;
                }
                assert_stops_in_order(&launch, node);
            }
        }
        stops += 1;
    }
    disk.set_room(None);
    let mut node = launch.start();
    wait_for_height(&node, 300);
    assert_eq!(tip(&node), tip(&source));
    node.kill();
    assert_verifies(&launch.data_dir);
    println!("{stops} syncs stopped by a full disk, then 300 blocks are there");
}
