//! The specification is true: every worked example of `docs/protocol.md` is compared with what the
//! code computes, and its tables with the constants. With `STEELYARD_GOLDEN=write` the examples'
//! values are written anew, in place. Must not know what an example is about.
//!
//! Examples are lines `name = value` in blocks fenced as `example`. A line that begins with two
//! spaces goes on with the value above it.

mod bytes;
mod rules;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};

use steelyard_ledger::golden::{self, GOLDEN_ENV};

const FENCE_OPEN: &str = "```example";
const FENCE_CLOSE: &str = "```";
const CONTINUATION: &str = "  ";
/// Longest line of an example, in characters.
const LINE_CHARS_MAX: usize = 110;
/// Characters of a line of a value that does not fit one: 54 bytes in hex.
const WRAPPED_CHARS: usize = 108;

/// Examples as the code computes them, by name.
#[derive(Default)]
pub struct Examples(BTreeMap<String, String>);

impl Examples {
    /// Adds bytes.
    pub fn hex(&mut self, name: &str, bytes: impl AsRef<[u8]>) {
        self.text(name, hex::encode(bytes));
    }

    /// Adds a number or text of one line.
    pub fn text(&mut self, name: &str, value: impl Display) {
        let before = self.0.insert(name.to_owned(), value.to_string());
        assert!(before.is_none(), "two examples {name}");
    }
}

/// The specification.
struct Document {
    path: PathBuf,
    lines: Vec<String>,
}

/// An example as the text has it.
struct Shown {
    name: String,
    value: String,
    /// Its lines.
    at: Range<usize>,
    /// Characters of the value in each of them.
    parts: Vec<usize>,
}

#[test]
fn every_example_is_what_the_code_computes() {
    let mut computed = Examples::default();
    bytes::examples(&mut computed);
    rules::examples(&mut computed);
    let mut missing = computed.0.clone();
    let mut faults = Vec::new();
    let mut document = document();
    let shown = shown(&document);
    for example in &shown {
        match (computed.0.get(&example.name), missing.remove(&example.name)) {
            (None, _) => faults.push(format!("{} is in the text and not computed", example.name)),
            (Some(_), None) => faults.push(format!("{} is twice in the text", example.name)),
            (Some(value), Some(_)) if *value != example.value && !golden::is_written_anew() => {
                faults.push(format!("{} = {value}\nand not {}", example.name, example.value));
            }
            (Some(_), Some(_)) => {}
        }
    }
    if golden::is_written_anew() {
        write_anew(&mut document, &shown, &computed);
    }
    faults.extend(missing.keys().map(|name| format!("{name} is computed and not in the text")));
    assert!(faults.is_empty(), "{}\n({GOLDEN_ENV}=write writes values anew)", faults.join("\n"));
}

/// The text of the specification.
fn text() -> String {
    document().lines.join("\n")
}

fn document() -> Document {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol.md");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Document { path, lines: text.lines().map(str::to_owned).collect() }
}

/// All examples of a document, in order.
fn shown(document: &Document) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    let mut is_inside = false;
    for (number, line) in document.lines.iter().enumerate() {
        if !is_inside {
            is_inside = line == FENCE_OPEN;
        } else if line == FENCE_CLOSE {
            is_inside = false;
        } else if let Some(part) = line.strip_prefix(CONTINUATION) {
            let last = shown.last_mut().expect("a value to go on with");
            assert_eq!(last.at.end, number, "line {} goes on with nothing", number + 1);
            last.value.push_str(part);
            last.parts.push(part.chars().count());
            last.at.end += 1;
        } else {
            let (name, value) = line.split_once(" =").unwrap_or_else(|| panic!("no example: {line}"));
            let value = value.trim_start().to_owned();
            let parts = vec![value.chars().count()];
            shown.push(Shown { name: name.to_owned(), value, at: number..number + 1, parts });
        }
    }
    assert!(!is_inside, "{}: a block of examples without an end", document.path.display());
    shown
}

/// Writes the computed values in the place of those that differ. A value that only changed keeps its
/// breaks.
fn write_anew(document: &mut Document, shown: &[Shown], computed: &Examples) {
    let mut is_changed = false;
    for example in shown.iter().rev() {
        let Some(value) = computed.0.get(&example.name).filter(|value| **value != example.value) else {
            continue;
        };
        let is_as_long = value.chars().count() == example.value.chars().count();
        let parts = if is_as_long { example.parts.clone() } else { parts_of(&example.name, value) };
        let lines = laid_out(&example.name, value, &parts);
        document.lines.splice(example.at.clone(), lines);
        is_changed = true;
    }
    if is_changed {
        std::fs::write(&document.path, document.lines.join("\n") + "\n").unwrap();
    }
}

fn parts_of(name: &str, value: &str) -> Vec<usize> {
    let length = value.chars().count();
    // Text with spaces stays on one line: parts are joined without any.
    if name.chars().count() + " = ".len() + length <= LINE_CHARS_MAX || value.contains(' ') {
        return vec![length];
    }
    let whole = std::iter::repeat_n(WRAPPED_CHARS, length / WRAPPED_CHARS);
    let last = Some(length % WRAPPED_CHARS).filter(|last| *last > 0);
    std::iter::once(0).chain(whole).chain(last).collect()
}

fn laid_out(name: &str, value: &str, parts: &[usize]) -> Vec<String> {
    let mut characters = value.chars();
    let mut part = |length: usize| characters.by_ref().take(length).collect::<String>();
    let first = format!("{name} = {}", part(parts[0])).trim_end().to_owned();
    let others = parts[1..].iter().map(|length| format!("{CONTINUATION}{}", part(*length)));
    std::iter::once(first).chain(others).collect()
}
