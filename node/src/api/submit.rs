//! Transactions on their way in over HTTP: read, checked without state on all cores, and through
//! the chain's door. Answered when durable. Must not know what makes a transaction valid.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use rayon::prelude::*;
use serde::Deserialize;
use steelyard_core::consensus::error::TxRule;
use steelyard_core::encode::DecodeError;
use steelyard_core::types::transaction::TX_BYTES_MAX;

use super::Api;
use super::error::ApiError;
use super::request::{Payload, json};
use super::types::{Submitted, TxStatus, TxVerdict};
use crate::limits::{API_BATCH_TXS_MAX, API_BODY_BYTES_MAX, API_TX_BODY_BYTES_MAX};
use crate::lookup::LookupError;
use crate::lookup::submission::{Taken, check, submit};

/// Bytes of the length in front of each transaction of a batch.
const LENGTH_BYTES: usize = 4;

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
    let shared = Arc::clone(&api.chain.shared);
    let checked = tokio::task::spawn_blocking(move || check(&shared, &tx)).await;
    let tx = checked.map_err(|_| LookupError::Ended)??;
    let taken = submit::<ApiError>((&api.chain, &api.finder), &api.workers, vec![Ok(tx)]).await?.pop();
    Ok(Json(submitted(taken.ok_or(LookupError::Ended)??)))
}

/// `POST /txs`.
pub(super) async fn many(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Json<Vec<TxVerdict>>, ApiError> {
    let _place = api.batches.acquire().await.map_err(|_| ApiError::busy())?;
    let payload = Payload::read(request, API_BODY_BYTES_MAX).await?;
    let shared = Arc::clone(&api.chain.shared);
    let checked = tokio::task::spawn_blocking(move || {
        let check = |tx: Result<Vec<u8>, ApiError>| Ok(check(&shared, &tx?)?);
        Ok::<_, ApiError>(split(payload)?.into_par_iter().map(check).collect::<Vec<_>>())
    });
    let checked = checked.await.map_err(|_| LookupError::Ended)??;
    let verdict = |taken: Result<Taken, ApiError>| match taken {
        Ok(taken) => TxVerdict::Submitted(submitted(taken)),
        Err(refused) => TxVerdict::Refused(refused.into_body()),
    };
    Ok(Json(
        submit((&api.chain, &api.finder), &api.workers, checked).await?.into_iter().map(verdict).collect(),
    ))
}

fn submitted(taken: Taken) -> Submitted {
    let status = if taken.is_confirmed { TxStatus::Confirmed } else { TxStatus::Pending };
    Submitted { id: taken.id, status }
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
