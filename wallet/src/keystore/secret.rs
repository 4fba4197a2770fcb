//! What a user must keep: the words a wallet is made of (BIP 39, English) and the passphrase of
//! its file. Both leave memory with their owner. Must not know files or keys.

use std::fmt;

use bip39::{Language, Mnemonic};
use zeroize::Zeroizing;

use steelyard_runtime::exit::CliError;

use super::random;
use super::stack::swept;

/// Bytes of the longest entropy that words stand for (BIP 39, "Generating the mnemonic"); the
/// shortest has half of it.
pub const ENTROPY_BYTES_MAX: usize = 32;

/// Numbers of words that a sentence may have (BIP 39): 4 bytes of entropy for every three.
pub const WORD_COUNTS: [usize; 5] = [12, 15, 18, 21, 24];
/// Letters of the longest word of the list, and the space after it.
const WORD_CHARS_MAX: usize = 9;

/// A passphrase as it was typed. Its UTF-8 bytes are what counts: nothing is normalised, so what
/// another keyboard composes differently is another passphrase.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes the text over, the buffer too.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Whether there is none: a wallet with an empty passphrase is not encrypted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// A sentence of BIP 39 in English, valid by construction: 12 to 24 words of the list with a right
/// checksum. Only the text is kept, which stays where it is when its owner moves.
pub struct Words(Zeroizing<String>);

/// Why a text is no [`Words`], or why there are none. Never holds a word: it may be a right one.
#[derive(Debug, thiserror::Error)]
pub enum WordsError {
    /// Not one of [`WORD_COUNTS`].
    #[error("{got} words, where 12, 15, 18, 21 or 24 are needed")]
    Count {
        /// How many there are.
        got: usize,
    },
    /// A word that is not in the English list.
    #[error("word {position} is not in the list of BIP 39 words")]
    Unknown {
        /// Which, counted from 1.
        position: usize,
    },
    /// Every word is in the list, but not all of them are the right ones.
    #[error("these words do not belong together: one of them is wrong, or two changed places")]
    Checksum,
    /// The system gave no randomness to make words from.
    #[error("the system gives no randomness: {0}")]
    Randomness(#[source] std::io::Error),
}

impl Words {
    /// New words from the system's randomness; `count` is one of [`WORD_COUNTS`].
    ///
    /// # Errors
    /// [`WordsError::Count`] and [`WordsError::Randomness`].
    pub fn generate(count: usize) -> Result<Self, WordsError> {
        if !WORD_COUNTS.contains(&count) {
            return Err(WordsError::Count { got: count });
        }
        swept(|| {
            let mut entropy = Zeroizing::new([0; ENTROPY_BYTES_MAX]);
            random::fill(entropy.as_mut_slice()).map_err(WordsError::Randomness)?;
            let words = Self::from_entropy(&entropy[..count / 3 * 4]);
            Ok(words.expect("a third of the counts, by four, are the lengths of entropy"))
        })
    }

    /// Reads words. White space and upper case do not matter.
    ///
    /// # Errors
    /// [`WordsError`], the first that applies: count, list, checksum.
    pub fn parse(text: &str) -> Result<Self, WordsError> {
        let lower = Zeroizing::new(text.to_ascii_lowercase());
        match swept(|| Mnemonic::parse_in_normalized(Language::English, &lower).map(|read| Self::of(&read))) {
            Ok(words) => Ok(words),
            Err(bip39::Error::BadWordCount(got)) => Err(WordsError::Count { got }),
            Err(bip39::Error::UnknownWord(index)) => Err(WordsError::Unknown { position: index + 1 }),
            // The two others speak of entropy and of other languages, of which there are none here.
            Err(_) => Err(WordsError::Checksum),
        }
    }

    /// The words of 16, 20, 24, 28 or 32 bytes of entropy; `None` for another length.
    #[must_use]
    pub fn from_entropy(entropy: &[u8]) -> Option<Self> {
        let made =
            swept(|| Mnemonic::from_entropy_in(Language::English, entropy).map(|made| Self::of(&made)));
        made.ok()
    }

    fn of(mnemonic: &Mnemonic) -> Self {
        // The room for all of it at once: a string that grows leaves its shorter self in memory.
        let mut text = Zeroizing::new(String::with_capacity(mnemonic.word_count() * WORD_CHARS_MAX));
        for word in mnemonic.words() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        Self(text)
    }

    fn mnemonic(&self) -> Mnemonic {
        Mnemonic::parse_in_normalized(Language::English, &self.0).expect("valid by construction")
    }

    /// The sentence: lower case, one space between words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many words.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.split(' ').count()
    }

    /// What keys are derived from, 64 bytes: 2,048 rounds of PBKDF2-HMAC-SHA512 (BIP 39, "From
    /// mnemonic to seed"). Wallets here have no BIP 39 passphrase, which is the empty one: without
    /// it, or with a slip in it, the same words would be another wallet, and nothing would say so.
    #[must_use]
    pub fn seed(&self, passphrase: &str) -> Zeroizing<Vec<u8>> {
        swept(|| Zeroizing::new(self.mnemonic().to_seed_normalized(passphrase).to_vec()))
    }

    /// The entropy in the first bytes, and how many they are.
    pub(super) fn entropy(&self) -> (Zeroizing<[u8; ENTROPY_BYTES_MAX]>, usize) {
        let (bytes, length) = self.mnemonic().to_entropy_array();
        let bytes = Zeroizing::new(bytes);
        let mut entropy = Zeroizing::new([0; ENTROPY_BYTES_MAX]);
        entropy[..length].copy_from_slice(&bytes[..length]);
        (entropy, length)
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Words(..)")
    }
}

impl WordsError {
    /// A stable name for programs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Count { .. } => "word_count",
            Self::Unknown { .. } => "unknown_word",
            Self::Checksum => "words_checksum",
            Self::Randomness(_) => "no_randomness",
        }
    }
}

impl From<WordsError> for CliError {
    fn from(error: WordsError) -> Self {
        match error {
            WordsError::Randomness(_) => Self::other(error.name(), error.to_string()),
            _ => Self::usage(error.name(), error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use steelyard_core::params::DEV_WORDS;

    #[test]
    fn every_count_is_generated_and_read_back() {
        for count in WORD_COUNTS {
            let words = Words::generate(count).unwrap();
            assert_eq!((words.count(), words.as_str().split(' ').count()), (count, count));
            assert_eq!(Words::parse(words.as_str()).unwrap().as_str(), words.as_str());
            let (entropy, length) = words.entropy();
            assert_eq!(Words::from_entropy(&entropy[..length]).unwrap().as_str(), words.as_str());
            assert_ne!(Words::generate(count).unwrap().as_str(), words.as_str());
        }
        for count in [0, 11, 13, 16, 27] {
            assert!(matches!(Words::generate(count), Err(WordsError::Count { got }) if got == count));
        }
    }

    #[test]
    fn space_and_case_do_not_matter() {
        let typed = format!("  {}\t\n", DEV_WORDS.replace(' ', " \u{a0} \n").to_uppercase());
        assert_eq!(Words::parse(&typed).unwrap().as_str(), DEV_WORDS);
    }

    #[test]
    fn what_is_wrong_is_said_without_the_word() {
        let fault = |text: &str| Words::parse(text).unwrap_err();
        assert!(matches!(fault(""), WordsError::Count { got: 0 }));
        assert!(matches!(fault("abandon about"), WordsError::Count { got: 2 }));
        assert!(matches!(fault(&["abandon"; 25].join(" ")), WordsError::Count { got: 25 }));
        assert!(matches!(fault(&["abandon"; 12].join(" ")), WordsError::Checksum));
        let typo = DEV_WORDS.replacen("abandon", "Abandom", 1);
        let unknown = fault(&typo);
        assert!(matches!(unknown, WordsError::Unknown { position: 1 }));
        let told = CliError::from(unknown);
        assert_eq!(
            (told.exit, told.code.as_str()),
            (steelyard_runtime::exit::ExitCode::Usage, "unknown_word")
        );
        assert!(!told.message.to_lowercase().contains("abandom"));
        let last = fault(&DEV_WORDS.replace("about", "aböut"));
        assert!(matches!(last, WordsError::Unknown { position: 12 }));
    }
}
