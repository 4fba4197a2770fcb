//! How the addresses that were only heard of share their room: so many of one source, so many of
//! one network, and whom a further one replaces. Must not know anything else of an address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::place::{Network, mixed, network};
use crate::limits::{BOOK_HEARD_MAX, BOOK_HEARD_PER_NETWORK_MAX, BOOK_HEARD_PER_SOURCE_MAX};

/// The addresses, by network.
#[derive(Debug, Default)]
pub(super) struct HeardRoom {
    salt: u64,
    len: usize,
    /// Of each network, in an order that nobody can foresee.
    networks: BTreeMap<Network, BTreeSet<(u64, SocketAddr)>>,
    /// The networks by how many addresses they have.
    sizes: BTreeSet<(usize, Network)>,
    /// Addresses from each source's network.
    sources: BTreeMap<Network, usize>,
}

impl HeardRoom {
    pub(super) fn new(salt: u64) -> Self {
        Self { salt, ..Self::default() }
    }

    /// Whether one more of this source and network is within their shares.
    pub(super) fn has_share(&self, address: &SocketAddr, source: Network) -> bool {
        let network = network(&address.ip());
        let from_source = self.sources.get(&source).copied().unwrap_or(0);
        (source == Network::Local || from_source < BOOK_HEARD_PER_SOURCE_MAX)
            && (network == Network::Local || self.of(network) < BOOK_HEARD_PER_NETWORK_MAX)
    }

    /// Whom an address replaces: `None` while there is room, else one of the most frequent network that
    /// `is_spare`, if any.
    pub(super) fn victim(&self, is_spare: impl Fn(&SocketAddr) -> bool) -> Option<Option<SocketAddr>> {
        if self.len < BOOK_HEARD_MAX {
            return None;
        }
        let largest = self.sizes.last().and_then(|(_, network)| self.networks.get(network));
        Some(largest.and_then(|all| all.iter().map(|(_, address)| *address).find(|it| is_spare(it))))
    }

    /// Addresses in the network of this one.
    fn of(&self, network: Network) -> usize {
        self.networks.get(&network).map_or(0, BTreeSet::len)
    }

    pub(super) fn insert(&mut self, address: SocketAddr, source: Network) {
        self.change(&address, |all, entry| all.insert(entry));
        *self.sources.entry(source).or_default() += 1;
        self.len += 1;
    }

    pub(super) fn remove(&mut self, address: &SocketAddr, source: Network) {
        self.change(address, |all, entry| all.remove(&entry));
        if let Some(count) = self.sources.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.sources.remove(&source);
            }
        }
        self.len -= 1;
    }

    fn change(
        &mut self,
        address: &SocketAddr,
        change: impl FnOnce(&mut BTreeSet<(u64, SocketAddr)>, (u64, SocketAddr)) -> bool,
    ) {
        let network = network(&address.ip());
        let all = self.networks.entry(network).or_default();
        self.sizes.remove(&(all.len(), network));
        change(all, (mixed(self.salt, address), *address));
        if all.is_empty() {
            self.networks.remove(&network);
        } else {
            self.sizes.insert((all.len(), network));
        }
    }
}
