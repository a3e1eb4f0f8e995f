//! Which records have a line, by their keys, headers and values.

use crate::pattern::{HeaderPattern, Pattern};
use crate::record::Record;

/// Each rule that is set must let a record pass. By default every record passes.
///
/// What is null or absent matches no pattern. Bytes that are not UTF-8 count as U+FFFD.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecordFilter {
    /// The record's key must match.
    pub include_key: Option<Pattern>,
    /// The record's key must not match.
    pub exclude_key: Option<Pattern>,
    /// A header of the record must match.
    pub include_header: Option<HeaderPattern>,
    /// No header of the record may match.
    pub exclude_header: Option<HeaderPattern>,
    /// Records whose value is null do not pass.
    pub drops_tombstones: bool,
}

impl RecordFilter {
    /// Whether the record has a line.
    pub(super) fn passes(&self, record: &Record<'_>) -> bool {
        let key_matches = |pattern: &Pattern| record.key.is_some_and(|key| matches(pattern, key));
        let header_matches = |pattern: &HeaderPattern| {
            record.headers.as_ref().is_some_and(|headers| {
                headers.iter().any(|(name, value)| {
                    name == pattern.name.as_bytes()
                        && value.is_some_and(|value| matches(&pattern.value, value))
                })
            })
        };
        !(self.drops_tombstones && record.value.is_none())
            && self.include_key.as_ref().is_none_or(key_matches)
            && !self.exclude_key.as_ref().is_some_and(key_matches)
            && self.include_header.as_ref().is_none_or(header_matches)
            && !self.exclude_header.as_ref().is_some_and(header_matches)
    }
}

fn matches(pattern: &Pattern, bytes: &[u8]) -> bool {
    pattern.matches(&String::from_utf8_lossy(bytes))
}
