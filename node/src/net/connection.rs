//! One connection of a light client: requests one after another and in between the notices that
//! were asked for. Whoever breaks the protocol, falls silent or draws something out is hung up on,
//! and told why where that can be. Must not know what requests mean.

use std::sync::Arc;
use std::time::{Duration, Instant};

use steelyard_core::wire::{Message, Notice, Watch};
use steelyard_runtime::bucket::Bucket;
use steelyard_runtime::clock;
use steelyard_runtime::frame::Frame;
use steelyard_runtime::link::{Link, LinkError, LinkTimes, read};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;

use super::requests::Desk;
use super::watcher::Watcher;
use crate::chain::view::Ticks;
use crate::limits::{
    NET_FRAME_MS, NET_HANDSHAKE_MS, NET_IDLE_MS, NET_NOTICE_MS, NET_REQUESTS_BURST, NET_REQUESTS_PER_SECOND,
    NET_WRITE_MS,
};

/// How patient a connection is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// With the bytes of a message.
    pub(super) link: LinkTimes,
    /// With silence.
    pub(super) idle: Duration,
    /// Between two notices.
    pub(super) pause: Duration,
}

impl Patience {
    /// That of a node.
    pub(super) const NODE: Self = Self {
        link: LinkTimes {
            handshake: Duration::from_millis(NET_HANDSHAKE_MS),
            frame: Duration::from_millis(NET_FRAME_MS),
            write: Duration::from_millis(NET_WRITE_MS),
        },
        idle: Duration::from_millis(NET_IDLE_MS),
        pause: Duration::from_millis(NET_NOTICE_MS),
    };
}

/// What every connection is given.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) desk: Arc<Desk>,
    pub(super) ticks: Receiver<Ticks>,
    pub(super) patience: Patience,
    /// The node stops: what is being answered is answered, and no more.
    pub(super) stopping: CancellationToken,
}

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// The other end has closed it.
    Closed,
    /// The other end has said nothing for too long.
    Idle,
    /// The node stops.
    Stopping,
    /// The other end does not keep to the protocol, or the machine failed.
    Failed(LinkError),
}

impl From<LinkError> for End {
    fn from(error: LinkError) -> Self {
        Self::Failed(error)
    }
}

/// Serves a light client's connection until it ends.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut link: Link<S>, context: Context) {
    let end = Conversation::new(&context).run(&mut link).await;
    tracing::debug!(?end, agent = %link.peer().agent, "a connection ended");
    match end {
        End::Closed | End::Failed(LinkError::Bye(_) | LinkError::Io(_)) => {}
        End::Idle => link.bye("idle", "nothing was asked for too long; a ping keeps a connection").await,
        End::Stopping => link.bye("stopping", "the node is stopping").await,
        End::Failed(error) => link.bye(error.name(), &error.to_string()).await,
    }
}

/// What a connection remembers from request to request.
struct Conversation<'a> {
    context: &'a Context,
    bucket: Bucket,
    watcher: Option<Watcher>,
    heard: Instant,
}

impl<'a> Conversation<'a> {
    fn new(context: &'a Context) -> Self {
        let now = clock::start();
        let bucket = Bucket::new(NET_REQUESTS_BURST, NET_REQUESTS_PER_SECOND, now);
        Self { context, bucket, watcher: None, heard: now }
    }

    async fn run<S: AsyncRead + AsyncWrite + Unpin>(mut self, link: &mut Link<S>) -> End {
        loop {
            if let Err(end) = self.step(link).await {
                return end;
            }
        }
    }

    /// One request, or one notice.
    async fn step<S: AsyncRead + AsyncWrite + Unpin>(&mut self, link: &mut Link<S>) -> Result<(), End> {
        let silent_at = self.heard + self.context.patience.idle;
        let frame = tokio::select! {
            biased;
            () = self.context.stopping.cancelled() => return Err(End::Stopping),
            // Before requests: notices are few, however many requests there are.
            (request, notice) = notice(&mut self.watcher, &self.context.desk) => {
                return Ok(link.send(request, &notice).await?);
            }
            frame = link.next() => frame?.ok_or(End::Closed)?,
            () = tokio::time::sleep_until(silent_at.into()) => return Err(End::Idle),
        };
        self.heard = clock::start();
        let wait = self.bucket.take(self.heard);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        if frame.kind == Watch::KIND {
            let (watch, ticks) = (read(&frame)?, self.context.ticks.clone());
            self.watcher = Some(Watcher::new(frame.request, watch, ticks, self.context.patience.pause));
            return Ok(());
        }
        let answer = self.answer(link, &frame).await?;
        link.send_frame(&answer).await?;
        // The time that an answer takes is not silence.
        self.heard = clock::start();
        Ok(())
    }

    /// The answer; what is to be noticed before it is ready is told meanwhile.
    async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        link: &mut Link<S>,
        frame: &Frame,
    ) -> Result<Frame, End> {
        let desk = Arc::clone(&self.context.desk);
        let mut answer = std::pin::pin!(desk.answer(frame));
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return Ok(answer?),
                (request, notice) = notice(&mut self.watcher, &self.context.desk) => {
                    link.send(request, &notice).await?;
                }
            }
        }
    }
}

/// The next notice with the request that it belongs to; never, where none was asked for.
async fn notice(watcher: &mut Option<Watcher>, desk: &Desk) -> (u32, Notice) {
    match watcher {
        Some(watcher) => (watcher.request, watcher.next(desk.shared()).await),
        None => std::future::pending().await,
    }
}
