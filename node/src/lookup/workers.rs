//! Blocking work off the async threads: reads of bodies, checks of signatures, walks over the pool.
//! So much of it at once, the rest waits its turn. Must not know what the work is.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::LookupError;
use crate::chain::error::ChainError;

/// Places for blocking work.
#[derive(Clone, Debug)]
pub struct Workers {
    places: Arc<Semaphore>,
    patience: Duration,
}

impl Workers {
    /// So many places, for which nobody waits longer than this.
    #[must_use]
    pub fn new(places: usize, patience: Duration) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), patience }
    }

    /// Does blocking work, when a place for it is free. The place is kept until the work ends, also
    /// when nobody waits for it any more.
    ///
    /// # Errors
    /// [`ChainError::Busy`] when no place is free in time, [`LookupError::Ended`].
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LookupError> {
        let place = tokio::time::timeout(self.patience, Arc::clone(&self.places).acquire_owned()).await;
        let place = place.map_err(|_| ChainError::Busy)?.map_err(|_| LookupError::Ended)?;
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        done.await.map_err(|_| LookupError::Ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[tokio::test]
    async fn a_place_is_waited_for_and_not_for_ever() {
        let workers = Workers::new(1, Duration::from_millis(20));
        let (release, held) = channel::<()>();
        let holder = workers.clone();
        let (started, waits) = tokio::sync::oneshot::channel();
        let first = tokio::spawn(async move {
            let work = move || {
                started.send(()).unwrap();
                held.recv().is_err()
            };
            holder.run(work).await
        });
        waits.await.unwrap();
        assert!(matches!(workers.run(|| 1).await, Err(LookupError::Chain(ChainError::Busy))));
        // Who does not wait any more leaves the place to its work.
        first.abort();
        assert!(matches!(workers.run(|| 1).await, Err(LookupError::Chain(ChainError::Busy))));
        drop(release);
        let patient = Workers { patience: Duration::from_secs(60), ..workers };
        assert_eq!(patient.run(|| 2).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn work_that_panics_is_an_error_and_gives_its_place_back() {
        let workers = Workers::new(1, Duration::from_secs(60));
        assert!(matches!(workers.run(|| panic!("on purpose")).await, Err::<(), _>(LookupError::Ended)));
        assert_eq!(workers.run(|| 3).await.unwrap(), 3);
    }
}
