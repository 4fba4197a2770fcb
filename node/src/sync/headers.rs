//! Asking for headers, one peer at a time, and judging what comes: every rule that needs no body,
//! the clock, and whether there is enough work to keep any. Must not know bodies.

use steelyard_core::consensus::error::HeaderRule;
use steelyard_core::consensus::header::{CheckedHeader, Drift, Parent, check_header, drift, own_work};
use steelyard_core::encode::List;
use steelyard_core::hash::BlockId;
use steelyard_core::history::{self, HistoryNode};
use steelyard_core::types::header::Header;
use steelyard_core::wire::headers::{HEADERS_MAX, LOCATOR_MAX};
use steelyard_core::wire::{GetHeaders, HeaderBytes};

use super::peer::{Best, HeadersRequest, Peer, Probe, Stand};
use super::{Held, PeerId, PeerMessage, Sync, Turn};
use crate::limits::{
    SYNC_AHEAD_MAX, SYNC_HEADERS_ALONE_MS, SYNC_HELD_MAX, SYNC_HELD_PER_PEER_MAX, SYNC_LOW_WORK_BLOCKS,
    SYNC_PROBE_ANSWERS_MAX, SYNC_REASK_MS, SYNC_UNCONNECTED_MAX,
};

/// What headers were good for.
enum Taken {
    /// They stand on something known. The peer's tip may be beyond.
    Connected,
    /// They stand on nothing known.
    Unconnected,
    /// Their sender is gone.
    Dropped,
}

/// Consecutive headers, judged one by one.
struct Judged {
    /// Good, and not ahead of the clock.
    good: Vec<CheckedHeader>,
    stand: Stand,
    /// Good but for the clock.
    ahead: Vec<(BlockId, Header)>,
    /// Some were left out for the clock.
    is_cut: bool,
}

impl Sync {
    /// An answer to [`GetHeaders`]. One that nobody waits for is ignored.
    pub(super) fn answer(&mut self, turn: &mut Turn<'_>, from: PeerId, number: u32, got: &[HeaderBytes]) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        let Some(request) = peer.request.take_if(|request| request.number == number) else { return };
        let waited = turn.now.mono_ms.saturating_sub(request.asked);
        (peer.waited, peer.fruitless) = (peer.waited + waited, peer.fruitless + waited);
        let claimed = peer.claimed.take();
        if turn.now.mono_ms < peer.aside_until {
            return;
        }
        peer.has_more = got.len() == HEADERS_MAX;
        if got.is_empty() {
            peer.probe = None;
            return;
        }
        let headers: Vec<Header> = got.iter().map(Header::from).collect();
        if self.peers.get(&from).is_some_and(|peer| peer.probe.is_some()) {
            self.probed(turn, from, &headers);
        } else if matches!(self.take(turn, from, &headers), Taken::Unconnected) {
            self.unconnected(turn, from);
        }
        // Only what it spoke of makes good that it spoke of what connects to nothing.
        let is_among =
            |id: BlockId, height| headers.iter().any(|header| header.height == height && header.id() == id);
        if claimed.is_some_and(|(height, id)| is_among(id, height) || self.find(turn.chain, &id).is_some()) {
            self.connected(from);
        }
        if let Some(peer) = self.peers.get_mut(&from).filter(|peer| !peer.has_more) {
            peer.fruitless = 0;
        }
    }

    /// Headers that nobody asked for: a new tip.
    pub(super) fn announced(&mut self, turn: &mut Turn<'_>, from: PeerId, got: &[HeaderBytes]) {
        let headers: Vec<Header> = got.iter().map(Header::from).collect();
        let Some(last) = headers.last() else { return };
        let Some(peer) = self.peers.get_mut(&from) else { return };
        peer.said = peer.said.max(last.height);
        if turn.now.mono_ms < peer.aside_until {
            peer.reask = Some(peer.aside_until);
            return;
        }
        match self.take(turn, from, &headers) {
            Taken::Dropped => {}
            Taken::Connected => self.connected(from),
            Taken::Unconnected => {
                // While headers are still coming, those of a new tip connect to nothing, and that is
                // nobody's fault: who announced it is asked in its turn.
                let is_idle = self.peers.values().all(|peer| peer.request.is_none() && !peer.has_more);
                let is_due = is_idle && !self.is_far_ahead();
                let Some(peer) = self.peers.get_mut(&from) else { return };
                if turn.now.mono_ms < peer.low_until {
                    peer.reask = Some(peer.low_until);
                    return;
                }
                peer.claimed = Some((last.height, last.id()));
                if is_due {
                    self.unconnected(turn, from);
                    self.request_headers(turn, from, 0);
                }
            }
        }
    }

    fn connected(&mut self, from: PeerId) {
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.unconnected = 0;
        }
    }

    fn unconnected(&mut self, turn: &mut Turn<'_>, from: PeerId) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        peer.unconnected += 1;
        peer.has_more = false;
        if peer.unconnected > SYNC_UNCONNECTED_MAX {
            self.drop_peer(
                turn,
                from,
                "unconnected_headers",
                "its headers connect to nothing, time and again",
            );
        }
    }

    /// Judges headers and keeps what is to be kept.
    fn take(&mut self, turn: &mut Turn<'_>, from: PeerId, headers: &[Header]) -> Taken {
        let Some(new) = self.skip_known(turn, from, headers) else { return Taken::Dropped };
        let Some(first) = new.first() else {
            self.note_reached(from, headers);
            return Taken::Connected;
        };
        if let Some(rule) = self.invalid_reason(turn.chain, &first.prev) {
            self.remember_invalid(first.id(), &rule);
            self.drop_known_invalid(turn, from, &rule);
            return Taken::Dropped;
        }
        let Some(stand) = self.stand(turn, &first.prev) else { return Taken::Unconnected };
        let start = first.prev;
        let Some(judged) = self.judge(turn, from, stand, new) else { return Taken::Dropped };
        if let Some(peer) = self.peers.get_mut(&from).filter(|_| judged.is_cut) {
            peer.reask = Some(turn.now.mono_ms + SYNC_REASK_MS);
            peer.has_more = false;
        }
        if judged.good.is_empty() {
            self.hold(from, judged.ahead);
        } else if judged.stand.last.total_work > self.least_work(turn) {
            if self.keep(from, &judged, 0) {
                self.hold(from, judged.ahead);
            }
        } else if let Some(peer) = self.peers.get_mut(&from) {
            if peer.has_more {
                let ends = vec![judged.stand.last.id];
                peer.probe = Some(Probe { start, ends, stand: judged.stand, followed: None });
            } else {
                peer.low_until = turn.now.mono_ms + SYNC_REASK_MS;
            }
        }
        Taken::Connected
    }

    /// The headers after those that are here; `None` when one is known to be invalid.
    fn skip_known<'h>(
        &mut self,
        turn: &mut Turn<'_>,
        from: PeerId,
        headers: &'h [Header],
    ) -> Option<&'h [Header]> {
        for (place, header) in headers.iter().enumerate() {
            let id = header.id();
            if let Some(rule) = self.invalid_reason(turn.chain, &id) {
                self.drop_known_invalid(turn, from, &rule);
                return None;
            }
            let Some(best) = self.find(turn.chain, &id) else { return Some(&headers[place..]) };
            self.note_best(from, best);
        }
        Some(&[])
    }

    /// A fork far below the tip is farther from the block that both chains' locators share than an answer
    /// is long: the next one goes on after this one. It must rise, or there would be no end.
    fn note_reached(&mut self, from: PeerId, headers: &[Header]) {
        let (Some(peer), Some(last)) = (self.peers.get_mut(&from), headers.last()) else { return };
        peer.has_more &= peer.reached.is_none_or(|(height, _)| height < last.height);
        peer.reached = peer.has_more.then(|| (last.height, last.id()));
    }

    fn note_best(&mut self, from: PeerId, best: Best) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        // An active chain only grows in work: what is lighter is history.
        if peer.best.is_none_or(|known| known.work <= best.work) {
            peer.best = Some(best);
        }
        if peer.claimed.is_some_and(|(_, id)| id == best.id) {
            peer.claimed = None;
        }
    }

    fn drop_known_invalid(&mut self, turn: &mut Turn<'_>, from: PeerId, rule: &str) {
        let reason = format!("its chain holds a block that was found invalid: {rule}");
        self.drop_peer(turn, from, "known_invalid", &reason);
    }

    /// What a child of this block is judged against; `None` when the block is not here.
    fn stand(&self, turn: &Turn<'_>, id: &BlockId) -> Option<Stand> {
        let last = match self.tree.get(id) {
            Some(node) => node.checked,
            None => {
                let known = turn.chain.block(id).filter(|known| known.has_body)?;
                let work = own_work(&known.header).ok()?;
                CheckedHeader { header: known.header, id: known.id, work, total_work: known.total_work }
            }
        };
        let frontier = self.tree.frontier(id, |id| turn.chain.frontier(id))?;
        Some(Stand { last, frontier })
    }

    /// Judges consecutive headers; drops their sender at the first bad one and gives `None`.
    fn judge(
        &mut self,
        turn: &mut Turn<'_>,
        from: PeerId,
        stand: Stand,
        headers: &[Header],
    ) -> Option<Judged> {
        let mut judged = Judged { good: Vec::new(), stand, ahead: Vec::new(), is_cut: false };
        // Followers of one that is ahead are judged on a stand of their own.
        let mut beyond = judged.stand.clone();
        for header in headers {
            if let Err(rule) = extend(&self.params, &mut beyond, header) {
                let reason = format!("header at height {}: {rule}", header.height);
                self.drop_peer(turn, from, rule.name(), &reason);
                return None;
            }
            match drift(&self.params, header.time, turn.now.unix_ms) {
                Drift::Within => {
                    judged.good.push(beyond.last);
                    judged.stand = beyond.clone();
                }
                Drift::Ahead => judged.ahead.push((beyond.last.id, *header)),
                Drift::FarAhead => {}
            }
            // Times only rise, so whatever follows one that is ahead is ahead too.
            if judged.good.last().map(|good| good.id) != Some(beyond.last.id) {
                judged.is_cut = true;
            }
        }
        Some(judged)
    }

    /// Keeps checked headers that lead to at least `promised`; says whether there was room.
    fn keep(&mut self, from: PeerId, judged: &Judged, promised: u128) -> bool {
        let last = judged.stand.last;
        let Some(first) = judged.good.first() else { return true };
        let work = promised.max(last.total_work);
        let room = self.make_room(judged.good.len(), work, &first.header.prev);
        if room {
            self.tree.insert(&judged.good, judged.stand.frontier.clone(), promised);
            if work > self.most_work {
                (self.most_work, self.progress) = (work, Some(self.now.mono_ms));
            }
        }
        let best = Best { id: last.id, height: last.header.height, work };
        if let Some(peer) = self.peers.get_mut(&from) {
            if room {
                (peer.best, peer.fruitless, peer.reached) = (Some(best), 0, None);
            } else {
                (peer.has_more, peer.reask) = (false, Some(self.now.mono_ms + SYNC_REASK_MS));
            }
        }
        room
    }

    /// Makes room in the tree. Those whose headers had to go are asked again: what drove them out may
    /// turn out invalid.
    fn make_room(&mut self, count: usize, work: u128, parent: &BlockId) -> bool {
        let room = self.tree.make_room(count, work, parent, |id| {
            let theirs = self.peers.values_mut().filter(|peer| peer.best.is_some_and(|best| best.id == id));
            for peer in theirs {
                (peer.best, peer.reask) = (None, Some(self.now.mono_ms + SYNC_REASK_MS));
            }
        });
        self.release_flights();
        room
    }

    fn hold(&mut self, from: PeerId, ahead: Vec<(BlockId, Header)>) {
        for (id, header) in ahead {
            let of_peer = self.held.iter().filter(|held| held.peer == from).count();
            let is_full = self.held.len() >= SYNC_HELD_MAX || of_peer >= SYNC_HELD_PER_PEER_MAX;
            if !is_full && !self.held.iter().any(|held| held.id == id && held.peer == from) {
                self.held.push(Held { peer: from, id, header });
            }
        }
    }

    /// Takes held headers whose time has come as if they came now.
    pub(super) fn retry_held(&mut self, turn: &mut Turn<'_>) {
        let due = |held: &mut Held| drift(&self.params, held.header.time, turn.now.unix_ms) == Drift::Within;
        let due: Vec<Held> = self.held.extract_if(.., due).collect();
        for held in due {
            // Whose parent was never kept has no place any more: the peer is asked again anyway.
            let _ = self.take(turn, held.peer, &[held.header]);
        }
    }

    /// Work that a branch must pass for any of its headers to be kept: the tip's without its last
    /// blocks (a branch from far back is easy to make, as difficulty there was low).
    fn least_work(&self, turn: &Turn<'_>) -> u128 {
        let tip = turn.chain.tip();
        let own = own_work(&tip.header).unwrap_or(0);
        tip.total_work.saturating_sub(own.saturating_mul(SYNC_LOW_WORK_BLOCKS))
    }

    /// An answer about a branch that began too low: measured the first time, kept the second.
    fn probed(&mut self, turn: &mut Turn<'_>, from: PeerId, headers: &[Header]) {
        let Some(mut probe) = self.peers.get_mut(&from).and_then(|peer| peer.probe.take()) else { return };
        if headers.first().map(|first| first.prev) != Some(probe.next_after()) {
            // It changed its chain meanwhile: what it says next begins anew.
            self.unconnected(turn, from);
            return;
        }
        let least = self.least_work(turn);
        let Some(followed) = probe.followed else {
            let Some(judged) = self.judge(turn, from, probe.stand, headers) else { return };
            probe.stand = judged.stand;
            probe.ends.push(probe.stand.last.id);
            let Some(peer) = self.peers.get_mut(&from) else { return };
            if probe.stand.last.total_work > least {
                probe.followed = Some(0);
                peer.has_more = true;
            }
            peer.has_more &= !judged.is_cut;
            if peer.has_more && probe.ends.len() < SYNC_PROBE_ANSWERS_MAX {
                peer.probe = Some(probe);
            } else {
                (peer.has_more, peer.unconnected) = (false, 0);
                peer.low_until = turn.now.mono_ms + SYNC_REASK_MS;
            }
            return;
        };
        let Some(stand) = self.stand(turn, &probe.next_after()) else { return };
        // The last answer may have been short the first time, and longer now.
        let end = probe.ends[followed];
        let count = headers.iter().position(|header| header.id() == end).map(|place| place + 1);
        let Some(count) = count else {
            self.unconnected(turn, from);
            return;
        };
        let Some(judged) = self.judge(turn, from, stand, &headers[..count]) else { return };
        if !self.keep(from, &judged, probe.stand.last.total_work) {
            return;
        }
        let Some(peer) = self.peers.get_mut(&from) else { return };
        peer.has_more = true;
        if followed + 1 < probe.ends.len() {
            probe.followed = Some(followed + 1);
            peer.probe = Some(probe);
        }
    }

    /// Asks the next peer for headers, if one has any that are not here, and nobody is being asked or
    /// who is has been silent for long.
    pub(super) fn ask_headers(&mut self, turn: &mut Turn<'_>) {
        self.next_headers = None;
        let is_open = |peer: &Peer| peer.request.is_none() && (peer.claimed.is_some() || peer.has_more);
        if !self.peers.values().any(is_open) || self.is_far_ahead() {
            return;
        }
        let asked: Vec<u64> = self.peers.values().filter_map(|peer| Some(peer.request?.asked)).collect();
        // Twice as long with each one: on a slow line all who are asked share it.
        let alone = |last: &u64| last + (SYNC_HEADERS_ALONE_MS << (asked.len() - 1).min(u32::BITS as usize));
        self.next_headers = asked.iter().max().map(alone).filter(|alone| turn.now.mono_ms < *alone);
        if self.next_headers.is_some() {
            return;
        }
        let claims: Vec<(PeerId, Best)> = self
            .peers
            .iter()
            .filter_map(|(id, peer)| Some((*id, self.find(turn.chain, &peer.claimed?.1)?)))
            .collect();
        for (id, best) in claims {
            self.note_best(id, best);
        }
        let open = self.peers.iter().filter(|(_, peer)| is_open(peer));
        let next = open.min_by_key(|(id, peer)| (peer.waited, **id)).map(|(id, _)| *id);
        if let Some(next) = next {
            self.request_headers(turn, next, 0);
        }
    }

    /// Whether there are more headers than bodies can follow for now.
    fn is_far_ahead(&mut self) -> bool {
        let Some(best) = self.tree.best().filter(|best| best.promised >= self.tip.1) else { return false };
        let leaf = best.checked.id;
        self.tree.path_len(leaf) > SYNC_AHEAD_MAX
    }

    /// Asks for the headers after what is here, or, to hear how far the peer is, after the tip without
    /// its last `back` blocks (at most the dense part of a locator).
    pub(super) fn request_headers(&mut self, turn: &mut Turn<'_>, to: PeerId, back: usize) {
        let number = self.next_request();
        let chain = turn.chain.locator().into_iter().skip(back);
        let Some(peer) = self.peers.get_mut(&to) else { return };
        let ahead = match &peer.probe {
            Some(probe) => vec![probe.next_after()],
            None if back > 0 => Vec::new(),
            None => {
                let best = peer.best.map(|best| best.id).filter(|id| self.tree.contains(id));
                let most = self.tree.best().map(|node| node.checked.id);
                most.into_iter().chain(best).chain(peer.reached.map(|(_, id)| id)).collect()
            }
        };
        let locator: Vec<BlockId> = ahead.into_iter().chain(chain).take(LOCATOR_MAX).collect();
        let Some(locator) = List::new(locator) else { return };
        peer.request = Some(HeadersRequest { number, asked: turn.now.mono_ms });
        peer.reask = None;
        turn.send(to, number, PeerMessage::GetHeaders(GetHeaders { locator }));
    }

    /// Drops who does not answer, and asks again who had headers from the future.
    pub(super) fn check_header_deadlines(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now.mono_ms;
        let is_late = |peer: &Peer| peer.headers_deadline().is_some_and(|deadline| now >= deadline);
        let late: Vec<PeerId> =
            self.peers.iter().filter(|(_, peer)| is_late(peer)).map(|(id, _)| *id).collect();
        for id in late {
            self.drop_peer(turn, id, "headers_timeout", "its headers do not come, or lead nowhere");
        }
        for peer in self.peers.values_mut() {
            if peer.reask.take_if(|reask| now >= *reask).is_some() {
                peer.has_more = true;
            }
        }
    }
}

/// Checks a header by every rule that needs no body, and stands on it.
fn extend(
    params: &steelyard_core::params::Params,
    stand: &mut Stand,
    header: &Header,
) -> Result<(), HeaderRule> {
    let parent = Parent {
        header: &stand.last.header,
        id: stand.last.id,
        total_work: stand.last.total_work,
        history_root: history::root(&stand.frontier),
    };
    let checked = check_header(params, &parent, header)?;
    stand.frontier.push(HistoryNode::leaf(&checked.id, checked.work));
    stand.last = checked;
    Ok(())
}
