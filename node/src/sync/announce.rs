//! The word that there is a new tip. Must not know what this node itself is missing.

use steelyard_core::encode::List;
use steelyard_core::hash::BlockId;
use steelyard_core::types::header::Header;
use steelyard_core::wire::headers::ANNOUNCE_MAX;
use steelyard_core::wire::{Announce, HeaderBytes};

use super::{PeerId, PeerMessage, Sync, Turn};

impl Sync {
    /// Tells everybody of the new tip who does not have it.
    pub(super) fn tip_changed(&mut self, turn: &mut Turn<'_>) {
        let tip = turn.chain.tip();
        // It may have come by another way than sync.
        self.settle(turn.chain, &tip.id);
        let peers: Vec<PeerId> = self.peers.keys().copied().collect();
        for peer in peers {
            self.announce(turn, peer);
        }
    }

    /// Tells a peer of the tip, with the headers before it that it is not known to have.
    pub(super) fn announce(&mut self, turn: &mut Turn<'_>, to: PeerId) {
        let tip = turn.chain.tip();
        let Some(peer) = self.peers.get_mut(&to) else { return };
        let has = |id: BlockId| peer.best.is_some_and(|best| best.id == id) || peer.told == Some(id);
        // Who has more work has no use for it; of equals either may have come first.
        let is_ahead = peer.best.is_some_and(|best| best.work > tip.total_work);
        if tip.header.height == 0 || is_ahead || has(tip.id) {
            return;
        }
        let mut headers: Vec<Header> = vec![tip.header];
        while headers.len() < ANNOUNCE_MAX {
            let prev = headers[headers.len() - 1].prev;
            let before = turn.chain.block(&prev).filter(|known| known.header.height > 0 && !has(known.id));
            let Some(before) = before else { break };
            headers.push(before.header);
        }
        peer.told = Some(tip.id);
        let headers = headers.iter().rev().map(HeaderBytes::from).collect();
        if let Some(headers) = List::new(headers) {
            turn.send(to, 0, PeerMessage::Announce(Announce { headers }));
        }
    }
}
