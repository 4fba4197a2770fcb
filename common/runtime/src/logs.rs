//! The log stream: events on stderr, as text for people or one JSON object per line.
//!
//! Must not know what is logged, and must never end the process: a closed stderr loses lines.

use std::io::{self, Write};
use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::output;

/// The level without `RUST_LOG` or a flag.
pub const LEVEL_DEFAULT: &str = "info";

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One line per event, for people.
    #[default]
    Text,
    /// One JSON object per line, for machines.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The name of a format is neither `text` nor `json`.
    #[error("unknown log format \"{given}\": use text or json")]
    Format {
        /// What was given.
        given: String,
    },
    /// The level or the filter of `RUST_LOG` cannot be read.
    #[error("unknown log filter \"{given}\": use a level such as info or debug, or target=level")]
    Filter {
        /// What was given.
        given: String,
    },
    /// Logging was set up before in this process.
    #[error("logging is already set up")]
    Twice,
}

impl FromStr for LogFormat {
    type Err = LogError;

    fn from_str(text: &str) -> Result<LogFormat, LogError> {
        match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(LogError::Format { given: text.to_owned() }),
        }
    }
}

/// Sends events of `level` (or what `RUST_LOG` says, which wins) and above to stderr, times in UTC.
/// Under the system journal, which keeps its own time, text lines carry none.
///
/// # Errors
/// [`LogError::Filter`] for a level or `RUST_LOG` that cannot be read; [`LogError::Twice`].
pub fn init(format: LogFormat, level: &str) -> Result<(), LogError> {
    let from_env = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let filter = filter(from_env.as_deref().unwrap_or(level))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Stderr)
        .log_internal_errors(false)
        .with_ansi(output::stderr_takes_colour());
    let set = match format {
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
        LogFormat::Text if is_under_journal() => builder.without_time().finish().try_init(),
        LogFormat::Text => builder.finish().try_init(),
    };
    set.map_err(|_| LogError::Twice)
}

fn filter(text: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::builder().parse(text).map_err(|_| LogError::Filter { given: text.to_owned() })
}

/// systemd sets `JOURNAL_STREAM` to device and inode of the stream it gave, which tells a stderr
/// that still goes there from one that was sent elsewhere.
#[cfg(target_os = "linux")]
fn is_under_journal() -> bool {
    use std::os::unix::fs::MetadataExt;
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    std::fs::metadata("/proc/self/fd/2").is_ok_and(|meta| stream == format!("{}:{}", meta.dev(), meta.ino()))
}

#[cfg(not(target_os = "linux"))]
fn is_under_journal() -> bool {
    false
}

/// Stderr that never fails: nobody is left to tell.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().lock().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_have_names() {
        assert_eq!("text".parse::<LogFormat>().unwrap(), LogFormat::Text);
        assert_eq!("json".parse::<LogFormat>().unwrap(), LogFormat::Json);
        assert!(matches!("xml".parse::<LogFormat>(), Err(LogError::Format { .. })));
    }

    #[test]
    fn filters_are_levels_or_directives() {
        assert!(filter(LEVEL_DEFAULT).is_ok());
        assert!(filter("steelyard_node=debug,warn").is_ok());
        assert!(matches!(filter("steelyard_node=loud"), Err(LogError::Filter { .. })));
    }
}
