//! The bridge from the chain's blocking signal to those who await: one thread a node. Must not know
//! what they do then.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use crate::chain::view::{Shared, Ticks};

/// How often the thread looks whether anybody still listens.
const LOOK: Duration = Duration::from_secs(1);

/// Starts the thread; it ends when the node stops or nobody listens any more.
///
/// # Errors
/// The machine has no thread left.
pub fn start(shared: &Arc<Shared>) -> std::io::Result<(watch::Receiver<Ticks>, JoinHandle<()>)> {
    let shared = Arc::clone(shared);
    let mut seen = shared.ticks();
    let (sender, receiver) = watch::channel(seen);
    let thread = std::thread::Builder::new().name("ticks".into()).spawn(move || {
        while !seen.stopping && !sender.is_closed() {
            let ticks = shared.wait(seen, LOOK);
            if ticks != seen {
                seen = ticks;
                sender.send_replace(ticks);
            }
        }
    })?;
    Ok((receiver, thread))
}
