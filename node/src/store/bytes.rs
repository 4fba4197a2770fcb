//! Reading and writing the few fixed-width fields of stored values. Must not know the values.

use super::{StoreError, damaged};

/// A value being read, front to back.
pub struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`, which are named `what` when they turn out damaged.
    pub fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { rest: bytes, what }
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.damage())?;
        self.rest = tail;
        Ok(*head)
    }

    /// The next `length` bytes.
    pub fn slice(&mut self, length: usize) -> Result<&'a [u8], StoreError> {
        let (head, tail) = self.rest.split_at_checked(length).ok_or_else(|| self.damage())?;
        self.rest = tail;
        Ok(head)
    }

    /// The next byte.
    pub fn u8(&mut self) -> Result<u8, StoreError> {
        self.array().map(|[byte]| byte)
    }

    /// The next u32, little-endian.
    pub fn u32(&mut self) -> Result<u32, StoreError> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next u64, little-endian.
    pub fn u64(&mut self) -> Result<u64, StoreError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A u32 count of items of at least `least` bytes each: more than can follow is damage.
    pub fn count(&mut self, least: usize) -> Result<usize, StoreError> {
        let count = self.u32()? as usize;
        if count > self.rest.len() / least { Err(self.damage()) } else { Ok(count) }
    }

    /// Whether all is read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All must have been read.
    pub fn end(self) -> Result<(), StoreError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.damage()) }
    }

    /// The error that says these bytes are not what was written.
    pub fn damage(&self) -> StoreError {
        damaged(format!("a {} cannot be read", self.what))
    }
}

/// A count as it is written.
pub fn count(items: usize) -> [u8; 4] {
    u32::try_from(items).expect("bounded by the sizes of blocks and groups").to_le_bytes()
}
