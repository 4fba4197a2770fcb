//! DELTA values: the records that a commit changed, each before and after. `new` replays it at
//! start, `old` takes a block back. By sequence and with what reorganisations restored, so that a
//! checkpoint of any moment plus all later deltas is the state. Must not know rules.

use steelyard_core::consensus::transition::Change;
use steelyard_core::hash::BlockId;
use steelyard_core::state::record::{self, Key, Record};

use super::StoreError;
use super::bytes::{Reader, count};

/// What one commit changed.
#[derive(Debug, Default, PartialEq)]
pub struct Delta {
    /// Records as they were at the fork point, for a commit that took blocks off the tip.
    pub restored: Vec<(Key, Option<Record>)>,
    /// Each block put on, with its changes.
    pub connected: Vec<(BlockId, Vec<Change>)>,
}

/// Bytes of the shortest entry: type, id, two empty fields.
const ENTRY_BYTES_LEAST: usize = 1 + 32 + 1;

impl Delta {
    /// Whether there is nothing to replay.
    pub fn is_empty(&self) -> bool {
        self.restored.is_empty() && self.connected.is_empty()
    }

    /// Records it touches.
    pub fn records(&self) -> u64 {
        let connected: usize = self.connected.iter().map(|(_, changes)| changes.len()).sum();
        (self.restored.len() + connected) as u64
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + 68 * self.records() as usize);
        out.extend_from_slice(&count(self.restored.len()));
        for (key, value) in &self.restored {
            put_key(&mut out, key);
            put_record(&mut out, key, value.as_ref());
        }
        out.extend_from_slice(&count(self.connected.len()));
        for (id, changes) in &self.connected {
            out.extend_from_slice(&id.0);
            out.extend_from_slice(&count(changes.len()));
            for change in changes {
                put_key(&mut out, &change.key);
                put_record(&mut out, &change.key, change.old.as_ref());
                put_record(&mut out, &change.key, change.new.as_ref());
            }
        }
        out
    }

    /// Reads what [`Delta::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader::new("delta", bytes);
        let mut delta = Self::default();
        for _ in 0..reader.count(ENTRY_BYTES_LEAST)? {
            let key = take_key(&mut reader)?;
            delta.restored.push((key.1, take_record(&mut reader, &key.0)?));
        }
        check_order(&reader, delta.restored.iter().map(|(key, _)| key))?;
        for _ in 0..reader.count(36)? {
            let id = BlockId(reader.array()?);
            let mut changes = Vec::new();
            for _ in 0..reader.count(ENTRY_BYTES_LEAST + 1)? {
                let (prefix, key) = take_key(&mut reader)?;
                let old = take_record(&mut reader, &prefix)?;
                changes.push(Change { key, old, new: take_record(&mut reader, &prefix)? });
            }
            check_order(&reader, changes.iter().map(|change| &change.key))?;
            delta.connected.push((id, changes));
        }
        reader.end()?;
        Ok(delta)
    }
}

/// Keys are written in ascending order: one that comes twice would be two changes of one record.
fn check_order<'a>(reader: &Reader<'_>, keys: impl Iterator<Item = &'a Key>) -> Result<(), StoreError> {
    if keys.is_sorted_by(|a, b| a < b) { Ok(()) } else { Err(reader.damage()) }
}

/// Type and ids of a key, as a record's value begins.
fn key_bytes(key: &Key) -> Vec<u8> {
    match key {
        Key::Account(address) => [&[1][..], &address.0].concat(),
        Key::Holding(address, asset) => [&[2][..], &address.0, &asset.0].concat(),
        Key::Asset(asset) => [&[3][..], &asset.0].concat(),
    }
}

fn put_key(out: &mut Vec<u8>, key: &Key) {
    out.extend_from_slice(&key_bytes(key));
}

/// Length of the fields, then the fields; length 0 for no record.
fn put_record(out: &mut Vec<u8>, key: &Key, record: Option<&Record>) {
    let Some(record) = record else { return out.push(0) };
    let value = record::encode(key, record).expect("changes pair a key with its own kind of record");
    let fields = &value[key_bytes(key).len()..];
    out.push(u8::try_from(fields.len()).expect("a record's value is shorter than 256 bytes"));
    out.extend_from_slice(fields);
}

fn take_key(reader: &mut Reader<'_>) -> Result<(Vec<u8>, Key), StoreError> {
    use steelyard_core::hash::{Address, AssetId};
    let key = match reader.u8()? {
        1 => Key::Account(Address(reader.array()?)),
        2 => Key::Holding(Address(reader.array()?), AssetId(reader.array()?)),
        3 => Key::Asset(AssetId(reader.array()?)),
        _ => return Err(reader.damage()),
    };
    // Coins are held in accounts: no state has such a record.
    if matches!(key, Key::Holding(_, AssetId::COINS)) {
        return Err(reader.damage());
    }
    Ok((key_bytes(&key), key))
}

fn take_record(reader: &mut Reader<'_>, prefix: &[u8]) -> Result<Option<Record>, StoreError> {
    let length = usize::from(reader.u8()?);
    if length == 0 {
        return Ok(None);
    }
    let value = [prefix, reader.slice(length)?].concat();
    record::decode(&value).map(|(_, record)| Some(record)).map_err(|_| reader.damage())
}

#[cfg(test)]
mod tests {
    use super::*;
    use steelyard_core::hash::{Address, AssetId};
    use steelyard_core::state::AssetDescription;

    #[test]
    fn a_delta_reads_back_and_a_shortened_one_is_damage() {
        let account = |balance| Some(Record::Account { balance, nonce: 3 });
        let description = AssetDescription {
            issuer: Address([3; 32]),
            symbol: "GOLD".into(),
            decimals: 2,
            supply: 5,
            mintable: false,
        };
        let asset = Key::Asset(AssetId([9; 32]));
        let holding = Key::Holding(Address([1; 32]), AssetId([9; 32]));
        let changes = vec![
            Change { key: Key::Account(Address([1; 32])), old: None, new: account(7) },
            Change { key: holding, old: Some(Record::Holding { amount: 4 }), new: None },
            Change { key: asset, old: None, new: Some(Record::Asset(Box::new(description))) },
        ];
        let restored = vec![(Key::Account(Address([2; 32])), account(1)), (holding, None)];
        let delta =
            Delta { restored, connected: vec![(BlockId([5; 32]), changes), (BlockId([6; 32]), vec![])] };
        let bytes = delta.to_bytes();
        assert_eq!(Delta::from_bytes(&bytes).unwrap(), delta);
        for cut in 0..bytes.len() {
            assert!(Delta::from_bytes(&bytes[..cut]).is_err());
        }
        assert!(Delta::from_bytes(&[bytes, vec![0]].concat()).is_err());
    }

    #[test]
    fn keys_that_no_state_could_take_are_damage() {
        let change = |key| Change { key, old: None, new: None };
        let (one, two) = (Key::Account(Address([1; 32])), Key::Account(Address([2; 32])));
        let coins = Key::Holding(Address([1; 32]), AssetId::COINS);
        for keys in [vec![one, one], vec![two, one], vec![coins]] {
            let connected = vec![(BlockId([5; 32]), keys.iter().map(|key| change(*key)).collect())];
            let delta = Delta { restored: vec![], connected };
            assert!(Delta::from_bytes(&delta.to_bytes()).is_err());
            let delta = Delta { restored: keys.iter().map(|key| (*key, None)).collect(), connected: vec![] };
            assert!(Delta::from_bytes(&delta.to_bytes()).is_err());
        }
    }
}
