//! A full pool: who goes, who never does. The queue of gaps. The order in which blocks are filled.

use super::*;
use crate::limits::QUEUED_BYTES_MAX;

/// A pool of exactly `room` payments.
fn stage_of(room: usize) -> Stage {
    Stage::new(room * pay_bytes())
}

fn fill(stage: &mut Stage, txs: &[(u8, u64, u64)]) {
    for (from, nonce, fee) in txs {
        let tx = stage.pay(*from, *nonce, *fee);
        assert_eq!(stage.admit(&tx, 1), Ok(Admission::Added), "{from} {nonce} {fee}");
    }
}

#[test]
fn the_last_of_the_cheapest_sender_makes_room_and_equals_do_not() {
    let mut stage = stage_of(4);
    fill(&mut stage, &[(0, 0, 5), (0, 1, 3), (1, 0, 4), (2, 0, 9)]);
    assert_eq!(stage.admit(&stage.pay(3, 0, 3), 1), Err(PoolError::Full), "no more than the cheapest pays");
    fill(&mut stage, &[(3, 0, 4)]);
    assert_eq!(stage.pending(), [(0, 0), (1, 0), (2, 0), (3, 0)]);
    assert_eq!(stage.admit(&stage.pay(4, 0, 4), 1), Err(PoolError::Full));
    fill(&mut stage, &[(2, 1, 5)]);
    assert_eq!(stage.pending(), [(0, 0), (2, 0), (2, 1), (3, 0)]);
}

#[test]
fn one_sender_can_be_asked_for_several() {
    let mut stage = stage_of(4);
    fill(&mut stage, &[(0, 0, 1), (0, 1, 1), (0, 2, 1), (1, 0, 50)]);
    let large = |fee| {
        let payment = Payment { asset: AssetId::COINS, to: account(7).address, amount: 1 };
        let payments = List::new(vec![payment; 30]).unwrap();
        Stage::new(0).act((2, 0, fee), Action::Transfer { payments })
    };
    let needed = large(0).bytes().len() + crate::limits::MEMPOOL_OVERHEAD_BYTES;
    assert!(needed > 2 * pay_bytes() && needed < 3 * pay_bytes());
    assert_eq!(stage.admit(&large(2), 1), Err(PoolError::Full), "cheaper by weight");
    assert_eq!(stage.admit(&large(2_000), 1), Ok(Admission::Added));
    assert_eq!(stage.pending(), [(1, 0), (2, 0)]);
}

#[test]
fn nobody_evicts_for_a_future_nonce_and_nobody_his_own() {
    let mut stage = stage_of(3);
    fill(&mut stage, &[(0, 0, 1), (1, 0, 2), (2, 0, 3)]);
    for nonce in [1, 5, 900] {
        assert_eq!(stage.admit(&stage.pay(3, nonce, 1_000_000), 1), Err(PoolError::Full));
    }
    assert_eq!(stage.pending(), [(0, 0), (1, 0), (2, 0)]);
    // Its own last is the cheapest: the next cheapest goes, no gap is made. But what follows one
    // that pays 1 is worth 1, whatever it pays.
    assert_eq!(stage.admit(&stage.pay(0, 1, 1_000), 1), Err(PoolError::Full));
    fill(&mut stage, &[(0, 0, 2)]);
    assert_eq!(stage.admit(&stage.pay(0, 1, 1_000), 1), Err(PoolError::Full));
    fill(&mut stage, &[(0, 0, 10), (0, 1, 1_000)]);
    assert_eq!(stage.pending(), [(0, 0), (0, 1), (2, 0)]);
    // A full pool still takes replacements: they need no room.
    fill(&mut stage, &[(2, 0, 4)]);
}

/// Cheap ones behind which a dear one stands are not protected by it, nor does it push others out:
/// no miner comes to it before them.
#[test]
fn a_dear_last_one_does_not_shield_the_cheap_ones_before_it() {
    let mut stage = stage_of(6);
    fill(&mut stage, &[(0, 0, 0), (0, 1, 0), (0, 2, 1_000_000), (1, 0, 5), (2, 0, 5), (3, 0, 5)]);
    assert_eq!(stage.admit(&stage.pay(0, 3, 1_000_000), 1), Err(PoolError::Full));
    fill(&mut stage, &[(4, 0, 1), (5, 0, 1), (6, 0, 1)]);
    assert_eq!(stage.pending(), [(1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0)]);
}

#[test]
fn a_gap_waits_and_filling_it_frees_all_behind() {
    let mut stage = Stage::new(1 << 20);
    fill(&mut stage, &[(0, 2, 9), (0, 3, 9), (0, 6, 9)]);
    assert_eq!(stage.pool.select(1, u64::MAX).len(), 0);
    assert_eq!(stage.pool.queued_bytes, 3 * pay_bytes());
    fill(&mut stage, &[(0, 0, 1)]);
    assert_eq!(stage.pool.select(1, u64::MAX).len(), 1);
    fill(&mut stage, &[(0, 1, 1)]);
    let nonces: Vec<u64> = stage.pool.select(1, u64::MAX).iter().map(|tx| tx.tx().body.nonce).collect();
    assert_eq!(nonces, [0, 1, 2, 3]);
    assert_eq!(stage.pool.queued_bytes, pay_bytes());
}

#[test]
fn the_queue_is_bounded_and_names_the_nonce_that_is_missing() {
    let mut stage = Stage::new(4 * QUEUED_BYTES_MAX);
    let payment = Payment { asset: AssetId::COINS, to: account(7).address, amount: 1 };
    let payments = List::new(vec![payment; 256]).unwrap();
    let large = |from, nonce, fee| {
        let action = Action::Transfer { payments: payments.clone() };
        Stage::new(0).act((from, nonce, fee), action)
    };
    let each = large(0, 1, 0).bytes().len() + crate::limits::MEMPOOL_OVERHEAD_BYTES;
    let fits = (QUEUED_BYTES_MAX / each) as u64;
    let admit = |stage: &mut Stage, tx| stage.pool.admit(&stage.params, (&stage.state, 1), tx, 1);
    for nonce in 1..=fits {
        assert_eq!(admit(&mut stage, large(0, nonce, 0)), Ok(Admission::Added));
    }
    assert_eq!(admit(&mut stage, large(0, fits + 1, 0)), Err(PoolError::QueueFull { next: 0 }));
    assert_eq!(admit(&mut stage, large(1, 1, 9)), Err(PoolError::QueueFull { next: 0 }));
    // A replacement of one that waits needs no more room than it frees.
    assert_eq!(admit(&mut stage, large(0, 1, 5)), Ok(Admission::Added));
    assert_eq!(admit(&mut stage, large(0, 0, 0)), Ok(Admission::Added));
    assert_eq!(stage.pool.queued_bytes, 0);
    assert_eq!(admit(&mut stage, large(1, 1, 9)), Ok(Admission::Added));
    assert_sound(&stage.pool, &stage.state);
}

#[test]
fn blocks_are_filled_dearest_first_each_sender_in_order() {
    let mut stage = Stage::new(1 << 20);
    let mut fees = BTreeMap::new();
    for number in 0..100u64 {
        let (from, nonce, fee) = ((number % 5) as u8, number / 5, number * 37 % 101);
        fees.insert((account(from).address, nonce), fee);
        fill(&mut stage, &[(from, nonce, fee)]);
    }
    let order: Vec<(Address, u64)> =
        stage.pool.select(1, u64::MAX).iter().map(|tx| (tx.tx().body.sender, tx.tx().body.nonce)).collect();
    assert_eq!(order.len(), 100);
    let mut heads: HashMap<Address, u64> = (0..5).map(|from| (account(from).address, 0)).collect();
    for (sender, nonce) in &order {
        assert_eq!(heads[sender], *nonce);
        let dearest = heads.iter().filter_map(|(sender, nonce)| fees.get(&(*sender, *nonce))).max();
        assert_eq!(dearest, fees.get(&(*sender, *nonce)));
        *heads.get_mut(sender).unwrap() += 1;
    }
    let bytes = stage.pay(0, 0, 0).bytes().len() as u64;
    assert_eq!(stage.pool.select(1, 10 * bytes).len(), 10);
    assert_eq!(stage.pool.select(1, 10 * bytes - 1).len(), 9);
    // Of equals the first to have come.
    let mut stage = Stage::new(1 << 20);
    fill(&mut stage, &[(3, 0, 7), (1, 0, 7), (2, 0, 7)]);
    let first: Vec<Address> = stage.pool.select(1, u64::MAX).iter().map(|tx| tx.tx().body.sender).collect();
    assert_eq!(first, [3, 1, 2].map(|from| account(from).address));
}
