//! The answers to light clients: from what is committed at one moment, and the request, to the
//! message. Each is what `steelyard_core::light` checks on the other side. Must not know frames,
//! connections, or how long anything may take.

use std::collections::{BTreeMap, BTreeSet};

use steelyard_core::encode::List;
use steelyard_core::hash::{AssetId, TxId};
use steelyard_core::state::{Key, Trie};
use steelyard_core::types::body::Body;
use steelyard_core::types::header::Header;
use steelyard_core::wire::pending::PENDING_MAX;
use steelyard_core::wire::tip::RECENT_MAX;
use steelyard_core::wire::{
    Failure, Found, GetPending, GetState, GetStatus, GetTip, HeaderBytes, HistoryStep, Pending, State,
    StateKey, Status, Statuses, Text, Tip, Verdict,
};

use crate::chain::Chain;
use crate::chain::error::LoadError;
use crate::chain::view::View;
use crate::finder::FinderError;
use crate::lookup::submission::Taken;
use crate::lookup::{Candidates, Look, Placed, locate};
use crate::mempool::PoolError;

/// The last headers of the active chain, and the work before the tip.
pub(super) fn tip(view: &View, request: GetTip) -> Tip {
    let tip = view.tip().header.height;
    let recent = usize::from(request.recent).clamp(1, RECENT_MAX) as u64;
    let heights = (tip + 1).saturating_sub(recent)..=tip;
    let headers = heights.filter_map(|height| view.active(height)).map(|entry| (&entry.header).into());
    // A header commits to everything before it: to as many headers as its height is.
    let before = view.index().history().frontier(tip).and_then(|frontier| frontier.top());
    Tip {
        headers: bounded(headers.collect()),
        history_work: before.map_or(0, |top| top.work),
        history_top: before.map_or([0; 32], |top| top.hash),
    }
}

/// The tip and the state after it, at one moment.
pub(super) fn snapshot(view: &View) -> (Header, Trie) {
    (view.tip().header, view.state())
}

/// Proofs of records in the state after this header.
///
/// # Errors
/// A key that no state can have.
pub(super) fn state((header, state): (Header, Trie), request: &GetState) -> Result<State, Failure> {
    let is_impossible = |key: &&StateKey| matches!(key, StateKey::Holding { asset: AssetId::COINS, .. });
    if request.keys.iter().any(|key| is_impossible(&key)) {
        return Err(Failure::new("invalid_key", "coins are in the account: ask for that"));
    }
    let prove = |key: &StateKey| bounded(state.prove(&Key::from(key)).to_bytes());
    Ok(State { header: (&header).into(), proofs: bounded(request.keys.iter().map(prove).collect()) })
}

/// Pending transactions that pay one of the addresses, as many as an answer holds.
pub(super) fn pending(view: &View, request: &GetPending) -> Pending {
    let addresses: BTreeSet<_> = request.addresses.iter().collect();
    let (mut seen, mut txs, mut more) = (BTreeSet::new(), Vec::new(), 0);
    for entry in addresses.into_iter().flat_map(|address| view.pending_to(address)) {
        if seen.contains(&entry.tx.id()) {
            continue;
        }
        if txs.len() == PENDING_MAX {
            more = 1;
            break;
        }
        seen.insert(entry.tx.id());
        txs.push(bounded(entry.tx.bytes().to_vec()));
    }
    Pending { txs: bounded(txs), more }
}

/// Why a submitted transaction was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// A rule or a limit.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// It may be in a block, and there is no index to tell.
    #[error(transparent)]
    Index(#[from] FinderError),
}

/// What became of a submitted transaction.
pub(super) fn verdict(taken: Result<Taken, Refusal>) -> Verdict {
    match taken {
        Ok(Taken { is_confirmed: true, .. }) => Verdict::Confirmed {},
        Ok(Taken { is_confirmed: false, .. }) => Verdict::Pending {},
        Err(refused) => {
            let rule = match &refused {
                Refusal::Pool(error) => error.name(),
                Refusal::Index(error) => error.name(),
            };
            Verdict::Refused { rule: Text::new(rule), reason: Text::new(&refused.to_string()) }
        }
    }
}

/// Where transactions stand and may be, at one moment.
#[derive(Debug)]
pub(super) struct Places {
    tip: Header,
    /// Whether every block's transactions could be looked up: else none is unknown for certain.
    pub(super) is_certain: bool,
    pending: BTreeMap<TxId, u8>,
    candidates: Candidates,
    /// From the candidates' blocks to the top of the tip's history.
    history: BTreeMap<u64, Vec<HistoryStep>>,
}

/// Where these transactions stand, and may be by the index, which was asked before; without it,
/// where they stand.
pub(super) fn places(view: &View, request: &GetStatus, look: Option<&Look>) -> Places {
    let queued = |id: &TxId| view.pending(id).map(|entry| (*id, u8::from(entry.queued)));
    let pending: BTreeMap<TxId, u8> = request.ids.iter().filter_map(queued).collect();
    let is_wanted = |id: &TxId| !pending.contains_key(id);
    let candidates = look.map(|look| Candidates::of(view, look, is_wanted)).unwrap_or_default();
    let tip = view.tip().header;
    let history = candidates.heights().map(|height| (height, history_path(view, height))).collect();
    let is_certain = look.is_some_and(|look| look.is_certain(view));
    Places { tip, is_certain, pending, candidates, history }
}

/// From a header to the top of the tip's history; nothing for the tip, which is not in it.
fn history_path(view: &View, height: u64) -> Vec<HistoryStep> {
    let path = view.index().history().path(height, view.tip().header.height).unwrap_or_default();
    path.into_iter().map(|node| HistoryStep { hash: node.hash, work: node.work }).collect()
}

/// The status of each transaction under the tip of that moment, whatever the active chain is now:
/// bodies stay readable when their blocks are left, until they are pruned. Blocks.
///
/// # Errors
/// [`LoadError`] when a body cannot be read.
pub(super) fn statuses(chain: &Chain, places: Places, request: &GetStatus) -> Result<Statuses, LoadError> {
    let Places { tip, pending, candidates, history, .. } = places;
    let mut confirmed = BTreeMap::new();
    locate(chain, candidates, |id, placed, index, body| {
        confirmed.extend(found(placed, index, body, &history).map(|found| (id, found)));
    })?;
    // Afterwards: of what was not looked into this says at least so much.
    let from = chain.shared.read().bodies_from();
    let status = |id: &TxId| match (pending.get(id), confirmed.get(id)) {
        (Some(queued), _) => Status::Pending { queued: *queued },
        (None, Some(found)) => Status::Confirmed { found: Box::new(Found::clone(found)) },
        (None, None) if from > 1 => Status::Missing { from },
        (None, None) => Status::Unknown {},
    };
    let statuses = request.ids.iter().map(status).collect();
    Ok(Statuses { tip: (&tip).into(), statuses: bounded(statuses) })
}

/// Whether one of the transactions was not found.
pub(super) fn has_unknown(statuses: &Statuses) -> bool {
    statuses.statuses.iter().any(|status| matches!(status, Status::Unknown {} | Status::Missing { .. }))
}

fn found(
    placed: &Placed,
    index: u32,
    body: &Body,
    history: &BTreeMap<u64, Vec<HistoryStep>>,
) -> Option<Found> {
    let header = &placed.entry.header;
    let path = body.path(u64::from(index))?;
    Some(Found {
        header: HeaderBytes::from(header),
        index,
        count: u32::try_from(body.items.len()).ok()?,
        body_path: bounded(path.into_iter().map(|node| node.0).collect()),
        history_path: bounded(history.get(&header.height)?.clone()),
    })
}

/// A list that cannot be longer than its kind may be.
pub(super) fn bounded<T, const MAX: usize>(items: Vec<T>) -> List<T, MAX> {
    List::new(items).expect("requests and the ledger bound what answers hold")
}
