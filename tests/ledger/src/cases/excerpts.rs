//! Cases of excerpts: one proof of several records. Must not know who asks for them.

use serde_json::{Value, json};
use steelyard_core::hash::{AssetId, StateRoot};
use steelyard_core::state::record::PATH_BYTES;
use steelyard_core::state::{Excerpt, Key, Path, Trie, Wanted, record};

use super::bytes::variant;
use super::draw::{damage, hash, one_in, pick};
use super::tries::{Keys, bit, grown, hash_inner, hash_leaf, key_hex, shown, some_key};
use super::{Case, Source};
use crate::random::Random;

pub(super) fn excerpt(source: &mut Source) -> Case {
    let random = &mut source.random;
    let (trie, keys) = grown(random, 30);
    let asked: Vec<Key> = (0..random.below(5)).map(|_| some_key(random, &trie, &keys)).collect();
    let (root, bytes) = match random.below(3) {
        0 => forged(random, &trie),
        choice => {
            let mut bytes = trie.excerpt(&wanted(random, &asked)).to_bytes();
            let mut root = trie.root();
            match random.below(4) {
                _ if choice == 1 => {}
                0 => root.0[random.place(32)] ^= 1,
                _ => damage(random, &mut bytes),
            }
            (root, bytes)
        }
    };
    let mut queries = asked;
    for _ in 0..random.below(4) {
        queries.push(query(random, &trie, &keys));
    }
    let names: Vec<String> = queries.iter().map(key_hex).collect();
    let inputs = json!({ "root": root, "bytes": hex::encode(&bytes), "keys": names });
    match Excerpt::from_bytes(&bytes).and_then(|excerpt| excerpt.open(&root)) {
        Err(error) => Case::new("excerpt", variant(&error), inputs, json!({ "error": true })),
        Ok(open) => {
            let mut hidden = false;
            let mut answer = |key: &Key| match open.record(key) {
                Ok(record) => shown(key, record),
                Err(_) => {
                    hidden = true;
                    json!({ "hidden": true })
                }
            };
            let answers: Vec<Value> = queries.iter().map(&mut answer).collect();
            let sort = if hidden { "hidden" } else { "shown" };
            Case::new("excerpt", sort, inputs, Value::from(answers))
        }
    }
}

/// What the excerpt is asked for: records, and pages of holdings of those who hold some.
fn wanted(random: &mut Random, asked: &[Key]) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = asked.iter().map(|key| Wanted::Record(*key)).collect();
    if let Some(Key::Holding(of, asset)) = asked.iter().find(|key| matches!(key, Key::Holding(..))) {
        let after = one_in(random, 2).then_some(*asset);
        wanted.push(Wanted::Holdings { of: *of, after, limit: random.place(6) });
    }
    wanted
}

fn query(random: &mut Random, trie: &Trie, keys: &Keys) -> Key {
    match some_key(random, trie, keys) {
        Key::Account(address) if one_in(random, 4) => Key::Holding(address, AssetId::COINS),
        key => key,
    }
}

/// A node of an excerpt that was made up.
enum Node {
    Hidden([u8; 32]),
    Leaf(Path, Vec<u8>),
    Inner(u16, Box<[Node; 2]>),
}

/// An excerpt of a trie's records that is put together here, right or with a fault in its shape, and the
/// root that it leads to: what is wrong with it is not that it is of another state.
fn forged(random: &mut Random, trie: &Trie) -> (StateRoot, Vec<u8>) {
    let value = |(key, record): (Key, &_)| (key.path(), record::encode(&key, record).expect("of one kind"));
    let mut leaves: Vec<(Path, Vec<u8>)> = trie.iter().map(value).collect();
    // Few leaves make a fault likely to be the only one.
    leaves.truncate(2 + random.place(6));
    if leaves.is_empty() {
        return (StateRoot(hash(random)), Vec::new());
    }
    let at = random.place(leaves.len());
    match random.below(8) {
        0 => {
            let other = random.place(leaves.len());
            leaves.swap(at, other);
        }
        1 => leaves.insert(at, leaves[at].clone()),
        2 if leaves[at].1[0] == 1 => {
            // A holding of coins on the account's path.
            leaves[at].1 = [&[2][..], &leaves[at].1[1..33], &[0; 32], &[1; 8]].concat();
        }
        _ => {}
    }
    let hidden_in_ten = *pick(random, &[0, 2, 4, 9]);
    let top = grow(random, &leaves, hidden_in_ten);
    let mut bytes = Vec::new();
    write(&top, &mut bytes);
    (StateRoot(hash_of(&top)), bytes)
}

/// The node over these leaves, nearly always split where they part.
fn grow(random: &mut Random, leaves: &[(Path, Vec<u8>)], hidden_in_ten: u64) -> Node {
    let (first, last) = (&leaves[0], &leaves[leaves.len() - 1]);
    if leaves.len() == 1 {
        return match random.below(10) < hidden_in_ten {
            true => Node::Hidden(hash_leaf(&first.0, &first.1)),
            false => Node::Leaf(first.0, first.1.clone()),
        };
    }
    let parts = (0..8 * PATH_BYTES as u16).find(|split| bit(&first.0, *split) != bit(&last.0, *split));
    let mut split = parts.unwrap_or(511);
    let middle = leaves.partition_point(|(path, _)| !bit(path, split)).clamp(1, leaves.len() - 1);
    if one_in(random, 16) {
        let moved = [split.wrapping_sub(1), split + 1, split / 2, 511, 512, u16::MAX, 0];
        split = *pick(random, &moved);
    }
    let (left, right) = leaves.split_at(middle);
    let mut children = [grow(random, left, hidden_in_ten), grow(random, right, hidden_in_ten)];
    if one_in(random, 40) {
        children.reverse();
    }
    let node = Node::Inner(split, Box::new(children));
    match random.below(30) < hidden_in_ten {
        true => Node::Hidden(hash_of(&node)),
        false => node,
    }
}

fn hash_of(node: &Node) -> [u8; 32] {
    match node {
        Node::Hidden(hash) => *hash,
        Node::Leaf(path, value) => hash_leaf(path, value),
        Node::Inner(split, children) => hash_inner(*split, &hash_of(&children[0]), &hash_of(&children[1])),
    }
}

fn write(node: &Node, out: &mut Vec<u8>) {
    match node {
        Node::Hidden(hash) => {
            out.push(0);
            out.extend(hash);
        }
        Node::Leaf(_, value) => {
            out.extend([1, value.len() as u8]);
            out.extend(value);
        }
        Node::Inner(split, children) => {
            out.push(2);
            out.extend(split.to_le_bytes());
            children.iter().for_each(|child| write(child, out));
        }
    }
}
