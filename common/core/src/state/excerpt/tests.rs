//! Excerpts against the trie they are of, against damage, and each rule of them broken once.

use super::*;
use crate::state::tests::{Random, sample};
use crate::state::{Proof, Trie};

fn owner(number: u64) -> Address {
    Address(Random(number).bytes())
}

/// The excerpt after its way through bytes, opened.
fn shown(trie: &Trie, wanted: &[Wanted]) -> Shown {
    let excerpt = trie.excerpt(wanted);
    let read = Excerpt::from_bytes(&excerpt.to_bytes()).unwrap();
    assert_eq!(read, excerpt);
    read.open(&trie.root()).unwrap()
}

fn page(of: Address, after: Option<AssetId>, limit: usize) -> Wanted {
    Wanted::Holdings { of, after, limit }
}

#[test]
fn records_absence_and_holdings_of_several_are_shown_by_one() {
    let mut random = Random(21);
    let mut trie = Trie::new();
    let (mut present, mut absent, mut held) = (0, 0, 0);
    for _ in 0..60 {
        trie.update(random.changes());
        let keys: Vec<Key> = (0..random.below(9)).map(|_| random.key()).collect();
        let owners: Vec<Address> = (0..random.below(4)).map(|_| owner(random.below(70))).collect();
        let wanted: Vec<Wanted> = keys.iter().map(|key| Wanted::Record(*key)).collect();
        let pages = owners.iter().map(|of| page(*of, None, usize::MAX));
        let shown = shown(&trie, &wanted.into_iter().chain(pages).collect::<Vec<_>>());
        for key in &keys {
            let record = shown.record(key).unwrap();
            assert_eq!(record, trie.get(key));
            *(if record.is_some() { &mut present } else { &mut absent }) += 1;
        }
        for of in &owners {
            let expected = Page { held: trie.holdings(of, usize::MAX), is_complete: true };
            held += expected.held.len();
            assert_eq!(shown.holdings(of, None), Ok(expected));
        }
    }
    assert!(present > 30 && absent > 30 && held > 100, "{present} {absent} {held}");
}

/// Whatever an excerpt was made for: what it says is so, and what it does not show it does not say.
#[test]
fn what_an_excerpt_says_is_so() {
    let trie = sample();
    let mut random = Random(22);
    let (mut said, mut hidden) = (0, 0);
    for _ in 0..400 {
        let wanted =
            [Wanted::Record(random.key()), page(owner(random.below(60)), None, random.below(4) as usize)];
        let shown = shown(&trie, &wanted);
        for _ in 0..20 {
            let key = random.key();
            match shown.record(&key) {
                Ok(record) => assert_eq!(record, trie.get(&key)),
                Err(NotShown) => hidden += 1,
            }
            let of = owner(random.below(60));
            if let Ok(page) = shown.holdings(&of, None) {
                let all = trie.holdings(&of, usize::MAX);
                assert!(all.starts_with(&page.held) && page.is_complete == (page.held.len() == all.len()));
                said += 1;
            }
        }
    }
    assert!(said > 50 && hidden > 1_000, "{said} {hidden}");
}

#[test]
fn pages_join_without_gap_or_overlap() {
    let trie = sample();
    for limit in [1, 2, 5, 100] {
        for of in (0..60).map(owner) {
            let (mut held, mut after) = (Vec::new(), None);
            loop {
                let next = shown(&trie, &[page(of, after, limit)]).holdings(&of, after).unwrap();
                assert!(next.held.len() <= limit);
                held.extend(next.held);
                if next.is_complete {
                    break;
                }
                after = held.last().map(|(asset, _)| *asset);
            }
            assert_eq!(held, trie.holdings(&of, usize::MAX));
        }
    }
}

/// Where all that an address holds lies behind the very first bit of an asset, and it has no coins: what is
/// nearest to the page's beginning is its own, and not all of it.
#[test]
fn a_page_shows_all_that_lies_on_one_side_of_its_beginning() {
    let of = owner(1);
    let assets = [0x80, 0x81, 0xff].map(|first| {
        let mut asset = AssetId::ZERO;
        asset.0[0] = first;
        asset
    });
    let mut trie = Trie::new();
    trie.update(assets.map(|asset| (Key::Holding(of, asset), Some(Record::Holding { amount: 5 }))));
    trie.update(
        (2..40)
            .map(|number| (Key::Account(owner(number)), Some(Record::Account { balance: number, nonce: 0 }))),
    );
    let held = assets.map(|asset| (asset, 5)).to_vec();
    let all = Page { held: held.clone(), is_complete: true };
    assert_eq!(shown(&trie, &[page(of, None, usize::MAX)]).holdings(&of, None), Ok(all));
    let first = Page { held: held[..2].to_vec(), is_complete: false };
    assert_eq!(shown(&trie, &[page(of, None, 2)]).holdings(&of, None), Ok(first));
}

/// A page may begin behind any asset, held or not; an excerpt of one page is none of another.
#[test]
fn a_page_begins_behind_any_asset() {
    let trie = sample();
    let mut random = Random(23);
    let mut refused = 0;
    for _ in 0..500 {
        let (of, limit) = (owner(random.below(60)), 1 + random.below(3) as usize);
        let cursor = |random: &mut Random| {
            let mut asset = AssetId::ZERO;
            asset.0[if random.below(2) == 0 { 0 } else { 31 }] = random.below(20) as u8;
            (random.below(5) > 0).then_some(asset)
        };
        let (after, other) = (cursor(&mut random), cursor(&mut random));
        let all = trie.holdings(&of, usize::MAX);
        let behind = |after: Option<AssetId>| {
            all.iter().copied().filter(move |(asset, _)| after.is_none_or(|after| *asset > after))
        };
        let shown = shown(&trie, &[page(of, after, limit)]);
        let got = shown.holdings(&of, after).unwrap();
        assert_eq!(got.held, behind(after).take(limit).collect::<Vec<_>>());
        assert_eq!(got.is_complete, got.held.len() == behind(after).count());
        match shown.holdings(&of, other) {
            Ok(page) => assert_eq!(page.held, behind(other).take(page.held.len()).collect::<Vec<_>>()),
            Err(NotShown) => refused += 1,
        }
    }
    assert!(refused > 20, "{refused}");
}

#[test]
fn the_account_does_not_show_the_holdings() {
    let (of, asset) = (Address([7; 32]), AssetId([1; 32]));
    let account = (Key::Account(of), Record::Account { balance: 1, nonce: 0 });
    let holding = (Key::Holding(of, asset), Record::Holding { amount: 5 });
    let trie = Trie::from_sorted([account.clone(), holding]).unwrap();
    let shown_account = shown(&trie, &[Wanted::Record(account.0)]);
    assert_eq!(shown_account.record(&account.0), Ok(Some(&account.1)));
    assert_eq!(shown_account.holdings(&of, None), Err(NotShown));
    let shown_page = shown(&trie, &[page(of, None, 1)]);
    assert_eq!(shown_page.holdings(&of, None), Ok(Page { held: vec![(asset, 5)], is_complete: true }));
    // Coins are no holding.
    assert_eq!(shown_page.record(&Key::Holding(of, AssetId::COINS)), Ok(None));
}

#[test]
fn one_excerpt_is_shorter_than_its_proofs() {
    let trie = sample();
    let keys: Vec<Key> = trie.iter().map(|(key, _)| key).take(16).collect();
    let alone: usize = keys.iter().map(|key| trie.prove(key).to_bytes().len()).sum();
    let wanted: Vec<Wanted> = keys.into_iter().map(Wanted::Record).collect();
    assert!(trie.excerpt(&wanted).to_bytes().len() < alone / 2);
    // Of one record it is the proof with one byte more a step, and a tag for the leaf.
    let proof = trie.prove(&Key::Account(owner(1))).to_bytes();
    let steps = usize::from(proof[0]);
    let excerpt = trie.excerpt(&[Wanted::Record(Key::Account(owner(1)))]).to_bytes();
    assert_eq!(excerpt.len(), proof.len() - 2 + 2 * steps + 1);
    assert!(Proof::from_bytes(&proof).is_ok());
}

#[test]
fn no_byte_of_an_excerpt_can_be_changed() {
    let trie = sample();
    let mut random = Random(24);
    for _ in 0..6 {
        let wanted = [Wanted::Record(random.key()), page(owner(random.below(60)), None, 3)];
        let bytes = trie.excerpt(&wanted).to_bytes();
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1 + random.below(255) as u8;
            let opened = Excerpt::from_bytes(&damaged).and_then(|excerpt| excerpt.open(&trie.root()));
            assert!(opened.is_err(), "byte {place}");
        }
        for cut in 1..bytes.len() {
            assert_eq!(Excerpt::from_bytes(&bytes[..cut]), Err(ExcerptError::Truncated));
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Excerpt::from_bytes(&longer), Err(ExcerptError::TrailingBytes { got: 1 }));
    }
}

#[test]
fn the_empty_state_has_nothing_and_no_bytes() {
    let excerpt = Trie::new().excerpt(&[page(Address([1; 32]), None, 9)]);
    assert_eq!(excerpt.to_bytes(), []);
    let other = sample().root();
    let refused = Err(ExcerptError::OtherRoot { got: StateRoot::ZERO, expected: other });
    assert_eq!(excerpt.clone().open(&other), refused);
    let shown = excerpt.open(&StateRoot::ZERO).unwrap();
    assert_eq!(shown.record(&Key::Account(Address::ZERO)), Ok(None));
    assert_eq!(shown.holdings(&Address::ZERO, None), Ok(Page { held: vec![], is_complete: true }));
    // Nothing asked of a state that has something: not the bytes of one that has nothing.
    let trie = sample();
    assert!(Excerpt::from_bytes(&trie.excerpt(&[]).to_bytes()).unwrap().open(&trie.root()).is_ok());
}

#[test]
fn the_deepest_excerpt_works() {
    let of = Address([7; 32]);
    let mut records = vec![(Key::Account(of), Record::Account { balance: 1, nonce: 2 })];
    for index in 0..256 {
        let mut id = [0; 32];
        id[index / 8] = 0x80 >> (index % 8);
        records.push((Key::Holding(of, AssetId(id)), Record::Holding { amount: 1 }));
    }
    let mut trie = Trie::new();
    trie.update(records.into_iter().map(|(key, record)| (key, Some(record))));
    let all = shown(&trie, &[page(of, None, usize::MAX)]).holdings(&of, None).unwrap();
    assert!(all.is_complete && all.held == trie.holdings(&of, usize::MAX) && all.held.len() == 256);
}

/// An address whose path has this bit.
fn on_side(split: u16, side: bool) -> Address {
    (0..).map(owner).find(|address| bit(&Key::Account(*address).path(), split) == side).unwrap()
}

fn leaf(address: Address) -> Vec<u8> {
    let value = record::encode(&Key::Account(address), &Record::Account { balance: 1, nonce: 0 }).unwrap();
    [&[TAG_LEAF, 49], &value[..]].concat()
}

fn inner(split: u16, left: &[u8], right: &[u8]) -> Vec<u8> {
    [&[TAG_INNER], &split.to_le_bytes()[..], left, right].concat()
}

#[test]
fn each_rule_of_excerpts_has_its_error() {
    let hidden = [&[TAG_HIDDEN], &[9; 32][..]].concat();
    let (zero, one) = (leaf(on_side(0, false)), leaf(on_side(0, true)));
    let coins = [&[TAG_LEAF, 73, 2], &[1; 32][..], &[0; 32], &[1; 8]].concat();
    let cases: Vec<(Vec<u8>, ExcerptError)> = vec![
        (vec![3], ExcerptError::UnknownTag { tag: 3 }),
        (vec![TAG_LEAF, 3, 1, 2, 3], ExcerptError::MalformedLeaf),
        (coins, ExcerptError::MalformedLeaf),
        (inner(512, &zero, &hidden), ExcerptError::SplitOutOfRange { split: 512 }),
        (inner(5, &inner(5, &zero, &one), &hidden), ExcerptError::SplitNotIncreasing { split: 5 }),
        (inner(5, &inner(4, &zero, &one), &hidden), ExcerptError::SplitNotIncreasing { split: 4 }),
        (inner(0, &one, &hidden), ExcerptError::LeafElsewhere { split: 0 }),
        (inner(0, &hidden, &zero), ExcerptError::LeafElsewhere { split: 0 }),
        (inner(0, &hidden, &hidden), ExcerptError::NothingShown),
        (hidden.clone(), ExcerptError::NothingShown),
    ];
    for (bytes, error) in cases {
        assert_eq!(Excerpt::from_bytes(&bytes), Err(error));
    }
    assert!(Excerpt::from_bytes(&inner(0, &zero, &one)).is_ok());
    // Right in each turn, but the two part above the split that is said to part them.
    let pair = (0..64).map(owner).filter(|a| !bit(&Key::Account(*a).path(), 9));
    let other = (0..64).map(owner).find(|b| {
        let path = Key::Account(*b).path();
        bit(&path, 9) && bit(&path, 0)
    });
    let left = pair.into_iter().find(|a| !bit(&Key::Account(*a).path(), 0)).unwrap();
    let disagreeing = inner(9, &leaf(left), &leaf(other.unwrap()));
    assert_eq!(Excerpt::from_bytes(&disagreeing), Err(ExcerptError::LeavesDisagree { split: 9 }));
}

/// Two addresses whose paths have their first 46 bits in common, found by search: what is held under one
/// is never taken for the other's.
#[test]
fn neighbours_are_told_apart_by_the_last_bit_in_which_they_differ() {
    let numbered = |number: u64| {
        let mut address = [0; 32];
        address[..8].copy_from_slice(&number.to_le_bytes());
        Address(address)
    };
    let (one, other) = (numbered(2_987_698), numbered(3_073_243));
    assert_eq!(first_difference(&Key::Account(one).path(), &Key::Account(other).path()), 46);
    let held = |of, amount| {
        (1..4).map(move |asset| (Key::Holding(of, AssetId([asset; 32])), Some(Record::Holding { amount })))
    };
    let mut trie = sample();
    trie.update(held(other, 2));
    let nothing = Page { held: Vec::new(), is_complete: true };
    assert_eq!(shown(&trie, &[page(one, None, usize::MAX)]).holdings(&one, None), Ok(nothing));
    trie.update(held(one, 1));
    for (of, amount) in [(one, 1), (other, 2)] {
        for limit in [1, 2, 3, usize::MAX] {
            let shown = shown(&trie, &[page(of, None, limit)]).holdings(&of, None).unwrap();
            let expected: Vec<(AssetId, u64)> =
                (1..4).take(limit).map(|asset| (AssetId([asset; 32]), amount)).collect();
            assert_eq!(shown.held, expected);
            assert_eq!(shown.held, trie.holdings(&of, limit));
        }
    }
}
