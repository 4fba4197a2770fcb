//! What several commands show alike: of which moment figures are, a send as a card, text that came
//! from elsewhere. Must not know how any of it was asked for.

use steelyard_core::amount::Coins;
use steelyard_runtime::{clock, words};

use crate::rpc::types::{AsOf, Tx};

/// Text that others wrote, fit for a terminal: what could command it is shown and not done.
pub fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() { shown.extend(letter.escape_unicode()) } else { shown.push(letter) }
    }
    shown
}

/// Names and values in two columns; a name without a value is left out.
pub fn card(rows: &[(&str, Option<String>)]) -> String {
    let rows: Vec<(&str, &String)> =
        rows.iter().filter_map(|(name, value)| Some((*name, value.as_ref()?))).collect();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let lines: Vec<String> = rows.iter().map(|(name, value)| format!("  {name:<width$}  {value}")).collect();
    lines.join("\n")
}

/// "as of block 12 (0000ab12…), 3.2 s ago, header-proven, not buried".
pub fn as_of(moment: &AsOf, now: u64) -> String {
    let trust = if moment.proven {
        "proven".to_owned()
    } else {
        format!("{}-proven, not buried", plain(&moment.trust))
    };
    format!(
        "as of block {} ({}), {} ago, {trust}",
        words::grouped(moment.height),
        words::short(&moment.id),
        words::age(now.saturating_sub(moment.time)),
    )
}

/// What has to be said of figures that no node has confirmed of late.
pub fn not_synced(moment: &AsOf) -> Option<&'static str> {
    (!moment.synced).then_some(
        "NOT SYNCED: no node has confirmed this of late, it may be out of date (steelyard-wallet status says why)",
    )
}

/// A send, whole.
pub fn tx(tx: &Tx) -> String {
    let amount = tx.amount.as_ref().map_or("all that can be spent".to_owned(), Coins::to_string);
    let reason = tx.reason.as_ref().map_or(String::new(), |reason| format!(": {}", plain(reason)));
    let block = tx.height.zip(tx.block).map(|(height, id)| {
        let depth = words::count(tx.confirmations, "confirmation");
        format!("{} {id}, {depth}", words::grouped(height))
    });
    let expiry = tx.expiry.filter(|_| !tx.is_final);
    card(&[
        ("send", Some(tx.id.to_string())),
        ("wallet", Some(tx.wallet.to_string())),
        ("state", Some(format!("{}{reason}", plain(&tx.state)))),
        ("next", tx.next_action.as_deref().map(plain)),
        ("amount", Some(amount)),
        ("fee", tx.fee.as_ref().map(Coins::to_string)),
        ("to", Some(plain(&tx.to))),
        ("from", tx.from.as_deref().map(plain)),
        ("memo", Some(plain(&tx.memo)).filter(|memo| !memo.is_empty())),
        ("tx", tx.tx_id.as_ref().map(ToString::to_string)),
        ("nonce", tx.nonce.map(|nonce| nonce.to_string())),
        ("block", block),
        ("expires", expiry.map(after)),
        ("asked", Some(clock::rfc3339(tx.created))),
        ("changed", Some(clock::rfc3339(tx.changed))),
    ])
}

/// When something is void that no block holds by then; 0 is never.
pub fn after(expiry: u64) -> String {
    if expiry == 0 { "never".to_owned() } else { format!("after block {}", words::grouped(expiry)) }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use steelyard_core::hash::{BlockId, TxId};

    /// A moment that nobody doubts.
    pub fn moment() -> AsOf {
        AsOf {
            height: 1_234,
            id: BlockId([0xab; 32]),
            depth: 0,
            time: 1_000,
            proven: false,
            synced: true,
            trust: "header".to_owned(),
            node: "127.0.0.1:9333".to_owned(),
        }
    }

    /// A send that a node has.
    pub fn pending() -> Tx {
        Tx {
            id: "order-7".parse().unwrap(),
            wallet: "dev".parse().unwrap(),
            state: "pending".to_owned(),
            is_final: false,
            reason: Some("a node has it".to_owned()),
            next_action: None,
            tx_id: Some(TxId([0xcd; 32])),
            from: Some("dsy1from".to_owned()),
            to: "dsy1to".to_owned(),
            amount: Some(Coins(150_000_000)),
            fee: Some(Coins(0)),
            nonce: Some(4),
            expiry: Some(1_005),
            memo: "tea\u{1b}[2J".to_owned(),
            created: 0,
            changed: 0,
            height: None,
            block: None,
            confirmations: 0,
        }
    }

    #[test]
    fn a_moment_says_how_old_and_how_sure_it_is() {
        assert_eq!(
            as_of(&moment(), 4_200),
            "as of block 1,234 (abababab…), 3.2 s ago, header-proven, not buried"
        );
        assert_eq!(not_synced(&moment()), None);
        let late = AsOf { synced: false, ..moment() };
        assert!(not_synced(&late).unwrap().starts_with("NOT SYNCED"));
        assert!(as_of(&AsOf { proven: true, ..moment() }, 0).ends_with("0.00 s ago, proven"));
    }

    #[test]
    fn a_send_is_shown_whole_and_commands_no_terminal() {
        let text = tx(&pending());
        for line in [
            "  send     order-7",
            "  state    pending: a node has it",
            "  amount   1.5",
            "  memo     tea\\u{1b}[2J",
            "  expires  after block 1,005",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(!text.contains('\u{1b}') && !text.contains("block    "), "{text}");
        let mut settled = pending();
        (settled.is_final, settled.height, settled.block) = (true, Some(1_000), Some(BlockId([1; 32])));
        settled.confirmations = 1;
        let text = tx(&settled);
        assert!(text.contains("\n  block    1,000 0101") && text.contains(", 1 confirmation\n"), "{text}");
        assert!(!text.contains("expires"), "{text}");
    }

    #[test]
    fn what_was_not_said_is_left_out() {
        assert_eq!(
            card(&[("a", Some("1".to_owned())), ("long", None), ("bcd", Some("2".to_owned()))]),
            "  a    1\n  bcd  2"
        );
    }
}
