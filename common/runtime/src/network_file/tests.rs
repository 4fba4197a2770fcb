//! A network reads back as it was written, and anything else is refused by its key.

use super::*;
use steelyard_core::amount::COIN;

fn class() -> Params {
    let mut params = Params::new_network("class-7", 1_790_000_000_123, 30_000);
    params.start_bits = 0x1d0f_ffff;
    params.reward = 1_250_000_000;
    params.allocations = vec![(Address([1; 32]), 1), (Address([2; 32]), 1_000 * COIN)];
    params
}

/// The text of `class` with one piece replaced.
fn broken(from: &str, to: &str) -> NetworkFileError {
    let text = to_toml(&class());
    assert!(text.contains(from), "{from} in {text}");
    from_toml(&text.replacen(from, to, 1)).unwrap_err()
}

#[test]
fn every_network_reads_back_as_it_was_written() {
    let mut many = class();
    many.allocations = (0..2_000u32)
        .map(|i| {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&i.to_be_bytes());
            (Address(bytes), u64::from(i) + 1)
        })
        .collect();
    for params in [Params::dev(), Params::tutorial(), class(), many] {
        let text = to_toml(&params);
        assert_eq!(from_toml(&text), Ok(params.clone()), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
    }
}

#[test]
fn a_file_is_written_for_people() {
    let text = to_toml(&class());
    for line in
        ["name = \"class-7\" ", "spacing_ms = 30000 ", "reward = \"12.5\" ", "start_bits = \"0x1d0fffff\" "]
    {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line} in {text}");
    }
    assert!(text.contains("\n[[allocations]]\naddress = \"sy1"));
}

#[test]
fn the_order_of_allocations_is_free_and_twice_is_refused() {
    let params = class();
    let text = to_toml(&params);
    let (head, list) = text.split_once("\n[[allocations]]").unwrap();
    let (first, second) = list.split_once("\n[[allocations]]").unwrap();
    let swapped = format!("{head}\n[[allocations]]{second}\n[[allocations]]{first}");
    assert_eq!(from_toml(&swapped), Ok(params));
    let twice = from_toml(&format!("{text}\n[[allocations]]{first}")).unwrap_err();
    let NetworkFileError::Invalid { key, reason } = twice else { panic!("{twice:?}") };
    assert_eq!(key, "allocations");
    assert!(reason.ends_with("is there twice"));
}

#[test]
fn keys_that_are_unknown_or_missing_are_named() {
    let unknown = |key: &str| NetworkFileError::UnknownKey { key: key.to_owned() };
    let missing = |key: &str| NetworkFileError::MissingKey { key: key.to_owned() };
    assert_eq!(broken("prefix =", "colour = 1\nprefix ="), unknown("colour"));
    assert_eq!(broken("p2p_port", "p2p_sport = 1\np2p_port"), unknown("policy.p2p_sport"));
    assert_eq!(broken("amount =", "memo = 1\namount ="), unknown("allocations[0].memo"));
    assert_eq!(broken("drift_ms =", "# drift_ms ="), missing("drift_ms"));
    assert_eq!(broken("api_port =", "# api_port ="), missing("policy.api_port"));
    assert_eq!(broken("amount =", "# amount ="), missing("allocations[0].amount"));
    assert_eq!(from_toml(""), Err(missing("policy")));
}

#[test]
fn values_of_another_kind_or_out_of_bounds_are_named() {
    for (from, to, key) in [
        ("name = \"class-7\"", "name = 7", "name"),
        ("spacing_ms = 30000", "spacing_ms = \"30s\"", "spacing_ms"),
        ("spacing_ms = 30000", "spacing_ms = -1", "spacing_ms"),
        ("api_port = 9354", "api_port = 65536", "policy.api_port"),
        ("\"0x1d0fffff\"", "\"1d0fffff\"", "start_bits"),
        ("\"0x1d0fffff\"", "\"0x+1d0fff\"", "start_bits"),
        ("reward = \"12.5\"", "reward = 12.5", "reward"),
        ("reward = \"12.5\"", "reward = \"12.5 coins\"", "reward"),
        ("address = \"sy1", "address = \"dsy1", "allocations[0].address"),
    ] {
        let error = broken(from, to);
        let NetworkFileError::Invalid { key: named, .. } = &error else { panic!("{error:?}") };
        assert_eq!(named, key);
    }
    let NetworkFileError::OutOfBounds(error) = broken("prefix = \"sy\"", "prefix = \"s1\"") else { panic!() };
    assert_eq!(error.parameter, "prefix");
    let NetworkFileError::OutOfBounds(error) = broken("spacing_ms = 30000", "spacing_ms = 0") else {
        panic!()
    };
    assert_eq!(error.parameter, "spacing");
    let NetworkFileError::NotToml { reason } = broken("name = \"class-7\"", "name = \"class") else {
        panic!()
    };
    assert!(reason.contains("at line 3") && !reason.contains('\n'), "{reason}");
}

#[test]
fn a_file_too_long_is_not_parsed() {
    assert_eq!(from_toml(&" ".repeat(FILE_BYTES_MAX + 1)), Err(NetworkFileError::TooLong));
}

#[test]
fn a_file_that_cannot_be_used_is_wrong_usage_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("class.toml");
    assert_eq!(read(&path).unwrap_err().code, "network_file_unreadable");
    std::fs::write(&path, b"\xff").unwrap();
    assert_eq!(read(&path).unwrap_err().code, "network_file_invalid");
    std::fs::write(&path, to_toml(&class()).replace("spacing_ms", "spacing")).unwrap();
    let error = read(&path).unwrap_err();
    assert!(error.message.ends_with("class.toml: the key \"spacing_ms\" is missing"), "{}", error.message);
    std::fs::write(&path, to_toml(&class())).unwrap();
    assert_eq!(read(&path), Ok(class()));
}

#[test]
fn a_network_is_known_by_its_name_or_its_file() {
    assert_eq!(named("dev").unwrap(), Params::dev());
    assert_eq!(named("tutorial").unwrap(), Params::tutorial());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("class-7.toml");
    let name = file.to_str().unwrap();
    assert_eq!(named(name).unwrap_err().code, "unknown_network");
    std::fs::write(&file, to_toml(&class())).unwrap();
    assert_eq!(named(name).unwrap(), class());
}
