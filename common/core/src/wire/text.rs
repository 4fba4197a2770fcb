//! Short texts of strangers, which people are shown: bounded, and of visible ASCII only, so that
//! none of them moves a cursor or turns a line around. Must not know what they say.

use std::fmt;

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError as Refusal, EncodeError as EncodeRefusal};
use bincode::{Decode, Encode};

use crate::encode::List;

/// Stands for a character that may not be sent.
const REPLACEMENT: char = '?';

/// Visible ASCII and spaces, at most `MAX` bytes.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// The text, cut to its bound, with a question mark for each character that may not be sent.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let visible = |c: char| if is_visible(c) { c } else { REPLACEMENT };
        Self(text.chars().map(visible).take(MAX).collect())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX: usize> Encode for Text<MAX> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeRefusal> {
        (self.0.len() as u64).encode(encoder)?;
        self.0.bytes().try_for_each(|byte| byte.encode(encoder))
    }
}

impl<const MAX: usize> Decode<()> for Text<MAX> {
    fn decode<D: Decoder<Context = ()>>(decoder: &mut D) -> Result<Self, Refusal> {
        let bytes = List::<u8, MAX>::decode(decoder)?;
        if !bytes.iter().all(|byte| is_visible(char::from(*byte))) {
            return Err(Refusal::Other("a text of more than visible ASCII"));
        }
        Ok(Self(bytes.iter().copied().map(char::from).collect()))
    }
}

fn is_visible(c: char) -> bool {
    c.is_ascii_graphic() || c == ' '
}
