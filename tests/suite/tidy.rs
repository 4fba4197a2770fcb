//! What no compiler checks and no reviewer should have to: the pure crate is pure, layers point
//! one way, every path that the README names exists, each file says what it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every Rust file below a folder, with its text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "no source in {folder}");
    found
}

const CRATES: [&str; 6] = ["common/core", "common/runtime", "migrations", "node", "wallet", "tests"];

/// The shipped code of a file: no comments, nothing from its test module on.
fn code(text: &str) -> String {
    let shipped = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    shipped.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests")
        || path.file_name().is_some_and(|name| name == "tests.rs")
}

/// Names in `[dependencies]` of a crate.
fn dependencies(folder: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    manifest.get("dependencies").and_then(|table| table.as_table()).unwrap().keys().cloned().collect()
}

#[test]
fn the_core_is_pure() {
    let allowed = ["bech32", "bincode", "hex", "secp256k1", "serde", "sha2", "thiserror", "uint"];
    let found = dependencies("common/core");
    assert_eq!(found, allowed.map(str::to_owned).into(), "a dependency of the pure crate is a design change");
    let banned = [
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::thread",
        "std::io",
        "std::sync::mpsc",
        "SystemTime",
        "Instant",
        "rand::",
        "println!",
        "eprintln!",
        "dbg!",
        "f32",
        "f64",
        "static mut",
        "OnceLock",
        "thread_local",
        "HashMap",
        "HashSet",
    ];
    for (path, text) in sources("common/core/src").iter().filter(|(path, _)| !is_test(path)) {
        let found = banned.iter().find(|word| code(text).contains(*word));
        assert_eq!(found, None, "{} is part of the pure crate", path.display());
    }
}

#[test]
fn crates_point_one_way() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("common/core", &[][..]),
        ("common/runtime", &["steelyard-core"]),
        ("migrations", &["steelyard-runtime"]),
        ("node", &["steelyard-core", "steelyard-runtime", "steelyard-migrations"]),
        ("wallet", &["steelyard-core", "steelyard-runtime", "steelyard-migrations"]),
    ]);
    for (folder, allowed) in allowed {
        for name in dependencies(folder).iter().filter(|name| name.starts_with("steelyard-")) {
            assert!(allowed.contains(&name.as_str()), "{folder} must not depend on {name}");
        }
    }
}

/// Rows of modules, each importing only from rows above it; the same as in the heads of their
/// `lib.rs`, which is asserted.
const CORE_ROWS: &[&[&str]] = &[
    &["amount", "hash", "work", "encode", "join"],
    &["merkle", "asert", "crypto"],
    &["state", "history", "address"],
    &["types"],
    &["params"],
    &["consensus"],
    &["wire"],
    &["light"],
];
const NODE_ROWS: &[&[&str]] = &[
    &["limits", "threads"],
    &["store", "mempool"],
    &["chain"],
    &["disk", "mark", "memory"],
    &["finder"],
    &["miner", "verify", "lookup", "sync"],
    &["backup", "blockfile", "repair"],
    &["peers"],
    &["api", "net"],
    &["node"],
    &["doctor"],
    &["cli"],
];

const WALLET_ROWS: &[&[&str]] = &[
    &["limits"],
    &["intent", "keystore"],
    &["view"],
    &["light", "store"],
    &["desk"],
    &["rpc"],
    &["daemon"],
    &["cli"],
];

#[test]
fn modules_point_one_way() {
    let crates = [("common/core/src", CORE_ROWS), ("node/src", NODE_ROWS), ("wallet/src", WALLET_ROWS)];
    for (folder, rows) in crates {
        let head = fs::read_to_string(root().join(folder).join("lib.rs")).unwrap();
        for row in rows {
            let written = format!("//! {}", row.join(" "));
            assert!(
                head.lines().any(|line| line.starts_with(&written)),
                "{folder}/lib.rs has no row {row:?}"
            );
        }
        let row_of = |module: &str| rows.iter().position(|row| row.contains(&module));
        for (path, text) in sources(folder).iter().filter(|(path, _)| !is_test(path)) {
            let relative = path.strip_prefix(root().join(folder)).unwrap();
            let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
            let module = first.trim_end_matches(".rs");
            if module == "lib" || module == "main" {
                continue;
            }
            let own = row_of(module).unwrap_or_else(|| panic!("{} is in no row", path.display()));
            for used in imported(&code(text)).iter().filter(|used| *used != module) {
                // Macros stand at the crate's root.
                let Some(row) = row_of(used) else { continue };
                assert!(row < own, "{} imports {used}, which is not above it", path.display());
            }
        }
    }
}

/// Names after `crate::`, in paths and in braces.
fn imported(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let group = rest.strip_prefix('{').map_or(rest, |group| group.split("};").next().unwrap());
        let parts: Vec<&str> = if rest.starts_with('{') { group.split(',').collect() } else { vec![group] };
        for part in parts {
            let name: String = part.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.insert(name);
        }
    }
    found
}

#[test]
fn what_one_file_may_do_no_other_does() {
    let rules: [(&str, &str, &[&str]); 10] = [
        ("bincode::encode_to_vec", "common/core/src", &["encode.rs"]),
        ("bincode::decode_from_slice", "common/core/src", &["encode.rs"]),
        ("Instant::now", "common/runtime/src", &["clock.rs"]),
        ("Instant::now", "node/src", &[]),
        ("Instant::now", "wallet/src", &[]),
        ("SystemTime::now", "common/runtime/src", &["clock.rs"]),
        ("SystemTime::now", "node/src", &[]),
        ("SystemTime::now", "wallet/src", &[]),
        ("sled::", "node/src", &[]),
        ("sled::", "wallet/src", &[]),
    ];
    for (word, folder, files) in rules {
        for (path, text) in sources(folder) {
            let name = path.file_name().unwrap().to_str().unwrap();
            if !is_test(&path) && !files.contains(&name) {
                // The store imports `sled_door`, which is the door and not sled.
                let text = code(&text).replace("sled_door::", "");
                assert!(!text.contains(word), "{}: {word}", path.display());
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    for folder in CRATES {
        for (path, text) in sources(folder) {
            assert!(text.starts_with("//! ") || text.starts_with("#!/"), "{} has no head", path.display());
        }
    }
}

/// Words in backticks that look like paths, and the first words of lines of the map.
#[test]
fn every_path_that_the_readme_names_exists() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut named: Vec<&str> =
        readme.split('`').skip(1).step_by(2).filter(|word| word.contains('/')).collect();
    named.retain(|word| !word.contains(char::is_whitespace) && !word.starts_with('/') && !word.contains(':'));
    let map = readme.split("```text").nth(1).unwrap().split("```").next().unwrap();
    named.extend(map.lines().filter_map(|line| line.split_whitespace().next()));
    assert!(named.len() > 20, "only {named:?} were found");
    for path in named {
        assert!(root().join(path).exists(), "README.md names {path}, which is not there");
    }
}
