//! Transactions and blocks that are right but for one fault, by name, each with the rule that it
//! breaks as every door must report it; and beside each limit what stands right at it. All of them
//! are for the tip of one prepared chain, so that one node can be shown them all. Must not know any
//! door, nor how a rule is checked.
//!
//! Two rules are missing, as no block that others would follow leads to them:
//! [`TxRule::BalanceOverflow`] (the supply bounds every balance) and
//! [`steelyard_core::consensus::error::HeaderRule::Work`] (nobody hashes so much).
//!
//! | file | what |
//! |---|---|
//! | `form` | transactions: bytes, form, what the action says |
//! | `signed` | transactions: policies, signers, signatures |
//! | `state` | transactions: nonces, funds, assets |
//! | `headers` | headers, over a right body |
//! | `blocks` | bodies, under a right header |

mod blocks;
mod form;
mod headers;
mod signed;
mod state;

use steelyard_core::amount::COIN;
use steelyard_core::consensus::error::{RuleError, TxRule};
use steelyard_core::hash::{Address, AssetId};
use steelyard_core::params::{BLOCK_BYTES_LEAST, Params};
use steelyard_core::types::transaction::{Action, Transaction, asset_id};

use crate::accounts::{Account, Terms, coins, issue, transfer, units};
use crate::chain::{Block, Chain, seal};

/// What every funded account begins with, in base units.
pub const FUNDS: u64 = 1_000 * COIN;
/// Units of gold, which Alice issued and can mint.
pub const GOLD: u64 = 1_000;
/// Funded accounts that have done nothing: each right transaction has a sender of its own, so that
/// a pool can hold all of them.
const FRESH: u64 = 64;

/// What a transaction's fault can be seen in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Its bytes alone, signatures included: it is wrong for ever and everywhere.
    InItself,
    /// The state it meets: elsewhere, or later, it may be right.
    InTheState,
}

/// A transaction for the next block.
#[derive(Clone, Debug)]
pub struct TxCase {
    /// What is wrong with it, or at which limit it is.
    pub name: &'static str,
    /// As it travels.
    pub bytes: Vec<u8>,
    /// The rule it breaks where it is next.
    pub verdict: Result<(), TxRule>,
    /// Where its fault is seen.
    pub seen: Seen,
    /// No block may hold it yet, but a pool keeps it until what is before it comes.
    pub is_queued: bool,
}

/// A block on the tip.
#[derive(Clone, Debug)]
pub struct BlockCase {
    /// What is wrong with it, or at which limit it is.
    pub name: &'static str,
    /// Header and body.
    pub block: Block,
    /// The rule it breaks.
    pub verdict: Result<(), RuleError>,
}

/// The prepared chain, and who has done what on it.
pub struct Stage {
    /// Three blocks.
    pub chain: Chain,
    /// Issued [`Stage::gold`] and [`Stage::fixed`]; her next nonce is 3.
    pub alice: Account,
    /// Has done nothing; owns 2 of the fixed asset.
    pub carol: Account,
    /// Has done nothing.
    pub dave: Account,
    /// Issued [`Stage::full`]; his next nonce is 1.
    pub erin: Account,
    /// Two of three keys, with 50 base units.
    pub shared: Account,
    /// All of sixteen keys, with 50 base units.
    pub wide: Account,
    /// Mined the last block and has nothing else.
    pub miner: Account,
    /// Of [`GOLD`] units, all Alice's; mintable.
    pub gold: AssetId,
    /// Of 5 units, 3 of them Alice's; not mintable.
    pub fixed: AssetId,
    /// Of 2^64-1 units, all Erin's; mintable in name.
    pub full: AssetId,
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

impl Stage {
    /// The network: `dev` with limits that a test can reach.
    #[must_use]
    pub fn params() -> Params {
        let funded = (0..FRESH).map(|number| fresh(number).address).chain([Account::numbered(1).address]);
        let mut allocations = Params::dev().allocations;
        allocations.extend(funded.map(|address| (address, FUNDS)));
        allocations.sort_unstable();
        let (block_bytes_max, block_txs_max, new_records_max) = (BLOCK_BYTES_LEAST, 8, 4);
        let name = "broken".into();
        Params { name, block_bytes_max, block_txs_max, new_records_max, allocations, ..Params::dev() }
    }

    /// The chain up to its tip.
    #[must_use]
    pub fn new() -> Self {
        let (alice, carol, dave, erin) =
            (Account::dev(0), Account::dev(2), Account::dev(3), Account::numbered(1));
        let (shared, wide, miner) =
            (Account::multisig(2, 3, 1), Account::multisig(16, 16, 2), Account::numbered(2));
        let mut chain = Chain::new(Self::params());
        let network = chain.network();
        let gold = alice.act(network, Terms::of_nonce(0), issue("GOLD", GOLD, true));
        let fixed = alice.act(network, Terms::of_nonce(1), issue("FIXED", 5, false));
        let full = erin.act(network, Terms::of_nonce(0), issue("FULL", u64::MAX, true));
        let [gold_id, fixed_id, full_id] = [&gold, &fixed, &full].map(|tx| asset_id(&tx.body.id()));
        let payments =
            vec![units(fixed_id, carol.address, 2), coins(shared.address, 50), coins(wide.address, 50)];
        let paid = alice.pay(network, Terms::of_nonce(2), payments);
        chain.mine_block(&[gold, fixed]);
        chain.mine_block(&[full]);
        // Who mines from now on is somebody else again.
        let last = chain.clone().mined_by(&miner).mine_block(&[paid]);
        chain.connect(&last).expect("it was connected a moment ago");
        let (gold, fixed, full) = (gold_id, fixed_id, full_id);
        Self { chain, alice, carol, dave, erin, shared, wide, miner, gold, fixed, full }
    }

    /// Every transaction. Those that are right have a sender each that no other right one has.
    #[must_use]
    pub fn transactions(&self) -> Vec<TxCase> {
        [form::wrong(self), form::right(self), signed::wrong(self), signed::right(self)]
            .into_iter()
            .chain([state::wrong(self), state::right(self)])
            .flatten()
            .collect()
    }

    /// Every block whose header breaks a rule, or is right at a limit of one.
    #[must_use]
    pub fn headers(&self) -> Vec<BlockCase> {
        headers::all(self)
    }

    /// Every block whose body breaks a rule, or is right at a limit of one.
    #[must_use]
    pub fn blocks(&self) -> Vec<BlockCase> {
        [blocks::coinbases(self), blocks::bodies(self), blocks::limits(self), blocks::sequences(self)]
            .into_iter()
            .flatten()
            .collect()
    }

    /// The block in which this transaction is the second, after one that is right.
    #[must_use]
    pub fn in_block(&self, case: &TxCase) -> BlockCase {
        let first = self.fresh_pays(FRESH - 1, Terms::of_nonce(0).fee(3));
        let verdict = case.verdict.clone().map_err(|rule| RuleError::Transaction { index: 2, rule });
        let items = [first.to_bytes(), case.bytes.clone()];
        let block = if verdict.is_ok() { self.right_block(&items) } else { self.careless_block(&items) };
        BlockCase { name: case.name, block, verdict }
    }

    /// A block that a careless miner makes: these transactions, valid or not, after an empty block's
    /// coinbase and over its state root.
    #[must_use]
    pub fn careless_block(&self, items: &[Vec<u8>]) -> Block {
        let mut block = self.chain.empty_draft();
        block.body.items.extend_from_slice(items);
        seal(block)
    }

    /// A block of these transactions, all of them valid where they stand.
    ///
    /// # Panics
    /// One is not.
    #[must_use]
    pub fn right_block(&self, items: &[Vec<u8>]) -> Block {
        self.right_block_of(self.chain.clone(), items)
    }

    /// The same, found by this miner.
    #[must_use]
    pub fn right_block_by(&self, miner: &Account, items: &[Vec<u8>]) -> Block {
        self.right_block_of(self.chain.clone().mined_by(miner), items)
    }

    fn right_block_of(&self, chain: Chain, items: &[Vec<u8>]) -> Block {
        let wide =
            Params { block_bytes_max: 1 << 22, block_txs_max: 0, new_records_max: 1 << 20, ..Self::params() };
        let txs: Vec<Transaction> =
            items.iter().map(|bytes| Transaction::from_bytes(bytes).expect("a right one")).collect();
        let block = chain.draft_under(&wide, chain.expected_header().time, &chain.check_all(&txs));
        assert_eq!(block.body.items.len(), 1 + items.len(), "one is not valid where it stands");
        seal(block)
    }

    /// Alice's next transaction.
    #[must_use]
    pub fn act(&self, action: Action) -> Transaction {
        self.alice.act(self.chain.network(), Terms::of_nonce(3), action)
    }

    /// A payment of one base unit to Carol from one of those who have done nothing.
    #[must_use]
    pub fn fresh_pays(&self, number: u64, terms: Terms) -> Transaction {
        self.fresh_acts(number, terms, transfer(vec![coins(self.carol.address, 1)]))
    }

    /// Anything from one of those who have done nothing.
    #[must_use]
    pub fn fresh_acts(&self, number: u64, terms: Terms, action: Action) -> Transaction {
        fresh(number).act(self.chain.network(), terms, action)
    }
}

/// One of those who have done nothing.
fn fresh(number: u64) -> Account {
    assert!(number < FRESH, "so many have funds");
    Account::numbered(1_000 + number)
}

/// An address that no record names.
fn nowhere(number: u8) -> Address {
    Address([0x80 | number; 32])
}

impl TxCase {
    fn right(name: &'static str, seen: Seen, tx: &Transaction) -> Self {
        Self { name, bytes: tx.to_bytes(), verdict: Ok(()), seen, is_queued: false }
    }

    fn wrong(name: &'static str, seen: Seen, bytes: Vec<u8>, rule: TxRule) -> Self {
        Self { name, bytes, verdict: Err(rule), seen, is_queued: false }
    }
}

impl BlockCase {
    fn right(name: &'static str, block: Block) -> Self {
        Self { name, block, verdict: Ok(()) }
    }

    fn wrong(name: &'static str, block: Block, rule: impl Into<RuleError>) -> Self {
        Self { name, block, verdict: Err(rule.into()) }
    }
}
