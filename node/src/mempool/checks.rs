//! Whether a transaction may enter the pool: the ledger's rules, replacement, funds. Must not
//! change anything.

use steelyard_core::consensus::error::TxRule;
use steelyard_core::consensus::transaction::CheckedTx;
use steelyard_core::consensus::transition::{Overlay, apply};
use steelyard_core::hash::{Address, AssetId};
use steelyard_core::params::Params;
use steelyard_core::state::{Key, Record, StateRead};
use steelyard_core::types::transaction::Action;

use super::{Entry, Mempool, PoolError};
use crate::limits::{REPLACEMENT_PERCENT, SENDER_NONCES_MAX};

impl Mempool {
    /// The ledger's own rules: exactly those of a block where the transaction would be next.
    pub(super) fn check_rules(
        &self,
        (state, next): (&dyn StateRead, u64),
        tx: &CheckedTx,
        account_nonce: u64,
    ) -> Result<(), TxRule> {
        let body = &tx.tx().body;
        if body.expiry != 0 && next > body.expiry {
            return Err(TxRule::Expired { expiry: body.expiry, height: next });
        }
        if body.nonce >= account_nonce.saturating_add(SENDER_NONCES_MAX) {
            return Err(TxRule::NonceGap { got: body.nonce, expected: account_nonce });
        }
        if body.nonce <= account_nonce {
            apply(&mut Overlay::new(state), next, tx)
        } else {
            check_mint(state, tx)
        }
    }

    /// The pending transaction that this one would replace.
    pub(super) fn check_replacement(
        &self,
        params: &Params,
        entry: &Entry,
    ) -> Result<Option<Entry>, PoolError> {
        let Some(old) =
            self.senders.get(&entry.sender()).and_then(|sender| sender.entries.get(&entry.nonce()))
        else {
            return Ok(None);
        };
        // Rounded up, so that no number of small steps is free.
        let more = (u128::from(old.rate.fee) * u128::from(REPLACEMENT_PERCENT)).div_ceil(100).max(1);
        let relay = entry.rate.weight.saturating_mul(params.policy.relay_fee_min);
        let fee = u128::from(old.rate.fee) + more.max(u128::from(relay));
        // A heavier one pays more for each byte too, or a miner would rather have the old one.
        let dearer =
            u128::from(old.rate.fee) * u128::from(entry.rate.weight) / u128::from(old.rate.weight) + 1;
        let min = u64::try_from(fee.max(dearer)).unwrap_or(u64::MAX);
        if entry.rate.fee < min {
            return Err(PoolError::ReplacementFeeTooLow { got: entry.rate.fee, min });
        }
        Ok(Some(old.clone()))
    }

    /// The sender's balances cover everything it has pending, this included.
    pub(super) fn check_funds(
        &self,
        state: &dyn StateRead,
        account_nonce: u64,
        entry: &Entry,
        replaced: Option<&Entry>,
    ) -> Result<(), TxRule> {
        let pending = self.senders.get(&entry.sender());
        for (asset, need) in &entry.outflow {
            let spent = pending.and_then(|sender| sender.outflow.get(asset)).copied().unwrap_or(0);
            // Blocks that are not shown yet have taken these from the balance already.
            let used = pending.into_iter().flat_map(|sender| sender.entries.range(..account_nonce));
            let used: u128 = used.filter_map(|(_, entry)| entry.outflow.get(asset)).sum();
            let spent = spent - used;
            let freed = replaced.and_then(|old| old.outflow.get(asset)).copied().unwrap_or(0);
            let balance = balance(state, entry.sender(), *asset);
            let have = u128::from(balance).saturating_sub(spent - freed.min(spent));
            if *need > have {
                let have = u64::try_from(have).unwrap_or(u64::MAX);
                return Err(match *asset {
                    AssetId::COINS => TxRule::InsufficientFunds { have, need: *need },
                    asset => TxRule::InsufficientAsset { asset, have, need: *need },
                });
            }
        }
        Ok(())
    }
}

/// The rules of a mint that is not next in line. Nobody but its issuer can change what they are
/// about; an asset that is itself pending cannot be minted yet, as it cannot be paid with.
fn check_mint(state: &dyn StateRead, tx: &CheckedTx) -> Result<(), TxRule> {
    let body = &tx.tx().body;
    let Action::Mint { asset, amount } = body.action else { return Ok(()) };
    let Some(Record::Asset(description)) = state.get(&Key::Asset(asset)) else {
        return Err(TxRule::UnknownAsset { asset });
    };
    if !description.mintable {
        return Err(TxRule::NotMintable { asset });
    }
    if description.issuer != body.sender {
        return Err(TxRule::NotIssuer { asset });
    }
    description.supply.checked_add(amount).map(|_| ()).ok_or(TxRule::SupplyOverflow { asset })
}

pub(super) fn balance(state: &dyn StateRead, address: Address, asset: AssetId) -> u64 {
    let key = if asset == AssetId::COINS { Key::Account(address) } else { Key::Holding(address, asset) };
    match state.get(&key) {
        Some(Record::Account { balance, .. }) => balance,
        Some(Record::Holding { amount }) => amount,
        _ => 0,
    }
}
