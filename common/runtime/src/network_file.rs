//! A network's parameters as a file that people read and edit: TOML, every key present, every
//! unit in its key's name. What is read is checked; what is written reads back as the same value.
//!
//! Must not know what a parameter means to the rules: bounds are those of [`Params::check`].

use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use steelyard_core::address;
use steelyard_core::amount::Coins;
use steelyard_core::hash::Address;
use steelyard_core::params::{NodePolicy, Params, ParamsError};
use toml::{Table, Value};

use crate::exit::CliError;

/// Bytes of the largest file that is read: some 500,000 allocations.
pub const FILE_BYTES_MAX: usize = 64 * 1024 * 1024;

const HEAD: &str = "\
# A Steelyard network. Every node and wallet of the network needs these same parameters: whoever
# changes anything outside [policy] has made another network, with another id.
";

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkFileError {
    /// More than [`FILE_BYTES_MAX`].
    #[error("longer than {} MiB", FILE_BYTES_MAX / (1024 * 1024))]
    TooLong,
    /// Not TOML.
    #[error("no valid TOML: {reason}")]
    NotToml {
        /// Where and why, in the parser's words.
        reason: String,
    },
    /// A key that means nothing.
    #[error("unknown key \"{key}\"")]
    UnknownKey {
        /// The key with its table.
        key: String,
    },
    /// A key that is not there.
    #[error("the key \"{key}\" is missing")]
    MissingKey {
        /// The key with its table.
        key: String,
    },
    /// A value that is not of its key's kind.
    #[error("\"{key}\": {reason}")]
    Invalid {
        /// The key with its table.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// A value out of its bounds.
    #[error(transparent)]
    OutOfBounds(#[from] ParamsError),
}

/// The built-in network of that name, or the one in the file of that name.
///
/// # Errors
/// There is neither, or as [`read`].
pub fn named(network: &str) -> Result<Params, CliError> {
    match network {
        "dev" => Ok(Params::dev()),
        "tutorial" => Ok(Params::tutorial()),
        file if Path::new(file).exists() => read(Path::new(file)),
        other => Err(CliError::usage(
            "unknown_network",
            format!("there is no network or network file \"{other}\""),
        )
        .with_hint("dev and tutorial are built in; steelyard-node new-network NAME writes a file")),
    }
}

/// Reads a network from the file at `path`.
///
/// # Errors
/// Those of the machine and [`NetworkFileError`], as wrong usage that names the file.
pub fn read(path: &Path) -> Result<Params, CliError> {
    let refused = |code: &str, reason: &dyn std::fmt::Display| {
        let error = CliError::usage(code, format!("network file {}: {reason}", path.display()));
        error.with_hint("steelyard-node new-network NAME writes such a file")
    };
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes));
    read.map_err(|error| refused("network_file_unreadable", &error))?;
    let text = String::from_utf8(bytes).map_err(|_| refused("network_file_invalid", &"not UTF-8 text"))?;
    from_toml(&text).map_err(|error| refused("network_file_invalid", &error))
}

/// Writes every parameter, with comments.
#[must_use]
pub fn to_toml(params: &Params) -> String {
    let mut text = HEAD.to_owned();
    let mut put = |key: &str, value: &dyn std::fmt::Display, comment: &str| {
        let _ = writeln!(text, "{:<34} # {comment}", format!("{key} = {value}"));
    };
    put("name", &quoted(&params.name), "1 to 32 of a-z, 0-9 and the hyphen; the folder of its data");
    put("prefix", &quoted(&params.prefix), "what its addresses begin with, before the 1");
    put("genesis_time_ms", &params.genesis_time, "unix time of the first block");
    put("spacing_ms", &params.spacing, "intended time from block to block");
    put("half_life_ms", &params.half_life, "a delay that halves the difficulty; 0: it never changes");
    put("drift_ms", &params.drift, "how far ahead of a node's clock a block may be");
    put("limit_bits", &bits(params.limit_bits), "easiest target, compact");
    put("start_bits", &bits(params.start_bits), "target of the first block, compact");
    put("reward", &quoted(&Coins(params.reward)), "coins for block 1");
    put("halving_interval", &params.halving_interval, "blocks until the reward halves; 0: never");
    put("block_bytes_max", &params.block_bytes_max, "largest block");
    put("block_txs_max", &params.block_txs_max, "transactions of a block; 0: as many as its bytes hold");
    put("new_records_max", &params.new_records_max, "records that a block may add to the state");
    text.push_str("\n[policy] # not part of the rules: may differ from node to node\n");
    let mut put = |key: &str, value: u64, comment: &str| {
        let _ = writeln!(text, "{:<34} # {comment}", format!("{key} = {value}"));
    };
    put("relay_fee_min", params.policy.relay_fee_min, "least fee, base units a byte");
    put("proven_depth", params.policy.proven_depth, "blocks above a payment for a wallet to call it proven");
    put("p2p_port", params.policy.p2p_port.into(), "default port for peers");
    put("api_port", params.policy.api_port.into(), "default port of the API");
    for (owner, amount) in &params.allocations {
        let owner = address::format(&params.prefix, owner);
        let _ = write!(text, "\n[[allocations]]\naddress = \"{owner}\"\namount = \"{}\"\n", Coins(*amount));
    }
    text
}

/// Reads and checks what [`to_toml`] writes. The order of keys and of allocations is free.
///
/// # Errors
/// [`NetworkFileError`] names the first key that is wrong.
pub fn from_toml(text: &str) -> Result<Params, NetworkFileError> {
    if text.len() > FILE_BYTES_MAX {
        return Err(NetworkFileError::TooLong);
    }
    let table =
        text.parse::<Table>().map_err(|error| NetworkFileError::NotToml { reason: in_one_line(&error) })?;
    let mut top = Keys { table, within: String::new() };
    let mut policy = top.table("policy")?;
    let prefix = top.text("prefix")?;
    let mut params = Params {
        name: top.text("name")?,
        genesis_time: top.number("genesis_time_ms")?,
        spacing: top.number("spacing_ms")?,
        half_life: top.number("half_life_ms")?,
        drift: top.number("drift_ms")?,
        limit_bits: top.bits("limit_bits")?,
        start_bits: top.bits("start_bits")?,
        reward: top.coins("reward")?,
        halving_interval: top.number("halving_interval")?,
        block_bytes_max: top.number("block_bytes_max")?,
        block_txs_max: top.number("block_txs_max")?,
        new_records_max: top.number("new_records_max")?,
        allocations: Vec::new(),
        policy: NodePolicy {
            relay_fee_min: policy.number("relay_fee_min")?,
            proven_depth: policy.number("proven_depth")?,
            p2p_port: policy.number("p2p_port")?,
            api_port: policy.number("api_port")?,
        },
        prefix,
    };
    policy.end()?;
    let allocations = top.table.remove("allocations");
    top.end()?;
    // The prefix is known to be good before addresses are held against it.
    params.check()?;
    params.allocations = allocations.map_or(Ok(Vec::new()), |list| read_allocations(list, &params.prefix))?;
    params.check()?;
    Ok(params)
}

fn read_allocations(list: Value, prefix: &str) -> Result<Vec<(Address, u64)>, NetworkFileError> {
    let Value::Array(list) = list else {
        return Err(invalid("allocations", "[[allocations]] tables are needed"));
    };
    let mut allocations = Vec::with_capacity(list.len());
    for (place, value) in list.into_iter().enumerate() {
        let within = format!("allocations[{place}].");
        let Value::Table(table) = value else { return Err(invalid("allocations", "tables are needed")) };
        let mut keys = Keys { table, within };
        let owner = keys.text("address")?;
        let owner =
            address::parse(prefix, &owner).map_err(|error| invalid(&keys.dotted("address"), error))?;
        allocations.push((owner, keys.coins("amount")?));
        keys.end()?;
    }
    allocations.sort_unstable();
    if let Some(pair) = allocations.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let twice = address::format(prefix, &pair[0].0);
        return Err(invalid("allocations", format!("{twice} is there twice")));
    }
    Ok(allocations)
}

/// A table whose keys are taken one by one until none is left.
struct Keys {
    table: Table,
    within: String,
}

impl Keys {
    fn dotted(&self, key: &str) -> String {
        format!("{}{key}", self.within)
    }

    fn take(&mut self, key: &str) -> Result<Value, NetworkFileError> {
        self.table.remove(key).ok_or_else(|| NetworkFileError::MissingKey { key: self.dotted(key) })
    }

    fn table(&mut self, key: &str) -> Result<Keys, NetworkFileError> {
        match self.take(key)? {
            Value::Table(table) => Ok(Keys { table, within: format!("{}.", self.dotted(key)) }),
            _ => Err(invalid(&self.dotted(key), "a table is needed")),
        }
    }

    fn text(&mut self, key: &str) -> Result<String, NetworkFileError> {
        match self.take(key)? {
            Value::String(text) => Ok(text),
            _ => Err(invalid(&self.dotted(key), "text in quotes is needed")),
        }
    }

    fn number<T: TryFrom<i64>>(&mut self, key: &str) -> Result<T, NetworkFileError> {
        match self.take(key)? {
            Value::Integer(number) => T::try_from(number)
                .map_err(|_| invalid(&self.dotted(key), format!("{number} is out of bounds"))),
            _ => Err(invalid(&self.dotted(key), "a whole number is needed")),
        }
    }

    fn coins(&mut self, key: &str) -> Result<u64, NetworkFileError> {
        let text = self.text(key)?;
        let Coins(units) = text.parse().map_err(|error| invalid(&self.dotted(key), error))?;
        Ok(units)
    }

    fn bits(&mut self, key: &str) -> Result<u32, NetworkFileError> {
        let text = self.text(key)?;
        let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 8 && !digits.starts_with('+'));
        let bits = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        bits.ok_or_else(|| invalid(&self.dotted(key), "\"0x\" and 8 hex digits are needed"))
    }

    fn end(self) -> Result<(), NetworkFileError> {
        match self.table.keys().next() {
            Some(key) => Err(NetworkFileError::UnknownKey { key: self.dotted(key) }),
            None => Ok(()),
        }
    }
}

fn invalid(key: &str, reason: impl ToString) -> NetworkFileError {
    NetworkFileError::Invalid { key: key.to_owned(), reason: reason.to_string() }
}

/// Names, prefixes and decimals hold nothing that TOML would escape.
fn quoted(text: &dyn std::fmt::Display) -> String {
    format!("\"{text}\"")
}

fn bits(bits: u32) -> String {
    format!("\"{bits:#010x}\"")
}

/// The parser's message without its picture of the text, whose lines may be long.
fn in_one_line(error: &toml::de::Error) -> String {
    let whole = error.to_string();
    let place = whole.lines().next().filter(|line| line.contains(" at line ")).unwrap_or_default();
    let place = place.trim_start_matches("TOML parse error ");
    format!("{} {place}", error.message()).trim_end().replace('\n', ", ")
}

#[cfg(test)]
mod tests;
