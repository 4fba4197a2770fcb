//! A short chain with a transaction-like item in every body, and every byte of what a node says
//! about it changed once.

use super::*;
use crate::encode::List;
use crate::history::History;
use crate::types::body::Body;
use crate::types::header::HEADER_VERSION;
use crate::wire::{HeaderBytes, HistoryStep, Message};

struct Chain {
    params: Params,
    headers: Vec<Header>,
    bodies: Vec<Body>,
    history: History,
}

impl Chain {
    fn new(blocks: u64) -> Self {
        let params = Params::dev();
        let genesis = params.genesis().header;
        let empty = Body::default();
        let mut chain =
            Self { params, headers: vec![genesis], bodies: vec![empty], history: History::default() };
        for height in 1..=blocks {
            chain.extend(height);
        }
        chain
    }

    fn extend(&mut self, height: u64) {
        let parent = *self.headers.last().unwrap();
        self.history.push(HistoryNode::leaf(&parent.id(), own_work(&parent).unwrap()));
        let items = (0..=height % 5).map(|item| vec![item as u8, height as u8, 9]).collect();
        let body = Body { items };
        let elapsed = if height == 1 { 0 } else { parent.elapsed.max(self.params.spacing) };
        let mut header = Header {
            version: HEADER_VERSION,
            height,
            prev: parent.id(),
            history_root: history::root(&self.history.frontier(height).unwrap()),
            body_root: body.root(),
            elapsed: if height > 2 { parent.elapsed + (parent.time - parent.prev_time) } else { elapsed },
            prev_time: parent.time,
            time: parent.time + 2_000,
            nonce: 0,
            ..parent
        };
        while check_link(&self.params, (&parent, parent.id()), &header) == Err(HeaderRule::ProofOfWork) {
            header.nonce += 1;
        }
        self.headers.push(header);
        self.bodies.push(body);
    }

    fn genesis(&self) -> BlockId {
        self.headers[0].id()
    }

    fn tip(&self, recent: usize) -> Tip {
        let last = self.headers.len().saturating_sub(recent);
        let top = self.history.frontier(self.history.count()).unwrap().top();
        Tip {
            headers: List::new(self.headers[last..].iter().map(HeaderBytes::from).collect()).unwrap(),
            history_work: top.map_or(0, |node| node.work),
            history_top: top.map_or([0; 32], |node| node.hash),
        }
    }

    fn found(&self, height: usize, index: u32) -> (Vec<u8>, Found) {
        let (body, tip) = (&self.bodies[height], self.headers.len() as u64 - 1);
        let steps = self.history.path(height as u64, tip).unwrap_or_default();
        let steps = steps.iter().map(|node| HistoryStep { hash: node.hash, work: node.work }).collect();
        let path = body.path(index.into()).unwrap().iter().map(|node| node.0).collect();
        let found = Found {
            header: (&self.headers[height]).into(),
            index,
            count: body.items.len() as u32,
            body_path: List::new(path).unwrap(),
            history_path: List::new(steps).unwrap(),
        };
        (body.items[index as usize].clone(), found)
    }
}

#[test]
fn an_honest_tip_is_taken_however_much_of_it_is_shown() {
    for blocks in 0..12 {
        let chain = Chain::new(blocks);
        let total = chain.headers.iter().map(|header| own_work(header).unwrap()).sum::<u128>();
        for recent in 1..=chain.headers.len() {
            let checked = check_tip(&chain.params, chain.genesis(), &chain.tip(recent)).unwrap();
            assert_eq!((checked.header, checked.total_work), (*chain.headers.last().unwrap(), total));
            for (height, header) in chain.headers.iter().enumerate() {
                let is_shown = height + recent >= chain.headers.len();
                assert_eq!(checked.holds(height as u64, &header.id()), is_shown);
                assert!(!checked.holds(height as u64, &BlockId([1; 32])));
            }
            assert!(!checked.holds(blocks + 1, &checked.id));
        }
    }
}

/// Whatever is changed in a tip, it is refused, or it is another chain under another tip.
#[test]
fn every_byte_of_a_tip_matters() {
    let chain = Chain::new(6);
    for recent in [2, 7] {
        let honest = chain.tip(recent);
        let bytes = honest.to_bytes();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            let Ok(tip) = Tip::from_bytes(&changed) else { continue };
            if let Ok(checked) = check_tip(&chain.params, chain.genesis(), &tip) {
                // The last header's own nonce and roots are its miner's to choose, at the price of work.
                assert_ne!(checked.id, chain.headers.last().unwrap().id(), "byte {place}");
                assert_eq!(checked.header.prev, chain.headers[5].id(), "byte {place}");
            }
        }
    }
    let nobody = Tip { headers: List::new(Vec::new()).unwrap(), ..chain.tip(1) };
    assert_eq!(check_tip(&chain.params, chain.genesis(), &nobody), Err(LightError::NoHeaders));
    let wrong = check_tip(&chain.params, BlockId([1; 32]), &chain.tip(7));
    assert!(matches!(wrong, Err(LightError::Genesis { .. })));
}

#[test]
fn claimed_work_must_be_committed_to() {
    let chain = Chain::new(6);
    let tip = Tip { history_work: chain.tip(3).history_work + 1, ..chain.tip(3) };
    assert_eq!(check_tip(&chain.params, chain.genesis(), &tip), Err(LightError::HistoryWork));
}

#[test]
fn every_item_of_every_block_is_found_and_nothing_else() {
    for blocks in 1..10 {
        let chain = Chain::new(blocks);
        let tip = *chain.headers.last().unwrap();
        for height in 1..=blocks as usize {
            for index in 1..chain.bodies[height].items.len() as u32 {
                let (tx, found) = chain.found(height, index);
                let place = check_found(&chain.params, &tip, &tx, &found).unwrap();
                assert_eq!(place.id, chain.headers[height].id());
                let other = [&tx[..], &[0]].concat();
                let refused = check_found(&chain.params, &tip, &other, &found);
                assert_eq!(refused, Err(LightError::NotInBody));
            }
        }
        let (coinbase, found) = chain.found(1, 0);
        assert_eq!(check_found(&chain.params, &tip, &coinbase, &found), Err(LightError::NotInBody));
    }
}

#[test]
fn every_byte_of_a_place_matters() {
    let chain = Chain::new(9);
    let tip = *chain.headers.last().unwrap();
    for height in [4, 9] {
        let (tx, found) = chain.found(height, 2);
        let bytes = crate::encode::encode(&found);
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[place] ^= 1 << bit;
                let Ok(changed) = crate::encode::decode::<Found>(&changed, bytes.len()) else { continue };
                let result = check_found(&chain.params, &tip, &tx, &changed);
                assert!(result.is_err(), "height {height}, byte {place}, bit {bit}");
            }
        }
    }
    // A block of a stranger's chain, well mined, is in no history of ours.
    let mut stranger = Chain::new(3);
    stranger.headers[3].nonce += 1_000;
    while check_alone(&stranger.params, &stranger.headers[3]).is_err() {
        stranger.headers[3].nonce += 1;
    }
    let (tx, found) = stranger.found(3, 1);
    let found = Found { history_path: chain.found(3, 1).1.history_path, ..found };
    assert_eq!(check_found(&chain.params, &tip, &tx, &found), Err(LightError::NotInHistory));
}
