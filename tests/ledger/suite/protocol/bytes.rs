//! Examples of bytes and hashes (sections 1 to 7 of the specification), and the tables of those
//! sections against the constants. Must not know how they are written in the text.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use steelyard_core::address;
use steelyard_core::crypto::keys::SecretKey;
use steelyard_core::crypto::policy::{POLICY_BYTES_MAX, Policy, PolicyError, UncheckedPolicy};
use steelyard_core::encode::{self, List};
use steelyard_core::hash::{Address, AssetId, BlockId, Domain, sha256d};
use steelyard_core::history::{self, History, HistoryNode};
use steelyard_core::merkle::{Join, top_of_path};
use steelyard_core::params::{BLOCK_BYTES_LIMIT, Params};
use steelyard_core::state::excerpt::{Excerpt, ExcerptError, Wanted};
use steelyard_core::state::record;
use steelyard_core::state::{AssetDescription, Key, PROOF_BYTES_MAX, Path, ProofError, Record, Trie};
use steelyard_core::types::body::{self, Body, BodyNode, COINBASE_BYTES_MAX, Coinbase};
use steelyard_core::types::header::{HEADER_BYTES, Header};
use steelyard_core::types::transaction::{
    AUTHORIZATION_BYTES_MAX, Action, TX_BODY_BYTES_MAX, TX_BYTES_MAX, Transaction, asset_id, full_id,
};
use steelyard_core::work::{U256, from_bits, to_bits, work_of};
use steelyard_ledger::accounts::{Account, Terms, coins, issue, units};

use super::Examples;

/// Secret keys of alice, bob and carol: the first accounts of the `dev` network. Published.
const SECRETS: [(&str, &str); 3] = [
    ("alice", "e01fea8a48e2854fdd0255c12b1d704967d9401f11c3f4980006ced8977574dc"),
    ("bob", "c4640899c331482720477a47ccb60d447502fbda8aae1d35a36d1866e04cc4c5"),
    ("carol", "18f7a6e9dfb6d63b93948bfe29d95f380e48c9dd876932b4a4e161625b3891cf"),
];

/// Adds all of them.
pub fn examples(out: &mut Examples) {
    conventions(out);
    keys(out);
    header(out);
    bits(out);
    transactions(out);
    body_tree(out);
    history_tree(out);
    state(out);
}

fn secret(index: usize) -> SecretKey {
    let mut bytes = [0; 32];
    hex::decode_to_slice(SECRETS[index].1, &mut bytes).unwrap();
    SecretKey::new(bytes).unwrap()
}

fn alice() -> Account {
    Account::of_key(secret(0))
}

fn bob() -> Account {
    Account::of_key(secret(1))
}

fn carol() -> Account {
    Account::of_key(secret(2))
}

fn shared() -> Account {
    Account::of_keys(2, (0..3).map(secret).collect())
}

fn conventions(out: &mut Examples) {
    let value = 0x0102_0304_u32;
    out.text("integer.value", value);
    out.hex("integer.u32", encode::encode(&value));
    out.hex("integer.u64", encode::encode(&u64::from(value)));
    out.text("list.items", "7 8");
    out.hex("list.u8", encode::encode(&List::<u8, 2>::new(vec![7, 8]).unwrap()));
    out.text("tagged.tag", Domain::Block.tag());
    out.hex("tagged.sha256_of_tag", Sha256::digest(Domain::Block.tag()));
    out.hex("tagged.message", b"abc");
    out.hex("tagged.hash", Domain::Block.hash(&[b"abc"]));
    out.hex("sha256d.message", b"abc");
    out.hex("sha256d.hash", sha256d(b"abc"));
    out.hex("text.address", alice().address.0);
    for prefix in ["dsy", "sy"] {
        out.text(&format!("text.{prefix}"), address::format(prefix, &alice().address));
    }
}

fn keys(out: &mut Examples) {
    let message: [u8; 32] = std::array::from_fn(|i| i as u8);
    out.text("sign.secret", SECRETS[0].1);
    out.hex("sign.public", secret(0).public().0);
    out.hex("sign.message", message);
    out.hex("sign.randomness", [0; 32]);
    let signature = secret(0).sign(&message);
    assert_eq!(signature, secret(0).sign_with(&message, &[0; 32]));
    out.hex("sign.signature", signature.0);
    for (index, (name, text)) in SECRETS.iter().enumerate() {
        let policy = Policy::single(secret(index).public()).unwrap();
        out.text(&format!("{name}.secret"), text);
        out.hex(&format!("{name}.public"), secret(index).public().0);
        out.hex(&format!("{name}.policy"), policy.to_bytes());
        out.hex(&format!("{name}.address"), policy.address().0);
    }
    out.text("shared.m", shared().policy.threshold());
    out.text("shared.n", shared().policy.keys().len());
    out.hex("shared.policy", shared().policy.to_bytes());
    out.hex("shared.address", shared().address.0);
    let mut five = [0; 32];
    five[31] = 5;
    let unliftable = [&[1, 1, 1], five.as_slice()].concat();
    let read: UncheckedPolicy = encode::decode(&unliftable, POLICY_BYTES_MAX).unwrap();
    assert_eq!(read.check(), Err(PolicyError::NotLiftable { index: 0 }));
    out.hex("unliftable.policy", unliftable);
}

fn header(out: &mut Examples) {
    let bytes: [u8; HEADER_BYTES] = std::array::from_fn(|i| i as u8);
    let header = Header::from_bytes(&bytes);
    out.hex("header.bytes", header.to_bytes());
    out.text("header.version", header.version);
    out.text("header.height", header.height);
    out.hex("header.prev", header.prev.0);
    out.hex("header.history_root", header.history_root.0);
    out.hex("header.body_root", header.body_root.0);
    out.hex("header.state_root", header.state_root.0);
    out.text("header.elapsed", header.elapsed);
    out.text("header.prev_time", header.prev_time);
    out.text("header.time", header.time);
    out.text("header.bits", header.bits);
    out.text("header.nonce", header.nonce);
    out.hex("header.id", header.id().0);
    out.hex("header.sha256d", sha256d(&bytes));
    out.hex("header.pow_number", header.pow_hash().to_big_endian());
}

fn bits(out: &mut Examples) {
    for bits in [0x207f_ffff, 0x1d0f_ffff, 0x1d00_ffff, 0x1501_0000, 0x0200_8000] {
        let target = from_bits(bits).unwrap();
        let work = work_of(target).map_or("undefined".to_owned(), |work| work.to_string());
        out.text(
            &format!("expand.{bits:08x}"),
            format!("{} work {work}", hex::encode(target.to_big_endian())),
        );
    }
    let refused =
        [0, 0x1d80_ffff, 0x2000_0000, 0x0100_0000, 0x1e00_00ff, 0x0400_0001, 0x2100_ffff, 0x0200_8001];
    let texts = refused.map(|bits: u32| {
        assert!(from_bits(bits).is_err(), "{bits:#x}");
        format!("{bits:08x}")
    });
    out.text("expand.refused", texts.join(" "));
    for value in [0x80_u32, 0x12_3456, 0x1234_5678, u32::MAX] {
        out.text(&format!("compress.{value:x}"), format!("{:08x}", to_bits(U256::from(value))));
    }
    let floor = U256::one() << 160;
    out.text("compress.2_pow_160", format!("{:08x}", to_bits(floor)));
    out.text("compress.2_pow_160_minus_1", format!("{:08x}", to_bits(floor - 1)));
    out.text("compress.2_pow_256_minus_1", format!("{:08x}", to_bits(U256::MAX)));
    out.text("work_of.2_pow_128", work_of(U256::one() << 128).unwrap());
    out.text("work_of.2_pow_256_minus_1", work_of(U256::MAX).unwrap());
}

/// Alice's issue of GOLD, her transaction 0.
fn issued() -> Transaction {
    alice().act(Params::dev().network_id(), Terms::of_nonce(0), issue("GOLD", 1_000, true))
}

fn gold() -> AssetId {
    asset_id(&issued().body.id())
}

fn transactions(out: &mut Examples) {
    let network = Params::dev().network_id();
    let terms = Terms { nonce: 258, fee: 1_000, expiry: 66_051, memo: b"for the coffee".to_vec() };
    let payments = vec![coins(bob().address, 5), units(gold(), shared().address, u64::MAX)];
    let paid = alice().pay(network, terms, payments.clone());
    out.text("pay.format", paid.body.format);
    out.hex("pay.network", paid.body.network.0);
    out.hex("pay.sender", paid.body.sender.0);
    out.text("pay.nonce", paid.body.nonce);
    out.text("pay.fee", paid.body.fee);
    out.text("pay.expiry", paid.body.expiry);
    out.hex("pay.memo", &paid.body.memo[..]);
    for (number, payment) in payments.iter().enumerate() {
        out.hex(&format!("pay.payment.{number}.asset"), payment.asset.0);
        out.hex(&format!("pay.payment.{number}.to"), payment.to.0);
        out.text(&format!("pay.payment.{number}.amount"), payment.amount);
    }
    out.text("pay.signers", paid.authorization.signers);
    out.hex("pay.signature", paid.authorization.signatures[0].0);
    add_ids("pay", &paid, out);

    let Action::Issue { symbol, decimals, supply, mintable } = &issued().body.action else {
        unreachable!("it issues")
    };
    out.hex("issue.symbol", &symbol[..]);
    out.text("issue.decimals", decimals);
    out.text("issue.supply", supply);
    out.text("issue.mintable", u8::from(*mintable));
    out.hex("issue.asset_id", gold().0);
    add_ids("issue", &issued(), out);

    let burn = Action::Burn { asset: gold(), amount: 3 };
    let burnt = shared().sign_by(&[0, 2], shared().body(network, Terms::of_nonce(0).fee(7), burn));
    out.text("burn.signers", burnt.authorization.signers);
    out.hex("burn.signature.0", burnt.authorization.signatures[0].0);
    out.hex("burn.signature.1", burnt.authorization.signatures[1].0);
    add_ids("burn", &burnt, out);
    let mint = Action::Mint { asset: gold(), amount: 11 };
    add_ids("mint", &alice().act(network, Terms::of_nonce(1), mint), out);
}

fn add_ids(name: &str, tx: &Transaction, out: &mut Examples) {
    out.hex(&format!("{name}.body"), encode::encode(&tx.body));
    out.hex(&format!("{name}.id"), tx.body.id().0);
    out.hex(&format!("{name}.authorization"), encode::encode(&tx.authorization));
    out.hex(&format!("{name}.full_id"), full_id(&tx.to_bytes()).0);
}

/// Names of hashes that stand in the text, separated by spaces.
fn named(names: &BTreeMap<[u8; 32], &str>, hashes: impl IntoIterator<Item = [u8; 32]>) -> String {
    hashes.into_iter().map(|hash| names[&hash]).collect::<Vec<_>>().join(" ")
}

fn body_tree(out: &mut Examples) {
    let extra = List::new(b"hi".to_vec()).unwrap();
    let coinbase = Coinbase { height: 3, miner: carol().address, amount: 1_000_000_009, extra };
    out.text("coinbase.height", coinbase.height);
    out.hex("coinbase.miner", coinbase.miner.0);
    out.text("coinbase.amount", coinbase.amount);
    out.hex("coinbase.extra", &coinbase.extra[..]);
    out.hex("coinbase.bytes", coinbase.to_bytes());

    let body = Body { items: (0..5u8).map(|i| vec![i; usize::from(i)]).collect() };
    let leaves: Vec<BodyNode> = (0..).zip(&body.items).map(|(i, item)| body::leaf(i, item)).collect();
    let (n01, n23) = (BodyNode::join(&leaves[0], &leaves[1]), BodyNode::join(&leaves[2], &leaves[3]));
    let n0123 = BodyNode::join(&n01, &n23);
    let top = BodyNode::join(&n0123, &leaves[4]);
    assert_eq!(body::root_of(5, Some(top)), body.root());
    out.hex("body.bytes", body.to_bytes());
    out.text("body.block_bytes", body.block_bytes());
    for (i, leaf) in leaves.iter().enumerate() {
        out.hex(&format!("body.leaf.{i}"), leaf.0);
    }
    for (name, node) in [("n01", n01), ("n23", n23), ("n0123", n0123), ("top", top)] {
        out.hex(&format!("body.{name}"), node.0);
    }
    out.hex("body.root", body.root().0);
    out.hex("body.root_of_none", Body::default().root().0);
    for count in 1..4 {
        let first = Body { items: body.items[..count].to_vec() };
        out.hex(&format!("body.root_of_first_{count}"), first.root().0);
    }
    let mut names = BTreeMap::from([(n01.0, "n01"), (n23.0, "n23"), (n0123.0, "n0123")]);
    names.extend(leaves.iter().zip(["l0", "l1", "l2", "l3", "l4"]).map(|(leaf, name)| (leaf.0, name)));
    for place in [2, 4] {
        let path = body.path(place).unwrap();
        assert_eq!(top_of_path(&leaves[place as usize], place, 5, &path), Some(top));
        out.text(&format!("body.path.{place}"), named(&names, path.into_iter().map(|node| node.0)));
    }
}

fn history_tree(out: &mut Examples) {
    let leaf = |i: u8| HistoryNode::leaf(&BlockId([i; 32]), (1 << 70) + u128::from(i));
    let leaves: Vec<HistoryNode> = (0..5).map(leaf).collect();
    let mut levels = History::default();
    leaves.iter().for_each(|leaf| levels.push(*leaf));
    let node = |name: &str, node: &HistoryNode, out: &mut Examples| {
        out.text(&format!("history.{name}"), format!("{} {}", hex::encode(node.hash), node.work));
    };
    for (i, leaf) in leaves.iter().enumerate() {
        node(&format!("leaf.{i}"), leaf, out);
    }
    let n01 = HistoryNode::join(&leaves[0], &leaves[1]);
    let n23 = HistoryNode::join(&leaves[2], &leaves[3]);
    let n0123 = HistoryNode::join(&n01, &n23);
    let top = HistoryNode::join(&n0123, &leaves[4]);
    for (name, it) in [("n01", n01), ("n23", n23), ("n0123", n0123), ("top", top)] {
        node(name, &it, out);
    }
    for count in 0..=5 {
        let root = history::root(&levels.frontier(count).unwrap());
        out.hex(&format!("history.root.{count}"), root.0);
    }
    let path = levels.path(3, 5).unwrap();
    assert_eq!(top_of_path(&leaves[3], 3, 5, &path), Some(top));
    let mut names = BTreeMap::from([(n01.hash, "n01"), (n23.hash, "n23"), (n0123.hash, "n0123")]);
    names.extend(leaves.iter().zip(["l0", "l1", "l2", "l3", "l4"]).map(|(leaf, name)| (leaf.hash, name)));
    out.text("history.path.3", named(&names, path.iter().map(|node| node.hash)));
    // Left siblings, the lowest first: the peaks of what is before the leaf.
    let before = HistoryNode::join(&path[1], &path[0]);
    let root = history::root_of(3, Some(before));
    assert_eq!(root, history::root(&levels.frontier(3).unwrap()));
    out.hex("history.path.3.prefix_root", root.0);
}

/// The four records of the example, in the order in which they are added.
fn records() -> [(Key, Record); 4] {
    let symbol = "GOLD".into();
    let issuer = alice().address;
    let description = AssetDescription { issuer, symbol, decimals: 2, supply: 1_000, mintable: true };
    [
        (Key::Account(alice().address), Record::Account { balance: 5_000_000_000, nonce: 1 }),
        (Key::Holding(alice().address, gold()), Record::Holding { amount: 1_000 }),
        (Key::Asset(gold()), Record::Asset(Box::new(description))),
        (Key::Account(bob().address), Record::Account { balance: 5, nonce: 0 }),
    ]
}

fn trie_of(records: &[(Key, Record)]) -> Trie {
    let mut trie = Trie::new();
    trie.update(records.iter().map(|(key, record)| (*key, Some(record.clone()))));
    trie
}

fn state(out: &mut Examples) {
    let records = records();
    out.hex("state.root.0", Trie::new().root().0);
    for (place, (key, value)) in records.iter().enumerate() {
        let number = place + 1;
        let value = record::encode(key, value).unwrap();
        out.hex(&format!("record.{number}.value"), &value);
        out.hex(&format!("record.{number}.path"), key.path());
        out.hex(&format!("record.{number}.leaf"), Domain::StateLeaf.hash(&[&key.path(), &value]));
        out.hex(&format!("state.root.{number}"), trie_of(&records[..number]).root().0);
    }
    let mut sorted: Vec<(usize, (Key, Record))> = (1..).zip(records.clone()).collect();
    sorted.sort_by_key(|(_, (key, _))| key.path());
    let shape = shape(&sorted, out);
    out.text("state.shape", shape);

    let trie = trie_of(&records);
    let mut proof = |name: &str, trie: &Trie, key: Key, expected: Option<&Record>| {
        let proof = trie.prove(&key);
        assert_eq!(proof.verify(&trie.root(), &key), Ok(expected.cloned()));
        out.hex(&format!("proof.{name}"), proof.to_bytes());
    };
    let carols = Key::Account(carol().address);
    proof("present.bytes", &trie, records[0].0, Some(&records[0].1));
    proof("absent.bytes", &trie, carols, None);
    proof("of_one_record", &trie_of(&records[..1]), records[0].0, Some(&records[0].1));
    proof("of_empty_state", &Trie::new(), carols, None);
    out.hex("proof.present.key", [&[1], alice().address.0.as_slice()].concat());
    out.hex("proof.absent.key", [&[1], carol().address.0.as_slice()].concat());
    out.hex("proof.absent.path", carols.path());
    excerpts(&trie, out);
}

/// The shape of the trie over records in the order of their paths, as text; adds its inner nodes.
fn shape(sorted: &[(usize, (Key, Record))], out: &mut Examples) -> String {
    let [(first, (first_key, _)), .., (_, (last_key, _))] = sorted else {
        return format!("record.{}", sorted[0].0);
    };
    assert!(*first > 0, "records are numbered from 1");
    let split = first_difference(&first_key.path(), &last_key.path());
    let (zeros, ones) = sorted.split_at(sorted.partition_point(|(_, (key, _))| !bit(&key.path(), split)));
    let records: Vec<_> = sorted.iter().map(|(_, record)| record.clone()).collect();
    out.hex(&format!("state.inner.{split}"), trie_of(&records).root().0);
    format!("({split} {} {})", shape(zeros, out), shape(ones, out))
}

/// As the text says it, apart from the code's own.
fn bit(path: &Path, index: usize) -> bool {
    path[index / 8] >> (7 - index % 8) & 1 == 1
}

fn first_difference(a: &Path, b: &Path) -> usize {
    (0..512).find(|index| bit(a, *index) != bit(b, *index)).expect("paths differ")
}

fn excerpts(trie: &Trie, out: &mut Examples) {
    let records = records();
    let (of, after) = (alice().address, None);
    let accounts = trie.excerpt(&[Wanted::Record(records[0].0), Wanted::Record(records[3].0)]);
    let held = trie.excerpt(&[Wanted::Holdings { of, after, limit: 10 }]);
    let carols = Key::Account(carol().address);
    let none = trie.excerpt(&[Wanted::Holdings { of: carol().address, after, limit: 10 }]);
    for (name, excerpt) in [("accounts", &accounts), ("holdings", &held), ("no_holdings", &none)] {
        let bytes = excerpt.to_bytes();
        assert_eq!(Excerpt::from_bytes(&bytes).as_ref(), Ok(excerpt));
        out.hex(&format!("excerpt.{name}"), bytes);
    }
    let shown = accounts.open(&trie.root()).unwrap();
    assert_eq!(shown.record(&records[0].0), Ok(Some(&records[0].1)));
    assert_eq!(shown.record(&records[3].0), Ok(Some(&records[3].1)));
    assert!(shown.record(&records[2].0).is_err() && shown.holdings(&of, after).is_err());
    let page = held.open(&trie.root()).unwrap().holdings(&of, after).unwrap();
    assert_eq!((page.held, page.is_complete), (vec![(gold(), 1_000)], true));
    let page = none.open(&trie.root()).unwrap();
    assert_eq!(page.record(&carols), Ok(None));
    let page = page.holdings(&Address(carol().address.0), after).unwrap();
    assert_eq!((page.held, page.is_complete), (vec![], true));
}

#[test]
fn tables_of_bytes_are_the_codes() {
    let text = super::text();
    let frozen =
        include_str!("../../golden/hashes.txt").lines().filter_map(|line| line.split_once(" of abc"));
    let tags: Vec<&str> = frozen.map(|(tag, _)| tag).collect();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `steelyard/")?.split_once("` |"));
    let listed: Vec<String> = rows.map(|(tag, _)| format!("steelyard/{tag}")).collect();
    assert_eq!(listed, tags, "the table of tags");
    for (row, number) in [
        ("| body | ", TX_BODY_BYTES_MAX),
        ("| authorization | ", AUTHORIZATION_BYTES_MAX),
        ("| transaction | ", TX_BYTES_MAX),
    ] {
        let row = text.lines().find(|line| line.starts_with(row)).unwrap();
        assert!(row.ends_with(&format!("| {number} |")), "{row}");
    }
    for (what, number) in [
        ("header", HEADER_BYTES),
        ("policy", POLICY_BYTES_MAX),
        ("coinbase", COINBASE_BYTES_MAX),
        ("proof", PROOF_BYTES_MAX),
        ("body from a peer", usize::try_from(BLOCK_BYTES_LIMIT).unwrap()),
    ] {
        assert!(text.contains(&format!("**{number}**")), "{what} of {number} bytes");
    }
}

/// The names of an enum's variants. The match has no other arm: one that is missing does not compile.
macro_rules! variants {
    ($type:ident: $($variant:ident),+ $(,)?) => {{
        const _: fn(&$type) = |error| match error {
            $($type::$variant { .. } => {})+
        };
        [$(stringify!($variant)),+]
    }};
}

#[test]
fn errors_of_policies_and_proofs_are_named() {
    let text = super::text();
    let policy = variants!(PolicyError: Threshold, Unsorted, NotLiftable).to_vec();
    let proof = variants!(ProofError: TooManySteps, Truncated, TrailingBytes, NoLeaf, MalformedLeaf,
        SplitOutOfRange, SplitNotIncreasing, LeafElsewhere, HoldingOfCoins, OtherRoot)
    .to_vec();
    let excerpt =
        variants!(ExcerptError: Truncated, TrailingBytes, UnknownTag, MalformedLeaf, SplitOutOfRange,
        SplitNotIncreasing, LeafElsewhere, LeavesDisagree, NothingShown, OtherRoot)
        .to_vec();
    for name in [policy, proof, excerpt].concat() {
        assert!(text.contains(&format!("`{name}`")), "{name} is not in the text");
    }
}
