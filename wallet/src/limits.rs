//! Every bound of the wallet in one place, in units, with what "full" means. Must not know who
//! keeps them.

use steelyard_core::wire::pending::ADDRESSES_MAX;

/// Wallets of one daemon. Full: a further one is refused.
pub const WALLETS_MAX: usize = 64;
/// Addresses of all wallets of one daemon: what a node is asked about at each block. Full: a
/// further one is refused.
pub const ADDRESSES_TOTAL_MAX: usize = ADDRESSES_MAX;
/// Addresses that a restored wallet looks at from the beginning: its words do not say how many it had
/// (BIP 44 calls it the gap limit). Further ones come back by asking for new ones.
pub const RESTORED_ADDRESSES: u32 = 20;
/// Nodes that a daemon talks to. Full: a further one is refused.
pub const NODES_MAX: usize = 16;
/// Sends of one wallet that are not final. Full: a further one is refused, none is dropped for it.
pub const LIVE_INTENTS_MAX: usize = 10_000;

/// Commands waiting for the desk. Full: callers wait.
pub const DESK_QUEUE_MAX: usize = 1_024;
/// Commands that share one commit.
pub const GROUP_COMMANDS_MAX: usize = 256;
/// Bytes written to sled after which it is reopened, so that its log does not grow.
pub const REOPEN_BYTES: u64 = 16 * 1024 * 1024;
/// sled's cache, in serialized bytes.
pub const SLED_CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// A reading that changed no balance is written down again only after so long, in ms: the store
/// must not grow with the chain.
pub const SNAPSHOT_WRITE_MS: u64 = 60_000;

/// A node answers within so long or is left for another, in ms.
pub const NODE_ANSWER_MS: u64 = 3_000;
/// First pause after a node failed, in ms; it doubles…
pub const NODE_PAUSE_MS: u64 = 500;
/// …up to this.
pub const NODE_PAUSE_MS_MAX: u64 = 30_000;
/// Pause after a node lied, in ms.
pub const NODE_BANNED_MS: u64 = 10 * 60_000;
/// A node that has nothing to tell is asked again after so long, in ms.
pub const NODE_REFRESH_MS: u64 = 10_000;
/// Shortest pause between two readings of one node, in ms…
pub const NODE_READING_PAUSE_MS: u64 = 100;
/// …and for each request that the last one took, in ms: half of what a node answers a connection is
/// left for sends.
pub const NODE_REQUEST_PAUSE_MS: u64 = 10;
/// Pause after a node was busy, or its tip would not stand still, in ms.
pub const NODE_RETRY_MS: u64 = 200;
/// Times in a row that a node may be so before it counts as failed.
pub const NODE_RETRIES_MAX: u32 = 5;
/// Times that one reading begins again because the tip has moved.
pub const READING_ATTEMPTS_MAX: u32 = 5;
/// That a node has answered again is told only after so long, in ms, unless something else is new.
pub const NODE_TOLD_MS: u64 = 1_000;
/// Headers that a node is asked for at each reading.
pub const RECENT_HEADERS: u16 = 32;
/// Readings are no longer called synced when the last one is so old, in ms.
pub const SYNCED_MS_MAX: u64 = 3 * NODE_REFRESH_MS;

/// Blocks after which a send that nobody mined is void, unless the sender says otherwise.
pub const EXPIRY_BLOCKS_DEFAULT: u64 = 1_000;

/// Connections to the socket at once. Full: the next one waits to be accepted.
pub const RPC_CONNECTIONS_MAX: usize = 256;
/// Longest body of a request, in bytes.
pub const RPC_BODY_BYTES_MAX: usize = 64 * 1024;
/// A request takes no longer, in ms, unless it says that it waits.
pub const RPC_REQUEST_MS: u64 = 30_000;
/// Items of one page of a list.
pub const RPC_PAGE_MAX: usize = 100;
/// A request that says that it waits does so for no longer, in ms: a day.
pub const RPC_WAIT_MS_MAX: u64 = 24 * 60 * 60 * 1_000;
/// Passphrases tried and wallets made at once: each takes the memory that a passphrase costs. Full:
/// the next one waits.
pub const RPC_KDF_MAX: usize = 1;
