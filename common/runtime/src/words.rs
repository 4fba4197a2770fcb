//! Quantities as people read and write them: times, sizes, short ids, shell words. Integers only.

use crate::clock;

/// Hex digits of a shortened id.
const SHORT_CHARS: usize = 8;

/// The first digits of an id.
pub fn short(id: &impl ToString) -> String {
    let text = id.to_string();
    format!("{}…", text.get(..SHORT_CHARS).unwrap_or(&text))
}

/// `0.04 s`, `12.3 s`, `5 min` of milliseconds: three digits are enough for a person.
pub fn age(ms: u64) -> String {
    match ms {
        0..1_000 => format!("0.{:02} s", ms / 10),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..7_200_000 => format!("{} min", ms / 60_000),
        7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} days", ms / 86_400_000),
    }
}

/// `512 bytes`, `4.1 MB`.
pub fn bytes(bytes: u64) -> String {
    let scaled = |unit: u64, name: &str| format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => scaled(1_000, "kB"),
        1_000_000..1_000_000_000 => scaled(1_000_000, "MB"),
        _ => scaled(1_000_000_000, "GB"),
    }
}

/// `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 thread`, `2 threads`.
pub fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

/// A spacing as it is given: `30s`, `500ms`.
pub fn spacing(ms: u64) -> String {
    if ms.is_multiple_of(1_000) { format!("{} s", ms / 1_000) } else { format!("{ms} ms") }
}

/// The time of day in UTC, now.
pub fn time_of_day() -> String {
    let whole = clock::rfc3339(clock::now_ms());
    let time = whole.split_once('T').map_or("", |(_, time)| time);
    time.trim_end_matches('Z').to_owned()
}

/// A word of a shell command, quoted where a shell needs it.
pub fn shell(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"./_-:=".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Reads a time with its unit into milliseconds.
///
/// # Errors
/// What is needed instead.
pub fn parse_time(text: &str) -> Result<u64, String> {
    let needed = || "a whole number and a unit is needed: 500ms, 30s, 2m, 1h or 1d".to_owned();
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(needed)?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| needed())?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(needed()),
    };
    number.checked_mul(unit_ms).ok_or_else(needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_short() {
        assert_eq!(short(&"0123456789abcdef"), "01234567…");
        assert_eq!([age(42), age(1_250), age(59_999), age(125_000)], ["0.04 s", "1.2 s", "59.9 s", "2 min"]);
        assert_eq!([age(7_200_000), age(u64::MAX)], ["2 h", "213503982334 days"]);
        assert_eq!(
            [bytes(999), bytes(4_150_000), bytes(u64::MAX)],
            ["999 bytes", "4.1 MB", "18446744073.7 GB"]
        );
        assert_eq!([grouped(0), grouped(999), grouped(1_234_567)], ["0", "999", "1,234,567"]);
        assert_eq!([count(1, "thread"), count(2, "thread")], ["1 thread", "2 threads"]);
        assert_eq!([spacing(2_000), spacing(1)], ["2 s", "1 ms"]);
        assert_eq!(time_of_day().len(), 8);
    }

    #[test]
    fn times_need_a_unit() {
        let read = ["500ms", "30s", "2m", "1h", "1d"].map(|text| parse_time(text).unwrap());
        assert_eq!(read, [500, 30_000, 120_000, 3_600_000, 86_400_000]);
        for text in
            ["", "30", "s", "-1s", "1.5s", "1 s", "1y", "99999999999999999999s", "18446744073709551615d"]
        {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(shell("class-7.toml"), "class-7.toml");
        assert_eq!(shell("a b"), "'a b'");
        assert_eq!(shell("it's"), r"'it'\''s'");
        assert_eq!(shell(""), "''");
    }
}
