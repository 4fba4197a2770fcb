//! The listener: so many connections at once, none of them idle for ever, all of them closed when
//! the node stops, whatever their other end does. Must not know HTTP.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::clock;
use crate::limits::{API_CONNECTIONS_MAX, API_REQUEST_MS};

/// A connection on which nothing moves for so long is closed: longer than a request may take.
const IDLE_MAX: Duration = Duration::from_millis(2 * API_REQUEST_MS);
/// Pause after the machine refused a connection, most likely for want of files.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Accepts until dropped.
pub(super) struct Connections {
    listener: TcpListener,
    places: Arc<Semaphore>,
    closing: CancellationToken,
}

impl Connections {
    /// Connections of this listener, which all fail once `closing` is cancelled.
    pub(super) fn new(listener: TcpListener, closing: CancellationToken) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(API_CONNECTIONS_MAX)), closing }
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("nobody closes the semaphore");
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    // Head and body of an answer are two writes: without this, 40 ms apart.
                    let _ = stream.set_nodelay(true);
                    return (Connection::new(stream, self.closing.clone(), place), address);
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the API was not accepted");
                    sleep(REFUSED_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One connection.
pub(super) struct Connection {
    stream: TcpStream,
    moved: Instant,
    idle: Pin<Box<Sleep>>,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    fn new(stream: TcpStream, closing: CancellationToken, place: OwnedSemaphorePermit) -> Self {
        let closing = Box::pin(closing.cancelled_owned());
        Self { stream, moved: clock::start(), idle: Box::pin(sleep(IDLE_MAX)), closing, _place: place }
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
            let end = self.moved + IDLE_MAX;
            if end <= clock::start() {
                return Poll::Ready(Err(Error::from(ErrorKind::TimedOut)));
            }
            self.idle.as_mut().reset(end.into());
        }
        Poll::Pending
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.watch(context, result)
    }
}

impl AsyncWrite for Connection {
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
