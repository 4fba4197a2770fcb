//! The mark beside the store: a store that opens as what it was some commits ago is noticed, said at every
//! door, and made up for from a peer; a mark that is no use is no error.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use steelyard_node::mark::MARK_FILE;
use steelyard_tests::accounts::Account;
use steelyard_tests::network::{Network, stop, text, tip, wait_for_height, wait_for_one_tip};
use steelyard_tests::process::{Launch, Node, run_node, wait_until};
use steelyard_tests::stored::copy_folder;

/// Whether a node warns that its store lost its end.
fn warns(node: &Node) -> bool {
    let status = node.api.get("/status").json;
    status["warnings"].as_array().unwrap().iter().any(|warning| warning["code"] == "store_rolled_back")
}

/// What `verify` says of the loss, of a folder that holds a chain in order.
fn loss(args: &[&str], data_dir: &Path) -> Value {
    let output =
        run_node(&[&["verify", "--json"], args, &["--data-dir", data_dir.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["rolled_back"].clone()
}

/// Cuts the database of a stopped node so that it opens with fewer blocks.
fn cut(network: &[&str], data_dir: &Path) -> Value {
    let whole = data_dir.with_extension("whole");
    copy_folder(data_dir, &whole);
    let db = data_dir.join("chain").join("db");
    let bytes = fs::read(&db).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for part in (1..100).rev() {
        copy_folder(&whole, data_dir);
        // A snapshot of a start before would stand for what is cut off.
        for entry in fs::read_dir(data_dir.join("chain")).unwrap().map(Result::unwrap) {
            if entry.file_name().to_string_lossy().starts_with("snap.") {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        fs::File::options().write(true).open(&db).unwrap().set_len((used * part / 100) as u64).unwrap();
        let args = [&["verify", "--json"], network, &["--data-dir", data_dir.to_str().unwrap()]].concat();
        let output = run_node(&args);
        let lost = serde_json::from_slice::<Value>(&output.stdout).unwrap()["rolled_back"].clone();
        if output.status.success() && lost["blocks_lost"] == true {
            return lost;
        }
    }
    panic!("no cut of {used} bytes opens with fewer blocks");
}

#[test]
fn a_store_that_lost_its_end_says_so_until_a_peer_has_given_it_back() {
    let network = Network::new("1s", 100_000, &[]);
    let launch_a = network.node("a");
    let launch_b = network.node("b").connect(launch_a.listen);
    let miner = text(&Account::numbered(1).address);
    let a = launch_a.clone().mine(&miner).start();
    let b = launch_b.start();
    wait_for_height(&b, 12);
    stop(a);
    let a = launch_a.start();
    let (height, id) = wait_for_one_tip(&[&a, &b]);
    stop(b);
    let network_args = ["--network", launch_b.args[2].as_str()];
    assert_eq!(loss(&network_args, &launch_b.data_dir), Value::Null, "nothing is lost yet");
    let lost = cut(&network_args, &launch_b.data_dir);
    assert_eq!((lost["had_height"].as_u64(), lost["had_block"].as_str()), (Some(height), Some(id.as_str())));

    // Alone it stays short, over restarts too.
    let alone = Launch { args: launch_b.args[..3].to_vec(), ..launch_b.clone() };
    let alone = alone.flags(&["--discover", "off"]);
    for _ in 0..2 {
        let b = alone.start();
        assert!(warns(&b) && tip(&b).0 < height);
        assert_eq!(loss(&network_args, &launch_b.data_dir)["had_height"], height, "of the running node");
        stop(b);
    }
    assert_eq!(loss(&network_args, &launch_b.data_dir)["had_height"], height);

    let b = launch_b.start();
    wait_for_one_tip(&[&a, &b]);
    assert!(!warns(&b));
    stop(b);
    assert_eq!(loss(&network_args, &launch_b.data_dir), Value::Null);
    network.verify(&launch_b);
    let b = alone.start();
    assert!(!warns(&b) && tip(&b) == (height, id));
}

/// The height that the mark in a folder names.
fn marked(data_dir: &Path) -> Option<u64> {
    let bytes = fs::read(data_dir.join(MARK_FILE)).ok()?;
    serde_json::from_slice::<Value>(&bytes).ok()?["height"].as_u64()
}

#[test]
fn a_mark_that_is_no_use_is_no_error_and_one_that_is_ahead_is_overtaken() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("node");
    let launch = Launch::dev(&data_dir, &[]);
    let still = launch.clone().flags(&["--mine", "off"]);
    let node = launch.start();
    wait_for_height(&node, 2);
    stop(node);
    let height = marked(&data_dir).expect("a clean stop leaves a mark");
    let mark: PathBuf = data_dir.join(MARK_FILE);
    let ours = fs::read_to_string(&mark).unwrap();
    let network = serde_json::from_str::<Value>(&ours).unwrap()["network"].as_str().unwrap().to_owned();
    let foreign = ours.replace(&network, &"0".repeat(network.len()));
    for useless in ["", "{", "[1]", "\0\0\0\0", &foreign, &ours.replace("\"seq\":", "\"seq\":9")] {
        fs::write(&mark, useless).unwrap();
        let node = still.start();
        assert!(!warns(&node), "{useless}");
        wait_until(|| "a new mark".into(), || fs::read_to_string(&mark).ok().filter(|text| *text == ours));
        stop(node);
    }
    fs::remove_file(&mark).unwrap();
    fs::create_dir(&mark).unwrap();
    stop(still.start());
    fs::remove_dir(&mark).unwrap();
    stop(still.start());
    assert_eq!(marked(&data_dir), Some(height));

    let node = launch.clone().flags(&["--fresh", "--mine", "off"]).start();
    assert!(!warns(&node), "its mark went with the chain");
    stop(node);
    // A mark of the chain that was.
    fs::write(&mark, &ours).unwrap();
    let node = launch.start();
    assert!(warns(&node));
    wait_for_height(&node, height);
    assert!(!warns(&node));
    stop(node);
    assert_ne!(fs::read_to_string(&mark).unwrap(), ours);
}

#[test]
fn a_kill_while_the_mark_is_written_leaves_the_old_one_or_the_new_one() {
    if !cfg!(debug_assertions) {
        println!("skipped: fail points are compiled into debug builds only");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (number, point) in
        ["mark.before_write@2", "file.before_rename@5", "mark.after_write@2"].iter().enumerate()
    {
        let data_dir = folder.path().join(format!("node-{number}"));
        let launch = Launch::dev(&data_dir, &[]);
        let mut node = launch.clone().env("STEELYARD_FAILPOINT", point).start();
        assert_eq!(node.wait(), None, "{point}: the node should have been ended by its fail point");
        assert!(marked(&data_dir).is_some(), "{point}");
        let node = launch.start();
        assert!(!warns(&node), "{point}");
        let names = fs::read_dir(&data_dir).unwrap().map(|entry| entry.unwrap().file_name());
        let half: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with(".chain.mark")).collect();
        assert!(half.is_empty(), "{point}: {half:?}");
    }
}
