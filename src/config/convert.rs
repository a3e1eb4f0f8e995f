//! Converts the text of a value into a typed value, or into a sentence that says what was expected.
//!
//! Pure functions; each sentence names the unit and the bounds.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::choices::{HttpAddress, StartPolicy, TopicSelection};
use super::key::{Converted, NumberRange};
use super::suggest;
use crate::line_template::{self, LineTemplate, TemplateFault};
use crate::moment::{self, Moment};
use crate::path_template::{self, PathFault, PathTemplate};
use crate::pattern::{HeaderPattern, Pattern};

/// The port of a broker that is written without a port.
pub const BROKER_PORT: u16 = 9092;
/// How long a Redis connection may take if the .inv says 0. For PHP, 0 meant no limit.
pub const REDIS_TIMEOUT: Duration = Duration::from_secs(5);

/// A text that is not empty and has no control characters.
pub fn name(text: &str) -> Converted<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err("a name is expected, not an empty text".into());
    }
    Ok(text.to_owned())
}

/// The SHA-256 of a certificate, also as openssl prints it; nothing for an empty text.
pub fn pin_or_none(text: &str) -> Converted<Option<[u8; 32]>> {
    let expected = || "the SHA-256 of a certificate is expected: 64 hexadecimal digits".to_owned();
    let digits: Vec<u8> = text.trim().bytes().filter(|byte| *byte != b':').collect();
    if digits.is_empty() {
        return Ok(None);
    }
    let mut pin = [0; 32];
    if digits.len() != 2 * pin.len() {
        return Err(expected());
    }
    for (byte, pair) in pin.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| !pair.contains('+'));
        *byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(expected)?;
    }
    Ok(Some(pin))
}

/// A whole number within bounds.
pub fn number(text: &str, range: NumberRange) -> Converted<u64> {
    digits(text.trim()).filter(|number| range.holds(*number)).ok_or_else(|| {
        let NumberRange { least, most, unit } = range;
        let of = if unit.is_empty() { String::new() } else { format!(" of {unit}") };
        format!("a whole number{of} from {least} to {most} is expected")
    })
}

/// A number in decimal digits. PHP's other forms, such as 0x1A and 1e3, are refused.
fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Bytes, with K, M or G for powers of 1024.
pub fn size(text: &str, range: NumberRange) -> Converted<u64> {
    let text = text.trim();
    let (number, unit) = match text.chars().next_back() {
        Some('K' | 'k') => (text.get(..text.len() - 1), 1 << 10),
        Some('M' | 'm') => (text.get(..text.len() - 1), 1 << 20),
        Some('G' | 'g') => (text.get(..text.len() - 1), 1 << 30),
        _ => (Some(text), 1),
    };
    number
        .and_then(|number| digits(number.trim_end())?.checked_mul(unit))
        .filter(|size| range.holds(*size))
        .ok_or_else(|| {
            format!(
                "a size from {} to {} is expected, such as 16M: bytes, or with K, M or G",
                in_bytes(range.least),
                in_bytes(range.most)
            )
        })
}

/// A size; an empty text means off.
pub fn size_or_off(text: &str, range: NumberRange) -> Converted<Option<u64>> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    size(text, range).map(Some).map_err(|expected| format!("{expected}; '' is off"))
}

/// A size as it would be written in an .inv.
pub fn in_bytes(size: u64) -> String {
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
pub fn seconds(text: &str, range: NumberRange) -> Converted<Duration> {
    let NumberRange { least, most, .. } = range;
    millis(text.trim())
        .filter(|ms| (least.saturating_mul(1_000)..=most.saturating_mul(1_000)).contains(ms))
        .map(Duration::from_millis)
        .ok_or_else(|| format!("seconds from {least} to {most} are expected, such as 25 or 2.5"))
}

/// How many seconds a connection may take. 0 stands for [`REDIS_TIMEOUT`], because no wait may be endless.
pub fn connect_timeout(text: &str, range: NumberRange) -> Converted<Duration> {
    let time = seconds(text, range)?;
    Ok(if time.is_zero() { REDIS_TIMEOUT } else { time })
}

/// A time as it would be written in an .inv.
pub fn in_seconds(time: Duration) -> String {
    match time.subsec_millis() {
        0 => time.as_secs().to_string(),
        ms => format!("{}.{ms:03}", time.as_secs()),
    }
}

/// A length of time with its unit, such as `10m`.
pub fn duration(text: &str, range: NumberRange) -> Converted<Duration> {
    let length = moment::length_ms(text.trim()).and_then(|length| u64::try_from(length).ok());
    let length = length.filter(|length| length % 1000 == 0 && range.holds(length / 1000));
    length.map(Duration::from_millis).ok_or_else(|| {
        let (least, most) = (in_units(range.least), in_units(range.most));
        format!("a whole number and s, m, h or d from {least} to {most} is expected, as 10m")
    })
}

/// Seconds as a length of time would be written in an .inv.
pub fn in_units(seconds: u64) -> String {
    moment::length_text(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000))
}

/// Where to serve the status page: an IP address and a port, `unix:` and a path, or nothing.
pub fn http_address(text: &str, base: &Path) -> Converted<HttpAddress> {
    let text = text.trim();
    let expected = || {
        format!(
            "{text} is no IP address with a port, as 127.0.0.1:9750, [::1]:9750 or, for every address of \
             this machine, 0.0.0.0:9750; nor unix:PATH; '' is off"
        )
    };
    match (text, text.strip_prefix("unix:")) {
        ("", _) => Ok(HttpAddress::Off),
        (_, Some("")) => Err("a path is expected after unix:".into()),
        (_, Some(path)) => Ok(HttpAddress::Unix(base.join(path))),
        _ => match text.parse::<SocketAddr>() {
            Ok(address) if address.port() > 0 => Ok(HttpAddress::Tcp(address)),
            _ => Err(expected()),
        },
    }
}

/// Names of hosts, separated by commas; none for an empty text.
pub fn host_names(text: &str) -> Converted<Vec<String>> {
    match text.trim() {
        "" => Ok(Vec::new()),
        text => list(text.split(','), "name", host_name),
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
        Some(text) => broker_port(text)?,
        None => BROKER_PORT,
    };
    Ok(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

fn broker_port(text: &str) -> Converted<u16> {
    digits(text.trim())
        .and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port > 0)
        .ok_or_else(|| format!("a port from 1 to {} is expected after the host", u16::MAX))
}

fn v6(text: &str) -> Converted<String> {
    text.parse::<Ipv6Addr>().map(|_| text.to_owned()).map_err(|_| format!("{text} is not an IPv6 address"))
}

fn host_name(text: &str) -> Converted<String> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if text.is_empty() || text.len() > 253 || !text.bytes().all(legal) {
        return Err(format!("{text:?} is not a host name or address"));
    }
    Ok(text.to_owned())
}

/// A host without a port; an IPv6 address with or without brackets. The text may be empty here: a later
/// check finds out whether a job needs the server.
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

/// Topic names, separated by commas. A regular expression between slashes is one piece.
pub fn topics(text: &str) -> Converted<TopicSelection> {
    let text = text.trim();
    if text.is_empty() {
        return Err("at least one topic is expected".into());
    }
    if text.starts_with('/') {
        return pattern(text).map(TopicSelection::Like);
    }
    let names = list(text.split(','), "topic", |topic| {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if topic == "." || topic == ".." || topic.len() > 249 || !topic.bytes().all(legal) {
            return Err(format!(
                "{topic:?} cannot be a topic: a name has up to 249 letters, digits, dots, underscores \
                 and hyphens"
            ));
        }
        Ok(topic.to_owned())
    })?;
    Ok(TopicSelection::Named(names))
}

/// A regular expression between two slashes.
fn pattern(text: &str) -> Converted<Pattern> {
    let pattern = text.strip_prefix('/').and_then(|text| text.strip_suffix('/'));
    let pattern = pattern
        .filter(|pattern| !pattern.is_empty())
        .ok_or("a pattern between two slashes is expected, as '/app-.*/'")?;
    Pattern::new(pattern).map_err(|why| format!("this is not a regular expression: {why}"))
}

/// A regular expression between two slashes; an empty text means off.
pub fn pattern_or_off(text: &str) -> Converted<Option<Pattern>> {
    match text.trim() {
        "" => Ok(None),
        text => pattern(text).map(Some).map_err(|expected| format!("{expected}; '' is off")),
    }
}

/// The name of a header and a pattern for its value, `name=/pattern/`; an empty text means off.
pub fn header_pattern_or_off(text: &str) -> Converted<Option<HeaderPattern>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let named = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) =
        named.ok_or("a header's name and a pattern are expected, as 'level=/error/'; '' is off")?;
    let value = pattern(value).map_err(|expected| format!("behind the = {expected}"))?;
    Ok(Some(HeaderPattern { name: name.to_owned(), value }))
}

/// A template of lines.
pub fn template(text: &str) -> Converted<LineTemplate> {
    LineTemplate::parse(text).map_err(|TemplateFault { at, what, unknown }| {
        at_character(at, &what, unknown.as_deref(), &line_template::PLACEHOLDERS)
    })
}

/// The path of a file, which may have placeholders. A relative one begins at `base`.
pub fn path_template(text: &str, base: &Path) -> Converted<PathTemplate> {
    PathTemplate::parse(base, text.trim()).map_err(|faults| {
        let sentence = |PathFault { at, what, unknown }: &PathFault| {
            at_character(*at, what, unknown.as_deref(), &path_template::PLACEHOLDERS)
        };
        faults.iter().map(sentence).collect::<Vec<_>>().join("; ")
    })
}

/// A sentence about a fault in a template. If a placeholder is unknown, all that there are are named.
fn at_character(at: usize, what: &str, unknown: Option<&str>, all: &[&'static str]) -> String {
    let Some(unknown) = unknown else { return format!("character {at}: {what}") };
    let name_of =
        |placeholder: &'static str| placeholder.split(['{', ':', '[', '}']).nth(1).unwrap_or_default();
    let near = suggest::nearest(unknown, all.iter().copied().map(name_of));
    let near = all.iter().find(|placeholder| near == Some(name_of(placeholder)));
    let near = near.map_or("there are".to_owned(), |near| format!("did you mean {near}? There are"));
    format!("character {at}: {what}; {near} {}; {{{{ is a brace", all.join(", "))
}

/// Where to begin in a partition for which nobody has an offset.
pub fn start(text: &str) -> Converted<StartPolicy> {
    match text.trim() {
        word if word.eq_ignore_ascii_case("earliest") => Ok(StartPolicy::Earliest),
        word if word.eq_ignore_ascii_case("latest") => Ok(StartPolicy::Latest),
        text => Moment::parse(text)
            .map(StartPolicy::Since)
            .map_err(|expected| format!("one of earliest, latest or a moment is expected; {expected}")),
    }
}

/// Hash names, separated by commas or blanks.
pub fn hashes(text: &str) -> Converted<Vec<String>> {
    let names = text.split([',', ' ', '\t']).filter(|name| !name.is_empty());
    let names = list(names, "hash", |name| Ok(name.to_owned()))?;
    if names.is_empty() { Err("at least one hash is expected".into()) } else { Ok(names) }
}

/// The pieces of a list. Empty and duplicate pieces are faults.
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

/// Whether a Redis server is reached through a socket in the file system.
pub fn socket_type(text: &str) -> Converted<bool> {
    match text.trim() {
        "" | "tcp" => Ok(false),
        "unix" => Ok(true),
        _ => Err("'' or 'tcp' is expected for host and port, or 'unix' for a socket".into()),
    }
}
