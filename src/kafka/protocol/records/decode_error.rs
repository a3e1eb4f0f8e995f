//! Why a record set cannot be decoded, in words for the log.

use std::fmt;

/// A record set that cannot be decoded from an offset on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeError {
    /// The first offset that could not be decoded. Every record below it was delivered.
    pub next: i64,
    /// The cause.
    pub why: DecodeErrorKind,
}

/// Why bytes cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeErrorKind {
    /// The bytes do not have the required form. The text says what is wrong.
    Malformed(&'static str),
    /// The checksum does not match the content.
    Checksum,
    /// The message format is later than 2. Its number.
    Format(u8),
    /// The compression codec is not supported.
    Codec {
        /// The number of the codec.
        codec: u8,
        /// The last offset of the compressed entry.
        last: i64,
    },
    /// The compressed bytes cannot be decompressed: the name of the codec, and the reason.
    Compressed(&'static str, &'static str),
    /// A record, or a block that can only be decompressed whole, is larger than
    /// [`super::RECORD_BYTES_MAX`].
    TooLarge,
}

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => f.write_str(what),
            Self::Checksum => f.write_str("the checksum does not match the content"),
            Self::Format(magic) => write!(f, "message format {magic} is not supported"),
            // The bytes are not damaged, so the text says what helps.
            Self::Codec { codec, last } => write!(
                f,
                "compression codec {codec} is not supported; a version of pandad that supports it resumes \
                 there, this one once Kafka has deleted the records below offset {}",
                last.saturating_add(1)
            ),
            Self::Compressed(codec, why) => write!(f, "{codec}: {why}"),
            Self::TooLarge => {
                write!(f, "a record is larger than {} MiB when decompressed", super::RECORD_BYTES_MAX >> 20)
            }
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the records from offset {} on cannot be read: {}", self.next, self.why)
    }
}
