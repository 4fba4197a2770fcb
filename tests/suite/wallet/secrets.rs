//! Where secrets must not be: logs, answers, arguments, files that others may read.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use steelyard_tests::process::Launch;
use steelyard_tests::wallet::Wallet;

use super::receiver;

const PASSPHRASE: &str = "unmistakable-passphrase-8241";

/// Every file below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

fn holds(bytes: &[u8], secret: &str) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
}

#[test]
fn no_secret_is_in_a_log_an_answer_an_argument_or_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let node = Launch::dev(&folder.path().join("node"), &["--mine-on-tx"]).start();
    let wallet = Wallet::new(folder.path(), &[node.p2p]);
    let secret = folder.path().join("passphrase");
    std::fs::write(&secret, format!("{PASSPHRASE}\n")).unwrap();
    let wrong = folder.path().join("wrong");
    std::fs::write(&wrong, format!("{PASSPHRASE}x")).unwrap();
    let (right, wrong) = (secret.to_str().unwrap(), wrong.to_str().unwrap());
    let mut daemon = wallet.clone().env("STEELYARD_WALLET__LOG_LEVEL", "trace").start();
    let made = wallet.json(&["create", "--passphrase-file", right, "--yes"]).ok();
    let words = made.json()["words"].as_str().unwrap().to_owned();
    let words_file = folder.path().join("words");
    std::fs::write(&words_file, &words).unwrap();
    let first = words.split(' ').next().unwrap();
    std::fs::write(folder.path().join("bad"), words.replacen(first, "notaword", 1)).unwrap();
    let bad_words = folder.path().join("bad");
    let runs = [
        wallet.json(&["unlock", "--passphrase-file", wrong]),
        wallet.json(&["unlock", "--passphrase-file", right]),
        wallet.json(&["send", "1", "--to", &receiver(1)]),
        wallet.json(&[
            "restore",
            "--wallet",
            "two",
            "--words-file",
            bad_words.to_str().unwrap(),
            "--passphrase-file",
            right,
        ]),
        wallet.json(&[
            "restore",
            "--wallet",
            "three",
            "--words-file",
            words_file.to_str().unwrap(),
            "--passphrase-file",
            right,
        ]),
        wallet.json(&["status"]),
        wallet.json(&["tx", "list"]),
        wallet.run(&["unlock", "--passphrase-file", wrong]),
        wallet.run(&["config", "print"]),
    ];
    let arguments = std::fs::read(format!("/proc/{}/cmdline", daemon.pid())).unwrap();
    let environment = std::fs::read(format!("/proc/{}/environ", daemon.pid())).unwrap();
    assert_eq!(daemon.terminate().0, Some(0));
    let log = std::fs::read(wallet.data_dir.with_extension("log")).unwrap();
    assert!(!log.is_empty(), "a log at trace says something");
    let second_half = words.split(' ').skip(6).collect::<Vec<_>>().join(" ");
    for secret in [PASSPHRASE, &words, &second_half] {
        for bytes in [&arguments, &environment, &log] {
            assert!(!holds(bytes, secret));
        }
        for run in &runs {
            assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret), "{run:?}");
        }
        for file in files(&wallet.data_dir) {
            assert!(!holds(&std::fs::read(&file).unwrap(), secret), "{}", file.display());
        }
    }
}

#[test]
fn files_and_folders_are_their_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let wallet = Wallet::new(folder.path(), &[]);
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    let _ = wallet.run(&["create", "--passphrase-file", empty.to_str().unwrap(), "--yes"]).ok();
    let mode = |path: &Path| std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&wallet.data_dir), 0o700);
    let all = files(&wallet.data_dir);
    assert!(all.iter().any(|file| file.ends_with("main.keys")), "{all:?}");
    for file in &all {
        assert_eq!(mode(file), 0o600, "{}", file.display());
        for parent in file.ancestors().skip(1).take_while(|parent| parent.starts_with(&wallet.data_dir)) {
            assert_eq!(mode(parent), 0o700, "{}", parent.display());
        }
    }
    assert_eq!(mode(&wallet.data_dir.join("store/blobs")), 0o700);
    let status = wallet.json(&["status"]).ok();
    assert!(!status.stdout.is_empty());
    let daemon = std::fs::read_to_string(wallet.data_dir.join("daemon.json")).unwrap();
    let daemon: serde_json::Value = serde_json::from_str(&daemon).unwrap();
    let socket = Path::new(daemon["socket"].as_str().unwrap());
    assert_eq!(mode(socket), 0o600);
    assert_eq!(mode(socket.parent().unwrap()), 0o700);
    wallet.stop();
    assert!(!socket.exists() && !wallet.data_dir.join("daemon.json").exists());
}
