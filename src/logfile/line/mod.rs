//! The lines of a log file: which records have one, and what it looks like.

mod filter;
mod json;
mod original;
mod template;
#[cfg(test)]
mod tests;
mod text;

pub use filter::RecordFilter;

use crate::line_template::LineTemplate;
use crate::record::{Record, TopicPartition};

/// How a record is written as a line.
#[derive(Debug, Clone)]
pub enum LineFormat {
    /// The value as it is. A null value gives an empty line.
    Raw,
    /// One JSON object with everything that is known of the record.
    Json,
    /// The line of the PHP system that pandad replaces.
    Original,
    /// As the template says.
    Template(LineTemplate),
}

/// Makes the line of each record, or filters the record out. Whoever compares a log file with its topics must
/// use the same formatter as the job that writes the file.
#[derive(Debug, Clone)]
pub struct LineFormatter {
    format: LineFormat,
    /// `None` lets every record pass.
    filter: Option<RecordFilter>,
    escapes_newlines: bool,
}

impl LineFormatter {
    /// A formatter that filters nothing out and keeps newlines.
    pub fn new(format: LineFormat) -> Self {
        Self { format, filter: None, escapes_newlines: false }
    }

    /// Filters out the records that do not pass.
    #[must_use]
    pub fn filtered(self, filter: RecordFilter) -> Self {
        let filter = Some(filter).filter(|filter| *filter != RecordFilter::default());
        Self { filter, ..self }
    }

    /// Escapes the newlines in what `raw` and a template take from a record as it is.
    #[must_use]
    pub fn escaping_newlines(self) -> Self {
        Self { escapes_newlines: true, ..self }
    }

    /// Appends the record's line, newline included. False if the record is filtered out: it has no line.
    #[must_use]
    pub fn append(&mut self, out: &mut Vec<u8>, partition: &TopicPartition, record: &Record<'_>) -> bool {
        if self.filter.as_ref().is_some_and(|filter| !filter.passes(record)) {
            return false;
        }
        match &mut self.format {
            LineFormat::Raw => text::bytes(out, record.value.unwrap_or_default(), self.escapes_newlines),
            LineFormat::Json => json::append(out, partition, record),
            LineFormat::Original => original::append(out, record),
            LineFormat::Template(template) => {
                template::append(out, template, self.escapes_newlines, partition, record);
            }
        }
        out.push(b'\n');
        true
    }
}
