//! Chains of any length, the same for the same plan: a network whose allocations are a number of
//! accounts, blocks full of payments between them, and payments signed in advance that follow the
//! last block. Memory does not grow with the number of blocks. Must not know the text form of a
//! network, which is an argument, nor check what it makes: readers do.

use std::fs;
use std::io;
use std::path::Path;

use rayon::prelude::*;

use steelyard_core::amount::COIN;
use steelyard_core::consensus::header::{CheckedHeader, expected_child};
use steelyard_core::consensus::transaction::{CheckedTx, shape};
use steelyard_core::consensus::transition::{Overlay, apply, apply_changes, credit_miner};
use steelyard_core::encode::List;
use steelyard_core::hash::{Address, NetworkId};
use steelyard_core::params::{Params, ParamsError};
use steelyard_core::types::body::{Body, Coinbase};
use steelyard_core::work::{from_bits, work_of};

use crate::accounts::{Account, Terms, coins};
use crate::chainfile::{BLOCKS_MAGIC, PAYMENTS_MAGIC, RecordWriter};
use crate::random::Random;
use crate::tip::{Block, Tip, searched};

/// The network's parameters, written by whoever knows their text form.
pub const NETWORK_FILE: &str = "network.toml";
/// The chain.
pub const BLOCKS_FILE: &str = "blocks.dat";
/// The payments after it.
pub const PAYMENTS_FILE: &str = "payments.dat";

/// Payments signed at once: what bounds memory.
const BATCH: u64 = 8_192;
/// What each account owns at genesis, base units: fees and amounts of any plan fit.
const ALLOCATION: u64 = 1_000 * COIN;
/// What a payment pays the miner, base units: above the relay minimum of one unit a byte.
const FEE: u64 = 1_000;
/// A payment pays less than this, base units.
const AMOUNT_MAX: u64 = 1_000;

/// What to generate.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Blocks after genesis.
    pub blocks: u64,
    /// Payments in each, one a transaction.
    pub payments: u64,
    /// Accounts that pay each other.
    pub accounts: u64,
    /// Payments signed to follow the last block.
    pub waiting: u64,
    /// Decides who pays whom and how much.
    pub seed: u64,
}

/// What was generated.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The last block, and the state after it.
    pub tip: Tip,
    /// Bytes of the file of blocks.
    pub block_file_bytes: u64,
    /// Bytes of the file of payments.
    pub payment_file_bytes: u64,
}

impl Plan {
    /// The network of the plan: constant trivial difficulty, and every account allocated the same.
    #[must_use]
    pub fn params(&self, accounts: &[Account]) -> Params {
        let mut allocations: Vec<_> = accounts.iter().map(|account| (account.address, ALLOCATION)).collect();
        allocations.sort();
        Params { name: "generated".into(), prefix: "gsy".into(), allocations, ..Params::dev() }
    }

    /// The accounts of the plan.
    #[must_use]
    pub fn accounts(&self) -> Vec<Account> {
        (0..self.accounts).into_par_iter().map(Account::numbered).collect()
    }
}

/// Writes the plan's three files into a folder, which is made if need be. `network_text` gives
/// the network's parameters their text form.
///
/// # Errors
/// What the file system says, or that the plan's network is out of bounds.
pub fn write(plan: &Plan, dir: &Path, network_text: impl Fn(&Params) -> String) -> io::Result<Summary> {
    let accounts = plan.accounts();
    let params = plan.params(&accounts);
    params.check().map_err(|error: ParamsError| io::Error::other(error))?;
    fs::create_dir_all(dir)?;
    fs::write(dir.join(NETWORK_FILE), network_text(&params))?;
    let mut tip = Tip::genesis(&params);
    let mut payers = Payers::new(accounts, tip.id.into(), plan.seed);

    let mut out = RecordWriter::create(&dir.join(BLOCKS_FILE), BLOCKS_MAGIC)?;
    let blocks_a_batch = (BATCH / plan.payments.max(1)).clamp(1, BATCH);
    let mut left = plan.blocks;
    let (mut blocks, mut signed) = (0, Vec::new());
    // Blocks are made of one batch while the next is signed.
    while left > 0 || blocks > 0 {
        let next = left.min(blocks_a_batch);
        left -= next;
        let drawn = payers.draw(next * plan.payments);
        let (made, signed_next) = rayon::join(
            || make_blocks(&params, &mut tip, (blocks, plan.payments), &signed, &mut out),
            || payers.sign(&drawn),
        );
        made?;
        (blocks, signed) = (next, signed_next);
    }
    let block_file_bytes = out.finish()?;

    let mut out = RecordWriter::create(&dir.join(PAYMENTS_FILE), PAYMENTS_MAGIC)?;
    let mut left = plan.waiting;
    while left > 0 {
        let drawn = payers.draw(left.min(BATCH));
        left -= drawn.len() as u64;
        payers.sign(&drawn).iter().try_for_each(|tx| out.payment(tx.bytes()))?;
    }
    Ok(Summary { tip, block_file_bytes, payment_file_bytes: out.finish()? })
}

/// Makes and writes so many blocks of so many transactions each.
fn make_blocks(
    params: &Params,
    tip: &mut Tip,
    (blocks, payments): (u64, u64),
    txs: &[CheckedTx],
    out: &mut RecordWriter,
) -> io::Result<()> {
    let mut rest = txs;
    for _ in 0..blocks {
        let (txs, later) = rest.split_at(usize::try_from(payments).expect("in memory"));
        rest = later;
        let (block, next) = make_block(params, tip, txs)?;
        out.block(&block)?;
        *tip = next;
    }
    Ok(())
}

/// Makes the block of exactly these transactions. Unlike a template it fails on any that is not
/// valid, and it keeps the state that it had to compute anyway.
fn make_block(params: &Params, tip: &Tip, txs: &[CheckedTx]) -> io::Result<(Block, Tip)> {
    let mut header = expected_child(params, &tip.parent());
    header.time = tip.header.time + params.spacing;
    let mut overlay = Overlay::new(&tip.state);
    for tx in txs {
        apply(&mut overlay, header.height, tx).map_err(io::Error::other)?;
    }
    let fees: u64 = txs.iter().map(|tx| tx.tx().body.fee).sum();
    // The reward goes where nobody of the plan spends from.
    let amount = params.reward(header.height) + fees;
    let coinbase =
        Coinbase { height: header.height, miner: Address([0x99; 32]), amount, extra: List::default() };
    credit_miner(&mut overlay, coinbase.miner, amount).map_err(io::Error::other)?;
    let state = apply_changes(&tip.state, &overlay.into_changes());
    let transactions = txs.iter().map(|tx| tx.bytes().to_vec());
    let body = Body { items: std::iter::once(coinbase.to_bytes()).chain(transactions).collect() };
    if body.block_bytes() as u64 > params.block_bytes_max {
        return Err(io::Error::other("so many payments do not fit into a block"));
    }
    header.body_root = body.root();
    header.state_root = state.root();
    let header = searched(header);
    let work = work_of(from_bits(header.bits).expect("checked bits")).expect("above the floor");
    let checked = CheckedHeader { header, id: header.id(), work, total_work: tip.total_work + work };
    Ok((Block { header, body }, tip.followed_by(&checked, state)))
}

/// The accounts and what they have paid so far.
struct Payers {
    accounts: Vec<Account>,
    nonces: Vec<u64>,
    network: NetworkId,
    random: Random,
}

/// A payment decided on: payer and payee by number.
#[derive(Clone, Copy)]
struct Drawn {
    from: usize,
    nonce: u64,
    to: usize,
    amount: u64,
}

impl Payers {
    fn new(accounts: Vec<Account>, network: NetworkId, seed: u64) -> Self {
        Self { nonces: vec![0; accounts.len()], accounts, network, random: Random::new(seed) }
    }

    /// Decides on the next payments, each between any two accounts.
    fn draw(&mut self, count: u64) -> Vec<Drawn> {
        let mut drawn = Vec::new();
        for _ in 0..count {
            let (from, to) = (self.random.place(self.accounts.len()), self.random.place(self.accounts.len()));
            let amount = 1 + self.random.below(AMOUNT_MAX - 1);
            drawn.push(Drawn { from, nonce: self.nonces[from], to, amount });
            self.nonces[from] += 1;
        }
        drawn
    }

    /// Signs them on all cores.
    fn sign(&self, drawn: &[Drawn]) -> Vec<CheckedTx> {
        let sign = |drawn: &Drawn| {
            let payments = vec![coins(self.accounts[drawn.to].address, drawn.amount)];
            let terms = Terms::of_nonce(drawn.nonce).fee(FEE);
            let bytes = self.accounts[drawn.from].pay_bytes(self.network, terms, payments);
            shape(&self.network, &bytes).expect("a payment's form is right").known_to_verify()
        };
        drawn.par_iter().map(sign).collect()
    }
}

/// An address that nobody has a key to, spread like those of keys.
#[must_use]
pub fn keyless(number: u64) -> Address {
    let mut random = Random::new(number);
    let mut address = [0; 32];
    address.chunks_mut(8).for_each(|part| part.copy_from_slice(&random.below(u64::MAX).to_le_bytes()));
    Address(address)
}
