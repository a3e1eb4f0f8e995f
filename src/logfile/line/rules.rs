//! A line by more than a format: a template, a filter, escaped newlines.

use super::text::escape_newlines;
use super::{LineFormat, RecordFilter, template};
use crate::line_template::LineTemplate;
use crate::record::{Record, TopicPartition};

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct LineRules {
    format: RuledFormat,
    pub(super) filter: RecordFilter,
    pub(super) escapes_newlines: bool,
}

#[derive(Debug, Clone)]
pub(super) enum RuledFormat {
    Plain(LineFormat),
    Template(LineTemplate),
}

impl LineRules {
    /// Rules that let every record pass and keep newlines.
    pub(super) fn new(format: RuledFormat) -> Self {
        Self { format, filter: RecordFilter::default(), escapes_newlines: false }
    }

    /// As [`super::LineFormatter::append`]. Not inlined, so that the loop over the records stays small where
    /// there are no rules.
    #[inline(never)]
    pub(super) fn append(
        &mut self,
        out: &mut Vec<u8>,
        partition: &TopicPartition,
        record: &Record<'_>,
    ) -> bool {
        if !self.filter.passes(record) {
            return false;
        }
        match &mut self.format {
            RuledFormat::Plain(LineFormat::Raw) if self.escapes_newlines => {
                escape_newlines(out, record.value.unwrap_or_default());
                out.push(b'\n');
            }
            RuledFormat::Plain(format) => format.append(out, partition, record),
            RuledFormat::Template(template) => {
                template::append(out, template, self.escapes_newlines, partition, record);
                out.push(b'\n');
            }
        }
        true
    }
}
