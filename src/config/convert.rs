//! From the text of a value to what it means, or to what was expected instead.
//!
//! Pure functions; each names its unit and its bounds in what it says.

use std::net::Ipv6Addr;
use std::time::Duration;

use super::keys;
use super::settings::{
    CameBackCheck, ClientChoice, FileFormat, Membership, OffsetLocation, ReadIsolation, ReconcileMode,
    RotationPeriod, StartPolicy, SyncPolicy, TopicSelection,
};
use crate::pattern::Pattern;

/// A value, or a phrase on what was expected.
pub type Converted<T> = Result<T, String>;

/// An enumeration with one word per value, for reading and for printing.
pub trait Words: Copy + PartialEq + 'static {
    /// Word and meaning.
    const WORDS: &'static [(&'static str, Self)];

    /// The word for this value.
    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }
}

macro_rules! words {
    ($type:ty: $($word:literal => $value:expr),+ $(,)?) => {
        impl Words for $type {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, $value)),+];
        }
    };
}

words!(StartPolicy: "earliest" => StartPolicy::Earliest, "latest" => StartPolicy::Latest);
words!(OffsetLocation: "kafka" => OffsetLocation::Kafka, "zookeeper" => OffsetLocation::ZooKeeper);
words!(ClientChoice: "auto" => ClientChoice::Auto, "crate" => ClientChoice::Crate, "native" => ClientChoice::Native);
words!(Membership: "coordinated" => Membership::Coordinated, "alone" => Membership::Alone);
words!(ReadIsolation: "read_committed" => ReadIsolation::ReadCommitted, "read_uncommitted" => ReadIsolation::ReadUncommitted);
words!(FileFormat: "original" => FileFormat::Original, "raw" => FileFormat::Raw, "json" => FileFormat::Json);
words!(SyncPolicy: "always" => SyncPolicy::Always, "never" => SyncPolicy::Never);
words!(RotationPeriod: "hour" => RotationPeriod::Hour, "day" => RotationPeriod::Day);
words!(ReconcileMode: "no" => ReconcileMode::No, "dry-run" => ReconcileMode::DryRun, "yes" => ReconcileMode::Yes);
words!(CameBackCheck: "auto" => CameBackCheck::Auto, "yes" => CameBackCheck::Yes, "no" => CameBackCheck::No);
words!(log::LevelFilter:
    "off" => log::LevelFilter::Off,
    "error" => log::LevelFilter::Error,
    "warn" => log::LevelFilter::Warn,
    "info" => log::LevelFilter::Info,
    "debug" => log::LevelFilter::Debug,
    "trace" => log::LevelFilter::Trace,
);
words!(bool: "no" => false, "yes" => true);

/// One of the words of an enumeration, in any case.
pub fn word<T: Words>(text: &str) -> Converted<T> {
    // Unquoted, PHP makes "1" of yes and "" of no before anybody sees them.
    let means = |word: &str| match text.trim() {
        "1" => word == "yes",
        "" => word == "no" || word == "off",
        text => word.eq_ignore_ascii_case(text),
    };
    T::WORDS.iter().find(|(word, _)| means(word)).map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = T::WORDS.iter().map(|(word, _)| *word).collect();
        format!("expected is one of {}", words.join(", "))
    })
}

/// A word, or nothing at all for off.
pub fn word_or_off<T: Words>(text: &str) -> Converted<Option<T>> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    word(text).map(Some).map_err(|expected| format!("{expected}, or '' for off"))
}

/// Any text; blanks are part of it.
pub fn any(text: &str) -> Converted<String> {
    Ok(text.to_owned())
}

/// A text that is not empty and has no control characters.
pub fn name(text: &str) -> Converted<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err("a name is expected, not an empty text".into());
    }
    Ok(text.to_owned())
}

/// A whole number within bounds.
pub fn number(text: &str, least: u64, most: u64) -> Converted<u64> {
    let text = text.trim();
    digits(text)
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("a whole number from {least} to {most} is expected"))
}

/// A number of worker threads.
pub fn workers(text: &str) -> Converted<usize> {
    let number = number(text, 1, keys::MAX_WORKERS).map_err(|expected| format!("{expected}, of threads"))?;
    usize::try_from(number).map_err(|e| e.to_string())
}

/// A port number.
pub fn port(text: &str) -> Converted<u16> {
    let number = number(text, 1, u16::MAX.into()).map_err(|expected| format!("{expected}, a port"))?;
    u16::try_from(number).map_err(|e| e.to_string())
}

/// Decimal digits only: PHP-isms such as 0x1A or 1e3 are no plain number.
fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Bytes, with K, M or G for powers of 1024.
pub fn size(text: &str, least: u64, most: u64) -> Converted<u64> {
    let text = text.trim();
    let (number, unit) = match text.chars().next_back() {
        Some('K' | 'k') => (text.get(..text.len() - 1), 1 << 10),
        Some('M' | 'm') => (text.get(..text.len() - 1), 1 << 20),
        Some('G' | 'g') => (text.get(..text.len() - 1), 1 << 30),
        _ => (Some(text), 1),
    };
    number
        .and_then(|number| digits(number.trim_end())?.checked_mul(unit))
        .filter(|size| (least..=most).contains(size))
        .ok_or_else(|| {
            format!(
                "a size from {} to {} is expected, such as 16M: bytes, or with K, M or G",
                bytes(least),
                bytes(most)
            )
        })
}

/// A size, or nothing at all for off.
pub fn size_or_off(text: &str, least: u64, most: u64) -> Converted<Option<u64>> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    size(text, least, most).map(Some).map_err(|expected| format!("{expected}; '' is off"))
}

/// A size as it would be written in an .inv.
pub fn bytes(size: u64) -> String {
    for (shift, unit) in [(30, "G"), (20, "M"), (10, "K")] {
        if size != 0 && size.trailing_zeros() >= shift {
            return format!("{}{unit}", size >> shift);
        }
    }
    size.to_string()
}

/// Seconds with up to three decimals, as milliseconds.
fn millis(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let (part, rest) = part.split_at_checked(3).unwrap_or((part, ""));
    if rest.bytes().any(|b| b != b'0') {
        return None;
    }
    let part = digits(&format!("{part:0<3}"))?;
    digits(whole)?.checked_mul(1_000)?.checked_add(part)
}

/// Seconds, fractions allowed.
pub fn seconds(text: &str, least: u64, most: u64) -> Converted<Duration> {
    millis(text.trim())
        .filter(|ms| (least.saturating_mul(1_000)..=most.saturating_mul(1_000)).contains(ms))
        .map(Duration::from_millis)
        .ok_or_else(|| format!("seconds from {least} to {most} are expected, such as 25 or 2.5"))
}

/// Seconds a connection may take; 0 is the default bound, as no wait may be endless.
pub fn timeout(text: &str) -> Converted<Duration> {
    let time = seconds(text, 0, 300)?;
    Ok(if time.is_zero() { Duration::from_millis(keys::CONNECT_TIMEOUT_MS) } else { time })
}

/// A time as it would be written in an .inv.
pub fn in_seconds(time: Duration) -> String {
    match time.subsec_millis() {
        0 => time.as_secs().to_string(),
        ms => format!("{}.{ms:03}", time.as_secs()),
    }
}

/// Brokers, separated by commas, each `host`, `host:port` or `[v6]:port`.
pub fn brokers(text: &str) -> Converted<Vec<String>> {
    if text.trim().is_empty() {
        return Err("at least one broker is expected, as '127.0.0.1:9092'".into());
    }
    list(text.split(','), "broker", broker)
}

fn broker(text: &str) -> Converted<String> {
    if text.contains("://") {
        return Err(format!("{text} has a scheme, only host:port is expected"));
    }
    let (host, port_text) = match text.strip_prefix('[') {
        Some(rest) => {
            let (v6, after) = rest.split_once(']').ok_or_else(|| format!("the [ of {text} is not closed"))?;
            (v6, if after.is_empty() { None } else { Some(after.strip_prefix(':').unwrap_or("")) })
        }
        None if text.matches(':').count() > 1 => {
            return Err(format!(
                "{text} has several colons: write an IPv6 address as [::1]:9092, and , between brokers"
            ));
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let host = if text.starts_with('[') { v6(host)? } else { host_name(host)? };
    let port = match port_text {
        Some(text) => port(text)?,
        None => keys::KAFKA_PORT,
    };
    Ok(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

fn v6(text: &str) -> Converted<String> {
    text.parse::<Ipv6Addr>().map(|_| text.to_owned()).map_err(|_| format!("{text} is no IPv6 address"))
}

fn host_name(text: &str) -> Converted<String> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if text.is_empty() || text.len() > 253 || !text.bytes().all(legal) {
        return Err(format!("{text:?} is no host name or address"));
    }
    Ok(text.to_owned())
}

/// A host without port; an IPv6 address with or without brackets. Empty where none is needed.
pub fn host(text: &str) -> Converted<String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(String::new());
    }
    if text.starts_with('/') {
        return Err(
            "this is a path: for a socket write it as ['socket'] and 'unix' as ['socket_type']".into()
        );
    }
    if text.contains("://") {
        return Err("a host name or address is expected, without a scheme".into());
    }
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if inner.contains(':') {
        return v6(inner).map_err(|_| {
            "a host name or address is expected; the port belongs in the key ['port']".to_owned()
        });
    }
    host_name(text).map_err(|_| "a host name or address is expected".into())
}

/// Topic names, separated by commas; a regular expression between slashes stays one.
pub fn topics(text: &str) -> Converted<TopicSelection> {
    let text = text.trim();
    if text.is_empty() {
        return Err("at least one topic is expected".into());
    }
    if let Some(pattern) = text.strip_prefix('/') {
        let pattern = pattern.strip_suffix('/').filter(|pattern| !pattern.is_empty());
        let pattern = pattern.ok_or("a pattern between two slashes is expected, as '/app-.*/'")?;
        return Pattern::new(pattern)
            .map(TopicSelection::Like)
            .map_err(|why| format!("not a pattern: {why}"));
    }
    let names = list(text.split(','), "topic", |topic| {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if topic == "." || topic == ".." || topic.len() > 249 || !topic.bytes().all(legal) {
            return Err(format!(
                "{topic:?} cannot be a topic: up to 249 letters, digits, dots, underscores and hyphens are"
            ));
        }
        Ok(topic.to_owned())
    })?;
    Ok(TopicSelection::Named(names))
}

/// Hash names, separated by commas or blanks.
pub fn hashes(text: &str) -> Converted<Vec<String>> {
    let names = text.split([',', ' ', '\t']).filter(|name| !name.is_empty());
    let names = list(names, "hash", |name| Ok(name.to_owned()))?;
    if names.is_empty() { Err("at least one hash is expected".into()) } else { Ok(names) }
}

/// Pieces of a list, none empty and no two alike.
fn list<'a>(
    pieces: impl Iterator<Item = &'a str>,
    what: &str,
    one: impl Fn(&str) -> Converted<String>,
) -> Converted<Vec<String>> {
    let mut seen = std::collections::HashSet::new();
    let mut all = Vec::new();
    for piece in pieces {
        let piece = piece.trim();
        if piece.is_empty() {
            return Err(format!("a {what} is missing before or after a comma"));
        }
        let piece = one(piece)?;
        if !seen.insert(piece.clone()) {
            return Err(format!("the {what} {piece} is named twice, once is expected"));
        }
        all.push(piece);
    }
    Ok(all)
}

/// A path to a file, not to a directory.
pub fn file(text: &str) -> Converted<String> {
    let text = text.trim();
    if text.is_empty() || text.ends_with('/') || text.chars().any(char::is_control) {
        return Err("the path of a file is expected".into());
    }
    Ok(text.to_owned())
}

/// Whether a Redis server is reached through a socket in the file system.
pub fn socket_type(text: &str) -> Converted<bool> {
    match text.trim() {
        "" | "tcp" => Ok(false),
        "unix" => Ok(true),
        _ => Err("expected is '' or 'tcp' for host and port, or 'unix' for a socket".into()),
    }
}
