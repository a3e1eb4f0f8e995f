//! The field types of the flexible encoding (KIP-482) that are used: lengths are variable, and tagged fields
//! may end each structure.

use super::{Malformed, TRUNCATED, WireReader, WireWriter};

impl<'a> WireReader<'a> {
    /// UNSIGNED_VARINT: seven bits a byte, the lowest first (KIP-482).
    ///
    /// # Errors
    /// It is cut, or has more than 32 bits.
    pub fn unsigned_varint(&mut self) -> Result<u32, Malformed> {
        let mut value = 0;
        for shift in (0..32).step_by(7) {
            let [byte] = self.array::<1>()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0xf {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed("a number has more than 32 bits"))
    }

    /// A length of a compact field, which is one more in the bytes; 0 stands for null.
    fn compact_length(&mut self) -> Result<Option<usize>, Malformed> {
        let length = usize::try_from(self.unsigned_varint()?).map_err(|_| TRUNCATED)?;
        Ok(length.checked_sub(1))
    }

    /// COMPACT_NULLABLE_STRING.
    ///
    /// # Errors
    /// The string is cut, or is not UTF-8.
    pub fn compact_nullable_string(&mut self) -> Result<Option<&'a str>, Malformed> {
        let Some(length) = self.compact_length()? else { return Ok(None) };
        let text = std::str::from_utf8(self.take(length)?);
        text.map(Some).map_err(|_| Malformed("a string is not UTF-8"))
    }

    /// COMPACT_STRING.
    ///
    /// # Errors
    /// As [`Self::compact_nullable_string`], and if the string is null.
    pub fn compact_string(&mut self) -> Result<&'a str, Malformed> {
        self.compact_nullable_string()?.ok_or(Malformed("a string is null"))
    }

    /// COMPACT_ARRAY, as [`Self::list`].
    ///
    /// # Errors
    /// As [`Self::list`], and if the list is null.
    pub fn compact_list<T>(
        &mut self,
        least: usize,
        item: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.compact_length()?.ok_or(Malformed("a list is null"))?;
        self.items(count, least, item)
    }

    /// UUID: 16 bytes.
    ///
    /// # Errors
    /// The frame ends before it.
    pub fn uuid(&mut self) -> Result<u128, Malformed> {
        self.array().map(u128::from_be_bytes)
    }

    /// Passes over the tagged fields that end each structure of a flexible version (KIP-482).
    ///
    /// # Errors
    /// They are cut.
    pub fn skip_tagged_fields(&mut self) -> Result<(), Malformed> {
        let count = self.unsigned_varint()?;
        for _ in 0..count {
            let _tag = self.unsigned_varint()?;
            let length = self.unsigned_varint()?;
            self.take(usize::try_from(length).map_err(|_| TRUNCATED)?)?;
        }
        Ok(())
    }
}

impl WireWriter {
    /// UNSIGNED_VARINT.
    pub(super) fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push((value & 0x7f) as u8);
    }

    /// The length of a compact field that is not null.
    fn compact_length(&mut self, length: usize) {
        match u32::try_from(length).ok().and_then(|length| length.checked_add(1)) {
            Some(length) => self.unsigned_varint(length),
            None => self.too_long = true,
        }
    }

    /// COMPACT_STRING.
    pub fn compact_string(&mut self, text: &str) {
        self.compact_length(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// COMPACT_ARRAY.
    pub fn compact_list<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        mut item: impl FnMut(&mut Self, T),
    ) {
        self.compact_length(items.len());
        items.for_each(|one| item(self, one));
    }

    /// COMPACT_ARRAY that is null.
    pub fn compact_null(&mut self) {
        self.unsigned_varint(0);
    }

    /// UUID.
    pub fn uuid(&mut self, id: u128) {
        self.bytes.extend_from_slice(&id.to_be_bytes());
    }

    /// No tagged fields.
    pub fn no_tagged_fields(&mut self) {
        self.unsigned_varint(0);
    }
}
