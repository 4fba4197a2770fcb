//! Blocks to be searched for: candidates in, a header and body that every rule accepts but proof
//! of work. Must not know where candidates come from, nor the clock.

use crate::consensus::header::{Parent, expected_child};
use crate::consensus::transaction::CheckedTx;
use crate::consensus::transition::{Overlay, apply, apply_changes, credit_miner};
use crate::encode::List;
use crate::hash::Address;
use crate::params::Params;
use crate::state::Trie;
use crate::types::body::{Body, COINBASE_EXTRA_BYTES_MAX, Coinbase};
use crate::types::header::Header;

/// Who is paid for a block, with a word of theirs.
#[derive(Clone, Debug)]
pub struct Payout {
    /// Gets reward and fees.
    pub miner: Address,
    /// Goes into the coinbase.
    pub extra: List<u8, COINBASE_EXTRA_BYTES_MAX>,
}

/// A block but for its nonce.
#[derive(Clone, Debug)]
pub struct Template {
    /// To be searched: nonce 0.
    pub header: Header,
    /// The coinbase and the chosen transactions.
    pub body: Body,
}

/// Builds on `parent`, whose state is `state`. Takes candidates in their order, leaving out each
/// that does not fit or is not valid where it would stand. The block's time is `now`, or just
/// after its parent's if that is later.
#[must_use]
pub fn assemble<'a>(
    params: &Params,
    parent: &Parent<'_>,
    state: &Trie,
    candidates: impl IntoIterator<Item = &'a CheckedTx>,
    (payout, now): (&Payout, u64),
) -> Template {
    let mut header = expected_child(params, parent);
    header.time = header.time.max(now);
    let mut coinbase =
        Coinbase { height: header.height, miner: payout.miner, amount: 0, extra: payout.extra.clone() };
    let mut body = Body { items: vec![coinbase.to_bytes()] };
    let mut bytes = body.block_bytes() as u64;
    let mut overlay = Overlay::new(state);
    let mut fees: u64 = 0;
    for tx in candidates {
        let with_tx = bytes + 8 + tx.bytes().len() as u64;
        let is_full = params.block_txs_max != 0 && body.items.len() as u64 > params.block_txs_max;
        if is_full {
            break;
        }
        if with_tx > params.block_bytes_max {
            continue;
        }
        let mut attempt = overlay.child();
        if apply(&mut attempt, header.height, tx).is_err()
            || overlay.new_records() + attempt.new_records() > params.new_records_max
        {
            continue;
        }
        let Some(with_fee) = fees.checked_add(tx.tx().body.fee) else { continue };
        let changes = attempt.into_changes();
        overlay.absorb(changes);
        (bytes, fees) = (with_tx, with_fee);
        body.items.push(tx.bytes().to_vec());
    }
    coinbase.amount = params.reward(header.height).saturating_add(fees);
    body.items[0] = coinbase.to_bytes();
    credit_miner(&mut overlay, coinbase.miner, coinbase.amount).expect("the supply bounds every balance");
    header.body_root = body.root();
    header.state_root = apply_changes(state, &overlay.into_changes()).root();
    Template { header, body }
}
