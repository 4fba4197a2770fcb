//! ASERT, the difficulty formula: aserti3-2d arithmetic
//! (<https://reference.cash/protocol/forks/2020-11-15-asert>), whose published vectors pass
//! through [`next_target`] unchanged. Must not know headers, clocks or networks.
//!
//! Two pitfalls: the exponent is divided truncating toward zero and only then shifted
//! arithmetically (floor division fails three of four vectors), and the cubic needs u64.

use crate::work::{U256, U512};

/// What the formula is anchored to, all constant for a network.
#[derive(Clone, Copy, Debug)]
pub struct Anchor {
    /// Target of the anchor.
    pub target: U256,
    /// Intended milliseconds (or seconds: any one unit) from block to block.
    pub spacing: u64,
    /// Delay that doubles the target, in the unit of `spacing`. Above zero.
    pub half_life: u64,
    /// Smallest target, at least 1.
    pub floor: U256,
    /// Largest target.
    pub limit: U256,
}

/// Target of the block that follows, when `elapsed` has passed since the anchor's parent in
/// which `blocks` times the spacing was intended.
#[must_use]
pub fn next_target(anchor: &Anchor, elapsed: i128, blocks: u64) -> U256 {
    // Saturating only where the bounds below decide anyway: a spacing is at most a day, so real
    // values stay under 2^107.
    let intended = i128::from(anchor.spacing).saturating_mul(i128::from(blocks));
    let behind = elapsed.saturating_sub(intended);
    // `/` on integers truncates toward zero.
    let exponent = behind.saturating_mul(65536) / i128::from(anchor.half_life);
    let shifts = exponent >> 16;
    let fraction = (exponent & 0xffff) as u64;
    let factor = 65536
        + ((195_766_423_245_049 * fraction
            + 971_821_376 * fraction * fraction
            + 5_127 * fraction * fraction * fraction
            + (1 << 47))
            >> 48);
    let product = widen(anchor.target) * U512::from(factor);
    let target = shift(product, shifts - 16).unwrap_or(U512::MAX);
    let clamped = target.min(widen(anchor.limit)).max(widen(anchor.floor));
    U256::from_little_endian(&clamped.to_little_endian()[..32])
}

/// `value` times 2^`shifts`, truncating; `None` when it overflows.
fn shift(value: U512, shifts: i128) -> Option<U512> {
    let distance = usize::try_from(shifts.unsigned_abs()).unwrap_or(usize::MAX);
    if shifts <= 0 {
        return Some(value >> distance.min(512));
    }
    (distance <= value.leading_zeros() as usize).then(|| value << distance)
}

fn widen(value: U256) -> U512 {
    U512::from_little_endian(&value.to_little_endian())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::from_bits;

    fn anchor() -> Anchor {
        let limit = from_bits(0x207f_ffff).unwrap();
        Anchor {
            target: limit >> 20,
            spacing: 30_000,
            half_life: 8_640_000,
            floor: U256::one() << 160,
            limit,
        }
    }

    #[test]
    fn on_schedule_the_target_stands_and_a_half_life_doubles_it() {
        let a = anchor();
        assert_eq!(next_target(&a, 30_000 * 1000, 1000), a.target);
        assert_eq!(next_target(&a, 30_000 * 1000 + 8_640_000, 1000), a.target * 2);
        assert_eq!(next_target(&a, 30_000 * 1000 - 8_640_000, 1000), a.target / 2);
    }

    /// From sixteen half-lives on the product is shifted to the left.
    #[test]
    fn many_half_lives_double_it_as_often() {
        let a = anchor();
        for halvings in [15, 16, 17, 18, 19] {
            let late = 30_000 * 1000 + halvings * 8_640_000;
            assert_eq!(next_target(&a, late, 1000), a.target << halvings as usize, "{halvings}");
        }
        assert_eq!(next_target(&a, 30_000 * 1000 + 21 * 8_640_000, 1000), a.limit);
    }

    #[test]
    fn a_shift_keeps_the_top_bit_and_loses_none() {
        let one = U512::one();
        assert_eq!(shift(one, 511), Some(one << 511));
        assert_eq!((shift(one, 512), shift(one, i128::MAX)), (None, None));
        assert_eq!(shift(one << 511, -511), Some(one));
        assert_eq!(
            (shift(U512::MAX, -512), shift(U512::MAX, i128::MIN)),
            (Some(U512::zero()), Some(U512::zero()))
        );
    }

    #[test]
    fn no_input_overflows_and_the_bounds_hold() {
        let a = anchor();
        assert_eq!(next_target(&a, i128::from(u64::MAX), 0), a.limit);
        assert_eq!(next_target(&a, 0, u64::MAX), a.floor);
        assert_eq!(next_target(&Anchor { half_life: 1, ..a }, i128::from(u64::MAX), 0), a.limit);
        let widest = Anchor { target: U256::MAX, limit: U256::MAX, half_life: 1, spacing: u64::MAX, ..a };
        assert_eq!(next_target(&widest, i128::from(u64::MAX), 0), U256::MAX);
        assert_eq!(next_target(&widest, 0, u64::MAX), a.floor);
    }

    #[test]
    fn later_is_never_harder() {
        let a = anchor();
        let mut last = U256::zero();
        for elapsed in (0..40_000_000).step_by(9_973) {
            let target = next_target(&a, elapsed, 600);
            assert!(target >= last);
            last = target;
        }
    }
}
