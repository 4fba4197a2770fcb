//! Transactions that others announced and that are not here: who has each, and how far it is on its
//! way. Must not know time, messages or the pool.

use std::collections::{BTreeMap, BTreeSet};

use steelyard_core::hash::TxId;

use crate::limits::RELAY_ANNOUNCED_MAX;
use crate::sync::PeerId;

/// How far a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// To be asked for.
    Waiting,
    /// Asked of this peer, with the request of this number.
    Asked(PeerId, u32),
    /// Here, and being checked.
    Checking,
}

#[derive(Debug)]
struct Item {
    id: TxId,
    /// Who announced it and did not say otherwise since, first come first.
    announcers: Vec<PeerId>,
    stage: Stage,
}

/// What one peer announced, by number.
#[derive(Debug, Default)]
struct Announced {
    all: BTreeSet<u64>,
    /// Those that wait.
    waiting: BTreeSet<u64>,
}

/// All of them. Each has a number, in the order in which they were first announced, so that what a
/// sender signed first is asked for first.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    items: BTreeMap<u64, Item>,
    numbers: BTreeMap<TxId, u64>,
    peers: BTreeMap<PeerId, Announced>,
    next: u64,
    busy: usize,
}

impl Wanted {
    /// A peer has a transaction. Ignored when it announced too many that are not here.
    pub(super) fn announce(&mut self, peer: PeerId, id: TxId) {
        let announced = self.peers.entry(peer).or_default();
        let number = self.numbers.get(&id).copied().unwrap_or(self.next);
        if announced.all.len() >= RELAY_ANNOUNCED_MAX || !announced.all.insert(number) {
            return;
        }
        if number == self.next {
            self.next += 1;
            self.numbers.insert(id, number);
            self.items.insert(number, Item { id, announcers: Vec::with_capacity(1), stage: Stage::Waiting });
        }
        let Some(item) = self.items.get_mut(&number) else { return };
        item.announcers.push(peer);
        if item.stage == Stage::Waiting {
            announced.waiting.insert(number);
        }
    }

    /// A peer does not have it after all. Forgotten when nobody else has.
    pub(super) fn leave(&mut self, peer: PeerId, id: &TxId) {
        let Some(number) = self.numbers.get(id).copied() else { return };
        let Some(item) = self.items.get_mut(&number) else { return };
        item.announcers.retain(|announcer| *announcer != peer);
        let is_of_peer = matches!(item.stage, Stage::Asked(asked, _) if asked == peer);
        let stage = if is_of_peer { Stage::Waiting } else { item.stage };
        if let Some(announced) = self.peers.get_mut(&peer) {
            announced.all.remove(&number);
            announced.waiting.remove(&number);
        }
        self.set(id, stage);
    }

    /// A peer is gone, and with it what nobody else has.
    pub(super) fn peer_down(&mut self, peer: PeerId) {
        let all = self.peers.get(&peer).map(|announced| announced.all.clone()).unwrap_or_default();
        for number in all {
            if let Some(id) = self.items.get(&number).map(|item| item.id) {
                self.leave(peer, &id);
            }
        }
        self.peers.remove(&peer);
    }

    /// Forgets one that is here, or refused.
    pub(super) fn forget(&mut self, id: &TxId) {
        let Some(number) = self.numbers.remove(id) else { return };
        let Some(item) = self.items.remove(&number) else { return };
        self.busy -= usize::from(item.stage != Stage::Waiting);
        for peer in item.announcers {
            if let Some(announced) = self.peers.get_mut(&peer) {
                announced.all.remove(&number);
                announced.waiting.remove(&number);
            }
        }
    }

    /// Notes how far it is. One that waits and that nobody has is forgotten.
    pub(super) fn set(&mut self, id: &TxId, stage: Stage) {
        let Some(item) = self.numbers.get(id).and_then(|number| self.items.get_mut(number)) else { return };
        let is_waiting = stage == Stage::Waiting;
        self.busy -= usize::from(item.stage != Stage::Waiting);
        self.busy += usize::from(!is_waiting);
        item.stage = stage;
        if is_waiting && item.announcers.is_empty() {
            return self.forget(id);
        }
        let number = self.numbers[id];
        for peer in &item.announcers {
            let Some(announced) = self.peers.get_mut(peer) else { continue };
            if is_waiting {
                announced.waiting.insert(number);
            } else {
                announced.waiting.remove(&number);
            }
        }
    }

    /// How far it is; `None` when it is not wanted.
    pub(super) fn stage(&self, id: &TxId) -> Option<Stage> {
        self.items.get(self.numbers.get(id)?).map(|item| item.stage)
    }

    /// The first that may be asked of this peer.
    pub(super) fn first_waiting(&self, peer: PeerId) -> Option<TxId> {
        let number = self.peers.get(&peer)?.waiting.first()?;
        self.items.get(number).map(|item| item.id)
    }

    /// Those that are asked for or being checked: how many.
    pub(super) fn busy(&self) -> usize {
        self.busy
    }

    /// What is kept twice agrees, and is bounded.
    #[cfg(test)]
    pub(super) fn check(&self) {
        assert_eq!(self.items.len(), self.numbers.len());
        assert_eq!(self.busy, self.items.values().filter(|item| item.stage != Stage::Waiting).count());
        let mut peers: BTreeMap<PeerId, Announced> = BTreeMap::new();
        for (number, item) in &self.items {
            assert_eq!(self.numbers[&item.id], *number);
            assert!(!item.announcers.is_empty() || item.stage == Stage::Checking);
            if let Stage::Asked(peer, _) = item.stage {
                assert!(item.announcers.contains(&peer));
            }
            for peer in &item.announcers {
                let announced = peers.entry(*peer).or_default();
                assert!(announced.all.insert(*number), "an announcer is named once");
                if item.stage == Stage::Waiting {
                    announced.waiting.insert(*number);
                }
            }
        }
        for (peer, announced) in &self.peers {
            let expected = peers.remove(peer).unwrap_or_default();
            assert_eq!((&announced.all, &announced.waiting), (&expected.all, &expected.waiting));
            assert!(announced.all.len() <= RELAY_ANNOUNCED_MAX);
        }
        assert!(peers.is_empty(), "every announcer is a peer");
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }
}
