//! Where other nodes are, from node to node. Must not know whether anybody is there.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use bincode::{Decode, Encode};

use super::{COUNT_BYTES, Message};
use crate::encode::List;
use crate::struct_codec;

/// Most addresses of an answer.
pub const NODE_ADDRESSES_MAX: usize = 1_000;
/// Bytes of an address.
pub const NODE_ADDRESS_BYTES: usize = 16 + 2;

/// Where a node takes connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeAddress {
    /// IPv6, or IPv4 mapped into it (RFC 4291, section 2.5.5.2).
    pub ip: [u8; 16],
    /// TCP port.
    pub port: u16,
}

struct_codec!(NodeAddress { ip, port });

impl From<SocketAddr> for NodeAddress {
    fn from(address: SocketAddr) -> Self {
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        Self { ip: ip.octets(), port: address.port() }
    }
}

impl From<NodeAddress> for SocketAddr {
    fn from(address: NodeAddress) -> Self {
        Self::new(Ipv6Addr::from(address.ip).to_canonical(), address.port)
    }
}

/// Asks for addresses of other nodes. Answered by one [`Addresses`] of this request's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct GetAddresses {}

impl Message for GetAddresses {
    const KIND: u8 = 41;
    const BYTES_MAX: usize = 0;
}

/// Some of the addresses that the sender knows, in no order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The addresses.
    pub addresses: List<NodeAddress, NODE_ADDRESSES_MAX>,
}

struct_codec!(Addresses { addresses });

impl Message for Addresses {
    const KIND: u8 = 42;
    const BYTES_MAX: usize = COUNT_BYTES + NODE_ADDRESSES_MAX * NODE_ADDRESS_BYTES;
}
