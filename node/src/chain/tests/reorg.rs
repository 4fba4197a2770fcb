//! Branches: most work wins, of equals the first; what was confirmed returns; invalid branches
//! are left and never tried again.

use super::*;
use maker::{account, params};

fn known_invalid(reason: &str) -> BlockError {
    BlockError::KnownInvalid { reason: reason.into() }
}

#[test]
fn the_longer_branch_takes_over_and_orphaned_payments_are_mined_once() {
    let mut maker = Maker::new(params());
    let node = Node::new(&maker.params);
    let both = maker.pay(0, 0, 7, 100);
    let (only_a, later) = (maker.pay(1, 0, 7, 10), maker.pay(1, 1, 7, 1));
    let a1 = maker.make(maker.genesis, &[both.clone(), only_a.clone()]);
    let a2 = maker.make(a1, std::slice::from_ref(&later));
    let b1 = maker.make(maker.genesis, std::slice::from_ref(&both));
    let b2 = maker.make(b1, &[]);
    let b3 = maker.make(b2, &[]);
    assert_eq!(node.give_all(&maker, &[a1, a2]), vec![Ok(Accepted::Active); 2]);
    assert_eq!(node.balance(account(7).address), 1_000 * steelyard_core::amount::COIN + 111);
    assert_eq!(node.give_all(&maker, &[b1, b2]), vec![Ok(Accepted::Side); 2]);
    assert_eq!(node.seen().tip, a2, "equal work stays with the first");
    assert_eq!(node.give(&maker, b3), Ok(Accepted::Active));
    assert_eq!(node.balance(account(7).address), 1_000 * steelyard_core::amount::COIN + 100);
    assert_eq!(node.chain.shared.read().reorgs(), 1);
    let mut orphaned = vec![only_a.id(), later.id()];
    orphaned.sort();
    assert_eq!(node.seen().pending, orphaned);
    let seen = node.seen();
    let node = node.reopened();
    assert_eq!(node.seen(), seen, "returned transactions are durable");
    let selected: Vec<CheckedTx> =
        node.chain.shared.read().select(u64::MAX).iter().map(|tx| (**tx).clone()).collect();
    let b4 = maker.make(b3, &selected);
    assert_eq!(node.give(&maker, b4), Ok(Accepted::Active));
    assert_eq!(node.balance(account(7).address), 1_000 * steelyard_core::amount::COIN + 111);
    assert_eq!(node.seen().pending, []);
    assert_eq!(node.reopened().seen().pending, []);
}

#[test]
fn fifty_blocks_are_taken_back_across_commits_and_put_on_again() {
    let mut maker = Maker::new(params());
    let node = Node::new(&maker.params);
    let (mut a, mut b) = (vec![maker.genesis], vec![maker.genesis]);
    for height in 0..52 {
        let (of_a, of_b) = (maker.pay(0, height, 5, 1), maker.pay(1, height, 5, 2));
        a.push(maker.make(a[a.len() - 1], &[of_a]));
        b.push(maker.make(b[b.len() - 1], &[of_b]));
    }
    // A in commits of several blocks, B one by one.
    for part in a[1..=50].chunks(7) {
        let verdicts = node.chain.submit_blocks(part.iter().map(|id| maker.block(*id)).collect(), LATE);
        assert!(verdicts.iter().all(|verdict| *verdict == Ok(Accepted::Active)));
    }
    assert!(node.give_all(&maker, &b[1..=50]).iter().all(|verdict| *verdict == Ok(Accepted::Side)));
    let seen = node.seen();
    assert_eq!(seen.tip, a[50]);
    let node = node.reopened();
    assert_eq!(node.seen(), seen, "equal work stays with the first after a start too");
    assert_eq!(node.give(&maker, b[51]), Ok(Accepted::Active));
    assert_eq!(node.seen().root, maker.state(b[51]).root());
    assert_eq!(node.seen().pending.len(), 50);
    let node = node.reopened();
    assert_eq!(node.seen().root, maker.state(b[51]).root());
    assert_eq!(node.give_all(&maker, &a[51..]), [Ok(Accepted::Side), Ok(Accepted::Active)]);
    assert_eq!(node.seen().root, maker.state(a[52]).root());
    assert_eq!(node.seen().pending.len(), 51);
    let seen = node.seen();
    assert_eq!(node.reopened().seen(), seen);
}

#[test]
fn a_branch_with_a_bad_block_in_the_middle_is_refused_for_ever() {
    let mut maker = Maker::new(params());
    let node = Node::new(&maker.params);
    let a = maker.extend(maker.genesis, 4);
    let tx = maker.pay(3, 0, 4, 5);
    assert_eq!(node.give_all(&maker, &a[..2]), vec![Ok(Accepted::Active); 2]);
    assert_eq!(node.send(&tx), Ok(Admission::Added));
    let before = node.seen();
    let b1 = maker.make(maker.genesis, std::slice::from_ref(&tx));
    let b2 = maker.make_bad(b1);
    let b3 = maker.make(b2, &[]);
    let b4 = maker.make(b3, &[]);
    assert_eq!(node.give_all(&maker, &[b1, b2]), vec![Ok(Accepted::Side); 2]);
    assert_eq!(node.give(&maker, b3), Err(known_invalid("state_root")));
    assert_eq!(node.seen().without_seq(), before.without_seq(), "the node stays where it was");
    let check = |node: &Node| {
        assert_eq!(node.verdict(b1), Some(Verdict::Unexecuted));
        for id in [b2, b3] {
            assert_eq!(node.verdict(id), Some(Verdict::Invalid { reason: "state_root".into() }));
            assert_eq!(node.give(&maker, id), Err(known_invalid("state_root")));
            let mut bare = maker.block(id);
            bare.body.items.clear();
            assert_eq!(node.chain.submit_block(bare, LATE), Err(known_invalid("state_root")));
        }
        assert_eq!(node.give(&maker, b4), Err(known_invalid("state_root")));
        // Nothing more is looked at: neither its own faults, nor, at that price, its signatures.
        let mut worse = maker.block(b4);
        worse.header.elapsed += 1;
        assert_eq!(node.chain.submit_block(worse, LATE), Err(known_invalid("state_root")));
    };
    check(&node);
    let node = node.reopened();
    check(&node);
    assert_eq!(node.give_all(&maker, &a[2..]), vec![Ok(Accepted::Active); 2]);
    assert_eq!(node.seen().pending, [tx.id()]);
}

#[test]
fn a_bad_block_on_the_tip_is_forgotten_but_for_its_verdict() {
    let mut maker = Maker::new(params());
    let node = Node::new(&maker.params);
    let bad = maker.make_bad(maker.genesis);
    let (after, good) = (maker.make(bad, &[]), maker.make(maker.genesis, &[]));
    let refusal = node.give(&maker, bad).unwrap_err();
    assert_eq!((refusal.name(), refusal.is_verdict()), ("state_root", true));
    let check = |node: &Node| {
        for id in [bad, after] {
            assert_eq!(node.give(&maker, id), Err(known_invalid("state_root")));
            assert_eq!(node.verdict(id), None);
        }
        assert_eq!(node.chain.shared.read().refused(&bad), Some("state_root"));
    };
    check(&node);
    assert_eq!(node.give(&maker, good), Ok(Accepted::Active));
    let node = node.reopened();
    check(&node);
    assert_eq!(node.seen().tip, good);
}

#[test]
fn a_payment_that_the_new_branch_spends_otherwise_does_not_return() {
    let mut maker = Maker::new(params());
    let node = Node::new(&maker.params);
    let all = 1_000 * steelyard_core::amount::COIN;
    let (first, second) = (maker.pay(0, 0, 5, all), maker.pay(0, 0, 6, all));
    // Money that only branch A gives: what spends it cannot stay pending on branch B.
    let dependent = maker.pay(5, 0, 6, all + 1);
    let a1 = maker.make(maker.genesis, &[first]);
    let b1 = maker.make(maker.genesis, std::slice::from_ref(&second));
    let b2 = maker.make(b1, &[]);
    assert_eq!(node.give(&maker, a1), Ok(Accepted::Active));
    assert_eq!(node.send(&dependent), Ok(Admission::Added));
    assert_eq!(node.give_all(&maker, &[b1, b2]), [Ok(Accepted::Side), Ok(Accepted::Active)]);
    assert_eq!(node.seen().pending, []);
    let seen = node.seen();
    assert_eq!(node.reopened().seen(), seen);
}
