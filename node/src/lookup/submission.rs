//! Transactions on their way in, for every door: checked without state, brought to the chain's
//! thread together, answered when durable. One that was submitted before is answered as it stands,
//! so that who did not hear the first answer may ask again. Must not know what makes a transaction
//! valid.

use std::collections::HashSet;

use steelyard_core::consensus::error::TxRule;
use steelyard_core::consensus::transaction::{CheckedTx, shape};
use steelyard_core::hash::TxId;

use super::workers::Workers;
use super::{Candidates, LookupError, indexed, locate};
use crate::chain::Chain;
use crate::chain::view::Shared;
use crate::mempool::PoolError;

/// A transaction that was taken, now or before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its id.
    pub id: TxId,
    /// Whether a block of the active chain holds it already; else it is pending.
    pub is_confirmed: bool,
}

/// Form and signatures of a transaction; those of a pending one not again. Takes a core for some
/// 50 us a signature.
///
/// # Errors
/// The first [`TxRule`] it breaks.
pub fn check(shared: &Shared, bytes: &[u8]) -> Result<CheckedTx, TxRule> {
    let shaped = shape(&shared.network, bytes)?;
    let is_known = shared.read().is_verified(&shaped.id(), &shaped.full_id());
    Ok(if is_known { shaped.known_to_verify() } else { shaped.verify()? })
}

/// Submits those of the transactions that passed their checks, as one command that is one commit,
/// and gives one answer each, in their order.
///
/// # Errors
/// [`LookupError`]: of some it is not known what became of them. To be submitted again.
pub async fn submit<E: From<PoolError>>(
    chain: &Chain,
    workers: &Workers,
    checked: Vec<Result<CheckedTx, E>>,
) -> Result<Vec<Result<Taken, E>>, LookupError> {
    let mut txs = Vec::new();
    let mut keep = |tx: CheckedTx| {
        let id = tx.id();
        txs.push(tx);
        id
    };
    let ids: Vec<Result<TxId, E>> = checked.into_iter().map(|checked| checked.map(&mut keep)).collect();
    let verdicts = if txs.is_empty() { Vec::new() } else { chain.submit_txs(txs).await? };
    let submitted = ids.iter().filter_map(|id| id.as_ref().ok().copied());
    let in_doubt = submitted.zip(&verdicts).filter(|(_, verdict)| may_be_confirmed(verdict));
    let confirmed = confirmed(chain, workers, in_doubt.map(|(id, _)| id).collect()).await?;
    let mut verdicts = verdicts.into_iter();
    let answer = |id: Result<TxId, E>| {
        let id = match id {
            Ok(id) => id,
            Err(refused) => return Ok(Err(refused)),
        };
        let is_confirmed = confirmed.contains(&id);
        Ok(match verdicts.next().ok_or(LookupError::Ended)? {
            Err(refused) if !is_confirmed => Err(refused.into()),
            _ => Ok(Taken { id, is_confirmed }),
        })
    };
    ids.into_iter().map(answer).collect()
}

/// A transaction that is in a block fails by its nonce, or earlier by its expiry.
fn may_be_confirmed<T>(verdict: &Result<T, PoolError>) -> bool {
    matches!(verdict, Err(PoolError::Rule(TxRule::NonceUsed { .. } | TxRule::Expired { .. })))
}

/// Those of the transactions that the active chain has.
async fn confirmed(chain: &Chain, workers: &Workers, ids: Vec<TxId>) -> Result<HashSet<TxId>, LookupError> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    indexed(&chain.shared).await?;
    let chain = chain.clone();
    let located = workers.run(move || {
        let candidates = Candidates::of(&chain.shared.read(), &ids);
        let mut confirmed = HashSet::new();
        locate(&chain, candidates, |id, _, _, _| {
            confirmed.insert(id);
        })?;
        Ok(confirmed)
    });
    located.await?
}
