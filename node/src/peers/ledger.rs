//! What one peer was asked for and has not answered: an answer that nobody waits for is refused by
//! its head, before a byte of it is kept. Must not know frames in flight or what answers mean.

use std::sync::atomic::{AtomicU64, Ordering};

use steelyard_core::wire::{
    Addresses, Body, GetAddresses, GetBodies, GetHeaders, GetTxs, Headers, Message, Missing, Txs,
    peer_bytes_max,
};

/// Counts of what may still come. Asked by the reader, added to by the peers' thread.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    headers: AtomicU64,
    bodies: AtomicU64,
    txs: AtomicU64,
    addresses: AtomicU64,
}

impl Ledger {
    /// Notes a request before it is sent.
    pub(super) fn asked(&self, kind: u8, items: usize) {
        let items = items as u64;
        match kind {
            GetHeaders::KIND => self.headers.fetch_add(1, Ordering::Relaxed),
            GetBodies::KIND => self.bodies.fetch_add(items, Ordering::Relaxed),
            GetTxs::KIND => self.txs.fetch_add(1, Ordering::Relaxed),
            GetAddresses::KIND => self.addresses.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
    }

    /// Notes an answer; whether so much was waited for.
    pub(super) fn answered(&self, kind: u8, items: usize) -> bool {
        let (count, items) = match kind {
            Headers::KIND => (&self.headers, 1),
            Body::KIND | Missing::KIND => (&self.bodies, items as u64),
            Txs::KIND => (&self.txs, 1),
            Addresses::KIND => (&self.addresses, 1),
            _ => return true,
        };
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(items)).is_ok()
    }

    /// Longest body by kind, now. `block_bytes_max` is the network's.
    pub(super) fn bytes_max(&self, kind: u8, block_bytes_max: usize) -> Option<usize> {
        let waits = |count: &AtomicU64| count.load(Ordering::Relaxed) > 0;
        let is_taken = match kind {
            Headers::KIND => waits(&self.headers),
            Body::KIND | Missing::KIND => waits(&self.bodies),
            Txs::KIND => waits(&self.txs),
            Addresses::KIND => waits(&self.addresses),
            _ => true,
        };
        let max = peer_bytes_max(kind).filter(|_| is_taken)?;
        // An id, a count, and bytes that are no more than those of a block.
        let of_network = if kind == Body::KIND { block_bytes_max.saturating_add(64) } else { usize::MAX };
        Some(max.min(of_network))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use steelyard_core::wire::{Announce, Hello, Ping};

    #[test]
    fn only_what_was_asked_for_is_taken_and_only_so_often() {
        let ledger = Ledger::default();
        let max = |kind| ledger.bytes_max(kind, 1 << 20);
        for kind in [Headers::KIND, Body::KIND, Missing::KIND, Txs::KIND, Addresses::KIND, Hello::KIND] {
            assert_eq!(max(kind), None, "{kind}");
        }
        assert_eq!(max(Ping::KIND), Some(8));
        assert_eq!(max(Announce::KIND), Some(Announce::BYTES_MAX));
        ledger.asked(GetHeaders::KIND, 1);
        ledger.asked(GetBodies::KIND, 3);
        assert_eq!(max(Headers::KIND), Some(Headers::BYTES_MAX));
        assert_eq!(max(Body::KIND), Some((1 << 20) + 64));
        assert!(ledger.answered(Headers::KIND, 1) && !ledger.answered(Headers::KIND, 1));
        assert!(ledger.answered(Body::KIND, 1) && ledger.answered(Missing::KIND, 2));
        assert!(!ledger.answered(Body::KIND, 1));
        assert_eq!((max(Headers::KIND), max(Body::KIND)), (None, None));
        assert!(ledger.answered(Ping::KIND, 1));
        ledger.asked(GetTxs::KIND, 32);
        ledger.asked(GetAddresses::KIND, 0);
        assert!(ledger.answered(Txs::KIND, 5) && ledger.answered(Addresses::KIND, 5));
        assert!(!ledger.answered(Txs::KIND, 0) && !ledger.answered(Addresses::KIND, 0));
    }
}
