//! The book of addresses: whom to dial and when, who is told of whom, whose connections are refused.
//! A machine without sockets, clock or disk; its choices follow from a salt that nobody else knows.
//! Must not know what is said over a connection.
//!
//! An address is named by hand (by `--connect`, or by the operator and then kept over restarts), or
//! kept since a connection to it succeeded, or only heard of. Many who speak of one another can fill
//! only their share of the third kind, and nothing of the others.
//!
//! | file | what |
//! |---|---|
//! | `dial` | attempts, what became of them, and who is next |
//! | `place` | what an address says by itself: scope, network |
//! | `heard` | shares of what was heard |
//! | `told` | answers to who asks |
//! | `bans` | bans |
//! | `stored` | bytes for the store |

mod bans;
mod dial;
mod heard;
mod place;
mod stored;
#[cfg(test)]
mod tests;
mod told;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use self::bans::Bans;
use self::heard::HeardRoom;
use self::place::{Network, Scope, canonical, network, scope};
use self::stored::Stored;
use self::told::Told;
use super::Ban;
use crate::limits::{
    BOOK_ADDRESS_MS, BOOK_ADDRESSES_BURST, BOOK_HORIZON_MS, BOOK_KEPT_MAX, BOOK_KEPT_PER_NETWORK_MAX,
    BOOK_OWN_MAX, BOOK_RETRY_MANUAL_MS_MAX, BOOK_RETRY_MS_MAX, BOOK_SOURCES_MAX, PEERS_MANUAL_MAX,
};
use crate::sync::PeerId;

pub(super) use crate::sync::Now as Moment;

/// Why the book refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BookError {
    /// A bound is reached.
    #[error("there are {max} {what} already; remove one first")]
    Full {
        /// Of what.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// No node can be there, or none but this one.
    #[error("{address} cannot be used: {reason}")]
    NotAnAddress {
        /// As given.
        address: String,
        /// In words.
        reason: &'static str,
    },
    /// Its IP is banned.
    #[error("{ip} is banned; lift the ban first")]
    Banned {
        /// Whose.
        ip: IpAddr,
    },
    /// This machine's own addresses are not banned.
    #[error("this machine's own addresses cannot be banned")]
    Loopback,
    /// The stored book cannot be read.
    #[error("the stored peers cannot be read")]
    Damaged,
}

impl BookError {
    /// Stable name: `error.code` of the API.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Full { .. } => "full",
            Self::NotAnAddress { .. } => "not_an_address",
            Self::Banned { .. } => "banned",
            Self::Loopback => "loopback",
            Self::Damaged => "damaged",
        }
    }
}

/// Why an address is in the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Named by hand; kept over restarts when the operator did.
    Manual { is_kept: bool },
    /// A connection to it succeeded.
    Kept,
    /// A node of this network spoke of it.
    Heard { source: Network },
}

/// An address in the book.
#[derive(Clone, Debug)]
struct Entry {
    class: Class,
    /// The last success, unix ms; 0 for none.
    success: u64,
    /// Failed attempts in a row.
    failures: u32,
    /// It rests until then, monotonic ms.
    due: u64,
}

impl Entry {
    fn new(class: Class) -> Self {
        Self { class, success: 0, failures: 0, due: 0 }
    }

    fn is_manual(&self) -> bool {
        matches!(self.class, Class::Manual { .. })
    }

    /// Whether [`Book::to_bytes`] has it.
    fn is_stored(&self) -> bool {
        self.success > 0 || self.class == Class::Manual { is_kept: true }
    }

    /// Its last success is not long ago. One in the future is of a clock that was wrong.
    fn is_fresh(&self, now: Moment) -> bool {
        self.success > 0 && now.unix_ms.saturating_sub(self.success) <= BOOK_HORIZON_MS
    }

    /// Longest rest, ms.
    fn rest_max(&self) -> u64 {
        if self.is_manual() { BOOK_RETRY_MANUAL_MS_MAX } else { BOOK_RETRY_MS_MAX }
    }
}

/// The book. Addresses may be given in any form; those in it are canonical.
#[derive(Debug)]
pub(super) struct Book {
    salt: u64,
    discover: bool,
    entries: BTreeMap<SocketAddr, Entry>,
    heard: HeardRoom,
    bans: Bans,
    /// Where dialling met this node itself, oldest first.
    own: VecDeque<SocketAddr>,
    /// Of each peer that spoke of addresses: when its burst will be whole again, monotonic ms.
    spoken: BTreeMap<PeerId, u64>,
    /// What strangers and what this machine and its private networks are told.
    told: [Told; 2],
    is_dirty: bool,
    /// When times of success were last worth saving, monotonic ms.
    times_saved: Option<u64>,
    /// The last moment seen, monotonic ms.
    seen: u64,
    dialler: dial::Dialler,
}

/// Whether an address is this machine's or of a private network.
pub(super) fn is_local(ip: &IpAddr) -> bool {
    scope(ip) != Scope::Public
}

impl Book {
    /// An empty book. Without `discover` only addresses named by hand are dialled, nothing heard is
    /// taken and nothing is told; what is kept stays kept.
    pub(super) fn new(salt: u64, discover: bool) -> Self {
        Self {
            salt,
            discover,
            entries: BTreeMap::new(),
            heard: HeardRoom::new(salt),
            bans: Bans::default(),
            own: VecDeque::new(),
            spoken: BTreeMap::new(),
            told: Default::default(),
            is_dirty: false,
            times_saved: None,
            seen: 0,
            dialler: dial::Dialler::default(),
        }
    }

    /// Adds what [`Book::to_bytes`] gave. What is in the book stays; of what has no room the rest is
    /// dropped.
    ///
    /// # Errors
    /// [`BookError::Damaged`]; nothing is added then.
    pub(super) fn load(&mut self, bytes: &[u8]) -> Result<(), BookError> {
        let stored = Stored::from_bytes(bytes)?;
        for (address, success) in stored.manual {
            if self.is_manual(&address) || self.manual().len() < PEERS_MANUAL_MAX {
                let entry = self.reclass(address, Class::Manual { is_kept: true });
                entry.success = entry.success.max(success);
            }
        }
        for (address, success) in stored.kept {
            let class = self.entries.get(&address).filter(|entry| entry.is_manual()).map(|entry| entry.class);
            if class.is_some() || self.kept_room(&address) == Room::Free {
                let entry = self.reclass(address, class.unwrap_or(Class::Kept));
                entry.success = entry.success.max(success);
            }
        }
        for ip in stored.bans {
            // Too many by then: the operator's newer ones are there.
            let _ = self.bans.ban(ip);
        }
        self.dialler.look_again();
        Ok(())
    }

    /// What is kept over restarts: addresses with a success, those that the operator named, the
    /// operator's bans.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut stored = Stored { bans: self.bans.operators().copied().collect(), ..Stored::default() };
        for (address, entry) in self.entries.iter().filter(|(_, entry)| entry.is_stored()) {
            let is_named = entry.class == Class::Manual { is_kept: true };
            let list = if is_named { &mut stored.manual } else { &mut stored.kept };
            list.push((*address, entry.success));
        }
        stored.to_bytes()
    }

    /// Whether [`Book::to_bytes`] should be saved now: what it holds has changed since this was asked
    /// last, or only times of success have and it is a while since.
    pub(super) fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.is_dirty)
    }

    /// Names an address by hand: for this run, or for good. Its rest is over. False when it was named
    /// before.
    ///
    /// # Errors
    /// [`BookError`]: full, banned, no address of another node.
    pub(super) fn add_manual(&mut self, address: SocketAddr, is_kept: bool) -> Result<bool, BookError> {
        let address = canonical(&address);
        place::check(&address)?;
        if self.own.contains(&address) {
            let reason = "it is this node's own";
            return Err(BookError::NotAnAddress { address: address.to_string(), reason });
        }
        if self.bans.until(self.seen, &address.ip()).is_some() {
            return Err(BookError::Banned { ip: address.ip() });
        }
        let before = self.entries.get(&address).map(|entry| entry.class);
        let (was_manual, was_kept) = match before {
            Some(Class::Manual { is_kept }) => (true, is_kept),
            _ => (false, false),
        };
        if !was_manual && self.manual().len() >= PEERS_MANUAL_MAX {
            return Err(BookError::Full { what: "addresses named by hand", max: PEERS_MANUAL_MAX });
        }
        let entry = self.reclass(address, Class::Manual { is_kept: is_kept || was_kept });
        (entry.failures, entry.due) = (0, 0);
        self.is_dirty |= is_kept && !was_kept;
        self.dialler.look_again();
        Ok(!was_manual)
    }

    /// Forgets an address, named by hand or not. False when it was not known.
    pub(super) fn remove(&mut self, address: &SocketAddr) -> bool {
        self.forget(&canonical(address))
    }

    /// Addresses named by hand, in order.
    pub(super) fn manual(&self) -> Vec<SocketAddr> {
        self.entries.iter().filter(|(_, entry)| entry.is_manual()).map(|(address, _)| *address).collect()
    }

    /// Whether an address is named by hand.
    pub(super) fn is_manual(&self, address: &SocketAddr) -> bool {
        self.entries.get(&canonical(address)).is_some_and(Entry::is_manual)
    }

    /// A peer at this IP spoke of addresses: of so many as it may, those are taken that are new and
    /// can be of use from where it is.
    pub(super) fn heard(&mut self, now: Moment, from: (PeerId, IpAddr), addresses: &[SocketAddr]) {
        self.seen = self.seen.max(now.mono_ms);
        if !self.discover {
            return;
        }
        let (peer, source) = (from.0, from.1.to_canonical());
        for address in addresses {
            if !self.may_speak(now, peer) {
                return;
            }
            let address = canonical(address);
            let is_of_use = place::check(&address).is_ok() && scope(&address.ip()) >= scope(&source);
            let is_taken = self.entries.contains_key(&address) || self.own.contains(&address);
            if is_of_use && !is_taken && self.bans.until(now.mono_ms, &address.ip()).is_none() {
                self.take(address, network(&source));
            }
        }
    }

    fn may_speak(&mut self, now: Moment, peer: PeerId) -> bool {
        if !self.spoken.contains_key(&peer) && self.spoken.len() >= BOOK_SOURCES_MAX {
            self.spoken.pop_first();
        }
        let whole = self.spoken.entry(peer).or_default();
        let next = (*whole).max(now.mono_ms).saturating_add(BOOK_ADDRESS_MS);
        if next - now.mono_ms > BOOK_ADDRESSES_BURST * BOOK_ADDRESS_MS {
            return false;
        }
        *whole = next;
        true
    }

    /// Takes an address that was heard of, if its share allows.
    fn take(&mut self, address: SocketAddr, source: Network) {
        if !self.heard.has_share(&address, source) {
            return;
        }
        match self.heard.victim(|it| self.dialler.is_idle(it)) {
            Some(None) => return,
            Some(Some(victim)) => _ = self.forget(&victim),
            None => {}
        }
        self.reclass(address, Class::Heard { source });
        self.dialler.look_again();
    }

    /// Forgets how much a peer spoke: it is gone.
    pub(super) fn peer_gone(&mut self, peer: PeerId) {
        self.spoken.remove(&peer);
    }

    /// Dialling this address met the node itself: it is not dialled nor told again in this run, and
    /// forgotten unless it was named by hand.
    pub(super) fn set_own(&mut self, address: SocketAddr) {
        let address = canonical(&address);
        if !self.is_manual(&address) {
            self.forget(&address);
        }
        self.dialler.ended(&address);
        if !self.own.contains(&address) {
            self.own.push_back(address);
            if self.own.len() > BOOK_OWN_MAX {
                self.own.pop_front();
            }
        }
        self.dialler.look_again();
    }

    /// Addresses for a peer that asks, in no order: of those to which a connection succeeded, and none
    /// of a private network or this machine unless the asker is there.
    pub(super) fn sample(&mut self, now: Moment, asker_is_local: bool) -> Vec<SocketAddr> {
        self.seen = self.seen.max(now.mono_ms);
        if !self.discover {
            return Vec::new();
        }
        let may_tell = |(address, entry): &(&SocketAddr, &Entry)| {
            entry.is_fresh(now)
                && (asker_is_local || scope(&address.ip()) == Scope::Public)
                && !(entry.is_manual() && self.own.contains(address))
                && self.bans.until(now.mono_ms, &address.ip()).is_none()
        };
        let all: BTreeSet<_> = self.entries.iter().filter(may_tell).map(|(address, _)| *address).collect();
        self.told[usize::from(asker_is_local)].answer(now.mono_ms, self.salt, all)
    }

    /// A peer misbehaved: its IP is banned for a while. This machine's own are not; there an address
    /// that was dialled rests as long as any.
    pub(super) fn misbehaved(&mut self, now: Moment, address: &SocketAddr, is_outbound: bool, code: &str) {
        self.seen = self.seen.max(now.mono_ms);
        let address = canonical(address);
        if !address.ip().is_loopback() {
            self.bans.misbehaved(now, address.ip(), code);
        } else if is_outbound && let Some(entry) = self.entries.get_mut(&address) {
            entry.due = now.mono_ms.saturating_add(entry.rest_max());
        }
        self.dialler.look_again();
    }

    /// The operator bans an IP, until lifted. False when it was banned so.
    ///
    /// # Errors
    /// [`BookError`]: full, this machine's own, no IP of a node.
    pub(super) fn ban(&mut self, ip: IpAddr) -> Result<bool, BookError> {
        let is_new = self.bans.ban(ip.to_canonical())?;
        self.is_dirty |= is_new;
        Ok(is_new)
    }

    /// Lifts a ban, of whatever kind. False when there was none.
    pub(super) fn unban(&mut self, ip: &IpAddr) -> bool {
        let (was_operators, was_timed) = self.bans.unban(&ip.to_canonical());
        self.is_dirty |= was_operators;
        self.dialler.look_again();
        was_operators || was_timed
    }

    /// Whether connections from and to an IP are refused.
    pub(super) fn is_banned(&self, now: Moment, ip: &IpAddr) -> bool {
        self.bans.until(now.mono_ms, &ip.to_canonical()).is_some()
    }

    /// Bans that hold, by IP.
    pub(super) fn bans(&self, now: Moment) -> Vec<Ban> {
        self.bans.list(now)
    }

    /// Addresses in the book, of whatever kind.
    pub(super) fn known(&self) -> usize {
        self.entries.len()
    }

    /// Puts an address into a class, as it is or anew.
    fn reclass(&mut self, address: SocketAddr, class: Class) -> &mut Entry {
        let entry = self.entries.entry(address).or_insert_with(|| Entry::new(Class::Kept));
        if let Class::Heard { source } = entry.class {
            self.heard.remove(&address, source);
        }
        if let Class::Heard { source } = class {
            self.heard.insert(address, source);
        }
        entry.class = class;
        entry
    }

    fn forget(&mut self, address: &SocketAddr) -> bool {
        let Some(entry) = self.entries.remove(address) else { return false };
        if let Class::Heard { source } = entry.class {
            self.heard.remove(address, source);
        }
        self.is_dirty |= entry.is_stored();
        self.dialler.look_again();
        true
    }

    /// Where there is room to keep a further address.
    fn kept_room(&self, address: &SocketAddr) -> Room {
        let network = network(&address.ip());
        let kept = || self.entries.iter().filter(|(_, entry)| entry.class == Class::Kept);
        let beside = kept().filter(|(address, _)| place::network(&address.ip()) == network).count();
        if network != Network::Local && beside >= BOOK_KEPT_PER_NETWORK_MAX {
            Room::InPlaceOf(Some(network))
        } else if kept().count() >= BOOK_KEPT_MAX {
            Room::InPlaceOf(None)
        } else {
            Room::Free
        }
    }
}

/// Room for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    /// There is.
    Free,
    /// Only in place of another, of this network if one is said.
    InPlaceOf(Option<Network>),
}
