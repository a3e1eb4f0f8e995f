//! The keys of `[log_section]`: Kafka records become lines in a log file.

use std::time::Duration;

use super::LOG;
use super::tls::{TlsKeys, tls_keys};
use crate::config::choices::{
    ClientChoice, FileFormat, KafkaSecurity, Membership, NewlinePolicy, OffsetLocation, ReadIsolation,
    RotationPeriod, StartPolicy, SyncPolicy, TombstonePolicy, TopicSelection,
};
use crate::config::key::{Key, Usage};
use crate::config::kind;
use crate::line_template::LineTemplate;
use crate::path_template::PathTemplate;
use crate::pattern::{HeaderPattern, Pattern};

pub const LOG_PROCESS: Key<String> = Key {
    section: LOG,
    name: "panda_process",
    kind: kind::text(),
    default: Some("panda_process"),
    usage: Usage::Unused,
    help: "First part of the process titles of the PHP system",
    more: "",
};

pub const BROKER_LIST: Key<Vec<String>> = Key {
    section: LOG,
    name: "broker_list",
    kind: kind::brokers(),
    default: None,
    usage: Usage::Used,
    help: "Brokers to connect to first",
    more: "The others are learned from these.",
};

pub const LOG_MASTER: Key<String> = Key {
    section: LOG,
    name: "master['log_master_name']",
    kind: kind::text(),
    default: Some("log_kafka_master"),
    usage: Usage::Unused,
    help: "Title of the master process of the PHP system",
    more: "",
};

pub const LOG_CHILD: Key<String> = Key {
    section: LOG,
    name: "children['log_kafka']",
    kind: kind::text(),
    default: Some("log_kafka_worker"),
    usage: Usage::Used,
    help: "Client id, as brokers log it",
    more: "",
};

pub const LOG_WORKERS: Key<usize> = Key {
    section: LOG,
    name: "log_handler['worker_num']",
    kind: kind::workers(),
    default: Some("5"),
    usage: Usage::Used,
    help: "How many threads turn records into lines",
    more: "",
};

// The original had topic and group fixed in its code; the defaults here are those values.
pub const TOPICS: Key<TopicSelection> = Key {
    section: LOG,
    name: "kafka['topics']",
    kind: kind::topics(),
    default: Some("test"),
    usage: Usage::Used,
    help: "Topics to read",
    more: "A pattern is a regular expression. It also matches topics that are created later, never \
        Kafka's own, and needs `kafka['membership']='coordinated'`.",
};

pub const GROUP: Key<String> = Key {
    section: LOG,
    name: "kafka['group']",
    kind: kind::name(),
    default: Some("test"),
    usage: Usage::Used,
    help: "Consumer group that the offsets belong to",
    more: "",
};

pub const START: Key<StartPolicy> = Key {
    section: LOG,
    name: "kafka['start']",
    kind: kind::start(),
    default: Some("earliest"),
    usage: Usage::Used,
    help: "Where to begin in a partition for which nobody has an offset",
    more: "With a time it is the first record whose timestamp is not before it. A time without offset or \
        zone is one in the machine's time zone. [kafka.md](kafka.md#beginning-at-a-time) has the rest. A \
        partition that is added to a topic later begins at its first record in any case.",
};

pub const OFFSETS: Key<OffsetLocation> = Key {
    section: LOG,
    name: "kafka['offsets']",
    kind: kind::choice(),
    default: Some("kafka"),
    usage: Usage::Used,
    help: "Where the group's offsets are kept",
    more: "With `zookeeper` pandad acts as with `kafka['membership']='alone'`.",
};

pub const CLIENT: Key<ClientChoice> = Key {
    section: LOG,
    name: "kafka['client']",
    kind: kind::choice(),
    default: Some("auto"),
    usage: Usage::Used,
    help: "Which client reads",
    more: "[kafka.md](kafka.md#which-client-reads) says what differs.",
};

pub const CLUSTER: Key<String> = Key {
    section: LOG,
    name: "kafka['cluster']",
    kind: kind::text_or("the one of the log file's records"),
    default: Some(""),
    usage: Usage::Used,
    help: "Id of the only cluster that is read",
    more: "It is needed once the topics were moved to another cluster, of which pandad reads nothing \
        otherwise.",
};

pub const SECURITY: Key<KafkaSecurity> = Key {
    section: LOG,
    name: "kafka['security']",
    kind: kind::choice(),
    default: Some("plaintext"),
    usage: Usage::Used,
    help: "How the brokers' listeners are reached",
    more: "All brokers must be reached in the same way. [security.md](security.md) has the rest.",
};

/// The keys of TLS for all brokers.
pub const KAFKA_TLS: TlsKeys = tls_keys!(LOG, "kafka");

pub const MEMBERSHIP: Key<Membership> = Key {
    section: LOG,
    name: "kafka['membership']",
    kind: kind::choice(),
    default: Some("coordinated"),
    usage: Usage::Used,
    help: "Which partitions to read",
    more: "[kafka.md](kafka.md#several-pandads-in-one-group) says what several pandads in one group do.",
};

pub const SESSION: Key<Duration> = Key {
    section: LOG,
    name: "kafka['session_ms']",
    kind: kind::milliseconds(1_000, 1_800_000),
    default: Some("10000"),
    usage: Usage::Used,
    help: "Time without a heartbeat after which the others take over a member's partitions",
    more: "Brokers usually allow 6000 and more.",
};

pub const FULL_DISK: Key<Duration> = Key {
    section: LOG,
    name: "kafka['full_disk_s']",
    kind: kind::seconds(1, 86_400),
    default: Some("300"),
    usage: Usage::Used,
    help: "Time for which a member keeps its partitions while the disk takes nothing",
    more: "After that it leaves the group until there is room.",
};

pub const ISOLATION: Key<ReadIsolation> = Key {
    section: LOG,
    name: "kafka['isolation']",
    kind: kind::choice(),
    default: Some("read_committed"),
    usage: Usage::Used,
    help: "Which records of transactions to read",
    more: "",
};

pub const FILE_PATH: Key<PathTemplate> = Key {
    section: LOG,
    name: "log_file['path']",
    kind: kind::path_template(),
    default: Some("consumer.log"),
    usage: Usage::Used,
    help: "File that the lines go to",
    more: "May have placeholders: [kafka.md](kafka.md#a-path-with-placeholders) says which.",
};

pub const FILE_FORMAT: Key<FileFormat> = Key {
    section: LOG,
    name: "log_file['format']",
    kind: kind::choice(),
    default: Some("original"),
    usage: Usage::Used,
    help: "What a line looks like",
    more: "[formats.md](formats.md) shows each of them.",
};

pub const FILE_TEMPLATE: Key<LineTemplate> = Key {
    section: LOG,
    name: "log_file['template']",
    kind: kind::template(),
    default: Some(""),
    usage: Usage::Used,
    help: "The line, if the format is template",
    more: "[formats.md](formats.md#template) lists the placeholders.",
};

pub const NEWLINE: Key<NewlinePolicy> = Key {
    section: LOG,
    name: "log_file['newline']",
    kind: kind::choice(),
    default: Some("keep"),
    usage: Usage::Used,
    help: "How raw and template write a newline of a record",
    more: "[formats.md](formats.md#newlines) says how to undo the escapes.",
};

pub const TOMBSTONES: Key<TombstonePolicy> = Key {
    section: LOG,
    name: "log_file['tombstones']",
    kind: kind::choice(),
    default: Some("keep"),
    usage: Usage::Used,
    help: "Whether records whose value is null have lines",
    more: "See [formats.md](formats.md#which-records-have-a-line).",
};

pub const INCLUDE_KEY: Key<Option<Pattern>> = Key {
    section: LOG,
    name: "log_file['include_key']",
    kind: kind::pattern_or_off(),
    default: Some(""),
    usage: Usage::Used,
    help: "Only records whose whole key matches have lines",
    more: "",
};

pub const EXCLUDE_KEY: Key<Option<Pattern>> = Key {
    section: LOG,
    name: "log_file['exclude_key']",
    kind: kind::pattern_or_off(),
    default: Some(""),
    usage: Usage::Used,
    help: "Records whose whole key matches have no lines",
    more: "",
};

pub const INCLUDE_HEADER: Key<Option<HeaderPattern>> = Key {
    section: LOG,
    name: "log_file['include_header']",
    kind: kind::header_pattern_or_off(),
    default: Some(""),
    usage: Usage::Used,
    help: "Only records with a header of this name whose whole value matches have lines",
    more: "",
};

pub const EXCLUDE_HEADER: Key<Option<HeaderPattern>> = Key {
    section: LOG,
    name: "log_file['exclude_header']",
    kind: kind::header_pattern_or_off(),
    default: Some(""),
    usage: Usage::Used,
    help: "Records with a header of this name whose whole value matches have no lines",
    more: "",
};

pub const FILE_SYNC: Key<SyncPolicy> = Key {
    section: LOG,
    name: "log_file['sync']",
    kind: kind::choice(),
    default: Some("always"),
    usage: Usage::Used,
    help: "Whether to sync each batch to the disk before its offset is committed",
    more: "",
};

pub const FILE_SETTLE: Key<Duration> = Key {
    section: LOG,
    name: "log_file['settle_ms']",
    kind: kind::milliseconds(50, 60_000),
    default: Some("1000"),
    usage: Usage::Used,
    help: "Longest time between a write and its sync and commit",
    more: "",
};

pub const ROTATE_SIZE: Key<Option<u64>> = Key {
    section: LOG,
    name: "log_file['rotate_size']",
    kind: kind::size_or_off(64 << 10, 1 << 40),
    default: Some(""),
    usage: Usage::Used,
    help: "Rotate before the file grows beyond this size",
    more: "",
};

pub const ROTATE_EVERY: Key<Option<RotationPeriod>> = Key {
    section: LOG,
    name: "log_file['rotate_every']",
    kind: kind::choice_or_off(),
    default: Some(""),
    usage: Usage::Used,
    help: "Rotate at the beginning of each period",
    more: "The time zone is the machine's. The file is also rotated when no records come.",
};

pub const ROTATE_KEEP: Key<u32> = Key {
    section: LOG,
    name: "log_file['rotate_keep']",
    kind: kind::count(1, 100_000, "files"),
    default: Some("7"),
    usage: Usage::Used,
    help: "How many rotated files to keep",
    more: "",
};

pub const ROTATE_GZIP: Key<bool> = Key {
    section: LOG,
    name: "log_file['rotate_gzip']",
    kind: kind::choice(),
    default: Some("no"),
    usage: Usage::Used,
    help: "Whether to compress rotated files",
    more: "It is done in the background.",
};

pub const KEEP_BYTES: Key<Option<u64>> = Key {
    section: LOG,
    name: "log_file['keep_bytes']",
    kind: kind::size_or_off(64 << 10, 1 << 50),
    default: Some(""),
    usage: Usage::Used,
    help: "How large the rotated files may be together",
    more: "The oldest are deleted. A file that is to be compressed counts as it is after that.",
};

pub const KEEP_DAYS: Key<Option<u32>> = Key {
    section: LOG,
    name: "log_file['keep_days']",
    kind: kind::count_or_off(1, 36_500, "days"),
    default: Some(""),
    usage: Usage::Used,
    help: "For how long to keep a rotated file, counted from its rotation",
    more: "The first of `rotate_keep`, `keep_bytes` and `keep_days` that is passed deletes a file.",
};
