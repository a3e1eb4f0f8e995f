//! The typed values of a configuration, each with the key that it comes from.

mod redis_server;
mod tls;

use std::path::PathBuf;
use std::time::Duration;

use super::choices::{
    CameBackCheck, ClientChoice, FailurePolicy, FileFormat, HttpAddress, KafkaSecurity, Membership,
    NewlinePolicy, OffsetLocation, PathTime, ReadIsolation, ReconcileMode, RotationPeriod, StartPolicy,
    SyncPolicy, TombstonePolicy, TopicSelection,
};
use super::key::{KeyFacts, KeyList};
use super::keys;
use super::printer::InvPrinter;
use super::reader::ConfigReader;
use crate::line_template::LineTemplate;
use crate::path_template::PathTemplate;
use crate::pattern::{HeaderPattern, Pattern};
use crate::time_zone::NamedZone;
pub use redis_server::{RedisAddress, RedisConfig};
pub use tls::TlsConfig;

/// Makes a struct of fields that each name their key, with the list of these keys and the functions that
/// read and print the fields. Fields after `with` do not come from a key: `read` takes them as arguments.
macro_rules! settings {
    (
        $(#[$about:meta])*
        pub struct $name:ident {
            $($(#[$key_about:meta])* pub $field:ident: $type:ty = $key:path,)*
        }
        $(with {
            $($(#[$part_about:meta])* pub $part:ident: $part_type:ty,)*
        })?
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $($(#[$key_about])* pub $field: $type,)*
            $($($(#[$part_about])* pub $part: $part_type,)*)?
        }

        impl $name {
            const KEYS: &[KeyFacts] = &[$($key.facts()),*];

            /// Reads every key before it gives up, so that one fault does not hide another.
            pub(super) fn read(
                reader: &mut ConfigReader,
                $($($part: Option<$part_type>,)*)?
            ) -> Option<Self> {
                $(let $field = reader.get(&$key);)*
                Some(Self { $($field: $field?,)* $($($part: $part?,)*)? })
            }

            pub(super) fn print(&self, out: &mut InvPrinter) {
                $(out.put(&$key, &self.$field);)*
            }
        }
    };
}

/// All keys.
pub(super) const KEYS: KeyList = KeyList(GROUPS);

/// The keys in the order in which they are printed. Each struct of keys is named here once.
const GROUPS: &[&[KeyFacts]] = &[
    KafkaToFileConfig::KEYS,
    KafkaConfig::KEYS,
    &keys::KAFKA_TLS.facts(),
    LogFileConfig::KEYS,
    ExpiredToListConfig::KEYS,
    &keys::REDIS_EXPIRE.facts(),
    &keys::REDIS_LIST.facts(),
    &[keys::LIST_KEY.facts()],
    &keys::REDIS_AR.facts(),
    &[keys::HASHES.facts()],
    ListToHashConfig::KEYS,
    DaemonConfig::KEYS,
];

/// A whole configuration. Every value is checked and every default is filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The absolute path of the .inv, which distinguishes running pandads.
    pub path: PathBuf,
    /// The settings of the whole process.
    pub daemon: DaemonConfig,
    /// The job `kafka_to_file`, when its section is there.
    pub kafka_to_file: Option<KafkaToFileConfig>,
    /// The job `expired_to_list`, when its section is there.
    pub expired_to_list: Option<ExpiredToListConfig>,
    /// The job `list_to_hash`, when its section is there.
    pub list_to_hash: Option<ListToHashConfig>,
    /// Sentences, each with its line, that the operator should know although they do not stop the start.
    pub warnings: Vec<String>,
}

settings! {
    /// `[daemon_section]`: settings of the whole process.
    pub struct DaemonConfig {
        /// How long a stop may take. After that, unfinished work is left for the next start.
        pub stop_timeout: Duration = keys::STOP_TIMEOUT,
        /// What happens when one of several jobs fails for good.
        pub on_failure: FailurePolicy = keys::ON_FAILURE,
        /// Bytes one job may hold between reading and writing.
        pub memory: u64 = keys::MEMORY,
        /// Where the status page is served.
        pub http: HttpAddress = keys::HTTP,
        /// The names by which the status page may be asked for, beside its address.
        pub http_hosts: Vec<String> = keys::HTTP_HOSTS,
        /// File for the process number: an absolute path; empty means none.
        pub pidfile: PathBuf = keys::PIDFILE,
        /// `stderr`, or the absolute path of a log file.
        pub log: String = keys::DAEMON_LOG,
        /// The least important kind of line that is logged.
        pub log_level: log::LevelFilter = keys::LOG_LEVEL,
    }
}

settings! {
    /// `[log_section]`: Kafka records become lines in a log file.
    pub struct KafkaToFileConfig {
        /// First part of the process titles in the PHP system.
        pub group_name: String = keys::LOG_PROCESS,
        /// Brokers to begin with, each as `host:port` or `[v6]:port`.
        pub brokers: Vec<String> = keys::BROKER_LIST,
        /// Title of the master process of the PHP system.
        pub name: String = keys::LOG_MASTER,
        /// Client id.
        pub worker_name: String = keys::LOG_CHILD,
        /// Worker threads, at least one.
        pub workers: usize = keys::LOG_WORKERS,
    }
    with {
        /// The topics and the manner of reading.
        pub kafka: KafkaConfig,
        /// The file of the lines and the manner of writing.
        pub log_file: LogFileConfig,
    }
}

impl KafkaToFileConfig {
    /// The log files: one file, or, with `{topic}` in the path, one for each topic, in the order of topics.
    /// `None` if the records decide which files there are.
    pub fn files(&self) -> Option<Vec<PathBuf>> {
        self.log_file.path.known_paths(self.kafka.topics.names())
    }

    /// The path whose `.journal` and `.lock` are used: that of the log file, or one for all files of a path
    /// with placeholders.
    pub fn journal(&self) -> PathBuf {
        let path = &self.log_file.path;
        match self.files().filter(|_| !path.names_topic()).and_then(|mut paths| paths.pop()) {
            Some(path) => path,
            None => path.fixed_directory().join(path.journal_name()),
        }
    }
}

settings! {
    /// `kafka[…]`: topics, group and manner of reading.
    pub struct KafkaConfig {
        /// The topics that are read.
        pub topics: TopicSelection = keys::TOPICS,
        /// The consumer group that has the offsets.
        pub group: String = keys::GROUP,
        /// Where to begin in a partition for which nobody has an offset.
        pub start: StartPolicy = keys::START,
        /// Where the group's offsets are kept.
        pub offsets: OffsetLocation = keys::OFFSETS,
        /// Which client fetches.
        pub client: ClientChoice = keys::CLIENT,
        /// The id of the cluster that is read; empty: the one that the journal names.
        pub cluster: String = keys::CLUSTER,
        /// Whether Kafka assigns the partitions among several pandads.
        pub membership: Membership = keys::MEMBERSHIP,
        /// If a member sends no heartbeat for this long, it loses its partitions.
        pub session: Duration = keys::SESSION,
        /// How long a member keeps its partitions while the disk accepts no writes.
        pub full_disk: Duration = keys::FULL_DISK,
        /// Whether records of unfinished and aborted transactions are read.
        pub isolation: ReadIsolation = keys::ISOLATION,
        /// How the brokers' listeners are reached.
        pub security: KafkaSecurity = keys::SECURITY,
    }
    with {
        /// Whom to trust, and which certificate to show.
        pub tls: TlsConfig,
    }
}

settings! {
    /// `log_file[…]`: the file of the lines and the manner of writing.
    pub struct LogFileConfig {
        /// Absolute path, which may have placeholders.
        pub path: PathTemplate = keys::FILE_PATH,
        /// Which time the path shows.
        pub time: PathTime = keys::PATH_TIME,
        /// The zone of that time.
        pub zone: NamedZone = keys::PATH_ZONE,
        /// How many files are open at once.
        pub open: u32 = keys::FILE_OPEN,
        /// How far ahead of the clock a time in the path may be.
        pub future: Duration = keys::FILE_FUTURE,
        /// How long after its period a file is finished.
        pub grace: Duration = keys::FILE_GRACE,
        /// Where complete files of a period are moved; empty: they stay where they are.
        pub complete: PathBuf = keys::COMPLETE_DIR,
        /// Whether complete files are compressed when they are moved.
        pub complete_gzip: bool = keys::COMPLETE_GZIP,
        /// How many files may begin in an hour.
        pub new_files: u32 = keys::NEW_FILES,
        /// The format of a line.
        pub format: FileFormat = keys::FILE_FORMAT,
        /// The line of the format `template`; empty with any other format.
        pub template: LineTemplate = keys::FILE_TEMPLATE,
        /// Whether newlines of a record stay as they are.
        pub newline: NewlinePolicy = keys::NEWLINE,
        /// Whether records without a value have lines.
        pub tombstones: TombstonePolicy = keys::TOMBSTONES,
        /// What the key of a record with a line matches.
        pub include_key: Option<Pattern> = keys::INCLUDE_KEY,
        /// What the key of a record without a line matches.
        pub exclude_key: Option<Pattern> = keys::EXCLUDE_KEY,
        /// What a header of a record with a line matches.
        pub include_header: Option<HeaderPattern> = keys::INCLUDE_HEADER,
        /// What a header of a record without a line matches.
        pub exclude_header: Option<HeaderPattern> = keys::EXCLUDE_HEADER,
        /// Whether a batch is durable before its offset is committed.
        pub sync: SyncPolicy = keys::FILE_SYNC,
        /// Longest time between a write and its settling.
        pub settle: Duration = keys::FILE_SETTLE,
        /// Size in bytes above which the file is rotated; `None` means never.
        pub rotate_size: Option<u64> = keys::ROTATE_SIZE,
        /// Rhythm in which the file is rotated; `None` means never.
        pub rotate_every: Option<RotationPeriod> = keys::ROTATE_EVERY,
        /// How many rotated files are kept.
        pub rotate_keep: u32 = keys::ROTATE_KEEP,
        /// Whether rotated files are compressed.
        pub rotate_gzip: bool = keys::ROTATE_GZIP,
        /// How many bytes all rotated files may have; `None` means any number.
        pub keep_bytes: Option<u64> = keys::KEEP_BYTES,
        /// For how many days a rotated file is kept; `None` means for ever.
        pub keep_days: Option<u32> = keys::KEEP_DAYS,
    }
}

impl LogFileConfig {
    /// Whether headers, or null apart from empty, decide on which records have lines. The `kafka` crate gives
    /// neither.
    pub fn filters_beyond_crate(&self) -> bool {
        self.tombstones == TombstonePolicy::Drop
            || self.include_header.is_some()
            || self.exclude_header.is_some()
    }
}

settings! {
    /// `[clearCache_section]`: keys that expire become items on a work list.
    pub struct ExpiredToListConfig {
        /// First part of the connections' name.
        pub group_name: String = keys::CLEAR_PROCESS,
        /// Title of the master process of the PHP system.
        pub name: String = keys::CLEAR_MASTER,
        /// Second part of the connections' name.
        pub worker_name: String = keys::CLEAR_CHILD,
        /// Worker threads that push, at least one.
        pub workers: usize = keys::CLEAR_WORKERS,
        /// Only keys that begin with this prefix; empty means every key.
        pub prefix: String = keys::EXPIRED_PREFIX,
        /// Whether pandad looks for keys that expired while nobody listened.
        pub reconcile: ReconcileMode = keys::RECONCILE,
        /// The most expire probes in one second.
        pub rate: u32 = keys::EXPIRED_RATE,
        /// Bytes that deadlines may take.
        pub memory: u64 = keys::EXPIRED_MEMORY,
    }
    with {
        /// The server whose keys expire.
        pub expire: RedisConfig,
        /// The server that holds the work list.
        pub list: RedisConfig,
        /// The work list's key.
        pub list_key: String,
    }
}

settings! {
    /// `[panda_server_section]`: items of the work list become deleted hash fields.
    pub struct ListToHashConfig {
        /// First part of the connections' name.
        pub group_name: String = keys::SERVER_PROCESS,
        /// Title of the master process of the PHP system.
        pub name: String = keys::SERVER_MASTER,
        /// Second part of the connections' name.
        pub worker_name: String = keys::SERVER_CHILD,
        /// Worker threads, at least one.
        pub workers: usize = keys::SERVER_WORKERS,
        /// How long after its last heartbeat a pandad counts as gone.
        pub life: Duration = keys::QUEUE_LIFE,
        /// Whether the fields of users who came back are kept, as the .inv says.
        pub came_back: CameBackCheck = keys::CAME_BACK,
    }
    with {
        /// The server that holds the work list.
        pub list: RedisConfig,
        /// The work list's key.
        pub list_key: String,
        /// The server that holds the hashes.
        pub ar: RedisConfig,
        /// The hashes from which fields are deleted, without duplicates.
        pub hashes: Vec<String>,
        /// Where to look for the markers of users who came back; `None` means nowhere.
        pub markers: Option<MarkerSource>,
    }
}

/// Where to look for marker keys. If a marker key exists again, its user's fields are not deleted.
#[derive(Debug, Clone, PartialEq)]
pub struct MarkerSource {
    /// The server that holds the markers.
    pub expire: RedisConfig,
    /// Only items that begin with this prefix are markers; empty means every item.
    pub prefix: String,
}
