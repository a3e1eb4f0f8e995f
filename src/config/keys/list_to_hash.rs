//! The keys of `[panda_server_section]`: items of the work list become deleted hash fields.

use std::time::Duration;

use super::SERVER;
use crate::config::choices::CameBackCheck;
use crate::config::key::{Key, Usage};
use crate::config::kind;

pub const SERVER_PROCESS: Key<String> = Key {
    section: SERVER,
    name: "panda_process",
    kind: kind::text(),
    default: Some("panda_process"),
    usage: Usage::Used,
    help: "First part of the name of the connections in Redis' `CLIENT LIST`",
    more: "",
};

pub const SERVER_MASTER: Key<String> = Key {
    section: SERVER,
    name: "panda_process_master",
    kind: kind::text(),
    default: Some("clear_redis_list_master"),
    usage: Usage::Unused,
    help: "Title of the master process of the PHP system",
    more: "",
};

pub const SERVER_CHILD: Key<String> = Key {
    section: SERVER,
    name: "panda_process_child",
    kind: kind::text(),
    default: Some("clear_redis_list_worker"),
    usage: Usage::Used,
    help: "Second part of the name of the connections, after a colon",
    more: "",
};

pub const SERVER_WORKERS: Key<usize> = Key {
    section: SERVER,
    name: "max_process_num",
    kind: kind::workers(),
    default: Some("2"),
    usage: Usage::Used,
    help: "How many threads delete fields",
    more: "",
};

pub const QUEUE_LIFE: Key<Duration> = Key {
    section: SERVER,
    name: "queue['life']",
    kind: kind::seconds(1, 3_600),
    default: Some("10"),
    usage: Usage::Used,
    help: "Time since its last heartbeat after which a pandad counts as gone and others do its items",
    more: "",
};

pub const CAME_BACK: Key<CameBackCheck> = Key {
    section: SERVER,
    name: "queue['came_back']",
    kind: kind::choice(),
    default: Some("auto"),
    usage: Usage::Used,
    help: "Whether to leave a user alone whose marker key exists again",
    more: "The marker key is looked for on `redis_kv_expire`; see \
        [work-list.md](work-list.md#users-who-came-back).",
};
