//! Attempts: who is dialled next, and how long an address rests after what became of it.
//! Must not know what others say of an address.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use super::place::{Network, canonical, mix, mixed, network};
use super::{Book, Class, Entry, Moment, Room};
use crate::limits::{
    BOOK_FAILURES_MAX, BOOK_OUTBOUND_PER_NETWORK_MAX, BOOK_RETRY_MANUAL_MS_MAX, BOOK_RETRY_MS,
    BOOK_STEADY_MS, BOOK_TIMES_MS, PEERS_OUTBOUND_MAX,
};

/// Of so many choices one prefers what was only heard of: what is kept must not be all there ever is.
const HEARD_FIRST_OF: u64 = 4;

/// What dialling remembers.
#[derive(Debug, Default)]
pub(super) struct Dialler {
    /// Attempts of which nothing was said yet, also to addresses forgotten since.
    dialling: BTreeSet<SocketAddr>,
    /// Who is connected, as far as said, and whether by dialling.
    connected: BTreeMap<SocketAddr, bool>,
    /// When places of failed attempts are free again, monotonic ms: addresses that fail at once are
    /// not gone through at any speed.
    cooling: VecDeque<u64>,
    /// Choices so far.
    choices: u64,
    /// Before this moment, monotonic ms, nobody becomes due; `None` for never.
    look_at: Option<u64>,
}

impl Dialler {
    /// Something has changed: somebody may be due.
    pub(super) fn look_again(&mut self) {
        self.look_at = Some(0);
    }

    /// Neither dialled nor connected.
    pub(super) fn is_idle(&self, address: &SocketAddr) -> bool {
        !self.dialling.contains(address) && !self.connected.contains_key(address)
    }

    /// An attempt or a connection is over.
    pub(super) fn ended(&mut self, address: &SocketAddr) {
        self.dialling.remove(address);
        self.connected.remove(address);
    }
}

impl Book {
    /// The handshake of an attempt is done: the address is kept from now on, unless it was forgotten
    /// meanwhile.
    pub(in crate::peers) fn succeeded(&mut self, now: Moment, address: SocketAddr) {
        self.seen = self.seen.max(now.mono_ms);
        self.dialler.look_again();
        let address = canonical(&address);
        self.dialler.dialling.remove(&address);
        self.dialler.connected.insert(address, true);
        let Some(entry) = self.entries.get(&address) else { return };
        let (class, was_stored) = (entry.class, entry.is_stored());
        if matches!(class, Class::Heard { .. }) {
            if !self.make_room(now, &address) {
                return;
            }
            self.reclass(address, Class::Kept);
        }
        self.note_success(now, &address);
        self.is_dirty |= !was_stored;
    }

    /// An attempt failed, or was refused in the handshake: the address rests.
    pub(in crate::peers) fn failed(&mut self, now: Moment, address: SocketAddr) {
        self.seen = self.seen.max(now.mono_ms);
        self.dialler.look_again();
        self.rest(now, canonical(&address));
    }

    /// A connection that was dialled ended after so long. One that ended soon is as good as none.
    pub(in crate::peers) fn closed(&mut self, now: Moment, address: SocketAddr, lasted_ms: u64) {
        self.seen = self.seen.max(now.mono_ms);
        self.dialler.look_again();
        let address = canonical(&address);
        self.dialler.ended(&address);
        if lasted_ms <= BOOK_STEADY_MS {
            self.rest(now, address);
        } else if let Some(entry) = self.entries.get_mut(&address) {
            entry.failures = 0;
            entry.due = entry.due.max(now.mono_ms.saturating_add(BOOK_RETRY_MS));
            if entry.success > 0 {
                self.note_success(now, &address);
            }
        }
    }

    /// Addresses to dial now, given who is connected and whether by dialling; they count as dialled
    /// until one of [`Book::succeeded`], [`Book::closed`], [`Book::failed`] or [`Book::set_own`] is told. All that
    /// are named by hand and due; of others as many as places are free, one of a network.
    pub(in crate::peers) fn next_dials(
        &mut self,
        now: Moment,
        connected: &[(SocketAddr, bool)],
    ) -> Vec<SocketAddr> {
        self.seen = self.seen.max(now.mono_ms);
        let connected = connected.iter().map(|(address, by_us)| (canonical(address), *by_us)).collect();
        let is_early = self.dialler.look_at.is_none_or(|at| now.mono_ms < at);
        if is_early && connected == self.dialler.connected {
            return Vec::new();
        }
        self.dialler.connected = connected;
        while self.dialler.cooling.front().is_some_and(|until| *until <= now.mono_ms) {
            self.dialler.cooling.pop_front();
        }
        let due = self.entries.iter().filter(|(address, entry)| {
            entry.is_manual() && self.due(now, address, entry).is_some_and(|at| at <= now.mono_ms)
        });
        let mut dials: Vec<SocketAddr> = due.map(|(address, _)| *address).collect();
        let mut places = self.places();
        while let Some(choice) = self.choose(now, &places) {
            places.take(&choice);
            dials.push(choice);
            self.dialler.choices += 1;
            self.dialler.dialling.insert(choice);
        }
        self.dialler.dialling.extend(&dials);
        self.dialler.look_at = self.earliest(now, &places);
        dials
    }

    /// When [`Book::next_dials`] may have something, monotonic ms, if nothing happens before; `None`
    /// for never.
    pub(in crate::peers) fn next_wake(&self, now: Moment) -> Option<u64> {
        self.dialler.look_at.map(|at| at.max(now.mono_ms))
    }

    /// Attempts of which nothing was said yet.
    #[cfg(test)]
    pub(super) fn dialling_now(&self) -> BTreeSet<SocketAddr> {
        self.dialler.dialling.clone()
    }

    /// When an address may be dialled, monotonic ms; `None` for not before something happens.
    fn due(&self, now: Moment, address: &SocketAddr, entry: &Entry) -> Option<u64> {
        // Of the node's own addresses only those named by hand are in the book.
        let is_for_us = if entry.is_manual() { !self.own.contains(address) } else { self.discover };
        if !is_for_us || !self.dialler.is_idle(address) {
            return None;
        }
        let banned = self.bans.until(now.mono_ms, &address.ip()).unwrap_or(0);
        Some(entry.due.max(banned)).filter(|at| *at < u64::MAX)
    }

    /// Whom to dial of those not named by hand, if a place is free.
    fn choose(&self, now: Moment, places: &Places) -> Option<SocketAddr> {
        if places.free == 0 {
            return None;
        }
        let choices = self.dialler.choices;
        let prefers_heard = choices % HEARD_FIRST_OF == HEARD_FIRST_OF - 1;
        let candidates = self.entries.iter().filter(|(address, entry)| {
            !entry.is_manual()
                && self.due(now, address, entry).is_some_and(|at| at <= now.mono_ms)
                && places.has_one_for(address)
        });
        let best = candidates.min_by_key(|(address, entry)| {
            let is_heard = matches!(entry.class, Class::Heard { .. });
            (is_heard != prefers_heard, mix(mixed(self.salt, address) ^ choices))
        });
        best.map(|(address, _)| *address)
    }

    /// The places that are free for addresses not named by hand.
    fn places(&self) -> Places {
        let connected =
            self.dialler.connected.iter().filter(|(_, by_us)| **by_us).map(|(address, _)| address);
        let taken: BTreeSet<&SocketAddr> =
            self.dialler.dialling.iter().chain(connected).filter(|it| !self.is_manual(it)).collect();
        let free = PEERS_OUTBOUND_MAX.saturating_sub(self.dialler.cooling.len());
        let mut places = Places { free, networks: BTreeMap::new() };
        taken.into_iter().for_each(|address| places.take(address));
        places
    }

    /// The earliest moment at which somebody becomes due.
    fn earliest(&self, now: Moment, places: &Places) -> Option<u64> {
        let waiting = self
            .entries
            .iter()
            .filter(|(address, entry)| entry.is_manual() || (places.free > 0 && places.has_one_for(address)));
        let due = waiting.filter_map(|(address, entry)| self.due(now, address, entry)).min();
        let cooled = self.dialler.cooling.front().copied().filter(|_| self.discover);
        due.into_iter().chain(cooled).min()
    }

    /// An attempt came to nothing.
    fn rest(&mut self, now: Moment, address: SocketAddr) {
        self.dialler.ended(&address);
        let is_alone = self.dialler.connected.is_empty();
        let Some(entry) = self.entries.get_mut(&address) else { return };
        entry.failures = entry.failures.saturating_add(1);
        // While nobody is connected it is rather this end that fails: who was good before is tried
        // often, and nobody is forgotten.
        let is_hopeful = is_alone && entry.class == Class::Kept;
        let longest = if is_hopeful { BOOK_RETRY_MANUAL_MS_MAX } else { entry.rest_max() };
        let rest = BOOK_RETRY_MS.saturating_mul(1 << (entry.failures - 1).min(32)).min(longest);
        entry.due = entry.due.max(now.mono_ms.saturating_add(rest));
        let is_hopeless = entry.failures >= BOOK_FAILURES_MAX && !is_alone && !entry.is_manual();
        if !entry.is_manual() && self.dialler.cooling.len() < PEERS_OUTBOUND_MAX {
            self.dialler.cooling.push_back(now.mono_ms.saturating_add(BOOK_RETRY_MS));
        }
        if is_hopeless && !entry.is_fresh(now) {
            self.forget(&address);
        }
    }

    fn note_success(&mut self, now: Moment, address: &SocketAddr) {
        // 0 is the mark of none.
        self.entries.entry(*address).and_modify(|entry| entry.success = now.unix_ms.max(1));
        if self.times_saved.is_none_or(|at| now.mono_ms >= at.saturating_add(BOOK_TIMES_MS)) {
            (self.times_saved, self.is_dirty) = (Some(now.mono_ms), true);
        }
    }

    /// Makes room to keep an address: the one whose success is the longest ago goes. False when all are
    /// in use.
    fn make_room(&mut self, now: Moment, address: &SocketAddr) -> bool {
        let Room::InPlaceOf(of) = self.kept_room(address) else { return true };
        let kept = self.entries.iter().filter(|(address, entry)| {
            entry.class == Class::Kept
                && self.dialler.is_idle(address)
                && of.is_none_or(|of| network(&address.ip()) == of)
        });
        // A time in the future is of a clock that was wrong.
        let oldest =
            kept.min_by_key(|(address, entry)| (entry.success.min(now.unix_ms), mixed(self.salt, address)));
        let Some(oldest) = oldest.map(|(address, _)| *address) else { return false };
        self.forget(&oldest)
    }
}

/// Places for connections that the node dials by itself.
struct Places {
    free: usize,
    networks: BTreeMap<Network, usize>,
}

impl Places {
    fn take(&mut self, address: &SocketAddr) {
        self.free = self.free.saturating_sub(1);
        *self.networks.entry(network(&address.ip())).or_default() += 1;
    }

    fn has_one_for(&self, address: &SocketAddr) -> bool {
        let network = network(&address.ip());
        let taken = self.networks.get(&network).copied().unwrap_or(0);
        network == Network::Local || taken < BOOK_OUTBOUND_PER_NETWORK_MAX
    }
}
