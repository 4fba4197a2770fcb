//! Every named fault of [`steelyard_tests::broken`] at every door of a node: the chain and its pool,
//! the API, the wallet's protocol, what peers relay and what they serve. Each door gives the rule that
//! the ledger's own suite finds, and nothing gets in; what is right at a limit gets in through the
//! same door afterwards.
//!
//! | module | what |
//! |---|---|
//! | `inside` | pool and chain in this process, by the exact variant |
//! | `outside` | one real node, by the rule's name |
//! | `talk` | a connection whose every word is the test's |

mod inside;
mod outside;
pub mod talk;

use steelyard_tests::broken::{BlockCase, Stage, TxCase};

/// Transactions by what becomes of them on their own: refused, and taken.
fn transactions(stage: &Stage) -> (Vec<TxCase>, Vec<TxCase>) {
    stage.transactions().into_iter().partition(|case| case.verdict.is_err() && !case.is_queued)
}

/// Every block, those around each transaction included: refused, and taken.
fn blocks(stage: &Stage) -> (Vec<BlockCase>, Vec<BlockCase>) {
    let around = stage.transactions().into_iter().map(|case| stage.in_block(&case));
    let all = stage.headers().into_iter().chain(stage.blocks()).chain(around);
    all.partition(|case| case.verdict.is_err())
}
