//! Fees, and the choice of who pays.

use steelyard_core::encode::List;
use steelyard_core::hash::{Address, NetworkId};
use steelyard_core::params::{BYTES_PER_NEW_RECORD, DEV_WORDS};

use super::super::error::DeskError;
use super::super::plan::{Funds, Reserved, Rules, body, check_request, fee};
use super::{request, snapshot};
use crate::intent::{Amount, Plan, Request};
use crate::keystore::{Keystore, NewKeystore, Origin, Words};

const ALICE: Address = Address([1; 32]);
const BOB: Address = Address([2; 32]);
const RULES: Rules = Rules { network: NetworkId([1; 32]), relay_fee_min: 2, proven_depth: 6 };

fn planned(balances: [u64; 2], taken: [u128; 2], request: &Request) -> Result<Plan, DeskError> {
    let snapshot = snapshot(50, 0, &[(ALICE, balances[0], 0), (BOB, balances[1], 0)]);
    let reserved = Reserved::from([(ALICE, taken[0]), (BOB, taken[1])]);
    let funds = Funds { addresses: &[ALICE, BOB], snapshot: Some(&snapshot), reserved: &reserved };
    funds.plan(&RULES, request)
}

/// What a mempool weighs is what the fee is for: the bytes as they are signed, and a new record.
#[test]
fn the_fee_is_for_the_bytes_that_are_sent() {
    let folder = tempfile::tempdir().unwrap();
    let words = Words::parse(DEV_WORDS).unwrap();
    let new = NewKeystore {
        network: RULES.network,
        birthday: 0,
        created_ms: 0,
        origin: Origin::Dev,
        words: &words,
        passphrase: None,
        cost: Default::default(),
    };
    let keystore = Keystore::create(&folder.path().join("w"), new).unwrap();
    let keys = keystore.unlock(None).unwrap();
    for (memo, rate) in [(0, None), (0, Some(7)), (1, Some(3)), (256, None)] {
        let request = Request { memo: List::new(vec![1; memo]).unwrap(), fee_rate: rate, ..request(5) };
        let fee = fee(&request, RULES.relay_fee_min);
        let sender = keystore.address(4).unwrap();
        let plan = Plan { index: 4, sender, amount: u64::MAX, fee, expiry: 9 };
        let tx = keys.sign(4, body(&RULES, &request, &plan, u64::MAX)).unwrap();
        let weight = tx.to_bytes().len() as u64 + BYTES_PER_NEW_RECORD;
        assert_eq!(fee, rate.unwrap_or(2) * weight);
    }
}

#[test]
fn the_first_that_can_pays() {
    let asked = request(1_000);
    let fee = fee(&asked, 2);
    let whole = 1_000 + fee;
    let index = |balances, taken| planned(balances, taken, &asked).map(|plan| plan.index).ok();
    assert_eq!(index([whole, whole], [0, 0]), Some(0));
    assert_eq!(index([whole - 1, whole], [0, 0]), Some(1));
    assert_eq!(index([whole, whole], [1, 0]), Some(1));
    assert_eq!(index([whole, whole], [1, 1]), None);
    let refused = planned([whole - 1, 1], [0, 0], &asked).unwrap_err();
    let expected =
        matches!(refused, DeskError::InsufficientFunds { have, need, spread: true } if have + 1 == need);
    assert!(expected, "{refused}");
    let refused = planned([whole - 1, 0], [0, u128::MAX], &asked).unwrap_err();
    assert!(matches!(refused, DeskError::InsufficientFunds { spread: false, .. }), "{refused}");
    let from = |from| planned([0, whole], [0, 0], &Request { from: Some(from), ..asked.clone() });
    assert_eq!(from(BOB).unwrap().index, 1);
    assert!(matches!(from(ALICE), Err(DeskError::InsufficientFunds { have: 0, spread: false, .. })));
    assert!(matches!(from(Address([3; 32])), Err(DeskError::ForeignAddress)));
}

#[test]
fn max_is_all_of_the_richest_less_the_fee() {
    let asked = Request { amount: Amount::Max {}, ..request(1) };
    let fee = fee(&asked, 2);
    let plan = planned([5_000, 9_000], [0, 1], &asked).unwrap();
    assert_eq!((plan.index, plan.amount, plan.fee), (1, 8_999 - fee, fee));
    assert_eq!(planned([9_000, 9_000], [0, 0], &asked).unwrap().index, 0);
    let one = planned([fee + 1, 0], [0, 0], &asked).unwrap();
    assert_eq!(one.amount, 1);
    assert!(planned([fee, fee], [0, 0], &asked).is_err());
}

#[test]
fn an_expiry_is_counted_from_the_tip() {
    let expiry = |blocks| {
        let asked = Request { expiry_blocks: blocks, ..request(1) };
        planned([90_000, 0], [0, 0], &asked).unwrap().expiry
    };
    assert_eq!((expiry(Some(3)), expiry(Some(0)), expiry(None)), (53, 0, 1_050));
    assert_eq!(expiry(Some(u64::MAX)), u64::MAX);
}

#[test]
fn what_cannot_be_known_is_not_refused() {
    let snapshot = snapshot(50, 0, &[(ALICE, 10, 0)]);
    let reserved = Reserved::new();
    let funds = |snapshot| Funds { addresses: &[ALICE, BOB], snapshot, reserved: &reserved };
    let plan = |snapshot| funds(snapshot).plan(&RULES, &request(1_000));
    assert!(matches!(plan(None), Err(DeskError::NoSnapshot)));
    assert!(matches!(plan(Some(&snapshot)), Err(DeskError::NoSnapshot)));
}

#[test]
fn amounts_and_rates_out_of_reason_are_refused() {
    assert!(matches!(check_request(&RULES, &request(0)), Err(DeskError::AmountZero)));
    let rate = |rate| check_request(&RULES, &Request { fee_rate: Some(rate), ..request(1) });
    assert!(matches!(rate(1), Err(DeskError::FeeRateTooLow { got: 1, min: 2 })));
    assert!(rate(2).is_ok());
    let most = Request { fee_rate: Some(u64::MAX), ..request(u64::MAX) };
    let refused = planned([u64::MAX, 0], [0, 0], &most).unwrap_err();
    assert!(matches!(refused, DeskError::InsufficientFunds { need: u64::MAX, .. }), "{refused}");
}
