//! The fuzz targets over the pure crate, every day: each of `tests/fuzz/corpus/` through its target, and
//! seeded random changes of each. `STEELYARD_CHANGES=1000` makes it long; `STEELYARD_CORPUS=write` writes
//! the first inputs anew. Must not know what a target checks.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use steelyard_ledger::fuzz::corpus::{inputs, replay};
use steelyard_ledger::fuzz::{TARGETS, seeds};
use steelyard_ledger::random::Random;

/// Random changes of each input, unless it is told otherwise.
const CHANGES: usize = 20;
/// What one target's inputs may have in the tree.
const CORPUS_BYTES_MAX: usize = 256 * 1024;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("fuzz/corpus")
}

fn changes() -> usize {
    std::env::var("STEELYARD_CHANGES").map_or(CHANGES, |text| text.parse().expect("a number"))
}

#[test]
fn every_input_and_random_changes_of_it() {
    let mut random = Random::for_test(41);
    for target in TARGETS {
        let runs = replay(&corpus(), target, changes(), &mut random);
        println!("{}: {runs} runs", target.0);
    }
}

/// The first inputs are in the tree as they are made; frozen messages are inputs too.
#[test]
fn the_first_inputs_are_there() {
    let messages =
        fs::read_to_string(corpus().parent().unwrap().parent().unwrap().join("golden/messages.txt"));
    let messages = messages.unwrap();
    let frames = messages.lines().map(|line| hex::decode(line.split(" = ").nth(1).unwrap()).unwrap());
    // Length u32, kind u8, request u32, body.
    let messages = frames.map(|frame| ("message", [&frame[4..5], &frame[9..]].concat()));
    let seeds: BTreeSet<_> = seeds::seeds().into_iter().chain(messages).collect();
    assert!(seeds.len() > 200);
    if std::env::var("STEELYARD_CORPUS").is_ok_and(|value| value == "write") {
        for (place, (target, bytes)) in seeds.iter().enumerate() {
            fs::create_dir_all(corpus().join(target)).unwrap();
            fs::write(corpus().join(target).join(format!("first-{place:03}")), bytes).unwrap();
        }
    }
    for (target, _) in TARGETS {
        let there: BTreeSet<Vec<u8>> =
            inputs(&corpus(), target).into_iter().map(|(_, bytes)| bytes).collect();
        let missing = seeds.iter().filter(|(of, bytes)| of == target && !there.contains(bytes));
        assert_eq!(missing.count(), 0, "STEELYARD_CORPUS=write writes the first inputs of {target}");
        let bytes: usize = there.iter().map(Vec::len).sum();
        assert!(bytes < CORPUS_BYTES_MAX, "{target} has {bytes} bytes of inputs: cargo fuzz cmin");
    }
}
