//! Trees of the shape of RFC 6962 section 2.1 (which is an MMR bagged from the right): appendable
//! frontier, all levels for proofs of any prefix, inclusion paths. Generic over what a node is;
//! must not know what the leaves stand for.

/// What two neighbours become.
pub trait Join: Clone {
    /// The node above `left` and `right`.
    #[must_use]
    fn join(left: &Self, right: &Self) -> Self;
}

/// The perfect subtrees of a tree of `count` leaves, largest first: enough to append and to
/// know the top. At most 64 nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontier<N> {
    count: u64,
    peaks: Vec<N>,
}

impl<N> Default for Frontier<N> {
    fn default() -> Self {
        Self { count: 0, peaks: Vec::new() }
    }
}

impl<N: Join> Frontier<N> {
    /// Leaves so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: N) {
        let mut node = leaf;
        for _ in 0..self.count.trailing_ones() {
            let left = self.peaks.pop().expect("a peak stands for every one bit of the count");
            node = N::join(&left, &node);
        }
        self.peaks.push(node);
        self.count += 1;
    }

    /// The node above all leaves; `None` of an empty tree.
    #[must_use]
    pub fn top(&self) -> Option<N> {
        let (last, rest) = self.peaks.split_last()?;
        Some(rest.iter().rev().fold(last.clone(), |right, left| N::join(left, &right)))
    }
}

impl<N: Join> FromIterator<N> for Frontier<N> {
    fn from_iter<I: IntoIterator<Item = N>>(leaves: I) -> Self {
        let mut frontier = Self::default();
        for leaf in leaves {
            frontier.push(leaf);
        }
        frontier
    }
}

/// Every perfect subtree, level by level: about two nodes a leaf. Gives the frontier of any
/// prefix and paths within it.
#[derive(Clone, Debug)]
pub struct Levels<N> {
    levels: Vec<Vec<N>>,
}

impl<N> Default for Levels<N> {
    fn default() -> Self {
        Self { levels: vec![Vec::new()] }
    }
}

impl<N: Join> Levels<N> {
    /// Leaves so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.levels[0].len() as u64
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: N) {
        let completed = self.count().trailing_ones() as usize;
        self.levels[0].push(leaf);
        for level in 1..=completed {
            let below = &self.levels[level - 1];
            let [.., left, right] = below.as_slice() else {
                unreachable!("the level below has just become even")
            };
            let node = N::join(left, right);
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            self.levels[level].push(node);
        }
    }

    /// Keeps the first `count` leaves.
    pub fn truncate(&mut self, count: u64) {
        for (level, nodes) in self.levels.iter_mut().enumerate() {
            nodes.truncate(index(count >> level));
        }
    }

    /// The frontier of the first `count` leaves; `None` when there are fewer.
    #[must_use]
    pub fn frontier(&self, count: u64) -> Option<Frontier<N>> {
        if count > self.count() {
            return None;
        }
        let bits = (0..64).rev().filter(|bit| count >> bit & 1 == 1);
        let peaks = bits.map(|bit: u32| self.levels[bit as usize][index(count >> bit) - 1].clone()).collect();
        Some(Frontier { count, peaks })
    }

    /// Inclusion path of leaf `leaf` among the first `count`, from the leaf upwards (RFC 6962
    /// section 2.1.1); `None` when there is no such leaf.
    #[must_use]
    pub fn path(&self, leaf: u64, count: u64) -> Option<Vec<N>> {
        if leaf >= count || count > self.count() {
            return None;
        }
        let mut path = Vec::new();
        self.collect_path(leaf, (0, count), &mut path);
        Some(path)
    }

    /// Path within the leaves `from..to`, sibling by sibling.
    fn collect_path(&self, leaf: u64, (from, to): (u64, u64), path: &mut Vec<N>) {
        if to - from == 1 {
            return;
        }
        let middle = from + split(to - from);
        if leaf < middle {
            self.collect_path(leaf, (from, middle), path);
            path.push(self.over(middle, to));
        } else {
            self.collect_path(leaf, (middle, to), path);
            path.push(self.over(from, middle));
        }
    }

    /// The node over the leaves `from..to`, where `from` is a multiple of the size's power of two.
    fn over(&self, from: u64, to: u64) -> N {
        let size = to - from;
        if size.is_power_of_two() {
            let level = size.trailing_zeros();
            return self.levels[level as usize][index(from >> level)].clone();
        }
        let middle = from + split(size);
        N::join(&self.over(from, middle), &self.over(middle, to))
    }
}

/// The top that a leaf and its path lead to (RFC 9162 section 2.1.3.2); `None` when the path has
/// the wrong length for the place.
#[must_use]
pub fn top_of_path<N: Join>(leaf: &N, place: u64, count: u64, path: &[N]) -> Option<N> {
    if place >= count {
        return None;
    }
    let (mut node, mut place, mut last) = (leaf.clone(), place, count - 1);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if place & 1 == 1 || place == last {
            node = N::join(sibling, &node);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            node = N::join(&node, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(node)
}

/// Largest power of two below `size` (RFC 6962: k < n <= 2k).
fn split(size: u64) -> u64 {
    1 << (63 - (size - 1).leading_zeros())
}

fn index(position: u64) -> usize {
    usize::try_from(position).expect("positions of nodes in memory fit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Text(String);
    impl Join for Text {
        fn join(left: &Self, right: &Self) -> Self {
            Self(format!("({}{})", left.0, right.0))
        }
    }

    /// RFC 6962 section 2.1, word by word.
    fn reference(leaves: &[Text]) -> Text {
        if let [leaf] = leaves {
            return leaf.clone();
        }
        let mut k = 1;
        while 2 * k < leaves.len() {
            k *= 2;
        }
        Text::join(&reference(&leaves[..k]), &reference(&leaves[k..]))
    }

    fn leaves(count: usize) -> Vec<Text> {
        (0..count).map(|i| Text(format!("{i},"))).collect()
    }

    #[test]
    fn frontier_and_levels_have_the_shape_of_the_rfc() {
        let mut levels = Levels::default();
        for count in 1..70 {
            let all = leaves(count);
            levels.push(all[count - 1].clone());
            let frontier: Frontier<Text> = all.iter().cloned().collect();
            assert_eq!(frontier.top(), Some(reference(&all)));
            for prefix in 0..=count {
                let expected: Frontier<Text> = all[..prefix].iter().cloned().collect();
                assert_eq!(levels.frontier(prefix as u64), Some(expected));
            }
            assert_eq!(levels.frontier(count as u64 + 1), None);
        }
    }

    #[test]
    fn every_leaf_of_every_prefix_has_a_path_to_its_top() {
        let all = leaves(40);
        let mut levels = Levels::default();
        all.iter().cloned().for_each(|leaf| levels.push(leaf));
        for count in 1..=40 {
            let top = reference(&all[..count]);
            for (place, leaf) in (0..).zip(&all[..count]) {
                let path = levels.path(place, count as u64).unwrap();
                let found = top_of_path(leaf, place, count as u64, &path);
                assert_eq!(found.as_ref(), Some(&top));
                if !path.is_empty() {
                    assert_eq!(top_of_path(leaf, place, count as u64, &path[1..]), None);
                }
                let longer = [path, vec![Text("x".into())]].concat();
                assert_eq!(top_of_path(leaf, place, count as u64, &longer), None);
            }
        }
        assert_eq!(levels.path(40, 40), None);
        assert_eq!(levels.path(0, 41), None);
    }

    /// What comes after is another history, as after a reorganisation: nothing of the old one is left.
    #[test]
    fn truncating_is_never_having_pushed() {
        let all = leaves(33);
        for keep in 0..33 {
            let mut levels = Levels::default();
            all.iter().cloned().for_each(|leaf| levels.push(leaf));
            levels.truncate(keep as u64);
            assert_eq!(levels.count(), keep as u64);
            let other = (keep..33).map(|place| Text(format!("other {place},")));
            let now: Vec<Text> = all[..keep].iter().cloned().chain(other).collect();
            now[keep..].iter().cloned().for_each(|leaf| levels.push(leaf));
            for count in 1..=33 {
                let top = reference(&now[..count]);
                assert_eq!(levels.frontier(count as u64).unwrap().top(), Some(top.clone()));
                let path = levels.path(0, count as u64).unwrap();
                assert_eq!(top_of_path(&now[0], 0, count as u64, &path), Some(top));
            }
        }
    }
}
