//! The first pass over a text: the kind of each line, its number, and the parts that PHP would misread.
//!
//! The `configparser` package gives no line numbers, lets a duplicate overwrite, and does not know quotes.
//! So these faults are found here, before the package reads anything.

use std::collections::HashMap;

use super::faults::{FaultList, FaultPlace};
use super::key::KeyList;
use super::key_name;
use super::value::{self, BLANKS};

/// One line that is neither blank nor a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannedLine<'a> {
    /// 1-based.
    pub line: usize,
    /// The section in which the line stands; `None` before the first section.
    pub section: Option<String>,
    /// The content of the line.
    pub item: LineContent<'a>,
}

/// The content of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineContent<'a> {
    /// A section begins, for the first time.
    Section,
    /// `key = value`.
    Entry {
        /// The key in its canonical form.
        key: String,
        /// The key as it is written in the file.
        written: &'a str,
        /// The value without its comment and the blanks around it; `None` if it was refused.
        value: Option<&'a str>,
    },
}

/// Every section and entry of the text, in order; faults of form go to `faults`.
pub fn scan<'a>(text: &'a str, known: KeyList, faults: &mut FaultList) -> Vec<ScannedLine<'a>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = split_lines(text);
    let mut scan = Scanner {
        known,
        faults,
        section: None,
        heads: 0,
        sections: HashMap::new(),
        keys: HashMap::new(),
        found: Vec::new(),
    };
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        at += 1;
        if let Some(open) = scan.line(at, line) {
            at += rest_of_value(open, lines.get(at..).unwrap_or_default());
        }
    }
    scan.found
}

/// Splits a text into lines. A line ends with LF, CRLF or a lone CR, as in PHP.
fn split_lines(text: &str) -> Vec<&str> {
    text.split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line))
        .flat_map(|line| line.split('\r'))
        .collect()
}

/// The number of lines over which a value with an open quote continues: up to the closing quote, or up
/// to a line that is a section, a comment or an entry by itself.
fn rest_of_value(open: char, lines: &[&str]) -> usize {
    for (n, line) in lines.iter().enumerate() {
        let line = line.trim_matches(BLANKS);
        if line.starts_with(['[', ';', '#'])
            || line.split_once('=').is_some_and(|(k, _)| key_name::canonical(k).is_ok())
        {
            return 0;
        }
        if line.contains(open) {
            return n + 1;
        }
    }
    0
}

struct Scanner<'a, 'f> {
    known: KeyList,
    faults: &'f mut FaultList,
    section: Option<String>,
    /// How many section headings there were so far.
    heads: usize,
    /// Section → line of its first appearance.
    sections: HashMap<String, usize>,
    /// Section and key → the key's line, and the number of the heading above it.
    keys: HashMap<(Option<String>, String), (usize, usize)>,
    found: Vec<ScannedLine<'a>>,
}

impl<'a> Scanner<'a, '_> {
    /// Takes one line. Returns the quote that is left open at the end of the line.
    fn line(&mut self, n: usize, raw: &'a str) -> Option<char> {
        let line = raw.trim_matches(BLANKS);
        if line.contains('\0') {
            self.fault(n, "", None, "a NUL character, where PHP stops reading: remove it");
            return None;
        }
        let first = line.chars().next()?;
        match first {
            ';' => {}
            '#' => self.fault(n, "", None, "a comment begins with ; in an .inv, # does not: use ;"),
            '[' => self.section_line(n, line),
            '；' => self.fault(n, "", None, "this is the full-width ；: a comment begins with the plain ;"),
            c if c.is_whitespace() || c == '\u{feff}' || c == '\u{200b}' => {
                let text = format!(
                    "the line begins with an invisible character (U+{:04X}): remove it",
                    u32::from(c)
                );
                self.fault(n, "", None, &text);
            }
            _ => return self.entry_line(n, line),
        }
        None
    }

    fn section_line(&mut self, n: usize, line: &str) {
        let inner = line.strip_prefix('[').unwrap_or(line);
        let (name, after) = match inner.split_once(']') {
            Some((name, after)) => (name, after.trim_start_matches(BLANKS)),
            None => {
                self.fault(n, "", None, "the section's name has no closing ]: write [name]");
                (inner.split(';').next().unwrap_or(inner).trim_matches(BLANKS), "")
            }
        };
        let bare =
            ['\'', '"'].into_iter().find_map(|q| name.strip_prefix(q)?.strip_suffix(q)).unwrap_or(name);
        if bare.trim_matches(BLANKS) != bare {
            self.fault(
                n,
                "",
                None,
                "to PHP the blanks within [ ] are part of the section's name: remove them",
            );
        } else if bare.is_empty() || bare.contains(['[', '\'', '"']) {
            self.fault(n, "", None, "a section's name is expected within [ ]: write [name]");
        }
        let name = bare.trim_matches(BLANKS).to_owned();
        self.section = Some(name.clone());
        self.heads += 1;
        if !after.is_empty() && !after.starts_with(';') {
            self.fault(n, "", None, "text follows the ] of the section: put it on a line of its own");
        }
        match self.sections.get(&name) {
            Some(first) => {
                let text = format!(
                    "the section began on line {first} already, and PHP would forget all that stands there: \
                     write each section once"
                );
                self.fault(n, "", None, &text);
            }
            None => {
                self.sections.insert(name.clone(), n);
                self.found.push(ScannedLine { line: n, section: Some(name), item: LineContent::Section });
            }
        }
    }

    fn entry_line(&mut self, n: usize, line: &'a str) -> Option<char> {
        let (written, rest) = match line.split_once('=') {
            Some((written, rest)) if !written.contains(';') => (written.trim_end_matches(BLANKS), rest),
            _ => {
                self.no_equals(n, line);
                return None;
            }
        };
        let key = match key_name::canonical(written) {
            Ok(key) => key,
            Err(text) => {
                self.fault(n, written, None, &text);
                return None;
            }
        };
        let mut open = None;
        let value = match value::cut(rest) {
            Ok(value) => Some(value),
            Err(surprise) => {
                self.fault(n, written, Some(rest.trim_matches(BLANKS)), &surprise.text);
                open = surprise.open;
                None
            }
        };
        // A key that is written twice under the same heading is a duplicate key; under two headings the
        // section is written twice.
        let under = self.heads;
        match self.keys.get(&(self.section.clone(), key.clone())) {
            Some((first, same)) if *same == under => {
                let text = format!(
                    "the key stands on line {first} already, and PHP would take the last: remove one"
                );
                self.fault(n, written, None, &text);
            }
            Some(_) => {}
            None => {
                self.keys.insert((self.section.clone(), key.clone()), (n, under));
                let section = self.section.clone();
                self.found.push(ScannedLine {
                    line: n,
                    section,
                    item: LineContent::Entry { key, written, value },
                });
            }
        }
        open
    }

    fn no_equals(&mut self, n: usize, line: &str) {
        // The text is not shown, because it may be the rest of a password.
        let known = self.known.iter().map(|known| known.name).find(|name| line.starts_with(name));
        let text = if line.contains('＝') {
            "this is the full-width ＝: write the plain ="
        } else if line.contains(['［', '］']) {
            "these are full-width brackets: write the plain [ ]"
        } else {
            "there is no = on this line, which PHP passes over in silence: write key = value, \
             or begin a comment with ;"
        };
        self.fault(n, known.unwrap_or_default(), None, text);
    }

    fn fault(&mut self, n: usize, key: &str, value: Option<&str>, text: &str) {
        let section = self.section.as_deref().unwrap_or_default();
        self.faults.push(FaultPlace { line: Some(n), section, key, value }, text);
    }
}
