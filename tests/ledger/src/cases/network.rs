//! Cases of network parameters. Must not know files.

use serde_json::{Value, json};
use steelyard_core::hash::Address;
use steelyard_core::params::{
    BLOCK_BYTES_LEAST, BLOCK_BYTES_LIMIT, HALF_LIFE_MS_MAX, LIMIT_BITS_MAX, Params, SPACING_MS_MAX,
};

use super::draw::{amount, edge, few, hash, one_in, pick};
use super::numbers::any_bits;
use super::{Case, Source};
use crate::random::Random;

pub(super) fn params(source: &mut Source) -> Case {
    let random = &mut source.random;
    let mut params = right(random);
    if one_in(random, 2) {
        for _ in 0..1 + few(random, 1) {
            disturb(random, &mut params);
        }
    }
    let inputs = json!({ "params": to_json(&params) });
    match params.check() {
        Err(error) => Case::new("params", error.parameter, inputs, Value::Null),
        Ok(()) => {
            let genesis = params.genesis();
            let header = hex::encode(genesis.header.to_bytes());
            let out = json!({ "hash": params.hash(), "genesis": header, "id": genesis.id });
            Case::new("params", "accepted", inputs, out)
        }
    }
}

/// The parameters as cases hold them.
#[must_use]
pub fn to_json(params: &Params) -> Value {
    let allocations: Vec<_> =
        params.allocations.iter().map(|(address, amount)| json!([address, amount.to_string()])).collect();
    json!({
        "name": params.name, "prefix": params.prefix,
        "genesis_time": params.genesis_time.to_string(), "spacing": params.spacing.to_string(),
        "half_life": params.half_life.to_string(), "drift": params.drift.to_string(),
        "limit_bits": params.limit_bits, "start_bits": params.start_bits,
        "reward": params.reward.to_string(), "halving_interval": params.halving_interval.to_string(),
        "block_bytes_max": params.block_bytes_max.to_string(),
        "block_txs_max": params.block_txs_max.to_string(),
        "new_records_max": params.new_records_max.to_string(),
        "allocations": allocations,
    })
}

/// Parameters within their bounds, often at them.
fn right(random: &mut Random) -> Params {
    let drift = if one_in(random, 3) { edge(random) >> 30 } else { random.below(200_000) };
    let shortest = drift.saturating_mul(72);
    let half_life = match random.below(3) {
        _ if shortest > HALF_LIFE_MS_MAX => 0,
        0 => 0,
        1 => *pick(random, &[shortest, HALF_LIFE_MS_MAX]),
        _ => shortest + random.below(HALF_LIFE_MS_MAX - shortest + 1),
    };
    let limit_bits = *pick(random, &[LIMIT_BITS_MAX, LIMIT_BITS_MAX, 0x2000_ffff, 0x1d00_ffff]);
    let start_bits = *pick(random, &[limit_bits, 0x1d00_ffff, 0x1c7f_ffff, 0x1501_0000, 0x1b04_04cb]);
    let count = few(random, 6);
    let mut allocations: Vec<_> = (0..count).map(|_| (Address(hash(random)), amount(random) >> 3)).collect();
    allocations.retain(|(_, amount)| *amount > 0);
    allocations.sort();
    allocations.dedup_by_key(|(address, _)| *address);
    let names = ["x", "dev", "class-7", "0", "-", "a-network-of-thirty-two-letters-"];
    let prefixes = ["sy", "a", "abcdefghij", "zzz"];
    Params {
        name: (*pick(random, &names)).to_owned(),
        prefix: (*pick(random, &prefixes)).to_owned(),
        genesis_time: edge(random),
        spacing: *pick(random, &[1, 1_000, 30_000, SPACING_MS_MAX]),
        half_life,
        drift,
        limit_bits,
        start_bits,
        reward: edge(random),
        halving_interval: edge(random),
        block_bytes_max: *pick(random, &[BLOCK_BYTES_LEAST, 2_097_152, BLOCK_BYTES_LIMIT]),
        block_txs_max: edge(random),
        new_records_max: edge(random).max(1),
        allocations,
        ..Params::new_network("x", 0, 1)
    }
}

/// Moves one parameter to an edge or over it.
fn disturb(random: &mut Random, params: &mut Params) {
    let names = ["", "A", "a_b", "a-network-of-thirty-three-letters", "é", "a b", "a\n", "Dev", "ok"];
    let prefixes = ["", "sy1", "SY", "abcdefghijk", "s-y", "é", "s y", "ok"];
    match random.below(11) {
        0 => params.name = (*pick(random, &names)).to_owned(),
        1 => params.prefix = (*pick(random, &prefixes)).to_owned(),
        2 => params.spacing = *pick(random, &[0, 1, SPACING_MS_MAX, SPACING_MS_MAX + 1, u64::MAX]),
        3 => {
            let shortest = params.drift.saturating_mul(72);
            let moved = [1, shortest.saturating_sub(1), shortest, HALF_LIFE_MS_MAX + 1, u64::MAX];
            params.half_life = *pick(random, &moved);
        }
        4 => params.drift = edge(random),
        5 => params.start_bits = any_bits(random),
        6 => params.limit_bits = any_bits(random),
        7 => {
            let (least, most) = (BLOCK_BYTES_LEAST, BLOCK_BYTES_LIMIT);
            params.block_bytes_max = *pick(random, &[0, least - 1, least, most, most + 1, u64::MAX]);
        }
        8 => params.new_records_max = random.below(2),
        9 => (params.start_bits, params.limit_bits) = (params.limit_bits, params.start_bits),
        _ => disturb_allocations(random, &mut params.allocations),
    }
}

fn disturb_allocations(random: &mut Random, allocations: &mut Vec<(Address, u64)>) {
    if allocations.is_empty() {
        allocations.push((Address(hash(random)), 1));
    }
    let at = random.place(allocations.len());
    match random.below(5) {
        0 => allocations[at].1 = 0,
        1 => allocations.insert(at, allocations[at]),
        2 => allocations.reverse(),
        3 => {
            // The sum at its bound or one above it.
            allocations[at].1 = 0;
            let others = allocations.iter().fold(0u64, |sum, (_, amount)| sum.saturating_add(*amount));
            allocations[at].1 = u64::MAX - others + random.below(2).min(others);
        }
        _ => {
            let to = random.place(allocations.len());
            allocations.swap(at, to);
        }
    }
}
