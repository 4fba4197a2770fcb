//! Power cuts under a wallet's daemon: a send that it has acknowledged is there after any, and asked
//! for again it is the same payment.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use steelyard_tests::disk::{Disk, read_log};
use steelyard_tests::power::{Names, PowerCut};
use steelyard_tests::process::Launch;
use steelyard_tests::random::Random;
use steelyard_tests::wallet::{Rpc, Wallet};

use super::power::{choose, cuts};
use crate::wallet::receiver;

/// People who send at once.
const CALLERS: u64 = 3;

/// A send that was answered: the moment, what was asked, its transaction.
type Sent = (u64, Value, String);

fn send(caller: u64, number: u64) -> Value {
    let number = 200_000 + 10_000 * caller + number;
    json!({ "id": format!("p{number}"), "to": receiver(number), "amount": "0.25" })
}

/// Sends until nobody answers. What was not answered is asked for again in the daemon's next life.
fn send_all(mut rpc: Rpc, caller: u64, next: &mut u64, disk: &Disk, sent: &Mutex<Vec<Sent>>) {
    loop {
        let body = send(caller, *next);
        match rpc.try_post("/wallet/dev/sends", &body) {
            Some((200, answer)) => {
                let moment = disk.moment();
                let tx = answer["tx_id"].as_str().unwrap_or_else(|| panic!("no transaction: {answer}"));
                sent.lock().unwrap().push((moment, body, tx.to_owned()));
                *next += 1;
            }
            Some((503 | 504, answer)) => assert!(answer["error"]["intent"].is_string(), "{answer}"),
            Some(other) => panic!("{other:?}"),
            None => return,
        }
    }
}

#[test]
fn a_power_cut_loses_no_acknowledged_send() {
    let mut random = Random::for_test(9);
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::dev(&folder.path().join("node"), &["--mine-on-tx", "--mine", &receiver(0)]).start();
    let disk = Disk::new();
    // Its socket is elsewhere: what holds nothing is not followed.
    let mut plain = Wallet::new(disk.root(), &[node.p2p]);
    plain.runtime_dir = Wallet::new(folder.path(), &[]).runtime_dir.clone();
    let followed =
        disk.env().into_iter().fold(plain.clone(), |wallet, (name, value)| wallet.env(name, &value));
    let (sent, mut next) = (Mutex::new(Vec::new()), [0; CALLERS as usize]);
    for life in 0..3 {
        let mut daemon = followed.start();
        if life == 0 {
            let _ = plain.run(&["import-dev", "--no-autostart"]).ok();
        }
        std::thread::scope(|scope| {
            for (caller, next) in (0..).zip(&mut next) {
                let (rpc, disk, sent) = (daemon.rpc(), &disk, &sent);
                scope.spawn(move || send_all(rpc, caller, next, disk, sent));
            }
            std::thread::sleep(Duration::from_millis(300 + random.below(300)));
            disk.kill_after(u32::try_from(random.below(40)).unwrap());
        });
        assert_eq!(daemon.wait(), None, "the daemon should have been killed by its disk");
    }
    let (log, sent) = (read_log(&disk), sent.into_inner().unwrap());
    let cuts = choose(&log, cuts().div_ceil(4), &mut random);
    let mut disks = [Names::Journal, Names::Strict].map(|names| (PowerCut::new(names), 0));
    let mut asked = 0;
    for (number, cut) in cuts.iter().enumerate() {
        let (state, done) = &mut disks[usize::from(cut.names == Names::Strict)];
        log[*done..cut.at].iter().for_each(|(operation, _)| state.apply(operation));
        *done = cut.at;
        let dir = folder.path().join(format!("cut-{number}"));
        std::fs::create_dir(&dir).unwrap();
        state.build(&mut random, cut.data, &dir);
        let wallet = Wallet::new(&dir, &[node.p2p]);
        let daemon = wallet
            .try_start()
            .unwrap_or_else(|ended| panic!("{cut:?}: the daemon does not start: {ended:?}"));
        let mut rpc = daemon.rpc();
        for (_, body, tx) in sent.iter().filter(|(moment, ..)| *moment <= cut.moment(&log)) {
            let (status, again) = rpc.try_post("/wallet/dev/sends", body).unwrap_or_else(|| {
                let printed = std::fs::read_to_string(dir.join("wallet.log")).unwrap();
                panic!("{cut:?}: no answer to {body} after {asked} others: {printed}")
            });
            assert_eq!(
                (status, again["tx_id"].as_str()),
                (200, Some(tx.as_str())),
                "{cut:?}: {body}: {again}"
            );
            asked += 1;
        }
    }
    println!(
        "{} cuts, {} sends; asked for again {asked} times, each the same payment",
        cuts.len(),
        sent.len()
    );
}
