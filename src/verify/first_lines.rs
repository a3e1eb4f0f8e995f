//! The first lines that are left of each partition, where the oldest files may have been deleted.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use super::bounds::Bounds;
use super::lines::{HashedLine, LineSplitter};
use super::passes::TopicLineSink;
use super::place::LinePlaces;

/// So many bytes of lines are read to find them.
const BYTES_MAX: u64 = 256 << 20;
const PIECE_BYTES: usize = 256 * 1024;
/// How many lines at the beginning of the oldest file are looked for among the records.
const LINES_MAX: usize = 10_000;

/// The offset of the first line of each partition of the log. A partition without a line in the oldest files
/// is left out.
pub(super) fn first_offsets(bounds: &Bounds, log: usize, places: LinePlaces) -> BTreeMap<usize, i64> {
    let mut found = BTreeMap::new();
    let Some(bounds) = bounds.logs.get(log) else { return found };
    let all: usize = bounds.partitions.values().map(BTreeMap::len).sum();
    let mut left = BYTES_MAX;
    let mut piece = vec![0; PIECE_BYTES];
    for part in bounds.hosts.iter().flatten() {
        // A file that cannot be read is reported by whoever reads all of them.
        let Ok(mut reader) = part.open() else { return found };
        let mut splitter = LineSplitter::new(0);
        let mut take = |line: HashedLine<'_>| {
            if let Some(said) = places.read(line.head)
                && let Some(partition) = bounds.partition_of(&said)
            {
                found.entry(partition).or_insert(said.offset);
            }
        };
        while let Ok(count) = reader.read(&mut piece) {
            splitter.take(piece.get(..count).unwrap_or_default(), &mut take);
            left = left.saturating_sub(count as u64);
            if count == 0 || left == 0 {
                break;
            }
        }
        if found.len() >= all || left == 0 {
            break;
        }
    }
    found
}

/// The hashes of the first lines of the log.
pub(super) fn first_hashes(bounds: &Bounds, log: usize, seed: u64) -> Vec<u128> {
    let mut hashes = Vec::new();
    let hosts = bounds.logs.get(log).map_or(&[][..], |log| &log.hosts);
    let mut piece = vec![0; PIECE_BYTES];
    for oldest in hosts.iter().filter_map(|parts| parts.first()) {
        let mut splitter = LineSplitter::new(seed);
        let Ok(mut reader) = oldest.open() else { continue };
        let end = hashes.len() + LINES_MAX;
        while let Ok(count) = reader.read(&mut piece) {
            splitter.take(piece.get(..count).unwrap_or_default(), &mut |line| hashes.push(line.hash));
            if count == 0 || hashes.len() >= end {
                break;
            }
        }
        hashes.truncate(end);
    }
    hashes
}

/// Finds the records of some lines.
#[derive(Clone)]
pub(super) struct FirstRecords {
    wanted: Arc<[u128]>,
    found: Arc<Mutex<HashMap<u128, FirstRecord>>>,
}

struct FirstRecord {
    records: u32,
    partition: usize,
    offset: i64,
}

impl FirstRecords {
    /// `wanted` in order.
    pub(super) fn new(wanted: Vec<u128>) -> Self {
        Self { wanted: wanted.into(), found: Arc::default() }
    }

    /// The lowest offset of each partition whose line is one of them, and of no other record.
    pub(super) fn take(self) -> BTreeMap<usize, i64> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lowest = BTreeMap::new();
        for record in found.values().filter(|record| record.records == 1) {
            let known = lowest.entry(record.partition).or_insert(record.offset);
            *known = record.offset.min(*known);
        }
        lowest
    }
}

impl TopicLineSink for FirstRecords {
    fn topic_line(&mut self, _line: &[u8], hash: u128, _times: i64, (partition, offset): (usize, i64)) {
        if self.wanted.binary_search(&hash).is_ok() {
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            let record = found.entry(hash).or_insert(FirstRecord { records: 0, partition, offset });
            record.records += 1;
        }
    }
}
