//! The connected peers, and which of two connections to the same node is kept. Must not know what
//! peers say.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use steelyard_runtime::frame::Frame;

use crate::limits::PEERS_YOUNG_MS;
use crate::peers::book::Moment;
use crate::peers::session::{NotReading, Session};
use crate::sync::PeerId;

/// A connected peer.
pub(super) struct Member {
    pub(super) session: Session,
    /// The other end of the connection.
    pub(super) address: SocketAddr,
    /// Where it takes connections, as far as known.
    pub(super) listens: Option<SocketAddr>,
    pub(super) is_outbound: bool,
    /// Of its process.
    pub(super) nonce: u64,
    pub(super) agent: String,
    pub(super) since: Moment,
    /// The writing of the book that it is shown after.
    pub(super) shown_with: u64,
    pub(super) was_told_addresses: bool,
}

/// What a new connection is beside those there are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meeting {
    /// To a node that is not connected.
    New,
    /// To one that is, by this connection, which is kept.
    Second(PeerId),
    /// To one that is, by this connection, which is not kept.
    Replaces(PeerId),
}

/// All of them.
#[derive(Default)]
pub(super) struct Members {
    by_id: BTreeMap<PeerId, Member>,
    last: PeerId,
}

impl Members {
    /// An id that no connection had.
    pub(super) fn next_id(&mut self) -> PeerId {
        self.last += 1;
        self.last
    }

    pub(super) fn insert(&mut self, peer: PeerId, member: Member) {
        self.by_id.insert(peer, member);
    }

    pub(super) fn remove(&mut self, peer: PeerId) -> Option<Member> {
        self.by_id.remove(&peer)
    }

    pub(super) fn get(&self, peer: PeerId) -> Option<&Member> {
        self.by_id.get(&peer)
    }

    pub(super) fn contains(&self, peer: PeerId) -> bool {
        self.by_id.contains_key(&peer)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PeerId, &Member)> {
        self.by_id.iter().map(|(id, member)| (*id, member))
    }

    /// Sends a message; to one that is gone nothing.
    pub(super) fn send(&self, peer: PeerId, frame: Frame, items: usize) -> Result<(), NotReading> {
        self.by_id.get(&peer).map_or(Ok(()), |member| member.session.send(frame, items))
    }

    /// Whether a peer was told addresses before; from now on it was.
    pub(super) fn told_addresses(&mut self, peer: PeerId) -> bool {
        self.by_id
            .get_mut(&peer)
            .is_some_and(|member| std::mem::replace(&mut member.was_told_addresses, true))
    }

    /// Notes where a peer takes connections.
    pub(super) fn listens_at(&mut self, peer: PeerId, address: SocketAddr) {
        if let Some(member) = self.by_id.get_mut(&peer) {
            member.listens = Some(address);
        }
    }

    /// What a connection to the process of this nonce at this IP is.
    pub(super) fn meet(
        &self,
        (nonce, ip, is_outbound): (u64, &IpAddr, bool),
        own_nonce: u64,
        now_ms: u64,
    ) -> Meeting {
        let is_same = |member: &Member| member.nonce == nonce && member.address.ip().to_canonical() == *ip;
        let Some((id, member)) = self.iter().find(|(_, member)| is_same(member)) else { return Meeting::New };
        let age_ms = now_ms.saturating_sub(member.since.mono_ms);
        if gives_way((member.is_outbound, age_ms), is_outbound, own_nonce > nonce) {
            Meeting::Replaces(id)
        } else {
            Meeting::Second(id)
        }
    }

    /// Addresses that are connected, and whether this node has dialled them.
    pub(super) fn connected(&self) -> Vec<(SocketAddr, bool)> {
        let of = |member: &Member| {
            let alias = member.listens.filter(|address| *address != member.address);
            [Some((member.address, member.is_outbound)), alias.map(|address| (address, false))]
        };
        self.by_id.values().flat_map(of).flatten().collect()
    }

    /// Peers at an address.
    pub(super) fn at(&self, address: &SocketAddr) -> Vec<PeerId> {
        let is_there = |member: &Member| member.address == *address || member.listens == Some(*address);
        self.by_id.iter().filter(|(_, member)| is_there(member)).map(|(id, _)| *id).collect()
    }

    /// Peers of an IP.
    pub(super) fn of(&self, ip: &IpAddr) -> Vec<PeerId> {
        let is_of = |member: &Member| member.address.ip().to_canonical() == *ip;
        self.by_id.iter().filter(|(_, member)| is_of(member)).map(|(id, _)| *id).collect()
    }
}

/// Whether a connection gives way to a second one to the same process. Both ends keep the same one:
/// that which the end of the greater nonce has dialled. Only while the older one is young: who knows a
/// node's nonce could else have it hung up on.
fn gives_way((was_outbound, age_ms): (bool, u64), is_outbound: bool, own_is_greater: bool) -> bool {
    was_outbound != is_outbound && is_outbound == own_is_greater && age_ms < PEERS_YOUNG_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two ends that dial one another at once, each seeing the two connections in either order.
    #[test]
    fn both_ends_keep_the_same_of_two_connections() {
        for greater_dialled_first in [false, true] {
            // Seen from an end: whether it is the one of the greater nonce, and whether the connection
            // that this one dialled came first.
            let kept_is_of_greater = |is_greater: bool, own_came_first: bool| {
                let second_wins = gives_way((own_came_first, 0), !own_came_first, is_greater);
                let kept_is_own = own_came_first != second_wins;
                kept_is_own == is_greater
            };
            for order_of_lesser in [false, true] {
                assert!(kept_is_of_greater(true, greater_dialled_first));
                assert!(kept_is_of_greater(false, order_of_lesser));
            }
        }
    }

    #[test]
    fn an_old_connection_and_one_of_the_same_direction_stay() {
        assert!(gives_way((false, PEERS_YOUNG_MS - 1), true, true));
        assert!(!gives_way((false, PEERS_YOUNG_MS), true, true));
        for own_is_greater in [false, true] {
            assert!(!gives_way((true, 0), true, own_is_greater));
            assert!(!gives_way((false, 0), false, own_is_greater));
        }
    }
}
