//! The index of the chain: SIGKILL at random moments and at each step of its commits and merges, while
//! branches win and lose; nodes with a damaged one, another's, and none. Whatever happens, every
//! transaction is found and every history is what the bodies say.
//!
//! `STEELYARD_KILLS` says how many kills at random moments (20 unless told).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use steelyard_core::amount::COIN;
use steelyard_core::hash::Address;
use steelyard_core::params::Params;
use steelyard_node::finder::INDEX_FOLDER;
use steelyard_runtime::network_file;
use steelyard_tests::accounts::{Account, Terms, coins};
use steelyard_tests::chainfile::{BLOCKS_MAGIC, RecordWriter};
use steelyard_tests::indexed::{Indexed, SMALL, story};
use steelyard_tests::process::{Api, Launch, Node, program, run_node};
use steelyard_tests::random::Random;
use steelyard_tests::tip::Block;
use tempfile::TempDir;

/// A story in files, and a program that feeds it to a chain with a small index.
struct Stage {
    folder: TempDir,
    params: Params,
    blocks: Vec<Block>,
}

impl Stage {
    fn new(turns: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (params, blocks) = story(turns);
        std::fs::write(folder.path().join("network.toml"), network_file::to_toml(&params)).unwrap();
        let mut file = RecordWriter::create(&folder.path().join("blocks.dat"), BLOCKS_MAGIC).unwrap();
        blocks.iter().for_each(|block| file.block(block).unwrap());
        file.finish().unwrap();
        Self { folder, params, blocks }
    }

    fn data_dir(&self, name: &str) -> PathBuf {
        let data_dir = self.folder.path().join(name);
        std::fs::create_dir_all(&data_dir).unwrap();
        data_dir
    }

    fn command(&self, data_dir: &Path) -> Command {
        let mut command = Command::new(program("steelyard-measure-index"));
        command.env_remove("STEELYARD_FAILPOINT").arg("--follow").arg(data_dir);
        command.arg("--network").arg(self.folder.path().join("network.toml"));
        command.arg("--chain").arg(self.folder.path().join("blocks.dat"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Everything is right in a process of its own, also when all blocks are there.
    fn assert_right(&self, data_dir: &Path) {
        let indexed = Indexed::open(&self.params, data_dir, SMALL);
        indexed.assert_right();
        self.blocks.iter().for_each(|block| indexed.give(block.clone()));
        indexed.assert_right();
        indexed.stop();
    }
}

#[test]
fn kills_at_random_moments_leave_an_index_that_finds_everything() {
    let kills: usize = std::env::var("STEELYARD_KILLS").map_or(20, |text| text.parse().unwrap());
    let mut random = Random::for_test(61);
    let stage = Stage::new(20);
    let (mut round, mut life) = (0, 0);
    while round < kills {
        // A folder lives until all blocks are there; some are killed while it is made.
        life += 1;
        let data_dir = stage.data_dir(&format!("life-{life}"));
        for _ in 0..5 {
            let mut child = stage.command(&data_dir).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(random.below(500)));
            let _ = child.kill();
            let _ = child.wait();
            round += 1;
        }
        stage.assert_right(&data_dir);
    }
}

/// Steps of the index's own, and those of every store.
const STEPS: [&str; 13] = [
    "index.before_run",
    "index.after_batch",
    "index.before_fences",
    "index.before_manifest",
    "index.after_manifest",
    "index.before_merge_end",
    "index.after_merge",
    "index.after_delete",
    "store.before_rename",
    "write.after_apply",
    "commit.after_apply",
    "commit.after_flush",
    "commit.after_fdatasync",
];

#[test]
fn a_kill_at_each_step_leaves_an_index_that_finds_everything() {
    if !cfg!(debug_assertions) {
        println!("skipped: fail points are compiled into debug builds only");
        return;
    }
    let stage = Stage::new(12);
    for (number, step) in STEPS.iter().enumerate() {
        for hit in [1, 2, 5] {
            // There are two stores to be made, and no more.
            if *step == "store.before_rename" && hit > 2 {
                continue;
            }
            let data_dir = stage.data_dir(&format!("step-{number}-{hit}"));
            let ended = stage.command(&data_dir).env("STEELYARD_FAILPOINT", format!("{step}@{hit}")).status();
            assert!(!ended.unwrap().success(), "{step}@{hit} should have ended the program");
            stage.assert_right(&data_dir);
        }
    }
}

#[test]
fn a_kill_while_an_index_is_thrown_away_leaves_one_or_none() {
    if !cfg!(debug_assertions) {
        println!("skipped: fail points are compiled into debug builds only");
        return;
    }
    let stage = Stage::new(3);
    for step in ["index.before_discard", "index.after_rename", "store.before_rename", "index.before_run"] {
        let data_dir = stage.data_dir(step);
        assert!(stage.command(&data_dir).status().unwrap().success());
        std::fs::write(data_dir.join(INDEX_FOLDER).join("db"), vec![0x5a; 50_000]).unwrap();
        let ended = stage.command(&data_dir).env("STEELYARD_FAILPOINT", step).status();
        assert!(!ended.unwrap().success(), "{step} should have ended the program");
        stage.assert_right(&data_dir);
    }
}

/// Every history that the node tells is what its blocks hold.
pub fn assert_histories(api: &Api) {
    let height = api.get("/blocks/tip/height").json.as_u64().unwrap();
    let mut expected: BTreeMap<String, BTreeSet<(u64, u64)>> = BTreeMap::new();
    for height in 1..=height {
        let block = api.get(&format!("/block-height/{height}")).json;
        expected.entry(block["miner"].as_str().unwrap().to_owned()).or_default().insert((height, 0));
        for tx in api.get(&format!("/block/{}/txs", block["id"].as_str().unwrap())).json.as_array().unwrap() {
            let paid = tx["action"]["payments"].as_array().into_iter().flatten().map(|paid| &paid["to"]);
            for address in paid.chain([&tx["sender"]]) {
                let place = (height, tx["index"].as_u64().unwrap());
                expected.entry(address.as_str().unwrap().to_owned()).or_default().insert(place);
            }
        }
    }
    for (address, expected) in expected {
        let (mut told, mut query) = (BTreeSet::new(), String::new());
        loop {
            let page = api.get(&format!("/address/{address}/txs{query}")).json;
            assert!(page["indexed_height"].as_u64() >= Some(height), "{page}");
            let place =
                |entry: &serde_json::Value| Some((entry["height"].as_u64()?, entry["index"].as_u64()?));
            told.extend(page["txs"].as_array().unwrap().iter().map(|entry| place(entry).unwrap()));
            let Some(next) = page["next"].as_str() else { break };
            query = format!("?before={next}");
        }
        told.retain(|(at, _)| *at <= height);
        assert_eq!(told, expected, "{address}");
    }
}

/// A node's folder with some blocks of payments, whose index was saved.
fn stopped(folder: &TempDir) -> (Launch, Vec<String>) {
    let launch = Launch::dev(&folder.path().join("node"), &["--mine-on-tx"]);
    let mut node = launch.start();
    let account = Account::dev(1);
    let mut ids = Vec::new();
    for nonce in 0..5 {
        let payment = coins(Address([7; 32]), COIN);
        let tx = account.pay(Params::dev().network_id(), Terms::of_nonce(nonce), vec![payment]);
        assert_eq!(node.api.submit(&tx.to_bytes()).status, 200);
        ids.push(tx.body.id().to_string());
        node.api.wait_for(&format!("/tx/{}", ids[ids.len() - 1]), is_confirmed);
    }
    assert_eq!(node.terminate().0, Some(0));
    (launch, ids)
}

fn is_confirmed(answer: &steelyard_tests::process::Answer) -> bool {
    answer.json["status"] == "confirmed"
}

fn assert_all_found(node: &Node, ids: &[String]) {
    assert!(ids.iter().all(|id| is_confirmed(&node.api.get(&format!("/tx/{id}")))));
    assert_histories(&node.api);
}

#[test]
fn a_node_makes_its_index_again_whatever_became_of_it() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 4] = [
        ("deleted", |index| std::fs::remove_dir_all(index).unwrap()),
        ("cut short", |index| {
            let db = std::fs::OpenOptions::new().write(true).open(index.join("db")).unwrap();
            db.set_len(20_000).unwrap();
        }),
        ("garbage", |index| std::fs::write(index.join("db"), vec![0xa5; 30_000]).unwrap()),
        ("another network's", |index| {
            let elsewhere = tempfile::tempdir().unwrap();
            let (params, blocks) = story(1);
            let indexed = Indexed::open(&params, elsewhere.path(), SMALL);
            blocks.into_iter().for_each(|block| indexed.give(block));
            indexed.settle();
            indexed.stop();
            std::fs::remove_dir_all(index).unwrap();
            std::fs::rename(elsewhere.path().join(INDEX_FOLDER), index).unwrap();
        }),
    ];
    let folder = tempfile::tempdir().unwrap();
    let (launch, ids) = stopped(&folder);
    for (name, harm) in harms {
        harm(&launch.data_dir.join(INDEX_FOLDER));
        let mut node = launch.start();
        assert_all_found(&node, &ids);
        assert_eq!(node.terminate().0, Some(0), "{name}");
        // The one that was made is found fit.
        let said = std::fs::read_to_string(launch.data_dir.with_extension("log")).unwrap();
        // sled opens what was cut short at an earlier moment, or not at all.
        if name != "cut short" {
            assert_eq!(said.contains("made again"), name != "deleted", "{name}: {said}");
        }
        let node = launch.start();
        assert_all_found(&node, &ids);
        let said = std::fs::read_to_string(launch.data_dir.with_extension("log")).unwrap();
        assert!(!said.contains("made again"), "{name}: {said}");
    }
}

#[test]
fn a_node_without_an_index_says_so_and_leaves_the_folder_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (launch, ids) = stopped(&folder);
    let index = launch.data_dir.join(INDEX_FOLDER);
    let files = || {
        let files = std::fs::read_dir(&index).unwrap().map(|file| file.unwrap());
        files
            .map(|file| (file.file_name(), file.metadata().unwrap().modified().unwrap()))
            .collect::<BTreeMap<_, _>>()
    };
    let before = files();
    let mut node = launch.clone().flags(&["--index", "off"]).start();
    for id in &ids {
        let answer = node.api.get(&format!("/tx/{id}"));
        assert_eq!((answer.status, answer.code()), (501, "index_off"));
    }
    assert!(node.api.get("/status").json["indexed_height"].is_null());
    node.terminate();
    assert_eq!(files(), before);
    assert_all_found(&launch.start(), &ids);
}

#[test]
fn verify_looks_at_the_index_and_needs_none() {
    let folder = tempfile::tempdir().unwrap();
    let (launch, _) = stopped(&folder);
    let data_dir = launch.data_dir.to_str().unwrap();
    let verify = || run_node(&["verify", "--json", "--network", "dev", "--data-dir", data_dir]);
    assert!(verify().status.success());
    std::fs::write(launch.data_dir.join(INDEX_FOLDER).join("db"), "?").unwrap();
    assert!(verify().status.success());
    std::fs::remove_dir_all(launch.data_dir.join(INDEX_FOLDER)).unwrap();
    assert!(verify().status.success());
    assert!(!launch.data_dir.join(INDEX_FOLDER).exists(), "verifying makes nothing");
}
