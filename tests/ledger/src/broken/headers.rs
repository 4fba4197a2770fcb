//! Headers with one field wrong, each over the body that it commits to. Must not know bodies.

use steelyard_core::consensus::error::HeaderRule;
use steelyard_core::consensus::header::Parent;
use steelyard_core::hash::{BlockId, HistoryRoot};
use steelyard_core::types::header::Header;
use steelyard_core::work::from_bits;

use super::{BlockCase, Stage};
use crate::chain::{Block, seal};
use crate::tip::searched;

/// A change and the rule that is then broken.
type Case = (&'static str, fn(&mut Header), HeaderRule);

pub(super) fn all(stage: &Stage) -> Vec<BlockCase> {
    let right = seal(stage.chain.empty_draft());
    let cases = links(&right.header).into_iter().chain(work(&right.header));
    let wrong = cases.map(|(name, change, rule)| {
        let mut block = right.clone();
        change(&mut block.header);
        BlockCase::wrong(name, block, rule)
    });
    wrong.chain(roots(stage, &right)).chain(times(stage)).collect()
}

/// What joins a header to its parent.
fn links(right: &Header) -> Vec<Case> {
    let Header { height, prev, prev_time, elapsed, .. } = *right;
    let version = |got| HeaderRule::Version { got, expected: 1 };
    let at = |got| HeaderRule::Height { got, expected: height };
    let prev_time = |got| HeaderRule::PrevTime { got, expected: prev_time };
    let elapsed = |got| HeaderRule::Elapsed { got, expected: elapsed };
    let nobody = BlockId([1; 32]);
    vec![
        ("version 0", |h| h.version = 0, version(0)),
        ("version 2", |h| h.version = 2, version(2)),
        ("a height too low by one", |h| h.height -= 1, at(height - 1)),
        ("a height too high by one", |h| h.height += 1, at(height + 1)),
        ("the height of genesis", |h| h.height = 0, at(0)),
        ("the last height there is", |h| h.height = u64::MAX, at(u64::MAX)),
        (
            "a parent that nobody has",
            |h| h.prev = BlockId([1; 32]),
            HeaderRule::Prev { got: nobody, expected: prev },
        ),
        ("a parent's time too early by one", |h| h.prev_time -= 1, prev_time(right.prev_time - 1)),
        ("a parent's time too late by one", |h| h.prev_time += 1, prev_time(right.prev_time + 1)),
        ("elapsed too little by one", |h| h.elapsed -= 1, elapsed(right.elapsed - 1)),
        ("elapsed too much by one", |h| h.elapsed += 1, elapsed(right.elapsed + 1)),
        ("nothing elapsed", |h| h.elapsed = 0, elapsed(0)),
    ]
}

/// Time, difficulty and work.
fn work(right: &Header) -> Vec<Case> {
    let Header { prev_time, bits, .. } = *right;
    let time = |got| HeaderRule::Time { got, parent: prev_time };
    let bits_of = |got| HeaderRule::Bits { got, expected: bits };
    vec![
        ("the parent's time", |h| h.time = h.prev_time, time(prev_time)),
        ("a time before the parent's", |h| h.time = h.prev_time - 1, time(prev_time - 1)),
        ("a time of zero", |h| h.time = 0, time(0)),
        ("bits lower by one", |h| h.bits -= 1, bits_of(bits - 1)),
        ("bits higher by one", |h| h.bits += 1, bits_of(bits + 1)),
        // Zero, negative and too wide bits are compared, never expanded.
        ("bits of zero", |h| h.bits = 0, bits_of(0)),
        ("bits with a sign", |h| h.bits = 0x2080_0001, bits_of(0x2080_0001)),
        ("bits of no number", |h| h.bits = u32::MAX, bits_of(u32::MAX)),
        ("the same target, written otherwise", |h| h.bits = 0x2100_7fff, bits_of(0x2100_7fff)),
        ("no proof of work", |h| *h = above_target(*h), HeaderRule::ProofOfWork),
    ]
}

fn roots(stage: &Stage, right: &Block) -> Vec<BlockCase> {
    let case = |name, root| {
        let header = searched(Header { history_root: root, ..right.header });
        let rule = HeaderRule::HistoryRoot { got: root, expected: right.header.history_root };
        BlockCase::wrong(name, Block { header, ..right.clone() }, rule)
    };
    let Parent { history_root: early, .. } = stage.chain.tip_at(stage.chain.height() - 1).parent();
    vec![
        case("a history root of zeros", HistoryRoot::ZERO),
        case("a history root of nothing known", HistoryRoot([1; 32])),
        case("the history root of its parent", early),
    ]
}

fn times(stage: &Stage) -> Vec<BlockCase> {
    let at = |time| seal(stage.chain.empty_draft_at(time));
    let parent = stage.chain.tip().header.time;
    let in_order = BlockCase::right("a time one after the parent's", at(parent + 1));
    let late = BlockCase::right("a time an hour after the parent's", at(parent + 3_600_000));
    vec![in_order, late]
}

/// The header with the first nonce that does not meet its bits.
fn above_target(header: Header) -> Header {
    let target = from_bits(header.bits).expect("a right header's bits");
    let mut nonces = (0..).map(|nonce| Header { nonce, ..header });
    nonces.find(|header| header.pow_hash() > target).expect("half of all nonces are such")
}
