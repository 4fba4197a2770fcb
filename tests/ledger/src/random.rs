//! Random numbers that are the same on every run of the same seed. Must not know what they are
//! drawn for.

/// SplitMix64 (Steele et al., 2014), frozen: generated chains depend on it.
#[derive(Clone, Debug)]
pub struct Random(u64);

/// The environment variable that overrides the seed of every random test.
pub const SEED_ENV: &str = "STEELYARD_SEED";

impl Random {
    /// The numbers of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The numbers of the seed in [`SEED_ENV`], else of `seed`. Prints which, so that a failure
    /// can be repeated.
    #[must_use]
    pub fn for_test(seed: u64) -> Self {
        let seed = match std::env::var(SEED_ENV) {
            Ok(text) => text.parse().unwrap_or_else(|_| panic!("{SEED_ENV} is not a number: {text}")),
            Err(_) => seed,
        };
        println!("{SEED_ENV}={seed}");
        Self(seed)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `bound`, which is above zero. Biased by less than bound / 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        u64::try_from((u128::from(self.number()) * u128::from(bound)) >> 64).expect("below bound")
    }

    /// A place in a list of this many items.
    pub fn place(&mut self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).expect("below count")
    }

    /// Any bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.number().to_le_bytes()[0]).collect()
    }

    /// Waiting time of a memoryless event with this mean, as blocks are.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        // 53 random bits, moved off zero, whose logarithm is infinite.
        let uniform = ((self.number() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        -mean * uniform.ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_seed_never_change() {
        let mut random = Random::new(0);
        assert_eq!(random.number(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(random.number(), 0x6e78_9e6a_a1b9_65f4);
        assert!((0..1000).all(|_| random.below(7) < 7));
    }
}
