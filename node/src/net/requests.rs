//! A request to its answer: what is quick is answered from the view at once, what reads bodies or
//! checks signatures by one of a few workers. Must not know connections: a request may be given up
//! at any point.

use std::sync::Arc;
use std::time::Duration;

use rayon::prelude::*;
use steelyard_core::wire::{
    Failure, GetPending, GetState, GetStatus, GetTip, Message, Ping, Pong, Statuses, Submit, Verdict,
    Verdicts,
};
use steelyard_runtime::failpoint;
use steelyard_runtime::frame::Frame;
use steelyard_runtime::link::{LinkError, read};

use super::light;
use crate::chain::Chain;
use crate::chain::error::{ChainError, LoadError};
use crate::chain::view::Shared;
use crate::finder::{Finder, FinderError};
use crate::limits::{NET_ANSWER_MS, NET_WORK_WAIT_MS, NET_WORKERS_MAX};
use crate::lookup::workers::Workers;
use crate::lookup::{Look, LookupError, indexed, is_indexed, submission};
use crate::mempool::PoolError;
use crate::store::StoreError;

/// Who answers.
#[derive(Clone)]
pub(super) struct Desk {
    chain: Chain,
    finder: Arc<Finder>,
    pub(super) workers: Workers,
}

impl Desk {
    /// Answers from this chain and its index.
    pub(super) fn new(chain: Chain, finder: Arc<Finder>) -> Self {
        let workers = Workers::new(NET_WORKERS_MAX, Duration::from_millis(NET_WORK_WAIT_MS));
        Self { chain, finder, workers }
    }

    /// What is committed.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.chain.shared
    }

    /// The answer to a request, a failure included.
    ///
    /// # Errors
    /// The frame is no request: its sender does not keep to the protocol.
    pub(super) async fn answer(&self, frame: &Frame) -> Result<Frame, LinkError> {
        match frame.kind {
            Ping::KIND => reply(frame, &Pong { nonce: read::<Ping>(frame)?.nonce }),
            GetTip::KIND => {
                let request = read(frame)?;
                let tip = light::tip(&self.chain.shared.read(), request);
                reply(frame, &tip)
            }
            GetState::KIND => {
                let request = read(frame)?;
                let snapshot = light::snapshot(&self.chain.shared.read());
                reply_or_fail(frame, light::state(snapshot, &request))
            }
            GetPending::KIND => {
                let request = read(frame)?;
                let pending = light::pending(&self.chain.shared.read(), &request);
                reply(frame, &pending)
            }
            Submit::KIND => reply_or_fail(frame, self.in_time(self.submit(read(frame)?)).await),
            GetStatus::KIND => reply_or_fail(frame, self.in_time(self.status(read(frame)?)).await),
            got => Err(LinkError::UnexpectedKind { got, expected: GetTip::KIND }),
        }
    }

    /// The answer, or an honest word that there is none yet: silence would pass for a hang.
    async fn in_time<T>(&self, work: impl Future<Output = Result<T, LookupError>>) -> Result<T, Failure> {
        let late = || match !self.finder.is_on() || is_indexed(&self.chain.shared, &self.finder) {
            true => LookupError::Chain(ChainError::Busy),
            false => LookupError::Indexing,
        };
        let done = tokio::time::timeout(Duration::from_millis(NET_ANSWER_MS), work).await;
        done.unwrap_or_else(|_| Err(late())).map_err(|error| failure(&error))
    }

    /// All of them in one commit, which is over when this answers.
    async fn submit(&self, request: Submit) -> Result<Verdicts, LookupError> {
        let count = request.txs.len();
        let shared = Arc::clone(&self.chain.shared);
        let check = move || -> Vec<_> {
            let txs = request.txs.par_iter();
            txs.map(|tx| Ok(submission::check(&shared, tx).map_err(PoolError::from)?)).collect()
        };
        let submitted = async {
            let checked = self.workers.run(check).await?;
            failpoint::hit("light.before_submit");
            let taken = submission::submit((&self.chain, &self.finder), &self.workers, checked).await?;
            failpoint::hit("light.after_submit");
            Ok(taken.into_iter().map(light::verdict).collect())
        };
        let verdicts = match submitted.await {
            // Of some it may be known more by now, but who sends them again hears it. A full disk is
            // nobody's business: wallets keep what they send, and go on reading.
            Err(LookupError::Chain(ChainError::Busy | ChainError::DiskFull)) => vec![Verdict::Busy {}; count],
            verdicts => verdicts?,
        };
        Ok(Verdicts { verdicts: light::bounded(verdicts) })
    }

    /// Waits while it may be that a transaction is only not found yet.
    async fn status(&self, request: GetStatus) -> Result<Statuses, LookupError> {
        let request = Arc::new(request);
        loop {
            let (chain, finder) = (self.chain.clone(), Arc::clone(&self.finder));
            let asked = Arc::clone(&request);
            let work = move || -> Result<_, LookupError> {
                let look = Look::at(&finder, &asked.ids);
                let places = light::places(&chain.shared.read(), &asked, look.as_ref().ok());
                let is_certain = look.map(|_| places.is_certain);
                Ok((light::statuses(&chain, places, &asked)?, is_certain))
            };
            let (statuses, is_certain) = self.workers.run(work).await??;
            if is_certain == Ok(true) || !light::has_unknown(&statuses) {
                return Ok(statuses);
            }
            is_certain?;
            indexed(&self.chain.shared, &self.finder).await?;
        }
    }
}

fn reply<M: Message>(request: &Frame, answer: &M) -> Result<Frame, LinkError> {
    Ok(Frame::of(request.request, answer)?)
}

fn reply_or_fail<M: Message>(request: &Frame, answer: Result<M, Failure>) -> Result<Frame, LinkError> {
    match answer {
        Ok(answer) => reply(request, &answer),
        Err(failure) => reply(request, &failure),
    }
}

/// What a stranger is told: that something failed here, not what of this machine.
fn failure(error: &LookupError) -> Failure {
    match error {
        LookupError::Chain(error) => Failure::new(error.name(), &error.to_string()),
        LookupError::Indexing => Failure::new("indexing", &error.to_string()),
        LookupError::Index(FinderError::Failed(_)) => {
            Failure::new("indexing", "the index is not at hand now")
        }
        LookupError::Index(error @ FinderError::Off) => Failure::new(error.name(), &error.to_string()),
        LookupError::Load(error) => {
            tracing::error!(%error, "stored data is damaged or cannot be read, and is not served");
            let code = match error {
                LoadError::Rule { .. } | LoadError::Store(StoreError::Damaged { .. }) => "damaged",
                // What is pruned is left out before.
                LoadError::Store(_) | LoadError::Pruned { .. } | LoadError::PrunedState { .. } => "store",
            };
            Failure::new(code, "the node cannot read what it stored")
        }
        LookupError::Ended => {
            tracing::error!(%error, "a request failed through a fault of the program");
            Failure::new("internal", "the request failed through a fault of the program")
        }
    }
}
