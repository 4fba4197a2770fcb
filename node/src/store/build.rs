//! A store that is built beside its place, by a restore or a repair, and then takes it whole. What
//! it takes the place of is kept. Must not know what it is built of.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use steelyard_runtime::dirs::{exchange, sync_dir};
use steelyard_runtime::failpoint;

use super::STORE_FOLDER;

/// Where a store is built, inside the node's folder. Left there by a kill, it is of no use.
pub const BUILD_FOLDER: &str = "chain.building";
/// What a store that was replaced is called, with a number.
pub const KEPT_PREFIX: &str = "chain.damaged-";

/// A store on its way to its place. The folder's lock must be held throughout.
pub struct Build {
    data_dir: PathBuf,
}

impl Build {
    /// Begins anew: an attempt that was killed is deleted.
    ///
    /// # Errors
    /// Those of the machine.
    pub fn begin(data_dir: &Path) -> io::Result<Self> {
        let build = Self { data_dir: data_dir.to_path_buf() };
        match fs::remove_dir_all(build.dir()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(build),
        }
    }

    /// Where the store is to be built, and closed before it moves.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.data_dir.join(BUILD_FOLDER)
    }

    /// Gives it its place, where no store is.
    ///
    /// # Errors
    /// Those of the machine.
    pub fn place(self) -> io::Result<()> {
        failpoint::hit("build.before_place");
        fs::rename(self.dir(), self.data_dir.join(STORE_FOLDER))?;
        failpoint::hit("build.after_place");
        sync_dir(&self.data_dir)
    }

    /// Gives it the place of a store that is there, and answers under which name that one is kept.
    ///
    /// # Errors
    /// Those of the machine.
    pub fn replace(self) -> io::Result<PathBuf> {
        let kept = free_name(&self.data_dir)?;
        // Under the name that the old one is to have, so that one stroke gives both their places.
        fs::rename(self.dir(), &kept)?;
        failpoint::hit("build.before_exchange");
        exchange(&kept, &self.data_dir.join(STORE_FOLDER))?;
        failpoint::hit("build.after_exchange");
        sync_dir(&self.data_dir)?;
        Ok(kept)
    }
}

/// Puts a store aside that is of no use, and answers under which name it is kept.
///
/// # Errors
/// Those of the machine.
pub fn set_aside(data_dir: &Path) -> io::Result<PathBuf> {
    let kept = free_name(data_dir)?;
    failpoint::hit("build.before_set_aside");
    fs::rename(data_dir.join(STORE_FOLDER), &kept)?;
    failpoint::hit("build.after_set_aside");
    sync_dir(data_dir)?;
    Ok(kept)
}

/// The next name for a store that is kept, counting up.
fn free_name(data_dir: &Path) -> io::Result<PathBuf> {
    let mut last = 0;
    for entry in fs::read_dir(data_dir)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(KEPT_PREFIX));
        last = last.max(number.and_then(|number| number.parse::<u32>().ok()).unwrap_or(0));
    }
    Ok(data_dir.join(format!("{KEPT_PREFIX}{}", last.saturating_add(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(dir: &Path, content: &str) -> Build {
        let build = Build::begin(dir).unwrap();
        fs::create_dir(build.dir()).unwrap();
        fs::write(build.dir().join("content"), content).unwrap();
        build
    }

    #[test]
    fn what_is_replaced_is_kept_under_the_next_number() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let content = |name: &str| fs::read_to_string(dir.join(name).join("content")).unwrap();
        build(dir, "first").place().unwrap();
        // One that was killed leaves nothing to the next.
        build(dir, "killed");
        for (number, (next, before)) in (1..).zip([("second", "first"), ("third", "second")]) {
            let kept = build(dir, next).replace().unwrap();
            assert_eq!(kept, dir.join(format!("chain.damaged-{number}")));
            assert_eq!(fs::read_to_string(kept.join("content")).unwrap(), before);
            assert_eq!(content(STORE_FOLDER), next);
        }
        assert_eq!(set_aside(dir).unwrap(), dir.join("chain.damaged-3"));
        assert_eq!(content("chain.damaged-3"), "third");
        assert!(!dir.join(STORE_FOLDER).exists() && !dir.join(BUILD_FOLDER).exists());
    }
}
