//! The worker: the records of one fetch reply become lines in one buffer.

use std::ops::ControlFlow;

use super::cut::{Cut, CutList};
use super::line_router::{LineRouter, RoutedSpan, Routing};
use crate::error::Fault;
use crate::kafka::{self, Decoded, Fetched, Scratch};
use crate::logfile::Landmark;
use crate::logfile::line::LineFormatter;
use crate::pipeline::Worker;
use crate::record::TopicPartition;
use crate::recycle::BufferPool;

/// The most bytes of lines that are made of one reply: a batch may expand to a thousand times its size. The
/// records after that are fetched again.
pub(super) const REPLY_LINES_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Why the records of a reply were not read to the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Truncated {
    /// The lines of one reply have reached [`REPLY_LINES_BYTES_MAX`].
    Full,
    /// The records that follow cannot be read.
    Broken(UnreadableBatch),
}

/// A batch that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnreadableBatch {
    /// Why.
    pub(super) why: String,
    /// The offset behind it, if that is known.
    pub(super) end: Option<i64>,
}

/// A worker's outcome for one reply: lines, and the offset range that they cover.
pub(super) struct FormattedBatch {
    pub(super) partition: TopicPartition,
    /// The offset range [from, next). It may hold no record.
    pub(super) from: i64,
    pub(super) next: i64,
    /// The number of the assignment for which the reply was fetched.
    pub(super) assignment: u64,
    pub(super) lines: Vec<u8>,
    /// CRC-32 of the lines.
    pub(super) crc: crc32fast::Hasher,
    /// The last record in the range, whether or not it has a line.
    pub(super) last: Option<Landmark>,
    /// How many records in the range have lines.
    pub(super) records: u64,
    /// How many have none, because they were filtered out.
    pub(super) filtered: u64,
    /// Set if the range is shorter than what was fetched.
    pub(super) truncated: Option<Truncated>,
    /// Where the outcome can be cut. Empty unless the file is rotated by size.
    pub(super) cuts: Vec<Cut>,
    /// Whether more parts of the same outcome follow.
    pub(super) is_part: bool,
    /// Which of the lines go to which file, if the path has placeholders. Each file is named once.
    pub(super) spans: Vec<RoutedSpan>,
    /// The time of the last record in the range that has one; if the path has placeholders, the one that
    /// decided its file.
    pub(super) last_time: Option<i64>,
}

impl FormattedBatch {
    /// How many outcomes are no longer in flight when this one is written or dropped. Of an outcome that
    /// was cut, only the last part counts.
    pub(super) fn outcomes(&self) -> u64 {
        u64::from(!self.is_part)
    }

    /// The lines of one of its files.
    pub(super) fn lines_of(&self, span: &RoutedSpan) -> &[u8] {
        self.lines.get(span.bytes.clone()).unwrap_or_default()
    }
}

/// See the module.
pub(super) struct Formatter {
    line_formatter: LineFormatter,
    buffers: BufferPool,
    scratch: Scratch,
    /// Whether outcomes may be cut, because the file is rotated by size.
    is_cut: bool,
    /// If the path has placeholders.
    router: Option<LineRouter>,
}

impl Formatter {
    pub(super) fn new(line_formatter: LineFormatter, buffers: BufferPool, is_cut: bool) -> Self {
        Self { line_formatter, buffers, scratch: Scratch::default(), is_cut, router: None }
    }

    /// Lines go to several files.
    pub(super) fn routed(self, routing: Option<Routing>) -> Self {
        Self { router: routing.map(LineRouter::new), ..self }
    }
}

impl Worker for Formatter {
    type Task = Fetched;
    type Outcome = FormattedBatch;

    fn work(&mut self, fetched: &Fetched) -> Result<(FormattedBatch, u64), Fault> {
        let mut lines = self.buffers.take();
        lines.clear();
        let (mut records, mut filtered, mut reached) = (0, 0, fetched.from);
        let mut cuts = CutList::new(self.is_cut);
        let (mut bytes, mut is_full, mut last_time) = (0, false, None);
        let Self { line_formatter, router, scratch, .. } = self;
        if let Some(router) = router {
            router.begin();
        }
        let decoded = kafka::records(fetched, scratch, &mut |record| {
            let own = match router.as_mut() {
                None => &mut lines,
                Some(router) => router.lines_of(&fetched.partition, record),
            };
            let before = own.len();
            match line_formatter.append(own, &fetched.partition, record) {
                true => records += 1,
                false => filtered += 1,
            }
            bytes += own.len() - before;
            reached = record.offset + 1;
            last_time = record.timestamp.filter(|time| *time >= 0).or(last_time);
            cuts.record(Cut { bytes, next: reached, records, filtered });
            is_full = bytes >= REPLY_LINES_BYTES_MAX || router.as_ref().is_some_and(LineRouter::is_full);
            if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let spans = router.as_mut().map_or(Vec::new(), |router| router.end(&mut lines));
        let (Decoded { next, last }, truncated) = match decoded {
            Ok(decoded) if decoded.next == fetched.next => (decoded, None),
            Ok(decoded) if is_full => (decoded, Some(Truncated::Full)),
            Ok(decoded) => {
                let why = format!("its records end at offset {}, not at {}", decoded.next, fetched.next);
                let end = Some(fetched.next);
                let broken = UnreadableBatch { why, end };
                (Decoded { next: reached, last: decoded.last }, Some(Truncated::Broken(broken)))
            }
            Err(broken) => {
                let (why, end) = (broken.to_string(), kafka::batch_end(fetched, broken.next));
                let next = Decoded { next: broken.next, last: None };
                (next, Some(Truncated::Broken(UnreadableBatch { why, end })))
            }
        };
        let last = last.map(|(offset, fingerprint)| Landmark { offset, fingerprint });
        let mut crc = crc32fast::Hasher::new();
        crc.update(&lines);
        let bytes = lines.len() as u64;
        let outcome = FormattedBatch {
            partition: fetched.partition.clone(),
            from: fetched.from,
            next,
            assignment: fetched.assignment,
            lines,
            crc,
            last,
            records,
            filtered,
            truncated,
            cuts: cuts.cuts,
            is_part: false,
            spans,
            last_time: router.as_ref().map_or(last_time, LineRouter::last_time),
        };
        Ok((outcome, bytes))
    }
}
