//! Block rules, each broken in a block that is right otherwise, and whose fault each is.

use steelyard_core::consensus::error::{BlockRule, Fault, RuleError};
use steelyard_core::encode::DecodeError;
use steelyard_core::hash::{Address, BodyRoot, StateRoot};
use steelyard_core::params::Params;
use steelyard_core::types::body::Coinbase;
use steelyard_ledger::accounts::{Account, Terms, coins};
use steelyard_ledger::chain::{Block, Chain, seal};
use steelyard_ledger::tip::searched;

use super::{BLOCK_RULES, assert_all_broken, block_rule};

/// The `dev` network, with a limit changed.
fn chain(change: fn(&mut Params)) -> Chain {
    let mut params = Params::dev();
    change(&mut params);
    let mut chain = Chain::new(params);
    chain.mine(2);
    chain
}

/// The block refused, and the rule it breaks.
fn verdict(chain: &Chain, block: &Block) -> BlockRule {
    match chain.check_and_connect(block).unwrap_err() {
        RuleError::Block(rule) => rule,
        other => panic!("{other}"),
    }
}

/// The block with another coinbase, its state root left as it was.
fn with_coinbase(mut block: Block, change: impl FnOnce(&mut Coinbase)) -> Block {
    let mut coinbase = Coinbase::from_bytes(&block.body.items[0]).unwrap();
    change(&mut coinbase);
    block.body.items[0] = coinbase.to_bytes();
    seal(block)
}

/// A block of `count` payments from one account to as many new addresses.
fn paying(chain: &Chain, count: u8) -> Block {
    let alice = Account::dev(0);
    let pay =
        |i| alice.pay(chain.network(), Terms::of_nonce(u64::from(i)), vec![coins(Address([i + 1; 32]), 1)]);
    let txs: Vec<_> = (0..count).map(pay).collect();
    // Under wide limits, so that the chain's own are what refuses.
    let block = chain.draft_under(&Params::dev(), chain.expected_header().time, &chain.check_all(&txs));
    assert_eq!(block.body.items.len(), 1 + usize::from(count));
    seal(block)
}

#[test]
fn every_block_rule_is_found_by_name() {
    let dev = chain(|_| {});
    let right = seal(dev.empty_draft());
    let (height, reward) = (dev.height() + 1, dev.params().reward);
    let few = chain(|params| params.block_txs_max = 2);
    let narrow = chain(|params| params.new_records_max = 1);
    let with_items = |items: Vec<Vec<u8>>| {
        let mut block = right.clone();
        block.body.items = items;
        seal(block)
    };
    let large = with_items(vec![right.body.items[0].clone(), vec![0; dev.params().block_bytes_max as usize]]);
    let with_state_root = |root| {
        let mut block = right.clone();
        block.header.state_root = root;
        seal(block)
    };
    let mut other_body = right.clone();
    other_body.body.items.push(vec![1]);
    let root = other_body.body.root();
    let expected = right.header.body_root;

    let cases = [
        (&dev, other_body, BlockRule::BodyRoot { got: root, expected }),
        (&dev, large.clone(), BlockRule::Size { got: large.body.block_bytes() as u64, max: 2 << 20 }),
        (&dev, with_items(vec![]), BlockRule::NoCoinbase),
        (&dev, with_items(vec![vec![]]), BlockRule::MalformedCoinbase(DecodeError::Truncated)),
        (
            &dev,
            with_items(vec![[&right.body.items[0][..], &[0]].concat()]),
            BlockRule::MalformedCoinbase(DecodeError::Trailing { excess: 1 }),
        ),
        (
            &dev,
            with_coinbase(right.clone(), |c| c.height += 1),
            BlockRule::CoinbaseHeight { got: height + 1, expected: height },
        ),
        (&few, paying(&few, 3), BlockRule::TransactionCount { got: 3, max: 2 }),
        (
            &dev,
            with_coinbase(right.clone(), |c| c.amount += 1),
            BlockRule::CoinbaseAmount { got: reward + 1, expected: reward },
        ),
        (
            &dev,
            with_coinbase(right.clone(), |c| c.amount -= 1),
            BlockRule::CoinbaseAmount { got: reward - 1, expected: reward },
        ),
        (&narrow, paying(&narrow, 2), BlockRule::NewRecords { got: 2, max: 1 }),
        (
            &dev,
            with_state_root(StateRoot::ZERO),
            BlockRule::StateRoot { got: right.header.state_root, expected: StateRoot::ZERO },
        ),
    ];
    for (chain, block, rule) in &cases {
        assert_eq!(verdict(chain, block), *rule);
    }
    assert_all_broken(BLOCK_RULES, cases.iter().map(|(_, _, rule)| block_rule(rule)));
    assert!(dev.check_and_connect(&right).is_ok());
}

#[test]
fn blocks_at_the_limits_are_valid() {
    for (mut chain, count) in
        [(chain(|params| params.block_txs_max = 2), 2), (chain(|params| params.new_records_max = 1), 1)]
    {
        let block = paying(&chain, count);
        chain.connect(&block).unwrap();
    }
    // The miner's own record is not counted: its account is new here, and so is the one paid.
    let mut narrow = chain(|params| params.new_records_max = 1).mined_by(&Account::numbered(50));
    let block = paying(&narrow, 1);
    narrow.connect(&block).unwrap();
    assert_eq!(narrow.balance(Account::numbered(50).address), narrow.params().reward);
}

/// To the byte: what fits is looked into, what is one byte longer is not.
#[test]
fn a_block_of_the_most_bytes_is_not_too_large() {
    let dev = chain(|_| {});
    let max = dev.params().block_bytes_max;
    let mut block = dev.empty_draft();
    block.body.items.push(vec![]);
    let rubbish = usize::try_from(max).unwrap() - block.body.block_bytes();
    block.body.items[1] = vec![0; rubbish];
    let refused = dev.check_and_connect(&seal(block.clone())).unwrap_err();
    assert_eq!(refused.name(), "malformed");
    block.body.items[1].push(0);
    assert_eq!(verdict(&dev, &seal(block)), BlockRule::Size { got: max + 1, max });
}

/// Only a wrong root may come from a liar on the way; all else is hashed into the header.
#[test]
fn a_wrong_body_is_its_senders_fault_and_all_else_the_blocks() {
    let dev = chain(|_| {});
    let right = seal(dev.empty_draft());
    let mut swapped = right.clone();
    swapped.body.items.clear();
    assert_eq!(dev.check_and_connect(&swapped).unwrap_err().fault(), Fault::Sender);
    swapped.header.body_root = BodyRoot([9; 32]);
    swapped.header = searched(swapped.header);
    assert_eq!(dev.check_and_connect(&swapped).unwrap_err().fault(), Fault::Sender);
    assert_eq!(dev.check_and_connect(&seal(swapped)).unwrap_err().fault(), Fault::Block);
}
