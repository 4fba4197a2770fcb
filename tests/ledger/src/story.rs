//! Accounts that do random things on a chain: a story goes on with blocks of what is valid of all that
//! they try. The same seed tells the same story. Must not know what it is told for.

use steelyard_core::consensus::transaction::CheckedTx;
use steelyard_core::consensus::transition::{Overlay, apply};
use steelyard_core::hash::{Address, AssetId};
use steelyard_core::params::Params;
use steelyard_core::state::{Key, Record};
use steelyard_core::types::transaction::{Action, Payment, Transaction};

use crate::accounts::{Account, Terms, issue, transfer};
use crate::chain::{Block, Chain, seal};
use crate::random::Random;

/// Accounts that do random things on a chain.
#[derive(Debug)]
pub struct Story {
    random: Random,
    actors: Vec<Account>,
}

impl Story {
    /// The story of a seed: funded accounts, poor ones, and shared ones.
    #[must_use]
    pub fn new(random: Random) -> Self {
        let funded = (0..4).map(Account::dev);
        let poor = (0..2).map(Account::numbered);
        let actors =
            funded.chain(poor).chain([Account::multisig(2, 3, 1), Account::multisig(1, 16, 2)]).collect();
        Self { random, actors }
    }

    /// The chain that stories are told on: halving rewards, few transactions a block.
    #[must_use]
    pub fn chain() -> Chain {
        Chain::new(Params { halving_interval: 5, block_txs_max: 9, new_records_max: 12, ..Params::dev() })
    }

    /// Goes on for some blocks.
    pub fn go_on(&mut self, chain: &mut Chain, blocks: u64) {
        for _ in 0..blocks {
            let block = self.next_block(chain);
            chain.connect(&block).unwrap();
        }
    }

    /// A block of what is valid of all that the actors try, mined by one of them.
    #[must_use]
    pub fn next_block(&mut self, chain: &Chain) -> Block {
        self.next_block_after(chain, Vec::new())
    }

    /// The same after these transactions, by others than the actors.
    #[must_use]
    pub fn next_block_after(&mut self, chain: &Chain, first: Vec<CheckedTx>) -> Block {
        let mut candidates = first;
        candidates.extend(self.candidates(chain));
        let miner = &self.actors[self.random.place(self.actors.len())];
        let time = chain.tip().header.time + 1 + self.random.below(5_000);
        seal(chain.clone().mined_by(miner).draft(time, &candidates))
    }

    /// What the actors try, whether it is valid or not; who has failed tries anew.
    fn candidates(&mut self, chain: &Chain) -> Vec<CheckedTx> {
        let mut overlay = Overlay::new(chain.state());
        let mut candidates = Vec::new();
        for _ in 0..self.random.below(20) {
            let actor = self.random.place(self.actors.len());
            let (_, nonce) = overlay.account(self.actors[actor].address);
            let tx = chain.check_all(&[self.transaction(chain, actor, nonce)]).remove(0);
            let mut attempt = overlay.child();
            if apply(&mut attempt, chain.height() + 1, &tx).is_ok() {
                let changes = attempt.into_changes();
                overlay.absorb(changes);
            }
            candidates.push(tx);
        }
        candidates
    }

    /// One transaction of an actor, of a right form, by any keys that suffice.
    #[must_use]
    pub fn transaction(&mut self, chain: &Chain, actor: usize, nonce: u64) -> Transaction {
        let action = self.action(chain, actor);
        let (fee, memo) = (self.amount() / 100, self.random.bytes(3));
        let expiry = if self.random.below(8) == 0 { chain.height() + self.random.below(3) } else { 0 };
        let account = &self.actors[actor];
        let body = account.body(chain.network(), Terms { nonce, fee, expiry, memo }, action);
        let mut signers: Vec<usize> = (0..account.secrets.len()).collect();
        while signers.len() > usize::from(account.policy.threshold()) {
            signers.remove(self.random.place(signers.len()));
        }
        account.sign_by(&signers, body)
    }

    fn action(&mut self, chain: &Chain, actor: usize) -> Action {
        let amount = self.amount();
        match self.random.below(10) {
            0 => issue("ABC", amount, true),
            1 => issue("XYZ", amount, false),
            2 => Action::Mint { asset: self.asset(chain, actor), amount },
            3 => Action::Burn { asset: self.asset(chain, actor), amount },
            _ => {
                let count = 1 + self.random.below(4);
                transfer((0..count).map(|_| self.payment(chain, actor)).collect())
            }
        }
    }

    fn payment(&mut self, chain: &Chain, actor: usize) -> Payment {
        let to = match self.random.below(6) {
            0 => self.actors[actor].address,
            1 => Address(self.random.bytes(32).try_into().unwrap()),
            _ => self.actors[self.random.place(self.actors.len())].address,
        };
        let is_coins = self.random.below(2) == 0;
        let asset = if is_coins { AssetId::COINS } else { self.asset(chain, actor) };
        // Now and then exactly all there is, so that records vanish.
        let all = if is_coins { 0 } else { chain.holding(self.actors[actor].address, asset) };
        let amount = if all > 0 && self.random.below(2) == 0 { all } else { self.amount() };
        Payment { asset, to, amount }
    }

    /// Any asset there is, or one that is not; rather one that the actor has to do with.
    fn asset(&mut self, chain: &Chain, actor: usize) -> AssetId {
        let own = self.actors[actor].address;
        let concerns = |(key, record): (Key, &Record)| match (key, record) {
            (Key::Holding(address, asset), _) if address == own => Some(asset),
            (Key::Asset(asset), Record::Asset(description)) if description.issuer == own => Some(asset),
            _ => None,
        };
        let any = |(key, _)| if let Key::Asset(asset) = key { Some(asset) } else { None };
        let assets: Vec<AssetId> = match self.random.below(4) {
            0 => chain.state().iter().filter_map(any).collect(),
            _ => chain.state().iter().filter_map(concerns).collect(),
        };
        if assets.is_empty() { AssetId([1; 32]) } else { assets[self.random.place(assets.len())] }
    }

    /// From 1 to 2^64-1, all magnitudes alike but small ones preferred.
    fn amount(&mut self) -> u64 {
        let bits = if self.random.below(20) == 0 { 64 } else { 1 + self.random.below(36) };
        1.max(self.random.number() >> (64 - bits))
    }
}
