//! Batches of message format 2 (KIP-98; "Record Batch" in the protocol guide), and the records in
//! them.

use super::RECORD_BYTES_MAX;
use super::aborted::AbortedFilter;
use super::codec::Codecs;
use super::decode_error::DecodeErrorKind;
use super::feed::Feed;
use super::output::{DecodeStop, RecordOutput};
use super::set_entry::{SetEntry, field_at};
use super::window::Window;
use crate::record::{Headers, Record};

/// The length of a batch's header, and the offset in it from which the checksum counts.
const BATCH_HEADER_BYTES: usize = 61;
const CRC_COVERS_FROM: usize = 21;
/// The most bytes that the length of a record can take.
const VARINT_BYTES_MAX: usize = 5;

/// The header of a batch.
pub(super) struct Batch<'a> {
    pub(super) base: i64,
    attributes: i16,
    producer: i64,
    pub(super) count: i32,
    first_timestamp: i64,
    max_timestamp: i64,
    /// The records, compressed or not.
    pub(super) records: &'a [u8],
}

impl<'a> Batch<'a> {
    /// Checks the checksum, then reads the header.
    pub(super) fn read(entry: &SetEntry<'a>) -> Result<Self, DecodeErrorKind> {
        let bytes = entry.bytes;
        let checked = bytes.get(CRC_COVERS_FROM..).unwrap_or_default();
        if u32::from_be_bytes(field_at(bytes, 17)?) != crc32c::crc32c(checked) {
            return Err(DecodeErrorKind::Checksum);
        }
        Ok(Self {
            base: entry.offset,
            attributes: i16::from_be_bytes(field_at(bytes, 21)?),
            first_timestamp: i64::from_be_bytes(field_at(bytes, 27)?),
            max_timestamp: i64::from_be_bytes(field_at(bytes, 35)?),
            producer: i64::from_be_bytes(field_at(bytes, 43)?),
            count: i32::from_be_bytes(field_at(bytes, 57)?),
            records: bytes.get(BATCH_HEADER_BYTES..).unwrap_or_default(),
        })
    }

    /// The header alone.
    pub(super) fn without_records(&self) -> Batch<'static> {
        Batch {
            base: self.base,
            attributes: self.attributes,
            producer: self.producer,
            count: self.count,
            first_timestamp: self.first_timestamp,
            max_timestamp: self.max_timestamp,
            records: &[],
        }
    }

    pub(super) fn codec(&self) -> u8 {
        (self.attributes & 7) as u8
    }

    fn has_append_time(&self) -> bool {
        self.attributes & 8 != 0
    }

    fn is_transactional(&self) -> bool {
        self.attributes & 16 != 0
    }

    pub(super) fn is_control(&self) -> bool {
        self.attributes & 32 != 0
    }

    /// Whether this control batch is the marker of an aborted transaction. The key of its record is
    /// a version and a type, each of 16 bits; type 0 is an abort.
    fn is_abort_marker(&self) -> Result<bool, DecodeErrorKind> {
        if self.codec() != 0 {
            return Err(DecodeErrorKind::Malformed("a control batch is compressed"));
        }
        // Compaction may have removed the record.
        if self.count == 0 {
            return Ok(false);
        }
        let mut fields = Fields { rest: self.records };
        fields.varint()?;
        let (_, _) = (fields.take(1)?, fields.varlong()?);
        fields.varint()?;
        let key = fields.bytes()?.unwrap_or_default();
        let kind: [u8; 2] =
            field_at(key, 2).map_err(|_| DecodeErrorKind::Malformed("a control record has no type"))?;
        Ok(kind == [0, 0])
    }
}

/// Skips a batch, but shows its header to the filter, which needs it for the following batches.
pub(super) fn skip(entry: &SetEntry<'_>, filter: &mut AbortedFilter) -> Result<(), DecodeErrorKind> {
    let batch = Batch::read(entry)?;
    filter.advance_to(entry.last);
    if batch.is_control() && batch.is_abort_marker()? {
        filter.end_transaction(batch.producer);
    }
    Ok(())
}

/// Delivers the records of a batch.
pub(super) fn decode(
    entry: &SetEntry<'_>,
    filter: &mut AbortedFilter,
    codecs: &mut Codecs,
    window: &mut Window,
    out: &mut RecordOutput<'_>,
) -> Result<(), DecodeStop> {
    if out.is_below_next(entry.last) && !filter.is_active() {
        return Ok(());
    }
    let batch = Batch::read(entry)?;
    if filter.is_active() {
        filter.advance_to(entry.last);
        if batch.is_control() && batch.is_abort_marker()? {
            filter.end_transaction(batch.producer);
        } else if batch.is_transactional() && filter.is_aborting(batch.producer) {
            return Ok(());
        }
    }
    if batch.is_control() || out.is_below_next(entry.last) {
        return Ok(());
    }
    let mut feed = match batch.codec() {
        0 => Feed::Plain(batch.records),
        codec => {
            window.clear();
            Feed::Through(codecs.open(codec, entry, batch.records)?, window)
        }
    };
    records(&batch, &mut feed, out)
}

fn records(batch: &Batch<'_>, feed: &mut Feed<'_>, out: &mut RecordOutput<'_>) -> Result<(), DecodeStop> {
    let count =
        u32::try_from(batch.count).map_err(|_| DecodeErrorKind::Malformed("a batch's count is negative"))?;
    for index in 1..=count {
        let record_len = record_len(feed)?;
        let record = record(batch, feed.require(record_len)?)?;
        out.deliver(&record, index == count)?;
        feed.consume(record_len);
    }
    if feed.look_for_end()? {
        Ok(())
    } else {
        Err(DecodeErrorKind::Malformed("a batch has more bytes than records").into())
    }
}

/// The length of the next record in bytes, its length field included.
pub(super) fn record_len(feed: &mut Feed<'_>) -> Result<usize, DecodeErrorKind> {
    while feed.bytes().len() < VARINT_BYTES_MAX && feed.decompress_more()? {}
    let mut fields = Fields { rest: feed.bytes() };
    let before = fields.rest.len();
    if before == 0 {
        return Err(DecodeErrorKind::Malformed("a batch has fewer records than it says"));
    }
    let length = fields.varint()?;
    let length =
        usize::try_from(length).map_err(|_| DecodeErrorKind::Malformed("a record's length is negative"))?;
    if length > RECORD_BYTES_MAX {
        return Err(DecodeErrorKind::TooLarge);
    }
    Ok(before - fields.rest.len() + length)
}

/// Reads the record that takes exactly these bytes.
pub(super) fn record<'a>(batch: &Batch<'_>, bytes: &'a [u8]) -> Result<Record<'a>, DecodeErrorKind> {
    let mut fields = Fields { rest: bytes };
    fields.varint()?;
    // The attributes of a record have no meaning yet.
    fields.take(1)?;
    let delta = fields.varlong()?;
    let offset = batch.base.checked_add(i64::from(fields.varint()?));
    let append_time = batch.has_append_time();
    let timestamp = if append_time { batch.max_timestamp } else { batch.first_timestamp.wrapping_add(delta) };
    Ok(Record {
        offset: offset.ok_or(DecodeErrorKind::Malformed("an offset is too high"))?,
        timestamp: Some(timestamp),
        append_time,
        key: fields.bytes()?,
        value: fields.bytes()?,
        headers: Some(
            Headers::check(fields.rest)
                .ok_or(DecodeErrorKind::Malformed("a record's headers are malformed"))?,
        ),
    })
}

/// Reads the fields of a record one after the other.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeErrorKind> {
        let taken = self.rest.split_at_checked(count);
        let (taken, rest) =
            taken.ok_or(DecodeErrorKind::Malformed("a field reaches beyond the end of its record"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// A zigzag varint of 64 bits.
    fn varlong(&mut self) -> Result<i64, DecodeErrorKind> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(DecodeErrorKind::Malformed("a number has too many bytes"))
    }

    /// A zigzag varint of 32 bits.
    fn varint(&mut self) -> Result<i32, DecodeErrorKind> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i32 ^ -((value & 1) as i32));
            }
        }
        Err(DecodeErrorKind::Malformed("a number has too many bytes"))
    }

    fn byte(&mut self) -> Result<u8, DecodeErrorKind> {
        let (byte, rest) =
            self.rest.split_first().ok_or(DecodeErrorKind::Malformed("a record ends inside a number"))?;
        self.rest = rest;
        Ok(*byte)
    }

    /// A length as varint and so many bytes; a negative length is null.
    fn bytes(&mut self) -> Result<Option<&'a [u8]>, DecodeErrorKind> {
        match usize::try_from(self.varint()?) {
            Ok(length) => self.take(length).map(Some),
            Err(_) => Ok(None),
        }
    }
}
