//! The template of a line: text with placeholders for what a record has. Only parsed here, so that the
//! configuration can refuse a bad one; `logfile::line` fills it in.

mod time_format;

use std::fmt;

pub use time_format::TimeFormat;

/// The placeholders, as a person writes them.
pub const PLACEHOLDERS: [&str; 9] = [
    "{topic}",
    "{partition}",
    "{offset}",
    "{timestamp}",
    "{timestamp:FORMAT}",
    "{timestamp[ZONE]:FORMAT}",
    "{key}",
    "{headers[NAME]}",
    "{value}",
];

/// A template, parsed.
#[derive(Clone)]
pub struct LineTemplate {
    text: String,
    parts: Vec<TemplatePart>,
}

/// A piece of a template.
#[derive(Debug, Clone)]
pub enum TemplatePart {
    /// This text.
    Literal(String),
    /// The topic's name.
    Topic,
    /// The partition's number.
    Partition,
    /// The record's offset.
    Offset,
    /// The record's timestamp in milliseconds.
    Timestamp,
    /// The record's timestamp in a format.
    Time(TimeFormat),
    /// The record's key.
    Key(FieldForm),
    /// The value of the record's last header of this name.
    Header(String, FieldForm),
    /// The record's value.
    Value(FieldForm),
}

/// How a template writes a key, a value or a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldForm {
    /// The bytes as they are.
    Bytes,
    /// As JSON.
    Json,
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateFault {
    /// The number of the character at which the fault is, from 1.
    pub at: usize,
    /// A sentence that says what is wrong there.
    pub what: String,
    /// The name of the placeholder, if there is none of this name.
    pub unknown: Option<String>,
}

impl LineTemplate {
    /// Parses a template. A doubled brace stands for a brace.
    ///
    /// # Errors
    /// The first fault.
    pub fn parse(text: &str) -> Result<Self, TemplateFault> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, from)) = rest.find(['{', '}']).and_then(|at| rest.split_at_checked(at)) {
            literal.push_str(before);
            let fault = |(what, unknown)| {
                let at = text.chars().count() - from.chars().count() + 1;
                TemplateFault { at, what, unknown }
            };
            if let Some(behind) = from.strip_prefix("{{") {
                literal.push('{');
                rest = behind;
            } else if let Some(behind) = from.strip_prefix("}}") {
                literal.push('}');
                rest = behind;
            } else if let Some(inside) = from.strip_prefix('{') {
                let closed = inside.split_once('}');
                let (name, behind) =
                    closed.ok_or_else(|| fault(("this { is not closed; {{ is a brace".to_owned(), None)))?;
                if !literal.is_empty() {
                    parts.push(TemplatePart::Literal(std::mem::take(&mut literal)));
                }
                parts.push(placeholder(name).map_err(fault)?);
                rest = behind;
            } else {
                return Err(fault(("this } closes nothing; }} is a brace".to_owned(), None)));
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(TemplatePart::Literal(literal));
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// Whether the template has no text at all.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The pieces in their order. They can be changed because a [`TimeFormat`] remembers its last text.
    pub fn parts_mut(&mut self) -> &mut [TemplatePart] {
        &mut self.parts
    }
}

/// The placeholder between two braces. Otherwise what is wrong, and the name that is unknown.
fn placeholder(inside: &str) -> Result<TemplatePart, (String, Option<String>)> {
    let name = inside.split(['[', ':']).next().unwrap_or(inside);
    let behind = inside.strip_prefix(name).unwrap_or_default();
    let form = |behind: &str| match behind {
        "" => Ok(FieldForm::Bytes),
        ":json" => Ok(FieldForm::Json),
        _ => Err((format!("{{{inside}}}: only :json can follow {{{name}"), None)),
    };
    let plain = |part| match behind {
        "" => Ok(part),
        _ => Err((format!("{{{inside}}}: nothing can follow {{{name}"), None)),
    };
    match name {
        "topic" => plain(TemplatePart::Topic),
        "partition" => plain(TemplatePart::Partition),
        "offset" => plain(TemplatePart::Offset),
        "timestamp" if behind.is_empty() => Ok(TemplatePart::Timestamp),
        "timestamp" => {
            time(behind).map(TemplatePart::Time).map_err(|why| (format!("{{{inside}}}: {why}"), None))
        }
        "key" => form(behind).map(TemplatePart::Key),
        "value" => form(behind).map(TemplatePart::Value),
        "headers" => {
            // The name of a header may have brackets and colons.
            let named = behind.strip_prefix('[').and_then(|behind| behind.rsplit_once(']'));
            let (name, behind) = named
                .filter(|(name, _)| !name.is_empty())
                .ok_or_else(|| (format!("{{{inside}}}: {{headers[NAME]}} is expected"), None))?;
            form(behind).map(|form| TemplatePart::Header(name.to_owned(), form))
        }
        _ => Err((format!("there is no placeholder {{{inside}}}"), Some(name.to_owned()))),
    }
}

/// The format behind `timestamp`, with a zone in brackets before it or without one.
fn time(behind: &str) -> Result<TimeFormat, String> {
    let (zone, format) = match behind.strip_prefix('[').and_then(|behind| behind.split_once(']')) {
        Some((zone, format)) => (Some(zone), format),
        None => (None, behind),
    };
    let format = format.strip_prefix(':').filter(|format| !format.is_empty());
    TimeFormat::new(format.ok_or("a format is expected, as {timestamp:%Y-%m-%d %H:%M:%S}")?, zone)
}

impl PartialEq for LineTemplate {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for LineTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

/// The text that was parsed.
impl fmt::Display for LineTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of a template in the form of Debug, one a line.
    fn parts(text: &str) -> Vec<String> {
        LineTemplate::parse(text).unwrap().parts.iter().map(|part| format!("{part:?}")).collect()
    }

    #[test]
    fn text_and_placeholders_are_told_apart() {
        assert_eq!(parts(""), [""; 0]);
        assert_eq!(parts("{{{key}}}"), ["Literal(\"{\")", "Key(Bytes)", "Literal(\"}\")"]);
        assert_eq!(
            parts("é{topic}/{partition} {offset}{timestamp}{value:json}}}{{"),
            [
                "Literal(\"é\")",
                "Topic",
                "Literal(\"/\")",
                "Partition",
                "Literal(\" \")",
                "Offset",
                "Timestamp",
                "Value(Json)",
                "Literal(\"}{\")"
            ]
        );
        assert_eq!(parts("{headers[a:b[0]]:json}"), ["Header(\"a:b[0]\", Json)"]);
        assert_eq!(LineTemplate::parse("{{{key}").unwrap().to_string(), "{{{key}");
    }

    #[test]
    fn templates_with_the_same_text_are_the_same() {
        let parsed = |text: &str| LineTemplate::parse(text).unwrap();
        assert!(parsed("").is_empty() && !parsed("{key}").is_empty());
        assert!(parsed("{key}") == parsed("{key}") && parsed("{key}") != parsed("{value}"));
        assert_eq!((parsed("").parts_mut().len(), parsed("{key}-{offset}").parts_mut().len()), (0, 3));
    }

    #[test]
    fn a_fault_says_where_it_is() {
        for (text, at, what, unknown) in [
            ("é{valu}", 2, "there is no placeholder {valu}", Some("valu")),
            ("{}", 1, "there is no placeholder {}", Some("")),
            ("a{key", 2, "this { is not closed", None),
            ("{key}}", 6, "this } closes nothing", None),
            ("{value:text}", 1, "{value:text}: only :json can follow {value", None),
            ("{offset:json}", 1, "{offset:json}: nothing can follow {offset", None),
            ("{headers}", 1, "{headers[NAME]} is expected", None),
            ("{headers[]}", 1, "{headers[NAME]} is expected", None),
            ("{headers[a]x}", 1, "only :json can follow {headers", None),
            ("{timestamp:}", 1, "a format is expected", None),
            ("{timestamp[UTC]}", 1, "a format is expected", None),
            ("{timestamp[UTC}", 1, "a format is expected", None),
        ] {
            let fault = LineTemplate::parse(text).unwrap_err();
            assert_eq!((fault.at, fault.unknown.as_deref()), (at, unknown), "{text}");
            assert!(fault.what.contains(what), "{text}: {}", fault.what);
        }
    }
}
