//! What the daemons keep: each decoder of a stored value gives back what was written or says that it is
//! damaged. The first byte says which. Must not know sled.

use steelyard_core::encode::{self, List};
use steelyard_core::types::transaction::full_id;
use steelyard_node::store::delta::Delta;
use steelyard_node::store::log::LogRecord;
use steelyard_node::store::{pending, schema};
use steelyard_wallet::intent::{ID_CHARS_MAX, Obstacle, Plan, Request, Signed, State};

/// An intent as the wallet writes it, without the check behind it.
type StoredIntent =
    (List<u8, ID_CHARS_MAX>, (u64, u64, u64), Request, Option<Plan>, Option<Signed>, State, Option<Obstacle>);

/// The target.
pub fn stored(input: &[u8]) {
    let Some((which, bytes)) = input.split_first() else { return };
    match which % 5 {
        0 => delta(bytes),
        1 => log(bytes),
        2 => run(bytes),
        3 => key(bytes),
        _ => intent(bytes),
    }
}

fn delta(bytes: &[u8]) {
    let Ok(delta) = Delta::from_bytes(bytes) else { return };
    assert_eq!(delta.to_bytes(), bytes);
    let is_ascending = |keys: Vec<_>| keys.is_sorted_by(|one, other| one < other);
    assert!(is_ascending(delta.restored.iter().map(|(key, _)| *key).collect()));
    for (_, changes) in &delta.connected {
        assert!(is_ascending(changes.iter().map(|change| change.key).collect()));
    }
    let changes: usize = delta.connected.iter().map(|(_, changes)| changes.len()).sum();
    assert_eq!(delta.records(), (delta.restored.len() + changes) as u64);
}

/// A reason that is not text is read as far as it is, so what is written may differ, but not twice.
fn log(bytes: &[u8]) {
    let Ok(record) = LogRecord::from_bytes(bytes) else { return };
    if record.invalid.iter().any(|(_, _, reason)| reason.contains(char::REPLACEMENT_CHARACTER)) {
        return;
    }
    assert_eq!(record.to_bytes(), bytes);
}

fn run(bytes: &[u8]) {
    let Ok((txs, damaged)) = pending::from_bytes(bytes) else { return };
    let written = pending::to_bytes(txs.iter().map(|tx| (full_id(tx), &tx[..])));
    assert_eq!(pending::from_bytes(&written).expect("just written"), (txs, 0));
    assert_eq!(written == bytes, damaged == 0);
}

fn key(bytes: &[u8]) {
    let Some((a, chunk)) = schema::split(bytes) else { return };
    let space = schema::SPACES.into_iter().find(|space| *space as u8 == bytes[0]);
    let Some(space) = space else { return };
    assert_eq!(schema::key(space, a, chunk), bytes);
    let is_content = (schema::FIRST..=schema::LAST).contains(&a);
    let key: schema::StoreKey = bytes.try_into().expect("it was split");
    assert_eq!(schema::range(space, 0, u64::MAX).contains(&key), is_content);
}

fn intent(bytes: &[u8]) {
    let Ok(intent) = encode::decode::<StoredIntent>(bytes, steelyard_node::store::VALUE_BYTES_MAX) else {
        return;
    };
    assert_eq!(encode::encode(&intent), bytes);
    let (.., state, _) = &intent;
    assert_eq!(state.is_final(), matches!(state.name(), "settled" | "expired" | "replaced" | "cancelled"));
}
