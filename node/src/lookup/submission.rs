//! Transactions on their way in, for every door: checked without state, brought to the chain's
//! thread together, answered when durable. One that was submitted before is answered as it stands,
//! so that who did not hear the first answer may ask again. Must not know what makes a transaction
//! valid.

use std::collections::HashMap;
use std::sync::Arc;

use steelyard_core::consensus::error::TxRule;
use steelyard_core::consensus::transaction::{CheckedTx, shape};
use steelyard_core::hash::TxId;

use super::workers::Workers;
use super::{Candidates, Look, LookupError, indexed, locate};
use crate::chain::Chain;
use crate::chain::view::Shared;
use crate::finder::{Finder, FinderError};
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
/// and gives one answer each, in their order. Without an index it cannot be said of one whose nonce is
/// used whether it was this one that used it: its answer is that.
///
/// # Errors
/// [`LookupError`]: of some it is not known what became of them. To be submitted again.
pub async fn submit<E: From<PoolError> + From<FinderError>>(
    (chain, finder): (&Chain, &Arc<Finder>),
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
    let taken = taken((chain, finder), workers, in_doubt.map(|(id, _)| id).collect()).await?;
    let mut verdicts = verdicts.into_iter();
    let answer = |id: Result<TxId, E>| {
        let id = match id {
            Ok(id) => id,
            Err(refused) => return Ok(Err(refused)),
        };
        Ok(match (verdicts.next().ok_or(LookupError::Ended)?, taken.get(&id)) {
            (Err(_), Some(is_confirmed)) => Ok(Taken { id, is_confirmed: *is_confirmed }),
            (verdict @ Err(_), None) if may_be_confirmed(&verdict) && !finder.is_on() => {
                Err(FinderError::Off.into())
            }
            (Err(refused), None) => Err(refused.into()),
            (Ok(_), _) => Ok(Taken { id, is_confirmed: false }),
        })
    };
    ids.into_iter().map(answer).collect()
}

/// A transaction that is in a block fails by its nonce, or earlier by its expiry.
fn may_be_confirmed<T>(verdict: &Result<T, PoolError>) -> bool {
    matches!(verdict, Err(PoolError::Rule(TxRule::NonceUsed { .. } | TxRule::Expired { .. })))
}

/// Those of the transactions that the node has, and whether a block of the active chain has them: one
/// that was in a block a moment ago may be pending again.
async fn taken(
    (chain, finder): (&Chain, &Arc<Finder>),
    workers: &Workers,
    ids: Vec<TxId>,
) -> Result<HashMap<TxId, bool>, LookupError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let (ids, shared) = (Arc::new(ids), &chain.shared);
    loop {
        let (chain, index, asked) = (chain.clone(), Arc::clone(finder), Arc::clone(&ids));
        let Known { taken, is_certain } = workers.run(move || look(&chain, &index, &asked)).await??;
        match is_certain {
            _ if taken.len() == ids.len() => return Ok(taken),
            Ok(true) | Err(FinderError::Off) => return Ok(taken),
            Ok(false) => {}
            Err(failed) => return Err(failed.into()),
        }
        indexed(shared, finder).await?;
    }
}

/// What is known of transactions at one moment.
struct Known {
    taken: HashMap<TxId, bool>,
    /// Whether that is all, or why that cannot be said.
    is_certain: Result<bool, FinderError>,
}

/// The same as far as it is known now. Blocks.
fn look(chain: &Chain, finder: &Finder, ids: &[TxId]) -> Result<Known, LookupError> {
    let look = Look::at(finder, ids);
    let (mut taken, candidates, is_certain) = {
        // Pool and chain at one moment: a transaction moves from one to the other.
        let view = chain.shared.read();
        let pending = ids.iter().filter(|id| view.pending(id).is_some()).map(|id| (*id, false));
        let candidates = look.as_ref().map(|look| Candidates::of(&view, look, |_| true));
        let is_certain = look.as_ref().map(|look| look.is_certain(&view)).map_err(Clone::clone);
        (pending.collect::<HashMap<_, _>>(), candidates.unwrap_or_default(), is_certain)
    };
    locate(chain, candidates, |id, _, _, _| {
        taken.entry(id).or_insert(true);
    })?;
    Ok(Known { taken, is_certain })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::chain::load;
    use crate::chain::tests::maker::{Maker, params};
    use crate::finder::FinderLimits;
    use crate::store::Store;

    /// Between the refusal for a used nonce and this look a reorganisation may return a transaction:
    /// it is neither refused then nor confirmed.
    #[test]
    fn what_was_in_a_block_a_moment_ago_is_pending_and_not_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("chain"), &params().network_id()).unwrap();
        let loaded = load::load(params(), &store).unwrap();
        let (chain, writer) = Chain::start(loaded, Arc::new(store)).unwrap();
        let index = folder.path().join("index");
        let (finder, keeper) = Finder::start(&chain, &index, FinderLimits::NODE).unwrap();
        let mut maker = Maker::new(params());
        let workers = Workers::new(1, Duration::from_secs(60));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let look = |ids: &[TxId]| runtime.block_on(taken((&chain, &finder), &workers, ids.to_vec())).unwrap();
        let (paid, unknown) = (maker.pay(0, 0, 9, 5), maker.pay(1, 0, 9, 5).id());
        let ids = [paid.id(), unknown];
        let blocks = maker.extend(maker.genesis, 2);
        let held = maker.make(maker.genesis, std::slice::from_ref(&paid));
        let give = |id, maker: &Maker| chain.submit_block(maker.block(id), u64::MAX).unwrap();
        give(held, &maker);
        assert_eq!(look(&ids), HashMap::from([(paid.id(), true)]));
        for id in blocks {
            give(id, &maker);
        }
        assert_eq!(chain.shared.read().tip().header.height, 2);
        assert_eq!(look(&ids), HashMap::from([(paid.id(), false)]));
        let off = Finder::off();
        let without = runtime.block_on(taken((&chain, &off), &workers, ids.to_vec())).unwrap();
        assert_eq!(without, HashMap::from([(paid.id(), false)]), "what is pending needs no index");
        chain.stop();
        writer.join().unwrap().unwrap();
        keeper.join().unwrap();
    }
}
