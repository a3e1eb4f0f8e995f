//! The line formats: how one record becomes one line.

mod json;
mod original;
#[cfg(test)]
mod tests;
mod text;

use crate::record::{Record, TopicPartition};

/// How a record is written as a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    /// The value as it is. A null value gives an empty line. A newline inside a value is kept.
    Raw,
    /// One JSON object with everything that is known of the record.
    Json,
    /// The line of the PHP system that pandad replaces.
    Original,
}

impl LineFormat {
    /// Appends the record's line, newline included.
    pub fn append(self, out: &mut Vec<u8>, partition: &TopicPartition, record: &Record<'_>) {
        match self {
            LineFormat::Raw => out.extend_from_slice(record.value.unwrap_or_default()),
            LineFormat::Json => json::append(out, partition, record),
            LineFormat::Original => original::append(out, record),
        }
        out.push(b'\n');
    }
}
