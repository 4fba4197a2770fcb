//! What cases are drawn from: numbers at edges, one of several, bytes that are nearly right. Must not
//! know what is drawn.

use crate::random::Random;

/// Whether something happens once in `times`.
pub fn one_in(random: &mut Random, times: u64) -> bool {
    random.below(times) == 0
}

/// One of these.
pub fn pick<'a, T>(random: &mut Random, items: &'a [T]) -> &'a T {
    &items[random.place(items.len())]
}

/// Up to `most` of anything, few rather than many.
pub fn few(random: &mut Random, most: u64) -> usize {
    let bound = 1 + random.below(most + 1);
    random.place(usize::try_from(bound).expect("few"))
}

/// A number of any magnitude, often at or beside an edge.
pub fn edge(random: &mut Random) -> u64 {
    match random.below(5) {
        0 => *pick(random, &[0, 1, 2, u64::MAX - 1, u64::MAX]),
        1 => (1u64 << random.below(64)).wrapping_add(*pick(random, &[u64::MAX, 0, 1])),
        2 => random.number(),
        _ => random.number() >> random.below(64),
    }
}

/// A number from 1 on, mostly small.
pub fn amount(random: &mut Random) -> u64 {
    if one_in(random, 12) { edge(random).max(1) } else { 1 + (random.number() >> (28 + random.below(36))) }
}

/// Any 32 bytes, seldom all alike.
pub fn hash(random: &mut Random) -> [u8; 32] {
    match random.below(16) {
        0 => [0; 32],
        1 => [0xff; 32],
        _ => bytes(random, 32).try_into().expect("32 bytes"),
    }
}

/// Any bytes.
pub fn bytes(random: &mut Random, count: usize) -> Vec<u8> {
    let words = std::iter::repeat_with(|| random.number().to_le_bytes()).take(count.div_ceil(8));
    let mut bytes: Vec<u8> = words.flatten().collect();
    bytes.truncate(count);
    bytes
}

/// Damages bytes somewhere: one changed, some cut off, put on, left out, doubled or swapped, or a number
/// put in that might be a count.
pub fn damage(random: &mut Random, bytes: &mut Vec<u8>) {
    let length = bytes.len();
    if length == 0 {
        let count = 1 + random.place(9);
        *bytes = self::bytes(random, count);
        return;
    }
    let at = random.place(length);
    match random.below(9) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = bytes[at].wrapping_add(*pick(random, &[1, 255, 128])),
        2 => bytes[at] = random.number() as u8,
        3 => bytes.truncate(at),
        4 => bytes.extend(vec![*pick(random, &[0, 1, 255]); 1 + random.place(9)]),
        5 => {
            bytes.remove(at);
        }
        6 => {
            let part = bytes[at..length.min(at + 1 + random.place(40))].to_vec();
            bytes.splice(at..at, part);
        }
        7 => {
            let number = edge(random).to_le_bytes();
            bytes[at..length.min(at + 8)].copy_from_slice(&number[..8.min(length - at)]);
        }
        _ => {
            let width = 1 + random.place(length.min(72));
            let (one, other) = (random.place(length), random.place(length));
            for step in 0..width {
                bytes.swap((one + step) % length, (other + step) % length);
            }
        }
    }
}
