//! `config print`: each setting and where its value comes from, as text that a settings file could
//! hold, or as JSON. Must not know what any setting means.

use std::path::PathBuf;

use serde::Serialize;

use super::Row;
use crate::output::Output;

#[derive(Serialize)]
struct Printed<'a> {
    settings: Vec<Row>,
    files: &'a [PathBuf],
}

/// Shows `rows`, which came from the defaults, arguments, the environment and `files`.
pub fn print(rows: Vec<Row>, files: &[PathBuf], out: Output) {
    let width = rows.iter().filter(|row| row.value.is_some()).map(|row| shown(row).chars().count()).max();
    for row in &rows {
        let source = if row.value.is_some() { format!("# {}", row.source) } else { String::new() };
        let line = format!("{:<width$}  {source}", shown(row), width = width.unwrap_or_default());
        out.line(line.trim_end());
    }
    out.json(&Printed { settings: rows, files });
}

fn shown(row: &Row) -> String {
    match &row.value {
        Some(value) => format!("{}.{} = {value:?}", row.section, row.name),
        None => format!("# {}.{} is not set", row.section, row.name),
    }
}
