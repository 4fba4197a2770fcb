//! Headers in the context of their parent: everything that needs no body. Must not know clocks:
//! the present time is an argument.

use crate::asert;
use crate::consensus::error::HeaderRule;
use crate::hash::{BlockId, HistoryRoot};
use crate::params::Params;
use crate::types::header::{HEADER_VERSION, Header};
use crate::work::{from_bits, to_bits, work_of};

/// What a header is judged against: its parent, and the history up to and including the parent.
#[derive(Clone, Copy, Debug)]
pub struct Parent<'a> {
    /// The parent's header.
    pub header: &'a Header,
    /// The parent's id.
    pub id: BlockId,
    /// Work of the parent and everything before it, genesis included.
    pub total_work: u128,
    /// Root over the parent and everything before it.
    pub history_root: HistoryRoot,
}

/// A header all of whose own rules hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedHeader {
    /// The header.
    pub header: Header,
    /// Its id.
    pub id: BlockId,
    /// Its own work.
    pub work: u128,
    /// Its work and that of everything before it.
    pub total_work: u128,
}

/// Checks a header in the order of the specification, cheap before dear.
///
/// # Errors
/// The first [`HeaderRule`] that is broken.
pub fn check_header(
    params: &Params,
    parent: &Parent<'_>,
    header: &Header,
) -> Result<CheckedHeader, HeaderRule> {
    let (got, expected) = (header, expected_child(params, parent));
    if got.version != expected.version {
        return Err(HeaderRule::Version { got: got.version, expected: expected.version });
    }
    if got.height != expected.height {
        return Err(HeaderRule::Height { got: got.height, expected: expected.height });
    }
    if got.prev != expected.prev {
        return Err(HeaderRule::Prev { got: got.prev, expected: expected.prev });
    }
    if got.prev_time != expected.prev_time {
        return Err(HeaderRule::PrevTime { got: got.prev_time, expected: expected.prev_time });
    }
    if got.elapsed != expected.elapsed {
        return Err(HeaderRule::Elapsed { got: got.elapsed, expected: expected.elapsed });
    }
    if got.time <= got.prev_time {
        return Err(HeaderRule::Time { got: got.time, parent: got.prev_time });
    }
    if got.bits != expected.bits {
        return Err(HeaderRule::Bits { got: got.bits, expected: expected.bits });
    }
    // Equal to what was computed, so canonical: expanded only now.
    let target = from_bits(got.bits).expect("computed bits are canonical");
    if got.pow_hash() > target {
        return Err(HeaderRule::ProofOfWork);
    }
    if got.history_root != expected.history_root {
        return Err(HeaderRule::HistoryRoot { got: got.history_root, expected: expected.history_root });
    }
    let work = work_of(target).ok_or(HeaderRule::Work)?;
    let total_work = parent.total_work.checked_add(work).ok_or(HeaderRule::Work)?;
    Ok(CheckedHeader { header: *header, id: header.id(), work, total_work })
}

/// The header that a child of `parent` must have: a miner fills in roots, time and nonce.
#[must_use]
pub fn expected_child(params: &Params, parent: &Parent<'_>) -> Header {
    let height = parent.header.height.saturating_add(1);
    let elapsed = child_elapsed(params, parent.header);
    Header {
        version: HEADER_VERSION,
        height,
        prev: parent.id,
        history_root: parent.history_root,
        body_root: crate::hash::BodyRoot::ZERO,
        state_root: crate::hash::StateRoot::ZERO,
        elapsed,
        prev_time: parent.header.time,
        time: parent.header.time.saturating_add(1),
        bits: child_bits(params, height, elapsed),
        nonce: 0,
    }
}

/// The network's running time that a child carries: elapsed(1) = 0, elapsed(2) = T, then the
/// parent's and the parent's own gap, which counts as one half-life at most. A network that
/// slept therefore wakes at the difficulty it had, eased at most by two.
fn child_elapsed(params: &Params, parent: &Header) -> u64 {
    match parent.height {
        0 => 0,
        1 => params.spacing,
        _ => {
            let gap = parent.time.saturating_sub(parent.prev_time);
            let counted = if params.half_life == 0 { gap } else { gap.min(params.half_life) };
            parent.elapsed.saturating_add(counted)
        }
    }
}

/// Difficulty of the block at `height` (at least 1): a function of its own fields alone.
#[must_use]
pub fn child_bits(params: &Params, height: u64, elapsed: u64) -> u32 {
    match params.anchor() {
        None => params.start_bits,
        Some(anchor) => to_bits(asert::next_target(&anchor, i128::from(elapsed), height - 1)),
    }
}

/// How a block's time stands to one's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drift {
    /// Acceptable now.
    Within,
    /// Ahead by more than the drift: to be held and tried again, never invalid.
    Ahead,
    /// Ahead by more than twice the drift: to be dropped, never invalid.
    FarAhead,
}

/// Judges a block's time at the moment `now`, unix ms.
#[must_use]
pub fn drift(params: &Params, time: u64, now: u64) -> Drift {
    let ahead = time.saturating_sub(now);
    if ahead <= params.drift {
        Drift::Within
    } else if ahead <= params.drift.saturating_mul(2) {
        Drift::Ahead
    } else {
        Drift::FarAhead
    }
}
