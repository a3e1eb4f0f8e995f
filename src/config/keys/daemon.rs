//! The keys of `[daemon_section]`: settings of the whole process.

use std::path::PathBuf;
use std::time::Duration;

use super::DAEMON;
use crate::config::choices::{FailurePolicy, HttpAddress};
use crate::config::key::{Key, Usage};
use crate::config::kind;

pub const STOP_TIMEOUT: Key<Duration> = Key {
    section: DAEMON,
    name: "stop_timeout",
    kind: kind::seconds(1, 3_600),
    default: Some("25"),
    usage: Usage::Used,
    help: "Time that a stop may take",
    more: "What is unfinished then is left for the next start.",
};

pub const ON_FAILURE: Key<FailurePolicy> = Key {
    section: DAEMON,
    name: "on_failure",
    kind: kind::choice(),
    default: Some("stay"),
    usage: Usage::Used,
    help: "What happens when one of several jobs fails for good",
    more: "With `stay` the others go on, and the failed job is tried again every minute. With `exit` the \
           others settle, and pandad ends with status 1.",
};

pub const MEMORY: Key<u64> = Key {
    section: DAEMON,
    name: "memory",
    kind: kind::size(1 << 20, 4 << 30),
    default: Some("16M"),
    usage: Usage::Used,
    help: "Memory that one job may hold between reading and writing",
    more: "It may hold as much again that is written and not yet synced.",
};

pub const HTTP: Key<HttpAddress> = Key {
    section: DAEMON,
    name: "http",
    kind: kind::http_address(),
    default: Some(""),
    usage: Usage::Used,
    help: "Where the status page, metrics and health checks are served",
    more: "Nobody is asked for a password: keep it on the loopback, or behind a server that asks for one. \
           While another process has the port, pandad runs without and tries again.",
};

pub const HTTP_HOSTS: Key<Vec<String>> = Key {
    section: DAEMON,
    name: "http_hosts",
    kind: kind::host_names(),
    default: Some(""),
    usage: Usage::Used,
    help: "Other names of this machine by which browsers may ask for the status page",
    more: "localhost and the address itself are always allowed.",
};

pub const PIDFILE: Key<PathBuf> = Key {
    section: DAEMON,
    name: "pidfile",
    kind: kind::path_or_none(),
    default: Some(""),
    usage: Usage::Refused("the pidfile is not in this version: write '' for none"),
    help: "File for the process number",
    more: "",
};

pub const DAEMON_LOG: Key<String> = Key {
    section: DAEMON,
    name: "log",
    kind: kind::stderr_or_file(),
    default: Some("stderr"),
    usage: Usage::Used,
    help: "Where pandad's own log goes",
    more: "",
};

pub const LOG_LEVEL: Key<log::LevelFilter> = Key {
    section: DAEMON,
    name: "log_level",
    kind: kind::choice(),
    default: Some("info"),
    usage: Usage::Used,
    help: "The least important lines that are logged",
    more: "",
};
