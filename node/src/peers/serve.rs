//! Answers to other nodes, for one connection at a time: what was asked for first is answered first.
//! Must not know what this node itself wants.

use steelyard_core::encode::List;
use steelyard_core::hash::TxId;
use steelyard_core::wire::{GetBodies, GetHeaders, GetTxs, Message, Txs};
use steelyard_runtime::frame::Frame;
use steelyard_runtime::link::{LinkError, read};

use super::chain::Reader;
use crate::chain::Chain;
use crate::sync::{PeerMessage, PeerRequest, serve};

/// A request that is answered from the chain or the pool.
pub(super) enum Request {
    /// By whoever may wait for the disk.
    Blocks(PeerRequest),
    /// At once.
    Txs(GetTxs),
}

impl Request {
    /// Reads a request; `None` for a frame that is none.
    ///
    /// # Errors
    /// [`LinkError::Decode`].
    pub(super) fn read(frame: &Frame) -> Result<Option<Self>, LinkError> {
        Ok(Some(match frame.kind {
            GetHeaders::KIND => Self::Blocks(PeerRequest::GetHeaders(read(frame)?)),
            GetBodies::KIND => Self::Blocks(PeerRequest::GetBodies(read(frame)?)),
            GetTxs::KIND => Self::Txs(read(frame)?),
            _ => return Ok(None),
        }))
    }
}

/// The answer to a request for blocks, at most [`crate::limits::SYNC_SERVE_BYTES_MAX`] and one body.
/// Reads the store.
pub(super) fn blocks(chain: &Chain, number: u32, asked: &PeerRequest) -> Vec<Frame> {
    let mut frames = Vec::new();
    serve::answer(&Reader(chain), asked, &mut |answer| {
        frames.extend(frame_of(number, &answer));
        true
    });
    frames
}

/// The pending transactions that were asked for, as far as they are pending, and their ids.
pub(super) fn txs(chain: &Chain, asked: &GetTxs) -> (Txs, Vec<TxId>) {
    let view = chain.shared.read();
    let entries: Vec<_> = asked.ids.iter().filter_map(|id| view.pending(id)).collect();
    let txs = entries.iter().filter_map(|entry| List::new(entry.tx.bytes().to_vec())).collect();
    // As many as were asked for at most, which a message holds.
    let txs = Txs { txs: List::new(txs).unwrap_or_default() };
    (txs, entries.iter().map(|entry| entry.tx.id()).collect())
}

/// The frame of what nodes say about blocks; nothing for what would be longer than its kind may be.
pub(super) fn frame_of(number: u32, message: &PeerMessage) -> Option<Frame> {
    let frame = match message {
        PeerMessage::GetHeaders(message) => Frame::of(number, message),
        PeerMessage::Headers(message) => Frame::of(number, message),
        PeerMessage::GetBodies(message) => Frame::of(number, message),
        PeerMessage::Body(message) => Frame::of(number, message),
        PeerMessage::Missing(message) => Frame::of(number, message),
        PeerMessage::Announce(message) => Frame::of(number, message),
    };
    frame.ok()
}
