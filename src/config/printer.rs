//! Writes keys and their values as an .inv.

use std::fmt::Write;

use super::key::Key;
use super::value::quote;

/// The text so far. A key of another section begins that section.
#[derive(Debug, Default)]
pub struct InvPrinter {
    text: String,
    section: &'static str,
}

impl InvPrinter {
    /// Appends a key with its value.
    pub fn put<T>(&mut self, key: &Key<T>, value: &T) {
        if self.section != key.section {
            let gap = if self.section.is_empty() { "" } else { "\n" };
            // Writing to a String cannot fail.
            let _ = writeln!(self.text, "{gap}[{}]", key.section);
            self.section = key.section;
        }
        let _ = writeln!(self.text, "{} = {}", key.name, quote(&key.write(value)));
    }

    /// The printed text.
    pub fn finish(self) -> String {
        self.text
    }
}
