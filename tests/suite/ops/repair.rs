//! Stores damaged in every key-space, made again from what is right in them.

use std::fs;
use std::path::{Path, PathBuf};

use steelyard_core::params::Params;
use steelyard_node::repair::{self, Report};
use steelyard_node::store::log::LogRecord;
use steelyard_node::store::schema::{META_CHECKPOINT, Space, key};
use steelyard_node::store::{Commit, STORE_FOLDER};
use steelyard_node::verify::Failure;
use steelyard_runtime::lock::FolderLock;
use steelyard_runtime::sled_door::Batch;
use tempfile::TempDir;

use super::*;

/// Addresses of other nodes, as far as a repair looks at them.
const PEERS: &[u8] = &[7; 40_000];
/// The commit of the checkpoint.
const CHECKPOINT: u64 = 12;
/// Height and blocks of the whole chain: twelve, of which the last six were replaced by seven.
const WHOLE: (u64, u64) = (13, 19);

/// A chain with a reorganisation, a checkpoint before it, a payment that waits, and peers.
struct Damaged {
    folder: TempDir,
    params: Params,
}

/// What is done to one.
type Damage = fn(&Damaged);

impl Damaged {
    fn new() -> Self {
        let chain = story();
        let mut wins = chain.fork_at(6).mined_by(&Account::numbered(51));
        wins.mine(7);
        let damaged = Self { folder: tempfile::tempdir().unwrap(), params: chain.params().clone() };
        feed(chain.params(), &damaged.data_dir(), chain.blocks().chain(wins.blocks().skip(6)));
        let store = open(chain.params(), &damaged.data_dir());
        store.write_checkpoint(chain.state(), CHECKPOINT).unwrap();
        let log = LogRecord { tip: store.tip().unwrap().unwrap(), ..LogRecord::default() };
        let commit = Commit { log, peers: Some(PEERS.to_vec()), ..Commit::default() };
        store.commit(store.last(Space::Log).unwrap() + 1, &commit).unwrap();
        damaged
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("node")
    }

    /// Changes the value of a chunk, or removes it.
    fn change(&self, (space, a): (Space, u64), change: impl FnOnce(&mut Vec<u8>) -> bool) {
        let store = open(&self.params, &self.data_dir());
        let found = key(space, a, 0);
        let mut value = store.door().get(found).unwrap().expect("there is such a value");
        let mut batch = Batch::new();
        if change(&mut value) {
            batch.put(found, value)
        } else {
            batch.remove(found)
        }
        store.door().commit(batch).unwrap();
    }

    /// One bit in the middle of a value.
    fn flip(&self, place: (Space, u64)) {
        self.change(place, |value| {
            let middle = value.len() / 2;
            value[middle] ^= 1;
            true
        });
    }

    fn remove(&self, place: (Space, u64)) {
        self.change(place, |_| false);
    }

    fn repair(&self) -> Report {
        repair::run(&self.params, &self.data_dir(), false, &mut |_, _, _| ()).unwrap()
    }

    /// Repairs, and the store is in order then: with this height, these blocks, and this first loss.
    #[track_caller]
    fn expect(&self, (height, blocks): (u64, u64), first_lost: Option<u64>) {
        let report = self.repair();
        assert!(report.repaired && report.found.is_some(), "{report:?}");
        assert_eq!(
            (report.height, report.blocks, report.first_lost),
            (height, blocks, first_lost),
            "{report:?}"
        );
        let kept = report.kept.as_ref().expect("the old store is kept");
        assert!(kept.join("db").is_file() && report.kept_bytes > 0, "{report:?}");
        let found = verified(&self.params, &self.data_dir());
        assert_eq!((found.blocks, found.side_blocks), (height, blocks - height));
        assert_eq!(found.pending, report.pending);
        let store = open(&self.params, &self.data_dir());
        assert_eq!(store.peers().unwrap().is_some(), report.peers);
        drop(store);
        // A second one finds nothing.
        let again = self.repair();
        assert!(!again.repaired && again.kept.is_none(), "{again:?}");
        assert_eq!((again.height, again.blocks, again.tip), (height, blocks, report.tip));
    }
}

#[test]
fn a_store_that_is_in_order_is_left_alone_and_made_again_by_force() {
    let store = Damaged::new();
    // A checkpoint of a branch that was left is no damage.
    let files = |dir: &Path| {
        let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    drop(FolderLock::acquire(&store.data_dir(), "steelyard-node").unwrap());
    let before = files(&store.data_dir());
    let report = store.repair();
    assert!(!report.repaired && report.kept.is_none(), "{report:?}");
    assert_eq!((report.height, report.blocks), WHOLE);
    assert_eq!(files(&store.data_dir()), before);
    let mark = store.data_dir().join(steelyard_node::mark::MARK_FILE);
    fs::write(&mark, "of the store that goes").unwrap();
    let forced = repair::run(&store.params, &store.data_dir(), true, &mut |_, _, _| ()).unwrap();
    assert!(forced.repaired && forced.peers);
    // Of the new store, whose commits are counted anew, it would tell of a loss.
    assert!(!mark.exists());
    assert_eq!((forced.height, forced.blocks, forced.tip, forced.lost), (WHOLE.0, WHOLE.1, report.tip, 0));
    assert_eq!(forced.pending, report.pending);
    assert_eq!(open(&store.params, &store.data_dir()).peers().unwrap().as_deref(), Some(PEERS));
    assert_eq!(verified(&store.params, &store.data_dir()).blocks, WHOLE.0);
}

#[test]
fn what_derives_from_blocks_costs_no_block() {
    let damages: [(&str, Damage); 8] = [
        ("delta", |store| store.flip((Space::Delta, 3))),
        ("delta gone", |store| store.remove((Space::Delta, 9))),
        ("delta of the reorganisation", |store| store.flip((Space::Delta, 19))),
        ("checkpoint", |store| store.flip((Space::Checkpoint, 1))),
        ("checkpoint gone", |store| store.remove((Space::Checkpoint, 1))),
        ("mark", |store| store.flip((Space::Meta, META_CHECKPOINT))),
        ("pending", |store| store.flip((Space::Mempool, 20))),
        ("log of a commit without blocks", |store| store.remove((Space::Log, 20))),
    ];
    for (name, damage) in damages {
        println!("{name}");
        let store = Damaged::new();
        damage(&store);
        store.expect(WHOLE, None);
    }
}

#[test]
fn blocks_that_are_not_right_are_left_out_with_what_stands_on_them() {
    // On the branch that won: what is below it is kept, and the branch that lost is the chain again.
    let store = Damaged::new();
    store.flip((Space::Body, 14));
    store.expect((12, 13), Some(8));
    let store = Damaged::new();
    store.remove((Space::Log, 14));
    store.expect((12, 13), Some(8));
    // On the one that lost: the chain stays.
    let store = Damaged::new();
    store.flip((Space::Body, 10));
    store.expect((13, 16), Some(10));
    // Below both.
    let store = Damaged::new();
    store.flip((Space::Body, 5));
    store.expect((4, 4), Some(5));
    let store = Damaged::new();
    store.flip((Space::Log, 4));
    store.expect((3, 3), Some(4));
}

#[test]
fn a_store_that_does_not_open_is_put_aside_and_an_import_takes_its_place() {
    let file = |store: &Damaged| store.data_dir().join(STORE_FOLDER);
    let damages: [fn(&Path); 3] = [
        |dir| fs::write(dir.join("conf"), [0xff; 40]).unwrap(),
        |dir| fs::write(dir.join("db"), vec![0; 8 << 20]).unwrap(),
        |dir| fs::write(dir.join("db"), [7; 5_000]).unwrap(),
    ];
    let chain = story();
    for (number, damage) in damages.into_iter().enumerate() {
        let store = Damaged::new();
        let blocks = store.folder.path().join("blocks");
        done(&command(&["export", plain(&blocks)], &store.data_dir()));
        damage(&file(&store));
        let report = done(&command(&["repair"], &store.data_dir()));
        assert_eq!(
            (report["repaired"].as_bool(), report["blocks"].as_u64()),
            (Some(true), Some(0)),
            "{number}"
        );
        assert!(store.data_dir().join("chain.damaged-1").is_dir() && !file(&store).exists(), "{number}");
        done(&command(&["import", plain(&blocks)], &store.data_dir()));
        assert_eq!(verified(chain.params(), &store.data_dir()).blocks, WHOLE.0);
        // The next one is kept beside it.
        damage(&file(&store));
        done(&command(&["repair"], &store.data_dir()));
        assert!(store.data_dir().join("chain.damaged-2").is_dir());
    }
}

#[test]
fn a_store_of_which_nothing_is_right_is_put_aside() {
    let store = Damaged::new();
    store.flip((Space::Body, 1));
    // Those of the blocks that were taken back, and the one that was submitted.
    store.remove((Space::Mempool, 19));
    store.remove((Space::Mempool, 20));
    let report = store.repair();
    assert_eq!((report.blocks, report.pending), (0, 0), "{report:?}");
    assert_eq!((report.lost, report.first_lost), (WHOLE.1, Some(1)));
    assert!(report.kept.is_some() && !store.data_dir().join(STORE_FOLDER).exists());
    assert!(!store.data_dir().join("chain.building").exists());
}

#[test]
fn what_is_no_damage_is_refused() {
    let store = Damaged::new();
    let held = FolderLock::acquire(&store.data_dir(), "steelyard-node").unwrap();
    let refused = repair::run(&store.params, &store.data_dir(), true, &mut |_, _, _| ());
    assert!(matches!(refused, Err(Failure::Held(_))));
    drop(held);
    let other = Params::new_network("other", 1, 1_000);
    assert!(matches!(repair::run(&other, &store.data_dir(), true, &mut |_, _, _| ()), Err(Failure::Open(_))));
    let nowhere = store.folder.path().join("nowhere");
    assert!(matches!(repair::run(&other, &nowhere, true, &mut |_, _, _| ()), Err(Failure::NoStore { .. })));
    assert!(!nowhere.exists());
}

#[test]
fn damage_is_told_with_the_command_that_mends_it() {
    let store = Damaged::new();
    store.flip((Space::Body, 5));
    store.flip((Space::Checkpoint, 1));
    for words in [&["verify", "--full"][..], &["dev", "--api", "127.0.0.1:0", "--listen", "127.0.0.1:0"]] {
        let output = command(words, &store.data_dir());
        assert_eq!(output.status.code(), Some(8), "{}", said(&output));
        let hint = json(&output)["error"]["hint"].as_str().unwrap().to_owned();
        assert!(hint.contains("steelyard-node repair"), "{hint}");
    }
}

#[test]
fn a_kill_at_each_step_leaves_the_old_store_or_the_new_one() {
    if !cfg!(debug_assertions) {
        println!("skipped: fail points are compiled into debug builds only");
        return;
    }
    let steps = [
        "repair.judged",
        "store.before_rename",
        "repair.commit_read@7",
        "commit.after_apply@4",
        "repair.rebuilt",
        "build.before_exchange",
        "build.after_exchange",
    ];
    for step in steps {
        let store = Damaged::new();
        store.flip((Space::Body, 10));
        killed(&["repair"], &store.data_dir(), step);
        let report = store.repair();
        let is_new = step == "build.after_exchange";
        assert_eq!(report.repaired, !is_new, "{step}: {report:?}");
        assert_eq!((report.height, report.blocks), (13, 16), "{step}");
        let found = verified(&store.params, &store.data_dir());
        assert_eq!((found.blocks, found.pending), (13, report.pending), "{step}");
        // The damaged one is still there, under whichever name.
        let kept = report.kept.unwrap_or_else(|| store.data_dir().join("chain.damaged-1"));
        let kept = steelyard_node::store::Store::open(&kept, &store.params.network_id()).unwrap();
        assert_eq!(kept.last(Space::Log).unwrap(), 21, "{step}");
    }
    let store = Damaged::new();
    fs::write(store.data_dir().join(STORE_FOLDER).join("conf"), [0xff; 40]).unwrap();
    killed(&["repair"], &store.data_dir(), "build.before_set_aside");
    killed(&["repair"], &store.data_dir(), "build.after_set_aside");
    assert_eq!(refused(&command(&["repair"], &store.data_dir())), (Some(2), "no_store".into()));
    assert!(store.data_dir().join("chain.damaged-1").is_dir());
}
