//! What is pending: figures, and the newest transactions page by page. Must not know who pays.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use steelyard_core::address;
use steelyard_core::amount::Coins;

use super::Api;
use super::error::ApiError;
use super::request::Args;
use super::types::{FeeRow, Mempool, NextBlock, PendingTx};
use crate::limits::MEMPOOL_BYTES_MAX;
use crate::mempool::{self, FeeRate};

/// A survey of a large pool may be so old.
const SURVEY_AGE_MAX: Duration = Duration::from_secs(1);
/// A pool of fewer transactions is surveyed again whenever it has changed.
const SURVEY_SMALL_TXS: u64 = 1_000;

/// Figures over the whole pool, as of one commit.
#[derive(Clone)]
pub(super) struct Survey {
    seq: u64,
    txs: u64,
    queued: u64,
    rows: Vec<FeeRow>,
    next_block: NextBlock,
}

/// `GET /mempool`.
pub(super) async fn summary(State(api): State<Arc<Api>>) -> Result<Json<Mempool>, ApiError> {
    let (seq, (txs, bytes)) = {
        let view = api.chain.shared.read();
        (view.seq(), view.pending_size())
    };
    let is_good = |age: Duration, survey: &Survey| {
        survey.seq == seq || (survey.txs >= SURVEY_SMALL_TXS && age < SURVEY_AGE_MAX)
    };
    let survey = api.pool.get(is_good, api.blocking(|api| Ok(survey(api)))).await?;
    Ok(Json(Mempool {
        txs: txs as u64,
        bytes: bytes as u64,
        bytes_max: MEMPOOL_BYTES_MAX as u64,
        queued: survey.queued,
        fee_histogram: survey.rows,
        next_block: survey.next_block,
    }))
}

/// `GET /mempool/txs`: newest first, those that arrived before `before`.
pub(super) async fn list(State(api): State<Arc<Api>>, args: Args) -> Result<Json<Vec<PendingTx>>, ApiError> {
    let (before, limit) = (args.number("before")?.unwrap_or(u64::MAX), args.limit()?);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let page = api.blocking(move |api| {
        let view = api.chain.shared.read();
        let mut entries: Vec<&mempool::Entry> =
            view.pending_all().filter(|entry| entry.arrival < before).collect();
        if entries.len() > limit {
            entries.select_nth_unstable_by_key(limit, |entry| Reverse(entry.arrival));
            entries.truncate(limit);
        }
        entries.sort_unstable_by_key(|entry| Reverse(entry.arrival));
        Ok(entries.into_iter().map(|entry| pending(&api.chain.shared.params.prefix, entry)).collect())
    });
    page.await.map(Json)
}

fn pending(prefix: &str, entry: &mempool::Entry) -> PendingTx {
    PendingTx {
        id: entry.tx.id(),
        fee: Coins(entry.rate.fee),
        size: entry.tx.bytes().len() as u64,
        weight: entry.rate.weight,
        sender: address::format(prefix, &entry.sender()),
        nonce: entry.nonce(),
        queued: entry.queued,
        arrival: entry.arrival,
    }
}

fn survey(api: &Api) -> Survey {
    let params = &api.chain.shared.params;
    let (seq, figures, selected) = {
        let view = api.chain.shared.read();
        let figures: Vec<(FeeRate, u64, bool)> = view
            .pending_all()
            .map(|entry| (entry.rate, entry.tx.bytes().len() as u64, entry.queued))
            .collect();
        (view.seq(), figures, view.select(params.block_bytes_max))
    };
    let mut rows: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for (rate, bytes, _) in &figures {
        let row = rows.entry(row_of(rate.fee / rate.weight.max(1))).or_default();
        *row = (row.0 + 1, row.1 + bytes);
    }
    let most = if params.block_txs_max == 0 { u64::MAX } else { params.block_txs_max };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let next = selected.iter().take(most);
    let fees = next.clone().fold(0u64, |sum, tx| sum.saturating_add(tx.tx().body.fee));
    Survey {
        seq,
        txs: figures.len() as u64,
        queued: figures.iter().filter(|(_, _, queued)| *queued).count() as u64,
        rows: rows
            .into_iter()
            .map(|(fee_rate_from, (txs, bytes))| FeeRow { fee_rate_from, txs, bytes })
            .collect(),
        next_block: NextBlock {
            txs: next.len() as u64,
            bytes: next.map(|tx| tx.bytes().len() as u64).sum(),
            fees: Coins(fees),
        },
    }
}

/// The row of the histogram that a rate belongs to: 0, then 1, 2, 5, 10, 20, 50 and so on.
fn row_of(rate: u64) -> u64 {
    let Some(digits) = rate.checked_ilog10() else { return 0 };
    let power = 10u64.pow(digits);
    match rate / power {
        1 => power,
        2..5 => 2 * power,
        _ => 5 * power,
    }
}

#[cfg(test)]
mod tests {
    use super::row_of;

    #[test]
    fn rows_rise_by_one_two_and_five() {
        let rows: Vec<u64> = [0, 1, 2, 4, 5, 9, 10, 19, 20, 49, 50, 1_234].into_iter().map(row_of).collect();
        assert_eq!(rows, [0, 1, 2, 2, 5, 5, 10, 10, 20, 20, 50, 1_000]);
        assert_eq!(row_of(u64::MAX), 10_000_000_000_000_000_000);
    }
}
