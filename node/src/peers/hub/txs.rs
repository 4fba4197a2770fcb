//! Transactions of peers: what relay says is done, and what is received is checked and submitted off
//! the thread. Must not know which transactions to ask for.

use std::sync::Arc;

use rayon::prelude::*;
use steelyard_core::consensus::error::Blame;
use steelyard_core::consensus::transaction::CheckedTx;
use steelyard_core::hash::TxId;
use steelyard_runtime::frame::Frame;

use super::Hub;
use crate::lookup::submission;
use crate::mempool::PoolError;
use crate::peers::HubEvent;
use crate::peers::chain::Pool;
use crate::peers::relay::{RelayAction, TxMessage, TxVerdict};
use crate::peers::session::Context;
use crate::sync::PeerId;

impl Hub {
    /// Does what relay says.
    pub(super) fn relayed(&mut self, actions: Vec<RelayAction>) {
        for action in actions {
            match action {
                RelayAction::Send { peer, request, message } => {
                    let (frame, items) = match &message {
                        TxMessage::Ids(ids) => (Frame::of(request, ids), 0),
                        TxMessage::Get(asked) => (Frame::of(request, asked), asked.ids.len()),
                    };
                    let Some(member) = self.members.get(peer) else { continue };
                    if frame.is_ok_and(|frame| member.session.send(frame, items).is_err()) {
                        self.drop_peer(peer, "not_reading", "it does not take what it is told".into());
                    }
                }
                RelayAction::Check { peer, txs } => self.check(peer, txs),
            }
        }
    }

    /// Has a peer's transactions checked and submitted.
    pub(super) fn check(&self, peer: PeerId, txs: Vec<(TxId, Vec<u8>)>) {
        let context = self.context.clone();
        self.runtime.spawn(async move {
            let shared = Arc::clone(&context.chain.shared);
            let ids: Vec<TxId> = txs.iter().map(|(id, _)| *id).collect();
            let check = move || -> Vec<Result<CheckedTx, PoolError>> {
                let txs = txs.into_par_iter();
                txs.map(|(_, bytes)| submission::check(&shared, &bytes).map_err(PoolError::from)).collect()
            };
            let verdicts = match context.workers.run(check).await {
                Ok(checked) => submit(&context, ids, checked).await,
                Err(_) => ids.into_iter().map(|id| (id, TxVerdict::Busy, "")).collect(),
            };
            // Nobody there: the node stops.
            let _ = context.events.send(HubEvent::TxsJudged { peer, verdicts }).await;
        });
    }

    pub(super) fn txs_judged(&mut self, peer: PeerId, verdicts: Vec<(TxId, TxVerdict, &'static str)>) {
        let mut guilty = None;
        for (id, verdict, rule) in verdicts {
            guilty = guilty.or((verdict == TxVerdict::Guilty).then_some(rule));
            let now = self.mono_ms();
            let pool = Pool(&self.context.chain, &self.context.finder);
            let actions = self.relay.judged(now, &pool, peer, id, verdict);
            self.relayed(actions);
        }
        if let Some(rule) = guilty {
            self.misbehaved(peer, rule);
            self.drop_peer(peer, rule, format!("it relays a transaction that breaks the rule {rule}"));
        }
    }
}

/// Brings those that passed their checks to the chain thread.
async fn submit(
    context: &Context,
    ids: Vec<TxId>,
    checked: Vec<Result<CheckedTx, PoolError>>,
) -> Vec<(TxId, TxVerdict, &'static str)> {
    let mut good = Vec::new();
    let refused: Vec<Option<PoolError>> =
        checked.into_iter().map(|checked| checked.map(|tx| good.push(tx)).err()).collect();
    let admitted = if good.is_empty() { Ok(Vec::new()) } else { context.chain.submit_txs(good).await };
    let mut admitted = admitted.map(Vec::into_iter);
    let mut verdict = |refused: Option<PoolError>| match (refused, &mut admitted) {
        (Some(refused), _) => judge(&refused),
        // Nobody's fault, and no word on the transaction.
        (None, Err(_)) => (TxVerdict::Busy, ""),
        (None, Ok(verdicts)) => match verdicts.next() {
            Some(Ok(_)) => (TxVerdict::Taken, ""),
            Some(Err(refused)) => judge(&refused),
            None => (TxVerdict::Busy, ""),
        },
    };
    ids.into_iter()
        .zip(refused)
        .map(|(id, refused)| {
            let (verdict, rule) = verdict(refused);
            (id, verdict, rule)
        })
        .collect()
}

/// Whether a refusal speaks against the sender, and its name. The node's own limits never do.
fn judge(refused: &PoolError) -> (TxVerdict, &'static str) {
    let is_guilty = matches!(refused, PoolError::Rule(rule) if rule.blame() == Blame::Sender);
    (if is_guilty { TxVerdict::Guilty } else { TxVerdict::Refused }, refused.name())
}
