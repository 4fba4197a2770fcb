//! What targets hold their inputs against: accounts, a short chain with every kind of transaction, a
//! chain whose difficulty moves, and a state of many records. The same in every run. Must not know inputs.

use std::sync::OnceLock;

use steelyard_core::hash::{Address, AssetId, BlockId};
use steelyard_core::state::{AssetDescription, Key, Record, Trie};
use steelyard_core::types::transaction::{Action, Transaction, asset_id};

use crate::accounts::{Account, Terms, coins, issue, transfer, units};
use crate::chain::Chain;
use crate::random::Random;

/// Accounts and assets of the state that proofs are about.
const RECORDS: usize = 120;

/// All that is known beforehand.
pub struct World {
    /// Who can sign: four that own coins, one that does not, two with several keys.
    pub actors: Vec<Account>,
    /// The `dev` network with a few blocks.
    pub chain: Chain,
    /// Ids of `chain`, genesis first.
    pub ids: Vec<BlockId>,
    /// Assets on `chain`: one that can be minted, one that has all units there can be, one that is not.
    pub assets: Vec<AssetId>,
    /// A network whose difficulty moves, with a few blocks.
    pub moving: Chain,
    /// A state of many records.
    pub state: Trie,
    /// Keys of records in `state`, and then as many that have none.
    pub keys: Vec<Key>,
    /// How many of `keys` have a record.
    pub present: usize,
}

/// The world, made once.
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(World::new)
}

impl World {
    fn new() -> Self {
        let funded = (0..4).map(Account::dev);
        let shared = [Account::multisig(2, 3, 1), Account::multisig(1, 16, 2)];
        let actors: Vec<Account> = funded.chain([Account::numbered(1)]).chain(shared).collect();
        let (chain, assets) = chain(&actors);
        let (state, keys, present) = state();
        let ids = chain.ids();
        Self { actors, ids, chain, assets, moving: moving(), state, keys, present }
    }
}

/// Every kind of transaction, in a few blocks.
fn chain(actors: &[Account]) -> (Chain, Vec<AssetId>) {
    let mut chain = Chain::dev().mined_by(&actors[0]);
    let act = |chain: &mut Chain, actor: usize, fee: u64, action: Action| -> Transaction {
        let terms = Terms::of_nonce(chain.next_nonce(&actors[actor])).fee(fee);
        let tx = actors[actor].act(chain.network(), terms, action);
        chain.wait(tx.clone());
        tx
    };
    let gold = asset_id(&act(&mut chain, 0, 7, issue("GOLD", 1_000, true)).body.id());
    let iron = asset_id(&act(&mut chain, 1, 0, issue("IRON", u64::MAX, false)).body.id());
    let to_shared = vec![coins(actors[5].address, 90_000), coins(actors[6].address, 80_000)];
    act(&mut chain, 2, 3, transfer(to_shared));
    chain.mine(1);
    let mixed = vec![units(gold, actors[1].address, 400), coins(actors[1].address, 5)];
    act(&mut chain, 0, 1, transfer(mixed));
    act(&mut chain, 0, 1, Action::Mint { asset: gold, amount: 50 });
    act(&mut chain, 1, 2, Action::Burn { asset: iron, amount: 9 });
    act(&mut chain, 5, 4, transfer(vec![coins(Address([0xee; 32]), 1)]));
    chain.mine(1);
    act(&mut chain, 6, 5, transfer(vec![coins(actors[6].address, 79_000)]));
    chain.mine(5);
    for _ in 0..3 {
        (0..3).for_each(|actor| {
            act(&mut chain, actor, 10, transfer(vec![coins(actors[actor + 1].address, 1_000)]));
        });
        chain.mine(2);
    }
    (chain, vec![gold, iron, AssetId([0x55; 32])])
}

/// Blocks that come too early and too late.
fn moving() -> Chain {
    let mut chain = Chain::easy_tutorial();
    for gap in [30_000, 1, 2, 9_000_000, 30_000, 500] {
        let time = chain.tip().header.time + gap;
        chain.mine_block_at(time, &[]);
    }
    chain
}

/// Records of every kind, several of one owner; their keys, then keys without records.
fn state() -> (Trie, Vec<Key>, usize) {
    let mut random = Random::new(0x5eed);
    let owner = Address([0x11; 32]);
    let (mut records, mut absent) = (Vec::new(), Vec::new());
    for number in 0..RECORDS {
        let bytes: [u8; 32] = random.bytes(32).try_into().unwrap();
        let (address, asset) = (Address(bytes), AssetId(bytes));
        let description = AssetDescription {
            issuer: owner,
            symbol: format!("A{number}"),
            decimals: u8::try_from(number % 19).unwrap(),
            supply: random.number(),
            mintable: number % 2 == 0,
        };
        let (key, record) = match number % 4 {
            0 => (Key::Holding(owner, asset), Record::Holding { amount: random.number() }),
            1 => (Key::Asset(asset), Record::Asset(Box::new(description))),
            _ => (Key::Account(address), Record::Account { balance: random.number(), nonce: 1 }),
        };
        records.push((key, record));
        absent.push(match number % 3 {
            0 => Key::Holding(owner, AssetId(random.bytes(32).try_into().unwrap())),
            1 => Key::Asset(AssetId(random.bytes(32).try_into().unwrap())),
            _ => Key::Account(Address(random.bytes(32).try_into().unwrap())),
        });
    }
    let mut state = Trie::new();
    state.update(records.iter().map(|(key, record)| (*key, Some(record.clone()))));
    let present = records.len();
    (state, records.into_iter().map(|(key, _)| key).chain(absent).collect(), present)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_world_has_what_targets_count_on() {
        let world = world();
        assert_eq!(world.chain.height(), 13);
        assert!(world.chain.asset(world.assets[0]).is_some_and(|asset| asset.supply == 1_050));
        assert!(world.chain.asset(world.assets[2]).is_none());
        assert!(world.keys[..world.present].iter().all(|key| world.state.get(key).is_some()));
        assert!(world.keys[world.present..].iter().all(|key| world.state.get(key).is_none()));
        let bits: Vec<u32> = world.moving.blocks().map(|block| block.header.bits).collect();
        assert!(bits.windows(2).any(|pair| pair[0] != pair[1]), "{bits:x?}");
    }
}
