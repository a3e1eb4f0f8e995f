//! Reads log files that hold test records and reports which records are missing, doubled, torn
//! or out of order. Each test record names its partition and its place in the partition and
//! carries a CRC, so a cut or spliced line cannot pass for a whole one.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::ops::Range;
use std::path::Path;

/// Enough examples to see the kind of damage; the counts tell how much.
const EXAMPLES: usize = 8;

/// The place of the test record that a line holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Partition, as the producer wrote it into the record.
    pub partition: usize,
    /// Number within the partition, from 0; equal to the offset in a new topic.
    pub index: u64,
}

/// What the files hold, compared with what they should hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub missing: u64,
    pub doubled: u64,
    pub torn: u64,
    pub disordered: u64,
    pub lines: u64,
    /// The first few faults in words.
    pub examples: Vec<String>,
}

impl Report {
    pub fn whole(&self) -> bool {
        self.missing + self.doubled + self.torn + self.disordered == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "missing {}, doubled {}, torn {}, out of order {} ({} lines)",
            self.missing, self.doubled, self.torn, self.disordered, self.lines
        )
    }
}

/// One partition's records: the expected ones, a bit for each that was seen, and the highest so far.
pub struct Seen {
    pub expected: Range<u64>,
    bits: Vec<u64>,
    next: u64,
}

impl Seen {
    pub fn new(expected: Range<u64>) -> Seen {
        let bits = vec![0; expected.end.div_ceil(64) as usize];
        Seen { expected, bits, next: 0 }
    }

    /// Marks a record; true if it was marked already.
    pub fn mark(&mut self, index: u64) -> bool {
        let (word, bit) = ((index / 64) as usize, 1u64 << (index % 64));
        let before = self.bits[word] & bit != 0;
        self.bits[word] |= bit;
        before
    }

    pub fn has(&self, index: u64) -> bool {
        self.bits[(index / 64) as usize] & (1u64 << (index % 64)) != 0
    }

    /// How many records were not seen, and a description.
    pub fn missing(&self, partition: usize) -> Option<(u64, String)> {
        let mut gone = self.expected.clone().filter(|&index| !self.has(index));
        let first = gone.next()?;
        let (count, last) = gone.fold((1, first), |(count, _), index| (count + 1, index));
        Some((count, format!("missing: partition {partition}: {count} records, {first} to {last}")))
    }
}

/// A check under way. Files are given in the order in which they were written.
pub struct Check {
    pub partitions: Vec<Seen>,
    pub report: Report,
}

impl Check {
    /// `each`: how many records each partition should hold.
    pub fn new(each: &[u64]) -> Check {
        Check::of(each.iter().map(|&records| 0..records))
    }

    /// `expected`: which records of each partition should be there, and no others.
    pub fn of(expected: impl Iterator<Item = Range<u64>>) -> Check {
        Check { partitions: expected.map(Seen::new).collect(), report: Report::default() }
    }

    /// Reads one file to its end.
    pub fn file(&mut self, path: &Path) -> io::Result<()> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|e| io::Error::new(e.kind(), format!("{name}: {e}")))?;
        self.read(&name, &mut BufReader::with_capacity(1 << 20, file))
    }

    /// Reads lines to the end. A last line without its newline is torn, whatever it holds.
    pub fn read(&mut self, name: &str, from: &mut dyn BufRead) -> io::Result<()> {
        let mut line = Vec::new();
        for number in 1u64.. {
            line.clear();
            if from.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            let ended = line.last() == Some(&b'\n');
            if ended {
                line.pop();
            }
            self.report.lines += 1;
            let place = if ended { place_of(&line) } else { Err("no newline at the end".to_string()) };
            self.take(place, &format_args!("{name}:{number}"), &line);
        }
        Ok(())
    }

    fn take(&mut self, place: Result<Place, String>, at: &fmt::Arguments<'_>, line: &[u8]) {
        let place = match place {
            Ok(place) => place,
            Err(why) => {
                self.report.torn += 1;
                return self.example(format!("{at}: torn: {why}: {}", shown(line)));
            }
        };
        let Place { partition, index } = place;
        let Some(seen) = self.partitions.get_mut(partition).filter(|seen| seen.expected.contains(&index))
        else {
            self.report.torn += 1;
            return self.example(format!("{at}: foreign: partition {partition} has no record {index}"));
        };
        if seen.mark(index) {
            self.report.doubled += 1;
            return self.example(format!("{at}: doubled: partition {partition} record {index}"));
        }
        if index < seen.next {
            self.report.disordered += 1;
            let after = seen.next - 1;
            return self
                .example(format!("{at}: out of order: partition {partition} record {index} after {after}"));
        }
        seen.next = index + 1;
    }

    fn example(&mut self, text: String) {
        if self.report.examples.len() < EXAMPLES {
            self.report.examples.push(text);
        }
    }

    /// Counts the missing records.
    pub fn finish(mut self) -> Report {
        for partition in 0..self.partitions.len() {
            if let Some((count, text)) = self.partitions[partition].missing(partition) {
                self.report.missing += count;
                self.example(text);
            }
        }
        self.report
    }
}

/// Checks whole files in one go.
pub fn files<P: AsRef<Path>>(each: &[u64], paths: &[P]) -> io::Result<Report> {
    let mut check = Check::new(each);
    for path in paths {
        check.file(path.as_ref())?;
    }
    Ok(check.finish())
}

/// The test record in a line of any of the three formats.
pub fn place_of(line: &[u8]) -> Result<Place, String> {
    const ORIGINAL: &[u8] = b"consumer_message:";
    if line.starts_with(b"{\"p\":") {
        return record(line);
    }
    let original = line.strip_prefix(ORIGINAL);
    let json: serde_json::Value = serde_json::from_slice(original.unwrap_or(line))
        .map_err(|e| format!("not a line of any format: {e}"))?;
    let fields = if original.is_some() { &json["message"] } else { &json };
    let place = if let Some(text) = fields["value"].as_str() {
        record(text.as_bytes())?
    } else if let Some(text) = fields["value_base64"].as_str() {
        record(&base64(text).ok_or("value_base64 is not base64")?)?
    } else {
        return Err("a line without a value".to_string());
    };
    // The producer checks that its records lie at these offsets.
    match json["offset"].as_u64() {
        Some(offset) if offset == place.index => Ok(place),
        offset => Err(format!("the line says offset {offset:?}, its record {}", place.index)),
    }
}

/// Reads `{"p":3,"i":123,"pad":"...","crc":"8 hex"}`; the CRC covers everything before `,"crc"`. The pad
/// may hold any byte but a newline, so this looks for the ends of the text and not for quotes.
fn record(value: &[u8]) -> Result<Place, String> {
    const TAIL: usize = ",\"crc\":\"01234567\"}".len();
    let cut = value.len().checked_sub(TAIL).ok_or("too short for a record")?;
    let (body, tail) = value.split_at(cut);
    let hex = tail.strip_prefix(b",\"crc\":\"").and_then(|rest| rest.strip_suffix(b"\"}"));
    let want = hex.ok_or("no CRC at the end")?;
    let have = format!("{:08x}", crc32fast::hash(body));
    if want != have.as_bytes() {
        return Err(format!("CRC {have}, the record says {}", want.escape_ascii()));
    }
    let rest = body.strip_prefix(b"{\"p\":").ok_or("not a test record")?;
    let (partition, rest) = number(rest).ok_or("no partition")?;
    let (index, rest) = rest.strip_prefix(b",\"i\":").and_then(number).ok_or("no place in the partition")?;
    if !rest.starts_with(b",\"pad\":\"") {
        return Err("no pad".to_string());
    }
    Ok(Place { partition: partition as usize, index })
}

fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let value = std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
    Some((value, &text[digits..]))
}

pub fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    Some(bytes)
}

/// A line for people: its beginning and end, with bytes that are not text escaped.
fn shown(line: &[u8]) -> String {
    if line.len() <= 160 {
        return line.escape_ascii().to_string();
    }
    let (head, tail) = (&line[..80], &line[line.len() - 60..]);
    format!("{} … {} ({} bytes)", head.escape_ascii(), tail.escape_ascii(), line.len())
}
