//! A store's whole content as one file, and the stories that frozen stores hold: of a node, blocks of
//! every shape, a reorganisation, a block refused, a checkpoint, what is pending, peers; of a wallet,
//! sends in every state. Must not draw on anything random or on a clock: a story gives the same bytes
//! for ever.

use std::path::Path;

use steelyard_core::amount::COIN;
use steelyard_core::encode::List;
use steelyard_core::hash::{Address, BlockId, NetworkId, TxId};
use steelyard_core::types::header::{HEADER_BYTES, Header};
use steelyard_core::types::transaction::{Payment, asset_id};
use steelyard_core::wire::Text;
use steelyard_ledger::accounts::{Account, Terms, coins, issue, transfer, units};
use steelyard_ledger::chain::{Block, Chain, seal};
use steelyard_node::chain::check::UncheckedBlock;
use steelyard_node::store::schema::Space;
use steelyard_runtime::sled_door::{Batch, Door, DoorOptions, Entry, make_whole};
use steelyard_wallet::intent::{Amount, Intent, Obstacle, Plan, Request, Signed, State};
use steelyard_wallet::keystore::WalletId;
use steelyard_wallet::store::{Changes, Store as WalletStore};
use steelyard_wallet::view::{Account as Reading, Snapshot};

use crate::inprocess::InProcess;

const DOOR: DoorOptions = DoorOptions { cache_bytes: 16 * 1024 * 1024 };
/// Longer than any key.
const KEY_BYTES_MAX: usize = 256;

/// Every entry of a store that nobody has open, ascending.
///
/// # Panics
/// The store cannot be read.
#[must_use]
pub fn entries(dir: &Path) -> Vec<Entry> {
    let door = Door::open(dir, DOOR).expect("the store opens");
    door.scan(vec![0]..=vec![0xff; KEY_BYTES_MAX], usize::MAX).expect("the store can be read")
}

/// Entries as the bytes of one file: each key and value behind its length, u32 little-endian.
///
/// # Panics
/// An entry of four gigabytes.
#[must_use]
pub fn to_bytes(entries: &[Entry]) -> Vec<u8> {
    let length = |part: &[u8]| u32::try_from(part.len()).expect("entries are short").to_le_bytes();
    let parts = entries.iter().flat_map(|(key, value)| [key, value]);
    parts.flat_map(|part| [&length(part), &part[..]].concat()).collect()
}

/// Reads what [`to_bytes`] wrote.
///
/// # Panics
/// It is no such file.
#[must_use]
pub fn from_bytes(mut bytes: &[u8]) -> Vec<Entry> {
    let mut part = || {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (part, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        bytes = rest;
        Some(part.to_vec())
    };
    std::iter::from_fn(|| Some((part()?, part().expect("a value follows its key")))).collect()
}

/// Makes a store of exactly these entries.
///
/// # Panics
/// The machine does not let it.
pub fn store_of(dir: &Path, entries: &[Entry]) {
    make_whole(dir, DOOR, Batch::new(), |_| Ok(())).expect("a store can be made");
    let door = Door::open(dir, DOOR).expect("the store opens");
    for some in entries.chunks(64) {
        let mut batch = Batch::new();
        some.iter().for_each(|(key, value)| batch.put(key, value));
        door.commit(batch).expect("the store takes them");
    }
}

/// Has a node live its story in the store's folder `dir`, and gives the chain that it ends on.
///
/// # Panics
/// The node refuses a part of it.
pub fn tell_node(dir: &Path) -> Chain {
    let (alice, bob, carol) = (Account::dev(0), Account::dev(1), Account::dev(2));
    let mut chain = Chain::dev();
    let network = chain.network();
    let issued = alice.act(network, Terms::of_nonce(0), issue("GOLD", 1_000, true));
    let gold = asset_id(&issued.body.id());
    chain.wait(issued);
    chain.mine(1);
    chain.wait(alice.act(network, Terms::of_nonce(1), transfer(vec![units(gold, bob.address, 5)])));
    chain.pay(&bob, alice.address, COIN);
    chain.mine(2);
    // Longer than one value of the store: body, delta and checkpoint.
    for nonce in 0..3 {
        chain.wait(carol.pay(network, Terms::of_nonce(nonce), crowd(nonce)));
    }
    chain.mine(3);
    let mut other = chain.fork_at(4).mined_by(&Account::numbered(7));
    other.pay(&bob, carol.address, 9);
    other.mine(4);

    let node = InProcess::open(chain.params(), dir);
    // Each in a commit of its own, then several in one.
    chain.blocks().take(3).for_each(|block| give(&node, &[block]));
    give(&node, &chain.blocks().skip(3).collect::<Vec<_>>());
    let state = node.chain.shared.read().state();
    let seq = node.chain.store.last(Space::Log).expect("the store can be read");
    node.chain.store.write_checkpoint(&state, seq).expect("the disk takes it");
    save_peers(&node);
    give(&node, &other.blocks().skip(4).collect::<Vec<_>>());
    let mut refused = other.empty_draft();
    refused.body.items.push(vec![1, 2, 3]);
    let refused = seal(refused);
    let unchecked = UncheckedBlock { header: refused.header, body: refused.body };
    assert!(node.chain.submit_block(unchecked, u64::MAX).is_err());
    let nonce = other.nonce(alice.address);
    for place in 0..2 {
        pend(&node, &alice.pay_bytes(network, Terms::of_nonce(nonce + place), vec![coins(bob.address, 1)]));
    }
    other
}

/// Payments to as many new accounts as one transaction takes.
fn crowd(number: u64) -> Vec<Payment> {
    (0..256).map(|place| coins(recipient(number * 256 + place), 10 + place)).collect()
}

/// An address that nobody has a key to.
fn recipient(number: u64) -> Address {
    let mut address = Address([0x5a; 32]);
    address.0[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    address
}

fn give(node: &InProcess, blocks: &[&Block]) {
    let unchecked = |block: &&Block| UncheckedBlock { header: block.header, body: block.body.clone() };
    for verdict in node.chain.submit_blocks(blocks.iter().map(unchecked).collect(), u64::MAX) {
        verdict.expect("a block of the story's making is good");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime needs nothing")
}

fn save_peers(node: &InProcess) {
    runtime().block_on(node.chain.save_peers(vec![7; 100])).expect("the node takes them");
}

fn pend(node: &InProcess, bytes: &[u8]) {
    let shaped = steelyard_core::consensus::transaction::shape(&node.chain.shared.network, bytes);
    let tx = shaped.expect("well formed").verify().expect("signed");
    runtime().block_on(node.chain.submit_tx(tx)).expect("the pool takes it");
}

/// The network of the wallet's story.
pub const WALLET_NETWORK: NetworkId = NetworkId([1; 32]);
/// The wallet of the story.
pub const WALLET: WalletId = WalletId([5; 16]);

/// Has a wallet live its story in the store's folder `dir`: six sends, each in another state.
///
/// # Panics
/// The store does not take it.
pub fn tell_wallet(dir: &Path) {
    let store = WalletStore::open(dir, &WALLET_NETWORK).expect("the store opens");
    let states = [
        State::Intended {},
        State::Signed {},
        State::Pending {},
        State::Cancelled {},
        State::Confirmed { height: 8, block: BlockId([8; 32]), time: 80 },
        State::Settled { height: 9, block: BlockId([9; 32]), time: 90 },
    ];
    for (seq, state) in (1..).zip(states) {
        let asked = wallet_intent(seq);
        let mut changes = Changes::default();
        changes.put_new_intent(&WALLET, &asked);
        store.commit(changes).expect("the disk takes it");
        let mut moved = Intent { state, changed: 3, ..asked };
        if seq > 1 && seq != 4 {
            moved.signed = Some(signed(seq));
            let mut changes = Changes::default();
            changes.put_signed_intent(&WALLET, &moved);
            store.commit(changes).expect("the disk takes it");
        }
        let mut changes = Changes::default();
        changes.put_intent(&WALLET, &moved);
        store.commit(changes).expect("the disk takes it");
    }
    let mut changes = Changes::default();
    changes.put_addresses(&WALLET, 3);
    changes.put_snapshot(&wallet_snapshot());
    store.commit(changes).expect("the disk takes it");
}

fn wallet_intent(seq: u64) -> Intent {
    let sender = Address([2; 32]);
    Intent {
        id: format!("id-{seq}").parse().expect("letters of an id"),
        seq,
        created: 1,
        changed: 2,
        request: Request {
            to: Address([1; 32]),
            amount: Amount::Units { units: seq },
            from: Some(sender),
            memo: List::new(vec![7; 3]).expect("a short memo"),
            fee_rate: Some(3),
            expiry_blocks: None,
        },
        plan: Some(Plan { index: 1, sender, amount: seq, fee: 4, expiry: 9 }),
        signed: None,
        state: State::Intended {},
        obstacle: Some(Obstacle { code: Text::new("no_node"), reason: Text::new("waits") }),
    }
}

fn signed(seq: u64) -> Signed {
    let id = TxId([u8::try_from(seq).expect("a small number"); 32]);
    Signed { id, nonce: seq, bytes: List::new(vec![6; 200]).expect("a short transaction") }
}

fn wallet_snapshot() -> Snapshot {
    let tip = Header { height: 12, ..Header::from_bytes(&[0; HEADER_BYTES]) };
    Snapshot {
        tip,
        id: tip.id(),
        total_work: 77,
        accounts: (0..3).map(|i| (Address([i; 32]), Reading { balance: 9, nonce: u64::from(i) })).collect(),
        incoming: Vec::new(),
        incoming_more: false,
        node: "127.0.0.1:9333".parse().expect("an address"),
        taken: 77,
    }
}
