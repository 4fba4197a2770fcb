//! `doctor` and `health`, on folders in every state.

use std::fs;
use std::net::TcpListener;

use serde_json::Value;
use steelyard_node::store::STORE_FOLDER;
use steelyard_tests::process::Launch;

use super::*;

/// Ports that nobody has.
const ANYWHERE: [&str; 4] = ["--api", "127.0.0.1:0", "--listen", "127.0.0.1:0"];

/// Exit code and checks, each as name and verdict.
fn doctor(data_dir: &Path, flags: &[&str]) -> (Option<i32>, Vec<Value>) {
    let output = command(&[&["doctor"], flags].concat(), data_dir);
    let report = json(&output);
    assert_eq!(report["healthy"].as_bool(), Some(output.status.code() == Some(0)));
    (output.status.code(), report["checks"].as_array().unwrap().clone())
}

/// The check of a name.
fn check<'a>(checks: &'a [Value], name: &str) -> &'a Value {
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name} in {checks:?}"))
}

#[test]
fn a_folder_that_is_not_there_and_one_that_is_sound_are_healthy() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("node");
    let (code, checks) = doctor(&data_dir, &ANYWHERE);
    assert_eq!(code, Some(0), "{checks:?}");
    assert!(!data_dir.exists(), "looking makes no folder");
    let chain = story();
    feed(chain.params(), &data_dir, chain.blocks());
    let (code, checks) = doctor(&data_dir, &ANYWHERE);
    assert_eq!(code, Some(0), "{checks:?}");
    let store = check(&checks, "store")["message"].as_str().unwrap();
    assert!(store.contains("12 blocks are in order"), "{store}");
    // For people, each line begins with its verdict.
    let words = [&["doctor", "--data-dir", plain(&data_dir)][..], &ANYWHERE].concat();
    let output = run_node(&words);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.lines().all(|line| ["ok ", "warn", "    "].iter().any(|word| line.starts_with(word))),
        "{text}"
    );
}

#[test]
fn what_is_wrong_is_bad_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("node");
    let chain = story();
    feed(chain.params(), &data_dir, chain.blocks());
    // Somebody else's port.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    let (code, checks) = doctor(&data_dir, &["--api", &port, "--listen", "127.0.0.1:0"]);
    assert_eq!((code, check(&checks, "api_port")["verdict"].as_str()), (Some(7), Some("bad")));
    // What a kill and a repair leave, a folder that others may enter, a backup that was not finished.
    for name in ["chain.building", "chain.damaged-1"] {
        fs::create_dir(data_dir.join(name)).unwrap();
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&data_dir, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let copy = folder.path().join("copy");
    done(&command(&["backup", plain(&copy)], &data_dir));
    let (_, checks) = doctor(&data_dir, &ANYWHERE);
    assert_eq!(check(&checks, "backup")["verdict"], "ok");
    fs::remove_file(copy.join("manifest.json")).unwrap();
    let (code, checks) = doctor(&data_dir, &ANYWHERE);
    assert_eq!(code, Some(0), "warnings are no hindrance: {checks:?}");
    assert_eq!(check(&checks, "backup")["verdict"], "warn");
    assert_eq!(checks.iter().filter(|check| check["name"] == "leftover").count(), 2);
    if cfg!(unix) {
        assert!(check(&checks, "folder")["fix"].as_str().unwrap().starts_with("chmod 700 "));
    }
    // A store that does not open, with the command that mends it, which it then does.
    fs::write(data_dir.join(STORE_FOLDER).join("conf"), [0xff; 40]).unwrap();
    let (code, checks) = doctor(&data_dir, &[&ANYWHERE[..2], &["--listen", &port]].concat());
    assert_eq!(code, Some(8), "damage before what is in use: {checks:?}");
    let fix = check(&checks, "store")["fix"].as_str().unwrap();
    assert_eq!(fix, format!("steelyard-node repair --data-dir {}", data_dir.display()));
    // Settings that make no sense are told like anything else.
    let output = command(&["doctor", "--listen", "here"], &data_dir);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(check(json(&output)["checks"].as_array().unwrap(), "settings")["verdict"], "bad");
}

#[test]
fn a_running_node_is_asked_and_its_health_is_an_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("node");
    assert_eq!(command(&["health"], &data_dir).status.code(), Some(3));
    let mut node = Launch::dev(&data_dir, &[]).start();
    assert_eq!(done(&command(&["health"], &data_dir))["ready"].as_bool(), Some(true));
    let (code, checks) = doctor(&data_dir, &[]);
    assert_eq!((code, check(&checks, "node")["verdict"].as_str()), (Some(0), Some("ok")), "{checks:?}");
    assert!(check(&checks, "lock")["message"].as_str().unwrap().contains("steelyard-node"));
    node.kill();
    let (code, checks) = doctor(&data_dir, &ANYWHERE);
    assert_eq!((code, check(&checks, "store")["verdict"].as_str()), (Some(0), Some("ok")), "{checks:?}");
    assert_eq!(command(&["health"], &data_dir).status.code(), Some(3));
}
