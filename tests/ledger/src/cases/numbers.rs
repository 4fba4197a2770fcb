//! Cases of targets, difficulty and rewards. Must not know headers.

use serde_json::{Value, json};
use steelyard_core::consensus::header::child_bits;
use steelyard_core::params::{HALF_LIFE_MS_MAX, LIMIT_BITS_MAX, Params, SPACING_MS_MAX, TARGET_FLOOR_SHIFT};
use steelyard_core::work::{U256, from_bits, to_bits, work_of};

use super::draw::{edge, hash, one_in, pick};
use super::{Case, Source};
use crate::random::Random;

pub(super) fn bits(source: &mut Source) -> Case {
    let bits = any_bits(&mut source.random);
    let inputs = json!({ "bits": bits });
    match from_bits(bits) {
        Err(_) => Case::new("bits", "refused", inputs, Value::Null),
        Ok(target) => {
            let work = work_of(target).map(|work| work.to_string());
            let sort = if work.is_some() { "accepted" } else { "work_too_large" };
            Case::new("bits", sort, inputs, json!({ "target": hex32(target), "work": work }))
        }
    }
}

pub(super) fn target(source: &mut Source) -> Case {
    let target = any_target(&mut source.random);
    let bits = to_bits(target);
    let sort = if from_bits(bits) == Ok(target) { "exact" } else { "truncated" };
    Case::new("target", sort, json!({ "target": hex32(target) }), json!({ "bits": bits }))
}

/// Compact bits of every shape, mostly near what is canonical.
pub(super) fn any_bits(random: &mut Random) -> u32 {
    match random.below(5) {
        0 => random.number() as u32,
        1 => to_bits(any_target(random)),
        2 => {
            let apart = [1, u32::MAX, 0x0100_0000, 0xff00_0000, 0x0080_0000];
            to_bits(any_target(random)).wrapping_add(*pick(random, &apart))
        }
        3 => {
            let mantissas =
                [0, 1, 0x7f, 0x80, 0xff, 0x0100, 0x7fff, 0x8000, 0xffff, 0x01_0000, 0x7f_ffff, 0x80_0000];
            let exponent = random.below(36) as u32;
            exponent << 24 | *pick(random, &mantissas)
        }
        _ => *pick(random, &[0x207f_ffff, 0x2100_ffff, 0x2080_0000, 0x1d00_ffff, 0, u32::MAX, 0x0300_8000]),
    }
}

/// A target of any magnitude.
fn any_target(random: &mut Random) -> U256 {
    let any = U256::from_big_endian(&hash(random));
    let place = random.place(256);
    match random.below(4) {
        0 => *pick(random, &[U256::zero(), U256::one(), U256::MAX]),
        1 => (U256::one() << place).overflowing_add(*pick(random, &[U256::zero(), U256::one(), U256::MAX])).0,
        // At most three bytes that are not zero: exact.
        2 => U256::from(any.low_u32() & 0x7f_ffff) << (place / 8 * 8).min(232),
        _ => any >> place,
    }
}

/// Canonical start bits from the floor to the limit.
fn start_below(random: &mut Random, limit: U256) -> u32 {
    let floor = U256::one() << TARGET_FLOOR_SHIFT;
    let target = match random.below(4) {
        0 => limit,
        1 => floor,
        _ => (limit >> random.place(97)).max(floor),
    };
    let mixed = target >> 1usize | (U256::from_big_endian(&hash(random)) >> (257 - target.bits()).min(255));
    let bits = to_bits(mixed.clamp(floor, limit));
    if one_in(random, 3) { to_bits(target) } else { bits }
}

pub(super) fn asert(source: &mut Source) -> Case {
    let random = &mut source.random;
    let spacing = match random.below(4) {
        0 => 1 + random.below(SPACING_MS_MAX),
        _ => *pick(random, &[1, 2, 1_000, 30_000, SPACING_MS_MAX]),
    };
    let half_life = match random.below(6) {
        0 => *pick(random, &[0, 1, 2, 3, HALF_LIFE_MS_MAX - 1, HALF_LIFE_MS_MAX]),
        1 => 1 + random.below(HALF_LIFE_MS_MAX),
        2 => 1 + (random.below(HALF_LIFE_MS_MAX) >> random.below(40)),
        _ => (spacing * 288).min(HALF_LIFE_MS_MAX),
    };
    let limit_bits =
        if one_in(random, 4) { start_below(random, U256::MAX >> 1usize) } else { LIMIT_BITS_MAX };
    let start_bits = start_below(random, from_bits(limit_bits).expect("canonical"));
    let height = match random.below(5) {
        0 => *pick(random, &[1, 2, 3, 1 << 63, (1 << 63) - 1, u64::MAX]),
        1 => edge(random).max(1),
        _ => 1 + (random.number() >> (34 + random.below(30))),
    };
    let intended = i128::from(spacing) * i128::from(height - 1);
    let elapsed = match random.below(8) {
        0 => edge(random),
        1 => clamped(intended + i128::from(random.below(5)) - 2),
        _ => {
            // So many half-lives, in parts of 65,536 as the formula counts them, from the schedule.
            let parts = i128::from(random.below(220 << 16) >> random.below(24));
            let apart = i128::from(half_life) * parts / 65_536 + i128::from(random.below(3)) - 1;
            clamped(if one_in(random, 2) { intended + apart } else { intended - apart })
        }
    };
    let params =
        Params { spacing, half_life, drift: 0, start_bits, limit_bits, ..Params::new_network("cases", 0, 1) };
    assert_eq!(params.check(), Ok(()));
    let bits = child_bits(&params, height, elapsed);
    let inputs = json!({
        "spacing": spacing.to_string(), "half_life": half_life.to_string(), "start_bits": start_bits,
        "limit_bits": limit_bits, "height": height.to_string(), "elapsed": elapsed.to_string(),
    });
    Case::new("asert", asert_sort(&params, bits), inputs, json!({ "bits": bits }))
}

fn asert_sort(params: &Params, bits: u32) -> &'static str {
    let target = |bits| from_bits(bits).expect("canonical");
    match target(bits).cmp(&target(params.start_bits)) {
        _ if params.half_life == 0 => "constant",
        _ if bits == params.limit_bits => "limit",
        _ if target(bits) == U256::one() << TARGET_FLOOR_SHIFT => "floor",
        std::cmp::Ordering::Less => "harder",
        std::cmp::Ordering::Equal => "as_at_start",
        std::cmp::Ordering::Greater => "easier",
    }
}

fn clamped(number: i128) -> u64 {
    u64::try_from(number.max(0)).unwrap_or(u64::MAX)
}

pub(super) fn reward(source: &mut Source) -> Case {
    let random = &mut source.random;
    let initial = match random.below(3) {
        0 => 1_000_000_000,
        _ => edge(random),
    };
    // Of nothing else a unit is left for the last halving.
    let is_last = one_in(random, 20);
    let initial = if is_last { 1 << 63 } else { initial };
    let interval = match random.below(4) {
        _ if is_last => 1,
        0 => edge(random),
        1 => *pick(random, &[0, 0, 1, 2, 210_000, 2_102_400]),
        _ => 1 + random.below(1 << 20),
    };
    let allocated = if is_last || one_in(random, 2) { 0 } else { edge(random) };
    let height = match random.below(4) {
        0 => edge(random),
        1 => random.below(100),
        _ => clamped(i128::from(interval) * i128::from(random.below(67)) + i128::from(random.below(4)) - 1),
    };
    let allocations =
        if allocated == 0 { Vec::new() } else { vec![(steelyard_core::hash::Address([1; 32]), allocated)] };
    let params = Params {
        reward: initial,
        halving_interval: interval,
        allocations,
        ..Params::new_network("cases", 0, 30_000)
    };
    let (reward, supply) = (params.reward(height), params.supply(height));
    let sort = match (reward, supply) {
        (0, u64::MAX) => "nothing_left_to_make",
        (_, u64::MAX) => "all_that_is_left",
        (0, _) => "nothing",
        _ if reward < initial => "halved",
        _ => "whole",
    };
    let inputs = json!({
        "initial": initial.to_string(), "interval": interval.to_string(),
        "allocated": allocated.to_string(), "height": height.to_string(),
    });
    let out = json!({ "reward": reward.to_string(), "supply": supply.to_string() });
    Case::new("reward", sort, inputs, out)
}

/// A number as its 32 bytes, most significant first.
pub(super) fn hex32(number: U256) -> String {
    hex::encode(number.to_big_endian())
}
