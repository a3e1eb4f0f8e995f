//! What the .inv may say and this version does not do yet: each says so, none is ignored.
//!
//! A setting that begins to work loses its line here, and nothing else changes.

use super::keys::{self, Key};
use super::reader::ConfigReader;

/// A key, when its value asks for what is not there, and what to write instead.
type NotYet = (Key, fn(&str) -> bool, &'static str);

const FAULTS: [NotYet; 2] = [
    (keys::HTTP, set, "the status page is not in this version: write '' for off"),
    (keys::PIDFILE, set, "the pidfile is not in this version: write '' for none"),
];

/// Notes what the configuration asks for in vain, defaults of sections that are there included.
pub fn check(reader: &mut ConfigReader) {
    for (key, asked, text) in FAULTS {
        if reader.holds(key).is_some_and(asked) {
            reader.fault(key, text);
        }
    }
}

fn set(value: &str) -> bool {
    !value.trim().is_empty()
}
