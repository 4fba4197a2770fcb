//! Header rules, each broken in a header that is right otherwise.

use steelyard_core::consensus::error::HeaderRule;
use steelyard_core::consensus::header::{Drift, Parent, check_header, drift};
use steelyard_core::hash::{BlockId, HistoryRoot};
use steelyard_core::types::header::Header;
use steelyard_core::work::from_bits;
use steelyard_ledger::accounts::Account;
use steelyard_ledger::chain::{Block, Chain, seal};
use steelyard_ledger::tip::searched;

use super::{HEADER_RULES, assert_all_broken, header_rule};

/// What is done to a right header, and the rule that it then breaks.
type Case = (fn(&mut Header), HeaderRule);

/// A chain whose tip carries an elapsed time of its own, and a right child.
fn chain_and_child() -> (Chain, Header) {
    let mut chain = Chain::dev();
    chain.pay(&Account::dev(0), Account::numbered(1).address, 7);
    chain.mine(3);
    let child = seal(chain.empty_draft()).header;
    (chain, child)
}

fn cases(right: &Header) -> Vec<Case> {
    let Header { prev, prev_time, elapsed, bits, history_root, .. } = *right;
    let other_root = HistoryRoot([1; 32]);
    vec![
        (|h| h.version = 2, HeaderRule::Version { got: 2, expected: 1 }),
        (|h| h.height = 5, HeaderRule::Height { got: 5, expected: 4 }),
        (|h| h.prev = BlockId([1; 32]), HeaderRule::Prev { got: BlockId([1; 32]), expected: prev }),
        (|h| h.prev_time -= 1, HeaderRule::PrevTime { got: prev_time - 1, expected: prev_time }),
        (|h| h.elapsed += 1, HeaderRule::Elapsed { got: elapsed + 1, expected: elapsed }),
        (|h| h.time = h.prev_time, HeaderRule::Time { got: prev_time, parent: prev_time }),
        (|h| h.time = 0, HeaderRule::Time { got: 0, parent: prev_time }),
        (|h| h.bits = 0x207f_fffe, HeaderRule::Bits { got: 0x207f_fffe, expected: bits }),
        // Zero, negative and too wide bits are compared, never expanded.
        (|h| h.bits = 0, HeaderRule::Bits { got: 0, expected: bits }),
        (|h| h.bits = 0x2080_0001, HeaderRule::Bits { got: 0x2080_0001, expected: bits }),
        (|h| h.bits = u32::MAX, HeaderRule::Bits { got: u32::MAX, expected: bits }),
        (|h| *h = above_target(*h), HeaderRule::ProofOfWork),
        (
            |h| *h = searched(Header { history_root: HistoryRoot([1; 32]), ..*h }),
            HeaderRule::HistoryRoot { got: other_root, expected: history_root },
        ),
    ]
}

/// The header with the first nonce that does not meet its bits.
fn above_target(header: Header) -> Header {
    let target = from_bits(header.bits).unwrap();
    let nonces = (0..).map(|nonce| Header { nonce, ..header });
    nonces.into_iter().find(|header| header.pow_hash() > target).unwrap()
}

#[test]
fn every_header_rule_is_found_by_name() {
    let (chain, right) = chain_and_child();
    let body = chain.empty_draft().body;
    let mut broken = vec![header_rule(&HeaderRule::Work)]; // its own test below
    for (breaks, rule) in cases(&right) {
        let mut header = right;
        breaks(&mut header);
        let found = chain.check_and_connect(&Block { header, body: body.clone() }).unwrap_err();
        assert_eq!(found, rule.clone().into());
        broken.push(header_rule(&rule));
    }
    assert!(chain.check_and_connect(&Block { header: right, body }).is_ok());
    assert_all_broken(HEADER_RULES, broken);
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
