//! One real node from its start to its end, before whose doors all cases come one after another.

use steelyard_core::consensus::error::{BlockRule, HeaderRule, RuleError};
use steelyard_core::encode::List;
use steelyard_core::types::transaction::{TX_BYTES_MAX, Transaction};
use steelyard_core::wire::submit::SUBMIT_MAX;
use steelyard_core::wire::{GetHeaders, Message, Ping, Pong, Role, Submit, Verdict, Verdicts};
use steelyard_runtime::network_file::to_toml;
use steelyard_tests::broken::{BlockCase, Seen, Stage, TxCase};
use steelyard_tests::chain::Chain;
use steelyard_tests::network::tip;
use steelyard_tests::peer::{Behaviour, Ending, Holdings, ScriptedPeer};
use steelyard_tests::process::{Launch, Node, wait_until};

use super::inside::extended;
use super::talk::{Talk, list};
use super::{blocks, transactions};

#[test]
fn a_node_refuses_at_every_door_what_breaks_a_rule_and_takes_what_does_not() {
    let stage = Stage::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("network.toml");
    std::fs::write(&file, to_toml(stage.chain.params())).unwrap();
    let node = Launch::run(&file, &folder.path().join("node"), &["--discover", "off"]).start();
    let peer = ScriptedPeer::start(Holdings::of(&stage.chain), Behaviour::Honest);
    peer.dial(node.p2p);
    wait_for_tip(&node, &stage.chain);

    let (refused, taken) = transactions(&stage);
    let (bad_blocks, good_blocks) = blocks(&stage);
    posted(&node, &refused);
    submitted(&node, &stage, &refused);
    let mut neighbour = relayed(&node, &stage, &refused, &taken);
    served(&node, &stage, &bad_blocks);
    assert_eq!(pending(&node), taken.len() as u64, "no bad block costs a pending transaction");
    for (more, case) in good_blocks.iter().enumerate() {
        let chain = extended(&stage, case, more);
        peer.hold(Holdings::of(&chain));
        wait_for_tip(&node, &chain);
    }
    assert_eq!((peer.seen().connections, peer.seen().endings), (1, Vec::new()));
    assert_eq!(neighbour.ask::<Pong>(&Ping { nonce: 5 }), Pong { nonce: 5 }, "it is still a peer");
}

fn wait_for_tip(node: &Node, chain: &Chain) {
    let expected = (chain.height(), chain.tip().id.to_string());
    let describe = || format!("tip {expected:?}, which is {:?}", tip(node));
    wait_until(describe, || (tip(node) == expected).then_some(()));
}

/// How many transactions are pending.
fn pending(node: &Node) -> u64 {
    node.api.get("/mempool").json["txs"].as_u64().unwrap()
}

fn rule_of(case: &TxCase) -> &'static str {
    case.verdict.as_ref().unwrap_err().name()
}

/// What a frame can hold: one byte string more than a transaction may have cannot even be sent.
fn is_sendable(case: &&TxCase) -> bool {
    List::<u8, TX_BYTES_MAX>::new(case.bytes.clone()).is_some()
}

/// At the API.
fn posted(node: &Node, refused: &[TxCase]) {
    for case in refused {
        let answer = node.api.submit(&case.bytes);
        assert!((400..500).contains(&answer.status), "{}: {answer:?}", case.name);
        assert_eq!(answer.code(), rule_of(case), "{}: {answer:?}", case.name);
    }
    assert_eq!(pending(node), 0);
}

/// In the protocol of wallets.
fn submitted(node: &Node, stage: &Stage, refused: &[TxCase]) {
    let mut wallet = Talk::dial(node.p2p, stage.chain.network(), Role::Light);
    let sendable: Vec<&TxCase> = refused.iter().filter(is_sendable).collect();
    assert_eq!(sendable.len(), refused.len() - 1);
    for cases in sendable.chunks(SUBMIT_MAX) {
        let txs = cases.iter().map(|case| list(case.bytes.clone())).collect();
        let Verdicts { verdicts } = wallet.ask(&Submit { txs: list(txs) });
        assert_eq!(verdicts.len(), cases.len());
        for (case, verdict) in cases.iter().zip(verdicts.iter()) {
            let Verdict::Refused { rule, .. } = verdict else { panic!("{}: {verdict:?}", case.name) };
            assert_eq!(rule.to_string(), rule_of(case), "{}", case.name);
        }
    }
    assert_eq!(pending(node), 0);
}

/// Between peers: who relays what is wrong in itself is hung up on by the rule's name; who relays what
/// is wrong by this node's state may be as honest as anybody. Gives the peer that did so.
fn relayed(node: &Node, stage: &Stage, refused: &[TxCase], taken: &[TxCase]) -> Talk {
    let dial = || Talk::dial(node.p2p, stage.chain.network(), Role::Node);
    let mut neighbour = dial();
    let (in_itself, in_the_state): (Vec<&TxCase>, Vec<&TxCase>) =
        refused.iter().filter(is_sendable).partition(|case| case.seen == Seen::InItself);
    for case in in_itself {
        let mut liar = dial();
        liar.relay(std::slice::from_ref(&case.bytes));
        assert_eq!(liar.bye().0, rule_of(case), "{}", case.name);
    }
    let bytes = |cases: &[&TxCase]| cases.iter().map(|case| case.bytes.clone()).collect::<Vec<_>>();
    neighbour.relay(&bytes(&in_the_state));
    neighbour.relay(&bytes(&taken.iter().collect::<Vec<_>>()));
    let describe = || format!("{} pending: {}", taken.len(), node.api.get("/mempool").json);
    wait_until(describe, || (pending(node) >= taken.len() as u64).then_some(()));
    for case in taken {
        let id = Transaction::from_bytes(&case.bytes).unwrap().body.id();
        assert_eq!(node.api.get(&format!("/tx/{id}")).json["status"], "pending", "{}", case.name);
    }
    assert_eq!(pending(node), taken.len() as u64);
    neighbour
}

/// Code and a part of the words by which the server of a block is told off; `None` where it is not.
fn told_off(rule: &RuleError) -> Option<(&'static str, &'static str)> {
    match rule {
        // It stands on nothing known, which may be the node's lack.
        RuleError::Header(HeaderRule::Prev { .. }) => None,
        RuleError::Header(rule) => Some((rule.name(), "header at height")),
        RuleError::Block(BlockRule::BodyRoot { .. }) => Some((rule.name(), "")),
        rule => Some(("invalid_block", rule.name())),
    }
}

/// Headers and bodies, each on the tip that the node has.
fn served(node: &Node, stage: &Stage, cases: &[BlockCase]) {
    let before = tip(node);
    let liar = ScriptedPeer::start(Holdings::of(&stage.chain), Behaviour::Honest);
    let (mut visits, mut lost) = (0, Vec::new());
    for BlockCase { name, block, verdict } in cases {
        let blocks = stage.chain.blocks().chain([block]);
        let holdings = Holdings::new(stage.chain.params(), blocks);
        match told_off(verdict.as_ref().unwrap_err()) {
            Some((code, words)) => {
                visits += 1;
                liar.hold(holdings);
                liar.dial(node.p2p);
                let ending = liar.wait_for_end(visits);
                assert_eq!(ending.code(), code, "{name}: {ending:?}");
                let Ending::Bye { reason, .. } = ending else { panic!("{name}: {ending:?}") };
                assert!(reason.contains(words), "{name}: {reason}");
            }
            None => {
                let peer = ScriptedPeer::start(holdings, Behaviour::Honest);
                peer.dial(node.p2p);
                peer.wait_for_kind(GetHeaders::KIND, 1);
                lost.push(peer);
            }
        }
        assert_eq!(tip(node), before, "{name}");
    }
    assert!(!lost.is_empty() && lost.iter().all(|peer| peer.seen().endings.is_empty()));
}
