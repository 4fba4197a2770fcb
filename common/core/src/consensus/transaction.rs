//! Transactions in isolation: form and signatures. Must not know state or height.

use crate::consensus::error::TxRule;
use crate::crypto::policy::Policy;
use crate::hash::{AssetId, FullId, NetworkId, TxId};
use crate::state::record::DECIMALS_MAX;
use crate::types::transaction::{Action, BODY_FORMAT, Transaction, full_id};

/// A transaction whose form is right, and whose signatures nobody has checked yet.
#[derive(Clone, Debug)]
pub struct ShapedTx {
    checked: CheckedTx,
    policy: Policy,
}

/// A transaction that needs nothing but the state to be valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedTx {
    tx: Transaction,
    id: TxId,
    full_id: FullId,
    bytes: Vec<u8>,
}

/// Checks everything but the signatures, cheap before dear.
///
/// # Errors
/// The first [`TxRule`] that is broken.
pub fn shape(network: &NetworkId, bytes: &[u8]) -> Result<ShapedTx, TxRule> {
    let tx = Transaction::from_bytes(bytes).map_err(TxRule::Malformed)?;
    let body = &tx.body;
    if body.format != BODY_FORMAT {
        return Err(TxRule::Format { got: body.format, expected: BODY_FORMAT });
    }
    if body.network != *network {
        return Err(TxRule::WrongNetwork { got: body.network, expected: *network });
    }
    check_action(&body.action)?;
    let authorization = &tx.authorization;
    let policy = authorization.policy.check().map_err(TxRule::InvalidPolicy)?;
    if policy.address() != body.sender {
        return Err(TxRule::WrongSender);
    }
    let (signers, keys) = (authorization.signers, policy.keys().len());
    let beyond = u32::from(signers).checked_shr(u32::try_from(keys).expect("at most 16")).unwrap_or(0);
    if beyond != 0 || signers.count_ones() != u32::from(policy.threshold()) {
        return Err(TxRule::Signers { signers, threshold: policy.threshold(), keys });
    }
    let expected = usize::from(policy.threshold());
    if authorization.signatures.len() != expected {
        return Err(TxRule::SignatureCount { got: authorization.signatures.len(), expected });
    }
    let id = body.id();
    Ok(ShapedTx { checked: CheckedTx { id, full_id: full_id(bytes), bytes: bytes.to_vec(), tx }, policy })
}

fn check_action(action: &Action) -> Result<(), TxRule> {
    match action {
        Action::Transfer { payments } => {
            if payments.is_empty() {
                return Err(TxRule::NoPayments);
            }
            match payments.iter().position(|payment| payment.amount == 0) {
                Some(index) => Err(TxRule::ZeroAmount { index }),
                None => Ok(()),
            }
        }
        Action::Issue { symbol, decimals, supply, mintable } => {
            let allowed = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit();
            if symbol.is_empty() || !symbol.iter().all(allowed) {
                return Err(TxRule::Symbol);
            }
            if *decimals > DECIMALS_MAX {
                return Err(TxRule::Decimals { got: *decimals, max: DECIMALS_MAX });
            }
            if *supply == 0 && !mintable {
                return Err(TxRule::NoSupply);
            }
            Ok(())
        }
        Action::Mint { asset, amount } | Action::Burn { asset, amount } => {
            if *asset == AssetId::COINS {
                return Err(TxRule::CoinsAreNoAsset);
            }
            if *amount == 0 { Err(TxRule::ZeroAmount { index: 0 }) } else { Ok(()) }
        }
    }
}

impl ShapedTx {
    /// Checks the signatures.
    ///
    /// # Errors
    /// [`TxRule::InvalidSignature`] names the first that is wrong.
    pub fn verify(self) -> Result<CheckedTx, TxRule> {
        let authorization = &self.checked.tx.authorization;
        let keys =
            self.policy.lifted().iter().enumerate().filter(|(i, _)| authorization.signers >> i & 1 == 1);
        for (index, ((_, key), signature)) in keys.zip(authorization.signatures.iter()).enumerate() {
            if !key.verifies(&self.checked.id.0, signature) {
                return Err(TxRule::InvalidSignature { index });
            }
        }
        Ok(self.checked)
    }

    /// Takes the signatures for right because a transaction of the same full id passed
    /// [`ShapedTx::verify`] before. The full id, never the id: a cache by id would let a miner put
    /// garbage signatures under a pooled id and split the chain.
    #[must_use]
    pub fn known_to_verify(self) -> CheckedTx {
        self.checked
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> TxId {
        self.checked.id
    }

    /// The id with authorization, to look up in a cache.
    #[must_use]
    pub fn full_id(&self) -> FullId {
        self.checked.full_id
    }
}

impl CheckedTx {
    /// The transaction.
    #[must_use]
    pub fn tx(&self) -> &Transaction {
        &self.tx
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> TxId {
        self.id
    }

    /// Its id with authorization.
    #[must_use]
    pub fn full_id(&self) -> FullId {
        self.full_id
    }

    /// Its canonical bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
