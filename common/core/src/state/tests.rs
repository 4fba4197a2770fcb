//! The trie against a plainly written one, proofs against damage, golden roots, and (ignored)
//! what a million accounts cost.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::proof::Step;
use super::*;
use crate::hash::{Address, StateRoot};
use crate::join::{Join, in_turn};

/// SplitMix64 (Steele et al., 2014): the same numbers on every run.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.next().to_le_bytes()));
        bytes
    }

    /// One of about 1,100 keys: 60 addresses with up to 17 assets each, half of which differ
    /// in their first bits, half in their last.
    pub(super) fn key(&mut self) -> Key {
        let address = Address(Self(self.below(60)).bytes());
        let mut asset = AssetId::ZERO;
        let number = 1 + self.below(17) as u8;
        asset.0[if number < 9 { 0 } else { 31 }] = number;
        match self.below(8) {
            0..3 => Key::Account(address),
            3 => Key::Asset(asset),
            _ => Key::Holding(address, asset),
        }
    }

    pub(super) fn record(&mut self, key: &Key) -> Record {
        match key {
            Key::Account(_) => Record::Account { balance: self.next(), nonce: self.below(9) },
            Key::Holding(..) => Record::Holding { amount: self.next() },
            Key::Asset(_) => asset_record(self.next()),
        }
    }

    /// Up to 400 changes, of which a tenth, half or nearly all remove.
    pub(super) fn changes(&mut self) -> BTreeMap<Key, Option<Record>> {
        let count = [1, 2, 10, 100, 400][self.below(5) as usize];
        let removals_of_20 = [2, 10, 19][self.below(3) as usize];
        let mut changes = BTreeMap::new();
        for _ in 0..count {
            let key = self.key();
            let is_removal = self.below(20) < removals_of_20;
            changes.insert(key, (!is_removal).then(|| self.record(&key)));
        }
        changes
    }
}

fn asset_record(supply: u64) -> Record {
    let issuer = Address([3; 32]);
    let description =
        AssetDescription { issuer, symbol: "GOLD9".into(), decimals: 8, supply, mintable: true };
    Record::Asset(Box::new(description))
}

type Reference = BTreeMap<Path, (Key, Record)>;

/// The root as section 3 defines it, without this module's code but for paths and values.
fn reference_root(records: &Reference) -> StateRoot {
    let leaves: Vec<(Path, Vec<u8>)> =
        records.iter().map(|(path, (key, record))| (*path, record::encode(key, record).unwrap())).collect();
    StateRoot(if leaves.is_empty() { [0; 32] } else { reference_hash(&leaves) })
}

fn reference_hash(leaves: &[(Path, Vec<u8>)]) -> [u8; 32] {
    let tagged = |tag: &str, preimage: &[u8]| {
        let tag = Sha256::digest(tag);
        Sha256::digest([&tag, &tag, preimage].concat()).into()
    };
    if let [(path, value)] = leaves {
        return tagged("steelyard/state-leaf", &[path, &value[..]].concat());
    }
    let bit_of = |path: &Path, index: usize| path[index / 8] & (0x80 >> (index % 8)) != 0;
    let is_split =
        |index: &usize| leaves.iter().any(|leaf| bit_of(&leaf.0, *index) != bit_of(&leaves[0].0, *index));
    let split = (0..512).find(is_split).unwrap();
    let (ones, zeros): (Vec<_>, Vec<_>) = leaves.iter().cloned().partition(|leaf| bit_of(&leaf.0, split));
    let children = [reference_hash(&zeros), reference_hash(&ones)].concat();
    tagged("steelyard/state-inner", &[&[split as u8, (split >> 8) as u8], &children[..]].concat())
}

fn assert_same(trie: &Trie, reference: &Reference) {
    assert_eq!(trie.root(), reference_root(reference));
    assert_eq!(trie.len(), reference.len() as u64);
    assert_eq!(trie.is_empty(), reference.is_empty());
    assert!(trie.iter().eq(reference.values().map(|(key, record)| (*key, record))));
}

fn apply_to_reference(reference: &mut Reference, changes: &BTreeMap<Key, Option<Record>>) {
    for (key, record) in changes {
        match record {
            Some(record) => reference.insert(key.path(), (*key, record.clone())),
            None => reference.remove(&key.path()),
        };
    }
}

#[test]
fn any_history_gives_the_root_of_its_records() {
    for seed in 0..4 {
        println!("seed {seed}");
        let mut random = Random(seed);
        let mut trie = Trie::new();
        let mut reference = Reference::new();
        for _ in 0..100 {
            let changes = random.changes();
            let (before, reference_before) = (trie.clone(), reference.clone());
            let undo: Vec<_> = changes.keys().map(|key| (*key, before.get(key).cloned())).collect();

            apply_to_reference(&mut reference, &changes);
            assert_eq!(trie.update(changes.clone()), trie.root());

            assert_same(&trie, &reference);
            assert_same(&before, &reference_before);
            let mut in_place = Trie::from_sorted(reference_before.into_values()).unwrap();
            assert_eq!(in_place.root(), before.root());
            assert_eq!(in_place.update(changes.clone()), trie.root());
            assert_eq!(in_place.update(undo), before.root());
            for (key, record) in &changes {
                assert_eq!(trie.get(key), record.as_ref());
            }
        }
    }
}

/// Thousands of changes, so that they are parted many times, by a join that takes the second first.
#[test]
fn who_does_what_at_once_is_not_in_the_root() {
    let swapped: Join = |first, second| in_turn(second, first);
    let at_once: Join = |first, second| {
        std::thread::scope(|scope| {
            scope.spawn(second);
            first();
        });
    };
    let mut random = Random(11);
    let account = |number: u64| Key::Account(Address(Random(number).bytes()));
    let mut trie = Trie::new();
    for (round, removals_of_10) in [0, 3, 9, 0, 10].into_iter().enumerate() {
        let changes: BTreeMap<Key, Option<Record>> = (0..3_000)
            .map(|number| {
                let key = account(number);
                (key, (random.below(10) >= removals_of_10).then(|| random.record(&key)))
            })
            .collect();
        let mut tries = [in_turn, swapped, at_once].map(|join: Join| {
            let mut trie = trie.clone();
            trie.update_with(changes.clone(), join);
            trie
        });
        let [plain, others @ ..] = &tries;
        for other in others {
            assert_eq!(other.root(), plain.root(), "round {round}");
            assert!(other.iter().eq(plain.iter()) && other.len() == plain.len());
        }
        assert_eq!(plain.is_empty(), removals_of_10 == 10);
        trie = std::mem::take(&mut tries[0]);
    }
}

/// One address whose assets fork off one another at every bit: as deep as a trie gets without
/// breaking SHA-256. Its drop, in a test's small stack, is part of the test.
#[test]
fn the_deepest_trie_works() {
    let address = Address([7; 32]);
    let mut records = vec![(Key::Account(address), Record::Account { balance: 1, nonce: 2 })];
    for index in 0..256 {
        let mut id = [0; 32];
        id[index / 8] = 0x80 >> (index % 8);
        records.push((Key::Holding(address, AssetId(id)), Record::Holding { amount: 1 }));
    }
    let mut trie = Trie::new();
    let changes = records.iter().cloned().map(|(key, record)| (key, Some(record)));
    trie.update(changes);
    let deepest = trie.prove(&Key::Account(address));
    let read = Proof::from_bytes(&deepest.to_bytes()).unwrap();
    assert_eq!(read.to_bytes().len(), 2 + 256 * 34 + 1 + 49);
    assert_eq!(read.verify(&trie.root(), &records[0].0), Ok(Some(records[0].1.clone())));

    let snapshot = trie.clone();
    assert_eq!(trie.update(records.iter().map(|(key, _)| (*key, None))), StateRoot::ZERO);
    assert_eq!(snapshot.len(), 257);
}

#[test]
fn records_out_of_order_are_refused() {
    let mut records: Vec<_> =
        (1..=3).map(|n| (Key::Account(Address([n; 32])), Record::Account { balance: 1, nonce: 0 })).collect();
    records.sort_by_key(|(key, _)| key.path());
    let build = |records: &[(Key, Record)]| Trie::from_sorted(records.iter().cloned()).map(|trie| trie.len());
    assert_eq!(build(&records), Ok(3));

    let [a, b, c] = <[_; 3]>::try_from(records).unwrap();
    assert_eq!(build(&[a.clone(), c.clone(), b.clone()]), Err(BuildError::Unsorted { index: 2 }));
    assert_eq!(build(&[a.clone(), b.clone(), b.clone()]), Err(BuildError::Duplicate { index: 2 }));
    assert_eq!(build(&[(a.0, Record::Holding { amount: 1 })]), Err(BuildError::IllKinded { index: 0 }));
    let coins = (Key::Holding(Address::ZERO, AssetId::COINS), Record::Holding { amount: 1 });
    assert_eq!(build(&[coins]), Err(BuildError::IllKinded { index: 0 }));
}

#[test]
#[should_panic(expected = "a batch changes a key once")]
fn a_key_twice_in_a_batch_is_our_fault() {
    Trie::new().update([(Key::Account(Address::ZERO), None), (Key::Account(Address::ZERO), None)]);
}

#[test]
#[should_panic(expected = "coins are in the account")]
fn a_holding_of_coins_is_our_fault() {
    Trie::new().update([(Key::Holding(Address::ZERO, AssetId::COINS), None)]);
}

/// A few hundred records, the same on every run.
pub(super) fn sample() -> Trie {
    let mut random = Random(5);
    let mut trie = Trie::new();
    for _ in 0..400 {
        let key = random.key();
        let record = random.record(&key);
        trie.update([(key, Some(record))]);
    }
    trie
}

/// Against all records, for owners of nothing, of coins alone, of assets alone and of both.
#[test]
fn holdings_are_those_of_the_address_in_order() {
    let trie = sample();
    let mut held_in_all = 0;
    let strangers = [Address::ZERO, Address([9; 32])];
    for address in (0..60).map(|number| Address(Random(number).bytes())).chain(strangers) {
        let of_address = |(key, record): (Key, &Record)| match (key, record) {
            (Key::Holding(owner, asset), Record::Holding { amount }) if owner == address => {
                Some((asset, *amount))
            }
            _ => None,
        };
        let expected: Vec<_> = trie.iter().filter_map(of_address).collect();
        assert_eq!(trie.holdings(&address, usize::MAX), expected);
        assert_eq!(trie.holdings(&address, 2), expected[..expected.len().min(2)]);
        held_in_all += expected.len();
    }
    assert!(held_in_all > 100);
    assert!(Trie::new().holdings(&Address::ZERO, 1).is_empty());
}

/// Of none, of few and of more than one thread looks up, present and not, in any order.
#[test]
fn many_looked_up_together_are_as_one_by_one() {
    let trie = sample();
    let swapped: Join = |first, second| in_turn(second, first);
    let mut random = Random(7);
    for count in [0, 1, 15, 16, 17, 1_100, 3_000] {
        let keys: Vec<Key> = (0..count).map(|_| random.key()).collect();
        let expected: Vec<_> = keys.iter().map(|key| trie.get(key)).collect();
        assert_eq!(trie.get_each(&keys, swapped), expected);
        assert_eq!(Trie::new().get_each(&keys, in_turn), vec![None; count]);
    }
}

#[test]
fn records_and_their_absence_are_proven() {
    let trie = sample();
    let mut random = Random(6);
    let (mut present, mut absent) = (0, 0);
    for _ in 0..2_000 {
        let key = random.key();
        let proof = Proof::from_bytes(&trie.prove(&key).to_bytes()).unwrap();
        let proven = proof.verify(&trie.root(), &key);
        assert_eq!(proven, Ok(trie.get(&key).cloned()));
        *(if trie.get(&key).is_some() { &mut present } else { &mut absent }) += 1;
    }
    assert!(present > 300 && absent > 300);
}

#[test]
fn a_proof_for_one_key_is_no_other_answer_for_another() {
    let trie = sample();
    let mut random = Random(8);
    for _ in 0..2_000 {
        let (key, other) = (random.key(), random.key());
        if let Ok(answer) = trie.prove(&key).verify(&trie.root(), &other) {
            assert_eq!(answer.as_ref(), trie.get(&other));
        }
    }
}

#[test]
fn a_damaged_proof_is_refused() {
    let trie = sample();
    let mut random = Random(9);
    for _ in 0..12 {
        let key = random.key();
        let bytes = trie.prove(&key).to_bytes();
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1 + random.below(255) as u8;
            let proven = Proof::from_bytes(&damaged).and_then(|proof| proof.verify(&trie.root(), &key));
            assert!(proven.is_err(), "byte {place}: {proven:?}");
        }
        for cut in 0..bytes.len() {
            assert_eq!(Proof::from_bytes(&bytes[..cut]), Err(ProofError::Truncated));
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Proof::from_bytes(&longer), Err(ProofError::TrailingBytes { got: 1 }));
    }
}

#[test]
fn the_empty_state_proves_absence_and_nothing_else() {
    let key = Key::Account(Address([1; 32]));
    let bytes = Trie::new().prove(&key).to_bytes();
    assert_eq!(bytes, [0; 3]);
    let proof = Proof::from_bytes(&bytes).unwrap();
    assert_eq!(proof.verify(&StateRoot::ZERO, &key), Ok(None));
    let expected = sample().root();
    let refused = Err(ProofError::OtherRoot { got: StateRoot::ZERO, expected });
    assert_eq!(proof.verify(&expected, &key), refused);
}

#[test]
fn each_rule_of_proofs_has_its_error() {
    let (key, record) = (Key::Account(Address([1; 32])), Record::Account { balance: 1, nonce: 0 });
    let verify = |splits: &[u16], leaf_key: Key, asked: Key| {
        let steps = splits.iter().map(|split| Step { split: *split, sibling: [9; 32] }).collect();
        Proof::of_leaf(steps, leaf_key, record.clone()).verify(&StateRoot::ZERO, &asked).unwrap_err()
    };
    assert_eq!(verify(&[3, 512], key, key), ProofError::SplitOutOfRange { index: 1, split: 512 });
    assert_eq!(verify(&[3, 3], key, key), ProofError::SplitNotIncreasing { index: 1, split: 3 });
    assert_eq!(verify(&[3, 2], key, key), ProofError::SplitNotIncreasing { index: 1, split: 2 });
    let other = Key::Account(Address([2; 32]));
    let split = first_difference(&key.path(), &other.path());
    assert_eq!(verify(&[split], other, key), ProofError::LeafElsewhere { index: 0, split });
    let asset = Key::Asset(AssetId([1; 32]));
    assert_eq!(verify(&[], asset, asset), ProofError::MalformedLeaf);
    let coins = Key::Holding(Address([1; 32]), AssetId::COINS);
    assert_eq!(verify(&[], key, coins), ProofError::HoldingOfCoins);
    assert!(matches!(verify(&[0, 511], key, key), ProofError::OtherRoot { .. }));

    let step = [0; 34];
    let decode = |parts: &[&[u8]]| Proof::from_bytes(&parts.concat()).unwrap_err();
    assert_eq!(decode(&[&[1, 0], &step, &[0]]), ProofError::NoLeaf);
    assert_eq!(decode(&[&[1, 2], &step.repeat(513), &[0]]), ProofError::TooManySteps { got: 513 });
    // As many as a path has bits are read; it is the leaf that is missing.
    assert_eq!(decode(&[&[0, 2], &step.repeat(512), &[0]]), ProofError::NoLeaf);
    assert_eq!(decode(&[&[0, 0], &[1], &[9]]), ProofError::MalformedLeaf);
    assert_eq!(decode(&[&[0, 0], &[2], &[9]]), ProofError::Truncated);
}

/// Roots and a proof as they are for ever: a change here forks every network. A second
/// program, in Python and from the specification alone, gave the same.
#[test]
fn golden_roots() {
    let address = |n| Address([n; 32]);
    let asset = AssetId([0xaa; 32]);
    let one = vec![(Key::Account(address(1)), Record::Account { balance: 1_000, nonce: 7 })];
    let mut two = one.clone();
    two.push((Key::Account(address(2)), Record::Account { balance: u64::MAX, nonce: 0 }));
    let mut all = two.clone();
    all.push((Key::Holding(address(1), asset), Record::Holding { amount: 5 }));
    all.push((Key::Holding(address(1), AssetId([0xab; 32])), Record::Holding { amount: 6 }));
    all.push((Key::Asset(asset), asset_record(11)));

    let root = |records: &[(Key, Record)]| {
        let changes = records.iter().cloned().map(|(key, record)| (key, Some(record)));
        Trie::new().update(changes).to_string()
    };
    assert_eq!(root(&[]), "00".repeat(32));
    assert_eq!(root(&one), GOLDEN_ONE);
    assert_eq!(root(&two), GOLDEN_TWO);
    assert_eq!(root(&all), GOLDEN_ALL);

    let mut trie = Trie::new();
    trie.update(two.iter().cloned().map(|(key, record)| (key, Some(record))));
    assert_eq!(hex::encode(trie.prove(&two[0].0).to_bytes()), GOLDEN_PROOF);
}

const GOLDEN_ONE: &str = "f15b49eaaefd047bb9e6d9d76ca1bf2aefb12a259bf8b01db3968b1f1ca302f9";
const GOLDEN_TWO: &str = "fba9cafccf9068da7c8a5f23fa64d0452916b4bb4e5f82b8d66a288b163d207b";
const GOLDEN_ALL: &str = "384b26b81f2e46542b8cf392e2f07465a4b14e081c0ef070bb9ddad69bde55c2";
const GOLDEN_PROOF: &str = "010000008b30b61f29e9313d1a84bfd3b5f1b1817d4d62f1b2fd9a55b50ab9bc7681160b\
    31010101010101010101010101010101010101010101010101010101010101010101e8030000000000000700000000000000";

/// Run alone, in release: `cargo test --release -- --ignored --nocapture a_million_accounts`.
#[test]
#[ignore = "prints measurements, judges nothing"]
fn a_million_accounts_measured() {
    const ACCOUNTS: u64 = 1_000_000;
    let record = |balance| Record::Account { balance, nonce: 1 };
    let mut random = Random(1);
    let mut sorted: Vec<(Path, Key)> =
        (0..ACCOUNTS).map(|_| Key::Account(Address(random.bytes()))).map(|key| (key.path(), key)).collect();
    sorted.sort_unstable();
    let keys: Vec<Key> = sorted.into_iter().map(|(_, key)| key).collect();

    let resident_before = resident_bytes();
    let (mut trie, elapsed) = timed(|| Trie::from_sorted(keys.iter().map(|key| (*key, record(5)))).unwrap());
    let resident = resident_bytes() - resident_before;
    println!("from_sorted {elapsed:?}, {} bytes a record", resident / ACCOUNTS as usize);

    // 5 % new, as in a block of payments.
    let batch = |random: &mut Random, count: usize| -> BTreeMap<Key, Option<Record>> {
        let mut changes = BTreeMap::new();
        while changes.len() < count {
            let key = match random.below(20) {
                0 => Key::Account(Address(random.bytes())),
                _ => keys[random.below(ACCOUNTS) as usize],
            };
            changes.insert(key, Some(record(random.next())));
        }
        changes
    };
    for count in [1_000, 4_000, 20_000] {
        for is_shared in [false, true] {
            let mut figures = Vec::new();
            for _ in 0..7 {
                let changes: Vec<_> = batch(&mut random, count).into_iter().collect();
                let snapshot = is_shared.then(|| trie.clone());
                figures.push(timed(|| trie.update(changes)).1);
                figures.sort();
                drop(snapshot);
            }
            println!(
                "update of {count}, snapshot held: {is_shared}: median {:?}, best {:?}",
                figures[3], figures[0]
            );
        }
    }
    let (found, elapsed) =
        timed(|| (0..100_000).filter(|_| trie.get(&keys[random.below(ACCOUNTS) as usize]).is_some()).count());
    println!("get {:?}, found {found}", elapsed / 100_000);
    let (sum, elapsed) = timed(|| trie.iter().count());
    println!("iter over {sum}: {elapsed:?}");
    println!("drop {:?}", timed(|| drop(trie)).1);
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    4096 * statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap()
}
