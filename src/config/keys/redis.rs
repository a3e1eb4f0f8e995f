//! The keys of `[redis_env_section]`: the same keys for each of three servers, and the names of the work
//! list and of the hashes.

use std::path::PathBuf;
use std::time::Duration;

use super::REDIS;
use super::tls::{TlsKeys, tls_keys};
use crate::config::key::{Key, KeyFacts, Usage, ValueKind};
use crate::config::kind;

/// The keys that each Redis server has.
#[derive(Debug)]
pub struct RedisKeys {
    /// Whether the server is reached through a socket in the file system.
    pub socket_type: Key<bool>,
    /// Must be set for TCP if a job needs the server; the default is for servers that no job needs.
    pub host: Key<String>,
    /// Password; empty is none.
    pub password: Key<String>,
    /// TCP port.
    pub port: Key<u16>,
    /// Time until a connection must be usable.
    pub timeout: Key<Duration>,
    /// Path of the socket.
    pub socket: Key<PathBuf>,
    /// User of an access list.
    pub user: Key<String>,
    /// Number of the database; the original knew only 0.
    pub database: Key<u32>,
    /// Whether the connection is encrypted.
    pub encrypted: Key<bool>,
    /// Whom to trust, and which certificate to show.
    pub tls: TlsKeys,
}

impl RedisKeys {
    /// The facts about each of these keys.
    pub const fn facts(&self) -> [KeyFacts; 15] {
        // The fields are named one by one, so that a key missing here does not compile.
        let Self { socket_type, host, password, port, timeout, socket, user, database, encrypted, tls } =
            self;
        let [ca, certificate, key, name, verify, pin] = tls.facts();
        [
            socket_type.facts(),
            host.facts(),
            password.facts(),
            port.facts(),
            timeout.facts(),
            socket.facts(),
            user.facts(),
            database.facts(),
            encrypted.facts(),
            ca,
            certificate,
            key,
            name,
            verify,
            pin,
        ]
    }
}

const fn key<T>(
    name: &'static str,
    kind: ValueKind<T>,
    default: &'static str,
    help: &'static str,
    more: &'static str,
) -> Key<T> {
    Key { section: REDIS, name, kind, default: Some(default), usage: Usage::Used, help, more }
}

macro_rules! redis_keys {
    ($server:literal) => {
        RedisKeys {
            socket_type: key(
                concat!($server, "['socket_type']"),
                kind::socket_type(),
                "",
                "How the server is reached",
                "",
            ),
            host: key(
                concat!($server, "['host']"),
                kind::host(),
                "",
                "Host that the server listens on",
                "It must be set if a job of the file needs this server.",
            ),
            password: key(
                concat!($server, "['password']"),
                kind::password(),
                "",
                "Password of the server",
                "",
            ),
            port: key(concat!($server, "['port']"), kind::port(), "6379", "TCP port of the server", ""),
            timeout: key(
                concat!($server, "['timeout']"),
                kind::connect_timeout(),
                "0.0",
                "Time until a connection must be usable",
                "",
            ),
            socket: key(
                concat!($server, "['socket']"),
                kind::path_or_none(),
                "",
                "Socket of the server, for the socket_type 'unix'",
                "",
            ),
            user: key(
                concat!($server, "['user']"),
                kind::text_or("the default user"),
                "",
                "User of an access list (Redis 6 and later)",
                "",
            ),
            database: key(
                concat!($server, "['database']"),
                kind::count(0, 2_147_483_647, ""),
                "0",
                "Number of the database",
                "",
            ),
            encrypted: key(
                concat!($server, "['tls']"),
                kind::choice(),
                "no",
                "Whether the connection is encrypted by TLS",
                "[security.md](security.md) has the rest.",
            ),
            tls: tls_keys!(REDIS, $server),
        }
    };
}

/// The server whose keys expire.
pub const REDIS_EXPIRE: RedisKeys = redis_keys!("redis_kv_expire");
/// The server that holds the work list.
pub const REDIS_LIST: RedisKeys = redis_keys!("redis_list");
/// The server that holds the hashes.
pub const REDIS_AR: RedisKeys = redis_keys!("redis_ar");

pub const LIST_KEY: Key<String> =
    key("redis_list['key']", kind::name(), "panda_user_expire", "Key of the work list", "");

/// The original had the hashes fixed in its code.
pub const HASHES: Key<Vec<String>> = key(
    "redis_ar['hashes']",
    kind::hashes(),
    "users.id active_config.netbar_id users_netbar.user_id users_netbar_person.user_id \
     overwatch_activity_config.netbar_id netbar_notice.netbar_id base_config.netbar_id \
     voice_config.netbar_id client_config.netbar_id startup_info.netbar_id integral_config.netbar_id \
     lucky_draw_config.netbar_id online_vod.netbar_id second_kill_config.netbar_id \
     alipay_netbar.netbar_id xm_activity_config.netbar_id recharge_config.netbar_id",
    "Hashes that a user's field is deleted from",
    "",
);
