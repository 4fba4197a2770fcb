//! Policies of several keys: whoever suffices signs, in the order of the keys, and nobody else in any
//! other. Must not know a state.

use steelyard_core::consensus::error::TxRule;
use steelyard_core::consensus::transaction::shape;
use steelyard_core::crypto::keys::{SecretKey, Signature};
use steelyard_core::crypto::policy::KEYS_MAX;
use steelyard_core::encode::List;
use steelyard_core::hash::NetworkId;
use steelyard_core::types::transaction::{Transaction, TxBody};
use steelyard_ledger::accounts::{Account, Terms, coins, transfer};
use steelyard_ledger::random::Random;

const NETWORK: NetworkId = NetworkId([7; 32]);

/// A transaction of an account, and the signature of each of its keys.
struct Paper {
    account: Account,
    body: TxBody,
    signatures: Vec<Signature>,
}

impl Paper {
    fn new(m: u8, n: u8, number: u64) -> Self {
        let account = Account::multisig(m, n, number);
        let body = account.body(NETWORK, Terms::default(), transfer(vec![coins(account.address, 1)]));
        let sign = |secret: &SecretKey| secret.sign(&body.id().0);
        let signatures = account.secrets.iter().map(sign).collect();
        Self { account, body, signatures }
    }

    /// Says that these keys sign, and gives these signatures.
    fn verdict(&self, signers: u16, signatures: Vec<Signature>) -> Result<(), TxRule> {
        let mut tx = self.account.sign_by(&[], self.body.clone());
        tx.authorization.signers = signers;
        tx.authorization.signatures = List::new(signatures).unwrap();
        judge(&tx)
    }

    /// The same, with signatures by these keys, in this order.
    fn signed_by(&self, signers: u16, keys: &[usize]) -> Result<(), TxRule> {
        self.verdict(signers, keys.iter().map(|key| self.signatures[*key]).collect())
    }
}

fn judge(tx: &Transaction) -> Result<(), TxRule> {
    shape(&NETWORK, &tx.to_bytes())?.verify().map(|_| ())
}

/// The keys that a bitmap names, ascending.
fn keys_of(signers: u16) -> Vec<usize> {
    (0..KEYS_MAX).filter(|key| signers >> key & 1 == 1).collect()
}

/// All sequences of so many of `n` keys.
fn sequences(n: usize, length: usize) -> Vec<Vec<usize>> {
    (0..length).fold(vec![Vec::new()], |shorter, _| {
        let longer = |sequence: &Vec<usize>| {
            let sequence = sequence.clone();
            (0..n).map(move |key| [&sequence[..], &[key]].concat())
        };
        shorter.iter().flat_map(longer).collect()
    })
}

/// Of policies of up to four keys everything that can be said: every bitmap with every sequence of
/// signatures by its keys, one too few and one too many among them.
#[test]
fn small_policies_are_satisfied_by_their_subsets_in_order_and_by_nothing_else() {
    let mut satisfied = 0;
    for n in 1..=4u8 {
        for m in 1..=n {
            let paper = Paper::new(m, n, 0);
            for signers in 0..1u16 << (n + 1) {
                let keys = keys_of(signers);
                let is_subset = keys.len() == usize::from(m) && keys.iter().all(|key| *key < usize::from(n));
                for length in usize::from(m - 1)..=usize::from(m + 1).min(4) {
                    for sequence in sequences(n.into(), length) {
                        let verdict = paper.signed_by(signers, &sequence);
                        let suffices = is_subset && sequence == keys;
                        assert_eq!(verdict.is_ok(), suffices, "{m} of {n}: {keys:?} by {sequence:?}");
                        satisfied += usize::from(suffices);
                    }
                }
            }
        }
    }
    // Subsets of 1, 2, 3 and 4 keys that are not empty.
    assert_eq!(satisfied, 1 + 3 + 7 + 15);
}

/// Of every m and n some random subsets, each with the ways to get it slightly wrong.
#[test]
fn every_policy_is_satisfied_by_its_subsets_in_order_and_by_nothing_else() {
    let mut random = Random::for_test(81);
    for n in 1..=16u8 {
        for m in 1..=n {
            let paper = Paper::new(m, n, u64::from(n));
            for _ in 0..2 {
                let mut keys: Vec<usize> = (0..n.into()).collect();
                while keys.len() > m.into() {
                    keys.remove(random.place(keys.len()));
                }
                let signers = keys.iter().fold(0, |bits, key| bits | 1 << key);
                assert_eq!(paper.signed_by(signers, &keys), Ok(()), "{m} of {n}: {keys:?}");
                nearly_right(&mut random, &paper, (signers, &keys));
            }
        }
    }
}

/// One thing wrong with signatures that suffice; each by its own rule.
fn nearly_right(random: &mut Random, paper: &Paper, (signers, keys): (u16, &[usize])) {
    let (m, n) = (keys.len(), paper.signatures.len());
    let place = random.place(m);
    let not_its_keys = |verdict, index| assert_eq!(verdict, Err(TxRule::InvalidSignature { index }));
    let wrong_signers = |signers| {
        let verdict = paper.signed_by(signers, keys);
        assert!(matches!(verdict, Err(TxRule::Signers { .. })), "{signers:#x}: {verdict:?}");
    };
    // One fewer, one more, and keys that are not there.
    wrong_signers(signers & !(1 << keys[place]));
    if let Some(other) = (0..n).find(|key| !keys.contains(key)) {
        wrong_signers(signers | 1 << other);
        let mut swapped = keys.to_vec();
        swapped[place] = other;
        not_its_keys(paper.signed_by(signers, &swapped), place);
    }
    if n < KEYS_MAX {
        wrong_signers(signers | 1 << n);
        wrong_signers(signers & !(1 << keys[place]) | 1 << n);
    }
    for (count, sequence) in [(m - 1, keys[1..].to_vec()), (m + 1, [keys, &keys[..1]].concat())] {
        if count <= KEYS_MAX {
            let verdict = paper.signed_by(signers, &sequence);
            assert_eq!(verdict, Err(TxRule::SignatureCount { got: count, expected: m }));
        }
    }
    if m > 1 {
        let at = random.place(m - 1);
        let mut swapped = keys.to_vec();
        swapped.swap(at, at + 1);
        not_its_keys(paper.signed_by(signers, &swapped), at);
        let mut twice = keys.to_vec();
        twice[at + 1] = keys[at];
        not_its_keys(paper.signed_by(signers, &twice), at + 1);
    }
    // A stranger's, and the right keys' over another transaction.
    let signatures = || keys.iter().map(|key| paper.signatures[*key]);
    let mut strange: Vec<Signature> = signatures().collect();
    strange[place] = Account::numbered(1).secrets[0].sign(&paper.body.id().0);
    not_its_keys(paper.verdict(signers, strange), place);
    let mut moved: Vec<Signature> = signatures().collect();
    moved[place] = paper.account.secrets[keys[place]].sign(&[0; 32]);
    not_its_keys(paper.verdict(signers, moved), place);
}

/// Keys that stand in two policies sign for one alone: the sender is signed.
#[test]
fn a_signature_does_not_move_to_another_policy_of_its_key() {
    let secret = |key: u8| SecretKey::new([key; 32]).unwrap();
    let shared = Account::of_keys(1, vec![secret(1), secret(2)]);
    let single = Account::of_keys(1, vec![secret(1)]);
    let both = Account::of_keys(2, vec![secret(1), secret(2)]);
    let accounts = [&shared, &single, &both];
    for (index, from) in accounts.iter().enumerate() {
        let tx = from.act(NETWORK, Terms::default(), transfer(vec![coins(from.address, 1)]));
        assert_eq!(judge(&tx), Ok(()));
        for (other_index, other) in accounts.iter().enumerate().filter(|(other, _)| *other != index) {
            let mut moved = tx.clone();
            moved.authorization.policy = other.policy.clone().into();
            assert_eq!(judge(&moved), Err(TxRule::WrongSender), "{index} to {other_index}");
            moved.body.sender = other.address;
            assert!(judge(&moved).is_err(), "{index} to {other_index}");
        }
    }
}
