//! What is to be submitted to one node, in which order, and what it has said of it. Must not know
//! how it is written down, or what a send is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use steelyard_core::encode::List;
use steelyard_core::hash::{BlockId, TxId};
use steelyard_core::types::transaction::TX_BYTES_MAX;
use steelyard_core::wire::submit::SUBMIT_MAX;
use steelyard_core::wire::{Failure, Submit, Verdict, Verdicts};
use steelyard_runtime::{clock, failpoint};

use super::check::check_count;
use super::node::End;
use super::session::{Fault, Session};
use super::{LightEvent, Outgoing, Sink, Standing, Wanted};

/// What a node last said of a transaction.
#[derive(Clone, Copy, Debug)]
struct Said {
    /// It has it; else it refused.
    has_it: bool,
    /// The last reading's tip then.
    at: Option<BlockId>,
    /// The place of the request that it answers, among all requests.
    place: u64,
}

/// What a node answered to the question where a transaction is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    /// Which transaction.
    pub(super) id: TxId,
    /// Where it is.
    pub(super) standing: Standing,
    /// The place of the request that it answers, among all requests.
    pub(super) place: u64,
}

/// What one connection's node has said of what was submitted to it.
#[derive(Debug)]
pub(super) struct Outbox {
    said: HashMap<TxId, Said>,
    /// Whether something may have to be submitted: saves the search.
    pub(super) is_waiting: bool,
    /// Not before, because the node was busy.
    pub(super) rests_until: Instant,
    /// Tip of the last reading.
    tip: Option<BlockId>,
}

impl Outbox {
    /// Nothing is said yet.
    pub(super) fn new(now: Instant) -> Self {
        Self { said: HashMap::new(), is_waiting: true, rests_until: now, tip: None }
    }

    /// The next ones, in their order: those of which nothing is said that stands.
    fn next(&self, wanted: &Wanted) -> Vec<Outgoing> {
        let outgoing = wanted.outgoing.iter();
        let due = outgoing.filter(|one| one.submit && !self.said.contains_key(&one.id));
        // A longer one is no transaction, and no message can hold it.
        due.filter(|one| one.bytes.len() <= TX_BYTES_MAX).take(SUBMIT_MAX).cloned().collect()
    }

    /// Notes what was said in answer to the request of that place.
    fn note(&mut self, id: TxId, verdict: &Verdict, place: u64) {
        let has_it = match verdict {
            Verdict::Pending {} | Verdict::Confirmed {} => true,
            Verdict::Refused { .. } => false,
            Verdict::Busy {} => return,
        };
        self.said.insert(id, Said { has_it, at: self.tip, place });
    }

    /// Takes in a reading: what was refused under another tip, or is not known any more under this
    /// one, is submitted again. Leaves out what a verdict has overtaken.
    pub(super) fn take_in(
        &mut self,
        tip: BlockId,
        placed: Vec<Placed>,
        wanted: &Wanted,
    ) -> Vec<(TxId, Standing)> {
        let is_overtaken = |one: &Placed| self.said.get(&one.id).is_some_and(|said| said.place > one.place);
        let stands = |one: &Placed| !one.standing.is_absent() || !is_overtaken(one);
        let standings: Vec<_> =
            placed.iter().filter(|one| stands(one)).map(|one| (one.id, one.standing)).collect();
        let unknown = standings.iter().filter(|(_, standing)| standing.is_absent());
        let unknown: HashSet<TxId> = unknown.map(|(id, _)| *id).collect();
        let wanted: HashSet<TxId> = wanted.outgoing.iter().map(|one| one.id).collect();
        self.said.retain(|id, said| {
            let stands = said.at == Some(tip) || (said.has_it && !unknown.contains(id));
            stands && wanted.contains(id)
        });
        self.tip = Some(tip);
        self.is_waiting = true;
        standings
    }
}

impl<S: Sink> Session<'_, S> {
    /// Submits up to one message of what is due; whether there was anything.
    pub(super) async fn submit(&mut self) -> Result<bool, End> {
        if !self.outbox.is_waiting || clock::start() < self.outbox.rests_until {
            return Ok(false);
        }
        let batch = self.outbox.next(&self.current);
        if batch.is_empty() {
            self.outbox.is_waiting = false;
            return Ok(false);
        }
        let txs = batch.iter().filter_map(|one| List::new(one.bytes.to_vec())).collect();
        let submit = Submit { txs: List::new(txs).expect("no more were taken") };
        let (ids, node) = (batch.iter().map(|one| one.id).collect(), self.node.address());
        self.tell(LightEvent::Sending { ids, node }).await?;
        failpoint::hit("send.before_submit");
        let asked = self.ask(&submit).await?;
        failpoint::hit("send.after_submit");
        let verdicts = match self.answer::<Verdicts>(asked).await {
            Ok(verdicts) => verdicts,
            Err(Fault::Refused(failure)) => return self.submit_later(&failure).await,
            Err(Fault::End(end)) => return Err(end),
        };
        failpoint::hit("send.after_answer");
        check_count(verdicts.verdicts.len(), batch.len())?;
        for (one, verdict) in batch.iter().zip(verdicts.verdicts.iter()) {
            self.outbox.note(one.id, verdict, asked.place);
            if *verdict == (Verdict::Busy {}) {
                self.outbox.rests_until = clock::start() + self.node.context.times.retry;
            }
        }
        for (one, verdict) in batch.iter().zip(verdicts.verdicts.iter()) {
            self.tell(LightEvent::Verdict { id: one.id, node, verdict: verdict.clone() }).await?;
        }
        Ok(true)
    }

    /// The node looked at none of them: an honest word, and no verdict.
    async fn submit_later(&mut self, failure: &Failure) -> Result<bool, End> {
        self.outbox.rests_until = clock::start() + self.node.context.times.retry;
        self.refused(Some((failure.code.to_string(), failure.reason.to_string()))).await?;
        Ok(true)
    }

    /// Takes in what is wanted by now.
    pub(super) fn refresh(&mut self) -> Result<(), End> {
        if self.wanted.has_changed().map_err(|_| End::Stopped)? {
            self.current = Arc::clone(&self.wanted.borrow_and_update());
            self.outbox.is_waiting = true;
        }
        Ok(())
    }
}
