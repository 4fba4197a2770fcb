//! Every rule broken once and found by its exact variant with what was got and expected: the door of
//! the rules themselves; those of a node are in `doors` of the other suite. A rule without a case does
//! not compile or fails here. Must not know how a rule is checked.

mod blocks;
mod headers;
mod order;
mod transactions;

use std::collections::BTreeSet;

use steelyard_core::consensus::error::{BlockRule, HeaderRule, TxRule};
use steelyard_ledger::broken::{BlockCase, Stage};

/// Lists the variants of an enum of rules, with the names by which the API gives them out, which
/// are frozen. The match has no other arm: a variant that is not listed does not compile, and
/// [`assert_all_broken`] asks for a case of each one listed.
macro_rules! rules {
    ($all:ident, $name_of:ident, $rules:ident: $($variant:ident = $name:literal),+ $(,)?) => {
        pub(crate) const $all: &[&str] = &[$($name),+];

        fn $name_of(rule: &$rules) -> &'static str {
            let name = match rule {
                $($rules::$variant { .. } => $name,)+
            };
            assert_eq!(rule.name(), name, "names are frozen");
            name
        }
    };
}

rules!(HEADER_RULES, header_rule, HeaderRule:
    Version = "header_version",
    Height = "header_height",
    Prev = "header_prev",
    PrevTime = "header_prev_time",
    Elapsed = "header_elapsed",
    Time = "header_time",
    Bits = "header_bits",
    ProofOfWork = "proof_of_work",
    HistoryRoot = "history_root",
    Work = "total_work",
);
rules!(BLOCK_RULES, block_rule, BlockRule:
    BodyRoot = "body_root",
    Size = "block_size",
    NoCoinbase = "no_coinbase",
    MalformedCoinbase = "malformed_coinbase",
    CoinbaseHeight = "coinbase_height",
    TransactionCount = "transaction_count",
    NewRecords = "new_records",
    CoinbaseAmount = "coinbase_amount",
    StateRoot = "state_root",
);
rules!(TX_RULES, tx_rule, TxRule:
    Malformed = "malformed",
    Format = "format",
    WrongNetwork = "wrong_network",
    NoPayments = "no_payments",
    ZeroAmount = "zero_amount",
    Symbol = "symbol",
    Decimals = "decimals",
    NoSupply = "no_supply",
    CoinsAreNoAsset = "coins_are_no_asset",
    InvalidPolicy = "invalid_policy",
    WrongSender = "wrong_sender",
    Signers = "signers",
    SignatureCount = "signature_count",
    InvalidSignature = "invalid_signature",
    Expired = "expired",
    NonceUsed = "nonce_used",
    NonceGap = "nonce_gap",
    InsufficientFunds = "insufficient_funds",
    InsufficientAsset = "insufficient_asset",
    UnknownAsset = "unknown_asset",
    NotMintable = "not_mintable",
    NotIssuer = "not_issuer",
    SupplyOverflow = "supply_overflow",
    BalanceOverflow = "balance_overflow",
);

/// Every rule has been broken by a case.
fn assert_all_broken(all: &[&'static str], broken: impl IntoIterator<Item = &'static str>) {
    let broken: BTreeSet<_> = broken.into_iter().collect();
    let missing: Vec<_> = all.iter().filter(|name| !broken.contains(*name)).collect();
    assert!(missing.is_empty(), "no case breaks {missing:?}");
}

/// The rules say of each block on the stage's tip what its case says, and each has a name of its own.
fn assert_verdicts(stage: &Stage, cases: &[BlockCase]) {
    for BlockCase { name, block, verdict } in cases {
        assert_eq!(stage.chain.check_and_connect(block).map(|_| ()), *verdict, "{name}");
    }
    let names: BTreeSet<_> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len(), "a name says which");
}
