//! What an honest node wrote, changed value by value. The chain is twelve blocks of which the last
//! six were replaced by seven, with a checkpoint before that and a payment pending.

use steelyard_core::hash::BlockId;
use steelyard_core::state::Record;
use steelyard_core::types::header::Header;
use steelyard_core::types::transaction::Transaction;
use steelyard_core::work::from_bits;
use steelyard_node::store::checkpoint;
use steelyard_node::store::delta::Delta;
use steelyard_node::store::log::LogRecord;
use steelyard_node::store::schema::{META_CHECKPOINT, Space, key};
use steelyard_node::store::stream;
use steelyard_node::verify::FaultyTx;
use steelyard_runtime::sled_door::Batch;

use super::*;

/// Commits: 12 blocks, 6 that lie aside, the one that makes them win.
const REORG: u64 = 19;
const CHECKPOINT: u64 = 12;

struct Damaged {
    folder: Folder,
    chain: Chain,
    wins: Chain,
}

/// Does something to what it is handed, once.
type Act<'a, T> = Box<dyn FnOnce(&mut T) + 'a>;

/// A change of what is stored.
enum Change<'a> {
    /// Of one value, `None` for none there.
    Value(Act<'a, Option<Vec<u8>>>),
    /// Of the content of a stream of one chunk, with a check that holds: what is left to find by the rest.
    Content(Act<'a, Vec<u8>>),
}

impl Damaged {
    fn new() -> Self {
        let chain = story();
        let mut wins = chain.fork_at(6).mined_by(&Account::numbered(51));
        wins.pay(&Account::dev(2), Account::dev(3).address, 77);
        wins.mine(7);
        let folder = Folder::new(chain.params());
        folder.feed(chain.blocks());
        folder.store().write_checkpoint(chain.state(), CHECKPOINT).unwrap();
        folder.feed(wins.blocks().skip(6));
        Self { folder, chain, wins }
    }

    /// Changes values, looks what is found, puts the values back.
    fn with<T>(&self, changes: Vec<((Space, u64, u32), Change<'_>)>, look: impl FnOnce(&Folder) -> T) -> T {
        let store = self.folder.store();
        let (mut changed, mut before) = (Batch::new(), Batch::new());
        for ((space, a, chunk), change) in changes {
            let found = key(space, a, chunk);
            let mut value = store.door().get(found).unwrap();
            put(&mut before, &found, value.as_ref());
            match change {
                Change::Value(change) => {
                    change(&mut value);
                    put(&mut changed, &found, value.as_ref());
                }
                Change::Content(change) => {
                    let mut content = stream::read(store.door(), space, a).unwrap().unwrap();
                    change(&mut content);
                    stream::put(&mut changed, space, a, &content);
                }
            }
        }
        store.door().commit(changed).unwrap();
        drop(store);
        let seen = look(&self.folder);
        self.folder.store().door().commit(before).unwrap();
        seen
    }

    #[track_caller]
    fn expect(&self, place: (Space, u64), change: Change<'_>, expected: (u64, Option<usize>, &str)) {
        let fault = self.with(vec![((place.0, place.1, 0), change)], Folder::fault);
        assert_eq!(summary(&fault), expected, "{fault}");
    }

    /// The store is damaged, and no block is to blame.
    #[track_caller]
    fn expect_damage(&self, place: (Space, u64), change: Change<'_>, words: &str) {
        let failure =
            self.with(vec![((place.0, place.1, 0), change)], |folder| folder.verify(true).unwrap_err());
        assert!(failure.as_fault().is_none() && failure.to_string().contains(words), "{failure}");
        assert_eq!(CliError::from(failure).exit, ExitCode::Damaged);
    }
}

fn put(batch: &mut Batch, found: &[u8], value: Option<&Vec<u8>>) {
    match value {
        Some(value) => batch.put(found, value),
        None => batch.remove(found),
    }
}

/// Changes the content of a stream of one chunk.
fn content<'a>(change: impl FnOnce(&mut Vec<u8>) + 'a) -> Change<'a> {
    Change::Content(Box::new(change))
}

fn log<'a>(change: impl FnOnce(&mut LogRecord) + 'a) -> Change<'a> {
    content(move |bytes| {
        let mut record = LogRecord::from_bytes(bytes).unwrap();
        change(&mut record);
        *bytes = record.to_bytes();
    })
}

/// A delta without a change, as a node would have written it.
fn empty_delta() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("chain"), &Params::dev().network_id()).unwrap();
    let mut batch = Batch::new();
    stream::put(&mut batch, Space::Delta, 14, &[0; 8]);
    store.door().commit(batch).unwrap();
    store.door().get(key(Space::Delta, 14, 0)).unwrap().unwrap()
}

fn flip_last(value: &mut Option<Vec<u8>>) {
    *value.as_mut().unwrap().last_mut().unwrap() ^= 1;
}

fn header<'a>(change: impl FnOnce(&mut Header) + 'a) -> Change<'a> {
    log(move |record| change(&mut record.received[0].0))
}

fn delta<'a>(change: impl FnOnce(&mut Delta) + 'a) -> Change<'a> {
    content(move |bytes| {
        let mut record = Delta::from_bytes(bytes).unwrap();
        change(&mut record);
        *bytes = record.to_bytes();
    })
}

fn gone<'a>() -> Change<'a> {
    Change::Value(Box::new(|value| *value = None))
}

/// The next nonce that meets the header's bits, or does not.
fn search(header: &mut Header, met: bool) {
    let target = from_bits(header.bits).unwrap();
    loop {
        header.nonce += 1;
        if (header.pow_hash() <= target) == met {
            return;
        }
    }
}

/// One base unit more in the first of these records that is an account.
fn more<'a>(records: impl Iterator<Item = &'a mut Option<Record>>) {
    let accounts = records.filter_map(|record| match record {
        Some(Record::Account { balance, .. }) => Some(balance),
        _ => None,
    });
    *accounts.into_iter().next().unwrap() += 1;
}

fn more_before(delta: &mut Delta, block: usize) {
    more(delta.connected[block].1.iter_mut().map(|change| &mut change.old));
}

fn more_after(delta: &mut Delta, block: usize) {
    more(delta.connected[block].1.iter_mut().map(|change| &mut change.new));
}

fn more_restored(delta: &mut Delta) {
    more(delta.restored.iter_mut().map(|(_, record)| record));
}

#[test]
fn scenario_10_tampered_headers() {
    let damaged = Damaged::new();
    let at = |height| (Space::Log, height);
    let expect = |height, change, rule| damaged.expect(at(height), change, (height, None, rule));
    expect(3, header(|h| h.version = 2), "header_version");
    expect(4, header(|h| h.height = 99), "header_height");
    expect(5, header(|h| h.prev = BlockId([9; 32])), "header_prev");
    expect(6, header(|h| h.prev_time += 1), "header_prev_time");
    expect(7, header(|h| h.elapsed += 1), "header_elapsed");
    expect(8, header(|h| h.time = h.prev_time), "header_time");
    expect(9, header(|h| h.bits -= 1), "header_bits");
    expect(10, header(|h| search(h, false)), "proof_of_work");
    expect(1, header(|h| (h.history_root.0[0] ^= 1, search(h, true)).1), "history_root");
    expect(2, header(|h| (h.body_root.0[0] ^= 1, search(h, true)).1), "body_root");
    // Right in itself, and not the header that was connected.
    expect(11, header(|h| search(h, true)), "header_id");
    expect(12, header(|h| (h.state_root.0[0] ^= 1, search(h, true)).1), "header_id");
    // On a branch that lost: commit 12 and those before it on the way, 13 to 18 for the one that won.
    damaged.expect(at(14), header(|h| h.version = 0), (8, None, "header_version"));
    damaged.expect(at(REORG), header(|h| search(h, false)), (13, None, "proof_of_work"));
    assert!(damaged.folder.verify(true).is_ok());
}

#[test]
fn scenario_10_tampered_bodies() {
    let damaged = Damaged::new();
    let find =
        |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).position(|window| window == part).unwrap();
    let tx = |height: u64, item: usize| damaged.chain.block(height).body.items[item].clone();
    // The last byte of a signature: the id is still the transaction's.
    let fault = damaged.with(
        vec![(
            (Space::Body, 3, 0),
            content(|bytes| {
                let at = find(bytes, &tx(3, 2)) + tx(3, 2).len() - 1;
                bytes[at] ^= 1;
            }),
        )],
        Folder::fault,
    );
    assert_eq!(summary(&fault), (3, Some(2), "body_root"));
    let id = Transaction::from_bytes(&tx(3, 2)).unwrap().body.id();
    assert_eq!(fault.transaction, Some(FaultyTx { index: 2, id: Some(id) }));
    assert_eq!(fault.block, damaged.chain.block(3).header.id());
    assert!(fault.message.contains("signature 0"), "{fault}");
    // Who sends: the form is right still, the policy is not the sender's.
    let sender = content(|bytes| {
        let at = find(bytes, &tx(5, 1)) + 40;
        bytes[at] ^= 1;
    });
    damaged.expect((Space::Body, 5), sender, (5, Some(1), "body_root"));
    let coinbase = content(|bytes| {
        let at = find(bytes, &tx(6, 0)) + 20;
        bytes[at] ^= 1;
    });
    damaged.expect((Space::Body, 6), coinbase, (6, None, "body_root"));
    damaged.expect((Space::Body, 7), content(|bytes| bytes[0] ^= 1), (7, None, "stored_body"));
    damaged.expect((Space::Body, 8), content(|bytes| bytes.truncate(100)), (8, None, "stored_body"));
    damaged.expect((Space::Body, 9), gone(), (9, None, "stored_body"));
    damaged.expect((Space::Body, 15), gone(), (9, None, "stored_body"));
    let swapped = content(|bytes| {
        let (at, length) = (find(bytes, &tx(4, 1)), tx(4, 1).len());
        assert_eq!(tx(4, 2).len(), length);
        bytes[at..at + length].copy_from_slice(&tx(4, 2));
        bytes[at + length + 8..at + 2 * length + 8].copy_from_slice(&tx(4, 1));
    });
    damaged.expect((Space::Body, 4), swapped, (4, None, "body_root"));
}

#[test]
fn scenario_10_tampered_deltas() {
    let damaged = Damaged::new();
    let expect = |height, change, rule| damaged.expect((Space::Delta, height), change, (height, None, rule));
    expect(2, delta(|d| more_after(d, 0)), "undo");
    expect(3, delta(|d| more_before(d, 0)), "undo");
    expect(4, delta(|d| drop(d.connected[0].1.pop())), "undo");
    expect(5, delta(|d| d.connected[0].0.0[5] ^= 1), "undo");
    expect(6, delta(|d| d.connected.push((BlockId([1; 32]), vec![]))), "undo");
    expect(7, content(|bytes| bytes.truncate(50)), "undo");
    expect(8, gone(), "undo");
    // Of the reorganisation: what was restored is named by the first block that was taken back.
    let at = (Space::Delta, REORG);
    damaged.expect(at, delta(more_restored), (12, None, "undo"));
    damaged.expect(at, delta(|d| drop(d.restored.pop())), (12, None, "undo"));
    damaged.expect(at, delta(|d| more_after(d, 4)), (11, None, "undo"));
    let made_up = || Change::Value(Box::new(|value| *value = Some(empty_delta())));
    damaged.expect_damage((Space::Delta, 99), made_up(), "not in the log");
    damaged.expect_damage((Space::Delta, 14), made_up(), "connects no block");
    // The content is not what was written, whatever it says.
    damaged.expect((Space::Delta, 2), Change::Value(Box::new(flip_last)), (2, None, "undo"));
}

#[test]
fn scenario_10_tampered_checkpoints() {
    let damaged = Damaged::new();
    let chunk = (Space::Checkpoint, 1);
    let mark = (Space::Meta, META_CHECKPOINT);
    let flip =
        |at: usize| -> Change<'_> { Change::Value(Box::new(move |value| value.as_mut().unwrap()[at] ^= 1)) };
    damaged.expect(chunk, flip(40), (12, None, "checkpoint"));
    damaged.expect(chunk, flip(0), (12, None, "checkpoint"));
    damaged.expect(chunk, gone(), (12, None, "checkpoint"));
    // The mark: the commit, the number of records, the length.
    damaged.expect(
        mark,
        Change::Value(Box::new(|value| value.as_mut().unwrap()[8] = 11)),
        (11, None, "checkpoint"),
    );
    damaged.expect(mark, flip(20), (12, None, "checkpoint"));
    let short = Change::Value(Box::new(|value| value.as_mut().unwrap().truncate(9)));
    damaged.expect_damage(mark, short, "mark");
    damaged.expect_damage(mark, flip(12), "not in the log");
    let store = damaged.folder.store();
    assert_eq!(checkpoint::mark(store.door()).unwrap().map(|mark| mark.seq), Some(CHECKPOINT));
}

#[test]
fn scenario_10_tampered_the_log() {
    let damaged = Damaged::new();
    damaged.expect_damage((Space::Log, 4), gone(), "log of commit 4 is missing");
    damaged.expect_damage((Space::Log, 5), content(|bytes| bytes.truncate(30)), "cannot be read");
    let unknown = BlockId([7; 32]);
    damaged.expect((Space::Log, 6), log(|l| l.connected[0] = unknown), (6, None, "header_id"));
    damaged.expect((Space::Log, 7), log(|l| l.connected.push(unknown)), (8, None, "header_id"));
    let id = damaged.chain.block(3).header.id();
    damaged.expect((Space::Log, 8), log(|l| l.invalid.push((id, 1, "so".into()))), (3, None, "stored_log"));
    let again = damaged.chain.block(2).header;
    damaged.expect((Space::Log, 9), log(|l| l.received[0].0 = again), (2, None, "stored_log"));
    damaged.expect((Space::Log, 10), log(|l| l.connected.push(id)), (3, None, "stored_log"));
    damaged.expect_damage((Space::Log, REORG), log(|l| l.disconnected = 90), "more blocks than there are");
    damaged.expect((Space::Log, REORG), log(|l| l.disconnected = 5), (12, None, "undo"));
    damaged.expect((Space::Log, 6), log(|l| l.tip.work += 1), (6, None, "stored_log"));
    damaged.expect_damage((Space::Log, 6), Change::Value(Box::new(flip_last)), "what was written");
    // A branch with more work that was never connected, as if somebody had kept the node from it.
    let before = damaged.folder.store().log(REORG - 1).unwrap();
    let kept: Vec<((Space, u64, u32), Change<'_>)> = vec![
        (
            (Space::Log, REORG, 0),
            log(move |l| (l.tip, l.disconnected, l.connected) = (before.tip, 0, Vec::new())),
        ),
        ((Space::Delta, REORG, 0), gone()),
    ];
    let fault = damaged.with(kept, Folder::fault);
    assert_eq!(summary(&fault), (13, None, "fork_choice"));
    assert_eq!(fault.block, damaged.wins.block(13).header.id());
}

#[test]
fn scenario_10_tampered_pending_transactions() {
    let damaged = Damaged::new();
    // The reorganisation returned the payments of six blocks to the pool.
    assert_eq!(damaged.folder.verify(true).unwrap().pending, 12);
    let flipped = content(|bytes| bytes[200] ^= 1);
    damaged.expect_damage((Space::Mempool, REORG), flipped, "pending transactions of commit 19");
    // With a full id that fits, the form or the signature tells.
    let forged = content(|bytes| {
        let length = u32::from_le_bytes(bytes[32..36].try_into().unwrap()) as usize;
        bytes[36 + length - 1] ^= 1;
        let id = steelyard_core::types::transaction::full_id(&bytes[36..36 + length]);
        bytes[..32].copy_from_slice(&id.0);
    });
    damaged.expect_damage((Space::Mempool, REORG), forged, "signature 0");
}

#[test]
fn the_quick_way_sees_the_ends() {
    let damaged = Damaged::new();
    let quick = |place: (Space, u64), change| {
        let failure =
            damaged.with(vec![((place.0, place.1, 0), change)], |folder| folder.verify(false).unwrap_err());
        failure.as_fault().map(|fault| (fault.height, fault.rule.clone()))
    };
    let fault = |height, rule: &str| Some((height, rule.to_owned()));
    assert_eq!(quick((Space::Body, 3), gone()), fault(3, "stored_body"));
    assert_eq!(quick((Space::Body, 4), content(|bytes| bytes[40] ^= 1)), fault(4, "body_root"));
    assert_eq!(quick((Space::Delta, REORG), delta(|d| more_after(d, 6))), fault(13, "stored_state"));
    assert_eq!(quick((Space::Delta, 5), delta(|d| more_before(d, 0))), fault(5, "undo"));
    assert_eq!(quick((Space::Checkpoint, 1), gone()), fault(13, "checkpoint"));
    let restored = delta(more_restored);
    let seen = quick((Space::Delta, REORG), restored);
    assert!(seen.is_none() || seen == fault(13, "stored_state"), "{seen:?}");
    assert_eq!(quick((Space::Log, 4), gone()), None, "damage, and no block is to blame");
    assert!(damaged.folder.verify(false).is_ok());
}
