//! Of the attacks behind the rules those that need a node: other signatures under an id that is
//! pending, assets that a reorganisation takes back, and what another version of the rules refused. The
//! rest is in `review` of the ledger's suite. Must not know how signatures are remembered.

use steelyard_core::consensus::error::{RULE_SET, RuleError, TxRule};
use steelyard_core::consensus::template::{Payout, assemble};
use steelyard_core::encode::List;
use steelyard_core::params::Params;
use steelyard_core::types::transaction::{Transaction, asset_id};
use steelyard_core::wire::Role;
use steelyard_node::chain::check::UncheckedBlock;
use steelyard_node::chain::error::{Accepted, BlockError};
use steelyard_node::lookup::submission::check;
use steelyard_node::mempool::{Admission, PoolError};
use steelyard_node::store::log::LogRecord;
use steelyard_node::store::{Commit, Store};
use steelyard_runtime::clock;
use steelyard_tests::accounts::{Account, Terms, coins, issue, transfer, units};
use steelyard_tests::chain::{Block, Chain, seal};
use steelyard_tests::inprocess::InProcess;
use steelyard_tests::process::Launch;
use tempfile::TempDir;
use tokio::runtime::Builder;

use crate::doors::talk::Talk;

/// Coins of the shared account.
const SHARED: u64 = 50;

fn unchecked(block: &Block) -> UncheckedBlock {
    UncheckedBlock { header: block.header, body: block.body.clone() }
}

fn node_with(chain: &Chain) -> (InProcess, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let node = InProcess::open(chain.params(), &folder.path().join("chain"));
    give(&node, chain.blocks());
    (node, folder)
}

fn give<'a>(node: &InProcess, blocks: impl Iterator<Item = &'a Block>) {
    let given = node.chain.submit_blocks(blocks.map(unchecked).collect(), clock::now_ms());
    assert!(given.iter().all(Result::is_ok), "{given:?}");
}

fn submit(node: &InProcess, tx: &Transaction) -> Result<Admission, PoolError> {
    let tx = check(&node.chain.shared, &tx.to_bytes())?;
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(node.chain.submit_txs(vec![tx])).unwrap().remove(0)
}

/// A chain on which two of three keys share coins, and their payment with right signatures, with right
/// ones of other keys, and with garbage: one id, three transactions.
fn versions() -> (Chain, [Transaction; 3]) {
    let shared = Account::multisig(2, 3, 1);
    let mut chain = Chain::dev();
    chain.pay(&Account::dev(0), shared.address, SHARED);
    chain.mine(1);
    let pay = |signers: &[usize]| {
        let payments = vec![coins(Account::numbered(1).address, SHARED)];
        let body = shared.body(chain.network(), Terms::of_nonce(0), transfer(payments));
        shared.sign_by(signers, body)
    };
    let (first, other) = (pay(&[0, 1]), pay(&[0, 2]));
    let mut garbage = first.clone();
    let signatures = garbage.authorization.signatures.iter().map(|signature| {
        let mut signature = *signature;
        signature.0[40] ^= 1;
        signature
    });
    garbage.authorization.signatures = List::new(signatures.collect()).unwrap();
    assert!(first.body.id() == other.body.id() && other.body.id() == garbage.body.id());
    (chain, [first, other, garbage])
}

/// A block of exactly this transaction, right in all but, perhaps, its signatures.
fn block_of(chain: &Chain, right: &Transaction, held: &Transaction) -> Block {
    let payout = Payout { miner: Account::numbered(9).address, extra: List::default() };
    let candidates = chain.check_all(std::slice::from_ref(right));
    let time = chain.expected_header().time;
    let made = assemble(chain.params(), &chain.tip().parent(), chain.state(), &candidates, (&payout, time));
    let mut block = Block { header: made.header, body: made.body };
    block.body.items[1] = held.to_bytes();
    seal(block)
}

/// Who remembers by id what it has verified takes a block that all others refuse.
#[test]
fn a_block_of_garbage_signatures_is_refused_by_who_has_verified_the_id_and_who_has_not() {
    let (chain, [first, other, garbage]) = versions();
    let (pooled, _folder) = node_with(&chain);
    let (fresh, _other_folder) = node_with(&chain);
    assert_eq!(submit(&pooled, &first), Ok(Admission::Added));
    let bad = block_of(&chain, &first, &garbage);
    let rule = RuleError::Transaction { index: 1, rule: TxRule::InvalidSignature { index: 0 } };
    for node in [&pooled, &fresh] {
        let refused = node.chain.submit_block(unchecked(&bad), clock::now_ms());
        assert_eq!(refused, Err(BlockError::Rule(rule.clone())));
        assert_eq!(node.chain.shared.read().tip().header.height, 1);
    }
    assert!(pooled.chain.shared.read().pending(&first.body.id()).is_some(), "it is as right as before");
    // Another version that is right is as good as the first, to everybody.
    let good = block_of(&chain, &first, &other);
    for node in [&pooled, &fresh] {
        assert_eq!(node.chain.submit_block(unchecked(&good), clock::now_ms()), Ok(Accepted::Active));
    }
    assert_eq!(pooled.chain.shared.read().pending_size().0, 0, "it is confirmed, whoever signed it");
}

#[test]
fn a_pool_holds_one_version_of_an_id_and_garbage_does_not_keep_the_right_one_out() {
    let (chain, [first, other, garbage]) = versions();
    let (node, _folder) = node_with(&chain);
    let invalid = || Err(PoolError::Rule(TxRule::InvalidSignature { index: 0 }));
    assert_eq!(submit(&node, &garbage), invalid());
    assert_eq!(submit(&node, &first), Ok(Admission::Added));
    assert_eq!(submit(&node, &other), Ok(Admission::Known));
    assert_eq!(submit(&node, &garbage), invalid(), "also now that the id is known");
    let held = node.chain.shared.read().pending(&first.body.id()).unwrap().tx.bytes().to_vec();
    assert_eq!((held, node.chain.shared.read().pending_size().0), (first.to_bytes(), 1));
    assert_eq!(node.mine(Account::numbered(9).address), [first.to_bytes()]);
}

/// A liar who is asked first costs one question: the id is asked of the next peer that has it.
#[test]
fn garbage_that_a_peer_relays_does_not_keep_the_right_version_out() {
    let network = Params::dev().network_id();
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::run("dev".as_ref(), &folder.path().join("node"), &["--discover", "off"]).start();
    let right =
        Account::dev(1).pay(network, Terms::of_nonce(0), vec![coins(Account::numbered(1).address, 5)]);
    let mut garbage = right.clone();
    let other =
        Account::dev(1).pay(network, Terms::of_nonce(1), vec![coins(Account::numbered(1).address, 5)]);
    garbage.authorization.signatures = other.authorization.signatures;
    let mut liar = Talk::dial(node.p2p, network, Role::Node);
    liar.relay(&[garbage.to_bytes()]);
    assert_eq!(liar.bye().0, "invalid_signature");
    Talk::dial(node.p2p, network, Role::Node).relay(&[right.to_bytes()]);
    node.api.wait_for(&format!("/tx/{}", right.body.id()), |answer| answer.json["status"] == "pending");
}

/// A payment of an asset that a reorganisation takes back has nothing to pay with on the new branch,
/// though the same issuer made another asset there with the same nonce.
#[test]
fn a_payment_of_an_asset_that_is_no_more_does_not_return_to_the_pool() {
    let (alice, bob) = (Account::dev(0), Account::dev(1));
    let mut here = Chain::dev();
    here.mine(1);
    let network = here.network();
    let issued = |mintable| alice.act(network, Terms::of_nonce(0), issue("GOLD", 10, mintable));
    let (first, second) = (issued(true), issued(false));
    let asset = asset_id(&first.body.id());
    let payment = |asset| alice.pay(network, Terms::of_nonce(1), vec![units(asset, bob.address, 3)]);
    let (pays, coin) = (payment(asset), bob.pay(network, Terms::of_nonce(0), vec![coins(alice.address, 1)]));
    let mut there = here.fork_at(1).mined_by(&bob);
    here.mine_block(&[first, pays.clone(), coin.clone()]);
    there.mine_block(std::slice::from_ref(&second));
    there.mine(1);
    let (node, _folder) = node_with(&here);
    give(&node, there.blocks().skip(1));
    assert_eq!(node.chain.shared.read().tip().id, there.tip().id);
    let pending = |tx: &Transaction| node.chain.shared.read().pending(&tx.body.id()).is_some();
    assert_eq!((pending(&coin), pending(&pays)), (true, false));
    let short = TxRule::InsufficientAsset { asset, have: 0, need: 3 };
    assert_eq!(submit(&node, &pays), Err(PoolError::Rule(short)));
    // What was signed for the asset of this branch does play here.
    assert_eq!(submit(&node, &payment(asset_id(&second.body.id()))), Ok(Admission::Added));
}

/// A node with a block, and in its store two more of another branch, which some rules refused; and that
/// branch, with a third.
fn with_refused_branch(rule_set: u32) -> (InProcess, TempDir, Chain) {
    let mut chain = Chain::dev();
    let mut branch = chain.clone().mined_by(&Account::numbered(8));
    chain.mine(1);
    branch.mine(3);
    let (mut node, folder) = node_with(&chain);
    node.stop();
    drop(node);
    let stored: Vec<&Block> = branch.blocks().take(2).collect();
    let bodies: Vec<Vec<u8>> = stored.iter().map(|block| block.body.to_bytes()).collect();
    let received = stored.iter().zip(&bodies).map(|(block, body)| (block.header, body.len() as u32));
    let place = folder.path().join("chain");
    let store = Store::open(&place, &chain.params().network_id()).unwrap();
    let log = LogRecord {
        tip: store.tip().unwrap().unwrap(),
        received: received.collect(),
        invalid: stored.iter().map(|block| (block.header.id(), rule_set, "block_size".into())).collect(),
        ..LogRecord::default()
    };
    store.commit(2, &Commit { log, bodies: bodies.concat(), ..Commit::default() }).unwrap();
    drop(store);
    let node = InProcess::open(chain.params(), &place);
    (node, folder, branch)
}

/// A branch that is here whole and has most work is the chain, whoever has said what of it.
#[test]
fn a_stored_branch_that_other_rules_refused_is_taken_at_the_start() {
    let (node, _folder, branch) = with_refused_branch(RULE_SET + 1);
    let again = node.chain.submit_block(unchecked(branch.block(2)), clock::now_ms());
    assert_eq!(again, Ok(Accepted::Known));
    assert_eq!(node.chain.shared.read().tip().id, branch.tip_at(2).id);
    let last = unchecked(branch.block(3));
    assert_eq!(node.chain.submit_block(last, clock::now_ms()), Ok(Accepted::Active));
    // By these rules it stays refused, and so does what comes after it.
    let (node, _folder, branch) = with_refused_branch(RULE_SET);
    let refused = node.chain.submit_block(unchecked(branch.block(3)), clock::now_ms());
    assert_eq!(refused, Err(BlockError::KnownInvalid { reason: "block_size".into() }));
    assert_eq!(node.chain.shared.read().tip().header.height, 1);
}
