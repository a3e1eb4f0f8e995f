//! Keys whose value is one of a few words: each word, its value and its meaning for readers.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::key::Converted;
use crate::moment::Moment;
use crate::pattern::Pattern;

/// A word of a [`Choice`], its value and its explanation, which may be empty.
pub type Word<T> = (&'static str, T, &'static str);

/// A type each of whose values is written as one word.
pub trait Choice: Copy + PartialEq + 'static {
    /// Every value once.
    const WORDS: &'static [Word<Self>];
}

/// `kafka['topics']`.
#[derive(Debug, Clone, PartialEq)]
pub enum TopicSelection {
    /// These topics, without duplicates.
    Named(Vec<String>),
    /// All topics whose names match.
    Like(Pattern),
}

impl TopicSelection {
    /// The names of the topics; none for a pattern.
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
    /// At the oldest record of the log.
    Earliest,
    /// At the end of the log.
    Latest,
    /// At the first record since this moment.
    Since(Moment),
}

impl fmt::Display for StartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest => f.write_str("earliest"),
            Self::Latest => f.write_str("latest"),
            Self::Since(moment) => fmt::Display::fmt(moment, f),
        }
    }
}

/// `kafka['offsets']`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetLocation {
    /// In Kafka's own offsets topic.
    Kafka,
    /// In ZooKeeper, where consumers of Kafka 0.8 kept them.
    ZooKeeper,
}

impl Choice for OffsetLocation {
    const WORDS: &'static [Word<Self>] =
        &[("kafka", Self::Kafka, ""), ("zookeeper", Self::ZooKeeper, "as consumers before 0.9 did")];
}

/// `kafka['client']`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientChoice {
    /// The client that suits the brokers' versions.
    Auto,
    /// The `kafka` package.
    Crate,
    /// pandad's own client.
    Native,
}

impl Choice for ClientChoice {
    const WORDS: &'static [Word<Self>] = &[
        ("auto", Self::Auto, "`native`, but `crate` with offsets in ZooKeeper"),
        ("crate", Self::Crate, "the `kafka` package"),
        ("native", Self::Native, "pandad's own"),
    ];
}

/// `kafka['security']`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KafkaSecurity {
    /// Everyone on the way can read and change what is sent.
    Plaintext,
    /// TLS.
    Ssl,
}

impl Choice for KafkaSecurity {
    const WORDS: &'static [Word<Self>] = &[("plaintext", Self::Plaintext, ""), ("ssl", Self::Ssl, "TLS")];
}

/// `X['tls_verify']`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVerify {
    /// The authority, the dates and the name.
    Full,
    /// Any name will do.
    Ca,
}

impl Choice for TlsVerify {
    const WORDS: &'static [Word<Self>] = &[
        ("full", Self::Full, "authority, dates and name"),
        ("ca", Self::Ca, "the name is not, so any certificate of the authority will do"),
    ];
}

/// `kafka['membership']`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// A member of the group: Kafka assigns the partitions.
    Coordinated,
    /// This pandad reads every partition itself.
    Standalone,
}

impl Choice for Membership {
    const WORDS: &'static [Word<Self>] = &[
        ("coordinated", Self::Coordinated, "Kafka assigns them among the group's members"),
        ("alone", Self::Standalone, "all of them"),
    ];
}

/// `kafka['isolation']`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadIsolation {
    /// Records outside of transactions, and records of committed transactions.
    ReadCommitted,
    /// All records.
    ReadUncommitted,
}

impl Choice for ReadIsolation {
    const WORDS: &'static [Word<Self>] = &[
        ("read_committed", Self::ReadCommitted, "of committed ones"),
        ("read_uncommitted", Self::ReadUncommitted, "of open and aborted ones too"),
    ];
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
    /// As `log_file['template']` says.
    Template,
}

impl Choice for FileFormat {
    const WORDS: &'static [Word<Self>] = &[
        ("original", Self::Original, "as the PHP system wrote it"),
        ("raw", Self::Raw, "the value alone"),
        ("json", Self::Json, "one JSON object"),
        ("template", Self::Template, "as `log_file['template']` says"),
    ];
}

/// `log_file['time']`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathTime {
    /// The record's timestamp.
    Record,
    /// The clock of the machine.
    Append,
}

impl Choice for PathTime {
    const WORDS: &'static [Word<Self>] =
        &[("record", Self::Record, "its timestamp"), ("append", Self::Append, "when it is written")];
}

/// `log_file['newline']`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewlinePolicy {
    /// A newline of a record begins another line.
    Keep,
    /// Newlines, carriage returns and backslashes of a record are escaped.
    Escape,
}

impl Choice for NewlinePolicy {
    const WORDS: &'static [Word<Self>] = &[
        ("keep", Self::Keep, "a record can be several lines"),
        ("escape", Self::Escape, "as `\\n`, carriage returns as `\\r`, backslashes as `\\\\`"),
    ];
}

/// `log_file['tombstones']`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TombstonePolicy {
    /// They have lines.
    Keep,
    /// They have no lines.
    Drop,
}

impl Choice for TombstonePolicy {
    const WORDS: &'static [Word<Self>] = &[("keep", Self::Keep, ""), ("drop", Self::Drop, "")];
}

/// `log_file['sync']`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPolicy {
    /// fsync before each commit.
    Always,
    /// The kernel chooses when to write back: a power loss may lose lines.
    Never,
}

impl Choice for SyncPolicy {
    const WORDS: &'static [Word<Self>] =
        &[("always", Self::Always, ""), ("never", Self::Never, "a power loss may lose lines")];
}

/// `log_file['rotate_every']`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationPeriod {
    /// At each full hour.
    Hour,
    /// At midnight.
    Day,
}

impl Choice for RotationPeriod {
    const WORDS: &'static [Word<Self>] = &[("hour", Self::Hour, ""), ("day", Self::Day, "")];
}

/// `expired['reconcile']`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReconcileMode {
    /// Missed keys are not looked for.
    No,
    /// Missed keys are found and logged, but not pushed.
    DryRun,
    /// Missed keys are found and pushed.
    Yes,
}

impl Choice for ReconcileMode {
    const WORDS: &'static [Word<Self>] = &[
        ("no", Self::No, ""),
        ("dry-run", Self::DryRun, "find and log them"),
        ("yes", Self::Yes, "find and push them"),
    ];
}

/// `queue['came_back']`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CameBackCheck {
    /// Only if `expired['prefix']` is set: the prefix says which items are marker keys.
    Auto,
    /// Always. Without a prefix every item counts as a marker key.
    Yes,
    /// Never, as in the original.
    No,
}

impl Choice for CameBackCheck {
    const WORDS: &'static [Word<Self>] = &[
        ("auto", Self::Auto, "for items that begin with `expired['prefix']`, if set"),
        ("yes", Self::Yes, "for every item"),
        ("no", Self::No, ""),
    ];
}

/// `[daemon_section] http`: where the status page is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpAddress {
    /// Nowhere.
    Off,
    /// At an IP address and a port.
    Tcp(SocketAddr),
    /// At a socket in the file system.
    Unix(PathBuf),
}

impl fmt::Display for HttpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HttpAddress::Off => Ok(()),
            HttpAddress::Tcp(address) => write!(f, "{address}"),
            HttpAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// `[daemon_section] on_failure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailurePolicy {
    /// The other jobs go on.
    Stay,
    /// The process ends.
    Exit,
}

impl Choice for FailurePolicy {
    const WORDS: &'static [Word<Self>] =
        &[("stay", Self::Stay, "the other jobs go on"), ("exit", Self::Exit, "pandad ends")];
}

impl Choice for log::LevelFilter {
    const WORDS: &'static [Word<Self>] = &[
        ("off", Self::Off, ""),
        ("error", Self::Error, ""),
        ("warn", Self::Warn, ""),
        ("info", Self::Info, ""),
        ("debug", Self::Debug, ""),
        ("trace", Self::Trace, ""),
    ];
}

impl Choice for bool {
    const WORDS: &'static [Word<Self>] = &[("no", false, ""), ("yes", true, "")];
}

/// The word of a value.
pub fn word_of<T: Choice>(value: &T) -> &'static str {
    T::WORDS.iter().find(|(_, of, _)| of == value).map_or("", |(word, _, _)| word)
}

/// The value of a word; upper and lower case are the same.
pub fn choice<T: Choice>(text: &str) -> Converted<T> {
    // PHP turns an unquoted yes into "1" and an unquoted no into "".
    let is_meant = |word: &str| match text.trim() {
        "1" => word == "yes",
        "" => word == "no" || word == "off",
        text => word.eq_ignore_ascii_case(text),
    };
    T::WORDS.iter().find(|(word, _, _)| is_meant(word)).map(|(_, value, _)| *value).ok_or_else(|| {
        let words: Vec<&str> = T::WORDS.iter().map(|(word, _, _)| *word).collect();
        format!("one of {} is expected", words.join(", "))
    })
}

/// The words with their explanations, for a reader.
pub fn words<T: Choice>() -> String {
    let explained = |(word, _, meaning): &Word<T>| match *meaning {
        "" => format!("`{word}`"),
        meaning => format!("`{word}` ({meaning})"),
    };
    T::WORDS.iter().map(explained).collect::<Vec<_>>().join(", ")
}
