//! What an operator does with a node's folder: copies of it, blocks as files, repairs, a look at what
//! is wrong; each also killed half way.
//!
//! | module | what |
//! |---|---|
//! | `backup` | copies under load, and what came of them; copies that were tampered with |
//! | `blocks` | export and import of good and bad files |
//! | `repair` | stores damaged in every key-space, made again |
//! | `doctor` | `doctor` and `health` on folders in every state |

mod backup;
mod blocks;
mod doctor;
mod repair;

use std::path::Path;
use std::process::Output;

use serde_json::Value;
use steelyard_core::params::Params;
use steelyard_node::chain::check::UncheckedBlock;
use steelyard_node::store::{STORE_FOLDER, Store};
use steelyard_node::verify;
use steelyard_tests::accounts::{Account, Terms, coins};
use steelyard_tests::chain::{Block, Chain};
use steelyard_tests::inprocess::InProcess;
use steelyard_tests::process::{node_command, run_node};

/// Twelve blocks of two payments each, on the `dev` network.
fn story() -> Chain {
    let (alice, bob) = (Account::dev(0), Account::dev(1));
    let mut chain = Chain::dev();
    for amount in 1..=12 {
        chain.pay(&alice, bob.address, amount);
        chain.pay(&bob, Account::numbered(amount).address, amount);
        chain.mine(1);
    }
    chain
}

/// Has the node of a folder take these blocks, each in a commit of its own, and a payment that waits.
fn feed<'a>(params: &Params, data_dir: &Path, blocks: impl IntoIterator<Item = &'a Block>) {
    std::fs::create_dir_all(data_dir).unwrap();
    let node = InProcess::open(params, &data_dir.join(STORE_FOLDER));
    for block in blocks {
        let block = UncheckedBlock { header: block.header, body: block.body.clone() };
        node.chain.submit_block(block, u64::MAX).unwrap();
    }
    let alice = Account::dev(5);
    let payments = vec![coins(Account::numbered(77).address, 5)];
    let tx = alice.pay_bytes(params.network_id(), Terms::default().fee(1_000_000), payments);
    submit(&node, &tx);
}

/// Submits a payment to a node in this process.
fn submit(node: &InProcess, tx: &[u8]) {
    let network = &node.chain.shared.network;
    let tx = steelyard_core::consensus::transaction::shape(network, tx).unwrap().verify().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(node.chain.submit_tx(tx)).unwrap();
}

fn open(params: &Params, data_dir: &Path) -> Store {
    Store::open(&data_dir.join(STORE_FOLDER), &params.network_id()).unwrap()
}

/// The folder's chain, executed again from genesis, is right; gives what was counted.
fn verified(params: &Params, data_dir: &Path) -> verify::Report {
    verify::run(params.clone(), data_dir, true, &mut |_, _| ()).unwrap()
}

fn plain(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// Runs a command of the node's program on a folder of the `dev` network.
fn command(words: &[&str], data_dir: &Path) -> Output {
    run_node(&[words, &["--json", "--data-dir", plain(data_dir)]].concat())
}

/// The same, killed at a fail point.
fn killed(words: &[&str], data_dir: &Path, place: &str) {
    let words = [words, &["--json", "--data-dir", plain(data_dir)]].concat();
    let output = node_command(&words).env("STEELYARD_FAILPOINT", place).output().unwrap();
    assert_eq!(output.status.code(), None, "{place}: it should have been ended: {}", said(&output));
}

/// The one object that a command prints.
fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {}", said(output)))
}

/// The object of a command that succeeds.
#[track_caller]
fn done(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", said(output));
    json(output)
}

/// Exit code and `error.code` of a command that fails.
fn refused(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), json(output)["error"]["code"].as_str().unwrap_or("").to_owned())
}

fn said(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{:?}: {out}{err}", output.status)
}
