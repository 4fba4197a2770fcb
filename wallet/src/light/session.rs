//! One connection: requests one after another, notices in between, and what is to be done next.
//! Sends go before readings, and neither keeps the other waiting for more than one message. Must
//! not know what answers prove.

use std::sync::Arc;
use std::time::{Duration, Instant};

use steelyard_core::encode::List;
use steelyard_core::hash::BlockId;
use steelyard_core::types::header::Header;
use steelyard_core::wire::pending::ADDRESSES_MAX;
use steelyard_core::wire::{Failure, Message, Notice, Watch};
use steelyard_runtime::clock;
use steelyard_runtime::frame::Frame;
use steelyard_runtime::link::{Link, read};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};

use super::node::{End, Node};
use super::submit::Outbox;
use super::{LightEvent, Sink, Wanted};
use crate::limits::NODE_RETRIES_MAX;

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// The node says so, and the connection goes on.
    Refused(Failure),
    /// The connection is over.
    End(End),
}

impl<E: Into<End>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::End(error.into())
    }
}

/// A request that is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// Which of the connection's, in the order of their writing.
    pub(super) place: u64,
    number: u32,
    /// When its answer must be there.
    until: Instant,
}

/// What notices have said since the last reading began.
#[derive(Clone, Copy, Debug, Default)]
struct News {
    touched: bool,
    tip: Option<BlockId>,
}

/// A connection, and what it remembers.
pub(super) struct Session<'a, S> {
    pub(super) node: &'a mut Node<S>,
    link: Link<TcpStream>,
    /// Requests so far.
    requests: u64,
    pub(super) wanted: watch::Receiver<Arc<Wanted>>,
    /// What was last seen to be wanted.
    pub(super) current: Arc<Wanted>,
    /// Whose addresses the node was told to watch.
    watched: Option<Arc<Wanted>>,
    pub(super) outbox: Outbox,
    news: News,
    /// Tip of the last reading.
    tip: Option<BlockId>,
    /// A reading is due, whatever the news.
    is_stale: bool,
    /// No reading before.
    not_before: Instant,
    /// A reading at the latest.
    refresh_at: Instant,
    /// Requests that were refused in a row, and readings whose tip would not stand still.
    retries: u32,
}

impl<'a, S: Sink> Session<'a, S> {
    /// A connection whose handshake is done.
    pub(super) fn new(node: &'a mut Node<S>, link: Link<TcpStream>) -> Self {
        let mut wanted = node.context.wanted.clone();
        let current = Arc::clone(&wanted.borrow_and_update());
        let now = clock::start();
        Self {
            node,
            link,
            requests: 0,
            wanted,
            current,
            watched: None,
            outbox: Outbox::new(now),
            news: News::default(),
            tip: None,
            is_stale: true,
            not_before: now,
            refresh_at: now,
            retries: 0,
        }
    }

    /// Goes on until it cannot; why.
    pub(super) async fn serve(mut self) -> End {
        loop {
            if let Err(end) = self.step().await {
                return end;
            }
        }
    }

    async fn step(&mut self) -> Result<(), End> {
        self.refresh()?;
        self.watch().await?;
        let has_submitted = self.submit().await?;
        let now = clock::start();
        if self.is_due(now) && now >= self.not_before {
            return self.round().await;
        }
        if has_submitted { Ok(()) } else { self.wait(now).await }
    }

    fn is_due(&self, now: Instant) -> bool {
        let has_moved = self.news.tip.is_some() && self.news.tip != self.tip;
        self.is_stale || self.news.touched || has_moved || now >= self.refresh_at
    }

    /// Says whose transactions matter, where that has changed.
    async fn watch(&mut self) -> Result<(), End> {
        let watched = self.watched.as_ref();
        if watched.is_some_and(|watched| watched.addresses == self.current.addresses) {
            return Ok(());
        }
        let addresses = self.current.addresses.iter().take(ADDRESSES_MAX).copied().collect();
        let watch = Watch { addresses: List::new(addresses).expect("no more were taken") };
        self.ask(&watch).await?;
        self.watched = Some(Arc::clone(&self.current));
        self.is_stale = true;
        Ok(())
    }

    /// Waits for what comes first. While a reading is due and must rest, nothing is read: whoever
    /// floods this end with notices fills its own side of the connection.
    async fn wait(&mut self, now: Instant) -> Result<(), End> {
        let is_due = self.is_due(now);
        let mut at = if is_due { self.not_before } else { self.refresh_at };
        if self.outbox.is_waiting {
            at = at.min(self.outbox.rests_until);
        }
        tokio::select! {
            biased;
            changed = self.wanted.changed() => {
                changed.map_err(|_| End::Stopped)?;
                // What is marked as seen by the wait is taken in by the next step.
                self.wanted.mark_changed();
                Ok(())
            }
            frame = self.link.next(), if !is_due => {
                let frame = frame?.ok_or_else(closed)?;
                if frame.kind != Notice::KIND {
                    return Err(unasked(&frame));
                }
                self.notice(&read(&frame)?);
                Ok(())
            }
            () = sleep_until(at.into()) => Ok(()),
        }
    }

    fn notice(&mut self, notice: &Notice) {
        self.news.touched |= notice.touched != 0;
        self.news.tip = Some(Header::from(&notice.tip).id());
    }

    /// A reading begins: what was heard before is looked at by it.
    pub(super) fn reading_begins(&mut self) {
        self.news = News::default();
        self.is_stale = false;
    }

    /// A reading is done: the next one after this pause.
    pub(super) fn reading_done(&mut self, tip: BlockId, pause: Duration) {
        let now = clock::start();
        self.tip = Some(tip);
        self.retries = 0;
        self.not_before = now + pause;
        self.refresh_at = now + self.node.context.times.refresh;
    }

    /// A reading is to be tried again after a pause: the node is busy (why), or its tip would not
    /// stand still. Too often in a row and it counts as failed.
    pub(super) async fn reading_later(&mut self, failure: Option<(String, String)>) -> Result<(), End> {
        self.not_before = clock::start() + self.node.context.times.retry;
        self.is_stale = true;
        self.refused(failure).await
    }

    /// Counts a refusal.
    pub(super) async fn refused(&mut self, failure: Option<(String, String)>) -> Result<(), End> {
        self.retries += 1;
        if self.retries >= NODE_RETRIES_MAX {
            let moving =
                || ("tip_moving".to_owned(), "the node's tip moves faster than it can be read".to_owned());
            let (code, words) = failure.unwrap_or_else(moving);
            return Err(End::Failed(code, words));
        }
        if self.node.tell_refused(failure).await { Ok(()) } else { Err(End::Stopped) }
    }

    /// Tells; waits while there is no room.
    pub(super) async fn tell(&self, event: LightEvent) -> Result<(), End> {
        if self.node.context.sink.tell(event).await { Ok(()) } else { Err(End::Stopped) }
    }

    /// Writes a request.
    pub(super) async fn ask<Q: Message>(&mut self, question: &Q) -> Result<Asked, End> {
        let until = clock::start() + self.node.context.times.answer;
        self.requests += 1;
        // From 1 on, again and again: 0 is no request's.
        let number = u32::try_from(self.requests % u64::from(u32::MAX)).map_or(u32::MAX, |rest| rest + 1);
        self.link.send(number, question).await?;
        Ok(Asked { place: self.requests, number, until })
    }

    /// Waits for the answer, as long as the request has left. Notices are taken in meanwhile.
    pub(super) async fn answer<A: Message>(&mut self, asked: Asked) -> Result<A, Fault> {
        let left = asked.until.saturating_duration_since(clock::start());
        match timeout(left, self.answer_to(asked.number)).await {
            Ok(answer) => answer,
            Err(_) => {
                let within = self.node.context.times.answer.as_millis();
                Err(End::failed("answer_timeout", format!("no answer within {within} ms")).into())
            }
        }
    }

    async fn answer_to<A: Message>(&mut self, number: u32) -> Result<A, Fault> {
        loop {
            let frame = self.link.next().await.map_err(End::from)?.ok_or_else(closed)?;
            match frame.kind {
                Notice::KIND => self.notice(&read(&frame).map_err(End::from)?),
                _ if frame.request != number => return Err(unasked(&frame).into()),
                Failure::KIND => return Err(Fault::Refused(read(&frame).map_err(End::from)?)),
                _ => return Ok(read(&frame).map_err(End::from)?),
            }
        }
    }
}

fn closed() -> End {
    End::failed("closed", "the node closed the connection")
}

fn unasked(frame: &Frame) -> End {
    let words = format!("a message of kind {} that nobody asked for", frame.kind);
    End::failed("unasked", words)
}
