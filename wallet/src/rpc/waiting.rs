//! Waiting for the view to say something, with an end. Must not know what is waited for, but for the
//! one thing that several routes wait for: that the nodes have had their chance.

use std::net::SocketAddr;
use std::time::Instant;

use steelyard_runtime::clock;

use super::Api;
use crate::desk::Desk;
use crate::view::{Link, Shared, View};

/// Looks at the view now and after each change, until there is an answer; `None` once time is up.
pub(super) async fn until<T>(
    shared: &Shared,
    deadline: Instant,
    mut look: impl FnMut(&View) -> Option<T>,
) -> Option<T> {
    let mut changes = shared.changes();
    loop {
        let found = look(&shared.read());
        if found.is_some() {
            return found;
        }
        match tokio::time::timeout_at(deadline.into(), changes.changed()).await {
            Ok(Ok(())) => {}
            // Nothing changes any more, or not in time.
            Ok(Err(_)) | Err(_) => return None,
        }
    }
}

/// Waits until there is a reading of the last seconds that names every address, or every node has
/// been tried and none is up; a node that hangs has so long. A reading from before the daemon's start is none:
/// a node that answers now knows better.
pub(super) async fn settle(api: &Api) {
    let given = api.given_nodes();
    let deadline = clock::start() + api.times.settle;
    let is_synced = |view: &View| Desk::is_synced(view, clock::now_ms()).then_some(());
    let is_in_vain = |view: &View| all_tried(&given, view) && !any_up(view);
    let settled = |view: &View| is_in_vain(view).then_some(()).or(is_synced(view));
    if is_in_vain(&api.desk.shared.read()) {
        // One of them may be back, and would only be tried again some seconds later.
        (api.wake)();
        let soon = deadline.min(clock::start() + api.times.woken);
        let _ = until(&api.desk.shared, soon, is_synced).await;
    }
    // Time that is up is told by what is answered then.
    let _ = until(&api.desk.shared, deadline, settled).await;
}

/// Whether an attempt with each of these nodes has ended.
pub(super) fn all_tried(given: &[SocketAddr], view: &View) -> bool {
    given.iter().all(|address| view.nodes.iter().any(|node| node.address == *address && node.tried))
}

/// Whether any node answers.
pub(super) fn any_up(view: &View) -> bool {
    view.nodes.iter().any(|node| node.link == Link::Up)
}
