//! The worker: the records of one reply become lines in one buffer.

use super::Buffers;
use crate::error::Fault;
use crate::kafka::{self, Fetched};
use crate::logfile::Landmark;
use crate::logfile::line::Format;
use crate::pipeline::Worker;
use crate::record::TopicPartition;

/// What a worker made of one reply: lines, and which stretch of the partition they are.
pub(super) struct Lined {
    pub(super) partition: TopicPartition,
    /// The stretch [from, next); it may hold no record.
    pub(super) from: i64,
    pub(super) next: i64,
    /// Which want this was fetched for.
    pub(super) want: u64,
    pub(super) lines: Vec<u8>,
    /// CRC-32 of the lines.
    pub(super) crc: crc32fast::Hasher,
    /// The last record.
    pub(super) last: Option<Landmark>,
    pub(super) records: u64,
}

/// See the module.
pub(super) struct Lines {
    format: Format,
    buffers: Buffers,
}

impl Lines {
    pub(super) fn new(format: Format, buffers: Buffers) -> Self {
        Self { format, buffers }
    }
}

impl Worker for Lines {
    type Task = Fetched;
    type Outcome = Lined;

    fn work(&mut self, fetched: &Fetched) -> Result<(Lined, u64), Fault> {
        let mut lines = self.buffers.take();
        let mut records = 0;
        kafka::records(&fetched.payload, |record| {
            self.format.append(&mut lines, &fetched.partition, record);
            records += 1;
        })?;
        let last = fetched.last.map(|(offset, fingerprint)| Landmark { offset, fingerprint });
        let mut crc = crc32fast::Hasher::new();
        crc.update(&lines);
        let bytes = lines.len() as u64;
        let outcome = Lined {
            partition: fetched.partition.clone(),
            from: fetched.from,
            next: fetched.next,
            want: fetched.want,
            lines,
            crc,
            last,
            records,
        };
        Ok((outcome, bytes))
    }
}
