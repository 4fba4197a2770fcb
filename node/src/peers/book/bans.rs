//! Whose connections are refused: for a time who misbehaved, for good whom the operator named.
//! Must not know addresses' ports or who is connected.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use super::{BookError, Moment};
use crate::limits::{BOOK_BAN_MS, BOOK_BANS_MAX, BOOK_OPERATOR_BANS_MAX};
use crate::peers::Ban;

/// The bans. IPs are canonical.
#[derive(Debug, Default)]
pub(super) struct Bans {
    operator: BTreeSet<IpAddr>,
    /// For misbehaviour: until when, monotonic ms, and why.
    timed: BTreeMap<IpAddr, (u64, String)>,
    /// The same and those renewed or lifted since, oldest first: all last equally long.
    order: VecDeque<(u64, IpAddr)>,
}

impl Bans {
    /// Bans for misbehaviour, from now on. The time is the monotonic one: a clock that is set right
    /// neither ends a ban nor makes it last.
    pub(super) fn misbehaved(&mut self, now: Moment, ip: IpAddr, code: &str) {
        let until = now.mono_ms.saturating_add(BOOK_BAN_MS);
        let before = self.timed.insert(ip, (until, code.to_owned()));
        if before.is_none_or(|(before, _)| before != until) {
            self.order.push_back((until, ip));
        }
        while let Some((until, ip)) = self.order.front().copied() {
            let is_over = until <= now.mono_ms;
            if self.is_current(until, &ip) {
                if !is_over && self.timed.len() <= BOOK_BANS_MAX {
                    break;
                }
                self.timed.remove(&ip);
            }
            self.order.pop_front();
        }
        // Renewals leave their earlier places behind.
        if self.order.len() > 2 * BOOK_BANS_MAX {
            let timed = &self.timed;
            self.order.retain(|(until, ip)| timed.get(ip).is_some_and(|(current, _)| current == until));
        }
    }

    fn is_current(&self, until: u64, ip: &IpAddr) -> bool {
        self.timed.get(ip).is_some_and(|(current, _)| *current == until)
    }

    /// The operator's ban; false when there was one.
    pub(super) fn ban(&mut self, ip: IpAddr) -> Result<bool, BookError> {
        if ip.is_loopback() {
            return Err(BookError::Loopback);
        }
        if ip.is_unspecified() || ip.is_multicast() {
            let reason = "no node calls from there";
            return Err(BookError::NotAnAddress { address: ip.to_string(), reason });
        }
        if self.operator.contains(&ip) {
            return Ok(false);
        }
        if self.operator.len() >= BOOK_OPERATOR_BANS_MAX {
            return Err(BookError::Full { what: "bans", max: BOOK_OPERATOR_BANS_MAX });
        }
        Ok(self.operator.insert(ip))
    }

    /// Lifts bans of either kind: whether there was the operator's, and one for misbehaviour.
    pub(super) fn unban(&mut self, ip: &IpAddr) -> (bool, bool) {
        (self.operator.remove(ip), self.timed.remove(ip).is_some())
    }

    /// Until when an IP is banned, monotonic ms as `now`; `None` for not at all.
    pub(super) fn until(&self, now: u64, ip: &IpAddr) -> Option<u64> {
        if self.operator.contains(ip) {
            return Some(u64::MAX);
        }
        self.timed.get(ip).map(|(until, _)| *until).filter(|until| *until > now)
    }

    pub(super) fn operators(&self) -> impl ExactSizeIterator<Item = &IpAddr> {
        self.operator.iter()
    }

    /// How much is remembered of their order.
    #[cfg(test)]
    pub(super) fn order_len(&self) -> usize {
        self.order.len()
    }

    /// All that hold, by IP.
    pub(super) fn list(&self, now: Moment) -> Vec<Ban> {
        let operator = self.operator.iter().map(|ip| Ban { ip: *ip, until: 0, code: "operator".into() });
        let timed =
            self.timed.iter().filter(|(ip, (until, _))| *until > now.mono_ms && !self.operator.contains(ip));
        let timed = timed.map(|(ip, (until, code))| {
            let until = now.unix_ms.saturating_add(until - now.mono_ms);
            Ban { ip: *ip, until, code: code.clone() }
        });
        let mut all: Vec<Ban> = operator.chain(timed).collect();
        all.sort_unstable_by_key(|ban| ban.ip);
        all
    }
}
