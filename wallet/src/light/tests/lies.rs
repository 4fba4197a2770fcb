//! What a node can say that no honest one says, each with the name that it is told under.

use steelyard_core::encode::List;
use steelyard_core::hash::{AssetId, NetworkId};
use steelyard_core::types::header::Header;
use steelyard_core::types::transaction::{Action, Payment};
use steelyard_core::wire::{
    GetPending, GetState, GetStatus, GetTip, HeaderBytes, Message, Pending, State, StateKey, Status,
    Statuses, Tip,
};
use steelyard_core::work::from_bits;
use steelyard_runtime::frame::Frame;
use steelyard_runtime::link::read;

use super::super::Wanted;
use super::fake::{Manners, Reply};
use super::ledger::{Ledger, list, person, say, to_ask};

/// One lie.
pub(super) struct Lie {
    pub(super) lie: &'static str,
    pub(super) code: &'static str,
    pub(super) manners: Manners,
}

fn lie(lie: &'static str, code: &'static str, manners: Manners) -> Lie {
    Lie { lie, code, manners }
}

/// All of them.
pub(super) fn lies() -> Vec<Lie> {
    let network = lie("another network", "wrong_network", Manners::of_network(NetworkId([8; 32])));
    let about = [tips(), accounts(), states(), places(), pending()];
    about.into_iter().flatten().chain([network]).collect()
}

/// A node's ledger with something of everything, and what a wallet wants of it.
pub(super) fn scene() -> (Ledger, Wanted) {
    let mut ledger = Ledger::new(3);
    let mut addresses = [1, 2].map(|number| person(number).address).to_vec();
    addresses.sort();
    ledger.fund(addresses[0], 500, 3);
    ledger.fund(person(3).address, 900, 0);
    let mined = person(1).pays(0, person(9).address, 1);
    let unknown = person(1).pays(1, person(9).address, 1);
    ledger.mine(vec![mined.clone()]);
    ledger.mine(Vec::new());
    ledger.pending.push(person(3).pays(0, addresses[0], 5));
    (ledger, Wanted { addresses, outgoing: vec![to_ask(&mined), to_ask(&unknown)] })
}

/// An honest answer, changed.
pub(super) fn changed<M: Message>(honest: Option<Frame>, change: impl Fn(&mut M)) -> Option<Reply> {
    let frame = honest.unwrap();
    let mut message = read::<M>(&frame).unwrap();
    change(&mut message);
    Some(Reply::Say(say(frame.request, &message)))
}

/// Every answer to messages of one kind, changed.
fn at<M: Message + 'static>(kind: u8, change: impl Fn(&mut M) + Send + Sync + 'static) -> Manners {
    Manners::at(kind, move |_, _, honest| changed(honest, &change))
}

fn replaced<T: Clone, const MAX: usize>(items: &List<T, MAX>, at: usize, item: T) -> List<T, MAX> {
    let mut items = items.to_vec();
    items[at] = item;
    list(items)
}

/// Another state, and no work behind it.
pub(super) fn unmined(mut header: Header) -> Header {
    header.state_root.0[0] ^= 1;
    while header.pow_hash() <= from_bits(header.bits).unwrap() {
        header.nonce += 1;
    }
    header
}

fn other_bits(header: Header) -> Header {
    Header { bits: header.bits - 1, ..header }
}

fn of(bytes: &HeaderBytes, change: fn(Header) -> Header) -> HeaderBytes {
    (&change(Header::from(bytes))).into()
}

fn tips() -> Vec<Lie> {
    let tip = |change: fn(&mut Tip)| at(GetTip::KIND, change);
    let last = |change: fn(Header) -> Header| {
        at(GetTip::KIND, move |tip: &mut Tip| {
            let last = tip.headers.len() - 1;
            tip.headers = replaced(&tip.headers, last, of(&tip.headers[last], change));
        })
    };
    let genesis = tip(|tip| {
        let other = of(&tip.headers[0], |genesis| Header { nonce: genesis.nonce + 1, ..genesis });
        tip.headers = replaced(&tip.headers, 0, other);
    });
    let gap = tip(|tip| tip.headers = list([&tip.headers[..1], &tip.headers[2..]].concat()));
    vec![
        lie("another genesis", "wrong_genesis", genesis),
        lie("no headers", "no_headers", tip(|tip| tip.headers = list([]))),
        lie("a tip of other bits", "invalid_header", last(other_bits)),
        lie("a tip without work", "invalid_header", last(unmined)),
        lie("headers that do not follow", "invalid_header", gap),
        lie("more work than there is", "wrong_work", tip(|tip| tip.history_work += 1)),
    ]
}

fn accounts() -> Vec<Lie> {
    let another_s = Manners::at(GetState::KIND, |ledger, _, honest| {
        let key = StateKey::Account { address: person(3).address };
        let other = ledger.state_answer(&GetState { keys: list([key]) }).proofs[0].clone();
        changed::<State>(honest, |state| state.proofs = replaced(&state.proofs, 0, other.clone()))
    });
    let other_balance = Manners::at(GetState::KIND, |ledger, frame, honest| {
        let before = ledger.state.clone();
        ledger.fund(scene().1.addresses[0], 501, 3);
        let other = ledger.state_answer(&read(frame).unwrap());
        ledger.state = before;
        changed::<State>(honest, |state| state.proofs = other.proofs.clone())
    });
    let first = |proof: &'static [u8]| {
        at(GetState::KIND, |state: &mut State| {
            state.proofs = replaced(&state.proofs, 0, list(proof.iter().copied()));
        })
    };
    let fewer = at(GetState::KIND, |state: &mut State| state.proofs = list(state.proofs[1..].to_vec()));
    vec![
        lie("another account's proof", "invalid_proof", another_s),
        lie("another balance", "invalid_proof", other_balance),
        lie("a proof that there is nothing", "invalid_proof", first(&[0; 3])),
        lie("a proof that is none", "invalid_proof", first(&[])),
        lie("fewer proofs than accounts", "wrong_count", fewer),
    ]
}

fn states() -> Vec<Lie> {
    let header = |change: fn(Header) -> Header| {
        at(GetState::KIND, move |state: &mut State| state.header = of(&state.header, change))
    };
    let statuses = at(GetStatus::KIND, |statuses: &mut Statuses| statuses.tip = of(&statuses.tip, unmined));
    // Well mined, with figures of its own.
    let other_tip = Manners::at(GetState::KIND, |ledger, frame, _| {
        for number in [1, 2] {
            ledger.fund(person(number).address, 1_000_000, 0);
        }
        let header = HeaderBytes::from(&ledger.rival());
        let state = State { header, ..ledger.state_answer(&read(frame).unwrap()) };
        Some(Reply::Say(say(frame.request, &state)))
    });
    vec![
        lie("a state under a header without work", "invalid_header", header(unmined)),
        lie("a state under other bits", "invalid_header", header(other_bits)),
        lie("statuses under a header without work", "invalid_header", statuses),
        lie("a state under another tip", "other_tip", other_tip),
    ]
}

fn places() -> Vec<Lie> {
    let of_another = at(GetStatus::KIND, |statuses: &mut Statuses| {
        statuses.statuses = replaced(&statuses.statuses, 1, statuses.statuses[0].clone());
    });
    let in_no_history = at(GetStatus::KIND, |statuses: &mut Statuses| {
        let Status::Confirmed { found } = &statuses.statuses[0] else { panic!("it is mined") };
        let mut found = found.clone();
        let mut steps = found.history_path.to_vec();
        steps[0].work += 1;
        found.history_path = list(steps);
        statuses.statuses = replaced(&statuses.statuses, 0, Status::Confirmed { found });
    });
    let too_many = at(GetStatus::KIND, |statuses: &mut Statuses| {
        statuses.statuses = list([statuses.statuses.to_vec(), vec![Status::Unknown {}]].concat());
    });
    vec![
        lie("the place of another transaction", "not_in_body", of_another),
        lie("a place in no history", "not_in_history", in_no_history),
        lie("more statuses than transactions", "wrong_count", too_many),
    ]
}

fn pending() -> Vec<Lie> {
    let pending = |tx: Vec<u8>| {
        at(GetPending::KIND, move |pending: &mut Pending| pending.txs = list([list(tx.clone())]))
    };
    let payer = person(3);
    let mut unsigned = payer.pays(0, person(1).address, 5);
    *unsigned.last_mut().unwrap() ^= 1;
    let payments = list([Payment { asset: AssetId::COINS, to: person(1).address, amount: 5 }]);
    let elsewhere = payer.signs(NetworkId([8; 32]), 0, Action::Transfer { payments });
    let foreign = payer.pays(0, person(4).address, 5);
    vec![
        lie("pending without a signature", "invalid_pending", pending(unsigned)),
        lie("pending of another network", "invalid_pending", pending(elsewhere)),
        lie("pending that is nothing", "invalid_pending", pending(vec![1, 2, 3])),
        lie("pending that pays somebody else", "foreign_pending", pending(foreign)),
    ]
}
