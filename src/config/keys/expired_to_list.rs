//! The keys of `[clearCache_section]`: Redis keys that expire become items on the work list.

use super::CLEAR;
use crate::config::choices::ReconcileMode;
use crate::config::key::{Key, Usage};
use crate::config::kind;

pub const CLEAR_PROCESS: Key<String> = Key {
    section: CLEAR,
    name: "panda_process",
    kind: kind::text(),
    default: Some("panda_process_cache"),
    usage: Usage::Used,
    help: "First part of the name of the connections in Redis' `CLIENT LIST`",
    more: "",
};

pub const CLEAR_MASTER: Key<String> = Key {
    section: CLEAR,
    name: "master['clear_master_name']",
    kind: kind::text(),
    default: Some("subscrible_clear_master"),
    usage: Usage::Unused,
    help: "Title of the master process of the PHP system",
    more: "",
};

pub const CLEAR_CHILD: Key<String> = Key {
    section: CLEAR,
    name: "children['redis_cache_clear']",
    kind: kind::text(),
    default: Some("subscrible_clear_worker"),
    usage: Usage::Used,
    help: "Second part of the name of the connections, after a colon",
    more: "",
};

pub const CLEAR_WORKERS: Key<usize> = Key {
    section: CLEAR,
    name: "cache_clear_handler['worker_num']",
    kind: kind::workers(),
    default: Some("1"),
    usage: Usage::Used,
    help: "How many threads push items",
    more: "",
};

pub const EXPIRED_PREFIX: Key<String> = Key {
    section: CLEAR,
    name: "expired['prefix']",
    kind: kind::text_or("every key"),
    default: Some(""),
    usage: Usage::Used,
    help: "Only keys that begin with this",
    more: "Keys that begin with `pandad:` never become items.",
};

pub const RECONCILE: Key<ReconcileMode> = Key {
    section: CLEAR,
    name: "expired['reconcile']",
    kind: kind::choice(),
    default: Some("no"),
    usage: Usage::Used,
    help: "Whether to look for keys that expired while nobody listened",
    more: "[expiry.md](expiry.md) says what it can and cannot tell.",
};

pub const EXPIRED_RATE: Key<u32> = Key {
    section: CLEAR,
    name: "expired['rate']",
    kind: kind::count(100, 1_000_000, "keys a second"),
    default: Some("50000"),
    usage: Usage::Used,
    help: "How many keys to ask the server for, at most, so that they expire on time",
    more: "With more of them due, keys are late.",
};

pub const EXPIRED_MEMORY: Key<u64> = Key {
    section: CLEAR,
    name: "expired['memory']",
    kind: kind::size(1 << 20, 16 << 30),
    default: Some("64M"),
    usage: Usage::Used,
    help: "Memory that deadlines may take",
    more: "A key takes about 70 bytes.",
};
