//! How often something may be done: so many times at once, then so many a second. Who does it more
//! often is to wait. Must not know what it is.

use std::time::{Duration, Instant};

/// A bucket that fills with time, one token a request.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// When it was full, or will be: further ahead the emptier it is.
    full_at: Instant,
    burst: Duration,
    step: Duration,
}

impl Bucket {
    /// A full one: `burst` tokens, and `per_second` of them come back a second.
    #[must_use]
    pub fn new(burst: u64, per_second: u64, now: Instant) -> Self {
        let step = Duration::from_nanos(1_000_000_000 / per_second.max(1));
        Self { full_at: now, burst: step.saturating_mul(u32::try_from(burst).unwrap_or(u32::MAX)), step }
    }

    /// Takes a token; how long to wait until it is there.
    pub fn take(&mut self, now: Instant) -> Duration {
        self.full_at = self.full_at.max(now) + self.step;
        self.full_at.duration_since(now).saturating_sub(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_burst_is_free_and_then_time_is_the_price() {
        let start = clock::start();
        let at = |ms| start + Duration::from_millis(ms);
        let mut bucket = Bucket::new(5, 10, start);
        for _ in 0..5 {
            assert_eq!(bucket.take(start), Duration::ZERO);
        }
        assert_eq!(bucket.take(start), Duration::from_millis(100));
        // Who has waited for it has spent it.
        assert_eq!(bucket.take(at(100)), Duration::from_millis(100));
        assert_eq!(bucket.take(at(350)), Duration::ZERO);
        // However long nothing is asked, the burst is the most.
        for _ in 0..5 {
            assert_eq!(bucket.take(at(60_000)), Duration::ZERO);
        }
        assert_eq!(bucket.take(at(60_000)), Duration::from_millis(100));
    }
}
