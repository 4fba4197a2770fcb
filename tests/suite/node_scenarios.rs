//! Acceptance scenarios that need a node: alone, its choice of transactions, its miner.

use std::path::Path;
use std::time::Duration;

use steelyard_core::amount::COIN;
use steelyard_core::consensus::transaction::{CheckedTx, shape};
use steelyard_core::hash::AssetId;
use steelyard_core::params::{Params, dev_addresses};
use steelyard_core::types::transaction::{Payment, Transaction};
use steelyard_node::limits::MINER_BATCH_TRIES;
use steelyard_node::miner::{self, MinerConfig};
use steelyard_runtime::clock;
use steelyard_tests::accounts::{Account, Terms};
use steelyard_tests::inprocess::InProcess;
use steelyard_tests::process::{Launch, Node, run_node};
use steelyard_tests::random::Random;

fn height(node: &Node) -> u64 {
    node.api.get("/status").json["height"].as_u64().unwrap()
}

#[test]
fn scenario_01_a_lone_node_mines_and_goes_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let launch = Launch::dev(&folder.path().join("node"), &[]);
    let mut node = launch.start();
    let first = node.api.wait_for("/blocks/tip", |answer| answer.json["height"].as_u64() >= Some(1)).json;
    let miner = first["miner"].as_str().unwrap().to_owned();
    assert_eq!(miner, steelyard_core::address::format("dsy", &dev_addresses()[0]));
    let genesis = node.api.get("/block-height/0").json["id"].clone();
    assert_eq!(genesis, Params::dev().network_id().to_string());
    let before = height(&node);
    let (code, took) = node.terminate();
    assert_eq!(code, Some(0));
    println!("a clean stop took {took:?}");
    let node = launch.start();
    assert!(node.ready["height"].as_u64().unwrap() >= before);
    let id = first["id"].as_str().unwrap();
    assert_eq!(node.api.get(&format!("/block/{id}")).json["active"], true);
    let next = node.api.wait_for("/blocks/tip", |answer| answer.json["height"].as_u64() > Some(before)).json;
    assert_eq!(next["miner"].as_str(), Some(miner.as_str()));
}

/// 100 payments of 20 senders with differing fees, in no order.
fn payments(params: &Params, accounts: &[Account]) -> Vec<Transaction> {
    let mut random = Random::for_test(6);
    let mut all = Vec::new();
    for nonce in 0..5 {
        for account in accounts {
            let to = Account::numbered(1_000).address;
            let terms = Terms::of_nonce(nonce).fee(random.below(1_000_000));
            let payment = Payment { asset: AssetId::COINS, to, amount: 1 };
            all.push(account.pay(params.network_id(), terms, vec![payment]));
        }
    }
    all
}

/// `dev` but for the tutorial's 32 transactions and 20 accounts with money.
fn thirty_two(accounts: &[Account]) -> Params {
    let mut allocations: Vec<_> = accounts.iter().map(|account| (account.address, COIN)).collect();
    allocations.sort();
    Params { name: "thirty-two".into(), block_txs_max: 32, allocations, ..Params::dev() }
}

fn checked(params: &Params, tx: &Transaction) -> CheckedTx {
    shape(&params.network_id(), &tx.to_bytes()).unwrap().verify().unwrap()
}

#[test]
fn scenario_06_a_block_holds_the_dearest_and_the_rest_follow() {
    let folder = tempfile::tempdir().unwrap();
    let accounts: Vec<Account> = (0..20).map(Account::numbered).collect();
    let params = thirty_two(&accounts);
    let node = InProcess::open(&params, folder.path());
    let txs = payments(&params, &accounts);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let verdicts =
        runtime.block_on(node.chain.submit_txs(txs.iter().map(|tx| checked(&params, tx)).collect()));
    assert!(verdicts.unwrap().iter().all(Result::is_ok));
    let mut left = txs.clone();
    for expected_count in [32, 32, 32, 4] {
        let mined: Vec<Transaction> = node
            .mine(accounts[0].address)
            .iter()
            .map(|bytes| Transaction::from_bytes(bytes).unwrap())
            .collect();
        assert_eq!(mined.len(), expected_count);
        assert_eq!(mined, dearest(&left, expected_count));
        left.retain(|tx| !mined.contains(tx));
    }
    assert_eq!(node.chain.shared.read().pending_size(), (0, 0));
}

/// Plainly: again and again the dearest of each sender's next. All weigh the same.
fn dearest(pending: &[Transaction], count: usize) -> Vec<Transaction> {
    let mut left = pending.to_vec();
    let mut chosen = Vec::new();
    while chosen.len() < count {
        let is_next = |tx: &&Transaction| {
            !left.iter().any(|other| other.body.sender == tx.body.sender && other.body.nonce < tx.body.nonce)
        };
        let next = left.iter().filter(is_next).max_by_key(|tx| tx.body.fee).unwrap().clone();
        left.retain(|tx| *tx != next);
        chosen.push(next);
    }
    chosen
}

/// A network on which one block takes about 2^23 tries.
fn laborious() -> Params {
    Params { name: "laborious".into(), start_bits: 0x1e01_ffff, ..thirty_two(&[Account::numbered(0)]) }
}

#[test]
fn scenario_08_a_foreign_block_ends_the_search_within_one_batch() {
    let folder = tempfile::tempdir().unwrap();
    let params = laborious();
    // The foreign block is made on a chain of its own, whose tip the miner will search on.
    let foreign = {
        let other = InProcess::open(&params, &folder.path().join("other"));
        other.find_block(Account::numbered(5).address)
    };
    let node = InProcess::open(&params, &folder.path().join("node"));
    let payment = payments(&params, &[Account::numbered(0)]).remove(0);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(node.chain.submit_tx(checked(&params, &payment))).unwrap();
    let seen = node.chain.shared.ticks();
    let payout = steelyard_core::consensus::template::Payout {
        miner: Account::numbered(6).address,
        extra: steelyard_core::encode::List::default(),
    };
    let template = miner::template(&node.chain, &payout, clock::now_ms());
    assert_eq!(template.body.items.len(), 2);
    let foreign_id = foreign.header.id();
    node.chain.submit_block(foreign, clock::now_ms()).unwrap();
    // The tip has changed under the search: whatever it finds, it stops after one batch.
    let status = miner::MinerStatus::default();
    let found = miner::find(&node.chain, seen, &template, &status);
    assert!(status.tries() <= MINER_BATCH_TRIES);
    assert!(found.is_none() || status.tries() < MINER_BATCH_TRIES);
    // What was not mined stays, and the next template is on the new tip and holds it.
    let next = miner::template(&node.chain, &payout, clock::now_ms());
    assert_eq!((next.header.prev, next.body.items.len()), (foreign_id, 2));
}

/// The same with the real thread: it goes on to the next block by itself.
#[test]
fn scenario_08_a_mining_node_builds_on_the_foreign_block() {
    let folder = tempfile::tempdir().unwrap();
    let params = Params { start_bits: 0x1f00_ffff, spacing: 1, ..thirty_two(&[Account::numbered(0)]) };
    let mut node = InProcess::open(&params, folder.path());
    let foreign = node.find_block(Account::numbered(5).address);
    let foreign_id = foreign.header.id();
    node.chain.submit_block(foreign, clock::now_ms()).unwrap();
    let config = MinerConfig { address: Account::numbered(6).address, threads: 1, on_tx: false };
    let (status, threads) = miner::start(&node.chain, &config).unwrap();
    let mut seen = node.chain.shared.ticks();
    while node.chain.shared.read().tip().header.height < 3 {
        seen = node.chain.shared.wait(seen, Duration::from_secs(60));
    }
    node.stop();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let view = node.chain.shared.read();
    assert_eq!(view.active(1).unwrap().id, foreign_id);
    assert!(status.blocks() >= 2);
}

#[test]
fn verify_asks_the_node_that_holds_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("node");
    let mut node = Launch::dev(&data_dir, &[]).start();
    node.api.wait_for("/status", |answer| answer.json["height"].as_u64() >= Some(1));
    let verify = |flags: &[&str]| {
        let args = ["verify", "--json", "--data-dir", data_dir.to_str().unwrap()];
        let output = run_node(&[&args[..], flags].concat());
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), report)
    };
    for flags in [&[][..], &["--full"]] {
        let (code, report) = verify(flags);
        assert_eq!(code, Some(0), "{report}");
        assert!(report["blocks"].as_u64().unwrap() >= 1);
    }
    // Without the token the same request is refused, even on this machine.
    assert_eq!(node.api.try_post_empty("/verify").unwrap().code(), "not_authorised");
    node.kill();
    assert_eq!(verify(&["--full"]).0, Some(0));
}

#[test]
fn a_second_node_in_the_same_folder_is_told_who_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let launch = Launch::dev(Path::new(&folder.path().join("node")), &[]);
    let node = launch.start();
    let second = launch.try_start().unwrap_err();
    assert!(second.contains("7"), "{second}");
    assert!(second.contains(&node.pid().to_string()), "{second}");
}
