//! Reads a template, and says all that is wrong with it.

use std::path::{Path, PathBuf};

use super::period::{TimeField, TimeUnit};
use super::template::{NamedValues, PathComponent, PathPart, PathTemplate};
use super::{distinct, limits};

/// The placeholders, as a person writes them.
pub const PLACEHOLDERS: [&str; 4] = ["{topic}", "{partition}", "{key}", "{%Y-%m-%d/%H}"];
/// What may stand behind `%`; the last is short for three of the others.
const TIME_FIELDS: &str = "%Y, %m, %d, %j, %H, %M and %F";

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathFault {
    /// The number of the character at which the fault is, from 1.
    pub at: usize,
    /// A sentence that says what is wrong there.
    pub what: String,
    /// The name of the placeholder, if there is none of this name.
    pub unknown: Option<String>,
}

/// A component as it is read.
#[derive(Default)]
struct RawComponent {
    /// The byte of the text at which it begins.
    from: usize,
    component: PathComponent,
}

struct PathParser<'a> {
    text: &'a str,
    components: Vec<RawComponent>,
    fields: Vec<TimeField>,
    faults: Vec<PathFault>,
}

impl PathTemplate {
    /// Parses a template. A doubled brace stands for a brace. A relative path begins at `base`, in which
    /// braces are names' own.
    ///
    /// # Errors
    /// All faults, in their order.
    pub fn parse(base: &Path, text: &str) -> Result<Self, Vec<PathFault>> {
        let mut parser = PathParser { text, components: Vec::new(), fields: Vec::new(), faults: Vec::new() };
        parser.read();
        let is_fixed =
            |raw: &&RawComponent| raw.component.parts.iter().all(|part| matches!(part, PathPart::Literal(_)));
        // The last component is the file, even if it has no placeholder.
        let above = parser.components.iter().take_while(is_fixed).count();
        let above = above.min(parser.components.len().saturating_sub(1));
        let from = parser.components.get(above).map_or(0, |raw| raw.from);
        parser.check_components(above);
        let unit = parser.unit();
        let (directory, rest) = text.split_at_checked(from).unwrap_or((text, ""));
        let fixed = base.join(directory.replace("{{", "{").replace("}}", "}"));
        // The slash at the end is no part of the directory's name, unless it is the root.
        let fixed: PathBuf = fixed.components().collect();
        let below = parser.components.iter().skip(above);
        let mut components: Vec<_> = below.map(|raw| raw.component.clone()).collect();
        if parser.is_plain() {
            // Nothing is shortened in the name of a file that is written out.
            components.iter_mut().for_each(|component| component.bytes_max = usize::MAX);
        } else if parser.faults.is_empty() {
            parser.check_values(&fixed, above, &mut components);
        }
        if !parser.faults.is_empty() {
            parser.faults.sort_by_key(|fault| fault.at);
            return Err(parser.faults);
        }
        let text = match text.starts_with('/') || base.as_os_str().is_empty() {
            true => text.to_owned(),
            false => {
                let base = base.to_string_lossy().replace('{', "{{").replace('}', "}}");
                format!("{}/{text}", base.trim_end_matches('/'))
            }
        };
        let names = NamedValues::of(&components);
        Ok(Self { text, fixed, rest: rest.to_owned(), components, unit, names })
    }
}

impl PathParser<'_> {
    fn read(&mut self) {
        self.components.push(RawComponent::default());
        let mut rest = self.text;
        while let Some(first) = rest.chars().next() {
            let at = self.text.len() - rest.len();
            let behind = |text: &str| rest.strip_prefix(text);
            rest = if let Some(behind) = behind("{{").or_else(|| behind("}}")) {
                self.char(first, at + 1);
                behind
            } else if let Some(inside) = behind("{") {
                let Some((name, behind)) = inside.split_once('}') else {
                    self.char(first, at);
                    return self.fault(at, "this { is not closed; {{ is a brace");
                };
                self.placeholder(name, at);
                behind
            } else {
                match first {
                    '}' => self.fault(at, "this } closes nothing; }} is a brace"),
                    _ if first.is_control() => self.fault(at, "a path has no control characters"),
                    _ => self.char(first, at),
                }
                rest.get(first.len_utf8()..).unwrap_or_default()
            };
        }
    }

    /// Appends a character of text, which stands at this byte.
    fn char(&mut self, char: char, at: usize) {
        if char == '/' {
            self.components.push(RawComponent { from: at + 1, component: PathComponent::default() });
            return;
        }
        let Some(RawComponent { component, .. }) = self.components.last_mut() else { return };
        match component.parts.last_mut() {
            Some(PathPart::Literal(text)) => text.push(char),
            _ => component.parts.push(PathPart::Literal(char.to_string())),
        }
    }

    fn part(&mut self, part: PathPart) {
        if let Some(raw) = self.components.last_mut() {
            raw.component.parts.push(part);
        }
    }

    fn placeholder(&mut self, name: &str, at: usize) {
        match name {
            "topic" => self.part(PathPart::Topic),
            "partition" => self.part(PathPart::Partition),
            "key" => self.part(PathPart::Key),
            _ if name.contains('%') => self.time(name, at),
            _ => {
                // Something stands here, though not what was meant.
                self.char('?', at);
                self.fault(at, format!("there is no placeholder {{{name}}}"));
                if let Some(fault) = self.faults.last_mut() {
                    fault.unknown = Some(name.to_owned());
                }
            }
        }
    }

    /// Reads a time, whose `{` stands at this byte.
    fn time(&mut self, format: &str, at: usize) {
        let mut chars = format.char_indices();
        while let Some((inner, char)) = chars.next() {
            let at = at + 1 + inner;
            if char != '%' {
                match char {
                    '{' => self.fault(at, "a brace cannot be inside braces"),
                    _ if char.is_control() => self.fault(at, "a path has no control characters"),
                    _ => self.char(char, at),
                }
                continue;
            }
            let letter = chars.next().map(|(_, letter)| letter);
            match letter {
                Some('F') => {
                    for (field, behind) in
                        [(TimeField::Year, "-"), (TimeField::Month, "-"), (TimeField::Day, "")]
                    {
                        self.fields.push(field);
                        self.part(PathPart::Time(field));
                        behind.chars().for_each(|char| self.char(char, at));
                    }
                }
                letter => match letter.and_then(TimeField::of) {
                    Some(field) => {
                        self.fields.push(field);
                        self.part(PathPart::Time(field));
                    }
                    None => {
                        self.char('?', at);
                        let letter = letter.map(String::from).unwrap_or_default();
                        self.fault(at, format!("a path has no %{letter}: {TIME_FIELDS} are expected"));
                    }
                },
            }
        }
    }

    /// Checks each component by itself, the ones from `above` on as names that pandad makes.
    fn check_components(&mut self, above: usize) {
        if self.text.is_empty() || self.text.ends_with('/') {
            return self.fault(self.text.len().saturating_sub(1), "the path of a file is expected");
        }
        let mut faults = Vec::new();
        for raw in self.components.iter().skip(above) {
            let literals = || {
                raw.component.parts.iter().filter_map(|part| match part {
                    PathPart::Literal(text) => Some(text.as_str()),
                    _ => None,
                })
            };
            let is_text = literals().count() == raw.component.parts.len();
            let text: String = literals().collect();
            if raw.component.parts.is_empty() || is_text && matches!(text.as_str(), "." | "..") {
                let what = "below the first placeholder each part of the path needs a name";
                faults.push((raw.from, what.to_owned()));
            }
            if text.contains('%') && !self.is_plain() {
                let what = "a % in names stands for escaped bytes; a time has braces, as {%Y-%m-%d}";
                faults.push((raw.from, what.to_owned()));
            }
        }
        faults.into_iter().for_each(|(from, what)| self.fault(from, what));
    }

    fn unit(&mut self) -> Option<TimeUnit> {
        TimeUnit::of(&self.fields).unwrap_or_else(|why| {
            let at = self.text.find("{%").unwrap_or_default();
            self.fault(at, why);
            None
        })
    }

    /// Checks what values can do to the names below the fixed directory.
    fn check_values(&mut self, fixed: &Path, above: usize, components: &mut [PathComponent]) {
        let indistinct = distinct::indistinct(components);
        if !indistinct.is_empty() {
            let what = format!(
                "{} run together: records that differ in them would share a file; write / between them",
                indistinct.join(" and ")
            );
            let from = self.components.get(above).map_or(0, |raw| raw.from);
            self.fault(from, what);
        }
        if let Err((at, what)) = limits::set(fixed, components) {
            let from = self.components.get(above + at).map_or(0, |raw| raw.from);
            self.fault(from, what);
        }
    }

    /// Whether there are no placeholders.
    fn is_plain(&self) -> bool {
        let mut parts = self.components.iter().flat_map(|raw| &raw.component.parts);
        parts.all(|part| matches!(part, PathPart::Literal(_)))
    }

    fn fault(&mut self, byte: usize, what: impl Into<String>) {
        let at = self.text.get(..byte).unwrap_or(self.text).chars().count() + 1;
        self.faults.push(PathFault { at, what: what.into(), unknown: None });
    }
}
