//! Bytes and values are one to one, and no byte can be changed unnoticed.

use sha2::{Digest, Sha256};

use steelyard_core::consensus::pow;
use steelyard_core::consensus::transaction::shape;
use steelyard_core::hash::Domain;
use steelyard_core::types::body::{Body, Coinbase};
use steelyard_core::types::header::{HEADER_BYTES, Header};
use steelyard_core::types::transaction::{Transaction, full_id};
use steelyard_core::work::{U256, from_bits, to_bits, work_of};
use steelyard_ledger::chain::Chain;
use steelyard_ledger::random::Random;
use steelyard_ledger::story::Story;

const BODY_MAX: usize = 1 << 21;

/// Transactions of every kind, as they stand in blocks.
fn transactions(random: Random) -> (Chain, Vec<Vec<u8>>) {
    let mut story = Story::new(random);
    let mut chain = Story::chain();
    story.go_on(&mut chain, 20);
    let items = chain.blocks().flat_map(|block| block.body.items[1..].to_vec()).collect();
    (chain, items)
}

/// Any other value for a byte.
fn other(random: &mut Random, byte: u8) -> u8 {
    byte ^ u8::try_from(1 + random.below(255)).unwrap()
}

#[test]
fn no_byte_of_a_transaction_can_be_changed() {
    let mut random = Random::for_test(31);
    let (chain, items) = transactions(random.clone());
    let mut tried = 0;
    for bytes in items.iter().filter(|bytes| bytes.len() < 2_000).take(25) {
        let whole = Transaction::from_bytes(bytes).unwrap();
        assert_eq!(whole.to_bytes(), *bytes);
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] = other(&mut random, bytes[place]);
            assert_ne!(full_id(&changed), full_id(bytes));
            if let Ok(tx) = Transaction::from_bytes(&changed) {
                assert_eq!(tx.to_bytes(), changed);
                // The id is of the body alone: it stays where only who signed was changed.
                assert_eq!(tx.body.id() == whole.body.id(), tx.body == whole.body);
            }
            let verdict = shape(&chain.network(), &changed).and_then(|shaped| shaped.verify());
            assert!(verdict.is_err(), "byte {place}");
            tried += 1;
        }
        for cut in 0..bytes.len() {
            assert!(Transaction::from_bytes(&bytes[..cut]).is_err());
        }
        assert!(Transaction::from_bytes(&[bytes, &[0][..]].concat()).is_err());
    }
    assert!(tried > 5_000, "{tried}");
}

#[test]
fn no_byte_of_a_body_can_be_changed() {
    let mut random = Random::for_test(32);
    let (chain, _) = transactions(random.clone());
    for block in chain.blocks() {
        let bytes = block.body.to_bytes();
        assert_eq!(Body::from_bytes(&bytes, BODY_MAX).as_ref(), Ok(&block.body));
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] = other(&mut random, bytes[place]);
            if let Ok(body) = Body::from_bytes(&changed, BODY_MAX) {
                assert_eq!(body.to_bytes(), changed);
                assert_ne!(body.root(), block.header.body_root, "byte {place}");
            }
        }
    }
}

/// Not only bytes: items dropped, repeated, swapped, moved across the seam between two.
#[test]
fn no_item_of_a_body_can_be_moved() {
    let (chain, _) = transactions(Random::for_test(33));
    for block in chain.blocks() {
        let items = &block.body.items;
        let mut others: Vec<Vec<Vec<u8>>> = Vec::new();
        for place in 0..items.len() {
            let mut without = items.clone();
            without.remove(place);
            others.push(without);
            let mut twice = items.clone();
            twice.insert(place, items[place].clone());
            others.push(twice);
            if place > 0 {
                let mut swapped = items.clone();
                swapped.swap(place - 1, place);
                others.push(swapped);
                let mut joined = items.clone();
                let tail = joined.remove(place);
                joined[place - 1].extend(tail);
                others.push(joined);
            }
        }
        others.push([&items[..], &[vec![]]].concat());
        for items in others {
            assert_ne!(Body { items }.root(), block.header.body_root);
        }
    }
}

/// All other values of every byte.
#[test]
fn no_byte_of_a_header_can_be_changed() {
    let (mut chain, _) = transactions(Random::for_test(34));
    chain.mine(1);
    let block = chain.undo().unwrap();
    let bytes = block.header.to_bytes();
    let (id, work_hash) = (block.header.id(), block.header.pow_hash());
    let mut accepted = 0;
    for place in 0..HEADER_BYTES {
        for difference in 1..=u8::MAX {
            let mut changed = bytes;
            changed[place] ^= difference;
            let header = Header::from_bytes(&changed);
            assert_eq!(header.to_bytes(), changed);
            assert!(header.id() != id && header.pow_hash() != work_hash, "byte {place}");
            let mut other = block.clone();
            other.header = header;
            let is_miners = header == Header { time: header.time, nonce: header.nonce, ..block.header };
            let is_valid = chain.check_and_connect(&other).is_ok();
            assert!(is_miners || !is_valid, "only time and nonce are a miner's choice: byte {place}");
            accepted += usize::from(is_valid);
        }
    }
    // Another nonce or time with proof of work is another right block: half of them, where
    // a block takes two tries.
    assert!((1_000..3_000).contains(&accepted), "{accepted}");
}

/// All other values of every byte of one transaction: another full id, and another id but where
/// only who signed was changed. Signatures of what still has the right form are checked for some.
#[test]
fn no_value_of_a_byte_of_a_transaction_is_as_good_as_its_own() {
    let mut random = Random::for_test(39);
    let (chain, items) = transactions(random.clone());
    let bytes = items.iter().filter(|item| item.len() > 340).min_by_key(|item| item.len()).unwrap();
    let whole = Transaction::from_bytes(bytes).unwrap();
    let (mut shaped_still, mut checked) = (0, 0);
    for (place, byte) in bytes.iter().enumerate() {
        for difference in 1..=u8::MAX {
            let mut changed = bytes.clone();
            changed[place] = byte ^ difference;
            assert_ne!(full_id(&changed), full_id(bytes), "byte {place}");
            let Ok(shaped) = shape(&chain.network(), &changed) else { continue };
            shaped_still += 1;
            let tx = Transaction::from_bytes(&changed).unwrap();
            assert_eq!(tx.to_bytes(), changed);
            assert_eq!(shaped.id() == whole.body.id(), tx.body == whole.body, "byte {place}");
            if random.below(64) == 0 {
                assert!(shaped.verify().is_err(), "byte {place}");
                checked += 1;
            }
        }
    }
    println!(
        "{} bytes: {shaped_still} changes have the right form, {checked} signatures checked",
        bytes.len()
    );
    assert!(checked > 300, "{checked}");
}

/// All other values of every byte of a small body.
#[test]
fn no_value_of_a_byte_of_a_body_has_its_root() {
    let (chain, _) = transactions(Random::for_test(40));
    let with_txs = chain.blocks().filter(|block| block.body.items.len() > 1);
    let block = with_txs.min_by_key(|block| block.body.block_bytes()).unwrap();
    let bytes = block.body.to_bytes();
    let mut read = 0;
    for place in 0..bytes.len() {
        for difference in 1..=u8::MAX {
            let mut changed = bytes.clone();
            changed[place] ^= difference;
            if let Ok(body) = Body::from_bytes(&changed, BODY_MAX) {
                assert_ne!(body.root(), block.header.body_root, "byte {place}");
                read += 1;
            }
        }
    }
    assert!(read > 50_000, "{read}");
}

#[test]
fn random_headers_coinbases_and_rubbish() {
    let mut random = Random::for_test(35);
    let (mut read, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let count = random.place(200);
        let rubbish = random.bytes(count);
        let results = [
            Transaction::from_bytes(&rubbish).map(|tx| tx.to_bytes()),
            Coinbase::from_bytes(&rubbish).map(|coinbase| coinbase.to_bytes()),
            Body::from_bytes(&rubbish, BODY_MAX).map(|body| body.to_bytes()),
        ];
        for result in results {
            match result {
                Ok(bytes) => {
                    assert_eq!(bytes, rubbish);
                    read += 1;
                }
                Err(_) => refused += 1,
            }
        }
    }
    println!("{read} read, {refused} refused");
}

#[test]
fn compact_bits_are_the_largest_target_not_above() {
    let mut random = Random::for_test(36);
    for _ in 0..50_000 {
        let target = U256::from_little_endian(&random.bytes(32)) >> random.place(224);
        let bits = to_bits(target);
        // A top byte of 33 cannot be expanded, nor is it needed: no limit is that easy.
        if target.is_zero() || target > from_bits(0x207f_ffff).unwrap() {
            continue;
        }
        let back = from_bits(bits).unwrap();
        assert!(back <= target && to_bits(back) == bits);
        let next =
            if bits & 0x00ff_ffff == 0x007f_ffff { ((bits >> 24) + 1) << 24 | 0x8000 } else { bits + 1 };
        assert!(from_bits(next).map_or(true, |next| next > target), "{bits:#x}");
        assert!(work_of(back) >= work_of(target));
    }
}

/// Of any header the search accepts exactly what the rule accepts.
#[test]
fn the_search_and_the_rule_agree() {
    let mut random = Random::for_test(37);
    for _ in 0..50 {
        let header = Header::from_bytes(&random.bytes(HEADER_BYTES).try_into().unwrap());
        let target = U256::MAX >> random.place(9);
        let from = random.number();
        let by_rule = (0..4_000)
            .map(|step| from.wrapping_add(step))
            .find(|nonce| Header { nonce: *nonce, ..header }.pow_hash() <= target);
        assert_eq!(pow::search(&header, target, from, 4_000), by_rule);
    }
}

/// BIP 340's definition of a tagged hash, at every length around the blocks of SHA-256, the
/// message whole or in parts.
#[test]
fn tagged_hashes_are_those_of_bip340() {
    let mut random = Random::for_test(38);
    for length in 0..300 {
        let message = random.bytes(length);
        let tag = Sha256::digest(Domain::StateLeaf.tag());
        let expected: [u8; 32] = Sha256::digest([&tag, &tag, &message[..]].concat()).into();
        assert_eq!(Domain::StateLeaf.hash(&[&message]), expected);
        let (one, two) = message.split_at(random.place(length + 1));
        let (two, three) = two.split_at(random.place(two.len() + 1));
        assert_eq!(Domain::StateLeaf.hash(&[one, two, &[], three]), expected);
    }
}
