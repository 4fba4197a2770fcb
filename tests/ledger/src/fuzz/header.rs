//! Headers: the input as it stands, and as a child of a known parent from which some of its fields are
//! taken. A child is accepted exactly when every field that is not the miner's is what the template would
//! have written. Must not know bodies.

use steelyard_core::consensus::error::HeaderRule;
use steelyard_core::consensus::header::{
    CheckedHeader, check_alone, check_header, check_link, child_bits, expected_child, own_work,
};
use steelyard_core::params::Params;
use steelyard_core::types::header::{HEADER_BYTES, Header};
use steelyard_core::work::{U256, from_bits, work_of};

use super::input::Input;
use super::world::world;
use crate::chain::Chain;
use crate::tip::searched;

/// A block of an easier target takes few tries.
const EASY_SHIFT: usize = 250;

/// The target: which chain u8, height of the parent u16, which fields u16, a header's bytes.
pub fn header(input: &[u8]) {
    let mut input = Input::new(input);
    let chain = if input.u8().is_multiple_of(2) { &world().chain } else { &world().moving };
    let parent = input.place(1 + usize::try_from(chain.height()).unwrap()) as u64;
    let fields = input.u16();
    let bytes: [u8; HEADER_BYTES] = input.array();
    let given = Header::from_bytes(&bytes);
    assert_eq!(given.to_bytes(), bytes);
    assert_eq!(given.id(), Header::from_bytes(&bytes).id());
    for params in [chain.params(), &Params::tutorial()] {
        alone(params, &given);
    }
    child(chain, parent, fields, &given);
}

/// What is right by itself has the bits of its own fields and the work of its bits.
fn alone(params: &Params, header: &Header) {
    let verdict = check_alone(params, header);
    assert_eq!(check_alone(params, header), verdict);
    let target = from_bits(header.bits);
    assert_eq!(own_work(header).ok(), target.ok().and_then(work_of));
    let is_right = header.version == 1
        && header.height > 0
        && header.time > header.prev_time
        && header.bits == child_bits(params, header.height, header.elapsed)
        && target.is_ok_and(|target| header.pow_hash() <= target);
    assert_eq!(verdict.is_ok(), is_right, "{verdict:?}");
}

fn child(chain: &Chain, parent: u64, fields: u16, given: &Header) {
    let parent = chain.tip_at(parent);
    let expected = expected_child(chain.params(), &parent.parent());
    let mut child = expected;
    let mut take = |bit: u16, put: &dyn Fn(&mut Header)| {
        if fields >> bit & 1 == 1 {
            put(&mut child);
        }
    };
    take(0, &|child| child.version = given.version);
    take(1, &|child| child.height = given.height);
    take(2, &|child| child.prev = given.prev);
    take(3, &|child| child.history_root = given.history_root);
    take(4, &|child| child.body_root = given.body_root);
    take(5, &|child| child.state_root = given.state_root);
    take(6, &|child| child.elapsed = given.elapsed);
    take(7, &|child| child.prev_time = given.prev_time);
    take(8, &|child| child.time = given.time);
    take(9, &|child| child.bits = given.bits);
    take(10, &|child| child.nonce = given.nonce);
    take(12, &|child| child.time = child.prev_time);
    // The same fields, off by what the given one's last byte says.
    let off = u64::from(given.to_bytes()[HEADER_BYTES - 1]);
    take(13, &|child| child.height = child.height.wrapping_add(off));
    take(14, &|child| child.elapsed = child.elapsed.wrapping_sub(off));
    take(15, &|child| child.bits = child.bits.wrapping_sub(u32::try_from(off).expect("a byte")));
    let is_mined = fields >> 11 & 1 == 0;
    if is_mined && from_bits(child.bits).is_ok_and(|target| target >> EASY_SHIFT > U256::zero()) {
        child = searched(child);
    }
    let verdict = check_header(chain.params(), &parent.parent(), &child);
    assert_eq!(check_header(chain.params(), &parent.parent(), &child), verdict);
    let link = check_link(chain.params(), (&parent.header, parent.id), &child);
    let Header { body_root, state_root, time, nonce, .. } = child;
    let filled = Header { body_root, state_root, time, nonce, ..expected };
    let is_expected = child == filled && child.time > expected.prev_time;
    let meets = from_bits(child.bits).is_ok_and(|target| child.pow_hash() <= target);
    assert_eq!(verdict.is_ok(), is_expected && meets, "{verdict:?}");
    match verdict {
        Ok(checked) => right_child(parent.total_work, &child, &checked),
        Err(HeaderRule::HistoryRoot { .. }) => assert!(link.is_ok(), "the history is looked at last"),
        Err(rule) => assert_eq!(link, Err(rule)),
    }
}

fn right_child(before: u128, child: &Header, checked: &CheckedHeader) {
    assert_eq!((checked.header, checked.id), (*child, child.id()));
    assert_eq!(Ok(checked.work), own_work(child));
    assert_eq!(checked.total_work, before + checked.work);
}
