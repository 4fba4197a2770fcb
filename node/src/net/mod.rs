//! The door for connections: other nodes are handed on to [`crate::peers`], wallets are served
//! here, from the view. They ask for the tip, for proofs of records and
//! transactions, and bring transactions in. Every connection, message and wait has a bound
//! (`limits.rs`), because everything at the other end is a stranger's. The view is read for moments
//! only, never across an await or beside the store. Must not know HTTP or the command line.
//!
//! | file | what |
//! |---|---|
//! | `places` | how many connections, and how many from one address |
//! | `connection` | one connection of a wallet, after the handshake |
//! | `watcher`, [`ticks`] | telling of changes |
//! | `requests` | a request to its answer, by whom |
//! | `light` | the answers |

mod connection;
mod light;
mod places;
mod requests;
#[cfg(test)]
mod tests;
pub mod ticks;
mod watcher;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use steelyard_core::wire::{Role, request_bytes_max};
use steelyard_runtime::link::Link;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch::Receiver;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connection::{Context, Patience};
use self::places::{Place, Places};
use self::requests::Desk;
use crate::chain::Chain;
use crate::chain::view::Ticks;
use crate::finder::Finder;
use crate::limits::{NET_CONNECTIONS_MAX, NET_CONNECTIONS_PER_IP_MAX};
use crate::peers::Entrance;

/// Pause after the machine refused a connection, most likely for want of files.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);
/// After a stop: what is being answered may go on for so long.
const STOP_GRACE: Duration = Duration::from_millis(250);

/// Serves until `shutdown`, and ends soon after it whatever the other ends do. `ticks` tells of
/// changes.
pub async fn serve(
    listener: TcpListener,
    (chain, finder): (Chain, Arc<Finder>),
    entrance: Entrance,
    ticks: Receiver<Ticks>,
    shutdown: CancellationToken,
) {
    let places = Places::new(NET_CONNECTIONS_MAX, NET_CONNECTIONS_PER_IP_MAX);
    let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
    let desk = Arc::new(Desk::new(chain, finder));
    let context = Context { desk, ticks, patience: Patience::NODE, stopping: shutdown.clone() };
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                sleep(REFUSED_PAUSE).await;
                continue;
            }
        };
        let Some(place) = places.take(address.ip()) else {
            tracing::debug!(%address, "no place for a further connection");
            continue;
        };
        let served = serve_one((stream, address), place, entrance.clone(), context.clone());
        let closing = closing.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = served => {}
                () = closing.cancelled() => {}
            }
        });
    }
    drop(listener);
    tasks.close();
    if timeout(STOP_GRACE, tasks.wait()).await.is_err() {
        closing.cancel();
        tasks.wait().await;
    }
}

/// Greets, and goes on with a wallet; a node goes elsewhere, with its place.
async fn serve_one(
    (stream, address): (TcpStream, SocketAddr),
    place: Place,
    entrance: Entrance,
    context: Context,
) {
    // Each answer is one write, and no later one is worth waiting for.
    let _ = stream.set_nodelay(true);
    let greeted = tokio::select! {
        biased;
        () = context.stopping.cancelled() => return,
        greeted = Link::accept(stream, entrance.hello(), request_bytes_max, context.patience.link) => greeted,
    };
    match greeted {
        Err(error) => tracing::debug!(%address, %error, "a connection did not come to requests"),
        Ok(link) if link.peer().role == Role::Node => entrance.arrived(link, address, Box::new(place)).await,
        Ok(link) => {
            connection::serve(link, context).await;
            drop(place);
        }
    }
}
