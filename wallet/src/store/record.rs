//! The stored form of intents and of the last reading, and the check behind every value. Must not
//! know keys or sled.
//!
//! A value is `encoding || check`: the first bytes of SHA-256 over key and encoding. sled's own
//! checksums have let flipped bits through, and a flipped bit in a request pays somebody else.

use bincode::{Decode, Encode};
use sha2::{Digest, Sha256};
use steelyard_core::encode::{self, List};
use steelyard_core::hash::{Address, BlockId};
use steelyard_core::struct_codec;
use steelyard_core::types::header::Header;
use steelyard_core::types::transaction::Transaction;
use steelyard_core::wire::{HeaderBytes, Text};
use steelyard_runtime::sled_door::VALUE_BYTES_MAX;

use crate::intent::{ID_CHARS_MAX, Intent, IntentId, Obstacle, Plan, Request, Signed, State};
use crate::limits::ADDRESSES_TOTAL_MAX;
use crate::view::{Account, Snapshot};

/// Bytes of a value's check.
const CHECK_BYTES: usize = 8;
/// Longest text of a node's address: IPv6 with scope and port.
const NODE_BYTES_MAX: usize = 64;

/// A value's bytes under its key.
pub(super) fn to_value<T: Encode>(key: &[u8], content: &T) -> Vec<u8> {
    let mut value = encode::encode(content);
    let check = check(key, &value);
    value.extend_from_slice(&check);
    value
}

/// Reads a value; `None` when it is not what was written.
pub(super) fn from_value<T: Encode + Decode<()>>(key: &[u8], value: &[u8]) -> Option<T> {
    let (content, found) = value.split_last_chunk::<CHECK_BYTES>()?;
    if *found != check(key, content) {
        return None;
    }
    encode::decode(content, VALUE_BYTES_MAX).ok()
}

fn check(key: &[u8], content: &[u8]) -> [u8; CHECK_BYTES] {
    let digest: [u8; 32] = Sha256::new().chain_update(key).chain_update(content).finalize().into();
    *digest.first_chunk().expect("a digest is longer")
}

/// An intent as it is stored.
pub(super) struct StoredIntent {
    id: List<u8, ID_CHARS_MAX>,
    seq: u64,
    created: u64,
    changed: u64,
    request: Request,
    plan: Option<Plan>,
    signed: Option<Signed>,
    state: State,
    obstacle: Option<Obstacle>,
}

struct_codec!(StoredIntent { id, seq, created, changed, request, plan, signed, state, obstacle });

impl From<&Intent> for StoredIntent {
    fn from(intent: &Intent) -> Self {
        Self {
            id: List::new(intent.id.as_str().as_bytes().to_vec()).expect("an id is no longer than its bound"),
            seq: intent.seq,
            created: intent.created,
            changed: intent.changed,
            request: intent.request.clone(),
            plan: intent.plan,
            signed: intent.signed.clone(),
            state: intent.state,
            obstacle: intent.obstacle.clone(),
        }
    }
}

impl StoredIntent {
    /// The intent; `None` when its parts do not fit together.
    pub(super) fn checked(self) -> Option<Intent> {
        let id: IntentId = std::str::from_utf8(&self.id).ok()?.parse().ok()?;
        let intent = Intent {
            id,
            seq: self.seq,
            created: self.created,
            changed: self.changed,
            request: self.request,
            plan: self.plan,
            signed: self.signed,
            state: self.state,
            obstacle: self.obstacle,
        };
        is_whole(&intent).then_some(intent)
    }
}

/// Whether the signed bytes are there exactly when the state says so, and are what the plan says.
fn is_whole(intent: &Intent) -> bool {
    let Some(signed) = &intent.signed else {
        return matches!(intent.state, State::Intended {} | State::Cancelled {});
    };
    let (Some(plan), Ok(tx)) = (&intent.plan, Transaction::from_bytes(&signed.bytes)) else { return false };
    let body = &tx.body;
    !matches!(intent.state, State::Intended {} | State::Cancelled {})
        && body.id() == signed.id
        && (body.nonce, body.sender) == (signed.nonce, plan.sender)
        && (body.fee, body.expiry) == (plan.fee, plan.expiry)
}

/// A reading as it is stored. What is on its way in is not: it is a node's word of one moment.
pub(super) struct StoredSnapshot {
    tip: HeaderBytes,
    id: BlockId,
    total_work: u128,
    accounts: List<(Address, (u64, u64)), ADDRESSES_TOTAL_MAX>,
    node: Text<NODE_BYTES_MAX>,
    taken: u64,
}

struct_codec!(StoredSnapshot { tip, id, total_work, accounts, node, taken });

impl From<&Snapshot> for StoredSnapshot {
    fn from(snapshot: &Snapshot) -> Self {
        let accounts = snapshot.accounts.iter().take(ADDRESSES_TOTAL_MAX);
        let accounts = accounts.map(|(address, account)| (*address, (account.balance, account.nonce)));
        Self {
            tip: HeaderBytes::from(&snapshot.tip),
            id: snapshot.id,
            total_work: snapshot.total_work,
            accounts: List::new(accounts.collect()).expect("no more were taken"),
            node: Text::new(&snapshot.node.to_string()),
            taken: snapshot.taken,
        }
    }
}

impl StoredSnapshot {
    /// The reading; `None` when its parts do not fit together.
    pub(super) fn checked(self) -> Option<Snapshot> {
        let tip = Header::from(&self.tip);
        let accounts = self.accounts.iter();
        let accounts = accounts
            .map(|(address, (balance, nonce))| (*address, Account { balance: *balance, nonce: *nonce }));
        let snapshot = Snapshot {
            tip,
            id: self.id,
            total_work: self.total_work,
            accounts: accounts.collect(),
            incoming: Vec::new(),
            incoming_more: false,
            node: self.node.as_str().parse().ok()?,
            taken: self.taken,
        };
        (tip.id() == self.id).then_some(snapshot)
    }
}
