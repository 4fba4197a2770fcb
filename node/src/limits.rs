//! Every bound of the node in one place, in units, as formulas. Must not know who keeps them.

use steelyard_core::params::BLOCK_BYTES_LIMIT;
use steelyard_core::types::header::HEADER_BYTES;
use steelyard_core::types::transaction::TX_BYTES_MAX;
use steelyard_core::wire::{Message, Submit, bodies, headers};

/// Commands waiting for the chain thread. Full: the API answers 503, other callers wait.
pub const CHAIN_QUEUE_MAX: usize = 4_096;
/// Commands that share one commit.
pub const GROUP_COMMANDS_MAX: usize = 4_096;
/// Blocks that share one commit: a kill costs at most these.
pub const GROUP_BLOCKS_MAX: usize = 128;
/// Body bytes after which a group is committed, whatever else waits.
pub const GROUP_BYTES_MAX: usize = 256 * 1024;

/// Bytes of pending transactions, their overhead counted. Full: the cheapest makes room or is refused.
pub const MEMPOOL_BYTES_MAX: usize = 128 * 1024 * 1024;
/// What a pending transaction costs in memory beside its bytes (twice decoded, ids, map entries).
pub const MEMPOOL_OVERHEAD_BYTES: usize = 1_024;
/// How far beyond an account's nonce a pending one may be: pending transactions of one sender.
pub const SENDER_NONCES_MAX: u64 = 1_024;
/// Bytes of pending transactions that wait for a missing nonce; a further one is refused, none is evicted for it.
pub const QUEUED_BYTES_MAX: usize = MEMPOOL_BYTES_MAX / 8;
/// A replacement pays at least so many percent more than what it replaces.
pub const REPLACEMENT_PERCENT: u64 = 10;
/// Stored runs of pending transactions are rewritten when they hold so many times the living bytes…
pub const MEMPOOL_WASTE_FACTOR: u64 = 4;
/// …and at least this many bytes.
pub const MEMPOOL_WASTE_BYTES: u64 = 16 * 1024 * 1024;

/// Blocks remembered as invalid without being stored. Full: the oldest is forgotten and would be judged again.
pub const REFUSED_BLOCKS_MAX: usize = 4_096;

/// Bytes written to sled after which it is reopened in an idle moment: it writes its own snapshot
/// only at open, so an open re-reads all log since the last one.
pub const REOPEN_BYTES_IDLE: u64 = 64 * 1024 * 1024;
/// …and in any moment.
pub const REOPEN_BYTES: u64 = 2 * REOPEN_BYTES_IDLE;
/// Nothing to do for so long is an idle moment, in ms.
pub const IDLE_MS: u64 = 200;
/// sled's cache, in serialized bytes.
pub const SLED_CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// Changed records since the last checkpoint that are never worth a new one.
pub const CHECKPOINT_RECORDS_LEAST: u64 = 100_000;
/// Commits since the last checkpoint after which there is a new one.
pub const CHECKPOINT_COMMITS: u64 = 100_000;

/// Nonces tried before a miner looks whether the tip has changed: some 10 ms.
pub const MINER_BATCH_TRIES: u64 = 100_000;
/// Longest a miner keeps a template although the tip stands, in ms: new transactions join.
pub const TEMPLATE_AGE_MS: u64 = 5_000;

/// Longest body of an API request: a block, or its hex in JSON.
pub const API_BODY_BYTES_MAX: usize = 2 * BLOCK_BYTES_LIMIT as usize + 64 * 1024;
/// Longest body of one submitted transaction, in hex and JSON.
pub const API_TX_BODY_BYTES_MAX: usize = 2 * TX_BYTES_MAX + 1_024;
/// Items of one page of a list.
pub const API_PAGE_MAX: u64 = 100;
/// Transactions of one batch.
pub const API_BATCH_TXS_MAX: usize = 1_000;
/// Batches in progress at once: each may have a body of many megabytes. Full: 503.
pub const API_BATCHES_MAX: usize = 4;
/// Blocking work of the API at once: reads of bodies, walks over the pool. Full: requests wait.
pub const API_WORKERS_MAX: usize = 8;
/// Assets listed of one address: anybody may pay anybody dust of any number of them.
pub const API_ASSETS_MAX: usize = 1_000;
/// Connections at once: each may rest between its requests. Full: the next one waits to be accepted.
pub const API_CONNECTIONS_MAX: usize = 2 * API_REQUESTS_MAX;
/// Requests in progress at once. Full: 503.
pub const API_REQUESTS_MAX: usize = 256;
/// A request takes no longer, in ms.
pub const API_REQUEST_MS: u64 = 30_000;

/// Connections of wallets at once. Full: a further one is closed at once, so that its other end goes
/// to another node.
pub const NET_CONNECTIONS_MAX: usize = 125;
/// Connections at once from one address that is not this machine's own; of IPv6 from one network of 64
/// bits, which is what one household has. Full: a further one is closed at once.
pub const NET_CONNECTIONS_PER_IP_MAX: usize = 8;
/// Blocking work of wallets' requests at once: checks of signatures, reads of bodies. Full: requests wait…
pub const NET_WORKERS_MAX: usize = 4;
/// …for so long, in ms; then they are told that the node is busy.
pub const NET_WORK_WAIT_MS: u64 = 1_000;
/// Work for a light client takes no longer, in ms, or is answered as busy: clients wait for 3 s.
pub const NET_ANSWER_MS: u64 = 2_000;
/// Requests of one connection that are answered without a pause. None left: the next ones wait.
pub const NET_REQUESTS_BURST: u64 = 500;
/// Requests a second that a connection gets back, up to the burst.
pub const NET_REQUESTS_PER_SECOND: u64 = 200;
/// From the connection to the end of the handshake, in ms.
pub const NET_HANDSHAKE_MS: u64 = 10_000;
/// From the beginning of a message to its end, in ms.
pub const NET_FRAME_MS: u64 = 30_000;
/// For the other end to take a message, in ms.
pub const NET_WRITE_MS: u64 = 30_000;
/// A connection that says nothing for so long is closed, in ms: who only listens sends pings.
pub const NET_IDLE_MS: u64 = 5 * 60_000;
/// Shortest time between two notices to one connection, in ms: what happens meanwhile is one notice.
pub const NET_NOTICE_MS: u64 = 50;
/// Pending transactions that are looked at for one notice. More: it says that there are new ones.
pub const NET_NOTICE_LOOKS_MAX: usize = 4_096;

/// Headers kept ahead of their blocks, in all. Full: branches of less work make room for one of more,
/// which is else not taken.
pub const SYNC_HEADERS_MAX: usize = 16_384;
/// Headers of a branch ahead of its blocks after which no more are asked for yet.
pub const SYNC_AHEAD_MAX: usize = 6_000;
/// Blocks after the first missing one of a branch whose bodies are asked for.
pub const SYNC_WINDOW: usize = 1_024;
/// Bodies in flight from one peer. Full: others are asked.
pub const SYNC_FLIGHT_MAX: usize = bodies::BODIES_MAX;
/// Bodies in flight from a peer that let its time pass, until it delivers.
pub const SYNC_FLIGHT_STALLED_MAX: usize = 1;
/// A peer with more bodies in flight than this is not asked for further ones: requests are of many.
pub const SYNC_FLIGHT_REFILL: usize = SYNC_FLIGHT_MAX / 2;
/// Bytes of bodies that are here and not judged, and of those in flight, which count as the largest
/// that the network allows. Full: only the next block of a branch is asked for.
pub const SYNC_BODY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Branches that bodies are asked for at once, those of most work first.
pub const SYNC_BRANCHES_MAX: usize = 8;
/// Blocks that are submitted together.
pub const SYNC_SUBMIT_MAX: usize = GROUP_BLOCKS_MAX;
/// Submissions that are not judged at once. Full: bodies wait and are then submitted together.
pub const SYNC_SUBMISSIONS_MAX: usize = 2;
/// Headers of one peer ahead of the clock that wait for their time. Full: further ones are dropped.
pub const SYNC_HELD_PER_PEER_MAX: usize = 16;
/// Headers ahead of the clock that wait for their time, in all. Full: further ones are dropped.
pub const SYNC_HELD_MAX: usize = 256;
/// Blocks remembered as invalid by sync. Full: the oldest is forgotten and would be judged again.
pub const SYNC_INVALID_MAX: usize = 4_096;
/// Headers with less work than the tip without its last so many blocks are measured before any is kept.
pub const SYNC_LOW_WORK_BLOCKS: u128 = 144;
/// Answers of [`headers::HEADERS_MAX`] headers over which one peer's branch is measured, an id kept of
/// each. Full: the branch is not followed.
pub const SYNC_PROBE_ANSWERS_MAX: usize = 4_096;
/// For an answer to a request for headers, in ms; then the peer is dropped.
pub const SYNC_HEADERS_MS: u64 = 30_000;
/// After headers from the future, of too little work or without room a peer is asked again, in ms.
pub const SYNC_REASK_MS: u64 = 30_000;
/// Announcements and answers in a row that connect to nothing. More: the peer is dropped.
pub const SYNC_UNCONNECTED_MAX: u32 = 10;
/// For the next body of a peer that owes some, in ms, at first…
pub const SYNC_STALL_MS: u64 = 2_000;
/// …doubled each time that it passes, up to this…
pub const SYNC_STALL_MS_MAX: u64 = 64_000;
/// …and this percentage of itself after each body that came in time.
pub const SYNC_STALL_DECAY_PERCENT: u64 = 85;
/// Bytes of bodies of one answer: when reached, the rest is named as missing. One body is always sent.
pub const SYNC_SERVE_BYTES_MAX: usize = 4 * 1024 * 1024;

// A branch that is followed at the greatest distance finds room beside one as long.
const _: () = assert!(2 * (SYNC_AHEAD_MAX + headers::HEADERS_MAX) <= SYNC_HEADERS_MAX);
const _: () = assert!(SYNC_BODY_BYTES_MAX >= SYNC_FLIGHT_MAX * BLOCK_BYTES_LIMIT as usize);
const _: () = assert!(GROUP_BLOCKS_MAX * (HEADER_BYTES + 64) <= 32 * 1024);
// What all wallets together can make the node keep of requests that have not ended.
const _: () = assert!(NET_CONNECTIONS_MAX * <Submit as Message>::BYTES_MAX <= 96 * 1024 * 1024);
const _: () = assert!(QUEUED_BYTES_MAX > (TX_BYTES_MAX + MEMPOOL_OVERHEAD_BYTES) * 64);
