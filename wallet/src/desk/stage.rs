//! What a group of commands has done so far: changes to write down, then to show, then to answer.
//! Must not know how any of it came about.

use std::collections::BTreeSet;
use std::sync::Arc;

use steelyard_core::hash::{Address, TxId};

use super::book::{Change, Effect};
use super::{Command, DeskError, Reply};
use crate::intent::{Intent, IntentId, WalletName};
use crate::keystore::WalletId;
use crate::store::{Changes, StoreError, same_error};
use crate::view::NodeStatus;

/// An answer that waits for its commit.
pub(super) enum Answer {
    /// Done or refused.
    Done(Reply<()>, Result<(), DeskError>),
    /// An address.
    Address(Reply<(u32, Address)>, Result<(u32, Address), DeskError>),
    /// An intent, which is answered as it stands at the end of the group.
    Intent(Reply<Arc<Intent>>, Result<(WalletName, Arc<Intent>), DeskError>),
}

impl Answer {
    /// The store's failure, which is more than an answer.
    pub(super) fn store_error(&self) -> Option<&StoreError> {
        let refusal = match self {
            Self::Done(_, result) => result.as_ref().err(),
            Self::Address(_, result) => result.as_ref().err(),
            Self::Intent(_, result) => result.as_ref().err(),
        };
        match refusal {
            Some(DeskError::Store(error)) => Some(error),
            _ => None,
        }
    }

    /// Answers that the store failed.
    pub(super) fn fail(self, error: &StoreError) {
        let error = DeskError::Store(same_error(error));
        // Who asked may have left.
        match self {
            Self::Done(reply, _) => drop(reply.send(Err(error))),
            Self::Address(reply, _) => drop(reply.send(Err(error))),
            Self::Intent(reply, _) => drop(reply.send(Err(error))),
        }
    }
}

impl Command {
    /// Answers that the store failed.
    pub(super) fn fail(self, error: &StoreError) {
        let error = DeskError::Store(same_error(error));
        match self {
            Self::AddWallet(_, _, reply) | Self::Unlock(_, _, _, reply) | Self::Lock(_, reply) => {
                drop(reply.send(Err(error)));
            }
            Self::NewAddress(_, reply) => drop(reply.send(Err(error))),
            Self::Send(_, _, _, reply) | Self::Cancel(_, _, reply) => drop(reply.send(Err(error))),
            Self::Event(_) | Self::Tick | Self::Stop => {}
        }
    }
}

/// What a group has done.
#[derive(Default)]
pub(super) struct Stage {
    /// What the next commit writes.
    pub(super) changes: Changes,
    /// Whether somebody may only hear of it when it is durable.
    pub(super) durable: bool,
    /// Whether there are new intents among it.
    pub(super) created: bool,
    /// Whether there are nodes' answers among it.
    pub(super) verdicts: bool,
    /// Whether there are signatures among it.
    pub(super) signed: bool,
    /// Intents as they have become, in order.
    pub(super) intents: Vec<(WalletName, Arc<Intent>)>,
    /// Wallets of which something else has changed.
    pub(super) wallets: BTreeSet<WalletName>,
    /// Nodes of which something has changed.
    pub(super) nodes: Vec<NodeStatus>,
    /// Transactions that are being sent.
    pub(super) attempted: Vec<TxId>,
    /// Whether there is a new reading.
    pub(super) snapshot: bool,
    /// What is answered once all of it is shown.
    pub(super) answers: Vec<Answer>,
}

impl Stage {
    /// Notes what became of an intent.
    pub(super) fn put(&mut self, (name, wallet): (&WalletName, &WalletId), change: Change) {
        match change.effect {
            Effect::Created => {
                self.changes.put_new_intent(wallet, &change.intent);
                self.created = true;
            }
            Effect::Signed => {
                self.changes.put_signed_intent(wallet, &change.intent);
                self.signed = true;
            }
            Effect::Moved | Effect::Ended => self.changes.put_intent(wallet, &change.intent),
            Effect::Waiting => {}
        }
        self.durable |= matches!(change.effect, Effect::Created | Effect::Signed | Effect::Ended);
        self.intents.push((name.clone(), change.intent));
    }

    /// An intent as the group has left it, if it has touched it.
    pub(super) fn find(&self, name: &WalletName, id: &IntentId) -> Option<&Arc<Intent>> {
        let mut newest = self.intents.iter().rev();
        newest.find(|(of, intent)| of == name && intent.id == *id).map(|(_, intent)| intent)
    }

    /// Whether the view changes.
    pub(super) fn shows(&self) -> bool {
        self.snapshot
            || !(self.intents.is_empty()
                && self.wallets.is_empty()
                && self.nodes.is_empty()
                && self.attempted.is_empty())
    }
}
