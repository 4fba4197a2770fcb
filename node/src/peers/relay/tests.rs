//! The machine, rule by rule; the network of them is in `world`.

mod world;

use std::collections::BTreeMap;

use steelyard_core::encode::List;
use steelyard_core::hash::{AssetId, NetworkId, TxId};
use steelyard_core::types::transaction::{Action, Payment, TX_BYTES_MAX};

use super::*;
use crate::chain::tests::maker::{account, act};
use crate::limits::{RELAY_ANNOUNCED_MAX, RELAY_FLIGHT_MAX};

type Bytes = List<u8, TX_BYTES_MAX>;

/// A pool that takes anything.
#[derive(Debug, Default)]
pub struct Pool {
    by_arrival: BTreeMap<u64, TxId>,
    txs: BTreeMap<TxId, Bytes>,
    arrivals: u64,
}

impl Pool {
    fn add(&mut self, id: TxId, bytes: Bytes) {
        if self.txs.insert(id, bytes).is_none() {
            self.by_arrival.insert(self.arrivals, id);
            self.arrivals += 1;
        }
    }

    fn get(&self, ids: &[TxId]) -> (Vec<TxId>, Vec<Bytes>) {
        ids.iter().filter_map(|id| Some((*id, self.txs.get(id)?.clone()))).unzip()
    }
}

impl PoolRead for Pool {
    fn is_known(&self, id: &TxId) -> bool {
        self.txs.contains_key(id)
    }

    fn after(&self, arrival: u64, max: usize) -> Vec<(u64, TxId)> {
        self.by_arrival.range(arrival..).take(max).map(|(arrival, id)| (*arrival, *id)).collect()
    }
}

impl Relay {
    /// What is kept twice agrees, and everything is bounded.
    fn check(&self) {
        self.wanted.check();
        assert!(self.wanted.busy() <= RELAY_CHECKS_MAX);
        assert!(self.wanted.len() <= self.peers.len() * RELAY_ANNOUNCED_MAX + RELAY_CHECKS_MAX);
        let (order, notes) = self.refused.lens();
        assert!(order == notes && order <= RELAY_REFUSED_MAX);
        for peer in self.peers.values() {
            let (order, notes) = peer.has.lens();
            assert!(order == notes && order <= RELAY_KNOWN_MAX);
            assert!(peer.requests.len() <= RELAY_REQUESTS_MAX);
            let flight: usize = peer.requests.values().map(|request| request.ids.len()).sum();
            assert!(flight <= RELAY_FLIGHT_MAX);
            assert!(peer.requests.values().all(|request| (1..=TXS_MAX).contains(&request.ids.len())));
        }
    }
}

/// A payment, as it is sent.
fn tx(nonce: u64) -> (TxId, Bytes) {
    let payment = Payment { asset: AssetId::COINS, to: account(7).address, amount: 1 };
    let action = Action::Transfer { payments: List::new(vec![payment]).unwrap() };
    let tx = act(NetworkId::ZERO, (0, nonce, 0), (0, Vec::new()), action);
    (tx.id(), List::new(tx.bytes().to_vec()).unwrap())
}

/// An id of which there is no transaction.
fn id(number: u64) -> TxId {
    let mut id = TxId::ZERO;
    id.0[..8].copy_from_slice(&number.to_be_bytes());
    id
}

fn ids(numbers: std::ops::Range<u64>) -> Vec<TxId> {
    numbers.map(id).collect()
}

/// A machine with its pool and peers 1 and 2, at some moment.
struct Stage {
    relay: Relay,
    pool: Pool,
    now: u64,
}

impl Stage {
    fn new() -> Self {
        let mut stage = Self { relay: Relay::new(), pool: Pool::default(), now: 1_000 };
        stage.relay.peer_up(1);
        stage.relay.peer_up(2);
        assert_eq!(stage.tick(), []);
        stage
    }

    fn checked(&self, actions: Vec<RelayAction>) -> Vec<RelayAction> {
        self.relay.check();
        actions
    }

    fn tick(&mut self) -> Vec<RelayAction> {
        let actions = self.relay.tick(self.now, &self.pool);
        assert!(self.relay.next_wake().is_none_or(|wake| wake > self.now), "what is due is done");
        self.checked(actions)
    }

    /// Waits for the next moment that the machine names.
    fn wake(&mut self) -> Vec<RelayAction> {
        self.now = self.now.max(self.relay.next_wake().unwrap());
        self.tick()
    }

    fn announced(&mut self, peer: PeerId, ids: &[TxId]) -> Vec<RelayAction> {
        let actions = self.relay.announced(self.now, &self.pool, peer, ids);
        self.checked(actions)
    }

    fn received(
        &mut self,
        peer: PeerId,
        request: u32,
        txs: &[Bytes],
    ) -> Result<Vec<RelayAction>, &'static str> {
        let actions = self.relay.received(self.now, &self.pool, peer, request, txs)?;
        Ok(self.checked(actions))
    }

    fn judged(&mut self, peer: PeerId, id: TxId, verdict: TxVerdict) -> Vec<RelayAction> {
        let actions = self.relay.judged(self.now, &self.pool, peer, id, verdict);
        self.checked(actions)
    }

    /// Adds to the pool as the chain does.
    fn add(&mut self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            self.pool.add(id(number), List::default());
        }
        self.relay.pool_changed();
    }

    /// Announces one transaction and delivers it.
    fn deliver(&mut self, peer: PeerId, (id, bytes): &(TxId, Bytes)) {
        let (request, asked) = asked(&self.announced(peer, &[*id]))[0].clone().1;
        assert_eq!(asked, [*id]);
        let check = RelayAction::Check { peer, txs: vec![(*id, bytes.to_vec())] };
        assert_eq!(self.received(peer, request, std::slice::from_ref(bytes)), Ok(vec![check]));
    }
}

/// Who is told what.
fn told(actions: &[RelayAction]) -> Vec<(PeerId, Vec<TxId>)> {
    let told = actions.iter().filter_map(|action| match action {
        RelayAction::Send { peer, request: 0, message: TxMessage::Ids(told) } => {
            Some((*peer, told.ids.to_vec()))
        }
        _ => None,
    });
    told.collect()
}

/// Who is asked with which request for what.
fn asked(actions: &[RelayAction]) -> Vec<(PeerId, (u32, Vec<TxId>))> {
    let asked = actions.iter().filter_map(|action| match action {
        RelayAction::Send { peer, request, message: TxMessage::Get(asked) } => {
            assert_ne!(*request, 0);
            Some((*peer, (*request, asked.ids.to_vec())))
        }
        _ => None,
    });
    asked.collect()
}

/// Who is asked for how many.
fn counts(actions: &[RelayAction]) -> Vec<(PeerId, usize)> {
    asked(actions).into_iter().map(|(peer, (_, ids))| (peer, ids.len())).collect()
}

#[test]
fn a_lone_transaction_is_told_at_once_and_the_next_ones_together() {
    let mut stage = Stage::new();
    stage.now = 5_000;
    stage.add(0..1);
    assert!(stage.relay.next_wake().unwrap() <= stage.now);
    assert_eq!(told(&stage.tick()), [(1, ids(0..1)), (2, ids(0..1))]);
    stage.add(1..2);
    assert_eq!(stage.tick(), []);
    stage.add(2..3);
    assert_eq!(stage.relay.next_wake(), Some(5_000 + RELAY_TELL_MS));
    assert_eq!(told(&stage.wake()), [(1, ids(1..3)), (2, ids(1..3))]);
    assert_eq!(stage.tick(), []);
}

#[test]
fn a_newcomer_is_told_the_whole_pool_bit_by_bit() {
    let mut stage = Stage::new();
    stage.add(0..2_500);
    for _ in 0..3 {
        stage.wake();
    }
    stage.relay.peer_up(3);
    assert_eq!(told(&stage.wake()), [(3, ids(0..1_000))]);
    let before = stage.now;
    assert_eq!(told(&stage.wake()), [(3, ids(1_000..2_000))]);
    assert_eq!(told(&stage.wake()), [(3, ids(2_000..2_500))]);
    assert_eq!(stage.now, before + 2 * RELAY_TELL_FULL_MS, "slower than the other end asks");
}

#[test]
fn what_a_peer_has_is_not_told_to_it() {
    let mut stage = Stage::new();
    // Announced by one; sent by the other; asked for by nobody.
    let (first, second) = (tx(0), tx(1));
    stage.deliver(1, &first);
    stage.deliver(2, &second);
    for (id, bytes) in [&first, &second] {
        stage.pool.add(*id, bytes.clone());
        assert_eq!(stage.judged(1, *id, TxVerdict::Taken), []);
    }
    stage.relay.pool_changed();
    assert_eq!(told(&stage.tick()), [(1, vec![second.0]), (2, vec![first.0])]);
    // Nor when everything is told again.
    for _ in 0..3 {
        let actions = stage.wake();
        assert_eq!(told(&actions).first(), Some(&(1, vec![second.0])));
        assert_eq!(told(&actions).last(), Some(&(2, vec![first.0])));
        stage.now += RELAY_RETELL_MS;
    }
}

#[test]
fn what_was_told_is_told_again_unless_it_was_asked_for() {
    let mut stage = Stage::new();
    stage.relay.peer_down(2);
    stage.add(0..2);
    assert_eq!(told(&stage.tick()), [(1, ids(0..2))]);
    stage.relay.served(1, &ids(0..1));
    assert_eq!(stage.relay.next_wake(), Some(1_000 + RELAY_RETELL_MS));
    assert_eq!(told(&stage.wake()), [(1, ids(1..2))]);
    // It may have refused what it got.
    assert_eq!(told(&stage.wake()), [(1, ids(0..2))]);
}

#[test]
fn one_peer_is_asked_and_the_next_when_it_is_late() {
    let mut stage = Stage::new();
    assert_eq!(counts(&stage.announced(1, &ids(0..3))), [(1, 3)]);
    assert_eq!(stage.announced(2, &ids(1..3)), []);
    stage.now += RELAY_REQUEST_MS - 1;
    assert_eq!(stage.tick(), []);
    assert_eq!(stage.relay.next_wake(), Some(stage.now + 1));
    let actions = stage.wake();
    assert_eq!(asked(&actions)[0].1.1, ids(1..3));
    assert_eq!(counts(&actions), [(2, 2)]);
    // The late one is asked for nothing, also not one that was quick before.
    assert_eq!(stage.announced(1, &ids(5..6)), []);
    stage.received(2, asked(&actions)[0].1.0, &[]).unwrap();
    assert_eq!(counts(&stage.announced(2, &ids(6..7))), [(2, 1)]);
    stage.now += RELAY_REQUEST_MS;
    stage.tick();
    assert_eq!(stage.announced(2, &ids(7..8)), []);
}

#[test]
fn who_answers_late_is_asked_again_and_what_it_sends_is_taken() {
    let mut stage = Stage::new();
    let (first, second) = (tx(0), tx(1));
    let request = asked(&stage.announced(1, &[first.0, second.0]))[0].1.0;
    stage.announced(2, &[second.0]);
    stage.now += RELAY_REQUEST_MS;
    let again = asked(&stage.tick())[0].clone();
    assert_eq!((again.0, again.1.1), (2, vec![second.0]));
    let actions = stage.announced(1, &ids(5..6));
    assert_eq!(actions, []);
    let actions = stage.received(1, request, &[first.1.clone(), second.1.clone()]).unwrap();
    let txs = [&first, &second].map(|(id, bytes)| (*id, bytes.to_vec()));
    assert_eq!(actions[0], RelayAction::Check { peer: 1, txs: txs.to_vec() });
    assert_eq!(asked(&actions)[0].1.1, ids(5..6));
    // The other's answer is of no use by now, and not its fault.
    assert_eq!(stage.received(2, again.1.0, &[second.1]), Ok(vec![]));
}

#[test]
fn the_next_is_asked_when_one_goes_or_answers_without_it() {
    let mut stage = Stage::new();
    let request = asked(&stage.announced(1, &ids(0..2)))[0].1.0;
    assert_eq!(stage.announced(2, &ids(0..2)), []);
    assert_eq!(counts(&stage.received(1, request, &[]).unwrap()), [(2, 2)]);
    stage.relay.peer_up(3);
    stage.tick();
    stage.announced(3, &ids(1..2));
    stage.relay.peer_down(2);
    assert_eq!(stage.relay.next_wake(), Some(0));
    assert_eq!(counts(&stage.tick()), [(3, 1)]);
    stage.relay.peer_down(3);
    assert_eq!(stage.relay.wanted.len(), 0, "nobody has any");
    assert_eq!(stage.tick(), []);
}

#[test]
fn a_peer_that_breaks_the_protocol_is_named() {
    let mut stage = Stage::new();
    let (first, other) = (tx(0), tx(1));
    assert_eq!(stage.received(1, 7, &[]), Err("unsolicited_txs"));
    let request = asked(&stage.announced(1, &[first.0]))[0].1.0;
    assert_eq!(stage.received(2, request, std::slice::from_ref(&first.1)), Err("unsolicited_txs"));
    assert_eq!(stage.received(1, request, std::slice::from_ref(&other.1)), Err("unrequested_tx"));
    let twice = [first.1.clone(), first.1.clone()];
    assert_eq!(stage.received(1, request, &twice), Err("unrequested_tx"));
    let rubbish = List::new(vec![1, 2, 3]).unwrap();
    assert_eq!(stage.received(1, request, &[rubbish]), Err("malformed"));
    assert_eq!(stage.received(1, request, &[first.1]).unwrap().len(), 1);
    assert_eq!(stage.received(1, request, &[]), Err("unsolicited_txs"));
    stage.relay.peer_down(1);
    assert_eq!(stage.received(1, request, &[other.1]), Ok(vec![]), "somebody who is gone");
    assert_eq!(stage.announced(1, &ids(0..1)), []);
}

#[test]
fn what_is_known_or_refused_is_not_asked_for() {
    let mut stage = Stage::new();
    stage.add(0..1);
    assert_eq!(stage.announced(1, &ids(0..1)), []);
    let refused = tx(0);
    stage.deliver(1, &refused);
    assert_eq!(stage.judged(1, refused.0, TxVerdict::Refused), []);
    assert_eq!(stage.announced(2, &[refused.0]), []);
    stage.relay.tip_changed();
    assert_eq!(counts(&stage.announced(2, &[refused.0])), [(2, 1)]);
}

#[test]
fn of_what_a_peer_has_the_oldest_is_forgotten() {
    let mut stage = Stage::new();
    let most = RELAY_KNOWN_MAX as u64;
    stage.announced(1, &ids(0..most / 2));
    stage.announced(1, &ids(0..most + 3));
    stage.add(0..5);
    assert_eq!(told(&stage.tick()), [(1, ids(0..3)), (2, ids(0..5))]);
    for number in 0..=RELAY_REFUSED_MAX as u64 {
        stage.relay.refused.insert(id(number), ());
    }
    stage.relay.check();
    assert_eq!(stage.relay.refused.get(&id(0)), None);
}

#[test]
fn a_wrong_signature_says_nothing_about_the_id() {
    let mut stage = Stage::new();
    let tx = tx(0);
    stage.deliver(1, &tx);
    assert_eq!(stage.announced(2, &[tx.0]), [], "it is being checked");
    let again = asked(&stage.judged(1, tx.0, TxVerdict::Guilty))[0].clone();
    assert_eq!((again.0, again.1.1), (2, vec![tx.0]));
    stage.received(2, again.1.0, &[tx.1]).unwrap();
    assert_eq!(stage.judged(2, tx.0, TxVerdict::Guilty), []);
    assert_eq!(stage.relay.wanted.len(), 0, "nobody else has it");
}

#[test]
fn what_came_while_the_node_was_busy_is_asked_for_later() {
    let mut stage = Stage::new();
    let tx = tx(0);
    stage.deliver(1, &tx);
    stage.announced(2, &[tx.0]);
    stage.relay.peer_down(1);
    stage.tick();
    assert_eq!(stage.judged(1, tx.0, TxVerdict::Busy), []);
    assert_eq!(stage.announced(2, &ids(0..1)), []);
    assert_eq!(stage.relay.next_wake(), Some(stage.now + RELAY_BUSY_MS));
    assert_eq!(counts(&stage.wake()), [(2, 2)]);
}

#[test]
fn a_paused_machine_keeps_announcements_and_goes_on_telling() {
    let mut stage = Stage::new();
    stage.relay.set_paused(true);
    assert_eq!(stage.announced(1, &ids(0..40)), []);
    stage.add(50..51);
    assert_eq!(told(&stage.tick()).len(), 2);
    stage.relay.set_paused(false);
    assert_eq!(stage.relay.next_wake(), Some(0));
    // What came by another way meanwhile is not asked for.
    stage.add(0..20);
    assert_eq!(asked(&stage.tick())[0].1.1, ids(20..40));
    stage.relay.set_paused(true);
    assert_eq!(stage.announced(2, &ids(0..20)), []);
    assert_eq!(stage.relay.wanted.len(), 20, "nor kept");
}

#[test]
fn peers_are_asked_in_turn() {
    let mut stage = Stage::new();
    for peer in [1, 2] {
        let request = asked(&stage.announced(peer, &ids(peer..peer + 1)))[0].1.0;
        stage.received(peer, request, &[]).unwrap();
    }
    stage.relay.set_paused(true);
    stage.announced(1, &ids(100..200));
    stage.announced(2, &ids(200..300));
    stage.relay.set_paused(false);
    let turns: Vec<PeerId> = counts(&stage.tick()).into_iter().map(|(peer, _)| peer).collect();
    assert_eq!(turns, [1, 2, 1, 2, 1, 2, 1, 2]);
}

#[test]
fn requests_are_in_the_order_of_the_announcements_and_bounded() {
    let mut stage = Stage::new();
    let txs: Vec<_> = (0..TXS_MAX as u64).map(tx).collect();
    let first: Vec<TxId> = txs.iter().map(|(id, _)| *id).collect();
    let more = ids(0..RELAY_ANNOUNCED_MAX as u64);
    let actions = stage.announced(1, &[first.clone(), more].concat());
    assert_eq!(counts(&actions), [(1, TXS_MAX)], "a newcomer is asked once");
    assert_eq!(stage.relay.wanted.len(), RELAY_ANNOUNCED_MAX, "further ones are ignored");
    let (request, asked_first) = asked(&actions)[0].1.clone();
    assert_eq!(asked_first, first);
    let txs: Vec<Bytes> = txs.into_iter().map(|(_, bytes)| bytes).collect();
    let actions = stage.received(1, request, &txs).unwrap();
    assert_eq!(counts(&actions), [(1, TXS_MAX); RELAY_REQUESTS_MAX]);
    let order: Vec<TxId> = asked(&actions).into_iter().flat_map(|(_, (_, ids))| ids).collect();
    assert_eq!(order, ids(0..RELAY_FLIGHT_MAX as u64));
}

#[test]
fn all_peers_together_are_asked_for_so_many_and_in_turn() {
    let mut stage = Stage::new();
    for peer in 3..100 {
        stage.relay.peer_up(peer);
    }
    let mut total = BTreeMap::new();
    for peer in 1..100 {
        for (peer, count) in counts(&stage.announced(peer, &ids(peer * 1_000..peer * 1_000 + 100))) {
            *total.entry(peer).or_insert(0) += count;
        }
    }
    assert_eq!(total.len(), RELAY_CHECKS_MAX / TXS_MAX);
    assert!(total.values().all(|count| *count == TXS_MAX));
    // They are all late: those who were not asked are.
    stage.now += RELAY_REQUEST_MS;
    let next: Vec<PeerId> = counts(&stage.tick()).into_iter().map(|(peer, _)| peer).collect();
    assert_eq!(next, (RELAY_CHECKS_MAX as u64 / TXS_MAX as u64 + 1..100).collect::<Vec<_>>());
}
