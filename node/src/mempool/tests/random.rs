//! Anything, many times: the books are right after each step, and everything is back at zero once
//! the pool is empty.

use super::*;
use crate::chain::tests::forest::seed;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const GOLD: AssetId = AssetId([9; 32]);

/// One random step.
fn step(stage: &mut Stage, random: &mut StdRng, seq: &mut u64) {
    let from = random.random_range(0..6u8);
    let address = account(from).address;
    let (balance, nonce) = Overlay::new(&stage.state).account(address);
    match random.random_range(0..20) {
        0 => {
            let confirmed = random.random_range(0..4);
            stage.set_account(from, balance + 5, nonce + confirmed);
        }
        1 => stage.set_account(from, random.random_range(0..300), nonce),
        2 => stage.set_account(from, balance, nonce.saturating_sub(random.random_range(0..4))),
        3 => {
            let amount = random.random_range(0..30);
            let record = (amount > 0).then_some(Record::Holding { amount });
            stage.change(vec![(Key::Holding(address, GOLD), record)]);
        }
        4 => {
            stage.next += 1;
            stage.change(vec![]);
        }
        5 => {
            *seq += 1;
            stage.pool.take_dead_runs();
        }
        6 if random.random_ratio(1, 4) => drop(stage.pool.restamp(*seq)),
        7 => confirm(stage, *seq),
        kind => {
            let tx = random_tx(stage, random, (from, nonce), kind);
            let _ = stage.admit(&tx, *seq);
        }
    }
    assert_sound(&stage.pool, &stage.state);
}

fn random_tx(stage: &Stage, random: &mut StdRng, (from, nonce): (u8, u64), kind: u32) -> CheckedTx {
    let nonce = nonce + random.random_range(0..8);
    let (fee, amount) = (random.random_range(0..40), random.random_range(1..60));
    match kind {
        8 => stage.expiring(from, nonce, stage.next + random.random_range(0..4)),
        9 => stage.transfer((from, nonce, fee), GOLD, amount / 4 + 1),
        10 => stage.act((from, nonce, fee), Action::Burn { asset: GOLD, amount: amount / 4 + 1 }),
        _ => stage.pay_amount(from, nonce, fee, amount),
    }
}

/// A block of what the pool gives out: all of it is valid, which is what the pool is for.
fn confirm(stage: &mut Stage, seq: u64) {
    let txs = stage.pool.select(seq, 2_000);
    let mut overlay = Overlay::new(&stage.state);
    for tx in &txs {
        apply(&mut overlay, stage.next, tx).unwrap();
    }
    let changes: Vec<_> = overlay.into_changes().into_iter().map(|change| (change.key, change.new)).collect();
    stage.next += 1;
    stage.change(changes);
}

#[test]
fn the_books_are_right_after_anything() {
    let mut random = StdRng::seed_from_u64(seed(4));
    for _ in 0..4 {
        let mut stage = Stage::new(random.random_range(5..60) * pay_bytes());
        for from in 0..6 {
            stage.set_account(from, 200, 0);
        }
        let description = steelyard_core::state::AssetDescription {
            issuer: account(0).address,
            symbol: "GOLD".into(),
            decimals: 0,
            supply: 1_000_000,
            mintable: false,
        };
        stage.change(vec![(Key::Asset(GOLD), Some(Record::Asset(Box::new(description))))]);
        let mut seq = 1;
        for _ in 0..1_500 {
            step(&mut stage, &mut random, &mut seq);
        }
        for from in 0..6 {
            stage.set_account(from, 0, 1 << 40);
        }
        let pool = &stage.pool;
        assert!(pool.is_empty() && pool.senders.is_empty() && pool.receivers.is_empty());
        assert_eq!((pool.bytes, pool.queued_bytes, pool.runs.stored_bytes()), (0, 0, 0));
        assert!(pool.last.is_empty() && pool.expiries.is_empty());
        assert!(pool.by_id.is_empty() && pool.by_arrival.is_empty());
    }
}
