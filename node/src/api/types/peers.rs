//! What the API says of peers, and what an operator tells it about them. Must not know where it
//! comes from.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// `GET /peers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerList {
    /// Connected, the longest first.
    pub peers: Vec<Peer>,
    /// Addresses named by hand, connected or not.
    pub manual: Vec<SocketAddr>,
    /// Addresses known in all.
    pub known: u64,
    /// Bans: the operator's, then those that last the longest.
    pub bans: Vec<Ban>,
    /// Bans that are not listed.
    pub more_bans: u64,
}

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Names the connection.
    pub id: u64,
    /// The other end: of an outbound connection where it listens, else where it called from.
    pub address: SocketAddr,
    /// Who has dialled.
    pub direction: Direction,
    /// Whether it was named by hand.
    pub manual: bool,
    /// Program and version, as it says.
    pub agent: String,
    /// Height of its tip, as far as known.
    pub height: u64,
    /// Since when.
    pub since: u64,
    /// For so long, in ms.
    pub connected_ms: u64,
    /// The last answer to a ping took so long, in ms.
    pub ping_ms: Option<u64>,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
}

/// Who has dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The other end.
    Inbound,
    /// This node.
    Outbound,
}

/// Whose connections are refused and who is not dialled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Whose.
    pub ip: IpAddr,
    /// Until when; null for until the operator ends it.
    pub until: Option<u64>,
    /// What it did, or `operator`.
    pub code: String,
}

/// JSON of `POST /peers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddPeer {
    /// `IP:PORT`.
    pub address: String,
}

/// JSON of `POST /bans`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddBan {
    /// `IP`, or `IP:PORT` of which the port is not looked at.
    pub ip: String,
}

/// What became of a command about peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// False when it was so before.
    pub changed: bool,
}
