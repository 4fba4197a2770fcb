//! Forged chains of most work, each with one fault: whoever serves it is told which rule it breaks and
//! hung up on, the node keeps its tip, and an honest peer at the same address is used all the same.

use steelyard_core::consensus::header::{CheckedHeader, expected_child, own_work};
use steelyard_core::hash::{HistoryRoot, StateRoot};
use steelyard_core::types::body::{Body, Coinbase};
use steelyard_core::types::header::Header;
use steelyard_core::work::from_bits;
use steelyard_runtime::clock;
use steelyard_tests::accounts::{Account, Terms, coins};
use steelyard_tests::chain::{Block, Chain, seal};
use steelyard_tests::network::{tip, wait_for_height};
use steelyard_tests::peer::{Behaviour, Ending, Holdings, ScriptedPeer};
use steelyard_tests::process::{Launch, Node, wait_until};
use steelyard_tests::tip::{Tip, searched};
use tempfile::TempDir;

/// The honest chain's length at the start…
const HONEST: u64 = 40;
/// …the forged ones leave it here…
const FORK: u64 = 30;
/// …and have so many blocks more on the forged one.
const ON_TOP: u64 = 40;

/// A chain that looks like the best one.
struct Forgery {
    /// Its blocks, and what else is wrong with whoever serves it.
    served: (Holdings, Behaviour),
    /// Code and a part of the words by which its server is told off…
    first: (&'static str, &'static str),
    /// …and the code when it comes again.
    again: &'static str,
}

/// Payments and blocks up to a height, by the one or the other miner.
fn honest() -> Chain {
    let mut chain = Chain::dev();
    for amount in 1..=HONEST {
        chain.pay(&Account::dev(0), Account::numbered(amount).address, amount);
        chain.mine(1);
    }
    chain
}

/// A branch of this block and of others on it that are right but for standing there.
fn branch(base: &Chain, forged: Block) -> Holdings {
    let mut blocks: Vec<Block> = base.blocks().cloned().collect();
    let mut last = stands(base.tip(), &forged.header);
    blocks.push(forged);
    for _ in 0..ON_TOP {
        let mut header = expected_child(base.params(), &last.parent());
        header.time = last.header.time + base.params().spacing;
        let (height, amount) = (header.height, base.params().reward);
        let coinbase =
            Coinbase { height, miner: Account::numbered(7).address, amount, extra: Default::default() };
        let block = seal(Block { header, body: Body { items: vec![coinbase.to_bytes()] } });
        last = stands(&last, &block.header);
        blocks.push(block);
    }
    Holdings::new(base.params(), &blocks)
}

/// The tip that a header is, whether it is right or not.
fn stands(on: &Tip, header: &Header) -> Tip {
    let work = own_work(header).unwrap();
    let checked = CheckedHeader { header: *header, id: header.id(), work, total_work: on.total_work + work };
    on.followed_by(&checked, on.state.clone())
}

/// The header with the first nonce that does not meet its bits.
fn above_target(header: Header) -> Header {
    let target = from_bits(header.bits).unwrap();
    let mut headers = (0..).map(|nonce| Header { nonce, ..header });
    headers.find(|header| header.pow_hash() > target).unwrap()
}

/// A right block on the fork, whose header is changed and then searched for.
fn with_header(base: &Chain, change: impl FnOnce(&mut Header)) -> Block {
    let mut block = seal(base.empty_draft());
    change(&mut block.header);
    block.header = searched(block.header);
    block
}

/// A right block on the fork, whose body is changed before its header commits to it.
fn with_body(base: &Chain, change: impl FnOnce(&mut Body)) -> Block {
    let mut block = base.empty_draft();
    change(&mut block.body);
    seal(block)
}

/// A block of one payment whose signature is another's.
fn badly_signed(base: &Chain) -> Block {
    let alice = Account::dev(1);
    let pay = |amount| alice.pay(base.network(), Terms::of_nonce(0), vec![coins(alice.address, amount)]);
    let (mut tx, other) = (pay(1), pay(2));
    tx.authorization = other.authorization;
    with_body(base, |body| body.items.push(tx.to_bytes()))
}

/// Faults that a header shows, then those of bodies.
fn forgeries(honest: &Chain) -> Vec<Forgery> {
    let base = honest.fork_at(FORK).mined_by(&Account::numbered(6));
    let of_header = |block, rule| Forgery {
        served: (branch(&base, block), Behaviour::Honest),
        first: (rule, "header at height 31"),
        again: rule,
    };
    let of_block = |block, rule| Forgery {
        served: (branch(&base, block), Behaviour::Honest),
        first: ("invalid_block", rule),
        again: "known_invalid",
    };
    let of_sender = |behaviour, rule| {
        let mut other = base.clone();
        other.mine(1 + ON_TOP);
        Forgery { served: (Holdings::of(&other), behaviour), first: (rule, ""), again: rule }
    };
    let mut no_work = seal(base.empty_draft());
    no_work.header = above_target(no_work.header);
    let coinbase = |body: &mut Body| {
        let mut coinbase = Coinbase::from_bytes(&body.items[0]).unwrap();
        coinbase.amount += 1;
        body.items[0] = coinbase.to_bytes();
    };
    vec![
        of_header(no_work, "proof_of_work"),
        of_header(with_header(&base, |header| header.bits = 0x207f_fffe), "header_bits"),
        of_header(with_header(&base, |header| header.history_root = HistoryRoot([1; 32])), "history_root"),
        of_header(with_header(&base, |header| header.time = header.prev_time), "header_time"),
        of_sender(Behaviour::WrongBody(FORK + 1), "body_root"),
        of_sender(Behaviour::RubbishBody(FORK + 1), "malformed_body"),
        of_block(badly_signed(&base), "invalid_signature"),
        of_block(with_header(&base, |header| header.state_root = StateRoot([1; 32])), "state_root"),
        of_block(with_body(&base, coinbase), "coinbase_amount"),
    ]
}

impl Forgery {
    fn server(&self) -> ScriptedPeer {
        let (holdings, behaviour) = &self.served;
        ScriptedPeer::start(holdings.clone(), *behaviour)
    }

    /// Checks how a connection ended.
    fn assert_refused(&self, ending: &Ending, again: bool) {
        let (code, words) = if again { (self.again, "") } else { self.first };
        assert_eq!(ending.code(), code, "{ending:?}");
        let Ending::Bye { reason, .. } = ending else { panic!("{ending:?}") };
        assert!(reason.contains(words), "{reason}");
    }
}

/// A node of the `dev` network that knows nobody, and its folder.
fn fresh_node(flags: &[&str]) -> (Node, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let flags = [&["--discover", "off"], flags].concat();
    let node = Launch::run("dev".as_ref(), &folder.path().join("node"), &flags).start();
    (node, folder)
}

/// Waits until a node has the tip of a chain.
fn wait_for_tip(node: &Node, chain: &Chain) {
    let expected = (chain.height(), chain.tip().id.to_string());
    wait_until(
        || format!("tip {expected:?}, which is {:?}", tip(node)),
        || Some(tip(node)).filter(|tip| *tip == expected),
    );
}

/// Mines a block, and has the node hear of it.
fn grow(chain: &mut Chain, peer: &ScriptedPeer) {
    chain.mine(1);
    peer.hold(Holdings::of(chain));
}

#[test]
fn a_liar_with_most_work_does_not_move_a_node_that_has_the_honest_chain() {
    let mut chain = honest();
    let (node, _folder) = fresh_node(&[]);
    let peer = ScriptedPeer::start(Holdings::of(&chain), Behaviour::Honest);
    peer.dial(node.p2p);
    wait_for_tip(&node, &chain);
    for forgery in forgeries(&chain) {
        let liar = forgery.server();
        // It may come again, as nobody on this machine is banned, and is refused again.
        for visit in 1..=2 {
            liar.dial(node.p2p);
            forgery.assert_refused(&liar.wait_for_end(visit), visit > 1);
            assert_eq!(tip(&node), (chain.height(), chain.tip().id.to_string()));
        }
        grow(&mut chain, &peer);
        wait_for_tip(&node, &chain);
    }
    assert_eq!((peer.seen().connections, peer.seen().endings), (1, Vec::new()));
    // Only its sender was wrong about a body: the block itself is as good as ever.
    let mut fork = chain.fork_at(FORK).mined_by(&Account::numbered(6));
    fork.mine(1 + ON_TOP);
    peer.hold(Holdings::of(&fork));
    wait_for_tip(&node, &fork);
}

#[test]
fn a_node_that_heard_only_liars_takes_the_honest_chain_from_the_next_one() {
    let mut chain = honest();
    let (node, _folder) = fresh_node(&[]);
    for forgery in forgeries(&chain) {
        let liar = forgery.server();
        for visit in 1..=2 {
            liar.dial(node.p2p);
            forgery.assert_refused(&liar.wait_for_end(visit), visit > 1);
        }
        // What it has taken is what the forged chain shares with the honest one.
        let (height, id) = tip(&node);
        assert!(height <= FORK && id == chain.tip_at(height).id.to_string(), "{height} {id}");
    }
    let peer = ScriptedPeer::start(Holdings::of(&chain), Behaviour::Honest);
    peer.dial(node.p2p);
    wait_for_tip(&node, &chain);
    grow(&mut chain, &peer);
    wait_for_tip(&node, &chain);
}

#[test]
fn liars_and_an_honest_peer_at_once() {
    let chain = honest();
    let forgeries = forgeries(&chain);
    let liars: Vec<ScriptedPeer> = forgeries.iter().map(Forgery::server).collect();
    let peer = ScriptedPeer::start(Holdings::of(&chain), Behaviour::Honest);
    let addresses: Vec<String> = liars.iter().chain([&peer]).map(|liar| liar.address.to_string()).collect();
    let flags: Vec<&str> = addresses.iter().flat_map(|address| ["--connect", address]).collect();
    let (node, _folder) = fresh_node(&flags);
    for (liar, forgery) in liars.iter().zip(&forgeries) {
        let ending = liar.wait_for_end(1);
        // Two serve the same blocks: who comes second may find them taken from the other.
        let codes = [forgery.first.0, forgery.again];
        assert!(codes.contains(&ending.code()), "{codes:?} expected: {ending:?}");
    }
    wait_for_tip(&node, &chain);
    assert_eq!(peer.seen().endings, Vec::new());
}

/// Never the block's fault: it is left out, and so is what stands on it, until its time has come.
#[test]
fn a_block_of_tomorrow_is_no_reason_to_hang_up_and_does_not_become_the_tip() {
    let mut chain = honest();
    let (node, _folder) = fresh_node(&[]);
    let peer = ScriptedPeer::start(Holdings::of(&chain), Behaviour::Honest);
    peer.dial(node.p2p);
    wait_for_height(&node, HONEST);
    let mut ahead = chain.fork_at(FORK).mined_by(&Account::numbered(6));
    ahead.mine_block_at(clock::now_ms() + 24 * 3_600_000, &[]);
    ahead.mine(ON_TOP);
    let early = ScriptedPeer::start(Holdings::of(&ahead), Behaviour::Honest);
    early.dial(node.p2p);
    early.wait_for_kind(<steelyard_core::wire::GetHeaders as steelyard_core::wire::Message>::KIND, 1);
    for _ in 0..3 {
        grow(&mut chain, &peer);
        wait_for_tip(&node, &chain);
    }
    assert_eq!((early.seen().connections, early.seen().endings), (1, Vec::new()));
}
