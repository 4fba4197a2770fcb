//! Makes blocks, right and wrong, on any parent: a ledger in memory that keeps the state after
//! every block. Must not know the node.

use std::collections::HashMap;

use steelyard_core::amount::COIN;
use steelyard_core::consensus::block::{CheckedBlock, check_block, verify_in_order};
use steelyard_core::consensus::header::{Parent, check_header};
use steelyard_core::consensus::pow;
use steelyard_core::consensus::template::{Payout, assemble};
use steelyard_core::consensus::transaction::{CheckedTx, shape};
use steelyard_core::consensus::transition::{Overlay, apply, apply_changes, credit_miner};
use steelyard_core::crypto::keys::SecretKey;
use steelyard_core::crypto::policy::Policy;
use steelyard_core::encode::List;
use steelyard_core::hash::{Address, AssetId, BlockId, NetworkId};
use steelyard_core::history::{self, HistoryFrontier, HistoryNode};
use steelyard_core::params::Params;
use steelyard_core::state::Trie;
use steelyard_core::types::body::Coinbase;
use steelyard_core::types::transaction::{Action, Authorization, BODY_FORMAT, Payment, Transaction, TxBody};
use steelyard_core::work::{from_bits, work_of};

use crate::chain::check::UncheckedBlock;

/// Accounts with money at genesis.
pub const ACCOUNTS: u8 = 8;

/// One key's account; those below [`ACCOUNTS`] own 1,000 coins at genesis.
pub struct Account {
    secret: SecretKey,
    policy: Policy,
    pub address: Address,
}

pub fn account(number: u8) -> Account {
    let secret = SecretKey::new([number + 1; 32]).unwrap();
    let policy = Policy::single(secret.public()).unwrap();
    Account { address: policy.address(), secret, policy }
}

/// The `dev` network with accounts whose keys are here.
pub fn params() -> Params {
    let mut allocations: Vec<_> = (0..ACCOUNTS).map(|i| (account(i).address, 1_000 * COIN)).collect();
    allocations.sort();
    Params { allocations, ..Params::dev() }
}

/// All of a payment of coins.
#[derive(Clone, Copy)]
pub struct Pay {
    pub from: u8,
    pub nonce: u64,
    pub to: u8,
    pub amount: u64,
    pub fee: u64,
}

impl Pay {
    pub fn new(from: u8, nonce: u64, to: u8, amount: u64) -> Self {
        Self { from, nonce, to, amount, fee: 0 }
    }
}

pub fn pay(network: NetworkId, pay: Pay) -> CheckedTx {
    let payment = Payment { asset: AssetId::COINS, to: account(pay.to).address, amount: pay.amount };
    let action = Action::Transfer { payments: List::new(vec![payment]).unwrap() };
    act(network, (pay.from, pay.nonce, pay.fee), (0, Vec::new()), action)
}

/// Any transaction: who, nonce, fee; expiry, memo; what.
pub fn act(
    network: NetworkId,
    (from, nonce, fee): (u8, u64, u64),
    (expiry, memo): (u64, Vec<u8>),
    action: Action,
) -> CheckedTx {
    let Account { secret, policy, address } = account(from);
    let memo = List::new(memo).unwrap();
    let body = TxBody { format: BODY_FORMAT, network, sender: address, nonce, fee, expiry, memo, action };
    let signatures = List::new(vec![secret.sign(&body.id().0)]).unwrap();
    let authorization = Authorization { policy: policy.into(), signers: 1, signatures };
    shape(&network, &Transaction { body, authorization }.to_bytes()).unwrap().verify().unwrap()
}

struct Made {
    block: UncheckedBlock,
    total_work: u128,
    history: HistoryFrontier,
    state: Trie,
}

/// Every block made.
pub struct Maker {
    pub params: Params,
    pub network: NetworkId,
    pub genesis: BlockId,
    made: HashMap<BlockId, Made>,
}

impl Maker {
    pub fn new(params: Params) -> Self {
        let genesis = params.genesis();
        let work = work_of(from_bits(genesis.header.bits).unwrap()).unwrap();
        let mut history = HistoryFrontier::default();
        history.push(HistoryNode::leaf(&genesis.id, work));
        let block = UncheckedBlock { header: genesis.header, body: Default::default() };
        let made = Made { block, total_work: work, history, state: genesis.state };
        let made = HashMap::from([(genesis.id, made)]);
        Self { params, network: genesis.id.into(), genesis: genesis.id, made }
    }

    /// A block of exactly these transactions.
    pub fn make(&mut self, parent: BlockId, txs: &[CheckedTx]) -> BlockId {
        let id = self.forge(parent, txs, |_| ());
        assert_eq!(self.made[&id].block.body.items.len(), 1 + txs.len(), "a transaction is not valid there");
        id
    }

    /// Empty blocks one on another.
    pub fn extend(&mut self, mut parent: BlockId, count: usize) -> Vec<BlockId> {
        (0..count)
            .map(|_| {
                parent = self.make(parent, &[]);
                parent
            })
            .collect()
    }

    /// A block that is changed before its nonce is searched. Its children stand on the state it
    /// should have had.
    pub fn forge(
        &mut self,
        parent: BlockId,
        txs: &[CheckedTx],
        change: impl FnOnce(&mut UncheckedBlock),
    ) -> BlockId {
        // No two blocks are the same.
        let extra = List::new((self.made.len() as u64).to_le_bytes().to_vec()).unwrap();
        let payout = Payout { miner: account(200).address, extra };
        let before = &self.made[&parent];
        let time = before.block.header.time + self.params.spacing;
        let template = assemble(&self.params, &before.as_parent(parent), &before.state, txs, (&payout, time));
        let mut block = UncheckedBlock { header: template.header, body: template.body };
        let state = self.state_after(parent, &block);
        change(&mut block);
        let target = from_bits(block.header.bits).unwrap();
        block.header.nonce = pow::search(&block.header, target, 0, 1 << 20).unwrap();
        let (id, work) = (block.header.id(), work_of(target).unwrap());
        let before = &self.made[&parent];
        let mut history = before.history.clone();
        history.push(HistoryNode::leaf(&id, work));
        let made = Made { block, total_work: before.total_work + work, history, state };
        assert!(self.made.insert(id, made).is_none());
        id
    }

    fn state_after(&self, parent: BlockId, block: &UncheckedBlock) -> Trie {
        let state = &self.made[&parent].state;
        let mut overlay = Overlay::new(state);
        for bytes in &block.body.items[1..] {
            let tx = shape(&self.network, bytes).unwrap().known_to_verify();
            apply(&mut overlay, block.header.height, &tx).unwrap();
        }
        let coinbase = Coinbase::from_bytes(&block.body.items[0]).unwrap();
        credit_miner(&mut overlay, coinbase.miner, coinbase.amount).unwrap();
        apply_changes(state, &overlay.into_changes())
    }

    /// A block with a state root that is not its state's.
    pub fn make_bad(&mut self, parent: BlockId) -> BlockId {
        self.forge(parent, &[], |block| block.header.state_root.0[0] ^= 1)
    }

    pub fn block(&self, id: BlockId) -> UncheckedBlock {
        self.made[&id].block.clone()
    }

    pub fn state(&self, id: BlockId) -> &Trie {
        &self.made[&id].state
    }

    /// The nonce of an account's next transaction after a block.
    pub fn nonce(&self, id: BlockId, from: u8) -> u64 {
        Overlay::new(self.state(id)).account(account(from).address).1
    }

    pub fn height(&self, id: BlockId) -> u64 {
        self.made[&id].block.header.height
    }

    pub fn parent(&self, id: BlockId) -> BlockId {
        self.made[&id].block.header.prev
    }

    pub fn pay(&self, from: u8, nonce: u64, to: u8, amount: u64) -> CheckedTx {
        pay(self.network, Pay::new(from, nonce, to, amount))
    }

    /// The block as it comes out of the checks that need no state.
    pub fn checked(&self, id: BlockId) -> CheckedBlock {
        let block = self.block(id);
        let parent = self.made[&block.header.prev].as_parent(block.header.prev);
        let header = check_header(&self.params, &parent, &block.header).unwrap();
        check_block(&self.params, &self.network, header, block.body, verify_in_order).unwrap()
    }
}

impl Made {
    fn as_parent(&self, id: BlockId) -> Parent<'_> {
        let history_root = history::root(&self.history);
        Parent { header: &self.block.header, id, total_work: self.total_work, history_root }
    }
}
