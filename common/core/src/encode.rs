//! Encoding: the one place that calls bincode. Fixed-width little-endian integers, vectors as
//! u64 count and items, and decoding that is bounded before it allocates, consumes every byte
//! and re-encodes to the same bytes. Golden vectors, not the crate, define the bytes.
//! Must not know any type of the ledger.

use std::ops::Deref;

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError as Refusal, EncodeError as EncodeRefusal};
use bincode::{Decode, Encode};

/// Longest byte string that is decoded at all: the largest block body a network may allow
/// ([`crate::params::BLOCK_BYTES_LIMIT`]), with room for its framing.
pub const DECODE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// bincode counts memory layout, not wire bytes: 16 times as much is never the tighter bound.
const LIMIT: usize = 16 * DECODE_BYTES_MAX;
const CONFIG: Configuration<LittleEndian, Fixint, Limit<LIMIT>> =
    bincode::config::standard().with_little_endian().with_fixed_int_encoding().with_limit::<LIMIT>();

/// Bytes that are not the canonical encoding of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than the kind may ever have.
    #[error("{got} bytes where {max} is the most")]
    TooLong {
        /// Bytes given.
        got: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A list with more items than its kind may have.
    #[error("a list of {got} items where {max} is the most")]
    TooManyItems {
        /// Items claimed.
        got: usize,
        /// Items allowed.
        max: usize,
    },
    /// The bytes end too early.
    #[error("the bytes end too early")]
    Truncated,
    /// A tag that stands for nothing.
    #[error("unknown {kind} tag {tag}")]
    UnknownTag {
        /// Which enum.
        kind: &'static str,
        /// The tag found.
        tag: u32,
    },
    /// Bytes left over at the end.
    #[error("{excess} bytes too many")]
    Trailing {
        /// How many.
        excess: usize,
    },
    /// Another encoding of the same value.
    #[error("not the canonical encoding")]
    NotCanonical,
    /// Anything else that bincode refuses.
    #[error("malformed bytes")]
    Malformed,
}

/// The canonical bytes of a value.
pub fn encode<T: Encode>(value: &T) -> Vec<u8> {
    bincode::encode_to_vec(value, CONFIG).expect("encoding into memory has no way to fail")
}

/// Reads one value from exactly these bytes, at most `max` of them.
///
/// # Errors
/// [`DecodeError`], before anything larger than the input is allocated.
pub fn decode<T: Encode + Decode<()>>(bytes: &[u8], max: usize) -> Result<T, DecodeError> {
    let max = max.min(DECODE_BYTES_MAX);
    if bytes.len() > max {
        return Err(DecodeError::TooLong { got: bytes.len(), max });
    }
    let (value, consumed) = bincode::decode_from_slice::<T, _>(bytes, CONFIG).map_err(typed)?;
    if consumed != bytes.len() {
        return Err(DecodeError::Trailing { excess: bytes.len() - consumed });
    }
    if encode(&value) != bytes {
        return Err(DecodeError::NotCanonical);
    }
    Ok(value)
}

fn typed(refusal: Refusal) -> DecodeError {
    match refusal {
        Refusal::UnexpectedEnd { .. } => DecodeError::Truncated,
        Refusal::ArrayLengthMismatch { required, found } => {
            DecodeError::TooManyItems { got: found, max: required }
        }
        Refusal::UnexpectedVariant { type_name, found, .. } => {
            DecodeError::UnknownTag { kind: type_name, tag: found }
        }
        _ => DecodeError::Malformed,
    }
}

/// The refusal of an unknown tag, for hand-written decoders.
#[must_use]
pub fn unknown_tag(kind: &'static str, tag: u8) -> Refusal {
    Refusal::UnexpectedVariant {
        type_name: kind,
        allowed: &bincode::error::AllowedEnumVariants::Allowed(&[]),
        found: u32::from(tag),
    }
}

/// A vector of at most `MAX` items: a longer one cannot be decoded, so no claim of a count
/// can make anybody allocate. Zero-sized items are not for this type (a count of them costs
/// the sender nothing).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> List<T, MAX> {
    /// A list of these items; `None` when there are more than `MAX`.
    #[must_use]
    pub fn new(items: Vec<T>) -> Option<Self> {
        (items.len() <= MAX).then_some(Self(items))
    }
}

impl<T, const MAX: usize> Deref for List<T, MAX> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Encode, const MAX: usize> Encode for List<T, MAX> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeRefusal> {
        (self.0.len() as u64).encode(encoder)?;
        self.0.iter().try_for_each(|item| item.encode(encoder))
    }
}

impl<T: Decode<()>, const MAX: usize> Decode<()> for List<T, MAX> {
    fn decode<D: Decoder<Context = ()>>(decoder: &mut D) -> Result<Self, Refusal> {
        let claimed = usize::try_from(u64::decode(decoder)?).unwrap_or(usize::MAX);
        if claimed > MAX {
            return Err(Refusal::ArrayLengthMismatch { required: MAX, found: claimed });
        }
        // Grown item by item: a short input that claims many items ends before it allocates.
        let mut items = Vec::new();
        for _ in 0..claimed {
            items.push(T::decode(decoder)?);
        }
        Ok(Self(items))
    }
}

/// Implements bincode's traits for a struct whose bytes are those of its fields, in this order.
#[macro_export]
macro_rules! struct_codec {
    ($name:ident { $($field:ident),+ $(,)? }) => {
        impl bincode::Encode for $name {
            fn encode<E: bincode::enc::Encoder>(&self, encoder: &mut E) -> Result<(), bincode::error::EncodeError> {
                $(bincode::Encode::encode(&self.$field, encoder)?;)+
                Ok(())
            }
        }

        impl bincode::Decode<()> for $name {
            fn decode<D: bincode::de::Decoder<Context = ()>>(decoder: &mut D) -> Result<Self, bincode::error::DecodeError> {
                Ok(Self { $($field: bincode::Decode::decode(decoder)?),+ })
            }
        }
    };
}

/// Implements bincode's traits for a type whose bytes are a `u8` tag and then fields, laid out by hand.
#[macro_export]
macro_rules! tagged_codec {
    ($name:ident, $kind:literal, $($tag:literal => $variant:ident { $($field:ident),* }),+ $(,)?) => {
        impl bincode::Encode for $name {
            fn encode<E: bincode::enc::Encoder>(&self, encoder: &mut E) -> Result<(), bincode::error::EncodeError> {
                match self {
                    $(Self::$variant { $($field),* } => {
                        bincode::Encode::encode(&($tag as u8), encoder)?;
                        $(bincode::Encode::encode($field, encoder)?;)*
                    })+
                }
                Ok(())
            }
        }

        impl bincode::Decode<()> for $name {
            fn decode<D: bincode::de::Decoder<Context = ()>>(decoder: &mut D) -> Result<Self, bincode::error::DecodeError> {
                match <u8 as bincode::Decode<()>>::decode(decoder)? {
                    $($tag => Ok(Self::$variant { $($field: bincode::Decode::decode(decoder)?),* }),)+
                    tag => Err($crate::encode::unknown_tag($kind, tag)),
                }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_vectors_are_fixed_width_little_endian() {
        assert_eq!(encode(&0x0102_u16), [2, 1]);
        assert_eq!(encode(&List::<u8, 4>::new(vec![7, 8]).unwrap()), [2, 0, 0, 0, 0, 0, 0, 0, 7, 8]);
    }

    #[test]
    fn a_claimed_count_allocates_nothing() {
        let mut bytes = u64::MAX.to_le_bytes().to_vec();
        assert!(matches!(
            decode::<List<[u8; 32], 4>>(&bytes, 100),
            Err(DecodeError::TooManyItems { max: 4, .. })
        ));
        bytes[..8].copy_from_slice(&(1u64 << 40).to_le_bytes());
        assert_eq!(decode::<List<[u8; 32], { 1 << 50 }>>(&bytes, 100), Err(DecodeError::Truncated));
    }

    #[test]
    fn every_byte_is_consumed() {
        assert_eq!(decode::<u16>(&[1, 2, 3], 8), Err(DecodeError::Trailing { excess: 1 }));
        assert_eq!(decode::<u16>(&[1], 8), Err(DecodeError::Truncated));
        assert_eq!(decode::<u16>(&[1, 2], 1), Err(DecodeError::TooLong { got: 2, max: 1 }));
    }
}
