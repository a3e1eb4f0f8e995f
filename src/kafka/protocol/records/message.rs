//! Messages of format 0 and 1 ("Message sets" in the protocol guide; KIP-31, KIP-32), plain or in a
//! compressed wrapper.

use super::RECORD_BYTES_MAX;
use super::codec::Codecs;
use super::decode_error::DecodeErrorKind;
use super::feed::Feed;
use super::output::{DecodeStop, RecordOutput};
use super::set_entry::{FRAMING_BYTES, SetEntry, entry_len, field_at};
use super::window::Window;
use crate::record::Record;

/// The CRC follows the framing, and covers everything after the CRC itself.
const CRC_COVERS_FROM: usize = FRAMING_BYTES + 4;
/// The base offset of a wrapper is known only at its end. A wrapper with at most so many
/// decompressed bytes stays in memory; a larger one is decompressed a second time.
const WRAPPER_BYTES_BUFFERED_MAX: usize = 1 << 20;

/// One message.
struct Message<'a> {
    attributes: u8,
    timestamp: Option<i64>,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
}

impl<'a> Message<'a> {
    /// Checks the CRC, then reads a message of this format; `bytes` include the framing.
    fn read(magic: u8, bytes: &'a [u8]) -> Result<Self, DecodeErrorKind> {
        let checked = bytes.get(CRC_COVERS_FROM..).unwrap_or_default();
        if u32::from_be_bytes(field_at(bytes, FRAMING_BYTES)?) != crc32fast::hash(checked) {
            return Err(DecodeErrorKind::Checksum);
        }
        let [_, attributes] = field_at(checked, 0)?;
        let (timestamp, fields) = match magic {
            0 => (None, 2),
            _ => (Some(i64::from_be_bytes(field_at(checked, 2)?)), 10),
        };
        let mut rest = checked.get(fields..).unwrap_or_default();
        let (key, value) = (nullable_bytes(&mut rest)?, nullable_bytes(&mut rest)?);
        if !rest.is_empty() {
            return Err(DecodeErrorKind::Malformed("a message has more bytes than fields"));
        }
        Ok(Self { attributes, timestamp, key, value })
    }

    fn codec(&self) -> u8 {
        self.attributes & 7
    }

    /// Whether the broker set the timestamp; format 0 has none.
    fn has_append_time(&self) -> bool {
        self.timestamp.is_some() && self.attributes & 8 != 0
    }
}

/// A length and so many bytes; a length of -1 is null.
fn nullable_bytes<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, DecodeErrorKind> {
    let short = DecodeErrorKind::Malformed("a field reaches beyond the end of its message");
    let (length, behind) = rest.split_first_chunk().ok_or(short)?;
    *rest = behind;
    let length = i32::from_be_bytes(*length);
    if length == -1 {
        return Ok(None);
    }
    let length =
        usize::try_from(length).map_err(|_| DecodeErrorKind::Malformed("a field's length is negative"))?;
    let (taken, behind) = rest.split_at_checked(length).ok_or(short)?;
    *rest = behind;
    Ok(Some(taken))
}

/// Delivers the message, or the messages in the wrapper.
pub(super) fn decode(
    entry: &SetEntry<'_>,
    codecs: &mut Codecs,
    window: &mut Window,
    out: &mut RecordOutput<'_>,
) -> Result<(), DecodeStop> {
    if out.is_below_next(entry.last) {
        return Ok(());
    }
    let message = Message::read(entry.magic, entry.bytes)?;
    if message.codec() == 0 {
        let record = Record {
            offset: entry.offset,
            timestamp: message.timestamp,
            append_time: message.has_append_time(),
            key: message.key,
            value: message.value,
            headers: None,
        };
        return out.deliver(&record, true);
    }
    decode_wrapper(entry, &message, codecs, window, out)
}

/// Delivers the messages in a wrapper.
fn decode_wrapper(
    entry: &SetEntry<'_>,
    wrapper: &Message<'_>,
    codecs: &mut Codecs,
    window: &mut Window,
    out: &mut RecordOutput<'_>,
) -> Result<(), DecodeStop> {
    let packed = wrapper.value.ok_or(DecodeErrorKind::Malformed("a wrapper is empty"))?;
    window.clear();
    let mut compressed = codecs.open(wrapper.codec(), entry, packed)?;
    let mut all = false;
    while !all && window.bytes().len() < WRAPPER_BYTES_BUFFERED_MAX {
        all = !compressed.decompress_more(window)?;
    }
    let inner = InnerMessages {
        magic: entry.magic,
        append_time: wrapper.timestamp.filter(|_| wrapper.has_append_time()),
        entry,
    };
    if all {
        let messages = window.bytes();
        let base = inner.base(&mut Feed::Plain(messages))?;
        return inner.give(&mut Feed::Plain(messages), base, out);
    }
    let base = inner.base(&mut Feed::Through(compressed, window))?;
    window.clear();
    let again = codecs.open(wrapper.codec(), entry, packed)?;
    inner.give(&mut Feed::Through(again, window), base, out)
}

/// What a wrapper says of the messages in it.
struct InnerMessages<'a> {
    magic: u8,
    /// The timestamp of all messages, if the broker set it.
    append_time: Option<i64>,
    entry: &'a SetEntry<'a>,
}

impl InnerMessages<'_> {
    /// The number to add to the offsets of the messages. In format 0 they are absolute. In format 1
    /// they are relative, and the offset of the wrapper is that of its last message (KIP-31).
    fn base(&self, feed: &mut Feed<'_>) -> Result<i64, DecodeErrorKind> {
        let mut last = None;
        while let Some((offset, whole)) = self.header(feed)? {
            if self.magic == 0 {
                return Ok(0);
            }
            last = Some(offset);
            feed.skip(whole)?;
        }
        let last = last.ok_or(DecodeErrorKind::Malformed("a wrapper is empty"))?;
        self.entry.offset.checked_sub(last).ok_or(DecodeErrorKind::Malformed("an offset is too low"))
    }

    /// The offset of the next message, and its length with the framing; `None` at the end.
    fn header(&self, feed: &mut Feed<'_>) -> Result<Option<(i64, usize)>, DecodeErrorKind> {
        if feed.look_for_end()? {
            return Ok(None);
        }
        let header = feed.require(CRC_COVERS_FROM + 1)?;
        let (offset, magic) =
            (i64::from_be_bytes(field_at(header, 0)?), field_at::<1>(header, CRC_COVERS_FROM)?);
        if magic != [self.magic] {
            return Err(DecodeErrorKind::Malformed("a message is of another format than its wrapper"));
        }
        Ok(Some((offset, entry_len(header, self.magic)?)))
    }

    fn give(&self, feed: &mut Feed<'_>, base: i64, out: &mut RecordOutput<'_>) -> Result<(), DecodeStop> {
        while let Some((offset, whole)) = self.header(feed)? {
            if whole > RECORD_BYTES_MAX {
                return Err(DecodeErrorKind::TooLarge.into());
            }
            let offset =
                base.checked_add(offset).ok_or(DecodeErrorKind::Malformed("an offset is too high"))?;
            let message = Message::read(self.magic, feed.require(whole)?)?;
            if message.codec() != 0 {
                return Err(DecodeErrorKind::Malformed("a wrapper is in a wrapper").into());
            }
            let record = Record {
                offset,
                timestamp: self.append_time.or(message.timestamp),
                append_time: self.append_time.is_some() || message.has_append_time(),
                key: message.key,
                value: message.value,
                headers: None,
            };
            // The offset of the wrapper is that of its last message.
            out.deliver(&record, offset == self.entry.last)?;
            feed.consume(whole);
        }
        Ok(())
    }
}
