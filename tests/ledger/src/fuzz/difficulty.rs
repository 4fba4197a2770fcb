//! Bits, targets, work, and the difficulty formula: canonical forms are unique, work is the quotient that
//! it is defined as, the formula keeps to its bounds and never makes a later block harder. Must not
//! know headers.

use steelyard_core::asert::{Anchor, next_target};
use steelyard_core::params::{HALF_LIFE_MS_MAX, LIMIT_BITS_MAX, SPACING_MS_MAX, TARGET_FLOOR_SHIFT};
use steelyard_core::work::{U256, U512, from_bits, to_bits, work_of};

use super::input::Input;

/// The target.
pub fn difficulty(input: &[u8]) {
    let mut input = Input::new(input);
    let bits = input.u32();
    if let Ok(target) = from_bits(bits) {
        assert!(to_bits(target) == bits && !target.is_zero());
        work(target);
    }
    target_and_bits(U256::from_little_endian(&input.array::<32>()) >> usize::from(input.u8()));
    formula(&mut input);
}

fn target_and_bits(target: U256) {
    work(target);
    let bits = to_bits(target);
    let limit = from_bits(LIMIT_BITS_MAX).expect("the limit is canonical");
    if target.is_zero() || target > limit {
        return;
    }
    let expanded = from_bits(bits).expect("what is written is canonical");
    assert!(expanded <= target, "rounded up");
    // Less than a unit of the mantissa is lost, which has 16 bits at least.
    assert!(target - expanded <= target >> 15, "{target} became {expanded}");
}

/// floor(2^256 / (target + 1)), by its definition.
fn work(target: U256) {
    let wide = |number: U256| U512::from_little_endian(&number.to_little_endian());
    let (all, divisor) = (U512::one() << 256, wide(target) + U512::one());
    let expected = all / divisor;
    let work = work_of(target);
    assert_eq!(work.map(U512::from), (expected.bits() <= 128).then_some(expected), "target {target}");
}

/// With start and limit as a network may have them, and any times and heights.
fn formula(input: &mut Input<'_>) {
    let floor = U256::one() << TARGET_FLOOR_SHIFT;
    let easiest = from_bits(LIMIT_BITS_MAX).expect("the limit is canonical");
    let limit = from_bits(input.u32()).unwrap_or(easiest).clamp(floor, easiest);
    let target = from_bits(input.u32()).unwrap_or(limit).clamp(floor, limit);
    let (spacing, half_life) = (1 + input.u64() % SPACING_MS_MAX, 1 + input.u64() % HALF_LIFE_MS_MAX);
    let anchor = Anchor { target, spacing, half_life, floor, limit };
    let (elapsed, blocks, later) = (i128::from(input.u64()), input.u64(), i128::from(input.u64()));
    let next = next_target(&anchor, elapsed, blocks);
    assert!((floor..=limit).contains(&next));
    assert!(next_target(&anchor, elapsed + later, blocks) >= next, "later is harder");
    assert!(next_target(&anchor, elapsed, blocks.saturating_add(1)) <= next, "a block more is easier");
    let on_schedule = i128::from(spacing) * i128::from(blocks);
    assert_eq!(next_target(&anchor, on_schedule, blocks), target);
    let doubled = next_target(&anchor, on_schedule + i128::from(half_life), blocks);
    assert_eq!(doubled, (target << 1).min(limit), "a half-life late");
    let bits = to_bits(next);
    assert!(from_bits(bits).is_ok_and(|expanded| expanded <= next && work_of(expanded).is_some()));
}
