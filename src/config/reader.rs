//! Takes keys and gives typed values, noting a fault where one does not fit.
//!
//! A value with a fault comes out as `None`: the reading goes on, so that every fault is found.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::convert::Converted;
use super::faults::{FaultList, FaultPlace};
use super::inv::{Inv, InvValue, TakenKey};
use super::keys::Key;
use super::{keys, value};

/// The text as keys, and what was found wrong so far.
pub struct ConfigReader {
    inv: Inv,
    /// What was found so far.
    pub faults: FaultList,
    /// Where relative paths begin.
    base: PathBuf,
    /// What was taken, so that a later check can name its line.
    taken: HashMap<Key, InvValue>,
    refused: HashSet<Key>,
    mask_allowed: bool,
}

impl ConfigReader {
    /// Reads the form of a text; `path` is the .inv it came from.
    pub fn new(text: &str, path: &Path, mask_allowed: bool) -> Self {
        let mut faults = FaultList::new(path.display().to_string());
        let inv = Inv::read(text, &mut faults);
        let base = super::absolute(path).parent().map(Path::to_path_buf).unwrap_or_default();
        Self { inv, faults, base, taken: HashMap::new(), refused: HashSet::new(), mask_allowed }
    }

    /// Whether a section is there.
    pub fn has(&self, section: &str) -> bool {
        self.inv.section(section).is_some()
    }

    /// Takes a key and converts it; an absent one has its default.
    pub fn get<T>(&mut self, key: Key, convert: impl Fn(&str) -> Converted<T>) -> Option<T> {
        match self.inv.take(&key) {
            TakenKey::Spoiled => None,
            TakenKey::Absent => {
                if let Some(default) = key.default {
                    return convert(default).ok();
                }
                let at = FaultPlace {
                    line: self.inv.section(key.section),
                    section: key.section,
                    ..FaultPlace::default()
                };
                let expected = convert("").err().unwrap_or_default();
                self.faults.push(at, format!("the key {} is missing: {expected}", key.name));
                None
            }
            TakenKey::Value(value) => {
                let converted = convert(&value.text);
                self.taken.insert(key, value);
                converted.map_err(|expected| self.refuse(key, expected)).ok()
            }
        }
    }

    fn refuse(&mut self, key: Key, expected: String) {
        self.fault(key, expected);
        self.refused.insert(key);
    }

    /// The text a key has in a section that is there, its default too, unless it was refused.
    pub fn holds(&self, key: Key) -> Option<&str> {
        if self.refused.contains(&key) || !self.has(key.section) {
            return None;
        }
        self.taken.get(&key).map(|value| value.text.as_str()).or(key.default)
    }

    /// A password: any text but the mask that stands in its place in what `-T` prints.
    pub fn password(&mut self, key: Key) -> Option<String> {
        let mask_allowed = self.mask_allowed;
        self.get(key, |text| {
            if text == keys::MASK && !mask_allowed {
                return Err("this is the mask that -T prints: write the password itself".into());
            }
            Ok(text.to_owned())
        })
    }

    /// A path; a relative one begins at the directory of the .inv, an empty one stays empty.
    pub fn path(&mut self, key: Key, check: impl Fn(&str) -> Converted<String>) -> Option<PathBuf> {
        let text = self.get(key, check)?;
        Some(if text.is_empty() { PathBuf::new() } else { self.base.join(text) })
    }

    /// An absolute path; a relative one begins at the directory of the .inv.
    pub fn resolve(&self, path: &str) -> String {
        self.base.join(path).to_string_lossy().into_owned()
    }

    /// Notes a fault of a key, at its line when it is in the file, else at its section's.
    pub fn fault(&mut self, key: Key, expected: impl Into<String>) {
        let value = self.taken.get(&key);
        let mut expected = expected.into();
        if let Some(raw) = value.map(|value| &value.raw)
            && let Some(read) = value::reserved(raw)
        {
            expected
                .push_str(&format!("; unquoted, {raw} is '{read}' to PHP: quote it if the word is meant"));
        }
        let at = FaultPlace {
            line: value.map_or(self.inv.section(key.section), |value| Some(value.line)),
            section: key.section,
            key: key.name,
            value: value.map(|value| value.raw.as_str()),
        };
        self.faults.push(at, expected);
    }

    /// Notes a warning about a key, or about its section when it is not in the file.
    pub fn warn(&mut self, key: Key, text: &str) {
        let value = self.taken.get(&key);
        let at = FaultPlace {
            line: value.map_or(self.inv.section(key.section), |value| Some(value.line)),
            section: key.section,
            key: key.name,
            value: value.map(|value| value.raw.as_str()),
        };
        self.faults.warn(at, || text.to_owned());
    }

    /// Notes a fault of a section, at its heading.
    pub fn fault_section(&mut self, section: &str, expected: &str) {
        let at = FaultPlace { line: self.inv.section(section), section, ..FaultPlace::default() };
        self.faults.push(at, expected);
    }

    /// Ends the reading: what nobody took is a fault.
    pub fn finish(mut self) -> FaultList {
        self.inv.leftovers(&mut self.faults);
        self.faults
    }
}
