//! The peers' thread: takes what happened, asks the machines, does what they say. Everything that
//! waits is done elsewhere and comes back as an event, so nothing that a peer does holds it up. Must
//! not know what a good block, transaction or address is.
//!
//! | file | what |
//! |---|---|
//! | `connections` | who is dialled, kept, hung up on |
//! | `members` | the connected peers |
//! | `txs` | transactions on their way through checks |
//! | `saver` | when the book of addresses is written |

mod connections;
mod members;
mod saver;
mod txs;

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use steelyard_core::encode::List;
use steelyard_core::wire::{Addresses, NodeAddress};
use steelyard_runtime::clock;
use steelyard_runtime::frame::Frame;
use steelyard_runtime::link::LinkTimes;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep_until;

use self::members::{Member, Members};
use self::saver::Saver;
use super::book::{self, Book, Moment};
use super::chain::{Pool, Reader};
use super::relay::Relay;
use super::session::{Context, Weight};
use super::{Command, HubEvent, Identity, Order, PeerInfo, PeersError, PeersStatus, Said, serve};
use crate::chain::check::UncheckedBlock;
use crate::chain::view::Ticks;
use crate::limits::{
    NET_FRAME_MS, NET_HANDSHAKE_MS, NET_WRITE_MS, PEERS_EVENTS_AT_ONCE, PEERS_NEWS_MAX, PEERS_REFRESH_MS,
    PEERS_SHOW_MS,
};
use crate::sync::{Action, Event, Now, PeerId, PeerMessage, Sync};

/// The deadlines of a connection to a node.
pub(super) const LINK_TIMES: LinkTimes = LinkTimes {
    handshake: Duration::from_millis(NET_HANDSHAKE_MS),
    frame: Duration::from_millis(NET_FRAME_MS),
    write: Duration::from_millis(NET_WRITE_MS),
};

/// What the thread is told by.
pub(super) struct Inputs {
    pub(super) events: mpsc::Receiver<HubEvent>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) ticks: watch::Receiver<Ticks>,
}

/// The thread's own state.
pub(super) struct Hub {
    pub(super) identity: Identity,
    pub(super) context: Context,
    pub(super) runtime: Handle,
    pub(super) submissions: SyncSender<Vec<UncheckedBlock>>,
    pub(super) shown: Arc<RwLock<Arc<PeersStatus>>>,
    pub(super) discover: bool,
    pub(super) sync: Sync,
    pub(super) relay: Relay,
    pub(super) book: Book,
    members: Members,
    saver: Saver,
    /// What monotonic times are counted from.
    epoch: Instant,
    seen: Ticks,
    /// Events for sync that wait for those that come with them, with what they weigh.
    batch: Vec<(Event, Option<Weight>)>,
    /// Addresses on the way to a connection that is still wanted.
    dialled: BTreeSet<SocketAddr>,
    /// Peers that came and went, numbered.
    news: VecDeque<(u64, String)>,
    /// Whether there may be somebody to dial.
    may_dial: bool,
    /// When the status is shown again, and whether it may have changed since it was.
    shows_at: u64,
    is_changed: bool,
}

impl Hub {
    /// A thread's state before anything has happened.
    pub(super) fn new(
        identity: Identity,
        context: Context,
        runtime: Handle,
        submissions: SyncSender<Vec<UncheckedBlock>>,
        book: (Book, bool),
    ) -> Self {
        let sync = Sync::new(context.chain.shared.params.clone());
        let seen = context.chain.shared.ticks();
        Self {
            identity,
            context,
            runtime,
            submissions,
            shown: Arc::default(),
            discover: book.1,
            sync,
            relay: Relay::new(),
            book: book.0,
            members: Members::default(),
            saver: Saver::default(),
            epoch: clock::start(),
            seen,
            batch: Vec::new(),
            dialled: BTreeSet::new(),
            news: VecDeque::new(),
            may_dial: true,
            shows_at: 0,
            is_changed: true,
        }
    }

    /// Runs until the node stops.
    pub(super) async fn run(mut self, mut inputs: Inputs) {
        let stopping = self.context.stopping.clone();
        self.sync(Event::Takes(!self.seen.disk_full));
        self.advance();
        loop {
            let wake = self.epoch + Duration::from_millis(self.next_wake());
            tokio::select! {
                biased;
                () = stopping.cancelled() => break,
                Some((order, reply)) = inputs.commands.recv() => self.order(order, reply),
                changed = inputs.ticks.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    let ticks = *inputs.ticks.borrow_and_update();
                    self.ticked(ticks);
                }
                Some(event) = inputs.events.recv() => {
                    self.event(event);
                    for _ in 0..PEERS_EVENTS_AT_ONCE {
                        let Ok(event) = inputs.events.try_recv() else { break };
                        self.event(event);
                    }
                    self.flush();
                }
                () = sleep_until(wake.into()) => {}
            }
            self.advance();
        }
    }

    fn mono_ms(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn moment(&self) -> Moment {
        Moment { unix_ms: clock::now_ms(), mono_ms: self.mono_ms() }
    }

    /// Monotonic ms of whatever is due first.
    fn next_wake(&self) -> u64 {
        let shows_at = self.shows_due();
        let book = self.book.next_wake(self.moment());
        let all = [self.sync.next_wake(), self.relay.next_wake(), book, self.saver.retries_at(), shows_at];
        // An hour at most: machines are asked again, whatever they say.
        all.into_iter().flatten().min().unwrap_or(u64::MAX).min(self.mono_ms() + 3_600_000)
    }

    /// When the status is shown next: soon after an event, else now and then for the figures of
    /// connections.
    fn shows_due(&self) -> Option<u64> {
        let later = (!self.members.is_empty()).then_some(self.shows_at + PEERS_REFRESH_MS);
        if self.is_changed { Some(self.shows_at) } else { later }
    }

    /// Does what is due.
    fn advance(&mut self) {
        let now = self.mono_ms();
        let is_due = |wake: Option<u64>| wake.is_some_and(|wake| wake <= now);
        if is_due(self.sync.next_wake()) {
            self.sync(Event::Tick);
        }
        if is_due(self.relay.next_wake()) {
            let actions = self.relay.tick(now, &Pool(&self.context.chain, &self.context.finder));
            self.relayed(actions);
        }
        if std::mem::take(&mut self.may_dial) || is_due(self.book.next_wake(self.moment())) {
            self.dial();
        }
        if self.book.take_dirty() {
            self.saver.request();
        }
        if let Some(saving) = self.saver.begin(now, &self.book) {
            self.save(saving);
        }
        if is_due(self.shows_due()) {
            self.show(now);
        }
    }

    fn event(&mut self, event: HubEvent) {
        self.is_changed = true;
        match event {
            HubEvent::Arrived(arrival) => self.arrived(*arrival),
            HubEvent::NotReached { address, reason, is_own } => {
                tracing::debug!(%address, reason, "a node was not reached");
                self.dialled.remove(&address);
                if is_own {
                    self.book.set_own(address);
                } else {
                    self.book.failed(self.moment(), address);
                }
                self.may_dial = true;
            }
            HubEvent::Ended { peer, end } => self.ended(peer, &end),
            HubEvent::Said { peer, request, said, weight } => self.said((peer, request), said, weight),
            HubEvent::Served { peer, ids } => self.relay.served(peer, &ids),
            HubEvent::Judged(verdicts) => {
                let judged = |(id, verdict)| (Event::Judged { id, verdict }, None);
                self.batch.extend(verdicts.into_iter().map(judged));
            }
            HubEvent::TxsJudged { peer, verdicts } => self.txs_judged(peer, verdicts),
            HubEvent::Saved(saved) => self.saver.saved(&saved, self.mono_ms()),
        }
    }

    /// The chain has changed.
    fn ticked(&mut self, ticks: Ticks) {
        self.is_changed = true;
        if ticks.tips != self.seen.tips {
            self.relay.tip_changed();
            self.sync(Event::TipChanged);
        }
        if ticks.disk_full != self.seen.disk_full {
            self.sync(Event::Takes(!ticks.disk_full));
        }
        // A reorganisation returns transactions too.
        self.relay.pool_changed();
        self.seen = ticks;
    }

    /// What a peer said; what it weighs is given back when it was taken.
    fn said(&mut self, (peer, request): (PeerId, u32), said: Said, weight: Weight) {
        if !self.members.contains(peer) {
            return;
        }
        match said {
            // Sync takes together what comes together.
            Said::Blocks(message) => {
                self.batch.push((Event::Message { peer, request, message }, Some(weight)));
            }
            Said::TxIds(got) => {
                let reader = Pool(&self.context.chain, &self.context.finder);
                let now = self.mono_ms();
                let actions = self.relay.announced(now, &reader, peer, &got.ids);
                self.relayed(actions);
            }
            Said::Txs(got) => {
                let reader = Pool(&self.context.chain, &self.context.finder);
                let now = self.mono_ms();
                match self.relay.received(now, &reader, peer, request, &got.txs) {
                    Ok(actions) => self.relayed(actions),
                    Err(code) => {
                        self.misbehaved(peer, code);
                        let reason = format!("it sent transactions that were no answer: {code}");
                        self.drop_peer(peer, code, reason);
                    }
                }
            }
            Said::GetAddresses => self.tell_addresses(peer, request),
            Said::Addresses(got) => {
                let Some(member) = self.members.get(peer) else { return };
                let from = (peer, member.address.ip().to_canonical());
                let addresses: Vec<SocketAddr> = got.addresses.iter().map(|one| (*one).into()).collect();
                self.book.heard(self.moment(), from, &addresses);
                self.may_dial = true;
            }
        }
    }

    /// Has sync take an event after those that wait.
    fn sync(&mut self, event: Event) {
        self.batch.push((event, None));
        self.flush();
    }

    /// Has sync take the events that wait, and does what it says, as long as that has consequences.
    fn flush(&mut self) {
        let (mut events, _weights): (Vec<Event>, Vec<Option<Weight>>) =
            std::mem::take(&mut self.batch).into_iter().unzip();
        while !events.is_empty() {
            let now = Now { unix_ms: clock::now_ms(), mono_ms: self.mono_ms() };
            let actions = self.sync.handle_all(now, &Reader(&self.context.chain), events.drain(..));
            for action in actions {
                match action {
                    Action::Send { peer, request, message } => {
                        if self.send_blocks(peer, request, &message).is_err() {
                            self.part(peer, "not_reading", "it does not take what it is told".into());
                            events.push(Event::PeerDown { peer });
                        }
                    }
                    // No more are submitted at a time than the queue holds.
                    Action::Submit { blocks } => drop(self.submissions.try_send(blocks)),
                    Action::Drop { peer, code, reason } => {
                        self.misbehaved(peer, code);
                        self.part(peer, code, reason);
                    }
                }
            }
        }
        self.relay.set_paused(self.sync.is_catching_up() || self.context.chain.shared.is_disk_full());
    }

    fn send_blocks(
        &self,
        peer: PeerId,
        request: u32,
        message: &PeerMessage,
    ) -> Result<(), super::session::NotReading> {
        let items = match message {
            PeerMessage::GetBodies(asked) => asked.ids.len(),
            _ => 1,
        };
        match (self.members.get(peer), serve::frame_of(request, message)) {
            (Some(member), Some(frame)) => member.session.send(frame, items),
            _ => Ok(()),
        }
    }

    fn tell_addresses(&mut self, peer: PeerId, request: u32) {
        let Some(ip) = self.members.get(peer).map(|member| member.address.ip().to_canonical()) else {
            return;
        };
        // Once a connection, or the whole book could be had bit by bit.
        let addresses = match self.members.told_addresses(peer) {
            true => Vec::new(),
            false => self.book.sample(self.moment(), book::is_local(&ip)),
        };
        // No more are sampled than a message holds.
        let Some(addresses) = List::new(addresses.into_iter().map(NodeAddress::from).collect()) else {
            return;
        };
        let frame = Frame::of(request, &Addresses { addresses });
        if frame.is_ok_and(|frame| self.members.send(peer, frame, 0).is_err()) {
            self.drop_peer(peer, "not_reading", "it does not take what it is told".into());
        }
    }

    /// Notes something to be told.
    fn note(&mut self, text: String) {
        tracing::debug!(text, "peers");
        let number = self.news.back().map_or(1, |(last, _)| last + 1);
        self.news.push_back((number, text));
        if self.news.len() > PEERS_NEWS_MAX {
            self.news.pop_front();
        }
    }

    fn order(&mut self, order: Order, reply: oneshot::Sender<Result<bool, PeersError>>) {
        (self.may_dial, self.is_changed) = (true, true);
        let done = match order {
            Order::Add(address) => self.book.add_manual(address, true),
            Order::Remove(address) => {
                for peer in self.members.at(&address) {
                    self.drop_peer(peer, "removed", "the operator hung up".into());
                }
                self.dialled.remove(&address);
                Ok(self.book.remove(&address))
            }
            Order::Ban(ip) => self.book.ban(ip).inspect(|_| {
                for peer in self.members.of(&ip.to_canonical()) {
                    self.drop_peer(peer, "banned", "the operator banned it".into());
                }
            }),
            Order::Unban(ip) => Ok(self.book.unban(&ip)),
        };
        let done =
            done.map_err(|error| PeersError::Refused { code: error.name(), message: error.to_string() });
        if self.book.take_dirty() {
            self.saver.request();
        }
        self.saver.answer_when_saved(reply, done);
    }

    /// Has the book written.
    fn save(&self, bytes: Vec<u8>) {
        let (chain, events) = (self.context.chain.clone(), self.context.events.clone());
        self.runtime.spawn(async move {
            let saved = chain.save_peers(bytes).await;
            let _ = events.send(HubEvent::Saved(saved)).await;
        });
    }

    /// Shows how things are. A peer is shown when what has to be kept of it is on disk.
    fn show(&mut self, now: u64) {
        (self.shows_at, self.is_changed) = (now + PEERS_SHOW_MS, false);
        let moment = self.moment();
        let sync = self.sync.status();
        let info = |(id, member): (PeerId, &Member)| PeerInfo {
            id,
            address: member.address,
            is_outbound: member.is_outbound,
            is_manual: member.listens.is_some_and(|address| self.book.is_manual(&address)),
            agent: member.agent.clone(),
            height: sync.peers.get(&id).copied().unwrap_or(0),
            since: member.since.unix_ms,
            ping_ms: member.session.counters.ping_ms(),
            bytes_in: member.session.counters.bytes_in.load(Ordering::Relaxed),
            bytes_out: member.session.counters.bytes_out.load(Ordering::Relaxed),
        };
        let done = self.saver.done();
        let peers = self.members.iter().filter(|(_, member)| member.shown_with <= done).map(info).collect();
        let shared = &self.context.chain.shared;
        shared.set_catching_up(self.sync.is_catching_up());
        shared.set_beyond_pruning(sync.is_beyond_pruning);
        let status = PeersStatus {
            peers,
            manual: self.book.manual(),
            known: self.book.known(),
            bans: self.book.bans(moment),
            sync,
            news: self.news.iter().cloned().collect(),
        };
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(status);
    }
}
