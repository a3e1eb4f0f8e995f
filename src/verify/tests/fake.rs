//! A cluster in memory, and log files of its records, written by the writer of the job.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::super::*;
use crate::error::Fault;
use crate::kafka::{DecodedRecords, Event, Fetched, Payload, StartBasis, StartOffset};
use crate::logfile::line::LineFormat;
use crate::logfile::parts::LogPath;
use crate::logfile::{
    self, Landmark, LogFile, LogFileOptions, Piece, PositionChange, RestartMemory, Rotation,
};
use crate::record::{OffsetMetadata, Record, TopicPartition};

/// How many records one reply has.
const REPLY_RECORDS: usize = 70;

/// The records of a partition: offset and value, in order.
pub(super) type Values = Vec<(i64, String)>;

/// What a broker has.
#[derive(Debug, Clone, Default)]
pub(super) struct Topics {
    pub(super) records: BTreeMap<TopicPartition, Values>,
    /// The first offset of each log, if that is not 0.
    pub(super) starts: BTreeMap<TopicPartition, i64>,
}

impl Topics {
    /// Partitions of topic t with so many records each, their values all different.
    pub(super) fn new(partitions: i32, records: i64) -> Self {
        let values =
            |p: i32| (0..records).map(|n| (n, format!("value {n} of {p} {}", "x".repeat(60)))).collect();
        let records = (0..partitions).map(|p| (TopicPartition::new("t", p), values(p))).collect();
        Self { records, ..Self::default() }
    }
}

struct Batch(Vec<(i64, String)>);

impl DecodedRecords for Batch {
    fn each(&self, each: &mut dyn FnMut(&Record<'_>)) {
        self.0.iter().for_each(|(offset, value)| {
            let key: &[u8] = if offset % 2 == 0 { b"even" } else { b"odd" };
            each(&Record {
                timestamp: Some(1000 + offset),
                ..Record::bare(*offset, Some(key), Some(value.as_bytes()))
            });
        });
    }
}

/// Reads [`Topics`].
pub(super) struct FakeFetcher {
    topics: Topics,
    assigned: BTreeMap<TopicPartition, (StartOffset, u64)>,
    /// Whose turn it is.
    turn: usize,
    /// Counts replies.
    served: Arc<Mutex<u64>>,
}

impl FakeFetcher {
    fn event(&mut self, partition: &TopicPartition) -> Event {
        let Some((start, assignment)) = self.assigned.get(partition).cloned() else { return Event::Nothing };
        let first = self.topics.starts.get(partition).copied().unwrap_or(0);
        let from = match start {
            StartOffset::At(from, _) => from,
            StartOffset::Since(time) => {
                let found = self.topics.records[partition].iter().find(|(offset, _)| 1000 + offset >= time);
                let found = found.map_or(first, |(offset, _)| *offset);
                return Event::resolved(partition.clone(), assignment, (found, StartBasis::Bound));
            }
            StartOffset::Latest => {
                let end = self.topics.records[partition].last().map_or(first, |(last, _)| last + 1);
                return Event::resolved(partition.clone(), assignment, (end, StartBasis::Bound));
            }
            StartOffset::Earliest => {
                self.assigned.insert(partition.clone(), (StartOffset::At(first, Vec::new()), assignment));
                return Event::resolved(partition.clone(), assignment, (first, StartBasis::Bound));
            }
        };
        let values = &self.topics.records[partition];
        let (next, payload) = if from < first {
            (first, Payload::Deleted)
        } else {
            let begin = values.partition_point(|(offset, _)| *offset < from);
            let taken: Vec<_> = values[begin..].iter().take(REPLY_RECORDS).cloned().collect();
            let Some((last, _)) = taken.last() else { return Event::Idle };
            (last + 1, Payload::Decoded(Box::new(Batch(taken)) as Box<dyn DecodedRecords>))
        };
        self.assigned.insert(partition.clone(), (StartOffset::At(next, Vec::new()), assignment));
        *self.served.lock().unwrap() += 1;
        Event::Fetched(Fetched {
            partition: partition.clone(),
            from,
            base: from,
            next,
            assignment,
            lag: 0,
            broker: None,
            last: None,
            bytes: 100,
            epochs: Vec::new(),
            payload,
        })
    }
}

impl Fetcher for FakeFetcher {
    fn assign(&mut self, partition: &TopicPartition, start: StartOffset, assignment: u64) {
        if self.topics.records.contains_key(partition) {
            self.assigned.insert(partition.clone(), (start, assignment));
        }
    }

    fn unassign(&mut self, partition: &TopicPartition) {
        self.assigned.remove(partition);
    }

    fn next(&mut self, _until: Instant) -> Result<Event, Fault> {
        self.turn += 1;
        let names: Vec<TopicPartition> = self.assigned.keys().cloned().collect();
        let Some(partition) = names.get(self.turn % names.len().max(1)) else { return Ok(Event::Nothing) };
        Ok(self.event(&partition.clone()))
    }
}

/// A directory with a log, and the topics that it was written from.
pub(super) struct World {
    pub(super) directory: PathBuf,
    pub(super) topics: Topics,
    pub(super) format: LineFormat,
    pub(super) formatter: LineFormatter,
    pub(super) rotation: Rotation,
    pub(super) exact_lines: usize,
    pub(super) choice: Option<PartitionChoice>,
    pub(super) directories: Vec<PathBuf>,
    pub(super) since: Option<i64>,
    pub(super) may_be_deleted: bool,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl World {
    pub(super) fn new(topics: Topics, format: LineFormat, rotation: Rotation) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("pandad-verify-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let (exact_lines, choice, directories) = (VerifyRequest::EXACT_LINES, None, Vec::new());
        let (since, may_be_deleted) = (None, false);
        let formatter = LineFormatter::new(format);
        Self {
            directory,
            topics,
            format,
            formatter,
            rotation,
            exact_lines,
            choice,
            directories,
            since,
            may_be_deleted,
        }
    }

    /// The usual one: two partitions, small rotated files that are compressed, but for the newest ones.
    pub(super) fn usual(format: LineFormat) -> Self {
        let rotation = Rotation { size: Some(9_000), ..Rotation::off() };
        let mut world = Self::new(Topics::new(2, 400), format, rotation);
        world.write_all();
        world.compress(2);
        world
    }

    pub(super) fn log(&self) -> PathBuf {
        self.directory.join("out.log")
    }

    pub(super) fn open(&self, path: &Path) -> LogFile {
        let options = LogFileOptions { job: "test", sync: false, rotation: self.rotation.clone() };
        logfile::open(path, &options, &mut RestartMemory::default()).unwrap()
    }

    /// Writes every record once.
    pub(super) fn write_all(&mut self) {
        let mut log = self.open(&self.log());
        for (partition, values) in &self.topics.records {
            let start = self.topics.starts.get(partition).copied().unwrap_or(values[0].0);
            log.ledger.resume(partition, Some(start), &OffsetMetadata::Text(String::new())).unwrap();
        }
        for from in (0..1000).step_by(10) {
            for partition in self.topics.records.keys() {
                self.append(&mut log, partition, from, from + 10);
            }
        }
        settle(&mut log);
        log.ledger.close().unwrap();
    }

    /// Writes the records from one offset up to another.
    pub(super) fn append(&self, log: &mut LogFile, partition: &TopicPartition, from: i64, next: i64) {
        let values = self.topics.records[partition].iter();
        let values: Vec<_> = values.filter(|(offset, _)| (from..next).contains(offset)).collect();
        let Some((last, _)) = values.last() else { return };
        let mut lines = Vec::new();
        let batch = Batch(values.iter().map(|(offset, value)| (*offset, value.clone())).collect());
        let mut formatter = self.formatter.clone();
        batch.each(&mut |record| _ = formatter.append(&mut lines, partition, record));
        let mut crc = crc32fast::Hasher::new();
        crc.update(&lines);
        let (index, _) = log.ledger.written(partition).unwrap();
        let landmark = Some(Landmark { offset: *last, fingerprint: 0 });
        let change = PositionChange { index, position: last + 1, last: landmark };
        log.writer.append(&[Piece { bytes: &lines, crc: &crc }], &[change]).unwrap();
    }

    /// Appends the line of this record.
    pub(super) fn format_line(&self, partition: &TopicPartition, offset: i64, lines: &mut Vec<u8>) {
        let record = self.topics.records[partition].iter().find(|(other, _)| *other == offset).unwrap();
        let mut formatter = self.formatter.clone();
        Batch(vec![record.clone()]).each(&mut |record| _ = formatter.append(lines, partition, record));
    }

    /// The files, oldest first.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut rotated: Vec<PathBuf> = fs::read_dir(&self.directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("out.log-"))
            .collect();
        rotated.sort();
        rotated.push(self.log());
        rotated
    }

    /// Compresses all rotated files but the last `kept`.
    pub(super) fn compress(&self, kept: usize) {
        let files = self.files();
        for file in &files[..files.len() - 1 - kept] {
            let text = fs::read(file).unwrap();
            fs::remove_file(file).unwrap();
            write(&PathBuf::from(format!("{}.gz", file.display())), &text);
        }
    }

    pub(super) fn verify(&self) -> Report {
        let served = Arc::default();
        run(self.request(&served)).unwrap()
    }

    pub(super) fn request(&self, served: &Arc<Mutex<u64>>) -> VerifyRequest {
        let (topics, served) = (self.topics.clone(), Arc::clone(served));
        let may_be_deleted = self.may_be_deleted;
        VerifyRequest {
            logs: vec![LogPath::File(self.log())],
            directories: self.directories.clone(),
            choice: self.choice.clone(),
            since: self.since,
            formatter: self.formatter.clone(),
            places: match self.format {
                LineFormat::Json => LinePlaces::Json,
                LineFormat::Original => LinePlaces::Original,
                LineFormat::Raw => LinePlaces::Nothing,
            },
            may_be_deleted: Box::new(move |_| may_be_deleted),
            make_fetcher: Box::new(move || {
                let (topics, served) = (topics.clone(), Arc::clone(&served));
                Box::new(FakeFetcher { topics, assigned: BTreeMap::new(), turn: 0, served })
            }),
            limits: ReadLimits { rate: None, patience: Duration::from_millis(300) },
            exact_lines: self.exact_lines,
            progress: (Box::new(|_| {}), Duration::ZERO),
        }
    }
}

pub(super) fn settle(log: &mut LogFile) {
    log.settler.settle(log.writer.checkpoint()).unwrap();
}

/// The text of a file, compressed or not.
pub(super) fn read(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    if path.extension().unwrap() != "gz" {
        return bytes;
    }
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut text).unwrap();
    text
}

/// Writes in place: the file keeps its inode.
pub(super) fn write(path: &Path, text: &[u8]) {
    if path.extension().unwrap() != "gz" {
        return fs::write(path, text).unwrap();
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, text).unwrap();
    fs::write(path, encoder.finish().unwrap()).unwrap();
}
