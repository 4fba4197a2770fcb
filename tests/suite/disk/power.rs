//! Power cuts: the log of a node's disk, through several lives and deaths, cut at syncs and anywhere
//! else. Whatever a disk may then hold, a node starts on it, its store is in order to the last byte,
//! and everything that was acknowledged before the cut is there.
//!
//! `STEELYARD_CUTS` says how many cuts, beside one before and one after every sync (50 in all unless told).

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use steelyard_core::params::Params;
use steelyard_core::types::transaction::Transaction;
use steelyard_node::chain::check::load_body;
use steelyard_node::node;
use steelyard_tests::disk::{Disk, Evidence, Operation, read_log};
use steelyard_tests::power::{DATA, Data, Names, PowerCut};
use steelyard_tests::process::Launch;
use steelyard_tests::random::Random;

use super::{Crowd, Notes, Said, assert_said};

/// Cuts whose folder a real node is started on too.
const STARTS: usize = 4;

pub(super) fn cuts() -> usize {
    std::env::var("STEELYARD_CUTS").map_or(50, |text| text.parse().expect("STEELYARD_CUTS is a number"))
}

/// Lives of a node under load, each followed by one that may end while it starts.
const LIVES: usize = 3;

/// Bounds so low that the store is reopened and a checkpoint written again and again.
const LOWERED: &str = "reopen_bytes=60000,checkpoint_records=60";

/// Several lives of a node under load, each ended between two operations of its disk, also while it
/// starts.
fn live(disk: &Disk, random: &mut Random) -> Notes {
    let launch = disk.under(Launch::dev(&disk.root().join("node"), &["--mine-on-tx"]));
    let launch = launch.env("STEELYARD_LOWERED", LOWERED);
    let (notes, mut crowd) = (Notes::default(), Crowd::new());
    for _ in 0..LIVES {
        let node = launch.start();
        crowd.use_node((&node, disk), 2, &notes, || {
            std::thread::sleep(Duration::from_millis(700 + random.below(500)));
            disk.kill_after(u32::try_from(random.below(40)).unwrap());
        });
        end(node);
        disk.kill_after(u32::try_from(random.below(60)).unwrap());
        // It dies on its way up, or soon after.
        if let Ok(node) = launch.try_start() {
            end(node);
        }
    }
    notes
}

/// Waits until the disk has killed the node: whoever kills it from outside may cut its log.
fn end(mut node: steelyard_tests::process::Node) {
    assert_eq!(node.wait(), None, "the node should have been killed by its disk");
}

/// A place in the log, and what is left of what was not durable there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    /// Operations before it.
    pub(super) at: usize,
    pub(super) names: Names,
    pub(super) data: Data,
}

impl Cut {
    /// Where the log ended.
    pub(super) fn moment(&self, log: &[(Operation, u64)]) -> u64 {
        self.at.checked_sub(1).map_or(0, |last| log[last].1)
    }
}

/// Cuts just before and just after syncs, just after changes of names, and anywhere. Where their number
/// was told, no sync is left out.
pub(super) fn choose(log: &[(Operation, u64)], count: usize, random: &mut Random) -> Vec<Cut> {
    let is_sync =
        |operation: &Operation| matches!(operation, Operation::Sync { .. } | Operation::SyncFolder { .. });
    let is_name = |operation: &Operation| {
        matches!(operation, Operation::Create { .. } | Operation::Rename { .. } | Operation::Unlink { .. })
    };
    let places = |is_one: &dyn Fn(&Operation) -> bool| -> Vec<usize> {
        (0..log.len()).filter(|at| is_one(&log[*at].0)).collect()
    };
    let (syncs, names) = (places(&is_sync), places(&is_name));
    let is_told = std::env::var_os("STEELYARD_CUTS").is_some();
    let every = syncs.iter().flat_map(|at| [*at, at + 1]).filter(|_| is_told).collect::<Vec<_>>();
    let some = (0..count).map(|number| match number % 4 {
        0 => syncs[random.place(syncs.len())],
        1 => syncs[random.place(syncs.len())] + 1,
        2 => names[random.place(names.len())] + 1,
        _ => random.place(log.len() + 1),
    });
    let places: Vec<usize> = some.chain(every).collect();
    let mut cuts: Vec<Cut> = (0..)
        .zip(places)
        .map(|(number, at)| {
            let kept = if number / 4 % 2 == 0 { Names::Journal } else { Names::Strict };
            Cut { at, names: kept, data: DATA[random.place(DATA.len())] }
        })
        .collect();
    cuts.sort_by_key(|cut| (cut.names == Names::Strict, cut.at));
    cuts
}

#[test]
fn a_power_cut_loses_nothing_acknowledged() {
    if !cfg!(debug_assertions) {
        println!("skipped: bounds are lowered in debug builds only");
        return;
    }
    let mut random = Random::for_test(6);
    let disk = Disk::new();
    let notes = live(&disk, &mut random);
    let log = read_log(&disk);
    let is_snapshot = |operation: &Operation| match operation {
        Operation::Rename { to, .. } => to.file_name().unwrap().to_string_lossy().starts_with("snap."),
        _ => false,
    };
    let opened = log.iter().filter(|(operation, _)| is_snapshot(operation)).count();
    assert!(opened > 2 * LIVES + 1, "the store was opened {opened} times: no life saw it reopened");
    let cuts = choose(&log, cuts(), &mut random);
    let folder = Evidence::new();
    let mut disks = [Names::Journal, Names::Strict].map(|names| (PowerCut::new(names), 0));
    let (mut blocks, mut txs, checkpoints) = (0, 0, AtomicUsize::new(0));
    for (number, pair) in cuts.chunks(2).enumerate() {
        let mut built = Vec::new();
        for (second, cut) in pair.iter().enumerate() {
            let (state, done) = &mut disks[usize::from(cut.names == Names::Strict)];
            log[*done..cut.at].iter().for_each(|(operation, _)| state.apply(operation));
            *done = cut.at;
            let dir = folder.path().join(format!("{number}-{second}"));
            std::fs::create_dir(&dir).unwrap();
            state.build(&mut random, cut.data, &dir);
            let said = notes.until(cut.moment(&log));
            blocks += said.iter().filter(|said| matches!(said, Said::Block(..))).count();
            txs += said.iter().filter(|said| matches!(said, Said::Tx(_))).count();
            built.push((cut, dir, said));
        }
        let is_started = number % (cuts.len() / 2 / STARTS).max(1) == 0;
        std::thread::scope(|scope| {
            for (cut, dir, said) in &built {
                let checkpoints = &checkpoints;
                scope.spawn(move || {
                    let has_one = assert_survives(cut, dir, said, is_started);
                    checkpoints.fetch_add(usize::from(has_one), Ordering::Relaxed);
                });
            }
        });
        built.iter().for_each(|(_, dir, _)| std::fs::remove_dir_all(dir).unwrap());
    }
    let checkpoints = checkpoints.into_inner();
    assert!(checkpoints > 0, "no cut came after a checkpoint");
    println!(
        "{} cuts ({checkpoints} after a checkpoint) in a log of {} operations with {} syncs and {opened} openings, {} blocks and {} transactions acknowledged \
         before them in all: none lost, none half there",
        cuts.len(),
        log.len(),
        log.iter().filter(|(operation, _)| matches!(operation, Operation::Sync { .. })).count(),
        blocks,
        txs,
    );
}

/// A node opens what is left, finds it in order, and still has all that was said. Whether it has a
/// checkpoint.
fn assert_survives(cut: &Cut, root: &Path, said: &[Said], is_started: bool) -> bool {
    let data_dir = root.join("node");
    if is_started {
        let launch = Launch::dev(&data_dir, &["--mine-on-tx"]);
        let mut node = launch.try_start().unwrap_or_else(|ended| panic!("{cut:?}: {ended}"));
        assert_said(&node, said);
        node.kill();
    }
    std::fs::create_dir_all(&data_dir).unwrap();
    let (store, loaded) =
        node::open(Params::dev(), &data_dir).unwrap_or_else(|error| panic!("{cut:?}: {error}"));
    assert!(!loaded.rebuilt, "{cut:?}: the stored state is not the tip's");
    let mut txs = BTreeSet::new();
    for height in 1.. {
        let Some(entry) = loaded.shared.read().active(height).cloned() else { break };
        let body = load_body(&loaded.shared, &store, &entry)
            .unwrap_or_else(|error| panic!("{cut:?}: block {height}: {error}"));
        txs.extend(
            body.items[1..].iter().map(|tx| Transaction::from_bytes(tx).unwrap().body.id().to_string()),
        );
    }
    let view = loaded.shared.read();
    txs.extend(view.pending_all().map(|entry| entry.tx.id().to_string()));
    for said in said {
        match said {
            Said::Block(height, id) => {
                let found = view.active(*height).map(|entry| entry.id.to_string());
                assert_eq!(found.as_ref(), Some(id), "{cut:?}: acknowledged block {height}");
            }
            Said::Tx(id) => assert!(txs.contains(id), "{cut:?}: acknowledged transaction {id}"),
        }
    }
    drop(view);
    let has_checkpoint = store.checkpoint().unwrap().is_some();
    drop((store, loaded));
    steelyard_node::verify::run(Params::dev(), &data_dir, true, &mut |_, _| ())
        .unwrap_or_else(|failure| panic!("{cut:?}: {failure}"));
    has_checkpoint
}
