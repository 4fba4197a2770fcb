//! Targets, compact bits and work: how much hashing a header stands for. Must not know headers.

// The macro's own arithmetic is out of our hands.
#[allow(missing_docs, clippy::all, clippy::pedantic, unsafe_code)]
mod integers {
    uint::construct_uint! {
        /// 256-bit unsigned integer.
        pub struct U256(4);
    }
    uint::construct_uint! {
        /// 512-bit unsigned integer.
        pub struct U512(8);
    }
}
pub use integers::{U256, U512};

/// A compact target that is not the shortest form of a target of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bits {0:#010x} are not canonical")]
pub struct NotCanonical(pub u32);

/// Expands canonical compact bits (Bitcoin's nBits: exponent of 256 in the top byte, 23 bits of
/// mantissa, no sign) into a target.
///
/// # Errors
/// [`NotCanonical`] for zero, a sign bit, overflow, or bits that [`to_bits`] would write otherwise.
pub fn from_bits(bits: u32) -> Result<U256, NotCanonical> {
    let exponent = bits >> 24;
    let mantissa = U256::from(bits & 0x007f_ffff);
    if bits & 0x0080_0000 != 0 || exponent > 32 {
        return Err(NotCanonical(bits));
    }
    let target =
        if exponent <= 3 { mantissa >> (8 * (3 - exponent)) } else { mantissa << (8 * (exponent - 3)) };
    if target.is_zero() || to_bits(target) != bits {
        return Err(NotCanonical(bits));
    }
    Ok(target)
}

/// The compact form of a target, truncating: the largest representable target not above it.
#[must_use]
pub fn to_bits(target: U256) -> u32 {
    let mut bytes = u32::try_from(target.bits().div_ceil(8)).expect("at most 32");
    let mut mantissa = if bytes <= 3 {
        target.low_u32() << (8 * (3 - bytes))
    } else {
        (target >> (8 * (bytes - 3))).low_u32()
    };
    // The mantissa's top bit would be a sign: one byte more, one digit less.
    if mantissa & 0x0080_0000 != 0 {
        mantissa >>= 8;
        bytes += 1;
    }
    mantissa | (bytes << 24)
}

/// Hashes expected to be tried for a target: floor(2^256 / (target + 1)). `None` above u128.
#[must_use]
pub fn work_of(target: U256) -> Option<u128> {
    // 2^256 / (t+1) = (2^256 - t - 1) / (t+1) + 1 = !t / (t+1) + 1, without 257 bits.
    let quotient = match target.checked_add(U256::one()) {
        Some(divisor) => !target / divisor,
        None => U256::zero(),
    };
    let work = quotient.checked_add(U256::one())?;
    (work.bits() <= 128).then(|| work.low_u128())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_known_targets() {
        assert_eq!(from_bits(0x1d00_ffff).unwrap(), U256::from(0xffff) << 208);
        assert_eq!(to_bits(U256::from(0xffff) << 208), 0x1d00_ffff);
        assert_eq!(to_bits(U256::from(0x80)), 0x0200_8000);
        assert_eq!(from_bits(0x0200_8000).unwrap(), U256::from(0x80));
        assert_eq!(to_bits(U256::from(0x12_3456)), 0x0312_3456);
        assert_eq!(to_bits(U256::MAX), 0x2100_ffff);
        for bits in [0, 0x1d80_ffff, 0x0100_0000, 0x1e00_00ff, 0x217f_ffff, 0xff7f_ffff, 0x0400_0001] {
            assert_eq!(from_bits(bits), Err(NotCanonical(bits)), "{bits:#x}");
        }
    }

    #[test]
    fn work_of_known_targets() {
        assert_eq!(work_of(from_bits(0x1d00_ffff).unwrap()), Some(0x1_0001_0001));
        assert_eq!(work_of(from_bits(0x207f_ffff).unwrap()), Some(2));
        assert_eq!(work_of(U256::MAX), Some(1));
        assert_eq!(work_of(U256::one() << 128), Some(u128::MAX));
        assert_eq!(work_of((U256::one() << 128) - 1), None);
        assert_eq!(work_of(U256::zero()), None);
    }
}
