//! The window of bodies: which to ask of which peer, which to submit, whom to drop for being late,
//! and what the chain's word on a block means for headers and peers. Must not know how headers came.

use std::collections::{BTreeMap, VecDeque};

use steelyard_core::encode::List;
use steelyard_core::hash::BlockId;
use steelyard_core::params::BLOCK_BYTES_LIMIT;
use steelyard_core::types::body::Body;
use steelyard_core::wire::{self, GetBodies};

use super::tree::BodyState;
use super::{Action, ChainRead, PeerId, PeerMessage, Sync, Turn};
use crate::chain::check::UncheckedBlock;
use crate::chain::error::{Accepted, BlockError};
use crate::limits::{
    SYNC_ASIDE_MS_MAX, SYNC_BODY_BYTES_MAX, SYNC_BRANCHES_MAX, SYNC_FLIGHT_MAX, SYNC_FLIGHT_REFILL,
    SYNC_FLIGHT_STALLED_MAX, SYNC_REASK_MS, SYNC_STALL_DECAY_PERCENT, SYNC_STALL_MS, SYNC_STALL_MS_MAX,
    SYNC_SUBMISSIONS_MAX, SYNC_SUBMIT_MAX, SYNC_WINDOW,
};

type Path = VecDeque<BlockId>;
/// What will be asked of whom.
type Requests = BTreeMap<PeerId, Vec<BlockId>>;

impl Sync {
    /// Submits what is ready and asks for bodies of every branch with at least the tip's work.
    pub(super) fn ask_bodies(&mut self, turn: &mut Turn<'_>) {
        if self.is_paused {
            return;
        }
        let mut requests = Requests::new();
        let tip_work = turn.chain.tip().total_work;
        let leaves = self.tree.leaves_of(tip_work);
        (self.unserved, self.is_beyond_pruning) = (None, false);
        for leaf in leaves.into_iter().take(SYNC_BRANCHES_MAX) {
            let mut path = self.tree.take_path(&leaf);
            while let Some(first) = path.front().copied() {
                if !self.settle(turn.chain, &first) {
                    break;
                }
                path.pop_front();
            }
            if path.is_empty() {
                continue;
            }
            let is_heavier = self.tree.get(&leaf).is_some_and(|node| node.promised > tip_work);
            let (unserved, is_beyond) = (self.unserved_of(&path), self.is_beyond(turn.chain, &path));
            if is_heavier {
                self.is_beyond_pruning |= is_beyond;
                self.unserved = self.unserved.or(unserved.filter(|_| !is_beyond));
            }
            // Bodies that lead nowhere would fill the room of others.
            if !is_beyond {
                self.submit(turn, &path);
                if unserved.is_none() {
                    self.assign(&path, &mut requests);
                }
            }
            self.tree.keep_path(leaf, path);
        }
        for (to, ids) in requests {
            self.request_bodies(turn, to, ids);
        }
    }

    /// Forgets a header whose block came into the chain by another way; says whether it did.
    pub(super) fn settle(&mut self, chain: &dyn ChainRead, id: &BlockId) -> bool {
        let is_submitted = matches!(self.tree.body(id), None | Some(BodyState::Submitted(_)));
        if is_submitted || !chain.block(id).is_some_and(|known| known.has_body) {
            return false;
        }
        self.tree.remove_stored(id);
        self.release_flights();
        true
    }

    /// Whether this branch leaves the active chain too deep to be followed. Nothing is said about it.
    fn is_beyond(&self, chain: &dyn ChainRead, path: &Path) -> bool {
        let first = path.front().and_then(|first| self.tree.get(first));
        first.is_some_and(|first| chain.is_beyond_pruning(&first.checked.header.prev))
    }

    /// The height of the first body of this branch that is missing here, when all who have the branch
    /// have pruned it.
    fn unserved_of(&self, path: &Path) -> Option<u64> {
        if self.peers.values().all(|peer| peer.bodies_from == 0) {
            return None;
        }
        let place = path.iter().position(|id| !self.is_done(id))?;
        let height = match self.tree.body(&path[place]) {
            Some(BodyState::Wanted) => self.tree.get(&path[place])?.checked.header.height,
            _ => return None,
        };
        let has = |peer: &&super::Peer| {
            peer.best.and_then(|best| self.place_on(path, &best.id)).is_some_and(|has| has >= place)
        };
        let mut from = self.peers.values().filter(has).map(|peer| peer.bodies_from).peekable();
        from.peek()?;
        from.all(|from| from > height).then_some(height)
    }

    /// Whether a body is here or with the chain thread.
    fn is_done(&self, id: &BlockId) -> bool {
        matches!(self.tree.body(id), Some(BodyState::Submitted(_) | BodyState::Here(..)))
    }

    /// Submits the bodies at the beginning of a branch, in order.
    fn submit(&mut self, turn: &mut Turn<'_>, path: &Path) {
        let is_submitted = |id: &&BlockId| matches!(self.tree.body(id), Some(BodyState::Submitted(_)));
        let skip = path.iter().take_while(is_submitted).count();
        let is_here = |id: &&BlockId| matches!(self.tree.body(id), Some(BodyState::Here(..)));
        let ready: Vec<BlockId> = path.iter().skip(skip).take_while(is_here).copied().collect();
        for ids in ready.chunks(SYNC_SUBMIT_MAX) {
            if self.submissions.len() >= SYNC_SUBMISSIONS_MAX {
                break;
            }
            let mut blocks = Vec::with_capacity(ids.len());
            for id in ids {
                let bytes = match self.tree.body(id) {
                    Some(BodyState::Here(_, bytes)) => *bytes,
                    _ => break,
                };
                let header = self.tree.get(id).map(|node| node.checked.header);
                let before = self.tree.set_body(id, BodyState::Submitted(bytes));
                if let (Some(header), Some(BodyState::Here(body, _))) = (header, before) {
                    blocks.push(UncheckedBlock { header, body });
                }
            }
            self.submissions.push_back(ids.iter().copied().collect());
            turn.out.push(Action::Submit { blocks });
        }
    }

    /// Finds a peer for each body of the window that is wanted.
    fn assign(&mut self, path: &Path, requests: &mut Requests) {
        let mut free = self.free_peers(path, requests);
        if free.is_empty() {
            return;
        }
        let first = path.front().and_then(|first| self.tree.get(first));
        let first = first.map_or(0, |first| first.checked.header.height);
        let edge = path.iter().take_while(|id| self.is_done(id)).count();
        for (place, id) in path.iter().enumerate().skip(edge).take(SYNC_WINDOW) {
            if !matches!(self.tree.body(id), Some(BodyState::Wanted)) {
                continue;
            }
            if place > edge && !self.has_room_for_body() {
                break;
            }
            let height = first + place as u64;
            let can = |peer: &&mut FreePeer| peer.room > 0 && peer.has >= place && peer.bodies_from <= height;
            let able = free.iter_mut().filter(can);
            let Some(chosen) = able.min_by_key(|peer| (peer.is_stalled, peer.flights, peer.id)) else {
                if free.iter().all(|peer| peer.room == 0) {
                    break;
                }
                continue;
            };
            chosen.room -= 1;
            chosen.flights += 1;
            self.tree.set_body(id, BodyState::Asked(chosen.id));
            requests.entry(chosen.id).or_default().push(*id);
        }
    }

    /// Peers that may be asked for bodies of this branch.
    fn free_peers(&self, path: &Path, requests: &Requests) -> Vec<FreePeer> {
        let mut free = Vec::new();
        for (id, peer) in &self.peers {
            let flights = peer.flights.len() + requests.get(id).map_or(0, Vec::len);
            let max = if peer.is_stalled { SYNC_FLIGHT_STALLED_MAX } else { SYNC_FLIGHT_MAX };
            let is_busy = peer.flights.len() > SYNC_FLIGHT_REFILL;
            if flights >= max || is_busy {
                continue;
            }
            if let Some(has) = peer.best.and_then(|best| self.place_on(path, &best.id)) {
                let (is_stalled, room, bodies_from) = (peer.is_stalled, max - flights, peer.bodies_from);
                free.push(FreePeer { id: *id, has, bodies_from, flights, room, is_stalled });
            }
        }
        free
    }

    /// The place of the last block of this branch that a chain with this tip has.
    fn place_on(&self, path: &Path, tip: &BlockId) -> Option<usize> {
        let first = self.tree.get(path.front()?)?.checked.header.height;
        for node in self.tree.ancestry(tip) {
            let place = usize::try_from(node.checked.header.height.checked_sub(first)?).ok()?;
            if path.get(place) == Some(&node.checked.id) {
                return Some(place);
            }
        }
        None
    }

    fn has_room_for_body(&self) -> bool {
        let (bytes, asked) = self.tree.load();
        let largest = usize::try_from(self.params.block_bytes_max).unwrap_or(usize::MAX);
        (asked + 1).saturating_mul(largest).saturating_add(bytes) <= SYNC_BODY_BYTES_MAX
    }

    fn request_bodies(&mut self, turn: &mut Turn<'_>, to: PeerId, ids: Vec<BlockId>) {
        let number = self.next_request();
        let Some(peer) = self.peers.get_mut(&to) else { return };
        if peer.flights.is_empty() {
            peer.progress = turn.now.mono_ms;
        }
        peer.flights.extend(ids.iter().map(|id| (*id, number)));
        // At most what may be in flight of one peer, which is what a request holds.
        if let Some(ids) = List::new(ids) {
            turn.send(to, number, PeerMessage::GetBodies(GetBodies { ids }));
        }
    }

    /// A body. One that is not wanted is ignored: it may have been asked for and come too late.
    pub(super) fn body(&mut self, turn: &mut Turn<'_>, from: PeerId, got: &wire::Body) {
        let bytes = got.bytes.as_slice();
        let asked_of = match self.tree.body(&got.id) {
            Some(BodyState::Wanted) => None,
            Some(BodyState::Asked(peer)) => Some(*peer),
            _ => return,
        };
        let Some(expected) = self.tree.get(&got.id).map(|node| node.checked.header.body_root) else { return };
        let body = Body::from_bytes(bytes, BLOCK_BYTES_LIMIT as usize);
        let body = match body {
            Ok(body) if body.root() == expected => body,
            // Nothing is said about the block: somebody else may have its body.
            Ok(_) => return self.drop_peer(turn, from, "body_root", "a body that is not its header's"),
            Err(error) => return self.drop_peer(turn, from, "malformed_body", &error.to_string()),
        };
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.progress = turn.now.mono_ms;
            peer.is_stalled = false;
            peer.aside_count = 0;
            peer.served = peer.flights.get(&got.id).copied().unwrap_or(peer.served);
        }
        if asked_of != Some(from) && !self.has_room_for_body() {
            return;
        }
        if let Some(peer) = asked_of.and_then(|id| self.peers.get_mut(&id)) {
            peer.flights.remove(&got.id);
        }
        self.stall = (self.stall * SYNC_STALL_DECAY_PERCENT / 100).max(SYNC_STALL_MS);
        self.tree.set_body(&got.id, BodyState::Here(body, bytes.len()));
    }

    /// A peer does not send bodies that it was asked for.
    pub(super) fn missing(&mut self, from: PeerId, got: &wire::Missing) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        let (mut has_nothing, mut highest) = (false, 0);
        for id in got.ids.iter() {
            if let Some(number) = peer.flights.remove(id) {
                self.tree.set_body(id, BodyState::Wanted);
                // An answer that was too long names the rest as missing. One of nothing else means
                // that the peer does not have what it spoke of.
                has_nothing |= number != peer.served;
                highest = highest.max(self.tree.get(id).map_or(0, |node| node.checked.header.height));
            }
        }
        if has_nothing && peer.bodies_from > 0 {
            // It prunes, and has gone on since it said what it has.
            peer.bodies_from = peer.bodies_from.max(highest + 1);
        } else if has_nothing {
            // Without a pause its next announcement would begin all this anew.
            let pause =
                SYNC_REASK_MS.saturating_mul(1 << peer.aside_count.min(u32::BITS)).min(SYNC_ASIDE_MS_MAX);
            peer.aside_count += 1;
            peer.aside_until = self.now.mono_ms + pause;
            (peer.best, peer.claimed, peer.probe) = (None, None, None);
            (peer.has_more, peer.reask) = (false, Some(peer.aside_until));
            self.forget_unoffered();
        }
    }

    /// The chain's word on a submitted block.
    pub(super) fn judged(&mut self, turn: &mut Turn<'_>, id: BlockId, verdict: Result<Accepted, BlockError>) {
        let place = self.submissions.iter().position(|ids| ids.contains(&id));
        let Ok(accepted) = verdict else {
            // Of those after it nothing is said: each is the child of the one before it.
            let rest = place.and_then(|place| self.submissions.remove(place)).unwrap_or_default();
            for id in rest.iter().skip_while(|other| **other != id) {
                self.tree.set_body(id, BodyState::Wanted);
            }
            match verdict {
                // The rule that was broken, by it or by a block before it.
                Err(BlockError::KnownInvalid { reason }) => self.condemn(turn, id, &reason),
                Err(error) if error.is_verdict() => self.condemn(turn, id, error.name()),
                _ => {}
            }
            return;
        };
        if accepted != Accepted::Known {
            self.progress = Some(turn.now.mono_ms);
        }
        if let Some(place) = place {
            self.submissions[place].retain(|other| *other != id);
            if self.submissions[place].is_empty() {
                self.submissions.remove(place);
            }
        }
        self.tree.remove_stored(&id);
    }

    /// Forgets an invalid block with all that stands on it, and drops those whose chain holds it.
    fn condemn(&mut self, turn: &mut Turn<'_>, id: BlockId, rule: &str) {
        self.remember_invalid(id, rule);
        let doomed = self.tree.remove_branch(id);
        for ids in &mut self.submissions {
            ids.retain(|id| !doomed.contains(id));
        }
        self.submissions.retain(|ids| !ids.is_empty());
        self.release_flights();
        let holds = |best: &super::Best| doomed.contains(&best.id);
        let peers: Vec<PeerId> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.best.as_ref().is_some_and(holds))
            .map(|(id, _)| *id)
            .collect();
        for peer in peers {
            let reason = format!("its chain holds block {id}, which is invalid: {rule}");
            self.drop_peer(turn, peer, "invalid_block", &reason);
        }
    }

    /// Whether nothing before this block is missing: it is what all others wait for.
    fn is_edge(&self, id: &BlockId) -> bool {
        let Some(node) = self.tree.get(id) else { return false };
        !self.tree.ancestry(&node.checked.header.prev).any(|node| {
            matches!(self.tree.body(&node.checked.id), Some(BodyState::Wanted | BodyState::Asked(_)))
        })
    }

    /// Takes bodies from peers that are late, and drops those for whom all others wait.
    pub(super) fn check_deadlines(&mut self, turn: &mut Turn<'_>) {
        self.check_header_deadlines(turn);
        let now = turn.now.mono_ms;
        let is_late = |progress: u64| now >= progress.saturating_add(self.stall);
        let late: Vec<PeerId> = self
            .peers
            .iter()
            .filter(|(_, peer)| !peer.flights.is_empty() && is_late(peer.progress))
            .map(|(id, _)| *id)
            .collect();
        if !late.is_empty() {
            self.stall = (self.stall * 2).min(SYNC_STALL_MS_MAX);
        }
        for id in late {
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            peer.is_stalled = true;
            let flights = std::mem::take(&mut peer.flights);
            let is_edge = flights.keys().any(|id| self.is_edge(id));
            for id in flights.keys() {
                self.tree.set_body(id, BodyState::Wanted);
            }
            if is_edge {
                self.drop_peer(turn, id, "stalled", "it holds up the sync with a body that it does not send");
            }
        }
    }
}

/// A peer that may be asked.
struct FreePeer {
    id: PeerId,
    /// Last place of the branch that it has.
    has: usize,
    /// Height from which on it has bodies.
    bodies_from: u64,
    flights: usize,
    room: usize,
    is_stalled: bool,
}
