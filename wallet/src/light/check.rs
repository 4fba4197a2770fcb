//! A node's answers held against what they must prove, as pure functions: what passes here is what
//! a reading is made of. Must not know sockets, clocks, or which node it was.

use std::collections::{BTreeMap, BTreeSet};

use steelyard_core::consensus::error::TxRule;
use steelyard_core::consensus::header::check_alone;
use steelyard_core::consensus::transaction::{CheckedTx, ShapedTx, shape};
use steelyard_core::hash::{Address, AssetId, BlockId, NetworkId, TxId};
use steelyard_core::light::{CheckedTip, LightError, check_found, check_tip};
use steelyard_core::params::Params;
use steelyard_core::state::{Key, Proof, ProofError, Record};
use steelyard_core::types::header::Header;
use steelyard_core::types::transaction::Action;
use steelyard_core::wire::{HeaderBytes, Pending, State, Status, Statuses, Tip};

use super::{Outgoing, Standing};
use crate::view::{Account, Incoming};

/// What an honest node never says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LightLie {
    /// It is on another network, and took this end's greeting for its own.
    #[error("the node is on network {got}, this wallet on {expected}")]
    WrongNetwork {
        /// The node's.
        got: NetworkId,
        /// The wallet's.
        expected: NetworkId,
    },
    /// A header, its work, or a transaction's place in a block does not hold.
    #[error(transparent)]
    Light(#[from] LightError),
    /// More or fewer answers than questions.
    #[error("{got} answers to {expected} questions")]
    Count {
        /// Answers.
        got: usize,
        /// Questions.
        expected: usize,
    },
    /// The proof of an account does not hold.
    #[error("the proof of account {address}: {error}")]
    Proof {
        /// Whose account.
        address: Address,
        /// Why not.
        error: ProofError,
    },
    /// One tip again and again, and the figures always under another.
    #[error("the node names block {tip} as its tip and answers under others")]
    OtherTip {
        /// The tip that it names.
        tip: BlockId,
    },
    /// What is said to be pending is no valid transaction of this network.
    #[error("a pending transaction is not valid: {0}")]
    Pending(TxRule),
    /// What is said to be pending pays none of the addresses.
    #[error("pending transaction {id} pays none of the addresses that were asked about")]
    Foreign {
        /// Which.
        id: TxId,
    },
}

impl LightLie {
    /// Stable name, snake_case.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::WrongNetwork { .. } => "wrong_network",
            Self::Light(error) => error.name(),
            Self::Count { .. } => "wrong_count",
            Self::Proof { .. } => "invalid_proof",
            Self::OtherTip { .. } => "other_tip",
            Self::Pending(_) => "invalid_pending",
            Self::Foreign { .. } => "foreign_pending",
        }
    }
}

/// What a node's answers are held against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    /// The network.
    pub(super) params: &'a Params,
    /// Its first block.
    pub(super) genesis: BlockId,
}

impl Rules<'_> {
    /// The network's id.
    pub(super) fn network(&self) -> NetworkId {
        self.genesis.into()
    }

    /// A tip whose headers and work hold.
    pub(super) fn tip(&self, tip: &Tip) -> Result<CheckedTip, LightLie> {
        Ok(check_tip(self.params, self.genesis, tip)?)
    }

    /// Whether an answer is given under this tip. Under another header it can only be that the tip
    /// has moved, and then that header holds by itself.
    pub(super) fn is_at(&self, tip: &CheckedTip, header: &HeaderBytes) -> Result<bool, LightLie> {
        let header = Header::from(header);
        if header == tip.header {
            return Ok(true);
        }
        if header.height == 0 {
            let (got, expected) = (header.id(), self.genesis);
            return if got == expected {
                Ok(false)
            } else {
                Err(LightError::Genesis { got, expected }.into())
            };
        }
        let refused = |rule| LightError::Header { height: header.height, rule };
        check_alone(self.params, &header).map_err(refused)?;
        Ok(false)
    }

    /// The accounts of these addresses, in their order, each proven under the tip's header.
    pub(super) fn accounts(
        &self,
        tip: &CheckedTip,
        addresses: &[Address],
        state: &State,
    ) -> Result<Vec<(Address, Account)>, LightLie> {
        check_count(state.proofs.len(), addresses.len())?;
        let proven = addresses.iter().zip(state.proofs.iter());
        proven.map(|(address, proof)| Ok((*address, account(tip, *address, proof)?))).collect()
    }

    /// What pays these addresses, once for each transaction and address.
    pub(super) fn incoming(
        &self,
        addresses: &BTreeSet<Address>,
        pending: &Pending,
    ) -> Result<Vec<Incoming>, LightLie> {
        let mut found = BTreeMap::new();
        for bytes in pending.txs.iter() {
            let tx = shape(&self.network(), bytes).and_then(ShapedTx::verify).map_err(LightLie::Pending)?;
            let paid = paid(&tx, addresses).ok_or(LightLie::Foreign { id: tx.id() })?;
            // Under the id, so that a transaction that is listed twice counts once.
            found.insert(tx.id(), paid);
        }
        let each = found
            .into_iter()
            .flat_map(|(tx, paid)| paid.into_iter().map(move |(to, amount)| Incoming { tx, to, amount }));
        Ok(each.collect())
    }

    /// Where these transactions are, in their order; a place in a block is proven under the tip.
    pub(super) fn standings(
        &self,
        tip: &CheckedTip,
        outgoing: &[Outgoing],
        statuses: &Statuses,
    ) -> Result<Vec<(TxId, Standing)>, LightLie> {
        check_count(statuses.statuses.len(), outgoing.len())?;
        let asked = outgoing.iter().zip(statuses.statuses.iter());
        asked.map(|(outgoing, status)| Ok((outgoing.id, self.standing(tip, outgoing, status)?))).collect()
    }

    fn standing(&self, tip: &CheckedTip, outgoing: &Outgoing, status: &Status) -> Result<Standing, LightLie> {
        match status {
            Status::Unknown {} => Ok(Standing::Unknown),
            Status::Missing { .. } => Ok(Standing::Missing),
            Status::Pending { .. } => Ok(Standing::Pending),
            Status::Confirmed { found } => {
                let place = check_found(self.params, &tip.header, &outgoing.bytes, found)?;
                let (height, time) = (place.header.height, place.header.time);
                Ok(Standing::Confirmed { height, block: place.id, time })
            }
        }
    }
}

/// As many answers as questions.
pub(super) fn check_count(got: usize, expected: usize) -> Result<(), LightLie> {
    if got == expected { Ok(()) } else { Err(LightLie::Count { got, expected }) }
}

fn account(tip: &CheckedTip, address: Address, proof: &[u8]) -> Result<Account, LightLie> {
    let refused = |error| LightLie::Proof { address, error };
    let proof = Proof::from_bytes(proof).map_err(refused)?;
    match proof.verify(&tip.header.state_root, &Key::Account(address)).map_err(refused)? {
        None => Ok(Account::default()),
        Some(Record::Account { balance, nonce }) => Ok(Account { balance, nonce }),
        Some(_) => Err(refused(ProofError::MalformedLeaf)),
    }
}

/// Coins for each of the addresses; `None` where not one payment of any kind is to one of them.
fn paid(tx: &CheckedTx, addresses: &BTreeSet<Address>) -> Option<BTreeMap<Address, u64>> {
    let Action::Transfer { payments } = &tx.tx().body.action else { return None };
    let (mut coins, mut is_paid) = (BTreeMap::<Address, u64>::new(), false);
    for payment in payments.iter().filter(|payment| addresses.contains(&payment.to)) {
        is_paid = true;
        if payment.asset == AssetId::COINS {
            let sum = coins.entry(payment.to).or_default();
            // It need not be covered by what the sender has, only signed: so no sum is too large.
            *sum = sum.saturating_add(payment.amount);
        }
    }
    is_paid.then_some(coins)
}
