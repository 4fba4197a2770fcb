//! One machine, driven by hand where the exact moment or the exact request matters, over a chain in
//! memory. Must not know what a test wants to see.

use steelyard_core::encode::List;
use steelyard_core::hash::BlockId;
use steelyard_core::params::Params;
use steelyard_core::wire::{Announce, Body, BodyBytes, GetBodies, HeaderBytes, Headers, Missing};

use super::memory::MemoryChain;
use crate::chain::error::Accepted;
use crate::chain::tests::maker::Maker;
use crate::sync::{Action, Event, Now, PeerId, PeerMessage, Sync, SyncStatus};

/// After every block that the tests make.
const LATE_MS: u64 = 365 * 24 * 3_600_000;

/// The machine, its chain, and what it asked for.
pub struct Bench {
    pub maker: Maker,
    pub chain: MemoryChain,
    pub sync: Sync,
    /// Monotonic ms.
    pub now: u64,
    /// Requests for headers and for bodies that were not answered, oldest first.
    pub asked: Vec<(PeerId, u32, PeerMessage)>,
    pub dropped: Vec<(PeerId, &'static str)>,
    pub submitted: Vec<BlockId>,
}

impl Bench {
    /// A machine whose chain has these blocks.
    pub fn new(params: Params, make: impl FnOnce(&mut Maker) -> Vec<BlockId>) -> (Self, Vec<BlockId>) {
        let mut maker = Maker::new(params.clone());
        let (blocks, mut chain) = (make(&mut maker), MemoryChain::new(&params));
        for id in &blocks {
            chain.submit(maker.block(*id), u64::MAX).unwrap();
        }
        let (sync, asked) = (Sync::new(params), Vec::new());
        let bench =
            Self { maker, chain, sync, now: 1_000, asked, dropped: Vec::new(), submitted: Vec::new() };
        (bench, blocks)
    }

    pub fn unix(&self) -> u64 {
        self.maker.params.genesis_time + LATE_MS + self.now
    }

    pub fn event(&mut self, event: Event) {
        let now = Now { unix_ms: self.unix(), mono_ms: self.now };
        let actions = self.sync.handle(now, &self.chain, event);
        self.sync.check();
        assert!(self.sync.next_wake().is_none_or(|wake| wake > self.now), "what is due is done");
        for action in actions {
            match action {
                Action::Send { message: PeerMessage::Announce(_), .. } => {}
                Action::Send { peer, request, message } => self.asked.push((peer, request, message)),
                Action::Drop { peer, code, .. } => self.dropped.push((peer, code)),
                Action::Submit { blocks } => {
                    self.submitted.extend(blocks.iter().map(|block| block.header.id()));
                }
            }
        }
    }

    /// Lets time pass, with a tick at each moment that the machine asks for and at the end.
    pub fn pass(&mut self, ms: u64) {
        let until = self.now + ms;
        while let Some(wake) = self.sync.next_wake().filter(|wake| *wake <= until) {
            self.now = wake;
            self.event(Event::Tick);
        }
        self.now = until;
        self.event(Event::Tick);
    }

    /// [`Bench::pass`], while every request for headers is answered within a second: nothing new.
    pub fn pass_answering(&mut self, ms: u64) {
        let until = self.now + ms;
        while self.now < until {
            self.pass((until - self.now).min(1_000));
            while let Some(peer) = self.headers_asked().first().copied() {
                self.answer_headers(peer, &[]);
            }
        }
    }

    pub fn up(&mut self, peer: PeerId, is_outbound: bool, tip: BlockId) {
        let height = self.maker.height(tip);
        self.event(Event::PeerUp { peer, is_outbound, height, tip, bodies_from: 0 });
    }

    pub fn say(&mut self, peer: PeerId, request: u32, message: PeerMessage) {
        self.event(Event::Message { peer, request, message });
    }

    pub fn announce(&mut self, peer: PeerId, id: BlockId) {
        let headers = self.headers(&[id]);
        self.say(peer, 0, PeerMessage::Announce(Announce { headers }));
    }

    pub fn headers<const MAX: usize>(&self, ids: &[BlockId]) -> List<HeaderBytes, MAX> {
        List::new(ids.iter().map(|id| HeaderBytes::from(&self.maker.block(*id).header)).collect()).unwrap()
    }

    /// Whom it asks for headers and waits for.
    pub fn headers_asked(&self) -> Vec<PeerId> {
        let is_asked = |asked: &&(PeerId, u32, PeerMessage)| matches!(asked.2, PeerMessage::GetHeaders(_));
        self.asked.iter().filter(is_asked).map(|(peer, ..)| *peer).collect()
    }

    /// Answers the oldest request for headers of a peer with these.
    pub fn answer_headers(&mut self, peer: PeerId, ids: &[BlockId]) {
        let place = self
            .asked
            .iter()
            .position(|(of, _, asked)| *of == peer && matches!(asked, PeerMessage::GetHeaders(_)))
            .expect("it was asked for headers");
        let (_, request, _) = self.asked.remove(place);
        let headers = self.headers(ids);
        self.say(peer, request, PeerMessage::Headers(Headers { headers }));
    }

    /// Takes the oldest request for bodies of a peer.
    pub fn take_bodies_asked(&mut self, peer: PeerId) -> Option<(u32, Vec<BlockId>)> {
        let place = self
            .asked
            .iter()
            .position(|(of, _, asked)| *of == peer && matches!(asked, PeerMessage::GetBodies(_)))?;
        match self.asked.remove(place) {
            (_, request, PeerMessage::GetBodies(GetBodies { ids })) => {
                Some((request, ids.iter().copied().collect()))
            }
            _ => None,
        }
    }

    pub fn send_body(&mut self, peer: PeerId, request: u32, id: BlockId) {
        let bytes = BodyBytes::new(self.maker.block(id).body.to_bytes()).unwrap();
        self.say(peer, request, PeerMessage::Body(Body { id, bytes }));
    }

    pub fn send_missing(&mut self, peer: PeerId, request: u32, ids: &[BlockId]) {
        let ids = List::new(ids.to_vec()).unwrap();
        self.say(peer, request, PeerMessage::Missing(Missing { ids }));
    }

    /// The chain takes what was submitted.
    pub fn judge(&mut self) {
        for id in std::mem::take(&mut self.submitted) {
            let verdict = self.chain.submit(self.maker.block(id), u64::MAX);
            assert_eq!(verdict, Ok(Accepted::Active));
            self.event(Event::Judged { id, verdict });
        }
        self.event(Event::TipChanged);
    }

    pub fn status(&self) -> SyncStatus {
        self.sync.status()
    }
}
