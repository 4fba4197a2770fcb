//! Branches: where each one ends, and all blocks near the tip. Must not know bodies.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::State;

use super::Api;
use super::error::ApiError;
use super::request::Args;
use super::types::{BranchStatus, ChainTip, ChainTips, Decimal, ForkBlock, Forks};
use crate::chain::index::{Entry, Number, Verdict};
use crate::chain::view::{Shared, View};
use crate::limits::{API_FORKS_DEPTH, API_FORKS_DEPTH_MAX, API_FORKS_MAX, API_LEAVES_STEP, API_PAGE_MAX};

/// Blocks without children, as far as blocks have been looked at. A parent never changes, so that
/// each block is looked at once.
#[derive(Default)]
pub(super) struct Leaves(Mutex<Found>);

#[derive(Default)]
struct Found {
    next: Number,
    leaves: HashSet<Number>,
}

impl Leaves {
    /// The ends of all branches. Blocks; the view is left to others now and then.
    fn find(&self, shared: &Shared) -> Vec<Number> {
        let found = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let view = shared.read();
            let before = found.next;
            for (number, entry) in view.blocks_from(before).take(API_LEAVES_STEP) {
                found.leaves.remove(&entry.parent);
                found.leaves.insert(number);
                found.next = number + 1;
            }
            if found.next == before {
                return found.leaves.iter().copied().collect();
            }
        }
    }
}

/// `GET /chain-tips`.
pub(super) async fn tips(State(api): State<Arc<Api>>) -> Result<Json<ChainTips>, ApiError> {
    let tips = api.blocking(|api| {
        let leaves = api.leaves.find(&api.chain.shared);
        Ok(chain_tips(&api.chain.shared.read(), leaves))
    });
    tips.await.map(Json)
}

/// `GET /forks?depth=N`: every block from so far below the tip up.
pub(super) async fn forks(State(api): State<Arc<Api>>, args: Args) -> Result<Json<Forks>, ApiError> {
    let depth = args.number("depth")?.unwrap_or(API_FORKS_DEPTH);
    if depth > API_FORKS_DEPTH_MAX {
        let message = format!("depth={depth} where 0 to {API_FORKS_DEPTH_MAX} are possible");
        return Err(ApiError::bad_request("invalid_depth", message));
    }
    let blocks = api.blocking(move |api| {
        let leaves = api.leaves.find(&api.chain.shared);
        Ok(near_tip(&api.chain.shared.read(), leaves, depth))
    });
    blocks.await.map(Json)
}

/// The side branches' ends, that of most work first.
fn side_by_work(view: &View, mut leaves: Vec<Number>) -> Vec<Number> {
    leaves.retain(|leaf| !view.is_active(*leaf));
    leaves.sort_unstable_by_key(|leaf| (Reverse(view.index().get(*leaf).total_work), *leaf));
    leaves
}

fn chain_tips(view: &View, leaves: Vec<Number>) -> ChainTips {
    let mut ends = side_by_work(view, leaves);
    // Blocks on the tip that are invalid do not make it less of an end.
    ends.insert(0, view.index().tip());
    let listed = ends.len().min(usize::try_from(API_PAGE_MAX).unwrap_or(usize::MAX));
    let more = (ends.len() - listed) as u64;
    ChainTips { tips: ends[..listed].iter().map(|end| chain_tip(view, *end)).collect(), more }
}

fn chain_tip(view: &View, end: Number) -> ChainTip {
    let entry = view.index().get(end);
    let mut shared = end;
    while !view.is_active(shared) {
        shared = view.index().get(shared).parent;
    }
    let fork_height = view.index().get(shared).header.height;
    ChainTip {
        id: entry.id,
        height: entry.header.height,
        work: Decimal(entry.total_work),
        branch_length: entry.header.height - fork_height,
        fork_height,
        status: status(view, end, entry),
        invalid: match &entry.verdict {
            Verdict::Invalid { reason } => Some(reason.clone()),
            Verdict::Unexecuted | Verdict::Connected { .. } => None,
        },
    }
}

fn near_tip(view: &View, leaves: Vec<Number>, depth: u64) -> Forks {
    let index = view.index();
    let tip = view.tip();
    let from = tip.header.height.saturating_sub(depth);
    let active = (from..=tip.header.height).filter_map(|height| index.active(height));
    let mut numbers: Vec<Number> = active.collect();
    let mut seen: HashSet<Number> = HashSet::new();
    let mut more = false;
    for leaf in side_by_work(view, leaves) {
        // From its end down to what is told already. A part of a branch would hang in the air.
        let mut branch = Vec::new();
        let mut at = leaf;
        while index.get(at).header.height >= from && !view.is_active(at) && !seen.contains(&at) {
            branch.push(at);
            if numbers.len() + branch.len() > API_FORKS_MAX {
                break;
            }
            at = index.get(at).parent;
        }
        if numbers.len() + branch.len() > API_FORKS_MAX {
            more = true;
            continue;
        }
        seen.extend(&branch);
        numbers.extend(branch);
    }
    numbers
        .sort_unstable_by_key(|number| (index.get(*number).header.height, !view.is_active(*number), *number));
    let blocks = numbers.into_iter().map(|number| fork_block(view, number)).collect();
    Forks { from, tip: tip.id, blocks, more }
}

fn fork_block(view: &View, number: Number) -> ForkBlock {
    let entry = view.index().get(number);
    ForkBlock {
        id: entry.id,
        prev: entry.header.prev,
        height: entry.header.height,
        work: Decimal(entry.total_work),
        time: entry.header.time,
        status: status(view, number, entry),
    }
}

fn status(view: &View, number: Number, entry: &Entry) -> BranchStatus {
    match entry.verdict {
        _ if view.is_active(number) => BranchStatus::Active,
        Verdict::Connected { .. } => BranchStatus::ValidFork,
        Verdict::Unexecuted => BranchStatus::ValidHeaders,
        Verdict::Invalid { .. } => BranchStatus::Invalid,
    }
}
