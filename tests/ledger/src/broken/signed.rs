//! Transactions whose policy, signers or signatures are wrong, and those right at a limit of them.
//! Must not know the state.

use steelyard_core::consensus::error::TxRule;
use steelyard_core::crypto::keys::{PublicKey, Signature};
use steelyard_core::crypto::policy::{PolicyError, UncheckedPolicy};
use steelyard_core::encode::List;
use steelyard_core::hash::Address;
use steelyard_core::types::transaction::{Transaction, TxBody};

use super::{Seen, Stage, TxCase, fresh};
use crate::accounts::{Account, Terms, coins, transfer};

/// Order of the curve's group: the least scalar that is none.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba,
    0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];

/// The shared account's next transaction, changed after it was signed.
fn changed(stage: &Stage, change: impl FnOnce(&mut Transaction)) -> Vec<u8> {
    let mut tx =
        stage.shared.pay(stage.chain.network(), Terms::of_nonce(0), vec![coins(stage.carol.address, 1)]);
    change(&mut tx);
    tx.to_bytes()
}

fn wrong_case(name: &'static str, bytes: Vec<u8>, rule: TxRule) -> TxCase {
    TxCase::wrong(name, Seen::InItself, bytes, rule)
}

pub(super) fn wrong(stage: &Stage) -> Vec<TxCase> {
    [policies(stage), signers(stage), signatures(stage), strangers(stage)].into_iter().flatten().collect()
}

fn policies(stage: &Stage) -> Vec<TxCase> {
    let case = |name, change: fn(&mut UncheckedPolicy), error| {
        let bytes = changed(stage, |tx| change(&mut tx.authorization.policy));
        wrong_case(name, bytes, TxRule::InvalidPolicy(error))
    };
    let threshold = |threshold, keys| PolicyError::Threshold { threshold, keys };
    let other = |name, change: fn(&mut UncheckedPolicy)| {
        wrong_case(name, changed(stage, |tx| change(&mut tx.authorization.policy)), TxRule::WrongSender)
    };
    vec![
        case("none of three keys", |p| p.threshold = 0, threshold(0, 3)),
        case("four of three keys", |p| p.threshold = 4, threshold(4, 3)),
        case("255 of three keys", |p| p.threshold = 255, threshold(255, 3)),
        case("two of no keys", |p| p.keys.clear(), threshold(2, 0)),
        case("none of no keys", |p| (p.threshold, p.keys) = (0, Vec::new()), threshold(0, 0)),
        case("keys out of order", |p| p.keys.swap(1, 2), PolicyError::Unsorted { index: 2 }),
        case("a key twice", |p| p.keys[1] = p.keys[0], PolicyError::Unsorted { index: 1 }),
        case(
            "a key that is no number of the field",
            |p| p.keys[2] = PublicKey([0xff; 32]),
            PolicyError::NotLiftable { index: 2 },
        ),
        case("a key of zero", |p| p.keys[0] = PublicKey([0; 32]), PolicyError::NotLiftable { index: 0 }),
        other("one of three where the address is of two", |p| p.threshold = 1),
        other("a key left out", |p| p.keys.truncate(2)),
        other("a stranger's policy", |p| *p = Account::numbered(5).policy.into()),
        wrong_case(
            "an address without a policy",
            {
                let mut tx = stage.act(transfer(vec![coins(stage.carol.address, 1)]));
                tx.body.sender = Address([5; 32]);
                stage.alice.sign(tx.body).to_bytes()
            },
            TxRule::WrongSender,
        ),
    ]
}

fn signers(stage: &Stage) -> Vec<TxCase> {
    let case = |name, signers: u16| {
        let rule = TxRule::Signers { signers, threshold: 2, keys: 3 };
        wrong_case(name, changed(stage, |tx| tx.authorization.signers = signers), rule)
    };
    let body = stage.wide.body(
        stage.chain.network(),
        Terms::of_nonce(0),
        transfer(vec![coins(stage.carol.address, 1)]),
    );
    let all_but_last: Vec<usize> = (0..15).collect();
    vec![
        case("no signer", 0),
        case("one signer of two", 0b001),
        case("three signers of two", 0b111),
        case("the first signer that is none", 0b1001),
        case("the last signer that is none", 0x8001),
        case("two signers that are none", 0b1_1000),
        wrong_case(
            "15 signers of 16",
            stage.wide.sign_by(&all_but_last, body).to_bytes(),
            TxRule::Signers { signers: 0x7fff, threshold: 16, keys: 16 },
        ),
    ]
}

fn signatures(stage: &Stage) -> Vec<TxCase> {
    let with = |change: &dyn Fn(&mut Vec<Signature>)| {
        changed(stage, |tx| {
            let mut signatures = tx.authorization.signatures.to_vec();
            change(&mut signatures);
            tx.authorization.signatures = List::new(signatures).expect("few");
        })
    };
    let count = |name, change: &dyn Fn(&mut Vec<Signature>), got| {
        wrong_case(name, with(change), TxRule::SignatureCount { got, expected: 2 })
    };
    let invalid = |name, change: &dyn Fn(&mut Vec<Signature>), index| {
        wrong_case(name, with(change), TxRule::InvalidSignature { index })
    };
    vec![
        count("no signature", &|s| s.clear(), 0),
        count("a signature missing", &|s| s.truncate(1), 1),
        count("a signature too many", &|s| s.push(s[0]), 3),
        invalid("signatures in the wrong order", &|s| s.swap(0, 1), 0),
        invalid("a bit of the first signature", &|s| s[0].0[0] ^= 1, 0),
        invalid("a bit of the last signature", &|s| s[1].0[63] ^= 1, 1),
        invalid("one signature for both", &|s| s[1] = s[0], 1),
        invalid("a signature of zeros", &|s| s[1].0 = [0; 64], 1),
        invalid("a signature of ones", &|s| s[0].0 = [0xff; 64], 0),
        invalid("a scalar of the group's order", &|s| s[1].0[32..].copy_from_slice(&ORDER), 1),
        wrong_case(
            "signed by another key than it names",
            changed(stage, |tx| tx.authorization.signers = 0b101),
            TxRule::InvalidSignature { index: 1 },
        ),
    ]
}

/// Signatures of others, and for others.
fn strangers(stage: &Stage) -> Vec<TxCase> {
    let network = stage.chain.network();
    let body = |account: &Account, nonce, amount| {
        account.body(network, Terms::of_nonce(nonce), transfer(vec![coins(stage.carol.address, amount)]))
    };
    let own = stage.alice.sign(body(&stage.alice, 3, 1));
    let with = |tx: &Transaction| Transaction {
        body: own.body.clone(),
        authorization: {
            let mut authorization = own.authorization.clone();
            authorization.signatures = tx.authorization.signatures.clone();
            authorization
        },
    };
    // One of two keys, of which Alice's is one: the same key, another address.
    let keys = [Account::dev(0), Account::dev(9)].into_iter().flat_map(|account| account.secrets);
    let joint = Account::of_keys(1, keys.collect());
    let place = joint.secrets.iter().position(|key| key.public() == stage.alice.secrets[0].public());
    let place = place.expect("hers is one of them");
    let moved = joint.sign_by(&[place], TxBody { sender: joint.address, ..own.body.clone() });
    let invalid = TxRule::InvalidSignature { index: 0 };
    let case = |name, tx: &Transaction, rule: &TxRule| wrong_case(name, tx.to_bytes(), rule.clone());
    vec![
        case("a stranger's signature", &with(&stage.dave.sign(own.body.clone())), &invalid),
        case("a signature over another amount", &with(&stage.alice.sign(body(&stage.alice, 3, 2))), &invalid),
        case("a signature over another nonce", &with(&stage.alice.sign(body(&stage.alice, 4, 1))), &invalid),
        case("a signature moved from another policy with the key", &with(&moved), &invalid),
        case(
            "an authorization moved from another policy with the key",
            &Transaction { body: own.body.clone(), authorization: moved.authorization.clone() },
            &TxRule::WrongSender,
        ),
        case(
            "a body moved to another policy with the key",
            &Transaction {
                body: TxBody { sender: joint.address, ..own.body.clone() },
                authorization: {
                    let mut authorization = moved.authorization.clone();
                    authorization.signatures = own.authorization.signatures.clone();
                    authorization
                },
            },
            &invalid,
        ),
        case(
            "an authorization that takes the money of another",
            &Transaction {
                body: TxBody { sender: fresh(0).address, ..own.body.clone() },
                authorization: own.authorization.clone(),
            },
            &TxRule::WrongSender,
        ),
    ]
}

pub(super) fn right(stage: &Stage) -> Vec<TxCase> {
    let body = |account: &Account| {
        let one = transfer(vec![coins(stage.carol.address, 1)]);
        account.body(stage.chain.network(), Terms::of_nonce(0), one)
    };
    let outer = stage.shared.sign_by(&[0, 2], body(&stage.shared));
    vec![
        TxCase::right("the first and the last of three", Seen::InItself, &outer),
        TxCase::right("16 signers of 16", Seen::InItself, &stage.wide.sign(body(&stage.wide))),
    ]
}
