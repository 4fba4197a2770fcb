//! One source of settings at a time: arguments, environment, a TOML text.
//! Must not know which source is the stronger.

use std::path::Path;

use super::{Key, PREFIX, RESERVED_VARIABLES, SettingsError, Source, Value, shouted};

/// Edits between a wrong name and one worth proposing.
const EDITS_MAX: usize = 3;

/// The values given as arguments; one given again is appended with a comma.
pub(super) fn from_flags(
    keys: &[Key],
    flags: &[(&str, &str, String)],
) -> Result<Vec<(Key, Value)>, SettingsError> {
    let mut values: Vec<(Key, Value)> = Vec::new();
    for (section, name, text) in flags {
        let unknown = || SettingsError::UnknownFlag { key: format!("{section}.{name}") };
        let key = known(keys, section, name).ok_or_else(unknown)?;
        refuse_secret(&key, Source::Flag)?;
        match values.iter_mut().find(|(other, _)| *other == key) {
            Some((_, value)) => value.text = format!("{},{text}", value.text),
            None => values.push((key, Value { text: text.clone(), source: Source::Flag })),
        }
    }
    Ok(values)
}

/// The values of `STEELYARD_SECTION__NAME` variables; variables without the prefix are not ours.
pub(super) fn from_environment(
    keys: &[Key],
    env: impl Iterator<Item = (String, String)>,
) -> Result<Vec<(Key, Value)>, SettingsError> {
    let mut values = Vec::new();
    for (variable, text) in env {
        let reserved = RESERVED_VARIABLES.contains(&variable.as_str());
        if !variable.starts_with(PREFIX) || reserved || is_other_programs(keys, &variable) {
            continue;
        }
        let Some(key) = own(keys).find(|key| key.variable() == variable) else {
            let nearest = nearest(&variable, own(keys).map(Key::variable));
            return Err(SettingsError::UnknownVariable { variable, nearest });
        };
        refuse_secret(key, Source::Environment(variable.clone()))?;
        values.push((*key, Value { text, source: Source::Environment(variable) }));
    }
    Ok(values)
}

/// The values of a TOML text: tables of keys, nothing outside a table.
pub(super) fn from_file(keys: &[Key], path: &Path, text: &str) -> Result<Vec<(Key, Value)>, SettingsError> {
    let tables: toml::Table = text.parse().map_err(|error: toml::de::Error| SettingsError::NotToml {
        file: path.to_path_buf(),
        reason: error.to_string().trim_end().to_owned(),
    })?;
    let mut values = Vec::new();
    for (section, content) in &tables {
        if keys.iter().any(|key| key.is_other_programs() && key.section == section) {
            continue;
        }
        let toml::Value::Table(table) = content else { return Err(unknown(keys, path, section)) };
        if !keys.iter().any(|key| key.section == section) {
            let first = table.keys().next().map_or(section.clone(), |name| format!("{section}.{name}"));
            return Err(unknown(keys, path, &first));
        }
        for (name, value) in table {
            let dotted = format!("{section}.{name}");
            let key = known(keys, section, name).ok_or_else(|| unknown(keys, path, &dotted))?;
            let not_a_value = || SettingsError::NotAValue { key: dotted.clone(), file: path.to_path_buf() };
            let text = plain(value).ok_or_else(not_a_value)?;
            values.push((key, Value { text, source: Source::File(path.to_path_buf()) }));
        }
    }
    Ok(values)
}

fn own(keys: &[Key]) -> impl Iterator<Item = &Key> {
    keys.iter().filter(|key| !key.is_other_programs())
}

fn known(keys: &[Key], section: &str, name: &str) -> Option<Key> {
    own(keys).find(|key| key.is(section, name)).copied()
}

fn is_other_programs(keys: &[Key], variable: &str) -> bool {
    let mut others = keys.iter().filter(|key| key.is_other_programs());
    others.any(|key| variable.starts_with(&format!("{PREFIX}{}__", shouted(key.section))))
}

fn refuse_secret(key: &Key, origin: Source) -> Result<(), SettingsError> {
    if key.secret { Err(SettingsError::Secret { key: key.dotted(), origin }) } else { Ok(()) }
}

fn unknown(keys: &[Key], path: &Path, dotted: &str) -> SettingsError {
    let nearest = nearest(dotted, own(keys).map(Key::dotted)).map(|name| format!("\"{name}\""));
    SettingsError::UnknownKey { key: dotted.to_owned(), file: path.to_path_buf(), nearest }
}

/// A value as text; a list as its items with commas, none of which may hold one itself.
fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(items) => {
            let texts: Option<Vec<String>> = items.iter().map(item).collect();
            texts.map(|texts| texts.join(","))
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

fn item(value: &toml::Value) -> Option<String> {
    if value.is_array() {
        return None;
    }
    plain(value).filter(|text| !text.contains(','))
}

fn nearest(wrong: &str, right: impl Iterator<Item = String>) -> Option<String> {
    let scored = right.map(|name| (edits(wrong, &name), name));
    scored.filter(|(edits, _)| *edits <= EDITS_MAX).min().map(|(_, name)| name)
}

/// Levenshtein distance in bytes.
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}
