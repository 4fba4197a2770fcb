//! Cases of blocks on a state: a few transactions that fit it, or nearly, and a coinbase. States are made
//! up, so that their edges are near: balances and supplies beside 2^64, any height, any nonce. Two things
//! that no history leads to and the specification does not speak of are left out: fees above 2^64 in all,
//! and a miner whom the block would make richer than that. Must not know headers.

use serde_json::{Value, json};
use steelyard_core::consensus::block::{check_block, verify_in_order};
use steelyard_core::consensus::error::{BlockRule, RuleError};
use steelyard_core::consensus::header::CheckedHeader;
use steelyard_core::consensus::transaction::shape;
use steelyard_core::consensus::transition::{Overlay, apply, connect_block};
use steelyard_core::encode::List;
use steelyard_core::hash::{Address, AssetId, BlockId, HistoryRoot, NetworkId, StateRoot};
use steelyard_core::join::in_turn;
use steelyard_core::params::{BLOCK_BYTES_LEAST, LIMIT_BITS_MAX, Params};
use steelyard_core::state::{AssetDescription, Key, Record, StateRead, Trie, record};
use steelyard_core::types::body::{Body, COINBASE_EXTRA_BYTES_MAX, Coinbase};
use steelyard_core::types::header::{HEADER_VERSION, Header};
use steelyard_core::types::transaction::{Action, PAYMENTS_MAX, Payment, Transaction, TxBody};

use super::draw::{amount, bytes, damage, edge, few, hash, one_in, pick};
use super::network::to_json;
use super::transactions::{disturb, falsify, signers};
use super::{Case, Source};
use crate::accounts::{Account, Terms, coins, issue, transfer, units};
use crate::random::Random;

/// A state that was made up, and who has a part in it.
struct World<'a> {
    cast: &'a [Account],
    assets: Vec<AssetId>,
    state: Trie,
    height: u64,
    /// Holds nearly 2^64 of something: what is held is then more than the supply may be.
    giant: Option<Address>,
}

/// What is wrong with a block, if anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Nothing,
    /// Of the state, in one transaction.
    State,
    /// Of form or signature, in one transaction.
    Form,
    /// Of the coinbase or the block as a whole.
    Block,
}

pub(super) fn transition(source: &mut Source) -> Case {
    loop {
        if let Some(case) = attempt(source) {
            return case;
        }
    }
}

fn attempt(source: &mut Source) -> Option<Case> {
    let random = &mut source.random;
    let world = World::new(random, &source.cast);
    let fault = match random.below(20) {
        0..=8 => Fault::Nothing,
        9..=13 => Fault::State,
        14 | 15 => Fault::Form,
        _ => Fault::Block,
    };
    let is_large = one_in(random, 120);
    let params = limits(random);
    // The limits are part of the network's id, which is signed: told once to see what there is to limit.
    let seed = random.number();
    let tell = |params: &Params| world.tell(&mut Random::new(seed), (params, fault), is_large);
    let params = narrowed(random, tell(&params), params);
    let mut told = tell(&params);
    let network = params.network_id();
    let judge = |body: &Body, state_root| judge((&params, &network), &world, body, state_root);
    let mut coinbase = coinbase(random, &world);
    let mut state_root = StateRoot(hash(random));
    let body = |coinbase: &Coinbase, told: &Told| Body {
        items: [vec![coinbase.to_bytes()], told.items.clone()].concat(),
    };
    // What the rules say that is wrong with amount and root is put right.
    for _ in 0..2 {
        match judge(&body(&coinbase, &told), state_root) {
            Err(RuleError::Block(BlockRule::CoinbaseAmount { expected, .. })) => coinbase.amount = expected,
            Err(RuleError::Block(BlockRule::StateRoot { got, .. })) => state_root = got,
            _ => {}
        }
    }
    if fault == Fault::Block || one_in(random, 12) {
        match random.below(7) {
            0 => state_root.0[random.place(32)] ^= 1,
            1 | 2 => coinbase.amount = coinbase.amount.wrapping_add(*pick(random, &[1, u64::MAX])),
            3 => coinbase.height = coinbase.height.wrapping_add(*pick(random, &[1, u64::MAX])),
            4 => (coinbase.height, coinbase.amount) = (edge(random), edge(random)),
            // Two in the wrong order.
            5 if told.items.len() > 1 => {
                let at = random.place(told.items.len() - 1);
                told.items.swap(at, at + 1);
            }
            _ => {}
        }
    }
    let mut body = body(&coinbase, &told);
    if fault == Fault::Block {
        match random.below(8) {
            0 => body.items.clear(),
            1 | 2 => damage(random, &mut body.items[0]),
            _ => {}
        }
    }
    let verdict = judge(&body, state_root);
    if matches!(verdict, Err(RuleError::Transaction { index: 0, .. })) {
        return None;
    }
    Some(case(&params, &world, &body, (state_root, verdict)))
}

fn case(
    params: &Params,
    world: &World<'_>,
    body: &Body,
    (state_root, verdict): (StateRoot, Result<StateRoot, RuleError>),
) -> Case {
    let value =
        |(key, record): (Key, &Record)| hex::encode(record::encode(&key, record).expect("of one kind"));
    let records: Vec<String> = world.state.iter().map(value).collect();
    let inputs = json!({
        "params": to_json(params), "height": world.height.to_string(), "records": records,
        "header_state_root": state_root, "body": hex::encode(body.to_bytes()),
    });
    match verdict {
        Ok(root) => {
            let sort = if body.items.len() > 1 { "accepted" } else { "accepted_without_transactions" };
            Case::new("transition", sort, inputs, json!({ "root": root }))
        }
        Err(error) => {
            let index = match error {
                RuleError::Transaction { index, .. } => Value::from(index),
                _ => Value::Null,
            };
            Case::new("transition", error.name(), inputs, json!({ "rule": error.name(), "index": index }))
        }
    }
}

/// A block of this body by the rules from its size on.
fn judge(
    (params, network): (&Params, &NetworkId),
    world: &World<'_>,
    body: &Body,
    state_root: StateRoot,
) -> Result<StateRoot, RuleError> {
    let header = Header {
        version: HEADER_VERSION,
        height: world.height,
        prev: BlockId::ZERO,
        history_root: HistoryRoot::ZERO,
        body_root: body.root(),
        state_root,
        elapsed: 0,
        prev_time: 0,
        time: 0,
        bits: LIMIT_BITS_MAX,
        nonce: 0,
    };
    let header = CheckedHeader { header, id: header.id(), work: 1, total_work: 1 };
    let checked = check_block(params, network, header, body.clone(), verify_in_order)?;
    connect_block(params, &world.state, checked, in_turn).map(|connected| connected.state().root())
}

/// A network whose rewards change near any height.
fn limits(random: &mut Random) -> Params {
    let allocations = match random.below(3) {
        0 => vec![(Address([1; 32]), edge(random).max(1))],
        _ => Vec::new(),
    };
    Params {
        reward: if one_in(random, 2) { 1_000_000_000 } else { edge(random) },
        halving_interval: *pick(random, &[0, 1, 2, 10, 100]),
        block_bytes_max: BLOCK_BYTES_LEAST,
        block_txs_max: 0,
        new_records_max: 256,
        allocations,
        ..Params::new_network("cases", 0, 30_000)
    }
}

/// Limits at what a block has, or one below.
fn narrowed(random: &mut Random, told: Told, mut params: Params) -> Params {
    if one_in(random, 4) {
        params.block_txs_max = (told.items.len() as u64).saturating_sub(u64::from(one_in(random, 3)));
    }
    if one_in(random, 4) {
        params.new_records_max = told.new_records.saturating_sub(u64::from(one_in(random, 3))).max(1);
    }
    let body = Body { items: told.items };
    // A coinbase without a word of its own has 56 bytes.
    let bytes = body.block_bytes() as u64 + 64;
    if bytes > params.block_bytes_max {
        params.block_bytes_max = bytes + random.below(3) - 1;
    }
    assert_eq!(params.check(), Ok(()));
    params
}

fn coinbase(random: &mut Random, world: &World<'_>) -> Coinbase {
    let miner = match random.below(4) {
        0 => Address(hash(random)),
        _ => pick(random, world.cast).address,
    };
    let extra = if one_in(random, 3) { few(random, COINBASE_EXTRA_BYTES_MAX as u64) } else { 0 };
    let extra = List::new(bytes(random, extra)).expect("within its bound");
    Coinbase { height: world.height, miner, amount: 0, extra }
}

/// What a block holds, and how many records it makes.
struct Told {
    items: Vec<Vec<u8>>,
    new_records: u64,
}

impl<'a> World<'a> {
    fn new(random: &mut Random, cast: &'a [Account]) -> Self {
        let height = match random.below(4) {
            0 => edge(random).max(1),
            1 => random.below(7) * 10 + random.below(3) + 1,
            _ => 1 + random.below(200),
        };
        let giant = one_in(random, 6).then(|| cast[random.place(3)].address);
        let assets: Vec<_> = (0..1 + random.below(4))
            .map(|_| AssetId(bytes(random, 32).try_into().expect("32 bytes")))
            .collect();
        let mut world = Self { cast, assets, state: Trie::new(), height, giant };
        let mut records = world.accounts(random);
        for asset in world.assets.clone() {
            if !one_in(random, 6) {
                world.describe(random, asset, &mut records);
            }
        }
        world.state.update(records);
        world
    }

    fn accounts(&self, random: &mut Random) -> Vec<(Key, Option<Record>)> {
        let mut records = Vec::new();
        for account in self.cast {
            let nonce = match random.below(8) {
                0 => edge(random),
                1 | 2 => 0,
                _ => random.below(9),
            };
            let balance = match random.below(6) {
                _ if Some(account.address) == self.giant => u64::MAX - random.below(1_000),
                0 => 0,
                1 => random.below(20),
                _ => random.number() >> (24 + random.below(30)),
            };
            if balance > 0 || nonce > 0 {
                records.push((Key::Account(account.address), Some(Record::Account { balance, nonce })));
            }
        }
        records
    }

    /// An asset and who holds it.
    fn describe(&self, random: &mut Random, asset: AssetId, records: &mut Vec<(Key, Option<Record>)>) {
        let mut held: u64 = 0;
        for account in self.cast {
            let amount = match random.below(3) {
                _ if Some(account.address) == self.giant => u64::MAX - random.below(1_000),
                0 => amount(random) >> 8,
                _ => 0,
            };
            if amount > 0 {
                held = held.saturating_add(amount);
                records.push((Key::Holding(account.address, asset), Some(Record::Holding { amount })));
            }
        }
        let supply = if one_in(random, 4) { u64::MAX - random.below(3) } else { held };
        let description = AssetDescription {
            issuer: self.account(random).address,
            symbol: "GOLD".into(),
            decimals: 2,
            supply: supply.max(held),
            mintable: !one_in(random, 3),
        };
        records.push((Key::Asset(asset), Some(Record::Asset(Box::new(description)))));
    }

    /// One of the cast; those of many keys are dear to sign for.
    fn account(&self, random: &mut Random) -> &'a Account {
        let count = if one_in(random, 20) { self.cast.len() } else { self.cast.len() - 2 };
        &self.cast[random.place(count)]
    }

    /// Transactions one after another, of which one is at fault if one is asked for.
    fn tell(&self, random: &mut Random, (params, fault): (&Params, Fault), is_large: bool) -> Told {
        let network = params.network_id();
        let mut overlay = Overlay::new(&self.state);
        let count = if is_large { 4 } else { few(random, 3) + random.place(4) };
        let at_fault = random.place(count.max(1));
        let mut items = Vec::new();
        for place in 0..count {
            let account = self.account(random);
            let mut body = self.body(random, (account, &network), &overlay);
            if is_large {
                let payment = |_| coins(Address([7; 32]), 1);
                body.action = transfer((0..PAYMENTS_MAX).map(payment).collect());
            }
            if fault == Fault::State && place == at_fault {
                self.upset(random, &mut body, &overlay);
            }
            let mut tx = account.sign_by(&signers(random, account), body);
            if fault == Fault::Form && place == at_fault || fault != Fault::Nothing && one_in(random, 40) {
                misshape(random, &mut tx);
            }
            let mut bytes = tx.to_bytes();
            if fault == Fault::Form && place == at_fault && one_in(random, 6) {
                damage(random, &mut bytes);
            }
            if let Ok(shaped) = shape(&network, &bytes) {
                let tx = shaped.known_to_verify();
                let mut attempt = overlay.child();
                if apply(&mut attempt, self.height, &tx).is_ok() {
                    let changes = attempt.into_changes();
                    overlay.absorb(changes);
                }
            }
            items.push(bytes);
        }
        Told { items, new_records: overlay.new_records() }
    }

    /// What an account can do in this state.
    fn body(
        &self,
        random: &mut Random,
        (account, network): (&Account, &NetworkId),
        state: &Overlay<'_>,
    ) -> TxBody {
        let (balance, nonce) = state.account(account.address);
        let fee = if one_in(random, 6) { 0 } else { random.below(balance.min(5_000) + 1) };
        let expiry = match random.below(4) {
            0 => self.height.saturating_add(random.below(2)),
            _ => 0,
        };
        let memo = few(random, 5);
        let terms = Terms { nonce, fee, expiry, memo: bytes(random, memo) };
        let action = self.action(random, account.address, (balance - fee, state));
        account.body(*network, terms, action)
    }

    fn action(&self, random: &mut Random, own: Address, (coins, state): (u64, &Overlay<'_>)) -> Action {
        let asset = *pick(random, &self.assets);
        let held = holding(state, own, asset);
        match random.below(8) {
            0 if held > 0 && self.giant.is_none() => Action::Burn { asset, amount: part(random, held) },
            1 | 2 if may_mint(state, own, asset) => {
                let supply = asset_of(state, asset).map_or(0, |asset| asset.supply);
                match u64::MAX - supply {
                    0 => issue("LEFT", amount(random), true),
                    left => Action::Mint { asset, amount: part(random, left) },
                }
            }
            0..=2 => issue("NEW", random.below(3), true),
            _ => {
                let (mut coins, mut held) = (coins, held);
                let mut payments = Vec::new();
                for _ in 0..1 + few(random, 4) {
                    let to = self.receiver(random, own);
                    if held > 0 && one_in(random, 2) {
                        let amount = part(random, held);
                        held -= amount;
                        payments.push(units(asset, to, amount));
                    } else if coins > 0 {
                        let amount = part(random, coins);
                        coins -= amount;
                        payments.push(Payment { asset: AssetId::COINS, to, amount });
                    }
                }
                if payments.is_empty() { issue("POOR", 1, false) } else { transfer(payments) }
            }
        }
    }

    fn receiver(&self, random: &mut Random, own: Address) -> Address {
        match random.below(8) {
            0 => own,
            1 | 2 => Address(hash(random)),
            _ => self.account(random).address,
        }
    }

    /// Makes a transaction one that the state refuses, or nearly.
    fn upset(&self, random: &mut Random, body: &mut TxBody, state: &Overlay<'_>) {
        let own = body.sender;
        let asset = *pick(random, &self.assets);
        // Mostly one that the sender may mint, if there is one: or nothing but that would be found.
        let mintable = self.assets.iter().copied().find(|asset| may_mint(state, own, *asset));
        let minted = mintable.filter(|_| !one_in(random, 3)).unwrap_or(asset);
        let held = holding(state, own, asset);
        let (balance, _) = state.account(own);
        match random.below(12) {
            0 => body.expiry = self.height.saturating_sub(1),
            1 => body.nonce = body.nonce.wrapping_sub(1),
            2 => body.nonce = body.nonce.wrapping_add(1),
            3 => body.nonce = edge(random),
            4 => body.fee = balance.saturating_add(1).min(1 << 60),
            5 => {
                // All there is and one more, in two payments, one of them to oneself.
                let rest = coins(Address(hash(random)), (balance - body.fee.min(balance)).max(1));
                body.action = transfer(vec![rest, coins(own, 1 + random.below(2))]);
            }
            6 => body.action = transfer(vec![units(asset, own, held.saturating_add(1))]),
            7 => {
                let assets = self.assets.iter().map(|asset| units(*asset, own, 1 + random.below(1_000)));
                body.action = transfer(assets.collect());
            }
            8 => {
                let amount = *pick(random, &[1, u64::MAX, 1 << 63]);
                body.action = Action::Mint { asset: minted, amount };
            }
            9 => {
                let asset = if one_in(random, 2) { asset } else { AssetId([9; 32]) };
                body.action = Action::Burn { asset, amount: held.saturating_add(1) };
            }
            10 => {
                let supply = asset_of(state, minted).map_or(0, |asset| asset.supply);
                let amount = (u64::MAX - supply).saturating_add(1);
                body.action = Action::Mint { asset: minted, amount };
            }
            _ => {
                let to = self.giant.unwrap_or(own);
                let coins = coins(to, balance.saturating_sub(body.fee).max(1));
                body.action =
                    transfer(if held > 0 { vec![units(asset, to, held), coins] } else { vec![coins] });
            }
        }
    }
}

fn misshape(random: &mut Random, tx: &mut Transaction) {
    if one_in(random, 2) { disturb(random, tx) } else { falsify(random, tx) }
}

/// From 1 to all, often all.
fn part(random: &mut Random, all: u64) -> u64 {
    if one_in(random, 4) { all } else { 1 + (random.below(all) >> random.below(20)) }
}

fn holding(state: &Overlay<'_>, of: Address, asset: AssetId) -> u64 {
    match state.get(&Key::Holding(of, asset)) {
        Some(Record::Holding { amount }) => amount,
        _ => 0,
    }
}

fn asset_of(state: &Overlay<'_>, asset: AssetId) -> Option<Box<AssetDescription>> {
    match state.get(&Key::Asset(asset)) {
        Some(Record::Asset(description)) => Some(description),
        _ => None,
    }
}

fn may_mint(state: &Overlay<'_>, own: Address, asset: AssetId) -> bool {
    asset_of(state, asset).is_some_and(|asset| asset.mintable && asset.issuer == own)
}
