//! MEMPOOL values: the transactions that one commit admitted, each with its full id, by which a
//! damaged one is noticed without checking its signatures again. Must not know the pool.

use steelyard_core::hash::FullId;
use steelyard_core::types::transaction::full_id;

use super::StoreError;
use super::bytes::{Reader, count};

/// The bytes of a run.
pub fn to_bytes<'a>(txs: impl Iterator<Item = (FullId, &'a [u8])>) -> Vec<u8> {
    let mut out = Vec::new();
    for (id, bytes) in txs {
        out.extend_from_slice(&id.0);
        out.extend_from_slice(&count(bytes.len()));
        out.extend_from_slice(bytes);
    }
    out
}

/// Reads a run: the whole transactions, and how many were damaged.
///
/// # Errors
/// [`StoreError::Damaged`] when the run has no readable end.
pub fn from_bytes(bytes: &[u8]) -> Result<(Vec<Vec<u8>>, usize), StoreError> {
    let mut reader = Reader::new("run of pending transactions", bytes);
    let (mut txs, mut damaged) = (Vec::new(), 0);
    while !reader.is_empty() {
        let id = FullId(reader.array()?);
        let length = reader.count(1)?;
        let tx = reader.slice(length)?;
        if full_id(tx) == id { txs.push(tx.to_vec()) } else { damaged += 1 }
    }
    Ok((txs, damaged))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_reads_back_without_its_damaged_transactions() {
        let txs: [&[u8]; 3] = [b"one", b"", b"three"];
        let mut bytes = to_bytes(txs.iter().map(|tx| (full_id(tx), *tx)));
        assert_eq!(from_bytes(&bytes).unwrap(), (txs.iter().map(|tx| tx.to_vec()).collect(), 0));
        *bytes.last_mut().unwrap() ^= 1;
        assert_eq!(from_bytes(&bytes).unwrap(), (vec![b"one".to_vec(), vec![]], 1));
        assert!(from_bytes(&bytes[..bytes.len() - 1]).is_err());
    }
}
