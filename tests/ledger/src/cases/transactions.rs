//! Cases of transactions by themselves: their form, and their signatures. Must not know states.

use serde_json::json;
use steelyard_core::consensus::error::TxRule;
use steelyard_core::consensus::transaction::{CheckedTx, ShapedTx, shape};
use steelyard_core::crypto::keys::{PublicKey, SIGNATURE_BYTES, Signature};
use steelyard_core::crypto::policy::KEYS_MAX;
use steelyard_core::encode::{self, List};
use steelyard_core::hash::{Address, AssetId, Domain, NetworkId};
use steelyard_core::state::record::{DECIMALS_MAX, SYMBOL_BYTES_MAX};
use steelyard_core::types::transaction::{
    Action, Authorization, BODY_FORMAT, MEMO_BYTES_MAX, PAYMENT_BYTES, PAYMENTS_MAX, Payment, Transaction,
    TxBody, asset_id,
};

use super::draw::{amount, bytes, damage, edge, few, hash, one_in, pick};
use super::{Case, Source};
use crate::accounts::{Account, Terms};
use crate::random::Random;

pub(super) fn tx(source: &mut Source) -> Case {
    let network = NetworkId(hash(&mut source.random));
    let account = place(&mut source.random, source.cast.len());
    let account = &source.cast[account];
    let random = &mut source.random;
    let mut tx = unsigned(random, account, network);
    if one_in(random, 2) {
        for _ in 0..1 + few(random, 2) {
            disturb(random, &mut tx);
        }
    }
    let mut bytes = tx.to_bytes();
    match random.below(8) {
        0 => damage(random, &mut bytes),
        1 if one_in(random, 2) => stretch(random, &tx, &mut bytes),
        _ => {}
    }
    judged("tx", network, &bytes, |shaped| Ok(shaped.known_to_verify()))
}

pub(super) fn signed(source: &mut Source) -> Case {
    let network = NetworkId(hash(&mut source.random));
    let account = place(&mut source.random, source.cast.len());
    let account = &source.cast[account];
    let random = &mut source.random;
    let body = body(random, account, network);
    let mut tx = account.sign_by(&signers(random, account), body);
    if one_in(random, 2) {
        falsify(random, &mut tx);
    }
    if one_in(random, 8) {
        disturb(random, &mut tx);
    }
    let mut bytes = tx.to_bytes();
    if one_in(random, 4) {
        damage(random, &mut bytes);
    }
    judged("signed", network, &bytes, ShapedTx::verify)
}

/// Accounts of many keys are dear: seldom.
fn place(random: &mut Random, count: usize) -> usize {
    if one_in(random, 8) { random.place(count) } else { random.place(count - 2) }
}

fn judged(
    kind: &'static str,
    network: NetworkId,
    bytes: &[u8],
    verify: impl FnOnce(ShapedTx) -> Result<CheckedTx, TxRule>,
) -> Case {
    let inputs = json!({ "network": network, "bytes": hex::encode(bytes) });
    match shape(&network, bytes).and_then(verify) {
        Err(rule) => Case::new(kind, rule.name(), inputs, json!({ "rule": rule.name() })),
        Ok(tx) => {
            let sort = match tx.tx().body.action {
                Action::Transfer { .. } => "transfer",
                Action::Issue { .. } => "issue",
                Action::Mint { .. } => "mint",
                Action::Burn { .. } => "burn",
            };
            let out = json!({ "id": tx.id(), "full_id": tx.full_id(), "asset": asset_id(&tx.id()) });
            Case::new(kind, sort, inputs, out)
        }
    }
}

/// Some keys that suffice, ascending.
pub(super) fn signers(random: &mut Random, account: &Account) -> Vec<usize> {
    let mut signers: Vec<usize> = (0..account.secrets.len()).collect();
    while signers.len() > usize::from(account.policy.threshold()) {
        signers.remove(random.place(signers.len()));
    }
    signers
}

fn body(random: &mut Random, account: &Account, network: NetworkId) -> TxBody {
    let memo = match random.below(6) {
        0 => *pick(random, &[MEMO_BYTES_MAX - 1, MEMO_BYTES_MAX]),
        _ => few(random, 40),
    };
    let memo = bytes(random, memo);
    let terms = Terms { nonce: edge(random), fee: edge(random), expiry: edge(random), memo };
    let action = action(random);
    account.body(network, terms, action)
}

fn action(random: &mut Random) -> Action {
    let asset = AssetId(bytes(random, 32).try_into().expect("32 bytes"));
    let amount = amount(random);
    match random.below(6) {
        0 | 1 => {
            let letters = match random.below(3) {
                0 => *pick(random, &[1, SYMBOL_BYTES_MAX]),
                _ => 1 + random.place(SYMBOL_BYTES_MAX),
            };
            let symbol = (0..letters).map(|_| *pick(random, b"ABCXYZ0189")).collect();
            let mintable = one_in(random, 2);
            let supply = if mintable && one_in(random, 3) { 0 } else { amount };
            let decimals = random.below(u64::from(DECIMALS_MAX) + 1) as u8;
            Action::Issue { symbol: list(symbol), decimals, supply, mintable }
        }
        2 => Action::Mint { asset, amount },
        3 => Action::Burn { asset, amount },
        _ => {
            let count = if one_in(random, 200) { PAYMENTS_MAX } else { 1 + few(random, 5) };
            let payments = (0..count).map(|_| payment(random)).collect();
            Action::Transfer { payments: list(payments) }
        }
    }
}

fn payment(random: &mut Random) -> Payment {
    Payment { asset: AssetId(hash(random)), to: Address(hash(random)), amount: amount(random) }
}

fn list<T, const MAX: usize>(items: Vec<T>) -> List<T, MAX> {
    List::new(items).expect("within the list's bound")
}

/// A transaction of right form with bytes where signatures belong.
fn unsigned(random: &mut Random, account: &Account, network: NetworkId) -> Transaction {
    let signers = signers(random, account);
    let signature = |_| Signature(bytes(random, SIGNATURE_BYTES).try_into().expect("64 bytes"));
    let signatures = list(signers.iter().map(signature).collect());
    let authorization = Authorization {
        policy: account.policy.clone().into(),
        signers: signers.iter().fold(0, |bits, i| bits | 1 << i),
        signatures,
    };
    Transaction { body: body(random, account, network), authorization }
}

/// Breaks a rule of form, mostly.
pub(super) fn disturb(random: &mut Random, tx: &mut Transaction) {
    let Transaction { body, authorization } = tx;
    match random.below(10) {
        0 => body.format = *pick(random, &[0, BODY_FORMAT + 1, 255]),
        1 => body.network.0[random.place(32)] ^= 1 << random.below(8),
        2 | 3 => disturb_action(random, &mut body.action),
        4 | 5 => {
            disturb_policy(random, authorization);
            // With the sender's address following, the policy alone is at fault, or nothing is.
            if one_in(random, 2) {
                body.sender = Address(Domain::Policy.hash(&[&encode::encode(&authorization.policy)]));
            }
        }
        6 => body.sender.0[random.place(32)] ^= 1 << random.below(8),
        7 => authorization.signers ^= 1 << random.below(16),
        8 => authorization.signers = random.number() as u16,
        _ => {
            let mut signatures = authorization.signatures.to_vec();
            match random.below(3) {
                0 => signatures.truncate(random.place(signatures.len() + 1)),
                1 => signatures.clear(),
                _ => signatures.push(Signature([7; SIGNATURE_BYTES])),
            }
            signatures.truncate(KEYS_MAX);
            authorization.signatures = list(signatures);
        }
    }
}

fn disturb_action(random: &mut Random, action: &mut Action) {
    match action {
        Action::Transfer { payments } => {
            let mut paid = payments.to_vec();
            if one_in(random, 3) {
                paid.clear();
            } else if !paid.is_empty() {
                let at = random.place(paid.len());
                paid[at].amount = 0;
            }
            *payments = list(paid);
        }
        Action::Issue { symbol, decimals, supply, mintable } => match random.below(4) {
            0 => *symbol = List::default(),
            1 => {
                let mut letters = symbol.to_vec();
                if let Some(letter) = letters.first_mut() {
                    *letter = *pick(random, b"a@[/: \xff\0z`");
                }
                letters.reverse();
                *symbol = list(letters);
            }
            2 => *decimals = *pick(random, &[DECIMALS_MAX + 1, 255, 128]),
            _ => (*supply, *mintable) = (0, one_in(random, 3)),
        },
        Action::Mint { asset, amount } | Action::Burn { asset, amount } => {
            if one_in(random, 2) {
                *asset = AssetId::COINS;
            }
            if one_in(random, 2) {
                *amount = 0;
            }
        }
    }
}

fn disturb_policy(random: &mut Random, authorization: &mut Authorization) {
    let policy = &mut authorization.policy;
    match random.below(7) {
        0 => policy.threshold = *pick(random, &[0, 17, 255]),
        1 => policy.threshold = policy.threshold.wrapping_add(1),
        2 => policy.keys.clear(),
        3 => policy.keys.reverse(),
        4 => policy.keys.extend_from_within(..),
        5 => {
            policy.keys.pop();
        }
        _ => {
            // Every other number is the x coordinate of no point.
            let key = PublicKey(bytes(random, 32).try_into().expect("32 bytes"));
            policy.keys.push(key);
            policy.keys.sort();
        }
    }
    policy.keys.truncate(KEYS_MAX + 1);
}

/// Makes a list longer than its bound, or its count a number that nobody can mean.
fn stretch(random: &mut Random, tx: &Transaction, bytes: &mut Vec<u8>) {
    let memo_at = 1 + 32 + 32 + 8 + 8 + 8;
    let action_at = memo_at + 8 + tx.body.memo.len();
    let signatures_at = bytes.len() - SIGNATURE_BYTES * tx.authorization.signatures.len() - 8;
    let (at, has, item, most) = match (random.below(3), &tx.body.action) {
        (0, _) => (memo_at, tx.body.memo.len(), 1, MEMO_BYTES_MAX),
        (1, Action::Transfer { payments }) => (action_at + 1, payments.len(), PAYMENT_BYTES, PAYMENTS_MAX),
        (1, Action::Issue { symbol, .. }) => (action_at + 1, symbol.len(), 1, SYMBOL_BYTES_MAX),
        _ => (signatures_at, tx.authorization.signatures.len(), SIGNATURE_BYTES, KEYS_MAX),
    };
    let count = most + random.place(2);
    let claimed = if one_in(random, 3) { edge(random) } else { count as u64 };
    let items = self::bytes(random, count * item);
    let list = claimed.to_le_bytes().into_iter().chain(items);
    bytes.splice(at..at + 8 + has * item, list);
}

/// Makes a signature wrong, or puts a right one in a wrong place.
pub(super) fn falsify(random: &mut Random, tx: &mut Transaction) {
    let mut signatures = tx.authorization.signatures.to_vec();
    if signatures.is_empty() {
        return;
    }
    let (at, other) = (random.place(signatures.len()), random.place(signatures.len()));
    match random.below(8) {
        0 => signatures[at].0[random.place(SIGNATURE_BYTES)] ^= 1 << random.below(8),
        1 => signatures[at].0[..32].fill(0xff),
        2 => signatures[at].0[32..].fill(0xff),
        3 => signatures[at] = Signature([0; SIGNATURE_BYTES]),
        4 => signatures[at].0[32..].copy_from_slice(&ORDER),
        5 => signatures.swap(at, other),
        6 => signatures[at] = signatures[other],
        _ => tx.body.fee ^= 1,
    }
    tx.authorization.signatures = list(signatures);
}

/// How many points secp256k1 has, most significant byte first: one too many for a signature's s.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba,
    0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];
