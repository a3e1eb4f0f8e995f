//! Every key there is: section, name, and the default an absent key has.
//!
//! Defaults are written as they would stand in the .inv, so that they go through the
//! same checks as a value from the file. This is the only place a default is named.

/// Section of the job `kafka_to_file`.
pub const LOG: &str = "log_section";
/// Section of the job `expired_to_list`.
pub const CLEAR: &str = "clearCache_section";
/// Section of the job `list_to_hash`.
pub const SERVER: &str = "panda_server_section";
/// Section that names the Redis servers.
pub const REDIS: &str = "redis_env_section";
/// Section that concerns the whole process.
pub const DAEMON: &str = "daemon_section";

/// Every section, in the order in which they are printed.
pub const SECTIONS: [&str; 5] = [LOG, CLEAR, REDIS, SERVER, DAEMON];

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Section it belongs in.
    pub section: &'static str,
    /// Name in its canonical form, `a` or `a['b']`.
    pub name: &'static str,
    /// What an absent key means; `None` when it must be there.
    pub default: Option<&'static str>,
}

const fn key(section: &'static str, name: &'static str, default: &'static str) -> Key {
    Key { section, name, default: Some(default) }
}

const fn required(section: &'static str, name: &'static str) -> Key {
    Key { section, name, default: None }
}

// [log_section]: names are those of the original's own .inv; worker_num is a number of threads.
pub const LOG_PROCESS: Key = key(LOG, "panda_process", "panda_process");
pub const BROKER_LIST: Key = required(LOG, "broker_list");
pub const LOG_MASTER: Key = key(LOG, "master['log_master_name']", "log_kafka_master");
pub const LOG_CHILD: Key = key(LOG, "children['log_kafka']", "log_kafka_worker");
pub const LOG_WORKERS: Key = key(LOG, "log_handler['worker_num']", "5");
// Topic and group are what the original had fixed in its code.
pub const TOPICS: Key = key(LOG, "kafka['topics']", "test");
pub const GROUP: Key = key(LOG, "kafka['group']", "test");
pub const START: Key = key(LOG, "kafka['start']", "earliest");
pub const OFFSETS: Key = key(LOG, "kafka['offsets']", "kafka");
pub const CLIENT: Key = key(LOG, "kafka['client']", "auto");
pub const MEMBERSHIP: Key = key(LOG, "kafka['membership']", "coordinated");
// Milliseconds, and seconds.
pub const SESSION: Key = key(LOG, "kafka['session_ms']", "10000");
pub const FULL_DISK: Key = key(LOG, "kafka['full_disk_s']", "300");
pub const ISOLATION: Key = key(LOG, "kafka['isolation']", "read_committed");
pub const FILE_PATH: Key = key(LOG, "log_file['path']", "consumer.log");
pub const FILE_FORMAT: Key = key(LOG, "log_file['format']", "original");
pub const FILE_SYNC: Key = key(LOG, "log_file['sync']", "always");
// Milliseconds.
pub const FILE_SETTLE: Key = key(LOG, "log_file['settle_ms']", "1000");
// Bytes, with K, M or G; empty is off.
pub const ROTATE_SIZE: Key = key(LOG, "log_file['rotate_size']", "");
pub const ROTATE_EVERY: Key = key(LOG, "log_file['rotate_every']", "");
// A number of files.
pub const ROTATE_KEEP: Key = key(LOG, "log_file['rotate_keep']", "7");
pub const ROTATE_GZIP: Key = key(LOG, "log_file['rotate_gzip']", "no");

// [clearCache_section]
pub const CLEAR_PROCESS: Key = key(CLEAR, "panda_process", "panda_process_cache");
pub const CLEAR_MASTER: Key = key(CLEAR, "master['clear_master_name']", "subscrible_clear_master");
pub const CLEAR_CHILD: Key = key(CLEAR, "children['redis_cache_clear']", "subscrible_clear_worker");
pub const CLEAR_WORKERS: Key = key(CLEAR, "cache_clear_handler['worker_num']", "1");
pub const EXPIRED_PREFIX: Key = key(CLEAR, "expired['prefix']", "");
pub const RECONCILE: Key = key(CLEAR, "expired['reconcile']", "no");
// Keys a second, and bytes with K, M or G.
pub const EXPIRED_RATE: Key = key(CLEAR, "expired['rate']", "50000");
pub const EXPIRED_MEMORY: Key = key(CLEAR, "expired['memory']", "64M");

// [panda_server_section]
pub const SERVER_PROCESS: Key = key(SERVER, "panda_process", "panda_process");
pub const SERVER_MASTER: Key = key(SERVER, "panda_process_master", "clear_redis_list_master");
pub const SERVER_CHILD: Key = key(SERVER, "panda_process_child", "clear_redis_list_worker");
pub const SERVER_WORKERS: Key = key(SERVER, "max_process_num", "2");
// Seconds.
pub const QUEUE_LIFE: Key = key(SERVER, "queue['life']", "10");
pub const CAME_BACK: Key = key(SERVER, "queue['came_back']", "auto");

/// The keys that each Redis server has.
#[derive(Debug, Clone, Copy)]
pub struct RedisKeys {
    /// `''` and `tcp` are host and port, `unix` is the socket.
    pub socket_type: Key,
    /// Path of the socket, for `unix`.
    pub socket: Key,
    /// Must be there for tcp; its default here says only that it may be absent for unix.
    pub host: Key,
    /// Port number.
    pub port: Key,
    /// User of an access list.
    pub user: Key,
    /// Password.
    pub password: Key,
    /// Number of the database; the original knew only 0.
    pub database: Key,
    /// Seconds; 0.0 is [`CONNECT_TIMEOUT_MS`].
    pub timeout: Key,
}

macro_rules! redis_keys {
    ($block:literal) => {
        RedisKeys {
            socket_type: key(REDIS, concat!($block, "['socket_type']"), ""),
            socket: key(REDIS, concat!($block, "['socket']"), ""),
            host: key(REDIS, concat!($block, "['host']"), ""),
            port: key(REDIS, concat!($block, "['port']"), "6379"),
            user: key(REDIS, concat!($block, "['user']"), ""),
            password: key(REDIS, concat!($block, "['password']"), ""),
            database: key(REDIS, concat!($block, "['database']"), "0"),
            timeout: key(REDIS, concat!($block, "['timeout']"), "0.0"),
        }
    };
}

// [redis_env_section]
pub const REDIS_EXPIRE: RedisKeys = redis_keys!("redis_kv_expire");
pub const REDIS_LIST: RedisKeys = redis_keys!("redis_list");
pub const REDIS_AR: RedisKeys = redis_keys!("redis_ar");
pub const LIST_KEY: Key = key(REDIS, "redis_list['key']", "panda_user_expire");
// What the original had fixed in its code.
pub const HASHES: Key = key(
    REDIS,
    "redis_ar['hashes']",
    "users.id active_config.netbar_id users_netbar.user_id users_netbar_person.user_id \
     overwatch_activity_config.netbar_id netbar_notice.netbar_id base_config.netbar_id \
     voice_config.netbar_id client_config.netbar_id startup_info.netbar_id integral_config.netbar_id \
     lucky_draw_config.netbar_id online_vod.netbar_id second_kill_config.netbar_id \
     alipay_netbar.netbar_id xm_activity_config.netbar_id recharge_config.netbar_id",
);

// [daemon_section]; seconds, and bytes with K, M or G.
pub const STOP_TIMEOUT: Key = key(DAEMON, "stop_timeout", "25");
pub const MEMORY: Key = key(DAEMON, "memory", "16M");
pub const HTTP: Key = key(DAEMON, "http", "");
pub const PIDFILE: Key = key(DAEMON, "pidfile", "");
pub const DAEMON_LOG: Key = key(DAEMON, "log", "stderr");
pub const LOG_LEVEL: Key = key(DAEMON, "log_level", "info");

/// Port of a broker that is named without one.
pub const KAFKA_PORT: u16 = 9092;
/// Milliseconds a Redis connection may take when `timeout` is 0.0, which to PHP meant for ever.
pub const CONNECT_TIMEOUT_MS: u64 = 5_000;
/// Worker threads of one job, at most: a slip of the finger should not become ten thousand threads.
pub const MAX_WORKERS: u64 = 256;
/// What is printed in place of a password, and refused as one.
pub const MASK: &str = "********";
/// Bytes of an .inv, at most.
pub const MAX_FILE: u64 = 1 << 20;

/// Every key, by section, in the order in which they are printed.
pub const ALL: [Key; 68] = [
    LOG_PROCESS,
    BROKER_LIST,
    LOG_MASTER,
    LOG_CHILD,
    LOG_WORKERS,
    TOPICS,
    GROUP,
    START,
    OFFSETS,
    CLIENT,
    MEMBERSHIP,
    SESSION,
    FULL_DISK,
    ISOLATION,
    FILE_PATH,
    FILE_FORMAT,
    FILE_SYNC,
    FILE_SETTLE,
    ROTATE_SIZE,
    ROTATE_EVERY,
    ROTATE_KEEP,
    ROTATE_GZIP,
    CLEAR_PROCESS,
    CLEAR_MASTER,
    CLEAR_CHILD,
    CLEAR_WORKERS,
    EXPIRED_PREFIX,
    RECONCILE,
    EXPIRED_RATE,
    EXPIRED_MEMORY,
    REDIS_EXPIRE.socket_type,
    REDIS_EXPIRE.socket,
    REDIS_EXPIRE.host,
    REDIS_EXPIRE.port,
    REDIS_EXPIRE.user,
    REDIS_EXPIRE.password,
    REDIS_EXPIRE.database,
    REDIS_EXPIRE.timeout,
    REDIS_LIST.socket_type,
    REDIS_LIST.socket,
    REDIS_LIST.host,
    REDIS_LIST.port,
    REDIS_LIST.user,
    REDIS_LIST.password,
    REDIS_LIST.database,
    REDIS_LIST.timeout,
    LIST_KEY,
    REDIS_AR.socket_type,
    REDIS_AR.socket,
    REDIS_AR.host,
    REDIS_AR.port,
    REDIS_AR.user,
    REDIS_AR.password,
    REDIS_AR.database,
    REDIS_AR.timeout,
    HASHES,
    SERVER_PROCESS,
    SERVER_MASTER,
    SERVER_CHILD,
    SERVER_WORKERS,
    QUEUE_LIFE,
    CAME_BACK,
    STOP_TIMEOUT,
    MEMORY,
    HTTP,
    PIDFILE,
    DAEMON_LOG,
    LOG_LEVEL,
];
