//! An input read as a row of choices, and honest bytes edited by it. Must not know what the bytes are.

/// Most edits that one input makes.
const EDITS_MAX: usize = 8;

/// Bytes from which choices are taken, front to back; after their end every choice is zero.
#[derive(Clone, Debug)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Choices from these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is left.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// The next `count` bytes, or as many as are left.
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(count.min(self.0.len()));
        self.0 = tail;
        head
    }

    /// The next `N` bytes, with zeros for those that are not there.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let bytes = self.bytes(N);
        out[..bytes.len()].copy_from_slice(bytes);
        out
    }

    /// A byte.
    pub fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.array())
    }

    /// A number, little-endian.
    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    /// A number, little-endian.
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    /// A number, little-endian.
    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// A place in a list of `count` items, of which there is at least one.
    pub fn place(&mut self, count: usize) -> usize {
        usize::from(self.u16()) % count
    }

    /// Changes honest bytes as the input says; `other` is more of the same kind, to take pieces from.
    /// Such bytes have a front of `front` bytes and then pieces of `piece` bytes (1 where they have none).
    #[must_use]
    pub fn edit(&mut self, honest: &[u8], other: &[u8], (front, piece): (usize, usize)) -> Vec<u8> {
        let mut bytes = honest.to_vec();
        for _ in 0..EDITS_MAX {
            if self.is_empty() || bytes.is_empty() {
                break;
            }
            let kind = self.u8() % 7;
            let at = self.place(bytes.len());
            let pieces = (bytes.len().saturating_sub(front) / piece).max(1);
            let aligned = (front + piece * (at % pieces)).min(bytes.len());
            let end = (aligned + piece).min(bytes.len());
            match kind {
                0 => bytes[at] ^= self.u8(),
                1 => bytes.truncate(at),
                2 => drop(bytes.drain(aligned..end)),
                3 => drop(bytes.splice(aligned..aligned, bytes[aligned..end].to_vec())),
                4 => drop(bytes.splice(at..at, [self.u8()])),
                5 => {
                    let from = self.place(other.len().max(1)).min(other.len());
                    let piece = &other[from..(from + piece).min(other.len())];
                    let end = (at + piece.len()).min(bytes.len());
                    bytes.splice(at..end, piece.iter().copied());
                }
                _ => {
                    let with = front + piece * (self.place(pieces));
                    if with + piece <= bytes.len() && aligned + piece <= bytes.len() {
                        (0..piece).for_each(|byte| bytes.swap(aligned + byte, with + byte));
                    }
                }
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_end_every_choice_is_zero_and_nothing_is_edited() {
        let mut input = Input::new(&[1, 2, 3]);
        assert_eq!((input.u16(), input.u32(), input.u8()), (0x0201, 3, 0));
        assert!(input.is_empty());
        assert_eq!(input.edit(b"honest", b"other", (0, 1)), b"honest");
    }

    #[test]
    fn every_edit_does_what_it_is_for() {
        let edit = |choices: &[u8]| Input::new(choices).edit(b"aabbcc", b"xyzxyz", (0, 2));
        assert_eq!(edit(&[0, 1, 0, 1]), b"a`bbcc");
        assert_eq!(edit(&[1, 4, 0]), b"aabb");
        assert_eq!(edit(&[2, 1, 0]), b"aacc");
        assert_eq!(edit(&[3, 1, 0]), b"aabbbbcc");
        assert_eq!(edit(&[4, 0, 0, b'z']), b"zaabbcc");
        assert_eq!(edit(&[5, 2, 0, 1, 0]), b"aayzcc");
        assert_eq!(edit(&[6, 0, 0, 2, 0]), b"ccbbaa");
    }
}
