//! The API's socket: what a TCP listener has to do before its connections are bounded. Must not
//! know HTTP.

use std::io::Result;
use std::net::SocketAddr;
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// Pause after the machine refused a connection, most likely for want of files.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// A TCP listener that says so when a connection is refused: the server's own does not, and waits
/// longer.
pub(super) struct ApiListener(pub(super) TcpListener);

impl Listener for ApiListener {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match self.0.accept().await {
                Ok((stream, address)) => {
                    // Head and body of an answer are two writes: without this, 40 ms apart.
                    let _ = stream.set_nodelay(true);
                    return (stream, address);
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the API was not accepted");
                    sleep(REFUSED_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> Result<SocketAddr> {
        self.0.local_addr()
    }
}
