//! A network of machines under one clock and one seed: delays, cuts, verdicts that differ, peers that are
//! silent, that announce what they do not have and that answer with something else. At its end every
//! honest machine has every transaction, and each was fetched about once.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Honest,
    /// Never answers.
    Silent,
    /// Announces everything there is and answers without it.
    Boaster,
    /// Answers with another transaction than was asked for.
    Swapper,
    /// Answers with wrong signatures.
    Forger,
    /// Answers with bytes that are no transaction.
    Rubbish,
}

#[derive(Clone, Debug)]
enum Message {
    Tx(TxMessage),
    Txs(Vec<Bytes>),
}

#[derive(Debug)]
enum Item {
    Deliver { link: usize, to: usize, request: u32, message: Message },
    Judge { machine: usize, peer: PeerId, id: TxId, bytes: Vec<u8> },
    Wake { machine: usize },
    Connect { a: usize, b: usize },
}

struct Machine {
    kind: Kind,
    relay: Relay,
    pool: Pool,
    /// Transactions that came from others, and how often each.
    fetched: BTreeMap<TxId, usize>,
    wake: Option<u64>,
    busy_until: u64,
}

struct Link {
    ends: [usize; 2],
    /// When the last message arrives at each end: they do not pass one another.
    last: [u64; 2],
    is_up: bool,
    /// What each end announced or sent, as far as it arrived.
    said: [BTreeSet<TxId>; 2],
}

/// What may go wrong, each in so many of a hundred cases.
#[derive(Clone, Copy, Default)]
struct Accidents {
    refused: u32,
    busy: u32,
}

struct World {
    now: u64,
    random: StdRng,
    machines: Vec<Machine>,
    links: Vec<Link>,
    queue: BTreeMap<(u64, u64), Item>,
    items: u64,
    all: BTreeMap<TxId, Bytes>,
    accidents: Accidents,
    /// Pairs that do not connect again.
    banned: BTreeSet<(usize, usize)>,
    /// The liars that were dropped, and why.
    dropped: Vec<(usize, &'static str)>,
}

fn peer_id(link: usize, side: usize) -> PeerId {
    (link * 2 + side) as PeerId
}

fn place(peer: PeerId) -> (usize, usize) {
    (peer as usize / 2, peer as usize % 2)
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            now: 0,
            random: StdRng::seed_from_u64(seed),
            machines: Vec::new(),
            links: Vec::new(),
            queue: BTreeMap::new(),
            items: 0,
            all: BTreeMap::new(),
            accidents: Accidents::default(),
            banned: BTreeSet::new(),
            dropped: Vec::new(),
        }
    }

    fn add(&mut self, kind: Kind) -> usize {
        let (relay, pool) = (Relay::new(), Pool::default());
        self.machines.push(Machine {
            kind,
            relay,
            pool,
            fetched: BTreeMap::new(),
            wake: None,
            busy_until: 0,
        });
        self.machines.len() - 1
    }

    fn put(&mut self, at: u64, item: Item) {
        self.items += 1;
        self.queue.insert((at, self.items), item);
    }

    fn connect(&mut self, a: usize, b: usize) {
        let is_up = self.links.iter().any(|link| link.is_up && (link.ends == [a, b] || link.ends == [b, a]));
        if is_up || a == b || self.banned.contains(&(a.min(b), a.max(b))) {
            return;
        }
        let link = self.links.len();
        self.links.push(Link { ends: [a, b], last: [self.now; 2], is_up: true, said: Default::default() });
        for (side, machine) in [a, b].into_iter().enumerate() {
            self.machines[machine].relay.peer_up(peer_id(link, side));
            self.boast(link, side);
            self.settle(machine);
        }
    }

    /// A liar announces all that there is.
    fn boast(&mut self, link: usize, side: usize) {
        let kind = self.machines[self.links[link].ends[side]].kind;
        if kind == Kind::Honest {
            return;
        }
        let ids: Vec<TxId> = self.all.keys().copied().collect();
        for ids in ids.chunks(TX_IDS_MAX) {
            let ids = TxIds { ids: List::new(ids.to_vec()).unwrap() };
            self.send(link, 1 - side, 0, Message::Tx(TxMessage::Ids(ids)));
        }
    }

    fn cut(&mut self, link: usize) {
        if !std::mem::take(&mut self.links[link].is_up) {
            return;
        }
        let [a, b] = self.links[link].ends;
        for (side, machine) in [a, b].into_iter().enumerate() {
            self.machines[machine].relay.peer_down(peer_id(link, side));
            self.settle(machine);
        }
        let again = self.now + self.random.random_range(100..2_000);
        self.put(again, Item::Connect { a, b });
    }

    fn drop_peer(&mut self, peer: PeerId, code: &'static str) {
        let (link, side) = place(peer);
        let [a, b] = self.links[link].ends;
        let other = self.links[link].ends[1 - side];
        assert_ne!(self.machines[other].kind, Kind::Honest, "dropped: {code}");
        self.dropped.push((other, code));
        self.banned.insert((a.min(b), a.max(b)));
        self.cut(link);
    }

    fn send(&mut self, link: usize, to: usize, request: u32, message: Message) {
        if !self.links[link].is_up {
            return;
        }
        let delay = self.random.random_range(1..200);
        let at = self.links[link].last[to].max(self.now + delay);
        self.links[link].last[to] = at;
        self.put(at, Item::Deliver { link, to, request, message });
    }

    /// After each call: the bounds, and when to wake.
    fn settle(&mut self, machine: usize) {
        let state = &mut self.machines[machine];
        state.relay.check();
        let wake = state.relay.next_wake().map(|wake| wake.max(self.now));
        if let Some(at) = wake
            && wake != state.wake
            && state.kind == Kind::Honest
        {
            state.wake = wake;
            self.put(at, Item::Wake { machine });
        }
    }

    fn act(&mut self, machine: usize, actions: Vec<RelayAction>) {
        self.settle(machine);
        for action in actions {
            match action {
                RelayAction::Send { peer, request, message } => {
                    let (link, side) = place(peer);
                    if let TxMessage::Ids(told) = &message {
                        let said = &self.links[link].said[1 - side];
                        assert!(told.ids.iter().all(|id| !said.contains(id)), "told to who said so first");
                    }
                    self.send(link, 1 - side, request, Message::Tx(message));
                }
                RelayAction::Check { peer, txs } => {
                    let at = self.now + self.random.random_range(1..50);
                    // In the order in which they came.
                    let at = at.max(self.machines[machine].busy_until);
                    self.machines[machine].busy_until = at;
                    for (id, bytes) in txs {
                        *self.machines[machine].fetched.entry(id).or_default() += 1;
                        self.put(at, Item::Judge { machine, peer, id, bytes });
                    }
                }
            }
        }
    }

    /// A wallet brings a transaction.
    fn submit(&mut self, machine: usize, (id, bytes): (TxId, Bytes)) {
        self.all.insert(id, bytes.clone());
        self.machines[machine].pool.add(id, bytes);
        self.machines[machine].relay.pool_changed();
        self.settle(machine);
    }

    fn judge(&mut self, machine: usize, peer: PeerId, id: TxId, bytes: Vec<u8>) {
        let mut chance = |percent| self.random.random_ratio(percent, 100);
        let verdict = if *self.all[&id] != *bytes {
            TxVerdict::Guilty
        } else if chance(self.accidents.busy) {
            TxVerdict::Busy
        } else if chance(self.accidents.refused) {
            TxVerdict::Refused
        } else {
            TxVerdict::Taken
        };
        let state = &mut self.machines[machine];
        if verdict == TxVerdict::Taken {
            state.pool.add(id, List::new(bytes).unwrap());
            state.relay.pool_changed();
        }
        let actions = state.relay.judged(self.now, &state.pool, peer, id, verdict);
        self.act(machine, actions);
        if verdict == TxVerdict::Guilty {
            self.drop_peer(peer, "guilty");
        }
    }

    fn run(&mut self, ms: u64) {
        let until = self.now + ms;
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= until) {
            self.now = entry.key().0;
            match entry.remove() {
                Item::Deliver { link, to, request, message } => self.deliver((link, to), request, message),
                Item::Judge { machine, peer, id, bytes } => self.judge(machine, peer, id, bytes),
                Item::Wake { machine } => self.wake(machine),
                Item::Connect { a, b } => self.connect(a, b),
            }
        }
        self.now = until;
    }

    fn wake(&mut self, machine: usize) {
        let state = &mut self.machines[machine];
        if state.wake != Some(self.now) {
            return;
        }
        state.wake = None;
        let actions = state.relay.tick(self.now, &state.pool);
        assert!(state.relay.next_wake().is_none_or(|wake| wake > self.now), "what is due is done");
        self.act(machine, actions);
    }

    fn deliver(&mut self, (link, side): (usize, usize), request: u32, message: Message) {
        if !self.links[link].is_up {
            return;
        }
        let (machine, peer) = (self.links[link].ends[side], peer_id(link, side));
        if self.machines[machine].kind != Kind::Honest {
            return self.lie((link, side), request, message);
        }
        let state = &mut self.machines[machine];
        match message {
            Message::Tx(TxMessage::Ids(got)) => {
                let actions = state.relay.announced(self.now, &state.pool, peer, &got.ids);
                self.links[link].said[1 - side].extend(got.ids.iter());
                self.act(machine, actions);
            }
            Message::Tx(TxMessage::Get(got)) => {
                let (ids, txs) = state.pool.get(&got.ids);
                state.relay.served(peer, &ids);
                self.send(link, 1 - side, request, Message::Txs(txs));
            }
            Message::Txs(txs) => {
                let id = |bytes: &Bytes| Transaction::from_bytes(bytes).ok().map(|tx| tx.body.id());
                self.links[link].said[1 - side].extend(txs.iter().filter_map(id));
                match state.relay.received(self.now, &state.pool, peer, request, &txs) {
                    Ok(actions) => self.act(machine, actions),
                    Err(code) => self.drop_peer(peer, code),
                }
            }
        }
    }

    fn lie(&mut self, (link, side): (usize, usize), request: u32, message: Message) {
        let Message::Tx(TxMessage::Get(asked)) = message else { return };
        let kind = self.machines[self.links[link].ends[side]].kind;
        let txs = match kind {
            Kind::Silent | Kind::Honest => return,
            Kind::Boaster => Vec::new(),
            Kind::Swapper => self.all.values().rev().take(2).cloned().collect(),
            Kind::Rubbish => vec![List::new(vec![7; 300]).unwrap()],
            Kind::Forger => {
                let forged = asked.ids.iter().map(|id| {
                    let mut bytes = self.all[id].to_vec();
                    *bytes.last_mut().unwrap() ^= 1;
                    List::new(bytes).unwrap()
                });
                forged.collect()
            }
        };
        self.send(link, 1 - side, request, Message::Txs(txs));
    }

    fn honest(&self) -> impl Iterator<Item = (usize, &Machine)> {
        self.machines.iter().enumerate().filter(|(_, machine)| machine.kind == Kind::Honest)
    }

    fn assert_complete(&self) {
        for (place, machine) in self.honest() {
            let lacks = self.all.keys().filter(|id| !machine.pool.is_known(id)).count();
            assert_eq!(lacks, 0, "machine {place} of {} lacks some", self.machines.len());
        }
    }
}

/// Honest machines only, nothing goes wrong: each transaction is fetched once by each, and told soon.
#[test]
fn a_calm_network_fetches_each_transaction_once() {
    let mut world = World::new(crate::chain::tests::forest::seed(1));
    for _ in 0..6 {
        world.add(Kind::Honest);
    }
    for a in 0..6 {
        for b in 0..a {
            world.connect(a, b);
        }
    }
    world.run(1_000);
    for nonce in 0..120 {
        world.submit(nonce as usize % 6, tx(nonce));
        world.run(20);
    }
    world.run(2_000);
    world.assert_complete();
    let fetched: Vec<usize> =
        world.machines.iter().flat_map(|machine| machine.fetched.values().copied()).collect();
    assert_eq!((fetched.len(), fetched.iter().sum::<usize>()), (5 * 120, 5 * 120));
}

/// A pool that is larger than what is told at once comes over in one piece, in its order.
#[test]
fn a_newcomer_fetches_a_whole_pool() {
    let mut world = World::new(crate::chain::tests::forest::seed(2));
    let (full, empty) = (world.add(Kind::Honest), world.add(Kind::Honest));
    for nonce in 0..2_200 {
        world.submit(full, tx(nonce));
    }
    world.connect(full, empty);
    world.run(20_000);
    world.assert_complete();
    assert!(world.machines[empty].fetched.values().all(|times| *times == 1));
    let order =
        |machine: usize| world.machines[machine].pool.by_arrival.values().copied().collect::<Vec<_>>();
    assert!(order(full) == order(empty), "in another order");
}

fn random_network(seed: u64) {
    let mut world = World::new(seed);
    let honest = world.random.random_range(2..=6usize);
    for _ in 0..honest {
        world.add(Kind::Honest);
    }
    let kinds = [Kind::Silent, Kind::Boaster, Kind::Swapper, Kind::Forger, Kind::Rubbish];
    for _ in 0..world.random.random_range(0..=4) {
        let kind = kinds[world.random.random_range(0..kinds.len())];
        let liar = world.add(kind);
        for machine in 0..honest {
            if world.random.random_ratio(2, 3) {
                world.connect(machine, liar);
            }
        }
    }
    for machine in 1..honest {
        world.connect(machine, machine - 1);
        let other = world.random.random_range(0..honest);
        world.connect(machine, other);
    }
    world.accidents =
        Accidents { refused: world.random.random_range(0..10), busy: world.random.random_range(0..10) };
    for nonce in 0..60 {
        let machine = world.random.random_range(0..honest);
        world.submit(machine, tx(nonce));
        let ms = world.random.random_range(0..300);
        world.run(ms);
        match world.random.random_range(0..20) {
            0 => {
                let link = world.random.random_range(0..world.links.len());
                world.cut(link);
            }
            1 => world.machines[machine].relay.tip_changed(),
            2 => (0..world.links.len()).for_each(|link| (0..2).for_each(|side| world.boast(link, side))),
            3 => {
                let paused = world.random.random();
                world.machines[machine].relay.set_paused(paused);
            }
            _ => {}
        }
        world.settle(machine);
    }
    // Each hop may take a round of telling again to make up for a refusal.
    world.accidents = Accidents::default();
    for machine in 0..honest {
        world.machines[machine].relay.set_paused(false);
        world.machines[machine].relay.tip_changed();
        world.settle(machine);
    }
    world.run((2 * honest as u64 + 1) * RELAY_RETELL_MS);
    world.assert_complete();
    let fetched: usize = world.honest().flat_map(|(_, machine)| machine.fetched.values()).sum();
    let most = 60 * honest * 3 / 2;
    assert!(fetched <= most, "{fetched} were fetched, of {}", 60 * honest);
    for (liar, code) in &world.dropped {
        let expected = match world.machines[*liar].kind {
            Kind::Swapper => "unrequested_tx",
            Kind::Forger => "guilty",
            Kind::Rubbish => "malformed",
            kind => panic!("{kind:?} breaks no rule"),
        };
        assert_eq!(*code, expected);
    }
}

#[test]
fn random_networks_end_with_every_transaction_everywhere() {
    let seeds = match std::env::var("STEELYARD_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..80).collect(),
    };
    for seed in seeds {
        println!("STEELYARD_SEED={seed}");
        random_network(seed);
    }
}
