//! Every broken transaction of [`steelyard_ledger::broken`], alone and as the second of a block, and
//! those that are right at a limit.

use std::collections::BTreeSet;

use steelyard_core::consensus::error::{Blame, TxRule};
use steelyard_core::consensus::transaction::shape;
use steelyard_core::hash::Address;
use steelyard_core::state::{Key, Record};
use steelyard_ledger::accounts::{coins, transfer, units};
use steelyard_ledger::broken::{Seen, Stage, TxCase};
use steelyard_ledger::chain::seal;

use super::{TX_RULES, assert_all_broken, tx_rule};

#[test]
fn every_transaction_rule_is_found_by_name_alone_and_in_a_block() {
    let stage = Stage::new();
    let cases = stage.transactions();
    for case in &cases {
        let alone = stage.chain.judge(&case.bytes).map(|tx| assert_eq!(tx.bytes(), case.bytes));
        assert_eq!(alone, case.verdict, "{}", case.name);
        let in_block = stage.in_block(case);
        let found = stage.chain.check_and_connect(&in_block.block).map(|_| ());
        assert_eq!(found, in_block.verdict, "{}", case.name);
    }
    let broken = cases.iter().filter_map(|case| case.verdict.as_ref().err());
    let overflow = TxRule::BalanceOverflow; // its own test below
    assert_all_broken(TX_RULES, broken.chain([&overflow]).map(tx_rule));
    let names: BTreeSet<_> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len(), "a name says which");
    let senders = |cases: &[TxCase]| {
        let right = cases.iter().filter(|case| case.verdict.is_ok());
        let sender = |case: &TxCase| stage.chain.judge(&case.bytes).unwrap().tx().body.sender;
        right.map(sender).collect::<Vec<Address>>()
    };
    let senders = senders(&cases);
    assert_eq!(senders.iter().collect::<BTreeSet<_>>().len(), senders.len(), "one sender each");
}

/// A peer is blamed for what no state makes right, and for nothing that another tip may allow.
#[test]
fn a_sender_is_blamed_for_what_is_wrong_in_itself_alone() {
    let stage = Stage::new();
    for case in stage.transactions() {
        let in_itself = shape(&stage.chain.network(), &case.bytes).and_then(|shaped| shaped.verify());
        let Err(rule) = case.verdict else { continue };
        let blame = match case.seen {
            Seen::InItself => Blame::Sender,
            Seen::InTheState => Blame::Nobody,
        };
        assert_eq!(in_itself.err(), (case.seen == Seen::InItself).then(|| rule.clone()), "{}", case.name);
        assert_eq!(rule.blame(), blame, "{}", case.name);
    }
    assert_eq!(TxRule::BalanceOverflow.blame(), Blame::Nobody);
}

/// The supply bounds every balance, so only a state that no history leads to gets there.
#[test]
fn a_balance_beyond_u64_is_refused() {
    let mut stage = Stage::new();
    let rich = Address([8; 32]);
    let verdict = |stage: &Stage, payment| {
        let bytes = stage.act(transfer(vec![payment])).to_bytes();
        let alone = stage.chain.judge(&bytes).unwrap_err();
        let refused = stage.chain.check_and_connect(&seal(stage.careless_block(&[bytes]))).unwrap_err();
        assert_eq!(
            refused,
            steelyard_core::consensus::error::RuleError::Transaction { index: 1, rule: alone.clone() }
        );
        alone
    };
    let full = Record::Account { balance: u64::MAX, nonce: 0 };
    stage.chain.tamper(Key::Account(rich), Some(full));
    assert_eq!(verdict(&stage, coins(rich, 1)), TxRule::BalanceOverflow);

    let full = Record::Holding { amount: u64::MAX };
    stage.chain.tamper(Key::Holding(rich, stage.gold), Some(full));
    assert_eq!(verdict(&stage, units(stage.gold, rich, 1)), TxRule::BalanceOverflow);
}
