//! Blocks that an input describes, on the tip of a known chain: coinbase, transactions that are made,
//! edited, repeated or raw bytes. Roots and proof of work are put right, so that what is wrong is the
//! input's own. A block that connects does so twice alike, can be taken back, and neither makes nor
//! loses money. Must not know stores or peers.

use std::collections::{BTreeMap, BTreeSet};

use steelyard_core::consensus::block::{check_block, verify_in_order};
use steelyard_core::consensus::error::{BlockRule, Fault, RuleError};
use steelyard_core::consensus::header::check_header;
use steelyard_core::consensus::transition::{
    ConnectedBlock, apply_changes, connect_block, disconnect_changes,
};
use steelyard_core::encode::List;
use steelyard_core::hash::{Address, StateRoot};
use steelyard_core::join::in_turn;
use steelyard_core::params::{BLOCK_BYTES_LEAST, Params};
use steelyard_core::state::{Key, Record, Trie};
use steelyard_core::types::body::{Body, Coinbase};
use steelyard_core::types::transaction::Transaction;

use super::input::Input;
use super::made;
use super::world::{World, world};
use crate::chain::{Block, seal};

/// Most items that an input gives: above the limit of transactions.
const ITEMS_MAX: usize = 14;
/// Longest raw item.
const RAW_BYTES_MAX: u16 = 600;
/// Limits that an input can reach.
const TXS_MAX: u64 = 9;
const NEW_RECORDS_MAX: u64 = 12;

/// What an input leaves wrong on purpose, bit by bit of its first byte.
const WRONG_AMOUNT: u8 = 1;
const WRONG_STATE_ROOT: u8 = 2;
const WRONG_HEIGHT: u8 = 4;
const EDITED_COINBASE: u8 = 8;
const WRONG_BODY_ROOT: u8 = 16;
const NO_ITEMS: u8 = 32;

/// The target.
pub fn block(input: &[u8]) {
    let (world, params) = (world(), params());
    let (block, verdict) = sealed(world, &params, input);
    let again = judge(world, &params, &block);
    match (&verdict, &again) {
        (Ok(one), Ok(two)) => {
            assert_eq!(one.state().root(), two.state().root());
            assert_eq!(one.changes(), two.changes());
            connected(world, &params, &block, one);
        }
        (Err(one), Err(two)) => {
            assert_eq!(one, two);
            refused(&block, one);
        }
        _ => panic!("one verdict, then another"),
    }
}

/// The block that an input describes, and the verdict on it. What the rules themselves say the amount and
/// the root should be is put right, unless that is what is wrong on purpose.
fn sealed(world: &World, params: &Params, input: &[u8]) -> (Block, Result<ConnectedBlock, RuleError>) {
    let mut input = Input::new(input);
    let wrong = input.u8();
    let mut block = draft(&mut input, world, wrong);
    let mut verdict = judge(world, params, &block);
    for _ in 0..2 {
        match &verdict {
            Err(RuleError::Block(BlockRule::CoinbaseAmount { expected, .. }))
                if wrong & WRONG_AMOUNT == 0 =>
            {
                let mut coinbase = Coinbase::from_bytes(&block.body.items[0]).expect("it was read before");
                coinbase.amount = *expected;
                block.body.items[0] = coinbase.to_bytes();
            }
            Err(RuleError::Block(BlockRule::StateRoot { got, .. })) if wrong & WRONG_STATE_ROOT == 0 => {
                block.header.state_root = *got;
            }
            _ => break,
        }
        block = seal(block);
        verdict = judge(world, params, &block);
    }
    (block, verdict)
}

/// Limits are no part of a signature: the known chain's transactions stay right under them.
fn params() -> Params {
    let limits = (TXS_MAX, NEW_RECORDS_MAX, BLOCK_BYTES_LEAST);
    let (block_txs_max, new_records_max, block_bytes_max) = limits;
    Params { block_txs_max, new_records_max, block_bytes_max, ..world().chain.params().clone() }
}

fn judge(world: &World, params: &Params, block: &Block) -> Result<ConnectedBlock, RuleError> {
    let tip = world.chain.tip();
    let header = check_header(params, &tip.parent(), &block.header)?;
    let body = block.body.clone();
    let checked = check_block(params, &world.chain.network(), header, body, verify_in_order)?;
    connect_block(params, &tip.state, checked, in_turn)
}

fn draft(input: &mut Input<'_>, world: &World, wrong: u8) -> Block {
    let mut header = world.chain.expected_header();
    header.time += u64::from(input.u16());
    let has = |bit: u8| wrong & bit != 0;
    let height = if has(WRONG_HEIGHT) { input.u64() } else { header.height };
    let amount = if has(WRONG_AMOUNT) { input.u64() } else { world.chain.params().reward };
    header.state_root = if has(WRONG_STATE_ROOT) { StateRoot(input.array()) } else { StateRoot::ZERO };
    let miner = world.actors.get(usize::from(input.u8()));
    let miner = miner.map_or(Address([0xbb; 32]), |miner| miner.address);
    let extra = usize::from(input.u8() % 65);
    let extra = List::new(input.bytes(extra).to_vec()).expect("at most 64");
    let coinbase = Coinbase { height, miner, amount, extra }.to_bytes();
    let coinbase = if has(EDITED_COINBASE) { input.edit(&coinbase, &[0xff; 40], (0, 8)) } else { coinbase };
    let mut items = vec![coinbase];
    let mut made = vec![0; world.actors.len()];
    while !input.is_empty() && items.len() <= ITEMS_MAX {
        let next = item(input, world, &items, &mut made);
        items.push(next);
    }
    if has(NO_ITEMS) {
        items.clear();
    }
    let mut block = seal(Block { header, body: Body { items } });
    if has(WRONG_BODY_ROOT) {
        block.body.items.push(vec![1]);
    }
    block
}

fn item(input: &mut Input<'_>, world: &World, items: &[Vec<u8>], made: &mut [u64]) -> Vec<u8> {
    match input.u8() % 16 {
        0 => {
            let count = usize::from(input.u16() % RAW_BYTES_MAX);
            input.bytes(count).to_vec()
        }
        1 => items[input.place(items.len())].clone(),
        2 => {
            let height = 1 + input.place(usize::try_from(world.chain.height()).unwrap()) as u64;
            let old = &world.chain.block(height).body.items;
            old[input.place(old.len())].clone()
        }
        3 => {
            let honest = made::transaction(input, world, made).to_bytes();
            input.edit(&honest, &items[items.len() - 1], (0, 32))
        }
        _ => made::transaction(input, world, made).to_bytes(),
    }
}

/// The verdict blames the right one, and one that is there.
fn refused(block: &Block, error: &RuleError) {
    assert!(!error.name().is_empty() && !error.to_string().is_empty());
    let is_other_body = block.body.root() != block.header.body_root;
    assert_eq!(error.fault() == Fault::Sender, is_other_body, "{error}");
    match error {
        RuleError::Transaction { index, .. } => assert!((1..block.body.items.len()).contains(index)),
        RuleError::Header(rule) => panic!("the header was put right: {rule}"),
        RuleError::Block(_) => {}
    }
}

fn connected(world: &World, params: &Params, block: &Block, connected: &ConnectedBlock) {
    let (before, after) = (world.chain.state(), connected.state());
    assert_eq!(after.root(), block.header.state_root);
    assert_eq!(apply_changes(before, connected.changes()).root(), after.root());
    assert_eq!(disconnect_changes(after, connected.changes()).root(), before.root());
    assert!(connected.changes().windows(2).all(|pair| pair[0].key < pair[1].key));
    assert!(connected.changes().iter().all(|change| change.old != change.new));
    let rebuilt = Trie::from_sorted(after.iter().map(|(key, record)| (key, record.clone())));
    assert_eq!(rebuilt.expect("in the order of its own walk").root(), after.root());
    assert!(block.body.block_bytes() as u64 <= params.block_bytes_max);
    assert!(block.body.items.len() as u64 <= 1 + params.block_txs_max);
    assert!(after.len() <= before.len() + params.new_records_max + 1);
    money(params, block, after);
    nonces(world, block, after);
}

/// Coins are what the schedule says; of each asset there is what its description says.
fn money(params: &Params, block: &Block, state: &Trie) {
    let (mut coins, mut held, mut supplies) = (0u128, BTreeMap::new(), BTreeMap::new());
    for (key, record) in state.iter() {
        match (key, record) {
            (Key::Account(_), Record::Account { balance, nonce }) => {
                assert!(*balance > 0 || *nonce > 0, "an empty account");
                coins += u128::from(*balance);
            }
            (Key::Holding(_, asset), Record::Holding { amount }) => {
                assert!(*amount > 0, "an empty holding");
                *held.entry(asset).or_insert(0u128) += u128::from(*amount);
            }
            (Key::Asset(asset), Record::Asset(description)) => {
                supplies.insert(asset, u128::from(description.supply));
            }
            (key, record) => panic!("{record:?} under {key:?}"),
        }
    }
    assert_eq!(coins, u128::from(params.supply(block.header.height)));
    supplies.retain(|_, supply| *supply > 0);
    assert_eq!(held, supplies);
}

/// Each transaction is there once, and takes one nonce of its sender.
fn nonces(world: &World, block: &Block, after: &Trie) {
    let txs = block.body.items[1..].iter();
    let txs: Vec<Transaction> = txs.map(|tx| Transaction::from_bytes(tx).expect("it has passed")).collect();
    let ids: BTreeSet<_> = txs.iter().map(|tx| tx.body.id()).collect();
    assert_eq!(ids.len(), txs.len(), "a transaction is there twice");
    let mut made: BTreeMap<Address, u64> = BTreeMap::new();
    for tx in &txs {
        let made = made.entry(tx.body.sender).or_default();
        assert_eq!(tx.body.nonce, world.chain.nonce(tx.body.sender) + *made, "out of turn");
        *made += 1;
    }
    for (sender, made) in made {
        let nonce = match after.get(&Key::Account(sender)) {
            Some(Record::Account { nonce, .. }) => *nonce,
            other => panic!("a sender's account is {other:?}"),
        };
        assert_eq!(nonce, world.chain.nonce(sender) + made);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::seeds::seeds;

    #[test]
    fn the_first_inputs_connect_or_break_many_a_rule() {
        let (mut connected, mut rules) = (0, BTreeSet::new());
        for (_, input) in seeds().into_iter().filter(|(target, _)| *target == "block") {
            match sealed(world(), &params(), &input).1 {
                Ok(block) => connected += usize::from(block.block().txs().len() > 2),
                Err(error) => drop(rules.insert(error.name())),
            }
        }
        assert!(connected >= 5 && rules.len() >= 5, "{connected} connect, of the others: {rules:?}");
    }
}
