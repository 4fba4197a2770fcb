//! The first inputs of each target: what the known world holds, and choices that lead somewhere. The
//! same in every run. Inputs from real traffic and those that a fuzzer found stand beside them. Must not
//! know files.

use steelyard_core::address;
use steelyard_core::hash::Address;
use steelyard_core::state::excerpt::Wanted;
use steelyard_core::state::{Proof, record};
use steelyard_core::types::header::{HEADER_BYTES, Header};

use super::world::{World, world};
use crate::random::Random;

/// Most bytes of choices.
const CHOICES_MAX: usize = 90;

/// An input and the target that it is for.
pub type Seed = (&'static str, Vec<u8>);

/// All of them.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let (world, mut random) = (world(), Random::new(0xf022));
    let mut seeds = texts(world);
    seeds.extend(chain(world));
    seeds.extend(state(world));
    for target in
        ["block", "proof", "excerpt", "light_tip", "light_found", "transaction", "header", "difficulty"]
    {
        seeds.extend((0..16).map(|number| (target, choices(&mut random, number))));
    }
    for bit in 0..16 {
        // One field is not what it should be, by one.
        let fields = (1u16 << bit).to_le_bytes();
        seeds.push(("header", [&[bit % 2, 3, 0][..], &fields, &[1; HEADER_BYTES]].concat()));
        seeds.push(("policy", vec![1 + bit % 3, 3, bit % 3, bit, 0, bit, 0, 2, 0]));
    }
    seeds.extend((1..=24).map(|number| ("block", honest_block(&mut random, 1 + number % 8))));
    seeds.sort();
    seeds.dedup();
    seeds
}

/// Small numbers mostly, as choices are.
fn choices(random: &mut Random, number: u64) -> Vec<u8> {
    let count = 8 + random.place(CHOICES_MAX - 8);
    let small = |random: &mut Random| u8::try_from(random.below(8)).unwrap();
    let any = |random: &mut Random| u8::try_from(random.below(256)).unwrap();
    (0..count).map(|_| if random.below(2 + number) == 0 { any(random) } else { small(random) }).collect()
}

/// A block of so many transactions that are valid, as [`super::block`] and [`super::made`] read choices.
fn honest_block(random: &mut Random, txs: u64) -> Vec<u8> {
    // Nothing wrong; time u16, miner, no extra bytes.
    let mut choices = vec![0, 9, 1, u8::try_from(random.below(8)).unwrap(), 0];
    for _ in 0..txs {
        let some = |random: &mut Random| u8::try_from(1 + random.below(30)).unwrap();
        // An item that is made; actor u16, its next nonce, fee, no expiry, a memo of one byte.
        let actor = u8::try_from(random.below(4)).unwrap();
        choices.extend([4, actor, 0, 0, some(random), 0, 1, b'm']);
        let (coins, to) = (7, some(random) % 8);
        // Actors 0 and 1 have something of assets 0 and 1.
        match (random.below(5), actor) {
            (0, _) => choices.extend([0, some(random), 0]),
            (1, 0) => choices.extend([1, 0, some(random)]),
            (2, 0 | 1) => choices.extend([2, actor, some(random)]),
            (3, 0 | 1) => choices.extend([3, 1, actor, to, some(random), coins, to, some(random)]),
            _ => choices.extend([3, 0, coins, to, some(random)]),
        }
        // The first key signs.
        choices.extend([0, 0]);
    }
    choices
}

fn texts(world: &World) -> Vec<Seed> {
    let mut seeds = Vec::new();
    for actor in &world.actors {
        let text = address::format("dsy", &actor.address);
        seeds.push(("address", text.to_ascii_uppercase().into_bytes()));
        seeds.push(("address", text.into_bytes()));
        seeds.push(("address", actor.address.0.to_vec()));
        seeds.push(("address", [&actor.address.0[..], &[0; 20]].concat()));
        seeds.push(("policy", actor.policy.to_bytes()));
    }
    seeds.push(("address", address::format("tsy", &world.actors[0].address).into_bytes()));
    for text in
        ["0", "12.5", "184467440737.09551615", "184467440737.09551616", "0.000000001", "00.50", "1.", "-1"]
    {
        for decimals in [0, 2, 8, 18, 255] {
            seeds.push(("amount", [&[decimals], text.as_bytes()].concat()));
        }
    }
    seeds
}

fn chain(world: &World) -> Vec<Seed> {
    let mut seeds = Vec::new();
    for block in world.chain.blocks() {
        seeds.push(("body", block.body.to_bytes()));
        seeds.push(("coinbase", block.body.items[0].clone()));
        seeds.extend(block.body.items[1..].iter().map(|item| ("transaction", item.clone())));
        seeds.push(("header", header(0, 0, &block.header)));
    }
    for (parent, block) in (0u16..).zip(world.moving.blocks()) {
        seeds.push(("header", header(1, parent, &block.header)));
    }
    seeds
}

/// Which chain, which parent, every field but the nonce.
fn header(chain: u8, parent: u16, header: &Header) -> Vec<u8> {
    [&[chain], &parent.to_le_bytes()[..], &0x03ff_u16.to_le_bytes(), &header.to_bytes()].concat()
}

fn state(world: &World) -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (place, key) in (0u16..).zip(&world.keys).step_by(9) {
        let proof: Proof = world.state.prove(key);
        seeds.push(("proof", [&[1], &place.to_le_bytes()[..], &proof.to_bytes()].concat()));
        if let Some(found) = world.state.get(key) {
            let mut bytes = record::encode(key, found).expect("of the key's kind");
            seeds.push(("record", bytes.clone()));
            // The last byte of an asset is yes or no.
            *bytes.last_mut().expect("a record has bytes") = 2;
            seeds.push(("record", bytes));
        }
    }
    for limit in [3, 40] {
        let holdings = Wanted::Holdings { of: Address([0x11; 32]), after: None, limit };
        let excerpt = world.state.excerpt(&[Wanted::Record(world.keys[limit]), holdings]);
        seeds.push(("excerpt", [&[1][..], &excerpt.to_bytes()].concat()));
    }
    seeds
}
