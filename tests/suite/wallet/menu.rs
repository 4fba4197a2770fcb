//! The numbered menu, as a class types it and as a script pipes it: it pays as `send` does, and
//! whatever goes wrong in it, it goes on.

use std::io::Write;
use std::process::{Command, Stdio};

use steelyard_tests::process::Launch;
use steelyard_tests::wallet::{Run, Wallet};

use super::{balance_at, dev_wallet, receiver};

/// Runs the command with these bytes as its whole input.
fn fed(mut command: Command, input: &[u8]) -> Run {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    child.stdin.take().expect("it is piped").write_all(input).expect("the menu reads all of it");
    child.wait_with_output().expect("it ends").into()
}

/// Runs the menu with these lines, and asserts that it ends well.
fn menu(wallet: &Wallet, args: &[&str], lines: &[&str]) -> Run {
    let args = [&["menu"], args].concat();
    fed(wallet.command(&args), lines.join("\n").as_bytes()).ok()
}

/// The ids of the wallet's sends, the newest first.
fn sends(wallet: &Wallet) -> Vec<String> {
    let list = wallet.json(&["tx", "list"]).ok().json();
    let sends = list["txs"].as_array().expect("a list").iter();
    sends.map(|tx| tx["id"].as_str().expect("an id").to_owned()).collect()
}

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

#[test]
fn numbers_and_words_show_pay_and_say_how_to_wait() {
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::dev(&folder.path().join("node"), &["--mine-on-tx"]).start();
    let wallet = dev_wallet(folder.path(), &node);
    let address = wallet.run(&["address"]).ok().stdout;
    let wrong = wallet.run(&["send", "1", "--to", "nonsense"]).stderr.replace("--to", "to");
    for (number, words) in
        [(80_000, ["1", "2", "3", "4"]), (80_001, ["address", "Balance", "transfer", "quit"])]
    {
        let to = receiver(number);
        let [show, figures, pay, quit] = words;
        let lines = [show, figures, "5", pay, "nonsense", &to, "2.50", quit, "never read"];
        let run = menu(&wallet, &[], &lines);
        assert!(run.stdout.starts_with(&address), "{run:?}");
        assert_eq!(count(&run.stdout, "  spendable "), 1, "{run:?}");
        // As the command pays: the id is said before, the card after it.
        let id = sends(&wallet).remove(0);
        assert!(
            run.stderr.contains(&format!("intent {id}: asking again with --id {id} pays once")),
            "{run:?}"
        );
        assert!(run.stdout.contains(&format!("  send     {id}\n")), "{run:?}");
        assert!(run.stdout.contains("  amount   2.5\n") && run.stdout.contains("  state "), "{run:?}");
        // What is for programs is on one side, what is for people on the other.
        assert_eq!(count(&run.stderr, "1  address    where to be paid\n"), 4, "{run:?}");
        assert!(!run.stdout.contains("pay somebody"), "{run:?}");
        assert!(run.stderr.contains("error: \"5\" is not in the menu\nhint: type a number"), "{run:?}");
        assert!(run.stderr.contains(&wrong), "{wrong} in {run:?}");
        assert_eq!(count(&run.stderr, "error:"), 2, "{run:?}");
        assert!(run.stderr.contains(&format!("steelyard-wallet tx wait {id}\n")), "{run:?}");
        let _ = wallet.run(&["tx", "wait", &id]).ok();
        assert_eq!(balance_at(&node, &to), "2.5");
    }
    assert_eq!(sends(&wallet).len(), 2);
    wallet.stop();
}

#[test]
fn what_is_left_or_wrong_pays_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::dev(&folder.path().join("node"), &["--mine-on-tx"]).start();
    let wallet = dev_wallet(folder.path(), &node);
    let to = receiver(80_010);
    let long = "1".repeat(5_000);
    // What is typed, how often something is wrong, how often the address is shown.
    let flows: [(&[&str], usize, usize); 7] = [
        // An empty line goes back, and the input may end anywhere.
        (&["3", "", "3", &to, "", "", "1"], 0, 1),
        (&[], 0, 0),
        (&["3"], 0, 0),
        (&["3", &to], 0, 0),
        // A wrong amount is not asked for again: the number of the next choice would be paid.
        (&["3", &to, "1e3", "1", "3", &to, "0", "1"], 2, 2),
        (&["3", &to, &long, "1"], 1, 1),
        (&[&long, "1", "3", &long, "1", &long], 4, 1),
    ];
    let address = wallet.run(&["address"]).ok().stdout;
    for (lines, errors, shown) in flows {
        let run = menu(&wallet, &[], lines);
        assert_eq!(count(&run.stderr, "error:"), errors, "{lines:?}: {run:?}");
        assert_eq!(run.stdout, address.repeat(shown), "{lines:?}: {run:?}");
    }
    assert_eq!(sends(&wallet), [""; 0]);
    wallet.stop();
}

#[test]
fn an_error_is_the_commands_own_and_the_menu_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::dev(&folder.path().join("node"), &["--mine-on-tx", "--mine", &receiver(0)]).start();
    let wallet = dev_wallet(folder.path(), &node);
    let address = wallet.run(&["address"]).ok().stdout;
    let to = receiver(80_020);
    let alone = wallet.json(&["send", "1000.5", "--to", &to]);
    assert_eq!(alone.error(), "insufficient_funds");
    let message = alone.json()["error"]["message"].as_str().unwrap().to_owned();
    let run = menu(&wallet, &[], &["3", &to, "1000.5", "1"]);
    assert!(run.stderr.contains(&format!("error: {message}\nhint: ")), "{message} in {run:?}");
    assert_eq!((run.stdout, sends(&wallet).len()), (address, 0));
    let unknown = menu(&wallet, &["--wallet", "nobody"], &["balance", "address"]);
    assert_eq!((unknown.stdout.as_str(), count(&unknown.stderr, "error:")), ("", 2), "{unknown:?}");
    wallet.stop();
    let nobody = menu(&wallet, &["--no-autostart"], &["balance"]);
    assert_eq!(count(&nobody.stderr, "hint: leave out --no-autostart"), 2, "{nobody:?}");
}

#[test]
fn without_a_wallet_it_names_what_makes_one() {
    let folder = tempfile::tempdir().unwrap();
    for (network, own) in [("dev", true), ("tutorial", false)] {
        let wallet = Wallet::new(&folder.path().join(network), &[]);
        let run = menu(&wallet, &["--network", network], &["address", "4"]);
        assert_eq!(count(&run.stderr, "error: there is no wallet yet\nhint: steelyard-wallet"), 2, "{run:?}");
        assert_eq!(run.stderr.contains("steelyard-wallet import-dev"), own, "{run:?}");
        assert!(run.stderr.contains("steelyard-wallet create"), "{run:?}");
        let _ = wallet.run(&["stop", "--network", network]).ok();
    }
}

#[test]
fn json_is_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let wallet = Wallet::new(folder.path(), &[]);
    for args in [["menu", "--json"], ["--json", "menu"]] {
        let run = wallet.run(&args);
        assert_eq!((run.code, run.error().as_str(), run.stderr.as_str()), (Some(2), "invalid_argument", ""));
        let hint = run.json()["error"]["hint"].as_str().unwrap().to_owned();
        for name in ["address", "balance", "send"] {
            assert!(hint.contains(&format!("steelyard-wallet {name}")), "{hint}");
        }
    }
    assert!(!wallet.data_dir.exists());
}

#[test]
fn a_reader_that_goes_away_ends_the_menu_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::dev(&folder.path().join("node"), &["--mine-on-tx"]).start();
    let wallet = dev_wallet(folder.path(), &node);
    for to_stdout in [true, false] {
        let mut command = wallet.command(&["menu"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        if to_stdout {
            drop(child.stdout.take());
        } else {
            drop(child.stderr.take());
        }
        child.stdin.take().unwrap().write_all(b"9\n1\n4\n").unwrap();
        let run = Run::from(child.wait_with_output().unwrap()).ok();
        assert!(!run.stderr.contains("panic"), "{run:?}");
        assert_eq!(run.stdout.is_empty(), to_stdout, "{run:?}");
    }
    wallet.stop();
}

/// Runs the menu on a terminal, which `script` makes, with these lines typed ahead: what the terminal
/// shows.
fn typed(wallet: &Wallet, args: &[&str], lines: &str) -> Run {
    let menu = wallet.command(&[&["menu"], args].concat());
    let words: Vec<String> = std::iter::once(menu.get_program())
        .chain(menu.get_args())
        .map(|word| format!("'{}'", word.to_str().expect("paths of tests are text")))
        .collect();
    // A menu that asks on and on ends as a failure.
    let mut command = Command::new("timeout");
    command.args(["60", "script", "--quiet", "--return", "--command", &words.join(" "), "/dev/null"]);
    for (name, value) in menu.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    // Open to the end: `script` would turn its end into a Ctrl-D, at a moment of its own.
    let mut keyboard = child.stdin.take().expect("it is piped");
    keyboard.write_all(lines.as_bytes()).expect("the terminal takes all of it");
    Run::from(child.wait_with_output().expect("it ends")).ok()
}

#[test]
fn a_person_is_asked_before_paying() {
    if Command::new("script").arg("--version").output().is_err() {
        println!("SKIPPED: there is no program `script`, which makes a terminal");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::dev(&folder.path().join("node"), &["--mine-on-tx"]).start();
    let wallet = dev_wallet(folder.path(), &node);
    let to = receiver(80_030);
    let asked = "Send? [y/N] ";
    for (answer, paid) in [("n", 0), ("", 0), ("yess", 0), ("y", 1)] {
        // A person is asked again for a wrong amount.
        let run = typed(&wallet, &[], &format!("3\n{to}\n1e3\n1.25\n{answer}\n4\n"));
        assert_eq!(count(&run.stdout, asked), 1, "{run:?}");
        assert!(run.stdout.contains("\"1e3\" is no amount"), "{run:?}");
        assert!(run.stdout.contains("  total    1.25"), "{run:?}");
        assert_eq!(run.stdout.contains("nothing was sent"), paid == 0, "{run:?}");
        assert_eq!(sends(&wallet).len(), paid, "{answer}: {run:?}");
    }
    // Ctrl-D leaves the menu wherever it is typed, and is no yes.
    for (lines, questions) in [("", 0), ("3\n", 0), (&*format!("3\n{to}\n1.25\n"), 1)] {
        let run = typed(&wallet, &[], &format!("{lines}\x04"));
        assert_eq!((count(&run.stdout, asked), count(&run.stdout, "Number: ")), (questions, 1), "{run:?}");
        assert_eq!(sends(&wallet).len(), 1, "{run:?}");
    }
    let run = typed(&wallet, &["--yes"], &format!("3\n{to}\n1.25\n4\n"));
    assert_eq!((count(&run.stdout, asked), sends(&wallet).len()), (0, 2), "{run:?}");
    wallet.stop();
}
