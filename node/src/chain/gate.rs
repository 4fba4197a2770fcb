//! Between who deletes old bodies, a few at a time, and who reads many of them and needs them all:
//! while anybody reads, nothing is deleted. Must not know bodies.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The gate. Its own lock is held for moments only.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Debug, Default)]
struct State {
    readers: usize,
    is_deleting: bool,
}

/// A reader's stay: nothing is deleted before it ends.
pub(crate) struct Reading<'a>(&'a Gate);

/// A deletion's stay: readers wait for its end.
pub(crate) struct Deleting<'a>(&'a Gate);

impl Gate {
    /// Waits until no deletion is in progress; from then on there is none.
    pub(crate) fn read(&self) -> Reading<'_> {
        let state = self.lock();
        let state = self.left.wait_while(state, |state| state.is_deleting);
        state.unwrap_or_else(PoisonError::into_inner).readers += 1;
        Reading(self)
    }

    /// Begins a deletion, unless somebody reads.
    pub(crate) fn delete(&self) -> Option<Deleting<'_>> {
        let mut state = self.lock();
        if state.readers > 0 {
            return None;
        }
        state.is_deleting = true;
        Some(Deleting(self))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.lock().readers -= 1;
    }
}

impl Drop for Deleting<'_> {
    fn drop(&mut self) {
        self.0.lock().is_deleting = false;
        self.0.left.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_deleted_while_anybody_reads_and_a_reader_waits_for_a_deletion() {
        let gate = Gate::default();
        let (one, two) = (gate.read(), gate.read());
        assert!(gate.delete().is_none());
        drop(one);
        assert!(gate.delete().is_none());
        drop(two);
        let deleting = gate.delete().unwrap();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let _reading = gate.read();
                gate.lock().is_deleting
            });
            drop(deleting);
            assert!(!reader.join().unwrap());
        });
        assert!(gate.delete().is_some());
    }
}
