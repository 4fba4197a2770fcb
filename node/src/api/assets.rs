//! Assets: what the state says of them, and which transaction issued them, by the index. Must not know
//! who holds them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use steelyard_core::address as text;
use steelyard_core::amount;
use steelyard_core::hash::AssetId;
use steelyard_core::params::Params;
use steelyard_core::state::{Key as Path, Record, Trie};
use steelyard_core::types::body::Body;
use steelyard_core::types::transaction::{Action, Transaction, asset_id};

use super::Api;
use super::error::ApiError;
use super::history::{Page, after, caught_up, page, place};
use super::request::{Args, Segment};
use super::types::{Asset, Assets};
use crate::finder::{Key, Position};
use crate::lookup::{Placed, indexed};

/// `GET /assets`.
pub(super) async fn list(State(api): State<Arc<Api>>, args: Args) -> Result<Json<Assets>, ApiError> {
    let (from, limit) = (place(&args, "after")?, args.limit()?);
    caught_up(&api).await?;
    api.blocking(move |api| {
        let page = found(api, Key::Assets, (from, limit))?;
        Ok(Json(Assets {
            assets: page.items,
            next: page.next.map(|next| next.to_string()),
            indexed_height: page.indexed_height,
            height: page.height,
        }))
    })
    .await
}

/// `GET /asset/{id}`.
pub(super) async fn one(State(api): State<Arc<Api>>, id: Segment) -> Result<Json<Asset>, ApiError> {
    let id: AssetId = id.id()?;
    loop {
        let is_issued =
            matches!(api.chain.shared.read().state().get(&Path::Asset(id)), Some(Record::Asset(_)));
        if !is_issued {
            return Err(ApiError::not_found("unknown_asset", format!("no asset {id} was issued")));
        }
        let page = api.blocking(move |api| found(api, Key::Asset(id), (None, 1))).await?;
        if let Some(asset) = page.items.into_iter().next() {
            return Ok(Json(asset));
        }
        if page.indexed_height == page.height {
            return Err(ApiError::damaged(&format!("the index does not have the issue of asset {id}")));
        }
        indexed(&api.chain.shared, &api.finder).await?;
    }
}

fn found(api: &Api, key: Key, (from, limit): (Option<Position>, u64)) -> Result<Page<Asset>, ApiError> {
    let params = &api.chain.shared.params;
    page(api, after(key, from), limit, |state, placed, (item, body)| {
        Ok(issued(params, state, placed, (item, body))
            .filter(|asset| key == Key::Assets || key == Key::Asset(asset.asset)))
    })
}

/// The asset that this item issued; `None` where it issued none that the state has.
fn issued(params: &Params, state: &Trie, placed: &Placed, (index, body): (u32, &Body)) -> Option<Asset> {
    let bytes = body.items.get(usize::try_from(index).ok().filter(|index| *index > 0)?)?;
    let tx = Transaction::from_bytes(bytes).ok()?;
    let Action::Issue { .. } = tx.body.action else { return None };
    let id = tx.body.id();
    let asset = asset_id(&id);
    let Some(Record::Asset(description)) = state.get(&Path::Asset(asset)) else { return None };
    Some(Asset {
        asset,
        symbol: description.symbol.clone(),
        decimals: description.decimals,
        supply: amount::format(description.supply, description.decimals),
        mintable: description.mintable,
        issuer: text::format(&params.prefix, &description.issuer),
        tx: id,
        block: placed.entry.id,
        height: placed.entry.header.height,
        index,
    })
}
