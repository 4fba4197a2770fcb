//! The book under floods, failures, restarts, damage and clocks that jump; at the end anything at
//! all, in any order, with what must always hold.

use std::net::Ipv4Addr;

use super::place::mix;
use super::*;
use crate::limits::*;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0) % bound
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}

const LOCAL: (PeerId, IpAddr) = (0, IpAddr::V4(Ipv4Addr::LOCALHOST));

fn at(ms: u64) -> Moment {
    Moment { unix_ms: 1_800_000_000_000 + ms, mono_ms: ms }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// The number-th of so many addresses in each public /16.
fn public(number: u32, each: u32) -> SocketAddr {
    let (network, host) = (number / each, number % each);
    let ip =
        Ipv4Addr::from_bits((u32::from(20 + (network >> 8) as u8) << 24) | ((network & 0xff) << 16) | host);
    SocketAddr::new(ip.into(), 8_333)
}

fn private(number: u32) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from_bits(0x0a00_0001 + number).into(), 8_333)
}

/// A peer that is gone when it has spoken.
fn hear(book: &mut Book, now: Moment, source: IpAddr, addresses: &[SocketAddr]) {
    for some in addresses.chunks(BOOK_ADDRESSES_BURST as usize) {
        book.heard(now, (9, source), some);
        book.peer_gone(9);
    }
}

/// An address to which a connection succeeded and ended well.
fn keep(book: &mut Book, now: Moment, address: SocketAddr) {
    hear(book, now, LOCAL.1, &[address]);
    assert!(book.entries.contains_key(&address), "{address} is not taken");
    book.succeeded(now, address);
    book.closed(now, address, BOOK_STEADY_MS + 1);
}

fn of_class(book: &Book, is_it: impl Fn(&Class) -> bool) -> Vec<SocketAddr> {
    book.entries.iter().filter(|(_, entry)| is_it(&entry.class)).map(|(address, _)| *address).collect()
}

fn kept(book: &Book) -> Vec<SocketAddr> {
    of_class(book, |class| *class == Class::Kept)
}

fn heard(book: &Book) -> Vec<SocketAddr> {
    of_class(book, |class| matches!(class, Class::Heard { .. }))
}

/// What must hold of any book at any time.
fn assert_sound(book: &Book) {
    let mut room = HeardRoom::new(book.salt);
    let (mut networks, mut sources, mut kept_networks) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (address, entry) in &book.entries {
        assert_eq!(*address, canonical(address));
        assert!(place::check(address).is_ok(), "{address}");
        assert!(entry.is_manual() || !book.own.contains(address), "{address} is the node's own");
        let network = network(&address.ip());
        match entry.class {
            Class::Heard { source } => {
                room.insert(*address, source);
                *networks.entry(network).or_insert(0) += 1;
                *sources.entry(source).or_insert(0) += 1;
            }
            Class::Kept => *kept_networks.entry(network).or_insert(0) += 1,
            Class::Manual { .. } => {}
        }
    }
    assert_eq!(format!("{room:?}"), format!("{:?}", book.heard), "the shares are of what is there");
    for map in [&mut networks, &mut sources, &mut kept_networks] {
        map.remove(&Network::Local);
    }
    assert!(networks.values().all(|count| *count <= BOOK_HEARD_PER_NETWORK_MAX));
    assert!(sources.values().all(|count| *count <= BOOK_HEARD_PER_SOURCE_MAX));
    assert!(kept_networks.values().all(|count| *count <= BOOK_KEPT_PER_NETWORK_MAX));
    assert!(heard(book).len() <= BOOK_HEARD_MAX && kept(book).len() <= BOOK_KEPT_MAX);
    assert!(book.manual().len() <= PEERS_MANUAL_MAX && book.spoken.len() <= BOOK_SOURCES_MAX);
    assert!(book.own.len() <= BOOK_OWN_MAX && book.bans.operators().len() <= BOOK_OPERATOR_BANS_MAX);
}

#[test]
fn a_flood_of_one_network_or_one_source_fills_its_share_and_evicts_nobody_kept() {
    let mut book = Book::new(1, true);
    let good: Vec<SocketAddr> = (0..20).map(|number| public(number * 7, 10)).collect();
    good.iter().for_each(|address| keep(&mut book, at(0), *address));
    book.add_manual(public(3, 10), true).unwrap();
    let one_network: Vec<SocketAddr> = (0..100_000)
        .map(|host| SocketAddr::new(public(host % 65_536, 65_536).ip(), 1 + (host >> 16) as u16))
        .collect();
    for source in ["20.0.9.9", "30.0.0.1", "30.1.0.1"] {
        hear(&mut book, at(1), ip(source), &one_network);
        assert_eq!(heard(&book).len(), BOOK_HEARD_PER_NETWORK_MAX);
    }
    let many_networks: Vec<SocketAddr> = (0..10_000).map(|number| public(number, 1)).collect();
    hear(&mut book, at(1), ip("40.0.0.1"), &many_networks);
    hear(&mut book, at(1), ip("40.0.77.1"), &many_networks[5_000..]);
    assert_eq!(heard(&book).len(), BOOK_HEARD_PER_NETWORK_MAX + BOOK_HEARD_PER_SOURCE_MAX);
    assert_eq!(kept(&book), good);
    assert!(book.is_manual(&public(3, 10)));
    assert_sound(&book);
}

#[test]
fn a_flood_from_everywhere_keeps_the_bounds_and_a_new_network_still_finds_room() {
    let mut book = Book::new(2, true);
    let good: Vec<SocketAddr> = (0..20).map(|number| public(number * 7, 10)).collect();
    good.iter().for_each(|address| keep(&mut book, at(0), *address));
    // A thousand sources, a hundred addresses each, in 400 networks and a private one.
    for source in 0..1_000 {
        let addresses: Vec<SocketAddr> = (0..100).map(|i| public(source * 100 + i, 250)).collect();
        hear(&mut book, at(1), public(source, 1).ip(), &addresses);
    }
    hear(&mut book, at(1), LOCAL.1, &(0..5_000).map(private).collect::<Vec<_>>());
    assert_sound(&book);
    assert_eq!((heard(&book).len(), kept(&book)), (BOOK_HEARD_MAX, good));
    let newcomers = [address("99.1.2.3:1"), address("[2001:db8::1]:1")];
    hear(&mut book, at(2), ip("98.0.0.1"), &newcomers);
    assert!(newcomers.iter().all(|it| book.entries.contains_key(it)));
    assert_eq!(heard(&book).len(), BOOK_HEARD_MAX);
    assert_sound(&book);
}

#[test]
fn who_speaks_much_is_heard_slowly() {
    let mut book = Book::new(3, true);
    let all: Vec<SocketAddr> = (0..3_000).map(private).collect();
    let (burst, step) = (BOOK_ADDRESSES_BURST as usize, BOOK_ADDRESS_MS);
    book.heard(at(5), LOCAL, &all);
    assert_eq!(book.known(), burst);
    book.heard(at(5 + step - 1), LOCAL, &all[burst..]);
    assert_eq!(book.known(), burst);
    book.heard(at(5 + 3 * step), LOCAL, &all[burst..]);
    assert_eq!(book.known(), burst + 3);
    // Rubbish and what is known costs as much as anything.
    book.heard(at(5 + 4 * step), LOCAL, &[address("10.0.0.1:0"), all[2_500]]);
    assert_eq!(book.known(), burst + 3);
    book.heard(at(6 + 4 * step), (1, LOCAL.1), &all[2_000..2_010]);
    assert_eq!(book.known(), burst + 13, "another peer has its own share");
    book.peer_gone(0);
    book.heard(at(6 + 4 * step), LOCAL, &all[2_500..2_510]);
    assert_eq!(book.known(), burst + 23);
    for peer in 0..10_000 {
        book.heard(at(7 + 4 * step), (peer, LOCAL.1), &all[..1]);
    }
    assert_eq!(book.spoken.len(), BOOK_SOURCES_MAX);
}

#[test]
fn of_what_is_heard_only_what_can_be_of_use_is_taken() {
    let nowhere = [
        "8.8.8.8:0",
        "0.0.0.0:1",
        "0.1.2.3:1",
        "[::]:1",
        "224.0.0.1:1",
        "[ff02::1]:1",
        "255.255.255.255:1",
        "250.0.0.1:1",
        "[fe80::1]:1",
        "[::ffff:0.0.0.0]:1",
    ];
    let loopback = ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:2"];
    let private =
        ["10.0.0.1:1", "172.31.0.1:1", "192.168.1.1:1", "169.254.0.1:1", "100.127.0.1:1", "[fd00::1]:1"];
    let public = ["8.8.8.8:1", "172.32.0.1:1", "100.128.0.1:1", "[2001:db8::1]:1", "[::ffff:9.9.9.9]:1"];
    let sources = ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.9.9.9", "fd00::9", "8.8.4.4", "2001:db8::9"];
    for (source, reach) in sources.iter().zip([3, 3, 3, 2, 2, 1, 1]) {
        let mut book = Book::new(4, true);
        for (group, takes) in [(&nowhere[..], 0), (&loopback, 3), (&private, 2), (&public, 1)] {
            for text in group {
                book.heard(at(0), (1, ip(source)), &[address(text)]);
                let is_known = book.entries.contains_key(&canonical(&address(text)));
                assert_eq!(is_known, takes > 0 && takes <= reach, "{text} from {source}");
            }
        }
        assert_sound(&book);
    }
    let mut book = Book::new(4, true);
    for text in nowhere {
        let refused = book.add_manual(address(text), true).unwrap_err();
        assert_eq!(refused.name(), "not_an_address", "{text}");
    }
    book.add_manual(address("[::ffff:9.9.9.9]:1"), true).unwrap();
    assert_eq!(book.manual(), [address("9.9.9.9:1")], "one address in two dresses");
    assert_eq!(book.add_manual(address("9.9.9.9:1"), true), Ok(false));
}

/// How long an address rests after each of so many failures, somebody else being connected or not.
fn rests(book: &mut Book, address: SocketAddr, connected: &[(SocketAddr, bool)], count: usize) -> Vec<u64> {
    let mut now = 0;
    let mut rests = Vec::new();
    for _ in 0..count {
        assert_eq!(book.next_dials(at(now), connected), [address]);
        assert_eq!(book.next_dials(at(now), connected), [], "it is being dialled");
        let failed = now + 7;
        book.failed(at(failed), address);
        assert_eq!(book.next_dials(at(failed), connected), []);
        now = loop {
            // A wake may be in vain, but none is missing.
            let wake = book.next_wake(at(now)).unwrap();
            assert!(wake > now);
            if book.entries[&address].due <= wake {
                break wake;
            }
            assert_eq!(book.next_dials(at(wake), connected), []);
            now = wake;
        };
        rests.push(now - failed);
    }
    rests
}

#[test]
fn rests_double_up_to_their_bound() {
    let somebody = [(address("99.0.0.1:9"), false)];
    let seconds = |all: Vec<u64>| all.iter().map(|ms| ms / 1_000).collect::<Vec<_>>();
    let mut book = Book::new(5, true);
    book.add_manual(address("10.0.0.1:1"), false).unwrap();
    let manual = rests(&mut book, address("10.0.0.1:1"), &somebody, 8);
    assert_eq!(seconds(manual), [1, 2, 4, 8, 16, 30, 30, 30]);
    for (connected, expected) in [(&somebody[..], [256, 512, 1_024, 2_048, 3_600, 3_600]), (&[], [30; 6])] {
        let mut book = Book::new(5, true);
        keep(&mut book, at(0), address("8.8.8.8:1"));
        book.entries.get_mut(&address("8.8.8.8:1")).unwrap().due = 0;
        let rests = rests(&mut book, address("8.8.8.8:1"), connected, 14);
        assert_eq!(seconds(rests)[8..], expected);
    }
}

#[test]
fn what_was_only_heard_of_is_forgotten_after_some_failures_unless_nobody_is_connected() {
    let it = address("8.8.8.8:1");
    let mut book = Book::new(6, true);
    hear(&mut book, at(0), LOCAL.1, &[it]);
    for hour in 0..10 {
        assert_eq!(book.next_dials(at(hour * BOOK_RETRY_MS_MAX), &[]), [it]);
        book.failed(at(hour * BOOK_RETRY_MS_MAX), it);
    }
    let mut book = Book::new(6, true);
    hear(&mut book, at(0), LOCAL.1, &[it]);
    let somebody = [(address("99.0.0.1:9"), false)];
    for failure in 1..=u64::from(BOOK_FAILURES_MAX) {
        assert_eq!(book.next_dials(at(failure * 60_000), &somebody), [it]);
        book.failed(at(failure * 60_000), it);
    }
    assert_eq!((book.known(), book.take_dirty()), (0, false));
    assert_sound(&book);
}

#[test]
fn what_was_kept_is_forgotten_when_it_fails_and_its_success_is_long_ago() {
    let (it, somebody) = (address("8.8.8.8:1"), [(address("99.0.0.1:9"), false)]);
    let mut book = Book::new(7, true);
    keep(&mut book, at(0), it);
    let fail = |book: &mut Book, now: Moment, times: u64| {
        for _ in 0..times {
            book.next_dials(now, &somebody);
            book.failed(now, it);
        }
    };
    fail(&mut book, at(BOOK_HORIZON_MS), 10);
    assert_eq!(kept(&book), [it]);
    // A clock set back makes nothing old.
    fail(&mut book, Moment { unix_ms: 5, mono_ms: BOOK_HORIZON_MS }, 10);
    assert_eq!(kept(&book), [it]);
    book.take_dirty();
    fail(&mut book, at(BOOK_HORIZON_MS + 1), 1);
    assert_eq!((book.known(), book.take_dirty()), (0, true));
}

#[test]
fn a_connection_that_ended_soon_counts_as_a_failure() {
    let it = address("10.0.0.1:1");
    let mut book = Book::new(8, true);
    book.add_manual(it, false).unwrap();
    let mut now = 0;
    for rest in [1, 2, 4, 8] {
        assert_eq!(book.next_dials(at(now), &[]), [it]);
        book.succeeded(at(now), it);
        assert_eq!(book.next_dials(at(now), &[(it, true)]), []);
        now += BOOK_STEADY_MS;
        book.closed(at(now), it, BOOK_STEADY_MS);
        assert_eq!(book.next_dials(at(now + rest * 1_000 - 1), &[]), []);
        now += rest * 1_000;
    }
    assert_eq!(book.next_dials(at(now), &[]), [it]);
    book.succeeded(at(now), it);
    now += BOOK_STEADY_MS + 1;
    book.closed(at(now), it, BOOK_STEADY_MS + 1);
    assert_eq!(book.next_dials(at(now), &[]), []);
    assert_eq!(book.next_wake(at(now)), Some(now + BOOK_RETRY_MS));
    assert_eq!(book.next_dials(at(now + BOOK_RETRY_MS), &[]), [it]);
}

#[test]
fn places_are_few_and_each_in_another_network() {
    let mut book = Book::new(9, true);
    (0..40).for_each(|number| keep(&mut book, at(0), public(number, 10)));
    let now = at(BOOK_RETRY_MS);
    let first = book.next_dials(now, &[]);
    let networks = |all: &[SocketAddr]| all.iter().map(|it| network(&it.ip())).collect::<BTreeSet<_>>();
    assert_eq!((first.len(), networks(&first).len()), (4, 4), "there are four networks");
    hear(&mut book, now, LOCAL.1, &(0..50).map(private).collect::<Vec<_>>());
    let second = book.next_dials(now, &[]);
    assert_eq!(second.len(), PEERS_OUTBOUND_MAX - 4, "private ones may be of one network");
    for number in 0..20 {
        book.add_manual(address(&format!("192.168.0.{number}:1")), false).unwrap();
    }
    assert_eq!(book.next_dials(now, &[]), book.manual(), "who is named by hand needs no place");
    let mut connected: Vec<_> = first.iter().map(|it| (*it, true)).collect();
    first.iter().for_each(|it| book.succeeded(now, *it));
    second.iter().for_each(|it| book.failed(now, *it));
    assert_eq!(book.next_dials(now, &connected), [], "places of what failed rest as well");
    let later = at(2 * BOOK_RETRY_MS);
    assert_eq!(book.next_wake(now), Some(later.mono_ms));
    assert_eq!(book.next_dials(later, &connected).len(), PEERS_OUTBOUND_MAX - 4);
    let gone = connected.pop().unwrap().0;
    book.closed(later, gone, 100_000);
    let replaced = book.next_dials(later, &connected);
    assert_eq!(networks(&replaced), networks(&[gone]));
    assert_ne!(replaced, [gone]);
}

#[test]
fn what_is_kept_is_preferred_three_times_of_four() {
    let mut book = Book::new(10, true);
    (0..400).for_each(|number| keep(&mut book, at(0), public(number, 1)));
    hear(&mut book, at(0), LOCAL.1, &(1_000..1_400).map(|number| public(number, 1)).collect::<Vec<_>>());
    let mut of_kept = 0;
    for round in 1..=25 {
        let now = at(round * BOOK_RETRY_MS);
        let dials = book.next_dials(now, &[]);
        assert_eq!(dials.len(), PEERS_OUTBOUND_MAX);
        of_kept += dials.iter().filter(|it| book.entries[it].class == Class::Kept).count();
        // Connected for good, and out of the way.
        dials.iter().for_each(|it| book.entries.get_mut(it).unwrap().due = u64::MAX);
        dials.iter().for_each(|it| book.failed(now, *it));
    }
    assert_eq!(of_kept, 150);
}

#[test]
fn what_is_kept_has_bounds_and_the_oldest_makes_room() {
    let mut book = Book::new(11, true);
    for number in 0..50 {
        keep(&mut book, at(u64::from(number)), public(number, 50));
    }
    let newest: Vec<SocketAddr> =
        (50 - BOOK_KEPT_PER_NETWORK_MAX as u32..50).map(|it| public(it, 50)).collect();
    assert_eq!(kept(&book), newest);
    for number in 0..2_000 {
        keep(&mut book, at(100 + u64::from(number)), private(number));
    }
    let newest: Vec<SocketAddr> = (2_000 - BOOK_KEPT_MAX as u32..2_000).map(private).collect();
    assert_eq!(kept(&book), newest);
    // Who is connected or named by hand stays, however old.
    book.succeeded(at(3_000), newest[0]);
    book.add_manual(newest[1], false).unwrap();
    for number in 2_000..4_000 {
        keep(&mut book, at(4_000 + u64::from(number)), private(number));
    }
    assert!(kept(&book).contains(&newest[0]) && book.is_manual(&newest[1]));
    assert_eq!(kept(&book).len(), BOOK_KEPT_MAX);
    assert_sound(&book);
    // One that was named for this run only is kept beside them, and there is no room for it later.
    let mut again = Book::new(11, true);
    again.load(&book.to_bytes()).unwrap();
    assert_eq!(again.known(), BOOK_KEPT_MAX);
    assert_sound(&again);
}

#[test]
fn named_addresses_and_bans_have_bounds() {
    let mut book = Book::new(12, true);
    for number in 0..PEERS_MANUAL_MAX as u32 {
        assert_eq!(book.add_manual(private(number), true), Ok(true));
    }
    assert_eq!(book.add_manual(private(5), true), Ok(false));
    assert_eq!(book.add_manual(private(999), true).unwrap_err().name(), "full");
    assert!(book.remove(&private(5)) && !book.remove(&private(5)));
    assert_eq!(book.add_manual(private(999), true), Ok(true));
    for number in 0..BOOK_OPERATOR_BANS_MAX as u32 {
        assert_eq!(book.ban(public(number, 1).ip()), Ok(true));
    }
    assert_eq!(book.ban(public(5, 1).ip()), Ok(false));
    assert_eq!(book.ban(ip("99.0.0.1")).unwrap_err().name(), "full");
    for (refused, name) in
        [("127.0.0.1", "loopback"), ("::ffff:127.0.0.1", "loopback"), ("0.0.0.0", "not_an_address")]
    {
        assert_eq!(book.ban(ip(refused)).unwrap_err().name(), name);
    }
    assert!(book.unban(&public(5, 1).ip()) && !book.unban(&public(5, 1).ip()));
    let mut again = Book::new(12, true);
    again.load(&book.to_bytes()).unwrap();
    assert_eq!(again.bans(at(0)), book.bans(at(0)));
    assert_eq!(again.manual(), book.manual());
    // Of those who misbehave the oldest are forgotten.
    let bad = |number| SocketAddr::new(Ipv4Addr::from_bits(0x5000_0000 + number).into(), 1);
    for number in 0..BOOK_BANS_MAX as u32 + 10 {
        book.misbehaved(at(1), &bad(number), false, "bad");
    }
    assert_eq!(book.bans(at(1)).len(), BOOK_BANS_MAX + BOOK_OPERATOR_BANS_MAX - 1);
    assert!(!book.is_banned(at(1), &bad(9).ip()) && book.is_banned(at(1), &bad(10).ip()));
    for again in 0..100_000 {
        book.misbehaved(at(2 + again / 2), &bad(10), false, "bad");
    }
    assert!(book.bans.order_len() <= 2 * BOOK_BANS_MAX);
    assert_eq!(book.bans(at(2)).len(), BOOK_BANS_MAX + BOOK_OPERATOR_BANS_MAX - 1);
    assert_eq!(book.bans(at(1 + BOOK_BAN_MS)).len(), BOOK_OPERATOR_BANS_MAX, "but the one that was renewed");
}

#[test]
fn bans_last_as_long_as_said_whatever_the_clock_says() {
    let it = address("8.8.8.8:1");
    let mut book = Book::new(13, true);
    book.add_manual(it, true).unwrap();
    book.misbehaved(at(5), &address("[::ffff:8.8.8.8]:99"), false, "bad_header");
    let until = at(5 + BOOK_BAN_MS).unix_ms;
    assert_eq!(book.bans(at(5)), [Ban { ip: it.ip(), until, code: "bad_header".into() }]);
    assert_eq!(book.add_manual(it, true), Err(BookError::Banned { ip: it.ip() }));
    assert_eq!((book.next_dials(at(5), &[]), book.next_wake(at(5))), (vec![], Some(5 + BOOK_BAN_MS)));
    for unix_ms in [0, until - 1, until + 1, u64::MAX] {
        let almost = Moment { unix_ms, mono_ms: 4 + BOOK_BAN_MS };
        assert!(book.is_banned(almost, &it.ip()));
        assert_eq!(book.bans(almost)[0].until, unix_ms.saturating_add(1));
        assert!(!book.is_banned(Moment { unix_ms, mono_ms: 5 + BOOK_BAN_MS }, &it.ip()));
    }
    assert_eq!(book.next_dials(at(5 + BOOK_BAN_MS), &[]), [it]);
    assert_eq!(book.bans(at(5 + BOOK_BAN_MS)), []);
    // The operator's goes before, has no end and is not ended by time.
    book.misbehaved(at(9), &it, true, "bad_header");
    book.ban(it.ip()).unwrap();
    assert_eq!(book.bans(at(9)), [Ban { ip: it.ip(), until: 0, code: "operator".into() }]);
    assert!(book.is_banned(at(u64::MAX / 4), &it.ip()));
    assert!(book.unban(&it.ip()) && !book.is_banned(at(9), &it.ip()), "both are lifted");
}

#[test]
fn this_machine_is_never_banned_and_rests_instead() {
    let (named, other) = (address("127.0.0.1:1"), address("127.0.0.1:2"));
    let mut book = Book::new(14, true);
    book.add_manual(named, false).unwrap();
    keep(&mut book, at(0), other);
    let start = BOOK_RETRY_MS;
    assert_eq!(book.next_dials(at(start), &[]), [named, other]);
    for it in [named, other] {
        book.succeeded(at(start), it);
        // Someone else of this machine.
        book.misbehaved(at(start), &address("127.0.0.1:50000"), false, "bad");
        book.misbehaved(at(start), &it, true, "bad");
        book.closed(at(start + 1), it, 1);
    }
    assert_eq!(book.bans(at(start)), []);
    let mut dialled = BTreeMap::new();
    while dialled.len() < 2 {
        let now = book.next_wake(at(0)).unwrap();
        book.next_dials(at(now), &[]).into_iter().for_each(|it| _ = dialled.insert(it, now));
    }
    let expected = [(named, start + BOOK_RETRY_MANUAL_MS_MAX), (other, start + BOOK_RETRY_MS_MAX)];
    assert_eq!(dialled, BTreeMap::from(expected));
}

#[test]
fn the_node_itself_is_neither_dialled_nor_told_nor_kept() {
    let (own, named) = (address("10.0.0.1:1"), address("10.0.0.1:2"));
    let mut book = Book::new(15, true);
    keep(&mut book, at(0), own);
    book.add_manual(named, true).unwrap();
    for it in [own, named] {
        book.set_own(it);
    }
    hear(&mut book, at(1), LOCAL.1, &[own, named]);
    assert_eq!((book.known(), book.manual()), (1, vec![named]), "the operator's word is shown");
    assert_eq!((book.next_dials(at(BOOK_RETRY_MS_MAX), &[]), book.sample(at(2), true)), (vec![], vec![]));
    assert_eq!(book.add_manual(own, true).unwrap_err().name(), "not_an_address");
    (0..1_000).for_each(|number| book.set_own(private(number)));
    assert_sound(&book);
}

#[test]
fn a_restart_keeps_what_was_kept_named_and_banned() {
    let mut book = Book::new(16, true);
    let good = [address("10.1.1.1:1"), address("20.20.0.1:2"), address("[2001:db8::7]:3")];
    good.iter().for_each(|it| keep(&mut book, at(9), *it));
    hear(&mut book, at(9), LOCAL.1, &[address("10.9.9.9:9")]);
    book.add_manual(address("[fd00::1]:4"), true).unwrap();
    // For this run only: one without success, one with.
    let (idle, met) = (address("10.2.2.2:2"), address("10.3.3.3:3"));
    book.add_manual(idle, false).unwrap();
    book.add_manual(met, false).unwrap();
    book.succeeded(at(9), met);
    book.ban(ip("66.6.6.6")).unwrap();
    book.misbehaved(at(9), &address("77.7.7.7:7"), false, "bad");
    let bytes = book.to_bytes();
    let mut again = Book::new(17, true);
    again.add_manual(good[0], false).unwrap();
    again.load(&bytes).unwrap();
    assert_eq!(kept(&again), [met, good[1], good[2]]);
    assert_eq!(again.manual(), [good[0], address("[fd00::1]:4")]);
    assert!(
        again.entries.iter().all(|(it, entry)| entry.success
            == if again.is_manual(it) && *it != good[0] { 0 } else { at(9).unix_ms })
    );
    assert!(again.is_banned(at(0), &ip("66.6.6.6")) && !again.is_banned(at(0), &ip("77.7.7.7")));
    assert_eq!((again.to_bytes(), again.take_dirty()), (bytes, false));
    // Named by the operator what was kept: named from now on, and no longer among the others.
    assert_eq!(again.add_manual(met, true), Ok(true));
    let mut third = Book::new(18, true);
    third.load(&again.to_bytes()).unwrap();
    assert_eq!((third.manual().len(), third.known()), (2, 5));
    assert_sound(&third);
}

#[test]
fn damaged_bytes_load_nothing_or_something_sound() {
    let mut book = Book::new(19, true);
    (0..5).for_each(|number| keep(&mut book, at(9), public(number, 2)));
    (0..3).for_each(|number| _ = book.add_manual(private(number), true));
    (0..3).for_each(|number| _ = book.ban(public(900 + number, 1).ip()));
    let bytes = book.to_bytes();
    let loads = |bytes: &[u8]| {
        let mut book = Book::new(20, true);
        book.add_manual(address("127.0.0.1:1"), false).unwrap();
        let outcome = book.load(bytes);
        assert_sound(&book);
        if let Err(error) = &outcome {
            assert_eq!((error, book.known()), (&BookError::Damaged, 1), "nothing is loaded");
            assert_eq!(book.bans(at(0)), []);
        }
        outcome.is_ok()
    };
    assert!(loads(&bytes));
    for end in 0..bytes.len() {
        assert!(!loads(&bytes[..end]), "cut to {end}");
    }
    let mut refused = 0;
    for (byte, bit) in (0..bytes.len()).flat_map(|byte| (0..8).map(move |bit| (byte, bit))) {
        let mut flipped = bytes.clone();
        flipped[byte] ^= 1 << bit;
        refused += usize::from(!loads(&flipped));
    }
    assert!(refused >= 8 * 13, "the version and the counts at least: {refused}");
    assert!(!loads(&[&bytes[..], &[0]].concat()));
    // More than there may be, well written.
    let many = |count: u32| (0..count).map(|number| (private(number), 1)).collect::<Vec<_>>();
    let most = BOOK_KEPT_MAX as u32 + PEERS_MANUAL_MAX as u32;
    assert!(loads(&Stored { kept: many(most), ..Stored::default() }.to_bytes()));
    assert!(!loads(&Stored { kept: many(most + 1), ..Stored::default() }.to_bytes()));
    assert!(!loads(&Stored { manual: many(PEERS_MANUAL_MAX as u32 + 1), ..Stored::default() }.to_bytes()));
    assert!(loads(&Stored { manual: many(PEERS_MANUAL_MAX as u32), ..Stored::default() }.to_bytes()));
    assert!(!loads(&Stored { manual: vec![(address("10.0.0.1:0"), 0)], ..Stored::default() }.to_bytes()));
    let one_network = (0..100).map(|number| (public(number, 100), 1)).collect();
    assert!(loads(&Stored { kept: one_network, ..Stored::default() }.to_bytes()));
}

#[test]
fn what_must_be_saved_now_is_said_once() {
    let it = address("10.0.0.1:1");
    let mut book = Book::new(21, true);
    hear(&mut book, at(0), LOCAL.1, &[it]);
    book.add_manual(address("10.0.0.2:2"), false).unwrap();
    assert!(!book.take_dirty(), "neither outlasts a restart");
    keep(&mut book, at(1), it);
    assert!(book.take_dirty() && !book.take_dirty());
    let meet = |book: &mut Book, ms: u64| {
        book.succeeded(at(ms), it);
        book.take_dirty()
    };
    assert!(!meet(&mut book, BOOK_TIMES_MS), "only the time has changed");
    assert!(meet(&mut book, BOOK_TIMES_MS + 1) && !meet(&mut book, BOOK_TIMES_MS + 2));
    type Change = fn(&mut Book) -> bool;
    let changes: [(&str, Change); 6] = [
        ("named", |book| book.add_manual(address("10.0.0.2:2"), true) == Ok(false)),
        ("banned", |book| book.ban(ip("9.9.9.9")) == Ok(true)),
        ("lifted", |book| book.unban(&ip("9.9.9.9"))),
        ("named what was kept", |book| book.add_manual(address("10.0.0.1:1"), true) == Ok(true)),
        ("removed", |book| book.remove(&address("10.0.0.2:2"))),
        ("removed what was kept", |book| book.remove(&address("10.0.0.1:1"))),
    ];
    for (what, change) in changes {
        assert!(change(&mut book) && book.take_dirty() && !book.take_dirty(), "{what}");
    }
    book.misbehaved(at(9), &address("9.9.9.9:9"), false, "bad");
    assert!(book.unban(&ip("9.9.9.9")) && !book.take_dirty(), "bans for misbehaviour are not kept");
}

#[test]
fn what_is_told_stays_for_a_while_and_shows_nothing_private() {
    let mut book = Book::new(22, true);
    let step = BOOK_TOLD_MS;
    assert_eq!(book.sample(at(0), true), []);
    // While there are few they are told at once.
    keep(&mut book, at(1), private(0));
    keep(&mut book, at(1), address("127.0.0.1:7"));
    keep(&mut book, at(1), public(0, 1));
    hear(&mut book, at(1), LOCAL.1, &[public(5_000, 1)]);
    assert_eq!(book.sample(at(2), true).len(), 3);
    assert_eq!(book.sample(at(2), false), [public(0, 1)]);
    for number in 1..500 {
        keep(&mut book, at(3), public(number, 1));
        keep(&mut book, at(3), private(number));
    }
    assert_eq!(book.sample(at(3), false).len(), BOOK_TOLD_LEAST);
    assert_eq!(book.sample(at(3), true).len(), BOOK_TOLD_LEAST);
    let later = at(2 + 2 * step);
    let (strangers, ours) = (book.sample(later, false), book.sample(later, true));
    assert_eq!(
        (strangers.len(), ours.len()),
        (500 * BOOK_TOLD_PERCENT / 100, 1_001 * BOOK_TOLD_PERCENT / 100)
    );
    assert!(strangers.iter().all(|it| scope(&it.ip()) == Scope::Public));
    assert!(ours.iter().any(|it| scope(&it.ip()) == Scope::Private));
    assert!(strangers.iter().chain(&ours).all(|it| book.entries[it].success > 0));
    (600..620).for_each(|number| keep(&mut book, later, public(number, 1)));
    let almost = at(2 + 3 * step - 1);
    assert_eq!((book.sample(almost, false), book.sample(almost, true)), (strangers.clone(), ours));
    // What may no longer be told leaves at once, and nothing shows itself in its place.
    book.misbehaved(almost, &strangers[0], false, "bad");
    book.remove(&strangers[1]);
    book.ban(strangers[2].ip()).unwrap();
    assert_eq!(book.sample(almost, false), strangers[3..]);
    let next = book.sample(at(2 + 3 * step), false);
    assert_eq!(next.len(), (520 - 3) * BOOK_TOLD_PERCENT / 100);
    assert!(next.iter().filter(|it| strangers.contains(it)).count() < next.len() / 2);
    // What was good long ago is not told.
    assert_eq!(book.sample(at(5 * step + BOOK_HORIZON_MS), false), []);
}

#[test]
fn who_does_not_discover_dials_only_what_was_named_and_keeps_the_rest() {
    let mut book = Book::new(23, true);
    (0..20).for_each(|number| keep(&mut book, at(0), public(number, 1)));
    let bytes = book.to_bytes();
    let mut book = Book::new(23, false);
    book.load(&bytes).unwrap();
    hear(&mut book, at(1), LOCAL.1, &[private(1)]);
    assert_eq!((book.next_dials(at(1), &[]), book.next_wake(at(1))), (vec![], None));
    book.add_manual(private(2), true).unwrap();
    assert_eq!(book.next_dials(at(2), &[]), [private(2)]);
    book.succeeded(at(2), private(2));
    assert_eq!((book.sample(at(3), true), book.known()), (vec![], 21));
    let mut again = Book::new(23, true);
    again.load(&book.to_bytes()).unwrap();
    assert_eq!((again.known(), again.next_dials(at(0), &[]).len()), (21, 1 + PEERS_OUTBOUND_MAX));
}

/// A node that does what the book says, in a world where anything happens in any order.
struct Walk {
    book: Book,
    random: Random,
    now: Moment,
    all: Vec<SocketAddr>,
    /// Being dialled; connected, and since when if by dialling.
    dialled: BTreeSet<SocketAddr>,
    connected: BTreeMap<SocketAddr, Option<u64>>,
    own: BTreeSet<SocketAddr>,
}

impl Walk {
    fn new(seed: u64) -> Self {
        let mut all: Vec<SocketAddr> = (0..60).map(|number| public(number, 4)).collect();
        all.extend((0..30).map(private));
        all.extend((1..8).map(|port| SocketAddr::new(LOCAL.1, port)));
        all.extend((0..20).map(|number| address(&format!("[2001:db8:{}::{number}]:5", number % 3))));
        let (book, random) = (Book::new(seed, !seed.is_multiple_of(5)), Random(seed));
        let (dialled, connected, own) = Default::default();
        Self { book, random, now: at(0), all, dialled, connected, own }
    }

    fn some(&mut self) -> SocketAddr {
        self.random.of(&self.all)
    }

    fn step(&mut self) {
        let it = self.some();
        match self.random.below(20) {
            0..4 => self.dial(),
            4..7 => self.end_dial(),
            7..9 => self.end_connection(),
            9 => _ = self.connected.entry(it).or_default(),
            10..12 => {
                let some: Vec<_> = (0..self.random.below(30)).map(|_| self.some()).collect();
                self.book.heard(self.now, (self.random.below(5), it.ip()), &some);
            }
            12 => _ = self.book.add_manual(it, self.random.below(2) == 0),
            13 => _ = self.book.remove(&it),
            14 => {
                let is_outbound = self.connected.get(&it).is_some_and(Option::is_some);
                self.book.misbehaved(self.now, &it, is_outbound, "bad");
            }
            15 => {
                _ = if self.random.below(3) == 0 {
                    self.book.ban(it.ip())
                } else {
                    Ok(self.book.unban(&it.ip()))
                }
            }
            16 => self.book.peer_gone(self.random.below(5)),
            17 => self.tell(),
            18 => self.restart(),
            _ => self.wait(),
        }
    }

    fn dial(&mut self) {
        let connected: Vec<_> = self.connected.iter().map(|(it, since)| (*it, since.is_some())).collect();
        let dials = self.book.next_dials(self.now, &connected);
        for it in &dials {
            assert!(self.dialled.insert(*it), "{it} is being dialled");
            assert!(!self.connected.contains_key(it), "{it} is connected");
            assert!(!self.own.contains(it), "{it} is the node's own");
            assert!(!self.book.is_banned(self.now, &it.ip()), "{it} is banned");
            assert!(self.book.discover || self.book.is_manual(it));
        }
        let by_us = self.connected.iter().filter(|(_, since)| since.is_some()).map(|(it, _)| it);
        let others: Vec<_> = by_us.chain(&self.dialled).filter(|it| !self.book.is_manual(it)).collect();
        // Addresses that are no longer named by hand, or removed, may be connected beyond the bounds.
        if dials.iter().any(|it| !self.book.is_manual(it)) {
            assert!(others.len() <= PEERS_OUTBOUND_MAX);
            for it in dials
                .iter()
                .filter(|it| !self.book.is_manual(it))
                .filter(|it| network(&it.ip()) != Network::Local)
            {
                let beside = others.iter().filter(|other| network(&other.ip()) == network(&it.ip())).count();
                assert!(beside <= BOOK_OUTBOUND_PER_NETWORK_MAX);
            }
        }
        assert_eq!(self.book.next_dials(self.now, &connected), []);
        assert!(
            self.book.next_wake(self.now).is_none_or(|at| at > self.now.mono_ms),
            "no wake in vain at once"
        );
        // Nor is one missing: looking before it finds nobody.
        let wake = self.book.next_wake(self.now).unwrap_or(self.now.mono_ms + 2 * BOOK_BAN_MS);
        self.book.dialler.look_again();
        let before = Moment { mono_ms: wake - 1, ..self.now };
        assert_eq!(self.book.next_dials(before, &connected), []);
    }

    fn end_dial(&mut self) {
        let Some(it) = self.dialled.pop_first() else { return };
        match self.random.below(8) {
            0 => {
                self.own.insert(it);
                self.book.set_own(it);
            }
            1..5 => {
                self.book.succeeded(self.now, it);
                self.connected.insert(it, Some(self.now.mono_ms));
            }
            _ => self.book.failed(self.now, it),
        }
    }

    fn end_connection(&mut self) {
        let Some((it, Some(since))) = self.connected.pop_last() else { return };
        self.book.closed(self.now, it, self.now.mono_ms - since);
    }

    fn tell(&mut self) {
        let told = self.book.sample(self.now, false);
        assert!(told.iter().all(|it| scope(&it.ip()) == Scope::Public && !self.own.contains(it)));
        let told = self.book.sample(self.now, true);
        assert!(told.iter().all(|it| self.book.entries[it].success > 0));
        assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), told.len());
    }

    fn restart(&mut self) {
        if self.random.below(5) > 0 {
            return;
        }
        let bytes = self.book.to_bytes();
        let mut again = Book::new(self.book.salt + 1, self.book.discover);
        again.load(&bytes).unwrap();
        assert_eq!(again.to_bytes(), bytes);
        self.book = again;
        // Named for that run only: it has forgotten them, and what is its own.
        (self.dialled, self.connected, self.own) = Default::default();
    }

    /// Time passes, and now and then somebody sets the clock.
    fn wait(&mut self) {
        let wake = self.book.next_wake(self.now).unwrap_or(self.now.mono_ms);
        let choices = [1, 500, 40_000, 3_000_000, 100_000_000, wake - self.now.mono_ms];
        let ms = self.random.of(&choices);
        self.now.mono_ms += ms;
        self.now.unix_ms = match self.random.below(10) {
            0 => self.random.of(&[0, at(0).unix_ms, at(10 * BOOK_HORIZON_MS).unix_ms, u64::MAX]),
            _ => self.now.unix_ms.saturating_add(ms),
        };
    }
}

/// Whatever happens: every promise holds, and who is named by hand and neither banned nor the node's
/// own is dialled in the end.
#[test]
fn anything_in_any_order_leaves_a_sound_book() {
    let seeds = match std::env::var("STEELYARD_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (1..=60).collect::<Vec<u64>>(),
    };
    for seed in seeds {
        println!("STEELYARD_SEED={seed}");
        let mut walk = Walk::new(seed);
        for _ in 0..1_500 {
            walk.step();
            assert_sound(&walk.book);
            assert_eq!(walk.book.dialling_now(), walk.dialled);
        }
        while let Some(it) = walk.dialled.pop_first() {
            walk.book.failed(walk.now, it);
        }
        walk.connected.clear();
        walk.now.mono_ms += BOOK_BAN_MS + BOOK_RETRY_MS_MAX;
        let expected: BTreeSet<SocketAddr> = walk.book.manual().into_iter().collect();
        let dials: BTreeSet<SocketAddr> = walk.book.next_dials(walk.now, &[]).into_iter().collect();
        let never = |it: &&SocketAddr| walk.own.contains(it) || walk.book.is_banned(walk.now, &it.ip());
        assert!(expected.iter().filter(|it| !never(it)).all(|it| dials.contains(it)));
    }
}
