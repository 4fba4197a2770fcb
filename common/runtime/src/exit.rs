//! How a command ends: the exit codes scripts rely on, and the error that carries one.
//! Must not know where errors are shown.

/// The exit codes of both programs. Frozen: scripts branch on them.
#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// Done.
    Ok = 0,
    /// A failure no other code names.
    Other = 1,
    /// Wrong usage, a malformed address or amount too.
    Usage = 2,
    /// The node or the daemon cannot be reached; a send's intent is kept, and said.
    Unreachable = 3,
    /// Not authorised: no token, or one without the right.
    NotAuthorised = 4,
    /// The wallet is locked, or the passphrase is wrong.
    Locked = 5,
    /// Refused: insufficient funds, or a rule says no.
    Refused = 6,
    /// The folder or the port is in use.
    InUse = 7,
    /// Data on disk is damaged.
    Damaged = 8,
    /// Timed out waiting.
    TimedOut = 9,
    /// The outcome is unknown; the intent's id is printed.
    Unknown = 10,
}

impl From<ExitCode> for u8 {
    fn from(code: ExitCode) -> u8 {
        code as u8
    }
}

impl From<ExitCode> for i32 {
    fn from(code: ExitCode) -> i32 {
        i32::from(u8::from(code))
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> std::process::ExitCode {
        std::process::ExitCode::from(u8::from(code))
    }
}

/// What a failed command tells its user, in text and in JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CliError {
    /// The code the process ends with.
    pub exit: ExitCode,
    /// A stable name for programs, snake_case.
    pub code: String,
    /// What went wrong and why, one line, no full stop.
    pub message: String,
    /// The next command or step, where there is one.
    pub hint: Option<String>,
}

impl CliError {
    /// An error without a hint.
    pub fn new(exit: ExitCode, code: impl Into<String>, message: impl Into<String>) -> CliError {
        CliError { exit, code: code.into(), message: message.into(), hint: None }
    }

    /// The same error with a hint.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> CliError {
        CliError { hint: Some(hint.into()), ..self }
    }

    /// A failure no other constructor names.
    pub fn other(code: impl Into<String>, message: impl Into<String>) -> CliError {
        CliError::new(ExitCode::Other, code, message)
    }

    /// Wrong usage.
    pub fn usage(code: impl Into<String>, message: impl Into<String>) -> CliError {
        CliError::new(ExitCode::Usage, code, message)
    }

    /// The node or daemon cannot be reached.
    pub fn unreachable(code: impl Into<String>, message: impl Into<String>) -> CliError {
        CliError::new(ExitCode::Unreachable, code, message)
    }

    /// Not authorised.
    pub fn not_authorised(code: impl Into<String>, message: impl Into<String>) -> CliError {
        CliError::new(ExitCode::NotAuthorised, code, message)
    }

    /// The wallet is locked or the passphrase wrong.
    pub fn locked(code: impl Into<String>, message: impl Into<String>) -> CliError {
        CliError::new(ExitCode::Locked, code, message)
    }

    /// Refused by a rule or for want of funds.
    pub fn refused(code: impl Into<String>, message: impl Into<String>) -> CliError {
        CliError::new(ExitCode::Refused, code, message)
    }

    /// The folder or port is in use.
    pub fn in_use(code: impl Into<String>, message: impl Into<String>) -> CliError {
        CliError::new(ExitCode::InUse, code, message)
    }

    /// Data on disk is damaged.
    pub fn damaged(code: impl Into<String>, message: impl Into<String>) -> CliError {
        CliError::new(ExitCode::Damaged, code, message)
    }

    /// Timed out waiting.
    pub fn timed_out(code: impl Into<String>, message: impl Into<String>) -> CliError {
        CliError::new(ExitCode::TimedOut, code, message)
    }

    /// The outcome is unknown.
    pub fn unknown(code: impl Into<String>, message: impl Into<String>) -> CliError {
        CliError::new(ExitCode::Unknown, code, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_contract() {
        let codes = [
            (ExitCode::Ok, 0),
            (ExitCode::Other, 1),
            (ExitCode::Usage, 2),
            (ExitCode::Unreachable, 3),
            (ExitCode::NotAuthorised, 4),
            (ExitCode::Locked, 5),
            (ExitCode::Refused, 6),
            (ExitCode::InUse, 7),
            (ExitCode::Damaged, 8),
            (ExitCode::TimedOut, 9),
            (ExitCode::Unknown, 10),
        ];
        for (code, number) in codes {
            assert_eq!(i32::from(code), number);
        }
    }

    #[test]
    fn a_hint_does_not_change_the_message() {
        let error = CliError::refused("insufficient_funds", "have 1, need 2").with_hint("receive first");
        assert_eq!(error.to_string(), "have 1, need 2");
        assert_eq!(error.hint.as_deref(), Some("receive first"));
        assert_eq!(error.exit, ExitCode::Refused);
    }
}
