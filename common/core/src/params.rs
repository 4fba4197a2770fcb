//! A network as one value: every parameter of the rules, the built-in profiles, and the genesis
//! that follows from them. Nothing about a network is ever a global, and genesis is computed,
//! never received. Must not know files: text forms are read elsewhere.

use crate::amount::COIN;
use crate::asert::Anchor;
use crate::crypto::keys::PublicKey;
use crate::crypto::policy::Policy;
use crate::encode;
use crate::hash::{Address, BlockId, Domain, NetworkId};
use crate::history::{self, HistoryFrontier};
use crate::state::Trie;
use crate::state::record::{Key, Record};
use crate::types::body;
use crate::types::header::{HEADER_VERSION, Header};
use crate::work::{U256, from_bits};

/// Least that a network may allow a block, in bytes: a transaction of the largest kind fits.
pub const BLOCK_BYTES_LEAST: u64 = 64 * 1024;
/// Most that a network may allow a block, in bytes.
pub const BLOCK_BYTES_LIMIT: u64 = 16 * 1024 * 1024;
/// A block may make one new record for every so many bytes it may have.
pub const BYTES_PER_NEW_RECORD: u64 = 256;
/// Longest spacing, in ms: a day.
pub const SPACING_MS_MAX: u64 = 24 * 60 * 60 * 1000;
/// Longest half-life, in ms.
pub const HALF_LIFE_MS_MAX: u64 = 1 << 40;
/// A half-life must be this many times the drift, or stamps within the drift move the difficulty.
pub const HALF_LIFE_DRIFTS: u64 = 72;
/// Easiest target that a network may start or end at, compact.
pub const LIMIT_BITS_MAX: u32 = 0x207f_ffff;
/// The smallest target of every network but the vectors': 2^160.
pub const TARGET_FLOOR_SHIFT: usize = 160;
/// Halvings after which nothing is left of any reward.
const HALVINGS_MAX: u64 = 64;

const _: () = assert!(BLOCK_BYTES_LIMIT < encode::DECODE_BYTES_MAX as u64);
const _: () = assert!(crate::types::transaction::TX_BYTES_MAX < BLOCK_BYTES_LEAST as usize / 2);

/// Everything that makes one network differ from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// Label, 1 to 32 of a-z 0-9 and the hyphen.
    pub name: String,
    /// Prefix of addresses, 1 to 10 lower-case letters.
    pub prefix: String,
    /// Time of genesis, unix ms.
    pub genesis_time: u64,
    /// Intended time from block to block, ms.
    pub spacing: u64,
    /// Delay that doubles the target, ms; 0 keeps the difficulty as it started.
    pub half_life: u64,
    /// How far ahead of one's own clock a block's time may be, ms.
    pub drift: u64,
    /// Easiest target, compact.
    pub limit_bits: u32,
    /// Target of the first block, compact.
    pub start_bits: u32,
    /// Base units paid for block 1.
    pub reward: u64,
    /// Blocks between halvings of the reward; 0 for none.
    pub halving_interval: u64,
    /// Most bytes of a block: header and encoded body.
    pub block_bytes_max: u64,
    /// Most transactions of a block, the coinbase not counted; 0 for no such limit.
    pub block_txs_max: u64,
    /// Most records that a block may add to the state.
    pub new_records_max: u64,
    /// Who owns what at genesis, ascending by address.
    pub allocations: Vec<(Address, u64)>,
    /// What is not consensus.
    pub policy: NodePolicy,
}

/// What nodes of a network agree to do by default, but no block is invalid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodePolicy {
    /// Least fee for relay and templates, base units a byte.
    pub relay_fee_min: u64,
    /// Blocks above a state for a wallet to call it proven.
    pub proven_depth: u64,
    /// Default port of the peer protocol.
    pub p2p_port: u16,
    /// Default port of the API.
    pub api_port: u16,
}

/// A parameter out of its bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("network parameter {parameter}: {reason}")]
pub struct ParamsError {
    /// Its name.
    pub parameter: &'static str,
    /// What is wrong.
    pub reason: String,
}

/// The first block of a network.
#[derive(Clone, Debug)]
pub struct Genesis {
    /// Its header, exempt from proof of work.
    pub header: Header,
    /// Its id, which is the network's.
    pub id: BlockId,
    /// The state it starts with.
    pub state: Trie,
}

impl Params {
    /// Checks every bound.
    ///
    /// # Errors
    /// [`ParamsError`] names the first parameter out of bounds.
    pub fn check(&self) -> Result<(), ParamsError> {
        let refuse = |parameter, reason: &str| Err(ParamsError { parameter, reason: reason.to_owned() });
        let label = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if self.name.is_empty() || self.name.len() > 32 || !self.name.bytes().all(label) {
            return refuse("name", "1 to 32 of a-z, 0-9 and the hyphen");
        }
        if self.prefix.is_empty()
            || self.prefix.len() > 10
            || !self.prefix.bytes().all(|b| b.is_ascii_lowercase())
        {
            return refuse("prefix", "1 to 10 lower-case letters");
        }
        if self.spacing == 0 || self.spacing > SPACING_MS_MAX {
            return refuse("spacing", "1 ms to 1 day");
        }
        let shortest = self.drift.saturating_mul(HALF_LIFE_DRIFTS);
        if self.half_life != 0 && (self.half_life < shortest || self.half_life > HALF_LIFE_MS_MAX) {
            return refuse("half_life", "0, or at least 72 times the drift and at most 2^40 ms");
        }
        self.check_bits()?;
        if self.block_bytes_max < BLOCK_BYTES_LEAST || self.block_bytes_max > BLOCK_BYTES_LIMIT {
            return refuse("block_bytes_max", "64 KiB to 16 MiB");
        }
        if self.new_records_max == 0 {
            return refuse("new_records_max", "at least 1");
        }
        self.check_allocations()
    }

    fn check_bits(&self) -> Result<(), ParamsError> {
        let target = |parameter, bits| {
            let target =
                from_bits(bits).map_err(|error| ParamsError { parameter, reason: error.to_string() })?;
            let floor = U256::one() << TARGET_FLOOR_SHIFT;
            if bits > LIMIT_BITS_MAX || target < floor {
                let reason = "a target from 2^160 to that of 0x207fffff is needed".to_owned();
                return Err(ParamsError { parameter, reason });
            }
            Ok(target)
        };
        if target("start_bits", self.start_bits)? > target("limit_bits", self.limit_bits)? {
            let reason = "easier than the limit".to_owned();
            return Err(ParamsError { parameter: "start_bits", reason });
        }
        Ok(())
    }

    fn check_allocations(&self) -> Result<(), ParamsError> {
        let refuse = |reason: String| Err(ParamsError { parameter: "allocations", reason });
        if self.allocations.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            return refuse("an address twice, or not in ascending order".into());
        }
        if self.allocations.iter().any(|(_, amount)| *amount == 0) {
            return refuse("an amount of zero".into());
        }
        let sum = self.allocations.iter().try_fold(0u64, |sum, (_, amount)| sum.checked_add(*amount));
        if sum.is_none() {
            return refuse("more than 2^64-1 base units in all".into());
        }
        Ok(())
    }

    /// Hash of the parameters of consensus, which genesis carries as its parent's id. The policy
    /// is left out: nodes may differ in it.
    #[must_use]
    pub fn hash(&self) -> BlockId {
        let bytes = encode::encode(&(
            (self.name.as_bytes().to_vec(), self.prefix.as_bytes().to_vec()),
            (self.genesis_time, self.spacing, self.half_life, self.drift),
            (self.limit_bits, self.start_bits, self.reward, self.halving_interval),
            (self.block_bytes_max, self.block_txs_max, self.new_records_max),
            self.allocations.clone(),
        ));
        BlockId(Domain::Params.hash(&[&bytes]))
    }

    /// The first block.
    #[must_use]
    pub fn genesis(&self) -> Genesis {
        let mut records: Vec<_> = self
            .allocations
            .iter()
            .map(|(address, balance)| {
                (Key::Account(*address), Record::Account { balance: *balance, nonce: 0 })
            })
            .collect();
        records.sort_by_cached_key(|(key, _)| key.path());
        let state = Trie::from_sorted(records).expect("sorted, and addresses differ");
        let header = Header {
            version: HEADER_VERSION,
            height: 0,
            prev: self.hash(),
            history_root: history::root(&HistoryFrontier::default()),
            body_root: body::root_of(0, None),
            state_root: state.root(),
            elapsed: 0,
            prev_time: self.genesis_time,
            time: self.genesis_time,
            bits: self.start_bits,
            nonce: 0,
        };
        Genesis { id: header.id(), header, state }
    }

    /// Id of the network: its genesis header's.
    #[must_use]
    pub fn network_id(&self) -> NetworkId {
        self.genesis().id.into()
    }

    /// Base units in being after block `height`: a function of the height alone.
    #[must_use]
    pub fn supply(&self, height: u64) -> u64 {
        let allocated: u64 = self.allocations.iter().map(|(_, amount)| amount).sum();
        let mut supply = u128::from(allocated);
        let mut left = height;
        for era in 0..HALVINGS_MAX {
            let blocks = if self.halving_interval == 0 { left } else { left.min(self.halving_interval) };
            supply = supply.saturating_add(u128::from(self.reward >> era) * u128::from(blocks));
            left -= blocks;
        }
        u64::try_from(supply).unwrap_or(u64::MAX)
    }

    /// Base units that block `height` may create.
    #[must_use]
    pub fn reward(&self, height: u64) -> u64 {
        height.checked_sub(1).map_or(0, |parent| self.supply(height) - self.supply(parent))
    }

    /// What the difficulty formula is anchored to; `None` where the difficulty is constant.
    #[must_use]
    pub fn anchor(&self) -> Option<Anchor> {
        (self.half_life != 0).then(|| Anchor {
            target: from_bits(self.start_bits).expect("checked with the parameters"),
            spacing: self.spacing,
            half_life: self.half_life,
            floor: U256::one() << TARGET_FLOOR_SHIFT,
            limit: from_bits(self.limit_bits).expect("checked with the parameters"),
        })
    }

    /// Whether miners wait for the spacing by themselves: where difficulty does not make them.
    #[must_use]
    pub fn is_paced(&self) -> bool {
        self.half_life == 0
    }

    /// A network at once, for development: constant trivial difficulty and ten accounts of 1,000
    /// coins whose words are published.
    #[must_use]
    pub fn dev() -> Self {
        let mut allocations: Vec<_> =
            dev_addresses().into_iter().map(|address| (address, 1_000 * COIN)).collect();
        allocations.sort();
        Self {
            name: "dev".into(),
            prefix: "dsy".into(),
            genesis_time: PROFILE_GENESIS_TIME,
            spacing: 2_000,
            half_life: 0,
            drift: 120_000,
            limit_bits: LIMIT_BITS_MAX,
            start_bits: LIMIT_BITS_MAX,
            reward: 10 * COIN,
            halving_interval: 0,
            block_bytes_max: BLOCK_BYTES_DEFAULT,
            block_txs_max: 0,
            new_records_max: BLOCK_BYTES_DEFAULT / BYTES_PER_NEW_RECORD,
            allocations,
            policy: NodePolicy { relay_fee_min: 0, proven_depth: 1, p2p_port: 9333, api_port: 9334 },
        }
    }

    /// The original tutorial's figures: 30 s, 10 coins, 32 transactions.
    #[must_use]
    pub fn tutorial() -> Self {
        Self {
            name: "tutorial".into(),
            prefix: "tsy".into(),
            genesis_time: PROFILE_GENESIS_TIME,
            spacing: 30_000,
            half_life: 288 * 30_000,
            drift: 120_000,
            limit_bits: LIMIT_BITS_MAX,
            // 2^28 tries expected: one core at 10 million a second finds one in about 30 s.
            start_bits: 0x1d0f_ffff,
            reward: 10 * COIN,
            halving_interval: 0,
            block_bytes_max: BLOCK_BYTES_DEFAULT,
            block_txs_max: 32,
            new_records_max: BLOCK_BYTES_DEFAULT / BYTES_PER_NEW_RECORD,
            allocations: Vec::new(),
            policy: NodePolicy { relay_fee_min: 0, proven_depth: 6, p2p_port: 9343, api_port: 9344 },
        }
    }

    /// What `new-network` starts from. The caller sets what it measured: `start_bits` and the time.
    #[must_use]
    pub fn new_network(name: &str, genesis_time: u64, spacing: u64) -> Self {
        let drift = spacing.saturating_mul(4).clamp(1_000, 120_000);
        Self {
            name: name.into(),
            prefix: "sy".into(),
            genesis_time,
            spacing,
            half_life: spacing.saturating_mul(288).max(HALF_LIFE_DRIFTS * drift),
            drift,
            limit_bits: LIMIT_BITS_MAX,
            start_bits: LIMIT_BITS_MAX,
            reward: 10 * COIN,
            halving_interval: 2_102_400,
            block_bytes_max: BLOCK_BYTES_DEFAULT,
            block_txs_max: 0,
            new_records_max: BLOCK_BYTES_DEFAULT / BYTES_PER_NEW_RECORD,
            allocations: Vec::new(),
            policy: NodePolicy { relay_fee_min: 1, proven_depth: 6, p2p_port: 9353, api_port: 9354 },
        }
    }
}

/// 2026-01-01T00:00:00Z, the genesis of the built-in profiles.
const PROFILE_GENESIS_TIME: u64 = 1_767_225_600_000;
const BLOCK_BYTES_DEFAULT: u64 = 2 * 1024 * 1024;

/// BIP 39 words of the `dev` network's accounts. Published: anyone can spend from them.
pub const DEV_WORDS: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
/// BIP 44 path of account i of the `dev` network, before i.
pub const DEV_PATH: &str = "m/44'/1'/0'/0/";

/// Public keys at [`DEV_PATH`] 0 to 9 under [`DEV_WORDS`].
const DEV_KEYS: [&str; 10] = [
    "a7451395735369f2ecdfc829c0f774e88ef1303dfe5b2f04dbaab30a535dfdd6",
    "589ae7c835ce76e23cf8feb32f1adf4a7f2ba0ed2ad70801802b0bcd70e99c1c",
    "be3878cb32ea37037b6d906ca8dfadc8bf511305194e24093379e19ea8fce04e",
    "6ec997bdb38c9fc81c5f20b73b5fbcf6bf2406b840fc992ad00f6c12ba6156b5",
    "b9988be7219be78b82e659155d02d3e1462f3febe7c87d33964b37831efd8884",
    "9c3808eb7e6a2bbd7bf22bb5a4b28022b892c1a109ed12fb18e714d609e2698a",
    "90051ae1cc78376abb9d38fa26e7f426422a6492979ef86398990dd22677ecb8",
    "21d21f17c2344b14813bbf47435d1178378c9301dcfdfc1b3f2ed68383d9ca43",
    "a81922ed913881c288dc6fc71b0ac56cf448266bd75898ddec2afcc78a9d44e2",
    "68bbf5d4bc57b43547c522e445b73d8b5e9a89a75c9cfb3a6c2d220ea5a475bb",
];

/// Addresses of the `dev` network's accounts, in the order of their paths.
#[must_use]
pub fn dev_addresses() -> Vec<Address> {
    let address = |text: &&str| {
        let key = PublicKey(text.parse::<Address>().expect("64 hex digits").0);
        Policy::single(key).expect("a point of the curve").address()
    };
    DEV_KEYS.iter().map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_within_its_own_bounds() {
        for params in [Params::dev(), Params::tutorial(), Params::new_network("class-7", 1, 1)] {
            assert_eq!(params.check(), Ok(()), "{}", params.name);
            assert_eq!(params.supply(0), params.allocations.iter().map(|(_, amount)| amount).sum::<u64>());
            assert_eq!(params.reward(1), 10 * COIN);
        }
    }

    #[test]
    fn each_bound_is_checked_under_its_name() {
        type Break = fn(&mut Params);
        let broken: [(&str, Break); 15] = [
            ("name", |p| p.name = "A".into()),
            ("prefix", |p| p.prefix = "sy1".into()),
            ("spacing", |p| p.spacing = 0),
            ("spacing", |p| p.spacing = SPACING_MS_MAX + 1),
            ("half_life", |p| p.half_life = 72 * p.drift - 1),
            ("half_life", |p| p.half_life = HALF_LIFE_MS_MAX + 1),
            ("start_bits", |p| p.start_bits = 0x1d80_0000),
            ("start_bits", |p| (p.start_bits, p.limit_bits) = (0x207f_ffff, 0x1d00_ffff)),
            ("limit_bits", |p| p.limit_bits = 0x2100_ffff),
            ("start_bits", |p| p.start_bits = 0x1400_ffff),
            ("block_bytes_max", |p| p.block_bytes_max = BLOCK_BYTES_LEAST - 1),
            ("new_records_max", |p| p.new_records_max = 0),
            ("allocations", |p| p.allocations = vec![(Address([1; 32]), 1), (Address([1; 32]), 1)]),
            ("allocations", |p| p.allocations = vec![(Address([1; 32]), 0)]),
            ("allocations", |p| p.allocations = vec![(Address([1; 32]), u64::MAX), (Address([2; 32]), 1)]),
        ];
        for (parameter, breaks) in broken {
            let mut params = Params::new_network("x", 1, 30_000);
            breaks(&mut params);
            assert_eq!(params.check().unwrap_err().parameter, parameter);
        }
    }

    #[test]
    fn any_change_of_consensus_is_another_network_and_policy_is_not() {
        let base = Params::dev();
        let mut other = base.clone();
        other.allocations[3].1 += 1;
        assert_ne!(other.network_id(), base.network_id());
        let mut other = base.clone();
        other.policy.relay_fee_min = 7;
        assert_eq!(other.network_id(), base.network_id());
    }

    #[test]
    fn rewards_halve_to_nothing_and_never_pass_the_largest_supply() {
        let mut params = Params::new_network("x", 1, 1);
        params.reward = 8;
        params.halving_interval = 10;
        let rewards: Vec<u64> = (0..45).map(|height| params.reward(height)).collect();
        assert_eq!(rewards[0], 0);
        assert!((1..=10).all(|h| rewards[h] == 8) && (11..=20).all(|h| rewards[h] == 4));
        assert!((31..=40).all(|h| rewards[h] == 1) && (41..45).all(|h| rewards[h] == 0));
        params.reward = u64::MAX / 2;
        params.halving_interval = 0;
        let rewards: Vec<u64> = (1..5).map(|height| params.reward(height)).collect();
        assert_eq!(rewards, [u64::MAX / 2, u64::MAX / 2, 1, 0]);
        assert_eq!(params.supply(u64::MAX), u64::MAX);
        // Shifting by 64 or more would be a fault of its own.
        params.halving_interval = 1;
        assert_eq!(params.reward(65), 0);
    }
}
