//! Random values of every type that has bytes, to be shrunk when a law fails on them. In their bounds
//! and otherwise anything: whether a value is valid is for others. Must not know any law.

use std::fmt::Debug;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

use steelyard_core::crypto::keys::{PublicKey, Signature};
use steelyard_core::crypto::policy::{KEYS_MAX, UncheckedPolicy};
use steelyard_core::encode::List;
use steelyard_core::hash::{Address, AssetId, BlockId, BodyRoot, HistoryRoot, NetworkId, StateRoot, TxId};
use steelyard_core::params::{NodePolicy, Params};
use steelyard_core::state::record::{DECIMALS_MAX, SYMBOL_BYTES_MAX};
use steelyard_core::state::{AssetDescription, Key, Record, Trie};
use steelyard_core::types::body::{Body, Coinbase};
use steelyard_core::types::header::{HEADER_BYTES, Header};
use steelyard_core::types::transaction::{Action, Authorization, Payment, Transaction, TxBody};
use steelyard_ledger::random::Random;

/// Tries a law on so many values of the seed that is printed. A value that breaks it is made smaller
/// until nothing smaller does; nothing is written anywhere.
pub fn law<S: Strategy>(seed: u64, cases: u32, values: S, law: impl Fn(S::Value) -> Result<(), TestCaseError>)
where
    S::Value: Debug,
{
    let rng_seed = RngSeed::Fixed(Random::for_test(seed).number());
    let config = Config { cases, rng_seed, failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(&values, law).unwrap_or_else(|failure| panic!("{failure}"));
}

/// Numbers of all magnitudes, both ends among them.
pub fn numbers() -> impl Strategy<Value = u64> {
    let any_magnitude = (0..64u32, any::<u64>()).prop_map(|(bits, any)| any >> bits);
    prop_oneof![2 => any_magnitude, 1 => Just(0), 1 => Just(u64::MAX)]
}

/// A list of up to `most` items, which is at most `MAX`.
pub fn lists<T: Debug, const MAX: usize>(
    items: impl Strategy<Value = T>,
    most: usize,
) -> impl Strategy<Value = List<T, MAX>> {
    vec(items, 0..=most.min(MAX)).prop_map(|items| List::new(items).expect("in its bound"))
}

/// Any bytes, up to `most` and `MAX`.
pub fn byte_lists<const MAX: usize>(most: usize) -> impl Strategy<Value = List<u8, MAX>> {
    lists(any::<u8>(), most)
}

/// Any 32 bytes, now and then zeros.
pub fn hashes() -> impl Strategy<Value = [u8; 32]> {
    prop_oneof![4 => any::<[u8; 32]>(), 1 => Just([0; 32])]
}

/// Any address.
pub fn addresses() -> impl Strategy<Value = Address> {
    hashes().prop_map(Address)
}

/// Any asset, coins among them.
pub fn assets() -> impl Strategy<Value = AssetId> {
    hashes().prop_map(AssetId)
}

/// Ids of blocks.
pub fn block_ids() -> impl Strategy<Value = BlockId> {
    hashes().prop_map(BlockId)
}

/// Ids of transactions.
pub fn tx_ids() -> impl Strategy<Value = TxId> {
    hashes().prop_map(TxId)
}

/// Payments.
pub fn payments() -> impl Strategy<Value = Payment> {
    (assets(), addresses(), numbers()).prop_map(|(asset, to, amount)| Payment { asset, to, amount })
}

/// Every action.
pub fn actions() -> impl Strategy<Value = Action> {
    let asset_and_amount = || (assets(), numbers());
    prop_oneof![
        lists(payments(), 5).prop_map(|payments| Action::Transfer { payments }),
        (byte_lists(SYMBOL_BYTES_MAX), any::<u8>(), numbers(), any::<bool>()).prop_map(
            |(symbol, decimals, supply, mintable)| Action::Issue { symbol, decimals, supply, mintable }
        ),
        asset_and_amount().prop_map(|(asset, amount)| Action::Mint { asset, amount }),
        asset_and_amount().prop_map(|(asset, amount)| Action::Burn { asset, amount }),
    ]
}

/// Policies as a stranger sends them.
pub fn policies() -> impl Strategy<Value = UncheckedPolicy> {
    (any::<u8>(), vec(hashes().prop_map(PublicKey), 0..=KEYS_MAX))
        .prop_map(|(threshold, keys)| UncheckedPolicy { threshold, keys })
}

/// Signatures, which sign nothing.
pub fn signatures() -> impl Strategy<Value = Signature> {
    (hashes(), hashes()).prop_map(|(one, two)| Signature([one, two].concat().try_into().expect("64 bytes")))
}

/// Bodies of transactions.
pub fn tx_bodies() -> impl Strategy<Value = TxBody> {
    let terms = (numbers(), numbers(), numbers(), byte_lists(40));
    (any::<u8>(), hashes(), addresses(), terms, actions()).prop_map(
        |(format, network, sender, (nonce, fee, expiry, memo), action)| TxBody {
            format,
            network: NetworkId(network),
            sender,
            nonce,
            fee,
            expiry,
            memo,
            action,
        },
    )
}

/// Authorizations.
pub fn authorizations() -> impl Strategy<Value = Authorization> {
    (policies(), any::<u16>(), lists(signatures(), KEYS_MAX))
        .prop_map(|(policy, signers, signatures)| Authorization { policy, signers, signatures })
}

/// Transactions.
pub fn transactions() -> impl Strategy<Value = Transaction> {
    (tx_bodies(), authorizations()).prop_map(|(body, authorization)| Transaction { body, authorization })
}

/// Coinbases.
pub fn coinbases() -> impl Strategy<Value = Coinbase> {
    (numbers(), addresses(), numbers(), byte_lists(64)).prop_map(|(height, miner, amount, extra)| Coinbase {
        height,
        miner,
        amount,
        extra,
    })
}

/// Bodies of blocks, of any strings.
pub fn bodies() -> impl Strategy<Value = Body> {
    vec(vec(any::<u8>(), 0..40), 0..6).prop_map(|items| Body { items })
}

/// The bytes of headers.
pub fn header_bytes() -> impl Strategy<Value = [u8; HEADER_BYTES]> {
    vec(any::<u8>(), HEADER_BYTES).prop_map(|bytes| bytes.try_into().expect("so many"))
}

/// Headers, by their fields.
pub fn headers() -> impl Strategy<Value = Header> {
    let numbers = (any::<u32>(), numbers(), numbers(), numbers(), numbers(), any::<u32>(), numbers());
    (numbers, hashes(), hashes(), hashes(), hashes()).prop_map(|(numbers, prev, history, body, state)| {
        let (version, height, elapsed, prev_time, time, bits, nonce) = numbers;
        Header {
            version,
            height,
            prev: BlockId(prev),
            history_root: HistoryRoot(history),
            body_root: BodyRoot(body),
            state_root: StateRoot(state),
            elapsed,
            prev_time,
            time,
            bits,
            nonce,
        }
    })
}

/// Descriptions of assets.
pub fn descriptions() -> impl Strategy<Value = AssetDescription> {
    let fields = (addresses(), "[A-Z0-9]{1,12}", 0..=DECIMALS_MAX, numbers(), any::<bool>());
    fields.prop_map(|(issuer, symbol, decimals, supply, mintable)| AssetDescription {
        issuer,
        symbol,
        decimals,
        supply,
        mintable,
    })
}

/// Records under keys of their kinds, of few addresses and assets, so that some lie close together.
pub fn records() -> impl Strategy<Value = (Key, Record)> {
    let address = || (0..6u8).prop_map(|number| Address([number; 32]));
    // Not zero: coins are in accounts.
    let asset = || {
        (1..6u8, 0..4u8).prop_map(|(first, last)| {
            let mut asset = AssetId([first; 32]);
            asset.0[31] = last;
            asset
        })
    };
    prop_oneof![
        (address(), numbers(), numbers()).prop_map(|(address, balance, nonce)| (
            Key::Account(address),
            Record::Account { balance, nonce }
        )),
        (address(), asset(), numbers())
            .prop_map(|(address, asset, amount)| (Key::Holding(address, asset), Record::Holding { amount })),
        (asset(), descriptions())
            .prop_map(|(asset, description)| (Key::Asset(asset), Record::Asset(Box::new(description)))),
    ]
}

/// States of up to so many records.
pub fn states(most: usize) -> impl Strategy<Value = Trie> {
    btree_map(records().prop_map(|(key, _)| key), Just(()), 0..=most)
        .prop_flat_map(|keys| {
            let records: Vec<_> = keys.into_keys().map(record_of).collect();
            records
        })
        .prop_map(|records| {
            let mut state = Trie::new();
            state.update(records.into_iter().map(|(key, record)| (key, Some(record))));
            state
        })
}

/// A record that fits the key.
fn record_of(key: Key) -> BoxedStrategy<(Key, Record)> {
    let record = match key {
        Key::Account(_) => {
            (numbers(), numbers()).prop_map(|(balance, nonce)| Record::Account { balance, nonce }).boxed()
        }
        Key::Holding(..) => numbers().prop_map(|amount| Record::Holding { amount }).boxed(),
        Key::Asset(_) => descriptions().prop_map(|description| Record::Asset(Box::new(description))).boxed(),
    };
    record.prop_map(move |record| (key, record)).boxed()
}

/// Parameters of networks, in their types' bounds alone.
pub fn params() -> impl Strategy<Value = Params> {
    let texts = ("[a-z0-9-]{1,32}", "[a-z]{1,10}");
    let times = (numbers(), numbers(), numbers(), numbers());
    let money = (any::<u32>(), any::<u32>(), numbers(), numbers());
    let limits = (numbers(), numbers(), numbers());
    let allocations = btree_map(addresses(), numbers(), 0..4);
    (texts, times, money, limits, allocations).prop_map(|(texts, times, money, limits, allocations)| Params {
        name: texts.0,
        prefix: texts.1,
        genesis_time: times.0,
        spacing: times.1,
        half_life: times.2,
        drift: times.3,
        limit_bits: money.0,
        start_bits: money.1,
        reward: money.2,
        halving_interval: money.3,
        block_bytes_max: limits.0,
        block_txs_max: limits.1,
        new_records_max: limits.2,
        allocations: allocations.into_iter().collect(),
        policy: NodePolicy { relay_fee_min: 0, proven_depth: 0, p2p_port: 0, api_port: 0 },
    })
}
