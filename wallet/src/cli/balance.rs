//! `balance`: what a wallet has, and of which moment that is. Must not know where figures come from.

use steelyard_core::amount::Coins;
use steelyard_runtime::clock;
use steelyard_runtime::output::Output;

use super::args::BalanceArgs;
use super::config::Resolved;
use super::failure::Failure;
use super::{shown, which};
use crate::rpc::types::Balance;

/// The command. A daemon that has just begun is given the time to try its nodes once.
///
/// # Errors
/// No such wallet or address, no node has answered yet, or no daemon.
pub fn run(resolved: &Resolved, args: &BalanceArgs, out: Output) -> Result<(), Failure> {
    if let Some(address) = &args.address {
        resolved.check_address("--address", address)?;
    }
    let (client, wallet) = which::open(resolved, out)?;
    let mut path = format!("/wallet/{wallet}/balance?settle=true");
    if let Some(address) = &args.address {
        path += &format!("&address={address}");
    }
    let balance: Balance = client.get(&path)?;
    out.line(&table(&balance, clock::now_ms()));
    out.json(&balance);
    Ok(())
}

fn table(balance: &Balance, now: u64) -> String {
    let coins = |coins: &Coins| Some(coins.to_string());
    let figures = shown::card(&[
        ("address", balance.address.clone()),
        ("spendable", coins(&balance.spendable)),
        ("pending in", coins(&balance.pending_in)),
        ("pending out", coins(&balance.pending_out)),
        ("total", coins(&balance.total)),
    ]);
    let moment = shown::as_of(&balance.as_of, now);
    let warning = shown::not_synced(&balance.as_of).map_or(String::new(), |text| format!("\n{text}"));
    format!("{figures}\n{moment}{warning}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::shown::tests::moment;
    use crate::rpc::types::AsOf;

    #[test]
    fn figures_are_exact_and_say_their_moment() {
        let mut balance = Balance {
            wallet: "dev".parse().unwrap(),
            address: None,
            spendable: Coins(u64::MAX),
            pending_in: Coins(1),
            pending_out: Coins(0),
            total: Coins(150_000_000),
            assets: None,
            as_of: moment(),
        };
        let lines =
            |balance: &Balance| -> Vec<String> { table(balance, 4_200).lines().map(str::to_owned).collect() };
        assert_eq!(
            lines(&balance),
            [
                "  spendable    184467440737.09551615",
                "  pending in   0.00000001",
                "  pending out  0",
                "  total        1.5",
                "as of block 1,234 (abababab…), 3.2 s ago, header-proven, not buried",
            ]
        );
        balance.as_of = AsOf { synced: false, ..moment() };
        assert!(lines(&balance).last().unwrap().starts_with("NOT SYNCED: "));
    }
}
