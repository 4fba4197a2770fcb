//! The second implementation, `tests/reference`, which was written from `docs/protocol.md` alone, says the
//! same of random cases as this one: 10,000 of each kind that is cheap, 1,000 or 100 of the others, every
//! day. `STEELYARD_CASES=100` asks for a hundred times as many, which takes an hour or two. Blocks that
//! arrive at a node are compared in the other suite. Needs `python3`: where there is none, it skips and
//! says so, which is a failure where `CI` is set.

use std::path::Path;

use steelyard_ledger::cases::{KINDS, Kind, Statistics, reference};
use steelyard_ledger::random::Random;

use crate::rules::{BLOCK_RULES, HEADER_RULES, TX_RULES};

/// Where [`KINDS`] are parted, so that both parts take about as long.
const PART: usize = 9;

fn agrees(kinds: &[Kind]) {
    let seed = Random::for_test(31).number();
    if !reference::is_there() {
        return;
    }
    let count = |kind: &Kind| usize::try_from(kind.everyday * reference::factor()).unwrap();
    let cases = kinds.iter().flat_map(|kind| kind.cases(seed).take(count(kind)));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    println!("{}", reference::compare(&root, cases));
}

#[test]
fn both_implementations_agree_on_numbers_and_bytes() {
    agrees(&KINDS[..PART]);
}

#[test]
fn both_implementations_agree_on_trees_and_rules() {
    agrees(&KINDS[PART..]);
}

fn drawn(kind: &str, count: usize) -> Statistics {
    let mut statistics = Statistics::default();
    let cases = Kind::named(kind).unwrap().cases(1).take(count);
    cases.for_each(|case| statistics.count(&case));
    statistics
}

/// Agreement says little where one rule hides all others.
fn assert_all_drawn(kind: &str, count: usize, sorts: impl IntoIterator<Item = &'static str>) {
    let statistics = drawn(kind, count);
    let missing: Vec<_> = sorts.into_iter().filter(|sort| !statistics.has(kind, sort)).collect();
    assert!(missing.is_empty(), "no case of {missing:?} in {statistics}");
}

#[test]
fn the_cases_break_every_rule() {
    let is_of_form = |rule: &&&str| **rule != "invalid_signature";
    let form = || TX_RULES.iter().take_while(is_of_form).copied();
    let actions = ["transfer", "issue", "mint", "burn"];
    assert_all_drawn("tx", 4_000, form().chain(actions));
    assert_all_drawn("signed", 500, ["invalid_signature", "malformed", "signers"].into_iter().chain(actions));
    // No case has so much work.
    let headers = HEADER_RULES.iter().filter(|rule| **rule != "total_work").copied();
    assert_all_drawn("headers", 1_000, headers.chain(["ok"]));
    // The body is the header's in all of these; rules of form have their own kind.
    let block = BLOCK_RULES.iter().filter(|rule| **rule != "body_root");
    let state = TX_RULES.iter().skip_while(is_of_form);
    let expected = block.chain(state).copied().chain(["malformed", "wrong_network", "accepted"]);
    assert_all_drawn("transition", 3_000, expected);
}

#[test]
fn the_cases_end_in_every_way() {
    let asert = ["constant", "limit", "floor", "harder", "as_at_start", "easier"];
    assert_all_drawn("asert", 1_000, asert);
    assert_all_drawn("bits", 1_000, ["accepted", "refused", "work_too_large"]);
    assert_all_drawn("target", 1_000, ["exact", "truncated"]);
    let rewards = ["whole", "halved", "nothing", "all_that_is_left", "nothing_left_to_make"];
    assert_all_drawn("reward", 4_000, rewards);
    assert_all_drawn("header", 1_000, ["meets", "misses", "bits_refused"]);
    let coinbase = ["accepted", "TooLong", "TooManyItems", "Trailing", "Truncated"];
    assert_all_drawn("coinbase", 1_000, coinbase);
    assert_all_drawn("body", 1_000, ["accepted", "TooLong", "Trailing", "Truncated"]);
    let policy =
        ["accepted", "UnknownTag", "TooManyItems", "Truncated", "Threshold", "Unsorted", "NotLiftable"];
    assert_all_drawn("policy", 4_000, policy);
    assert_all_drawn("record", 1_000, ["refused", "Account", "Holding", "Asset"]);
    let address = ["accepted", "upper_case", "not_bech32m", "wrong_prefix", "wrong_length"];
    assert_all_drawn("address", 1_000, address);
    let params = ["accepted", "name", "prefix", "spacing", "half_life", "start_bits", "limit_bits"];
    let more = ["block_bytes_max", "new_records_max", "allocations"];
    assert_all_drawn("params", 2_000, params.into_iter().chain(more));
    assert_all_drawn("trie", 300, ["empty", "present", "absent"]);
    let proof =
        ["present", "absent", "TooManySteps", "Truncated", "TrailingBytes", "NoLeaf", "MalformedLeaf"];
    let more = ["SplitOutOfRange", "SplitNotIncreasing", "LeafElsewhere", "HoldingOfCoins", "OtherRoot"];
    assert_all_drawn("proof", 20_000, proof.into_iter().chain(more));
    let excerpt = ["shown", "hidden", "Truncated", "TrailingBytes", "UnknownTag", "MalformedLeaf"];
    let more = ["SplitOutOfRange", "SplitNotIncreasing", "LeafElsewhere", "LeavesDisagree", "NothingShown"];
    assert_all_drawn("excerpt", 4_000, excerpt.into_iter().chain(more).chain(["OtherRoot"]));
}
