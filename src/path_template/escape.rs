//! Values as parts of names: no value leaves its component, and no two values give one name.

use twox_hash::XxHash3_128;

/// A record without a key. No escaped value is like this or the next, because `%` is escaped and what
/// follows `%` in an escape are two digits, the letters in upper case.
const NO_KEY: &[u8] = b"%null";
const EMPTY: &[u8] = b"%empty";
/// What stands before the hash in a shortened name.
const SHORTENED: &str = "%~";
/// The bytes of that and of the hash.
pub(super) const HASH_BYTES: usize = SHORTENED.len() + 32;

/// Writes a value in pieces. What could lead to another directory, hide a file, break a line or be taken for
/// a placeholder is written as `%2F`; so are bytes that are no text.
pub(super) fn escape(value: Option<&[u8]>, out: &mut impl FnMut(&[u8])) {
    let value = match value {
        None => return out(NO_KEY),
        Some([]) => return out(EMPTY),
        Some(value) => value,
    };
    // With its first byte escaped, neither a value nor a text with a value can be `.` or `..`.
    let mut rest = value;
    if let Some(behind) = value.strip_prefix(b".") {
        escape_byte(b'.', out);
        rest = behind;
    }
    for chunk in rest.utf8_chunks() {
        let mut text = chunk.valid();
        while let Some(found) = text.chars().find(|char| is_escaped(*char))
            && let Some((before, behind)) = text.split_once(found)
        {
            out(before.as_bytes());
            found.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| escape_byte(byte, out));
            text = behind;
        }
        out(text.as_bytes());
        chunk.invalid().iter().for_each(|byte| escape_byte(*byte, out));
    }
}

fn is_escaped(char: char) -> bool {
    matches!(char, '/' | '%' | '{' | '}') || char.is_control()
}

fn escape_byte(byte: u8, out: &mut impl FnMut(&[u8])) {
    let digit = |number: u8| if number < 10 { b'0' + number } else { b'A' + number - 10 };
    out(&[b'%', digit(byte >> 4), digit(byte & 15)]);
}

/// A name in the making. Of a long one only the beginning is kept, and a hash of all.
#[derive(Default)]
pub(super) struct NameBuffer {
    bytes_max: usize,
    kept: Vec<u8>,
    /// The hash of all that came, once it is more than is kept.
    hasher: Option<XxHash3_128>,
}

impl NameBuffer {
    /// Begins a name of at most so many bytes.
    pub fn begin(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
        self.kept.clear();
        self.hasher = None;
    }

    /// Appends to the name.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.hasher.is_none() && self.kept.len() + bytes.len() > self.bytes_max {
            let mut hasher = XxHash3_128::with_seed(0);
            hasher.write(&self.kept);
            self.hasher = Some(hasher);
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.write(bytes);
        }
        let free = self.bytes_max.saturating_sub(self.kept.len());
        self.kept.extend(bytes.iter().take(free));
    }

    /// Appends the name and its end to `out`. If both together are too long, the name is shortened to its
    /// beginning and the hash of all of it. The template has been checked to leave room for the hash.
    pub fn finish(&mut self, end: &[u8], out: &mut Vec<u8>) {
        if self.hasher.is_none() && self.kept.len() + end.len() <= self.bytes_max {
            out.extend_from_slice(&self.kept);
            out.extend_from_slice(end);
            return;
        }
        let hash = match self.hasher.take() {
            Some(hasher) => hasher.finish_128(),
            None => XxHash3_128::oneshot_with_seed(0, &self.kept),
        };
        let free = self.bytes_max.saturating_sub(HASH_BYTES + end.len());
        out.extend_from_slice(beginning(&self.kept, free));
        out.extend_from_slice(format!("{SHORTENED}{hash:032x}").as_bytes());
        out.extend_from_slice(end);
    }
}

/// At most so many bytes of a name, without half a character or half an escape at the end.
fn beginning(name: &[u8], bytes: usize) -> &[u8] {
    let cut = name.get(..bytes).unwrap_or(name);
    let cut = match cut.utf8_chunks().last() {
        Some(last) => cut.get(..cut.len() - last.invalid().len()).unwrap_or_default(),
        None => cut,
    };
    let half = cut.iter().rev().take(2).position(|byte| *byte == b'%');
    half.and_then(|behind| cut.get(..cut.len() - behind - 1)).unwrap_or(cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(value: &[u8]) -> String {
        let mut out = Vec::new();
        escape(Some(value), &mut |bytes| out.extend_from_slice(bytes));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_confined_to_their_component() {
        for (value, name) in [
            (b"".as_slice(), "%empty"),
            (b"%empty", "%25empty"),
            (b"a/b", "a%2Fb"),
            (b"../..", "%2E.%2F.."),
            (b".", "%2E"),
            (b"a.b", "a.b"),
            (b"{key}", "%7Bkey%7D"),
            (b"a\0\n\x7f", "a%00%0A%7F"),
            (b"50%", "50%25"),
            ("grün é 中 \u{85}".as_bytes(), "grün é 中 %C2%85"),
            (b"a\xff\xc3(", "a%FF%C3("),
        ] {
            assert_eq!(escaped(value), name);
        }
        let mut out = Vec::new();
        escape(None, &mut |bytes| out.extend_from_slice(bytes));
        assert_eq!(out, NO_KEY);
    }

    fn name(pieces: &[&[u8]], end: &str, bytes_max: usize) -> String {
        let (mut name, mut out) = (NameBuffer::default(), Vec::new());
        name.begin(bytes_max);
        pieces.iter().for_each(|piece| name.push(piece));
        name.finish(end.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_long_name_is_its_beginning_a_hash_and_its_end() {
        assert_eq!(name(&[&[b'a'; 36]], ".log", 40), format!("{}.log", "a".repeat(36)));
        let hash = |length| format!("{:032x}", XxHash3_128::oneshot_with_seed(0, &vec![b'a'; length]));
        assert_eq!(name(&[&[b'a'; 37]], ".log", 40), format!("aa%~{}.log", hash(37)));
        assert_eq!(name(&[&[b'a'; 37], &[b'a'; 9_000]], ".log", 40), format!("aa%~{}.log", hash(9_037)));
        for (begin, kept) in
            [("aé", "a"), ("a%2F", "a"), ("%2F", ""), ("%C3%A9", ""), ("éa", "é"), ("中", "")]
        {
            let long = name(&[begin.as_bytes(), &[b'b'; 40]], "", 36);
            assert_eq!(long.split_once("%~").unwrap().0, kept, "{begin}");
            assert!(long.len() <= 36 && long.len() >= 34, "{long}");
        }
    }
}
