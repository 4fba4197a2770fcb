//! Memory that was freed, given back to the system now and then: the storage engine and every thread that
//! answers somebody leave much of it behind, and more as time goes on. Must not know who used it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use steelyard_runtime::process;

use crate::chain::view::Shared;
use crate::limits::MEMORY_MS;

/// Gives it back again and again until the node stops.
///
/// # Errors
/// The machine has no thread left.
pub fn start(shared: &Arc<Shared>) -> std::io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    std::thread::Builder::new().name("memory".into()).spawn(move || {
        while shared.rest(Duration::from_millis(MEMORY_MS)) {
            process::give_memory_back();
        }
    })
}
