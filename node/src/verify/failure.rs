//! What verification finds wrong, as types, and how a command ends with it. Must not know how it
//! was found.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;
use steelyard_core::consensus::error::RuleError;
use steelyard_core::hash::{BlockId, TxId};
use steelyard_core::types::body::Body;
use steelyard_core::types::transaction::Transaction;
use steelyard_runtime::exit::{CliError, ExitCode};
use steelyard_runtime::lock::LockError;

use crate::chain::index::Entry;
use crate::store::{StoreError, StoreOpenError};

/// The rule of [`Fault::rule`] that the index breaks.
pub(super) const INDEX_RULE: &str = "index";

/// The first thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is nothing to verify.
    #[error("{} holds no chain", dir.display())]
    NoStore {
        /// The node's folder.
        dir: PathBuf,
    },
    /// A process holds the folder, or it cannot be locked.
    #[error(transparent)]
    Held(#[from] LockError),
    /// The store does not open.
    #[error(transparent)]
    Open(#[from] StoreOpenError),
    /// The store opens but cannot be read, or contradicts itself where no block is concerned.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored block is wrong, or what the store says about it.
    #[error(transparent)]
    Fault(#[from] Box<Fault>),
}

/// A block that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Its id, of the header as it is stored.
    pub block: BlockId,
    /// Its height.
    pub height: u64,
    /// The guilty transaction, where one is.
    pub transaction: Option<FaultyTx>,
    /// The name of the rule that is broken. Beside those of the ledger: `header_id` (the log knows
    /// the block under another), `stored_body` and `stored_log` (missing or unreadable), `undo` (a
    /// stored change is not what execution gives), `stored_state` and `checkpoint` (not the state
    /// that the header says), `fork_choice` (not the branch with most work), `index` (it does not know
    /// what the block holds).
    pub rule: String,
    /// What was found and what was expected.
    pub message: String,
}

/// A transaction in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FaultyTx {
    /// Its place, the coinbase being 0 and the first transaction 1.
    pub index: usize,
    /// Its id, where its bytes are a transaction.
    pub id: Option<TxId>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block {} at height {}", self.block, self.height)?;
        match self.transaction {
            Some(FaultyTx { index, id: Some(id) }) => write!(f, ", transaction {index} ({id})")?,
            Some(FaultyTx { index, id: None }) => write!(f, ", transaction {index}")?,
            None => {}
        }
        write!(f, ": {}: {}", self.rule, self.message)
    }
}

impl std::error::Error for Fault {}

impl FaultyTx {
    /// Item `index` of a body.
    #[must_use]
    pub fn of_body(body: &Body, index: usize) -> Self {
        let tx =
            body.items.get(index).filter(|_| index > 0).and_then(|bytes| Transaction::from_bytes(bytes).ok());
        Self { index, id: tx.map(|tx| tx.body.id()) }
    }
}

impl Failure {
    pub(super) fn fault(
        (block, height): (BlockId, u64),
        transaction: Option<FaultyTx>,
        rule: &str,
        message: impl Into<String>,
    ) -> Self {
        Self::Fault(Box::new(Fault {
            block,
            height,
            transaction,
            rule: rule.into(),
            message: message.into(),
        }))
    }

    pub(super) fn of_block(entry: &Entry, rule: &str, message: impl Into<String>) -> Self {
        Self::fault((entry.id, entry.header.height), None, rule, message)
    }

    /// A broken rule of a block with this body.
    pub(super) fn of_rule(block: (BlockId, u64), body: Option<&Body>, rule: &RuleError) -> Self {
        let tx = match rule {
            RuleError::Transaction { index, .. } => Some(
                body.map_or(FaultyTx { index: *index, id: None }, |body| FaultyTx::of_body(body, *index)),
            ),
            _ => None,
        };
        Self::fault(block, tx, rule.name(), rule.to_string())
    }

    /// The fault of a block, if it is that.
    #[must_use]
    pub fn as_fault(&self) -> Option<&Fault> {
        match self {
            Self::Fault(fault) => Some(fault),
            _ => None,
        }
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        let message = failure.to_string();
        match failure {
            Failure::NoStore { .. } => {
                Self::usage("no_store", message).with_hint("give the node's folder: --data-dir")
            }
            Failure::Held(error) => error.into(),
            Failure::Open(error) => mended(error.into()),
            Failure::Store(error) => mended(error.into()),
            Failure::Fault(fault) if fault.rule == INDEX_RULE => Self::damaged("index", message).with_hint(
                "the chain is not concerned; stop the node and delete its folder `index`: it is made again",
            ),
            Failure::Fault(_) => mended(Self::damaged("stored_block", message)),
        }
    }
}

/// Damage with what to do about it.
fn mended(error: CliError) -> CliError {
    if error.exit != ExitCode::Damaged || error.hint.is_some() {
        return error;
    }
    error.with_hint("stop the node, then steelyard-node repair keeps what is right")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_tell_damage_from_use() {
        let fault =
            Failure::fault((BlockId([1; 32]), 7), Some(FaultyTx { index: 2, id: None }), "undo", "so");
        assert!(fault.to_string().ends_with(" at height 7, transaction 2: undo: so"));
        let held = LockError::Held { dir: PathBuf::new(), holder: None };
        let no_store = Failure::NoStore { dir: PathBuf::new() };
        let index = CliError::from(Failure::fault((BlockId([1; 32]), 7), None, INDEX_RULE, "so"));
        assert!(index.hint.is_some_and(|hint| hint.contains("delete its folder")) && index.code == "index");
        for (failure, code) in [
            (fault, ExitCode::Damaged),
            (Failure::Store(StoreError::Damaged { reason: String::new() }), ExitCode::Damaged),
            (Failure::Held(held), ExitCode::InUse),
            (no_store, ExitCode::Usage),
        ] {
            assert_eq!(CliError::from(failure).exit, code);
        }
    }
}
