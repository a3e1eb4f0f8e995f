//! A partition's log in memory: batches of format 0, 1 and 2 as brokers store them, and the records
//! that a reader must get from them. Encoded by hand, because no crate writes the old formats.

use std::collections::BTreeMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

/// The content of an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A record that every reader gets.
    Plain,
    /// A record of a transaction that is open, or was committed later.
    Open,
    /// A record of an aborted transaction.
    Aborted,
}

/// An aborted transaction: its producer, its first offset, and the offset of its marker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Abort {
    pub(super) producer: i64,
    pub(super) first: i64,
    marker: i64,
}

struct Batch {
    first: i64,
    last: i64,
    bytes: Vec<u8>,
}

/// The batches, and which records they hold.
pub(super) struct Log {
    /// Tells the records of a recreated topic from those of the old one.
    pub(super) name: String,
    /// The highest format of its batches.
    magic: u8,
    /// Whether every offset has a record, so that each record can be compared.
    dense: bool,
    pub(super) start: i64,
    pub(super) end: i64,
    batches: Vec<Batch>,
    aborts: Vec<Abort>,
    open: Option<(i64, i64)>,
    /// Every offset that has a record.
    pub(super) records: BTreeMap<i64, Kind>,
}

/// The number of the codec in the attributes.
const GZIP: i16 = 1;
const TRANSACTIONAL: i16 = 16;
const CONTROL: i16 = 32;
const NO_PRODUCER: i64 = -1;

impl Log {
    pub(super) fn new(name: String, magic: u8, dense: bool) -> Self {
        let (start, end) = (0, 0);
        let (batches, aborts, open, records) = Default::default();
        Self { name, magic, dense, start, end, batches, aborts, open, records }
    }

    /// The value of the record at an offset. The key is the first eight bytes of the value, or null.
    pub(super) fn value(&self, offset: i64) -> Vec<u8> {
        let pad = match offset % 41 {
            0 => 0,
            7 => 5000,
            other => usize::try_from(other * 7 % 160).unwrap(),
        };
        format!("{}@{offset}:{}", self.name, "x".repeat(pad)).into_bytes()
    }

    pub(super) fn key(&self, offset: i64) -> Option<Vec<u8>> {
        (offset % 3 != 0).then(|| offset.to_be_bytes().to_vec())
    }

    /// The last stable offset.
    pub(super) fn stable(&self) -> i64 {
        self.open.map_or(self.end, |(_, first)| first)
    }

    /// Appends a batch of some kind.
    pub(super) fn append(&mut self, dice: &mut fastrand::Rng) {
        let magic = if dice.u8(0..4) > 0 { self.magic } else { dice.u8(0..=self.magic) };
        let codec = if dice.bool() { GZIP } else { 0 };
        if magic < 2 {
            let count = dice.i64(1..8);
            return self.old(magic, codec, count, dice);
        }
        let count = dice.i64(1..20);
        match dice.u8(0..20) {
            0 if !self.dense => self.emptied(count),
            1..=3 if !self.dense => self.transaction(codec, count, dice),
            _ => self.plain(codec, count, dice),
        }
    }

    /// Which of the next `count` offsets keep a record; compaction removes the others.
    fn left(&self, count: i64, dice: &mut fastrand::Rng) -> Vec<i64> {
        let whole = self.dense || dice.u8(0..3) > 0;
        (0..count).filter(|_| whole || dice.u8(0..3) > 0).collect()
    }

    fn plain(&mut self, codec: i16, count: i64, dice: &mut fastrand::Rng) {
        let left = self.left(count, dice);
        self.batch(codec, NO_PRODUCER, count, &left, Kind::Plain);
    }

    /// A batch whose records were all compacted away.
    fn emptied(&mut self, count: i64) {
        self.batch(0, NO_PRODUCER, count, &[], Kind::Plain);
    }

    /// A transaction that ends at once, with a record of another producer inside.
    fn transaction(&mut self, codec: i16, count: i64, dice: &mut fastrand::Rng) {
        if self.open.is_some() {
            return self.plain(codec, count, dice);
        }
        self.begin(codec, count);
        self.batch(0, NO_PRODUCER, 2, &[0, 1], Kind::Plain);
        self.decide(dice.bool());
    }

    /// Begins a transaction that stays open.
    pub(super) fn begin(&mut self, codec: i16, count: i64) {
        if self.magic < 2 || self.open.is_some() || self.dense {
            return;
        }
        let producer = 1000 + self.end;
        self.open = Some((producer, self.end));
        let all: Vec<i64> = (0..count).collect();
        self.batch(codec | TRANSACTIONAL, producer, count, &all, Kind::Open);
    }

    /// Commits or aborts the open transaction.
    pub(super) fn decide(&mut self, commit: bool) {
        let Some((producer, first)) = self.open.take() else { return };
        let kind = if commit { Kind::Plain } else { Kind::Aborted };
        self.records.values_mut().filter(|one| **one == Kind::Open).for_each(|one| *one = kind);
        if !commit {
            self.aborts.push(Abort { producer, first, marker: self.end });
        }
        // The key is a version and a type, the value a version and the coordinator's epoch.
        let key = [0, 0, 0, u8::from(commit)];
        let mut records = Vec::new();
        push_record(&mut records, 0, Some(&key), Some(&[0; 6]));
        let bytes = batch(self.end, 0, CONTROL | TRANSACTIONAL, producer, 1, &records);
        self.push(bytes, 1);
    }

    fn batch(&mut self, attributes: i16, producer: i64, count: i64, left: &[i64], kind: Kind) {
        let mut records = Vec::new();
        for delta in left {
            let offset = self.end + delta;
            let (key, value) = (self.key(offset), self.value(offset));
            push_record(&mut records, *delta, key.as_deref(), Some(&value));
            self.records.insert(offset, kind);
        }
        let records = if attributes & 7 == GZIP { gzip(&records) } else { records };
        let number = i32::try_from(left.len()).unwrap();
        let delta = i32::try_from(count - 1).unwrap();
        let bytes = batch(self.end, delta, attributes, producer, number, &records);
        self.push(bytes, count);
    }

    /// Messages of format 0 or 1, plain or in one compressed wrapper.
    fn old(&mut self, magic: u8, codec: i16, count: i64, dice: &mut fastrand::Rng) {
        let left = self.left(count, dice);
        let base = self.end;
        for delta in &left {
            self.records.insert(base + delta, Kind::Plain);
        }
        let message = |log: &Self, delta: i64, named: i64| {
            let (key, value) = (log.key(base + delta), log.value(base + delta));
            message(named, magic, 0, key.as_deref(), &value)
        };
        let Some(last) = left.last().copied() else { return };
        if codec == GZIP {
            // In format 1 the inner offsets are relative to the first record that the wrapper ever
            // had.
            let inner = |delta: i64| if magic == 0 { base + delta } else { delta };
            let set: Vec<u8> = left.iter().flat_map(|delta| message(self, *delta, inner(*delta))).collect();
            // The wrapper has the offset of its last record.
            let bytes = self::message(base + last, magic, GZIP as u8, None, &gzip(&set));
            self.batches.push(Batch { first: base, last: base + last, bytes });
        } else {
            for delta in &left {
                let bytes = message(self, *delta, base + delta);
                self.batches.push(Batch { first: base + delta, last: base + delta, bytes });
            }
        }
        self.end = base + last + 1;
    }

    fn push(&mut self, bytes: Vec<u8>, count: i64) {
        self.batches.push(Batch { first: self.end, last: self.end + count - 1, bytes });
        self.end += count;
    }

    /// Retention deletes whole batches below an offset. The new start may be inside a batch.
    pub(super) fn delete_below(&mut self, start: i64) {
        self.start = start.clamp(self.start, self.stable());
        let start = self.start;
        self.batches.retain(|batch| batch.last >= start);
    }

    /// The content of a range, to be printed when a schedule fails.
    pub(super) fn shown(&self, from: i64, next: i64) -> String {
        let inside = self.batches.iter().filter(|one| one.last >= from && one.first < next);
        let batches = inside.map(|one| {
            let attributes = i16::from_be_bytes([one.bytes[21], one.bytes[22]]);
            format!("{}-{} format {} attributes {attributes}", one.first, one.last, one.bytes[16])
        });
        format!("{:?}; {:?}", batches.collect::<Vec<_>>(), self.aborts)
    }

    /// The record set from an offset on, and the aborted transactions in it. A broker before 0.10.1
    /// cuts the set at `max_bytes`; a later one sends the first batch whole.
    pub(super) fn read(
        &self,
        from: i64,
        max_bytes: usize,
        whole_first: bool,
        committed: bool,
    ) -> (Vec<u8>, Vec<Abort>) {
        let limit = if committed { self.stable() } else { self.end };
        let mut set = Vec::new();
        let mut upper = from;
        for one in self.batches.iter().filter(|one| one.last >= from && one.first < limit) {
            if set.len() >= max_bytes {
                break;
            }
            let room = if whole_first && set.is_empty() { one.bytes.len() } else { max_bytes - set.len() };
            set.extend(&one.bytes[..one.bytes.len().min(room)]);
            upper = one.last + 1;
        }
        let touches = |abort: &&Abort| abort.marker >= from && abort.first < upper;
        let aborts = self.aborts.iter().filter(touches).copied();
        let aborts = if committed { aborts.collect() } else { Vec::new() };
        (set, aborts)
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn length(bytes: Option<&[u8]>) -> i32 {
    bytes.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap())
}

/// A message of format 0 or 1, with its offset and size.
fn message(offset: i64, magic: u8, attributes: u8, key: Option<&[u8]>, value: &[u8]) -> Vec<u8> {
    let mut body = vec![magic, attributes];
    if magic == 1 {
        body.extend(1_600_000_000_000_i64.to_be_bytes());
    }
    for field in [key, Some(value)] {
        body.extend(length(field).to_be_bytes());
        body.extend(field.unwrap_or_default());
    }
    let size = i32::try_from(body.len() + 4).unwrap();
    let crc = crc32fast::hash(&body);
    [&offset.to_be_bytes()[..], &size.to_be_bytes(), &crc.to_be_bytes(), &body].concat()
}

/// A batch of format 2.
fn batch(base: i64, delta: i32, attributes: i16, producer: i64, count: i32, records: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(attributes.to_be_bytes());
    body.extend(delta.to_be_bytes());
    body.extend(1_600_000_000_000_i64.to_be_bytes());
    body.extend(1_600_000_000_000_i64.to_be_bytes());
    body.extend(producer.to_be_bytes());
    body.extend(0_i16.to_be_bytes());
    body.extend((-1_i32).to_be_bytes());
    body.extend(count.to_be_bytes());
    body.extend(records);
    let length = i32::try_from(body.len() + 9).unwrap();
    let head = [&base.to_be_bytes()[..], &length.to_be_bytes(), &0_i32.to_be_bytes(), &[2]].concat();
    [&head[..], &castagnoli(&body).to_be_bytes(), &body].concat()
}

fn push_record(out: &mut Vec<u8>, delta: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
    let mut record = vec![0];
    varint(&mut record, 0);
    varint(&mut record, delta);
    for field in [key, value] {
        varint(&mut record, i64::from(length(field)));
        record.extend(field.unwrap_or_default());
    }
    varint(&mut record, 0);
    varint(out, i64::try_from(record.len()).unwrap());
    out.extend(record);
}

fn varint(out: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// CRC-32C, bit by bit.
fn castagnoli(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}
