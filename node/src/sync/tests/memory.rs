//! A chain in memory by the rules of the core, with the habits of the real one: side branches are
//! kept and executed only when they become heavier. Must not know peers.

use std::collections::BTreeMap;

use steelyard_core::consensus::block::{CheckedBlock, check_block, verify_in_order};
use steelyard_core::consensus::error::RuleError;
use steelyard_core::consensus::header::{Drift, Parent, check_header, drift, own_work};
use steelyard_core::consensus::transition::connect_block;
use steelyard_core::hash::{BlockId, NetworkId};
use steelyard_core::history::{self, HistoryFrontier, HistoryNode};
use steelyard_core::join::in_turn;
use steelyard_core::params::Params;
use steelyard_core::state::Trie;
use steelyard_core::types::body::Body;
use steelyard_core::types::header::Header;

use crate::chain::check::UncheckedBlock;
use crate::chain::error::{Accepted, BlockError};
use crate::sync::{ChainRead, Known};

#[derive(Clone)]
struct Stored {
    header: Header,
    body: Body,
    total_work: u128,
    frontier: HistoryFrontier,
    /// What is still to be executed.
    checked: Option<CheckedBlock>,
    state: Option<Trie>,
    invalid: Option<String>,
}

#[derive(Clone)]
pub struct MemoryChain {
    params: Params,
    network: NetworkId,
    blocks: BTreeMap<BlockId, Stored>,
    active: Vec<BlockId>,
    /// Found invalid before the last start.
    pub refused: BTreeMap<BlockId, String>,
    /// Bodies of so many blocks are kept.
    depth: Option<u64>,
    /// Height of the first that is.
    bodies_from: u64,
}

impl MemoryChain {
    pub fn new(params: &Params) -> Self {
        let genesis = params.genesis();
        let work = own_work(&genesis.header).unwrap();
        let mut frontier = HistoryFrontier::default();
        frontier.push(HistoryNode::leaf(&genesis.id, work));
        let stored = Stored {
            header: genesis.header,
            body: Body::default(),
            total_work: work,
            frontier,
            checked: None,
            state: Some(genesis.state),
            invalid: None,
        };
        Self {
            params: params.clone(),
            network: genesis.id.into(),
            blocks: BTreeMap::from([(genesis.id, stored)]),
            active: vec![genesis.id],
            refused: BTreeMap::new(),
            depth: None,
            bodies_from: 0,
        }
    }

    /// From now on only the bodies of the last `depth` blocks are here.
    pub fn prune(&mut self, depth: u64) {
        self.depth = Some(depth);
        self.pruned();
    }

    fn pruned(&mut self) {
        let depth = self.depth.unwrap_or(u64::MAX);
        self.bodies_from = self.bodies_from.max((self.active.len() as u64).saturating_sub(depth));
    }

    /// What others are told: without a margin, so that it is soon too much.
    pub fn told_from(&self) -> u64 {
        self.bodies_from.max(u64::from(self.depth.is_some()))
    }

    pub fn tip_id(&self) -> BlockId {
        *self.active.last().unwrap()
    }

    /// A block as a liar has it: unchecked, and the tip.
    pub fn force(&mut self, block: UncheckedBlock) {
        let id = block.header.id();
        let parent = &self.blocks[&block.header.prev];
        let work = own_work(&block.header).unwrap_or(1);
        let mut stored = Stored {
            total_work: parent.total_work + work,
            frontier: parent.frontier.clone(),
            header: block.header,
            body: block.body,
            checked: None,
            state: None,
            invalid: None,
        };
        stored.frontier.push(HistoryNode::leaf(&id, work));
        self.blocks.insert(id, stored);
        self.activate(id);
    }

    pub fn submit(&mut self, block: UncheckedBlock, unix_ms: u64) -> Result<Accepted, BlockError> {
        let id = block.header.id();
        if let Some(stored) = self.blocks.get(&id) {
            let known = |reason: &String| Err(BlockError::KnownInvalid { reason: reason.clone() });
            return stored.invalid.as_ref().map_or(Ok(Accepted::Known), known);
        }
        let prev = block.header.prev;
        let parent = self.blocks.get(&prev).ok_or(BlockError::UnknownParent(prev))?;
        if let Some(reason) = parent.invalid.clone() {
            return Err(BlockError::KnownInvalid { reason });
        }
        let history_root = history::root(&parent.frontier);
        let context =
            Parent { header: &parent.header, id: prev, total_work: parent.total_work, history_root };
        let header = check_header(&self.params, &context, &block.header).map_err(RuleError::from)?;
        if drift(&self.params, block.header.time, unix_ms) != Drift::Within {
            return Err(BlockError::AheadOfTime { ahead_ms: 1, drift_ms: self.params.drift });
        }
        let mut frontier = parent.frontier.clone();
        frontier.push(HistoryNode::leaf(&id, header.work));
        let checked = check_block(&self.params, &self.network, header, block.body.clone(), verify_in_order)?;
        let stored = Stored {
            header: block.header,
            body: block.body,
            total_work: header.total_work,
            frontier,
            checked: Some(checked),
            state: None,
            invalid: None,
        };
        self.blocks.insert(id, stored);
        if header.total_work <= self.tip().total_work || self.is_beyond_pruning(&id) {
            return Ok(Accepted::Side);
        }
        self.execute(id)?;
        self.activate(id);
        Ok(Accepted::Active)
    }

    fn execute(&mut self, id: BlockId) -> Result<(), BlockError> {
        let mut waiting = Vec::new();
        let mut at = id;
        while self.blocks[&at].state.is_none() {
            waiting.push(at);
            at = self.blocks[&at].header.prev;
        }
        while let Some(next) = waiting.pop() {
            let prev = self.blocks[&next].header.prev;
            let state = self.blocks[&prev].state.clone().unwrap();
            let checked = self.blocks[&next].checked.clone().unwrap();
            match connect_block(&self.params, &state, checked, in_turn) {
                Ok(connected) => {
                    let state = connected.into_parts().2;
                    self.blocks.get_mut(&next).unwrap().state = Some(state);
                }
                Err(rule) => {
                    waiting.push(next);
                    for doomed in waiting {
                        self.blocks.get_mut(&doomed).unwrap().invalid = Some(rule.name().into());
                    }
                    let known = BlockError::KnownInvalid { reason: rule.name().into() };
                    return Err(if next == id { BlockError::Rule(rule) } else { known });
                }
            }
        }
        Ok(())
    }

    fn activate(&mut self, tip: BlockId) {
        let mut way = Vec::new();
        let mut at = tip;
        while self.active.get(self.blocks[&at].header.height as usize) != Some(&at) {
            way.push(at);
            at = self.blocks[&at].header.prev;
        }
        self.active.truncate(self.blocks[&at].header.height as usize + 1);
        self.active.extend(way.iter().rev());
        self.pruned();
    }
}

impl ChainRead for MemoryChain {
    fn tip(&self) -> Known {
        self.block(&self.tip_id()).unwrap()
    }

    fn block(&self, id: &BlockId) -> Option<Known> {
        let stored = self.blocks.get(id)?;
        Some(Known {
            header: stored.header,
            id: *id,
            total_work: stored.total_work,
            has_body: true,
            invalid: stored.invalid.clone(),
        })
    }

    fn frontier(&self, id: &BlockId) -> Option<HistoryFrontier> {
        self.blocks.get(id).map(|stored| stored.frontier.clone())
    }

    fn locator(&self) -> Vec<BlockId> {
        let (mut ids, mut step, mut back) = (Vec::new(), 1, 0);
        while back + 1 < self.active.len() {
            ids.push(self.active[self.active.len() - 1 - back]);
            if ids.len() >= 10 {
                step *= 2;
            }
            back += step;
        }
        ids.push(self.active[0]);
        ids
    }

    fn headers_after(&self, locator: &[BlockId], max: usize) -> Vec<Header> {
        let height = |id: &BlockId| {
            let height = self.blocks.get(id)?.header.height as usize;
            (self.active.get(height) == Some(id)).then_some(height)
        };
        let from = locator.iter().find_map(height).unwrap_or(0) + 1;
        self.active.iter().skip(from).take(max).map(|id| self.blocks[id].header).collect()
    }

    fn refused(&self, id: &BlockId) -> Option<String> {
        self.refused.get(id).cloned()
    }

    fn body(&self, id: &BlockId) -> Option<Vec<u8>> {
        let is_here = |stored: &&Stored| stored.header.height > 0 && stored.header.height >= self.bodies_from;
        self.blocks.get(id).filter(is_here).map(|stored| stored.body.to_bytes())
    }

    fn is_beyond_pruning(&self, id: &BlockId) -> bool {
        let Some(mut at) = self.blocks.get(id).map(|stored| stored.header) else { return false };
        while self.active.get(at.height as usize) != Some(&at.id()) {
            at = self.blocks[&at.prev].header;
        }
        self.bodies_from > 0 && at.height + 1 < self.bodies_from
    }
}
