//! A record's headers in message format 2. They are checked once, when the record is read, and then read
//! from the record's own bytes, so that they need no allocation. Names may repeat; the order is the
//! producer's.

use std::fmt;

/// The name of a header and its value, `None` for null.
pub type Header<'a> = (&'a [u8], Option<&'a [u8]>);

/// A record's headers, borrowed from the bytes that the record was read from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Headers<'a> {
    /// The headers without their count, known to be well formed.
    bytes: &'a [u8],
}

impl<'a> Headers<'a> {
    /// The headers at the end of a record of format 2 (KIP-82): a count, then for each header the length of
    /// its name, the name, the length of its value (-1 for null) and the value. All numbers are zigzag
    /// varints. `None` if the bytes are anything else.
    pub fn check(bytes: &'a [u8]) -> Option<Self> {
        // Almost every record has no headers at all.
        if bytes == [0] {
            return Some(Self { bytes: &[] });
        }
        let (count, headers) = varint(bytes)?;
        let mut rest = headers;
        // A header takes at least two bytes, so a wrong count ends where the bytes end.
        for _ in 0..u32::try_from(count).ok()? {
            rest = split(rest)?.1;
        }
        rest.is_empty().then_some(Self { bytes: headers })
    }

    /// Walks the headers in the producer's order.
    pub fn iter(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let (header, behind) = split(rest)?;
            rest = behind;
            Some(header)
        })
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Takes one header off the front.
fn split(bytes: &[u8]) -> Option<(Header<'_>, &[u8])> {
    let (name, rest) = nullable(bytes)?;
    let (value, rest) = nullable(rest)?;
    Some(((name?, value), rest))
}

/// Bytes that follow their length. A negative length stands for null.
fn nullable(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (length, rest) = varint(bytes)?;
    if length < 0 {
        return Some((None, rest));
    }
    let (taken, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((Some(taken), rest))
}

/// A zigzag varint of 32 bits, as in Protocol Buffers.
fn varint(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let mut value = 0u32;
    let mut rest = bytes;
    for shift in [0, 7, 14, 21, 28] {
        let (byte, behind) = rest.split_first()?;
        rest = behind;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(((value >> 1) as i32 ^ -((value & 1) as i32), rest));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_repeat_and_null_and_empty_values_are_kept_in_order() {
        let bytes = b"\x08\x02a\x02x\x02a\x02y\x00\x01\x02b\x00";
        let headers: Vec<_> = Headers::check(bytes).unwrap().iter().collect();
        let expected: [Header<'_>; 4] =
            [(b"a", Some(b"x")), (b"a", Some(b"y")), (b"", None), (b"b", Some(b""))];
        assert_eq!(headers, expected);
        assert_eq!(Headers::check(b"\0").unwrap().iter().count(), 0);
    }

    #[test]
    fn bytes_that_are_not_headers_are_refused() {
        let lies: [&[u8]; 9] = [
            b"",
            b"\x01",
            b"\x00\x00",
            b"\x02\x02a",
            b"\x02\x01\x00",
            b"\x02\x04a\x00",
            b"\x02\x02a\x04x",
            b"\xfe\xff\xff\xff\x0f",
            b"\xff\xff\xff\xff\xff\x01",
        ];
        for lie in lies {
            assert_eq!(Headers::check(lie), None, "{lie:?}");
        }
    }
}
