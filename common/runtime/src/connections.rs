//! A listener with bounds: so many connections at once, none of them idle for ever, all of them
//! closed when the program stops, whatever their other end does. Must not know HTTP, nor what kind
//! of socket it is.

use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::clock;

/// The bounds of a listener.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Connections at once. Full: the next one waits to be accepted.
    pub connections_max: usize,
    /// A connection on which nothing moves for so long is closed: longer than a request may take.
    pub idle: Duration,
}

/// Accepts until dropped.
#[derive(Debug)]
pub struct Connections<L> {
    listener: L,
    places: Arc<Semaphore>,
    idle: Duration,
    closing: CancellationToken,
}

impl<L: Listener> Connections<L> {
    /// Connections of this listener, which all fail once `closing` is cancelled.
    pub fn new(listener: L, limits: ConnectionLimits, closing: CancellationToken) -> Self {
        let ConnectionLimits { connections_max, idle } = limits;
        Self { listener, places: Arc::new(Semaphore::new(connections_max)), idle, closing }
    }
}

impl<L: Listener> Listener for Connections<L> {
    type Io = Connection<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("nobody closes the semaphore");
        let (stream, address) = self.listener.accept().await;
        (Connection::new(stream, self.idle, self.closing.clone(), place), address)
    }

    fn local_addr(&self) -> Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// One connection.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    moved: Instant,
    idle_max: Duration,
    idle: Pin<Box<Sleep>>,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    _place: OwnedSemaphorePermit,
}

impl<S> Connection<S> {
    fn new(stream: S, idle_max: Duration, closing: CancellationToken, place: OwnedSemaphorePermit) -> Self {
        let (idle, closing) = (Box::pin(sleep(idle_max)), Box::pin(closing.cancelled_owned()));
        Self { stream, moved: clock::start(), idle_max, idle, closing, _place: place }
    }

    /// Passes on what the stream says, unless nothing moves and it is time to end.
    fn watch<T>(&mut self, context: &mut Context<'_>, result: Poll<Result<T>>) -> Poll<Result<T>> {
        if result.is_ready() {
            self.moved = clock::start();
            return result;
        }
        if self.closing.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(Error::from(ErrorKind::ConnectionAborted)));
        }
        // The timer is set again only when it rings: most connections move long before.
        while self.idle.as_mut().poll(context).is_ready() {
            let end = self.moved + self.idle_max;
            if end <= clock::start() {
                return Poll::Ready(Err(Error::from(ErrorKind::TimedOut)));
            }
            self.idle.as_mut().reset(end.into());
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.watch(context, result)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[std::io::IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.watch(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{UnixListener, UnixStream};

    /// One place, and no patience with a connection that rests for `idle`.
    fn listen(
        dir: &tempfile::TempDir,
        idle: Duration,
        closing: &CancellationToken,
    ) -> Connections<UnixListener> {
        let listener = UnixListener::bind(dir.path().join("socket")).unwrap();
        Connections::new(listener, ConnectionLimits { connections_max: 1, idle }, closing.clone())
    }

    async fn connect(dir: &tempfile::TempDir) -> UnixStream {
        UnixStream::connect(dir.path().join("socket")).await.unwrap()
    }

    #[tokio::test]
    async fn the_next_connection_waits_for_a_place_and_all_end_with_the_program() {
        let (dir, closing) = (tempfile::tempdir().unwrap(), CancellationToken::new());
        let mut connections = listen(&dir, Duration::from_secs(600), &closing);
        let (mut first, _second) = (connect(&dir).await, connect(&dir).await);
        let (mut accepted, _) = connections.accept().await;
        first.write_all(b"a").await.unwrap();
        assert_eq!(accepted.read_u8().await.unwrap(), b'a');
        tokio::select! {
            biased;
            _ = connections.accept() => panic!("there was one place"),
            () = sleep(Duration::from_millis(20)) => {}
        }
        drop(accepted);
        let (mut accepted, _) = connections.accept().await;
        closing.cancel();
        assert_eq!(accepted.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn a_connection_on_which_nothing_moves_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let mut connections = listen(&dir, Duration::from_millis(20), &CancellationToken::new());
        let _client = connect(&dir).await;
        let (mut accepted, _) = connections.accept().await;
        assert_eq!(accepted.read_u8().await.unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
