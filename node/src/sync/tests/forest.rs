//! The forest of headers alone: its bound, and which branches make room.

use steelyard_core::consensus::header::CheckedHeader;
use steelyard_core::hash::BlockId;
use steelyard_core::history::HistoryFrontier;

use super::world::Random;
use crate::limits::SYNC_HEADERS_MAX;
use crate::sync::tree::{BodyState, Tree};

fn id(branch: u64, height: u64) -> BlockId {
    let mut id = [0xee; 32];
    id[..8].copy_from_slice(&branch.to_le_bytes());
    id[8..16].copy_from_slice(&height.to_le_bytes());
    BlockId(id)
}

/// Made-up headers `from..to` of a branch that stands on nothing here, each of this work.
fn branch(branch: u64, (from, to): (u64, u64), work: u128) -> Vec<CheckedHeader> {
    let mut header = crate::chain::tests::maker::params().genesis().header;
    (from..to)
        .map(|height| {
            (header.height, header.prev) = (height, id(branch, height.wrapping_sub(1)));
            let total_work = work * u128::from(height + 1);
            CheckedHeader { header, id: id(branch, height), work, total_work }
        })
        .collect()
}

impl Tree {
    /// Fills up with four heavy branches, none of which is near to full, until there are so many and one.
    pub(in crate::sync) fn fill(&mut self, upto: usize) {
        let count = (upto - self.len() + 1) as u64;
        for number in 0..4 {
            let part = (count + number) / 4;
            self.insert(&branch(7 + number, (0, part), 1 << 60), HistoryFrontier::default(), 0);
        }
    }

    fn add(&mut self, headers: &[CheckedHeader]) -> bool {
        let work = headers.last().unwrap().total_work;
        let room = self.make_room(headers.len(), work, &headers[0].header.prev, |_| ());
        if room {
            self.insert(headers, HistoryFrontier::default(), 0);
        }
        room
    }
}

#[test]
fn a_full_forest_gives_room_to_more_work_only_from_the_ends_of_the_least() {
    let mut tree = Tree::default();
    let half = SYNC_HEADERS_MAX as u64 / 2;
    assert!(tree.add(&branch(1, (0, half), 10)) && tree.add(&branch(2, (0, half), 20)));
    assert_eq!(tree.len(), SYNC_HEADERS_MAX);
    // Less than the least: nothing changes.
    assert!(!tree.add(&branch(3, (0, 1_000), 10)));
    assert_eq!(tree.len(), SYNC_HEADERS_MAX);
    let mut gone = Vec::new();
    let heavy = branch(4, (0, 1_000), 1_000);
    assert!(tree.make_room(1_000, heavy[999].total_work, &BlockId([0; 32]), |id| gone.push(id)));
    tree.insert(&heavy, HistoryFrontier::default(), 0);
    assert_eq!(gone, (half - 1_000..half).rev().map(|height| id(1, height)).collect::<Vec<_>>());
    assert_eq!(tree.len(), SYNC_HEADERS_MAX);
    let ends: Vec<BlockId> = tree.leaves_of(0);
    assert_eq!(ends, [id(4, 999), id(2, half - 1), id(1, half - 1_001)]);
    // What it stands on stays, and what the chain thread has.
    let end = id(1, half - 1_001);
    tree.set_body(&end, BodyState::Submitted(1));
    assert!(tree.make_room(1, 20 * u128::from(half) + 1, &id(4, 999), |_| ()));
    assert!(tree.contains(&end) && !tree.contains(&id(2, half - 1)));
    assert!(!tree.make_room(1, 20, &id(4, 999), |_| ()) || tree.len() < SYNC_HEADERS_MAX);
}

/// Whatever comes and goes: never more than the bound, and leaves, children and ways agree.
#[test]
fn a_random_forest_keeps_its_bound_and_its_ends() {
    let mut random = Random(super::one_seed());
    let mut tree = Tree::default();
    let mut heights = [0u64; 12];
    for _ in 0..300 {
        let number = random.below(12);
        let from = heights[number as usize];
        let count = 1 + random.below(2_000);
        let headers = branch(number, (from, from + count), 1 + u128::from(number));
        let stands = from == 0 || tree.contains(&id(number, from - 1));
        if stands && tree.add(&headers) {
            heights[number as usize] += count;
        } else if random.below(4) == 0 {
            tree.remove_branch(id(number, random.below(from + 1)));
        }
        assert!(tree.len() <= SYNC_HEADERS_MAX);
        for (number, height) in heights.iter_mut().enumerate() {
            while *height > 0 && !tree.contains(&id(number as u64, *height - 1)) {
                *height -= 1;
            }
        }
        let ends = heights.iter().enumerate().filter(|(_, height)| **height > 0);
        let mut expected: Vec<BlockId> = ends.map(|(number, height)| id(number as u64, height - 1)).collect();
        let mut leaves = tree.leaves_of(0);
        expected.sort();
        leaves.sort();
        assert_eq!(leaves, expected);
        let ways: usize = leaves.iter().map(|leaf| tree.path_len(*leaf)).sum();
        assert_eq!(ways, tree.len());
    }
}
