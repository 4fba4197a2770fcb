//! An index that is not fit is made again, whatever is wrong with it; one that is fit is kept.

use std::fs;

use steelyard_core::hash::NetworkId;
use steelyard_runtime::sled_door::Batch;

use super::super::entry::{Mark, Secret};
use super::super::schema::{Head, META_HEAD, META_MANIFEST, Manifest, Space, key, sealed};
use super::*;

/// A stopped chain with some blocks, and its index.
fn stopped() -> (Arc<TempDir>, Maker) {
    let mut stage = Stage::new();
    let mut tip = stage.maker.genesis;
    for nonce in 0..30 {
        let paid = stage.maker.pay(0, nonce, 9, 5);
        tip = stage.maker.make(tip, std::slice::from_ref(&paid));
        stage.give(tip);
    }
    stage.settle();
    stage.stop()
}

/// The secret of an index: another one after it was made again.
fn secret(dir: &Path) -> [u8; 16] {
    let door = Door::open(dir, steelyard_runtime::sled_door::DoorOptions { cache_bytes: 1 << 20 }).unwrap();
    let head = schema::get(&door, &key(Space::Meta, META_HEAD, 0)).unwrap();
    Head::from_bytes(&head).unwrap().secret.0
}

fn put(dir: &Path, at: [u8; 13], payload: Vec<u8>) {
    let door = Door::open(dir, steelyard_runtime::sled_door::DoorOptions { cache_bytes: 1 << 20 }).unwrap();
    let mut batch = Batch::new();
    batch.put(at, sealed(&at, payload));
    door.commit(batch).unwrap();
}

/// The index is right afterwards, and is a new one or not.
fn assert_opened((dir, maker): (Arc<TempDir>, Maker), is_new: bool, before: [u8; 16]) {
    let stage = Stage::open(dir, maker);
    stage.assert_right(false);
    let (dir, _maker) = stage.stop();
    assert_eq!(secret(&dir.path().join(INDEX_FOLDER)) != before, is_new);
}

#[test]
fn a_fit_index_is_kept_and_a_missing_one_made() {
    let (dir, maker) = stopped();
    let index = dir.path().join(INDEX_FOLDER);
    let before = secret(&index);
    assert_opened((Arc::clone(&dir), maker), false, before);
    fs::remove_dir_all(&index).unwrap();
    let (dir, maker) = {
        let stage = Stage::open(dir, Maker::new(params()));
        stage.assert_right(false);
        stage.stop()
    };
    // Half thrown away by a kill.
    fs::rename(&index, dir.path().join("index.discarded")).unwrap();
    assert_opened((dir, maker), true, before);
}

#[test]
fn an_index_of_another_kind_is_made_again() {
    let other_network = Head { network: NetworkId([9; 32]), secret: Secret([9; 16]) }.to_bytes();
    let mut other_format = Head { network: params().network_id(), secret: Secret([9; 16]) }.to_bytes();
    other_format[0] ^= 0xff;
    let mark = Mark { height: 3, id: BlockId([9; 32]) };
    let unknown_block = Manifest { mark, unread: 0, runs: Vec::new() }.to_bytes();
    let mark = Mark { height: 0, id: params().genesis().id };
    let with_a_hole = Manifest { mark, unread: 1, runs: Vec::new() }.to_bytes();
    for (a, payload) in [
        (META_HEAD, other_network),
        (META_HEAD, other_format),
        (META_MANIFEST, unknown_block),
        (META_MANIFEST, with_a_hole),
    ] {
        let (dir, maker) = stopped();
        let index = dir.path().join(INDEX_FOLDER);
        let before = secret(&index);
        put(&index, key(Space::Meta, a, 0), payload);
        assert_opened((dir, maker), true, before);
    }
}

#[test]
fn a_damaged_index_is_made_again() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 2] = [
        ("no content", |index| fs::write(index.join("db"), []).unwrap()),
        ("garbage", |index| fs::write(index.join("db"), vec![0xa5; 100_000]).unwrap()),
    ];
    for (name, harm) in harms {
        println!("{name}");
        let (dir, maker) = stopped();
        let index = dir.path().join(INDEX_FOLDER);
        let before = secret(&index);
        harm(&index);
        assert_opened((dir, maker), true, before);
    }
}

#[test]
fn what_is_no_index_is_left_alone_and_said() {
    let (dir, maker) = stopped();
    let index = dir.path().join(INDEX_FOLDER);
    fs::remove_dir_all(&index).unwrap();
    let file = |index: &Path| fs::write(index, "years of work").unwrap();
    let folder = |index: &Path| {
        fs::remove_file(index).unwrap();
        fs::create_dir(index).unwrap();
        fs::write(index.join("thesis.txt"), "years of work").unwrap();
    };
    file(&index);
    let stage = Stage::open(Arc::clone(&dir), maker);
    let wait_for_failure = || {
        for _ in 0..20_000 {
            if let Some(reason) = stage.finder.failure() {
                return reason;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!("nothing is said")
    };
    assert!(wait_for_failure().contains("move it away"));
    let failed = stage.finder.find(&[]).unwrap_err();
    assert_eq!(failed.name(), "index_failed");
    folder(&index);
    assert!(wait_for_failure().contains("move it away"));
    assert_eq!(fs::read_to_string(index.join("thesis.txt")).unwrap(), "years of work");
    // Tried again soon, as it says.
    fs::rename(&index, dir.path().join("elsewhere")).unwrap();
    stage.assert_right(false);
    stage.stop();
}

/// sled then opens at an earlier moment, or not at all: either way what is missing is read again.
#[test]
fn an_index_that_was_cut_short_is_right_again() {
    let mut random = Random::for_test(31);
    for _ in 0..6 {
        let (dir, maker) = stopped();
        let db = dir.path().join(INDEX_FOLDER).join("db");
        let length = fs::metadata(&db).unwrap().len();
        fs::OpenOptions::new().write(true).open(&db).unwrap().set_len(random.below(length)).unwrap();
        let stage = Stage::open(dir, maker);
        stage.assert_right(false);
        stage.stop();
    }
}

/// An index that says it had read blocks whose transactions it does not know.
#[test]
fn verify_names_an_index_that_lacks_what_the_blocks_hold() {
    let (dir, maker) = stopped();
    let index = dir.path().join(INDEX_FOLDER);
    let verify = || crate::verify::run(maker.params.clone(), dir.path(), false, &mut |_, _| ());
    assert_eq!(verify().unwrap().blocks, 30);
    let tip = {
        let store = Store::open(&dir.path().join(STORE_FOLDER), &maker.network).unwrap();
        let (index, _) = load::load_index(&maker.params.genesis(), &store).unwrap();
        index.get(index.tip()).id
    };
    let mark = Mark { height: 30, id: tip };
    put(
        &index,
        key(Space::Meta, META_MANIFEST, 0),
        Manifest { mark, unread: 0, runs: Vec::new() }.to_bytes(),
    );
    let failure = verify().unwrap_err();
    assert_eq!(failure.as_fault().unwrap().rule, "index", "{failure}");
    // Of a chain that is not this one: the next start makes it again, so there is nothing to judge.
    let mark = Mark { height: 30, id: BlockId([5; 32]) };
    put(
        &index,
        key(Space::Meta, META_MANIFEST, 0),
        Manifest { mark, unread: 0, runs: Vec::new() }.to_bytes(),
    );
    verify().unwrap();
}

/// Found only when it is read: by a reader, or by a merge.
#[test]
fn damage_that_a_reader_meets_has_the_index_made_again_while_the_node_runs() {
    let (dir, maker) = stopped();
    let index = dir.path().join(INDEX_FOLDER);
    let before = secret(&index);
    {
        let options = steelyard_runtime::sled_door::DoorOptions { cache_bytes: 1 << 20 };
        let door = Door::open(&index, options).unwrap();
        for (at, mut value) in door.scan(schema::range(Space::Run, 0, u64::MAX), usize::MAX).unwrap() {
            value[3] ^= 1;
            let mut batch = Batch::new();
            batch.put(at, value);
            door.commit(batch).unwrap();
        }
    }
    let stage = Stage::open(dir, maker);
    stage.settle();
    let (id, _) = stage.truth().txs.into_iter().next().unwrap();
    let failed = stage.finder.find(&[Query::newest(Key::Tx(id), 9)]).unwrap_err();
    assert!(matches!(&failed, FinderError::Failed(reason) if reason.contains("damaged")), "{failed}");
    // From here on it is made again.
    for _ in 0..20_000 {
        if stage.finder.find(&[Query::newest(Key::Tx(id), 9)]).is_ok_and(|found| found.is_some()) {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    stage.assert_right(false);
    let (dir, _maker) = stage.stop();
    assert_ne!(secret(&dir.path().join(INDEX_FOLDER)), before);
}

/// What was written for a run that no manifest names goes at the next start.
#[test]
fn what_a_kill_left_is_swept_and_nothing_else() {
    let (dir, maker) = stopped();
    let index = dir.path().join(INDEX_FOLDER);
    let keys = |index: &Path| {
        let options = steelyard_runtime::sled_door::DoorOptions { cache_bytes: 1 << 20 };
        let door = Door::open(index, options).unwrap();
        let spaces = schema::RUN_SPACES.map(|space| schema::range(space, 0, u64::MAX));
        let all = spaces.into_iter().flat_map(|range| door.scan(range, usize::MAX).unwrap());
        all.map(|(key, _)| key).collect::<BTreeSet<_>>()
    };
    let left = [(Space::Run, 1_000), (Space::Fence, 0), (Space::Bloom, u64::MAX)];
    for (space, number) in left {
        (0..20).for_each(|chunk| put(&index, key(space, number, chunk), vec![7; 100]));
    }
    let is_left =
        |found: &Vec<u8>| left.iter().any(|(space, number)| found[..9] == key(*space, *number, 0)[..9]);
    assert_eq!(keys(&index).iter().filter(|found| is_left(found)).count(), 60);
    let stage = Stage::open(dir, maker);
    stage.assert_right(false);
    let (dir, _maker) = stage.stop();
    assert!(!keys(&dir.path().join(INDEX_FOLDER)).iter().any(is_left));
}
