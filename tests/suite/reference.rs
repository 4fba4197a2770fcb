//! The second implementation, `tests/reference`, which was written from `docs/protocol.md` alone, ends where
//! the node's chain ends, and says the same of every block on the way: trees of blocks that arrive in
//! random orders. 100 every day, `STEELYARD_CASES=100` asks for a hundred times as many. All other cases
//! are compared in the suite of `steelyard-ledger`. Needs `python3`: where there is none, it skips and says
//! so, which is a failure where `CI` is set.

use std::path::Path;

use steelyard_ledger::cases::reference;
use steelyard_tests::fork_cases;
use steelyard_tests::random::Random;

/// Trees of an everyday run.
const TREES: u64 = 100;

/// What is said so often that a hundred trees without it were no comparison.
const VERDICTS: [&str; 9] = [
    "active",
    "side",
    "known",
    "orphan",
    "known_invalid",
    "reorganised",
    "body_root",
    "state_root",
    "coinbase_amount",
];

#[test]
fn both_implementations_choose_the_same_branch() {
    let seed = Random::for_test(32).number();
    if !reference::is_there() {
        return;
    }
    let count = usize::try_from(TREES * reference::factor()).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let statistics = reference::compare(&root, fork_cases::cases(seed).take(count));
    println!("{statistics}");
    let missing: Vec<_> = VERDICTS.iter().filter(|verdict| !statistics.has("fork", verdict)).collect();
    assert!(missing.is_empty(), "no block was {missing:?}");
}
