//! Every broken transaction of [`steelyard_ledger::broken`], alone and as the second of a block, and
//! those that are right at a limit.

use std::collections::BTreeSet;

use steelyard_core::consensus::error::{Blame, RuleError, TxRule};
use steelyard_core::consensus::transaction::shape;
use steelyard_core::hash::Address;
use steelyard_core::state::{Key, Record};
use steelyard_core::types::body::Coinbase;
use steelyard_ledger::accounts::{Account, Terms, coins, issue, transfer, units};
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
        assert_eq!(refused, RuleError::Transaction { index: 1, rule: alone.clone() });
        alone
    };
    let full = Record::Account { balance: u64::MAX, nonce: 0 };
    stage.chain.tamper(Key::Account(rich), Some(full));
    assert_eq!(verdict(&stage, coins(rich, 1)), TxRule::BalanceOverflow);

    let full = Record::Holding { amount: u64::MAX };
    stage.chain.tamper(Key::Holding(rich, stage.gold), Some(full));
    assert_eq!(verdict(&stage, units(stage.gold, rich, 1)), TxRule::BalanceOverflow);
}

/// A miner that has all there can be is item 0's fault; two fees that are each all there can be are
/// the second payer's. Neither comes of any history.
#[test]
fn what_a_miner_gets_beyond_u64_is_refused() {
    let mut stage = Stage::new();
    let empty = seal(stage.chain.empty_draft());
    let miner = Coinbase::from_bytes(&empty.body.items[0]).unwrap().miner;
    stage.chain.tamper(Key::Account(miner), Some(Record::Account { balance: u64::MAX, nonce: 0 }));
    let refused = stage.chain.check_and_connect(&empty).unwrap_err();
    assert_eq!(refused, RuleError::Transaction { index: 0, rule: TxRule::BalanceOverflow });

    let mut stage = Stage::new();
    let all = |nonce| Some(Record::Account { balance: u64::MAX, nonce });
    stage.chain.tamper(Key::Account(stage.alice.address), all(3));
    stage.chain.tamper(Key::Account(stage.carol.address), all(0));
    let network = stage.chain.network();
    let dear = |payer: &Account, nonce| {
        payer.act(network, Terms::of_nonce(nonce).fee(u64::MAX), issue("A", 1, false)).to_bytes()
    };
    let block = stage.careless_block(&[dear(&stage.alice, 3), dear(&stage.carol, 0)]);
    let refused = stage.chain.check_and_connect(&block).unwrap_err();
    assert_eq!(refused, RuleError::Transaction { index: 2, rule: TxRule::BalanceOverflow });
}

/// Nobody gets there by sending; but a nonce must not begin again.
#[test]
fn the_last_nonce_is_never_used() {
    let mut stage = Stage::new();
    let (alice, last) = (stage.alice.address, u64::MAX);
    stage.chain.tamper(Key::Account(alice), Some(Record::Account { balance: 9, nonce: last }));
    let judged = |stage: &Stage, nonce| {
        let payments = vec![coins(stage.carol.address, 1)];
        let bytes = stage.alice.pay_bytes(stage.chain.network(), Terms::of_nonce(nonce), payments);
        stage.chain.judge(&bytes).map(|_| ())
    };
    assert_eq!(judged(&stage, last), Err(TxRule::NonceUsed { got: last, expected: last }));
    assert_eq!(judged(&stage, 0), Err(TxRule::NonceUsed { got: 0, expected: last }));
    stage.chain.tamper(Key::Account(alice), Some(Record::Account { balance: 9, nonce: last - 1 }));
    assert_eq!(judged(&stage, last - 1), Ok(()));
}
