//! The field types of Kafka's messages in their non-flexible encoding: big-endian numbers, and
//! strings and lists that follow their length (the protocol guide's "Protocol Primitive Types"). Those of
//! the flexible encoding are in [`compact`].
//!
//! [`WireReader`] compares each length with the bytes that are left in the frame before it
//! allocates, and never panics.

mod compact;

use std::fmt;
use std::ops::Range;

/// The bytes are not the expected message. The text says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

const TRUNCATED: Malformed = Malformed("a field reaches beyond the end of the frame");

/// The number of list items for which memory is reserved before they are read. Longer lists grow as
/// items are read.
const LIST_RESERVE_MAX: usize = 64;

/// Reads fields one after the other from the front of a frame.
#[derive(Debug)]
pub struct WireReader<'a> {
    rest: &'a [u8],
    /// The length of the whole frame.
    whole: usize,
}

impl<'a> WireReader<'a> {
    /// Reads this frame, or the rest of one.
    pub fn new(frame: &'a [u8]) -> Self {
        Self { rest: frame, whole: frame.len() }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(taken)
    }

    /// BOOLEAN: one byte; 0 is false.
    ///
    /// # Errors
    /// The frame ends before it.
    pub fn bool(&mut self) -> Result<bool, Malformed> {
        Ok(self.array::<1>()? != [0])
    }

    /// INT16.
    ///
    /// # Errors
    /// The frame ends before it.
    pub fn i16(&mut self) -> Result<i16, Malformed> {
        self.array().map(i16::from_be_bytes)
    }

    /// INT32.
    ///
    /// # Errors
    /// The frame ends before it.
    pub fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    /// INT64.
    ///
    /// # Errors
    /// The frame ends before it.
    pub fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    /// NULLABLE_STRING: an INT16 length and so many bytes of UTF-8; a length of -1 is null.
    ///
    /// # Errors
    /// The string is cut, is not UTF-8, or its length is below -1.
    pub fn nullable_string(&mut self) -> Result<Option<&'a str>, Malformed> {
        let length = self.i16()?;
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| Malformed("a string's length is negative"))?;
        let text = std::str::from_utf8(self.take(length)?);
        text.map(Some).map_err(|_| Malformed("a string is not UTF-8"))
    }

    /// STRING: as [`Self::nullable_string`], but never null.
    ///
    /// # Errors
    /// As [`Self::nullable_string`], and if the string is null.
    pub fn string(&mut self) -> Result<&'a str, Malformed> {
        self.nullable_string()?.ok_or(Malformed("a string is null"))
    }

    /// NULLABLE_BYTES: an INT32 length and so many bytes; a length of -1 is null.
    ///
    /// # Errors
    /// The bytes are cut, or their length is below -1.
    pub fn nullable_bytes(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let length = self.i32()?;
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| Malformed("a length of bytes is negative"))?;
        self.take(length).map(Some)
    }

    /// NULLABLE_BYTES, as the range of the frame in which the bytes stand. Null gives an empty
    /// range.
    ///
    /// # Errors
    /// The bytes are cut, or their length is below -1.
    pub fn bytes_range(&mut self) -> Result<Range<usize>, Malformed> {
        let length = match self.i32()? {
            -1 => 0,
            length => usize::try_from(length).map_err(|_| Malformed("a length is negative"))?,
        };
        let at = self.whole - self.rest.len();
        self.take(length)?;
        Ok(at..at + length)
    }

    /// ARRAY that may be null (its count is -1); otherwise as [`Self::list`].
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn nullable_list<T>(
        &mut self,
        least: usize,
        item: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<Vec<T>>, Malformed> {
        let mut ahead = WireReader { rest: self.rest, whole: self.whole };
        if ahead.i32()? == -1 {
            *self = ahead;
            return Ok(None);
        }
        self.list(least, item).map(Some)
    }

    /// ARRAY: an INT32 count and so many items, each of which takes at least `least` bytes of the
    /// frame.
    ///
    /// # Errors
    /// The rest of the frame cannot hold so many items, or an item is malformed.
    pub fn list<T>(
        &mut self,
        least: usize,
        item: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.i32()?;
        let count = usize::try_from(count).map_err(|_| Malformed("a list's count is negative"))?;
        self.items(count, least, item)
    }

    fn items<T>(
        &mut self,
        count: usize,
        least: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        if count > self.rest.len() / least.max(1) {
            return Err(Malformed("a list's count is more than the frame can hold"));
        }
        let mut list = Vec::with_capacity(count.min(LIST_RESERVE_MAX));
        for _ in 0..count {
            list.push(item(self)?);
        }
        Ok(list)
    }

    /// How many bytes of the frame are left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Checks that the message ends here.
    ///
    /// # Errors
    /// Bytes are left, so the frame held another message.
    pub fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed("bytes follow the message")) }
    }
}

/// Appends fields. A value that does not fit its length field is remembered, and [`Self::finish`]
/// refuses the message, so that no message is cut and no length is wrong.
#[derive(Debug, Default)]
pub struct WireWriter {
    bytes: Vec<u8>,
    too_long: bool,
}

/// A string or a list is longer than its length field can express.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl WireWriter {
    /// BOOLEAN.
    pub fn bool(&mut self, value: bool) {
        self.i8(i8::from(value));
    }

    /// INT8.
    pub fn i8(&mut self, value: i8) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// INT16.
    pub fn i16(&mut self, value: i16) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// INT32.
    pub fn i32(&mut self, value: i32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// INT64.
    pub fn i64(&mut self, value: i64) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// STRING.
    pub fn string(&mut self, text: &str) {
        match i16::try_from(text.len()) {
            Ok(length) => self.i16(length),
            Err(_) => self.too_long = true,
        }
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// NULLABLE_STRING.
    pub fn nullable_string(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None => self.i16(-1),
        }
    }

    /// BYTES.
    pub fn bytes(&mut self, bytes: &[u8]) {
        match i32::try_from(bytes.len()) {
            Ok(length) => self.i32(length),
            Err(_) => self.too_long = true,
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// ARRAY.
    pub fn list<T>(&mut self, items: impl ExactSizeIterator<Item = T>, mut item: impl FnMut(&mut Self, T)) {
        match i32::try_from(items.len()) {
            Ok(count) => self.i32(count),
            Err(_) => self.too_long = true,
        }
        items.for_each(|one| item(self, one));
    }

    /// The bytes of the message, without the length of its frame.
    ///
    /// # Errors
    /// One of the values was too long for its length field.
    pub fn finish(self) -> Result<Vec<u8>, TooLong> {
        if self.too_long { Err(TooLong) } else { Ok(self.bytes) }
    }
}

#[cfg(test)]
mod tests;
