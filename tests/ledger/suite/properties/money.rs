//! Nothing is made or lost: coins are what genesis allocated and blocks were paid, an asset's
//! units are its supply, and the root says exactly what the records say.

use std::collections::BTreeMap;

use steelyard_core::hash::{Address, AssetId};
use steelyard_core::state::{Key, Record, Trie};
use steelyard_core::types::transaction::{Action, Transaction};
use steelyard_ledger::chain::Chain;
use steelyard_ledger::random::Random;
use steelyard_ledger::story::Story;

/// Units in all balances, and the supplies that descriptions state, by asset.
fn sums(state: &Trie) -> (BTreeMap<AssetId, u128>, BTreeMap<AssetId, u128>) {
    let (mut held, mut stated) = (BTreeMap::new(), BTreeMap::new());
    for (key, record) in state.iter() {
        match (key, record) {
            (Key::Account(_), Record::Account { balance, .. }) => {
                *held.entry(AssetId::COINS).or_default() += u128::from(*balance);
            }
            (Key::Holding(_, asset), Record::Holding { amount }) => {
                assert!(*amount > 0, "an empty holding is no record");
                *held.entry(asset).or_default() += u128::from(*amount);
            }
            (Key::Asset(asset), Record::Asset(description)) => {
                stated.insert(asset, u128::from(description.supply));
            }
            other => panic!("{other:?}"),
        }
    }
    (held, stated)
}

fn assert_money(chain: &Chain) {
    let (mut held, mut stated) = sums(chain.state());
    stated.insert(AssetId::COINS, u128::from(chain.params().supply(chain.height())));
    // What is burnt out is described for ever, and held by nobody.
    stated.retain(|_, supply| *supply > 0);
    held.retain(|_, units| *units > 0);
    assert_eq!(held, stated, "at height {}", chain.height());
    let is_empty = |record: &Record| matches!(record, Record::Account { balance: 0, nonce: 0 });
    assert!(!chain.state().iter().any(|(_, record)| is_empty(record)), "an empty account is no record");
}

#[test]
fn at_every_height_balances_are_the_supply_of_every_asset() {
    let mut story = Story::new(Random::for_test(11));
    let mut chain = Story::chain();
    assert_money(&chain);
    let mut kinds = [0; 4];
    for _ in 0..60 {
        story.go_on(&mut chain, 1);
        assert_money(&chain);
        for bytes in &chain.block(chain.height()).body.items[1..] {
            let kind = match Transaction::from_bytes(bytes).unwrap().body.action {
                Action::Transfer { .. } => 0,
                Action::Issue { .. } => 1,
                Action::Mint { .. } => 2,
                Action::Burn { .. } => 3,
            };
            kinds[kind] += 1;
        }
    }
    println!("transfers, issues, mints, burns: {kinds:?}");
    assert!(kinds.iter().all(|count| *count > 0), "the story has everything in it: {kinds:?}");
}

/// The root is a function of the records, whatever the way to them; and each record, and
/// the absence of any other, is proven against it.
#[test]
fn the_root_is_that_of_the_records_and_proves_each() {
    let mut story = Story::new(Random::for_test(12));
    let mut chain = Story::chain();
    for _ in 0..12 {
        story.go_on(&mut chain, 2);
        let state = chain.state();
        let records = state.iter().map(|(key, record)| (key, record.clone()));
        let fresh = Trie::from_sorted(records).unwrap();
        assert_eq!((fresh.root(), fresh.len()), (state.root(), state.len()));
        for (key, record) in state.iter() {
            assert_eq!(state.prove(&key).verify(&state.root(), &key), Ok(Some(record.clone())));
            let absent = match key {
                Key::Account(address) => Key::Holding(address, AssetId([9; 32])),
                Key::Holding(_, asset) => Key::Holding(Address([9; 32]), asset),
                Key::Asset(_) => Key::Asset(AssetId([9; 32])),
            };
            assert_eq!(state.prove(&absent).verify(&state.root(), &absent), Ok(None));
        }
    }
}
