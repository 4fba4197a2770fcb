//! Answers to other nodes from the chain, of any thread: no machine is needed. Must not know peers
//! or what this node itself is missing.

use steelyard_core::encode::List;
use steelyard_core::wire::headers::HEADERS_MAX;
use steelyard_core::wire::{Body, BodyBytes, GetBodies, GetHeaders, HeaderBytes, Headers, Missing};

use super::{ChainRead, PeerMessage, PeerRequest};
use crate::limits::SYNC_SERVE_BYTES_MAX;

/// Answers a request: each message is given to `send` as soon as it is read, one body at a time;
/// when `send` says false nothing more is read. Blocking.
pub fn answer(chain: &dyn ChainRead, request: &PeerRequest, send: &mut dyn FnMut(PeerMessage) -> bool) {
    match request {
        PeerRequest::GetHeaders(asked) => headers(chain, asked, send),
        PeerRequest::GetBodies(asked) => bodies(chain, asked, send),
    }
}

fn headers(chain: &dyn ChainRead, asked: &GetHeaders, send: &mut dyn FnMut(PeerMessage) -> bool) {
    let headers = chain.headers_after(&asked.locator, HEADERS_MAX);
    let headers = headers.iter().take(HEADERS_MAX).map(HeaderBytes::from).collect();
    if let Some(headers) = List::new(headers) {
        send(PeerMessage::Headers(Headers { headers }));
    }
}

/// As far as one answer goes; what is left out is named at the end.
fn bodies(chain: &dyn ChainRead, asked: &GetBodies, send: &mut dyn FnMut(PeerMessage) -> bool) {
    let (mut missing, mut sent) = (Vec::new(), 0);
    for id in asked.ids.iter() {
        let fits = sent < SYNC_SERVE_BYTES_MAX;
        let bytes = if fits { chain.body(id).and_then(BodyBytes::new) } else { None };
        let Some(bytes) = bytes else {
            missing.push(*id);
            continue;
        };
        sent += bytes.as_slice().len();
        if !send(PeerMessage::Body(Body { id: *id, bytes })) {
            return;
        }
    }
    if let Some(ids) = List::new(missing).filter(|ids| !ids.is_empty()) {
        send(PeerMessage::Missing(Missing { ids }));
    }
}
