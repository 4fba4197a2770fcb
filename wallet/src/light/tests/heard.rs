//! Who listens in tests, and the link with short patience.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use steelyard_core::params::Params;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::super::*;
use crate::view::Link;

/// Nothing in a test takes as long, however busy the machine is.
pub(super) const LONG: Duration = Duration::from_secs(60);
/// Patience with nodes that answer: none of it ever runs out, and nothing is asked without a reason.
pub(super) const PATIENT: LightTimes = LightTimes {
    answer: LONG,
    pause: Duration::from_millis(5),
    pause_max: Duration::from_millis(20),
    banned: LONG,
    refresh: LONG,
    reading_pause: Duration::from_millis(5),
    retry: Duration::from_millis(5),
};
/// Patience that runs out at once with nodes that hang.
pub(super) const HASTY: LightTimes = LightTimes { answer: Duration::from_millis(250), ..PATIENT };

/// Everything that was told.
#[derive(Clone)]
pub(super) struct Heard {
    events: Arc<Mutex<Vec<LightEvent>>>,
    grown: Arc<watch::Sender<usize>>,
}

impl Sink for Heard {
    fn tell(&self, event: LightEvent) -> impl Future<Output = bool> + Send {
        let mut events = self.events.lock().unwrap();
        events.push(event);
        self.grown.send_replace(events.len());
        std::future::ready(true)
    }
}

impl Heard {
    pub(super) fn new() -> Self {
        Self { events: Arc::default(), grown: Arc::new(watch::Sender::new(0)) }
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&[LightEvent]) -> T) -> T {
        look(&self.events.lock().unwrap())
    }

    /// Waits until what was told holds something.
    pub(super) async fn until<T>(&self, what: &str, find: impl Fn(&[LightEvent]) -> Option<T>) -> T {
        let mut grown = self.grown.subscribe();
        let found = timeout(LONG, async {
            loop {
                grown.mark_unchanged();
                if let Some(found) = self.look(&find) {
                    return found;
                }
                grown.changed().await.unwrap();
            }
        });
        match found.await {
            Ok(found) => found,
            Err(_) => panic!("{what} was not told, but {:#?}", self.look(<[_]>::to_vec)),
        }
    }

    /// The first reading of a node that is as asked for.
    pub(super) async fn reading(&self, what: &str, is: impl Fn(&Reading) -> bool) -> Reading {
        self.until(what, |events| readings(events).find(|reading| is(reading)).cloned()).await
    }

    /// The first report on a node that it stands so.
    pub(super) async fn stands(&self, node: SocketAddr, link: Link) -> NodeStatus {
        let what = format!("that {node} is {link:?}");
        let is_so = |status: &&NodeStatus| status.address == node && status.link == link;
        self.until(&what, |events| statuses(events).find(is_so).cloned()).await
    }
}

pub(super) fn readings(events: &[LightEvent]) -> impl Iterator<Item = &Reading> {
    events.iter().filter_map(|event| match event {
        LightEvent::Reading(reading) => Some(&**reading),
        _ => None,
    })
}

pub(super) fn statuses(events: &[LightEvent]) -> impl Iterator<Item = &NodeStatus> {
    events.iter().filter_map(|event| match event {
        LightEvent::Node(status) => Some(status),
        _ => None,
    })
}

pub(super) fn verdicts(events: &[LightEvent]) -> impl Iterator<Item = (TxId, &Verdict)> {
    events.iter().filter_map(|event| match event {
        LightEvent::Verdict { id, verdict, .. } => Some((*id, verdict)),
        _ => None,
    })
}

/// A link under test.
pub(super) struct Linked {
    pub(super) light: Light,
    pub(super) heard: Heard,
    pub(super) wanted: watch::Sender<Arc<Wanted>>,
    pub(super) shutdown: CancellationToken,
}

impl Linked {
    pub(super) fn start(nodes: &[SocketAddr], times: LightTimes, wanted: Wanted) -> Self {
        let (heard, wanted) = (Heard::new(), watch::Sender::new(Arc::new(wanted)));
        let config = LightConfig { params: Params::dev(), nodes: nodes.to_vec() };
        let shutdown = CancellationToken::new();
        let light = start_with(config, times, wanted.subscribe(), heard.clone(), shutdown.clone());
        Self { light, heard, wanted, shutdown }
    }

    pub(super) fn want(&self, wanted: Wanted) {
        self.wanted.send_replace(Arc::new(wanted));
    }

    /// Stops it; fails where that is not prompt.
    pub(super) async fn stop(self) {
        self.shutdown.cancel();
        timeout(LONG / 4, self.light.stopped()).await.unwrap();
    }
}
