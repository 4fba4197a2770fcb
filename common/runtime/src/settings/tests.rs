//! Each layer wins over the next, and nothing unknown passes.

use super::*;

const KEYS: [Key; 5] = [
    Key::new("net", "listen", Some("0.0.0.0:1111")),
    Key::new("net", "connect", None),
    Key::new("mempool", "max_bytes", Some("1000")),
    Key::secret("rpc", "passphrase"),
    Key::other_program("wallet"),
];

fn env(pairs: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    let owned: Vec<_> = pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    owned.into_iter()
}

fn file(name: &str, text: &str) -> (PathBuf, String) {
    (PathBuf::from(name), text.to_owned())
}

fn flag(section: &'static str, name: &'static str, value: &str) -> (&'static str, &'static str, String) {
    (section, name, value.to_owned())
}

fn from_files(files: &[(PathBuf, String)]) -> Result<Settings, SettingsError> {
    Settings::resolve(&KEYS, &[], env(&[]), files)
}

fn from_env(pairs: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::resolve(&KEYS, &[], env(pairs), &[])
}

#[test]
fn each_layer_wins_over_the_next() {
    let flags = [flag("net", "listen", "flag")];
    let variable = ("STEELYARD_NET__LISTEN", "variable");
    let given = file("given.toml", "[net]\nlisten = \"given\"\n");
    let network = file("dev.toml", "[net]\nlisten = \"network\"\n");
    let listen = |flags: &[(&str, &str, String)], pairs: &[(&str, &str)], files: &[(PathBuf, String)]| {
        let settings = Settings::resolve(&KEYS, flags, env(pairs), files).unwrap();
        let source = settings.source("net", "listen").unwrap().to_string();
        (settings.get("net", "listen").unwrap().to_owned(), source)
    };
    let both = [given.clone(), network.clone()];
    let said = |value: &str, source: &str| (value.to_owned(), source.to_owned());
    assert_eq!(listen(&flags, &[variable], &both), said("flag", "arguments"));
    assert_eq!(listen(&[], &[variable], &both), said("variable", "environment STEELYARD_NET__LISTEN"));
    assert_eq!(listen(&[], &[], &both), said("given", "file given.toml"));
    assert_eq!(listen(&[], &[], &[network]), said("network", "file dev.toml"));
    assert_eq!(listen(&[], &[], &[]), said("0.0.0.0:1111", "default"));
}

#[test]
fn an_unknown_key_is_an_error_even_where_a_stronger_layer_rules() {
    let error = from_files(&[file("a.toml", "[net]\n[mempool]\nmax_byte = 5\n")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown setting \"mempool.max_byte\" in a.toml; did you mean \"mempool.max_bytes\"?"
    );
    let error = from_files(&[file("a.toml", ""), file("b.toml", "[colour]\nsky = 1\n")]).unwrap_err();
    assert_eq!(error.to_string(), "unknown setting \"colour.sky\" in b.toml");
    assert!(matches!(from_files(&[file("a.toml", "listen = 1")]), Err(SettingsError::UnknownKey { .. })));
    let error = from_env(&[("STEELYARD_NET__LISTN", "x")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown setting STEELYARD_NET__LISTN in the environment; did you mean STEELYARD_NET__LISTEN?"
    );
    let flags = [flag("net", "nobody", "x")];
    let error = Settings::resolve(&KEYS, &flags, env(&[]), &[]).unwrap_err();
    assert_eq!(error, SettingsError::UnknownFlag { key: "net.nobody".to_owned() });
}

#[test]
fn reserved_variables_and_other_programs_are_passed_over() {
    let mut pairs: Vec<_> = RESERVED_VARIABLES.iter().map(|name| (*name, "x")).collect();
    pairs.extend([("HOME", "/"), ("STEELYARD_WALLET__NODE", "x")]);
    let settings = from_env(&pairs).unwrap();
    assert_eq!(settings.rows().len(), 4);
    from_files(&[file("a.toml", "[wallet]\nanything = { goes = 1 }\n")]).unwrap();
}

#[test]
fn secrets_come_from_files_only_and_are_never_shown() {
    let error = from_env(&[("STEELYARD_RPC__PASSPHRASE", "hunter2")]).unwrap_err();
    assert!(matches!(error, SettingsError::Secret { .. }));
    assert!(!error.to_string().contains("hunter2"));
    let flags = [flag("rpc", "passphrase", "hunter2")];
    let error = Settings::resolve(&KEYS, &flags, env(&[]), &[]).unwrap_err();
    assert_eq!(crate::exit::CliError::from(error).code, "secret_refused");
    let settings = from_files(&[file("a.toml", "[rpc]\npassphrase = \"hunter2\"\n")]).unwrap();
    assert_eq!(settings.get("rpc", "passphrase"), Some("hunter2"));
    assert_eq!(settings.rows()[3].value.as_deref(), Some("(hidden)"));
    let error = settings.parse::<std::net::IpAddr>("rpc", "passphrase").unwrap_err();
    assert!(!error.to_string().contains("hunter2"));
}

#[test]
fn lists_come_from_arrays_commas_and_repeated_flags() {
    let flags = [flag("net", "connect", "a:1"), flag("net", "connect", "b:2")];
    let settings = Settings::resolve(&KEYS, &flags, env(&[]), &[]).unwrap();
    assert_eq!(settings.list("net", "connect"), ["a:1", "b:2"]);
    let settings = from_files(&[file("a.toml", "[net]\nconnect = [\"a:1\", \"b:2\"]\n")]).unwrap();
    assert_eq!(settings.list("net", "connect"), ["a:1", "b:2"]);
    let settings = from_env(&[("STEELYARD_NET__CONNECT", "a:1, b:2,")]).unwrap();
    assert_eq!(settings.list("net", "connect"), ["a:1", "b:2"]);
    assert!(from_env(&[]).unwrap().list("net", "connect").is_empty());
    let comma = file("a.toml", "[net]\nconnect = [\"a:1,b:2\"]\n");
    assert!(matches!(from_files(&[comma]), Err(SettingsError::NotAValue { .. })));
}

#[test]
fn a_value_that_does_not_parse_names_key_value_and_source() {
    let settings = from_env(&[("STEELYARD_MEMPOOL__MAX_BYTES", "many")]).unwrap();
    let error = settings.parse::<u64>("mempool", "max_bytes").unwrap_err();
    let text = error.to_string();
    for part in ["mempool.max_bytes", "many", "environment STEELYARD_MEMPOOL__MAX_BYTES", "invalid digit"] {
        assert!(text.contains(part), "{text}");
    }
    let settings = from_files(&[file("a.toml", "[mempool]\nmax_bytes = 7\n")]).unwrap();
    assert_eq!(settings.parse::<u64>("mempool", "max_bytes").unwrap(), Some(7));
    assert_eq!(settings.parse::<u64>("net", "connect").unwrap(), None);
    let missing = settings.require::<u64>("net", "connect").unwrap_err();
    assert_eq!(missing, SettingsError::Missing { key: "net.connect".to_owned() });
}

#[test]
fn what_is_no_toml_or_no_value_is_told_with_its_file() {
    let error = from_files(&[file("a.toml", "[net\n")]).unwrap_err();
    assert!(error.to_string().starts_with("a.toml is no valid settings file: "));
    let error = from_files(&[file("a.toml", "[net]\nlisten = 1979-05-27\n")]).unwrap_err();
    assert!(matches!(error, SettingsError::NotAValue { .. }));
}

#[test]
fn rows_tell_each_value_and_its_origin() {
    let settings = from_env(&[("STEELYARD_NET__CONNECT", "a:1")]).unwrap();
    let rows = settings.rows();
    let lines: Vec<_> =
        rows.iter().map(|row| format!("{}.{} {}", row.section, row.name, row.source)).collect();
    assert_eq!(
        lines,
        [
            "net.listen default",
            "net.connect environment STEELYARD_NET__CONNECT",
            "mempool.max_bytes default",
            "rpc.passphrase not set"
        ]
    );
    assert_eq!(rows[1].value.as_deref(), Some("a:1"));
    assert_eq!(rows[3].value, None);
}
