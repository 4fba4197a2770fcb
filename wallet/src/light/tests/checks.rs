//! Answers held against what they must prove, without a socket: honest ones pass, and whatever is
//! changed in them does not.

use std::collections::BTreeSet;

use steelyard_core::hash::{Address, AssetId, NetworkId, TxId};
use steelyard_core::light::{CheckedTip, LightError};
use steelyard_core::types::header::Header;
use steelyard_core::types::transaction::{Action, Payment};
use steelyard_core::wire::{
    GetPending, GetState, GetStatus, GetTip, Message, Pending, State, StateKey, Statuses, Tip,
};

use super::super::check::{LightLie, Rules};
use super::super::{Outgoing, Standing};
use super::ledger::{Ledger, id_of, list, person, to_ask};
use super::lies::unmined;
use crate::view::{Account, Incoming};

fn rules(ledger: &Ledger) -> Rules<'_> {
    Rules { params: &ledger.params, genesis: ledger.genesis() }
}

fn checked(ledger: &Ledger) -> CheckedTip {
    rules(ledger).tip(&ledger.tip_answer(GetTip { recent: 32 })).unwrap()
}

fn state(ledger: &Ledger, addresses: &[Address]) -> State {
    let keys = addresses.iter().map(|address| StateKey::Account { address: *address });
    ledger.state_answer(&GetState { keys: list(keys) })
}

/// Three people, of whom the last one has nothing.
fn funded() -> (Ledger, [Address; 3]) {
    let mut ledger = Ledger::new(3);
    let people = [1, 2, 3].map(|number| person(number).address);
    ledger.fund(people[0], 500, 3);
    ledger.fund(people[1], 0, 7);
    ledger.mine(Vec::new());
    (ledger, people)
}

#[test]
fn accounts_are_as_the_header_commits_to_them() {
    let (ledger, people) = funded();
    let tip = checked(&ledger);
    let accounts = rules(&ledger).accounts(&tip, &people, &state(&ledger, &people)).unwrap();
    let account = |balance, nonce| Account { balance, nonce };
    let expected = [(people[0], account(500, 3)), (people[1], account(0, 7)), (people[2], account(0, 0))];
    assert_eq!(accounts, expected);
    assert!(rules(&ledger).is_at(&tip, &state(&ledger, &people).header).unwrap());
}

/// A proof with any bit changed proves nothing, whether of a record or that there is none.
#[test]
fn every_bit_of_a_proof_matters() {
    let (ledger, people) = funded();
    let tip = checked(&ledger);
    for address in people {
        let honest = state(&ledger, &[address]);
        for bit in 0..8 * honest.proofs[0].len() {
            let mut proof = honest.proofs[0].to_vec();
            proof[bit / 8] ^= 1 << (bit % 8);
            let changed = State { proofs: list([list(proof)]), ..honest.clone() };
            let refused = rules(&ledger).accounts(&tip, &[address], &changed).unwrap_err();
            assert_eq!(refused.name(), "invalid_proof", "bit {bit}");
        }
    }
}

#[test]
fn a_proof_of_another_account_or_of_another_balance_is_a_lie() {
    let (mut ledger, people) = funded();
    let tip = checked(&ledger);
    let of_another = state(&ledger, &people[1..2]);
    let refused = rules(&ledger).accounts(&tip, &people[..1], &of_another).unwrap_err();
    assert_eq!(refused.name(), "invalid_proof");
    // Whoever has nothing is not proven by a neighbour's record elsewhere either.
    ledger.fund(people[0], 501, 3);
    ledger.fund(people[2], 1, 0);
    for address in people {
        let of_other_state = state(&ledger, &[address]);
        let refused = rules(&ledger).accounts(&tip, &[address], &of_other_state).unwrap_err();
        assert!(matches!(refused, LightLie::Proof { address: about, .. } if about == address));
    }
}

#[test]
fn there_are_as_many_answers_as_questions() {
    let (ledger, people) = funded();
    let tip = checked(&ledger);
    let two = state(&ledger, &people[..2]);
    let refused = rules(&ledger).accounts(&tip, &people, &two).unwrap_err();
    assert_eq!(refused, LightLie::Count { got: 2, expected: 3 });
    let statuses = Statuses { tip: (&tip.header).into(), statuses: list([]) };
    let outgoing = [to_ask(&person(1).pays(0, people[1], 1))];
    let refused = rules(&ledger).standings(&tip, &outgoing, &statuses).unwrap_err();
    assert_eq!(refused.name(), "wrong_count");
}

#[test]
fn another_header_is_a_later_tip_or_a_lie() {
    let (mut ledger, _) = funded();
    let tip = checked(&ledger);
    let genesis = ledger.params.genesis().header;
    ledger.mine(Vec::new());
    let rules = rules(&ledger);
    for later in [ledger.tip(), ledger.rival(), genesis] {
        assert_eq!(rules.is_at(&tip, &(&later).into()), Ok(false));
    }
    let unmined = unmined(tip.header);
    assert_eq!(rules.is_at(&tip, &(&unmined).into()).unwrap_err().name(), "invalid_header");
    let easy = Header { bits: 0x207f_fffe, ..tip.header };
    assert_eq!(rules.is_at(&tip, &(&easy).into()).unwrap_err().name(), "invalid_header");
    let other_genesis = Header { nonce: 1, ..genesis };
    assert_eq!(rules.is_at(&tip, &(&other_genesis).into()).unwrap_err().name(), "wrong_genesis");
}

#[test]
fn a_tip_is_this_network_s_with_the_work_that_it_commits_to() {
    let (ledger, _) = funded();
    let honest = ledger.tip_answer(GetTip { recent: 32 });
    assert_eq!(checked(&ledger).total_work, ledger.total_work());
    let more = Tip { history_work: honest.history_work + 1, ..honest.clone() };
    assert_eq!(rules(&ledger).tip(&more), Err(LightLie::Light(LightError::HistoryWork)));
    let elsewhere = Rules { genesis: steelyard_core::hash::BlockId([1; 32]), ..rules(&ledger) };
    assert_eq!(elsewhere.tip(&honest).unwrap_err().name(), "wrong_genesis");
}

fn incoming(ledger: &Ledger, ours: &[Address], txs: &[Vec<u8>]) -> Result<Vec<Incoming>, LightLie> {
    let txs = list(txs.iter().map(|tx| list(tx.iter().copied())));
    rules(ledger).incoming(&ours.iter().copied().collect::<BTreeSet<_>>(), &Pending { txs, more: 0 })
}

#[test]
fn pending_is_what_is_signed_and_pays_us() {
    let (ledger, people) = funded();
    let (payer, ours) = (person(9), &people[..2]);
    let network = ledger.network();
    let paid = payer.pays(0, people[0], 5);
    let payment = |asset, to, amount| Payment { asset, to, amount };
    let many = Action::Transfer {
        payments: list([
            payment(AssetId::COINS, people[1], 2),
            payment(AssetId::COINS, people[2], 50),
            payment(AssetId::COINS, people[1], u64::MAX),
            payment(AssetId([3; 32]), people[0], 9),
            payment(AssetId::COINS, people[0], 4),
        ]),
    };
    let many = payer.signs(network, 1, many);
    let found = incoming(&ledger, ours, &[paid.clone(), many.clone(), paid.clone()]).unwrap();
    let one = |tx: &[u8], to, amount| Incoming { tx: id_of(tx), to, amount };
    let expected: BTreeSet<(TxId, Address, u64)> =
        [one(&paid, people[0], 5), one(&many, people[0], 4), one(&many, people[1], u64::MAX)]
            .map(|one| (one.tx, one.to, one.amount))
            .into();
    assert_eq!(found.len(), 3, "a transaction that is listed twice counts once");
    assert_eq!(found.iter().map(|one| (one.tx, one.to, one.amount)).collect::<BTreeSet<_>>(), expected);
    // A token is no coins, and still a payment to us.
    let token = Action::Transfer { payments: list([payment(AssetId([3; 32]), people[0], 9)]) };
    assert_eq!(incoming(&ledger, ours, &[payer.signs(network, 2, token)]), Ok(Vec::new()));
    assert_eq!(ledger.pending_answer(&GetPending { addresses: list([]) }).txs.len(), 0);
}

#[test]
fn pending_that_is_unsigned_or_not_for_us_or_of_another_network_is_a_lie() {
    let (ledger, people) = funded();
    let (payer, ours) = (person(9), &people[..2]);
    let foreign = payer.pays(0, people[2], 5);
    assert_eq!(
        incoming(&ledger, ours, std::slice::from_ref(&foreign)),
        Err(LightLie::Foreign { id: id_of(&foreign) })
    );
    let burn = payer.signs(ledger.network(), 0, Action::Burn { asset: AssetId([3; 32]), amount: 1 });
    assert_eq!(incoming(&ledger, ours, &[burn]).unwrap_err().name(), "foreign_pending");
    let mut unsigned = payer.pays(0, people[0], 5);
    *unsigned.last_mut().unwrap() ^= 1;
    assert_eq!(incoming(&ledger, ours, &[unsigned]).unwrap_err().name(), "invalid_pending");
    let payments = list([Payment { asset: AssetId::COINS, to: people[0], amount: 5 }]);
    let elsewhere = payer.signs(NetworkId([8; 32]), 0, Action::Transfer { payments });
    assert_eq!(incoming(&ledger, ours, &[elsewhere]).unwrap_err().name(), "invalid_pending");
    assert_eq!(incoming(&ledger, ours, &[vec![1, 2, 3]]).unwrap_err().name(), "invalid_pending");
}

#[test]
fn places_are_proven_by_the_bytes_that_were_sent() {
    let (mut ledger, people) = funded();
    let payer = person(1);
    let txs: Vec<_> = (0..4).map(|nonce| payer.pays(nonce, people[1], 1)).collect();
    ledger.mine(vec![txs[0].clone(), txs[1].clone()]);
    let height = ledger.tip().height;
    let (block, time) = (ledger.tip().id(), ledger.tip().time);
    ledger.pending.push(txs[2].clone());
    ledger.mine(Vec::new());
    let tip = checked(&ledger);
    let outgoing: Vec<Outgoing> = txs.iter().map(|tx| to_ask(tx)).collect();
    let ids = outgoing.iter().map(|one| one.id);
    let statuses = ledger.status_answer(&GetStatus { ids: list(ids.clone()) });
    let standings = rules(&ledger).standings(&tip, &outgoing, &statuses).unwrap();
    let confirmed = Standing::Confirmed { height, block, time };
    let expected = [confirmed, confirmed, Standing::Pending, Standing::Unknown];
    assert_eq!(standings, ids.zip(expected).collect::<Vec<_>>());
    // The place of one is not the place of another.
    let swapped: Vec<Outgoing> = [1, 0, 2, 3].map(|at: usize| outgoing[at].clone()).into_iter().collect();
    let refused = rules(&ledger).standings(&tip, &swapped, &statuses).unwrap_err();
    assert_eq!(refused.name(), "not_in_body");
    // A place is good under one tip, and under another only with a path to that.
    ledger.mine(Vec::new());
    let refused = rules(&ledger).standings(&checked(&ledger), &outgoing, &statuses).unwrap_err();
    assert_eq!(refused.name(), "not_in_history");
    assert!(statuses.to_bytes().len() <= Statuses::BYTES_MAX);
}
