//! Connections that come and go: which are kept, who is dialled, how one is hung up on. Must not know
//! what is said on them.

use std::net::SocketAddr;
use std::time::Duration;

use steelyard_core::wire::{GetAddresses, Hello, peer_bytes_max};
use steelyard_runtime::frame::Frame;
use steelyard_runtime::link::{Link, LinkError};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::members::{Meeting, Member};
use super::{Hub, LINK_TIMES};
use crate::limits::PEERS_DIAL_MS;
use crate::peers::session::{End, Session};
use crate::peers::{Arrival, HubEvent};
use crate::sync::{Event, PeerId};

/// Why one of two connections is not kept.
const DUPLICATE: &str = "another connection to the same node is kept";

impl Hub {
    /// A connection whose handshake is done: a peer, unless there is a reason against it.
    pub(super) fn arrived(&mut self, arrival: Arrival) {
        self.may_dial = true;
        let now = self.moment();
        let Arrival { link, address, is_outbound, place } = arrival;
        let hello = link.peer().clone();
        let ip = address.ip().to_canonical();
        if is_outbound && !self.dialled.remove(&address) {
            self.book.failed(now, address);
            return self.refuse(link, place, ("removed", "this address is not wanted any more"));
        }
        if self.book.is_banned(now, &ip) {
            if is_outbound {
                self.book.failed(now, address);
            }
            return self.refuse(link, place, ("banned", "this address is banned here"));
        }
        let of_node = (hello.nonce, &ip, is_outbound);
        match self.members.meet(of_node, self.identity.nonce, now.mono_ms) {
            Meeting::New => {}
            Meeting::Replaces(older) => self.drop_peer(older, "duplicate", DUPLICATE.into()),
            Meeting::Second(kept) => {
                if is_outbound {
                    // It is connected already: no more dialling.
                    self.members.listens_at(kept, address);
                    self.book.closed(now, address, 0);
                }
                return self.refuse(link, place, ("duplicate", DUPLICATE));
            }
        }
        let listens = match (is_outbound, hello.port) {
            (true, _) => Some(address),
            (false, 0) => None,
            (false, port) => Some(SocketAddr::new(ip, port)),
        };
        let peer = self.members.next_id();
        if is_outbound {
            self.book.succeeded(now, address);
        } else if let Some(listens) = listens {
            self.book.heard(now, (peer, ip), &[listens]);
        }
        if self.book.take_dirty() {
            self.saver.request();
        }
        let session = Session::start(&self.runtime, peer, link, place, &self.context);
        let member = Member {
            session,
            address,
            listens,
            is_outbound,
            nonce: hello.nonce,
            agent: hello.agent.to_string(),
            since: now,
            shown_with: self.saver.last(),
            was_told_addresses: false,
        };
        self.members.insert(peer, member);
        let dialled = if is_outbound { "dialled" } else { "dialled by it" };
        self.note(format!("peer {address} connected, {dialled}, {}, height {}", hello.agent, hello.height));
        self.relay.peer_up(peer);
        // One that was named by hand is not given up for lagging.
        let is_replaceable = is_outbound && !self.book.is_manual(&address);
        let Hello { height, tip, bodies_from, .. } = hello;
        self.sync(Event::PeerUp { peer, is_outbound: is_replaceable, height, tip, bodies_from });
        if is_outbound && self.discover {
            let asked = Frame::of(1, &GetAddresses {});
            // The first message of all has room.
            let _ = asked.map(|frame| self.members.send(peer, frame, 1));
        }
    }

    pub(super) fn refuse(
        &self,
        link: Link<TcpStream>,
        place: Box<dyn Send>,
        (code, reason): (&'static str, &'static str),
    ) {
        tracing::debug!(agent = link.peer().agent.as_str(), code, "a connection to a node was refused");
        self.runtime.spawn(async move {
            let _place = place;
            link.bye(code, reason).await;
        });
    }

    pub(super) fn ended(&mut self, peer: PeerId, end: &End) {
        if !self.members.contains(peer) {
            return;
        }
        if end.is_misbehaviour() {
            self.misbehaved(peer, end.name());
        }
        self.forget(peer, end.name(), &end.to_string());
        self.sync(Event::PeerDown { peer });
    }

    /// Hangs up on a peer that sync does not know to be gone yet.
    pub(super) fn drop_peer(&mut self, peer: PeerId, code: &'static str, reason: String) {
        if self.members.contains(peer) {
            self.part(peer, code, reason);
            self.sync(Event::PeerDown { peer });
        }
    }

    /// Hangs up on a peer after a last word.
    pub(super) fn part(&mut self, peer: PeerId, code: &'static str, reason: String) {
        if let Some(member) = self.forget(peer, code, &reason) {
            member.session.hang_up(code, reason);
        }
    }

    /// Forgets a peer everywhere but in sync.
    pub(super) fn forget(&mut self, peer: PeerId, code: &str, reason: &str) -> Option<Member> {
        let member = self.members.remove(peer)?;
        (self.may_dial, self.is_changed) = (true, true);
        self.note(format!("peer {} gone: {reason} ({code})", member.address));
        self.relay.peer_down(peer);
        self.book.peer_gone(peer);
        if member.is_outbound {
            let now = self.moment();
            let lasted = now.mono_ms.saturating_sub(member.since.mono_ms);
            self.book.closed(now, member.address, lasted);
        }
        Some(member)
    }

    /// Notes what a peer did that no honest one does.
    pub(super) fn misbehaved(&mut self, peer: PeerId, code: &str) {
        // Slow is not hostile.
        const SLOW: [&str; 4] = ["stalled", "headers_timeout", "tip_lag", "unconnected_headers"];
        if let Some(member) = self.members.get(peer).filter(|_| !SLOW.contains(&code)) {
            let (address, is_outbound) = (member.address, member.is_outbound);
            self.book.misbehaved(self.moment(), &address, is_outbound, code);
        }
    }

    pub(super) fn dial(&mut self) {
        for address in self.book.next_dials(self.moment(), &self.members.connected()) {
            self.dialled.insert(address);
            let (events, stopping) = (self.context.events.clone(), self.context.stopping.clone());
            let hello = self.identity.hello();
            self.runtime.spawn(async move {
                let dialled = tokio::select! {
                    () = stopping.cancelled() => return,
                    dialled = dial(address, hello) => dialled,
                };
                let event = match dialled {
                    Ok(link) => HubEvent::Arrived(Box::new(Arrival {
                        link,
                        address,
                        is_outbound: true,
                        place: Box::new(()),
                    })),
                    Err(error) => {
                        HubEvent::NotReached { address, is_own: is_own(&error), reason: error.to_string() }
                    }
                };
                // Nobody there: the node stops.
                let _ = events.send(event).await;
            });
        }
    }
}

/// Whether the other end of a dialled connection is this node: the end that accepts is the first to
/// see it. Who says so falsely is not dialled any more.
fn is_own(error: &LinkError) -> bool {
    match error {
        LinkError::Bye(bye) => bye.code.as_str() == LinkError::OwnConnection.name(),
        error => matches!(error, LinkError::OwnConnection),
    }
}

async fn dial(address: SocketAddr, hello: Hello) -> Result<Link<TcpStream>, LinkError> {
    let within = Duration::from_millis(PEERS_DIAL_MS);
    let stream = timeout(within, TcpStream::connect(address)).await;
    let stream = stream.map_err(|_| LinkError::HandshakeTimeout)??;
    // Each message is one write, and no later one is worth waiting for.
    let _ = stream.set_nodelay(true);
    Link::dial(stream, hello, peer_bytes_max, LINK_TIMES).await
}
