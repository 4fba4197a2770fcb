//! The folders of a user's data and settings, and folders only their owner may enter.
//! Must not know what is put into them.

use std::fs::{DirBuilder, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use directories::ProjectDirs;

/// The folder of settings that the programs share.
const SETTINGS_FOLDER: &str = "steelyard";

/// The folder of a program's data of one network, e.g. `~/.local/share/steelyard/dev` for the
/// program folder `steelyard`. `None` when the user has no home, or when `network` is no plain
/// folder name.
pub fn data_dir(program_folder: &str, network: &str) -> Option<PathBuf> {
    let mut parts = Path::new(network).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(name)), None) if name == network => {
            Some(project(program_folder)?.data_dir().join(name))
        }
        _ => None,
    }
}

/// The folder of both programs' settings files, e.g. `~/.config/steelyard`. `None` when the user
/// has no home.
pub fn config_dir() -> Option<PathBuf> {
    Some(project(SETTINGS_FOLDER)?.config_dir().to_path_buf())
}

/// Creates `dir` and its missing parents, each 0700, and makes their names durable: without that, all
/// that is synced within could be gone after a power cut. A folder that is there keeps its mode: the
/// user made it so.
///
/// # Errors
/// Those of the machine.
pub fn create_private(dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|folder| !is_there(folder)).collect();
    make(dir)?;
    missing.into_iter().filter_map(Path::parent).try_for_each(|parent| sync_dir(or_here(parent)))
}

fn is_there(folder: &Path) -> bool {
    or_here(folder).is_dir()
}

/// What has no name is the folder that the process is in.
fn or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

fn make(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(dir)
}

/// Makes the entries of `dir` durable: new files, renames, removals.
///
/// # Errors
/// Those of the machine.
#[cfg(unix)]
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Folders cannot be synced here; the file system's own order has to do.
///
/// # Errors
/// Those of the machine.
#[cfg(not(unix))]
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    dir.metadata().map(|_| ())
}

/// Exchanges two folders of one folder at one stroke: at any moment both names stand, one for each.
/// Where the file system cannot, they are moved one after the other over a third name.
///
/// # Errors
/// Those of the machine.
pub fn exchange(first: &Path, second: &Path) -> io::Result<()> {
    exchange_at_once(first, second).or_else(|error| {
        if !matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput) {
            return Err(error);
        }
        let between = first.with_extension("moving");
        std::fs::rename(first, &between)?;
        std::fs::rename(second, first)?;
        std::fs::rename(&between, second)
    })
}

#[cfg(target_os = "linux")]
fn exchange_at_once(first: &Path, second: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, first, CWD, second, RenameFlags::EXCHANGE)?)
}

#[cfg(not(target_os = "linux"))]
fn exchange_at_once(_first: &Path, _second: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn project(folder: &str) -> Option<ProjectDirs> {
    ProjectDirs::from("", "", folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_one_folder_name() {
        assert!(data_dir("steelyard", "dev").unwrap().ends_with("steelyard/dev"));
        assert!(data_dir("steelyard-wallet", "dev").unwrap().ends_with("steelyard-wallet/dev"));
        assert!(config_dir().unwrap().ends_with("steelyard"));
        for name in ["", ".", "..", "a/b", "/a", "a/", "../a"] {
            assert_eq!(data_dir("steelyard", name), None, "{name:?}");
        }
    }

    #[test]
    fn folders_change_places() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        for folder in [&one, &two] {
            create_private(folder).unwrap();
            std::fs::write(folder.join("name"), folder.display().to_string()).unwrap();
        }
        exchange(&one, &two).unwrap();
        assert_eq!(std::fs::read_to_string(one.join("name")).unwrap(), two.display().to_string());
        assert_eq!(std::fs::read_to_string(two.join("name")).unwrap(), one.display().to_string());
        assert!(exchange(&one, &dir.path().join("three")).is_err());
        assert!(one.join("name").exists());
    }

    #[test]
    fn creating_again_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a/b");
        create_private(&inner).unwrap();
        create_private(&inner).unwrap();
        sync_dir(&inner).unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert!(create_private(&dir.path().join("file")).is_err());
    }
}
