//! Transactions whose bytes or form are wrong, and those right at a limit of form. Must not know the
//! state, nor who signs.

use steelyard_core::consensus::error::TxRule;
use steelyard_core::encode::{DecodeError, List};
use steelyard_core::hash::{AssetId, NetworkId};
use steelyard_core::state::record::DECIMALS_MAX;
use steelyard_core::types::transaction::{Action, MEMO_BYTES_MAX, PAYMENTS_MAX, TX_BYTES_MAX, Transaction};

use super::{Seen, Stage, TxCase};
use crate::accounts::{Terms, coins, issue, transfer};

/// Where a body's memo begins with its count, after format, network, sender and three integers.
const MEMO_AT: usize = 1 + 32 + 32 + 3 * 8;
/// Where the action's tag is, when there is no memo.
const ACTION_AT: usize = MEMO_AT + 8;
/// Where its first list begins with its count.
const LIST_AT: usize = ACTION_AT + 1;
/// Bytes of a count.
const COUNT: usize = 8;
/// Where the policy's tag is, after a transfer of one payment: m and n follow it.
const POLICY_AT: usize = LIST_AT + COUNT + 72;

fn wrong_case(name: &'static str, bytes: Vec<u8>, rule: TxRule) -> TxCase {
    TxCase::wrong(name, Seen::InItself, bytes, rule)
}

pub(super) fn wrong(stage: &Stage) -> Vec<TxCase> {
    [malformed(stage), bodies(stage), actions(stage)].into_iter().flatten().collect()
}

/// Bytes that are no transaction's.
fn malformed(stage: &Stage) -> Vec<TxCase> {
    let good = stage.act(transfer(vec![coins(stage.carol.address, 1)])).to_bytes();
    let issued = stage.act(issue("A", 1, true)).to_bytes();
    let spliced = |base: &[u8], at: usize, len: usize, with: &[u8]| {
        let mut bytes = base.to_vec();
        bytes.splice(at..at + len, with.iter().copied());
        bytes
    };
    let count = |count: usize| (count as u64).to_le_bytes();
    let payment = good[LIST_AT + COUNT..POLICY_AT].to_vec();
    let many = |items: usize, item: &[u8]| [&count(items)[..], &item.repeat(items)].concat();
    let signatures_at = good.len() - 64 - COUNT;
    let tag = |kind, tag| DecodeError::UnknownTag { kind, tag };
    let items = |got, max| DecodeError::TooManyItems { got, max };
    let keys = spliced(&good, POLICY_AT + 2, 1 + 32, &[&[17][..], &[1; 17 * 32]].concat());
    let cases: Vec<(&str, Vec<u8>, DecodeError)> = vec![
        ("no bytes at all", vec![], DecodeError::Truncated),
        ("a byte short", good[..good.len() - 1].to_vec(), DecodeError::Truncated),
        ("cut after the body", good[..POLICY_AT].to_vec(), DecodeError::Truncated),
        ("a byte too many", [&good[..], &[0]].concat(), DecodeError::Trailing { excess: 1 }),
        ("twice in one", good.repeat(2), DecodeError::Trailing { excess: good.len() }),
        (
            "longer than any transaction",
            vec![0; TX_BYTES_MAX + 1],
            DecodeError::TooLong { got: TX_BYTES_MAX + 1, max: TX_BYTES_MAX },
        ),
        ("an action of tag 0", spliced(&good, ACTION_AT, 1, &[0]), tag("action", 0)),
        ("an action of tag 5", spliced(&good, ACTION_AT, 1, &[5]), tag("action", 5)),
        ("a policy of tag 2", spliced(&good, POLICY_AT, 1, &[2]), tag("policy", 2)),
        ("a memo of 257 bytes", spliced(&good, MEMO_AT, COUNT, &many(257, &[7])), items(257, 256)),
        (
            "a memo of 2^64-1 bytes, as it says",
            spliced(&good, MEMO_AT, COUNT, &count(usize::MAX)),
            items(usize::MAX, 256),
        ),
        (
            "257 payments",
            spliced(&good, LIST_AT, COUNT + payment.len(), &many(257, &payment)),
            items(257, 256),
        ),
        ("a symbol of 13", spliced(&issued, LIST_AT, COUNT + 1, &many(13, b"A")), items(13, 12)),
        ("17 keys", keys, items(17, 16)),
        ("17 signatures", spliced(&good, signatures_at, COUNT + 64, &many(17, &[1; 64])), items(17, 16)),
        // One way of writing it is enough: mintable is 0 or 1.
        (
            "mintable written as 2",
            spliced(&issued, LIST_AT + COUNT + 1 + 1 + 8, 1, &[2]),
            DecodeError::Malformed,
        ),
    ];
    cases.into_iter().map(|(name, bytes, error)| wrong_case(name, bytes, TxRule::Malformed(error))).collect()
}

/// What is said before the action.
fn bodies(stage: &Stage) -> Vec<TxCase> {
    let here = stage.chain.network();
    let signed_after = |change: &dyn Fn(&mut Transaction)| {
        let mut tx = stage.act(transfer(vec![coins(stage.carol.address, 1)]));
        change(&mut tx);
        stage.alice.sign(tx.body).to_bytes()
    };
    let elsewhere = NetworkId([3; 32]);
    let network = |got| TxRule::WrongNetwork { got, expected: here };
    let near = {
        let mut near = here;
        near.0[31] ^= 1;
        near
    };
    let format = |got| TxRule::Format { got, expected: 1 };
    vec![
        wrong_case("format 0", signed_after(&|tx| tx.body.format = 0), format(0)),
        wrong_case("format 2", signed_after(&|tx| tx.body.format = 2), format(2)),
        wrong_case("another network", signed_after(&|tx| tx.body.network = elsewhere), network(elsewhere)),
        wrong_case("a network one bit off", signed_after(&|tx| tx.body.network = near), network(near)),
    ]
}

/// An asset to be issued.
fn asset(symbol: &[u8], decimals: u8, supply: u64, mintable: bool) -> Action {
    let symbol = List::new(symbol.to_vec()).expect("the test keeps to the symbol's bound");
    Action::Issue { symbol, decimals, supply, mintable }
}

/// What the action says.
fn actions(stage: &Stage) -> Vec<TxCase> {
    let act = |name, action, rule| wrong_case(name, stage.act(action).to_bytes(), rule);
    let pay = |amounts: &[u64]| {
        transfer(amounts.iter().map(|amount| coins(stage.carol.address, *amount)).collect())
    };
    let symbol = |symbol: &[u8]| asset(symbol, 0, 1, true);
    let (gold, zero) = (stage.gold, |index| TxRule::ZeroAmount { index });
    let last_of_all: Vec<u64> = (0..PAYMENTS_MAX as u64).rev().collect();
    let decimals = |got| TxRule::Decimals { got, max: DECIMALS_MAX };
    vec![
        act("no payments", pay(&[]), TxRule::NoPayments),
        act("an amount of zero", pay(&[0]), zero(0)),
        act("a second amount of zero", pay(&[1, 0]), zero(1)),
        act("a last amount of zero", pay(&last_of_all), zero(PAYMENTS_MAX - 1)),
        act("a mint of nothing", Action::Mint { asset: gold, amount: 0 }, zero(0)),
        act("a burn of nothing", Action::Burn { asset: gold, amount: 0 }, zero(0)),
        act("no symbol", symbol(b""), TxRule::Symbol),
        act("a symbol in lower case", symbol(b"gold"), TxRule::Symbol),
        act("a symbol with a space", symbol(b"A B"), TxRule::Symbol),
        act("a symbol that is no text", symbol(&[0xff]), TxRule::Symbol),
        act("a symbol just below the digits", symbol(b"/"), TxRule::Symbol),
        act("a symbol just above the digits", symbol(b":"), TxRule::Symbol),
        act("a symbol just below the letters", symbol(b"@"), TxRule::Symbol),
        act("a symbol just above the letters", symbol(b"["), TxRule::Symbol),
        act("19 decimals", asset(b"A", 19, 1, true), decimals(19)),
        act("255 decimals", asset(b"A", 255, 1, true), decimals(255)),
        act("nothing of what nobody can mint", asset(b"A", 0, 0, false), TxRule::NoSupply),
        act("coins minted", Action::Mint { asset: AssetId::COINS, amount: 1 }, TxRule::CoinsAreNoAsset),
        act("coins burnt", Action::Burn { asset: AssetId::COINS, amount: 1 }, TxRule::CoinsAreNoAsset),
    ]
}

pub(super) fn right(stage: &Stage) -> Vec<TxCase> {
    let case = |name, tx: &Transaction| TxCase::right(name, Seen::InItself, tx);
    let act = |name, number, action| case(name, &stage.fresh_acts(number, Terms::of_nonce(0), action));
    let memo = |byte| Terms { memo: vec![byte; MEMO_BYTES_MAX], ..Terms::of_nonce(0) };
    let one = coins(stage.carol.address, 1);
    vec![
        case("a memo of 256 bytes", &stage.fresh_pays(0, memo(0xff))),
        act("256 payments", 1, transfer(vec![one.clone(); PAYMENTS_MAX])),
        act("the same payment twice", 2, transfer(vec![one.clone(), one])),
        act("a symbol of 1", 3, asset(b"9", 0, 1, false)),
        act("a symbol of 12", 4, asset(b"AZ09AZ09AZ09", 0, 1, false)),
        act("18 decimals", 5, asset(b"A", DECIMALS_MAX, 1, false)),
        act("nothing yet of what can be minted", 6, asset(b"A", 0, 0, true)),
        act("a supply of 2^64-1", 7, asset(b"A", 0, u64::MAX, false)),
    ]
}
