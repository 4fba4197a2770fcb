//! The index behind a chain: every transaction and history, through reorganisations and restarts.

use super::*;
use crate::chain::tests::maker::account;

/// Blocks of random payments on a parent.
fn extend(stage: &mut Stage, mut parent: BlockId, count: u64, random: &mut Random) -> BlockId {
    for _ in 0..count {
        let mut txs = Vec::new();
        for from in 0..4 {
            if random.below(2) == 0 {
                let nonce = stage.maker.nonce(parent, from);
                let to = 8 + random.below(20) as u8;
                txs.push(stage.maker.pay(from, nonce, to, 1 + random.below(1_000)));
            }
        }
        parent = stage.maker.make(parent, &txs);
        stage.give(parent);
    }
    parent
}

#[test]
fn everything_is_found_behind_a_growing_chain_and_after_restarts() {
    let mut random = Random::for_test(11);
    let mut stage = Stage::new();
    let mut tip = stage.maker.genesis;
    for round in 0..6 {
        tip = extend(&mut stage, tip, 4 + random.below(12), &mut random);
        stage.assert_right(false);
        if round % 2 == 1 {
            stage = stage.reopened();
            stage.assert_right(false);
        }
    }
    let unknown = stage.maker.pay(7, 99, 1, 1).id();
    assert_eq!(stage.find(Query::newest(Key::Tx(unknown), 9)), []);
    stage.stop();
}

#[test]
fn branches_that_win_are_indexed_and_those_left_do_no_harm() {
    let mut random = Random::for_test(12);
    let mut stage = Stage::new();
    let mut tip = stage.maker.genesis;
    for round in 0..8 {
        tip = extend(&mut stage, tip, 3 + random.below(6), &mut random);
        if random.below(2) == 0 {
            stage.settle();
        }
        // From some blocks back, one more than those: the old ones are left.
        let mut fork = tip;
        let back = 1 + random.below(stage.maker.height(tip).min(7));
        (0..back).for_each(|_| fork = stage.maker.parent(fork));
        tip = extend(&mut stage, fork, back + 1, &mut random);
        assert_eq!(stage.tip(), tip);
        stage.assert_right(true);
        if round % 3 == 2 {
            stage = stage.reopened();
            stage.assert_right(true);
        }
    }
    stage.stop();
}

/// A branch that was indexed, left, and indexed again.
#[test]
fn what_is_indexed_twice_is_found_once() {
    let mut stage = Stage::new();
    let genesis = stage.maker.genesis;
    let paid = stage.maker.pay(0, 0, 9, 5);
    let a1 = stage.maker.make(genesis, std::slice::from_ref(&paid));
    let b = stage.maker.extend(genesis, 2);
    let a3 = *stage.maker.extend(a1, 2).last().unwrap();
    stage.give(a1);
    // The run holds it; then it is left, and comes again.
    stage = stage.reopened();
    b.iter().for_each(|id| stage.give(*id));
    stage.settle();
    assert_eq!(stage.tip(), b[1]);
    stage.give(stage.maker.parent(a3));
    stage.give(a3);
    assert_eq!(stage.tip(), a3);
    stage.assert_right(true);
    let places = [Position { height: 1, item: 1 }];
    assert_eq!(stage.find(Query::newest(Key::Tx(paid.id()), 9)), places);
    assert_eq!(stage.find(Query::newest(Key::Address(account(9).address), 9)), places);
    stage.stop();
}

#[test]
fn pages_go_through_a_history_from_either_end() {
    let mut random = Random::for_test(13);
    let mut stage = Stage::new();
    let genesis = stage.maker.genesis;
    extend(&mut stage, genesis, 40, &mut random);
    stage.settle();
    for (address, places) in stage.truth().addresses {
        let oldest: Vec<Position> = places.into_iter().collect();
        let newest: Vec<Position> = oldest.iter().rev().copied().collect();
        for max in [1, 3, 7] {
            let mut query = Query::newest(Key::Address(address), max);
            let mut seen = Vec::new();
            while let Some(last) = stage.find(query).last().copied() {
                seen.extend(stage.find(query));
                let Some(to) = last.previous() else { break };
                query.to = to;
            }
            assert_eq!(seen, newest);
            query = Query { order: Order::OldestFirst, ..Query::newest(Key::Address(address), max) };
            let mut seen = Vec::new();
            while let Some(last) = stage.find(query).last().copied() {
                seen.extend(stage.find(query));
                query.from = last.next().unwrap();
            }
            assert_eq!(seen, oldest);
        }
    }
    stage.stop();
}

#[test]
fn what_happened_a_moment_ago_is_known_without_the_disk() {
    let mut stage = Stage::new();
    let paid = stage.maker.pay(0, 0, 9, 5);
    let tip = stage.maker.make(stage.maker.genesis, std::slice::from_ref(&paid));
    assert!(!stage.finder.is_recent(&paid.id()));
    stage.give(tip);
    stage.settle();
    assert!(stage.finder.is_recent(&paid.id()));
    // Through one run and not for ever.
    let more = stage.maker.extend(tip, SMALL.memory_blocks as usize);
    more.iter().for_each(|id| stage.give(*id));
    stage.settle();
    assert!(stage.finder.is_recent(&paid.id()));
    let more = stage.maker.extend(*more.last().unwrap(), 2 * SMALL.memory_blocks as usize);
    more.iter().for_each(|id| stage.give(*id));
    stage.settle();
    assert!(!stage.finder.is_recent(&paid.id()));
    stage.stop();
}

#[test]
fn without_an_index_the_chain_works_and_says_so() {
    let off = Finder::off();
    assert!(!off.is_on() && off.failure().is_none() && !off.is_recent(&TxId([1; 32])));
    assert_eq!(off.find(&[]).unwrap_err(), FinderError::Off);
    assert_eq!(off.disk_bytes(), 0);
}
