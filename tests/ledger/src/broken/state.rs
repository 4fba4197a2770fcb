//! Transactions that the state refuses, and those that it just allows. Must not know how they are
//! signed.

use steelyard_core::consensus::error::TxRule;
use steelyard_core::hash::AssetId;
use steelyard_core::types::transaction::{Action, PAYMENTS_MAX, Payment};

use super::{FUNDS, GOLD, Seen, Stage, TxCase, fresh, nowhere};
use crate::accounts::{Account, Terms, coins, transfer, units};

const MOST: u64 = u64::MAX;

fn wrong_case(name: &'static str, bytes: Vec<u8>, rule: TxRule) -> TxCase {
    TxCase::wrong(name, Seen::InTheState, bytes, rule)
}

pub(super) fn wrong(stage: &Stage) -> Vec<TxCase> {
    [order(stage), funds(stage), holdings(stage), supplies(stage)].into_iter().flatten().collect()
}

/// Expiry and nonces.
fn order(stage: &Stage) -> Vec<TxCase> {
    let next = stage.chain.height() + 1;
    let pay = |name, terms, rule| {
        let one = vec![coins(stage.carol.address, 1)];
        wrong_case(name, stage.alice.pay_bytes(stage.chain.network(), terms, one), rule)
    };
    let expired = |expiry| TxRule::Expired { expiry, height: next };
    let gap = |got| TxRule::NonceGap { got, expected: 3 };
    let used = |got| TxRule::NonceUsed { got, expected: 3 };
    let of = Terms::of_nonce;
    let queued = |case: TxCase| TxCase { is_queued: true, ..case };
    vec![
        pay("expired by one", of(3).expiry(next - 1), expired(next - 1)),
        pay("expired long ago", of(3).expiry(1), expired(1)),
        pay("expired before its nonce was used", of(2).expiry(next - 1), expired(next - 1)),
        pay("the last nonce again", of(2), used(2)),
        pay("the first nonce again", of(0), used(0)),
        queued(pay("a nonce too high by one", of(4), gap(4))),
        pay("a nonce too high by 2^32", of(3 + (1 << 32)), gap(3 + (1 << 32))),
        pay("the last nonce there is", of(MOST), gap(MOST)),
    ]
}

/// Coins.
fn funds(stage: &Stage) -> Vec<TxCase> {
    let to = stage.carol.address;
    let short = |need: u128| TxRule::InsufficientFunds { have: FUNDS, need };
    let by_dave = |name, fee, payments: Vec<Payment>, need| {
        let terms = Terms::of_nonce(0).fee(fee);
        wrong_case(name, stage.dave.pay_bytes(stage.chain.network(), terms, payments), short(need))
    };
    let act = |name, fee, action, need| {
        let tx = stage.dave.act(stage.chain.network(), Terms::of_nonce(0).fee(fee), action);
        wrong_case(name, tx.to_bytes(), short(need))
    };
    let (funds, most) = (u128::from(FUNDS), u128::from(MOST));
    let poor = Account::numbered(77);
    let own = stage.dave.address;
    vec![
        by_dave("one more than there is", 0, vec![coins(to, FUNDS + 1)], funds + 1),
        by_dave("all there is, and a fee", 1, vec![coins(to, FUNDS)], funds + 1),
        by_dave("a fee of more than there is", FUNDS, vec![coins(to, 1)], funds + 1),
        by_dave("two that together are too much", 0, vec![coins(to, FUNDS), coins(to, 1)], funds + 1),
        by_dave("oneself, more than there is", 0, vec![coins(own, FUNDS + 1)], funds + 1),
        by_dave("oneself twice, together too much", 0, vec![coins(own, FUNDS), coins(own, 1)], funds + 1),
        by_dave("2^64-1 base units", 0, vec![coins(to, MOST)], most),
        by_dave("two halves that wrap to nothing", 0, vec![coins(to, 1 << 63); 2], 1 << 64),
        by_dave("a fee that wraps to nothing", MOST, vec![coins(to, 1)], 1 << 64),
        by_dave("256 payments that wrap to nothing", 0, vec![coins(to, 1 << 56); PAYMENTS_MAX], 1 << 64),
        by_dave("the most that can be asked for", MOST, vec![coins(to, MOST); PAYMENTS_MAX], most * 257),
        act(
            "a burn whose fee is too much",
            FUNDS + 1,
            Action::Burn { asset: stage.gold, amount: 1 },
            funds + 1,
        ),
        wrong_case(
            "an account that is none",
            poor.pay_bytes(stage.chain.network(), Terms::of_nonce(0), vec![coins(to, 1)]),
            TxRule::InsufficientFunds { have: 0, need: 1 },
        ),
    ]
}

/// Units of assets.
fn holdings(stage: &Stage) -> Vec<TxCase> {
    let (gold, fixed, full, unknown) = (stage.gold, stage.fixed, stage.full, AssetId([4; 32]));
    let to = stage.carol.address;
    let short = |asset, have, need| TxRule::InsufficientAsset { asset, have, need };
    let act = |name, action, rule| wrong_case(name, stage.act(action).to_bytes(), rule);
    let by = |account: &Account, nonce, name, action, rule| {
        let tx = account.act(stage.chain.network(), Terms::of_nonce(nonce), action);
        wrong_case(name, tx.to_bytes(), rule)
    };
    let pay =
        |asset, amounts: &[u64]| transfer(amounts.iter().map(|amount| units(asset, to, *amount)).collect());
    let own = transfer(vec![units(gold, stage.alice.address, GOLD + 1)]);
    let (need, most) = (u128::from(GOLD) + 1, u128::from(MOST));
    vec![
        act("one unit too many", pay(gold, &[GOLD + 1]), short(gold, GOLD, need)),
        act("units of two payments, together too many", pay(gold, &[GOLD, 1]), short(gold, GOLD, need)),
        act("oneself, one unit too many", own, short(gold, GOLD, need)),
        act("a burn of one too many", Action::Burn { asset: fixed, amount: 4 }, short(fixed, 3, 4)),
        act("units of an asset that is none", pay(unknown, &[1]), short(unknown, 0, 1)),
        by(&stage.erin, 1, "2^64 units", pay(full, &[MOST, 1]), short(full, MOST, most + 1)),
        by(&stage.erin, 1, "halves of units that wrap", pay(full, &[1 << 63; 2]), short(full, MOST, 1 << 64)),
        by(&stage.dave, 0, "units of which one has none", pay(gold, &[1]), short(gold, 0, 1)),
        by(
            &stage.dave,
            0,
            "a burn by who holds none",
            Action::Burn { asset: gold, amount: 1 },
            short(gold, 0, 1),
        ),
        by(
            &stage.carol,
            0,
            "a burn of what others hold",
            Action::Burn { asset: fixed, amount: 3 },
            short(fixed, 2, 3),
        ),
    ]
}

/// Mints and descriptions.
fn supplies(stage: &Stage) -> Vec<TxCase> {
    let (gold, fixed, full, unknown) = (stage.gold, stage.fixed, stage.full, AssetId([4; 32]));
    let mint = |account: &Account, nonce, name, (asset, amount), rule| {
        let action = Action::Mint { asset, amount };
        let tx = account.act(stage.chain.network(), Terms::of_nonce(nonce), action);
        wrong_case(name, tx.to_bytes(), rule)
    };
    let (alice, dave, erin) = (&stage.alice, &stage.dave, &stage.erin);
    vec![
        mint(alice, 3, "a mint of what is not", (unknown, 1), TxRule::UnknownAsset { asset: unknown }),
        wrong_case(
            "a burn of what is not",
            stage.act(Action::Burn { asset: unknown, amount: 1 }).to_bytes(),
            TxRule::UnknownAsset { asset: unknown },
        ),
        mint(alice, 3, "a mint of what is fixed", (fixed, 1), TxRule::NotMintable { asset: fixed }),
        mint(dave, 0, "a stranger's mint of what is fixed", (fixed, 1), TxRule::NotMintable { asset: fixed }),
        mint(dave, 0, "a mint by a stranger", (gold, 1), TxRule::NotIssuer { asset: gold }),
        mint(dave, 0, "too much by a stranger", (gold, MOST), TxRule::NotIssuer { asset: gold }),
        mint(alice, 3, "a mint to 2^64", (gold, MOST - GOLD + 1), TxRule::SupplyOverflow { asset: gold }),
        mint(alice, 3, "a mint of 2^64-1", (gold, MOST), TxRule::SupplyOverflow { asset: gold }),
        mint(erin, 1, "one more of 2^64-1", (full, 1), TxRule::SupplyOverflow { asset: full }),
    ]
}

pub(super) fn right(stage: &Stage) -> Vec<TxCase> {
    let (network, next, to) = (stage.chain.network(), stage.chain.height() + 1, stage.carol.address);
    let case = |name, tx| TxCase::right(name, Seen::InTheState, &tx);
    let terms = || Terms::of_nonce(0);
    let pay = |number, terms, payments| stage.fresh_acts(number, terms, transfer(payments));
    let own = |number| fresh(number).address;
    let rest = Action::Mint { asset: stage.gold, amount: MOST - GOLD };
    vec![
        // Dearest, so that a miner takes it while it may.
        case("at its expiry", stage.fresh_pays(20, terms().expiry(next).fee(1_000_000))),
        case("the last expiry there is", stage.fresh_pays(21, terms().expiry(MOST))),
        case("all there is", pay(22, terms(), vec![coins(to, FUNDS)])),
        case("all there is with its fee", pay(23, terms().fee(1), vec![coins(to, FUNDS - 1)])),
        case("a fee of all but one", pay(24, terms().fee(FUNDS - 1), vec![coins(to, 1)])),
        case("oneself, all there is", pay(25, terms(), vec![coins(own(25), FUNDS)])),
        case("oneself, twice the half", pay(26, terms(), vec![coins(own(26), FUNDS / 2); 2])),
        case("an account that was none", pay(27, terms(), vec![coins(nowhere(1), 1)])),
        case("a mint to 2^64-1", stage.alice.act(network, Terms::of_nonce(3), rest)),
        case(
            "2^64-1 units to oneself",
            stage.erin.pay(network, Terms::of_nonce(1), vec![units(stage.full, stage.erin.address, MOST)]),
        ),
        case(
            "a burn of all one has",
            stage.carol.act(network, terms(), Action::Burn { asset: stage.fixed, amount: 2 }),
        ),
        case("what was mined in the block before", {
            let all = stage.chain.balance(stage.miner.address);
            stage.miner.pay(network, terms(), vec![coins(to, all)])
        }),
    ]
}
