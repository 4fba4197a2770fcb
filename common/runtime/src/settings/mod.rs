//! Layered settings: flag, environment, `--config` file, the network's file, default.
//!
//! A program declares its [`Key`]s; everything else in the files and in `STEELYARD_…` variables is
//! an error, and each value remembers where it came from. Must not know what any setting means,
//! and reads no file itself: text comes in, from `network.rs`.
//!
//! Read next: `layer.rs` (one source of values at a time), `network.rs` (which files there are),
//! `print.rs`, `error.rs`.

mod error;
mod layer;
mod network;
mod print;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;

pub use error::SettingsError;
pub use network::{NetworkSettings, Sources, resolve_for_network};
pub use print::print;

/// What all variables of both programs start with.
pub const PREFIX: &str = "STEELYARD_";

/// Variables with that prefix that are no settings: data for tests, the wallet's name, and the commit
/// given to a build.
pub const RESERVED_VARIABLES: [&str; 10] = [
    "STEELYARD_VECTORS",
    "STEELYARD_FAILPOINT",
    "STEELYARD_FREE_BYTES_FILE",
    "STEELYARD_LOWERED",
    "STEELYARD_WALLET",
    "STEELYARD_SOAK",
    "STEELYARD_KILLS",
    "STEELYARD_SEED",
    "STEELYARD_GOLDEN",
    "STEELYARD_COMMIT",
];

/// Shown in place of a secret.
const HIDDEN: &str = "(hidden)";

/// Stands for every name of a section; see [`Key::other_program`].
const ANY_NAME: &str = "*";

/// A setting given as an argument: section, name, value.
pub type Flag = (&'static str, &'static str, String);

/// One setting a program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its table in a file, snake_case.
    pub section: &'static str,
    /// Its name in that table, snake_case.
    pub name: &'static str,
    /// Its value when nobody gives one.
    pub default: Option<&'static str>,
    /// Whether it is refused from arguments and environment, and hidden in print.
    pub secret: bool,
}

impl Key {
    /// A plain setting.
    pub const fn new(section: &'static str, name: &'static str, default: Option<&'static str>) -> Key {
        Key { section, name, default, secret: false }
    }

    /// A secret, taken from files only.
    pub const fn secret(section: &'static str, name: &'static str) -> Key {
        Key { section, name, default: None, secret: true }
    }

    /// A section that belongs to another program which shares files and environment with this one:
    /// whatever it holds is passed over.
    pub const fn other_program(section: &'static str) -> Key {
        Key { section, name: ANY_NAME, default: None, secret: false }
    }

    /// The variable that sets it: `STEELYARD_SECTION__NAME`.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}__{}", shouted(self.section), shouted(self.name))
    }

    fn dotted(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    fn is(&self, section: &str, name: &str) -> bool {
        self.section == section && self.name == name
    }

    fn is_other_programs(&self) -> bool {
        self.name == ANY_NAME
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An argument.
    Flag,
    /// The variable of that name.
    Environment(String),
    /// A settings file.
    File(PathBuf),
    /// The program's own default.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Flag => f.write_str("arguments"),
            Source::Environment(variable) => write!(f, "environment {variable}"),
            Source::File(path) => write!(f, "file {}", path.display()),
            Source::Default => f.write_str("default"),
        }
    }
}

/// One line of `config print`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The section.
    pub section: &'static str,
    /// The name in it.
    pub name: &'static str,
    /// The value, hidden for a secret; none when nobody gave one.
    pub value: Option<String>,
    /// Where it came from, in words.
    pub source: String,
}

/// The settings of one run.
#[derive(Debug, Clone)]
pub struct Settings {
    slots: Vec<Slot>,
}

#[derive(Debug, Clone)]
struct Slot {
    key: Key,
    value: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Value {
    text: String,
    source: Source,
}

/// The variables of this process that [`Settings::resolve`] looks at. One that is no valid text
/// comes with its bad parts replaced, so that it is refused by name.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os()
        .map(move |(name, value)| (lossy(name), lossy(value)))
        .filter(|(name, _)| name.starts_with(PREFIX))
}

impl Settings {
    /// Resolves `keys` from `flags` (section, name, value; a name given again adds to a list), the
    /// environment, and `files` (path and text), the strongest file first.
    ///
    /// # Errors
    /// Anything unknown, unreadable, or secret in the wrong place, also where a stronger layer
    /// would have hidden it.
    pub fn resolve(
        keys: &[Key],
        flags: &[(&str, &str, String)],
        env: impl Iterator<Item = (String, String)>,
        files: &[(PathBuf, String)],
    ) -> Result<Settings, SettingsError> {
        let own = keys.iter().filter(|key| !key.is_other_programs());
        let mut settings = Settings { slots: own.map(|key| Slot { key: *key, value: None }).collect() };
        settings.add(layer::from_flags(keys, flags)?);
        settings.add(layer::from_environment(keys, env)?);
        for (path, text) in files {
            settings.add(layer::from_file(keys, path, text)?);
        }
        for slot in &mut settings.slots {
            if let (None, Some(default)) = (&slot.value, slot.key.default) {
                slot.value = Some(Value { text: default.to_owned(), source: Source::Default });
            }
        }
        Ok(settings)
    }

    /// The value of a declared key, if it has one. Asking for another key is a fault of the
    /// program: debug builds panic.
    pub fn get(&self, section: &str, name: &str) -> Option<&str> {
        Some(self.slot(section, name)?.value.as_ref()?.text.as_str())
    }

    /// Where the value of a declared key came from, if it has one.
    pub fn source(&self, section: &str, name: &str) -> Option<&Source> {
        Some(&self.slot(section, name)?.value.as_ref()?.source)
    }

    /// The items of a value that is a list: separated by commas, blanks around them dropped.
    pub fn list(&self, section: &str, name: &str) -> Vec<&str> {
        let items = self.get(section, name).unwrap_or_default().split(',');
        items.map(str::trim).filter(|item| !item.is_empty()).collect()
    }

    /// The value of a declared key read as a `T`, if it has one.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`], which names the key, the value and where it came from.
    pub fn parse<T>(&self, section: &str, name: &str) -> Result<Option<T>, SettingsError>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        let Some(text) = self.get(section, name) else { return Ok(None) };
        text.parse().map(Some).map_err(|error: T::Err| self.invalid(section, name, &error.to_string()))
    }

    /// The value of a declared key read as a `T`, for a key that must have one.
    ///
    /// # Errors
    /// [`SettingsError::Missing`], or as [`Settings::parse`].
    pub fn require<T>(&self, section: &str, name: &str) -> Result<T, SettingsError>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        let missing = || SettingsError::Missing { key: format!("{section}.{name}") };
        self.parse(section, name)?.ok_or_else(missing)
    }

    /// The error for a value that parses but makes no sense to the program.
    pub fn invalid(&self, section: &str, name: &str, reason: &str) -> SettingsError {
        let slot = self.slot(section, name);
        let value = slot.and_then(|slot| slot.value.clone());
        let hidden = slot.is_some_and(|slot| slot.key.secret);
        let (text, origin) =
            value.map_or((String::new(), Source::Default), |value| (value.text, value.source));
        SettingsError::Invalid {
            key: format!("{section}.{name}"),
            value: if hidden { HIDDEN.to_owned() } else { text },
            origin,
            // The parser's words may repeat the value.
            reason: if hidden { "it cannot be read".to_owned() } else { reason.to_owned() },
        }
    }

    /// Every declared key with its value and where it came from, in the order of declaration.
    pub fn rows(&self) -> Vec<Row> {
        self.slots.iter().map(Slot::row).collect()
    }

    /// Fills what no stronger layer has filled.
    fn add(&mut self, layer: Vec<(Key, Value)>) {
        for (key, value) in layer {
            let slot = self.slots.iter_mut().find(|slot| slot.key.is(key.section, key.name));
            if let Some(slot) = slot {
                slot.value.get_or_insert(value);
            }
        }
    }

    fn slot(&self, section: &str, name: &str) -> Option<&Slot> {
        let slot = self.slots.iter().find(|slot| slot.key.is(section, name));
        debug_assert!(slot.is_some(), "setting {section}.{name} is not declared");
        slot
    }
}

impl Slot {
    fn row(&self) -> Row {
        let shown = |value: &Value| if self.key.secret { HIDDEN.to_owned() } else { value.text.clone() };
        Row {
            section: self.key.section,
            name: self.key.name,
            value: self.value.as_ref().map(shown),
            source: self.value.as_ref().map_or("not set".to_owned(), |value| value.source.to_string()),
        }
    }
}

fn shouted(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}
