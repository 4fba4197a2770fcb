//! Panics of the storage engine, turned into values and kept off the screen.
//!
//! sled panics on damaged pages, on the caller's thread and on its own. A panic hook, installed
//! once, is silent for both and leaves every other panic of the process as it was. Must not know
//! what the engine was doing.

use std::any::Any;
use std::cell::RefCell;
use std::io;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Once};
use std::thread;
use std::time::Duration;

/// How often a waiting caller looks whether the engine's thread has panicked.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Looks granted to a thread that panicked and has still to unwind; sled's own clean-up can wait
/// for ever on a flusher that died.
const LOOKS_AFTER_PANIC_MAX: u32 = 40;

/// Panics of sled's own threads in this process so far.
static BACKGROUND_PANICS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Set while this thread runs the engine: the flag to raise instead of printing.
    static RUNNING: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

/// The engine panicked; what it said went to the log at debug level.
#[derive(Debug)]
pub(super) struct Panicked;

/// Why work on its own thread gave no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// It panicked.
    Panicked,
    /// The thread could not be started.
    NotStarted(io::Error),
}

/// Runs `work` on this thread; a panic inside it is caught and not printed.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    caught_with(Arc::new(AtomicBool::new(false)), work)
}

/// Runs `work` on a thread of its own named `name` and waits for it. A thread that panics and then
/// hangs in its clean-up is left behind, also when `background_before` shows that one of the
/// engine's own threads has died since the caller took that number.
pub(super) fn on_own_thread<T: Send + 'static>(
    name: &str,
    background_before: u64,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NoAnswer> {
    let panicked = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&panicked);
    let (answer, answers) = mpsc::sync_channel(1);
    let run = move || {
        // A caller that has given up no longer listens; the answer is then dropped.
        let _ = answer.send(caught_with(raised, work));
    };
    thread::Builder::new().name(name.to_owned()).spawn(run).map_err(NoAnswer::NotStarted)?;
    let mut looks = 0;
    loop {
        match answers.recv_timeout(LOOK_EVERY) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(Panicked)) | Err(RecvTimeoutError::Disconnected) => return Err(NoAnswer::Panicked),
            Err(RecvTimeoutError::Timeout) => {
                if panicked.load(Ordering::Acquire) || background_panics() > background_before {
                    looks += 1;
                }
                if looks > LOOKS_AFTER_PANIC_MAX {
                    return Err(NoAnswer::Panicked);
                }
            }
        }
    }
}

/// Panics of sled's own threads in this process so far; see [`on_own_thread`].
pub(super) fn background_panics() -> u64 {
    BACKGROUND_PANICS.load(Ordering::Acquire)
}

fn caught_with<T>(raised: Arc<AtomicBool>, work: impl FnOnce() -> T) -> Result<T, Panicked> {
    install();
    let outer = RUNNING.replace(Some(raised));
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    RUNNING.set(outer);
    result.map_err(|_| Panicked)
}

fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let earlier = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !taken(info) {
                earlier(info);
            }
        }));
    });
}

/// Whether this panic is the engine's; if so it is noted and nothing is printed.
fn taken(info: &PanicHookInfo<'_>) -> bool {
    let running = RUNNING.try_with(|slot| slot.try_borrow().ok().and_then(|flag| flag.clone()));
    if let Ok(Some(flag)) = running {
        tracing::debug!(said = text(info.payload()), "the storage engine panicked");
        flag.store(true, Ordering::Release);
        return true;
    }
    let current = thread::current();
    if !current.name().is_some_and(is_engine_thread) {
        return false;
    }
    tracing::error!("a background thread of the store has stopped");
    tracing::debug!(said = text(info.payload()), "the storage engine panicked in the background");
    BACKGROUND_PANICS.fetch_add(1, Ordering::AcqRel);
    true
}

/// sled 0.34.7 names its threads so (its db.rs and threadpool.rs).
fn is_engine_thread(name: &str) -> bool {
    name == "log flusher" || name.starts_with("sled-io-")
}

fn text(payload: &(dyn Any + Send)) -> &str {
    let owned = payload.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no words")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_value_on_both_threads() {
        assert!(caught(|| panic!("here")).is_err());
        let there = on_own_thread("store-test", background_panics(), || panic!("there"));
        assert!(matches!(there, Err(NoAnswer::Panicked)));
        assert_eq!(caught(|| 7).unwrap(), 7);
        assert_eq!(on_own_thread("store-test", background_panics(), || 8).unwrap(), 8);
    }

    #[test]
    fn the_flag_is_lowered_again_after_the_work() {
        caught(|| ()).unwrap();
        assert!(RUNNING.with(|slot| slot.borrow().is_none()));
    }

    #[test]
    fn only_the_engines_threads_are_taken_for_it() {
        assert!(is_engine_thread("log flusher"));
        assert!(is_engine_thread("sled-io-12"));
        assert!(!is_engine_thread("main"));
    }
}
