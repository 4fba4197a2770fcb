//! The socket's place and who may use it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::super::socket::{Places, SOCKET_PATH_BYTES_MAX, SocketError, listen, own_uid, path_for};
use super::{Method, Rig, Value};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A data folder, a runtime folder and a shared one.
struct Folders {
    dir: tempfile::TempDir,
    places: Places,
}

impl Folders {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["data", "run", "tmp"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        set_mode(&dir.path().join("run"), 0o700);
        let places = Places {
            runtime_dir: Some(dir.path().join("run").into_os_string()),
            shared_dir: dir.path().join("tmp"),
            uid: own_uid().unwrap(),
        };
        Self { dir, places }
    }

    fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    fn shared(&self) -> std::path::PathBuf {
        self.dir.path().join("tmp").join(format!("steelyard-{}", self.places.uid))
    }
}

#[tokio::test]
async fn the_users_own_runtime_folder_comes_first() {
    let folders = Folders::new();
    let path = path_for(&folders.data(), &folders.places).unwrap();
    let folder = folders.dir.path().join("run/steelyard");
    assert_eq!(path.parent(), Some(folder.as_path()));
    let name = path.file_name().unwrap().to_str().unwrap();
    let hash = name.strip_suffix(".sock").unwrap();
    assert!(hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
    assert_eq!(mode(&folder), 0o700);
    // However the folder is called, it is the same place; another folder has another one.
    symlink(folders.data(), folders.dir.path().join("link")).unwrap();
    assert_eq!(path_for(&folders.dir.path().join("link"), &folders.places).unwrap(), path);
    assert_ne!(path_for(folders.dir.path(), &folders.places).unwrap(), path);
}

#[tokio::test]
async fn a_runtime_folder_that_is_not_ours_alone_is_not_used() {
    let mut folders = Folders::new();
    let run = folders.dir.path().join("run");
    let shared = folders.shared();
    let folder = |folders: &Folders| {
        path_for(&folders.data(), &folders.places).unwrap().parent().unwrap().to_path_buf()
    };
    set_mode(&run, 0o755);
    assert_eq!(folder(&folders), shared);
    set_mode(&run, 0o700);
    assert_eq!(folder(&folders), run.join("steelyard"));
    for other in ["relative", "", "/nowhere/at/all"] {
        folders.places.runtime_dir = Some(OsString::from(other));
        assert_eq!(folder(&folders), shared, "{other:?}");
    }
    folders.places.runtime_dir = None;
    assert_eq!(folder(&folders), shared);
    assert_eq!(mode(&shared), 0o700);
    folders.places.runtime_dir = Some(run.into_os_string());
    folders.places.uid += 1;
    // Whose it is counts, and the other folder cannot be made another user's.
    let error = path_for(&folders.data(), &folders.places).unwrap_err();
    assert!(matches!(error, SocketError::Unsafe { what: "belongs to another user", .. }), "{error}");
}

#[tokio::test]
async fn a_folder_that_another_could_have_put_there_is_refused() {
    let mut folders = Folders::new();
    folders.places.runtime_dir = None;
    let shared = folders.shared();
    let what = |folders: &Folders| match path_for(&folders.data(), &folders.places) {
        Err(SocketError::Unsafe { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    let elsewhere = folders.dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    set_mode(&elsewhere, 0o700);
    symlink(&elsewhere, &shared).unwrap();
    assert_eq!(what(&folders), "is no folder");
    fs::remove_file(&shared).unwrap();
    fs::write(&shared, "").unwrap();
    assert_eq!(what(&folders), "is no folder");
    fs::remove_file(&shared).unwrap();
    fs::create_dir(&shared).unwrap();
    for open in [0o755, 0o770, 0o701, 0o777] {
        set_mode(&shared, open);
        assert_eq!(what(&folders), "can be entered by other users: its mode must be 0700");
    }
    set_mode(&shared, 0o700);
    assert!(path_for(&folders.data(), &folders.places).is_ok());
}

#[tokio::test]
async fn the_path_is_short_however_long_the_folders_are() {
    let mut folders = Folders::new();
    let mut long = folders.data();
    for _ in 0..5 {
        long = long.join("x".repeat(200));
    }
    fs::create_dir_all(&long).unwrap();
    let path = path_for(&long, &folders.places).unwrap();
    assert!(path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX, "{}", path.display());
    listen(&path, folders.places.uid).unwrap();
    // A long runtime folder is left for the shared one, and where nothing fits it is said.
    set_mode(&long, 0o700);
    folders.places.runtime_dir = Some(long.clone().into_os_string());
    assert_eq!(
        path_for(&folders.data(), &folders.places).unwrap().parent(),
        Some(folders.shared().as_path())
    );
    folders.places.shared_dir = long;
    assert!(matches!(path_for(&folders.data(), &folders.places), Err(SocketError::TooLong { .. })));
}

#[tokio::test]
async fn the_socket_is_the_owners_and_a_dead_daemons_one_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (path, uid) = (dir.path().join("s"), own_uid().unwrap());
    drop(listen(&path, uid).unwrap());
    assert!(path.exists());
    let _listener = listen(&path, uid).unwrap();
    assert_eq!(mode(&path), 0o600);
    UnixStream::connect(&path).await.unwrap();
    let other = dir.path().join("file");
    fs::write(&other, "mine").unwrap();
    assert!(matches!(listen(&other, uid), Err(SocketError::Taken { .. })));
    assert_eq!(fs::read_to_string(&other).unwrap(), "mine");
}

#[tokio::test]
async fn a_peer_that_is_not_the_user_gets_no_answer() {
    let rig = Rig::new(0);
    let path = rig.dir.path().join("foreign");
    // Whoever connects is another user to this one.
    rig.serve_at("foreign", own_uid().unwrap() + 1, rig.state());
    assert_eq!(request(&path).await, "");
    assert!(request(&rig.socket()).await.starts_with("HTTP/1.1 200"));
}

/// What a plain request is answered; nothing when the connection is closed.
async fn request(path: &Path) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    let text = "GET /api/v1/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut answer = Vec::new();
    // Closed before or after it was written, by the machine's choice.
    if stream.write_all(text.as_bytes()).await.is_ok() {
        let _ = stream.read_to_end(&mut answer).await;
    }
    String::from_utf8(answer).unwrap()
}

/// Asks at the socket that the environment names, as whoever this process is, and expects what it
/// says; the next test runs it as another user.
#[tokio::test]
async fn asked_by_a_child() {
    let Ok(socket) = std::env::var("STEELYARD_TEST_SOCKET") else { return };
    let answer = request(Path::new(&socket)).await;
    let is_served = answer.starts_with("HTTP/1.1 200");
    assert_eq!(is_served, std::env::var("STEELYARD_TEST_SERVED").unwrap() == "yes", "{answer:?}");
}

/// Only root can become another user; as anybody else the test before the last one says the same.
#[tokio::test(flavor = "multi_thread")]
async fn another_user_is_refused_even_where_the_files_let_him_in() {
    use std::os::unix::process::CommandExt;
    if own_uid().unwrap() != 0 {
        return;
    }
    let rig = Rig::new(0);
    for (path, open) in [(rig.dir.path().to_path_buf(), 0o755), (rig.socket(), 0o666)] {
        set_mode(&path, open);
    }
    // The folder of the build may be closed to others; this way it is found even while it is rebuilt.
    let (running, program) = (Path::new("/proc/self/exe"), rig.dir.path().join("child"));
    let running = if running.exists() { running.to_path_buf() } else { std::env::current_exe().unwrap() };
    fs::copy(running, &program).unwrap();
    let child = |uid: u32, served: &str| {
        let mut command = std::process::Command::new(&program);
        command
            .args(["rpc::tests::sockets::asked_by_a_child", "--exact"])
            .env("STEELYARD_TEST_SOCKET", rig.socket())
            .env("STEELYARD_TEST_SERVED", served)
            .current_dir("/")
            .uid(uid);
        command.output().unwrap()
    };
    for (uid, served) in [(0, "yes"), (65_534, "no")] {
        let ended = child(uid, served);
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(ended.status.success() && said.contains("1 passed"), "uid {uid}: {said}");
    }
    assert_eq!(rig.ask(Method::GET, "/status", None).await.ok()["as_of"], Value::Null);
}
