//! A new state: what it confirms, uncovers, expires or makes impossible.

use super::*;
use steelyard_core::state::AssetDescription;

#[test]
fn a_lower_balance_takes_from_the_highest_nonce_down() {
    let mut stage = Stage::new(1 << 20);
    for nonce in 0..5 {
        stage.admit(&stage.pay_amount(0, nonce, 0, 20), 1).unwrap();
    }
    stage.set_account(0, 65, 0);
    assert_eq!(stage.pending(), [(0, 0), (0, 1), (0, 2)]);
    // Confirmed ones go first: what is left is covered.
    stage.set_account(0, 40, 1);
    assert_eq!(stage.pending(), [(0, 1), (0, 2)]);
    // The nonce went back (a reorganisation): both wait now.
    stage.set_account(0, 1_000, 0);
    assert_eq!(stage.pool.queued_bytes, 2 * pay_bytes());
    assert_eq!(stage.pool.select(1, u64::MAX).len(), 0);
    stage.admit(&stage.pay(0, 0, 0), 2).unwrap();
    assert_eq!(stage.pool.select(2, u64::MAX).len(), 3);
    stage.set_account(0, 0, 0);
    assert_eq!((stage.pending(), stage.pool.bytes()), (vec![], 0));
}

#[test]
fn what_has_expired_goes_and_what_follows_it_waits() {
    let mut stage = Stage::new(1 << 20);
    stage.admit(&stage.pay(0, 0, 0), 1).unwrap();
    stage.admit(&stage.expiring(0, 1, 4), 1).unwrap();
    stage.admit(&stage.pay(0, 2, 0), 1).unwrap();
    stage.admit(&stage.expiring(1, 0, 5), 1).unwrap();
    stage.next = 4;
    stage.change(vec![]);
    assert_eq!(stage.pool.len(), 4, "the last height is still good");
    stage.next = 5;
    stage.change(vec![]);
    assert_eq!(stage.pending(), [(0, 0), (0, 2), (1, 0)]);
    assert_eq!(stage.pool.queued_bytes, pay_bytes(), "a gap that expiry made is one");
    stage.next = 6;
    stage.change(vec![]);
    assert_eq!(stage.pending(), [(0, 0), (0, 2)]);
    assert!(stage.pool.expiries.is_empty());
}

/// Two mints that overflow together pass alone. The second would never be mined, and would hold
/// up its sender and keep its room for nothing.
#[test]
fn what_is_next_and_impossible_goes() {
    let mut stage = Stage::new(1 << 20);
    let (asset, issuer) = (AssetId([9; 32]), account(0).address);
    let gold = |supply| {
        let symbol = "GOLD".into();
        Some(Record::Asset(Box::new(AssetDescription {
            issuer,
            symbol,
            decimals: 0,
            supply,
            mintable: true,
        })))
    };
    stage.change(vec![(Key::Asset(asset), gold(u64::MAX - 1))]);
    let mint = |nonce| Stage::new(0).act((0, nonce, 0), Action::Mint { asset, amount: 1 });
    for tx in [mint(0), mint(1), stage.pay(0, 2, 0)] {
        assert_eq!(stage.admit(&tx, 1), Ok(Admission::Added));
    }
    let account = Some(Record::Account { balance: GENESIS_BALANCE, nonce: 1 });
    stage.change(vec![(Key::Asset(asset), gold(u64::MAX)), (Key::Account(issuer), account)]);
    assert_eq!(stage.pending(), [(0, 2)]);
    assert_eq!(stage.pool.queued_bytes, pay_bytes());
}

#[test]
fn transactions_that_take_no_coins_come_and_go() {
    let mut stage = Stage::new(1 << 20);
    let (asset, issuer) = (AssetId([9; 32]), account(0).address);
    let holding = |amount| vec![(Key::Holding(issuer, asset), Some(Record::Holding { amount }))];
    stage.change(holding(10));
    for nonce in 0..3 {
        assert_eq!(stage.admit(&stage.transfer((0, nonce, 0), asset, 3), 1), Ok(Admission::Added));
    }
    stage.change(holding(5));
    assert_eq!(stage.pending(), [(0, 0)]);
    stage.change(holding(1));
    assert!(stage.pool.is_empty());
}

#[test]
fn blocks_that_are_not_shown_yet_are_not_counted_twice() {
    let mut stage = Stage::new(1 << 20);
    stage.admit(&stage.pay_amount(0, 0, 0, GENESIS_BALANCE - 100), 1).unwrap();
    // The state is ahead of what the pool was told.
    let key = Key::Account(account(0).address);
    stage.state.update([(key, Some(Record::Account { balance: 100, nonce: 1 }))]);
    let next = stage.pay_amount(0, 1, 0, 100);
    let admitted = stage.pool.admit(&stage.params, (&stage.state, 2), next, 2);
    assert_eq!(admitted, Ok(Admission::Added));
    stage.pool.revalidate(&stage.state, 2, [key]);
    assert_sound(&stage.pool, &stage.state);
    assert_eq!(stage.pending(), [(0, 1)]);
}
