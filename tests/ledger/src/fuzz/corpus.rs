//! Runs targets over files, and over random changes of them, the same in every run of one seed. A target
//! that panics is a failed test that names the file and gives the input. Must not know what targets do.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use super::Target;
use super::input::Input;
use crate::random::Random;

/// Choices of one random change.
const CHOICES_MAX: u64 = 24;
/// Longest input that is given to a target here.
const INPUT_BYTES_MAX: usize = 1 << 16;

/// The inputs of a target: every file of its folder, by name.
///
/// # Panics
/// There is no such folder, or nothing is in it.
#[must_use]
pub fn inputs(folder: &Path, target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = folder.join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.into_iter().map(|file| (file.clone(), fs::read(&file).unwrap())).collect()
}

/// Runs a target over every input and `changes` random changes of each. Gives how many inputs that was.
pub fn replay(folder: &Path, target: &Target, changes: usize, random: &mut Random) -> usize {
    let inputs = inputs(folder, target.0);
    let mut runs = 0;
    for (file, input) in &inputs {
        run(target, file, input);
        for _ in 0..changes {
            let other = &inputs[random.place(inputs.len())].1;
            run(target, file, &changed(random, input, other));
        }
        runs += 1 + changes;
    }
    runs
}

/// An input with a few changes, some of which take pieces of another.
fn changed(random: &mut Random, input: &[u8], other: &[u8]) -> Vec<u8> {
    let count = 1 + random.below(CHOICES_MAX);
    let choices = random.bytes(usize::try_from(count).unwrap());
    let piece = [1, 2, 4, 8, 32, 64][random.place(6)];
    let mut changed = Input::new(&choices).edit(input, other, (0, piece));
    changed.truncate(INPUT_BYTES_MAX);
    changed
}

fn run((name, body): &Target, file: &Path, input: &[u8]) {
    let outcome = catch_unwind(|| body(input));
    assert!(outcome.is_ok(), "{name} fails on a change of {}: {}", file.display(), hex::encode(input));
}
