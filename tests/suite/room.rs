//! Room on the disk: a node that has too little takes nothing, says so at every door, harms nobody, and
//! goes on by itself once there is room. Debug builds are told in a file how much is free.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use steelyard_core::amount::COIN;
use steelyard_core::hash::{Address, AssetId};
use steelyard_core::params::Params;
use steelyard_core::types::transaction::{Payment, Transaction};
use steelyard_tests::accounts::{Account, Terms};
use steelyard_tests::network::{
    Network, peers, stop, submit, text, tip, wait_for_block, wait_for_height, wait_for_one_tip,
    wait_for_peers,
};
use steelyard_tests::process::{Api, Launch, Node, node_program, wait_until};
use steelyard_tests::wallet::Wallet;

const GIB: u64 = 1024 * 1024 * 1024;
/// Much less than a node needs.
const LITTLE: u64 = 1024 * 1024;

/// The free bytes that a node believes in.
struct Room(PathBuf);

impl Room {
    fn new(folder: &Path, bytes: u64) -> Self {
        let room = Self(folder.join("free"));
        room.set(bytes);
        room
    }

    fn set(&self, bytes: u64) {
        let beside = self.0.with_extension("new");
        std::fs::write(&beside, bytes.to_string()).unwrap();
        std::fs::rename(&beside, &self.0).unwrap();
    }

    fn of(&self, launch: Launch) -> Launch {
        launch.env("STEELYARD_FREE_BYTES_FILE", self.0.to_str().unwrap())
    }
}

fn is_skipped() -> bool {
    if !cfg!(debug_assertions) {
        println!("skipped: only debug builds are told how much is free");
    }
    !cfg!(debug_assertions)
}

/// `code`s of a list of notices.
fn codes(notices: &Value) -> Vec<&str> {
    notices.as_array().unwrap().iter().map(|notice| notice["code"].as_str().unwrap()).collect()
}

/// Waits until the node is ready, or is not because its disk is full.
fn wait_for_room(node: &Node, is_room: bool) {
    let root = |path: &str| node.api.get_root(path);
    let wanted = if is_room { vec![] } else { vec!["disk_full"] };
    wait_until(
        || format!("{:?}", root("/readyz")),
        || (codes(&root("/readyz").json["reasons"]) == wanted).then_some(()),
    );
    assert_eq!(root("/readyz").status, if is_room { 200 } else { 503 });
}

fn payment(nonce: u64) -> Transaction {
    let payments = vec![Payment { asset: AssetId::COINS, to: Address([7; 32]), amount: COIN }];
    Account::dev(1).pay(Params::dev().network_id(), Terms::of_nonce(nonce), payments)
}

/// With what the machine really has, and a bound that no machine has.
#[test]
fn a_bound_in_the_settings_is_kept_from_the_first_moment() {
    let folder = tempfile::tempdir().unwrap();
    let launch = Launch::dev(&folder.path().join("node"), &[]);
    let mut node = launch.clone().env("STEELYARD_NODE__DISK_STOP", "1000000000").start();
    wait_for_room(&node, false);
    let answer = node.api.submit(&payment(0).to_bytes());
    assert_eq!((answer.status, answer.code()), (507, "disk_full"), "{answer:?}");
    let status = node.api.get("/status").json;
    assert_eq!((codes(&status["warnings"]), status["height"].as_u64()), (vec!["disk_full"], Some(0)));
    assert_eq!(node.terminate().0, Some(0));
    let node = launch.env("STEELYARD_NODE__DISK_STOP", "0").env("STEELYARD_NODE__DISK_WARN", "0").start();
    wait_for_height(&node, 1);
    assert_eq!(node.api.submit(&payment(0).to_bytes()).status, 200);
}

#[test]
fn a_miner_rests_while_there_is_no_room_and_goes_on() {
    if is_skipped() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let room = Room::new(folder.path(), GIB - 1);
    let launch = room.of(Launch::dev(&folder.path().join("node"), &["--mine-on-tx"]));
    let node = launch.start();
    wait_for_height(&node, 1);
    assert_eq!(codes(&node.api.get("/status").json["warnings"]), ["disk_low"]);
    room.set(LITTLE);
    wait_for_room(&node, false);
    let stands = tip(&node);
    assert_eq!(node.api.submit(&payment(0).to_bytes()).code(), "disk_full");
    assert_eq!(node.api.get("/block-height/1").status, 200, "what is there is read");
    let metrics = node.api.get_root("/metrics").json;
    assert!(metrics.as_str().unwrap().contains(&format!("\nsteelyard_disk_free_bytes {LITTLE}\n")));
    // Past the bound, and not far enough.
    room.set(205 * 1024 * 1024);
    node.api
        .wait_for("/status", |answer| answer.json["warnings"][0]["message"].to_string().contains("214.9 MB"));
    wait_for_room(&node, false);
    assert_eq!(tip(&node), stands);
    room.set(300 * GIB);
    wait_for_room(&node, true);
    assert!(codes(&node.api.get("/status").json["warnings"]).is_empty());
    wait_for_block(&node, &submit(&node, &payment(0)));
    let log = std::fs::read_to_string(folder.path().join("node.log")).unwrap();
    assert_eq!(log.matches("nothing is taken, mined or fetched").count(), 1, "said once: {log}");
}

#[test]
fn a_node_without_room_fetches_nothing_stays_connected_and_catches_up_later() {
    if is_skipped() {
        return;
    }
    let payer = Account::numbered(1);
    let network = Network::new("1s", 100_000, std::slice::from_ref(&payer));
    let folder = tempfile::tempdir().unwrap();
    let room = Room::new(folder.path(), LITTLE);
    let launch_a = network.node("a").mine(&text(&Account::numbered(2).address));
    let a = launch_a.start();
    let launch_b = room.of(network.node("b").connect(launch_a.listen));
    let b = launch_b.start();
    wait_for_room(&b, false);
    b.api.wait_for("/status", |answer| answer.json["headers_height"].as_u64() >= Some(4));
    let id = submit(&a, &network.pay(&payer, 0, Account::numbered(3).address, COIN));
    wait_for_block(&a, &id);
    let later = submit(&a, &network.pay(&payer, 1, Account::numbered(3).address, COIN));
    let stands = |node: &Node| {
        let status = node.api.get("/status").json;
        assert_eq!((&status["height"], &status["mempool_txs"]), (&0.into(), &0.into()));
        assert_eq!((peers(node).len(), peers(&a).len()), (1, 1), "nobody is punished");
        assert!(a.api.get("/peers").json["bans"].as_array().is_none_or(Vec::is_empty));
    };
    stands(&b);
    // Without room from its first moment on it is the same.
    stop(b);
    let b = launch_b.start();
    wait_for_peers(&b, 1);
    b.api.wait_for("/status", |answer| answer.json["headers_height"].as_u64() >= Some(4));
    wait_for_peers(&a, 1);
    stands(&b);
    room.set(GIB * 2);
    for id in [&id, &later] {
        wait_for_block(&b, id);
    }
    wait_for_one_tip(&[&a, &b]);
    wait_for_room(&b, true);
    stop(b);
    network.verify(&launch_b);
}

#[test]
fn a_wallet_keeps_its_send_while_the_node_has_no_room_and_reads_on() {
    if is_skipped() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let room = Room::new(folder.path(), GIB * 2);
    let node = room.of(Launch::dev(&folder.path().join("node"), &["--mine-on-tx"])).start();
    let wallet = Wallet::new(folder.path(), &[node.p2p]);
    let _ = wallet.json(&["import-dev"]).ok();
    room.set(LITTLE);
    wait_for_room(&node, false);
    let to = steelyard_core::address::format("dsy", &Account::numbered(9).address);
    let _ = wallet.json(&["send", "1.5", "--to", &to, "--id", "rent"]);
    let shown = |wallet: &Wallet| wallet.json(&["tx", "show", "rent"]).ok().json();
    let state = shown(&wallet)["state"].as_str().unwrap().to_owned();
    assert!(["intended", "signed"].contains(&state.as_str()), "{state}");
    assert_eq!(node.api.get("/status").json["mempool_txs"], 0);
    let balance = wallet.json(&["balance"]).ok().json();
    assert_eq!(balance["as_of"]["synced"], true, "it is read as ever: {balance}");
    room.set(GIB * 2);
    wallet.wait_for(&["tx", "show", "rent"], |shown| {
        ["confirmed", "settled"].contains(&shown["state"].as_str().unwrap())
    });
    assert_eq!(node.api.get(&format!("/address/{to}")).json["balance"], "1.5");
    wallet.stop();
}

/// A filesystem of a few MiB, in a namespace of its own where the machine allows that: the node fills it,
/// ends with the reason, gets more room, and has everything that it has said.
const FILLED: &str = r#"
mount -t tmpfs -o size=11m none "$1" || exit 99
"$2" dev --mine-on-tx --data-dir "$1/node" --api 127.0.0.1:0 --listen 127.0.0.1:0 --ready-file "$3/first" \
    > /dev/null 2> "$3/log"
echo "$?" > "$3/code.new" && mv "$3/code.new" "$3/code"
mount -o remount,size=100m "$1" || exit 99
exec "$2" dev --mine off --data-dir "$1/node" --api 127.0.0.1:0 --listen 127.0.0.1:0 --ready-file "$3/second"
"#;

/// Payments with long memos of one account, from a nonce on.
fn long_payments(account: &Account, from: u64) -> Vec<Vec<u8>> {
    let payment = |nonce| {
        let terms = Terms { nonce, memo: vec![7; 256], ..Terms::default() };
        let payment = Payment { asset: AssetId::COINS, to: Address([7; 32]), amount: 1 };
        account.pay(Params::dev().network_id(), terms, vec![payment]).to_bytes()
    };
    (from..from + 100).map(payment).collect()
}

/// Sends payments until nobody answers any more, and gives the ids of those that were taken.
fn fill(api: &Api) -> Vec<String> {
    let accounts: Vec<Account> = (1..10).map(Account::dev).collect();
    let mut taken = Vec::new();
    for round in 0..10 {
        for account in &accounts {
            let Some(answer) = api.try_post_batch(&long_payments(account, round * 100)) else { return taken };
            match &answer.json {
                Value::Array(verdicts) => {
                    taken.extend(
                        verdicts.iter().filter_map(|verdict| Some(verdict["id"].as_str()?.to_owned())),
                    );
                }
                _ => assert!(["outcome_unknown", "stopping"].contains(&answer.code()), "{answer:?}"),
            }
        }
    }
    panic!("{} payments did not fill the disk", taken.len());
}

#[test]
fn a_disk_that_is_really_full_ends_the_node_in_order_and_nothing_is_lost() {
    let unshared = |args: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount"]).args(args).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let folder = tempfile::tempdir().unwrap();
    let (mount, notes) = (folder.path().join("mount"), folder.path().join("notes"));
    std::fs::create_dir(&mount).unwrap();
    std::fs::create_dir(&notes).unwrap();
    let plain = |path: &Path| path.to_str().unwrap().to_owned();
    let is_possible = unshared(&["mount", "-t", "tmpfs", "none", &plain(&mount)]).status();
    if !is_possible.is_ok_and(|status| status.success()) {
        println!("skipped: this machine gives no filesystem of a few MiB");
        return;
    }
    let program = plain(&node_program());
    let mut command = unshared(&["sh", "-c", FILLED, "sh", &plain(&mount), &program, &plain(&notes)]);
    // The watch would stop it before the disk does.
    command.env("STEELYARD_NODE__DISK_STOP", "0");
    let mut child = Killed(command.spawn().unwrap());
    let note = |name: &str| {
        let path = notes.join(name);
        wait_until(
            || format!("{name} of {:?}", std::fs::read_dir(&notes)),
            || std::fs::read_to_string(&path).ok(),
        )
    };
    let api =
        |ready: String| Api::new(serde_json::from_str::<Value>(&ready).unwrap()["api"].as_str().unwrap());
    let taken = fill(&api(note("first")));
    assert!(taken.len() > 100);
    assert_eq!(note("code").trim(), "1");
    let log = note("log");
    for words in ["no space left on the disk", &plain(&mount), "nothing that was acknowledged is lost"] {
        assert!(log.contains(words), "{words}: {log}");
    }
    let api = api(note("second"));
    for id in &taken {
        assert_eq!(api.get(&format!("/tx/{id}")).status, 200, "{id}");
    }
    assert!(child.0.try_wait().unwrap().is_none());
}

/// A process that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
