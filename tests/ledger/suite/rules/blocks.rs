//! Every broken body of [`steelyard_ledger::broken`], and whose fault each is.

use steelyard_core::consensus::error::{BlockRule, Fault, RuleError};
use steelyard_core::hash::BodyRoot;
use steelyard_ledger::broken::Stage;
use steelyard_ledger::chain::{Chain, seal};
use steelyard_ledger::tip::searched;

use super::{BLOCK_RULES, assert_all_broken, assert_verdicts, block_rule};

#[test]
fn every_block_rule_is_found_by_name() {
    let stage = Stage::new();
    let cases = stage.blocks();
    assert_verdicts(&stage, &cases);
    let broken = cases.iter().filter_map(|case| match &case.verdict {
        Err(RuleError::Block(rule)) => Some(block_rule(rule)),
        _ => None,
    });
    assert_all_broken(BLOCK_RULES, broken);
    for case in &cases {
        let is_of_sender = matches!(case.verdict, Err(RuleError::Block(BlockRule::BodyRoot { .. })));
        let fault = if is_of_sender { Fault::Sender } else { Fault::Block };
        assert!(case.verdict.as_ref().err().is_none_or(|rule| rule.fault() == fault), "{}", case.name);
    }
}

/// Only a wrong root may come from a liar on the way; all else is hashed into the header.
#[test]
fn a_wrong_body_is_its_senders_fault_and_all_else_the_blocks() {
    let mut dev = Chain::dev();
    dev.mine(2);
    let right = seal(dev.empty_draft());
    let mut swapped = right.clone();
    swapped.body.items.clear();
    assert_eq!(dev.check_and_connect(&swapped).unwrap_err().fault(), Fault::Sender);
    swapped.header.body_root = BodyRoot([9; 32]);
    swapped.header = searched(swapped.header);
    assert_eq!(dev.check_and_connect(&swapped).unwrap_err().fault(), Fault::Sender);
    assert_eq!(dev.check_and_connect(&seal(swapped)).unwrap_err().fault(), Fault::Block);
}
