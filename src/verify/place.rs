//! Which record a line is of, as far as the line says so.

/// What the lines of a log say of their records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinePlaces {
    /// Topic, partition and offset: the format `json`.
    Json,
    /// The offset: the format `original`.
    Original,
    /// Nothing.
    Nothing,
}

/// What one line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SaidPlace<'a> {
    /// Topic and partition; `None` if the line does not say them.
    pub(super) partition: Option<(&'a [u8], i32)>,
    pub(super) offset: i64,
}

impl LinePlaces {
    /// Reads the beginning of a line. `None`: it says nothing, or is no line of this format.
    pub(super) fn read(self, head: &[u8]) -> Option<SaidPlace<'_>> {
        match self {
            LinePlaces::Json => {
                let rest = head.strip_prefix(b"{\"topic\":\"")?;
                // No character of a topic's name is escaped.
                let (topic, rest) = rest.split_at(memchr::memchr(b'"', rest)?);
                let (partition, rest) = number(rest.strip_prefix(b"\",\"partition\":")?)?;
                let (offset, _) = number(rest.strip_prefix(b",\"offset\":")?)?;
                Some(SaidPlace { partition: Some((topic, i32::try_from(partition).ok()?)), offset })
            }
            LinePlaces::Original => {
                let (offset, _) = number(head.strip_prefix(b"consumer_message:{\"offset\":")?)?;
                Some(SaidPlace { partition: None, offset })
            }
            LinePlaces::Nothing => None,
        }
    }
}

/// Decimal digits, and what follows; something must follow.
fn number(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit()).filter(|end| *end > 0)?;
    let (digits, rest) = bytes.split_at(end);
    let add = |sum: i64, digit: &u8| sum.checked_mul(10)?.checked_add(i64::from(digit - b'0'));
    Some((digits.iter().try_fold(0, add)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_where_their_records_are() {
        let json = LinePlaces::Json.read(br#"{"topic":"a.b","partition":3,"offset":42,"timestamp":1"#);
        assert_eq!(json, Some(SaidPlace { partition: Some((b"a.b", 3)), offset: 42 }));
        let original = LinePlaces::Original.read(br#"consumer_message:{"offset":7,"size":39"#);
        assert_eq!(original, Some(SaidPlace { partition: None, offset: 7 }));
        for torn in [&br#"{"topic":"a.b","partition":3,"offset":4"#[..], b"{\"topic\":\"a", b"", b"x"] {
            assert_eq!(LinePlaces::Json.read(torn), None);
        }
        let large = br#"consumer_message:{"offset":99999999999999999999,"#;
        assert_eq!(LinePlaces::Original.read(large), None);
        assert_eq!(LinePlaces::Nothing.read(b"x"), None);
    }
}
