//! Sends that were asked for: one, with a wait if it is wanted, many, and dropping one. Must not
//! know how they are made.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use steelyard_core::hash::TxId;
use steelyard_runtime::clock;
use steelyard_runtime::exit::ExitCode;

use super::balance::open;
use super::error::RpcError;
use super::request::{Args, Named, NamedTx};
use super::types::{Tx, Txs};
use super::{Api, shown, waiting};
use crate::intent::{self, Intent, IntentId, WalletName};
use crate::limits::{RPC_REQUEST_MS, RPC_WAIT_MS_MAX};
use crate::view::View;

/// `GET /wallet/{name}/txs`.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Named(name): Named,
    args: Args,
) -> Result<Json<Txs>, RpcError> {
    let (before, limit) = (args.number("before")?, args.limit()?);
    open(&api.desk.shared.read(), &name)?;
    // One more than is shown says whether there are more.
    let mut found = api.desk.list(&name, before, limit + 1).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| has_more).map(|last| last.seq);
    let txs = found.iter().map(|intent| shown::tx(&api, &name, intent)).collect();
    Ok(Json(Txs { wallet: name, txs, next }))
}

/// `GET /wallet/{name}/tx/{id}`. With `confirmations` it waits until so many blocks hold it, 0 for a
/// node that has it, or until it is final, at most `timeout_ms`.
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    NamedTx(name, id): NamedTx,
    args: Args,
) -> Result<Json<Tx>, RpcError> {
    let (wanted, timeout) = (args.number("confirmations")?, args.number("timeout_ms")?);
    let timeout = timeout.unwrap_or(RPC_REQUEST_MS);
    if timeout > RPC_WAIT_MS_MAX {
        let message = format!("timeout_ms={timeout} where {RPC_WAIT_MS_MAX} is the most");
        return Err(RpcError::usage("invalid_timeout_ms", message));
    }
    let intent = find(&api, &name, &id).await?;
    let Some(wanted) = wanted else { return Ok(Json(shown::tx(&api, &name, &intent))) };
    let deadline = clock::start() + Duration::from_millis(timeout);
    let reached = |view: &View| has_reached(view, &name, &intent.id, wanted).then_some(());
    let is_reached = waiting::until(&api.desk.shared, deadline, reached).await.is_some();
    let now = find(&api, &name, intent.id.as_str()).await?;
    let now = shown::tx(&api, &name, &now);
    if is_reached || now.is_final {
        return Ok(Json(now));
    }
    let message = format!(
        "after {timeout} ms the send {} is {} with {} of {wanted} confirmations",
        now.id, now.state, now.confirmations
    );
    let error = RpcError::new(ExitCode::TimedOut, "timed_out", message).kept(&now.id);
    Err(error.hint(now.next_action.unwrap_or_else(|| format!("steelyard-wallet tx wait {}", now.id))))
}

/// Whether a send has what is waited for, or is final.
fn has_reached(view: &View, name: &WalletName, id: &IntentId, wanted: u64) -> bool {
    let Some(intent) = view.wallets.get(name).and_then(|wallet| wallet.live.get(id)) else { return true };
    let tip = view.snapshot.as_ref().map(|snapshot| snapshot.tip.height);
    match intent.state {
        intent::State::Intended {} | intent::State::Signed {} => false,
        _ => shown::confirmations(&intent.state, tip) >= wanted,
    }
}

/// `DELETE /wallet/{name}/tx/{id}`.
pub(super) async fn cancel(
    State(api): State<Arc<Api>>,
    NamedTx(name, id): NamedTx,
) -> Result<Json<Tx>, RpcError> {
    let intent = find(&api, &name, &id).await?;
    let cancelled = api.desk.cancel(&name, &intent.id).await?;
    Ok(Json(shown::tx(&api, &name, &cancelled)))
}

/// By the caller's id, or else by the transaction's.
async fn find(api: &Api, name: &WalletName, text: &str) -> Result<Arc<Intent>, RpcError> {
    open(&api.desk.shared.read(), name)?;
    let id: IntentId =
        text.parse().map_err(|error| RpcError::usage("invalid_id", format!("a send's id is {error}")))?;
    if let Some(intent) = api.desk.find(name, &id).await? {
        return Ok(intent);
    }
    if let Ok(tx) = text.parse::<TxId>()
        && let Some(intent) = api.desk.find_tx(name, &tx).await?
    {
        return Ok(intent);
    }
    let message = format!("wallet {name} has no send of the id {id}");
    Err(RpcError::usage("unknown_tx", message).hint("steelyard-wallet tx list"))
}
