//! What happened to an address, the newest first: places by the index, each held against its body. Must
//! not know the state beyond the decimals of assets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use steelyard_core::address as text;
use steelyard_core::consensus::transition::outflow;
use steelyard_core::hash::{Address, AssetId};
use steelyard_core::params::Params;
use steelyard_core::state::Trie;
use steelyard_core::types::body::{Body, Coinbase};
use steelyard_core::types::transaction::{Action, Payment, Transaction, asset_id};

use super::Api;
use super::address::parse;
use super::error::ApiError;
use super::request::{Args, Segment};
use super::tx::{Place, describe, units};
use super::types::{AddressHistory, HistoryDirection, HistoryEntry, Units};
use crate::chain::view::View;
use crate::finder::{Found, Key, Order, Position, Query, indexed_height};
use crate::limits::API_PLACES_MAX;
use crate::lookup::{LookupError, Placed, indexed};

/// How long a list waits for the index to come up to the tip, before it says how far it is.
const LIST_WAIT: Duration = Duration::from_millis(500);

/// A page of places in the active chain, each with its block's body.
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// Where the next page begins, if there is more.
    pub(super) next: Option<Position>,
    pub(super) indexed_height: u64,
    pub(super) height: u64,
}

/// `GET /address/{address}/txs`.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    segment: Segment,
    args: Args,
) -> Result<Json<AddressHistory>, ApiError> {
    let address = parse(&api.chain.shared.params, &segment)?;
    let (before, limit) = (place(&args, "before")?, args.limit()?);
    caught_up(&api).await?;
    api.blocking(move |api| {
        let to = before.map_or(Some(Position::LAST), Position::previous);
        let params = &api.chain.shared.params;
        let query = to.map(|to| Query { to, ..Query::newest(Key::Address(address), 0) });
        let page = page(api, query, limit, |state, placed, (item, body)| {
            entry(params, state, &address, placed, (item, body))
        })?;
        Ok(Json(AddressHistory {
            address: text::format(&params.prefix, &address),
            txs: page.items,
            next: page.next.map(|next| next.to_string()),
            indexed_height: page.indexed_height,
            height: page.height,
        }))
    })
    .await
}

/// A query's place in the chain, as an earlier page named it.
pub(super) fn place(args: &Args, key: &str) -> Result<Option<Position>, ApiError> {
    let refused = |text: &str| {
        let message = format!("{key}={text:?} is no place in the chain");
        ApiError::bad_request(&format!("invalid_{key}"), message).hint("give what `next` of a page says")
    };
    args.text(key).map(|text| text.parse().map_err(|_| refused(text))).transpose()
}

/// Gives the index a moment to come up to the tip: who has just seen a block wants it in the list. While
/// there is nothing to ask, it is waited for.
pub(super) async fn caught_up(api: &Api) -> Result<(), ApiError> {
    if !api.finder.is_on() {
        return Ok(());
    }
    let waiting = indexed(&api.chain.shared, &api.finder);
    if api.finder.progress().borrow().is_none() {
        return match waiting.await {
            // What there is by then is shown.
            Err(LookupError::Indexing) if api.finder.progress().borrow().is_some() => Ok(()),
            waited => Ok(waited?),
        };
    }
    // Whatever came of it is seen when the index is asked.
    let _ = tokio::time::timeout(LIST_WAIT, waiting).await;
    Ok(())
}

/// Up to `limit` of what `read` makes of the query's places; those that hold nothing of it, as a
/// reorganisation leaves them, are passed over, up to a bound. Blocks.
pub(super) fn page<T>(
    api: &Api,
    query: Option<Query>,
    limit: u64,
    mut read: impl FnMut(&Trie, &Placed, (u32, &Body)) -> Result<Option<T>, ApiError>,
) -> Result<Page<T>, ApiError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // One more than wanted says whether there is a next page.
    let queries: Vec<Query> =
        query.map(|query| Query { max: API_PLACES_MAX + 1, ..query }).into_iter().collect();
    let found = api.finder.find(&queries)?.ok_or(LookupError::Indexing)?;
    let (state, height, indexed_height, placed) = at_one_moment(&api.chain.shared.read(), &found);
    let places = found.places.into_iter().next().unwrap_or_default();
    let mut page = Page { items: Vec::new(), next: None, indexed_height, height };
    let (mut last, mut looks, mut body) = (None, 0, None);
    for place in places {
        if page.items.len() == limit || looks == API_PLACES_MAX {
            page.next = last;
            break;
        }
        (last, looks) = (Some(place), looks + 1);
        let Some(placed) = placed.get(&place.height) else { continue };
        let read_body = match body.take() {
            Some((height, body)) if height == place.height => body,
            _ => api.body(&placed.entry)?,
        };
        page.items.extend(read(&state, placed, (place.item, &read_body))?);
        body = Some((place.height, read_body));
    }
    Ok(page)
}

/// The state, the tip's height, how far the index counts, and the blocks at its places.
fn at_one_moment(view: &View, found: &Found) -> (Trie, u64, u64, BTreeMap<u64, Placed>) {
    let heights = found.places.iter().flatten().map(|place| place.height);
    let placed = heights.filter_map(|height| Some((height, Placed::active(view, view.active(height)?))));
    let placed = placed.collect();
    (view.state(), view.tip().header.height, indexed_height(view, &found.mark), placed)
}

/// The transaction or coinbase at this item as the address sees it; `None` where it does not touch it.
fn entry(
    params: &Params,
    state: &Trie,
    address: &Address,
    placed: &Placed,
    (index, body): (u32, &Body),
) -> Result<Option<HistoryEntry>, ApiError> {
    let Some(bytes) = usize::try_from(index).ok().and_then(|index| body.items.get(index)) else {
        return Ok(None);
    };
    let block = &placed.entry;
    let damaged = |error| ApiError::damaged(&format!("item {index} of block {}: {error}", block.id));
    let mut entry = HistoryEntry {
        id: None,
        block: block.id,
        height: block.header.height,
        index,
        confirmations: placed.confirmations,
        time: block.header.time,
        direction: HistoryDirection::Mined,
        incoming: Vec::new(),
        outgoing: Vec::new(),
        counterparties: Vec::new(),
        tx: None,
    };
    if index == 0 {
        let coinbase = Coinbase::from_bytes(bytes).map_err(damaged)?;
        entry.incoming = listed(state, BTreeMap::from([(AssetId::COINS, u128::from(coinbase.amount))]));
        return Ok((coinbase.miner == *address).then_some(entry));
    }
    let tx = Transaction::from_bytes(bytes).map_err(damaged)?;
    let Some(effect) = Effect::of(&tx, address) else { return Ok(None) };
    let place = Place::Block { placed, index };
    entry.tx = Some(describe(params, state, (&tx, bytes), place));
    entry.id = Some(tx.body.id());
    entry.direction = effect.direction;
    entry.incoming = listed(state, effect.incoming);
    entry.outgoing = listed(state, effect.outgoing);
    entry.counterparties = effect.others.iter().map(|other| text::format(&params.prefix, other)).collect();
    Ok(Some(entry))
}

/// Amounts of no address pass 2^64: who pays has what is paid, and who is paid can hold it.
fn listed(state: &Trie, amounts: BTreeMap<AssetId, u128>) -> Vec<Units> {
    let amounts = amounts.into_iter().filter(|(_, amount)| *amount > 0);
    amounts.map(|(asset, amount)| units(state, asset, u64::try_from(amount).unwrap_or(u64::MAX))).collect()
}

/// What a transaction was to an address.
struct Effect {
    direction: HistoryDirection,
    incoming: BTreeMap<AssetId, u128>,
    outgoing: BTreeMap<AssetId, u128>,
    /// Ascending, each once.
    others: Vec<Address>,
}

impl Effect {
    /// `None` where it does not touch the address.
    fn of(tx: &Transaction, address: &Address) -> Option<Self> {
        let body = &tx.body;
        let payments: &[Payment] = match &body.action {
            Action::Transfer { payments } => payments,
            _ => &[],
        };
        let mut incoming: BTreeMap<AssetId, u128> = BTreeMap::new();
        let own = payments.iter().filter(|payment| payment.to == *address);
        own.for_each(|payment| *incoming.entry(payment.asset).or_default() += u128::from(payment.amount));
        if body.sender != *address {
            let paid = Self {
                direction: HistoryDirection::In,
                outgoing: BTreeMap::new(),
                others: vec![body.sender],
                incoming,
            };
            return (!paid.incoming.is_empty()).then_some(paid);
        }
        let mut others: Vec<Address> =
            payments.iter().map(|payment| payment.to).filter(|to| to != address).collect();
        others.sort_unstable();
        others.dedup();
        let mut outgoing = outflow(body.fee, payments);
        let direction = match &body.action {
            Action::Transfer { .. } if others.is_empty() => HistoryDirection::Own,
            Action::Transfer { .. } => HistoryDirection::Out,
            Action::Issue { supply, .. } => {
                incoming.insert(asset_id(&body.id()), u128::from(*supply));
                HistoryDirection::Issued
            }
            Action::Mint { asset, amount } => {
                incoming.insert(*asset, u128::from(*amount));
                HistoryDirection::Minted
            }
            Action::Burn { asset, amount } => {
                *outgoing.entry(*asset).or_default() += u128::from(*amount);
                HistoryDirection::Burned
            }
        };
        Some(Self { direction, incoming, outgoing, others })
    }
}

/// The places of a key in the order of the chain, after one of them.
pub(super) fn after(key: Key, after: Option<Position>) -> Option<Query> {
    let from = after.map_or(Some(Position::FIRST), Position::next)?;
    Some(Query { key, from, to: Position::LAST, order: Order::OldestFirst, max: 0 })
}
