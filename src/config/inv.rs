//! The only use of the `configparser` package: a text becomes keys that are *taken* one by one.
//!
//! A key that nobody has taken at the end is unknown. This is a fault, and its message guesses which key
//! was meant.

use std::collections::{BTreeMap, HashMap};

use configparser::ini::{Ini, IniDefault};

use super::faults::{FaultList, FaultPlace};
use super::key::{KeyFacts, KeyList};
use super::scan::{LineContent, scan};
use super::{suggest, value};

/// A value from the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvValue {
    /// The text that the value stands for, without quotes.
    pub text: String,
    /// The value as written, without its comment.
    pub raw: String,
    /// 1-based.
    pub line: usize,
}

/// The result of taking a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TakenKey {
    /// The key is not in the file.
    Absent,
    /// The key is in the file, and a fault of its value was noted already.
    Spoiled,
    /// The key is in the file, with this value.
    Value(InvValue),
}

/// The file as it was read.
#[derive(Debug)]
pub struct Inv {
    /// Section → line of its heading.
    sections: HashMap<String, usize>,
    /// Section and key → entry. A key that was taken is removed.
    entries: BTreeMap<(String, String), InvEntry>,
    ini: Ini,
    /// All keys of pandad.
    known: KeyList,
}

#[derive(Debug)]
struct InvEntry {
    /// 1-based.
    line: usize,
    /// The key as written.
    written: String,
    /// Whether the value was refused already.
    is_spoiled: bool,
}

impl Inv {
    /// Reads a text. Faults of its form go to `faults`.
    pub fn read(text: &str, known: KeyList, faults: &mut FaultList) -> Self {
        let mut sections = HashMap::new();
        let mut entries = BTreeMap::new();
        let mut clean = String::new();
        let mut under = String::new();
        for found in scan(text, known, faults) {
            let line = found.line;
            let (key, written, value) = match (found.item, &found.section) {
                (LineContent::Section, Some(name)) => {
                    sections.insert(name.clone(), line);
                    if !known.has_section(name) {
                        let at = FaultPlace { line: Some(line), section: name, ..FaultPlace::default() };
                        faults.warn(at, || suggest::for_section(known, name));
                    }
                    continue;
                }
                (LineContent::Section, None) => continue,
                (LineContent::Entry { key, written, value }, _) => (key, written, value),
            };
            let entry = InvEntry { line, written: written.to_owned(), is_spoiled: value.is_none() };
            match found.section {
                Some(section) => {
                    if let Some(value) = value {
                        // A section that is written twice is a fault, but the keys of both parts belong
                        // to it.
                        if under != section {
                            clean.push_str(&format!("[{section}]\n"));
                            under.clone_from(&section);
                        }
                        clean.push_str(&format!("{key}={value}\n"));
                    }
                    entries.insert((section, key), entry);
                }
                None => {
                    let at = FaultPlace { line: Some(line), key: written, value, ..FaultPlace::default() };
                    faults.push(at, suggest::for_orphan(known, &key));
                    // The key also counts as given in its right section. Otherwise it would be reported
                    // there as missing, too.
                    for owner in known.named(&key) {
                        let entry = InvEntry { line, written: written.to_owned(), is_spoiled: true };
                        entries.entry((owner.section.to_owned(), key.clone())).or_insert(entry);
                    }
                }
            }
        }
        let mut ini = Ini::new_from_defaults(parser_settings());
        if let Err(why) = ini.read(clean) {
            faults.push(FaultPlace::default(), format!("the file cannot be read as an .inv: {why}"));
        }
        Self { sections, entries, ini, known }
    }

    /// The line on which a section begins, if the file has the section.
    pub fn section_line(&self, name: &str) -> Option<usize> {
        self.sections.get(name).copied()
    }

    /// Takes a key out.
    pub fn take(&mut self, key: &KeyFacts) -> TakenKey {
        let Some(entry) = self.entries.remove(&(key.section.to_owned(), key.name.to_owned())) else {
            return TakenKey::Absent;
        };
        if entry.is_spoiled {
            return TakenKey::Spoiled;
        }
        let raw = self.ini.get(key.section, key.name).unwrap_or_default();
        match value::meaning(&raw) {
            Ok(text) => TakenKey::Value(InvValue { text, raw, line: entry.line }),
            Err(_) => TakenKey::Spoiled,
        }
    }

    /// Reports the keys that nobody took.
    pub fn report_leftovers(self, faults: &mut FaultList) {
        for ((section, key), entry) in &self.entries {
            // A warning about an unknown section was noted already.
            if !self.known.has_section(section) || !self.sections.contains_key(section) {
                continue;
            }
            let at = FaultPlace { line: Some(entry.line), section, key: &entry.written, value: None };
            // Looking for the nearest name costs too much for a fault that is only counted.
            let text =
                if faults.is_full() { String::new() } else { suggest::for_key(self.known, section, key) };
            faults.push(at, text);
        }
    }
}

/// The settings of the package. By default it lower-cases keys, takes `#` for a comment and `:` for a
/// delimiter, and cuts comments off inside quotes.
fn parser_settings() -> IniDefault {
    let mut settings = IniDefault::default();
    settings.case_sensitive = true;
    settings.comment_symbols = vec![';'];
    settings.inline_comment_symbols = Some(Vec::new());
    settings.enable_inline_comments = false;
    settings.delimiters = vec!['='];
    settings.multiline = false;
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{keys, settings};

    fn read(text: &str) -> (Inv, Vec<String>) {
        let mut faults = FaultList::new("t".into(), settings::KEYS);
        let inv = Inv::read(text, settings::KEYS, &mut faults);
        let list = match faults.finish() {
            Ok(_) => Vec::new(),
            Err(error) => error.to_string().lines().map(str::to_owned).collect(),
        };
        (inv, list)
    }

    #[test]
    fn the_traps_of_the_package_are_closed() {
        let (mut inv, faults) = read(concat!(
            "[log_section]\n",
            "broker_list='a#b;c:d=e' ; comment\n",
            "kafka[\"topics\"] = Mixed:Case#x\n",
            "    kafka[group]='deeper indented is no continuation'\n",
        ));
        assert_eq!(faults, Vec::<String>::new());
        let mut take = |key: KeyFacts| match inv.take(&key) {
            TakenKey::Value(value) => (value.line, value.text),
            other => panic!("{other:?}"),
        };
        assert_eq!(take(keys::BROKER_LIST.facts()), (2, "a#b;c:d=e".into()));
        assert_eq!(take(keys::TOPICS.facts()), (3, "Mixed:Case#x".into()));
        assert_eq!(take(keys::GROUP.facts()), (4, "deeper indented is no continuation".into()));
        assert_eq!(inv.take(&keys::GROUP.facts()), TakenKey::Absent);
    }

    #[test]
    fn a_section_named_default_is_ordinary() {
        let (inv, faults) = read("[default]\nx=1\n[log_section]\nbroker_list=a\n");
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(inv.section_line("default"), Some(1));
        assert_eq!(inv.section_line("log_section"), Some(3));
    }
}
