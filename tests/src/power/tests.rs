//! What a power cut may leave, and what not.

use super::*;
use std::path::PathBuf;

fn built(cut: &PowerCut, data: Data) -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    cut.build(&mut Random::new(1), data, folder.path());
    let entries = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

fn write(text: &[u8]) -> Operation {
    Operation::Write { file: 7, at: 0, bytes: text.to_vec() }
}

fn after(names: Names, operations: &[Operation]) -> PowerCut {
    let mut cut = PowerCut::new(names);
    operations.iter().for_each(|operation| cut.apply(operation));
    cut
}

#[test]
fn what_is_synced_stays_and_what_is_not_may_go() {
    let path = PathBuf::from("a");
    let create = Operation::Create { file: 7, path };
    let cut = after(Names::Strict, &[create, write(b"old"), Operation::Sync { file: 7 }, write(b"new")]);
    assert_eq!(built(&cut, Data::Dropped), BTreeMap::from([("a".into(), b"old".to_vec())]));
    assert_eq!(built(&cut, Data::Kept), BTreeMap::from([("a".into(), b"new".to_vec())]));
}

#[test]
fn a_sync_that_failed_loses_what_came_before_it() {
    let create = Operation::Create { file: 7, path: "a".into() };
    let lost = [create, write(b"lost"), Operation::SyncFailed { file: 7 }, Operation::Sync { file: 7 }];
    assert_eq!(built(&after(Names::Journal, &lost), Data::Kept), BTreeMap::from([("a".into(), vec![])]));
}

#[test]
fn a_name_is_durable_by_its_folder_or_by_the_journal() {
    let root = || PathBuf::from("");
    let steps = [
        Operation::Create { file: 7, path: "new".into() },
        write(b"x"),
        Operation::Sync { file: 7 },
        Operation::Rename { from: "new".into(), to: "a".into() },
        Operation::Create { file: 8, path: "other".into() },
        Operation::Sync { file: 8 },
    ];
    let strict = built(&after(Names::Strict, &steps), Data::Dropped);
    assert!(strict.contains_key("other"));
    assert!(strict.contains_key("a") != strict.contains_key("new"), "{strict:?}");
    let journal = built(&after(Names::Journal, &steps), Data::Dropped);
    assert_eq!(journal.keys().collect::<Vec<_>>(), ["a", "other"]);
    let synced = [&steps[..], &[Operation::SyncFolder { path: root() }]].concat();
    let strict = built(&after(Names::Strict, &synced), Data::Dropped);
    assert_eq!(strict.keys().collect::<Vec<_>>(), ["a", "other"]);
}

#[test]
fn a_folder_takes_its_content_along() {
    let steps = [
        Operation::MakeFolder { path: "new".into() },
        Operation::Create { file: 7, path: "new/a".into() },
        write(b"x"),
        Operation::Sync { file: 7 },
        Operation::Rename { from: "new".into(), to: "old".into() },
        Operation::SyncFolder { path: "".into() },
    ];
    let folder = tempfile::tempdir().unwrap();
    after(Names::Strict, &steps).build(&mut Random::new(1), Data::Dropped, folder.path());
    assert_eq!(fs::read(folder.path().join("old/a")).unwrap(), b"x");
}

#[test]
fn pieces_are_kept_or_lost_whole() {
    let mut content = Vec::new();
    tear(&mut Random::new(3), (100, &[9; 5_000]), SECTOR_BYTES, &mut content);
    content.resize(5_100, 0);
    let bounds = (512..5_100).step_by(512);
    let pieces: Vec<&[u8]> = std::iter::once(&content[100..512])
        .chain(bounds.map(|from| &content[from..(from + 512).min(5_100)]))
        .collect();
    assert!(pieces.iter().all(|piece| piece.iter().all(|byte| *byte == piece[0])));
    assert!(pieces.iter().any(|piece| piece[0] == 9) && pieces.iter().any(|piece| piece[0] == 0));
}
