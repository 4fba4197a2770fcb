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
    check_link(params, (parent.header, parent.id), header)?;
    if header.history_root != parent.history_root {
        return Err(HeaderRule::HistoryRoot { got: header.history_root, expected: parent.history_root });
    }
    let work = own_work(header)?;
    let total_work = parent.total_work.checked_add(work).ok_or(HeaderRule::Work)?;
    Ok(CheckedHeader { header: *header, id: header.id(), work, total_work })
}

/// All that two consecutive headers show by themselves: everything but the history root.
///
/// # Errors
/// The first [`HeaderRule`] that is broken.
pub fn check_link(
    params: &Params,
    (parent, parent_id): (&Header, BlockId),
    header: &Header,
) -> Result<(), HeaderRule> {
    let got = header;
    check_version(header)?;
    let height = parent.height.saturating_add(1);
    if got.height != height {
        return Err(HeaderRule::Height { got: got.height, expected: height });
    }
    if got.prev != parent_id {
        return Err(HeaderRule::Prev { got: got.prev, expected: parent_id });
    }
    if got.prev_time != parent.time {
        return Err(HeaderRule::PrevTime { got: got.prev_time, expected: parent.time });
    }
    let elapsed = child_elapsed(params, parent);
    if got.elapsed != elapsed {
        return Err(HeaderRule::Elapsed { got: got.elapsed, expected: elapsed });
    }
    check_time_and_work(params, header)
}

/// All that a header shows by itself (specification, section 8, rule 1): its difficulty is a
/// function of its own fields, and its proof of work meets it. Genesis is exempt, and not for here.
///
/// # Errors
/// The first [`HeaderRule`] that is broken.
pub fn check_alone(params: &Params, header: &Header) -> Result<(), HeaderRule> {
    check_version(header)?;
    if header.height == 0 {
        return Err(HeaderRule::Height { got: 0, expected: 1 });
    }
    check_time_and_work(params, header)
}

/// The work that a header's own target stands for.
///
/// # Errors
/// [`HeaderRule::Work`] for a target that is none.
pub fn own_work(header: &Header) -> Result<u128, HeaderRule> {
    from_bits(header.bits).ok().and_then(work_of).ok_or(HeaderRule::Work)
}

fn check_version(header: &Header) -> Result<(), HeaderRule> {
    if header.version == HEADER_VERSION {
        return Ok(());
    }
    Err(HeaderRule::Version { got: header.version, expected: HEADER_VERSION })
}

fn check_time_and_work(params: &Params, header: &Header) -> Result<(), HeaderRule> {
    if header.time <= header.prev_time {
        return Err(HeaderRule::Time { got: header.time, parent: header.prev_time });
    }
    let bits = child_bits(params, header.height, header.elapsed);
    if header.bits != bits {
        return Err(HeaderRule::Bits { got: header.bits, expected: bits });
    }
    // Equal to what was computed, so canonical: expanded only now.
    let target = from_bits(bits).expect("computed bits are canonical");
    if header.pow_hash() > target { Err(HeaderRule::ProofOfWork) } else { Ok(()) }
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
