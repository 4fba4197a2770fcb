//! Durability: nothing is given out before its commit; stored runs are deleted when nothing of
//! them is pending and rewritten when little is; what is stored comes back as it was.

use super::*;
use crate::limits::{MEMPOOL_WASTE_BYTES, MEMPOOL_WASTE_FACTOR};

#[test]
fn what_is_not_durable_yet_is_not_given_out_nor_what_follows_it() {
    let mut stage = Stage::new(1 << 20);
    for (nonce, seq) in [(0, 1), (1, 2), (2, 1)] {
        stage.admit(&stage.pay(0, nonce, 0), seq).unwrap();
    }
    let count = |stage: &Stage, seq| stage.pool.select(seq, u64::MAX).len();
    assert_eq!([0, 1, 2].map(|seq| count(&stage, seq)), [0, 1, 3]);
}

#[test]
fn a_run_is_dead_once_when_its_last_is_gone() {
    let mut stage = Stage::new(1 << 20);
    stage.admit(&stage.pay(0, 0, 0), 4).unwrap();
    stage.admit(&stage.pay(1, 0, 0), 4).unwrap();
    stage.admit(&stage.pay(2, 0, 0), 5).unwrap();
    stage.set_account(0, 9, 1);
    assert_eq!(stage.pool.take_dead_runs(), Vec::<u64>::new());
    stage.set_account(1, 9, 1);
    assert_eq!(stage.pool.take_dead_runs(), [4]);
    assert_eq!(stage.pool.take_dead_runs(), Vec::<u64>::new());
    // Replaced by one of the same commit: the run lives. By one of another: it is dead.
    stage.admit(&stage.pay_amount(2, 0, 5, 2), 5).unwrap();
    assert_eq!(stage.pool.take_dead_runs(), Vec::<u64>::new());
    stage.admit(&stage.pay_amount(2, 0, 9, 3), 6).unwrap();
    assert_eq!(stage.pool.take_dead_runs(), [5]);
    // Found in the store with nothing alive in it.
    stage.pool.note_run(3, 100);
    stage.pool.note_run(6, 300);
    assert_eq!(stage.pool.take_dead_runs(), [3]);
}

#[test]
fn waste_is_rewritten_without_hiding_anything() {
    let mut stage = Stage::new(1 << 20);
    let txs = [stage.pay(0, 0, 0), stage.pay(1, 0, 0), stage.pay(0, 1, 0)];
    for (tx, seq) in txs.iter().zip([1, 2, 3]) {
        stage.admit(tx, seq).unwrap();
    }
    let alive: u64 = txs.iter().map(|tx| tx.bytes().len() as u64).sum();
    let rest = txs[1].bytes().len() as u64 + txs[2].bytes().len() as u64;
    stage.pool.note_run(1, MEMPOOL_WASTE_BYTES + MEMPOOL_WASTE_FACTOR * alive - rest);
    assert!(!stage.pool.runs_are_wasteful());
    stage.pool.note_run(1, MEMPOOL_WASTE_BYTES + MEMPOOL_WASTE_FACTOR * alive - rest + 1);
    assert!(stage.pool.runs_are_wasteful());
    stage.admit(&stage.pay(2, 0, 0), 9).unwrap();
    let moved = stage.pool.restamp(9);
    assert_eq!(moved.iter().map(|tx| tx.id()).collect::<Vec<_>>()[..3], txs.each_ref().map(|tx| tx.id()));
    assert_eq!(moved.len(), 4);
    assert!(!stage.pool.runs_are_wasteful());
    assert_eq!(stage.pool.take_dead_runs(), [1, 2, 3]);
    assert_sound(&stage.pool, &stage.state);
    // While that commit is written, what was durable before is given out as before.
    assert_eq!(stage.pool.select(8, u64::MAX).len(), 3);
    assert_eq!(stage.pool.select(9, u64::MAX).len(), 4);
}

#[test]
fn of_two_stored_for_one_nonce_the_later_comes_back() {
    let mut stage = Stage::new(1 << 20);
    let restore = |stage: &mut Stage, tx: &CheckedTx, seq| {
        let restored = stage.pool.restore(&stage.params, (&stage.state, 1), tx.clone(), seq);
        assert_sound(&stage.pool, &stage.state);
        restored
    };
    // The first was dropped when its account could not pay it; the second, cheaper, was taken then.
    let (first, second) = (stage.pay_amount(0, 0, 500, 1), stage.pay_amount(0, 0, 0, 2));
    assert_eq!(restore(&mut stage, &first, 1), Ok(Admission::Added));
    let follower = stage.pay(0, 1, 0);
    assert_eq!(restore(&mut stage, &follower, 1), Ok(Admission::Added));
    assert_eq!(restore(&mut stage, &second, 2), Ok(Admission::Added));
    assert_eq!(restore(&mut stage, &second, 3), Ok(Admission::Known));
    assert!(stage.pool.get(&first.id()).is_none() && stage.pool.get(&second.id()).is_some());
    // What is refused leaves a gap, not a pool that is wrong.
    let impossible = stage.pay_amount(0, 0, 0, u64::MAX);
    assert!(restore(&mut stage, &impossible, 4).is_err());
    assert_eq!((stage.pending(), stage.pool.queued_bytes), (vec![(0, 1)], pay_bytes()));
}
