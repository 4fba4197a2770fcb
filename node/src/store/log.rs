//! LOG values: what each commit did to the set of known blocks and to the active chain, and the tip
//! after it. Read from first to last at start, they give both again, in the order in which blocks
//! arrived; the last one alone gives the tip.
//! Must not know rules: a header that was tampered with shows when ids and links are computed.

use steelyard_core::hash::BlockId;
use steelyard_core::types::header::{HEADER_BYTES, Header};

use super::StoreError;
use super::bytes::{Reader, count};

/// Longest stored reason for which a block is invalid, in bytes.
pub const REASON_BYTES_MAX: usize = 255;

/// The tip after a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoredTip {
    /// Its height.
    pub height: u64,
    /// Its id.
    pub id: BlockId,
    /// Work of it and everything before it, genesis not counted.
    pub work: u128,
    /// Its time, unix ms; 0 of genesis.
    pub time: u64,
    /// The network's running time up to its parent, ms; 0 of genesis.
    pub elapsed: u64,
}

/// What one commit did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogRecord {
    /// The tip after it.
    pub tip: StoredTip,
    /// Blocks received, with the bytes of their bodies, in the order of the BODY stream.
    pub received: Vec<(Header, u32)>,
    /// Blocks taken off the tip.
    pub disconnected: u32,
    /// Blocks then put on, oldest first.
    pub connected: Vec<BlockId>,
    /// Blocks found invalid: rule set, and the rule they break. Those that are not stored are to be
    /// refused unseen.
    pub invalid: Vec<(BlockId, u32, String)>,
}

impl LogRecord {
    /// Whether nothing was done.
    pub fn is_empty(&self) -> bool {
        let Self { tip: _, received, disconnected, connected, invalid } = self;
        received.is_empty() && *disconnected == 0 && connected.is_empty() && invalid.is_empty()
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.tip.height.to_le_bytes());
        out.extend_from_slice(&self.tip.id.0);
        out.extend_from_slice(&self.tip.work.to_le_bytes());
        out.extend_from_slice(&self.tip.time.to_le_bytes());
        out.extend_from_slice(&self.tip.elapsed.to_le_bytes());
        out.extend_from_slice(&count(self.received.len()));
        for (header, body_bytes) in &self.received {
            out.extend_from_slice(&header.to_bytes());
            out.extend_from_slice(&body_bytes.to_le_bytes());
        }
        out.extend_from_slice(&self.disconnected.to_le_bytes());
        out.extend_from_slice(&count(self.connected.len()));
        self.connected.iter().for_each(|id| out.extend_from_slice(&id.0));
        out.extend_from_slice(&count(self.invalid.len()));
        for (id, rule_set, reason) in &self.invalid {
            out.extend_from_slice(&id.0);
            out.extend_from_slice(&rule_set.to_le_bytes());
            let reason = &reason.as_bytes()[..reason.len().min(REASON_BYTES_MAX)];
            out.push(u8::try_from(reason.len()).expect("just cut"));
            out.extend_from_slice(reason);
        }
        out
    }

    /// Reads what [`LogRecord::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader::new("log record", bytes);
        let tip = StoredTip {
            height: reader.u64()?,
            id: BlockId(reader.array()?),
            work: u128::from_le_bytes(reader.array()?),
            time: reader.u64()?,
            elapsed: reader.u64()?,
        };
        let mut record = Self { tip, ..Self::default() };
        for _ in 0..reader.count(HEADER_BYTES + 4)? {
            let header = Header::from_bytes(&reader.array()?);
            record.received.push((header, reader.u32()?));
        }
        record.disconnected = reader.u32()?;
        for _ in 0..reader.count(32)? {
            record.connected.push(BlockId(reader.array()?));
        }
        for _ in 0..reader.count(37)? {
            let (id, rule_set) = (BlockId(reader.array()?), reader.u32()?);
            let length = usize::from(reader.u8()?);
            let reason = String::from_utf8_lossy(reader.slice(length)?).into_owned();
            record.invalid.push((id, rule_set, reason));
        }
        reader.end()?;
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_a_shortened_one_is_damage() {
        let header = Header::from_bytes(&[7; HEADER_BYTES]);
        let tip = StoredTip { height: 1, id: BlockId([9; 32]), work: 2, time: 3, elapsed: 4 };
        let record = LogRecord {
            tip,
            received: vec![(header, 9), (header, 10)],
            disconnected: 3,
            connected: vec![BlockId([1; 32])],
            invalid: vec![(BlockId([2; 32]), 1, "state_root".into())],
        };
        let bytes = record.to_bytes();
        assert_eq!(LogRecord::from_bytes(&bytes).unwrap(), record);
        assert!(!record.is_empty() && LogRecord { tip, ..LogRecord::default() }.is_empty());
        for cut in 0..bytes.len() {
            assert!(LogRecord::from_bytes(&bytes[..cut]).is_err());
        }
    }
}
