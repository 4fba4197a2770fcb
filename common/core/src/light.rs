//! What a client without the chain checks of a node's answers: headers by themselves and one
//! after another, work committed to by the tip, transactions in blocks under the tip's history.
//!
//! All of it holds under the tip's header, and is as strong as the work of that: a node cannot
//! give a figure that its header does not commit to, but it can mine a header. Whether the header
//! is buried under honest work is another proof (specification, section 8). Must not know sockets,
//! clocks, or whose answers these are.

use crate::consensus::error::HeaderRule;
use crate::consensus::header::{check_alone, check_link, own_work};
use crate::hash::BlockId;
use crate::history::{self, HistoryFrontier, HistoryNode};
use crate::merkle::top_of_path;
use crate::params::Params;
use crate::types::body::{self, BodyNode};
use crate::types::header::Header;
use crate::wire::{Found, Tip};

/// An answer that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LightError {
    /// A tip without headers.
    #[error("a tip without headers")]
    NoHeaders,
    /// Another first block than this network's.
    #[error("block 0 is {got}, this network's is {expected}")]
    Genesis {
        /// The one given.
        got: BlockId,
        /// The network's.
        expected: BlockId,
    },
    /// A header that breaks a rule.
    #[error("the header of height {height}: {rule}")]
    Header {
        /// Its height, as it says.
        height: u64,
        /// The rule.
        rule: HeaderRule,
    },
    /// The tip's header does not commit to the work that is claimed before it.
    #[error("the tip does not commit to the work claimed before it")]
    HistoryWork,
    /// The transaction is not in the body that the header commits to.
    #[error("the transaction is not in the block that is said to hold it")]
    NotInBody,
    /// The header is not in the history that the tip commits to.
    #[error("the block that is said to hold the transaction is not in the tip's history")]
    NotInHistory,
}

impl LightError {
    /// Stable name, snake_case.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoHeaders => "no_headers",
            Self::Genesis { .. } => "wrong_genesis",
            Self::Header { .. } => "invalid_header",
            Self::HistoryWork => "wrong_work",
            Self::NotInBody => "not_in_body",
            Self::NotInHistory => "not_in_history",
        }
    }
}

/// A tip whose own rules hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedTip {
    /// Its header.
    pub header: Header,
    /// Its id.
    pub id: BlockId,
    /// Its work and all that its header commits to before it.
    pub total_work: u128,
    /// Ids of the last blocks, ascending, the tip last: consecutive, and each checked.
    pub recent: Vec<BlockId>,
}

impl CheckedTip {
    /// Whether the block of this height and id is the tip or one of those right before it.
    #[must_use]
    pub fn holds(&self, height: u64, id: &BlockId) -> bool {
        let behind = self.header.height.checked_sub(height).and_then(|behind| usize::try_from(behind).ok());
        let place = behind.and_then(|behind| self.recent.len().checked_sub(behind + 1));
        place.is_some_and(|place| self.recent[place] == *id)
    }
}

/// Checks a node's tip: every header by itself, each against the one before it, and the work
/// claimed before the tip against what the tip commits to. A chain that is given from genesis on
/// has every history root compared.
///
/// # Errors
/// [`LightError`], the first that applies.
pub fn check_tip(params: &Params, genesis: BlockId, tip: &Tip) -> Result<CheckedTip, LightError> {
    let headers: Vec<Header> = tip.headers.iter().map(Header::from).collect();
    let mut recent = Vec::with_capacity(headers.len());
    let mut whole = HistoryFrontier::default();
    let starts_at_genesis = headers.first().is_some_and(|header| header.height == 0);
    let mut before: Option<(&Header, BlockId)> = None;
    for header in &headers {
        let id = header.id();
        let refused = |rule| LightError::Header { height: header.height, rule };
        match before {
            Some(parent) => check_link(params, parent, header).map_err(refused)?,
            None if header.height == 0 && id != genesis => {
                return Err(LightError::Genesis { got: id, expected: genesis });
            }
            None if header.height == 0 => {}
            None => check_alone(params, header).map_err(refused)?,
        }
        if starts_at_genesis {
            let expected = history::root(&whole);
            if header.history_root != expected {
                return Err(refused(HeaderRule::HistoryRoot { got: header.history_root, expected }));
            }
            whole.push(HistoryNode::leaf(&id, own_work(header).map_err(refused)?));
        }
        recent.push(id);
        before = Some((header, id));
    }
    let (header, id) = before.ok_or(LightError::NoHeaders)?;
    let total_work = check_work(header, tip)?;
    Ok(CheckedTip { header: *header, id, total_work, recent })
}

/// The work of the tip and of everything that its history root commits to.
fn check_work(header: &Header, tip: &Tip) -> Result<u128, LightError> {
    let top = HistoryNode { hash: tip.history_top, work: tip.history_work };
    if history::root_of(header.height, Some(top)) != header.history_root {
        return Err(LightError::HistoryWork);
    }
    let own = own_work(header).map_err(|rule| LightError::Header { height: header.height, rule })?;
    tip.history_work.checked_add(own).ok_or(LightError::HistoryWork)
}

/// A block that holds a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedPlace {
    /// Its header.
    pub header: Header,
    /// Its id.
    pub id: BlockId,
}

/// Checks that the transaction of these bytes is in a block that is the tip or in its history.
///
/// # Errors
/// [`LightError`], the first that applies.
pub fn check_found(
    params: &Params,
    tip: &Header,
    tx: &[u8],
    found: &Found,
) -> Result<CheckedPlace, LightError> {
    let header = Header::from(&found.header);
    let refused = |rule| LightError::Header { height: header.height, rule };
    check_alone(params, &header).map_err(refused)?;
    let id = header.id();
    let path: Vec<BodyNode> = found.body_path.iter().map(|node| BodyNode(*node)).collect();
    let place = u64::from(found.index);
    let top = top_of_path(&body::leaf(place, tx), place, u64::from(found.count), &path);
    // Item 0 is the coinbase, which no transaction can stand for: its leaf has a tag of its own.
    if found.index == 0 || top.is_none() || body::root_of(found.count, top) != header.body_root {
        return Err(LightError::NotInBody);
    }
    match header == *tip {
        true if found.history_path.is_empty() => {}
        true => return Err(LightError::NotInHistory),
        false => check_in_history(tip, (&header, &id), found)?,
    }
    Ok(CheckedPlace { header, id })
}

fn check_in_history(
    tip: &Header,
    (header, id): (&Header, &BlockId),
    found: &Found,
) -> Result<(), LightError> {
    let work = own_work(header).map_err(|rule| LightError::Header { height: header.height, rule })?;
    let steps = found.history_path.iter();
    let path: Vec<HistoryNode> = steps.map(|step| HistoryNode { hash: step.hash, work: step.work }).collect();
    let top = top_of_path(&HistoryNode::leaf(id, work), header.height, tip.height, &path);
    if top.is_none() || history::root_of(tip.height, top) != tip.history_root {
        return Err(LightError::NotInHistory);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
