//! What a disk can hold after a power cut: from the log of a [`Disk`](crate::disk::Disk) and a place
//! in it, a folder. What was synced is there. Of what came later there is any part that [`Data`] and
//! [`Names`] allow. Must not know what the files hold.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use crate::disk::Operation;
use crate::random::Random;

/// What is left of the writes to a file after its last sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// None.
    Dropped,
    /// Any pieces of a sector each.
    TornSectors,
    /// Any pieces of a page each.
    TornPages,
    /// Any, each whole, in no order: a later one without an earlier one too.
    Reordered,
    /// All.
    Kept,
}

/// All of [`Data`].
pub const DATA: [Data; 5] = [Data::Dropped, Data::TornSectors, Data::TornPages, Data::Reordered, Data::Kept];

/// What is left of changed names after the last sync that was theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// As by a journal: names change in order, any sync makes all changes before it durable, and of
    /// those after it the first ones are left.
    Journal,
    /// As POSIX promises: a change is durable once its folder is synced, that of a new file also once
    /// the file is; of the others any are left.
    Strict,
}

/// Bytes of a sector: a disk writes none in part.
const SECTOR_BYTES: usize = 512;
/// Bytes of a page: the kernel writes none in part.
const PAGE_BYTES: usize = 4096;

/// A file or folder by its number, for ever: names come and go.
type NodeId = usize;

/// The folder itself.
const ROOT: NodeId = 0;

#[derive(Debug)]
enum Node {
    File {
        durable: Vec<u8>,
        later: Vec<Change>,
    },
    Folder {
        /// As programs see it.
        now: BTreeMap<String, NodeId>,
        durable: BTreeMap<String, NodeId>,
    },
}

#[derive(Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Resize { length: usize },
}

/// Names that change together: each folder's entry, and what it is from then on.
#[derive(Debug)]
struct Edit(Vec<(NodeId, String, Option<NodeId>)>);

/// A disk as it becomes by one operation after another.
#[derive(Debug)]
pub struct PowerCut {
    names: Names,
    nodes: Vec<Node>,
    /// Which file has an inode's number now.
    files: HashMap<u64, NodeId>,
    /// Changes of names that are not durable, in order.
    edits: Vec<Edit>,
}

impl PowerCut {
    /// An empty folder.
    #[must_use]
    pub fn new(names: Names) -> Self {
        Self { names, nodes: vec![empty_folder()], files: HashMap::new(), edits: Vec::new() }
    }

    /// Does an operation.
    ///
    /// # Panics
    /// The log names what is not there.
    pub fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Create { file, path } => {
                let id = self.add(Node::File { durable: Vec::new(), later: Vec::new() });
                self.files.insert(*file, id);
                self.edit(&[(path, Some(id))]);
            }
            Operation::MakeFolder { path } => {
                let id = self.add(empty_folder());
                self.edit(&[(path, Some(id))]);
            }
            Operation::Rename { from, to } => {
                let id = self.find(from).unwrap_or_else(|| panic!("{} is renamed", from.display()));
                self.edit(&[(from, None), (to, Some(id))]);
            }
            Operation::Link { from, to } => {
                let id = self.find(from).unwrap_or_else(|| panic!("{} is linked", from.display()));
                self.edit(&[(to, Some(id))]);
            }
            Operation::Unlink { path } | Operation::RemoveFolder { path } => self.edit(&[(path, None)]),
            Operation::Write { file, at, bytes } => {
                self.change(*file, Change::Write { at: *at, bytes: bytes.clone() });
            }
            Operation::Resize { file, length } => self.change(*file, Change::Resize { length: *length }),
            Operation::Sync { file } => {
                let id = self.files[file];
                let Node::File { durable, later } = &mut self.nodes[id] else { panic!("a file") };
                later.drain(..).for_each(|change| change.apply(durable));
                self.sync_names(|edit| edit.0.iter().any(|(_, _, to)| *to == Some(id)));
            }
            Operation::SyncFailed { file } => {
                let id = self.files[file];
                let Node::File { later, .. } = &mut self.nodes[id] else { panic!("a file") };
                later.clear();
            }
            Operation::SyncFolder { path } => {
                let id = self.find(path).unwrap_or_else(|| panic!("{} is synced", path.display()));
                self.sync_names(|edit| edit.0.iter().any(|(folder, ..)| *folder == id));
            }
        }
    }

    /// Writes into an empty folder what the disk may hold if the power goes now.
    ///
    /// # Panics
    /// There is no room.
    pub fn build(&self, random: &mut Random, data: Data, into: &Path) {
        let mut folders: HashMap<NodeId, BTreeMap<String, NodeId>> = HashMap::new();
        for (id, node) in self.nodes.iter().enumerate() {
            if let Node::Folder { durable, .. } = node {
                folders.insert(id, durable.clone());
            }
        }
        // None, all, or some first ones, whatever is left of the data.
        let first_lost = match random.below(3) {
            0 => 0,
            1 => self.edits.len(),
            _ => random.place(self.edits.len() + 1),
        };
        for (number, edit) in self.edits.iter().enumerate() {
            let is_left = match self.names {
                Names::Journal => number < first_lost,
                Names::Strict => number < first_lost && random.below(4) > 0,
            };
            if is_left {
                for (folder, name, to) in &edit.0 {
                    set(folders.get_mut(folder).expect("every folder is there"), name, *to);
                }
            }
        }
        self.write_folder(ROOT, &folders, &mut |later, durable| data.apply(random, later, durable), into);
    }

    fn write_folder(
        &self,
        id: NodeId,
        folders: &HashMap<NodeId, BTreeMap<String, NodeId>>,
        left: &mut impl FnMut(&[Change], &mut Vec<u8>),
        into: &Path,
    ) {
        for (name, id) in &folders[&id] {
            let path = into.join(name);
            match &self.nodes[*id] {
                Node::Folder { .. } => {
                    fs::create_dir(&path).expect("there is room");
                    self.write_folder(*id, folders, left, &path);
                }
                Node::File { durable, later } => {
                    let mut content = durable.clone();
                    left(later, &mut content);
                    write_sparse(&path, &content);
                }
            }
        }
    }

    fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn find(&self, path: &Path) -> Option<NodeId> {
        path.iter().try_fold(ROOT, |id, name| match &self.nodes[id] {
            Node::Folder { now, .. } => now.get(name.to_str()?).copied(),
            Node::File { .. } => None,
        })
    }

    fn change(&mut self, file: u64, change: Change) {
        let Node::File { later, .. } = &mut self.nodes[self.files[&file]] else { panic!("a file") };
        later.push(change);
    }

    fn edit(&mut self, changes: &[(&Path, Option<NodeId>)]) {
        let entry = |(path, to): &(&Path, Option<NodeId>)| {
            let folder = self.find(path.parent().expect("the folder itself stays")).expect("a folder");
            let name = path.file_name().and_then(|name| name.to_str()).expect("a plain name");
            (folder, name.to_owned(), *to)
        };
        let edit = Edit(changes.iter().map(entry).collect());
        for (folder, name, to) in &edit.0 {
            let Node::Folder { now, .. } = &mut self.nodes[*folder] else { panic!("a file has no entries") };
            set(now, name, *to);
        }
        self.edits.push(edit);
    }

    /// A sync that is that of these edits; a journal's is that of all.
    fn sync_names(&mut self, is_synced: impl Fn(&Edit) -> bool) {
        let mut left = Vec::new();
        for edit in self.edits.drain(..) {
            if self.names == Names::Strict && !is_synced(&edit) {
                left.push(edit);
                continue;
            }
            for (folder, name, to) in &edit.0 {
                let Node::Folder { durable, .. } = &mut self.nodes[*folder] else {
                    panic!("a file has no entries")
                };
                set(durable, name, *to);
            }
        }
        self.edits = left;
    }
}

fn set(entries: &mut BTreeMap<String, NodeId>, name: &str, to: Option<NodeId>) {
    match to {
        Some(id) => entries.insert(name.to_owned(), id),
        None => entries.remove(name),
    };
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Resize { length } => content.resize(*length, 0),
            Self::Write { at, bytes } => put(content, *at, bytes),
        }
    }
}

impl Data {
    fn apply(self, random: &mut Random, later: &[Change], content: &mut Vec<u8>) {
        for change in later {
            match (self, change) {
                (Self::Dropped, _) => {}
                (Self::TornSectors, Change::Write { at, bytes }) => {
                    tear(random, (*at, bytes), SECTOR_BYTES, content);
                }
                (Self::TornPages, Change::Write { at, bytes }) => {
                    tear(random, (*at, bytes), PAGE_BYTES, content);
                }
                (Self::Kept, change) => change.apply(content),
                (_, change) => {
                    if random.below(2) == 0 {
                        change.apply(content);
                    }
                }
            }
        }
    }
}

/// Writes any of the pieces that lie between multiples of `piece`.
fn tear(random: &mut Random, (at, bytes): (usize, &[u8]), piece: usize, content: &mut Vec<u8>) {
    let mut from = 0;
    while from < bytes.len() {
        let to = (from + piece - (at + from) % piece).min(bytes.len());
        if random.below(2) == 0 {
            put(content, at + from, &bytes[from..to]);
        }
        from = to;
    }
}

fn put(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at..end].copy_from_slice(bytes);
}

/// Leaves pages of zeros out: sled's files are mostly of them.
fn write_sparse(path: &Path, content: &[u8]) {
    let mut file = File::create(path).expect("there is room");
    file.set_len(content.len() as u64).expect("there is room");
    for (number, page) in content.chunks(PAGE_BYTES).enumerate() {
        if page.iter().any(|byte| *byte != 0) {
            file.seek(SeekFrom::Start((number * PAGE_BYTES) as u64)).expect("there is room");
            file.write_all(page).expect("there is room");
        }
    }
}

fn empty_folder() -> Node {
    Node::Folder { now: BTreeMap::new(), durable: BTreeMap::new() }
}
