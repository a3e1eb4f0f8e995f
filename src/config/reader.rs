//! Takes keys and gives typed values, and notes a fault where a value does not fit.
//!
//! A value with a fault is returned as `None` and the reading goes on, so that every fault is found.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::faults::{FaultList, FaultPlace};
use super::inv::{Inv, InvValue, TakenKey};
use super::key::{Key, KeyList, Usage};
use super::value;

/// Section and name of a key.
type KeyId = (&'static str, &'static str);

/// The keys of a text, and the faults found so far.
pub struct ConfigReader {
    inv: Inv,
    faults: FaultList,
    known: KeyList,
    /// The directory at which relative paths begin.
    base: PathBuf,
    /// Values that were taken, so that a later check can name their lines.
    taken: HashMap<KeyId, InvValue>,
    /// Keys that are in the file but whose values were refused.
    spoiled: HashSet<KeyId>,
    is_mask_allowed: bool,
}

impl ConfigReader {
    /// Splits a text into keys and values, and notes faults of the text's form. The text comes from the
    /// file `path`.
    pub fn new(text: &str, path: &Path, known: KeyList, is_mask_allowed: bool) -> Self {
        let mut faults = FaultList::new(path.display().to_string(), known);
        let inv = Inv::read(text, known, &mut faults);
        let base = absolute(path).parent().map(Path::to_path_buf).unwrap_or_default();
        Self { inv, faults, known, base, taken: HashMap::new(), spoiled: HashSet::new(), is_mask_allowed }
    }

    /// Whether the file has the section.
    pub fn has(&self, section: &str) -> bool {
        self.inv.section_line(section).is_some()
    }

    /// Takes a key and converts its value; an absent key has its default.
    pub fn get<T>(&mut self, key: &Key<T>) -> Option<T> {
        let id = (key.section, key.name);
        debug_assert!(
            self.known.in_section(key.section).any(|known| known.name == key.name),
            "{id:?} is missing in the list of keys"
        );
        match self.inv.take(&key.facts()) {
            TakenKey::Spoiled => {
                self.spoiled.insert(id);
                None
            }
            TakenKey::Absent => match key.default {
                Some(default) => self.read(key, default).ok(),
                None => {
                    let expected = self.read(key, "").err().unwrap_or_default();
                    let text = format!("the key {} is missing: {expected}", key.name);
                    self.fault_section(key.section, &text);
                    None
                }
            },
            TakenKey::Value(value) => {
                let converted = self.read(key, &value.text);
                let is_default = key.default.is_some_and(|default| value.text.trim() == default);
                self.taken.insert(id, value);
                match converted {
                    Ok(value) => {
                        if let Usage::Refused(why) = key.usage
                            && !is_default
                        {
                            self.fault(key, why);
                        }
                        Some(value)
                    }
                    Err(expected) => {
                        self.fault(key, expected);
                        self.spoiled.insert(id);
                        None
                    }
                }
            }
        }
    }

    fn read<T>(&self, key: &Key<T>, text: &str) -> Result<T, String> {
        key.read(text, &self.base, self.is_mask_allowed)
    }

    /// The value of a key, which may be its default; `None` if the value had a fault.
    pub fn value<T>(&self, key: &Key<T>) -> Option<T> {
        let id = (key.section, key.name);
        if self.spoiled.contains(&id) {
            return None;
        }
        let text = self.taken.get(&id).map(|value| value.text.as_str()).or(key.default)?;
        self.read(key, text).ok()
    }

    /// Whether the file gives the key another value than its default, as far as the text says so.
    pub fn is_changed<T>(&self, key: &Key<T>) -> bool {
        let given = self.taken.get(&(key.section, key.name));
        given.is_some_and(|given| key.default != Some(given.text.trim()))
    }

    /// Notes a fault of a key: at the key's line if the key is in the file, otherwise at its section's.
    pub fn fault<T>(&mut self, key: &Key<T>, expected: impl Into<String>) {
        let mut expected = expected.into();
        if let Some(raw) = self.taken.get(&(key.section, key.name)).map(|value| &value.raw)
            && let Some(read) = value::reserved(raw)
        {
            expected
                .push_str(&format!("; unquoted, {raw} is '{read}' to PHP: quote it if the word is meant"));
        }
        self.faults.push(place(&self.inv, &self.taken, key), expected);
    }

    /// Notes a warning about a key, or about its section if it is not in the file.
    pub fn warn<T>(&mut self, key: &Key<T>, text: &str) {
        self.faults.warn(place(&self.inv, &self.taken, key), || text.to_owned());
    }

    /// Notes a fault of a section, at its heading.
    pub fn fault_section(&mut self, section: &str, expected: &str) {
        let at = FaultPlace { line: self.inv.section_line(section), section, ..FaultPlace::default() };
        self.faults.push(at, expected);
    }

    /// Notes a fault of the file as a whole.
    pub fn fault_file(&mut self, expected: &str) {
        self.faults.push(FaultPlace::default(), expected);
    }

    /// Ends the reading: a key that nobody took is a fault.
    pub fn finish(mut self) -> FaultList {
        self.inv.report_leftovers(&mut self.faults);
        self.faults
    }
}

/// The absolute path. A later change of the working directory does not affect it.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// The place of a key in the file, with its value as written.
fn place<'a, T>(inv: &Inv, taken: &'a HashMap<KeyId, InvValue>, key: &Key<T>) -> FaultPlace<'a> {
    let value = taken.get(&(key.section, key.name));
    FaultPlace {
        line: value.map_or(inv.section_line(key.section), |value| Some(value.line)),
        section: key.section,
        key: key.name,
        value: value.map(|value| value.raw.as_str()),
    }
}
