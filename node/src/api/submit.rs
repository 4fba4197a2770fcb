//! Transactions on their way in: read, checked without state on all cores, and through the chain's
//! door. Answered when durable. One that was submitted before is answered as it stands, so that who
//! did not hear the first answer may ask again. Must not know what makes a transaction valid.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use rayon::prelude::*;
use serde::Deserialize;
use steelyard_core::consensus::error::TxRule;
use steelyard_core::consensus::transaction::{CheckedTx, shape};
use steelyard_core::encode::DecodeError;
use steelyard_core::hash::TxId;
use steelyard_core::types::transaction::TX_BYTES_MAX;

use super::Api;
use super::bodies::Candidates;
use super::error::ApiError;
use super::request::{Payload, json};
use super::types::{Submitted, TxStatus, TxVerdict};
use crate::chain::error::TxError;
use crate::limits::{API_BATCH_TXS_MAX, API_BODY_BYTES_MAX, API_TX_BODY_BYTES_MAX};
use crate::mempool::PoolError;

/// Bytes of the length in front of each transaction of a batch.
const LENGTH_BYTES: usize = 4;

/// What became of one transaction of a batch: its own fault, or the pool's verdict on it.
type Outcome = Result<(TxId, Result<(), PoolError>), ApiError>;

/// JSON of `POST /tx`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct One {
    /// Hex.
    tx: String,
}

/// JSON of `POST /txs`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Many {
    /// Hex, each.
    txs: Vec<String>,
}

/// `POST /tx`.
pub(super) async fn one(State(api): State<Arc<Api>>, request: Request) -> Result<Json<Submitted>, ApiError> {
    let tx = match Payload::read(request, API_TX_BODY_BYTES_MAX).await? {
        Payload::Raw(bytes) => bytes,
        Payload::Json(text) => unhex(&json::<One>(&text)?.tx)?,
    };
    let checking = Arc::clone(&api);
    let checked = tokio::task::spawn_blocking(move || check(&checking, &tx)).await;
    let tx = checked.map_err(|_| ApiError::internal("a check of signatures ended early"))??;
    let id = tx.id();
    match api.chain.submit_tx(tx).await {
        Ok(_) => Ok(Json(Submitted { id, status: TxStatus::Pending })),
        Err(TxError::Pool(refused)) if may_be_confirmed(&refused) => {
            match confirmed(&api, vec![id]).await?.contains(&id) {
                true => Ok(Json(Submitted { id, status: TxStatus::Confirmed })),
                false => Err(refused.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /txs`.
pub(super) async fn many(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Json<Vec<TxVerdict>>, ApiError> {
    let _place = api.batches.acquire().await.map_err(|_| ApiError::busy())?;
    let payload = Payload::read(request, API_BODY_BYTES_MAX).await?;
    let checking = Arc::clone(&api);
    let checked = tokio::task::spawn_blocking(move || {
        let txs = split(payload)?;
        Ok::<_, ApiError>(txs.into_par_iter().map(|tx| check(&checking, &tx?)).collect::<Vec<_>>())
    });
    let checked = checked.await.map_err(|_| ApiError::internal("a check of signatures ended early"))??;
    let (mut txs, mut verdicts) = (Vec::new(), Vec::with_capacity(checked.len()));
    for checked in checked {
        verdicts.push(checked.map(|tx| {
            let id = tx.id();
            txs.push(tx);
            id
        }));
    }
    let mut admitted = api.chain.submit_txs(txs).await?.into_iter();
    let outcomes: Vec<Outcome> = verdicts
        .into_iter()
        .map(|verdict| {
            let id = verdict?;
            let admission =
                admitted.next().ok_or_else(|| ApiError::internal("fewer verdicts than transactions"))?;
            Ok((id, admission.map(|_| ())))
        })
        .collect();
    let in_doubt = |outcome: &Outcome| match outcome {
        Ok((id, Err(refused))) if may_be_confirmed(refused) => Some(*id),
        _ => None,
    };
    let confirmed = confirmed(&api, outcomes.iter().filter_map(in_doubt).collect()).await?;
    Ok(Json(outcomes.into_iter().map(|outcome| answer(outcome, &confirmed)).collect()))
}

fn answer(outcome: Outcome, confirmed: &HashSet<TxId>) -> TxVerdict {
    match outcome {
        Ok((id, Ok(()))) => TxVerdict::Submitted(Submitted { id, status: TxStatus::Pending }),
        Ok((id, Err(_))) if confirmed.contains(&id) => {
            TxVerdict::Submitted(Submitted { id, status: TxStatus::Confirmed })
        }
        Ok((_, Err(refused))) => TxVerdict::Refused(ApiError::from(refused).into_body()),
        Err(error) => TxVerdict::Refused(error.into_body()),
    }
}

/// Form and signatures; those of a pending transaction not again.
fn check(api: &Api, bytes: &[u8]) -> Result<CheckedTx, ApiError> {
    let shared = &api.chain.shared;
    let shaped = shape(&shared.network, bytes)?;
    let is_known = shared.read().is_verified(&shaped.id(), &shaped.full_id());
    Ok(if is_known { shaped.known_to_verify() } else { shaped.verify()? })
}

/// A transaction that is in a block fails by its nonce, or earlier by its expiry.
fn may_be_confirmed(refused: &PoolError) -> bool {
    matches!(refused, PoolError::Rule(TxRule::NonceUsed { .. } | TxRule::Expired { .. }))
}

/// Those of the transactions that the active chain has.
async fn confirmed(api: &Arc<Api>, ids: Vec<TxId>) -> Result<HashSet<TxId>, ApiError> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    api.indexed().await?;
    let located = api.blocking(move |api| {
        let candidates = Candidates::of(&api.chain.shared.read(), &ids);
        let mut confirmed = HashSet::new();
        api.locate(candidates, |id, _, _, _| {
            confirmed.insert(id);
        })?;
        Ok(confirmed)
    });
    located.await
}

fn unhex(text: &str) -> Result<Vec<u8>, ApiError> {
    hex::decode(text).map_err(|error| ApiError::bad_request("malformed", format!("not hex: {error}")))
}

/// The transactions of a batch: what is wrong with one says nothing about the others.
fn split(payload: Payload) -> Result<Vec<Result<Vec<u8>, ApiError>>, ApiError> {
    let txs: Vec<_> = match payload {
        Payload::Json(text) => json::<Many>(&text)?.txs.iter().map(|tx| unhex(tx)).collect(),
        Payload::Raw(bytes) => split_framed(&bytes)?,
    };
    if txs.len() > API_BATCH_TXS_MAX {
        return Err(too_many(txs.len()));
    }
    Ok(txs)
}

/// Each transaction's length as u32 little-endian, then its bytes.
fn split_framed(bytes: &[u8]) -> Result<Vec<Result<Vec<u8>, ApiError>>, ApiError> {
    let truncated = || ApiError::bad_request("malformed_batch", "the batch ends within a transaction");
    let (mut rest, mut txs) = (bytes, Vec::new());
    while !rest.is_empty() {
        let (length, tail) = rest.split_first_chunk::<LENGTH_BYTES>().ok_or_else(truncated)?;
        let got = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| truncated())?;
        let (tx, tail) = tail.split_at_checked(got).ok_or_else(truncated)?;
        if txs.len() == API_BATCH_TXS_MAX {
            return Err(too_many(API_BATCH_TXS_MAX + 1));
        }
        let is_possible = got <= TX_BYTES_MAX;
        let too_long = || TxRule::Malformed(DecodeError::TooLong { got, max: TX_BYTES_MAX }).into();
        txs.push(if is_possible { Ok(tx.to_vec()) } else { Err(too_long()) });
        rest = tail;
    }
    Ok(txs)
}

fn too_many(got: usize) -> ApiError {
    ApiError::bad_request(
        "too_many_transactions",
        format!("{got} or more transactions, {API_BATCH_TXS_MAX} at once are taken"),
    )
}
