//! The arithmetic of a send: its size, its fee, who can pay it, and what is on its way out. Pure.
//! Must not know the store, keys or time.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use steelyard_core::crypto::keys::{PublicKey, SIGNATURE_BYTES, Signature};
use steelyard_core::crypto::policy::UncheckedPolicy;
use steelyard_core::encode::List;
use steelyard_core::hash::{Address, AssetId, NetworkId};
use steelyard_core::params::{BYTES_PER_NEW_RECORD, Params};
use steelyard_core::types::transaction::{Action, Authorization, BODY_FORMAT, Payment, Transaction, TxBody};

use super::error::DeskError;
use crate::intent::{Amount, Intent, Plan, Request};
use crate::limits::EXPIRY_BLOCKS_DEFAULT;
use crate::view::{Snapshot, View, WalletView};

/// What the network decides.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The only network that is signed for.
    pub network: NetworkId,
    /// Base units a byte that nodes relay for.
    pub relay_fee_min: u64,
    /// Blocks above one that make it final.
    pub proven_depth: u64,
}

impl Rules {
    /// Those of a network.
    #[must_use]
    pub fn new(params: &Params, network: NetworkId) -> Self {
        let policy = &params.policy;
        Self { network, relay_fee_min: policy.relay_fee_min, proven_depth: policy.proven_depth }
    }
}

/// Base units on their way out, by sender.
pub type Reserved = BTreeMap<Address, u128>;

/// What a wallet can pay with at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Funds<'a> {
    /// The wallet's addresses, by number.
    pub addresses: &'a [Address],
    /// The balances.
    pub snapshot: Option<&'a Snapshot>,
    /// What is taken already.
    pub reserved: &'a Reserved,
}

impl Funds<'_> {
    /// Base units that an address can spend; `None` while its balance is not known.
    #[must_use]
    pub fn spendable(&self, address: &Address) -> Option<u64> {
        let account = self.snapshot?.accounts.get(address)?;
        let reserved = self.reserved.get(address).copied().unwrap_or(0);
        Some(account.balance.saturating_sub(u64::try_from(reserved).unwrap_or(u64::MAX)))
    }

    /// What a request comes to.
    ///
    /// # Errors
    /// [`DeskError::ForeignAddress`], [`DeskError::NoSnapshot`], [`DeskError::InsufficientFunds`].
    pub fn plan(&self, rules: &Rules, request: &Request) -> Result<Plan, DeskError> {
        let numbered = (0u32..).zip(self.addresses.iter().copied());
        let chosen: Vec<(u32, Address)> =
            numbered.filter(|(_, address)| request.from.is_none_or(|from| from == *address)).collect();
        if chosen.is_empty() {
            return Err(DeskError::ForeignAddress);
        }
        let snapshot = self.snapshot.ok_or(DeskError::NoSnapshot)?;
        let known = chosen.iter().filter_map(|(index, sender)| {
            self.spendable(sender).map(|spendable| (*index, *sender, spendable))
        });
        let known: Vec<(u32, Address, u64)> = known.collect();
        let fee = fee(request, rules.relay_fee_min);
        let least = match request.amount {
            Amount::Units { units } => u128::from(units) + u128::from(fee),
            Amount::Max {} => u128::from(fee) + 1,
        };
        let able = |(_, _, spendable): &&(u32, Address, u64)| u128::from(*spendable) >= least;
        let found = match request.amount {
            Amount::Units { .. } => known.iter().find(able),
            // The lowest numbered of those with the most.
            Amount::Max {} => known.iter().rev().max_by_key(|(_, _, spendable)| *spendable).filter(able),
        };
        let Some((index, sender, spendable)) = found.copied() else {
            if known.len() < chosen.len() {
                return Err(DeskError::NoSnapshot);
            }
            let have = known.iter().map(|(_, _, spendable)| *spendable).max().unwrap_or(0);
            let all: u128 = known.iter().map(|(_, _, spendable)| u128::from(*spendable)).sum();
            let spread = all >= least && matches!(request.amount, Amount::Units { .. });
            let need = u64::try_from(least).unwrap_or(u64::MAX);
            return Err(DeskError::InsufficientFunds { have, need, spread });
        };
        let amount = match request.amount {
            Amount::Units { units } => units,
            Amount::Max {} => spendable - fee,
        };
        let expiry = match request.expiry_blocks.unwrap_or(EXPIRY_BLOCKS_DEFAULT) {
            0 => 0,
            blocks => snapshot.tip.height.saturating_add(blocks),
        };
        Ok(Plan { index, sender, amount, fee, expiry })
    }
}

/// What does not depend on any balance.
///
/// # Errors
/// [`DeskError::AmountZero`], [`DeskError::FeeRateTooLow`].
pub fn check_request(rules: &Rules, request: &Request) -> Result<(), DeskError> {
    if request.amount == (Amount::Units { units: 0 }) {
        return Err(DeskError::AmountZero);
    }
    match request.fee_rate {
        Some(got) if got < rules.relay_fee_min => {
            Err(DeskError::FeeRateTooLow { got, min: rules.relay_fee_min })
        }
        _ => Ok(()),
    }
}

/// The transaction's body at a nonce.
#[must_use]
pub fn body(rules: &Rules, request: &Request, plan: &Plan, nonce: u64) -> TxBody {
    let payment = Payment { asset: AssetId::COINS, to: request.to, amount: plan.amount };
    TxBody {
        format: BODY_FORMAT,
        network: rules.network,
        sender: plan.sender,
        nonce,
        fee: plan.fee,
        expiry: plan.expiry,
        memo: request.memo.clone(),
        action: Action::Transfer { payments: List::new(vec![payment]).expect("one is not too many") },
    }
}

/// Base units for the miner: the rate for each byte, and for those of the receiver's record, which
/// may be new: a mempool counts them, and must never find the fee too low.
#[must_use]
pub fn fee(request: &Request, relay_fee_min: u64) -> u64 {
    let weight = *TRANSFER_BYTES + request.memo.len() as u64 + BYTES_PER_NEW_RECORD;
    request.fee_rate.unwrap_or(relay_fee_min).saturating_mul(weight)
}

/// Bytes of a transfer of one payment by one key without a memo: all its numbers are of fixed width.
static TRANSFER_BYTES: LazyLock<u64> = LazyLock::new(|| {
    let nobody = Address([0; 32]);
    let request = Request {
        to: nobody,
        amount: Amount::Max {},
        from: None,
        memo: List::default(),
        fee_rate: None,
        expiry_blocks: None,
    };
    let plan = Plan { index: 0, sender: nobody, amount: 0, fee: 0, expiry: 0 };
    let rules = Rules { network: NetworkId([0; 32]), relay_fee_min: 0, proven_depth: 0 };
    let signature = Signature([0; SIGNATURE_BYTES]);
    let authorization = Authorization {
        policy: UncheckedPolicy { threshold: 1, keys: vec![PublicKey([0; 32])] },
        signers: 1,
        signatures: List::new(vec![signature]).expect("one is not too many"),
    };
    Transaction { body: body(&rules, &request, &plan, 0), authorization }.to_bytes().len() as u64
});

/// What an intent takes from whom that the balances of this reading do not show yet: that of a
/// signed one until the account's nonce has passed it.
#[must_use]
pub fn outstanding(intent: &Intent, snapshot: Option<&Snapshot>) -> Option<(Address, u64)> {
    let plan = intent.plan.filter(|_| !intent.state.is_final())?;
    let passed = intent.signed.as_ref().is_some_and(|signed| {
        let account = snapshot.and_then(|snapshot| snapshot.accounts.get(&plan.sender));
        account.is_some_and(|account| account.nonce > signed.nonce)
    });
    (!passed).then(|| (plan.sender, intent.outflow()))
}

/// What all of these take.
#[must_use]
pub fn reserved<'a>(intents: impl IntoIterator<Item = &'a Intent>, snapshot: Option<&Snapshot>) -> Reserved {
    let mut reserved = Reserved::new();
    for (sender, outflow) in intents.into_iter().filter_map(|intent| outstanding(intent, snapshot)) {
        *reserved.entry(sender).or_default() += u128::from(outflow);
    }
    reserved
}

/// A wallet's figures, in base units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Figures {
    /// What the chain shows.
    pub total: u64,
    /// On its way out, fees included.
    pub reserved: u64,
    /// What can be sent now.
    pub spendable: u64,
    /// On its way in, by a node's word.
    pub pending_in: u64,
}

/// The figures of a wallet, or of one of its addresses, as of the view's reading. All 0 without one,
/// but for what is on its way out.
#[must_use]
pub fn figures(view: &View, wallet: &WalletView, address: Option<&Address>) -> Figures {
    let snapshot = view.snapshot.as_deref();
    let taken = reserved(wallet.live.values().map(AsRef::as_ref), snapshot);
    let funds = Funds { addresses: &wallet.addresses, snapshot, reserved: &taken };
    let chosen = |of: &Address| address.is_none_or(|address| address == of);
    let mut figures = Figures::default();
    for address in wallet.addresses.iter().filter(|address| chosen(address)) {
        let balance = snapshot.and_then(|snapshot| snapshot.accounts.get(address));
        add(&mut figures.total, balance.map_or(0, |account| account.balance));
        add(&mut figures.spendable, funds.spendable(address).unwrap_or(0));
        let out = taken.get(address).copied().unwrap_or(0);
        add(&mut figures.reserved, u64::try_from(out).unwrap_or(u64::MAX));
        let incoming = snapshot.into_iter().flat_map(|snapshot| &snapshot.incoming);
        for coming in incoming.filter(|coming| coming.to == *address) {
            add(&mut figures.pending_in, coming.amount);
        }
    }
    figures
}

fn add(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}
