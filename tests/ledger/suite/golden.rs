//! The ledger's bytes and hashes, frozen in `tests/ledger/golden/*.txt`. On purpose alone, and with
//! a new rule set, `STEELYARD_GOLDEN=write cargo test -p steelyard-ledger golden` writes them anew.
//! `edges` has the ends of every range, `block` a chain in one file for those who write a ledger of
//! their own. Must not draw on anything random or on a clock.

mod block;
mod edges;

use std::path::Path;

use steelyard_core::address;
use steelyard_core::consensus::error::RULE_SET;
use steelyard_core::encode;
use steelyard_core::hash::{Address, AssetId, BlockId, Domain, NetworkId};
use steelyard_core::history::{self, HistoryFrontier, HistoryNode};
use steelyard_core::params::Params;
use steelyard_core::state::record;
use steelyard_core::state::{AssetDescription, Key, Record, Trie};
use steelyard_core::types::body::{Body, Coinbase};
use steelyard_core::types::header::Header;
use steelyard_core::types::transaction::{Action, Transaction, asset_id, full_id};
use steelyard_core::work::{from_bits, to_bits, work_of};
use steelyard_ledger::accounts::{Account, Terms, coins, issue, transfer, units};
use steelyard_ledger::chain::Chain;
use steelyard_ledger::golden::Golden;

const NETWORK: NetworkId = NetworkId([0x77; 32]);

/// Compares with a file of this package.
fn check(golden: &Golden, file: &str) {
    golden.check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(file));
}

#[test]
fn golden_hashes() {
    let mut golden = Golden::default();
    for domain in [
        Domain::Block,
        Domain::Transaction,
        Domain::FullTransaction,
        Domain::Policy,
        Domain::Asset,
        Domain::BodyCoinbase,
        Domain::BodyLeaf,
        Domain::BodyInner,
        Domain::BodyRoot,
        Domain::HistoryLeaf,
        Domain::HistoryInner,
        Domain::HistoryRoot,
        Domain::StateAccount,
        Domain::StateAsset,
        Domain::StateLeaf,
        Domain::StateInner,
        Domain::Params,
    ] {
        golden.hex(&format!("{} of nothing", domain.tag()), domain.hash(&[]));
        golden.hex(&format!("{} of abc", domain.tag()), domain.hash(&[b"abc"]));
    }
    golden.text("rule set", RULE_SET);
    check(&golden, "hashes.txt");
}

#[test]
fn golden_accounts() {
    let mut golden = Golden::default();
    let dev: Vec<Account> = (0..10).map(Account::dev).collect();
    for (number, account) in dev.iter().enumerate() {
        golden.hex(&format!("dev {number} policy"), account.policy.to_bytes());
        golden.hex(&format!("dev {number} address"), account.address.0);
        golden.text(&format!("dev {number} address text"), address::format("dsy", &account.address));
    }
    let shared = Account::multisig(2, 3, 1);
    golden.hex("2 of 3 policy", shared.policy.to_bytes());
    golden.hex("2 of 3 address", shared.address.0);
    golden.text("2 of 3 address text", address::format("sy", &shared.address));
    check(&golden, "accounts.txt");
}

/// One transaction of every kind, all fields in use.
fn transactions() -> Vec<(&'static str, Transaction)> {
    let (alice, bob) = (Account::dev(0), Account::dev(1));
    let asset = AssetId([0xaa; 32]);
    let terms = || Terms { nonce: 258, fee: 1_000, expiry: 66_051, memo: b"for the coffee".to_vec() };
    let act = |action| alice.act(NETWORK, terms(), action);
    let plain = alice.pay(NETWORK, Terms::default(), vec![coins(bob.address, 1)]);
    let several = transfer(vec![coins(bob.address, 5), units(asset, bob.address, u64::MAX)]);
    let shared = Account::multisig(2, 3, 1);
    let by_two = shared.body(NETWORK, terms(), transfer(vec![coins(bob.address, 7)]));
    vec![
        ("least transfer", plain),
        ("transfer", act(several)),
        ("issue", act(issue("GOLD9", 21_000_000, false))),
        ("issue mintable", act(issue("A", 0, true))),
        ("mint", act(Action::Mint { asset, amount: 3 })),
        ("burn", act(Action::Burn { asset, amount: 4 })),
        ("shared transfer", shared.sign_by(&[0, 2], by_two)),
    ]
}

#[test]
fn golden_transactions() {
    let mut golden = Golden::default();
    for (name, tx) in transactions() {
        let bytes = tx.to_bytes();
        assert_eq!(Transaction::from_bytes(&bytes), Ok(tx.clone()));
        golden.hex(&format!("{name} body"), encode::encode(&tx.body));
        golden.hex(&format!("{name} bytes"), &bytes);
        golden.hex(&format!("{name} id"), tx.body.id().0);
        golden.hex(&format!("{name} full id"), full_id(&bytes).0);
        golden.hex(&format!("{name} asset id"), asset_id(&tx.body.id()).0);
    }
    check(&golden, "transactions.txt");
}

#[test]
fn golden_trees() {
    let mut golden = Golden::default();
    let mut items = Vec::new();
    for count in 0..6u8 {
        golden.hex(&format!("body root of {count}"), Body { items: items.clone() }.root().0);
        items.push(vec![count; usize::from(count)]);
    }
    let mut frontier = HistoryFrontier::default();
    for count in 0..6u8 {
        golden.hex(&format!("history root of {count}"), history::root(&frontier).0);
        frontier.push(HistoryNode::leaf(&BlockId([count; 32]), (1 << 70) + u128::from(count)));
    }
    let (address, asset) = (Address([1; 32]), AssetId([2; 32]));
    let description =
        AssetDescription { issuer: address, symbol: "GOLD9".into(), decimals: 8, supply: 9, mintable: true };
    let mut trie = Trie::new();
    golden.hex("state root of 0", trie.root().0);
    for (number, (key, value)) in [
        (Key::Account(address), Record::Account { balance: 5, nonce: 6 }),
        (Key::Holding(address, asset), Record::Holding { amount: 7 }),
        (Key::Asset(asset), Record::Asset(Box::new(description))),
        (Key::Account(Address([3; 32])), Record::Account { balance: u64::MAX, nonce: 0 }),
    ]
    .into_iter()
    .enumerate()
    {
        golden.hex(&format!("record {} path", number + 1), key.path());
        golden.hex(&format!("record {} value", number + 1), record::encode(&key, &value).unwrap());
        trie.update([(key, Some(value))]);
        golden.hex(&format!("state root of {}", number + 1), trie.root().0);
    }
    for key in [Key::Account(address), Key::Account(Address([9; 32]))] {
        golden.hex(&format!("proof of {key:?}"), trie.prove(&key).to_bytes());
    }
    check(&golden, "trees.txt");
}

#[test]
fn golden_networks() {
    let mut golden = Golden::default();
    let new = Params::new_network("class-7", 1_800_000_000_000, 30_000);
    for params in [Params::dev(), Params::tutorial(), new] {
        let (name, genesis) = (params.name.clone(), params.genesis());
        golden.hex(&format!("{name} params hash"), params.hash().0);
        golden.hex(&format!("{name} genesis header"), genesis.header.to_bytes());
        golden.hex(&format!("{name} genesis id"), genesis.id.0);
        golden.hex(&format!("{name} state root"), genesis.state.root().0);
        golden.text(&format!("{name} address text"), address::format(&params.prefix, &Address([7; 32])));
        for height in [0, 1, 2_102_400, 2_102_401, u64::MAX] {
            golden.text(&format!("{name} reward at {height}"), params.reward(height));
            golden.text(&format!("{name} supply at {height}"), params.supply(height));
        }
    }
    for bits in [0x207f_ffff, 0x1d0f_ffff, 0x1d00_ffff, 0x1501_0000] {
        let target = from_bits(bits).unwrap();
        assert_eq!(to_bits(target), bits);
        golden.hex(&format!("target of {bits:#010x}"), target.to_big_endian());
        golden.text(&format!("work of {bits:#010x}"), work_of(target).unwrap());
    }
    check(&golden, "networks.txt");
}

#[test]
fn golden_blocks() {
    let mut golden = Golden::default();
    let header = Header::from_bytes(&std::array::from_fn(|i| i as u8));
    golden.hex("counting header", header.to_bytes());
    golden.hex("counting header id", header.id().0);
    golden.hex("counting header proof of work", header.pow_hash().to_big_endian());

    let (alice, bob) = (Account::dev(0), Account::dev(1));
    let mut chain = Chain::dev();
    let issued = alice.act(chain.network(), Terms::of_nonce(0).fee(9), issue("GOLD", 100, true));
    let gold = asset_id(&issued.body.id());
    chain.mine_block(&[issued]);
    let paid = alice.pay(
        chain.network(),
        Terms::of_nonce(1).fee(3).expiry(2),
        vec![units(gold, bob.address, 40), coins(bob.address, 1)],
    );
    let minted = alice.act(chain.network(), Terms::of_nonce(2), Action::Mint { asset: gold, amount: 11 });
    let burnt = bob.act(chain.network(), Terms::of_nonce(0), Action::Burn { asset: gold, amount: 40 });
    chain.mine_block(&[paid, minted, burnt]);
    for height in 1..=chain.height() {
        let block = chain.block(height);
        let coinbase = Coinbase::from_bytes(&block.body.items[0]).unwrap();
        golden.hex(&format!("block {height} header"), block.header.to_bytes());
        golden.hex(&format!("block {height} id"), block.header.id().0);
        golden.hex(&format!("block {height} proof of work"), block.header.pow_hash().to_big_endian());
        golden.hex(&format!("block {height} coinbase"), coinbase.to_bytes());
        golden.hex(&format!("block {height} body"), block.body.to_bytes());
        golden.text(&format!("block {height} total work"), chain.tip_at(height).total_work);
    }
    check(&golden, "blocks.txt");
}
