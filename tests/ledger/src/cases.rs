//! Random cases for the comparison with the second implementation, `tests/reference`: inputs, and what
//! this project's rules say of them, one JSON object a line. The same seed gives the same cases. Inputs
//! lean to edges, to encodings that are nearly right, and to blocks that break one rule or two; each
//! case is sorted by what came of it, so that one can see that not all are of one sort. Must not know
//! how the other implementation works, nor anything but `steelyard-core` for what is right.
//!
//! | module | kinds |
//! |---|---|
//! | `numbers` | bits, target, asert, reward |
//! | `bytes` | coinbase, body, policy, record |
//! | `text` | address, address_text |
//! | `network` | params |
//! | `headers` | header, headers |
//! | `transactions` | tx, signed |
//! | `trees` | body_tree, history |
//! | `tries` | trie, proof |
//! | `excerpts` | excerpt |
//! | `blocks` | transition |
//!
//! A kind named `fork` needs a node and is made elsewhere. [`draw`] has what the kinds draw from, and
//! [`mod@reference`] runs the comparison.

mod blocks;
mod bytes;
pub mod draw;
mod excerpts;
mod headers;
mod network;
mod numbers;
pub mod reference;
mod text;
mod transactions;
mod trees;
mod tries;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use steelyard_core::crypto::keys::PublicKey;

use crate::accounts::Account;
use crate::random::Random;

pub use network::to_json as params_json;

/// One comparison: inputs, and what must come of them.
#[derive(Clone, Debug)]
pub struct Case {
    /// The kind's name.
    pub kind: &'static str,
    /// What came of it, in words and rules' names: of one thing one, of several things each.
    pub sorts: BTreeSet<String>,
    json: Value,
}

impl Case {
    /// A case of inputs, which are an object, and what is expected.
    #[must_use]
    pub fn new(kind: &'static str, sort: impl Into<String>, inputs: Value, out: Value) -> Self {
        Self::of_sorts(kind, BTreeSet::from([sort.into()]), inputs, out)
    }

    /// The same, of which several things came.
    #[must_use]
    pub fn of_sorts(kind: &'static str, sorts: BTreeSet<String>, inputs: Value, out: Value) -> Self {
        let mut json = inputs;
        json["k"] = kind.into();
        json["out"] = out;
        Self { kind, sorts, json }
    }

    /// The case as a line, without its end.
    #[must_use]
    pub fn line(&self) -> String {
        self.json.to_string()
    }
}

/// What cases are drawn from.
pub struct Source {
    random: Random,
    cast: Vec<Account>,
    points: Vec<PublicKey>,
}

impl Source {
    fn new(kind: &str, seed: u64) -> Self {
        // A stream of its own for each kind: cases of one do not depend on which others are asked for.
        let seed = kind.bytes().fold(seed, |seed, byte| Random::new(seed ^ u64::from(byte)).number());
        let singles = (0..5).map(Account::numbered);
        let shared = [(2, 3), (1, 2), (2, 2), (3, 5), (1, 16), (16, 16)];
        let shared = (0..).zip(shared).map(|(number, (m, n))| Account::multisig(m, n, number));
        let cast: Vec<Account> = singles.chain(shared).collect();
        let mut points: Vec<PublicKey> =
            cast.iter().flat_map(|account| account.policy.keys()).copied().collect();
        points.sort();
        Self { random: Random::new(seed), cast, points }
    }
}

/// One kind of case.
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// How many the everyday comparison has.
    pub everyday: u64,
    make: fn(&mut Source) -> Case,
}

/// Every kind made here, cheap before dear.
pub const KINDS: &[Kind] = &[
    Kind { name: "bits", everyday: 10_000, make: numbers::bits },
    Kind { name: "target", everyday: 10_000, make: numbers::target },
    Kind { name: "asert", everyday: 10_000, make: numbers::asert },
    Kind { name: "reward", everyday: 10_000, make: numbers::reward },
    Kind { name: "header", everyday: 10_000, make: headers::header },
    Kind { name: "tx", everyday: 10_000, make: transactions::tx },
    Kind { name: "coinbase", everyday: 10_000, make: bytes::coinbase },
    Kind { name: "body", everyday: 10_000, make: bytes::body },
    Kind { name: "address", everyday: 10_000, make: text::address },
    Kind { name: "address_text", everyday: 10_000, make: text::address_text },
    Kind { name: "policy", everyday: 10_000, make: bytes::policy },
    Kind { name: "record", everyday: 10_000, make: bytes::record },
    Kind { name: "params", everyday: 10_000, make: network::params },
    Kind { name: "history", everyday: 10_000, make: trees::history },
    Kind { name: "body_tree", everyday: 1_000, make: trees::body_tree },
    Kind { name: "trie", everyday: 1_000, make: tries::trie },
    Kind { name: "proof", everyday: 1_000, make: tries::proof },
    Kind { name: "excerpt", everyday: 1_000, make: excerpts::excerpt },
    Kind { name: "headers", everyday: 1_000, make: headers::headers },
    Kind { name: "signed", everyday: 100, make: transactions::signed },
    Kind { name: "transition", everyday: 100, make: blocks::transition },
];

impl Kind {
    /// The kind of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// Its cases of a seed, without end.
    pub fn cases(&self, seed: u64) -> impl Iterator<Item = Case> {
        let mut source = Source::new(self.name, seed);
        let make = self.make;
        std::iter::repeat_with(move || make(&mut source))
    }
}

/// How many cases there are of each kind, and of these how many of each sort.
#[derive(Clone, Debug, Default)]
pub struct Statistics(BTreeMap<&'static str, (u64, BTreeMap<String, u64>)>);

impl Statistics {
    /// Counts a case.
    pub fn count(&mut self, case: &Case) {
        let (all, sorts) = self.0.entry(case.kind).or_default();
        *all += 1;
        for sort in &case.sorts {
            *sorts.entry(sort.clone()).or_default() += 1;
        }
    }

    /// Each kind that came up, with how many cases there are of it.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(kind, (all, _))| (*kind, *all))
    }

    /// Whether a kind has cases of this sort.
    #[must_use]
    pub fn has(&self, kind: &str, sort: &str) -> bool {
        self.0.get(kind).is_some_and(|(_, sorts)| sorts.contains_key(sort))
    }
}

/// One line a kind: each sort with its share in percent.
impl std::fmt::Display for Statistics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (kind, (all, sorts)) in &self.0 {
            write!(f, "{kind} {all}:")?;
            for (sort, count) in sorts {
                let hundredths = count * 10_000 / all;
                write!(f, " {sort} {}.{:02}", hundredths / 100, hundredths % 100)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
