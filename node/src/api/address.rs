//! One address: what the state holds there, what is pending, and the proofs of it. Must not know
//! history: that is [`super::history`]'s.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use steelyard_core::address as text;
use steelyard_core::amount::{self, Coins};
use steelyard_core::hash::{Address, AssetId, BlockId};
use steelyard_core::params::Params;
use steelyard_core::state::{Key, Record, Trie, Wanted};

use super::Api;
use super::error::ApiError;
use super::request::{Args, Segment};
use super::types::{AddressHoldings, AddressInfo, AddressProof, Holding};
use crate::limits::API_ASSETS_MAX;
use crate::mempool;

/// `GET /address/{address}`.
pub(super) async fn info(
    State(api): State<Arc<Api>>,
    segment: Segment,
) -> Result<Json<AddressInfo>, ApiError> {
    let address = parse(&api.chain.shared.params, &segment)?;
    api.blocking(move |api| Ok(Json(describe(api, address)))).await
}

/// `GET /address/{address}/proof`, of its coins and nonce or of an asset.
pub(super) async fn proof(
    State(api): State<Arc<Api>>,
    segment: Segment,
    args: Args,
) -> Result<Json<AddressProof>, ApiError> {
    let params = &api.chain.shared.params;
    let address = parse(params, &segment)?;
    let asset = args.text("asset").map(|text| Segment(text.to_owned()).id::<AssetId>()).transpose()?;
    let key = match asset {
        Some(AssetId::COINS) => {
            return Err(ApiError::bad_request("invalid_id", "coins are proven without naming an asset"));
        }
        Some(asset) => Key::Holding(address, asset),
        None => Key::Account(address),
    };
    let (state, header, block) = {
        let view = api.chain.shared.read();
        (view.state(), view.tip().header, view.tip().id)
    };
    Ok(Json(AddressProof {
        address: text::format(&params.prefix, &address),
        asset,
        height: header.height,
        block,
        header: hex::encode(header.to_bytes()),
        proof: hex::encode(state.prove(&key).to_bytes()),
    }))
}

/// `GET /address/{address}/holdings`: a page of all it holds, with one proof of the page, of its
/// coins and of the descriptions of the assets.
pub(super) async fn holdings(
    State(api): State<Arc<Api>>,
    segment: Segment,
    args: Args,
) -> Result<Json<AddressHoldings>, ApiError> {
    let params = &api.chain.shared.params;
    let address = parse(params, &segment)?;
    let after = args.text("after").map(|text| Segment(text.to_owned()).id::<AssetId>()).transpose()?;
    let limit = usize::try_from(args.limit()?).unwrap_or(usize::MAX);
    api.blocking(move |api| {
        let (state, header, block) = {
            let view = api.chain.shared.read();
            (view.state(), view.tip().header, view.tip().id)
        };
        let page = Wanted::Holdings { of: address, after, limit };
        let mut wanted = vec![Wanted::Record(Key::Account(address)), page];
        let shown = state.excerpt(&wanted).open(&state.root());
        let page = shown.ok().and_then(|shown| shown.holdings(&address, after).ok());
        let page = page.ok_or_else(|| ApiError::internal("a state does not show what it was asked for"))?;
        wanted.extend(page.held.iter().map(|(asset, _)| Wanted::Record(Key::Asset(*asset))));
        let balance = match state.get(&Key::Account(address)) {
            Some(Record::Account { balance, .. }) => *balance,
            _ => 0,
        };
        Ok(Json(AddressHoldings {
            address: text::format(&api.chain.shared.params.prefix, &address),
            balance: Coins(balance),
            assets: page.held.into_iter().filter_map(|held| holding(&state, held)).collect(),
            is_complete: page.is_complete,
            height: header.height,
            block,
            header: hex::encode(header.to_bytes()),
            excerpt: hex::encode(state.excerpt(&wanted).to_bytes()),
        }))
    })
    .await
}

pub(super) fn parse(params: &Params, segment: &Segment) -> Result<Address, ApiError> {
    text::parse(&params.prefix, &segment.0).map_err(|error| {
        let refused = ApiError::bad_request("invalid_address", error.to_string());
        refused.hint(format!("addresses of network {} begin with {}1", params.name, params.prefix))
    })
}

fn describe(api: &Api, address: Address) -> AddressInfo {
    let params = &api.chain.shared.params;
    let (pending, state, height, tip): (Pending, Trie, u64, BlockId) = {
        let view = api.chain.shared.read();
        let pending = Pending::of(address, view.pending_of(&address));
        (pending, view.state(), view.tip().header.height, view.tip().id)
    };
    let (balance, nonce) = match state.get(&Key::Account(address)) {
        Some(Record::Account { balance, nonce }) => (*balance, *nonce),
        _ => (0, 0),
    };
    let mut held = state.holdings(&address, API_ASSETS_MAX + 1);
    let assets_truncated = held.len() > API_ASSETS_MAX;
    held.truncate(API_ASSETS_MAX);
    AddressInfo {
        address: text::format(&params.prefix, &address),
        balance: Coins(balance),
        nonce,
        pending_in: Coins(pending.incoming),
        pending_out: Coins(pending.outgoing),
        pending_txs: pending.sent,
        assets: held.into_iter().filter_map(|held| holding(&state, held)).collect(),
        assets_truncated,
        height,
        tip,
    }
}

fn holding(state: &Trie, (asset, amount): (AssetId, u64)) -> Option<Holding> {
    // Whatever is held was issued, and what was issued is described for ever.
    let Some(Record::Asset(description)) = state.get(&Key::Asset(asset)) else { return None };
    let (symbol, decimals) = (description.symbol.clone(), description.decimals);
    Some(Holding { asset, symbol, decimals, amount: amount::format(amount, decimals) })
}

/// Coins on their way, in base units.
struct Pending {
    incoming: u64,
    outgoing: u64,
    sent: u64,
}

impl Pending {
    fn of(address: Address, (sent, received): (Vec<&mempool::Entry>, Vec<&mempool::Entry>)) -> Self {
        let payments = received.iter().flat_map(|entry| entry.payments());
        let to_here = payments.filter(|payment| payment.to == address && payment.asset == AssetId::COINS);
        let incoming = to_here.map(|payment| u128::from(payment.amount)).sum();
        let outgoing = sent.iter().filter_map(|entry| entry.outflow.get(&AssetId::COINS)).sum();
        // Senders have what they send, so sums pass no supply; a wrong figure would be worse than a wide one.
        let narrow = |sum: u128| u64::try_from(sum).unwrap_or(u64::MAX);
        Self { incoming: narrow(incoming), outgoing: narrow(outgoing), sent: sent.len() as u64 }
    }
}
