//! The generator's files: read back, checked by every rule, and the same on every run. Must not
//! know how they are made.

use std::fs;

use steelyard_core::hash::sha256d;
use steelyard_core::types::transaction::Transaction;
use steelyard_runtime::network_file::{from_toml, to_toml};
use steelyard_tests::chain::Chain;
use steelyard_tests::chainfile::{Blocks, Payments};
use steelyard_tests::generate::{BLOCKS_FILE, NETWORK_FILE, PAYMENTS_FILE, Plan, write};

const PLAN: Plan = Plan { blocks: 7, payments: 20, accounts: 12, waiting: 25, seed: 3 };

#[test]
fn a_generated_chain_is_valid_and_its_payments_follow_it() {
    let dir = tempfile::tempdir().unwrap();
    let summary = write(&PLAN, dir.path(), to_toml).unwrap();
    let params = from_toml(&fs::read_to_string(dir.path().join(NETWORK_FILE)).unwrap()).unwrap();
    assert_eq!(params, PLAN.params(&PLAN.accounts()));

    let mut chain = Chain::new(params);
    for block in Blocks::open(&dir.path().join(BLOCKS_FILE)).unwrap() {
        let block = block.unwrap();
        assert_eq!(block.body.items.len(), 21);
        chain.connect(&block).unwrap();
    }
    assert_eq!((chain.height(), chain.tip().id), (7, summary.tip.id));
    assert_eq!(chain.state().root(), summary.tip.state.root());

    let payments = Payments::open(&dir.path().join(PAYMENTS_FILE)).unwrap();
    let txs: Vec<_> = payments.map(|bytes| Transaction::from_bytes(&bytes.unwrap()).unwrap()).collect();
    assert_eq!(txs.len(), 25);
    chain.mine_block(&txs);
}

#[test]
fn the_same_plan_gives_the_same_files_and_another_seed_others() {
    let hashes = |plan: &Plan| {
        let dir = tempfile::tempdir().unwrap();
        write(plan, dir.path(), |_| String::new()).unwrap();
        [BLOCKS_FILE, PAYMENTS_FILE].map(|file| sha256d(&fs::read(dir.path().join(file)).unwrap()))
    };
    assert_eq!(hashes(&PLAN), hashes(&PLAN));
    let others = hashes(&Plan { seed: 4, ..PLAN });
    assert!(hashes(&PLAN).iter().zip(others).all(|(one, other)| *one != other));
}

#[test]
fn batches_leave_no_seam_and_blocks_may_be_empty() {
    for (blocks, payments) in [(3, 5_000), (20_000, 0), (0, 3)] {
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan { blocks, payments, accounts: 3, waiting: 0, seed: 1 };
        let summary = write(&plan, dir.path(), |_| String::new()).unwrap();
        assert_eq!(summary.tip.header.height, blocks);
        let read = Blocks::open(&dir.path().join(BLOCKS_FILE)).unwrap().map(Result::unwrap);
        assert!(read.zip(1..).all(|(block, height)| block.header.height == height));
    }
}

#[test]
fn a_file_cut_short_is_an_error_and_not_an_end() {
    let dir = tempfile::tempdir().unwrap();
    write(&PLAN, dir.path(), |_| String::new()).unwrap();
    let path = dir.path().join(BLOCKS_FILE);
    let whole = fs::read(&path).unwrap();
    for cut in [1, 100, whole.len() / 2] {
        fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        assert!(Blocks::open(&path).unwrap().any(|block| block.is_err()));
    }
    assert!(Payments::open(&path).is_err());
}
