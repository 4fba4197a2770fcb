//! Transactions: what is read is written back as it came, and what passes has the form that the rules
//! describe. Signed anew by a known account, anything that can be read is accepted exactly when its
//! action is sound, and no byte of it can then be changed. Must not know the state.

use steelyard_core::consensus::error::TxRule;
use steelyard_core::consensus::transaction::{CheckedTx, shape};
use steelyard_core::hash::{AssetId, FullId};
use steelyard_core::types::transaction::{
    Action, BODY_FORMAT, TX_BYTES_MAX, Transaction, TxBody, asset_id, full_id,
};

use super::input::Input;
use super::made;
use super::world::world;

/// The target: a transaction's bytes, which are also the choices of one that is made.
pub fn transaction(input: &[u8]) {
    let read = Transaction::from_bytes(input);
    let verdict = judge(input);
    assert_eq!(judge(input).map(|tx| tx.id()), verdict.as_ref().map(CheckedTx::id).map_err(Clone::clone));
    match (&read, &verdict) {
        (Err(error), verdict) => {
            assert_eq!(verdict.as_ref().err(), Some(&TxRule::Malformed(error.clone())));
        }
        (Ok(tx), verdict) => {
            assert!(tx.to_bytes() == input && input.len() <= TX_BYTES_MAX);
            assert!(!matches!(verdict, Err(TxRule::Malformed(_))));
            signed_anew(tx, input);
        }
    }
    if let Ok(checked) = &verdict {
        passed(checked, input);
    }
    let mut choices = Input::new(input);
    let made = made::transaction(&mut choices, world(), &mut vec![0; world().actors.len()]);
    signed(&made, choices.rest());
}

fn judge(bytes: &[u8]) -> Result<CheckedTx, TxRule> {
    shape(&world().chain.network(), bytes)?.verify()
}

/// All that the form demands, said once more; ids are of the bytes.
fn passed(checked: &CheckedTx, bytes: &[u8]) {
    let (body, authorization) = (&checked.tx().body, &checked.tx().authorization);
    assert_eq!((checked.bytes(), checked.full_id()), (bytes, full_id(bytes)));
    assert_eq!(checked.id(), body.id());
    assert_ne!(FullId(checked.id().0), checked.full_id());
    assert!(body.format == BODY_FORMAT && body.network == world().chain.network());
    assert!(is_sound(&body.action));
    let policy = authorization.policy.check().expect("it has passed");
    assert_eq!(policy.address(), body.sender);
    assert_eq!(authorization.signers.count_ones(), u32::from(policy.threshold()));
    assert_eq!(authorization.signatures.len(), usize::from(policy.threshold()));
    let signers = (0..16).filter(|key| authorization.signers >> key & 1 == 1);
    for (key, signature) in signers.zip(authorization.signatures.iter()) {
        assert!(policy.keys()[key].verifies(&checked.id().0, signature));
    }
}

/// The same meaning, from an account that can sign.
fn signed_anew(tx: &Transaction, input: &[u8]) {
    let (chain, actors) = (&world().chain, &world().actors);
    let account = &actors[usize::from(input[input.len() - 1]) % actors.len()];
    let (network, sender) = (chain.network(), account.address);
    let body = TxBody { format: BODY_FORMAT, network, sender, ..tx.body.clone() };
    signed(&account.sign(body), input);
}

/// A transaction whose signatures are right passes when its action is sound, and only then; with any
/// byte changed it does not.
fn signed(tx: &Transaction, choices: &[u8]) {
    let bytes = tx.to_bytes();
    assert_eq!(Transaction::from_bytes(&bytes).as_ref(), Ok(tx));
    let verdict = judge(&bytes);
    assert_eq!(verdict.is_ok(), is_sound(&tx.body.action), "{:?}", verdict.err());
    if verdict.is_err() {
        return;
    }
    let mut choices = Input::new(choices);
    let mut changed = bytes.clone();
    let place = choices.place(bytes.len());
    changed[place] ^= choices.u8().max(1);
    assert!(judge(&changed).is_err(), "byte {place} can be changed");
    assert_ne!(full_id(&changed), full_id(&bytes));
    let other = TxBody { nonce: tx.body.nonce ^ 1, ..tx.body.clone() };
    assert_ne!(asset_id(&other.id()), asset_id(&tx.body.id()));
}

fn is_sound(action: &Action) -> bool {
    match action {
        Action::Transfer { payments } => {
            !payments.is_empty() && payments.iter().all(|payment| payment.amount > 0)
        }
        Action::Issue { symbol, decimals, supply, mintable } => {
            let text = std::str::from_utf8(symbol).unwrap_or("");
            let is_symbol = text.chars().all(|c| matches!(c, 'A'..='Z' | '0'..='9'));
            !text.is_empty() && is_symbol && *decimals <= 18 && (*supply > 0 || *mintable)
        }
        Action::Mint { asset, amount } | Action::Burn { asset, amount } => {
            *asset != AssetId::COINS && *amount > 0
        }
    }
}
