//! Records: what the state holds, under which path, in which bytes. Must not know the trie
//! that holds them, nor the rules that change them.

use crate::hash::{Address, AssetId, Domain};

/// Bytes of a path in the trie.
pub const PATH_BYTES: usize = 64;
/// A place in the trie: bits from the most significant of byte 0.
pub type Path = [u8; PATH_BYTES];

/// Longest symbol of an asset, in bytes.
pub const SYMBOL_BYTES_MAX: usize = 12;
/// Most decimals an asset may have.
pub const DECIMALS_MAX: u8 = 18;
/// Longest value of a record: type, asset id, issuer, symbol with length, decimals, supply, mintable.
pub const VALUE_BYTES_MAX: usize = 1 + 32 + 32 + 1 + SYMBOL_BYTES_MAX + 1 + 8 + 1;

const TYPE_ACCOUNT: u8 = 1;
const TYPE_HOLDING: u8 = 2;
const TYPE_ASSET: u8 = 3;

/// Names one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// Coins and nonce of an address.
    Account(Address),
    /// What an address holds of an asset other than coins.
    Holding(Address, AssetId),
    /// The description of an asset.
    Asset(AssetId),
}

impl Key {
    /// Where the record lies. Hashed, because anybody may pay any 32 bytes: with addresses as
    /// they are, one transaction could make a victim's proof 256 levels deep. All that an
    /// address holds shares its first 256 bits, coins first.
    #[must_use]
    pub fn path(&self) -> Path {
        let mut path = [0; PATH_BYTES];
        match self {
            Self::Account(address) => {
                path[..32].copy_from_slice(&Domain::StateAccount.hash(&[&address.0]));
            }
            Self::Holding(address, asset) => {
                path[..32].copy_from_slice(&Domain::StateAccount.hash(&[&address.0]));
                path[32..].copy_from_slice(&asset.0);
            }
            Self::Asset(asset) => path[..32].copy_from_slice(&Domain::StateAsset.hash(&[&asset.0])),
        }
        path
    }
}

/// What an asset is. Only `supply` ever changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetDescription {
    /// Who issued it, and alone may mint it.
    pub issuer: Address,
    /// 1 to 12 of A-Z 0-9; not unique.
    pub symbol: String,
    /// Digits after the point, 0 to 18.
    pub decimals: u8,
    /// Units in being.
    pub supply: u64,
    /// Whether the issuer may make more.
    pub mintable: bool,
}

/// The content of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Exists while the balance or the nonce is above zero: a nonce is kept for ever, or old
    /// transactions would play again.
    Account {
        /// Coins, in base units.
        balance: u64,
        /// Transactions sent so far: the nonce of the next one.
        nonce: u64,
    },
    /// Exists while the amount is above zero.
    Holding {
        /// Units of the asset.
        amount: u64,
    },
    /// Exists for ever.
    Asset(Box<AssetDescription>),
}

/// Bytes that are not a record, or a record under another kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed record")]
pub struct RecordError;

/// The value of a leaf: type, then the address or asset id in clear, then the fields,
/// little-endian. `None` where key and record are of different kinds.
#[must_use]
pub fn encode(key: &Key, record: &Record) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(VALUE_BYTES_MAX);
    match (key, record) {
        (Key::Account(address), Record::Account { balance, nonce }) => {
            out.push(TYPE_ACCOUNT);
            out.extend_from_slice(&address.0);
            out.extend_from_slice(&balance.to_le_bytes());
            out.extend_from_slice(&nonce.to_le_bytes());
        }
        (Key::Holding(address, asset), Record::Holding { amount }) => {
            out.push(TYPE_HOLDING);
            out.extend_from_slice(&address.0);
            out.extend_from_slice(&asset.0);
            out.extend_from_slice(&amount.to_le_bytes());
        }
        (Key::Asset(asset), Record::Asset(description)) => {
            out.push(TYPE_ASSET);
            out.extend_from_slice(&asset.0);
            out.extend_from_slice(&description.issuer.0);
            out.push(u8::try_from(description.symbol.len()).ok()?);
            out.extend_from_slice(description.symbol.as_bytes());
            out.push(description.decimals);
            out.extend_from_slice(&description.supply.to_le_bytes());
            out.push(u8::from(description.mintable));
        }
        _ => return None,
    }
    Some(out)
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// [`RecordError`] for anything that [`encode`] cannot have written.
pub fn decode(bytes: &[u8]) -> Result<(Key, Record), RecordError> {
    let mut rest = bytes;
    let [kind] = take(&mut rest)?;
    let decoded = match kind {
        TYPE_ACCOUNT => {
            let key = Key::Account(Address(take(&mut rest)?));
            let balance = u64::from_le_bytes(take(&mut rest)?);
            (key, Record::Account { balance, nonce: u64::from_le_bytes(take(&mut rest)?) })
        }
        TYPE_HOLDING => {
            let key = Key::Holding(Address(take(&mut rest)?), AssetId(take(&mut rest)?));
            (key, Record::Holding { amount: u64::from_le_bytes(take(&mut rest)?) })
        }
        TYPE_ASSET => {
            let key = Key::Asset(AssetId(take(&mut rest)?));
            (key, Record::Asset(Box::new(decode_description(&mut rest)?)))
        }
        _ => return Err(RecordError),
    };
    if rest.is_empty() { Ok(decoded) } else { Err(RecordError) }
}

fn decode_description(rest: &mut &[u8]) -> Result<AssetDescription, RecordError> {
    let issuer = Address(take(rest)?);
    let [symbol_bytes] = take(rest)?;
    let (symbol, tail) = rest.split_at_checked(usize::from(symbol_bytes)).ok_or(RecordError)?;
    *rest = tail;
    if symbol.is_empty() || symbol.len() > SYMBOL_BYTES_MAX {
        return Err(RecordError);
    }
    let symbol = String::from_utf8(symbol.to_vec()).map_err(|_| RecordError)?;
    let [decimals] = take(rest)?;
    let supply = u64::from_le_bytes(take(rest)?);
    let [mintable] = take(rest)?;
    if decimals > DECIMALS_MAX || mintable > 1 {
        return Err(RecordError);
    }
    Ok(AssetDescription { issuer, symbol, decimals, supply, mintable: mintable == 1 })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], RecordError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(RecordError)?;
    *rest = tail;
    Ok(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<(Key, Record)> {
        let description = AssetDescription {
            issuer: Address([3; 32]),
            symbol: "GOLD9".into(),
            decimals: 8,
            supply: u64::MAX,
            mintable: true,
        };
        vec![
            (Key::Account(Address([1; 32])), Record::Account { balance: 7, nonce: u64::MAX }),
            (Key::Holding(Address([1; 32]), AssetId([2; 32])), Record::Holding { amount: 9 }),
            (Key::Asset(AssetId([2; 32])), Record::Asset(Box::new(description))),
        ]
    }

    #[test]
    fn records_read_back_and_nothing_else_does() {
        for (key, record) in samples() {
            let bytes = encode(&key, &record).unwrap();
            assert!(bytes.len() <= VALUE_BYTES_MAX);
            assert_eq!(decode(&bytes), Ok((key, record)));
            for cut in 0..bytes.len() {
                assert_eq!(decode(&bytes[..cut]), Err(RecordError));
            }
            assert_eq!(decode(&[bytes, vec![0]].concat()), Err(RecordError));
        }
    }

    /// Each bound of a description from both sides.
    #[test]
    fn a_description_out_of_its_bounds_is_none() {
        let description = |symbol: &[u8], decimals: u8, mintable: u8| {
            let length = u8::try_from(symbol.len()).unwrap();
            let parts: [&[u8]; 7] =
                [&[TYPE_ASSET], &[2; 32], &[3; 32], &[length], symbol, &[decimals], &[0; 8]];
            decode(&[&parts.concat()[..], &[mintable]].concat())
        };
        for (symbol, decimals, mintable) in [(&b"G"[..], 0, 0), (&[b'G'; 12], 18, 1)] {
            let Ok((_, Record::Asset(read))) = description(symbol, decimals, mintable) else { panic!() };
            let found = (read.symbol.as_bytes(), read.decimals, u8::from(read.mintable));
            assert_eq!(found, (symbol, decimals, mintable));
        }
        assert_eq!(description(b"", 0, 0), Err(RecordError));
        assert_eq!(description(&[b'G'; 13], 0, 0), Err(RecordError));
        assert_eq!(description(&[0xff], 0, 0), Err(RecordError));
        assert_eq!(description(b"G", 19, 0), Err(RecordError));
        assert_eq!(description(b"G", 0, 2), Err(RecordError));
    }

    #[test]
    fn a_record_under_a_key_of_another_kind_has_no_bytes() {
        let samples = samples();
        assert_eq!(encode(&samples[0].0, &samples[1].1), None);
    }

    #[test]
    fn everything_an_address_holds_shares_256_bits_coins_first() {
        let coins = Key::Account(Address([1; 32])).path();
        let asset = Key::Holding(Address([1; 32]), AssetId([2; 32])).path();
        assert_eq!(coins[..32], asset[..32]);
        assert!(coins < asset);
        assert_ne!(coins[..32], Key::Asset(AssetId([1; 32])).path()[..32]);
    }
}
