//! Frozen bytes: files of lines `name = hex` (text stands as it is). A line that changes means
//! another ledger: every network forks. On purpose alone, and with a new rule set: with
//! `STEELYARD_GOLDEN=write` the files are written anew. Must not draw on anything random or on a clock.

use std::fmt::Write;
use std::path::Path;

/// Set to `write`, the files are written and nothing is compared.
pub const GOLDEN_ENV: &str = "STEELYARD_GOLDEN";

/// Whether the files are to be written anew.
#[must_use]
pub fn is_written_anew() -> bool {
    std::env::var(GOLDEN_ENV).is_ok_and(|value| value == "write")
}

/// The lines of a file, in order.
#[derive(Default)]
pub struct Golden(String);

impl Golden {
    /// Adds a line of bytes.
    pub fn hex(&mut self, name: &str, bytes: impl AsRef<[u8]>) {
        self.text(name, hex::encode(bytes));
    }

    /// Adds a line of text.
    pub fn text(&mut self, name: &str, text: impl std::fmt::Display) {
        writeln!(self.0, "{name} = {text}").unwrap();
    }

    /// Compares with the file, line by line.
    pub fn check(&self, path: &Path) {
        if is_written_anew() {
            std::fs::write(path, &self.0).unwrap();
            return;
        }
        let file = path.display();
        let frozen = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"));
        for (now, then) in self.0.lines().zip(frozen.lines()) {
            assert_eq!(now, then, "{file} is frozen");
        }
        assert_eq!(self.0.lines().count(), frozen.lines().count(), "{file} is frozen");
    }
}
