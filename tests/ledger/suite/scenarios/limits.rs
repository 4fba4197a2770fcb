//! Scenario 6, the part of the rules: a block's limit of transactions.

use steelyard_core::consensus::error::BlockRule;
use steelyard_core::params::Params;
use steelyard_core::types::transaction::Transaction;
use steelyard_ledger::accounts::{Account, Terms, coins};
use steelyard_ledger::chain::{Chain, seal};

fn payments(chain: &Chain, count: u64) -> Vec<Transaction> {
    let (alice, bob) = (Account::dev(0), Account::dev(1));
    let pay = |nonce| alice.pay(chain.network(), Terms::of_nonce(nonce), vec![coins(bob.address, 1)]);
    (0..count).map(pay).collect()
}

#[test]
fn scenario_06_block_limit() {
    let mut chain = Chain::easy_tutorial();
    let time = chain.expected_header().time;
    let checked = chain.check_all(&payments(&chain, 33));

    // A miner that keeps the rules takes 32 of 33 and leaves the last.
    assert_eq!(chain.draft(time, &checked).body.items.len(), 1 + 32);
    // One that does not is refused.
    let unlimited = Params { block_txs_max: 0, ..chain.params().clone() };
    let block = seal(chain.draft_under(&unlimited, time, &checked));
    assert_eq!(block.body.items.len(), 1 + 33);
    let refused = chain.check_and_connect(&block).unwrap_err();
    assert_eq!(refused, BlockRule::TransactionCount { got: 33, max: 32 }.into());

    chain.mine_block(&payments(&chain, 32));
    assert_eq!(chain.balance(Account::dev(1).address), chain.params().allocations[0].1 + 32);
}

/// Bytes are a limit of their own; a template keeps to it, and leaves out what does not fit.
#[test]
fn scenario_06_block_bytes() {
    let chain = Chain::new(Params { block_bytes_max: 64 * 1024, ..Params::dev() });
    let checked = chain.check_all(&payments(&chain, 400));
    let block = seal(chain.draft(chain.expected_header().time, &checked));
    let (bytes, one) = (block.body.block_bytes(), 8 + block.body.items[1].len());
    assert!(bytes <= 64 * 1024 && bytes + one > 64 * 1024);
    assert!(chain.check_and_connect(&block).is_ok());
    // To the last byte: with a limit of what it holds now the same, with one less a payment less.
    let limited = |block_bytes_max: u64| {
        let params = Params { block_bytes_max, ..chain.params().clone() };
        chain.draft_under(&params, block.header.time, &checked).body.items.len()
    };
    assert_eq!(limited(bytes as u64), block.body.items.len());
    assert_eq!(limited(bytes as u64 - 1), block.body.items.len() - 1);
}
