//! A figure that is dear to get: made by one request at a time, used by all until it is old.
//! Must not know what figure.

use std::time::{Duration, Instant};

use steelyard_runtime::clock;
use tokio::sync::Mutex;

use super::error::ApiError;

/// The last figure, and when it was made. An async lock: it is held while the figure is made.
pub(super) struct Cached<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Cached<T> {
    /// The figure, if `is_good` says so of its age and itself, or a new one.
    pub(super) async fn get(
        &self,
        is_good: impl FnOnce(Duration, &T) -> bool,
        make: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        let mut last = self.0.lock().await;
        if let Some((made, figure)) = &*last
            && is_good(made.elapsed(), figure)
        {
            return Ok(figure.clone());
        }
        let figure = make.await?;
        *last = Some((clock::start(), figure.clone()));
        Ok(figure)
    }
}
