//! The item grammar: which field an item stands for. Pure.

/// The last segment after a `:`, up to its first `_`: `USER_CACHE_OVERDUE:7_12` is the
/// field `7`. An item without `:` is one segment. `None` when nothing is left.
pub(super) fn field(item: &[u8]) -> Option<&[u8]> {
    let segment = item.rsplit(|byte| *byte == b':').next()?;
    let field = segment.split(|byte| *byte == b'_').next()?;
    (!field.is_empty()).then_some(field)
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn as_the_original_took_it_apart() {
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
