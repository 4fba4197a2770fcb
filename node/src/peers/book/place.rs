//! Addresses and where they are: what can be dialled, who may speak of it, which network it is in.
//! Must not know what is remembered of them.

use std::net::{IpAddr, SocketAddr};

use super::BookError;

/// How far an address is of use. In order: who is nearer may be told of what is farther.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// This machine.
    Loopback,
    /// A private network.
    Private,
    /// Everywhere.
    Public,
}

/// Addresses that one party is likely to have many of: a /16 of IPv4, a /32 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Network {
    /// This machine and private networks, in which nothing is counted but totals.
    Local,
    V4([u8; 2]),
    V6([u8; 4]),
}

/// IPv4 mapped into IPv6 is IPv4; an IPv6 address has neither flow nor zone.
pub(super) fn canonical(address: &SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whether a node can be at a canonical address.
pub(super) fn check(address: &SocketAddr) -> Result<(), BookError> {
    let ip = address.ip();
    let reason = match ip {
        _ if address.port() == 0 => "it has no port",
        _ if ip.is_unspecified() => "it is unspecified",
        _ if ip.is_multicast() => "it is a multicast address",
        IpAddr::V4(v4) if v4.octets()[0] == 0 || v4.octets()[0] >= 240 => "it is reserved",
        IpAddr::V6(v6) if v6.is_unicast_link_local() => "a link-local address of IPv6 needs a zone",
        _ => return Ok(()),
    };
    Err(BookError::NotAnAddress { address: address.to_string(), reason })
}

/// How far a canonical IP is of use.
pub(super) fn scope(ip: &IpAddr) -> Scope {
    let is_private = match ip {
        // 100.64.0.0/10 is what carriers use inside (RFC 6598).
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_private() || ip.is_link_local() || (a, b & 0xc0) == (100, 64)
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    match is_private {
        _ if ip.is_loopback() => Scope::Loopback,
        true => Scope::Private,
        false => Scope::Public,
    }
}

/// The network of a canonical IP.
pub(super) fn network(ip: &IpAddr) -> Network {
    match ip {
        ip if scope(ip) != Scope::Public => Network::Local,
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            Network::V4([a, b])
        }
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.octets();
            Network::V6([a, b, c, d])
        }
    }
}

/// A number that nobody can foresee who does not know the salt: SplitMix64 over the address.
pub(super) fn mixed(salt: u64, address: &SocketAddr) -> u64 {
    let bits = match address.ip() {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    };
    let parts = [(bits >> 64) as u64, bits as u64, u64::from(address.port())];
    parts.into_iter().fold(mix(salt), |mixed, part| mix(mixed ^ mix(part)))
}

/// The step of SplitMix64.
pub(super) fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
