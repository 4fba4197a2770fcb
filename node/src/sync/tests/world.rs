//! A network of machines under one clock and one seed: delays, cuts, crashes, partitions, liars.
//! Whatever happens, no honest machine drops another, and none passes a bound. Must not know what
//! a test wants to see.

use std::collections::{BTreeMap, BTreeSet};

use steelyard_core::encode::List;
use steelyard_core::hash::BlockId;
use steelyard_core::params::Params;
use steelyard_core::types::header::Header;
use steelyard_core::wire::{Announce, Body, BodyBytes, HeaderBytes, Headers, Missing};

use super::memory::MemoryChain;
use crate::chain::check::UncheckedBlock;
use crate::chain::tests::maker::Maker;
use crate::limits::*;
use crate::sync::{Action, ChainRead, Event, Now, PeerId, PeerMessage, PeerRequest, Sync, serve};

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }
}

/// What a liar does when asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Serves its forged chain as it is.
    Chain,
    /// Sends other bodies than the headers'.
    WrongBody,
    /// Sends bytes that are no body.
    RubbishBody,
    /// Never sends bodies.
    Withholds,
    /// Says that it has no bodies.
    Misses,
    /// Never answers anything.
    Silent,
    /// Announces headers that connect to nothing, again and again.
    Unconnected,
}

pub struct Machine {
    pub chain: MemoryChain,
    pub sync: Option<Sync>,
    pub lie: Option<Lie>,
    epoch: u32,
    busy_until: u64,
}

struct Link {
    ends: [usize; 2],
    last: [u64; 2],
    is_up: bool,
}

enum Item {
    Deliver { link: usize, to: usize, request: u32, message: PeerMessage },
    Judge { machine: usize, epoch: u32, blocks: Vec<UncheckedBlock> },
    Wake { machine: usize, epoch: u32 },
    Connect { a: usize, b: usize },
    Nag { link: usize, from: usize },
}

pub struct World {
    pub maker: Maker,
    pub random: Random,
    pub machines: Vec<Machine>,
    pub now: u64,
    /// Messages sent, by kind.
    pub sent: BTreeMap<&'static str, usize>,
    /// Liars that were dropped, with the code.
    pub dropped: Vec<(usize, &'static str)>,
    links: Vec<Link>,
    /// Pairs that may not be connected now.
    pub parted: BTreeSet<(usize, usize)>,
    banned: BTreeSet<(usize, usize)>,
    queue: BTreeMap<(u64, u64), Item>,
    order: u64,
    delay: u64,
    params: Params,
}

/// Unix time of the world's beginning, after genesis: no honest block is ahead of it.
const YEAR_MS: u64 = 365 * 24 * 3_600_000;

impl World {
    pub fn new(seed: u64) -> Self {
        let params = crate::chain::tests::maker::params();
        let mut random = Random(seed);
        let delay = 1 + random.below(200);
        Self {
            maker: Maker::new(params.clone()),
            random,
            machines: Vec::new(),
            now: 0,
            sent: BTreeMap::new(),
            dropped: Vec::new(),
            links: Vec::new(),
            parted: BTreeSet::new(),
            banned: BTreeSet::new(),
            queue: BTreeMap::new(),
            order: 0,
            delay,
            params,
        }
    }

    pub fn unix(&self) -> u64 {
        self.params.genesis_time + YEAR_MS + self.now
    }

    pub fn add(&mut self, chain: &[BlockId], lie: Option<Lie>) -> usize {
        let mut memory = MemoryChain::new(&self.params);
        for id in chain {
            let block = self.maker.block(*id);
            if lie.is_some() {
                memory.force(block);
            } else {
                memory.submit(block, self.unix()).unwrap();
            }
        }
        let sync = lie.is_none().then(|| Sync::new(self.params.clone()));
        self.machines.push(Machine { chain: memory, sync, lie, epoch: 0, busy_until: 0 });
        self.machines.len() - 1
    }

    fn put(&mut self, at: u64, item: Item) {
        self.order += 1;
        self.queue.insert((at, self.order), item);
    }

    fn pair(a: usize, b: usize) -> (usize, usize) {
        (a.min(b), a.max(b))
    }

    pub fn connect(&mut self, a: usize, b: usize) {
        self.put(self.now, Item::Connect { a, b });
    }

    fn up(&mut self, a: usize, b: usize) {
        let pair = Self::pair(a, b);
        let is_up =
            self.links.iter().any(|link| link.is_up && Self::pair(link.ends[0], link.ends[1]) == pair);
        let is_dead = |machine: &Machine| machine.sync.is_none() && machine.lie.is_none();
        if is_up || self.banned.contains(&pair) {
            return;
        }
        if self.parted.contains(&pair) || is_dead(&self.machines[a]) || is_dead(&self.machines[b]) {
            return self.put(self.now + 1_000, Item::Connect { a, b });
        }
        let link = self.links.len();
        self.links.push(Link { ends: [a, b], last: [self.now; 2], is_up: true });
        for side in 0..2 {
            let chain = &self.machines[self.links[link].ends[1 - side]].chain;
            let (tip, bodies_from) = (chain.tip(), chain.told_from());
            let (peer, height, tip) = (peer_id(link, side), tip.header.height, tip.id);
            let event = Event::PeerUp { peer, is_outbound: side == 0, height, tip, bodies_from };
            self.event(self.links[link].ends[side], event);
            self.put(self.now + 50, Item::Nag { link, from: side });
        }
    }

    /// Cuts a connection; it is dialled again later unless a liar was dropped.
    pub fn cut(&mut self, link: usize) {
        if !std::mem::take(&mut self.links[link].is_up) {
            return;
        }
        let [a, b] = self.links[link].ends;
        for side in 0..2 {
            self.event(self.links[link].ends[side], Event::PeerDown { peer: peer_id(link, side) });
        }
        let again = self.now + 500 + self.random.below(1_000);
        self.put(again, Item::Connect { a, b });
    }

    pub fn cut_any(&mut self) {
        let link = self.random.below(self.links.len().max(1) as u64) as usize;
        if link < self.links.len() {
            self.cut(link);
        }
    }

    pub fn part(&mut self, a: usize, b: usize) {
        self.parted.insert(Self::pair(a, b));
        for link in 0..self.links.len() {
            if Self::pair(self.links[link].ends[0], self.links[link].ends[1]) == Self::pair(a, b) {
                self.cut(link);
            }
        }
    }

    /// Its sync is lost, its chain stays.
    pub fn crash(&mut self, machine: usize) {
        self.machines[machine].epoch += 1;
        self.machines[machine].sync = None;
        for link in 0..self.links.len() {
            if self.links[link].ends.contains(&machine) {
                self.cut(link);
            }
        }
        self.machines[machine].sync = Some(Sync::new(self.params.clone()));
    }

    /// Whether a machine's chain takes blocks.
    pub fn takes(&mut self, machine: usize, takes: bool) {
        self.event(machine, Event::Takes(takes));
    }

    /// Mines one block on a machine's tip.
    pub fn mine(&mut self, machine: usize) -> BlockId {
        let parent = self.machines[machine].chain.tip_id();
        let id = self.maker.make(parent, &[]);
        let (block, unix) = (self.maker.block(id), self.unix());
        self.machines[machine].chain.submit(block, unix).unwrap();
        self.event(machine, Event::TipChanged);
        id
    }

    fn event(&mut self, machine: usize, event: Event) {
        let now = Now { unix_ms: self.unix(), mono_ms: self.now };
        let state = &mut self.machines[machine];
        let Some(sync) = &mut state.sync else { return };
        let actions = sync.handle(now, &state.chain, event);
        let status = sync.status();
        assert!(status.headers_ahead <= SYNC_HEADERS_MAX && status.held <= SYNC_HELD_MAX);
        assert!(status.in_flight <= SYNC_FLIGHT_MAX * status.peers.len(), "{status:?}");
        assert!(status.body_bytes <= SYNC_BODY_BYTES_MAX);
        sync.check();
        let (wake, epoch) = (sync.next_wake(), state.epoch);
        if let Some(wake) = wake {
            assert!(wake > self.now, "what is due is done");
            self.put(wake, Item::Wake { machine, epoch });
        }
        for action in actions {
            self.act(machine, action);
        }
    }

    fn act(&mut self, machine: usize, action: Action) {
        match action {
            Action::Send { peer, request, message } => {
                let (link, side) = (peer as usize / 2, peer as usize % 2);
                self.send(link, 1 - side, request, message);
            }
            Action::Submit { blocks } => {
                assert!(blocks.len() <= SYNC_SUBMIT_MAX && !blocks.is_empty());
                let at = self.now.max(self.machines[machine].busy_until) + 1 + self.random.below(20);
                self.machines[machine].busy_until = at;
                let epoch = self.machines[machine].epoch;
                self.put(at, Item::Judge { machine, epoch, blocks });
            }
            Action::Drop { peer, code, reason } => {
                let (link, side) = (peer as usize / 2, peer as usize % 2);
                let other = self.links[link].ends[1 - side];
                assert!(self.machines[other].lie.is_some(), "honest {other} dropped: {code}: {reason}");
                self.dropped.push((other, code));
                self.links[link].is_up = false;
                self.banned.insert(Self::pair(machine, other));
            }
        }
    }

    fn send(&mut self, link: usize, to: usize, request: u32, message: PeerMessage) {
        if !self.links[link].is_up {
            return;
        }
        *self.sent.entry(kind(&message)).or_default() += 1;
        let at = self.links[link].last[to].max(self.now + 1 + self.random.below(self.delay));
        self.links[link].last[to] = at;
        self.put(at, Item::Deliver { link, to, request, message });
    }

    /// Runs for so many ms.
    pub fn run(&mut self, ms: u64) {
        let until = self.now + ms;
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= until) {
            self.now = entry.key().0;
            let item = entry.remove();
            self.item(item);
        }
        self.now = until;
    }

    fn item(&mut self, item: Item) {
        match item {
            Item::Deliver { link, to, request, message } if self.links[link].is_up => {
                let machine = self.links[link].ends[to];
                if self.machines[machine].lie.is_some() {
                    return self.lie(link, to, request, message);
                }
                let asked = match message {
                    PeerMessage::GetHeaders(asked) => PeerRequest::GetHeaders(asked),
                    PeerMessage::GetBodies(asked) => PeerRequest::GetBodies(asked),
                    message => {
                        let peer = peer_id(link, to);
                        return self.event(machine, Event::Message { peer, request, message });
                    }
                };
                self.serve(link, to, request, &asked);
            }
            Item::Deliver { .. } => {}
            Item::Judge { machine, epoch, blocks } if self.machines[machine].epoch == epoch => {
                let (before, unix) = (self.machines[machine].chain.tip_id(), self.unix());
                for block in blocks {
                    let id = block.header.id();
                    let verdict = self.machines[machine].chain.submit(block, unix);
                    let failed = verdict.is_err();
                    self.event(machine, Event::Judged { id, verdict });
                    if failed {
                        break;
                    }
                }
                if self.machines[machine].chain.tip_id() != before {
                    self.event(machine, Event::TipChanged);
                }
            }
            Item::Wake { machine, epoch } if self.machines[machine].epoch == epoch => {
                self.event(machine, Event::Tick);
            }
            Item::Judge { .. } | Item::Wake { .. } => {}
            Item::Connect { a, b } => self.up(a, b),
            Item::Nag { link, from } => self.nag(link, from),
        }
    }

    /// What an honest machine says when asked.
    fn serve(&mut self, link: usize, side: usize, request: u32, asked: &PeerRequest) {
        let mut answers = Vec::new();
        let chain = &self.machines[self.links[link].ends[side]].chain;
        serve::answer(chain, asked, &mut |answer| {
            answers.push(answer);
            true
        });
        for answer in answers {
            self.send(link, 1 - side, request, answer);
        }
    }

    /// What a liar says when asked.
    fn lie(&mut self, link: usize, side: usize, request: u32, message: PeerMessage) {
        let machine = self.links[link].ends[side];
        let (Some(lie), chain) = (self.machines[machine].lie, &self.machines[machine].chain) else { return };
        let mut answers = Vec::new();
        match message {
            PeerMessage::GetHeaders(asked) if lie != Lie::Silent => {
                let headers = chain.headers_after(&asked.locator, 2_000);
                answers.push(PeerMessage::Headers(Headers { headers: list(&headers) }));
            }
            PeerMessage::GetBodies(asked) => {
                for id in asked.ids.iter() {
                    let bytes = match lie {
                        Lie::Silent | Lie::Withholds | Lie::Misses => continue,
                        Lie::WrongBody => steelyard_core::types::body::Body::default().to_bytes(),
                        Lie::RubbishBody => vec![0xff; 20],
                        Lie::Chain | Lie::Unconnected => chain.body(id).unwrap(),
                    };
                    answers.push(PeerMessage::Body(Body { id: *id, bytes: BodyBytes::new(bytes).unwrap() }));
                }
                if lie == Lie::Misses {
                    answers.push(PeerMessage::Missing(Missing { ids: asked.ids }));
                }
            }
            _ => {}
        }
        for answer in answers {
            self.send(link, 1 - side, request, answer);
        }
    }

    /// Liars announce their tip over and over.
    fn nag(&mut self, link: usize, from: usize) {
        let machine = &self.machines[self.links[link].ends[from]];
        let Some(lie) = machine.lie.filter(|_| self.links[link].is_up) else { return };
        let mut header = machine.chain.tip().header;
        if lie == Lie::Unconnected {
            header.prev = BlockId([self.random.below(256) as u8; 32]);
        }
        self.send(link, 1 - from, 0, PeerMessage::Announce(Announce { headers: list(&[header]) }));
        self.put(self.now + 1_000, Item::Nag { link, from });
    }

    /// That all these machines have the same tip.
    pub fn assert_agreed(&self, machines: impl IntoIterator<Item = usize>) {
        let tips: BTreeSet<BlockId> =
            machines.into_iter().map(|machine| self.machines[machine].chain.tip_id()).collect();
        assert_eq!(
            tips.len(),
            1,
            "heights {:?}",
            tips.iter().map(|id| self.maker.height(*id)).collect::<Vec<_>>()
        );
    }
}

fn peer_id(link: usize, side: usize) -> PeerId {
    (link * 2 + side) as PeerId
}

fn list<const MAX: usize>(headers: &[Header]) -> List<HeaderBytes, MAX> {
    List::new(headers.iter().map(HeaderBytes::from).collect()).unwrap()
}

fn kind(message: &PeerMessage) -> &'static str {
    match message {
        PeerMessage::GetHeaders(_) => "get_headers",
        PeerMessage::Headers(_) => "headers",
        PeerMessage::GetBodies(_) => "get_bodies",
        PeerMessage::Body(_) => "body",
        PeerMessage::Missing(_) => "missing",
        PeerMessage::Announce(_) => "announce",
    }
}
