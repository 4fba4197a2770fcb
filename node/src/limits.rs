//! Every bound of the node in one place, in units, as formulas. Must not know who keeps them.

use steelyard_core::params::BLOCK_BYTES_LIMIT;
use steelyard_core::types::header::HEADER_BYTES;
use steelyard_core::types::transaction::TX_BYTES_MAX;
use steelyard_core::wire::{Message, Submit, bodies, headers, txs};
use steelyard_runtime::sled_door::LARGE_VALUES_MEMORY;

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
/// So long after a commit nobody waits for the chain thread: it lets go of what the commit replaced, in ms.
pub const LET_GO_MS: u64 = 5;
/// sled's cache, in serialized bytes.
pub const SLED_CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// Memory that sled takes for a byte of its cache, at most, as measured.
const SLED_MEMORY_FACTOR: u64 = 4;

/// Changed records since the last checkpoint that are never worth a new one.
pub const CHECKPOINT_RECORDS_LEAST: u64 = 100_000;
/// Commits since the last checkpoint after which there is a new one.
pub const CHECKPOINT_COMMITS: u64 = 100_000;

/// Free bytes of the disk below which an operator is warned, unless the settings say otherwise.
pub const DISK_WARN_BYTES: u64 = 1024 * 1024 * 1024;
/// …and below which nothing more is taken, mined or fetched, unless the settings say otherwise. What is
/// under way then, a reopening of sled and a checkpoint of a million accounts find room.
pub const DISK_STOP_BYTES: u64 = 200 * 1024 * 1024;
/// There is room again once so many percent more are free than the bound that was passed.
pub const DISK_MARGIN_PERCENT: u64 = 10;
/// Between two looks at how much room there is, in ms.
pub const DISK_LOOK_MS: u64 = 1_000;
/// Between two times that freed memory is given back to the system, in ms.
pub const MEMORY_MS: u64 = 30_000;
/// Between two writings of the mark beside the store, in ms.
pub const MARK_MS: u64 = 1_000;

/// Bytes of one data file of a backup. Full: the next one is begun…
pub const BACKUP_FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// …up to so many, whose notes still fit into a manifest. Full: there is no backup.
pub const BACKUP_FILES_MAX: usize = 4_096;
/// Blocks whose places an export notes before others get their turn.
pub const EXPORT_STEP_BLOCKS: usize = 4_096;
/// Commits in a row that a repair passes over where not even their numbers can be read. More: it ends there.
pub const REPAIR_GAP_MAX: u64 = 1_024;
/// Pending transactions that a repair hands on at once.
pub const REPAIR_TXS_AT_ONCE: usize = 1_000;

/// Least number of blocks whose bodies a node that prunes keeps, as Bitcoin Core's: a reorganisation of
/// more than are kept cannot be followed, and no lab needs one so deep to see a chain give way.
pub const PRUNE_DEPTH_LEAST: u64 = 288;
/// Blocks that a node that prunes lets become too deep before it says so and deletes them together: each
/// time costs a commit.
pub const PRUNE_STEP: u64 = 32;
/// Blocks above the last one pruned that others are told not to rely on: pruning goes on while they ask.
pub const PRUNE_MARGIN: u64 = 32;
/// Blocks looked at for pruning between two commits. Full: the rest waits for the next pause.
pub const PRUNE_LOOKS: u32 = 4_096;
/// Batches of deletions between two commits. Full: the rest waits for the next pause.
pub const PRUNE_BATCHES: usize = 8;

/// Entries of the index in memory after which they become a run: 64 Ki of transactions and as many of
/// addresses, some 40 bytes each. One block more may be there: at most its bytes over those of a payment.
/// Those of the last run are kept beside them.
pub const INDEX_MEMORY_ENTRIES: usize = 2 * 64 * 1024;
/// Blocks in memory after which they become a run: what a start after a kill reads again.
pub const INDEX_MEMORY_BLOCKS: u64 = 4_096;
/// Runs of one level that are merged into one of the next.
pub const INDEX_FAN_OUT: usize = 8;
/// Runs of the index. Full: no block is indexed before some are merged.
pub const INDEX_RUNS_MAX: usize = 64;
/// Bits of a run's filter for each entry. What runs keep in memory for each entry is that, and for each
/// chunk of 2,047 the first of them: 10/8 + 16/2047 bytes, below 1.3; while a merge goes on, twice.
pub const INDEX_BLOOM_BITS: u64 = 10;
/// Chunks of 32 KiB that are written at once: readers of every store wait meanwhile.
pub const INDEX_BATCH_CHUNKS: usize = 8;
/// Keys that are deleted at once.
pub const INDEX_BATCH_KEYS: usize = 32;
/// Blocks that are read before merges get their turn.
pub const INDEX_BLOCKS_AT_ONCE: usize = 64;
/// Entries that are taken into memory at once: readers of the index wait meanwhile.
pub const INDEX_ENTRIES_AT_ONCE: usize = 4_096;
/// sled's cache for the index, in serialized bytes.
pub const INDEX_CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// Pause after a failure of the index's store, in ms.
pub const INDEX_RETRY_MS: u64 = 10_000;
/// Places of one transaction that are looked at, the newest: it was mined again and again on branches
/// that lost, at the cost of a block each.
pub const INDEX_PLACES_MAX: usize = 1_024;
/// Blocks behind the tip beyond which the index is said to be behind.
pub const INDEX_LAG_BLOCKS: u64 = 10;

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
/// Places that are looked at for one page of a history: those that branches left behind are passed over.
/// Full: the page is shorter than it may be.
pub const API_PLACES_MAX: usize = 4 * API_PAGE_MAX as usize;
/// Blocks of one look at all branches. Full: side branches of less work are left out.
pub const API_FORKS_MAX: usize = 2_000;
/// Heights below the tip of one look at all branches, where none are named…
pub const API_FORKS_DEPTH: u64 = 50;
/// …and at most.
pub const API_FORKS_DEPTH_MAX: u64 = 1_000;
/// Blocks that are read at once to find the ends of branches, before others get their turn.
pub const API_LEAVES_STEP: usize = 4_096;
/// Bans that are listed, those of the operator first.
pub const API_BANS_MAX: usize = 1_000;
/// Longest body of an operator's command: an address in JSON.
pub const API_COMMAND_BODY_BYTES_MAX: usize = 1_024;
/// Longest body of an order that names a file or a folder, whose names may be escaped.
pub const API_PATH_BODY_BYTES_MAX: usize = 32 * 1024;
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

/// Connections at once that nodes and wallets have opened. Full: a further one is closed at once, so that
/// its other end goes to another node. Those that this node has dialled are not counted.
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
/// A request for headers that is not answered for so long, in ms, lets another peer be asked beside it;
/// twice as long with each further one.
pub const SYNC_HEADERS_ALONE_MS: u64 = 2_000;
/// For a peer's answers, in ms, without any of its headers being kept, and one more for each header that
/// its height promises; then it is dropped.
pub const SYNC_HEADERS_TURN_MS: u64 = 5 * 60_000;
/// After headers from the future, of too little work or without room a peer is asked again, in ms.
pub const SYNC_REASK_MS: u64 = 30_000;
/// A peer that does not have the bodies of its headers is set aside for [`SYNC_REASK_MS`], in ms, twice as
/// long each time, up to this.
pub const SYNC_ASIDE_MS_MAX: u64 = 64 * SYNC_REASK_MS;
/// So many block times, and at least [`SYNC_HEADERS_MS`], a peer that this node has chosen may have less
/// work than the tip had at their beginning; then it is asked for its tip…
pub const SYNC_LAG_SPACINGS: u64 = 20;
/// …for which it has so many, and at least [`SYNC_HEADERS_MS`]; then it makes room for another.
pub const SYNC_LAG_ANSWER_SPACINGS: u64 = 2;
/// Chosen peers, the first that have the tip's work, that are not dropped for falling behind later: nobody
/// who is quicker for a while empties all places.
pub const SYNC_LAG_PROTECTED_MAX: usize = 4;
/// So many block times, and at least [`SYNC_REASK_MS`], the tip may stand; then everybody is asked for headers.
pub const SYNC_STALE_SPACINGS: u64 = 10;
/// Blocks behind the best headers beyond which the node is catching up…
pub const SYNC_CATCH_UP_BLOCKS: u64 = 24;
/// …while a block or headers of more work than ever came within so long, in ms.
pub const SYNC_CATCH_UP_MS: u64 = 10_000;
/// Announcements and answers in a row that connect to nothing. More: the peer is dropped.
pub const SYNC_UNCONNECTED_MAX: u32 = 10;
/// For the next body of a peer that owes some, in ms, at first…
pub const SYNC_STALL_MS: u64 = 2_000;
/// …doubled each time that it passes, up to this…
pub const SYNC_STALL_MS_MAX: u64 = 64_000;
/// …and this percentage of itself after each body that came in time.
pub const SYNC_STALL_DECAY_PERCENT: u64 = 85;
/// Bytes of bodies of one answer: when reached, the rest is named as missing. One body is always sent.
pub const SYNC_SERVE_BYTES_MAX: usize = 1024 * 1024;

/// Connections that the node dials by itself, those named by hand not counted.
pub const PEERS_OUTBOUND_MAX: usize = 8;
/// Addresses named by hand. Full: a further one is refused.
pub const PEERS_MANUAL_MAX: usize = 64;
/// For a dialled address to take the connection, in ms.
pub const PEERS_DIAL_MS: u64 = 5_000;
/// Events of all peers that wait for the peers' thread. Full: connections are not read from.
pub const PEERS_EVENTS_MAX: usize = 1_024;
/// Commands of operators that wait for the peers' thread. Full: answered as busy.
pub const PEERS_COMMANDS_MAX: usize = 16;
/// Bytes of messages of all peers that wait for the peers' thread, in KiB. Full: connections are not
/// read from…
pub const PEERS_EVENT_KIB_MAX: usize = 64 * 1024;
/// …nor is one whose own reach this, in KiB: room for one body of the greatest size.
pub const PEERS_EVENT_KIB_PER_PEER_MAX: usize = BLOCK_BYTES_LIMIT as usize / 1024 + 64;
/// Bytes of frames that are written in one piece.
pub const PEERS_WRITE_BYTES: usize = 256 * 1024;
/// Messages of this node's own accord to one peer that it has not taken. Full: it is dropped.
pub const PEERS_SENDS_MAX: usize = 256;
/// Requests of one peer that are not answered yet. More: it is dropped.
pub const PEERS_REQUESTS_MAX: usize = 64;
/// Requests of one peer that are taken without a pause…
pub const PEERS_ASKS_BURST: u64 = 5_000;
/// …and a second. None left: it is not read from until there are. A sync asks for 16 bodies at once.
pub const PEERS_ASKS_PER_SECOND: u64 = 5_000;
/// Messages of one peer that nobody asked for, pings among them, that are taken without a pause…
pub const PEERS_MESSAGES_BURST: u64 = 1_000;
/// …and a second. None left: it is not read from until there are.
pub const PEERS_MESSAGES_PER_SECOND: u64 = 200;
/// Blocking work for all peers' requests and transactions at once. Full: it waits.
pub const PEERS_WORKERS_MAX: usize = 4;
/// Between two pings, in ms.
pub const PEERS_PING_MS: u64 = 60_000;
/// A peer of which nothing is heard for so long is dropped, in ms.
pub const PEERS_DEAD_MS: u64 = 5 * 60_000;
/// Events that the peers' thread takes before it looks at what is due.
pub const PEERS_EVENTS_AT_ONCE: usize = 64;
/// Peers that came and went that are remembered to be told. Full: the oldest is forgotten.
pub const PEERS_NEWS_MAX: usize = 32;
/// Shortest time between two showings of how peers are, in ms.
pub const PEERS_SHOW_MS: u64 = 50;
/// Figures of connections are shown anew after so long without an event, in ms.
pub const PEERS_REFRESH_MS: u64 = 1_000;
/// Pause before the book of addresses is written again when the chain thread was too busy, in ms.
pub const PEERS_SAVE_RETRY_MS: u64 = 100;
/// Two nodes that dial one another at once have two connections, and both keep the same one of them.
/// An older connection than this is kept against any new one, in ms.
pub const PEERS_YOUNG_MS: u64 = 2 * NET_HANDSHAKE_MS;

/// Addresses to which a connection succeeded, kept in the store. Full: the one whose last success is
/// the longest ago makes room, those named by hand never.
pub const BOOK_KEPT_MAX: usize = 1_024;
/// Addresses that were only heard of. Full: one of the most frequent network makes room.
pub const BOOK_HEARD_MAX: usize = 4_096;
/// Heard addresses from one source's network (/16 of IPv4, /32 of IPv6). Full: further ones are dropped.
pub const BOOK_HEARD_PER_SOURCE_MAX: usize = BOOK_HEARD_MAX / 16;
/// Heard addresses in one network. Full: further ones are dropped.
pub const BOOK_HEARD_PER_NETWORK_MAX: usize = BOOK_HEARD_MAX / 16;
/// Kept addresses in one network that is not private. Full: the oldest of that network makes room.
pub const BOOK_KEPT_PER_NETWORK_MAX: usize = BOOK_KEPT_MAX / 32;
/// Connections that the node dials by itself into one network that is not private.
pub const BOOK_OUTBOUND_PER_NETWORK_MAX: usize = 1;
/// After a failed attempt an address rests, in ms: doubled with each one…
pub const BOOK_RETRY_MS: u64 = 1_000;
/// …up to this; for those named by hand…
pub const BOOK_RETRY_MANUAL_MS_MAX: u64 = 30_000;
/// …and this for others.
pub const BOOK_RETRY_MS_MAX: u64 = 60 * 60_000;
/// Failed attempts in a row after which an address that was only heard of is forgotten.
pub const BOOK_FAILURES_MAX: u32 = 3;
/// A kept address without success for so long is forgotten, in ms.
pub const BOOK_HORIZON_MS: u64 = 30 * 24 * 3_600_000;
/// Addresses processed of one peer: so many at once, and one each ten seconds.
pub const BOOK_ADDRESSES_BURST: u64 = 1_000;
/// Between two addresses of one peer once the burst is spent, in ms.
pub const BOOK_ADDRESS_MS: u64 = 10_000;
/// Share of what is known that is told to who asks, in percent, and at least [`BOOK_TOLD_LEAST`].
pub const BOOK_TOLD_PERCENT: usize = 23;
/// Addresses that are told however few are known.
pub const BOOK_TOLD_LEAST: usize = 16;
/// The same answer is given for so long, in ms.
pub const BOOK_TOLD_MS: u64 = 10 * 60_000;
/// A ban for misbehaviour lasts so long, in ms.
pub const BOOK_BAN_MS: u64 = 24 * 3_600_000;
/// Bans for misbehaviour, not kept over restarts. Full: the oldest is forgotten.
pub const BOOK_BANS_MAX: usize = 20_000;
/// Bans by the operator, kept in the store. Full: a further one is refused.
pub const BOOK_OPERATOR_BANS_MAX: usize = 1_024;

/// A connection that lasts longer was none that failed, in ms.
pub const BOOK_STEADY_MS: u64 = 60_000;
/// Times of success are saved no more often, in ms, when nothing else is.
pub const BOOK_TIMES_MS: u64 = 10 * 60_000;
/// Peers whose share of processed addresses is remembered: as many as can be connected. Full: the
/// oldest's is forgotten.
pub const BOOK_SOURCES_MAX: usize = NET_CONNECTIONS_MAX + PEERS_MANUAL_MAX + PEERS_OUTBOUND_MAX;
/// Addresses remembered as this node's own. Full: the oldest is forgotten, and would be dialled again.
pub const BOOK_OWN_MAX: usize = 256;

/// Ids that one peer announced and that were not fetched from it yet. Full: further ones are ignored,
/// it announces them again later.
pub const RELAY_ANNOUNCED_MAX: usize = 5_000;
/// Ids that a peer is known to have. Full: the oldest is forgotten, and may be told to it again.
pub const RELAY_KNOWN_MAX: usize = 20_000;
/// Requests for transactions that one peer has not answered…
pub const RELAY_REQUESTS_MAX: usize = 8;
/// …and as long as it never answered one: who says nothing holds up little.
pub const RELAY_REQUESTS_FIRST: usize = 1;
/// Transactions asked of one peer and not answered: what so many requests name.
pub const RELAY_FLIGHT_MAX: usize = RELAY_REQUESTS_MAX * txs::TXS_MAX;
/// Transactions that are asked for or being checked, of all peers. Full: no further ones are asked for.
pub const RELAY_CHECKS_MAX: usize = 2_048;
/// For an answer to a request for transactions, in ms; then another peer is asked.
pub const RELAY_REQUEST_MS: u64 = 20_000;
/// After a transaction that the node had no time to check nothing is asked for, in ms.
pub const RELAY_BUSY_MS: u64 = 1_000;
/// Between two announcements to one peer, in ms: what comes meanwhile is told together.
pub const RELAY_TELL_MS: u64 = 100;
/// The same after a full one, in ms: 4,000 transactions a second, which the other end can check, so that
/// it need not leave out any of a large pool.
pub const RELAY_TELL_FULL_MS: u64 = 250;
/// Everything pending is told again after so long, in ms, to those not known to have it.
pub const RELAY_RETELL_MS: u64 = 5 * 60_000;
/// Transactions refused by the state, by id, until the tip changes. Full: the oldest is forgotten.
pub const RELAY_REFUSED_MAX: usize = 20_000;

// The longest message has room, also of one peer alone.
const _: () = assert!(PEERS_EVENT_KIB_PER_PEER_MAX * 1024 > bodies::BODY_BYTES_MAX + 4 * 1024);
const _: () = assert!(PEERS_EVENT_KIB_MAX >= PEERS_EVENT_KIB_PER_PEER_MAX);
// A branch that is followed at the greatest distance finds room beside one as long.
const _: () = assert!(2 * (SYNC_AHEAD_MAX + headers::HEADERS_MAX) <= SYNC_HEADERS_MAX);
const _: () = assert!(SYNC_BODY_BYTES_MAX >= SYNC_FLIGHT_MAX * BLOCK_BYTES_LIMIT as usize);
const _: () = assert!(GROUP_BLOCKS_MAX * (HEADER_BYTES + 64) <= 32 * 1024);
// A peer that owes all that it may is not dropped by the other end for it.
const _: () = assert!(RELAY_REQUESTS_MAX < PEERS_REQUESTS_MAX);
// One peer leaves room for others.
const _: () = assert!(4 * RELAY_FLIGHT_MAX <= RELAY_CHECKS_MAX);
// What all wallets together can make the node keep of requests that have not ended.
const _: () = assert!(NET_CONNECTIONS_MAX * <Submit as Message>::BYTES_MAX <= 96 * 1024 * 1024);
// What a node that prunes tells others that it has is much, and it still has what is missing to a peer a
// little behind.
const _: () = assert!(PRUNE_MARGIN + PRUNE_STEP <= PRUNE_DEPTH_LEAST / 4);
// The active chain is never left out.
const _: () = assert!(API_FORKS_MAX as u64 > API_FORKS_DEPTH_MAX);
const _: () = assert!(QUEUED_BYTES_MAX > (TX_BYTES_MAX + MEMPOOL_OVERHEAD_BYTES) * 64);

/// Bytes that sled takes for what was read, told to keep so many in its cache.
const fn sled_memory(cache_bytes: u64) -> u64 {
    let small = SLED_MEMORY_FACTOR * cache_bytes;
    if small > LARGE_VALUES_MEMORY { small } else { LARGE_VALUES_MEMORY }
}

// What the node may take of memory beside what grows with its chain (some 200 bytes a record of the state,
// 800 a block, 16 a transaction): the caches of sled in both stores, what it keeps of writes until it is
// reopened and the memory given back, pending transactions, bodies that sync holds, what peers, wallets and
// callers of the API have sent and nobody has looked at yet. Bytes as they are sent; decoded they may be as
// many again.
const _: () = assert!(
    sled_memory(SLED_CACHE_BYTES)
        + sled_memory(INDEX_CACHE_BYTES)
        + 2 * REOPEN_BYTES
        + (MEMPOOL_BYTES_MAX + SYNC_BODY_BYTES_MAX + PEERS_EVENT_KIB_MAX * 1024) as u64
        + (NET_CONNECTIONS_MAX * <Submit as Message>::BYTES_MAX) as u64
        + (API_BATCHES_MAX * API_BODY_BYTES_MAX) as u64
        <= 1_400 * 1024 * 1024
);
