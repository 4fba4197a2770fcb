//! The pool after a block: what it confirmed, uncovered, let expire or made impossible goes. Must
//! not know blocks, only the state after them.

use std::collections::BTreeSet;

use steelyard_core::consensus::transition::{Overlay, apply};
use steelyard_core::hash::{Address, TxId};
use steelyard_core::state::{Key, StateRead};

use super::checks::balance;
use super::{Entry, Mempool};

impl Mempool {
    /// Brings the pool in line with a new state: everybody whose records changed is looked at
    /// again, and what has expired at height `next` goes. Gives what went: to free it at once
    /// would take a third longer for a large block, and it can wait.
    pub fn revalidate(
        &mut self,
        state: &dyn StateRead,
        next: u64,
        changed: impl IntoIterator<Item = Key>,
    ) -> Vec<Entry> {
        let (mut senders, mut gone) = (BTreeSet::new(), Vec::new());
        while let Some((_, id)) = self.expiries.first().copied().filter(|(expiry, _)| *expiry < next) {
            let entry = self.remove(&id).expect("every expiry is of a pending transaction");
            senders.insert(entry.sender());
            gone.push(entry);
        }
        senders.extend(changed.into_iter().filter_map(|key| match key {
            Key::Account(address) | Key::Holding(address, _) => Some(address),
            Key::Asset(_) => None,
        }));
        for address in senders {
            self.revalidate_sender((state, next), address, &mut gone);
        }
        gone
    }

    /// [`Self::revalidate`] of one sender; what goes is added to `gone`.
    pub(super) fn revalidate_sender(
        &mut self,
        (state, next): (&dyn StateRead, u64),
        address: Address,
        gone: &mut Vec<Entry>,
    ) {
        let Some(sender) = self.senders.get(&address) else { return };
        let (_, account_nonce) = Overlay::new(state).account(address);
        let used: Vec<TxId> = sender.entries.range(..account_nonce).map(|(_, entry)| entry.tx.id()).collect();
        gone.extend(used.iter().filter_map(|id| self.remove(id)));
        // From the highest nonce down, so that what stays has no gap it did not have.
        while let Some(sender) = self.senders.get(&address) {
            let short =
                sender.outflow.iter().any(|(asset, sum)| *sum > u128::from(balance(state, address, *asset)));
            let Some((_, last)) = sender.entries.last_key_value().filter(|_| short) else { break };
            let id = last.tx.id();
            gone.extend(self.remove(&id));
        }
        gone.extend(self.take_impossible((state, next), address, account_nonce));
        let Some(sender) = self.senders.get_mut(&address) else { return };
        let mut expected = account_nonce;
        for (nonce, entry) in &mut sender.entries {
            let queued = *nonce != expected;
            match (entry.queued, queued) {
                (false, true) => self.queued_bytes += entry.bytes(),
                (true, false) => self.queued_bytes -= entry.bytes(),
                _ => {}
            }
            entry.queued = queued;
            expected += u64::from(!queued);
        }
    }

    /// What is next in line and yet breaks a rule (of its asset, say) would hold up its sender's
    /// others and keep its room without ever paying for it.
    fn take_impossible(
        &mut self,
        (state, next): (&dyn StateRead, u64),
        address: Address,
        account_nonce: u64,
    ) -> Option<Entry> {
        let head = self.senders.get(&address)?.entries.get(&account_nonce)?;
        if apply(&mut Overlay::new(state), next, &head.tx).is_ok() {
            return None;
        }
        let id = head.tx.id();
        self.remove(&id)
    }
}
