//! Which version this is and, where the build was told, of which commit: the same for both programs,
//! which are built together. Must not know which of them asks.

use std::sync::OnceLock;

use serde::Serialize;

use crate::output::Output;

/// The version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit it was built from, given to the build as `STEELYARD_COMMIT`.
pub const COMMIT: Option<&str> = option_env!("STEELYARD_COMMIT");

#[derive(Serialize)]
struct Version<'a> {
    name: &'a str,
    version: &'static str,
    commit: Option<&'static str>,
}

/// Characters of a commit that people are shown.
const COMMIT_CHARS: usize = 7;

/// `0.1.0 (abc1234)`, or the version alone.
pub fn text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    let short = COMMIT.map(|commit| commit.get(..COMMIT_CHARS).unwrap_or(commit));
    TEXT.get_or_init(|| short.map_or(VERSION.to_owned(), |commit| format!("{VERSION} ({commit})")))
}

/// The command `version` of a program.
pub fn print(program: &str, out: Output) {
    out.line(&format!("{program} {}", text()));
    out.json(&Version { name: program, version: VERSION, commit: COMMIT });
}
