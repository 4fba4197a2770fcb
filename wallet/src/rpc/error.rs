//! Every refusal of the socket: one table from the command's exit code to the status, and from the
//! desk's errors to what a user reads. Nothing here ever holds a secret. Must not know routes.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use steelyard_runtime::exit::{CliError, ExitCode};

use super::types::{ErrorAnswer, ErrorBody};
use crate::desk::DeskError;
use crate::intent::IntentId;

/// A request that has no other answer.
#[derive(Debug)]
pub struct RpcError {
    exit: ExitCode,
    body: Box<ErrorBody>,
}

impl RpcError {
    /// Any error: the exit code of the command that asks, a stable name, and what and why.
    pub(super) fn new(exit: ExitCode, code: &str, message: impl Into<String>) -> Self {
        let body = ErrorBody {
            code: code.to_owned(),
            message: message.into(),
            hint: None,
            exit: exit.into(),
            intent: None,
        };
        Self { exit, body: Box::new(body) }
    }

    /// The request itself is wrong.
    pub(super) fn usage(code: &str, message: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, code, message)
    }

    /// A fault of the program.
    pub(super) fn internal(what: &str) -> Self {
        tracing::error!(what, "a request failed through a fault of the program");
        Self::new(ExitCode::Other, "internal", "the request failed through a fault of the program")
    }

    /// The same with what to do about it.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.body.hint = Some(hint.into());
        self
    }

    /// The same with the send that is written down all the same.
    pub(super) fn kept(mut self, id: &IntentId) -> Self {
        self.body.intent = Some(id.clone());
        self
    }

    /// What the caller is told.
    #[must_use]
    pub fn body(&self) -> &ErrorBody {
        &self.body
    }

    /// The status: the code's own where HTTP has one, else the exit code's.
    fn status(&self) -> StatusCode {
        match self.body.code.as_str() {
            "unknown_path" | "unknown_wallet" | "unknown_tx" => return StatusCode::NOT_FOUND,
            "wrong_method" => return StatusCode::METHOD_NOT_ALLOWED,
            "body_too_large" => return StatusCode::PAYLOAD_TOO_LARGE,
            "unsupported_media_type" => return StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "id_reused" => return StatusCode::CONFLICT,
            _ => {}
        }
        match self.exit {
            ExitCode::Usage => StatusCode::BAD_REQUEST,
            ExitCode::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
            ExitCode::NotAuthorised => StatusCode::FORBIDDEN,
            ExitCode::Locked => StatusCode::LOCKED,
            ExitCode::Refused => StatusCode::UNPROCESSABLE_ENTITY,
            ExitCode::InUse => StatusCode::CONFLICT,
            ExitCode::TimedOut | ExitCode::Unknown => StatusCode::GATEWAY_TIMEOUT,
            ExitCode::Ok | ExitCode::Other | ExitCode::Damaged => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for RpcError {
    fn into_response(self) -> Response {
        (self.status(), Json(ErrorAnswer { error: *self.body })).into_response()
    }
}

impl From<CliError> for RpcError {
    fn from(error: CliError) -> Self {
        let refused = Self::new(error.exit, &error.code, error.message);
        match error.hint {
            Some(hint) => refused.hint(hint),
            None => refused,
        }
    }
}

impl From<DeskError> for RpcError {
    fn from(error: DeskError) -> Self {
        CliError::from(error).into()
    }
}
