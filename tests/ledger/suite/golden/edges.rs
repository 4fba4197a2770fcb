//! The ends of every range, frozen: policies, records, proofs, coinbases, transactions. Each file is
//! of its own, so that what was frozen first stays as it is. Must not draw on anything random or on
//! a clock.

use steelyard_core::address;
use steelyard_core::consensus::transaction::shape;
use steelyard_core::encode::List;
use steelyard_core::hash::{Address, AssetId, BlockId};
use steelyard_core::history::{History, HistoryNode};
use steelyard_core::state::record;
use steelyard_core::state::{AssetDescription, Excerpt, Key, Record, Trie, Wanted};
use steelyard_core::types::body::{Body, Coinbase};
use steelyard_core::types::transaction::{Action, PAYMENTS_MAX, Payment, TX_BYTES_MAX, Transaction, full_id};
use steelyard_ledger::accounts::{Account, Terms, coins, issue, transfer};
use steelyard_ledger::golden::Golden;

use super::{NETWORK, check};

#[test]
fn golden_policies() {
    let mut golden = Golden::default();
    for (m, n) in [(1, 1), (1, 2), (2, 2), (1, 16), (8, 16), (15, 16), (16, 16)] {
        let account = Account::multisig(m, n, 7);
        golden.hex(&format!("{m} of {n} policy"), account.policy.to_bytes());
        golden.hex(&format!("{m} of {n} address"), account.address.0);
        golden.text(&format!("{m} of {n} address text"), address::format("sy", &account.address));
    }
    check(&golden, "policies.txt");
}

fn description(symbol: &str, decimals: u8, supply: u64, mintable: bool) -> Record {
    let symbol = symbol.to_owned();
    Record::Asset(Box::new(AssetDescription { issuer: Address([4; 32]), symbol, decimals, supply, mintable }))
}

/// Every kind of record, at both ends of each field.
fn records() -> Vec<(&'static str, Key, Record)> {
    let (address, asset) = (Address([1; 32]), AssetId([2; 32]));
    let account = |balance, nonce| Record::Account { balance, nonce };
    vec![
        ("account with the least coins", Key::Account(address), account(1, 0)),
        ("account that only keeps its nonce", Key::Account(address), account(0, 1)),
        ("account with the most", Key::Account(address), account(u64::MAX, u64::MAX)),
        ("account of zeros", Key::Account(Address::ZERO), account(1, 1)),
        ("least holding", Key::Holding(address, asset), Record::Holding { amount: 1 }),
        ("largest holding", Key::Holding(address, asset), Record::Holding { amount: u64::MAX }),
        ("least asset", Key::Asset(asset), description("A", 0, 0, true)),
        ("largest asset", Key::Asset(asset), description("ABCXYZ012789", 18, u64::MAX, false)),
    ]
}

#[test]
fn golden_records() {
    let mut golden = Golden::default();
    for (name, key, value) in records() {
        let bytes = record::encode(&key, &value).unwrap();
        assert_eq!(record::decode(&bytes), Ok((key, value.clone())));
        golden.hex(&format!("{name} path"), key.path());
        golden.hex(&format!("{name} value"), bytes);
        // The root of a state of one record is its leaf.
        golden.hex(&format!("{name} leaf"), Trie::from_sorted([(key, value)]).unwrap().root().0);
    }
    check(&golden, "records.txt");
}

/// A state of 19 records: six accounts of little, six assets, and one account that holds all of these.
fn many() -> Trie {
    let mut many = Trie::new();
    many.update([(Key::Account(Address([1; 32])), Some(Record::Account { balance: 5, nonce: 6 }))]);
    for number in 2..8 {
        let (address, asset, balance) = (Address([number; 32]), AssetId([number; 32]), u64::from(number));
        many.update([
            (Key::Account(address), Some(Record::Account { balance, nonce: 0 })),
            (Key::Holding(Address([1; 32]), asset), Some(Record::Holding { amount: balance })),
            (Key::Asset(asset), Some(description("GOLD9", number, balance, true))),
        ]);
    }
    many
}

/// Each kind of record there and not there, in no state, in one of a single record and in one of many.
#[test]
fn golden_proofs() {
    let mut golden = Golden::default();
    let address = |number| Address([number; 32]);
    let asset = |number| AssetId([number; 32]);
    let alone =
        Trie::from_sorted([(Key::Account(address(1)), Record::Account { balance: 5, nonce: 6 })]).unwrap();
    for (state_name, state) in [("no records", Trie::new()), ("one record", alone), ("19 records", many())] {
        golden.hex(&format!("{state_name} root"), state.root().0);
        for (name, key) in [
            ("an account", Key::Account(address(1))),
            ("a holding", Key::Holding(address(1), asset(3))),
            ("an asset", Key::Asset(asset(3))),
            ("no account", Key::Account(address(9))),
            ("no holding of a holder", Key::Holding(address(1), asset(9))),
            ("no holding of a stranger", Key::Holding(address(9), asset(3))),
            ("no asset", Key::Asset(asset(9))),
        ] {
            let proof = state.prove(&key);
            assert_eq!(proof.verify(&state.root(), &key), Ok(state.get(&key).cloned()));
            golden.hex(&format!("{state_name}, {name}, proof"), proof.to_bytes());
        }
    }
    golden_paths(&mut golden);
    check(&golden, "proofs.txt");
}

/// One proof of several things: records, what is not there, and pages of what an address holds.
#[test]
fn golden_excerpts() {
    let mut golden = Golden::default();
    let (state, asset) = (many(), |number| AssetId([number; 32]));
    let account = |number| Wanted::Record(Key::Account(Address([number; 32])));
    let holdings = |number, after, limit| Wanted::Holdings { of: Address([number; 32]), after, limit };
    golden.hex("root", state.root().0);
    for (name, asked) in [
        ("nothing", vec![]),
        ("two accounts", vec![account(1), account(2)]),
        ("no account", vec![account(9)]),
        ("an asset and none", [3, 9].map(|number| Wanted::Record(Key::Asset(asset(number)))).into()),
        ("all holdings", vec![holdings(1, None, 10)]),
        ("first page of two", vec![holdings(1, None, 2)]),
        ("page of two behind the third", vec![holdings(1, Some(asset(4)), 2)]),
        ("last page", vec![holdings(1, Some(asset(6)), 2)]),
        ("no holdings", vec![holdings(2, None, 2), holdings(9, None, 2)]),
    ] {
        let excerpt = state.excerpt(&asked);
        assert_eq!(Excerpt::from_bytes(&excerpt.to_bytes()), Ok(excerpt.clone()));
        assert!(excerpt.clone().open(&state.root()).is_ok());
        golden.hex(&format!("{name}, excerpt"), excerpt.to_bytes());
    }
    golden.hex("empty state, excerpt", Trie::new().excerpt(&[account(1)]).to_bytes());
    check(&golden, "excerpts.txt");
}

/// Paths in the two other trees, leaf first: every place of five.
fn golden_paths(golden: &mut Golden) {
    let body = Body { items: (0..5).map(|item| vec![item; usize::from(item)]).collect() };
    let mut history = History::default();
    (0..5)
        .for_each(|leaf| history.push(HistoryNode::leaf(&BlockId([leaf; 32]), (1 << 70) + u128::from(leaf))));
    for place in 0..5 {
        for (step, node) in body.path(place).unwrap().iter().enumerate() {
            golden.hex(&format!("body of 5, path of {place}, step {step}"), node.0);
        }
        for (step, node) in history.path(place, 5).unwrap().iter().enumerate() {
            golden.hex(&format!("history of 5, path of {place}, step {step} hash"), node.hash);
            golden.text(&format!("history of 5, path of {place}, step {step} work"), node.work);
        }
    }
}

#[test]
fn golden_coinbases() {
    let mut golden = Golden::default();
    for (name, height, amount, extra) in [
        ("coinbase without a word", 1, 1_000_000_000, vec![]),
        ("coinbase with the longest word", 258, 66_051, (0..64).collect()),
        ("coinbase of the largest numbers", u64::MAX, u64::MAX, vec![0xff]),
        ("coinbase of nothing", 2, 0, vec![0]),
    ] {
        let coinbase = Coinbase { height, miner: Address([5; 32]), amount, extra: List::new(extra).unwrap() };
        assert_eq!(Coinbase::from_bytes(&coinbase.to_bytes()), Ok(coinbase.clone()));
        golden.hex(&format!("{name} bytes"), coinbase.to_bytes());
        golden.hex(&format!("{name} root alone"), Body { items: vec![coinbase.to_bytes()] }.root().0);
    }
    check(&golden, "coinbases.txt");
}

/// The ends of every field of a transaction.
fn transactions() -> Vec<(&'static str, Transaction)> {
    let most = Terms { nonce: u64::MAX, fee: u64::MAX, expiry: u64::MAX, memo: (0..=255).collect() };
    let (alice, sixteen, any) = (Account::dev(0), Account::multisig(16, 16, 7), Account::multisig(1, 16, 7));
    let asset = AssetId([0xaa; 32]);
    let pay_one = || transfer(vec![coins(Address([3; 32]), 1)]);
    let longest_symbol = List::new(b"ABCXYZ012789".to_vec()).unwrap();
    let largest = Action::Issue { symbol: longest_symbol, decimals: 18, supply: u64::MAX, mintable: false };
    let by_last = any.body(NETWORK, Terms::default(), pay_one());
    vec![
        ("16 of 16", sixteen.act(NETWORK, Terms::default(), pay_one())),
        ("1 of 16 by the last key", any.sign_by(&[15], by_last)),
        ("largest numbers and memo", alice.act(NETWORK, most, pay_one())),
        ("least issue", alice.act(NETWORK, Terms::default(), issue("0", 0, true))),
        ("largest issue", alice.act(NETWORK, Terms::default(), largest)),
        ("largest mint", alice.act(NETWORK, Terms::default(), Action::Mint { asset, amount: u64::MAX })),
        ("largest burn", alice.act(NETWORK, Terms::default(), Action::Burn { asset, amount: u64::MAX })),
    ]
}

/// 256 payments, the i-th of i + 1 units of the asset of bytes i to the address of bytes i; the memo
/// counts from 0 to 255; 16 of 16 sign.
fn longest() -> Transaction {
    let payment = |i: u8| Payment { asset: AssetId([i; 32]), to: Address([i; 32]), amount: u64::from(i) + 1 };
    let payments: Vec<Payment> = (0..=u8::MAX).map(payment).collect();
    assert_eq!(payments.len(), PAYMENTS_MAX);
    let terms = Terms { memo: (0..=255).collect(), ..Terms::default() };
    Account::multisig(16, 16, 7).act(NETWORK, terms, transfer(payments))
}

#[test]
fn golden_transactions_at_their_ends() {
    let mut golden = Golden::default();
    for (name, tx) in transactions() {
        let bytes = tx.to_bytes();
        assert!(shape(&NETWORK, &bytes).and_then(|shaped| shaped.verify()).is_ok(), "{name}");
        golden.hex(&format!("{name} bytes"), &bytes);
        golden.hex(&format!("{name} id"), tx.body.id().0);
        golden.hex(&format!("{name} full id"), full_id(&bytes).0);
    }
    let longest = longest();
    let bytes = longest.to_bytes();
    assert_eq!(bytes.len(), TX_BYTES_MAX);
    assert!(shape(&NETWORK, &bytes).and_then(|shaped| shaped.verify()).is_ok());
    golden.text("longest transaction length", bytes.len());
    golden.hex("longest transaction id", longest.body.id().0);
    golden.hex("longest transaction full id", full_id(&bytes).0);
    check(&golden, "transactions-edges.txt");
}
