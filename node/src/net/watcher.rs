//! What one connection wants to hear of, and whether there is something new: always the latest, so
//! that who reads slowly is behind by one notice and not by a queue. Must not know frames.

use std::time::{Duration, Instant};

use steelyard_core::hash::BlockId;
use steelyard_core::wire::{Notice, Watch};
use steelyard_runtime::clock;
use tokio::sync::watch::Receiver;

use crate::chain::view::{Shared, Ticks, View};
use crate::limits::NET_NOTICE_LOOKS_MAX;

/// A subscription.
#[derive(Debug)]
pub(super) struct Watcher {
    /// The request that it came with, and that its notices carry.
    pub(super) request: u32,
    watch: Watch,
    ticks: Receiver<Ticks>,
    /// What the last notice was about: nothing before the first.
    told: Option<(BlockId, u64)>,
    /// Not to be looked before, so that a busy node is not looked at for every commit.
    rests_until: Instant,
    pause: Duration,
}

impl Watcher {
    /// A subscription whose notices are at least `pause` apart.
    pub(super) fn new(request: u32, watch: Watch, ticks: Receiver<Ticks>, pause: Duration) -> Self {
        Self { request, watch, ticks, told: None, rests_until: clock::start(), pause }
    }

    /// The next notice, the first at once. May be dropped at any point and called again.
    pub(super) async fn next(&mut self, shared: &Shared) -> Notice {
        loop {
            if self.told.is_some() {
                tokio::time::sleep_until(self.rests_until.into()).await;
                if self.ticks.changed().await.is_err() {
                    // The node stops, and with it the connection.
                    std::future::pending::<()>().await;
                }
            }
            // No wait from here on: what is marked as seen is looked at.
            self.ticks.mark_unchanged();
            self.rests_until = clock::start() + self.pause;
            if let Some(notice) = self.look(&shared.read()) {
                return notice;
            }
        }
    }

    fn look(&mut self, view: &View) -> Option<Notice> {
        let (tip, seq) = (view.tip(), view.seq());
        let (told_tip, told_seq) = self.told.unwrap_or((BlockId::ZERO, 0));
        let touched = view.has_pending_since(&self.watch.addresses, told_seq, NET_NOTICE_LOOKS_MAX);
        self.told = Some((tip.id, seq));
        (touched || tip.id != told_tip)
            .then(|| Notice { tip: (&tip.header).into(), touched: u8::from(touched) })
    }
}
