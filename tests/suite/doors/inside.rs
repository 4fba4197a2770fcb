//! The pool and the chain of a node in this process: every fault by its exact variant, with what was
//! got and expected.

use std::collections::BTreeSet;

use steelyard_core::consensus::error::{Fault, HeaderRule, RuleError};
use steelyard_node::chain::check::UncheckedBlock;
use steelyard_node::chain::error::BlockError;
use steelyard_node::lookup::submission::check;
use steelyard_node::mempool::{Admission, PoolError};
use steelyard_runtime::clock;
use steelyard_tests::accounts::Account;
use steelyard_tests::broken::{BlockCase, Stage, TxCase};
use steelyard_tests::inprocess::InProcess;
use steelyard_tests::tip::Block;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::{blocks, transactions};

fn unchecked(block: &Block) -> UncheckedBlock {
    UncheckedBlock { header: block.header, body: block.body.clone() }
}

/// A node with the stage's chain.
fn prepared(stage: &Stage) -> (InProcess, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let node = InProcess::open(stage.chain.params(), &folder.path().join("chain"));
    let given = node.chain.submit_blocks(stage.chain.blocks().map(unchecked).collect(), clock::now_ms());
    assert!(given.len() == 3 && given.iter().all(Result::is_ok), "{given:?}");
    (node, folder)
}

fn submit(runtime: &Runtime, node: &InProcess, case: &TxCase) -> Result<Admission, PoolError> {
    let tx = check(&node.chain.shared, &case.bytes)?;
    runtime.block_on(node.chain.submit_txs(vec![tx])).unwrap().remove(0)
}

#[test]
fn the_pool_refuses_each_transaction_by_its_exact_rule_and_takes_the_rest() {
    let stage = Stage::new();
    let (node, _folder) = prepared(&stage);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (refused, taken) = transactions(&stage);
    let seq = node.chain.shared.read().seq();
    for case in &refused {
        let rule = case.verdict.clone().unwrap_err();
        assert_eq!(submit(&runtime, &node, case), Err(PoolError::Rule(rule)), "{}", case.name);
    }
    {
        let view = node.chain.shared.read();
        assert_eq!((view.pending_size(), view.seq()), ((0, 0), seq), "nothing is pending, nothing is stored");
    }
    for case in &taken {
        assert_eq!(submit(&runtime, &node, case), Ok(Admission::Added), "{}", case.name);
    }
    // What is right gets into blocks, and makes right what waited for it.
    let mut left: BTreeSet<&Vec<u8>> = taken.iter().map(|case| &case.bytes).collect();
    for _ in 0..taken.len() {
        for bytes in node.mine(Account::numbered(60).address) {
            assert!(left.remove(&bytes), "what is in a block was pending");
        }
    }
    assert!(left.is_empty(), "{} were never mined", left.len());
}

#[test]
fn the_chain_refuses_each_block_by_its_exact_rule_and_takes_the_rest() {
    let stage = Stage::new();
    let (node, _folder) = prepared(&stage);
    let (refused, taken) = blocks(&stage);
    let (tip, seq) = {
        let view = node.chain.shared.read();
        (view.tip().id, view.seq())
    };
    let give = |case: &BlockCase| node.chain.submit_block(unchecked(&case.block), clock::now_ms());
    let mut marks = 0;
    for case in &refused {
        let rule = case.verdict.clone().unwrap_err();
        let expected = match &rule {
            // Nobody knows on what it stands, so no rule has a say.
            RuleError::Header(HeaderRule::Prev { got, .. }) => BlockError::UnknownParent(*got),
            rule => rule.clone().into(),
        };
        assert_eq!(give(case), Err(expected.clone()), "{}", case.name);
        // A verdict on a body is kept with its block; one on a header, or on a sender, is given anew.
        let again = if expected.is_body_verdict() {
            marks += 1;
            BlockError::KnownInvalid { reason: rule.name().to_owned() }
        } else {
            expected
        };
        assert_eq!(give(case), Err(again), "{}", case.name);
        assert_eq!(node.chain.shared.read().tip().id, tip, "{}", case.name);
    }
    let judged = refused.iter().filter_map(|case| case.verdict.as_ref().err());
    let by_block =
        judged.filter(|rule| rule.fault() == Fault::Block && !matches!(rule, RuleError::Header(_)));
    assert_eq!(marks, by_block.count());
    assert_eq!(
        node.chain.shared.read().seq() - seq,
        marks as u64,
        "a commit for each mark, none for the rest"
    );
    for (more, case) in taken.iter().enumerate() {
        let chain = extended(&stage, case, more);
        let branch = chain.blocks().skip(3).map(unchecked).collect();
        let given = node.chain.submit_blocks(branch, clock::now_ms());
        assert!(given.iter().all(Result::is_ok), "{}: {given:?}", case.name);
        assert_eq!(node.chain.shared.read().tip().id, chain.tip().id, "{}", case.name);
        assert_eq!(node.chain.shared.read().state().root(), chain.state().root(), "{}", case.name);
    }
}

/// The stage's chain with this block and so many more: a right one has more work than those before it
/// had, so that it becomes active too.
pub(super) fn extended(stage: &Stage, case: &BlockCase, more: usize) -> steelyard_tests::chain::Chain {
    let mut chain = stage.chain.clone();
    chain.connect(&case.block).unwrap();
    chain.mine(more as u64);
    chain
}
