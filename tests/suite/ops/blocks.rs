//! Blocks as files: what goes out comes in again, by all rules, and of a bad file what is good of it.

use std::fs;
use std::path::Path;

use steelyard_core::params::Params;
use steelyard_node::blockfile::{self, BlockFileError, Exported, Imported};
use steelyard_runtime::exit::{CliError, ExitCode};
use steelyard_tests::process::{Launch, node_command};
use steelyard_tests::random::Random;

use super::*;

/// Bytes of the head of a file.
const HEAD_BYTES: usize = 68;
/// Where a header has the state's root: after version, height and three other ids.
const STATE_ROOT_AT: usize = 4 + 8 + 3 * 32;
/// Bytes of its end.
const END_BYTES: usize = 4 + 8 + 32 + 32;

fn export(params: &Params, data_dir: &Path, from: u64) -> (Vec<u8>, Exported) {
    let mut bytes = Vec::new();
    let exported = blockfile::of_stopped(params.clone(), data_dir, |shared, store| {
        blockfile::export((shared, store), from, &mut bytes, &mut |_, _| ())
    });
    let exported = exported.unwrap();
    assert_eq!(exported.bytes, bytes.len() as u64);
    (bytes, exported)
}

fn import(params: &Params, data_dir: &Path, bytes: &[u8]) -> Result<Imported, BlockFileError> {
    blockfile::into_stopped(params.clone(), data_dir, &mut &bytes[..], &mut |_, _| ())
}

/// Where in a block, of its begin and its end.
type Place = fn(usize, usize) -> usize;

/// Where each block of a file begins, the end's place last.
fn places(bytes: &[u8]) -> Vec<usize> {
    let (mut at, mut places) = (HEAD_BYTES, vec![HEAD_BYTES]);
    while at + END_BYTES < bytes.len() {
        at += 4 + u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        places.push(at);
    }
    places
}

#[test]
fn what_is_exported_is_imported_once() {
    let folder = tempfile::tempdir().unwrap();
    let chain = story();
    let params = chain.params();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    // Of the branches only the active one is exported.
    let mut wins = chain.fork_at(6).mined_by(&Account::numbered(51));
    wins.mine(7);
    feed(params, &from, chain.blocks().chain(wins.blocks().skip(6)));
    let (bytes, exported) = export(params, &from, 1);
    assert_eq!((exported.blocks, exported.height, exported.tip), (13, 13, wins.tip().id));
    let imported = import(params, &to, &bytes).unwrap();
    assert_eq!(imported, Imported { blocks: 13, new: 13, height: 13, tip: wins.tip().id });
    assert_eq!(import(params, &to, &bytes).unwrap(), Imported { new: 0, ..imported });
    assert_eq!(verified(params, &to).blocks, 13);
    // A file of later blocks goes on where the chain ends, and only there.
    let (later, exported) = export(params, &from, 9);
    assert_eq!((exported.from, exported.blocks), (9, 5));
    let other = folder.path().join("other");
    let error = CliError::from(import(params, &other, &later).unwrap_err());
    assert_eq!((error.exit, error.code.as_str()), (ExitCode::Refused, "unknown_parent"));
    feed(params, &other, wins.blocks().take(8));
    assert_eq!(
        import(params, &other, &later).unwrap(),
        Imported { blocks: 5, new: 5, height: 13, tip: wins.tip().id }
    );
    let empty = export(params, &from, 14);
    assert_eq!(empty.1.blocks, 0);
    assert_eq!(import(params, &to, &empty.0).unwrap().blocks, 0);
    let beyond = blockfile::of_stopped(params.clone(), &from, |shared, store| {
        blockfile::export((shared, store), 15, &mut Vec::new(), &mut |_, _| ())
    });
    assert!(matches!(beyond, Err(BlockFileError::BeyondTip { height: 13, from: 15 })));
}

#[test]
fn of_a_truncated_file_the_whole_blocks_are_taken_and_the_next_import_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let chain = story();
    let params = chain.params();
    let from = folder.path().join("from");
    feed(params, &from, chain.blocks());
    let (bytes, _) = export(params, &from, 1);
    let places = places(&bytes);
    assert_eq!(places.len(), 13);
    let mut random = Random::for_test(11);
    for (round, (height, pair)) in (0..).zip(places.windows(2).enumerate().step_by(4)) {
        let to = folder.path().join(format!("to-{round}"));
        let cuts = [pair[0], pair[0] + 1 + random.below((pair[1] - pair[0] - 1) as u64) as usize];
        for cut in cuts {
            let error = import(params, &to, &bytes[..cut]).unwrap_err();
            let found = matches!(error, BlockFileError::Truncated { height: last, offset }
                if last == height as u64 && offset == pair[0] as u64);
            assert!(found, "cut at {cut}: {error}");
            assert_eq!(CliError::from(error).exit, ExitCode::Damaged);
        }
        assert_eq!(verified(params, &to).blocks, height as u64);
        let imported = import(params, &to, &bytes).unwrap();
        assert_eq!((imported.blocks, imported.new), (12, 12 - height as u64));
    }
    let end = *places.last().unwrap();
    let to = folder.path().join("end");
    for cut in [end + 4, end + 20, bytes.len() - 1] {
        let error = import(params, &to, &bytes[..cut]).unwrap_err();
        assert!(matches!(error, BlockFileError::End { offset, .. } if offset == end as u64), "{error}");
    }
}

#[test]
fn a_broken_block_is_named_and_what_is_before_it_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let chain = story();
    let params = chain.params();
    let from = folder.path().join("from");
    feed(params, &from, chain.blocks());
    let (whole, _) = export(params, &from, 1);
    let places = places(&whole);
    // Length, header, and the last byte of the body.
    let damages: [(&str, Place); 5] = [
        ("length", |begin, _| begin + 3),
        ("version", |begin, _| begin + 4),
        ("height", |begin, _| begin + 4 + 4),
        ("state root", |begin, _| begin + 4 + STATE_ROOT_AT),
        ("body", |_, end| end - 1),
    ];
    for (place, (name, at)) in damages.into_iter().enumerate() {
        let to = folder.path().join(name);
        let broken = 4 + place;
        let mut bytes = whole.clone();
        bytes[at(places[broken], places[broken + 1])] ^= 0x40;
        let error = import(params, &to, &bytes).unwrap_err();
        let found = matches!(error, BlockFileError::Block { height, offset, .. }
            if height == broken as u64 + 1 && offset == places[broken] as u64);
        assert!(found, "{name}: {error}");
        assert_eq!(CliError::from(error).exit, ExitCode::Damaged);
        assert_eq!(verified(params, &to).blocks, broken as u64, "{name}");
        assert_eq!(import(params, &to, &whole).unwrap().height, 12, "{name}");
    }
    // Blocks are checked by themselves; a file that is wrong about itself is told nevertheless.
    let to = folder.path().join("end");
    for at in [60, whole.len() - 40, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        let error = import(params, &to, &bytes).unwrap_err();
        assert!(matches!(error, BlockFileError::End { .. }), "byte {at}: {error}");
    }
    let more = [&whole[..], b"x"].concat();
    assert!(matches!(import(params, &to, &more), Err(BlockFileError::End { .. })));
    assert_eq!(verified(params, &to).blocks, 12);
}

#[test]
fn a_file_whose_blocks_do_not_follow_one_another_is_named_by_the_first_that_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let chain = story();
    let params = chain.params();
    let mut other = chain.fork_at(3).mined_by(&Account::numbered(51));
    other.mine(9);
    let file = |name: &str, blocks: &Chain| {
        let from = folder.path().join(name);
        feed(params, &from, blocks.blocks());
        export(params, &from, 1).0
    };
    let (first, second) = (file("first", &chain), file("second", &other));
    let (cut, on) = (places(&first)[6], places(&second)[6]);
    let spliced = [&first[..cut], &second[on..]].concat();
    let to = folder.path().join("to");
    // Also where all of them are here.
    for _ in 0..2 {
        let error = import(params, &to, &spliced).unwrap_err();
        let found = matches!(error, BlockFileError::Block { height: 7, offset, .. } if offset == cut as u64);
        assert!(found, "{error}");
        import(params, &to, &second).unwrap();
    }
}

#[test]
fn files_of_other_kinds_and_networks_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let chain = story();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    feed(chain.params(), &from, chain.blocks().take(2));
    let (bytes, _) = export(chain.params(), &from, 1);
    let other = Params::new_network("other", 1, 1_000);
    let error = CliError::from(import(&other, &to, &bytes).unwrap_err());
    assert_eq!((error.exit, error.code.as_str()), (ExitCode::Usage, "other_network"));
    let mut later = bytes.clone();
    later[16] = 2;
    for (bytes, code) in [
        (&b""[..], "no_block_file"),
        (&bytes[..40], "no_block_file"),
        (&[7; 500][..], "no_block_file"),
        (&later[..], "block_file_version"),
    ] {
        let error = CliError::from(import(&other, &to, bytes).unwrap_err());
        assert_eq!((error.exit, error.code.as_str()), (ExitCode::Damaged, code));
    }
}

#[test]
fn a_running_node_exports_by_command_and_imports_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (data_dir, file) = (folder.path().join("node"), folder.path().join("blocks"));
    let mut node = Launch::dev(&data_dir, &[]).start();
    node.api.wait_for("/status", |answer| answer.json["height"].as_u64() >= Some(3));
    let exported = done(&command(&["export", plain(&file)], &data_dir));
    assert_eq!(refused(&command(&["export", plain(&file)], &data_dir)), (Some(6), "file_exists".into()));
    assert_eq!(refused(&command(&["export", "-"], &data_dir)), (Some(7), "folder_in_use".into()));
    assert_eq!(refused(&command(&["import", plain(&file)], &data_dir)), (Some(7), "folder_in_use".into()));
    node.kill();
    let to = folder.path().join("to");
    let imported = done(&command(&["import", plain(&file)], &to));
    assert_eq!((&imported["tip"], &imported["new"]), (&exported["tip"], &exported["blocks"]));
    // Stopped, a folder gives its blocks to stdout, and another takes them from stdin.
    let piped = node_command(&["export", "-", "--data-dir", plain(&to)]).output().unwrap();
    assert_eq!(piped.stdout, fs::read(&file).unwrap());
    let third = folder.path().join("third");
    let words = ["import", "-", "--json", "--data-dir", plain(&third)];
    let input = fs::File::open(&file).unwrap();
    assert_eq!(done(&node_command(&words).stdin(input).output().unwrap()), imported);
}

#[test]
fn a_kill_of_an_import_costs_no_more_than_what_was_on_its_way() {
    if !cfg!(debug_assertions) {
        println!("skipped: fail points are compiled into debug builds only");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut chain = story();
    chain.mine(600);
    let params = chain.params();
    let (from, to, file) =
        (folder.path().join("from"), folder.path().join("to"), folder.path().join("blocks"));
    steelyard_tests::stored::store_chain(params, &from, chain.blocks().cloned());
    killed(&["export", plain(&file)], &from, "export.before_rename");
    assert!(!file.exists());
    done(&command(&["export", plain(&file)], &from));
    let mut before = 0;
    for place in ["import.group_committed", "import.group_committed@2"] {
        killed(&["import", plain(&file)], &to, place);
        let blocks = verified(params, &to).blocks;
        assert!(blocks >= (before + 128).min(612), "{place}: {blocks} after {before}");
        before = blocks;
    }
    let imported = done(&command(&["import", plain(&file)], &to));
    assert_eq!(imported["height"].as_u64(), Some(612));
    assert_eq!(verified(params, &to).blocks, 612);
}
