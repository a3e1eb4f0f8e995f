//! The bytes of Kafka's messages in their non-flexible form: big-endian numbers,
//! strings and lists behind their length. The reader holds every length against what
//! is left of the frame before it allocates, and never panics.

use std::fmt;
use std::ops::Range;

/// The bytes are not the message they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

const TRUNCATED: Malformed = Malformed("a field reaches beyond the end of the frame");

/// How many items of a list get room at once; more come as they are read.
const LIST_RESERVE_MAX: usize = 64;

/// Takes fields off the front of a frame.
#[derive(Debug)]
pub struct WireReader<'a> {
    rest: &'a [u8],
    /// The frame's length.
    whole: usize,
}

impl<'a> WireReader<'a> {
    /// Reads this frame, or what is left of one.
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

    /// A byte that says yes or no.
    ///
    /// # Errors
    /// The frame ends before it.
    pub fn bool(&mut self) -> Result<bool, Malformed> {
        Ok(self.array::<1>()? != [0])
    }

    /// A number of 16 bits.
    ///
    /// # Errors
    /// The frame ends before it.
    pub fn i16(&mut self) -> Result<i16, Malformed> {
        self.array().map(i16::from_be_bytes)
    }

    /// A number of 32 bits.
    ///
    /// # Errors
    /// The frame ends before it.
    pub fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    /// A number of 64 bits.
    ///
    /// # Errors
    /// The frame ends before it.
    pub fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    /// A string; its length of -1 is null.
    ///
    /// # Errors
    /// It is not whole, not UTF-8, or its length is negative otherwise.
    pub fn nullable_string(&mut self) -> Result<Option<&'a str>, Malformed> {
        let length = self.i16()?;
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| Malformed("a string's length is negative"))?;
        let text = std::str::from_utf8(self.take(length)?);
        text.map(Some).map_err(|_| Malformed("a string is not UTF-8"))
    }

    /// A string that may not be null.
    ///
    /// # Errors
    /// As [`Self::nullable_string`], and where it is null.
    pub fn string(&mut self) -> Result<&'a str, Malformed> {
        self.nullable_string()?.ok_or(Malformed("a string is null"))
    }

    /// Bytes behind their length; a length of -1 is null.
    ///
    /// # Errors
    /// They are not whole, or their length is negative otherwise.
    pub fn nullable_bytes(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let length = self.i32()?;
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| Malformed("a length of bytes is negative"))?;
        self.take(length).map(Some)
    }

    /// Bytes behind a length of 32 bits, as the place in the frame where they stand; -1 is
    /// null and as good as none.
    ///
    /// # Errors
    /// They are not whole, or their length is negative otherwise.
    pub fn place(&mut self) -> Result<Range<usize>, Malformed> {
        let length = match self.i32()? {
            -1 => 0,
            length => usize::try_from(length).map_err(|_| Malformed("a length is negative"))?,
        };
        let at = self.whole - self.rest.len();
        self.take(length)?;
        Ok(at..at + length)
    }

    /// A list that may be null (its count is -1); otherwise as [`Self::list`].
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

    /// A list of items, each of which takes at least `least` bytes of the frame.
    ///
    /// # Errors
    /// So many cannot be in what is left of the frame, or one of them is malformed.
    pub fn list<T>(
        &mut self,
        least: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.i32()?;
        let count = usize::try_from(count).map_err(|_| Malformed("a list's count is negative"))?;
        if count > self.rest.len() / least.max(1) {
            return Err(Malformed("a list's count is more than the frame can hold"));
        }
        let mut list = Vec::with_capacity(count.min(LIST_RESERVE_MAX));
        for _ in 0..count {
            list.push(item(self)?);
        }
        Ok(list)
    }

    /// The message ends here.
    ///
    /// # Errors
    /// Bytes are left: it was not the message that it was read as.
    pub fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed("bytes are left behind the message")) }
    }
}

/// Collects fields. What does not fit its length field is remembered and refused at
/// the end, so that a message is never cut or its lengths wrong.
#[derive(Debug, Default)]
pub struct WireWriter {
    bytes: Vec<u8>,
    too_long: bool,
}

/// A string or list is longer than its length field can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl WireWriter {
    /// A byte that says yes or no.
    pub fn bool(&mut self, value: bool) {
        self.i8(i8::from(value));
    }

    /// A number of 8 bits.
    pub fn i8(&mut self, value: i8) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// A number of 16 bits.
    pub fn i16(&mut self, value: i16) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// A number of 32 bits.
    pub fn i32(&mut self, value: i32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// A number of 64 bits.
    pub fn i64(&mut self, value: i64) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// A string behind its length.
    pub fn string(&mut self, text: &str) {
        match i16::try_from(text.len()) {
            Ok(length) => self.i16(length),
            Err(_) => self.too_long = true,
        }
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// A string behind its length, or null.
    pub fn nullable_string(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None => self.i16(-1),
        }
    }

    /// Bytes behind their length.
    pub fn bytes(&mut self, bytes: &[u8]) {
        match i32::try_from(bytes.len()) {
            Ok(length) => self.i32(length),
            Err(_) => self.too_long = true,
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// A list behind its count.
    pub fn list<T>(&mut self, items: impl ExactSizeIterator<Item = T>, mut item: impl FnMut(&mut Self, T)) {
        match i32::try_from(items.len()) {
            Ok(count) => self.i32(count),
            Err(_) => self.too_long = true,
        }
        items.for_each(|one| item(self, one));
    }

    /// The bytes, without a frame's length.
    ///
    /// # Errors
    /// Something in it was too long.
    pub fn finish(self) -> Result<Vec<u8>, TooLong> {
        if self.too_long { Err(TooLong) } else { Ok(self.bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut writer = WireWriter::default();
        writer.bool(true);
        writer.i16(-2);
        writer.i32(i32::MIN);
        writer.i64(i64::MAX);
        writer.string("ü");
        writer.nullable_string(None);
        writer.bytes(&[7, 8]);
        writer.i32(-1);
        writer.list([1, 2, 3].into_iter(), WireWriter::i64);
        let bytes = writer.finish().unwrap();
        let mut reader = WireReader::new(&bytes);
        assert_eq!(reader.bool(), Ok(true));
        assert_eq!(reader.i16(), Ok(-2));
        assert_eq!(reader.i32(), Ok(i32::MIN));
        assert_eq!(reader.i64(), Ok(i64::MAX));
        assert_eq!(reader.string(), Ok("ü"));
        assert_eq!(reader.nullable_string(), Ok(None));
        assert_eq!(reader.nullable_bytes(), Ok(Some([7, 8].as_slice())));
        assert_eq!(reader.nullable_bytes(), Ok(None));
        assert_eq!(reader.list(8, WireReader::i64), Ok(vec![1, 2, 3]));
        assert_eq!(reader.end(), Ok(()));
    }

    #[test]
    fn places_are_those_in_the_whole_frame() {
        let frame = [1, 0, 0, 0, 2, b'a', b'b', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 9];
        let mut reader = WireReader::new(&frame);
        assert_eq!(reader.bool(), Ok(true));
        assert_eq!(reader.place(), Ok(5..7));
        assert_eq!(reader.place(), Ok(11..11));
        assert!(reader.place().is_err());
        let mut reader = WireReader::new(&[0xff; 4]);
        assert_eq!(reader.nullable_list(1, WireReader::bool), Ok(None));
        assert_eq!(reader.end(), Ok(()));
        assert_eq!(
            WireReader::new(&[0, 0, 0, 1, 7]).nullable_list(1, WireReader::bool),
            Ok(Some(vec![true]))
        );
        assert!(WireReader::new(&[0xff, 0xff, 0xff, 0xfe]).nullable_list(1, WireReader::bool).is_err());
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        let huge = i32::MAX.to_be_bytes();
        assert!(WireReader::new(&huge).list(1, WireReader::bool).is_err());
        assert!(WireReader::new(&huge).list(0, |_| Ok(())).is_err(), "items of no size would never end");
        assert!(WireReader::new(&(-1i32).to_be_bytes()).list(1, WireReader::bool).is_err());
        assert!(WireReader::new(&[0, 5, b'a']).string().is_err());
        assert!(WireReader::new(&[0xff, 0xfe]).nullable_string().is_err());
        assert!(WireReader::new(&[0xff, 0xff]).string().is_err());
        assert!(WireReader::new(&[0, 1, 0xff]).string().is_err());
        assert!(WireReader::new(&huge).nullable_bytes().is_err());
        assert!(WireReader::new(&(-2i32).to_be_bytes()).nullable_bytes().is_err());
        assert!(WireReader::new(&[0]).i16().is_err());
        assert!(WireReader::new(&[0]).end().is_err());
    }

    #[test]
    fn what_does_not_fit_its_length_is_refused() {
        let mut writer = WireWriter::default();
        writer.string(&"x".repeat(usize::from(i16::MAX as u16)));
        assert!(writer.finish().is_ok());
        let mut writer = WireWriter::default();
        writer.string(&"x".repeat(40_000));
        assert_eq!(writer.finish(), Err(TooLong));
    }
}
