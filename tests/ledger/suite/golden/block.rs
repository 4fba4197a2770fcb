//! A short chain from its parameters to a block that has everything in it, frozen as one file for
//! those who write a ledger of their own: `tests/ledger/golden/chain.json`. Hashes and bytes are in
//! hexadecimal, amounts and times in base units and milliseconds, total work in decimal as text. Must
//! not draw on anything random or on a clock.

use std::path::Path;

use serde::Serialize;

use steelyard_core::consensus::template::{Payout, assemble};
use steelyard_core::encode::List;
use steelyard_core::hash::{Address, AssetId, BlockId, BodyRoot, HistoryRoot, NetworkId, StateRoot};
use steelyard_core::history;
use steelyard_core::params::Params;
use steelyard_core::state::{Record, Trie, record};
use steelyard_core::types::body::{self, Coinbase};
use steelyard_core::types::header::Header;
use steelyard_core::types::transaction::{Action, Transaction, asset_id, full_id};
use steelyard_ledger::accounts::{Account, Terms, coins, issue, transfer, units};
use steelyard_ledger::chain::{Block, Chain, seal};
use steelyard_ledger::golden::is_written_anew;

#[derive(Serialize)]
struct File {
    about: &'static str,
    network: Network,
    genesis: Made,
    blocks: Vec<BlockOfAll>,
}

/// Every parameter of consensus.
#[derive(Serialize)]
struct Network {
    name: String,
    prefix: String,
    genesis_time: u64,
    spacing: u64,
    half_life: u64,
    drift: u64,
    limit_bits: u32,
    start_bits: u32,
    reward: u64,
    halving_interval: u64,
    block_bytes_max: u64,
    block_txs_max: u64,
    new_records_max: u64,
    allocations: Vec<(Address, u64)>,
    hash: BlockId,
    id: NetworkId,
}

/// A block as part of its chain.
#[derive(Serialize)]
struct Made {
    header: String,
    fields: Fields,
    id: BlockId,
    /// As the number that is compared with the target: most significant digit first.
    proof_of_work: String,
    /// Its own and that of all before it.
    total_work: String,
    /// What its child's header says: this block included.
    next_history_root: HistoryRoot,
    /// Every record after it, ascending by path.
    records: Vec<RecordOfAll>,
}

#[derive(Serialize)]
struct Fields {
    version: u32,
    height: u64,
    prev: BlockId,
    history_root: HistoryRoot,
    body_root: BodyRoot,
    state_root: StateRoot,
    elapsed: u64,
    prev_time: u64,
    time: u64,
    bits: u32,
    nonce: u64,
}

#[derive(Serialize)]
struct RecordOfAll {
    path: String,
    value: String,
    proof: String,
}

#[derive(Serialize)]
struct BlockOfAll {
    state_root_before: StateRoot,
    coinbase: CoinbaseOfAll,
    transactions: Vec<TransactionOfAll>,
    body: String,
    block: Made,
}

#[derive(Serialize)]
struct CoinbaseOfAll {
    bytes: String,
    height: u64,
    miner: Address,
    amount: u64,
    extra: String,
    leaf: String,
}

#[derive(Serialize)]
struct TransactionOfAll {
    what: &'static str,
    bytes: String,
    id: String,
    full_id: String,
    /// Of an issue: the asset it makes.
    asset_id: Option<AssetId>,
    sender: Address,
    nonce: u64,
    fee: u64,
    leaf: String,
}

const ABOUT: &str = "A Steelyard network, its genesis and its first blocks, with the state after each. \
    Block 3 has a transaction of every kind. Keys: account i of the published words of the dev network; \
    hashes and bytes in hex, work in decimal, amounts in base units, times in ms.";

/// The difficulty moves from block to block, and the reward halves after two.
fn params() -> Params {
    let hour = 60 * 60 * 1000;
    Params {
        name: "golden".into(),
        prefix: "gsy".into(),
        half_life: 3 * hour,
        start_bits: 0x1f7f_ffff,
        halving_interval: 2,
        ..Params::dev()
    }
}

/// What is done in a block, in its order.
type Deeds = Vec<(&'static str, Transaction)>;

/// The chain, with what was done in each block.
struct Telling {
    chain: Chain,
    deeds: Vec<Deeds>,
}

impl Telling {
    /// A block after `pause` ms, with all of these in their order.
    fn block(&mut self, pause: u64, word: &[u8], deeds: Deeds) {
        let txs: Vec<Transaction> = deeds.iter().map(|(_, tx)| tx.clone()).collect();
        let chain = &self.chain;
        let payout = Payout { miner: Account::dev(9).address, extra: List::new(word.to_vec()).unwrap() };
        let (candidates, time) = (chain.check_all(&txs), chain.tip().header.time + pause);
        let made =
            assemble(chain.params(), &chain.tip().parent(), chain.state(), &candidates, (&payout, time));
        assert_eq!(made.body.items.len(), 1 + txs.len(), "all of it is valid where it stands");
        self.chain.connect(&seal(Block { header: made.header, body: made.body })).unwrap();
        self.deeds.push(deeds);
    }
}

/// Two blocks that lead there, and one of everything.
fn telling() -> Telling {
    let mut told = Telling { chain: Chain::new(params()), deeds: Vec::new() };
    let network = told.chain.network();
    let [alice, bob, carol] = [0, 1, 2].map(Account::dev);
    let (shared, all) = (Account::multisig(2, 3, 7), Account::multisig(16, 16, 7));
    let terms = |nonce, fee| Terms::of_nonce(nonce).fee(fee);
    let gold_issue = alice.act(network, terms(0, 500), issue("GOLD", 1_000, true));
    let gold = asset_id(&gold_issue.body.id());
    let funds = vec![coins(shared.address, 700), coins(all.address, 900)];
    told.block(
        1_500,
        b"",
        vec![
            ("issue", gold_issue),
            ("transfer to policies of several keys", alice.pay(network, terms(1, 300), funds)),
        ],
    );
    let spread = vec![units(gold, bob.address, 40), units(gold, shared.address, 60), coins(carol.address, 5)];
    told.block(9_000, b"", vec![("transfer of two assets", alice.pay(network, terms(2, 200), spread))]);

    let silver_issue = bob.act(network, terms(0, 101), issue("SILVER2", 5_000, false));
    let silver = asset_id(&silver_issue.body.id());
    let mixed = vec![
        units(gold, carol.address, 7),
        coins(Address([0xee; 32]), 11),
        units(silver, carol.address, 13),
        coins(bob.address, 17),
        units(gold, bob.address, 3),
    ];
    let last_height = Terms { expiry: 3, memo: b"the last block that may hold it".to_vec(), ..terms(1, 103) };
    let all_coins = vec![coins(alice.address, 900 - 109)];
    let by_two = shared.body(
        network,
        terms(0, 107),
        transfer(vec![units(gold, alice.address, 60), coins(bob.address, 19)]),
    );
    told.block(
        400,
        b"everything at once",
        vec![
            ("issue that cannot be minted", silver_issue),
            (
                "transfer of three assets, one of this block, to others, to nobody and to itself",
                bob.pay(network, last_height, mixed),
            ),
            ("mint", alice.act(network, terms(3, 104), Action::Mint { asset: gold, amount: 23 })),
            ("issue of nothing yet", carol.act(network, terms(0, 105), issue("0", 0, true))),
            (
                "burn of all that its holder has",
                carol.act(network, terms(1, 106), Action::Burn { asset: gold, amount: 7 }),
            ),
            ("transfer by the first and last of 2 of 3, of all its gold", shared.sign_by(&[0, 2], by_two)),
            ("transfer by 16 of 16, of all its coins", all.pay(network, terms(0, 109), all_coins)),
        ],
    );
    told
}

fn made(chain: &Chain, height: u64) -> Made {
    let tip = chain.tip_at(height);
    let Header { version, height, prev, history_root, body_root, state_root, .. } = tip.header;
    let Header { elapsed, prev_time, time, bits, nonce, .. } = tip.header;
    Made {
        header: hex::encode(tip.header.to_bytes()),
        fields: Fields {
            version,
            height,
            prev,
            history_root,
            body_root,
            state_root,
            elapsed,
            prev_time,
            time,
            bits,
            nonce,
        },
        id: tip.id,
        proof_of_work: hex::encode(tip.header.pow_hash().to_big_endian()),
        total_work: tip.total_work.to_string(),
        next_history_root: history::root(&tip.history),
        records: records(&tip.state),
    }
}

fn records(state: &Trie) -> Vec<RecordOfAll> {
    let line = |(key, value): (_, &Record)| RecordOfAll {
        path: hex::encode(steelyard_core::state::Key::path(&key)),
        value: hex::encode(record::encode(&key, value).unwrap()),
        proof: hex::encode(state.prove(&key).to_bytes()),
    };
    state.iter().map(line).collect()
}

fn transaction((place, (what, tx)): (u64, &(&'static str, Transaction))) -> TransactionOfAll {
    let bytes = tx.to_bytes();
    let is_issue = matches!(tx.body.action, Action::Issue { .. });
    TransactionOfAll {
        what,
        id: tx.body.id().to_string(),
        full_id: full_id(&bytes).to_string(),
        asset_id: is_issue.then(|| asset_id(&tx.body.id())),
        sender: tx.body.sender,
        nonce: tx.body.nonce,
        fee: tx.body.fee,
        leaf: hex::encode(body::leaf(place, &bytes).0),
        bytes: hex::encode(bytes),
    }
}

fn block(told: &Telling, height: u64) -> BlockOfAll {
    let items = &told.chain.block(height).body;
    let coinbase = Coinbase::from_bytes(&items.items[0]).unwrap();
    let deeds = &told.deeds[usize::try_from(height).unwrap() - 1];
    BlockOfAll {
        state_root_before: told.chain.tip_at(height - 1).state.root(),
        coinbase: CoinbaseOfAll {
            bytes: hex::encode(&items.items[0]),
            height: coinbase.height,
            miner: coinbase.miner,
            amount: coinbase.amount,
            extra: hex::encode(&*coinbase.extra),
            leaf: hex::encode(body::leaf(0, &items.items[0]).0),
        },
        transactions: (1..).zip(deeds).map(transaction).collect(),
        body: hex::encode(items.to_bytes()),
        block: made(&told.chain, height),
    }
}

fn network(params: &Params) -> Network {
    let Params { genesis_time, spacing, half_life, drift, limit_bits, start_bits, .. } = *params;
    let Params { reward, halving_interval, block_bytes_max, block_txs_max, new_records_max, .. } = *params;
    Network {
        name: params.name.clone(),
        prefix: params.prefix.clone(),
        genesis_time,
        spacing,
        half_life,
        drift,
        limit_bits,
        start_bits,
        reward,
        halving_interval,
        block_bytes_max,
        block_txs_max,
        new_records_max,
        allocations: params.allocations.clone(),
        hash: params.hash(),
        id: params.network_id(),
    }
}

#[test]
fn golden_chain_with_a_block_of_everything() {
    let told = telling();
    let chain = &told.chain;
    let file = File {
        about: ABOUT,
        network: network(chain.params()),
        genesis: made(chain, 0),
        blocks: (1..=chain.height()).map(|height| block(&told, height)).collect(),
    };
    assert_eq!(BlockId(file.network.id.0), file.genesis.id);
    let bits: Vec<u32> = file.blocks.iter().map(|block| block.block.fields.bits).collect();
    assert!(bits.windows(2).any(|pair| pair[0] != pair[1]), "the difficulty moves: {bits:x?}");
    let now = serde_json::to_string_pretty(&file).unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/chain.json");
    if is_written_anew() {
        return std::fs::write(path, now).unwrap();
    }
    let frozen = std::fs::read_to_string(&path).unwrap();
    for (number, (now, then)) in (1..).zip(now.lines().zip(frozen.lines())) {
        assert_eq!(now, then, "line {number} of chain.json is frozen");
    }
    assert_eq!(now.lines().count(), frozen.lines().count(), "chain.json is frozen");
}
