//! `new-network`: writes the file that makes a network. Its difficulty starts where this machine
//! finds a block in one spacing. Must not know how the file is written down.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use steelyard_core::address;
use steelyard_core::amount::Coins;
use steelyard_core::consensus::pow::search;
use steelyard_core::hash::{Address, NetworkId};
use steelyard_core::params::{LIMIT_BITS_MAX, Params};
use steelyard_core::work::{U256, from_bits, to_bits, work_of};
use steelyard_runtime::exit::CliError;
use steelyard_runtime::network_file::{from_toml, to_toml};
use steelyard_runtime::output::Output;
use steelyard_runtime::{clock, words};

use super::args::NewNetworkArgs;

/// How long the machine is measured.
const MEASURE_FOR: Duration = Duration::from_millis(200);
/// Tries between two looks at the clock: a few milliseconds.
const MEASURE_TRIES: u64 = 20_000;
/// Names whose folders belong to the built-in networks.
const TAKEN_NAMES: [&str; 2] = ["dev", "tutorial"];

#[derive(Serialize)]
struct Written {
    file: PathBuf,
    network: String,
    network_id: NetworkId,
    start_bits: String,
    start_tries: u64,
    hash_rate: Option<u64>,
    allocated: Coins,
    next: String,
}

/// The command.
///
/// # Errors
/// Wrong usage; a file that is there already; those of the machine.
pub fn run(args: &NewNetworkArgs, out: Output) -> Result<(), CliError> {
    let file = PathBuf::from(args.out.clone().unwrap_or_else(|| format!("{}.toml", args.name)));
    let (params, hash_rate) = network(args)?;
    let text = to_toml(&params);
    // What would not read back must not be written.
    from_toml(&text).map_err(|error| CliError::usage("network_invalid", error.to_string()))?;
    write_new(&file, text.as_bytes()).map_err(|error| refusal(&file, &error))?;
    let (work, target) = (|target| work_of(target), from_bits(params.start_bits));
    let tries = target.ok().and_then(work).unwrap_or(u128::MAX);
    let written = Written {
        network: params.name.clone(),
        network_id: params.network_id(),
        start_bits: format!("{:#010x}", params.start_bits),
        start_tries: u64::try_from(tries).unwrap_or(u64::MAX),
        hash_rate,
        allocated: Coins(params.supply(0)),
        next: format!(
            "steelyard-node run --network {} --mine ADDRESS",
            words::shell(&file.display().to_string())
        ),
        file,
    };
    show(&written, &params, out);
    Ok(())
}

fn network(args: &NewNetworkArgs) -> Result<(Params, Option<u64>), CliError> {
    if TAKEN_NAMES.contains(&args.name.as_str()) {
        let message = format!("the name {} belongs to a built-in network", args.name);
        return Err(CliError::usage("name_taken", message).with_hint("choose another"));
    }
    let invalid = |error: &dyn std::fmt::Display| CliError::usage("network_invalid", error.to_string());
    let mut params = Params::new_network(&args.name, clock::now_ms(), args.spacing);
    params.prefix.clone_from(&args.prefix);
    params.reward = args.reward.0;
    params.halving_interval = args.halving.unwrap_or(params.halving_interval);
    params.block_txs_max = args.max_block_txs;
    // Before anything is measured, and before addresses are held against the prefix.
    params.check().map_err(|error| invalid(&error))?;
    params.allocations =
        args.allocate.iter().map(|text| allocation(&params.prefix, text)).collect::<Result<_, _>>()?;
    params.allocations.sort_unstable();
    if let Some(pair) = params.allocations.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let twice = address::format(&params.prefix, &pair[0].0);
        return Err(CliError::usage("allocation_invalid", format!("--allocate names {twice} twice")));
    }
    let hash_rate = if args.start_tries.is_none() { Some(measure(&params)) } else { None };
    let measured = u128::from(hash_rate.unwrap_or(0)) * u128::from(params.spacing) / 1_000;
    params.start_bits = start_bits(args.start_tries.map_or(measured, u128::from));
    params.check().map_err(|error| invalid(&error))?;
    Ok((params, hash_rate))
}

fn allocation(prefix: &str, text: &str) -> Result<(Address, u64), CliError> {
    let invalid =
        |reason: String| CliError::usage("allocation_invalid", format!("--allocate {text}: {reason}"));
    let (owner, amount) =
        text.split_once('=').ok_or_else(|| invalid("ADDRESS=COINS is needed".to_owned()))?;
    let owner = address::parse(prefix, owner).map_err(|error| invalid(error.to_string()))?;
    let Coins(amount) =
        amount.parse().map_err(|error: steelyard_core::amount::AmountError| invalid(error.to_string()))?;
    Ok((owner, amount))
}

/// Tries a second on one thread.
fn measure(params: &Params) -> u64 {
    let header = params.genesis().header;
    let (started, mut tries) = (clock::start(), 0);
    while started.elapsed() < MEASURE_FOR {
        // A target that nothing meets: every try is made.
        let _ = search(&header, U256::zero(), tries, MEASURE_TRIES);
        tries += MEASURE_TRIES;
    }
    let micros = started.elapsed().as_micros().max(1);
    u64::try_from(u128::from(tries) * 1_000_000 / micros).unwrap_or(u64::MAX)
}

/// The target that takes so many tries on average, no easier than networks allow.
fn start_bits(tries: u128) -> u32 {
    let target = U256::MAX / U256::from(tries.max(1));
    let easiest = from_bits(LIMIT_BITS_MAX).expect("a constant of the rules");
    to_bits(target.min(easiest))
}

/// Writes a file that must not be there yet; a failed write leaves none.
fn write_new(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut open = OpenOptions::new().write(true).create_new(true).open(file)?;
    let written = open.write_all(bytes).and_then(|()| open.sync_all());
    if written.is_err() {
        // The first failure is the one to tell.
        let _ = fs::remove_file(file);
    }
    written
}

fn refusal(file: &Path, error: &io::Error) -> CliError {
    let file = file.display();
    match error.kind() {
        ErrorKind::AlreadyExists => CliError::refused("file_exists", format!("{file} is there already"))
            .with_hint("its network may be in use: give another --out FILE, or remove it yourself"),
        _ => CliError::other("io", format!("cannot write {file}: {error}")),
    }
}

fn show(written: &Written, params: &Params, out: Output) {
    let file = written.file.display();
    out.line(&format!("wrote {file}"));
    out.line(&format!("  network      {}, id {}", written.network, written.network_id));
    let halving = match params.halving_interval {
        0 => "never halved".to_owned(),
        blocks => format!("halved every {}", words::count(blocks, "block")),
    };
    let (spacing, reward) = (words::spacing(params.spacing), Coins(params.reward));
    out.line(&format!("  a block      every {spacing}, pays {reward}, {halving}"));
    let owners = words::count(params.allocations.len() as u64, "allocation");
    out.line(&format!("  from start   {} coins in {owners}", written.allocated));
    let rate =
        written.hash_rate.map_or(String::new(), |rate| format!(" ({} a second here)", words::grouped(rate)));
    out.line(&format!(
        "  difficulty   about {} tries for the first block{rate}",
        words::grouped(written.start_tries)
    ));
    out.line("Every node and wallet of the network needs this same file. Next:");
    out.line(&format!("  {}", written.next));
    out.json(written);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(name: &str) -> NewNetworkArgs {
        NewNetworkArgs {
            name: name.to_owned(),
            spacing: 30_000,
            reward: Coins(1),
            halving: Some(7),
            allocate: Vec::new(),
            prefix: "sy".to_owned(),
            max_block_txs: 32,
            start_tries: Some(1 << 28),
            out: None,
        }
    }

    #[test]
    fn the_first_target_takes_the_tries_asked_for() {
        assert_eq!(start_bits(0), LIMIT_BITS_MAX);
        assert_eq!(start_bits(1), LIMIT_BITS_MAX);
        for power in [1u32, 10, 28, 63] {
            let tries = 1u128 << power;
            let work = work_of(from_bits(start_bits(tries)).unwrap()).unwrap();
            assert!(work >= tries && work <= tries + tries / 1_000 + 1, "{power}: {work}");
        }
    }

    #[test]
    fn what_was_asked_for_is_what_the_network_is() {
        let (alice, bob) = (Address([9; 32]), Address([1; 32]));
        let mut args = args("class-7");
        args.allocate = vec![
            format!("{}=1.5", address::format("sy", &alice)),
            format!("{}=0.00000001", address::format("sy", &bob)),
        ];
        let (params, rate) = network(&args).unwrap();
        assert_eq!(params.allocations, [(bob, 1), (alice, 150_000_000)]);
        assert_eq!((params.reward, params.halving_interval, params.block_txs_max), (1, 7, 32));
        assert_eq!(rate, None);
        assert_eq!(from_toml(&to_toml(&params)), Ok(params));
    }

    #[test]
    fn a_machine_is_measured_when_nobody_says_how_hard_it_is_to_be() {
        let mut args = args("class-7");
        args.start_tries = None;
        let (params, rate) = network(&args).unwrap();
        assert!(rate.unwrap() > 0);
        assert!(params.start_bits < LIMIT_BITS_MAX);
    }

    #[test]
    fn wrong_requests_are_refused_before_anything_is_written() {
        let code = |change: fn(&mut NewNetworkArgs)| {
            let mut args = args("class-7");
            change(&mut args);
            network(&args).unwrap_err().code
        };
        assert_eq!(code(|args| args.name = "dev".to_owned()), "name_taken");
        assert_eq!(code(|args| args.name = "Class 7".to_owned()), "network_invalid");
        assert_eq!(code(|args| args.prefix = "s1".to_owned()), "network_invalid");
        assert_eq!(code(|args| args.spacing = 0), "network_invalid");
        assert_eq!(code(|args| args.allocate = vec!["sy1".to_owned()]), "allocation_invalid");
        assert_eq!(code(|args| args.allocate = vec!["sy1=1".to_owned()]), "allocation_invalid");
        let twice = |args: &mut NewNetworkArgs| {
            let one = format!("{}=1", address::format("sy", &Address([9; 32])));
            args.allocate = vec![one.clone(), one];
        };
        assert_eq!(code(twice), "allocation_invalid");
    }

    #[test]
    fn a_file_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("class.toml");
        write_new(&file, b"one").unwrap();
        let error = write_new(&file, b"two").unwrap_err();
        assert_eq!(refusal(&file, &error).code, "file_exists");
        assert_eq!(fs::read(&file).unwrap(), b"one");
    }
}
