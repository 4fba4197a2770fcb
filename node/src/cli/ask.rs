//! Asking the running node over its API. Finds the node by the file that it keeps in its folder,
//! or by its address, and makes sure that it is the one that was meant. Must not know what is
//! asked, and must not open the store.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use steelyard_core::hash::NetworkId;
use steelyard_runtime::exit::{CliError, ExitCode};
use steelyard_runtime::lock::LockError;
use steelyard_runtime::ready::read_json;
use steelyard_runtime::{token, words};
use ureq::Body;
use ureq::http::{Response, StatusCode};

use super::config::Resolved;
use crate::api::types::Ready as Health;
use crate::node::{NODE_FILE, Ready};

/// Longest wait for an answer of a node on this machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of the longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// Where a node is expected, and what is known of it.
struct Expected {
    api: SocketAddr,
    /// Its process and network, where its own file says.
    noted: Option<(u32, NetworkId)>,
}

/// What a node answered.
pub struct Answer {
    /// As it came: one line of JSON.
    pub text: String,
    /// The same, read.
    pub value: Value,
}

/// What the operator orders.
#[derive(Clone, Copy)]
pub enum Order<'a, T> {
    /// POST, with a body.
    Post(&'a T),
    /// DELETE.
    Delete,
}

/// A node that answers.
pub struct Asked<'a> {
    resolved: &'a Resolved,
    expected: Expected,
    agent: ureq::Agent,
    status: Answer,
}

impl<'a> Asked<'a> {
    /// Finds the node that the settings mean.
    ///
    /// # Errors
    /// Nobody answers there, or somebody else.
    pub fn find(resolved: &'a Resolved) -> Result<Self, CliError> {
        let expected = expect(resolved)?;
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(ANSWER_WITHIN))
            .http_status_as_error(false)
            // The node is on this machine, whatever the environment says about others.
            .proxy(None)
            .max_redirects(0)
            .build()
            .into();
        let status = Answer { text: String::new(), value: Value::Null };
        let mut asked = Self { resolved, expected, agent, status };
        let status = asked.get("/status")?;
        let network = status.value["network_id"].as_str().ok_or_else(|| asked.no_node())?;
        if asked.expected.noted.is_some_and(|(_, noted)| noted.to_string() != network) {
            let message = format!("a node of another network answers at {} now", asked.expected.api);
            return Err(nobody(resolved, &message));
        }
        asked.status = status;
        Ok(asked)
    }

    /// What the node says about itself.
    pub fn status(&self) -> &Answer {
        &self.status
    }

    /// Which node it is, for people.
    pub fn title(&self) -> String {
        let process = self.expected.noted.map_or(String::new(), |(pid, _)| format!(", process {pid}"));
        let version = self.status.value["version"].as_str().unwrap_or("?");
        format!("steelyard-node {version} at {}{process}", self.expected.api)
    }

    /// Asks for something below `/api/v1`.
    ///
    /// # Errors
    /// No answer, or one that is an error.
    pub fn get(&self, path: &str) -> Result<Answer, CliError> {
        self.answer(self.agent.get(self.url(path)).call())
    }

    /// The same as what the path gives.
    ///
    /// # Errors
    /// As [`Asked::get`], or the answer is something else.
    pub fn read<T: DeserializeOwned>(&self, path: &str) -> Result<(Answer, T), CliError> {
        let answer = self.get(path)?;
        let read = T::deserialize(&answer.value).map_err(|_| self.no_node())?;
        Ok((answer, read))
    }

    /// Orders something below `/api/v1`, with the operator's token.
    ///
    /// # Errors
    /// There is no token, no answer, or the answer is an error.
    pub fn order<T: Serialize>(&self, path: &str, order: Order<'_, T>) -> Result<Answer, CliError> {
        let data_dir = self.resolved.data_dir()?;
        let node: Ready = read_json(&data_dir.join(NODE_FILE)).map_err(|_| {
            let message = format!("no node runs in {}, where its token would be", data_dir.display());
            CliError::not_authorised("token", message).with_hint("give the node's --data-dir DIR")
        })?;
        let bearer = format!("Bearer {}", read_token(&node)?);
        self.answer(match order {
            Order::Post(body) => {
                self.agent.post(self.url(path)).header("authorization", bearer).send_json(body)
            }
            Order::Delete => self.agent.delete(self.url(path)).header("authorization", bearer).call(),
        })
    }

    /// Whether the node can be worked with, and why not.
    ///
    /// # Errors
    /// No answer, or one that is none.
    pub fn ready(&self) -> Result<(String, Health), CliError> {
        let response = self.agent.get(format!("http://{}/readyz", self.expected.api)).call();
        let mut response = response.map_err(|error| self.gone(&error))?;
        let text = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        let text = text.map_err(|_| self.no_node())?;
        let health = serde_json::from_str(&text).map_err(|_| self.no_node())?;
        Ok((text, health))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/api/v1{path}", self.expected.api)
    }

    fn answer(&self, response: Result<Response<Body>, ureq::Error>) -> Result<Answer, CliError> {
        let mut response = response.map_err(|error| self.gone(&error))?;
        let status = response.status();
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        let text = body.ok().map(|text| text.trim_end().to_owned()).filter(|text| !text.contains('\n'));
        let text = text.ok_or_else(|| self.no_node())?;
        let value: Value = serde_json::from_str(&text).map_err(|_| self.no_node())?;
        if status.is_success() { Ok(Answer { text, value }) } else { Err(refusal(status, &value)) }
    }

    fn gone(&self, error: &ureq::Error) -> CliError {
        let api = self.expected.api;
        let message = match self.expected.noted {
            Some((pid, _)) => {
                format!("the node that ran at {api} as process {pid} does not answer: {error}")
            }
            None => format!("no node answers at {api}: {error}"),
        };
        nobody(self.resolved, &message)
    }

    fn no_node(&self) -> CliError {
        nobody(self.resolved, &format!("what answers at {} is no node", self.expected.api))
    }
}

/// Has the node that holds a folder do what it alone can do meanwhile, and waits as long as that takes.
///
/// # Errors
/// The folder's holder is no node or does not answer, there is no token, or the answer is an error.
pub fn order_holder<T: DeserializeOwned>(
    data_dir: &Path,
    held: LockError,
    (path, body): (&str, Option<&Value>),
) -> Result<T, CliError> {
    let Ok(node) = read_json::<Ready>(&data_dir.join(NODE_FILE)) else { return Err(held.into()) };
    let token = read_token(&node)?;
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).proxy(None).max_redirects(0).build().into();
    let api = reachable(node.api);
    let gone = |error: ureq::Error| {
        let message =
            format!("the node that holds the folder (process {}) does not answer: {error}", node.pid);
        CliError::unreachable("node_unreachable", message)
    };
    let request = agent.post(format!("http://{api}/api/v1{path}"));
    let request = request.header("authorization", format!("Bearer {token}"));
    let response = match body {
        Some(body) => request.send_json(body),
        None => request.send_empty(),
    };
    let mut response = response.map_err(gone)?;
    let status = response.status();
    let text = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().map_err(gone)?;
    let strange = |_| CliError::other("node_error", format!("the node at {api} gives no report"));
    if status.is_success() {
        return serde_json::from_str(&text).map_err(strange);
    }
    Err(refusal(status, &serde_json::from_str(&text).map_err(strange)?))
}

/// The address to connect to for one that a node listens on: "any" is here.
pub fn reachable(api: SocketAddr) -> SocketAddr {
    let here = match api.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(here, api.port())
}

/// The operator's token of a node.
///
/// # Errors
/// Not authorised: its file cannot be read.
pub fn read_token(node: &Ready) -> Result<String, CliError> {
    token::read(&node.token_file).map_err(|error| {
        let file = node.token_file.display();
        CliError::not_authorised("token", format!("cannot read the operator's token in {file}: {error}"))
    })
}

/// An address in the arguments, else the folder's file, else an address in the settings.
fn expect(resolved: &Resolved) -> Result<Expected, CliError> {
    let named = resolved.api_named()?;
    if let Some((api, true)) = named {
        return Ok(Expected { api: reachable(api), noted: None });
    }
    let data_dir = resolved.data_dir()?;
    let file = data_dir.join(NODE_FILE);
    match read_json::<Ready>(&file) {
        Ok(ready) => Ok(Expected { api: reachable(ready.api), noted: Some((ready.pid, ready.network_id)) }),
        Err(error) if error.kind() == ErrorKind::NotFound => match named.filter(|(api, _)| api.port() != 0) {
            Some((api, _)) => Ok(Expected { api: reachable(api), noted: None }),
            None => Err(nobody(resolved, &format!("no node runs in {}", data_dir.display()))),
        },
        Err(error) => Err(unreadable(&file, &error)),
    }
}

/// An error that the node answers, as that of a command.
fn refusal(status: StatusCode, answer: &Value) -> CliError {
    let said = |key: &str| answer["error"][key].as_str();
    let exit = match status {
        _ if said("code") == Some("outcome_unknown") => ExitCode::Unknown,
        StatusCode::BAD_REQUEST => ExitCode::Usage,
        StatusCode::UNAUTHORIZED => ExitCode::NotAuthorised,
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::INSUFFICIENT_STORAGE => ExitCode::Refused,
        StatusCode::CONFLICT => ExitCode::InUse,
        StatusCode::INTERNAL_SERVER_ERROR if !matches!(said("code"), Some("internal" | "store")) => {
            ExitCode::Damaged
        }
        StatusCode::SERVICE_UNAVAILABLE if said("code") == Some("busy") => ExitCode::InUse,
        _ => ExitCode::Other,
    };
    let message = format!("the node answers: {}", said("message").unwrap_or("an error without words"));
    let error = CliError::new(exit, said("code").unwrap_or("node_error"), message);
    match said("hint") {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

fn nobody(resolved: &Resolved, message: &str) -> CliError {
    let folder =
        resolved.data_dir_named().map(|dir| format!(" --data-dir {}", words::shell(dir))).unwrap_or_default();
    let start = match resolved.network.as_str() {
        "dev" => "dev".to_owned(),
        network => format!("run --network {}", words::shell(network)),
    };
    CliError::unreachable("node_unreachable", message)
        .with_hint(format!("start it: steelyard-node {start}{folder}"))
}

fn unreadable(file: &Path, error: &std::io::Error) -> CliError {
    CliError::other("io", format!("cannot read {}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_says_of_itself_ends_a_command_as_it_would_here() {
        for (status, code, exit) in [
            (409, "folder_in_use", 7),
            (500, "store_damaged", 8),
            (500, "internal", 1),
            (500, "store", 1),
            (503, "busy", 7),
        ] {
            let answer = serde_json::json!({"error": {"code": code, "message": "m"}});
            let error = refusal(StatusCode::from_u16(status).unwrap(), &answer);
            assert_eq!(i32::from(error.exit), exit, "{code}");
        }
    }

    #[test]
    fn any_address_is_reached_here() {
        for (listens, connects) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:2", "[::1]:2"), ("10.0.0.7:3", "10.0.0.7:3")]
        {
            assert_eq!(reachable(listens.parse().unwrap()), connects.parse().unwrap());
        }
    }

    #[test]
    fn a_refusal_ends_with_the_code_of_its_kind() {
        let answer = serde_json::json!({"error": {"code": "c", "message": "m", "hint": "h"}});
        for (status, exit) in [(400, 2), (401, 4), (422, 6), (507, 6), (404, 1), (503, 1)] {
            let error = refusal(StatusCode::from_u16(status).unwrap(), &answer);
            assert_eq!(
                (i32::from(error.exit), error.code.as_str(), error.hint.as_deref()),
                (exit, "c", Some("h"))
            );
        }
        let unknown = serde_json::json!({"error": {"code": "outcome_unknown", "message": "m", "hint": null}});
        assert_eq!(refusal(StatusCode::SERVICE_UNAVAILABLE, &unknown).exit, ExitCode::Unknown);
        let error = refusal(StatusCode::BAD_GATEWAY, &Value::Null);
        assert_eq!((error.code.as_str(), error.hint), ("node_error", None));
    }
}
