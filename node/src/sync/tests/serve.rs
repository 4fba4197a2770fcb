//! Answers: where one of bodies ends.

use std::cell::Cell;

use steelyard_core::encode::List;
use steelyard_core::hash::BlockId;
use steelyard_core::history::HistoryFrontier;
use steelyard_core::types::header::Header;
use steelyard_core::wire::GetBodies;

use crate::limits::SYNC_SERVE_BYTES_MAX;
use crate::sync::{ChainRead, Known, PeerMessage, PeerRequest, serve};

/// Serves bodies of one size.
struct Wide(usize, Cell<usize>);

impl ChainRead for Wide {
    fn tip(&self) -> Known {
        unreachable!("not needed to serve")
    }

    fn block(&self, _: &BlockId) -> Option<Known> {
        None
    }

    fn frontier(&self, _: &BlockId) -> Option<HistoryFrontier> {
        None
    }

    fn locator(&self) -> Vec<BlockId> {
        Vec::new()
    }

    fn headers_after(&self, _: &[BlockId], _: usize) -> Vec<Header> {
        Vec::new()
    }

    fn body(&self, id: &BlockId) -> Option<Vec<u8>> {
        self.1.set(self.1.get() + 1);
        (id.0[0] != 2).then(|| vec![0; self.0])
    }

    fn refused(&self, _: &BlockId) -> Option<String> {
        None
    }

    fn is_beyond_pruning(&self, _: &BlockId) -> bool {
        false
    }
}

/// What is sent of 16 bodies of so many bytes, of which the second is not here, when the other end
/// takes no more than `takes` messages; and how many were read.
fn served(bytes: usize, takes: usize) -> (Vec<u8>, Vec<u8>, usize) {
    let ids: Vec<BlockId> = (1..=16).map(|number| BlockId([number; 32])).collect();
    let request = PeerRequest::GetBodies(GetBodies { ids: List::new(ids).unwrap() });
    let (chain, mut sent, mut missing) = (Wide(bytes, 0.into()), Vec::new(), Vec::new());
    serve::answer(&chain, &request, &mut |answer| {
        match answer {
            PeerMessage::Body(body) => {
                assert!(missing.is_empty(), "bodies come first");
                sent.push(body.id.0[0]);
            }
            PeerMessage::Missing(ids) => missing.extend(ids.ids.iter().map(|id| id.0[0])),
            other => panic!("{other:?}"),
        }
        sent.len() < takes
    });
    (sent, missing, chain.1.get())
}

#[test]
fn an_answer_of_bodies_ends_at_its_bytes_and_when_nobody_takes_it() {
    let all_but_second: Vec<u8> = [1].into_iter().chain(3..=16).collect();
    assert_eq!(served(1_000, usize::MAX), (all_but_second, vec![2], 16));
    let third = SYNC_SERVE_BYTES_MAX / 3;
    let rest: Vec<u8> = [2].into_iter().chain(6..=16).collect();
    assert_eq!(served(third, usize::MAX), (vec![1, 3, 4, 5], rest, 5));
    let rest: Vec<u8> = (2..=16).collect();
    assert_eq!(served(SYNC_SERVE_BYTES_MAX, usize::MAX), (vec![1], rest, 1));
    assert_eq!(served(1_000, 3), (vec![1, 3, 4], vec![], 4));
}
