//! The facts about a configuration key, all in one value.

use std::path::Path;

/// A value, or a sentence that says what was expected instead.
pub type Converted<T> = Result<T, String>;

/// One key of the .inv, whose values are of type `T`.
///
/// Each key is declared once, in `keys`, and belongs to one field of the typed settings. Reading and
/// printing use the key. The list of all keys, suggestions for unknown names, the shipped .inv and
/// docs/configuration.md are made from its [`KeyFacts`].
#[derive(Debug)]
pub struct Key<T: 'static> {
    /// The section to which the key belongs.
    pub section: &'static str,
    /// The key's name in its canonical form, `a` or `a['b']`.
    pub name: &'static str,
    /// The kind of its values.
    pub kind: ValueKind<T>,
    /// The value that an absent key has, written as in the .inv; `None` if the key must be in the file.
    pub default: Option<&'static str>,
    /// What pandad does with the key.
    pub usage: Usage,
    /// One line that says what the key sets: the comment above it in the shipped .inv.
    pub help: &'static str,
    /// Further sentences for docs/configuration.md, or nothing.
    pub more: &'static str,
}

/// What pandad does with the value of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// pandad acts by the value.
    Used,
    /// pandad reads and checks the value, without further effect.
    Unused,
    /// pandad accepts only the default. The text says why.
    Refused(&'static str),
}

/// A kind of value: how it is read, printed and described.
#[derive(Debug)]
pub struct ValueKind<T: 'static> {
    /// Bounds and unit of a number; [`NumberRange::ANY`] for everything else.
    pub range: NumberRange,
    /// Converts the text, from which quotes and comment were removed.
    pub read: fn(&str, &ReadContext<'_>) -> Converted<T>,
    /// Converts a value to a text that `read` accepts; a secret becomes a mask.
    pub write: fn(&T) -> String,
    /// Which values are possible, in words for a person.
    pub values: fn(NumberRange) -> String,
    /// Whether a message must never show the value.
    pub is_secret: bool,
}

/// The numbers that a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberRange {
    /// The least number.
    pub least: u64,
    /// The greatest number.
    pub most: u64,
    /// The unit of the number; empty if it has none.
    pub unit: &'static str,
}

impl NumberRange {
    /// The range of values that are not numbers.
    pub const ANY: NumberRange = NumberRange { least: 0, most: u64::MAX, unit: "" };

    /// Whether the number is within the bounds.
    pub fn holds(self, number: u64) -> bool {
        (self.least..=self.most).contains(&number)
    }
}

/// What a kind of value (a number, a path, a list) needs to read a value, in addition to its text.
#[derive(Debug, Clone, Copy)]
pub struct ReadContext<'a> {
    /// The numbers that the key takes.
    pub range: NumberRange,
    /// The directory of the .inv: relative paths begin there.
    pub base: &'a Path,
    /// Whether the mask that `-T` prints is accepted as a password.
    pub is_mask_allowed: bool,
}

/// The facts about a key, without the type of its values.
#[derive(Debug, Clone, Copy)]
pub struct KeyFacts {
    /// The section to which the key belongs.
    pub section: &'static str,
    /// The key's name in its canonical form.
    pub name: &'static str,
    /// The value that an absent key has; `None` if the key must be in the file.
    pub default: Option<&'static str>,
    /// What pandad does with the key.
    pub usage: Usage,
    /// One line that says what the key sets.
    pub help: &'static str,
    /// Further sentences for the documentation, or nothing.
    pub more: &'static str,
    /// Whether a message must never show the value.
    pub is_secret: bool,
    range: NumberRange,
    values: fn(NumberRange) -> String,
}

impl KeyFacts {
    /// Which values are possible, with unit and bounds; code stands in backticks.
    pub fn values(&self) -> String {
        (self.values)(self.range)
    }
}

impl<T> Key<T> {
    /// The facts about the key, without the type of its values.
    pub const fn facts(&self) -> KeyFacts {
        KeyFacts {
            section: self.section,
            name: self.name,
            default: self.default,
            usage: self.usage,
            help: self.help,
            more: self.more,
            is_secret: self.kind.is_secret,
            range: self.kind.range,
            values: self.kind.values,
        }
    }

    /// The value of a text.
    pub fn read(&self, text: &str, base: &Path, is_mask_allowed: bool) -> Converted<T> {
        (self.kind.read)(text, &ReadContext { range: self.kind.range, base, is_mask_allowed })
    }

    /// The text of a value, without quotes.
    pub fn write(&self, value: &T) -> String {
        (self.kind.write)(value)
    }
}

/// All keys, in groups that are printed one after the other.
#[derive(Debug, Clone, Copy)]
pub struct KeyList(pub &'static [&'static [KeyFacts]]);

impl KeyList {
    /// All keys, by section.
    pub fn iter(self) -> impl Iterator<Item = &'static KeyFacts> {
        self.0.iter().copied().flatten()
    }

    /// The keys of one section.
    pub fn in_section(self, section: &str) -> impl Iterator<Item = &'static KeyFacts> {
        self.iter().filter(move |key| key.section == section)
    }

    /// The keys with this name, which several sections may have.
    pub fn named(self, name: &str) -> impl Iterator<Item = &'static KeyFacts> {
        self.iter().filter(move |key| key.name == name)
    }

    /// Whether a section has keys.
    pub fn has_section(self, section: &str) -> bool {
        self.in_section(section).next().is_some()
    }

    /// The sections in their order, each once.
    pub fn sections(self) -> impl Iterator<Item = &'static str> {
        let mut last = "";
        self.iter().map(|key| key.section).filter(move |section| {
            let is_new = *section != last;
            last = section;
            is_new
        })
    }
}
