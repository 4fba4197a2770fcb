//! What a failed command ends with: an error, and the send that is written down all the same, where
//! there is one. Must not know what failed.

use serde::Serialize;
use steelyard_runtime::exit::{CliError, ExitCode};
use steelyard_runtime::output::Output;

use crate::intent::IntentId;
use crate::rpc::types::ErrorBody;

/// A command's failure.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong.
    pub error: CliError,
    /// A send that is, or may be, written down.
    pub intent: Option<IntentId>,
}

impl Failure {
    /// Tells it: as text on stderr, or as one JSON object on stdout.
    pub fn tell(&self, out: Output) {
        match &self.intent {
            Some(intent) if out.is_json() => out.json(&object(&self.error, intent)),
            _ => out.error(&self.error),
        }
    }
}

impl From<CliError> for Failure {
    fn from(error: CliError) -> Self {
        Self { error, intent: None }
    }
}

impl From<ErrorBody> for Failure {
    fn from(body: ErrorBody) -> Self {
        let error = CliError::new(exit_code(body.exit), body.code, body.message);
        Self { error: CliError { hint: body.hint, ..error }, intent: body.intent }
    }
}

/// The exit code of that number. A number that this version does not know, and 0, which no failure
/// has, are [`ExitCode::Other`].
pub fn exit_code(number: u8) -> ExitCode {
    let known = [
        ExitCode::Usage,
        ExitCode::Unreachable,
        ExitCode::NotAuthorised,
        ExitCode::Locked,
        ExitCode::Refused,
        ExitCode::InUse,
        ExitCode::Damaged,
        ExitCode::TimedOut,
        ExitCode::Unknown,
    ];
    known.into_iter().find(|code| u8::from(*code) == number).unwrap_or(ExitCode::Other)
}

#[derive(Serialize)]
struct Told<'a> {
    error: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    code: &'a str,
    message: &'a str,
    hint: Option<&'a str>,
    intent: &'a IntentId,
}

fn object<'a>(error: &'a CliError, intent: &'a IntentId) -> impl Serialize + 'a {
    let hint = error.hint.as_deref();
    Told { error: Body { code: &error.code, message: &error.message, hint, intent } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_its_exit_code_and_its_send() {
        let body = ErrorBody {
            code: "no_node".to_owned(),
            message: "no node answers".to_owned(),
            hint: Some("tx show".to_owned()),
            exit: 3,
            intent: Some("order-7".parse().unwrap()),
        };
        let failure = Failure::from(body);
        assert_eq!(failure.error.exit, ExitCode::Unreachable);
        let told = serde_json::to_string(&object(&failure.error, failure.intent.as_ref().unwrap())).unwrap();
        assert_eq!(
            told,
            "{\"error\":{\"code\":\"no_node\",\"message\":\"no node answers\",\"hint\":\"tx show\",\
             \"intent\":\"order-7\"}}"
        );
    }

    #[test]
    fn no_failure_ends_with_zero() {
        for number in 0..=u8::MAX {
            let expected = if (2..=10).contains(&number) { number } else { 1 };
            assert_eq!(u8::from(exit_code(number)), expected);
        }
    }
}
