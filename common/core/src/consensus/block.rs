//! Blocks in isolation: the body against its header, each transaction's form, all signatures.
//! Must not know state, parents or threads: how signatures are checked is an argument, so that
//! the caller may use all cores and its cache.

use crate::consensus::error::{BlockRule, RuleError, TxRule};
use crate::consensus::header::CheckedHeader;
use crate::consensus::transaction::{self, CheckedTx, ShapedTx};
use crate::hash::NetworkId;
use crate::params::Params;
use crate::types::body::{Body, Coinbase};

/// A block of which only the connection to a state is left to check.
#[derive(Clone, Debug)]
pub struct CheckedBlock {
    header: CheckedHeader,
    coinbase: Coinbase,
    txs: Vec<CheckedTx>,
    body: Body,
}

/// What checks signatures: gives back the transactions in their order, or the place (from 0) and
/// rule of the first that fails.
pub type Verdicts = Result<Vec<CheckedTx>, (usize, TxRule)>;

/// Checks a body against its header, which passed [`super::header::check_header`].
///
/// # Errors
/// The first rule that is broken, in the order of the specification.
pub fn check_block(
    params: &Params,
    network: &NetworkId,
    header: CheckedHeader,
    body: Body,
    verify: impl FnOnce(Vec<ShapedTx>) -> Verdicts,
) -> Result<CheckedBlock, RuleError> {
    let check = |items: &[Vec<u8>]| {
        let shape = |(place, bytes): (usize, &Vec<u8>)| {
            transaction::shape(network, bytes).map_err(|rule| (place, rule))
        };
        verify(items.iter().enumerate().map(shape).collect::<Result<_, _>>()?)
    };
    check_block_by(params, header, body, check)
}

/// The same, with the transactions checked by `check`: form first, then signatures, as
/// [`transaction::shape`] and [`ShapedTx::verify`] do; a transaction of exactly the same bytes that
/// passed both before need not pass them again.
///
/// # Errors
/// As [`check_block`].
pub fn check_block_by(
    params: &Params,
    header: CheckedHeader,
    body: Body,
    check: impl FnOnce(&[Vec<u8>]) -> Verdicts,
) -> Result<CheckedBlock, RuleError> {
    // The root first: after it every fault is the block's, before it the sender's.
    let root = body.root();
    if root != header.header.body_root {
        return Err(BlockRule::BodyRoot { got: root, expected: header.header.body_root }.into());
    }
    let bytes = body.block_bytes() as u64;
    if bytes > params.block_bytes_max {
        return Err(BlockRule::Size { got: bytes, max: params.block_bytes_max }.into());
    }
    let Some((coinbase, txs)) = body.items.split_first() else {
        return Err(BlockRule::NoCoinbase.into());
    };
    let coinbase = Coinbase::from_bytes(coinbase).map_err(BlockRule::MalformedCoinbase)?;
    let expected = header.header.height;
    if coinbase.height != expected {
        return Err(BlockRule::CoinbaseHeight { got: coinbase.height, expected }.into());
    }
    let (got, max) = (txs.len() as u64, params.block_txs_max);
    if max != 0 && got > max {
        return Err(BlockRule::TransactionCount { got, max }.into());
    }
    let in_block = |(place, rule): (usize, TxRule)| RuleError::Transaction { index: place + 1, rule };
    let txs = check(txs).map_err(in_block)?;
    Ok(CheckedBlock { header, coinbase, txs, body })
}

/// Checks signatures one after another, without a cache.
///
/// # Errors
/// The place and rule of the first that fails.
pub fn verify_in_order(shaped: Vec<ShapedTx>) -> Verdicts {
    let verify = |(place, tx): (usize, ShapedTx)| tx.verify().map_err(|rule| (place, rule));
    shaped.into_iter().enumerate().map(verify).collect()
}

impl CheckedBlock {
    /// The header.
    #[must_use]
    pub fn header(&self) -> &CheckedHeader {
        &self.header
    }

    /// The coinbase.
    #[must_use]
    pub fn coinbase(&self) -> &Coinbase {
        &self.coinbase
    }

    /// The transactions, without the coinbase.
    #[must_use]
    pub fn txs(&self) -> &[CheckedTx] {
        &self.txs
    }

    /// The body's byte strings.
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.body
    }
}
