//! Damage: every file of a node's folder cut short, zeroed by pages and flipped by bits. The node
//! runs with all data right, or serves all but what it names, or refuses, naming the damage and
//! what to do: done, it mends each. Never a panic, never a hang, never wrong data.
//!
//! `STEELYARD_DAMAGE` says how many cases a file (40 in all unless told).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use steelyard_core::params::Params;
use steelyard_node::chain::check::UncheckedBlock;
use steelyard_node::finder::INDEX_FOLDER;
use steelyard_node::mark::MARK_FILE;
use steelyard_node::node::NODE_FILE;
use steelyard_node::store::schema::Space;
use steelyard_node::store::{STORE_FOLDER, Store};
use steelyard_tests::accounts::Account;
use steelyard_tests::chain::{Block, Chain};
use steelyard_tests::disk::Evidence;
use steelyard_tests::inprocess::InProcess;
use steelyard_tests::network::{free_address, text};
use steelyard_tests::process::{Api, Launch, run_node, wait_until};
use steelyard_tests::random::Random;
use steelyard_tests::stored::copy_folder;

use super::{assert_no_panic, printed, verify};

/// Cases in all, unless told.
const CASES: usize = 40;
/// Cases at once.
const AT_ONCE: usize = 2;
/// What is zeroed at once: a page of the disk.
const PAGE_BYTES: usize = 4096;
/// Bits flipped in one case.
const FLIPS: usize = 3;
/// Blocks, of which the last ones came by a reorganisation.
const BLOCKS: u64 = 150;
/// Blocks before the checkpoint and the snapshot of the storage engine.
const HALF: u64 = 75;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    CutShort,
    PageZeroed,
    BitsFlipped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// It started with all that was there.
    Whole,
    /// It started with an earlier state, and had the rest from a peer.
    RolledBack,
    /// It runs, and says which stored data is damaged instead of serving it.
    NamesDamage,
    /// It ended with exit code 8.
    Refused,
}

/// A file of a node's folder, and how it is damaged.
#[derive(Clone, Debug)]
struct Case {
    file: PathBuf,
    kind: Kind,
    seed: u64,
}

/// A node's folder with all that one has: blocks of two branches, a checkpoint, a snapshot, pending
/// transactions, a peer.
fn original(dir: &Path) {
    let mut chain = Chain::dev();
    let (alice, bob) = (Account::dev(0), Account::dev(1));
    for amount in 1..BLOCKS {
        chain.pay(&alice, bob.address, amount);
        chain.pay(&bob, Account::numbered(amount).address, amount);
        chain.mine(1);
    }
    let mut wins = chain.fork_at(BLOCKS - 6).mined_by(&Account::numbered(51));
    wins.mine(6);
    fs::create_dir_all(dir).unwrap();
    let store_dir = dir.join(STORE_FOLDER);
    feed(&store_dir, chain.blocks().take(usize::try_from(HALF).unwrap()));
    let store = Store::open(&store_dir, &chain.network()).unwrap();
    let half = chain.fork_at(HALF);
    store.write_checkpoint(half.state(), store.last(Space::Log).unwrap()).unwrap();
    drop(store);
    let mut node = launch(dir).start();
    assert_eq!(node.add_peer(free_address()).status, 200);
    assert_eq!(node.ready["height"], HALF);
    // Every file that a node has is there then.
    wait_until(
        || format!("an index and a mark in {}", dir.display()),
        || {
            let is_indexed = node.api.get("/status").json["indexed_height"] == HALF;
            (is_indexed && dir.join(MARK_FILE).exists()).then_some(())
        },
    );
    node.kill();
    // In one opening: the engine's snapshot is of its beginning, and of the half that came before.
    feed(
        &store_dir,
        chain
            .blocks()
            .skip(usize::try_from(HALF).unwrap())
            .chain(wins.blocks().skip(usize::try_from(BLOCKS - 6).unwrap())),
    );
}

/// Has a chain take these blocks, each in a commit of its own.
fn feed<'a>(store_dir: &Path, blocks: impl Iterator<Item = &'a Block>) {
    let node = InProcess::open(&Params::dev(), store_dir);
    for block in blocks {
        let block = UncheckedBlock { header: block.header, body: block.body.clone() };
        node.chain.submit_block(block, u64::MAX / 2).unwrap();
    }
}

fn launch(dir: &Path) -> Launch {
    Launch::run(Path::new("dev"), dir, &["--discover", "off"])
}

/// All files below a folder, by their names within.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(dir).unwrap().to_path_buf());
            }
        }
    }
    found.sort();
    found
}

/// Everything that a node serves of its chain: each block, its transactions, two accounts.
fn served(api: &Api) -> BTreeMap<String, Value> {
    let mut paths: Vec<String> = (0..=BLOCKS).map(|height| format!("/block-height/{height}")).collect();
    paths.extend([0, 1].map(|account| format!("/address/{}", text(&Account::dev(account).address))));
    let mut all = BTreeMap::new();
    for path in paths {
        let answer = api.get(&path);
        if let Some(id) = answer.json["id"].as_str() {
            let path = format!("/block/{id}/txs");
            all.insert(path.clone(), api.get(&path).json);
        }
        all.insert(path, answer.json);
    }
    all
}

fn damage(case: &Case, file: &Path) {
    let mut random = Random::new(case.seed);
    let mut bytes = fs::read(file).unwrap();
    let written: Vec<usize> = (0..bytes.len())
        .step_by(PAGE_BYTES)
        .filter(|at| bytes[*at..(at + PAGE_BYTES).min(bytes.len())].iter().any(|byte| *byte != 0))
        .collect();
    // A page that was never written is not worth a case.
    let page = written[random.place(written.len())];
    let end = (page + PAGE_BYTES).min(bytes.len());
    match case.kind {
        Kind::CutShort => bytes.truncate(page + random.place(end - page)),
        Kind::PageZeroed => bytes[page..end].fill(0),
        Kind::BitsFlipped => {
            for _ in 0..FLIPS {
                let page = written[random.place(written.len())];
                let end = (page + PAGE_BYTES).min(bytes.len());
                bytes[page + random.place(end - page)] ^= 1 << random.below(8);
            }
        }
    }
    fs::write(file, bytes).unwrap();
}

fn cases(dir: &Path, random: &mut Random) -> Vec<Case> {
    let files: Vec<PathBuf> =
        files(dir).into_iter().filter(|file| fs::metadata(dir.join(file)).unwrap().len() > 0).collect();
    let db = Path::new(STORE_FOLDER).join("db");
    for file in [&db, &Path::new(INDEX_FOLDER).join("db"), Path::new(MARK_FILE), Path::new(NODE_FILE)] {
        assert!(files.iter().any(|found| found == file), "{files:?}");
    }
    let of_file = std::env::var("STEELYARD_DAMAGE")
        .ok()
        .map(|number| number.parse::<usize>().expect("STEELYARD_DAMAGE is a number"));
    let chosen: Vec<PathBuf> = match of_file {
        Some(number) => files.iter().flat_map(|file| std::iter::repeat_n(file.clone(), number)).collect(),
        // Every other one where nearly everything is.
        None => (0..CASES)
            .map(|case| if case % 2 == 0 { db.clone() } else { files[case / 2 % files.len()].clone() })
            .collect(),
    };
    let kinds = [Kind::CutShort, Kind::PageZeroed, Kind::BitsFlipped];
    chosen
        .into_iter()
        .map(|file| Case { file, kind: kinds[random.place(3)], seed: random.number() })
        .collect()
}

#[test]
fn damaged_files_are_mended_named_or_refused_and_never_believed() {
    let mut random = Random::for_test(3);
    let folder = Evidence::new();
    let (whole, served_dir) = (folder.path().join("whole"), folder.path().join("source"));
    original(&whole);
    copy_folder(&whole, &served_dir);
    let source = launch(&served_dir).start();
    let right = served(&source.api);
    let cases = cases(&whole, &mut random);
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(BTreeMap::<(String, Kind, Outcome), usize>::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((number, case)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, cases.get(at)?)))
                {
                    let dir = folder.path().join(format!("case-{number}"));
                    copy_folder(&whole, &dir);
                    damage(case, &dir.join(&case.file));
                    let launch = launch(&dir).connect(source.p2p);
                    let outcome = judge(case, &launch, &right);
                    if [Outcome::Refused, Outcome::NamesDamage].contains(&outcome) {
                        assert_mends(case, &launch, &right);
                    }
                    let name = case.file.to_string_lossy().into_owned();
                    *outcomes.lock().unwrap().entry((name, case.kind, outcome)).or_default() += 1;
                    fs::remove_dir_all(&dir).unwrap();
                }
            });
        }
    });
    println!("{} damaged files:", cases.len());
    for ((file, kind, outcome), count) in outcomes.into_inner().unwrap() {
        println!("{count:5} {file} {kind:?}: {outcome:?}");
    }
}

/// Verifies a damaged folder, then runs a node on it, beside one that has everything.
fn judge(case: &Case, launch: &Launch, right: &BTreeMap<String, Value>) -> Outcome {
    let verified = verify("dev", &launch.data_dir);
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert_no_panic(&String::from_utf8_lossy(&verified.stderr));
    let is_in_order = match verified.status.code() {
        Some(0) => true,
        Some(8) => false,
        code => panic!("{case:?}: verify ends with {code:?}: {said}"),
    };
    let mut node = match launch.try_start() {
        Ok(node) => node,
        Err(ended) => {
            assert_refuses(case, &ended);
            assert!(!is_in_order, "{case:?}: verify finds nothing, and: {ended}");
            return Outcome::Refused;
        }
    };
    let started_at = node.ready["height"].as_u64().unwrap();
    let tip = &right[&format!("/block-height/{BLOCKS}")]["id"];
    let is_synced = wait_until(
        || format!("{case:?}: the tip, or an end: {:?}", node.api.try_get("/status")),
        || {
            let Some(status) = node.api.try_get("/status") else { return Some(false) };
            (status.json["tip"] == *tip).then_some(true)
        },
    );
    if !is_synced {
        assert_eq!(node.wait(), Some(8), "{case:?}: {}", printed(launch));
        assert_refuses(case, &format!("exit status: 8: {}", printed(launch)));
        return Outcome::Refused;
    }
    let wrong: Vec<(&String, &Value)> = {
        let found = served(&node.api);
        let missing =
            right.keys().find(|path| !found.contains_key(*path) && path.starts_with("/block-height"));
        assert_eq!(missing, None, "{case:?}");
        right.iter().filter(|(path, value)| found.get(*path) != Some(value)).collect()
    };
    for (path, _) in &wrong {
        let answer = node.api.get(path);
        assert_eq!((answer.status, answer.code()), (500, "damaged"), "{case:?}: {path}: {answer:?}");
    }
    node.kill();
    assert_no_panic(&printed(launch));
    match (wrong.is_empty(), started_at == BLOCKS) {
        (false, _) => {
            assert!(!is_in_order, "{case:?}: verify finds nothing, but {wrong:?}");
            Outcome::NamesDamage
        }
        (true, false) => Outcome::RolledBack,
        (true, true) if is_in_order => Outcome::Whole,
        (true, true) => Outcome::NamesDamage,
    }
}

/// A refusal is one of damage, and says what to do.
fn assert_refuses(case: &Case, ended: &str) {
    assert_no_panic(ended);
    assert!(ended.starts_with("exit status: 8:"), "{case:?}: {ended}");
    assert!(ended.contains("hint: ") && ended.contains("steelyard-node "), "{case:?}: no next step: {ended}");
}

/// The way out of any damage: `repair`, and a peer for what it could not keep. What was damaged is put
/// aside.
fn assert_mends(case: &Case, launch: &Launch, right: &BTreeMap<String, Value>) {
    let dir = launch.data_dir.to_str().unwrap();
    let output = run_node(&["repair", "--json", "--network", "dev", "--data-dir", dir]);
    let said = format!("{case:?}: {}", String::from_utf8_lossy(&output.stdout));
    assert_no_panic(&String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    let mut node = launch.start();
    let tip = &right[&format!("/block-height/{BLOCKS}")]["id"];
    node.api.wait_for("/status", |status| status.json["tip"] == *tip);
    let found = served(&node.api);
    let wrong = right.iter().find(|(path, value)| found.get(*path) != Some(value));
    assert_eq!(wrong, None, "{said}");
    node.kill();
    assert_no_panic(&printed(launch));
    let verified = verify("dev", &launch.data_dir);
    assert!(verified.status.success(), "{said}: {}", String::from_utf8_lossy(&verified.stdout));
}
