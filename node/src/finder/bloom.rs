//! A Bloom filter over prefixes, which are hashes already: says of most prefixes that a run does not
//! hold them, without a look at the disk. Must not know runs.

use crate::limits::INDEX_BLOOM_BITS;

/// Bits looked at for each prefix: about ln 2 times those of an entry.
const LOOKS: u64 = 7;

/// The filter.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bloom {
    words: Vec<u64>,
}

impl Bloom {
    /// An empty filter with room for so many entries.
    pub(super) fn new(entries: u64) -> Self {
        let words = entries.saturating_mul(INDEX_BLOOM_BITS).div_ceil(u64::from(u64::BITS)).max(1);
        Self { words: vec![0; usize::try_from(words).unwrap_or(usize::MAX)] }
    }

    pub(super) fn from_words(words: Vec<u64>) -> Self {
        Self { words }
    }

    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    pub(super) fn insert(&mut self, prefix: u64) {
        for (word, bit) in self.bits(prefix) {
            self.words[word] |= bit;
        }
    }

    /// Whether the prefix may have been inserted; false is certain.
    pub(super) fn may_hold(&self, prefix: u64) -> bool {
        self.bits(prefix).all(|(word, bit)| self.words[word] & bit != 0)
    }

    fn bits(&self, prefix: u64) -> impl Iterator<Item = (usize, u64)> + use<> {
        let bits = self.words.len() as u128 * u128::from(u64::BITS);
        let step = prefix.rotate_left(32) | 1;
        (1..=LOOKS).map(move |look| {
            let at = prefix.wrapping_add(step.wrapping_mul(look));
            // The upper half of the product is evenly spread below `bits`.
            let bit = (u128::from(at) * bits) >> 64;
            ((bit / u128::from(u64::BITS)) as usize, 1 << (bit % u128::from(u64::BITS)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use steelyard_core::hash::sha256d;

    fn prefix(number: u64) -> u64 {
        u64::from_be_bytes(*sha256d(&number.to_be_bytes()).first_chunk().unwrap())
    }

    #[test]
    fn what_was_inserted_is_held_and_little_else() {
        let count = 20_000;
        let mut bloom = Bloom::new(count);
        (0..count).for_each(|number| bloom.insert(prefix(number)));
        assert!((0..count).all(|number| bloom.may_hold(prefix(number))));
        let wrong = (count..2 * count).filter(|number| bloom.may_hold(prefix(*number))).count() as u64;
        // The expected share is below one in a hundred; the prefixes are the same on every run.
        assert!((1..count / 50).contains(&wrong), "{wrong} of {count}");
        assert!(!Bloom::new(0).may_hold(prefix(1)));
    }
}
