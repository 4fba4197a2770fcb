//! How many connections there are, and from where: who may have one more. Must not know sockets.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Bits of an IPv6 address that one household has one of.
const IPV6_PREFIX_BITS: u32 = 64;

/// Places for connections.
#[derive(Clone, Debug)]
pub(super) struct Places {
    max: usize,
    per_ip_max: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_origin: HashMap<IpAddr, usize>,
}

/// One connection's place, free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    origin: Option<IpAddr>,
    taken: Arc<Mutex<Taken>>,
}

impl Places {
    /// So many places, and so many of them for one address that is not this machine's own.
    pub(super) fn new(max: usize, per_ip_max: usize) -> Self {
        Self { max, per_ip_max, taken: Arc::default() }
    }

    /// A place for a connection from this address; `None` when there is none for it.
    pub(super) fn take(&self, ip: IpAddr) -> Option<Place> {
        let origin = origin(ip);
        let taken = &mut *self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= self.max {
            return None;
        }
        if let Some(origin) = origin {
            let count = taken.by_origin.entry(origin).or_default();
            if *count >= self.per_ip_max {
                return None;
            }
            *count += 1;
        }
        taken.all += 1;
        Some(Place { origin, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let taken = &mut *self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        let Some(origin) = self.origin else { return };
        if let Some(count) = taken.by_origin.get_mut(&origin) {
            *count -= 1;
            if *count == 0 {
                taken.by_origin.remove(&origin);
            }
        }
    }
}

/// What connections are counted by; `None` for this machine's own.
fn origin(ip: IpAddr) -> Option<IpAddr> {
    match ip.to_canonical() {
        ip if ip.is_loopback() => None,
        IpAddr::V4(ip) => Some(IpAddr::V4(ip)),
        IpAddr::V6(ip) => {
            let network = ip.to_bits() & (u128::MAX << (128 - IPV6_PREFIX_BITS));
            Some(IpAddr::V6(Ipv6Addr::from_bits(network)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_origin_has_few_places_and_all_have_a_bound() {
        let places = Places::new(6, 2);
        let first = places.take(ip("192.0.2.1")).unwrap();
        // The same address in another dress.
        let _second = places.take(ip("::ffff:192.0.2.1")).unwrap();
        assert!(places.take(ip("192.0.2.1")).is_none());
        drop(first);
        let _third = places.take(ip("192.0.2.1")).unwrap();
        let _networks = [places.take(ip("2001:db8::1")).unwrap(), places.take(ip("2001:db8::2")).unwrap()];
        assert!(places.take(ip("2001:db8:0:0:9::3")).is_none());
        let own = [places.take(ip("127.0.0.1")).unwrap(), places.take(ip("::1")).unwrap()];
        assert!(places.take(ip("2001:db8:0:1::1")).is_none(), "all are taken");
        drop(own);
        assert!(places.take(ip("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn nothing_is_remembered_of_those_that_left() {
        let places = Places::new(4, 2);
        drop((places.take(ip("192.0.2.1")), places.take(ip("192.0.2.2")), places.take(ip("127.0.0.1"))));
        let taken = places.taken.lock().unwrap();
        assert_eq!((taken.all, taken.by_origin.len()), (0, 0));
    }
}
