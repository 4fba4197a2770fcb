//! Refusals, each by its exact variant; replacement; cumulative funds.

use super::*;
use steelyard_core::params::BYTES_PER_NEW_RECORD;
use steelyard_core::state::AssetDescription;

const GOLD: AssetId = AssetId([9; 32]);
const FIXED: AssetId = AssetId([8; 32]);

fn description(mintable: bool, supply: u64) -> Option<Record> {
    let (issuer, symbol) = (account(0).address, "GOLD".into());
    Some(Record::Asset(Box::new(AssetDescription { issuer, symbol, decimals: 0, supply, mintable })))
}

fn stage_with_assets() -> Stage {
    let mut stage = Stage::new(1 << 20);
    let holding = |asset| Key::Holding(account(0).address, asset);
    stage.change(vec![
        (Key::Asset(GOLD), description(true, 10)),
        (holding(GOLD), Some(Record::Holding { amount: 10 })),
        (Key::Asset(FIXED), description(false, 3)),
        (holding(FIXED), Some(Record::Holding { amount: 3 })),
    ]);
    stage
}

#[test]
fn every_rule_is_refused_as_in_a_block() {
    let mut stage = stage_with_assets();
    stage.next = 6;
    stage.set_account(1, 100, 5);
    let expired = stage.expiring(0, 0, 5);
    let unknown = AssetId([1; 32]);
    let short = |have, need| TxRule::InsufficientFunds { have, need };
    let cases = [
        (expired, TxRule::Expired { expiry: 5, height: 6 }),
        (stage.pay(1, 4, 0), TxRule::NonceUsed { got: 4, expected: 5 }),
        (
            stage.pay(1, 5 + SENDER_NONCES_MAX, 0),
            TxRule::NonceGap { got: 5 + SENDER_NONCES_MAX, expected: 5 },
        ),
        (stage.pay(1, u64::MAX, 0), TxRule::NonceGap { got: u64::MAX, expected: 5 }),
        (stage.pay_amount(1, 5, 1, 100), short(100, 101)),
        (stage.pay_amount(1, 7, 1, 100), short(100, 101)),
        (stage.pay(9, 0, 0), short(0, 1)),
        (stage.transfer((0, 0, 0), FIXED, 4), TxRule::InsufficientAsset { asset: FIXED, have: 3, need: 4 }),
        (stage.transfer((0, 1, 0), FIXED, 4), TxRule::InsufficientAsset { asset: FIXED, have: 3, need: 4 }),
        (
            stage.act((0, 1, 0), Action::Burn { asset: GOLD, amount: 11 }),
            TxRule::InsufficientAsset { asset: GOLD, have: 10, need: 11 },
        ),
    ];
    for (tx, rule) in cases {
        assert_eq!(stage.admit(&tx, 1), Err(PoolError::Rule(rule)));
    }
    for nonce in [0, 1] {
        let overflow = u64::MAX - 9;
        let cases = [
            (0, unknown, 1, TxRule::UnknownAsset { asset: unknown }),
            (0, FIXED, 1, TxRule::NotMintable { asset: FIXED }),
            (2, GOLD, 1, TxRule::NotIssuer { asset: GOLD }),
            (0, GOLD, overflow, TxRule::SupplyOverflow { asset: GOLD }),
        ];
        for (from, asset, amount, rule) in cases {
            let tx = stage.act((from, nonce, 0), Action::Mint { asset, amount });
            assert_eq!(stage.admit(&tx, 1), Err(PoolError::Rule(rule)), "next in line or not");
        }
    }
    assert!(stage.pool.is_empty());
    assert_eq!(stage.admit(&stage.pay(1, 5 + SENDER_NONCES_MAX - 1, 0), 1), Ok(Admission::Added));
    assert_eq!(stage.admit(&stage.expiring(0, 0, 6), 1), Ok(Admission::Added));
    assert_eq!(
        stage.admit(&stage.act((0, 1, 0), Action::Mint { asset: GOLD, amount: 1 }), 1),
        Ok(Admission::Added)
    );
}

#[test]
fn all_that_is_pending_must_be_covered_together() {
    let mut stage = stage_with_assets();
    stage.set_account(0, 100, 0);
    assert_eq!(stage.admit(&stage.pay_amount(0, 0, 1, 39), 1), Ok(Admission::Added));
    assert_eq!(stage.admit(&stage.pay_amount(0, 2, 0, 40), 1), Ok(Admission::Added));
    let short = TxRule::InsufficientFunds { have: 20, need: 21 };
    assert_eq!(stage.admit(&stage.pay_amount(0, 1, 1, 20), 1), Err(short.into()));
    assert_eq!(stage.admit(&stage.pay_amount(0, 1, 0, 20), 1), Ok(Admission::Added));
    // A replacement frees what it replaces.
    let short = TxRule::InsufficientFunds { have: 40, need: 41 };
    assert_eq!(stage.admit(&stage.pay_amount(0, 0, 2, 39), 1), Err(short.into()));
    assert_eq!(stage.admit(&stage.pay_amount(0, 0, 2, 38), 1), Ok(Admission::Added));
    // Assets on their own.
    stage.set_account(0, 200, 0);
    assert_eq!(stage.admit(&stage.transfer((0, 3, 0), GOLD, 6), 1), Ok(Admission::Added));
    let short = TxRule::InsufficientAsset { asset: GOLD, have: 4, need: 5 };
    assert_eq!(
        stage.admit(&stage.act((0, 4, 0), Action::Burn { asset: GOLD, amount: 5 }), 1),
        Err(short.into())
    );
    assert_eq!(
        stage.admit(&stage.act((0, 4, 0), Action::Burn { asset: GOLD, amount: 4 }), 1),
        Ok(Admission::Added)
    );
    assert_eq!(stage.pending(), [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4)]);
}

#[test]
fn the_relay_minimum_counts_new_records_as_bytes() {
    let mut stage = Stage::new(1 << 20);
    stage.params.policy.relay_fee_min = 2;
    let bytes = stage.pay(0, 0, 0).bytes().len() as u64;
    let min = 2 * bytes;
    assert_eq!(stage.admit(&stage.pay(0, 0, min - 1), 1), Err(PoolError::FeeTooLow { got: min - 1, min }));
    assert_eq!(stage.admit(&stage.pay(0, 0, min), 1), Ok(Admission::Added));
    let to_new = |fee| {
        let payment = Payment { asset: AssetId::COINS, to: Address([1; 32]), amount: 1 };
        let payments = List::new(vec![payment.clone(), payment]).unwrap();
        Stage::new(0).act((1, 0, fee), Action::Transfer { payments })
    };
    let min = 2 * (to_new(0).bytes().len() as u64 + BYTES_PER_NEW_RECORD);
    assert_eq!(stage.admit(&to_new(min - 1), 1), Err(PoolError::FeeTooLow { got: min - 1, min }));
    assert_eq!(stage.admit(&to_new(min), 1), Ok(Admission::Added));
    // A replacement pays for its own relay too.
    let (first, min) = (2 * bytes, 4 * bytes);
    let low = PoolError::ReplacementFeeTooLow { got: min - 1, min };
    assert_eq!(stage.admit(&stage.pay_amount(0, 0, min - 1, 2), 1), Err(low));
    assert_eq!(stage.admit(&stage.pay_amount(0, 0, first + 2 * bytes, 2), 1), Ok(Admission::Added));
}

#[test]
fn a_replacement_pays_a_tenth_more_rounded_up() {
    for (old, min) in [(0, 1), (1, 2), (10, 11), (15, 17), (100, 110), (101, 112)] {
        let mut stage = Stage::new(1 << 20);
        assert_eq!(stage.admit(&stage.pay(0, 0, old), 1), Ok(Admission::Added));
        let low = PoolError::ReplacementFeeTooLow { got: min - 1, min };
        assert_eq!(stage.admit(&stage.pay_amount(0, 0, min - 1, 2), 2), Err(low));
        assert_eq!(stage.admit(&stage.pay_amount(0, 0, min, 2), 2), Ok(Admission::Added));
        assert_eq!(stage.pool.len(), 1);
    }
    let dear = Stage::new(0).pay_amount(0, 0, u64::MAX, 2);
    let mut stage = Stage::new(1 << 20);
    assert_eq!(stage.admit(&stage.pay(0, 0, GENESIS_BALANCE - 1), 1), Ok(Admission::Added));
    assert!(matches!(stage.admit(&dear, 1), Err(PoolError::Rule(TxRule::InsufficientFunds { .. }))));
}

#[test]
fn a_heavier_replacement_pays_for_its_weight_and_is_told_how_much() {
    let mut stage = Stage::new(1 << 20);
    assert_eq!(stage.admit(&stage.pay(0, 0, 1_000), 1), Ok(Admission::Added));
    let light = stage.pay(0, 0, 0).bytes().len() as u64;
    let heavy = |fee| {
        let payment = Payment { asset: AssetId::COINS, to: account(7).address, amount: 1 };
        let payments = List::new(vec![payment; 5]).unwrap();
        Stage::new(0).act((0, 0, fee), Action::Transfer { payments })
    };
    let min = 1_000 * heavy(0).bytes().len() as u64 / light + 1;
    assert!(min > 2_000);
    let low = PoolError::ReplacementFeeTooLow { got: min - 1, min };
    assert_eq!(stage.admit(&heavy(min - 1), 1), Err(low));
    assert_eq!(stage.admit(&heavy(min), 1), Ok(Admission::Added));
}

#[test]
fn the_first_authorization_of_an_id_stays() {
    let mut stage = Stage::new(1 << 20);
    let tx = stage.pay(0, 0, 5);
    assert_eq!(stage.admit(&tx, 1), Ok(Admission::Added));
    assert_eq!(stage.admit(&tx, 2), Ok(Admission::Known));
    assert_eq!(stage.pool.get(&tx.id()).unwrap().seq, 1);
    assert!(stage.pool.holds(&tx.id(), &tx.full_id()));
    assert!(!stage.pool.holds(&tx.id(), &FullId([0; 32])), "a cache by id would split the chain");
    let (sent, received) = stage.pool.of_address(&account(7).address);
    assert_eq!((sent.len(), received.len()), (0, 1));
    assert_eq!(stage.pool.of_address(&account(0).address).0.len(), 1);
}

#[test]
fn what_is_durable_is_told_in_order_of_arrival() {
    let mut stage = Stage::new(1 << 20);
    let txs = [(0, 0, 1), (1, 0, 1), (0, 1, 2), (1, 1, 3)].map(|(from, nonce, seq)| {
        let tx = stage.pay(from, nonce, 5);
        stage.admit(&tx, seq).unwrap();
        tx
    });
    let [a, b, c, d] = txs.map(|tx| tx.id());
    assert_eq!(stage.pool.after(0, 0, 9), []);
    assert_eq!(stage.pool.after(0, 1, 9), [(0, a), (1, b)]);
    assert_eq!(stage.pool.after(1, 3, 2), [(1, b), (2, c)]);
    assert_eq!(stage.pool.after(3, 3, 9), [(3, d)]);
    assert_eq!(stage.pool.after(4, 3, 9), []);
    // One that takes another's place arrives anew.
    let dearer = stage.pay(0, 0, 50);
    stage.admit(&dearer, 4).unwrap();
    assert_eq!(stage.pool.after(0, 4, 9), [(1, b), (2, c), (3, d), (4, dearer.id())]);
}
