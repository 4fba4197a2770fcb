//! Every message reads back, and nothing is said in two ways. A kind that is missing here is a failure.
//! Must not know who says what to whom.

use std::collections::BTreeSet;
use std::fmt::Debug;

use proptest::prelude::*;

use steelyard_core::hash::NetworkId;
use steelyard_core::wire::hello::MAGIC;
use steelyard_core::wire::*;

use super::codec::{CASES, one_to_one, spoils};
use super::values::{
    addresses, assets, block_ids, byte_lists, hashes, header_bytes, law, lists, numbers, tx_ids,
};

fn texts<const MAX: usize>() -> impl Strategy<Value = Text<MAX>> {
    // Also what may not be sent, which the text replaces.
    "(?s).{0,40}".prop_map(|text| Text::new(&text))
}

fn header_texts() -> impl Strategy<Value = HeaderBytes> {
    header_bytes().prop_map(HeaderBytes)
}

fn hellos() -> impl Strategy<Value = Hello> {
    let who = (prop_oneof![3 => Just(MAGIC), 1 => any::<[u8; 8]>()], any::<u16>(), any::<bool>(), hashes());
    let rest = (numbers(), any::<u16>(), numbers(), block_ids(), numbers(), texts());
    (who, rest).prop_map(
        |((magic, version, is_node, network), (nonce, port, height, tip, bodies_from, agent))| {
            let role = if is_node { Role::Node } else { Role::Light };
            let network = NetworkId(network);
            Hello { magic, version, role, network, nonce, port, height, tip, bodies_from, agent }
        },
    )
}

fn state_keys() -> impl Strategy<Value = StateKey> {
    prop_oneof![
        addresses().prop_map(|address| StateKey::Account { address }),
        (addresses(), assets()).prop_map(|(address, asset)| StateKey::Holding { address, asset }),
        assets().prop_map(|asset| StateKey::Asset { asset }),
    ]
}

fn verdicts() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::Pending {}),
        Just(Verdict::Confirmed {}),
        (texts(), texts()).prop_map(|(rule, reason)| Verdict::Refused { rule, reason }),
        Just(Verdict::Busy {}),
    ]
}

fn statuses() -> impl Strategy<Value = Status> {
    let steps = (hashes(), any::<u128>()).prop_map(|(hash, work)| HistoryStep { hash, work });
    let found = (header_texts(), any::<u32>(), any::<u32>(), lists(hashes(), 4), lists(steps, 4)).prop_map(
        |(header, index, count, body_path, history_path)| Found {
            header,
            index,
            count,
            body_path,
            history_path,
        },
    );
    prop_oneof![
        Just(Status::Unknown {}),
        any::<u8>().prop_map(|queued| Status::Pending { queued }),
        found.prop_map(|found| Status::Confirmed { found: Box::new(found) }),
        numbers().prop_map(|from| Status::Missing { from }),
    ]
}

/// Tries one kind, and names it.
fn kind<M: Message + Debug + PartialEq>(values: impl Strategy<Value = M>) -> u8 {
    law(200 + u64::from(M::KIND), CASES / 3, (values, spoils()), |(value, spoils)| {
        one_to_one(&value, &spoils, M::to_bytes, M::from_bytes)
    });
    M::KIND
}

fn kinds_for_wallets() -> Vec<u8> {
    let txs = || byte_lists(60);
    vec![
        kind(any::<u16>().prop_map(|recent| GetTip { recent })),
        kind(
            (lists(header_texts(), 4), any::<u128>(), hashes())
                .prop_map(|(headers, history_work, history_top)| Tip { headers, history_work, history_top }),
        ),
        kind(lists(state_keys(), 6).prop_map(|keys| GetState { keys })),
        kind(
            (header_texts(), lists(byte_lists(60), 4)).prop_map(|(header, proofs)| State { header, proofs }),
        ),
        kind(lists(txs(), 4).prop_map(|txs| Submit { txs })),
        kind(lists(verdicts(), 6).prop_map(|verdicts| Verdicts { verdicts })),
        kind(lists(tx_ids(), 6).prop_map(|ids| GetStatus { ids })),
        kind((header_texts(), lists(statuses(), 4)).prop_map(|(tip, statuses)| Statuses { tip, statuses })),
        kind(lists(addresses(), 6).prop_map(|addresses| GetPending { addresses })),
        kind((lists(txs(), 4), any::<u8>()).prop_map(|(txs, more)| Pending { txs, more })),
        kind(lists(addresses(), 6).prop_map(|addresses| Watch { addresses })),
        kind((header_texts(), any::<u8>()).prop_map(|(tip, touched)| Notice { tip, touched })),
    ]
}

fn kinds_for_nodes() -> Vec<u8> {
    let places = (any::<[u8; 16]>(), any::<u16>()).prop_map(|(ip, port)| NodeAddress { ip, port });
    let bytes =
        proptest::collection::vec(any::<u8>(), 0..60).prop_map(|bytes| BodyBytes::new(bytes).expect("short"));
    vec![
        kind(lists(block_ids(), 6).prop_map(|locator| GetHeaders { locator })),
        kind(lists(header_texts(), 4).prop_map(|headers| Headers { headers })),
        kind(lists(block_ids(), 6).prop_map(|ids| GetBodies { ids })),
        kind((block_ids(), bytes).prop_map(|(id, bytes)| Body { id, bytes })),
        kind(lists(block_ids(), 6).prop_map(|ids| Missing { ids })),
        kind(lists(header_texts(), 4).prop_map(|headers| Announce { headers })),
        kind(lists(tx_ids(), 6).prop_map(|ids| TxIds { ids })),
        kind(lists(tx_ids(), 6).prop_map(|ids| GetTxs { ids })),
        kind(lists(byte_lists(60), 4).prop_map(|txs| Txs { txs })),
        kind(Just(GetAddresses {})),
        kind(lists(places, 6).prop_map(|addresses| Addresses { addresses })),
    ]
}

fn kinds_for_both() -> Vec<u8> {
    vec![
        kind(hellos()),
        kind((texts(), texts()).prop_map(|(code, reason)| Bye { code, reason })),
        kind(numbers().prop_map(|nonce| Ping { nonce })),
        kind(numbers().prop_map(|nonce| Pong { nonce })),
        kind((texts(), texts()).prop_map(|(code, reason)| Failure { code, reason })),
    ]
}

#[test]
fn every_kind_of_message_reads_back_and_in_no_second_way() {
    let tried: BTreeSet<u8> =
        [kinds_for_both(), kinds_for_wallets(), kinds_for_nodes()].concat().into_iter().collect();
    let is_taken = |kind: u8| {
        [handshake_bytes_max, request_bytes_max, answer_bytes_max, peer_bytes_max]
            .iter()
            .any(|taken_by| taken_by(kind).is_some())
    };
    assert_eq!(tried, (0..=u8::MAX).filter(|kind| is_taken(*kind)).collect());
}
