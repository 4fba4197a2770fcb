//! Power cuts under the storage engine alone: so much is written, replaced and removed that it uses
//! the same parts of its file again, which no chain of a test does. A child of this test writes,
//! through the safe door; every cut of its disk must hold each batch that was committed before it,
//! and no other than whole ones.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use steelyard_runtime::sled_door::{Batch, Door, DoorOptions};
use steelyard_tests::disk::{Disk, Evidence, Operation, read_log};
use steelyard_tests::power::{DATA, Data, Names, PowerCut};
use steelyard_tests::process::wait_until;
use steelyard_tests::random::Random;

const OPTIONS: DoorOptions = DoorOptions { cache_bytes: 16 * 1024 * 1024 };
/// Batches of the child.
const BATCHES: u64 = 240;
/// Of the engine's file, what is used and freed at once.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// Longest value, bytes.
const VALUE_BYTES: u64 = 12 * 1024;
/// Threads that commit at once, where one is not enough.
const WRITERS: u64 = 4;
/// Disks that fail under them.
const FAILURES: usize = 10;
/// Operations of a disk in which a store is opened, and some more.
const OPENING_OPERATIONS: u32 = 24;
/// The key of the last batch's number: before all others.
const LAST: &[u8] = &[0];
const PLAN: &str = "CHURN_PLAN";
const FOLDER: &str = "CHURN_FOLDER";

/// What a child does.
#[derive(Clone, Copy)]
struct Plan {
    seed: u64,
    /// Keys that are written again and again.
    keys: u64,
    /// Batches between two reopenings.
    reopen_every: u64,
}

impl Plan {
    /// Some megabytes of content, reopened seldom.
    fn large(seed: u64) -> Self {
        Self { seed, keys: 300, reopen_every: 60 }
    }

    /// So little content that a part of the file is free as soon as the next one is written to. Reopened
    /// often, the snapshot before was made in that part; seldom, there is none before.
    fn small(seed: u64, reopen_every: u64) -> Self {
        Self { seed, keys: 40, reopen_every }
    }

    fn text(self) -> String {
        format!("{},{},{}", self.seed, self.keys, self.reopen_every)
    }

    fn from_text(text: &str) -> Self {
        let numbers: Vec<u64> = text.split(',').map(|number| number.parse().unwrap()).collect();
        let [seed, keys, reopen_every] = numbers[..] else { panic!("three numbers") };
        Self { seed, keys, reopen_every }
    }
}

/// What is stored: for each key the number and length of which its value is made.
type Content = BTreeMap<Vec<u8>, (u64, usize)>;

/// A key, and of what its value is made from then on; `None` for one that goes.
type Change = (Vec<u8>, Option<(u64, usize)>);

fn key(number: u64) -> Vec<u8> {
    [&[1][..], &number.to_be_bytes()].concat()
}

fn value(number: u64, length: usize) -> Vec<u8> {
    let words = (0..length as u64 / 8 + 1).flat_map(|word| (number.wrapping_mul(word | 1)).to_le_bytes());
    words.take(length).collect()
}

/// The changes of the next batch.
fn changes(random: &mut Random, keys: u64) -> Vec<Change> {
    let change = |random: &mut Random| {
        let is_gone = random.below(5) == 0;
        let value = (random.number(), usize::try_from(random.below(VALUE_BYTES)).unwrap());
        (key(random.below(keys)), Some(value).filter(|_| !is_gone))
    };
    // Neighbours together, as streams of chunks are; and some anywhere.
    let first = random.below(keys - 16);
    let run = (first..first + 16)
        .map(|number| (key(number), Some((random.number(), 8 * 1024))))
        .collect::<Vec<_>>();
    run.into_iter().chain((0..8).map(|_| change(random))).collect()
}

fn apply(content: &mut Content, changes: &[Change]) {
    for (key, value) in changes {
        match value {
            Some(value) => content.insert(key.clone(), *value),
            None => content.remove(key),
        };
    }
}

/// The child of the next test: writes, and says after each commit how long the disk's log is.
#[test]
#[ignore = "writes to a disk under its shim; run by a_power_cut_under_reused_parts_of_the_file"]
fn child() {
    let folder = std::env::var(FOLDER).unwrap();
    let log = std::env::var("SHIM_DISK_LOG").unwrap();
    let plan = Plan::from_text(&std::env::var(PLAN).unwrap());
    let mut random = Random::new(plan.seed);
    let door = Door::open(Path::new(&folder), OPTIONS).unwrap();
    // A second life opens what the first one left, and adds nothing to it.
    if door.get(LAST).unwrap().is_some() {
        return;
    }
    for number in 1..=BATCHES {
        let mut batch = Batch::new();
        batch.put(LAST, number.to_be_bytes());
        for (key, made_of) in changes(&mut random, plan.keys) {
            match made_of {
                Some((of, length)) => batch.put(key, value(of, length)),
                None => batch.remove(key),
            }
        }
        door.commit(batch).unwrap();
        println!("committed {number} at {}", std::fs::metadata(&log).unwrap().len());
        if number % plan.reopen_every == 0 {
            door.reopen().unwrap();
        }
    }
}

/// The child of the last test: several threads commit until they cannot.
#[test]
#[ignore = "writes to a disk under its shim; run by a_write_that_fails_ends_every_commit"]
fn child_of_many() {
    let door = Door::open(Path::new(&std::env::var(FOLDER).unwrap()), OPTIONS).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..WRITERS {
            let door = &door;
            scope.spawn(move || {
                for number in 0.. {
                    let mut batch = Batch::new();
                    (0..4).for_each(|part| {
                        batch.put(key(thread << 32 | number << 8 | part), value(number, 900))
                    });
                    if let Err(error) = door.commit(batch) {
                        println!("ended: {error}");
                        return;
                    }
                }
            });
        }
    });
    // The engine's own close may wait for what will never come.
    door.leak();
}

#[test]
fn a_write_that_fails_ends_every_commit() {
    let mut random = Random::for_test(10);
    for _ in 0..FAILURES {
        let disk = Disk::new();
        disk.fail_write_after(u32::try_from(50 + random.below(200)).unwrap());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["disk::churn::child_of_many", "--exact", "--ignored", "--nocapture"])
            .envs(disk.env())
            .env(FOLDER, disk.root().join("store"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let id = child.id();
        let ended = wait_until(|| format!("the end of process {id}"), || child.try_wait().unwrap());
        let mut said = String::new();
        child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(ended.success(), "{said}");
        assert_eq!(said.matches("ended: ").count() as u64, WRITERS, "{said}");
    }
}

/// One life of the child; gives how it ended, and where the log was after each of its commits.
fn live(disk: &Disk, plan: Plan) -> (Output, Vec<u64>) {
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["disk::churn::child", "--exact", "--ignored", "--nocapture"])
        .envs(disk.env())
        .env(PLAN, plan.text())
        .env(FOLDER, disk.root().join("store"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    let moments =
        said.lines().filter_map(|line| line.split_once("committed ")?.1.split_once(" at ")?.1.parse().ok());
    let moments = moments.collect();
    (ended, moments)
}

/// A life that ends by itself: where the log was after each commit, and the log.
fn whole_life(plan: Plan) -> (Vec<u64>, Vec<(Operation, u64)>) {
    let disk = Disk::new();
    let (ended, committed) = live(&disk, plan);
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(committed.len() as u64, BATCHES);
    (committed, read_log(&disk))
}

/// What a store holds after each number of batches.
fn states(plan: Plan) -> Vec<Content> {
    let mut random = Random::new(plan.seed);
    let mut states = vec![Content::new()];
    for _ in 0..BATCHES {
        let mut next = states.last().unwrap().clone();
        apply(&mut next, &changes(&mut random, plan.keys));
        states.push(next);
    }
    states
}

#[test]
fn a_power_cut_under_reused_parts_of_the_file_loses_no_batch() {
    let mut random = Random::for_test(8);
    let plan = Plan::large(random.number());
    let (committed, log) = whole_life(plan);
    let states = states(plan);
    let mut cuts: Vec<usize> = (0..super::power::cuts() / 2).map(|_| random.place(log.len() + 1)).collect();
    cuts.sort_unstable();
    let (mut cut, mut done) = (PowerCut::new(Names::Strict), 0);
    for at in &cuts {
        log[done..*at].iter().for_each(|(operation, _)| cut.apply(operation));
        done = *at;
        let data = DATA[random.place(DATA.len())];
        let moment = at.checked_sub(1).map_or(0, |last| log[last].1);
        let least = committed.iter().filter(|end| **end <= moment).count();
        let folder = Evidence::new();
        cut.build(&mut random, data, folder.path());
        assert_holds(
            &folder.path().join("store"),
            &states,
            least,
            &format!("{data:?} after {at} operations"),
        );
    }
    let bytes: usize = log
        .iter()
        .map(|(operation, _)| if let Operation::Write { bytes, .. } = operation { bytes.len() } else { 0 })
        .sum();
    println!(
        "{} cuts in {} MB of writes: no batch of {BATCHES} lost, none half there",
        cuts.len(),
        bytes >> 20
    );
}

/// What a killed process wrote and did not sync is what the next one reads, and of which the engine
/// makes a snapshot: the power goes at each operation of that opening.
#[test]
fn a_power_cut_while_a_killed_store_is_opened_loses_no_batch() {
    let mut random = Random::for_test(12);
    let mut cuts = 0;
    for kill_after in [90, 91] {
        let (disk, plan) = (Disk::new(), Plan::large(random.number()));
        disk.kill_after(kill_after);
        let (_, committed) = live(&disk, plan);
        let first = read_log(&disk).len();
        disk.kill_after(OPENING_OPERATIONS);
        let (_, again) = live(&disk, plan);
        assert!(again.is_empty(), "the second life writes");
        let (states, log) = (states(plan), read_log(&disk));
        let mut cut = PowerCut::new(Names::Journal);
        for (at, (operation, _)) in log.iter().enumerate() {
            cut.apply(operation);
            if at < first {
                continue;
            }
            for _ in 0..2 {
                let folder = Evidence::new();
                cut.build(&mut random, Data::Dropped, folder.path());
                let what = format!("killed after {kill_after}, cut after {} operations", at + 1);
                assert_holds(&folder.path().join("store"), &states, committed.len(), &what);
                cuts += 1;
            }
        }
    }
    println!("{cuts} cuts while a killed store was opened: no batch lost");
}

/// The engine makes a new snapshot when it is opened, and then overwrites what only the old one needs,
/// or, where there was none, the log alone. POSIX promises nothing of the new one's name until its
/// folder is synced: the power goes at each operation from that name to the end of the opening, and at
/// some others.
#[test]
fn a_power_cut_finds_a_snapshot_with_all_that_it_needs() {
    // With this seed the second of these lost its store as long as only the first was seen to.
    let (mut random, mut overwritten) = (Random::for_test(14), 0);
    // Few openings are looked at more often: which names are left is chosen anew each time.
    for (reopen_every, times) in [(8, 1), (58, 4)] {
        let plan = Plan::small(random.number(), reopen_every);
        let (committed, log) = whole_life(plan);
        let states = states(plan);
        let is_snapshot =
            |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("snap."));
        let (mut cut, mut is_opening) = (PowerCut::new(Names::Strict), false);
        let mut cuts = 0;
        for (at, (operation, moment)) in (1..).zip(&log) {
            cut.apply(operation);
            is_opening = match operation {
                Operation::Rename { to, .. } => is_snapshot(to),
                // Of the store's folder, and then of the one that it is in.
                Operation::SyncFolder { path } => is_opening && path.file_name().is_some(),
                _ => is_opening,
            };
            let is_part = |bytes: &[u8]| bytes.len() == PART_BYTES && bytes.iter().all(|byte| *byte == 0);
            let is_over = matches!(operation, Operation::Write { bytes, .. } if is_part(bytes));
            overwritten += usize::from(is_opening && is_over);
            if !is_opening && random.below(32) > 0 {
                continue;
            }
            let least = committed.iter().filter(|end| *end <= moment).count();
            for _ in 0..times {
                let folder = Evidence::new();
                cut.build(&mut random, Data::Kept, folder.path());
                let what = format!("reopened every {reopen_every}, cut after {at} operations");
                assert_holds(&folder.path().join("store"), &states, least, &what);
                cuts += 1;
            }
        }
        println!("{cuts} cuts of a store reopened every {reopen_every} batches: no batch lost");
    }
    println!("{overwritten} parts of the file overwritten by openings");
    assert!(overwritten > 0, "nothing of what is to be survived has happened");
}

/// The store holds one of the states, and that or a later one which was committed.
fn assert_holds(dir: &Path, states: &[Content], least: usize, cut: &str) {
    if least == 0 {
        // A store is made aside and moved when it is whole: a cut before its first commit is no matter.
        return;
    }
    let door = Door::open(dir, OPTIONS).unwrap_or_else(|error| panic!("{cut}: {error}"));
    let last = door.get(LAST).unwrap_or_else(|error| panic!("{cut}: {error}"));
    let last = last.map_or(0, |number| u64::from_be_bytes(number.try_into().unwrap()) as usize);
    assert!(last >= least, "{cut}: batch {last} is the last, but {least} was committed");
    let found =
        door.scan(key(0)..=key(u64::MAX), usize::MAX).unwrap_or_else(|error| panic!("{cut}: {error}"));
    assert_eq!(found.len(), states[last].len(), "{cut}: keys after batch {last}");
    for ((key, bytes), (wanted, (of, length))) in found.iter().zip(&states[last]) {
        assert_eq!(key, wanted, "{cut}: after batch {last}");
        assert_eq!(*bytes, value(*of, *length), "{cut}: the value of {key:?} after batch {last}");
    }
}
