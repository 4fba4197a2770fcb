//! A light client's checks: honest answers of a known chain pass, edited ones do not show anything that is
//! not so, whether they are mined anew or not. Must not know sockets.

use steelyard_core::consensus::header::own_work;
use steelyard_core::encode::{List, decode, encode};
use steelyard_core::hash::BlockId;
use steelyard_core::history::History;
use steelyard_core::history::HistoryNode;
use steelyard_core::light::{CheckedTip, check_found, check_tip};
use steelyard_core::types::header::{HEADER_BYTES, Header};
use steelyard_core::wire::{Found, HeaderBytes, HistoryStep, Message, Tip};
use steelyard_core::work::from_bits;

use super::input::Input;
use super::world::{World, world};
use crate::tip::searched;

/// First bit of an input: headers are mined anew after the edits.
const MINED: u8 = 1;
/// Second: the rest is a message as it stands.
const RAW: u8 = 2;
/// Third of `light_found`: the transaction's bytes are edited too.
const OTHER_TX: u8 = 4;
/// Longest place that is read.
const FOUND_BYTES_MAX: usize = 1 << 16;

/// The target of tips.
pub fn tip(input: &[u8]) {
    let (world, mut input) = (world(), Input::new(input));
    let flags = input.u8();
    let height = input.place(1 + usize::try_from(world.chain.height()).unwrap());
    let recent = 1 + input.place(height + 1);
    let honest = honest_tip(world, height, recent).to_bytes();
    let bytes = match flags & RAW {
        0 => input.edit(&honest, &header(world, 7).to_bytes(), (8, HEADER_BYTES)),
        _ => input.rest().to_vec(),
    };
    let Ok(mut tip) = Tip::from_bytes(&bytes) else { return assert_ne!(bytes, honest) };
    if flags & MINED != 0 {
        tip.headers = mined(world, &tip.headers);
    }
    let checked = check_tip(world.chain.params(), world.ids[0], &tip);
    assert_eq!(check_tip(world.chain.params(), world.ids[0], &tip), checked);
    match checked {
        Ok(checked) => right_tip(world, &tip, &checked),
        Err(error) => assert_ne!(tip.to_bytes(), honest, "an honest tip is refused: {error}"),
    }
}

fn header(world: &World, height: usize) -> Header {
    world.chain.tip_at(height as u64).header
}

fn honest_tip(world: &World, height: usize, recent: usize) -> Tip {
    let first = (height + 1).saturating_sub(recent);
    let headers = (first..=height).map(|height| HeaderBytes::from(&header(world, height))).collect();
    let before = height.checked_sub(1).and_then(|before| world.chain.tip_at(before as u64).history.top());
    let (history_work, history_top) = before.map_or((0, [0; 32]), |top| (top.work, top.hash));
    Tip { headers: List::new(headers).expect("a short chain"), history_work, history_top }
}

/// The same headers, linked to one another and with proof of work; those that have both stay as they are.
fn mined<const MAX: usize>(world: &World, headers: &List<HeaderBytes, MAX>) -> List<HeaderBytes, MAX> {
    let mut before: Option<Header> = None;
    let mut link = |bytes: &HeaderBytes| {
        let mut header = Header::from(bytes);
        if let Some(before) = before {
            (header.prev, header.prev_time) = (before.id(), before.time);
        }
        header = mined_header(world, header);
        before = Some(header);
        HeaderBytes::from(&header)
    };
    List::new(headers.iter().map(&mut link).collect()).expect("as many as there were")
}

fn mined_header(world: &World, header: Header) -> Header {
    if header.id() == world.ids[0] {
        return header;
    }
    searched(Header { bits: world.chain.params().start_bits, ..header })
}

fn right_tip(world: &World, tip: &Tip, checked: &CheckedTip) {
    let headers: Vec<Header> = tip.headers.iter().map(Header::from).collect();
    let ids: Vec<BlockId> = headers.iter().map(Header::id).collect();
    assert_eq!((&checked.recent, Some(&checked.header)), (&ids, headers.last()));
    assert_eq!(Some(&checked.id), ids.last());
    assert_eq!(Ok(checked.total_work), own_work(&checked.header).map(|own| own + tip.history_work));
    for pair in headers.windows(2) {
        assert_eq!((pair[1].prev, pair[1].height), (pair[0].id(), pair[0].height + 1));
        assert!(pair[1].time > pair[0].time);
    }
    for header in headers.iter().filter(|header| header.id() != world.ids[0]) {
        assert!(header.height > 0 && header.pow_hash() <= from_bits(header.bits).expect("it has passed"));
        assert!(checked.holds(header.height, &header.id()) && !checked.holds(header.height, &BlockId::ZERO));
    }
    // Whoever has a block of the chain has its work and what is before it, and nothing else.
    if let Some(height) = world.ids.iter().position(|id| *id == checked.id) {
        assert_eq!(checked.total_work, world.chain.tip_at(height as u64).total_work);
        assert_eq!(checked.recent[..], world.ids[height + 1 - ids.len()..=height]);
    }
}

/// The target of places of transactions.
pub fn found(input: &[u8]) {
    let (world, mut input) = (world(), Input::new(input));
    let flags = input.u8();
    let last = usize::try_from(world.chain.height()).unwrap();
    let height = 1 + input.place(last);
    let tip = height + input.place(last + 1 - height);
    let items = &world.chain.block(height as u64).body.items;
    let index = input.place(items.len());
    let honest = encode(&honest_found(world, (height, tip), index));
    let mut tx = items[index].clone();
    if flags & OTHER_TX != 0 {
        tx = input.edit(&tx, &items[0], (0, 32));
    }
    let bytes = match flags & RAW {
        0 => input.edit(&honest, &[items[0].clone(), tx.clone()].concat(), (HEADER_BYTES + 16, 32)),
        _ => input.rest().to_vec(),
    };
    let Ok(mut found) = decode::<Found>(&bytes, FOUND_BYTES_MAX) else { return assert_ne!(bytes, honest) };
    assert_eq!(encode(&found), bytes);
    if flags & MINED != 0 {
        found.header = HeaderBytes::from(&mined_header(world, Header::from(&found.header)));
    }
    match check_found(world.chain.params(), &header(world, tip), &tx, &found) {
        Ok(place) => {
            let at = usize::try_from(place.header.height).unwrap();
            assert!(at <= tip && world.ids[at] == place.id && place.header == Header::from(&found.header));
            let items = &world.chain.block(at as u64).body.items;
            assert_eq!((items.len(), &items[found.index as usize]), (found.count as usize, &tx));
            assert_ne!(found.index, 0, "a coinbase taken for a transaction");
        }
        Err(error) => {
            let is_honest = encode(&found) == honest && tx == items[index] && index > 0;
            assert!(!is_honest, "an honest place is refused: {error}");
        }
    }
}

fn honest_found(world: &World, (height, tip): (usize, usize), index: usize) -> Found {
    let body = &world.chain.block(height as u64).body;
    let body_path = body.path(index as u64).expect("there is such an item");
    let history_path =
        if height == tip { Some(Vec::new()) } else { history(world).path(height as u64, tip as u64) };
    let step = |node: &HistoryNode| HistoryStep { hash: node.hash, work: node.work };
    let steps = history_path.expect("the block is before the tip").iter().map(step).collect();
    Found {
        header: HeaderBytes::from(&header(world, height)),
        index: u32::try_from(index).unwrap(),
        count: u32::try_from(body.items.len()).unwrap(),
        body_path: List::new(body_path.iter().map(|node| node.0).collect()).expect("a small body"),
        history_path: List::new(steps).expect("a short chain"),
    }
}

fn history(world: &World) -> History {
    let mut history = History::default();
    for (height, id) in world.ids.iter().enumerate() {
        history.push(HistoryNode::leaf(id, own_work(&header(world, height)).expect("it has passed")));
    }
    history
}
