//! What the .inv may say and this version does not do yet: each says so, none is ignored.
//!
//! A setting that begins to work loses its line here, and nothing else changes.

use super::keys::{self, Key};
use super::reader::Reader;

/// A key, when its value asks for what is not there, and what to write instead.
type NotYet = (Key, fn(&str) -> bool, &'static str);

const FAULTS: [NotYet; 7] = [
    (keys::CLIENT, |v| is(v, "native"), "the native client is not in this version: write 'auto' or 'crate'"),
    (
        keys::TOPICS,
        |v| v.trim().starts_with('/'),
        "topics by regular expression are not in this version: name the topics",
    ),
    (
        keys::FILE_PATH,
        |v| v.contains("{topic}"),
        "a file for each topic is not in this version: write a path without {topic}",
    ),
    (keys::ROTATE_SIZE, set, "rotation is not in this version: write '' for off"),
    (keys::ROTATE_EVERY, set, "rotation is not in this version: write '' for off"),
    (keys::HTTP, set, "the status page is not in this version: write '' for off"),
    (keys::PIDFILE, set, "the pidfile is not in this version: write '' for none"),
];

const WARNINGS: [NotYet; 1] = [(
    keys::MEMBERSHIP,
    |v| is(v, "coordinated"),
    "'coordinated' is not in this version and acts as 'alone': run one pandad for each group",
)];

/// Sections whose jobs do not run, and what to say.
const JOBS: [(&str, &str); 2] = [
    (keys::CLEAR, "the job expired_to_list is not in this version and does not run"),
    (keys::SERVER, "the job list_to_hash is not in this version and does not run"),
];

/// Notes what the configuration asks for in vain, defaults of sections that are there included.
pub fn check(reader: &mut Reader) {
    for (key, asked, text) in FAULTS {
        if reader.holds(key).is_some_and(asked) {
            reader.fault(key, text);
        }
    }
    for (key, asked, text) in WARNINGS {
        if reader.holds(key).is_some_and(asked) {
            reader.warn(key, text);
        }
    }
    for (section, text) in JOBS {
        if reader.has(section) {
            reader.warn_section(section, text);
        }
    }
    if !reader.has(keys::LOG) && JOBS.iter().any(|(section, _)| reader.has(section)) {
        reader.fault_section(
            keys::LOG,
            "the section is missing, and no other job is in this version: there would be nothing to run",
        );
    }
}

fn is(value: &str, word: &str) -> bool {
    value.trim().eq_ignore_ascii_case(word)
}

fn set(value: &str) -> bool {
    !value.trim().is_empty()
}
