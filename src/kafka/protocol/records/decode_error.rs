//! What is wrong with a record set, in words for the log.

use std::fmt;

/// A record set that cannot be read on from an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeError {
    /// Where it cannot be read on: every record before it was delivered.
    pub next: i64,
    /// What is wrong there.
    pub why: DecodeErrorKind,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeErrorKind {
    /// The bytes do not have the form that they should.
    Malformed(&'static str),
    /// The content is not what was written.
    Checksum,
    /// A message format of later than 2.
    Format(u8),
    /// A compression codec that is not known.
    Codec {
        /// Its number.
        codec: u8,
        /// The last offset of what it compressed.
        last: i64,
    },
    /// What is compressed cannot be decompressed: the codec's name, and why.
    Compressed(&'static str, &'static str),
    /// A record, or a piece that can only be decompressed whole, of more bytes than
    /// are taken into memory ([`super::RECORD_BYTES_MAX`]).
    TooLarge,
}

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => f.write_str(what),
            Self::Checksum => f.write_str("the checksum is not that of the content"),
            Self::Format(magic) => write!(f, "message format {magic} is not known"),
            // Nothing is wrong with it, so it says what helps.
            Self::Codec { codec, last } => write!(
                f,
                "compression codec {codec} is not known; a pandad that knows it goes on there, this one once \
                 Kafka has deleted what is below offset {}",
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
