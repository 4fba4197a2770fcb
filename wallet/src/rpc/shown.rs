//! What the view holds, as the answers say it: moments, nodes, wallets, and sends in plain words.
//! Must not know routes or requests.

use std::net::SocketAddr;

use steelyard_core::amount::Coins;
use steelyard_core::hash::Address;
use steelyard_runtime::clock;

use super::Api;
use super::types::{AsOf, Failure, NodeInfo, Tx, WalletInfo};
use crate::desk::Desk;
use crate::intent::{Amount, Intent, State, WalletName};
use crate::view::{Link, NodeStatus, Snapshot, View, WalletView};

/// What figures stand on while no proof buries the header they are proven under.
pub(super) const TRUST: &str = "header";

/// Of which moment a snapshot is, and how sure.
pub(super) fn as_of(view: &View, snapshot: &Snapshot) -> AsOf {
    let up = view.nodes.iter().filter(|node| node.link == Link::Up);
    let highest = up.filter_map(|node| node.tip.map(|(height, _, _)| height)).max().unwrap_or(0);
    AsOf {
        height: snapshot.tip.height,
        id: snapshot.id,
        depth: highest.saturating_sub(snapshot.tip.height),
        time: snapshot.tip.time,
        proven: false,
        synced: Desk::is_synced(view, clock::now_ms()),
        trust: TRUST.to_owned(),
        node: snapshot.node.to_string(),
    }
}

/// The nodes in the order in which they were given; one of which nothing is known yet is being
/// connected to.
pub(super) fn nodes(given: &[SocketAddr], view: &View) -> Vec<NodeInfo> {
    let now = clock::now_ms();
    let known = |address: &SocketAddr| view.nodes.iter().find(|node| node.address == *address);
    let first =
        given.iter().map(|address| known(address).map_or_else(|| unknown(address), |node| told(node, now)));
    let others = view.nodes.iter().filter(|node| !given.contains(&node.address));
    first.chain(others.map(|node| told(node, now))).collect()
}

fn unknown(address: &SocketAddr) -> NodeInfo {
    NodeInfo {
        address: address.to_string(),
        link: "connecting".to_owned(),
        agent: String::new(),
        height: None,
        tip: None,
        work: None,
        failure: None,
        silent_ms: None,
        trust: TRUST.to_owned(),
    }
}

fn told(node: &NodeStatus, now_ms: u64) -> NodeInfo {
    let link = match node.link {
        Link::Connecting => "connecting",
        Link::Up => "up",
        Link::Down => "down",
        Link::Banned => "banned",
    };
    let failure = node.failure.as_ref().filter(|_| node.link != Link::Up);
    NodeInfo {
        address: node.address.to_string(),
        link: link.to_owned(),
        agent: node.agent.clone(),
        height: node.tip.map(|(height, _, _)| height),
        tip: node.tip.map(|(_, id, _)| id),
        work: node.tip.map(|(_, _, work)| work.to_string()),
        failure: failure.map(|(code, message)| Failure { code: code.clone(), message: message.clone() }),
        silent_ms: node.answered.map(|answered| now_ms.saturating_sub(answered)),
        trust: TRUST.to_owned(),
    }
}

/// Why no node serves, one after another, or that there is none.
pub(super) fn failures(given: &[SocketAddr], view: &View) -> String {
    let nodes = nodes(given, view);
    if nodes.is_empty() {
        return "no node is known".to_owned();
    }
    let one = |node: &NodeInfo| match &node.failure {
        Some(failure) => format!("{}: {}", node.address, failure.message),
        None => format!("{}: {}", node.address, node.link),
    };
    nodes.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// A wallet, without secrets.
pub(super) fn wallet(name: &WalletName, wallet: &WalletView) -> WalletInfo {
    WalletInfo {
        name: name.clone(),
        encrypted: wallet.encrypted,
        unlocked: wallet.unlocked,
        unlocked_until: wallet.unlocked_until,
        addresses: wallet.addresses.len(),
        birthday: wallet.birthday,
        live_sends: wallet.live.len(),
    }
}

/// A send as it stands.
pub(super) fn tx(api: &Api, name: &WalletName, intent: &Intent) -> Tx {
    let (tip, words) = {
        let view = api.desk.shared.read();
        (view.snapshot.as_ref().map(|snapshot| snapshot.tip.height), words(&view, name, intent))
    };
    let block = intent.state.block();
    let asked = match intent.request.amount {
        Amount::Units { units } => Some(units),
        Amount::Max {} => None,
    };
    let text = |address: &Address| api.text_of(address);
    Tx {
        id: intent.id.clone(),
        wallet: name.clone(),
        state: intent.state.name().to_owned(),
        is_final: intent.state.is_final(),
        reason: words.reason,
        next_action: words.next_action,
        tx_id: intent.signed.as_ref().map(|signed| signed.id),
        from: intent.plan.map(|plan| plan.sender).or(intent.request.from).as_ref().map(text),
        to: text(&intent.request.to),
        amount: intent.plan.map(|plan| plan.amount).or(asked).map(Coins),
        fee: intent.plan.map(|plan| Coins(plan.fee)),
        nonce: intent.signed.as_ref().map(|signed| signed.nonce),
        expiry: intent.plan.map(|plan| plan.expiry),
        memo: memo(&intent.request.memo),
        created: intent.created,
        changed: intent.changed,
        height: block.map(|(height, _, _)| height),
        block: block.map(|(_, id, _)| id),
        confirmations: confirmations(&intent.state, tip),
    }
}

fn memo(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Blocks from the one that holds it to the tip of the last reading, itself included; 0 while none
/// holds it.
pub(super) fn confirmations(state: &State, tip: Option<u64>) -> u64 {
    let Some((height, _, _)) = state.block() else { return 0 };
    tip.unwrap_or(height).saturating_sub(height).saturating_add(1)
}

/// Why a send stands where it does, and what comes next.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) reason: Option<String>,
    pub(super) next_action: Option<String>,
}

impl Words {
    fn new(reason: impl Into<String>, next_action: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), next_action: Some(next_action.into()) }
    }
}

/// The end of what may hold a send, in words.
pub(super) fn until_when(intent: &Intent) -> String {
    match intent.plan.map(|plan| plan.expiry) {
        Some(0) => "for as long as it takes: it never expires".to_owned(),
        Some(expiry) => format!("until block {expiry}, after which it is void"),
        None => "until it expires".to_owned(),
    }
}

/// A send in plain words.
pub(super) fn words(view: &View, name: &WalletName, intent: &Intent) -> Words {
    let id = &intent.id;
    match intent.state {
        State::Intended {} => intended(view, name, intent),
        State::Signed {} => signed(view, intent),
        State::Pending {} => Words::new(
            "a node has it; it is in no block yet",
            format!(
                "steelyard-wallet tx wait {id} waits for its block; it can be mined {}",
                until_when(intent)
            ),
        ),
        State::Confirmed { height, .. } => Words::new(
            format!("it is in block {height}"),
            format!("steelyard-wallet tx wait {id} waits for more blocks above it"),
        ),
        State::Settled { height, .. } => {
            Words { reason: Some(format!("it is in block {height}, deep enough")), next_action: None }
        }
        State::Expired {} => {
            Words::new("no block may hold it any more: nothing was paid", "use another id to send again")
        }
        State::Replaced {} => Words::new(
            "another transaction took its nonce: nothing was paid by this one",
            "see steelyard-wallet tx list; use another id to send again",
        ),
        State::Cancelled {} => Words::new(
            "it was dropped before it was signed: nothing was paid",
            "use another id to send again",
        ),
    }
}

fn intended(view: &View, name: &WalletName, intent: &Intent) -> Words {
    let id = &intent.id;
    let drops = format!("steelyard-wallet tx cancel {id} drops it");
    let is_locked = view.wallets.get(name).is_some_and(|wallet| !wallet.unlocked);
    let obstacle =
        intent.obstacle.as_ref().map(|obstacle| (obstacle.code.as_str(), obstacle.reason.as_str()));
    match obstacle {
        _ if is_locked => Words::new(
            "the wallet is locked",
            format!("steelyard-wallet unlock --wallet {name} lets it go on; {drops}"),
        ),
        Some(("no_node", reason)) => Words::new(reason, format!("it goes out when a node answers; {drops}")),
        Some(("insufficient_funds", reason)) => {
            Words::new(reason, format!("it goes out once there is enough; {drops}"))
        }
        Some((_, reason)) => Words::new(reason, format!("it is tried again by itself; {drops}")),
        None => Words::new(
            "it waits for a node's answer about the account",
            format!("it goes out when a node answers; {drops}"),
        ),
    }
}

fn signed(view: &View, intent: &Intent) -> Words {
    let end = until_when(intent);
    if let Some(obstacle) = intent.obstacle.as_ref().filter(|obstacle| obstacle.code.as_str() != "no_node") {
        let reason = format!("a node refused it: {} ({})", obstacle.reason, obstacle.code);
        return Words::new(reason, format!("the same bytes are offered again by themselves, {end}"));
    }
    let is_attempted = intent.signed.as_ref().is_some_and(|signed| view.attempted.contains(&signed.id));
    if is_attempted {
        return Words::new(
            "a node may have it, and none has said so yet",
            format!("the same bytes are sent again by themselves, {end}: it is paid once at most"),
        );
    }
    Words::new(
        "it is signed, and no node has been reached since",
        format!("it goes out by itself when a node answers, {end}"),
    )
}
