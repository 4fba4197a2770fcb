//! Scenario 15: money rules. Each attack at the door of single transactions and in a block, and
//! the supply at every height.

use steelyard_core::amount::{AmountError, COIN, Coins};
use steelyard_core::consensus::error::{RuleError, TxRule};
use steelyard_core::encode::List;
use steelyard_core::state::Key;
use steelyard_core::types::transaction::{Transaction, TxBody};
use steelyard_ledger::accounts::{Account, Terms, coins};
use steelyard_ledger::chain::{Chain, seal};

const OWNED: u64 = 1_000 * COIN;

struct Parties {
    chain: Chain,
    alice: Account,
    bob: Account,
    thief: Account,
}

impl Parties {
    fn new() -> Self {
        let mut chain = Chain::dev();
        chain.mine(2);
        Self { chain, alice: Account::dev(0), bob: Account::dev(1), thief: Account::numbered(66) }
    }

    /// Alice's payment to the thief.
    fn pays_thief(&self, nonce: u64, amount: u64) -> Transaction {
        self.alice.pay(self.chain.network(), Terms::of_nonce(nonce), vec![coins(self.thief.address, amount)])
    }

    /// Why a block is refused that a careless miner makes of these.
    fn verdict(&self, txs: &[&Transaction]) -> Option<(usize, TxRule)> {
        let mut block = self.chain.empty_draft();
        block.body.items.extend(txs.iter().map(|tx| tx.to_bytes()));
        match self.chain.check_and_connect(&seal(block)) {
            Err(RuleError::Transaction { index, rule }) => Some((index, rule)),
            _ => None,
        }
    }

    /// Refused alone and in a block, for the same reason.
    fn assert_refused(&self, tx: &Transaction, rule: &TxRule) {
        assert_eq!(self.chain.judge(&tx.to_bytes()).as_ref().unwrap_err(), rule);
        assert_eq!(self.verdict(&[tx]), Some((1, rule.clone())));
    }
}

#[test]
fn scenario_15_money_rules_amounts() {
    let p = Parties::new();
    p.assert_refused(&p.pays_thief(0, 0), &TxRule::ZeroAmount { index: 0 });
    // There is no sign: what reads as -1000 elsewhere is a very large amount here.
    let minus = 1_000u64.wrapping_neg();
    let need = u128::from(minus);
    p.assert_refused(&p.pays_thief(0, minus), &TxRule::InsufficientFunds { have: OWNED, need });
    let need = u128::from(OWNED) + 1;
    p.assert_refused(&p.pays_thief(0, OWNED + 1), &TxRule::InsufficientFunds { have: OWNED, need });
    // Sums that would wrap to 0 or to little in 64 bits.
    let halves = vec![coins(p.thief.address, 1 << 63), coins(p.thief.address, 1 << 63)];
    let tx = p.alice.pay(p.chain.network(), Terms::of_nonce(0), halves);
    p.assert_refused(&tx, &TxRule::InsufficientFunds { have: OWNED, need: 1 << 64 });
    let tx =
        p.alice.pay(p.chain.network(), Terms::of_nonce(0).fee(u64::MAX), vec![coins(p.thief.address, 2)]);
    p.assert_refused(&tx, &TxRule::InsufficientFunds { have: OWNED, need: (1 << 64) + 1 });
    // A thief without coins, but no fee either, has nothing to pay with.
    let tx = p.thief.pay(p.chain.network(), Terms::of_nonce(0), vec![coins(p.thief.address, 1)]);
    p.assert_refused(&tx, &TxRule::InsufficientFunds { have: 0, need: 1 });
}

/// Where amounts are text, only exact decimals are amounts.
#[test]
fn scenario_15_money_rules_fractions() {
    for text in ["-1", "NaN", "inf", "1e3", "0x10", "1/2", ""] {
        assert_eq!(text.parse::<Coins>(), Err(AmountError::NotDecimal), "{text}");
    }
    assert_eq!("0.000000001".parse::<Coins>(), Err(AmountError::TooFine { max: 8 }));
    assert_eq!("184467440737.09551616".parse::<Coins>(), Err(AmountError::TooLarge));
}

#[test]
fn scenario_15_money_rules_self_transfer() {
    let mut p = Parties::new();
    let to_self = |amount, nonce| {
        p.alice.pay(p.chain.network(), Terms::of_nonce(nonce).fee(5), vec![coins(p.alice.address, amount)])
    };
    // Paying oneself needs the money too: everything is debited before anything is credited.
    let need = u128::from(OWNED) + 5;
    p.assert_refused(&to_self(OWNED, 0), &TxRule::InsufficientFunds { have: OWNED, need });
    let (one, two) = (to_self(20, 0), to_self(OWNED - 10, 1));
    p.chain.mine_block(&[one, two]);
    assert_eq!(p.chain.balance(p.alice.address), OWNED - 10, "only the fees leave");
}

#[test]
fn scenario_15_money_rules_replay() {
    let mut p = Parties::new();
    let paid = p.pays_thief(0, 10);
    let used = TxRule::NonceUsed { got: 0, expected: 1 };
    assert_eq!(p.verdict(&[&paid, &paid]), Some((2, used.clone())), "twice in one block");
    p.chain.mine_block(std::slice::from_ref(&paid));
    p.assert_refused(&paid, &used);
    // Even when the account is empty meanwhile, and for ever after.
    let all = p.alice.pay(p.chain.network(), Terms::of_nonce(1), vec![coins(p.bob.address, OWNED - 10)]);
    p.chain.mine_block(&[all]);
    p.chain.pay(&p.bob, p.alice.address, 500);
    p.chain.mine(5);
    p.assert_refused(&paid, &TxRule::NonceUsed { got: 0, expected: 2 });
    assert_eq!(p.chain.balance(p.thief.address), 10);
    // Nor does it play on another network, though the keys are the same.
    let mut params = p.chain.params().clone();
    params.name = "dev-2".into();
    let other = Chain::new(params);
    let wrong = TxRule::WrongNetwork { got: p.chain.network(), expected: other.network() };
    assert_eq!(other.judge(&paid.to_bytes()).unwrap_err(), wrong);
}

#[test]
fn scenario_15_money_rules_double_spend_in_one_block() {
    let mut p = Parties::new();
    let all = |to: &Account, nonce| {
        p.alice.pay(p.chain.network(), Terms::of_nonce(nonce), vec![coins(to.address, OWNED)])
    };
    let (to_thief, to_bob) = (all(&p.thief, 0), all(&p.bob, 0));
    let used = TxRule::NonceUsed { got: 0, expected: 1 };
    assert_eq!(p.verdict(&[&to_thief, &to_bob]), Some((2, used)));
    let short = TxRule::InsufficientFunds { have: 0, need: u128::from(OWNED) };
    assert_eq!(p.verdict(&[&to_thief, &all(&p.bob, 1)]), Some((2, short)));
    // A template keeps the first and leaves the other out.
    let drafted =
        p.chain.draft(p.chain.expected_header().time, &p.chain.check_all(&[to_thief.clone(), to_bob]));
    assert_eq!(drafted.body.items[1..], [to_thief.to_bytes()]);
    // What comes in within a block may go out within it, but the miner's pay may not.
    let onward = p.thief.pay(p.chain.network(), Terms::of_nonce(0), vec![coins(p.bob.address, OWNED)]);
    p.chain.mine_block(&[to_thief, onward]);
    assert_eq!((p.chain.balance(p.bob.address), p.chain.balance(p.thief.address)), (2 * OWNED, 0));
    let miner = Account::numbered(7);
    let mut mined = p.chain.mined_by(&miner);
    let spend = miner.pay(mined.network(), Terms::of_nonce(0), vec![coins(p.bob.address, 1)]);
    let early = TxRule::InsufficientFunds { have: 0, need: 1 };
    assert_eq!(mined.judge(&spend.to_bytes()).unwrap_err(), early);
    mined.mine_block(&[]);
    mined.mine_block(&[spend]);
}

#[test]
fn scenario_15_money_rules_forged_sender() {
    let p = Parties::new();
    let mut stolen = p.pays_thief(0, OWNED);
    // Alice's body, the thief's policy and signature: the policy is not the sender's.
    let own = p.thief.sign(stolen.body.clone());
    stolen.authorization = own.authorization;
    p.assert_refused(&stolen, &TxRule::WrongSender);
    // Alice's policy, the thief's signature.
    let mut stolen = p.pays_thief(0, OWNED);
    let id = stolen.body.id();
    stolen.authorization.signatures = List::new(vec![p.thief.secrets[0].sign(&id.0)]).unwrap();
    p.assert_refused(&stolen, &TxRule::InvalidSignature { index: 0 });
    // Alice's signature over something smaller.
    let mut stolen = p.pays_thief(0, 1);
    stolen.body = p.pays_thief(0, OWNED).body;
    p.assert_refused(&stolen, &TxRule::InvalidSignature { index: 0 });
    // A key of Alice's is in another policy too: what she signed there does not move here.
    let keys = [Account::dev(0), Account::numbered(66)].into_iter().flat_map(|account| account.secrets);
    let shared = Account::of_keys(1, keys.collect());
    let by_alice = shared.secrets.iter().position(|key| key.public() == p.alice.secrets[0].public()).unwrap();
    let mut moved = p.pays_thief(0, 1);
    let signed = shared.sign_by(&[by_alice], TxBody { sender: shared.address, ..moved.body.clone() });
    moved.authorization.signatures = signed.authorization.signatures;
    p.assert_refused(&moved, &TxRule::InvalidSignature { index: 0 });
}

#[test]
fn scenario_15_money_rules_supply() {
    let mut p = Parties::new();
    let sum = |chain: &Chain| -> u128 {
        let balances = chain.state().iter().map(|(key, _)| match key {
            Key::Account(address) => u128::from(chain.balance(address)),
            _ => 0,
        });
        balances.sum()
    };
    for height in 3..30 {
        p.chain.pay(&p.alice, p.bob.address, height);
        p.chain.mine(1);
        let rewards = u128::from(height) * 10 * u128::from(COIN);
        assert_eq!(sum(&p.chain), 10 * u128::from(OWNED) + rewards);
        assert_eq!(sum(&p.chain), u128::from(p.chain.params().supply(height)));
    }
}
