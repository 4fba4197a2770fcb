//! Cases of headers: alone, and one after another with a field of them wrong. Must not know bodies.

use serde_json::{Value, json};
use steelyard_core::consensus::header::{CheckedHeader, check_header, expected_child};
use steelyard_core::consensus::pow;
use steelyard_core::hash::{BlockId, BodyRoot, HistoryRoot, StateRoot};
use steelyard_core::params::{LIMIT_BITS_MAX, Params};
use steelyard_core::types::header::Header;
use steelyard_core::work::{from_bits, work_of};

use super::draw::{amount, edge, few, hash, one_in, pick};
use super::network::to_json;
use super::numbers::{any_bits, hex32};
use super::{Case, Source};
use crate::random::Random;
use crate::tip::Tip;

/// Work up to which a nonce is searched for.
const WORK_MAX: u128 = 1 << 18;

pub(super) fn header(source: &mut Source) -> Case {
    let random = &mut source.random;
    let easy = *pick(random, &[LIMIT_BITS_MAX, LIMIT_BITS_MAX, 0x2000_ffff, 0x1f7f_ffff]);
    let mut header = Header {
        version: if one_in(random, 4) { random.number() as u32 } else { 1 },
        height: edge(random),
        prev: BlockId(hash(random)),
        history_root: HistoryRoot(hash(random)),
        body_root: BodyRoot(hash(random)),
        state_root: StateRoot(hash(random)),
        elapsed: edge(random),
        prev_time: edge(random),
        time: edge(random),
        bits: if one_in(random, 2) { easy } else { any_bits(random) },
        nonce: edge(random),
    };
    if header.bits == easy && one_in(random, 2) {
        header = met(header);
    }
    let meets = from_bits(header.bits).map(|target| header.pow_hash() <= target);
    let sort = match meets {
        Ok(true) => "meets",
        Ok(false) => "misses",
        Err(_) => "bits_refused",
    };
    let out = json!({
        "id": header.id(), "pow": hex32(header.pow_hash()), "meets": meets.unwrap_or(false),
    });
    Case::new("header", sort, json!({ "bytes": hex::encode(header.to_bytes()) }), out)
}

/// The header with a nonce that meets its bits, where that is soon found.
pub(super) fn met(header: Header) -> Header {
    let Ok(target) = from_bits(header.bits) else { return header };
    if work_of(target).is_none_or(|work| work > WORK_MAX) {
        return header;
    }
    let nonce = pow::search(&header, target, header.nonce, 64 * WORK_MAX as u64);
    nonce.map_or(header, |nonce| Header { nonce, ..header })
}

/// The header with a nonce that does not meet its bits; most do not, so it is soon found.
fn missed(header: Header) -> Header {
    let Ok(target) = from_bits(header.bits) else { return header };
    let nonces = (0..64).map(|step| Header { nonce: header.nonce.wrapping_add(step), ..header });
    nonces.into_iter().find(|header| header.pow_hash() > target).unwrap_or(header)
}

/// A network whose blocks are soon found, with and without a difficulty that moves.
fn network(random: &mut Random) -> Params {
    let spacing = *pick(random, &[1, 10, 1_000, 30_000, 86_400_000]);
    let half_life = spacing * *pick(random, &[0, 1, 2, 3, 5, 10, 288]);
    let genesis_time = *pick(random, &[0, 1_767_225_600_000, 1 << 63, u64::MAX - 40_000]);
    let params = Params {
        genesis_time,
        half_life,
        drift: half_life / 72,
        start_bits: *pick(random, &[LIMIT_BITS_MAX, LIMIT_BITS_MAX, 0x2000_ffff, 0x203f_ffff, 0x200f_1234]),
        ..Params::new_network("cases", 0, spacing)
    };
    assert_eq!(params.check(), Ok(()));
    params
}

pub(super) fn headers(source: &mut Source) -> Case {
    let random = &mut source.random;
    let params = network(random);
    let mut tip = Tip::genesis(&params);
    let (mut given, mut verdicts): (Vec<Header>, Vec<&str>) = (Vec::new(), Vec::new());
    for _ in 0..1 + random.below(9) {
        let header = match given.last() {
            Some(last) if one_in(random, 16) => *last,
            _ => next(random, &params, &tip),
        };
        given.push(header);
        match check_header(&params, &tip.parent(), &header) {
            Ok(checked) => {
                verdicts.push("ok");
                tip = followed(&tip, &checked);
            }
            Err(rule) => verdicts.push(rule.name()),
        }
    }
    let given: Vec<String> = given.iter().map(|header| hex::encode(header.to_bytes())).collect();
    let inputs = json!({ "params": to_json(&params), "headers": given });
    let sorts = verdicts.iter().map(|verdict| (*verdict).to_owned()).collect();
    Case::of_sorts("headers", sorts, inputs, Value::from(verdicts))
}

fn followed(tip: &Tip, header: &CheckedHeader) -> Tip {
    tip.followed_by(header, tip.state.clone())
}

/// A child of the tip, right or with a field or two of it wrong.
fn next(random: &mut Random, params: &Params, tip: &Tip) -> Header {
    let right = expected_child(params, &tip.parent());
    let gap = match random.below(8) {
        0 => 1,
        1 => edge(random),
        2 => params.half_life + random.below(3),
        _ => params.spacing / 2 + random.below(params.spacing * 2 + 1),
    };
    let time = tip.header.time.saturating_add(gap.max(1));
    let mut header = Header {
        time,
        body_root: BodyRoot(hash(random)),
        state_root: StateRoot(hash(random)),
        nonce: random.number(),
        ..right
    };
    if one_in(random, 2) {
        for _ in 0..1 + few(random, 2) {
            disturb(random, &mut header);
        }
        if one_in(random, 6) {
            return missed(header);
        }
    }
    met(header)
}

/// Makes one field of a right header another.
pub(super) fn disturb(random: &mut Random, header: &mut Header) {
    let by = |random: &mut Random, number: u64| match random.below(3) {
        0 => number.wrapping_add(1),
        1 => number.wrapping_sub(1),
        _ => number ^ amount(random),
    };
    match random.below(10) {
        0 => header.version = *pick(random, &[0, 2, u32::MAX]),
        1 => header.height = by(random, header.height),
        2 => header.prev.0[random.place(32)] ^= 1,
        3 => header.prev_time = by(random, header.prev_time),
        4 => header.elapsed = by(random, header.elapsed),
        5 => {
            let times = [header.prev_time, header.prev_time.wrapping_sub(1), 0, header.prev_time ^ 1];
            header.time = *pick(random, &times);
        }
        6 => header.bits = header.bits.wrapping_add(*pick(random, &[1, u32::MAX, 0x0100_0000])),
        7 => header.bits = any_bits(random),
        8 => *header = missed(*header),
        _ => header.history_root.0[random.place(32)] ^= 1,
    }
}
