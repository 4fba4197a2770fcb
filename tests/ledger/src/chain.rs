//! A ledger in memory over the rules alone, for tests that read as a story: [`Chain::pay`],
//! [`Chain::mine`], [`Chain::fork_at`]. Must not know stores, peers, clocks or threads.

use std::sync::Arc;

use steelyard_core::consensus::block::{check_block, verify_in_order};
use steelyard_core::consensus::error::{RuleError, TxRule};
use steelyard_core::consensus::header::{check_header, expected_child};
use steelyard_core::consensus::template::{Payout, assemble};
use steelyard_core::consensus::transaction::{CheckedTx, shape};
use steelyard_core::consensus::transition::{
    Change, ConnectedBlock, Overlay, apply, connect_block, disconnect_changes,
};
use steelyard_core::encode::List;
use steelyard_core::hash::{Address, AssetId, BlockId, NetworkId};
use steelyard_core::join::in_turn;
use steelyard_core::params::{LIMIT_BITS_MAX, Params};
use steelyard_core::state::{AssetDescription, Key, Record, Trie};
use steelyard_core::types::header::Header;
use steelyard_core::types::transaction::Transaction;

use crate::accounts::{Account, Terms, coins};
pub use crate::tip::Block;
use crate::tip::{Tip, searched};

/// A chain from genesis to its tip, with the state after every block.
#[derive(Clone)]
pub struct Chain {
    params: Arc<Params>,
    network: NetworkId,
    genesis: Arc<Tip>,
    links: Vec<Arc<Link>>,
    waiting: Vec<Transaction>,
    miner: Address,
}

/// A block in the chain, what it changed, and the tip that it is.
struct Link {
    block: Block,
    changes: Vec<Change>,
    tip: Tip,
}

impl Chain {
    /// A network at its genesis.
    #[must_use]
    pub fn new(params: Params) -> Self {
        assert_eq!(params.check(), Ok(()), "a test's network is within its bounds");
        let genesis = Arc::new(Tip::genesis(&params));
        let (network, miner) = (genesis.id.into(), Account::numbered(u64::MAX).address);
        Self { params: Arc::new(params), network, genesis, links: Vec::new(), waiting: Vec::new(), miner }
    }

    /// The `dev` network at its genesis: a block takes two tries.
    #[must_use]
    pub fn dev() -> Self {
        Self::new(Params::dev())
    }

    /// The `tutorial` network's rules at the difficulty of `dev`, and with its allocations.
    #[must_use]
    pub fn easy_tutorial() -> Self {
        let allocations = Params::dev().allocations;
        Self::new(Params { start_bits: LIMIT_BITS_MAX, allocations, ..Params::tutorial() })
    }

    /// Pays coins without a fee from now on in the next block that is mined.
    pub fn pay(&mut self, from: &Account, to: Address, amount: u64) -> Transaction {
        let tx = from.pay(self.network, Terms::of_nonce(self.next_nonce(from)), vec![coins(to, amount)]);
        self.wait(tx.clone());
        tx
    }

    /// Has a transaction wait for the next block.
    pub fn wait(&mut self, tx: Transaction) {
        self.waiting.push(tx);
    }

    /// Mines this many blocks, one spacing apart; the first holds all that waits.
    pub fn mine(&mut self, blocks: u64) {
        for _ in 0..blocks {
            let txs = std::mem::take(&mut self.waiting);
            self.mine_block(&txs);
        }
    }

    /// Mines a block of exactly these transactions, one spacing after the tip.
    pub fn mine_block(&mut self, txs: &[Transaction]) -> Block {
        let time = self.tip().header.time + self.params.spacing;
        self.mine_block_at(time, txs)
    }

    /// Mines a block of exactly these transactions, stamped with `time`.
    pub fn mine_block_at(&mut self, time: u64, txs: &[Transaction]) -> Block {
        let block = self.draft(time, &self.check_all(txs));
        assert_eq!(block.body.items.len(), 1 + txs.len(), "a transaction is not valid in this block");
        let block = seal(block);
        self.connect(&block).expect("a block of its own making");
        block
    }

    /// A block of those transactions that fit and are valid, not yet searched for.
    #[must_use]
    pub fn draft(&self, time: u64, candidates: &[CheckedTx]) -> Block {
        self.draft_under(&self.params, time, candidates)
    }

    /// [`Chain::draft`] under other limits than the network's.
    #[must_use]
    pub fn draft_under(&self, params: &Params, time: u64, candidates: &[CheckedTx]) -> Block {
        let payout = Payout { miner: self.miner, extra: List::default() };
        let template = assemble(params, &self.tip().parent(), &self.tip().state, candidates, (&payout, time));
        Block { header: template.header, body: template.body }
    }

    /// An empty block one spacing after the tip, not yet searched for.
    #[must_use]
    pub fn empty_draft(&self) -> Block {
        self.empty_draft_at(self.tip().header.time + self.params.spacing)
    }

    /// An empty block stamped with `time`, not yet searched for.
    #[must_use]
    pub fn empty_draft_at(&self, time: u64) -> Block {
        self.draft(time, &[])
    }

    /// Form and signatures of transactions that the test says are right.
    #[must_use]
    pub fn check_all(&self, txs: &[Transaction]) -> Vec<CheckedTx> {
        let check = |tx: &Transaction| shape(&self.network, &tx.to_bytes())?.verify();
        txs.iter().map(|tx| check(tx).expect("a well-formed transaction")).collect()
    }

    /// A single transaction by all its rules, as if it came first in the next block.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn judge(&self, bytes: &[u8]) -> Result<CheckedTx, TxRule> {
        let tx = shape(&self.network, bytes)?.verify()?;
        let mut overlay = Overlay::new(&self.tip().state);
        apply(&mut overlay, self.height() + 1, &tx)?;
        Ok(tx)
    }

    /// A block by all rules, on the tip.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check_and_connect(&self, block: &Block) -> Result<ConnectedBlock, RuleError> {
        let tip = self.tip();
        let header = check_header(&self.params, &tip.parent(), &block.header)?;
        let checked = check_block(&self.params, &self.network, header, block.body.clone(), verify_in_order)?;
        connect_block(&self.params, &tip.state, checked, in_turn)
    }

    /// Appends a block after checking all of it.
    ///
    /// # Errors
    /// The first rule that is broken; the chain is then as it was.
    pub fn connect(&mut self, block: &Block) -> Result<(), RuleError> {
        let connected = self.check_and_connect(block)?;
        let tip = self.tip().followed_by(connected.block().header(), connected.state().clone());
        let changes = connected.changes().to_vec();
        self.links.push(Arc::new(Link { block: block.clone(), changes, tip }));
        Ok(())
    }

    /// Takes the last block back by its changes and returns it.
    pub fn undo(&mut self) -> Option<Block> {
        let link = self.links.pop()?;
        let state = disconnect_changes(&link.tip.state, &link.changes);
        assert_eq!(state.root(), self.tip().state.root(), "undo leads back to the state before");
        Some(link.block.clone())
    }

    /// The same chain up to `height`, to go another way from there.
    #[must_use]
    pub fn fork_at(&self, height: u64) -> Self {
        let mut fork = self.clone();
        fork.links.truncate(usize::try_from(height).expect("a height in memory"));
        fork.waiting.clear();
        fork
    }

    /// The same chain, mined by somebody else from now on.
    #[must_use]
    pub fn mined_by(mut self, miner: &Account) -> Self {
        self.miner = miner.address;
        self
    }

    /// Puts a record under the tip that no history led to, for faults that an honest one cannot
    /// have. The headers know nothing of it.
    pub fn tamper(&mut self, key: Key, record: Option<Record>) {
        let last = self.links.last().expect("a block to tamper with");
        let mut tip = last.tip.clone();
        tip.state.update([(key, record)]);
        let link = Link { block: last.block.clone(), changes: last.changes.clone(), tip };
        let place = self.links.len() - 1;
        self.links[place] = Arc::new(link);
    }
}

/// What there is to see.
impl Chain {
    /// The network's parameters.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The network's id.
    #[must_use]
    pub fn network(&self) -> NetworkId {
        self.network
    }

    /// The tip's height.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.links.len() as u64
    }

    /// The end of the chain.
    #[must_use]
    pub fn tip(&self) -> &Tip {
        self.tip_at(self.height())
    }

    /// The end of the chain as it was at `height`.
    #[must_use]
    pub fn tip_at(&self, height: u64) -> &Tip {
        match usize::try_from(height).expect("a height in memory").checked_sub(1) {
            None => &self.genesis,
            Some(place) => &self.links[place].tip,
        }
    }

    /// The block at `height`, above 0.
    #[must_use]
    pub fn block(&self, height: u64) -> &Block {
        &self.links[usize::try_from(height).expect("a height in memory") - 1].block
    }

    /// All blocks from 1 on.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.links.iter().map(|link| &link.block)
    }

    /// Ids from genesis on.
    #[must_use]
    pub fn ids(&self) -> Vec<BlockId> {
        (0..=self.height()).map(|height| self.tip_at(height).id).collect()
    }

    /// The state after the tip.
    #[must_use]
    pub fn state(&self) -> &Trie {
        &self.tip().state
    }

    /// What a child of the tip must have in its header.
    #[must_use]
    pub fn expected_header(&self) -> Header {
        expected_child(&self.params, &self.tip().parent())
    }

    /// Coins of an address.
    #[must_use]
    pub fn balance(&self, address: Address) -> u64 {
        Overlay::new(self.state()).account(address).0
    }

    /// Transactions in the chain that an address has made.
    #[must_use]
    pub fn nonce(&self, address: Address) -> u64 {
        Overlay::new(self.state()).account(address).1
    }

    /// The nonce of an account's next transaction, those that wait counted.
    #[must_use]
    pub fn next_nonce(&self, account: &Account) -> u64 {
        let waiting = self.waiting.iter().filter(|tx| tx.body.sender == account.address).count();
        self.nonce(account.address) + waiting as u64
    }

    /// Units of a token that an address holds.
    #[must_use]
    pub fn holding(&self, address: Address, asset: AssetId) -> u64 {
        match self.state().get(&Key::Holding(address, asset)) {
            Some(Record::Holding { amount }) => *amount,
            _ => 0,
        }
    }

    /// What a token is.
    #[must_use]
    pub fn asset(&self, asset: AssetId) -> Option<&AssetDescription> {
        match self.state().get(&Key::Asset(asset)) {
            Some(Record::Asset(description)) => Some(description),
            _ => None,
        }
    }
}

/// The block with the body root of its body and a nonce that meets its bits.
#[must_use]
pub fn seal(mut block: Block) -> Block {
    block.header.body_root = block.body.root();
    block.header = searched(block.header);
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_of_payments_an_undo_and_a_fork() {
        let (alice, bob) = (Account::dev(0), Account::numbered(1));
        let mut chain = Chain::dev();
        chain.pay(&alice, bob.address, 5);
        chain.pay(&alice, bob.address, 6);
        chain.mine(3);
        assert_eq!((chain.height(), chain.balance(bob.address), chain.nonce(alice.address)), (3, 11, 2));
        let mut fork = chain.fork_at(1).mined_by(&bob);
        fork.mine(2);
        assert_ne!(fork.ids()[2..], chain.ids()[2..]);
        assert_eq!(fork.balance(bob.address), 11 + 2 * chain.params().reward);
        (0..3).for_each(|_| assert!(chain.undo().is_some()));
        assert_eq!((chain.balance(bob.address), chain.undo()), (0, None));
    }
}
