//! Which program this is: its version and, where the build was told, its commit.

use std::sync::OnceLock;

use serde::Serialize;
use steelyard_runtime::output::Output;

use crate::node::PROGRAM;

/// The version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit it was built from, given to the build as `STEELYARD_COMMIT`.
pub const COMMIT: Option<&str> = option_env!("STEELYARD_COMMIT");

#[derive(Serialize)]
struct Version {
    name: &'static str,
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

/// The command.
pub fn print(out: Output) {
    out.line(&format!("{PROGRAM} {}", text()));
    out.json(&Version { name: PROGRAM, version: VERSION, commit: COMMIT });
}
