//! The settings of a run on one network: the network is a setting itself, and names the weakest
//! file of settings. The only part of the settings that reads files.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use steelyard_core::params::Params;

use super::{Flag, Key, Settings};
use crate::exit::CliError;
use crate::{network_file, ready};

/// The name of the setting that says which network it is, in the program's section.
const NETWORK: &str = "network";

/// Where the settings of one run come from, beside the defaults; the strongest first.
#[derive(Debug)]
pub struct Sources<'a> {
    /// What the arguments set.
    pub flags: &'a [Flag],
    /// The variables, as [`super::environment`] gives them.
    pub env: &'a [(String, String)],
    /// The file that `--config` names.
    pub given: Option<PathBuf>,
    /// The folder in which each network may have a file, `NETWORK.toml`.
    pub folder: Option<PathBuf>,
}

/// The settings of one run, its network known.
#[derive(Debug)]
pub struct NetworkSettings {
    /// The network.
    pub params: Params,
    /// The network as it was given: a name or a file.
    pub network: String,
    /// Every setting.
    pub settings: Settings,
    /// The files that were read, the strongest first.
    pub files: Vec<PathBuf>,
}

/// Resolves `keys`, of which `network` in `section` says which network it is: that key needs a
/// default.
///
/// # Errors
/// Wrong usage: those of [`Settings::resolve`] and of [`network_file::named`], a file that cannot be
/// read, and a network's own file that chooses another one.
pub fn resolve_for_network(
    keys: &[Key],
    section: &str,
    sources: Sources<'_>,
) -> Result<NetworkSettings, CliError> {
    let Sources { flags, env, given, folder } = sources;
    let resolve = |files: &[(PathBuf, String)]| Settings::resolve(keys, flags, env.iter().cloned(), files);
    let given = given.map(|path| read(&path).map(|text| (path, text)));
    let mut files = Vec::from_iter(given.transpose()?);
    // The network says which file is the weakest, so it has to be known before that is read.
    let network: String = resolve(&files)?.require(section, NETWORK)?;
    let params = network_file::named(&network)?;
    let own = folder.map(|folder| folder.join(format!("{}.toml", params.name)));
    if let Some(own) = own.filter(|path| path.exists()) {
        let text = read(&own)?;
        files.push((own, text));
    }
    let settings = resolve(&files)?;
    if settings.get(section, NETWORK) != Some(network.as_str()) {
        let reason = "a network's own file cannot choose another network";
        return Err(settings.invalid(section, NETWORK, reason).into());
    }
    let files = files.into_iter().map(|(path, _)| path).collect();
    Ok(NetworkSettings { params, network, settings, files })
}

fn read(path: &Path) -> Result<String, CliError> {
    let refused = |reason: String| {
        CliError::usage(
            "settings_file_unreadable",
            format!("cannot read the settings file {}: {reason}", path.display()),
        )
    };
    let bytes = ready::read_bounded(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => refused("there is none".to_owned()),
        _ => refused(error.to_string()),
    })?;
    String::from_utf8(bytes).map_err(|_| refused("it is not UTF-8 text".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const KEYS: [Key; 2] = [Key::new("scales", "network", Some("dev")), Key::new("scales", "api", None)];

    fn resolve(
        flags: &[(&'static str, &str)],
        given: Option<&Path>,
        folder: &Path,
    ) -> Result<NetworkSettings, CliError> {
        let flags: Vec<Flag> =
            flags.iter().map(|(name, value)| ("scales", *name, (*value).to_owned())).collect();
        let (given, folder) = (given.map(Path::to_path_buf), Some(folder.to_path_buf()));
        resolve_for_network(&KEYS, "scales", Sources { flags: &flags, env: &[], given, folder })
    }

    #[test]
    fn a_networks_own_file_is_the_weakest_and_cannot_change_the_network() {
        let dir = tempfile::tempdir().unwrap();
        let (dev, tutorial, given) =
            (dir.path().join("dev.toml"), dir.path().join("tutorial.toml"), dir.path().join("given.toml"));
        fs::write(&dev, "[scales]\napi = \"own\"\n").unwrap();
        fs::write(&tutorial, "[scales]\nnetwork = \"dev\"\n").unwrap();
        fs::write(&given, "[scales]\napi = \"given\"\n").unwrap();
        let api = |flags: &[(&'static str, &str)], given: Option<&Path>| {
            let resolved = resolve(flags, given, dir.path()).unwrap();
            (resolved.settings.get("scales", "api").unwrap().to_owned(), resolved.files)
        };
        assert_eq!(api(&[], None), ("own".to_owned(), vec![dev.clone()]));
        assert_eq!(api(&[], Some(&given)), ("given".to_owned(), vec![given.clone(), dev.clone()]));
        assert_eq!(api(&[("api", "flag")], None), ("flag".to_owned(), vec![dev.clone()]));
        // The argument wins over the file, which then changes nothing.
        let resolved = resolve(&[("network", "tutorial")], None, dir.path()).unwrap();
        assert_eq!((resolved.params.name.as_str(), resolved.network.as_str()), ("tutorial", "tutorial"));
        fs::write(&dev, "[scales]\nnetwork = \"tutorial\"\n").unwrap();
        let error = resolve(&[], None, dir.path()).unwrap_err();
        assert!(error.message.contains("dev.toml"), "{}", error.message);
    }

    #[test]
    fn a_file_that_was_asked_for_has_to_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("given.toml");
        let error = resolve(&[], Some(&file), dir.path()).unwrap_err();
        assert_eq!(error.code, "settings_file_unreadable");
        assert!(error.message.ends_with("given.toml: there is none"), "{}", error.message);
        fs::write(&file, b"\xff").unwrap();
        let error = resolve(&[], Some(&file), dir.path()).unwrap_err();
        assert!(error.message.ends_with("it is not UTF-8 text"), "{}", error.message);
    }
}
