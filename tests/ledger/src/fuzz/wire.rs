//! Messages: the first byte is the kind, the rest its body. What is read is written back as it came,
//! is no longer than its kind's cap, and every direction that takes the kind has that cap. What a
//! message carries is read too. Must not know frames.

use std::net::SocketAddr;

use steelyard_core::params::Params;
use steelyard_core::state::{PROOF_BYTES_MAX, Proof};
use steelyard_core::types::body::Body;
use steelyard_core::types::header::Header;
use steelyard_core::types::transaction::Transaction;
use steelyard_core::wire::{self, Message, Status};

/// Reads a body as the kind's message; what is right about it is right again when it is read again.
fn read<M: Message>(body: &[u8]) -> Option<M> {
    let directions = [wire::request_bytes_max, wire::answer_bytes_max, wire::peer_bytes_max];
    let caps: Vec<usize> = directions.into_iter().filter_map(|cap| cap(M::KIND)).collect();
    let handshake = wire::handshake_bytes_max(M::KIND);
    assert!(caps.iter().all(|cap| *cap == M::BYTES_MAX));
    // Before the handshake another version's hello may be longer than this one's.
    let most = wire::HANDSHAKE_FRAME_BYTES_MAX - wire::ENVELOPE_BYTES;
    assert!(handshake.map_or(!caps.is_empty(), |cap| (M::BYTES_MAX..=most).contains(&cap)));
    let message = M::from_bytes(body).ok()?;
    assert!(body.len() <= M::BYTES_MAX, "longer than its cap");
    assert_eq!(message.to_bytes(), body, "two strings for one message");
    Some(message)
}

macro_rules! read_as {
    ($kind:expr, $body:expr, [$($plain:ident),*], [$($message:ident => $look:expr),* $(,)?]) => {
        match $kind {
            $(wire::$plain::KIND => drop(read::<wire::$plain>($body)),)*
            $(wire::$message::KIND => {
                let look: fn(&wire::$message) = $look;
                if let Some(message) = read::<wire::$message>($body) {
                    look(&message);
                }
            })*
            kind => assert!(
                [wire::request_bytes_max, wire::answer_bytes_max, wire::peer_bytes_max, wire::handshake_bytes_max]
                    .iter()
                    .all(|cap| cap(kind).is_none()),
                "kind {kind} is taken somewhere and read nowhere"
            ),
        }
    };
}

/// The target.
pub fn message(input: &[u8]) {
    let Some((kind, body)) = input.split_first() else { return };
    read_as!(
        *kind,
        body,
        [
            Ping, Pong, GetTip, GetState, GetStatus, GetPending, Watch, Notice, GetHeaders, GetBodies, Missing,
            TxIds, GetTxs, GetAddresses
        ],
        [
            Hello => |hello| visible(hello.agent.as_str(), 64),
            Bye => |bye| visible(bye.reason.as_str(), 256),
            Failure => |failure| visible(failure.reason.as_str(), 256),
            Tip => |tip| drop(steelyard_core::light::check_tip(&Params::dev(), tip_id(tip), tip)),
            State => |state| state.proofs.iter().for_each(|proof| proof_bytes(proof)),
            Submit => |submit| submit.txs.iter().for_each(|tx| tx_bytes(tx)),
            Pending => |pending| pending.txs.iter().for_each(|tx| tx_bytes(tx)),
            Txs => |txs| txs.txs.iter().for_each(|tx| tx_bytes(tx)),
            Verdicts => verdicts,
            Statuses => statuses,
            Headers => |headers| headers.headers.iter().for_each(header),
            Announce => |announce| announce.headers.iter().for_each(header),
            Body => |body| body_bytes(body.bytes.as_slice()),
            Addresses => |addresses| addresses.addresses.iter().for_each(node_address),
        ]
    );
}

fn visible(text: &str, max: usize) {
    assert!(text.len() <= max && text.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{text:?}");
}

fn tip_id(tip: &wire::Tip) -> steelyard_core::hash::BlockId {
    tip.headers.first().map_or_else(Default::default, |header| Header::from(header).id())
}

fn header(bytes: &wire::HeaderBytes) {
    assert_eq!(Header::from(bytes).to_bytes(), bytes.0);
}

fn proof_bytes(bytes: &[u8]) {
    assert!(bytes.len() <= PROOF_BYTES_MAX);
    assert!(
        !Proof::from_bytes(bytes).is_ok_and(|proof| proof.to_bytes() != bytes),
        "two strings for one proof"
    );
}

fn tx_bytes(bytes: &[u8]) {
    assert!(
        !Transaction::from_bytes(bytes).is_ok_and(|tx| tx.to_bytes() != bytes),
        "two strings for one transaction"
    );
}

fn body_bytes(bytes: &[u8]) {
    let read = Body::from_bytes(bytes, wire::bodies::BODY_BYTES_MAX);
    assert!(!read.is_ok_and(|body| body.to_bytes() != bytes), "two strings for one body");
}

fn verdicts(verdicts: &wire::Verdicts) {
    for verdict in verdicts.verdicts.iter() {
        if let wire::Verdict::Refused { rule, reason } = verdict {
            visible(rule.as_str(), 64);
            visible(reason.as_str(), 256);
        }
    }
}

fn statuses(statuses: &wire::Statuses) {
    let tip = Header::from(&statuses.tip);
    for status in statuses.statuses.iter() {
        if let Status::Confirmed { found } = status {
            drop(steelyard_core::light::check_found(&Params::dev(), &tip, b"a transaction", found));
        }
    }
}

fn node_address(address: &wire::NodeAddress) {
    assert_eq!(wire::NodeAddress::from(SocketAddr::from(*address)), *address);
}
