//! The daemon's socket: a place whose path is short enough for the machine, that no other user can
//! reach, and that serves nobody else even so. Must not know HTTP.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::serve::Listener;
use sha2::{Digest, Sha256};
use steelyard_runtime::exit::CliError;
use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::sleep;

/// Longest path of a socket, in bytes: 104 with the zero after it on the BSDs, 108 on Linux
/// (unix(7), `sun_path`).
pub const SOCKET_PATH_BYTES_MAX: usize = 103;
/// Bytes of the hash of a folder's path that name its socket.
const NAME_BYTES: usize = 8;
/// The folder's name under the user's own runtime folder.
const FOLDER: &str = "steelyard";
/// Pause after the machine refused a connection, most likely for want of files.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The folder is not as safe as it must be.
    #[error("the socket's folder {} {what}", folder.display())]
    Unsafe {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Something that is no socket has its name.
    #[error("{} is in the socket's place and is no socket", path.display())]
    Taken {
        /// The path.
        path: PathBuf,
    },
    /// Longer than the machine takes.
    #[error("the socket's path {} has {} bytes, {SOCKET_PATH_BYTES_MAX} is the most", path.display(),
        path.as_os_str().len())]
    TooLong {
        /// The path.
        path: PathBuf,
    },
    /// The machine refused.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// The machine's answer.
        source: io::Error,
    },
}

impl SocketError {
    /// Stable name, snake_case.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unsafe { .. } => "socket_folder_unsafe",
            Self::Taken { .. } => "socket_path_taken",
            Self::TooLong { .. } => "socket_path_too_long",
            Self::Io { .. } => "socket_unavailable",
        }
    }
}

impl From<SocketError> for CliError {
    fn from(error: SocketError) -> Self {
        let refused = Self::other(error.name(), error.to_string());
        match error {
            SocketError::Unsafe { .. } | SocketError::Taken { .. } | SocketError::TooLong { .. } => {
                refused.with_hint("remove it, or set XDG_RUNTIME_DIR to a folder of your own with mode 0700")
            }
            SocketError::Io { .. } => refused,
        }
    }
}

/// Where sockets may be.
#[derive(Clone, Debug)]
pub struct Places {
    /// `XDG_RUNTIME_DIR`, where it is set.
    pub runtime_dir: Option<OsString>,
    /// A folder that everybody may write to, such as `/tmp`.
    pub shared_dir: PathBuf,
    /// Who we are.
    pub uid: u32,
}

impl Places {
    /// Those of this process. Inside a runtime.
    ///
    /// # Errors
    /// The machine does not say who we are.
    pub fn of_this_process() -> Result<Self, SocketError> {
        let uid =
            own_uid().map_err(|source| SocketError::Io { doing: "make", path: "a socket".into(), source })?;
        Ok(Self { runtime_dir: std::env::var_os("XDG_RUNTIME_DIR"), shared_dir: "/tmp".into(), uid })
    }

    /// The user's own runtime folder, if it is one (XDG base directory specification: absolute,
    /// owned by the user, mode 0700).
    fn own(&self) -> Option<PathBuf> {
        let dir = PathBuf::from(self.runtime_dir.as_ref()?);
        let found = fs::metadata(&dir).ok()?;
        let is_own = dir.is_absolute() && found.is_dir() && is_private(&found, self.uid);
        is_own.then_some(dir)
    }
}

/// The path of the socket for a data folder, in a folder that is there when this returns, and ours
/// alone: `$XDG_RUNTIME_DIR/steelyard/HASH.sock`, or `/tmp/steelyard-UID/HASH.sock`.
///
/// # Errors
/// [`SocketError`]; nothing is used that another user could have put there.
pub fn path_for(data_dir: &Path, places: &Places) -> Result<PathBuf, SocketError> {
    let absolute = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_path_buf());
    let hash = Sha256::digest(absolute.as_os_str().as_bytes());
    let name = format!("{}.sock", hex::encode(&hash[..NAME_BYTES]));
    let own = places.own().map(|dir| dir.join(FOLDER)).filter(|folder| fits(&folder.join(&name)));
    let folder = own.unwrap_or_else(|| places.shared_dir.join(format!("{FOLDER}-{}", places.uid)));
    let path = folder.join(name);
    if !fits(&path) {
        return Err(SocketError::TooLong { path });
    }
    make_private(&folder, places.uid)?;
    Ok(path)
}

fn fits(path: &Path) -> bool {
    path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX
}

/// Makes the folder or finds it as we would have made it.
fn make_private(folder: &Path, uid: u32) -> Result<(), SocketError> {
    let failed = |doing, source| SocketError::Io { doing, path: folder.to_path_buf(), source };
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed("create", error)),
    }
    // Not followed: a link could lead anywhere.
    let found = fs::symlink_metadata(folder).map_err(|error| failed("read", error))?;
    let refused = |what| Err(SocketError::Unsafe { folder: folder.to_path_buf(), what });
    if !found.is_dir() {
        return refused("is no folder");
    }
    if found.uid() != uid {
        return refused("belongs to another user");
    }
    if !is_private(&found, uid) {
        return refused("can be entered by other users: its mode must be 0700");
    }
    Ok(())
}

fn is_private(found: &fs::Metadata, uid: u32) -> bool {
    found.uid() == uid && found.permissions().mode() & 0o777 == 0o700
}

/// Who we are, as the machine tells those at the other end.
///
/// # Errors
/// Those of the machine.
pub fn own_uid() -> io::Result<u32> {
    let (one, _other) = UnixStream::pair()?;
    Ok(one.peer_cred()?.uid())
}

/// Listens at `path`, for `uid` alone. What a dead daemon left there goes first: the caller holds the
/// data folder's lock, so nobody listens there.
///
/// # Errors
/// [`SocketError::Taken`] when it is no socket that is there, [`SocketError::Io`].
pub fn listen(path: &Path, uid: u32) -> Result<OwnListener, SocketError> {
    let failed = |doing, source| SocketError::Io { doing, path: path.to_path_buf(), source };
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            fs::remove_file(path).map_err(|error| failed("remove", error))?;
        }
        Ok(_) => return Err(SocketError::Taken { path: path.to_path_buf() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("read", error)),
    }
    let listener = UnixListener::bind(path).map_err(|error| failed("listen at", error))?;
    // Until here the folder alone keeps others out.
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(|error| failed("protect", error))?;
    Ok(OwnListener { listener, uid })
}

/// A listener that serves one user.
#[derive(Debug)]
pub struct OwnListener {
    listener: UnixListener,
    uid: u32,
}

impl OwnListener {
    /// Whether the other end is the user; if not, a line in the log says so.
    fn admits(&self, stream: &UnixStream) -> bool {
        match stream.peer_cred() {
            Ok(peer) if is_admitted(peer.uid(), self.uid) => true,
            Ok(peer) => {
                tracing::warn!(uid = peer.uid(), "another user's connection was closed");
                false
            }
            Err(error) => {
                tracing::warn!(%error, "a connection of nobody knows whom was closed");
                false
            }
        }
    }
}

/// The user alone: root, too, has to become the user first.
fn is_admitted(peer: u32, own: u32) -> bool {
    peer == own
}

impl Listener for OwnListener {
    type Io = UnixStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (UnixStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) if self.admits(&stream) => return (stream, address),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection to the socket was not accepted");
                    sleep(REFUSED_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
