//! A reading: tip, pending, accounts and standings asked for one after another, all under one tip,
//! or begun again. Must not know what makes a reading due.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use steelyard_core::encode::List;
use steelyard_core::hash::{Address, BlockId};
use steelyard_core::light::CheckedTip;
use steelyard_core::wire::Message;
use steelyard_core::wire::pending::ADDRESSES_MAX;
use steelyard_core::wire::state::KEYS_MAX;
use steelyard_core::wire::status::STATUS_MAX;
use steelyard_core::wire::{
    GetPending, GetState, GetStatus, GetTip, Pending, State, StateKey, Statuses, Tip,
};
use steelyard_runtime::clock;

use super::check::LightLie;
use super::node::End;
use super::session::{Fault, Session};
use super::submit::Placed;
use super::{Outgoing, Reading, Sink, Wanted};
use crate::limits::{NODE_REQUEST_PAUSE_MS, READING_ATTEMPTS_MAX, RECENT_HEADERS};
use crate::view::{Account, Incoming, Snapshot};

/// Attempts of a reading between whose requests sends are let through: they change a dev network's
/// tip, and without them the last attempts find it standing still.
const ATTEMPTS_SHARED: u32 = 2;

/// How an attempt went.
enum Attempt {
    /// Everything is at one tip.
    Read(Box<(Snapshot, Vec<Placed>)>),
    /// An answer was under another header than this tip's.
    Moved(BlockId),
}

/// One attempt: what it asks about, and what it may do between two requests.
struct Round {
    wanted: Arc<Wanted>,
    is_shared: bool,
    requests: u32,
}

impl<S: Sink> Session<'_, S> {
    /// Reads the node and tells what it says.
    pub(super) async fn round(&mut self) -> Result<(), End> {
        self.reading_begins();
        let (mut tips, mut requests) = (BTreeSet::new(), 0);
        for attempt in 0..READING_ATTEMPTS_MAX {
            self.refresh()?;
            let (wanted, is_shared) = (Arc::clone(&self.current), attempt < ATTEMPTS_SHARED);
            let mut round = Round { wanted, is_shared, requests: 0 };
            let read = self.attempt(&mut round).await;
            requests += round.requests;
            match read {
                Ok(Attempt::Read(read)) => return self.finish(*read, requests).await,
                Ok(Attempt::Moved(tip)) => tips.insert(tip),
                Err(Fault::Refused(why)) => {
                    return self.reading_later(Some((why.code.to_string(), why.reason.to_string()))).await;
                }
                Err(Fault::End(end)) => return Err(end),
            };
        }
        // A tip that moves is not found where it was each time.
        match tips.pop_first() {
            Some(tip) if tips.is_empty() => Err(LightLie::OtherTip { tip }.into()),
            _ => self.reading_later(None).await,
        }
    }

    async fn finish(&mut self, read: (Snapshot, Vec<Placed>), requests: u32) -> Result<(), End> {
        let (snapshot, placed) = read;
        let tip = snapshot.id;
        let standings = self.outbox.take_in(tip, placed, &self.current);
        let times = self.node.context.times;
        let pause = Duration::from_millis(NODE_REQUEST_PAUSE_MS) * requests;
        self.reading_done(tip, pause.min(times.refresh).max(times.reading_pause));
        if self.node.tell_reading(Reading { snapshot, standings }).await { Ok(()) } else { Err(End::Stopped) }
    }

    async fn attempt(&mut self, round: &mut Round) -> Result<Attempt, Fault> {
        let (tip, _): (Tip, _) = self.next_answer(round, &GetTip { recent: RECENT_HEADERS }).await?;
        let tip = self.node.context.rules().tip(&tip)?;
        // Has no header of its own, but stands between the tip and answers that have.
        let (incoming, incoming_more) = self.incoming(round).await?;
        let Some(placed) = self.standings(round, &tip).await? else { return Ok(Attempt::Moved(tip.id)) };
        let Some(accounts) = self.accounts(round, &tip).await? else { return Ok(Attempt::Moved(tip.id)) };
        let (node, taken) = (self.node.address(), clock::now_ms());
        let CheckedTip { header, id, total_work, .. } = tip;
        let snapshot =
            Snapshot { tip: header, id, total_work, accounts, incoming, incoming_more, node, taken };
        Ok(Attempt::Read(Box::new((snapshot, placed))))
    }

    /// Asks the next question of a reading, after letting sends go first.
    async fn next_answer<Q: Message, A: Message>(
        &mut self,
        round: &mut Round,
        question: &Q,
    ) -> Result<(A, u64), Fault> {
        if round.is_shared {
            self.refresh()?;
            self.submit().await?;
        }
        round.requests += 1;
        let asked = self.ask(question).await?;
        Ok((self.answer(asked).await?, asked.place))
    }

    async fn incoming(&mut self, round: &mut Round) -> Result<(Vec<Incoming>, bool), Fault> {
        let addresses: BTreeSet<Address> =
            round.wanted.addresses.iter().take(ADDRESSES_MAX).copied().collect();
        if addresses.is_empty() {
            return Ok((Vec::new(), false));
        }
        let asked = List::new(addresses.iter().copied().collect()).expect("no more were taken");
        let (pending, _): (Pending, _) = self.next_answer(round, &GetPending { addresses: asked }).await?;
        let incoming = self.node.context.rules().incoming(&addresses, &pending)?;
        Ok((incoming, pending.more != 0))
    }

    /// `None`: the tip has moved.
    async fn standings(&mut self, round: &mut Round, tip: &CheckedTip) -> Result<Option<Vec<Placed>>, Fault> {
        let wanted = Arc::clone(&round.wanted);
        let mut found = Vec::with_capacity(wanted.outgoing.len());
        for page in wanted.outgoing.chunks(STATUS_MAX) {
            let ids = page.iter().map(|one: &Outgoing| one.id).collect();
            let question = GetStatus { ids: List::new(ids).expect("a page is no longer") };
            let (statuses, place): (Statuses, _) = self.next_answer(round, &question).await?;
            let rules = self.node.context.rules();
            if !rules.is_at(tip, &statuses.tip)? {
                return Ok(None);
            }
            let standings = rules.standings(tip, page, &statuses)?;
            found.extend(standings.into_iter().map(|(id, standing)| Placed { id, standing, place }));
        }
        Ok(Some(found))
    }

    /// `None`: the tip has moved.
    async fn accounts(
        &mut self,
        round: &mut Round,
        tip: &CheckedTip,
    ) -> Result<Option<BTreeMap<Address, Account>>, Fault> {
        let wanted = Arc::clone(&round.wanted);
        let mut found = BTreeMap::new();
        for page in wanted.addresses.chunks(KEYS_MAX) {
            let keys = page.iter().map(|address| StateKey::Account { address: *address }).collect();
            let question = GetState { keys: List::new(keys).expect("a page is no longer") };
            let (state, _): (State, _) = self.next_answer(round, &question).await?;
            let rules = self.node.context.rules();
            if !rules.is_at(tip, &state.header)? {
                return Ok(None);
            }
            found.extend(rules.accounts(tip, page, &state)?);
        }
        Ok(Some(found))
    }
}
