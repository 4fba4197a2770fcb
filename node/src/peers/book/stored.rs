//! What of the book is kept over restarts, as bytes. Must not know what is done with it.
//!
//! A version, u8; kept addresses, each with its last success in unix ms, u64; addresses that the
//! operator named, with theirs or 0; IPs that the operator banned. Lists begin with their count, u32;
//! integers are little-endian; an IP is 16 bytes, IPv4 mapped into IPv6; a port is u16.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::BookError;
use super::place;
use crate::limits::{BOOK_KEPT_MAX, BOOK_OPERATOR_BANS_MAX, PEERS_MANUAL_MAX};
use crate::store::StoreError;
use crate::store::bytes::{Reader, count};

const VERSION: u8 = 1;
const IP_BYTES: usize = 16;
const ADDRESS_BYTES: usize = IP_BYTES + 2;

/// An address and the last success there, unix ms; 0 for none.
pub(super) type Success = (SocketAddr, u64);

/// What is kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) kept: Vec<Success>,
    pub(super) manual: Vec<Success>,
    pub(super) bans: Vec<IpAddr>,
}

impl Stored {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        for list in [&self.kept, &self.manual] {
            out.extend_from_slice(&count(list.len()));
            for (address, success) in list {
                out.extend_from_slice(&ip_bytes(address.ip()));
                out.extend_from_slice(&address.port().to_le_bytes());
                out.extend_from_slice(&success.to_le_bytes());
            }
        }
        out.extend_from_slice(&count(self.bans.len()));
        for ip in &self.bans {
            out.extend_from_slice(&ip_bytes(*ip));
        }
        out
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, BookError> {
        let stored = Self::read(bytes).map_err(|_| BookError::Damaged)?;
        // --connect makes manual ones kept when they succeed: more than would be kept of others.
        let is_bounded = stored.kept.len() <= BOOK_KEPT_MAX + PEERS_MANUAL_MAX
            && stored.manual.len() <= PEERS_MANUAL_MAX
            && stored.bans.len() <= BOOK_OPERATOR_BANS_MAX;
        let mut addresses = stored.kept.iter().chain(&stored.manual);
        let is_sound = addresses.all(|(address, _)| place::check(address).is_ok())
            && !stored.bans.iter().any(|ip| ip.is_loopback() || ip.is_unspecified() || ip.is_multicast());
        if is_bounded && is_sound { Ok(stored) } else { Err(BookError::Damaged) }
    }

    fn read(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader::new("list of peers", bytes);
        if reader.u8()? != VERSION {
            return Err(reader.damage());
        }
        let (kept, manual) = (successes(&mut reader)?, successes(&mut reader)?);
        let bans = (0..reader.count(IP_BYTES)?).map(|_| ip(&mut reader)).collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(Self { kept, manual, bans })
    }
}

fn successes(reader: &mut Reader<'_>) -> Result<Vec<Success>, StoreError> {
    let count = reader.count(ADDRESS_BYTES + 8)?;
    let success = |_| {
        let address = SocketAddr::new(ip(reader)?, u16::from_le_bytes(reader.array()?));
        Ok((address, reader.u64()?))
    };
    (0..count).map(success).collect()
}

fn ip(reader: &mut Reader<'_>) -> Result<IpAddr, StoreError> {
    Ok(Ipv6Addr::from(reader.array::<IP_BYTES>()?).to_canonical())
}

fn ip_bytes(ip: IpAddr) -> [u8; IP_BYTES] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}
