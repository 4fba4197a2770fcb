//! What can be wrong with a setting, each with the key and where it was given.
//! Must not know how settings are looked up.

use std::path::PathBuf;

use super::Source;
use crate::exit::CliError;

/// Why settings could not be resolved or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A `STEELYARD_…` variable that names no setting.
    #[error("unknown setting {variable} in the environment{}", or(nearest.as_ref()))]
    UnknownVariable {
        /// The variable.
        variable: String,
        /// The known one that looks most like it.
        nearest: Option<String>,
    },
    /// A key of a file that names no setting.
    #[error("unknown setting \"{key}\" in {}{}", file.display(), or(nearest.as_ref()))]
    UnknownKey {
        /// The key with its section.
        key: String,
        /// The file.
        file: PathBuf,
        /// The known one that looks most like it.
        nearest: Option<String>,
    },
    /// A flag that no declared key stands for: a fault of the program.
    #[error("unknown setting \"{key}\" in the arguments")]
    UnknownFlag {
        /// The key with its section.
        key: String,
    },
    /// A file that is not TOML.
    #[error("{} is no valid settings file: {reason}", file.display())]
    NotToml {
        /// The file.
        file: PathBuf,
        /// Where and why, in the parser's words.
        reason: String,
    },
    /// A value of a file that is no text, number, truth value or list of these.
    #[error("setting \"{key}\" in {} must be text, a number, true or false, or a list of these", file.display())]
    NotAValue {
        /// The key with its section.
        key: String,
        /// The file.
        file: PathBuf,
    },
    /// A secret given where other programs can read it.
    #[error("setting \"{key}\" is a secret and is not taken from the {origin}")]
    Secret {
        /// The key with its section.
        key: String,
        /// Where it was given.
        origin: Source,
    },
    /// A value that cannot be read as what the setting is.
    #[error("setting \"{key}\" is \"{value}\" (from {origin}): {reason}")]
    Invalid {
        /// The key with its section.
        key: String,
        /// The value, hidden for a secret.
        value: String,
        /// Where it was given.
        origin: Source,
        /// Why it cannot be read.
        reason: String,
    },
    /// A setting without default that was given nowhere.
    #[error("setting \"{key}\" is not given")]
    Missing {
        /// The key with its section.
        key: String,
    },
}

impl From<SettingsError> for CliError {
    fn from(error: SettingsError) -> CliError {
        let code = match &error {
            SettingsError::UnknownVariable { .. }
            | SettingsError::UnknownKey { .. }
            | SettingsError::UnknownFlag { .. } => "unknown_setting",
            SettingsError::NotToml { .. } => "settings_file_invalid",
            SettingsError::NotAValue { .. } | SettingsError::Invalid { .. } => "setting_invalid",
            SettingsError::Secret { .. } => "secret_refused",
            SettingsError::Missing { .. } => "setting_missing",
        };
        let is_secret = matches!(error, SettingsError::Secret { .. });
        let told = CliError::usage(code, error.to_string());
        if is_secret { told.with_hint("put it in a file that only you may read") } else { told }
    }
}

fn or(nearest: Option<&String>) -> String {
    nearest.map_or(String::new(), |name| format!("; did you mean {name}?"))
}
