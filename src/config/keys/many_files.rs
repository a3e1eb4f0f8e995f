//! The keys of `[log_section]` for the files of a path with placeholders.

use std::path::PathBuf;
use std::time::Duration;

use super::LOG;
use crate::config::choices::PathTime;
use crate::config::key::{Key, Usage};
use crate::config::kind;
use crate::time_zone::NamedZone;

pub const PATH_TIME: Key<PathTime> = Key {
    section: LOG,
    name: "log_file['time']",
    kind: kind::choice(),
    default: Some("record"),
    usage: Usage::Used,
    help: "Which time of a record the path shows",
    more: "A record without a timestamp has the time at which it is written.",
};

pub const PATH_ZONE: Key<NamedZone> = Key {
    section: LOG,
    name: "log_file['zone']",
    kind: kind::zone(),
    default: Some("UTC"),
    usage: Usage::Used,
    help: "Time zone of the times in the path",
    more: "Where clocks are set back, a file whose name comes back is gone on with.",
};

pub const FILE_OPEN: Key<u32> = Key {
    section: LOG,
    name: "log_file['open']",
    kind: kind::count(8, 100_000, "files"),
    default: Some("256"),
    usage: Usage::Used,
    help: "How many files to have open at once, if the path has placeholders",
    more: "",
};

pub const FILE_FUTURE: Key<Duration> = Key {
    section: LOG,
    name: "log_file['future']",
    kind: kind::duration(60, 36_500 * 86_400),
    default: Some("1d"),
    usage: Usage::Used,
    help: "How far ahead of the clock the time in the path may be",
    more: "Records further ahead go to files below `future/`, so that one wrong clock delays nothing.",
};

pub const FILE_GRACE: Key<Duration> = Key {
    section: LOG,
    name: "log_file['grace']",
    kind: kind::duration(0, 365 * 86_400),
    default: Some("10m"),
    usage: Usage::Used,
    help: "How long after the end of a period its file is finished",
    more: "Records that are older when they are produced go to `.late` files: set it above their age.",
};

pub const COMPLETE_DIR: Key<PathBuf> = Key {
    section: LOG,
    name: "log_file['complete']",
    kind: kind::path_or_none(),
    default: Some(""),
    usage: Usage::Used,
    help: "Directory to which the complete files of a period are moved",
    more: "On the same file system. Nothing is replaced: `.1` is appended to a name that is taken.",
};

pub const COMPLETE_GZIP: Key<bool> = Key {
    section: LOG,
    name: "log_file['complete_gzip']",
    kind: kind::choice(),
    default: Some("no"),
    usage: Usage::Used,
    help: "Whether complete files are compressed when they are moved",
    more: "It is done in the background; the file gets `.gz` appended and comes to the directory whole.",
};

pub const NEW_FILES: Key<u32> = Key {
    section: LOG,
    name: "log_file['new_files']",
    kind: kind::count(1, 1_000_000_000, "files an hour"),
    default: Some("10000"),
    usage: Usage::Used,
    help: "How many files may begin, if the path has placeholders",
    more: "Producers choose keys and timestamps, and so how many files there are.",
};
