//! Peers that stay behind, and a tip that stands for long: both may mean that this node hears only
//! those who know or say too little. Must not know headers or bodies.

use steelyard_core::hash::BlockId;

use super::peer::{Lag, Peer};
use super::{Known, PeerId, Sync, Turn};
use crate::limits::{
    SYNC_HEADERS_MS, SYNC_LAG_ANSWER_SPACINGS, SYNC_LAG_PROTECTED_MAX, SYNC_LAG_SPACINGS, SYNC_REASK_MS,
    SYNC_STALE_SPACINGS,
};

/// What is to be done about a peer that lags.
enum Due {
    Ask,
    Drop,
}

impl Sync {
    /// Asks everybody for headers when the tip stands for long.
    pub(super) fn check_standing(&mut self, turn: &Turn<'_>, tip: &BlockId) {
        let now = turn.now.mono_ms;
        let next = now + self.spacings(SYNC_STALE_SPACINGS).max(SYNC_REASK_MS);
        match self.standing.filter(|_| !self.peers.is_empty()) {
            Some((id, until)) if id == *tip && now < until => return,
            Some((id, _)) if id == *tip => {
                let is_free = |peer: &&mut Peer| now >= peer.low_until.max(peer.aside_until);
                for peer in self.peers.values_mut().filter(is_free) {
                    peer.has_more |= peer.request.is_none();
                }
            }
            _ => {}
        }
        self.standing = Some((*tip, next));
    }

    /// Drops peers of this node's own choice that have less work than the tip for long: their places
    /// are few, and who fills them with what stays behind cuts this node off. They are asked before, as
    /// who was told of a tip does not tell it back.
    pub(super) fn check_lag(&mut self, turn: &mut Turn<'_>, tip: &Known) {
        if tip.header.height == 0 {
            return;
        }
        let begins = turn.now.mono_ms + self.spacings(SYNC_LAG_SPACINGS).max(SYNC_HEADERS_MS);
        let mut protected = self.peers.values().filter(|peer| peer.is_protected).count();
        let mut due: Vec<(PeerId, Due)> = Vec::new();
        for (id, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.is_outbound && !peer.is_protected) {
            let work = peer.best.map_or(0, |best| best.work);
            let is_level = work >= tip.total_work;
            if is_level && protected < SYNC_LAG_PROTECTED_MAX {
                (peer.is_protected, protected) = (true, protected + 1);
            }
            // Who speaks of more is asked for it anyway, and for no longer than a turn.
            let says_more = peer.claimed.is_some_and(|(height, _)| height > tip.header.height);
            if is_level || says_more || peer.probe.is_some() {
                peer.lag = None;
                continue;
            }
            match peer.lag.filter(|lag| work < lag.work) {
                None => peer.lag = Some(Lag { work: tip.total_work, until: begins, is_asked: false }),
                Some(lag) if turn.now.mono_ms < lag.until || peer.request.is_some() => {}
                Some(lag) => due.push((*id, if lag.is_asked { Due::Drop } else { Due::Ask })),
            }
        }
        for (id, due) in due {
            match due {
                Due::Ask => self.ask_tip(turn, id),
                Due::Drop => self.drop_peer(turn, id, "tip_lag", "its chain stays behind"),
            }
        }
    }

    fn ask_tip(&mut self, turn: &mut Turn<'_>, of: PeerId) {
        let until = turn.now.mono_ms + self.spacings(SYNC_LAG_ANSWER_SPACINGS).max(SYNC_HEADERS_MS);
        if let Some(lag) = self.peers.get_mut(&of).and_then(|peer| peer.lag.as_mut()) {
            (lag.until, lag.is_asked) = (until, true);
        }
        self.request_headers(turn, of, 1);
    }

    /// So many block times, ms.
    fn spacings(&self, count: u64) -> u64 {
        self.params.spacing.saturating_mul(count)
    }
}
