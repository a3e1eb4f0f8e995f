//! The faults found so far. All are reported at once, in the order of lines.
//!
//! Only this file decides whether a message shows a value: it never shows a password.

use super::key::KeyList;
use super::key_name;
use crate::error::{ConfigFault, Error};

/// The most faults that are reported. Without a limit, a file that is not an .inv would give one fault for
/// each line.
const FAULTS_MAX: usize = 1_000;
/// How many characters of a key or value are shown.
const SHOWN_CHARS_MAX: usize = 120;

/// The faults and warnings found so far.
#[derive(Debug)]
pub struct FaultList {
    file: String,
    /// All keys of pandad.
    known: KeyList,
    faults: Vec<ConfigFault>,
    left_out: usize,
    warnings: Vec<ConfigFault>,
}

/// Where a fault is: line, section, key as written, value as written.
#[derive(Debug, Clone, Default)]
pub struct FaultPlace<'a> {
    /// 1-based line, if it has one.
    pub line: Option<usize>,
    /// Section name, or empty.
    pub section: &'a str,
    /// Key, or empty.
    pub key: &'a str,
    /// Value, if it may help; the key decides whether it is shown.
    pub value: Option<&'a str>,
}

impl FaultList {
    /// The empty list of faults for `file`.
    pub fn new(file: String, known: KeyList) -> Self {
        Self { file, known, faults: Vec::new(), left_out: 0, warnings: Vec::new() }
    }

    /// Notes a fault.
    pub fn push(&mut self, at: FaultPlace<'_>, expected: impl Into<String>) {
        if !self.is_full() {
            let fault = self.make(at, expected.into());
            self.faults.push(fault);
        } else {
            self.left_out += 1;
        }
    }

    /// Notes a warning, which does not stop the start. The text is computed only if the warning is kept.
    pub fn warn(&mut self, at: FaultPlace<'_>, text: impl FnOnce() -> String) {
        if self.warnings.len() < FAULTS_MAX {
            let warning = self.make(at, text());
            self.warnings.push(warning);
        }
    }

    /// Whether further faults are only counted.
    pub fn is_full(&self) -> bool {
        self.faults.len() >= FAULTS_MAX
    }

    /// The warnings in line order; if there are faults, every fault and every warning in line order.
    pub fn finish(mut self) -> Result<Vec<String>, Error> {
        // A fault without a line concerns something that is missing from the file. It comes last.
        let order = |fault: &ConfigFault| fault.line.unwrap_or(usize::MAX);
        if self.faults.is_empty() {
            self.warnings.sort_by_key(order);
            return Ok(self.warnings.iter().map(ToString::to_string).collect());
        }
        // Where something is wrong already, a warning would only repeat it.
        let faulty: Vec<_> = self.faults.iter().map(|fault| fault.line).collect();
        let others = self.warnings.drain(..).filter(|warning| !faulty.contains(&warning.line));
        self.faults.extend(others.map(|warning| {
            let expected = format!("warning: {}", warning.expected);
            ConfigFault { expected, ..warning }
        }));
        self.faults.sort_by_key(order);
        if self.left_out > 0 {
            let text = format!("and {} more of this kind: is this an .inv?", self.left_out);
            let fault = self.make(FaultPlace::default(), text);
            self.faults.push(fault);
        }
        Err(Error::Config(self.faults))
    }

    fn make(&self, at: FaultPlace<'_>, expected: String) -> ConfigFault {
        ConfigFault {
            file: self.file.clone(),
            line: at.line,
            section: shown(at.section),
            key: shown(at.key),
            value: at.value.filter(|_| self.may_show(at.key)).map(shown),
            expected,
        }
    }

    /// A value is shown only if its key is known and holds no password. A misspelt password key is
    /// unknown.
    fn may_show(&self, key: &str) -> bool {
        let key = key_name::canonical(key).unwrap_or_default();
        let mut known = self.known.named(&key).peekable();
        known.peek().is_some() && known.all(|key| !key.is_secret)
    }
}

/// The text, shortened, with every control character replaced, so that a terminal does not obey it.
fn shown(text: &str) -> String {
    let mut out: String = text
        .chars()
        .take(SHOWN_CHARS_MAX)
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        out.push('…');
    }
    out
}
