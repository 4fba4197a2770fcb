//! Every kind reads back, nothing longer than its cap does, and no two kinds share a number.

use std::collections::BTreeSet;

use super::hello::MAGIC;
use super::*;
use crate::encode::List;
use crate::hash::{Address, AssetId, BlockId, NetworkId, TxId};
use crate::state::PROOF_BYTES_MAX;
use crate::types::transaction::TX_BYTES_MAX;

fn full<T: Clone, const MAX: usize>(item: T) -> List<T, MAX> {
    List::new(vec![item; MAX]).unwrap()
}

fn text<const MAX: usize>() -> Text<MAX> {
    Text::new(&"x".repeat(MAX + 1))
}

/// The longest message of its kind has exactly the cap's bytes, reads back, and no prefix of it,
/// no longer string and no doubled string does.
fn check<M: Message + Clone + PartialEq + std::fmt::Debug>(longest: M) -> u8 {
    let bytes = longest.to_bytes();
    assert_eq!(bytes.len(), M::BYTES_MAX, "kind {}", M::KIND);
    assert_eq!(M::from_bytes(&bytes).unwrap(), longest);
    for cut in (0..bytes.len()).step_by(1 + bytes.len() / 500) {
        assert!(M::from_bytes(&bytes[..cut]).is_err(), "kind {} cut at {cut}", M::KIND);
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(matches!(M::from_bytes(&longer), Err(DecodeError::TooLong { .. })));
    M::KIND
}

#[test]
fn the_caps_are_the_longest_messages() {
    let header = HeaderBytes([7; HEADER_BYTES]);
    let holding = StateKey::Holding { address: Address([1; 32]), asset: AssetId([2; 32]) };
    let step = HistoryStep { hash: [3; 32], work: u128::MAX };
    let found = Found { header, index: 1, count: 2, body_path: full([4; 32]), history_path: full(step) };
    let hello = Hello {
        magic: MAGIC,
        version: PROTOCOL_VERSION,
        role: Role::Light,
        network: NetworkId([5; 32]),
        nonce: 6,
        port: 1,
        height: 7,
        tip: BlockId([8; 32]),
        bodies_from: 3,
        agent: text(),
    };
    let kinds = [
        check(hello),
        check(Bye { code: text(), reason: text() }),
        check(Ping { nonce: 1 }),
        check(Pong { nonce: 1 }),
        check(Failure { code: text(), reason: text() }),
        check(GetTip { recent: u16::MAX }),
        check(Tip { headers: full(header), history_work: 1, history_top: [9; 32] }),
        check(GetState { keys: full(holding) }),
        check(State { header, proofs: full(full::<u8, PROOF_BYTES_MAX>(1)) }),
        check(Submit { txs: full(full::<u8, TX_BYTES_MAX>(1)) }),
        check(Verdicts { verdicts: full(Verdict::Refused { rule: text(), reason: text() }) }),
        check(GetStatus { ids: full(TxId([1; 32])) }),
        check(Statuses { tip: header, statuses: full(Status::Confirmed { found: Box::new(found) }) }),
        check(GetPending { addresses: full(Address([1; 32])) }),
        check(Pending { txs: full(full::<u8, TX_BYTES_MAX>(1)), more: 1 }),
        check(Watch { addresses: full(Address([1; 32])) }),
        check(Notice { tip: header, touched: 1 }),
        check(GetHeaders { locator: full(BlockId([1; 32])) }),
        check(Headers { headers: full(header) }),
        check(GetBodies { ids: full(BlockId([1; 32])) }),
        check(Body { id: BlockId([1; 32]), bytes: BodyBytes::new(vec![1; bodies::BODY_BYTES_MAX]).unwrap() }),
        check(Missing { ids: full(BlockId([1; 32])) }),
        check(Announce { headers: full(header) }),
        check(TxIds { ids: full(TxId([1; 32])) }),
        check(GetTxs { ids: full(TxId([1; 32])) }),
        check(Txs { txs: full(full::<u8, TX_BYTES_MAX>(1)) }),
        check(GetAddresses {}),
        check(Addresses { addresses: full(NodeAddress { ip: [1; 16], port: 2 }) }),
    ];
    assert_eq!(BTreeSet::from(kinds).len(), kinds.len(), "a number has two meanings");
    for kind in 0..=u8::MAX {
        let caps = [
            request_bytes_max(kind),
            answer_bytes_max(kind),
            handshake_bytes_max(kind),
            peer_bytes_max(kind),
        ];
        assert_eq!(caps.iter().any(Option::is_some), kinds.contains(&kind), "kind {kind}");
    }
}

#[test]
fn a_strangers_text_is_visible_ascii() {
    assert_eq!(Text::<8>::new("a\u{1b}[2J\u{202e}é").as_str(), "a?[2J??");
    let mut bytes = encode::encode(&Text::<8>::new("abc"));
    assert_eq!(encode::decode::<Text<8>>(&bytes, 64).unwrap().as_str(), "abc");
    for byte in [0, 7, 0x1b, 0x7f, 0x80, 0xff] {
        *bytes.last_mut().unwrap() = byte;
        assert!(encode::decode::<Text<8>>(&bytes, 64).is_err(), "{byte}");
    }
}

#[test]
fn a_claimed_body_allocates_nothing() {
    let mut bytes = [[1; 32].to_vec(), (u64::MAX).to_le_bytes().to_vec()].concat();
    assert!(matches!(Body::from_bytes(&bytes), Err(DecodeError::TooManyItems { .. })));
    bytes[32..].copy_from_slice(&(bodies::BODY_BYTES_MAX as u64).to_le_bytes());
    assert_eq!(Body::from_bytes(&bytes), Err(DecodeError::Truncated));
    assert_eq!(BodyBytes::new(vec![0; bodies::BODY_BYTES_MAX + 1]), None);
}
