//! What a configuration means once it is read: plain typed values.
//!
//! Nothing here reads or checks; `super::Config::load` is the only way to get one.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::pattern::Pattern;

/// A whole configuration, every value checked and every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The .inv itself, as an absolute path: it tells two running pandads apart.
    pub path: PathBuf,
    /// What concerns the whole process.
    pub daemon: DaemonConfig,
    /// The job `kafka_to_file`, when its section is there.
    pub kafka_to_file: Option<KafkaToFileConfig>,
    /// The job `expired_to_list`, when its section is there.
    pub expired_to_list: Option<ExpiredToListConfig>,
    /// The job `list_to_hash`, when its section is there.
    pub list_to_hash: Option<ListToHashConfig>,
    /// What the operator should know but what does not stop the start: one sentence each, with its line.
    pub warnings: Vec<String>,
}

/// `[daemon_section]`: what concerns the whole process.
#[derive(Debug, Clone, PartialEq)]
pub struct DaemonConfig {
    /// How long a stop may take before what is unfinished is left for the next start.
    pub stop_timeout: Duration,
    /// Bytes one job may hold between reading and writing.
    pub memory: u64,
    /// Address and port of the status page; empty is off.
    pub http: String,
    /// File for the process number; empty is none, otherwise an absolute path.
    pub pidfile: String,
    /// `stderr`, or the absolute path of a log file.
    pub log: String,
    /// The least important kind of line that is logged.
    pub log_level: log::LevelFilter,
}

/// `[log_section]`: Kafka records become lines in a log file.
#[derive(Debug, Clone, PartialEq)]
pub struct KafkaToFileConfig {
    /// `panda_process`: the name before the colon in the original's process titles.
    pub group_name: String,
    /// `master['log_master_name']`: names the job in log lines.
    pub name: String,
    /// `children['log_kafka']`: names the workers.
    pub worker_name: String,
    /// Brokers to begin with, each as `host:port` or `[v6]:port`.
    pub brokers: Vec<String>,
    /// Worker threads, at least one.
    pub workers: usize,
    /// What is read, and how.
    pub kafka: KafkaConfig,
    /// Where the lines go, and how.
    pub log_file: LogFileConfig,
}

impl KafkaToFileConfig {
    /// The log files: one, or, where the path says `{topic}`, one for each topic in their order.
    pub fn paths(&self) -> Vec<PathBuf> {
        let path = self.log_file.path.to_string_lossy();
        if !path.contains(TOPIC) {
            return vec![self.log_file.path.clone()];
        }
        // A topic's name holds nothing that would lead to another directory.
        self.kafka.topics.names().iter().map(|topic| PathBuf::from(path.replace(TOPIC, topic))).collect()
    }
}

/// Stands for the topic's name in `log_file['path']`.
pub const TOPIC: &str = "{topic}";

/// `kafka[…]`: topics, group and manner of reading.
#[derive(Debug, Clone, PartialEq)]
pub struct KafkaConfig {
    /// What is read.
    pub topics: TopicSelection,
    /// Consumer group the positions belong to.
    pub group: String,
    /// Where to begin in a partition nobody has a position for.
    pub start: StartPolicy,
    /// Where the group's positions are kept.
    pub offsets: OffsetLocation,
    /// Which client fetches.
    pub client: ClientChoice,
    /// Whether partitions are shared out among several pandads.
    pub membership: Membership,
    /// Without a sign of life for this long a member of the group counts as dead.
    pub session: Duration,
    /// For how long a member keeps its partitions while the disk takes nothing.
    pub full_disk: Duration,
    /// Whether records of unfinished and aborted transactions are read.
    pub isolation: ReadIsolation,
}

/// `kafka['topics']`.
#[derive(Debug, Clone, PartialEq)]
pub enum TopicSelection {
    /// These, no two alike.
    Named(Vec<String>),
    /// All that match.
    Like(Pattern),
}

impl TopicSelection {
    /// The names, as far as they are known beforehand.
    pub fn names(&self) -> &[String] {
        match self {
            TopicSelection::Named(names) => names,
            TopicSelection::Like(_) => &[],
        }
    }
}

impl fmt::Display for TopicSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TopicSelection::Named(names) => f.write_str(&names.join(",")),
            TopicSelection::Like(pattern) => fmt::Display::fmt(pattern, f),
        }
    }
}

/// `kafka['start']`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartPolicy {
    /// At the oldest record there is.
    Earliest,
    /// At what comes next.
    Latest,
}

/// `kafka['offsets']`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetLocation {
    /// In Kafka's own offsets topic.
    Kafka,
    /// In ZooKeeper, as consumers of the 0.8 and 0.9 days did.
    ZooKeeper,
}

/// `kafka['client']`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientChoice {
    /// What the brokers' answers call for.
    Auto,
    /// The `kafka` package.
    Crate,
    /// pandad's own client.
    Native,
}

/// `kafka['membership']`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// A member of the group: Kafka shares the partitions out.
    Coordinated,
    /// This pandad reads every partition itself.
    Alone,
}

/// `kafka['isolation']`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadIsolation {
    /// Only what is outside transactions or committed.
    ReadCommitted,
    /// Everything, as it lies in the log.
    ReadUncommitted,
}

/// `log_file[…]`: where lines go, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct LogFileConfig {
    /// Absolute path; a relative one was taken from the directory of the .inv. It may hold `{topic}`.
    pub path: PathBuf,
    /// What a line looks like.
    pub format: FileFormat,
    /// Whether a batch is on the disk before its position is committed.
    pub sync: SyncPolicy,
    /// Longest time between a write and its settling.
    pub settle: Duration,
    /// Size in bytes above which the file is rotated; `None` is never.
    pub rotate_size: Option<u64>,
    /// Rhythm in which the file is rotated; `None` is never.
    pub rotate_every: Option<RotationPeriod>,
    /// How many rotated files are kept.
    pub rotate_keep: u32,
    /// Whether rotated files are compressed.
    pub rotate_gzip: bool,
}

/// `log_file['format']`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// The PHP system's line, byte for byte.
    Original,
    /// The value and a newline.
    Raw,
    /// One JSON object.
    Json,
}

/// `log_file['sync']`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPolicy {
    /// fsync before each commit.
    Always,
    /// The kernel writes back when it likes: a power loss may lose lines.
    Never,
}

/// `log_file['rotate_every']`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationPeriod {
    /// At each full hour.
    Hour,
    /// At midnight.
    Day,
}

/// `[clearCache_section]`: keys that expire become items on a work list.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpiredToListConfig {
    /// `panda_process`: the name before the colon in the original's process titles.
    pub group_name: String,
    /// `master['clear_master_name']`: names the job in log lines.
    pub name: String,
    /// `children['redis_cache_clear']`: names the workers.
    pub worker_name: String,
    /// Worker threads that push, at least one.
    pub workers: usize,
    /// Only keys that begin with this; empty is every key.
    pub prefix: String,
    /// Whether keys are looked for that died while nobody listened.
    pub reconcile: ReconcileMode,
    /// Keys that are asked for on the server where keys expire, a second at most.
    pub rate: u32,
    /// Bytes that deadlines may take.
    pub memory: u64,
    /// The server whose keys expire.
    pub expire: RedisConfig,
    /// The server that holds the work list.
    pub list: RedisConfig,
    /// The work list's key.
    pub list_key: String,
}

/// `expired['reconcile']`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReconcileMode {
    /// Not at all.
    No,
    /// Found and logged, not pushed.
    DryRun,
    /// Found and pushed.
    Yes,
}

/// `[panda_server_section]`: items of the work list become deleted hash fields.
#[derive(Debug, Clone, PartialEq)]
pub struct ListToHashConfig {
    /// `panda_process`: the name before the colon in the original's process titles.
    pub group_name: String,
    /// `panda_process_master`: names the job in log lines.
    pub name: String,
    /// `panda_process_child`: names the workers.
    pub worker_name: String,
    /// Worker threads, at least one.
    pub workers: usize,
    /// The server that holds the work list.
    pub list: RedisConfig,
    /// The work list's key.
    pub list_key: String,
    /// The server that holds the hashes.
    pub ar: RedisConfig,
    /// Hashes a field is deleted from, no two alike.
    pub hashes: Vec<String>,
    /// How long after its last sign of life a pandad counts as dead.
    pub life: Duration,
    /// Whether to look for users who came back, as it was asked for.
    pub guard: CameBackCheck,
    /// Where to look for them; `None` is not at all.
    pub came_back: Option<MarkerSource>,
}

/// `queue['came_back']`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CameBackCheck {
    /// Where `expired['prefix']` says which items are markers.
    Auto,
    /// Also where it does not: every item is one.
    Yes,
    /// Never, as in the original.
    No,
}

/// A user whose marker key is there again is left alone.
#[derive(Debug, Clone, PartialEq)]
pub struct MarkerSource {
    /// The server that holds the markers.
    pub expire: RedisConfig,
    /// Only items that begin with this are markers; empty is every item.
    pub prefix: String,
}

/// One Redis server of `[redis_env_section]`.
#[derive(Clone, PartialEq)]
pub struct RedisConfig {
    /// Where it listens.
    pub address: RedisAddress,
    /// User of an access list; empty is the default user.
    pub user: String,
    /// Password; empty is none.
    pub password: String,
    /// Number of the database.
    pub database: u32,
    /// Longest time a connection may take to come about.
    pub connect_timeout: Duration,
}

// Written by hand so that no log line or test output can hold the password.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = if self.password.is_empty() { "none" } else { "set" };
        f.debug_struct("RedisConfig")
            .field("address", &self.address)
            .field("user", &self.user)
            .field("password", &format_args!("{password}"))
            .field("database", &self.database)
            .field("connect_timeout", &self.connect_timeout)
            .finish()
    }
}

/// Where a Redis server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisAddress {
    /// Over TCP.
    Tcp {
        /// Name or address, an IPv6 address without brackets.
        host: String,
        /// Port number.
        port: u16,
    },
    /// Through a socket in the file system, absolute path.
    Unix(PathBuf),
}
