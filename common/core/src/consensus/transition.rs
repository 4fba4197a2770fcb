//! What a block does to the state, and how it is taken back. Pure: state in, state out; whoever
//! calls stores the difference. Must not know where the state is kept.

use std::collections::BTreeMap;

use crate::consensus::block::CheckedBlock;
use crate::consensus::error::{BlockRule, RuleError, TxRule};
use crate::consensus::transaction::CheckedTx;
use crate::hash::{Address, AssetId};
use crate::join::Join;
use crate::params::Params;
use crate::state::record::{AssetDescription, Key, Record};
use crate::state::{StateRead, Trie};
use crate::types::transaction::{Action, Payment, asset_id};

/// One record before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub key: Key,
    /// Before; absent if `None`.
    pub old: Option<Record>,
    /// After; absent if `None`.
    pub new: Option<Record>,
}

/// A block with the state after it. Only [`connect_block`] makes one.
#[derive(Clone, Debug)]
pub struct ConnectedBlock {
    block: CheckedBlock,
    changes: Vec<Change>,
    state: Trie,
}

impl ConnectedBlock {
    /// The block.
    #[must_use]
    pub fn block(&self) -> &CheckedBlock {
        &self.block
    }

    /// What it changed, ascending by key: `new` replays it, `old` takes it back.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The state after it.
    #[must_use]
    pub fn state(&self) -> &Trie {
        &self.state
    }

    /// The block, what it changed, and the state after it.
    #[must_use]
    pub fn into_parts(self) -> (CheckedBlock, Vec<Change>, Trie) {
        (self.block, self.changes, self.state)
    }
}

/// Executes a block on the state after its parent. The parts of the new state that do not depend on each
/// other are worked out by `join`.
///
/// # Errors
/// The first rule that is broken: transactions in block order, new records, the coinbase's
/// amount, the state root.
pub fn connect_block(
    params: &Params,
    state: &Trie,
    block: CheckedBlock,
    join: Join,
) -> Result<ConnectedBlock, RuleError> {
    let height = block.header().header.height;
    let mut overlay = Overlay::of_known(state, accounts_of(block.txs()), join);
    let mut fees: u64 = 0;
    for (place, tx) in block.txs().iter().enumerate() {
        let in_block = |rule| RuleError::Transaction { index: place + 1, rule };
        apply(&mut overlay, height, tx).map_err(in_block)?;
        // The fees of a block were all debited from balances, whose sum fits.
        fees = fees.checked_add(tx.tx().body.fee).ok_or_else(|| in_block(TxRule::BalanceOverflow))?;
    }
    let (got, max) = (overlay.new_records(), params.new_records_max);
    if got > max {
        return Err(BlockRule::NewRecords { got, max }.into());
    }
    let expected = params.reward(height).saturating_add(fees);
    let coinbase = block.coinbase();
    if coinbase.amount != expected {
        return Err(BlockRule::CoinbaseAmount { got: coinbase.amount, expected }.into());
    }
    credit_miner(&mut overlay, coinbase.miner, coinbase.amount)?;
    let changes = overlay.into_changes();
    let mut state = state.clone();
    state.update_with(news(&changes), join);
    let (got, expected) = (state.root(), block.header().header.state_root);
    if got != expected {
        return Err(BlockRule::StateRoot { got, expected }.into());
    }
    Ok(ConnectedBlock { block, changes, state })
}

/// The accounts that transactions are about, each once, ascending.
fn accounts_of(txs: &[CheckedTx]) -> Vec<Key> {
    let mut accounts = Vec::with_capacity(2 * txs.len());
    for tx in txs {
        let body = &tx.tx().body;
        accounts.push(Key::Account(body.sender));
        if let Action::Transfer { payments } = &body.action {
            let in_coins = payments.iter().filter(|payment| payment.asset == AssetId::COINS);
            accounts.extend(in_coins.map(|payment| Key::Account(payment.to)));
        }
    }
    accounts.sort_unstable();
    accounts.dedup();
    accounts
}

/// The state after these changes.
#[must_use]
pub fn apply_changes(state: &Trie, changes: &[Change]) -> Trie {
    let mut state = state.clone();
    state.update(news(changes));
    state
}

fn news(changes: &[Change]) -> impl Iterator<Item = (Key, Option<Record>)> {
    changes.iter().map(|change| (change.key, change.new.clone()))
}

/// The state before these changes, given the state after them.
#[must_use]
pub fn disconnect_changes(state: &Trie, changes: &[Change]) -> Trie {
    let mut state = state.clone();
    state.update(changes.iter().map(|change| (change.key, change.old.clone())));
    state
}

/// Credits the miner, after the last transaction: spendable in the next block.
///
/// # Errors
/// [`TxRule::BalanceOverflow`] of the coinbase, which the supply's bound makes impossible.
pub fn credit_miner(overlay: &mut Overlay<'_>, miner: Address, amount: u64) -> Result<(), RuleError> {
    credit(overlay, AssetId::COINS, miner, amount).map_err(|rule| RuleError::Transaction { index: 0, rule })
}

/// Executes one transaction for a block of height `height`. On an error the overlay may be
/// half changed and must be dropped, unless it was checkpointed by [`Overlay::child`].
///
/// # Errors
/// The first rule that is broken: expiry, nonce, funds, then the action's own.
pub fn apply(overlay: &mut Overlay<'_>, height: u64, tx: &CheckedTx) -> Result<(), TxRule> {
    let body = &tx.tx().body;
    if body.expiry != 0 && height > body.expiry {
        return Err(TxRule::Expired { expiry: body.expiry, height });
    }
    let (balance, nonce) = overlay.account_to_change(body.sender);
    if body.nonce < nonce {
        return Err(TxRule::NonceUsed { got: body.nonce, expected: nonce });
    }
    if body.nonce > nonce {
        return Err(TxRule::NonceGap { got: body.nonce, expected: nonce });
    }
    // 2^64-1 transactions of one sender never come; but nothing here may wrap.
    let following = nonce.checked_add(1).ok_or(TxRule::NonceUsed { got: nonce, expected: nonce })?;
    let payments: &[Payment] = match &body.action {
        Action::Transfer { payments } => payments,
        _ => &[],
    };
    // Everything is debited before anything is credited: paying oneself needs the money too.
    let outflow = outflow(body.fee, payments);
    for (asset, need) in &outflow {
        let have = if *asset == AssetId::COINS { balance } else { overlay.holding(body.sender, *asset) };
        let left = u128::from(have).checked_sub(*need).and_then(|left| u64::try_from(left).ok());
        match (left, *asset == AssetId::COINS) {
            (Some(balance), true) => {
                overlay.set(Key::Account(body.sender), Some(Record::Account { balance, nonce: following }));
            }
            (Some(amount), false) => overlay.set_holding(body.sender, *asset, amount),
            (None, true) => return Err(TxRule::InsufficientFunds { have, need: *need }),
            (None, false) => return Err(TxRule::InsufficientAsset { asset: *asset, have, need: *need }),
        }
    }
    payments.iter().try_for_each(|payment| credit(overlay, payment.asset, payment.to, payment.amount))?;
    apply_asset_action(overlay, tx)
}

/// What a transaction takes from its sender, by asset: coins first (the fee alone for actions
/// that pay nobody). Sums of at most 257 u64 fit u128.
#[must_use]
pub fn outflow(fee: u64, payments: &[Payment]) -> BTreeMap<AssetId, u128> {
    let mut outflow = BTreeMap::from([(AssetId::COINS, u128::from(fee))]);
    for payment in payments {
        *outflow.entry(payment.asset).or_default() += u128::from(payment.amount);
    }
    outflow
}

fn apply_asset_action(overlay: &mut Overlay<'_>, tx: &CheckedTx) -> Result<(), TxRule> {
    let sender = tx.tx().body.sender;
    match &tx.tx().body.action {
        Action::Transfer { .. } => Ok(()),
        Action::Issue { symbol, decimals, supply, mintable } => {
            let asset = asset_id(&tx.id());
            let symbol = String::from_utf8(symbol.to_vec()).map_err(|_| TxRule::Symbol)?;
            let (decimals, supply, mintable) = (*decimals, *supply, *mintable);
            let description = AssetDescription { issuer: sender, symbol, decimals, supply, mintable };
            overlay.set(Key::Asset(asset), Some(Record::Asset(Box::new(description))));
            credit(overlay, asset, sender, supply)
        }
        Action::Mint { asset, amount } => {
            let asset = *asset;
            let mut description = overlay.asset(asset).ok_or(TxRule::UnknownAsset { asset })?;
            if !description.mintable {
                return Err(TxRule::NotMintable { asset });
            }
            if description.issuer != sender {
                return Err(TxRule::NotIssuer { asset });
            }
            let supply = description.supply.checked_add(*amount);
            description.supply = supply.ok_or(TxRule::SupplyOverflow { asset })?;
            overlay.set(Key::Asset(asset), Some(Record::Asset(description)));
            credit(overlay, asset, sender, *amount)
        }
        Action::Burn { asset, amount } => {
            let (asset, amount) = (*asset, *amount);
            let mut description = overlay.asset(asset).ok_or(TxRule::UnknownAsset { asset })?;
            let have = overlay.holding(sender, asset);
            let short = TxRule::InsufficientAsset { asset, have, need: u128::from(amount) };
            let left = have.checked_sub(amount).ok_or(short)?;
            // A holding is never more than the supply.
            description.supply = description.supply.saturating_sub(amount);
            overlay.set_holding(sender, asset, left);
            overlay.set(Key::Asset(asset), Some(Record::Asset(description)));
            Ok(())
        }
    }
}

fn credit(overlay: &mut Overlay<'_>, asset: AssetId, to: Address, amount: u64) -> Result<(), TxRule> {
    if asset == AssetId::COINS {
        let (balance, nonce) = overlay.account_to_change(to);
        let balance = balance.checked_add(amount).ok_or(TxRule::BalanceOverflow)?;
        let record = (balance > 0 || nonce > 0).then_some(Record::Account { balance, nonce });
        overlay.set(Key::Account(to), record);
    } else {
        let held = overlay.holding(to, asset).checked_add(amount).ok_or(TxRule::BalanceOverflow)?;
        overlay.set_holding(to, asset, held);
    }
    Ok(())
}

/// Changes on top of a state that stays as it is.
pub struct Overlay<'a> {
    base: &'a dyn StateRead,
    /// Record before (of `base`) and now, of what was set and of what was looked up on the way to it:
    /// looking up in a large state is what executing costs most.
    touched: BTreeMap<Key, (Option<Record>, Option<Record>)>,
    /// Of these, absent before and present now.
    created: u64,
}

impl<'a> Overlay<'a> {
    /// Nothing changed yet.
    #[must_use]
    pub fn new(base: &'a dyn StateRead) -> Self {
        Self { base, touched: BTreeMap::new(), created: 0 }
    }

    /// Nothing changed yet, and these, ascending, looked up already: together they cost less.
    fn of_known(base: &'a Trie, keys: Vec<Key>, join: Join) -> Self {
        let records: Vec<Option<Record>> =
            base.get_each(&keys, join).into_iter().map(Option::<&Record>::cloned).collect();
        let touched = keys.into_iter().zip(records.into_iter().map(|record| (record.clone(), record)));
        Self { base, touched: touched.collect(), created: 0 }
    }

    /// An overlay on this one, to try something that may fail.
    #[must_use]
    pub fn child(&self) -> Overlay<'_> {
        Overlay::new(self)
    }

    /// Coins and nonce of an address.
    #[must_use]
    pub fn account(&self, address: Address) -> (u64, u64) {
        balance_and_nonce(self.get(&Key::Account(address)).as_ref())
    }

    /// The same of one that is about to be changed.
    fn account_to_change(&mut self, address: Address) -> (u64, u64) {
        balance_and_nonce(self.looked_up(Key::Account(address)).1.as_ref())
    }

    fn holding(&mut self, address: Address, asset: AssetId) -> u64 {
        match self.looked_up(Key::Holding(address, asset)).1 {
            Some(Record::Holding { amount }) => *amount,
            _ => 0,
        }
    }

    fn asset(&mut self, asset: AssetId) -> Option<Box<AssetDescription>> {
        match self.looked_up(Key::Asset(asset)).1 {
            Some(Record::Asset(description)) => Some(description.clone()),
            _ => None,
        }
    }

    fn set_holding(&mut self, address: Address, asset: AssetId, amount: u64) {
        self.set(Key::Holding(address, asset), (amount > 0).then_some(Record::Holding { amount }));
    }

    fn set(&mut self, key: Key, record: Option<Record>) {
        let (old, now) = self.looked_up(key);
        let (was_new, is_new) = (old.is_none() && now.is_some(), old.is_none() && record.is_some());
        *now = record;
        self.created = self.created + u64::from(is_new) - u64::from(was_new);
    }

    /// Record before and now; before is not to be changed.
    fn looked_up(&mut self, key: Key) -> (&Option<Record>, &mut Option<Record>) {
        let base = self.base;
        let look_up = || {
            let record = base.get(&key);
            (record.clone(), record)
        };
        let (old, now) = self.touched.entry(key).or_insert_with(look_up);
        (old, now)
    }

    /// Records absent before and present now.
    #[must_use]
    pub fn new_records(&self) -> u64 {
        self.created
    }

    /// Takes over what an overlay on top of this one changed.
    pub fn absorb(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.set(change.key, change.new);
        }
    }

    /// What is different now, ascending by key.
    #[must_use]
    pub fn into_changes(self) -> Vec<Change> {
        let changes = self.touched.into_iter().map(|(key, (old, new))| Change { key, old, new });
        changes.filter(|change| change.old != change.new).collect()
    }
}

fn balance_and_nonce(record: Option<&Record>) -> (u64, u64) {
    match record {
        Some(Record::Account { balance, nonce }) => (*balance, *nonce),
        _ => (0, 0),
    }
}

impl StateRead for Overlay<'_> {
    fn get(&self, key: &Key) -> Option<Record> {
        match self.touched.get(key) {
            Some((_, now)) => now.clone(),
            None => self.base.get(key),
        }
    }
}
