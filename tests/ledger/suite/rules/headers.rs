//! Every broken header of [`steelyard_ledger::broken`], and what is no rule's matter but the clock's.

use steelyard_core::consensus::error::{HeaderRule, RuleError};
use steelyard_core::consensus::header::{Drift, Parent, check_alone, check_header, drift};
use steelyard_core::types::header::Header;
use steelyard_ledger::accounts::Account;
use steelyard_ledger::broken::Stage;
use steelyard_ledger::chain::{Block, Chain, seal};
use steelyard_ledger::tip::searched;

use super::{HEADER_RULES, assert_all_broken, assert_verdicts, header_rule};

/// A chain whose tip carries an elapsed time of its own, and a right child.
fn chain_and_child() -> (Chain, Header) {
    let mut chain = Chain::dev();
    chain.pay(&Account::dev(0), Account::numbered(1).address, 7);
    chain.mine(3);
    let child = seal(chain.empty_draft()).header;
    (chain, child)
}

#[test]
fn every_header_rule_is_found_by_name() {
    let stage = Stage::new();
    let cases = stage.headers();
    assert_verdicts(&stage, &cases);
    let broken = cases.iter().filter_map(|case| match &case.verdict {
        Err(RuleError::Header(rule)) => Some(header_rule(rule)),
        Err(other) => panic!("{other}"),
        Ok(()) => None,
    });
    let work = header_rule(&HeaderRule::Work); // its own test below
    assert_all_broken(HEADER_RULES, broken.chain([work]));
}

/// What a light client can ask of a header without its parent, in the same order.
#[test]
fn a_header_alone_is_judged_by_what_it_shows() {
    let (chain, right) = chain_and_child();
    let judged = |change: &dyn Fn(&mut Header)| {
        let mut header = right;
        change(&mut header);
        check_alone(chain.params(), &header)
    };
    let (parent, bits) = (right.prev_time, right.bits);
    assert_eq!(judged(&|_| ()), Ok(()));
    assert_eq!(judged(&|h| (h.version, h.height) = (2, 0)), Err(HeaderRule::Version { got: 2, expected: 1 }));
    assert_eq!(judged(&|h| (h.height, h.time) = (0, 0)), Err(HeaderRule::Height { got: 0, expected: 1 }));
    let late = HeaderRule::Time { got: parent, parent };
    assert_eq!(judged(&|h| (h.time, h.bits) = (parent, 0)), Err(late));
    assert_eq!(judged(&|h| h.bits -= 1), Err(HeaderRule::Bits { got: bits - 1, expected: bits }));
    let unsearched = (0..).map(|nonce| Header { nonce, ..right });
    let refused = unsearched.map(|header| check_alone(chain.params(), &header)).find(Result::is_err);
    assert_eq!(refused, Some(Err(HeaderRule::ProofOfWork)));
}

/// No honest chain gets there: 2^128 is more hashing than there will be.
#[test]
fn total_work_beyond_u128_is_refused() {
    let (chain, right) = chain_and_child();
    let parent = |total_work| Parent { total_work, ..chain.tip().parent() };
    assert_eq!(check_header(chain.params(), &parent(u128::MAX - 1), &right), Err(HeaderRule::Work));
    let last = check_header(chain.params(), &parent(u128::MAX - 2), &right).unwrap();
    assert_eq!(last.total_work, u128::MAX);
}

#[test]
fn a_time_ahead_of_the_clock_breaks_no_rule_but_waits() {
    let (mut chain, _) = chain_and_child();
    let (params, now) = (chain.params().clone(), chain.tip().header.time);
    let ahead = now + params.drift;
    assert_eq!(drift(&params, ahead, now), Drift::Within);
    assert_eq!(drift(&params, ahead + 1, now), Drift::Ahead);
    assert_eq!(drift(&params, ahead + params.drift, now), Drift::Ahead);
    assert_eq!(drift(&params, ahead + params.drift + 1, now), Drift::FarAhead);
    assert_eq!(drift(&params, u64::MAX, 0), Drift::FarAhead);
    chain.mine_block_at(u64::MAX - 1, &[]);
    chain.mine_block_at(u64::MAX, &[]);
    // Time has run out: every header after that breaks a rule, none a computer.
    let header = searched(chain.expected_header());
    assert_eq!(
        chain.check_and_connect(&Block { header, ..chain.empty_draft_at(u64::MAX) }).unwrap_err(),
        HeaderRule::Time { got: u64::MAX, parent: u64::MAX }.into()
    );
}
