//! Transaction rules, each broken in a transaction that is right otherwise: alone, and as the
//! second transaction of a block whose first is right.

use steelyard_core::consensus::error::{RuleError, TxRule};
use steelyard_core::crypto::keys::{PublicKey, Signature};
use steelyard_core::crypto::policy::{PolicyError, UncheckedPolicy};
use steelyard_core::encode::{DecodeError, List};
use steelyard_core::hash::{Address, AssetId, NetworkId};
use steelyard_core::state::{Key, Record};
use steelyard_core::types::transaction::{Action, TX_BYTES_MAX, Transaction, asset_id};
use steelyard_ledger::accounts::{Account, Terms, coins, issue, transfer, units};
use steelyard_ledger::chain::{Chain, seal};

use super::{TX_RULES, assert_all_broken, tx_rule};

/// Accounts, a chain on which they have done something, and the assets that came of it.
pub struct Stage {
    pub chain: Chain,
    pub alice: Account,
    pub carol: Account,
    shared: Account,
    gold: AssetId,
    fixed: AssetId,
}

/// What a rule is broken by.
struct Case {
    bytes: Vec<u8>,
    rule: TxRule,
}

const COINS_EACH: u64 = 100_000_000_000;
const GOLD: u64 = 1_000;

impl Stage {
    /// Alice has issued gold, which she can mint, and a fixed asset, of which Carol has some.
    pub fn new() -> Self {
        let (alice, carol, shared) = (Account::dev(0), Account::dev(2), Account::multisig(2, 3, 1));
        let mut chain = Chain::dev();
        chain.mine(1);
        let network = chain.network();
        let gold = alice.act(network, Terms::of_nonce(0), issue("GOLD", GOLD, true));
        let fixed = alice.act(network, Terms::of_nonce(1), issue("FIXED", 5, false));
        let (gold_id, fixed_id) = (asset_id(&gold.body.id()), asset_id(&fixed.body.id()));
        let payments = vec![units(fixed_id, carol.address, 2), coins(shared.address, 50)];
        let paid = alice.pay(network, Terms::of_nonce(2), payments);
        chain.mine_block(&[gold, fixed, paid]);
        Self { chain, alice, carol, shared, gold: gold_id, fixed: fixed_id }
    }

    /// Alice's next transaction.
    pub fn act(&self, action: Action) -> Transaction {
        self.alice.act(self.chain.network(), Terms::of_nonce(3), action)
    }

    /// Alice's next transaction, changed before she signs it.
    fn signed_after(&self, change: impl FnOnce(&mut Transaction)) -> Vec<u8> {
        let mut tx = self.act(transfer(vec![coins(self.carol.address, 1)]));
        change(&mut tx);
        self.alice.sign(tx.body).to_bytes()
    }

    /// The shared account's next transaction, changed after it was signed.
    fn changed_after(&self, change: impl FnOnce(&mut Transaction)) -> Vec<u8> {
        let payments = vec![coins(self.carol.address, 1)];
        let mut tx = self.shared.pay(self.chain.network(), Terms::of_nonce(0), payments);
        change(&mut tx);
        tx.to_bytes()
    }

    /// The verdict on a transaction alone, which must be the one in a block.
    fn verdict(&self, bytes: &[u8]) -> TxRule {
        let alone = self.chain.judge(bytes).unwrap_err();
        let right =
            self.carol.pay(self.chain.network(), Terms::of_nonce(0), vec![coins(self.carol.address, 1)]);
        let mut block = self.chain.draft(self.chain.expected_header().time, &self.chain.check_all(&[right]));
        block.body.items.push(bytes.to_vec());
        let refused = self.chain.check_and_connect(&seal(block)).unwrap_err();
        assert_eq!(refused, RuleError::Transaction { index: 2, rule: alone.clone() });
        alone
    }
}

/// Rules that need no state: bytes, form and what the action says.
fn form(stage: &Stage) -> Vec<Case> {
    let here = stage.chain.network();
    let good = stage.act(transfer(vec![coins(stage.carol.address, 1)])).to_bytes();
    let act = |action| stage.act(action).to_bytes();
    let symbol = |text: &[u8]| Action::Issue {
        symbol: List::new(text.to_vec()).unwrap(),
        decimals: 0,
        supply: 1,
        mintable: true,
    };
    let decimals = |decimals| Action::Issue {
        symbol: List::new(b"A".to_vec()).unwrap(),
        decimals,
        supply: 1,
        mintable: true,
    };
    let malformed = |bytes: Vec<u8>, error| Case { bytes, rule: TxRule::Malformed(error) };
    let case = |bytes, rule| Case { bytes, rule };
    let elsewhere = NetworkId([3; 32]);
    let longest = TX_BYTES_MAX;
    vec![
        malformed(vec![], DecodeError::Truncated),
        malformed(good[..good.len() - 1].to_vec(), DecodeError::Truncated),
        malformed([&good[..], &[0]].concat(), DecodeError::Trailing { excess: 1 }),
        malformed(vec![0; longest + 1], DecodeError::TooLong { got: longest + 1, max: longest }),
        case(stage.signed_after(|tx| tx.body.format = 0), TxRule::Format { got: 0, expected: 1 }),
        case(stage.signed_after(|tx| tx.body.format = 2), TxRule::Format { got: 2, expected: 1 }),
        case(
            stage.signed_after(|tx| tx.body.network = elsewhere),
            TxRule::WrongNetwork { got: elsewhere, expected: here },
        ),
        case(act(transfer(vec![])), TxRule::NoPayments),
        case(
            act(transfer(vec![coins(stage.carol.address, 1), coins(stage.carol.address, 0)])),
            TxRule::ZeroAmount { index: 1 },
        ),
        case(act(Action::Mint { asset: stage.gold, amount: 0 }), TxRule::ZeroAmount { index: 0 }),
        case(act(Action::Burn { asset: stage.gold, amount: 0 }), TxRule::ZeroAmount { index: 0 }),
        case(act(symbol(b"")), TxRule::Symbol),
        case(act(symbol(b"gold")), TxRule::Symbol),
        case(act(symbol(b"A B")), TxRule::Symbol),
        case(act(symbol(&[0xff])), TxRule::Symbol),
        case(act(decimals(19)), TxRule::Decimals { got: 19, max: 18 }),
        case(act(issue("NONE", 0, false)), TxRule::NoSupply),
        case(act(Action::Mint { asset: AssetId::COINS, amount: 1 }), TxRule::CoinsAreNoAsset),
        case(act(Action::Burn { asset: AssetId::COINS, amount: 1 }), TxRule::CoinsAreNoAsset),
    ]
}

/// Rules about who signed.
fn authorization(stage: &Stage) -> Vec<Case> {
    let case = |bytes, rule| Case { bytes, rule };
    let policy =
        |change: fn(&mut UncheckedPolicy)| stage.changed_after(|tx| change(&mut tx.authorization.policy));
    let signers = |signers| stage.changed_after(|tx| tx.authorization.signers = signers);
    let signatures = |change: fn(&mut Vec<Signature>)| {
        stage.changed_after(|tx| {
            let mut signatures = tx.authorization.signatures.to_vec();
            change(&mut signatures);
            tx.authorization.signatures = List::new(signatures).unwrap();
        })
    };
    let wrong_signers = |signers| TxRule::Signers { signers, threshold: 2, keys: 3 };
    let invalid = TxRule::InvalidPolicy;
    vec![
        case(policy(|p| p.threshold = 0), invalid(PolicyError::Threshold { threshold: 0, keys: 3 })),
        case(policy(|p| p.threshold = 4), invalid(PolicyError::Threshold { threshold: 4, keys: 3 })),
        case(policy(|p| p.keys.clear()), invalid(PolicyError::Threshold { threshold: 2, keys: 0 })),
        case(policy(|p| p.keys.swap(1, 2)), invalid(PolicyError::Unsorted { index: 2 })),
        case(policy(|p| p.keys[1] = p.keys[0]), invalid(PolicyError::Unsorted { index: 1 })),
        case(policy(|p| p.keys[2] = PublicKey([0xff; 32])), invalid(PolicyError::NotLiftable { index: 2 })),
        case(policy(|p| p.threshold = 1), TxRule::WrongSender),
        case(policy(|p| *p = Account::numbered(5).policy.into()), TxRule::WrongSender),
        case(stage.signed_after(|tx| tx.body.sender = Address([5; 32])), TxRule::WrongSender),
        case(signers(0b001), wrong_signers(0b001)),
        case(signers(0b111), wrong_signers(0b111)),
        case(signers(0b1001), wrong_signers(0b1001)),
        case(signers(0x8001), wrong_signers(0x8001)),
        case(signers(0), wrong_signers(0)),
        case(signatures(|s| s.truncate(1)), TxRule::SignatureCount { got: 1, expected: 2 }),
        case(signatures(|s| s.push(s[0])), TxRule::SignatureCount { got: 3, expected: 2 }),
        case(signatures(|s| s.swap(0, 1)), TxRule::InvalidSignature { index: 0 }),
        case(signatures(|s| s[1].0[63] ^= 1), TxRule::InvalidSignature { index: 1 }),
        case(signatures(|s| s[1] = s[0]), TxRule::InvalidSignature { index: 1 }),
        // Two of three, but the bitmap names another than signed.
        case(signers(0b101), TxRule::InvalidSignature { index: 1 }),
    ]
}

/// Rules that need the state.
fn state(stage: &Stage) -> Vec<Case> {
    let (gold, fixed, unknown) = (stage.gold, stage.fixed, AssetId([4; 32]));
    let to = stage.carol.address;
    let next = stage.chain.height() + 1;
    let pay = |terms, payments| stage.alice.pay_bytes(stage.chain.network(), terms, payments);
    let act = |action| stage.act(action).to_bytes();
    let by_dave = |action| Account::dev(3).act(stage.chain.network(), Terms::of_nonce(0), action).to_bytes();
    let one = || vec![coins(to, 1)];
    let case = |bytes, rule| Case { bytes, rule };
    let have = COINS_EACH - 50;
    let short = |need| TxRule::InsufficientFunds { have, need };
    let most = u64::MAX;
    vec![
        case(
            pay(Terms::of_nonce(3).expiry(next - 1), one()),
            TxRule::Expired { expiry: next - 1, height: next },
        ),
        case(pay(Terms::of_nonce(2), one()), TxRule::NonceUsed { got: 2, expected: 3 }),
        case(pay(Terms::of_nonce(4), one()), TxRule::NonceGap { got: 4, expected: 3 }),
        case(pay(Terms::of_nonce(most), one()), TxRule::NonceGap { got: most, expected: 3 }),
        case(pay(Terms::of_nonce(3), vec![coins(to, have + 1)]), short(u128::from(have) + 1)),
        case(pay(Terms::of_nonce(3).fee(1), vec![coins(to, have)]), short(u128::from(have) + 1)),
        case(pay(Terms::of_nonce(3).fee(most), vec![coins(to, most); 256]), short(u128::from(most) * 257)),
        case(
            pay(Terms::of_nonce(3), vec![units(gold, to, GOLD), units(gold, to, 1)]),
            TxRule::InsufficientAsset { asset: gold, have: GOLD, need: u128::from(GOLD) + 1 },
        ),
        case(
            act(Action::Burn { asset: fixed, amount: 4 }),
            TxRule::InsufficientAsset { asset: fixed, have: 3, need: 4 },
        ),
        case(
            pay(Terms::of_nonce(3), vec![units(unknown, to, 1)]),
            TxRule::InsufficientAsset { asset: unknown, have: 0, need: 1 },
        ),
        case(act(Action::Mint { asset: unknown, amount: 1 }), TxRule::UnknownAsset { asset: unknown }),
        case(act(Action::Burn { asset: unknown, amount: 1 }), TxRule::UnknownAsset { asset: unknown }),
        case(act(Action::Mint { asset: fixed, amount: 1 }), TxRule::NotMintable { asset: fixed }),
        case(by_dave(Action::Mint { asset: gold, amount: 1 }), TxRule::NotIssuer { asset: gold }),
        case(
            act(Action::Mint { asset: gold, amount: most - GOLD + 1 }),
            TxRule::SupplyOverflow { asset: gold },
        ),
        case(
            by_dave(transfer(vec![coins(to, COINS_EACH + 1)])),
            TxRule::InsufficientFunds { have: COINS_EACH, need: u128::from(COINS_EACH) + 1 },
        ),
    ]
}

#[test]
fn every_transaction_rule_is_found_by_name_alone_and_in_a_block() {
    let stage = Stage::new();
    let cases: Vec<Case> =
        form(&stage).into_iter().chain(authorization(&stage)).chain(state(&stage)).collect();
    for Case { bytes, rule } in &cases {
        assert_eq!(stage.verdict(bytes), *rule);
    }
    let overflow = tx_rule(&TxRule::BalanceOverflow); // its own test below
    assert_all_broken(TX_RULES, cases.iter().map(|case| tx_rule(&case.rule)).chain([overflow]));
}

/// The supply bounds every balance, so only a state that no history leads to gets there.
#[test]
fn a_balance_beyond_u64_is_refused() {
    let mut stage = Stage::new();
    let rich = Address([8; 32]);
    let full = Record::Account { balance: u64::MAX, nonce: 0 };
    stage.chain.tamper(Key::Account(rich), Some(full));
    let bytes = stage.act(transfer(vec![coins(rich, 1)])).to_bytes();
    assert_eq!(stage.verdict(&bytes), TxRule::BalanceOverflow);

    let full = Record::Holding { amount: u64::MAX };
    stage.chain.tamper(Key::Holding(rich, stage.gold), Some(full));
    let bytes = stage.act(transfer(vec![units(stage.gold, rich, 1)])).to_bytes();
    assert_eq!(stage.verdict(&bytes), TxRule::BalanceOverflow);
}

#[test]
fn transactions_at_the_limits_are_valid() {
    let stage = Stage::new();
    let next = stage.chain.height() + 1;
    let all = COINS_EACH - 50;
    let to = stage.carol.address;
    let pay = |terms, payments| stage.alice.pay_bytes(stage.chain.network(), terms, payments);
    let rest_of_supply = Action::Mint { asset: stage.gold, amount: u64::MAX - GOLD };
    for bytes in [
        pay(Terms::of_nonce(3).expiry(next), vec![coins(to, 1)]),
        pay(Terms::of_nonce(3).fee(1), vec![coins(to, all - 1)]),
        pay(Terms::of_nonce(3).fee(all), vec![units(stage.gold, to, GOLD)]),
        pay(Terms::of_nonce(3), vec![coins(to, 1); 256]),
        stage.act(rest_of_supply).to_bytes(),
        stage.act(Action::Burn { asset: stage.fixed, amount: 3 }).to_bytes(),
        stage.act(issue("ABCDEFGHIJ09", 0, true)).to_bytes(),
        stage.changed_after(|_| ()),
    ] {
        assert_eq!(stage.chain.judge(&bytes).map(|tx| tx.bytes().to_vec()), Ok(bytes));
    }
}
