//! Of several faults the first in the order of the specification is the one found, so that every
//! node gives the same reason. Must not know more cases than it takes to pin the order down.

use steelyard_core::consensus::error::RuleError;
use steelyard_core::hash::{BlockId, HistoryRoot, StateRoot};
use steelyard_core::types::body::Coinbase;
use steelyard_core::types::header::Header;
use steelyard_core::types::transaction::Action;
use steelyard_ledger::accounts::{Terms, coins};
use steelyard_ledger::broken::Stage;
use steelyard_ledger::chain::{Block, seal};

/// What makes a fault, and the name of the rule that it breaks.
type HeaderFault = (fn(&mut Header), &'static str);
type BodyFault = (fn(&Stage, &mut Block), &'static str);

/// Faults of a header, in the order of the specification.
const HEADER_FAULTS: [HeaderFault; 7] = [
    (|h| h.version = 9, "header_version"),
    (|h| h.height = 0, "header_height"),
    (|h| h.prev = BlockId::ZERO, "header_prev"),
    (|h| h.prev_time = 0, "header_prev_time"),
    (|h| h.elapsed = 7, "header_elapsed"),
    (|h| h.time = 0, "header_time"),
    (|h| h.bits = 0, "header_bits"),
];

/// Faults of a body, in the order of the specification: each at a place of its own.
const BODY_FAULTS: [BodyFault; 8] = [
    (|_, b| b.body.items[0].push(0), "malformed_coinbase"),
    (|_, b| edit_coinbase(b, |c| c.height += 1), "coinbase_height"),
    (|_, b| b.body.items[4] = vec![1], "malformed"),
    (|_, b| *b.body.items[3].last_mut().unwrap() ^= 1, "invalid_signature"),
    (|stage, b| b.body.items[1] = late(stage, 7), "nonce_gap"),
    (|stage, b| b.body.items[2] = late(stage, 9), "nonce_gap"),
    (|_, b| edit_coinbase(b, |c| c.amount += 1), "coinbase_amount"),
    (|_, b| b.header.state_root = StateRoot::ZERO, "state_root"),
];

fn edit_coinbase(block: &mut Block, change: fn(&mut Coinbase)) {
    // A coinbase that does not decode any more has its fault already.
    if let Ok(mut coinbase) = Coinbase::from_bytes(&block.body.items[0]) {
        change(&mut coinbase);
        block.body.items[0] = coinbase.to_bytes();
    }
}

/// A payment with a nonce too high.
fn late(stage: &Stage, nonce: u64) -> Vec<u8> {
    stage.alice.pay_bytes(stage.chain.network(), Terms::of_nonce(nonce), vec![coins(stage.carol.address, 1)])
}

/// A right block of four payments.
fn block(stage: &Stage) -> Block {
    let pay = |nonce| {
        stage.alice.pay(stage.chain.network(), Terms::of_nonce(nonce), vec![coins(stage.carol.address, 1)])
    };
    let txs: Vec<_> = (3..7).map(pay).collect();
    stage.chain.draft(stage.chain.expected_header().time, &stage.chain.check_all(&txs))
}

#[test]
fn a_headers_first_fault_is_the_one_found() {
    let stage = Stage::new();
    let right = seal(block(&stage));
    for first in 0..HEADER_FAULTS.len() {
        let mut broken = right.clone();
        broken.header.history_root = HistoryRoot::ZERO;
        broken.body.items.clear();
        HEADER_FAULTS[first..].iter().for_each(|(breaks, _)| breaks(&mut broken.header));
        assert_eq!(stage.chain.check_and_connect(&broken).unwrap_err().name(), HEADER_FAULTS[first].1);
    }
}

#[test]
fn a_bodys_first_fault_is_the_one_found() {
    let stage = Stage::new();
    for first in 0..BODY_FAULTS.len() {
        let mut broken = block(&stage);
        // Backwards, so that a later fault does not undo an earlier one.
        BODY_FAULTS[first..].iter().rev().for_each(|(breaks, _)| breaks(&stage, &mut broken));
        assert_eq!(stage.chain.check_and_connect(&seal(broken)).unwrap_err().name(), BODY_FAULTS[first].1);
    }
}

/// Form comes before signatures, and both before the state, wherever in the block they stand.
#[test]
fn of_transactions_form_comes_first_then_signatures_then_state() {
    let stage = Stage::new();
    let good = block(&stage).body.items[1].clone();
    let gap = late(&stage, 8);
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    let zero =
        stage.act(Action::Burn { asset: steelyard_core::hash::AssetId([1; 32]), amount: 0 }).to_bytes();
    for (items, index, name) in [
        (vec![&gap, &forged, &zero], 3, "zero_amount"),
        (vec![&gap, &forged, &good], 2, "invalid_signature"),
        (vec![&gap, &good, &good], 1, "nonce_gap"),
    ] {
        let mut block = block(&stage);
        block.body.items.truncate(1);
        block.body.items.extend(items.into_iter().cloned());
        match stage.chain.check_and_connect(&seal(block)).unwrap_err() {
            RuleError::Transaction { index: found, rule } => assert_eq!((found, rule.name()), (index, name)),
            other => panic!("{other}"),
        }
    }
}
