//! One transaction: pending, or found in a body of the active chain. Must not know how it came.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use steelyard_core::address;
use steelyard_core::amount::{self, COIN_DECIMALS, Coins};
use steelyard_core::consensus::transaction::CheckedTx;
use steelyard_core::hash::{AssetId, TxId};
use steelyard_core::params::Params;
use steelyard_core::state::{Key, Record, Trie};
use steelyard_core::types::body::Body;
use steelyard_core::types::transaction::{self, Transaction, asset_id, full_id};

use super::Api;
use super::error::ApiError;
use super::request::{Segment, Tag, octets};
use super::types::{Action, Payment, Tx, TxProof, TxStatus, Units};
use crate::lookup::{Candidates, Look, Placed, indexed, locate};

/// Where a transaction stands.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// In the pool.
    Pending { queued: bool },
    /// In a block.
    Block { placed: &'a Placed, index: u32 },
}

/// A transaction that was found.
enum Found {
    Pending(Arc<CheckedTx>, bool),
    Confirmed(Box<(Placed, u32, Body)>),
}

impl Found {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Pending(tx, _) => tx.bytes(),
            Self::Confirmed(found) => &found.2.items[found.1 as usize],
        }
    }
}

/// `GET /tx/{id}`.
pub(super) async fn one(State(api): State<Arc<Api>>, id: Segment) -> Result<Json<Tx>, ApiError> {
    let found = find(&api, id.id()?).await?;
    let state = api.chain.shared.read().state();
    let params = &api.chain.shared.params;
    let tx = match &found {
        Found::Pending(tx, queued) => {
            describe(params, &state, (tx.tx(), tx.bytes()), Place::Pending { queued: *queued })
        }
        Found::Confirmed(block) => {
            let tx = Transaction::from_bytes(found.bytes()).map_err(|error| {
                ApiError::damaged(&format!("a transaction of block {}: {error}", block.0.entry.id))
            })?;
            describe(params, &state, (&tx, found.bytes()), Place::Block { placed: &block.0, index: block.1 })
        }
    };
    Ok(Json(tx))
}

/// `GET /tx/{id}/raw`.
pub(super) async fn raw(
    State(api): State<Arc<Api>>,
    id: Segment,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let found = find(&api, id.id()?).await?;
    // Not by id: another authorization of the same transaction has other bytes.
    let tag = Tag::new(full_id(found.bytes()));
    if tag.is_known(&headers) {
        return Ok(tag.not_modified());
    }
    Ok(tag.mark(octets(found.bytes().to_vec())))
}

/// `GET /tx/{id}/proof`.
pub(super) async fn proof(State(api): State<Arc<Api>>, id: Segment) -> Result<Json<TxProof>, ApiError> {
    let id: TxId = id.id()?;
    let Found::Confirmed(found) = find(&api, id).await? else {
        let pending =
            ApiError::not_found("not_confirmed", format!("transaction {id} is pending: no block holds it"));
        return Err(pending.hint("GET /api/v1/tx/{id} says when one does"));
    };
    let proof = api.blocking(move |_| {
        let (placed, index, body) = *found;
        let path =
            body.path(u64::from(index)).ok_or_else(|| ApiError::internal("no path to an item of a body"))?;
        Ok(TxProof {
            id,
            block: placed.entry.id,
            height: placed.entry.header.height,
            header: hex::encode(placed.entry.header.to_bytes()),
            index,
            count: u32::try_from(body.items.len())
                .map_err(|_| ApiError::internal("a body of too many items"))?,
            leaf: hex::encode(&body.items[index as usize]),
            siblings: path.iter().map(|node| hex::encode(node.0)).collect(),
        })
    });
    proof.await.map(Json)
}

/// Looks among what is pending, then in the bodies; waits while the index is behind.
async fn find(api: &Arc<Api>, id: TxId) -> Result<Found, ApiError> {
    loop {
        if let Some(entry) = api.chain.shared.read().pending(&id) {
            return Ok(Found::Pending(Arc::clone(&entry.tx), entry.queued));
        }
        match api.blocking(move |api| look(api, id)).await? {
            Looked::Found(found) => return Ok(found),
            Looked::Pruned { from } => {
                let message =
                    format!("transaction {id} is in a block below height {from}, whose body is pruned");
                return Err(ApiError::pruned(message));
            }
            Looked::Nowhere { from } => {
                let where_to = match from {
                    0 | 1 => String::new(),
                    from => format!(" from height {from} on; earlier blocks are pruned and not looked into"),
                };
                let message = format!("no transaction {id}, pending or confirmed{where_to}");
                return Err(ApiError::not_found("unknown_transaction", message));
            }
            Looked::NotYet => {}
        }
        indexed(&api.chain.shared, &api.finder).await?;
    }
}

/// What one look gives.
enum Looked {
    Found(Found),
    /// It may be in a block below this height, whose body is gone.
    Pruned {
        from: u64,
    },
    /// In no block from this height on.
    Nowhere {
        from: u64,
    },
    /// In none that the index has read; it is behind.
    NotYet,
}

/// Looks among what is pending, then where the index says. Blocks.
fn look(api: &Api, id: TxId) -> Result<Looked, ApiError> {
    let look = Look::at(&api.finder, &[id])?;
    let (candidates, is_certain, from) = {
        // Pool and chain at one moment: a transaction moves from one to the other.
        let view = api.chain.shared.read();
        if let Some(entry) = view.pending(&id) {
            return Ok(Looked::Found(Found::Pending(Arc::clone(&entry.tx), entry.queued)));
        }
        (Candidates::of(&view, &look, |_| true), look.is_certain(&view), view.bodies_from())
    };
    let mut confirmed = None;
    let pruned = locate(&api.chain, candidates, |_, placed, index, body| {
        confirmed = Some(Found::Confirmed(Box::new((placed.clone(), index, body.clone()))));
    })?;
    Ok(match confirmed {
        Some(found) => Looked::Found(found),
        None if !pruned.is_empty() => Looked::Pruned { from },
        None if is_certain => Looked::Nowhere { from },
        None => Looked::NotYet,
    })
}

/// A transaction in full. `state` is asked for the decimals of assets.
pub(super) fn describe(
    params: &Params,
    state: &Trie,
    (tx, bytes): (&Transaction, &[u8]),
    place: Place<'_>,
) -> Tx {
    let body = &tx.body;
    let id = body.id();
    let mut described = Tx {
        id,
        full_id: full_id(bytes),
        status: TxStatus::Pending,
        confirmations: 0,
        block: None,
        height: None,
        time: None,
        index: None,
        queued: false,
        sender: address::format(&params.prefix, &body.sender),
        nonce: body.nonce,
        fee: Coins(body.fee),
        expiry: body.expiry,
        memo: hex::encode(&*body.memo),
        memo_text: std::str::from_utf8(&body.memo).ok().map(str::to_owned),
        action: action(params, state, id, &body.action),
        size: bytes.len() as u64,
    };
    match place {
        Place::Pending { queued } => described.queued = queued,
        Place::Block { placed, index } => {
            let entry = &placed.entry;
            described.status = if placed.active { TxStatus::Confirmed } else { TxStatus::Inactive };
            described.confirmations = placed.confirmations;
            (described.block, described.height) = (Some(entry.id), Some(entry.header.height));
            (described.time, described.index) = (Some(entry.header.time), Some(index));
        }
    }
    described
}

fn action(params: &Params, state: &Trie, id: TxId, action: &transaction::Action) -> Action {
    match action {
        transaction::Action::Transfer { payments } => {
            let payment = |payment: &transaction::Payment| Payment {
                to: address::format(&params.prefix, &payment.to),
                units: units(state, payment.asset, payment.amount),
            };
            Action::Transfer { payments: payments.iter().map(payment).collect() }
        }
        transaction::Action::Issue { symbol, decimals, supply, mintable } => Action::Issue {
            asset: asset_id(&id),
            symbol: String::from_utf8_lossy(symbol).into_owned(),
            decimals: *decimals,
            supply: amount::format(*supply, *decimals),
            mintable: *mintable,
        },
        transaction::Action::Mint { asset, amount } => Action::Mint(units(state, *asset, *amount)),
        transaction::Action::Burn { asset, amount } => Action::Burn(units(state, *asset, *amount)),
    }
}

pub(super) fn units(state: &Trie, asset: AssetId, amount: u64) -> Units {
    if asset == AssetId::COINS {
        let amount = amount::format(amount, COIN_DECIMALS);
        return Units { asset: None, amount, decimals: Some(COIN_DECIMALS) };
    }
    let decimals = match state.get(&Key::Asset(asset)) {
        Some(Record::Asset(description)) => Some(description.decimals),
        _ => None,
    };
    Units { asset: Some(asset), amount: amount::format(amount, decimals.unwrap_or(0)), decimals }
}
