//! Blocks and headers. A block's content never changes but its confirmations do, so its tag names
//! both; its bytes alone never change. Must not know how bodies are stored.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use steelyard_core::address;
use steelyard_core::amount::Coins;
use steelyard_core::hash::BlockId;
use steelyard_core::params::Params;
use steelyard_core::types::body::Body;
use steelyard_core::types::header::HEADER_BYTES;

use super::Api;
use super::bodies::{BodySummary, coinbase, transactions};
use super::error::ApiError;
use super::request::{Args, Segment, Tag, octets};
use super::tx::{Place, describe};
use super::types::{Block, BlockSummary, Decimal, Header};
use crate::chain::error::LoadError;
use crate::chain::index::{Entry, Verdict};
use crate::chain::view::View;
use crate::lookup::{self, Placed};

/// What never changes may be kept for a year.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// `GET /blocks/tip`.
pub(super) async fn tip(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let placed = {
        let view = api.chain.shared.read();
        Placed::active(&view, view.tip())
    };
    answer(api, &headers, placed).await
}

/// `GET /blocks/tip/height`.
pub(super) async fn tip_height(State(api): State<Arc<Api>>) -> String {
    api.chain.shared.read().tip().header.height.to_string()
}

/// `GET /block/{id}`.
pub(super) async fn by_id(
    State(api): State<Arc<Api>>,
    id: Segment,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let placed = find(&api, &id)?;
    answer(api, &headers, placed).await
}

/// `GET /block-height/{height}`.
pub(super) async fn by_height(
    State(api): State<Arc<Api>>,
    height: Segment,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let height = height.height()?;
    let placed = {
        let view = api.chain.shared.read();
        let tip = view.tip().header.height;
        let unknown = || {
            ApiError::not_found("unknown_height", format!("no block at height {height}, the tip is at {tip}"))
        };
        Placed::active(&view, view.active(height).ok_or_else(unknown)?)
    };
    answer(api, &headers, placed).await
}

/// `GET /block/{id}/raw`: the header's bytes, then the encoded body.
pub(super) async fn raw(
    State(api): State<Arc<Api>>,
    id: Segment,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let placed = find(&api, &id)?;
    let tag = Tag::new(placed.entry.id);
    if tag.is_known(&headers) {
        return Ok(tag.not_modified());
    }
    let bytes = api.blocking(move |api| {
        let body = api.body(&placed.entry)?.to_bytes();
        Ok([&placed.entry.header.to_bytes()[..], &body].concat())
    });
    let mut response = tag.mark(octets(bytes.await?));
    response.headers_mut().insert(CACHE_CONTROL, IMMUTABLE);
    Ok(response)
}

/// `GET /block/{id}/txs`: every transaction in full.
pub(super) async fn txs(
    State(api): State<Arc<Api>>,
    id: Segment,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let placed = find(&api, &id)?;
    let tag = tag(&placed);
    if tag.is_known(&headers) {
        return Ok(tag.not_modified());
    }
    let txs = api.blocking(move |api| {
        let state = api.chain.shared.read().state();
        let all = transactions(&placed.entry, &api.body(&placed.entry)?)?;
        let place = |index| Place::Block { placed: &placed, index };
        let described = (1..).zip(&all).map(|(index, (tx, bytes))| {
            describe(&api.chain.shared.params, &state, (tx, bytes), place(index))
        });
        Ok(described.collect::<Vec<_>>())
    });
    Ok(tag.mark(Json(txs.await?).into_response()))
}

/// `GET /blocks`: the newest, or those from a height on.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    args: Args,
) -> Result<Json<Vec<BlockSummary>>, ApiError> {
    let blocks = range(&api, &args)?;
    let summaries = api.blocking(move |api| {
        let summarise = |placed: &Placed| {
            let body = api.body_summary(&placed.entry)?;
            Ok(summary(&api.chain.shared.params, placed, &body))
        };
        blocks.iter().map(summarise).collect()
    });
    summaries.await.map(Json)
}

/// `GET /headers`: the same, without what only bodies say.
pub(super) async fn headers(State(api): State<Arc<Api>>, args: Args) -> Result<Json<Vec<Header>>, ApiError> {
    let blocks = range(&api, &args)?;
    Ok(Json(blocks.iter().map(|placed| header(&placed.entry)).collect()))
}

/// Active blocks, ascending.
fn range(api: &Api, args: &Args) -> Result<Vec<Placed>, ApiError> {
    let (from, limit) = (args.number("from")?, args.limit()?);
    let view = api.chain.shared.read();
    let tip = view.tip().header.height;
    let from = from.unwrap_or_else(|| (tip + 1).saturating_sub(limit));
    let heights = from..from.saturating_add(limit);
    Ok(heights.map_while(|height| view.active(height)).map(|entry| Placed::active(&view, entry)).collect())
}

fn find(api: &Api, id: &Segment) -> Result<Placed, ApiError> {
    let id: BlockId = id.id()?;
    let view: &View = &api.chain.shared.read();
    let (number, entry) =
        view.block(&id).ok_or_else(|| ApiError::not_found("unknown_block", format!("no block {id} here")))?;
    Ok(Placed::any(view, number, entry))
}

/// Changes with everything that a block's answer says.
fn tag(placed: &Placed) -> Tag {
    let invalid = if placed.entry.is_invalid() { "-invalid" } else { "" };
    Tag::new(format_args!("{}-{}{invalid}", placed.entry.id, placed.confirmations))
}

async fn answer(api: Arc<Api>, headers: &HeaderMap, placed: Placed) -> Result<Response, ApiError> {
    let tag = tag(&placed);
    if tag.is_known(headers) {
        return Ok(tag.not_modified());
    }
    let block = api.blocking(move |api| {
        let params = &api.chain.shared.params;
        match lookup::body(&api.chain, &placed.entry) {
            Ok(body) => block(params, &placed, &body),
            Err(LoadError::Pruned { .. }) => {
                let summary = summary(params, &placed, &BodySummary::PRUNED);
                Ok(Block { summary, extra: String::new(), txs: Vec::new() })
            }
            Err(error) => Err(error.into()),
        }
    });
    Ok(tag.mark(Json(block.await?).into_response()))
}

fn block(params: &Params, placed: &Placed, body: &Body) -> Result<Block, ApiError> {
    let coinbase = coinbase(&placed.entry, body)?;
    let txs: Vec<_> = transactions(&placed.entry, body)?.iter().map(|(tx, _)| tx.body.id()).collect();
    let of_body = BodySummary {
        coinbase: coinbase.as_ref().map(|paid| (paid.miner, paid.amount)),
        tx_count: txs.len() as u64,
        is_pruned: false,
    };
    let extra = coinbase.map(|coinbase| hex::encode(&*coinbase.extra)).unwrap_or_default();
    Ok(Block { summary: summary(params, placed, &of_body), extra, txs })
}

fn summary(params: &Params, placed: &Placed, body: &BodySummary) -> BlockSummary {
    let entry = &placed.entry;
    let invalid = match &entry.verdict {
        Verdict::Invalid { reason } => Some(reason.clone()),
        Verdict::Unexecuted | Verdict::Connected { .. } => None,
    };
    let body_bytes =
        entry.body.as_ref().map_or_else(|| Body::default().to_bytes().len() as u64, |b| b.length.into());
    BlockSummary {
        header: header(entry),
        confirmations: placed.confirmations,
        active: placed.active,
        invalid,
        miner: body.coinbase.map(|(miner, _)| address::format(&params.prefix, &miner)),
        reward: Coins(body.coinbase.map_or(0, |(_, amount)| amount)),
        tx_count: body.tx_count,
        bytes: HEADER_BYTES as u64 + body_bytes,
        pruned: body.is_pruned,
    }
}

fn header(entry: &Entry) -> Header {
    let header = &entry.header;
    Header {
        id: entry.id,
        version: header.version,
        height: header.height,
        prev: header.prev,
        history_root: header.history_root,
        body_root: header.body_root,
        state_root: header.state_root,
        elapsed: header.elapsed,
        prev_time: header.prev_time,
        time: header.time,
        bits: header.bits,
        nonce: Decimal(header.nonce),
        header: hex::encode(header.to_bytes()),
        work: Decimal(entry.total_work),
    }
}
