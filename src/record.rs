//! A record, the name of a partition, and the content of a commit.

mod headers;
mod leader_epochs;

use std::fmt;
use std::sync::Arc;

pub use headers::{Header, Headers};
pub use leader_epochs::{EpochStart, LeaderEpochs};

/// One partition of one topic.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// Names a partition.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

impl fmt::Debug for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The id of a topic (KIP-516). One that is deleted and created again has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicId(u128);

impl TopicId {
    /// `None` for 0, which says nothing.
    pub fn new(id: u128) -> Option<Self> {
        (id != 0).then_some(Self(id))
    }

    /// The id as a number.
    pub fn number(self) -> u128 {
        self.0
    }
}

/// As Kafka's tools show it.
impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        // 22 digits of six bits; the last four bits are zeros.
        for place in 0..22 {
            let bits = if place < 21 { self.0 >> (122 - 6 * place) } else { self.0 << 4 };
            let digit = DIGITS.get(usize::try_from(bits & 0x3f).unwrap_or(0)).copied();
            fmt::Write::write_char(f, char::from(digit.unwrap_or(b'A')))?;
        }
        Ok(())
    }
}

/// An offset to be committed for a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Which partition.
    pub partition: TopicPartition,
    /// The next offset to read.
    pub offset: i64,
    /// The string that the group keeps beside the offset. Empty if the group's storage keeps none.
    pub metadata: String,
}

/// The metadata that the group keeps beside a partition's offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OffsetMetadata {
    /// No metadata, because the group's offsets are in ZooKeeper, which has no room for it.
    Unsupported,
    /// This string. Empty if the group has no metadata or no offset.
    Text(String),
}

/// The content of the string beside a committed offset: `pandad1:<identity>:<epoch>:<offset>`. It says
/// which journal committed, and in which history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// The identity of the journal that committed; 0 in a claim.
    pub identity: u128,
    /// The random name of the history that the offset belongs to. Compared for equality only.
    pub epoch: u64,
    /// The offset that the token was committed with.
    pub offset: i64,
}

impl Token {
    /// The token for an offset that somebody else has set. The offset is committed again with this token.
    /// If somebody sets the same offset once more, the missing token shows it.
    pub fn claim(epoch: u64, offset: i64) -> Self {
        Self { identity: 0, epoch, offset }
    }

    /// Whether this is a token made by [`Self::claim`].
    pub fn is_claim(&self) -> bool {
        self.identity == 0
    }

    /// The token beside this offset. `None` if the string is not a token, or if the token names another
    /// offset: tools copy these strings.
    pub fn naming(offset: i64, beside: &str) -> Option<Self> {
        Self::parse(beside).filter(|token| token.offset == offset)
    }

    /// Reads a token. `None` if the string is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let form = parts.next()?;
        let identity = u128::from_str_radix(parts.next()?, 16).ok()?;
        let epoch = u64::from_str_radix(parts.next()?, 16).ok()?;
        let offset = parts.next()?.parse().ok()?;
        let token = Self { identity, epoch, offset };
        (form == "pandad1" && parts.next().is_none()).then_some(token)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pandad1:{:032x}:{:016x}:{}", self.identity, self.epoch, self.offset)
    }
}

/// One record from Kafka, borrowed from the reply that brought it.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The record's offset in its partition.
    pub offset: i64,
    /// Milliseconds since 1970, or -1 if the producer gave none. `None` if the message format (0)
    /// has no timestamps, or the client library does not give them.
    pub timestamp: Option<i64>,
    /// Whether the broker set the timestamp when it appended the record (`LogAppendTime`), and not
    /// the producer (`CreateTime`).
    pub append_time: bool,
    /// The key; `None` for null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` for null.
    pub value: Option<&'a [u8]>,
    /// The headers. `None` if the message format (0, 1) has none, or the client library does not
    /// give them.
    pub headers: Option<Headers<'a>>,
}

impl<'a> Record<'a> {
    /// A record without timestamp and headers.
    pub fn bare(offset: i64, key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Self {
        Self { offset, timestamp: None, append_time: false, key, value, headers: None }
    }

    /// A CRC of the content. It is kept with a position, so that a later comparison shows whether the log
    /// is still the same.
    ///
    /// Null counts as empty, and neither timestamp nor headers are covered: not every client library gives
    /// them, and a position must outlive a change of client.
    pub fn fingerprint(&self) -> u32 {
        let key = self.key.unwrap_or_default();
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&(key.len() as u64).to_be_bytes());
        hasher.update(key);
        hasher.update(self.value.unwrap_or_default());
        hasher.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_tells_key_from_value() {
        let record = |key, value| Record::bare(1, key, value);
        let a = record(Some(b"ab".as_slice()), Some(b"c".as_slice()));
        let b = record(Some(b"a".as_slice()), Some(b"bc".as_slice()));
        assert_ne!(a.fingerprint(), b.fingerprint());
        assert_eq!(record(None, None).fingerprint(), record(Some(b""), Some(b"")).fingerprint());
    }

    #[test]
    fn a_token_counts_beside_its_own_offset_only() {
        let token = Token { identity: 5, epoch: 3, offset: 90 };
        assert_eq!(Token::naming(90, &token.to_string()), Some(token));
        assert_eq!(Token::naming(91, &token.to_string()), None, "copied by a tool");
        assert_eq!(Token::naming(90, "a note"), None);
        let claim = Token::claim(3, 90);
        assert_eq!((claim.epoch, claim.offset), (3, 90));
        assert_eq!((claim.is_claim(), token.is_claim()), (true, false));
        assert_eq!(Token::naming(90, &claim.to_string()), Some(claim));
    }

    #[test]
    fn tokens_come_back_and_others_do_not_pass() {
        let token = Token { identity: u128::MAX, epoch: 3, offset: -1 };
        assert_eq!(Token::parse(&token.to_string()), Some(token));
        for other in ["", "pandad1", "pandad1:0:0:0:0", "pandad2:0:0:0", "pandad1:x:0:0"] {
            assert_eq!(Token::parse(other), None, "{other}");
        }
    }
}
