//! Which addresses are told to who asks: the same few for a while, so that asking often does not show
//! all of them, nor when one came. Must not know who asks or what may be told.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::place::{mix, mixed};
use crate::limits::{BOOK_TOLD_LEAST, BOOK_TOLD_MS, BOOK_TOLD_PERCENT};
use steelyard_core::wire::addresses::NODE_ADDRESSES_MAX;

/// The answer of the moment.
#[derive(Debug, Default)]
pub(super) struct Told {
    addresses: Vec<SocketAddr>,
    /// When there is another, monotonic ms.
    until: u64,
    /// Counts the answers.
    round: u64,
}

impl Told {
    /// The answer, out of what may be told now. Within its time it loses what may no longer be told,
    /// and gets more only while it is of few.
    pub(super) fn answer(&mut self, now: u64, salt: u64, all: BTreeSet<SocketAddr>) -> Vec<SocketAddr> {
        let mut enough = BOOK_TOLD_LEAST;
        if now >= self.until {
            *self = Self {
                addresses: Vec::new(),
                until: now.saturating_add(BOOK_TOLD_MS),
                round: self.round + 1,
            };
            enough = enough.max(all.len() * BOOK_TOLD_PERCENT / 100).min(NODE_ADDRESSES_MAX);
        }
        self.addresses.retain(|address| all.contains(address));
        if self.addresses.len() < enough {
            let mut more: Vec<_> = all.into_iter().filter(|it| !self.addresses.contains(it)).collect();
            more.sort_by_cached_key(|address| mix(mixed(salt, address) ^ self.round));
            more.truncate(enough - self.addresses.len());
            self.addresses.append(&mut more);
        }
        self.addresses.clone()
    }
}
