//! Policies: every account is m-of-n keys, a single key is 1-of-1. An address is the hash of a
//! policy. Must not know what a policy authorizes.

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError as Refusal, EncodeError as EncodeRefusal};
use bincode::{Decode, Encode};

use crate::crypto::keys::{LiftedKey, PublicKey};
use crate::encode::unknown_tag;
use crate::hash::{Address, Domain};

/// Most keys of a policy.
pub const KEYS_MAX: usize = 16;
/// Longest policy: tag, m, n and the keys.
pub const POLICY_BYTES_MAX: usize = 3 + KEYS_MAX * 32;

/// The only policy there is: m-of-n. Other tags are invalid, room for time and hash locks.
const TAG_THRESHOLD: u8 = 1;

/// m-of-n keys, valid by construction: 1 <= m <= n <= 16, keys strictly ascending and liftable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    threshold: u8,
    keys: Vec<PublicKey>,
    lifted: Vec<LiftedKey>,
}

/// What is wrong with a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not 1 <= m <= n <= 16.
    #[error("{threshold} of {keys} keys, where 1 <= m <= n <= 16 is needed")]
    Threshold {
        /// m
        threshold: usize,
        /// n
        keys: usize,
    },
    /// Keys out of order, or one twice.
    #[error("key {index} is not above the one before it")]
    Unsorted {
        /// The guilty key.
        index: usize,
    },
    /// A key that is no point of the curve.
    #[error("key {index} is not a point of the curve")]
    NotLiftable {
        /// The guilty key.
        index: usize,
    },
}

impl Policy {
    /// A policy that `threshold` of these keys satisfy, which must stand in ascending order.
    ///
    /// # Errors
    /// [`PolicyError`], the first that applies.
    pub fn new(threshold: u8, keys: Vec<PublicKey>) -> Result<Self, PolicyError> {
        let m = usize::from(threshold);
        if m == 0 || m > keys.len() || keys.len() > KEYS_MAX {
            return Err(PolicyError::Threshold { threshold: m, keys: keys.len() });
        }
        if let Some(before) = keys.windows(2).position(|pair| pair[0] >= pair[1]) {
            return Err(PolicyError::Unsorted { index: before + 1 });
        }
        let lift = |(index, key): (usize, &PublicKey)| key.lift().ok_or(PolicyError::NotLiftable { index });
        let lifted = keys.iter().enumerate().map(lift).collect::<Result<_, _>>()?;
        Ok(Self { threshold, keys, lifted })
    }

    /// The policy of one key.
    ///
    /// # Errors
    /// [`PolicyError::NotLiftable`].
    pub fn single(key: PublicKey) -> Result<Self, PolicyError> {
        Self::new(1, vec![key])
    }

    /// m, the signatures needed.
    #[must_use]
    pub fn threshold(&self) -> u8 {
        self.threshold
    }

    /// The keys, ascending.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// The keys as points, in the same order.
    #[must_use]
    pub fn lifted(&self) -> &[LiftedKey] {
        &self.lifted
    }

    /// tag u8 || m u8 || n u8 || keys: what is hashed and what is sent.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let count = u8::try_from(self.keys.len()).expect("at most KEYS_MAX");
        let mut bytes = vec![TAG_THRESHOLD, self.threshold, count];
        for key in &self.keys {
            bytes.extend_from_slice(&key.0);
        }
        bytes
    }

    /// The address that only this policy can spend from.
    #[must_use]
    pub fn address(&self) -> Address {
        Address(Domain::Policy.hash(&[&self.to_bytes()]))
    }
}

/// A policy as it was sent, not yet checked: any m, any keys (at most 16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UncheckedPolicy {
    /// m as sent.
    pub threshold: u8,
    /// The keys as sent.
    pub keys: Vec<PublicKey>,
}

impl UncheckedPolicy {
    /// Checks all that makes a policy one.
    ///
    /// # Errors
    /// [`PolicyError`], the first that applies.
    pub fn check(&self) -> Result<Policy, PolicyError> {
        Policy::new(self.threshold, self.keys.clone())
    }
}

impl From<Policy> for UncheckedPolicy {
    fn from(policy: Policy) -> Self {
        Self { threshold: policy.threshold, keys: policy.keys }
    }
}

impl Encode for UncheckedPolicy {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeRefusal> {
        TAG_THRESHOLD.encode(encoder)?;
        self.threshold.encode(encoder)?;
        u8::try_from(self.keys.len())
            .expect("at most KEYS_MAX by both ways of making one")
            .encode(encoder)?;
        self.keys.iter().try_for_each(|key| key.encode(encoder))
    }
}

impl Decode<()> for UncheckedPolicy {
    fn decode<D: Decoder<Context = ()>>(decoder: &mut D) -> Result<Self, Refusal> {
        let tag = u8::decode(decoder)?;
        if tag != TAG_THRESHOLD {
            return Err(unknown_tag("policy", tag));
        }
        let threshold = u8::decode(decoder)?;
        let count = usize::from(u8::decode(decoder)?);
        if count > KEYS_MAX {
            return Err(Refusal::ArrayLengthMismatch { required: KEYS_MAX, found: count });
        }
        let keys = (0..count).map(|_| PublicKey::decode(decoder)).collect::<Result<_, _>>()?;
        Ok(Self { threshold, keys })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keys::SecretKey;

    fn keys(count: u8) -> Vec<PublicKey> {
        let mut keys: Vec<_> = (1..=count).map(|i| SecretKey::new([i; 32]).unwrap().public()).collect();
        keys.sort();
        keys
    }

    #[test]
    fn bounds_order_and_points_are_checked() {
        assert!(Policy::new(16, keys(16)).is_ok());
        assert!(matches!(Policy::new(0, keys(1)), Err(PolicyError::Threshold { .. })));
        assert!(matches!(Policy::new(2, keys(1)), Err(PolicyError::Threshold { .. })));
        assert!(matches!(Policy::new(1, vec![]), Err(PolicyError::Threshold { .. })));
        assert!(matches!(Policy::new(1, keys(17)), Err(PolicyError::Threshold { .. })));
        let pair = keys(2);
        assert_eq!(Policy::new(1, vec![pair[1], pair[0]]), Err(PolicyError::Unsorted { index: 1 }));
        assert_eq!(Policy::new(1, vec![pair[0], pair[0]]), Err(PolicyError::Unsorted { index: 1 }));
        // x = 5 is on no point of secp256k1.
        let mut five = [0; 32];
        five[31] = 5;
        assert_eq!(Policy::single(PublicKey(five)), Err(PolicyError::NotLiftable { index: 0 }));
    }

    #[test]
    fn the_sent_bytes_are_the_hashed_bytes() {
        let policy = Policy::new(2, keys(3)).unwrap();
        assert_eq!(crate::encode::encode(&UncheckedPolicy::from(policy.clone())), policy.to_bytes());
        assert_eq!(policy.to_bytes()[..3], [1, 2, 3]);
        assert!(policy.to_bytes().len() <= POLICY_BYTES_MAX);
        let read: UncheckedPolicy = crate::encode::decode(&policy.to_bytes(), POLICY_BYTES_MAX).unwrap();
        assert_eq!(read.check(), Ok(policy));
    }
}
