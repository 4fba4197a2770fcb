//! Exact moments and exact requests: deadlines, turns, bounds, who lags, what is set aside.

use std::collections::BTreeSet;

use steelyard_core::params::Params;

use super::bench::Bench;
use crate::chain::tests::maker::params;
use crate::limits::*;
use crate::sync::{Event, PeerId};

/// Each peer that holds everything up has twice the time of the one before it; each body that comes
/// in time takes some of that back.
#[test]
fn the_time_for_a_body_doubles_to_64_s_and_decays() {
    let (mut bench, _) = Bench::new(params(), |_| Vec::new());
    let blocks = bench.maker.extend(bench.maker.genesis, 12);
    for (peer, seconds) in [2, 4, 8, 16, 32, 64, 64].into_iter().enumerate() {
        let peer = peer as PeerId;
        bench.up(peer, false, blocks[11]);
        bench.answer_headers(peer, &blocks);
        assert_eq!(bench.take_bodies_asked(peer).unwrap().1, blocks);
        bench.pass_answering(seconds * 1_000 - 1);
        assert_eq!(bench.dropped, [], "{seconds} s");
        bench.pass(1);
        assert_eq!(std::mem::take(&mut bench.dropped), [(peer, "stalled")]);
    }
    bench.up(10, false, blocks[11]);
    bench.answer_headers(10, &blocks);
    let (request, ids) = bench.take_bodies_asked(10).unwrap();
    let mut expected = 64_000;
    for id in &ids[..5] {
        bench.pass_answering(expected - 1);
        bench.send_body(10, request, *id);
        expected = expected * 85 / 100;
    }
    bench.judge();
    bench.pass_answering(expected - 1);
    assert_eq!(bench.dropped, []);
    bench.pass(1);
    assert_eq!(bench.dropped, [(10, "stalled")]);
    assert_eq!(expected, 28_396);
}

/// Who serves what fits and names the rest is asked for the rest at once.
#[test]
fn an_answer_that_was_too_long_is_continued() {
    let (mut bench, _) = Bench::new(params(), |_| Vec::new());
    let blocks = bench.maker.extend(bench.maker.genesis, 16);
    bench.up(1, false, blocks[15]);
    bench.answer_headers(1, &blocks);
    let (request, ids) = bench.take_bodies_asked(1).unwrap();
    assert_eq!(ids, blocks);
    for id in &blocks[..3] {
        bench.send_body(1, request, *id);
    }
    bench.send_missing(1, request, &blocks[3..]);
    let (again, ids) = bench.take_bodies_asked(1).unwrap();
    assert_eq!(ids, blocks[3..]);
    for id in &blocks[3..] {
        bench.send_body(1, again, *id);
    }
    bench.judge();
    bench.judge();
    assert_eq!(bench.chain.tip_id(), blocks[15]);
}

/// Bodies in flight count as the largest that the network allows. Without room only the next block of
/// a branch is asked for.
#[test]
fn bodies_in_flight_and_here_keep_within_their_bytes() {
    let limit = steelyard_core::params::BLOCK_BYTES_LIMIT;
    let (mut bench, _) = Bench::new(Params { block_bytes_max: limit, ..params() }, |_| Vec::new());
    let most = SYNC_BODY_BYTES_MAX / limit as usize;
    let blocks = bench.maker.extend(bench.maker.genesis, 3 * most);
    let other = bench.maker.extend(bench.maker.genesis, 3 * most);
    for (peer, chain) in [(1, &blocks), (2, &blocks), (3, &other)] {
        bench.up(peer, false, *chain.last().unwrap());
        if bench.headers_asked() == [peer] {
            bench.answer_headers(peer, chain);
        }
    }
    assert_eq!(bench.take_bodies_asked(1).unwrap().1, blocks[..most]);
    assert_eq!(bench.take_bodies_asked(2), None);
    assert_eq!(bench.take_bodies_asked(3).unwrap().1, other[..1], "the edge of another branch");
    assert_eq!(bench.status().in_flight, most + 1);
}

#[test]
fn headers_ahead_of_the_clock_are_held_up_to_a_bound_of_each_peer_and_of_all() {
    let (mut bench, _) = Bench::new(params(), |_| Vec::new());
    let time = bench.unix() + bench.maker.params.drift + 20_000;
    let peers = (SYNC_HELD_MAX / SYNC_HELD_PER_PEER_MAX + 2) as PeerId;
    let mut firsts = Vec::new();
    for peer in 0..peers {
        let mut parent = bench.maker.genesis;
        let mut chain = Vec::new();
        for after in 0..SYNC_HELD_PER_PEER_MAX as u64 + 4 {
            parent = bench.maker.forge(parent, &[], |block| block.header.time = time + after);
            chain.push(parent);
        }
        bench.up(peer, false, parent);
        bench.answer_headers(peer, &chain);
        let held = SYNC_HELD_MAX.min((peer as usize + 1) * SYNC_HELD_PER_PEER_MAX);
        assert_eq!((bench.status().held, bench.status().headers_ahead), (held, 0));
        firsts.push(chain[0]);
    }
    // The first peer is gone with its own; the time of the others' comes.
    bench.event(Event::PeerDown { peer: 0 });
    assert_eq!(bench.status().held, SYNC_HELD_MAX - SYNC_HELD_PER_PEER_MAX);
    for id in &firsts {
        assert!(!bench.sync.tree.contains(id));
    }
    bench.pass(20_000);
    assert!(!bench.sync.tree.contains(&firsts[0]) && bench.sync.tree.contains(&firsts[1]));
    assert_eq!(bench.dropped, []);
}

/// Who is asked and says nothing keeps the others waiting for 2 s, two who are silent for 4 s more.
#[test]
fn a_silent_peer_does_not_hold_the_turn() {
    let (mut bench, _) = Bench::new(params(), |_| Vec::new());
    let chains = [(); 4].map(|()| bench.maker.extend(bench.maker.genesis, 4));
    for (peer, chain) in chains.iter().enumerate() {
        bench.up(peer as PeerId, false, chain[3]);
    }
    for (asked, wait) in [2_000, 4_000, 8_000].into_iter().enumerate() {
        assert_eq!(bench.headers_asked(), (0..=asked as PeerId).collect::<Vec<_>>());
        bench.pass(wait - 1);
        assert_eq!(bench.headers_asked().len(), asked + 1);
        bench.pass(1);
    }
    assert_eq!(bench.headers_asked(), [0, 1, 2, 3]);
    bench.answer_headers(3, &chains[3]);
    assert_eq!(bench.status().headers_height, 4);
    bench.event(Event::PeerDown { peer: 3 });
    bench.pass(SYNC_HEADERS_MS - 14_001);
    assert_eq!(bench.dropped, []);
    bench.pass(1);
    assert_eq!(bench.dropped, [(0, "headers_timeout")]);
}

/// A peer that takes just less than the time of a request, again and again, while another is quick.
#[test]
fn a_slow_peer_does_not_keep_a_quick_one_waiting() {
    let (mut bench, _) = Bench::new(params(), |_| Vec::new());
    let blocks = bench.maker.extend(bench.maker.genesis, 4_100);
    for peer in [1, 2] {
        bench.up(peer, false, blocks[4_099]);
    }
    bench.pass(SYNC_HEADERS_ALONE_MS);
    assert_eq!(bench.headers_asked(), [1, 2]);
    for answer in [&blocks[..2_000], &blocks[2_000..4_000], &blocks[4_000..]] {
        bench.pass(10);
        bench.answer_headers(2, answer);
    }
    assert_eq!(bench.status().headers_height, 4_100);
    bench.pass(1_000);
    bench.answer_headers(1, &blocks[..2_000]);
    assert_eq!(bench.dropped, []);
}

/// Time that a peer's answers took counts until headers of it are kept or it has no more; when it is
/// used up, the next answer is late at once.
#[test]
fn a_turn_without_fruit_ends() {
    let (mut bench, _) = Bench::new(params(), |maker| maker.extend(maker.genesis, 2_400));
    let light = bench.maker.extend(bench.maker.genesis, 2_200);
    bench.up(1, false, light[2_199]);
    bench.pass(29_000);
    bench.answer_headers(1, &light[..2_000]);
    assert_eq!(bench.headers_asked(), [1], "its work is measured");
    assert_eq!(bench.sync.peers[&1].fruitless, 29_000);
    // As after many more such answers, with 5 s left.
    bench.sync.peers.get_mut(&1).unwrap().fruitless = SYNC_HEADERS_TURN_MS + 2_200 - 5_000;
    bench.pass(4_999);
    assert_eq!(bench.dropped, []);
    bench.pass(1);
    assert_eq!(bench.dropped, [(1, "headers_timeout")]);

    let heavy = bench.maker.extend(bench.maker.genesis, 4_500);
    bench.up(2, false, heavy[4_499]);
    let answers = [&heavy[..2_000], &heavy[2_000..4_000], &heavy[..2_000]];
    for (answer, fruitless) in answers.into_iter().zip([20_000, 40_000, 0]) {
        bench.asked.retain(|(peer, ..)| *peer == 2);
        bench.pass(20_000);
        bench.answer_headers(2, answer);
        assert_eq!(bench.sync.peers[&2].fruitless, fruitless);
    }
    assert_eq!(bench.status().headers_ahead, 2_000);
}

/// Full answers of what is known must rise, or a liar would be asked for ever.
#[test]
fn the_same_full_answer_twice_ends_the_turn() {
    let (mut bench, blocks) = Bench::new(params(), |maker| maker.extend(maker.genesis, 2_001));
    let unknown = bench.maker.make(blocks[2_000], &[]);
    bench.up(1, false, unknown);
    bench.answer_headers(1, &blocks[..2_000]);
    assert_eq!(bench.headers_asked(), [1], "it may have more");
    bench.answer_headers(1, &blocks[..2_000]);
    assert!(bench.headers_asked().is_empty());
}

#[test]
fn a_chosen_peer_that_stays_behind_is_asked_and_then_replaced() {
    let (mut bench, blocks) = Bench::new(params(), |maker| maker.extend(maker.genesis, 30));
    // The first four that have the tip may fall behind later.
    for peer in 0..4 {
        bench.up(peer, true, blocks[29]);
    }
    for peer in 4..8 {
        bench.up(peer, true, blocks[20]);
    }
    bench.up(8, false, blocks[20]);
    let tip = bench.maker.make(blocks[29], &[]);
    bench.chain.submit(bench.maker.block(tip), u64::MAX).unwrap();
    bench.event(Event::TipChanged);
    bench.asked.clear();
    let lag = SYNC_LAG_SPACINGS * bench.maker.params.spacing;
    assert_eq!(lag, 40_000);
    // What the standing tip has asked for, in between, is answered: nothing new.
    bench.pass_answering(lag - 1);
    bench.pass(1);
    assert_eq!(bench.headers_asked(), [4, 5, 6, 7]);
    // One is level, one has come closer to where the tip was, one says what it said, one says nothing.
    bench.answer_headers(4, &[tip]);
    bench.answer_headers(5, &[blocks[29]]);
    bench.answer_headers(6, &[]);
    bench.pass(SYNC_HEADERS_MS - 1);
    assert_eq!(bench.dropped, []);
    bench.pass(1);
    let dropped: BTreeSet<_> = bench.dropped.drain(..).collect();
    assert_eq!(dropped, BTreeSet::from([(6, "tip_lag"), (7, "headers_timeout")]));
    bench.pass_answering(200_000);
    let dropped: BTreeSet<_> = bench.dropped.iter().copied().collect();
    assert_eq!(dropped, BTreeSet::from([(5, "tip_lag")]), "nobody else");
}

#[test]
fn everybody_is_asked_when_the_tip_stands_for_long() {
    let (mut bench, blocks) = Bench::new(params(), |maker| maker.extend(maker.genesis, 5));
    for peer in 0..3 {
        bench.up(peer, false, blocks[4]);
    }
    let stale = (SYNC_STALE_SPACINGS * bench.maker.params.spacing).max(SYNC_REASK_MS);
    bench.pass(stale - 1);
    assert!(bench.headers_asked().is_empty());
    let tip = bench.maker.make(blocks[4], &[]);
    bench.chain.submit(bench.maker.block(tip), u64::MAX).unwrap();
    bench.event(Event::TipChanged);
    bench.pass(stale - 1);
    assert!(bench.headers_asked().is_empty());
    bench.pass(1);
    for peer in 0..3 {
        assert_eq!(bench.headers_asked(), [peer]);
        bench.answer_headers(peer, &[]);
    }
    bench.pass(stale - 1);
    assert!(bench.headers_asked().is_empty());
    bench.pass(1);
    assert_eq!(bench.headers_asked(), [0]);
}

/// A peer whose bodies nobody gets to see is asked for them after 30 s, a minute, two, however often it
/// announces.
#[test]
fn a_header_whose_body_nobody_has_is_set_aside() {
    let (mut bench, blocks) = Bench::new(params(), |maker| maker.extend(maker.genesis, 5));
    let bodyless = bench.maker.make(blocks[4], &[]);
    bench.up(1, false, bodyless);
    let mut asked = Vec::new();
    for _ in 0..300 {
        while let Some(peer) = bench.headers_asked().first().copied() {
            bench.answer_headers(peer, &[bodyless]);
        }
        if let Some((request, ids)) = bench.take_bodies_asked(1) {
            asked.push(bench.now - 1_000);
            bench.send_missing(1, request, &ids);
        }
        bench.announce(1, bodyless);
        bench.pass(1_000);
    }
    assert_eq!(asked, [0, 30_000, 90_000, 210_000]);
    assert_eq!((bench.dropped.len(), bench.status().is_catching_up), (0, false));
    // Two others mine on; what they bring is taken at once.
    let next = bench.maker.make(blocks[4], &[]);
    bench.up(2, false, blocks[4]);
    bench.announce(2, next);
    let (request, ids) = bench.take_bodies_asked(2).unwrap();
    assert_eq!(ids, [next]);
    bench.send_body(2, request, next);
    bench.judge();
    assert_eq!(bench.chain.tip_id(), next);
}

/// Only blocks that are taken and work that was never seen before keep a node from mining.
#[test]
fn who_withholds_bodies_cannot_keep_a_node_catching_up() {
    let (mut bench, _) = Bench::new(params(), |_| Vec::new());
    let blocks = bench.maker.extend(bench.maker.genesis, 40);
    bench.up(1, false, blocks[23]);
    bench.answer_headers(1, &blocks[..24]);
    assert!(!bench.status().is_catching_up, "24 blocks are not far");
    bench.event(Event::PeerDown { peer: 1 });
    bench.up(2, false, blocks[39]);
    bench.answer_headers(2, &blocks);
    let status = bench.status();
    assert!(status.is_catching_up && status.syncing);
    assert_eq!((status.tip_height, status.headers_height), (0, 40));
    assert_eq!(status.best_work, bench.sync.tree.best().unwrap().checked.total_work);
    let (request, ids) = bench.take_bodies_asked(2).unwrap();
    // All but the first, over and over.
    for (round, id) in ids[1..].iter().enumerate() {
        bench.pass(1_500);
        assert_eq!(bench.status().is_catching_up, round < 6, "round {round}");
        bench.send_body(2, request, *id);
    }
    // Its next life offers the same headers.
    bench.event(Event::PeerDown { peer: 2 });
    bench.asked.clear();
    bench.up(3, false, blocks[39]);
    bench.answer_headers(3, &blocks);
    assert_eq!(bench.status().headers_height, 40);
    assert!(!bench.status().is_catching_up);
    // A block is taken.
    let (request, ids) = bench.take_bodies_asked(3).unwrap();
    bench.send_body(3, request, ids[0]);
    bench.judge();
    for id in &ids[2..8] {
        bench.pass(1_500);
        bench.send_body(3, request, *id);
    }
    bench.pass(SYNC_CATCH_UP_MS - 9_001);
    assert!(bench.status().is_catching_up);
    bench.pass(1);
    assert!(!bench.status().is_catching_up);
    assert_eq!(bench.dropped, []);
}

/// What was refused before the last start is refused as a header, with what stands on it.
#[test]
fn a_block_refused_on_arrival_is_not_downloaded_again() {
    let (mut bench, blocks) = Bench::new(params(), |maker| maker.extend(maker.genesis, 5));
    let bad = bench.maker.make(blocks[4], &[]);
    let after = bench.maker.extend(bad, 3);
    bench.chain.refused.insert(bad, "signature".into());
    bench.up(1, false, bad);
    assert_eq!(std::mem::take(&mut bench.dropped), [(1, "known_invalid")]);
    bench.up(2, false, after[2]);
    bench.answer_headers(2, &[bad, after[0], after[1], after[2]]);
    assert_eq!(std::mem::take(&mut bench.dropped), [(2, "known_invalid")]);
    bench.up(3, false, blocks[4]);
    bench.announce(3, after[0]);
    assert_eq!(bench.dropped, [(3, "known_invalid")]);
    assert_eq!((bench.asked.len(), bench.status().headers_ahead), (0, 0));
}

/// Headers that had to make room for a branch of more work are asked for again: that branch may turn
/// out invalid.
#[test]
fn who_lost_its_headers_to_a_heavier_branch_is_asked_again() {
    let (mut bench, blocks) = Bench::new(params(), |maker| maker.extend(maker.genesis, 5));
    let light = bench.maker.make(blocks[4], &[]);
    let heavy = bench.maker.extend(blocks[4], 2);
    bench.up(1, false, light);
    bench.answer_headers(1, &[light]);
    // Nothing in the forest can be driven out but this one.
    bench.sync.tree.fill(SYNC_HEADERS_MAX - 2);
    bench.up(2, false, heavy[1]);
    let asked = bench.now;
    bench.answer_headers(2, &heavy);
    assert!(bench.sync.tree.contains(&heavy[1]) && !bench.sync.tree.contains(&light));
    assert_eq!(bench.status().headers_ahead, SYNC_HEADERS_MAX);
    assert_eq!(bench.sync.peers[&1].reask, Some(asked + SYNC_REASK_MS));
    assert_eq!(bench.sync.peers[&1].best, None);
}
