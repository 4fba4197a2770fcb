//! The state beside a plain model of it: maps of what everybody has, changed transaction by
//! transaction as one would on paper. Must not call the rules that it is compared with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use proptest::prelude::*;

use steelyard_core::consensus::transaction::shape;
use steelyard_core::consensus::transition::{Overlay, apply, apply_changes};
use steelyard_core::crypto::keys::Signature;
use steelyard_core::encode::List;
use steelyard_core::hash::{Address, AssetId, NetworkId};
use steelyard_core::state::{Key, Record, Trie};
use steelyard_core::types::body::Coinbase;
use steelyard_core::types::transaction::{Action, Payment, Transaction, asset_id};
use steelyard_ledger::accounts::{Account, Terms, transfer};
use steelyard_ledger::chain::Chain;
use steelyard_ledger::random::Random;
use steelyard_ledger::story::Story;

use super::values::law;

/// What everybody has, and what there is.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    /// Units above zero; coins are those of [`AssetId::COINS`].
    units: BTreeMap<(Address, AssetId), u64>,
    /// Transactions made, by those who made one.
    nonces: BTreeMap<Address, u64>,
    /// Issuer, supply, and whether there may be more.
    assets: BTreeMap<AssetId, (Address, u64, bool)>,
}

impl Model {
    /// What a state says.
    fn of(state: &Trie) -> Self {
        let mut model = Self::default();
        for (key, record) in state.iter() {
            match (key, record) {
                (Key::Account(address), Record::Account { balance, nonce }) => {
                    if *balance > 0 {
                        model.units.insert((address, AssetId::COINS), *balance);
                    }
                    if *nonce > 0 {
                        model.nonces.insert(address, *nonce);
                    }
                }
                (Key::Holding(address, asset), Record::Holding { amount }) => {
                    model.units.insert((address, asset), *amount);
                }
                (Key::Asset(asset), Record::Asset(of)) => {
                    model.assets.insert(asset, (of.issuer, of.supply, of.mintable));
                }
                other => panic!("{other:?}"),
            }
        }
        model
    }

    fn has(&self, address: Address, asset: AssetId) -> u64 {
        self.units.get(&(address, asset)).copied().unwrap_or(0)
    }

    fn put(&mut self, address: Address, asset: AssetId, units: u64) {
        match units {
            0 => self.units.remove(&(address, asset)),
            _ => self.units.insert((address, asset), units),
        };
    }

    fn give(&mut self, address: Address, asset: AssetId, units: u64) -> Result<(), &'static str> {
        let sum = self.has(address, asset).checked_add(units).ok_or("balance_overflow")?;
        self.put(address, asset, sum);
        Ok(())
    }

    fn take(&mut self, address: Address, asset: AssetId, units: u128) -> Result<(), &'static str> {
        let short = if asset == AssetId::COINS { "insufficient_funds" } else { "insufficient_asset" };
        let left = u128::from(self.has(address, asset)).checked_sub(units).ok_or(short)?;
        self.put(address, asset, u64::try_from(left).unwrap());
        Ok(())
    }

    /// All of a transaction or the rule that refuses it.
    fn act(&mut self, tx: &Transaction) -> Result<(), &'static str> {
        let (sender, mut after) = (tx.body.sender, self.clone());
        let mut due = BTreeMap::from([(AssetId::COINS, u128::from(tx.body.fee))]);
        if let Action::Transfer { payments } = &tx.body.action {
            for Payment { asset, amount, .. } in payments.iter() {
                *due.entry(*asset).or_default() += u128::from(*amount);
            }
        }
        for (asset, units) in due {
            after.take(sender, asset, units)?;
        }
        *after.nonces.entry(sender).or_default() += 1;
        match &tx.body.action {
            Action::Transfer { payments } => {
                for Payment { asset, to, amount } in payments.iter() {
                    after.give(*to, *asset, *amount)?;
                }
            }
            Action::Issue { supply, mintable, .. } => {
                let asset = asset_id(&tx.body.id());
                after.assets.insert(asset, (sender, *supply, *mintable));
                after.give(sender, asset, *supply)?;
            }
            Action::Mint { asset, amount } => {
                let (issuer, supply, mintable) = after.assets.get_mut(asset).ok_or("unknown_asset")?;
                assert!(
                    *issuer == sender && *mintable,
                    "only its issuer makes more of it, where there may be more"
                );
                *supply = supply.checked_add(*amount).ok_or("supply_overflow")?;
                after.give(sender, *asset, *amount)?;
            }
            Action::Burn { asset, amount } => {
                after.assets.get_mut(asset).ok_or("unknown_asset")?.1 -= amount;
                after.take(sender, *asset, u128::from(*amount))?;
            }
        }
        *self = after;
        Ok(())
    }

    /// What an address holds other than coins, by asset.
    fn holdings(&self, address: Address) -> Vec<(AssetId, u64)> {
        let own = |((owner, asset), units): (&(Address, AssetId), &u64)| {
            (*owner == address && *asset != AssetId::COINS).then_some((*asset, *units))
        };
        self.units.iter().filter_map(own).collect()
    }
}

/// The list of each address's holdings, whole and cut at any length, is the model's.
fn assert_holdings(state: &Trie, model: &Model) -> usize {
    let mut longest = 0;
    let strangers = [Address([9; 32]), Address::ZERO];
    let everybody: BTreeSet<Address> =
        model.units.keys().map(|(address, _)| *address).chain(strangers).collect();
    for address in everybody {
        let expected = model.holdings(address);
        for limit in 0..=expected.len() + 1 {
            let held = state.holdings(&address, limit);
            assert_eq!(held, expected[..limit.min(expected.len())], "{address:?}, {limit}");
        }
        longest = longest.max(expected.len());
    }
    longest
}

#[test]
fn a_chain_does_what_a_plain_model_does() {
    let mut story = Story::new(Random::for_test(91));
    let mut chain: Chain = Story::chain();
    let mut model = Model::of(chain.state());
    let (mut mixed, mut longest) = (0, 0);
    for _ in 0..80 {
        story.go_on(&mut chain, 1);
        let items = &chain.block(chain.height()).body.items;
        let mut fees = 0;
        for bytes in &items[1..] {
            let tx = Transaction::from_bytes(bytes).unwrap();
            assert_eq!(model.act(&tx), Ok(()));
            fees += tx.body.fee;
            if let Action::Transfer { payments } = &tx.body.action {
                let assets: BTreeSet<AssetId> = payments.iter().map(|payment| payment.asset).collect();
                mixed += usize::from(assets.len() > 1);
            }
        }
        let coinbase = Coinbase::from_bytes(&items[0]).unwrap();
        assert_eq!(coinbase.amount, chain.params().reward(chain.height()) + fees);
        model.give(coinbase.miner, AssetId::COINS, coinbase.amount).unwrap();
        assert_eq!(Model::of(chain.state()), model, "height {}", chain.height());
        longest = longest.max(assert_holdings(chain.state(), &model));
    }
    println!("{mixed} transfers of mixed assets, {longest} assets in one hand");
    assert!(mixed > 20 && longest > 3, "the story has everything in it");
}

/// A small world: the sender, two others, coins and three assets, one of which nobody has.
static HANDS: LazyLock<[Address; 3]> =
    LazyLock::new(|| [Account::dev(0).address, Account::numbered(1).address, Address([3; 32])]);

const ASSETS: [AssetId; 4] = [AssetId::COINS, AssetId([1; 32]), AssetId([2; 32]), AssetId([3; 32])];

fn units() -> impl Strategy<Value = u64> {
    prop_oneof![1 => 0..4u64, 4 => 20..200u64, 1 => Just(u64::MAX), 1 => u64::MAX - 20..u64::MAX]
}

fn payments() -> impl Strategy<Value = Vec<Payment>> {
    let one = (
        prop_oneof![10 => 0..3usize, 1 => Just(3)],
        0..3usize,
        prop_oneof![60 => 1..12u64, 1 => Just(u64::MAX), 1 => 1..u64::MAX],
    );
    let payment =
        |(asset, to, amount): (usize, usize, u64)| Payment { asset: ASSETS[asset], to: HANDS[to], amount };
    prop::collection::vec(one.prop_map(payment), 1..12)
}

/// Of any balances, any payments of several assets at once: debited as sums before anything is
/// credited, or refused for the first asset that does not suffice.
#[test]
fn a_transfer_of_mixed_assets_is_all_or_nothing() {
    let network = NetworkId([7; 32]);
    let balances = prop::collection::vec(units(), 3 * (ASSETS.len() - 1));
    let sender = Account::dev(0);
    let (done, refused) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    law(92, 2_000, (balances, payments(), 0..6u64), |(balances, payments, fee)| {
        let mut state = Trie::new();
        for (place, units) in balances.into_iter().enumerate().filter(|(_, units)| *units > 0) {
            let (address, asset) = (HANDS[place % 3], ASSETS[place / 3]);
            state.update([match asset {
                AssetId::COINS => (Key::Account(address), Some(Record::Account { balance: units, nonce: 0 })),
                _ => (Key::Holding(address, asset), Some(Record::Holding { amount: units })),
            }]);
        }
        // Nobody looks at the signature here.
        let body = sender.body(network, Terms::of_nonce(0).fee(fee), transfer(payments));
        let mut tx = sender.sign_by(&[], body);
        tx.authorization.signers = 1;
        tx.authorization.signatures = List::new(vec![Signature([0; 64])]).expect("one");
        let checked = shape(&network, &tx.to_bytes()).expect("a right form").known_to_verify();
        let mut overlay = Overlay::new(&state);
        let verdict = apply(&mut overlay, 1, &checked).map_err(|rule| rule.name());
        let mut model = Model::of(&state);
        prop_assert_eq!(verdict, model.act(&tx));
        let counter = if verdict.is_ok() { &done } else { &refused };
        counter.set(counter.get() + 1);
        if verdict.is_ok() {
            let after = apply_changes(&state, &overlay.into_changes());
            prop_assert_eq!(Model::of(&after), model.clone());
            assert_holdings(&after, &model);
        }
        Ok(())
    });
    println!("{} done, {} refused", done.get(), refused.get());
    assert!(done.get() > 200 && refused.get() > 200, "both happen");
}
