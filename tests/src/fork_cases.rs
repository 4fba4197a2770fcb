//! Cases of the kind `fork` for the comparison with the second implementation: trees of blocks, some of
//! them invalid, that arrive at a node in some order, and what the node says of each and where its tip is
//! then. The node is the real chain thread with its store. A block whose parent is not there is not kept:
//! it has to arrive again. Must not know how a tip is chosen.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use steelyard_core::consensus::block::{check_block, verify_in_order};
use steelyard_core::consensus::header::{CheckedHeader, check_header};
use steelyard_core::consensus::template::{Payout, assemble};
use steelyard_core::consensus::transaction::{CheckedTx, shape};
use steelyard_core::consensus::transition::{Overlay, connect_block};
use steelyard_core::encode::List;
use steelyard_core::hash::{BlockId, NetworkId};
use steelyard_core::join::in_turn;
use steelyard_core::params::{LIMIT_BITS_MAX, Params};
use steelyard_core::types::body::Coinbase;
use steelyard_core::types::header::Header;
use steelyard_ledger::cases::draw::{damage, edge, few, hash, one_in, pick};
use steelyard_ledger::cases::{Case, params_json};
use steelyard_node::chain::check::UncheckedBlock;
use steelyard_node::chain::error::{Accepted, BlockError};
use steelyard_node::store::STORE_FOLDER;

use crate::accounts::{Account, Terms, coins};
use crate::inprocess::InProcess;
use crate::random::Random;
use crate::tip::{Block, Tip, searched};

/// Most blocks of a tree.
const BLOCKS_MAX: u64 = 12;
/// Accounts that pay one another.
const ACCOUNTS: usize = 3;

/// Cases of a seed, without end.
pub fn cases(seed: u64) -> impl Iterator<Item = Case> + Send {
    let mut random = Random::new(seed);
    std::iter::repeat_with(move || fork(&mut random))
}

fn fork(random: &mut Random) -> Case {
    let tree = Tree::grow(random);
    let arrivals = tree.arrivals(random);
    let folder = tempfile::tempdir().expect("a folder");
    let node = InProcess::open(&tree.params, &folder.path().join(STORE_FOLDER));
    let tip = || {
        let view = node.chain.shared.read();
        (view.tip().id, view.tip().header.prev)
    };
    let (mut sorts, mut said, mut before) = (BTreeSet::new(), Vec::new(), tip().0);
    for Block { header, body } in &arrivals {
        let block = UncheckedBlock { header: *header, body: body.clone() };
        // Later than any time: no block is ahead of the clock.
        let verdict = verdict(node.chain.submit_block(block, u64::MAX));
        let (after, parent) = tip();
        if after != before && parent != before {
            sorts.insert("reorganised".to_owned());
        }
        before = after;
        said.push(json!({ "verdict": verdict, "tip": after }));
        sorts.insert(verdict);
    }
    let arrival = |Block { header, body }: &Block| json!({ "header": hex::encode(header.to_bytes()), "body": hex::encode(body.to_bytes()) });
    let arrivals: Vec<Value> = arrivals.iter().map(arrival).collect();
    let inputs = json!({ "params": params_json(&tree.params), "arrivals": arrivals });
    Case::of_sorts("fork", sorts, inputs, Value::from(said))
}

fn verdict(answer: Result<Accepted, BlockError>) -> String {
    let name = match &answer {
        Ok(Accepted::Active) => "active",
        Ok(Accepted::Side) => "side",
        Ok(Accepted::Known) => "known",
        Err(BlockError::UnknownParent(_)) => "orphan",
        Err(error) => error.name(),
    };
    name.to_owned()
}

/// A block and what can be built on it: nothing where its header is wrong.
struct Node {
    block: Block,
    tip: Option<Tip>,
}

/// Blocks, parents first.
struct Tree {
    params: Params,
    network: NetworkId,
    accounts: Vec<Account>,
    genesis: Tip,
    nodes: Vec<Node>,
}

/// A fault of a block, by when it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Nothing,
    /// With its header, which is not kept.
    Header,
    /// Before its state is looked at: it is marked at once.
    Body,
    /// When it is executed.
    State,
}

impl Tree {
    fn grow(random: &mut Random) -> Self {
        let accounts: Vec<Account> = (0..ACCOUNTS).map(Account::dev).collect();
        let params = network(random, &accounts);
        let genesis = Tip::genesis(&params);
        let network = params.network_id();
        let mut tree = Self { params, network, accounts, genesis, nodes: Vec::new() };
        let count = 2 + random.below(BLOCKS_MAX - 1);
        let bad_in_ten = *pick(random, &[0, 1, 3]);
        while (tree.nodes.len() as u64) < count {
            let fault = match random.below(10) {
                bad if bad >= bad_in_ten => Fault::Nothing,
                _ => *pick(random, &[Fault::Header, Fault::Body, Fault::State, Fault::State, Fault::State]),
            };
            let node = tree.child(random, fault);
            tree.nodes.push(node);
        }
        tree
    }

    /// A block to build on: mostly one of the last, so that branches get long.
    fn parent(&self, random: &mut Random) -> &Tip {
        if one_in(random, 8) {
            return &self.genesis;
        }
        let back = random.place(5);
        let tips: Vec<&Tip> = self.nodes.iter().filter_map(|node| node.tip.as_ref()).collect();
        tips.iter().rev().nth(back).or(tips.last()).copied().unwrap_or(&self.genesis)
    }

    fn child(&self, random: &mut Random, fault: Fault) -> Node {
        let parent = self.parent(random);
        let miner = self.accounts[random.place(ACCOUNTS)].address;
        let payout = Payout { miner, extra: List::new(random.bytes(2)).expect("short") };
        let gap = *pick(random, &[1, 100, 700, 1_000, 1_000, 1_300, 3_000, 9_000]);
        let payments = self.payments(random, parent);
        let time = parent.header.time + gap;
        let template = assemble(&self.params, &parent.parent(), &parent.state, &payments, (&payout, time));
        let mut block = Block { header: template.header, body: template.body };
        match fault {
            Fault::Nothing | Fault::Header => {}
            Fault::Body => spoil_body(random, &mut block),
            Fault::State => self.spoil_state(random, &mut block),
        }
        block.header.body_root = block.body.root();
        if fault == Fault::Header {
            spoil_header(random, &mut block.header);
        }
        block.header = searched(block.header);
        Node { tip: self.tip_of(parent, &block), block }
    }

    /// Payments of the accounts, which on branches beside one another spend the same nonces.
    fn payments(&self, random: &mut Random, parent: &Tip) -> Vec<CheckedTx> {
        let mut payments = Vec::new();
        for account in &self.accounts {
            if one_in(random, 4) {
                let (_, nonce) = Overlay::new(&parent.state).account(account.address);
                payments.push(self.payment(random, account, nonce));
            }
        }
        payments
    }

    fn payment(&self, random: &mut Random, from: &Account, nonce: u64) -> CheckedTx {
        let to = self.accounts[random.place(ACCOUNTS)].address;
        let terms = Terms::of_nonce(nonce).fee(random.below(5));
        let bytes = from.pay_bytes(self.network, terms, vec![coins(to, 1 + random.below(900))]);
        shape(&self.network, &bytes).expect("of right form").known_to_verify()
    }

    /// The end of the branch that the block makes. Of a state that cannot be, its parent's stands in: what
    /// is built on it is invalid anyhow.
    fn tip_of(&self, parent: &Tip, block: &Block) -> Option<Tip> {
        let header: CheckedHeader = check_header(&self.params, &parent.parent(), &block.header).ok()?;
        let checked = check_block(&self.params, &self.network, header, block.body.clone(), verify_in_order);
        let state = checked.and_then(|checked| connect_block(&self.params, &parent.state, checked, in_turn));
        let state = state.map_or_else(|_| parent.state.clone(), |connected| connected.state().clone());
        Some(parent.followed_by(&header, state))
    }

    fn spoil_state(&self, random: &mut Random, block: &mut Block) {
        let change = *pick(random, &[1, u64::MAX]);
        match random.below(4) {
            0 => block.header.state_root.0[random.place(32)] ^= 1,
            1 => change_coinbase(block, |coinbase| coinbase.amount = coinbase.amount.wrapping_add(change)),
            2 => {
                let from = &self.accounts[random.place(ACCOUNTS)];
                let nonce = edge(random).max(100);
                block.body.items.push(self.payment(random, from, nonce).bytes().to_vec());
            }
            _ => {
                // The same payment twice, if there is one.
                let last = block.body.items[1..].last().cloned();
                match last {
                    Some(last) => block.body.items.push(last),
                    None => block.header.state_root.0[0] ^= 1,
                }
            }
        }
    }

    /// The blocks in some order, some of them several times, some once with the body of another.
    fn arrivals(&self, random: &mut Random) -> Vec<Block> {
        let parents_first: Vec<Block> = self.nodes.iter().map(|node| node.block.clone()).collect();
        let mut arrivals = match random.below(3) {
            0 => parents_first.clone(),
            1 => self.shuffled(random),
            _ => {
                // Children before their parents: whatever was not kept comes again.
                let mut any = parents_first.clone();
                shuffle(random, &mut any);
                any.extend(parents_first.clone());
                any
            }
        };
        for _ in 0..few(random, 4) {
            let mut block = pick(random, &parents_first).clone();
            match random.below(3) {
                0 => block.body = pick(random, &parents_first).body.clone(),
                1 => spoil_body(random, &mut block),
                _ => {}
            }
            arrivals.insert(random.place(arrivals.len() + 1), block);
        }
        arrivals
    }

    /// Parents before children, else in any order.
    fn shuffled(&self, random: &mut Random) -> Vec<Block> {
        let mut left: Vec<Block> = self.nodes.iter().map(|node| node.block.clone()).collect();
        shuffle(random, &mut left);
        let ids: BTreeSet<BlockId> = left.iter().map(|block| block.header.id()).collect();
        let mut there = BTreeSet::new();
        let mut order = Vec::new();
        while !left.is_empty() {
            let is_ready =
                |block: &Block| !ids.contains(&block.header.prev) || there.contains(&block.header.prev);
            let ready = left.iter().position(is_ready).expect("a tree has no circle");
            let block = left.remove(ready);
            there.insert(block.header.id());
            order.push(block);
        }
        order
    }
}

fn shuffle(random: &mut Random, blocks: &mut [Block]) {
    for at in (1..blocks.len()).rev() {
        let with = random.place(at + 1);
        blocks.swap(at, with);
    }
}

/// Quick blocks of a difficulty that moves, or stands so that work ties.
fn network(random: &mut Random, accounts: &[Account]) -> Params {
    let half_life = *pick(random, &[0, 1_000, 2_000, 5_000]);
    let mut allocations: Vec<_> =
        accounts.iter().map(|account| (account.address, 1 + random.below(2_000))).collect();
    allocations.sort();
    let params = Params {
        half_life,
        drift: half_life / 72,
        start_bits: if one_in(random, 2) { LIMIT_BITS_MAX } else { 0x203f_ffff },
        reward: *pick(random, &[0, 50, 1_000]),
        halving_interval: *pick(random, &[0, 2, 5]),
        block_txs_max: 2,
        new_records_max: 8,
        allocations,
        ..Params::new_network("cases", 1_767_225_600_000, 1_000)
    };
    assert_eq!(params.check(), Ok(()));
    params
}

fn change_coinbase(block: &mut Block, change: impl FnOnce(&mut Coinbase)) {
    let mut coinbase = Coinbase::from_bytes(&block.body.items[0]).expect("of its own making");
    change(&mut coinbase);
    block.body.items[0] = coinbase.to_bytes();
}

fn spoil_header(random: &mut Random, header: &mut Header) {
    match random.below(6) {
        0 => header.time = header.prev_time,
        1 => header.bits -= 1,
        2 => header.elapsed += 1,
        3 => header.height += 1,
        4 => header.history_root.0[0] ^= 1,
        _ => header.version = 2,
    }
}

/// Breaks a rule that is judged before the state.
fn spoil_body(random: &mut Random, block: &mut Block) {
    let is_paying = block.body.items.len() > 1;
    match random.below(5) {
        0 => block.body.items.clear(),
        1 if is_paying => damage(random, &mut block.body.items[1]),
        // The last byte is a signature's.
        2 if is_paying => *block.body.items[1].last_mut().expect("not empty") ^= 1,
        3 => block.body.items.extend([hash(random).to_vec(), Vec::new(), Vec::new()]),
        _ if !block.body.items.is_empty() => block.body.items[0].push(0),
        _ => block.body.items.push(Vec::new()),
    }
}
