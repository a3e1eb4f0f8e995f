//! The grammar of items: which field an item stands for. Pure.

/// The field that an item stands for: the segment after the last `:`, up to its first `_`. The
/// item `USER_CACHE_OVERDUE:7_12` stands for the field `7`. An item without `:` is one segment.
/// `None`: the field would be empty.
pub(super) fn field(item: &[u8]) -> Option<&[u8]> {
    let segment = item.rsplit(|byte| *byte == b':').next()?;
    let field = segment.split(|byte| *byte == b'_').next()?;
    (!field.is_empty()).then_some(field)
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn a_field_is_what_the_original_took_for_one() {
        for (item, expected) in [
            ("USER_CACHE_OVERDUE:7_12", Some("7")),
            ("USER_CACHE_OVERDUE:7_12_9", Some("7")),
            ("a:b:31", Some("31")),
            ("foo", Some("foo")),
            ("sess:7_x", Some("7")),
            ("0", Some("0")),
            ("x:", None),
            ("x:_5", None),
            ("", None),
        ] {
            assert_eq!(field(item.as_bytes()), expected.map(str::as_bytes), "{item}");
        }
        assert_eq!(field(b"k:\xff\x00_1"), Some(&b"\xff\x00"[..]));
    }
}
