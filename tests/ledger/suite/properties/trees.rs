//! Trees of any size: a tree that grew says of every smaller one of its past what it was, by the same
//! nodes that prove a leaf. What a light client compares of the headers it samples follows from that.

use steelyard_core::hash::BlockId;
use steelyard_core::history::{self, HistoryFrontier, HistoryNode};
use steelyard_core::merkle::{Frontier, Join, Levels, top_of_path};
use steelyard_core::types::body::BodyNode;
use steelyard_ledger::chain::Chain;
use steelyard_ledger::random::Random;
use steelyard_ledger::story::Story;

/// A node on the way from a subtree to the top: what is above it now, and what was above it while it
/// was the tree's last. Nodes beside the way have no past.
#[derive(Clone, Debug, PartialEq)]
struct Grown<N> {
    now: N,
    then: Option<N>,
}

impl<N> Grown<N> {
    fn beside(node: N) -> Self {
        Self { now: node, then: None }
    }
}

impl<N: Join> Join for Grown<N> {
    fn join(left: &Self, right: &Self) -> Self {
        let then = match (&left.then, &right.then) {
            // What stands to the right came later.
            (Some(then), None) => Some(then.clone()),
            (None, Some(then)) => Some(N::join(&left.now, then)),
            _ => panic!("one of two neighbours is on the way"),
        };
        Self { now: N::join(&left.now, &right.now), then }
    }
}

/// Whether a consistency proof (RFC 6962 section 2.1.2) shows that the tree of one count and top has
/// grown into that of the other. The largest perfect subtree that ends the old tree is a leaf like
/// any other where such subtrees are the leaves; so its path is walked by the ledger's own function,
/// which decides the turns and the length. An old tree of no leaves says nothing, and is refused.
pub fn is_consistent<N: Join + PartialEq>(old: (u64, &N), new: (u64, &N), proof: &[N]) -> bool {
    let ((old_count, old_top), (new_count, new_top)) = (old, new);
    if old_count == 0 || old_count > new_count {
        return false;
    }
    if old_count == new_count {
        return proof.is_empty() && old_top == new_top;
    }
    let with_seed = match old_count.is_power_of_two() {
        true => Some((old_top, proof)),
        false => proof.split_first(),
    };
    let Some((seed, path)) = with_seed else { return false };
    let level = old_count.trailing_zeros();
    let (place, count) = ((old_count >> level) - 1, new_count.div_ceil(1 << level));
    let start = Grown { now: seed.clone(), then: Some(seed.clone()) };
    let path: Vec<_> = path.iter().cloned().map(Grown::beside).collect();
    top_of_path(&start, place, count, &path)
        .is_some_and(|top| top.now == *new_top && top.then.as_ref() == Some(old_top))
}

/// The proof for [`is_consistent`]: the path of the old tree's last perfect subtree.
fn consistency_proof<N: Join>(leaves: &[N], old_count: usize) -> Vec<N> {
    if old_count == leaves.len() {
        return Vec::new();
    }
    let mut subtrees = Levels::default();
    for subtree in leaves.chunks(1 << old_count.trailing_zeros()) {
        subtrees.push(top(subtree));
    }
    let place = (old_count >> old_count.trailing_zeros()) - 1;
    let seed = (!old_count.is_power_of_two())
        .then(|| top(&leaves[..old_count][place << old_count.trailing_zeros()..]));
    seed.into_iter().chain(subtrees.path(place as u64, subtrees.count()).unwrap()).collect()
}

fn top<N: Join>(leaves: &[N]) -> N {
    leaves.iter().cloned().collect::<Frontier<N>>().top().unwrap()
}

fn every_growth_is_shown_and_no_other<N: Join + PartialEq>(leaves: &[N], changed: impl Fn(&N) -> N) {
    for new_count in 1..=leaves.len() {
        let new = top(&leaves[..new_count]);
        for old_count in 1..=new_count {
            let old = top(&leaves[..old_count]);
            let holds = |old: (usize, &N), new: (usize, &N), proof: &[N]| {
                is_consistent((old.0 as u64, old.1), (new.0 as u64, new.1), proof)
            };
            let proof = consistency_proof(&leaves[..new_count], old_count);
            let place = (old_count, new_count);
            assert!(holds((old_count, &old), (new_count, &new), &proof), "{place:?}");
            assert!(!holds((old_count, &changed(&old)), (new_count, &new), &proof), "{place:?}");
            assert!(!holds((old_count, &old), (new_count, &changed(&new)), &proof), "{place:?}");
            assert!(!holds((new_count, &old), (new_count - 1, &new), &proof), "{place:?}");
            let longer = [&proof[..], std::slice::from_ref(&old)].concat();
            assert!(!holds((old_count, &old), (new_count, &new), &longer), "{place:?}");
            for step in 0..proof.len() {
                let mut other = proof.clone();
                other[step] = changed(&proof[step]);
                assert!(!holds((old_count, &old), (new_count, &new), &other), "{place:?} step {step}");
                other.remove(step);
                assert!(!holds((old_count, &old), (new_count, &new), &other), "{place:?} without {step}");
            }
        }
    }
}

#[test]
fn a_tree_has_grown_out_of_each_smaller_one_and_out_of_no_other() {
    let mut random = Random::for_test(61);
    let bodies: Vec<_> = (0..34).map(|_| BodyNode(random.bytes(32).try_into().unwrap())).collect();
    every_growth_is_shown_and_no_other(&bodies, |node| {
        let mut other = *node;
        other.0[31] ^= 1;
        other
    });
    let headers: Vec<_> = (0..34)
        .map(|_| {
            HistoryNode::leaf(&BlockId(random.bytes(32).try_into().unwrap()), u128::from(random.number()))
        })
        .collect();
    every_growth_is_shown_and_no_other(&headers, |node| HistoryNode { work: node.work + 1, ..*node });
}

/// Who sampled a header knows what its history root must be: the nodes to the left of its leaf's path
/// (specification, section 8, rule 2).
#[test]
fn the_path_of_a_header_holds_the_history_that_it_commits_to() {
    let mut story = Story::new(Random::for_test(62));
    let mut chain: Chain = Story::chain();
    story.go_on(&mut chain, 40);
    let mut tree = Levels::default();
    let leaf = |height: u64| {
        let tip = chain.tip_at(height);
        HistoryNode::leaf(
            &tip.id,
            tip.total_work - if height == 0 { 0 } else { chain.tip_at(height - 1).total_work },
        )
    };
    for height in 0..=chain.height() {
        tree.push(leaf(height));
    }
    for count in 1..=tree.count() {
        for height in 0..count {
            let path = tree.path(height, count).unwrap();
            let path: Vec<_> = path.into_iter().map(Grown::beside).collect();
            let start = Grown { now: leaf(height), then: Some(leaf(height)) };
            let top = top_of_path(&start, height, count, &path).unwrap();
            // With itself as the last leaf it is what its child commits to.
            let child = history::root_of(height + 1, top.then);
            let frontier: HistoryFrontier = (0..=height).map(leaf).collect();
            assert_eq!(child, history::root(&frontier));
            if height < chain.height() {
                assert_eq!(child, chain.tip_at(height + 1).header.history_root);
            }
            assert_eq!(history::root_of(count, Some(top.now)), history::root(&tree.frontier(count).unwrap()));
        }
    }
}
