//! The daemon whole: what it refuses to start with, what it leaves behind, how it ends.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use steelyard_core::params::DEV_WORDS;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::*;
use crate::keystore::{NewKeystore, Origin, Passphrase, Words};

fn config(dir: &TempDir) -> DaemonConfig {
    DaemonConfig {
        params: Params::dev(),
        data_dir: dir.path().join("data"),
        nodes: Vec::new(),
        ready_file: Some(dir.path().join("ready.json")),
    }
}

/// A keystore in the daemon's folder.
fn keystore(dir: &TempDir, name: &str, words: &str, passphrase: &str, params: &Params) {
    let folder = dir.path().join("data").join(WALLETS_FOLDER);
    create_private(&folder).unwrap();
    let passphrase = Passphrase::new(passphrase.to_owned());
    let new = NewKeystore {
        network: params.network_id(),
        birthday: 0,
        created_ms: 0,
        origin: Origin::Restored,
        words: &Words::parse(words).unwrap(),
        passphrase: Some(&passphrase),
        cost: KdfCost { memory_kib: 64, passes: 1, lanes: 1 },
    };
    Keystore::create(&folder.join(format!("{name}.keys")), new).unwrap();
}

async fn refused(config: DaemonConfig) -> CliError {
    match Daemon::start(config).await {
        Ok(_) => panic!("it started"),
        Err(error) => error,
    }
}

async fn ask(socket: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

const STATUS: &str = "GET /api/v1/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
const STOP: &str =
    "POST /api/v1/stop HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn it_says_where_it_listens_and_cleans_up_when_it_stops() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(config(&dir)).await.unwrap();
    let data = dir.path().join("data");
    let note = data.join(DAEMON_FILE);
    for file in [&note, &dir.path().join("ready.json")] {
        let ready: Ready = ready::read_json(file).unwrap();
        assert_eq!((ready.pid, &ready.socket), (std::process::id(), &daemon.ready.socket));
        assert_eq!((ready.network.as_str(), ready.network_id), ("dev", Params::dev().network_id()));
        assert_eq!((ready.data_dir, ready.nodes), (data.canonicalize().unwrap(), Vec::new()));
        assert_eq!(mode(file), 0o600);
    }
    for folder in [data.as_path(), &data.join(WALLETS_FOLDER), daemon.ready.socket.parent().unwrap()] {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
    assert_eq!(mode(&daemon.ready.socket), 0o600);
    let answer = ask(&daemon.ready.socket, STATUS).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"network\":\"dev\""), "{answer}");
    let socket = daemon.ready.socket.clone();
    daemon.stop().await.unwrap();
    assert!(!note.exists() && !socket.exists());
    assert!(dir.path().join("ready.json").exists());
}

#[tokio::test]
async fn a_second_one_in_the_folder_is_refused_and_harms_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(config(&dir)).await.unwrap();
    let error = refused(config(&dir)).await;
    assert_eq!((error.exit, error.code.as_str()), (ExitCode::InUse, "folder_in_use"));
    assert!(error.message.contains(PROGRAM), "{}", error.message);
    assert!(ask(&daemon.ready.socket, STATUS).await.starts_with("HTTP/1.1 200"));
    daemon.stop().await.unwrap();
}

#[tokio::test]
async fn what_a_killed_one_left_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(config(&dir)).await.unwrap();
    let (socket, note) = (daemon.ready.socket.clone(), daemon.ready.data_dir.join(DAEMON_FILE));
    let text = fs::read(&note).unwrap();
    daemon.stop().await.unwrap();
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    fs::write(&note, text).unwrap();
    let daemon = Daemon::start(config(&dir)).await.unwrap();
    assert_eq!(daemon.ready.socket, socket);
    assert!(ask(&socket, STATUS).await.starts_with("HTTP/1.1 200"));
    daemon.stop().await.unwrap();
}

#[tokio::test]
async fn a_command_ends_it_though_connections_are_open() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(config(&dir)).await.unwrap();
    let mut resting = UnixStream::connect(&daemon.ready.socket).await.unwrap();
    resting.write_all(b"GET /api/v1/status HTTP/1.1\r\nhost:").await.unwrap();
    let answer = ask(&daemon.ready.socket, STOP).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    tokio::time::timeout(Duration::from_secs(5), daemon.ended()).await.unwrap();
    let lock = daemon.ready.data_dir.clone();
    tokio::time::timeout(Duration::from_secs(5), daemon.stop()).await.unwrap().unwrap();
    FolderLock::acquire(&lock, "another").unwrap();
}

#[tokio::test]
async fn wallets_are_opened_and_those_without_a_passphrase_unlocked() {
    let dir = tempfile::tempdir().unwrap();
    keystore(&dir, "open", DEV_WORDS, "", &Params::dev());
    keystore(&dir, "shut", Words::generate(12).unwrap().as_str(), "right", &Params::dev());
    // Not a wallet: a file on its way to a name, another kind of file.
    let folder = dir.path().join("data").join(WALLETS_FOLDER);
    for other in [".open.keys.0123.tmp", ".shut.keys", "notes.txt"] {
        fs::write(folder.join(other), "x").unwrap();
    }
    let daemon = Daemon::start(config(&dir)).await.unwrap();
    let unlocked: Vec<(String, bool)> = {
        let view = daemon.desk.shared.read();
        view.wallets.iter().map(|(name, wallet)| (name.to_string(), wallet.unlocked)).collect()
    };
    assert_eq!(unlocked, [("open".to_owned(), true), ("shut".to_owned(), false)]);
    daemon.stop().await.unwrap();
}

#[tokio::test]
async fn a_damaged_keystore_refuses_the_start_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    keystore(&dir, "good", DEV_WORDS, "", &Params::dev());
    let file = dir.path().join("data").join(WALLETS_FOLDER).join("bad.keys");
    fs::copy(file.with_file_name("good.keys"), &file).unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let error = refused(config(&dir)).await;
    assert_eq!((error.exit, error.code.as_str()), (ExitCode::Damaged, "keystore_damaged"));
    assert!(error.message.contains("bad.keys"), "{}", error.message);
    assert!(error.hint.unwrap().contains("restore"));
    // Out of the way, the rest starts: nothing was held or left behind.
    fs::remove_file(&file).unwrap();
    Daemon::start(config(&dir)).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn keystores_that_do_not_belong_there_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    keystore(&dir, "a", DEV_WORDS, "", &Params::tutorial());
    let error = refused(config(&dir)).await;
    assert_eq!((error.exit, error.code.as_str()), (ExitCode::Usage, "other_network"));
    assert!(error.message.contains("a.keys"), "{}", error.message);

    let dir = tempfile::tempdir().unwrap();
    keystore(&dir, "a", DEV_WORDS, "", &Params::dev());
    keystore(&dir, "b", DEV_WORDS, "", &Params::dev());
    let error = refused(config(&dir)).await;
    assert_eq!((error.exit, error.code.as_str()), (ExitCode::Usage, "same_keys"));

    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("data").join(WALLETS_FOLDER);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("My Wallet.keys"), "x").unwrap();
    let error = refused(config(&dir)).await;
    assert_eq!((error.exit, error.code.as_str()), (ExitCode::Usage, "invalid_wallet_name"));
    assert!(error.message.contains("My Wallet.keys"), "{}", error.message);
}

#[tokio::test]
async fn a_damaged_or_foreign_store_refuses_the_start() {
    let dir = tempfile::tempdir().unwrap();
    Daemon::start(config(&dir)).await.unwrap().stop().await.unwrap();
    let other = DaemonConfig { params: Params::tutorial(), ..config(&dir) };
    let error = refused(other).await;
    assert_eq!((error.exit, error.code.as_str()), (ExitCode::Usage, "other_network"));
    let store = dir.path().join("data").join(STORE_FOLDER);
    for entry in fs::read_dir(&store).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::File::options().write(true).open(&path).unwrap().set_len(1).unwrap();
        }
    }
    let error = refused(config(&dir)).await;
    assert_eq!(error.exit, ExitCode::Damaged, "{error:?}");
}

#[tokio::test]
async fn each_node_counts_once_and_too_many_are_refused() {
    let node = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(distinct(&[node(1), node(2), node(1)]).unwrap(), [node(1), node(2)]);
    let dir = tempfile::tempdir().unwrap();
    let many = DaemonConfig { nodes: (0..=16).map(node).collect(), ..config(&dir) };
    let error = refused(many).await;
    assert_eq!((error.exit, error.code.as_str()), (ExitCode::Usage, "too_many_nodes"));
}

#[tokio::test]
async fn a_desk_that_ends_by_itself_ends_the_daemon_with_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(config(&dir)).await.unwrap();
    daemon.desk.stop().await;
    tokio::time::timeout(Duration::from_secs(10), daemon.ended()).await.unwrap();
    let error = daemon.stop().await.unwrap_err();
    assert_eq!((error.exit, error.code.as_str()), (ExitCode::Other, "ended_early"));
    assert!(!dir.path().join("data").join(DAEMON_FILE).exists());
}
