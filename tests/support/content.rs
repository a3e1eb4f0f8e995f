//! Every kind of record that a broker can hold: which versions have it, how it is produced, and
//! whether a file of json lines holds exactly the produced records, byte for byte.

use super::servers::{Kafka, python};
use super::{directory, wait};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// One kind of content, which gets a topic of its own.
pub struct Kind {
    /// The name of the kind for tests/tools/content.py.
    pub name: &'static str,
    /// The row of the kind in docs/tested.md.
    pub what: &'static str,
    /// The first and the last version of Kafka that has the kind.
    versions: ((u32, u32), (u32, u32)),
    settings: &'static [(&'static str, &'static str)],
    /// Whether the `kafka` crate can read it.
    pub by_crate: bool,
}

const ANY: ((u32, u32), (u32, u32)) = ((0, 9), (9, 9));
const COMPACT: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("segment.ms", "100"),
    ("segment.jitter.ms", "0"),
    ("min.cleanable.dirty.ratio", "0.01"),
];

const fn kind(name: &'static str, what: &'static str, by_crate: bool) -> Kind {
    Kind { name, what, versions: ANY, settings: &[], by_crate }
}

impl Kind {
    const fn within(self, first: (u32, u32), last: (u32, u32)) -> Kind {
        Kind { versions: (first, last), ..self }
    }

    const fn set(self, settings: &'static [(&'static str, &'static str)]) -> Kind {
        Kind { settings, ..self }
    }

    /// How many records `records` means for this kind, in words for docs/tested.md.
    pub fn amount(&self, records: usize) -> String {
        match self.name {
            "full" => "24 records".to_owned(),
            "oversize" => "9 records".to_owned(),
            "large" => format!("about {} records", (records / 10).max(60)),
            "formats" => format!("about {} records", records * 3),
            // This is the number before compaction and aborts.
            "compacted-none" | "compacted-gzip" => format!("of {} records", (records / 8).max(200) * 6),
            "transactions" => format!("of about {records} records"),
            _ => format!("about {records} records"),
        }
    }

    fn settings(&self) -> serde_json::Map<String, Value> {
        // The records' times are long past; without this setting they would be deleted.
        let keep = ("retention.ms", "-1");
        let all = self.settings.iter().chain([&keep]);
        all.map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect()
    }
}

/// From 3.0 on a topic's setting of an older format has no effect.
const LAST_WITH_FORMATS: (u32, u32) = (2, 99);

const KINDS: [Kind; 17] = [
    kind("none", "uncompressed", true),
    kind("gzip", "gzip", true),
    kind("snappy", "snappy", true),
    kind("lz4", "lz4", false),
    kind("zstd", "zstd", false).within((2, 1), ANY.1),
    kind("mixed", "batches of none, gzip, snappy side by side", true),
    kind("mixed-all", "batches of all codecs side by side", false),
    kind("large", "records of 60 to 400 kB between small ones", true),
    kind("full", "records of 900 kB", true),
    kind("oversize", "records of 3 to 7 MB", true).set(&[("max.message.bytes", "10000000")]),
    kind("compacted-none", "compacted, uncompressed", true).set(COMPACT),
    kind("compacted-gzip", "compacted, gzip", true).set(COMPACT),
    kind("transactions", "transactions, committed and aborted", false).within((0, 11), ANY.1),
    kind("appended", "times set by the broker", true)
        .within((0, 10), ANY.1)
        .set(&[("message.timestamp.type", "LogAppendTime")]),
    kind("format-0", "stored in format 0", false)
        .within((0, 10), LAST_WITH_FORMATS)
        .set(&[("message.format.version", "0.9.0")]),
    kind("format-1", "stored in format 1", false)
        .within((1, 0), LAST_WITH_FORMATS)
        .set(&[("message.format.version", "0.10.2")]),
    kind("formats", "stored in formats 0, 1 and 2", false).within((1, 0), LAST_WITH_FORMATS),
];

/// The kinds that this broker can hold.
pub fn kinds(kafka: &Kafka) -> impl Iterator<Item = &'static Kind> {
    KINDS.iter().filter(|kind| {
        let (first, last) = kind.versions;
        kafka.at_least(first.0, first.1) && !kafka.at_least(last.0, last.1)
    })
}

/// The parts of a record that a line shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    pub timestamp: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Content {
    /// The record as the `kafka` crate shows it: without times and headers, empty as null.
    fn by_crate(self) -> Content {
        let some = |bytes: Option<Vec<u8>>| bytes.filter(|bytes| !bytes.is_empty());
        Content { timestamp: None, headers: Vec::new(), key: some(self.key), value: some(self.value) }
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |bytes: &Option<Vec<u8>>| match bytes {
            None => "null".to_owned(),
            Some(bytes) if bytes.len() > 60 => {
                format!("\"{}…\" ({} bytes)", bytes[..60].escape_ascii(), bytes.len())
            }
            Some(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        };
        let headers: Vec<String> = self
            .headers
            .iter()
            .map(|(name, value)| format!("{}={}", name.escape_ascii(), shown(value)))
            .collect();
        let (time, key, value) = (self.timestamp, shown(&self.key), shown(&self.value));
        write!(f, "time {time:?}, key {key}, value {value}, headers [{}]", headers.join(", "))
    }
}

/// Records by partition and offset.
pub type Contents = BTreeMap<(i64, i64), Content>;

/// Filled topics, and the records that a reader must find in each.
pub struct Produced {
    /// Each kind with its topic and its records.
    pub topics: Vec<(&'static Kind, String, Contents)>,
}

/// Fills a topic of each kind with about this many records.
#[track_caller]
pub fn produce(kafka: &Kafka, stem: &str, records: usize, seed: u64) -> Produced {
    produce_kinds(kafka, kinds(kafka), stem, records, seed)
}

/// Fills a topic of each of these kinds.
#[track_caller]
pub fn produce_kinds(
    kafka: &Kafka,
    kinds: impl Iterator<Item = &'static Kind>,
    stem: &str,
    records: usize,
    seed: u64,
) -> Produced {
    let named: Vec<_> = kinds.map(|kind| (kind, format!("{stem}-{}", kind.name))).collect();
    let asked = named.iter().map(|(kind, topic)| (topic.as_str(), 2, kind.settings()));
    kafka.create_with_settings(asked.collect());
    let out = directory("content");
    let mut command = python("content.py");
    command.args(["--brokers", &kafka.address, "--version", &kafka.version]).arg("--out").arg(&out);
    command.args(["--records", &records.to_string(), "--seed", &seed.to_string()]);
    command.args(named.iter().map(|(kind, topic)| format!("{topic}={}", kind.name)));
    let (noise, said) = (out.join("stderr"), File::create(out.join("stderr")).unwrap());
    let mut child = command.stdin(Stdio::null()).stderr(said).spawn().unwrap();
    let ended = wait::within(wait::seconds(240), || child.try_wait().unwrap().is_some());
    if !ended {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    let noise = std::fs::read_to_string(noise).unwrap();
    assert!(status.success(), "content.py --seed {seed} on Kafka {}: {status}\n{noise}", kafka.version);
    let topics = named.into_iter().map(|(kind, topic)| {
        let contents = expected(&out.join(format!("{}.expected", kind.name)));
        (kind, topic, contents)
    });
    let topics = topics.collect();
    std::fs::remove_dir_all(out).unwrap();
    Produced { topics }
}

fn expected(path: &Path) -> Contents {
    let lines = BufReader::new(File::open(path).unwrap()).lines();
    let records = lines.map(|line| {
        let fields: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let bytes = |field: &Value| field.as_str().map(hex);
        let headers = fields["h"].as_array().unwrap().iter();
        let content = Content {
            timestamp: fields["t"].as_i64(),
            key: bytes(&fields["k"]),
            value: bytes(&fields["v"]),
            headers: headers
                .map(|pair| (pair[0].as_str().unwrap().as_bytes().to_vec(), bytes(&pair[1])))
                .collect(),
        };
        ((fields["p"].as_i64().unwrap(), fields["o"].as_i64().unwrap()), content)
    });
    records.collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap() as u8;
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// Which client wrote a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKind {
    Native,
    Crate,
}

impl ClientKind {
    pub fn word(self) -> &'static str {
        match self {
            ClientKind::Native => "native",
            ClientKind::Crate => "crate",
        }
    }
}

/// The number of lines so far; a file that does not exist yet has none.
pub fn lines(path: &Path) -> usize {
    std::fs::read(path).map_or(0, |bytes| bytes.iter().filter(|byte| **byte == b'\n').count())
}

/// Checks that the file holds each record once, in order, and as it was produced.
pub fn compare(path: &Path, topic: &str, produced: &Contents, by: ClientKind) -> Result<(), String> {
    let (found, mut faults) = read(path, topic);
    let mut differ = |text: String| faults.push(text);
    for (place, content) in produced {
        let content = if by == ClientKind::Crate { content.clone().by_crate() } else { content.clone() };
        match found.get(place) {
            None => differ(format!("{place:?} is missing: {content:?}")),
            Some(one) if *one != content => {
                differ(format!("{place:?} differs\n     is {one:?}\n not {content:?}"));
            }
            Some(_) => {}
        }
    }
    for (place, content) in found.iter().filter(|(place, _)| !produced.contains_key(place)) {
        differ(format!("{place:?} should not be there: {content:?}"));
    }
    if faults.is_empty() {
        return Ok(());
    }
    let shown = faults.iter().take(6).map(String::as_str).collect::<Vec<_>>().join("\n");
    Err(format!("{topic}, {by:?}: {} of {} differ\n{shown}", faults.len(), produced.len()))
}

fn read(path: &Path, topic: &str) -> (Contents, Vec<String>) {
    let (mut found, mut faults) = (Contents::new(), Vec::new());
    let mut last = BTreeMap::new();
    for line in BufReader::new(File::open(path).unwrap()).split(b'\n') {
        let line = line.unwrap();
        let fields: Value = match serde_json::from_slice(&line) {
            Ok(fields) => fields,
            Err(why) => {
                faults.push(format!("no line of json: {why}: {}", line.escape_ascii()));
                continue;
            }
        };
        let place = (fields["partition"].as_i64().unwrap(), fields["offset"].as_i64().unwrap());
        if fields["topic"] != topic {
            faults.push(format!("{place:?} says that it is from {}", fields["topic"]));
        }
        let before = last.insert(place.0, place.1);
        if before.is_some_and(|before| before >= place.1) {
            faults.push(format!("{place:?} comes after {before:?}"));
        }
        let content = Content {
            timestamp: fields["timestamp"].as_i64(),
            key: bytes_of(&fields, "key"),
            value: bytes_of(&fields, "value"),
            headers: headers_of(&fields),
        };
        if found.insert(place, content).is_some() {
            faults.push(format!("{place:?} is there twice"));
        }
    }
    (found, faults)
}

fn bytes_of(fields: &Value, name: &str) -> Option<Vec<u8>> {
    match fields[format!("{name}_base64")].as_str() {
        Some(text) => Some(super::check::base64(text).expect("base64")),
        None => fields[name].as_str().map(|text| text.as_bytes().to_vec()),
    }
}

/// Pairs of name and value; all of them are in Base64 if any of them is not text.
fn headers_of(fields: &Value) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let encoded = fields["headers_base64"].as_array();
    let side = |value: &Value| match (value.as_str(), encoded) {
        (Some(text), Some(_)) => Some(super::check::base64(text).expect("base64")),
        (text, _) => text.map(|text| text.as_bytes().to_vec()),
    };
    let pairs = encoded.or(fields["headers"].as_array()).into_iter().flatten();
    pairs.map(|pair| (side(&pair[0]).unwrap_or_default(), side(&pair[1]))).collect()
}

/// The file of a topic if the path is `{topic}.log`.
pub fn file_of(dir: &Path, topic: &str) -> PathBuf {
    dir.join(format!("{topic}.log"))
}
