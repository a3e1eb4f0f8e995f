//! The lines of a log file: which records have one, and what it looks like.

mod filter;
mod json;
mod original;
mod rules;
mod template;
#[cfg(test)]
mod tests;
mod text;

pub use filter::RecordFilter;

use crate::line_template::LineTemplate;
use crate::record::{Record, TopicPartition};
use rules::{LineRules, RuledFormat};

/// How a record is written as a line, without a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    /// The value as it is. A null value gives an empty line.
    Raw,
    /// One JSON object with everything that is known of the record.
    Json,
    /// The line of the PHP system that pandad replaces.
    Original,
}

impl LineFormat {
    /// Appends the record's line, newline included.
    #[inline(always)]
    fn append(self, out: &mut Vec<u8>, partition: &TopicPartition, record: &Record<'_>) {
        match self {
            LineFormat::Raw => out.extend_from_slice(record.value.unwrap_or_default()),
            LineFormat::Json => json::append(out, partition, record),
            LineFormat::Original => original::append(out, record),
        }
        out.push(b'\n');
    }
}

/// Makes the line of each record, or filters the record out. Whoever compares a log file with its topics must
/// use the same formatter as the job that writes the file.
#[derive(Debug, Clone)]
pub struct LineFormatter(LineMaker);

#[derive(Debug, Clone)]
enum LineMaker {
    /// Every record has a line in this format. Rules that nobody has set cost this case nothing.
    Plain(LineFormat),
    ByRules(Box<LineRules>),
}

impl LineFormatter {
    /// A formatter that filters nothing out and keeps newlines.
    pub fn new(format: LineFormat) -> Self {
        Self(LineMaker::Plain(format))
    }

    /// The same with a template in place of a format.
    pub fn by_template(template: LineTemplate) -> Self {
        Self(LineMaker::ByRules(Box::new(LineRules::new(RuledFormat::Template(template)))))
    }

    /// Filters out the records that do not pass.
    #[must_use]
    pub fn filtered(self, filter: RecordFilter) -> Self {
        if filter == RecordFilter::default() {
            return self;
        }
        self.changed(|rules| rules.filter = filter)
    }

    /// Escapes the newlines in what `raw` and a template take from a record as it is.
    #[must_use]
    pub fn escaping_newlines(self) -> Self {
        self.changed(|rules| rules.escapes_newlines = true)
    }

    /// A formatter that makes lines by this template, of records whose key matches.
    #[cfg(test)]
    pub fn filtering(template: &str, key: &str) -> Self {
        let template = LineTemplate::parse(template).unwrap_or_else(|fault| panic!("{fault:?}"));
        let include_key = crate::pattern::Pattern::new(key).ok();
        Self::by_template(template).filtered(RecordFilter { include_key, ..RecordFilter::default() })
    }

    fn changed(self, change: impl FnOnce(&mut LineRules)) -> Self {
        let mut rules = match self.0 {
            LineMaker::Plain(format) => Box::new(LineRules::new(RuledFormat::Plain(format))),
            LineMaker::ByRules(rules) => rules,
        };
        change(&mut rules);
        Self(LineMaker::ByRules(rules))
    }

    /// Appends the record's line, newline included. False if the record is filtered out: it has no line.
    // Inlined, since a short raw line costs little more than a call.
    #[must_use]
    #[inline(always)]
    pub fn append(&mut self, out: &mut Vec<u8>, partition: &TopicPartition, record: &Record<'_>) -> bool {
        match &mut self.0 {
            LineMaker::Plain(format) => {
                format.append(out, partition, record);
                true
            }
            LineMaker::ByRules(rules) => rules.append(out, partition, record),
        }
    }
}
