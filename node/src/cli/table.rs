//! Rows of text as columns. Must not know what they hold.

/// The rows below one another, two blanks before and between columns as wide as their widest word.
pub fn table<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let chars = |word: &String| word.chars().count();
    let mut widths = [0; N];
    for row in rows {
        for (width, word) in widths.iter_mut().zip(row) {
            *width = chars(word).max(*width);
        }
    }
    let line = |row: &[String; N]| {
        let words = row.iter().zip(widths).map(|(word, width)| format!("  {word:<width$}"));
        words.collect::<String>().trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_word() {
        let rows = [["a", "bb", "c"], ["ääää", "b", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), ["  a     bb  c", "  ääää  b"]);
        assert!(table::<2>(&[]).is_empty());
    }
}
