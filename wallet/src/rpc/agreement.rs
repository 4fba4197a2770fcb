//! Whether the nodes tell the same story. Two tips at one height are common for moments after each
//! block, so the last moment of agreement is what counts. Must not know routes.

use std::sync::atomic::{AtomicU64, Ordering};

use steelyard_core::hash::BlockId;
use steelyard_core::params::Params;
use steelyard_runtime::clock;

use super::Api;
use crate::view::{Link, NodeStatus, View};

/// Tips this many heights apart are not a matter of moments.
const LAG_MAX: u64 = 2;
/// Nodes may differ for so many block times…
const SPACINGS: u64 = 3;
/// …and never for less than this, in ms.
const DISAGREEMENT_MS_MIN: u64 = 30_000;

/// When the nodes that are up last had the same tip.
pub(super) struct Agreement(AtomicU64);

impl Agreement {
    /// Nothing is known against them yet.
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(clock::now_ms()))
    }

    /// Takes note of what the nodes say now.
    pub(super) fn note(&self, view: &View, now_ms: u64) {
        let mut tips = tips(view).map(|(_, _, id)| id);
        let first = tips.next();
        if tips.all(|tip| Some(tip) == first) {
            self.0.store(now_ms, Ordering::Relaxed);
        }
    }

    /// What an operator should know of it.
    pub(super) fn warning(&self, params: &Params, view: &View, now_ms: u64) -> Option<String> {
        self.note(view, now_ms);
        let (lowest, highest) = heights(view)?;
        let patience = params.spacing.saturating_mul(SPACINGS).max(DISAGREEMENT_MS_MIN);
        let is_long = now_ms.saturating_sub(self.0.load(Ordering::Relaxed)) > patience;
        if !is_long && highest - lowest <= LAG_MAX {
            return None;
        }
        let told: Vec<String> = tips(view)
            .map(|(node, height, id)| format!("{} is at block {height} {id}", node.address))
            .collect();
        Some(format!("the nodes disagree: {}", told.join("; ")))
    }
}

fn tips(view: &View) -> impl Iterator<Item = (&NodeStatus, u64, BlockId)> {
    let up = view.nodes.iter().filter(|node| node.link == Link::Up);
    up.filter_map(|node| node.tip.map(|(height, id, _)| (node, height, id)))
}

/// The lowest and the highest tip; `None` without any.
fn heights(view: &View) -> Option<(u64, u64)> {
    let lowest = tips(view).map(|(_, height, _)| height).min()?;
    let highest = tips(view).map(|(_, height, _)| height).max()?;
    Some((lowest, highest))
}

/// Takes note at every change, for as long as it is polled.
pub(super) async fn watch(api: &Api) {
    let mut changes = api.desk.shared.changes();
    loop {
        api.agreement.note(&api.desk.shared.read(), clock::now_ms());
        if changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
