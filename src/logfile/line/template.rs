//! The format `template`: text with placeholders that the configuration gives.

use super::text::{escape_newlines, json_value, number};
use crate::line_template::{FieldForm, LineTemplate, TemplatePart};
use crate::record::{Record, TopicPartition};

/// The timestamp of a record whose producer gave none.
const NO_TIMESTAMP: i64 = -1;

pub(super) fn append(
    out: &mut Vec<u8>,
    template: &mut LineTemplate,
    escapes_newlines: bool,
    partition: &TopicPartition,
    record: &Record<'_>,
) {
    let field = |out: &mut Vec<u8>, value: Option<&[u8]>, form: FieldForm| match form {
        FieldForm::Bytes if escapes_newlines => escape_newlines(out, value.unwrap_or_default()),
        FieldForm::Bytes => out.extend_from_slice(value.unwrap_or_default()),
        FieldForm::Json => json_value(out, value),
    };
    for part in template.parts_mut() {
        match part {
            TemplatePart::Literal(text) => out.extend_from_slice(text.as_bytes()),
            TemplatePart::Topic => out.extend_from_slice(partition.topic.as_bytes()),
            TemplatePart::Partition => number(out, i64::from(partition.partition)),
            TemplatePart::Offset => number(out, record.offset),
            TemplatePart::Timestamp => record.timestamp.into_iter().for_each(|time| number(out, time)),
            TemplatePart::Time(format) => {
                let time = record.timestamp.filter(|time| *time != NO_TIMESTAMP);
                time.into_iter().for_each(|time| format.append(out, time));
            }
            TemplatePart::Key(form) => field(out, record.key, *form),
            TemplatePart::Header(name, form) => field(out, last_header(record, name), *form),
            TemplatePart::Value(form) => field(out, record.value, *form),
        }
    }
}

/// The value of the last header of this name: what Kafka's own client gives for a name that stands more
/// than once (`Headers.lastHeader`). `None` if the header is null or there is none.
fn last_header<'a>(record: &Record<'a>, name: &str) -> Option<&'a [u8]> {
    let headers = record.headers.as_ref()?;
    headers.iter().filter(|(other, _)| *other == name.as_bytes()).last()?.1
}
