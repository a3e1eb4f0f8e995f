//! One partition's turn in the reading thread: resolve the start, compare the log, read, and handle
//! replies without records.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_crate::error::KafkaCode;

use super::client::LegacyClient;
use super::error::LegacyError;
use super::fetch_sizes::{FETCH_BYTES_FIRST, FETCH_BYTES_FULL, FETCH_BYTES_MAX, FETCH_BYTES_MIN};
use super::read::{self, ReadResult};
use super::reply::LegacyReply;
use super::second_look::Gap;
use crate::backoff::Backoff;
use crate::kafka::fetch::divergence::Comparison;
use crate::kafka::seam::{
    DivergenceCause, Event, FailedPartition, FailureKind, Fetched, Payload, StartBasis, StartOffset,
};
use crate::record::TopicPartition;

const PARTITION_PAUSE_FIRST: Duration = Duration::from_millis(100);
const PARTITION_PAUSE_MAX: Duration = Duration::from_secs(10);
/// How many landmarks are kept for comparing the log.
const LANDMARKS_MAX: usize = 8;
/// How many offsets after an unreadable one are tried in one turn.
const OFFSETS_TRIED_MAX: i64 = 1000;

/// One assigned partition, and how far it was read.
pub(super) struct LegacyCursor {
    partition: TopicPartition,
    assignment: u64,
    /// Where to start; `None` once the offset is resolved and the log compared.
    start: Option<StartOffset>,
    /// Offset and fingerprint of the last records handed over, oldest first.
    landmarks: Vec<(i64, u32)>,
    at: i64,
    max_bytes: i32,
    /// From the position up to this offset no request has brought a record.
    empty_until_offset: Option<i64>,
    backoff: Backoff,
    not_before: Option<Instant>,
    /// Whether the comparison found another log. The owner then decides where to continue.
    diverged: bool,
    /// Whether the owner knows that the partition can be read.
    reported_well: bool,
    /// The leader, `host:port`, if it is known.
    pub(super) broker: Option<Arc<str>>,
}

impl LegacyCursor {
    /// `later`: the first turn comes after a pause.
    pub(super) fn new(partition: TopicPartition, start: StartOffset, assignment: u64, later: bool) -> Self {
        Self {
            partition,
            assignment,
            start: Some(start),
            landmarks: Vec::new(),
            at: 0,
            max_bytes: FETCH_BYTES_FIRST,
            empty_until_offset: None,
            backoff: Backoff::new(PARTITION_PAUSE_FIRST, PARTITION_PAUSE_MAX),
            not_before: later.then(|| Instant::now() + PARTITION_PAUSE_MAX),
            diverged: false,
            reported_well: false,
            broker: None,
        }
    }

    /// Whether its turn may come now.
    pub(super) fn is_due(&self) -> bool {
        !self.diverged && self.not_before.is_none_or(|at| Instant::now() >= at)
    }

    pub(super) fn record_failure(&mut self) {
        self.reported_well = false;
        self.not_before = Some(Instant::now() + self.backoff.pause());
    }

    /// Records a turn that did not fail. True if the owner does not know yet that the partition can be
    /// read.
    pub(super) fn record_success(&mut self) -> bool {
        self.not_before = None;
        self.backoff.reset();
        !std::mem::replace(&mut self.reported_well, true)
    }

    /// The event that the partition can be read, and has no new records.
    pub(super) fn recovered(&self) -> Event {
        // A turn without records has read up to the end of the log.
        Event::Recovered { partition: self.partition.clone(), assignment: self.assignment, lag: 0 }
    }

    /// The event that the partition cannot be read.
    pub(super) fn failed(&self, why: String, kind: FailureKind) -> Event {
        let (partition, broker) = (self.partition.clone(), self.broker.clone());
        Event::PartitionFailed(FailedPartition { partition, broker, kind, why, lag: None })
    }

    /// Compares the log before the next read, because another broker may lead the partition and the topic
    /// may have been recreated.
    pub(super) fn check_again(&mut self) {
        self.broker = None;
        if self.start.is_none() {
            self.start = Some(StartOffset::At(self.at, std::mem::take(&mut self.landmarks)));
        }
    }

    /// Begins to read at this offset, and says so.
    fn resolve(&mut self, at: i64, basis: StartBasis) -> TurnResult {
        (self.at, self.start) = (at, None);
        TurnResult::Report(Event::resolved(self.partition.clone(), self.assignment, (at, basis)))
    }

    fn hand_over(&mut self, next: i64, lag: u64, payload: Payload) -> Fetched {
        let from = std::mem::replace(&mut self.at, next);
        self.empty_until_offset = None;
        let (partition, assignment, broker) = (self.partition.clone(), self.assignment, self.broker.clone());
        let (base, last, bytes, epochs) = (from, None, 0, Vec::new());
        Fetched { partition, from, base, next, assignment, lag, broker, last, bytes, epochs, payload }
    }
}

/// Adds a landmark, and drops the oldest if there are too many.
pub(super) fn remember(landmarks: &mut Vec<(i64, u32)>, last: Option<(i64, u32)>) {
    if last.is_some() && landmarks.len() >= LANDMARKS_MAX {
        landmarks.remove(0);
    }
    landmarks.extend(last);
}

/// The result of a turn.
pub(super) enum TurnResult {
    /// No new records.
    Quiet,
    /// An event for the owner.
    Report(Event),
    /// The partition cannot be read now; the reason.
    Stuck(String),
}

/// Gives the partition its turn: reads until there is a result.
pub(super) fn turn(client: &mut LegacyClient, cursor: &mut LegacyCursor) -> Result<TurnResult, LegacyError> {
    if let Some(start) = cursor.start.clone() {
        if let Some(result) = begin_at(client, cursor, start)? {
            return Ok(result);
        }
        cursor.start = None;
    }
    loop {
        match read::read(client, &cursor.partition, cursor.at, cursor.max_bytes)? {
            ReadResult::Records(reply, seen) => {
                let lag = u64::try_from(seen.high_watermark - seen.next).unwrap_or(0);
                cursor.max_bytes = next_size(seen.bytes);
                remember(&mut cursor.landmarks, seen.last);
                let fetched = cursor.hand_over(seen.next, lag, Payload::Decoded(Box::new(reply)));
                return Ok(TurnResult::Report(Event::Fetched(Fetched {
                    epochs: Vec::new(),
                    last: seen.last,
                    bytes: seen.bytes,
                    ..fetched
                })));
            }
            ReadResult::Gap(Gap { next, end }) => {
                let lag = u64::try_from(end - next).unwrap_or(0);
                let none = Payload::Decoded(Box::new(LegacyReply::empty(next)));
                return Ok(TurnResult::Report(Event::Fetched(cursor.hand_over(next, lag, none))));
            }
            ReadResult::Nothing => return Ok(TurnResult::Quiet),
            ReadResult::Short(end)
                if cursor.empty_until_offset.is_some_and(|empty_until_offset| empty_until_offset >= end) =>
            {
                return Ok(TurnResult::Quiet);
            }
            ReadResult::Short(end) if cursor.max_bytes >= FETCH_BYTES_MAX => {
                return look_beyond(client, cursor, end);
            }
            ReadResult::Short(_) => {
                cursor.max_bytes = cursor.max_bytes.saturating_mul(2).min(FETCH_BYTES_MAX);
            }
            ReadResult::AboveEnd(end) => return Ok(wait_for_growth(cursor, end)),
            ReadResult::OutOfRange => return out_of_range(client, cursor),
            ReadResult::Leaderless => return Err(LegacyError::Code(KafkaCode::LeaderNotAvailable)),
        }
    }
}

/// Searches after the position when the largest request brings no record. If compaction removed the last
/// records of the batch there, reading goes on at the first offset that can be read. If there is only a
/// transaction's marker, the partition has no new records.
fn look_beyond(
    client: &mut LegacyClient,
    cursor: &mut LegacyCursor,
    end: i64,
) -> Result<TurnResult, LegacyError> {
    cursor.max_bytes = FETCH_BYTES_FIRST;
    let from = cursor.empty_until_offset.unwrap_or(cursor.at + 1);
    match read::first_readable(client, &cursor.partition, from, end, OFFSETS_TRIED_MAX)? {
        Ok(first) => {
            let lag = u64::try_from(end - first).unwrap_or(0);
            Ok(TurnResult::Report(Event::Fetched(cursor.hand_over(first, lag, Payload::Absent))))
        }
        Err(empty_until_offset) => {
            cursor.empty_until_offset = Some(empty_until_offset);
            if empty_until_offset >= end {
                return Ok(TurnResult::Quiet);
            }
            Ok(TurnResult::Stuck(format!(
                "no record can be read from offset {} to {empty_until_offset}; the search goes on after \
                 that",
                cursor.at
            )))
        }
    }
}

/// The bytes to request after a reply with this many bytes of records: twice as many, within limits.
///
/// Of a compressed reply the crate returns one batch and drops the rest. If much more than one batch
/// were requested, the broker would read, convert and send it in vain.
fn next_size(came: u64) -> i32 {
    i32::try_from(came.saturating_mul(2)).unwrap_or(i32::MAX).clamp(FETCH_BYTES_MIN, FETCH_BYTES_FULL)
}

/// Resolves the start and compares the log. `Some`: the turn ends with this result.
fn begin_at(
    client: &mut LegacyClient,
    cursor: &mut LegacyCursor,
    start: StartOffset,
) -> Result<Option<TurnResult>, LegacyError> {
    let (at, landmarks) = match start {
        StartOffset::At(at, landmarks) => (at, landmarks),
        StartOffset::Earliest | StartOffset::Latest => {
            let (first, end) = read::bounds(client, &cursor.partition)?;
            let at = if start == StartOffset::Earliest { first } else { end };
            return Ok(Some(cursor.resolve(at, StartBasis::Bound)));
        }
        StartOffset::Since(since) => {
            let (at, basis) = client.since(&cursor.partition, since)?;
            return Ok(Some(cursor.resolve(at, basis)));
        }
    };
    cursor.at = at;
    let checked = read::check(client, &cursor.partition, at, &landmarks)?;
    cursor.landmarks = landmarks;
    match checked {
        Comparison::Same | Comparison::Unseen => Ok(None),
        Comparison::Diverged(next) => {
            cursor.diverged = true;
            let (partition, assignment) = (cursor.partition.clone(), cursor.assignment);
            let why = DivergenceCause::OtherRecords;
            Ok(Some(TurnResult::Report(Event::Diverged { partition, assignment, next, why, topic: None })))
        }
        Comparison::Behind(end) => Ok(Some(wait_for_growth(cursor, end))),
    }
}

/// The log ends below the position. Nothing is read before the log was compared again: the topic may have
/// been recreated, and the new log can grow beyond the position, too.
fn wait_for_growth(cursor: &mut LegacyCursor, end: i64) -> TurnResult {
    cursor.start = Some(StartOffset::At(cursor.at, std::mem::take(&mut cursor.landmarks)));
    TurnResult::Stuck(format!("its log ends at offset {end}, below the position {}", cursor.at))
}

/// The broker does not have the position. Below the log's start, the deleted range is reported and reading
/// goes on at the start. Above the log's end, the partition waits.
fn out_of_range(client: &mut LegacyClient, cursor: &mut LegacyCursor) -> Result<TurnResult, LegacyError> {
    let (first, end) = read::bounds(client, &cursor.partition)?;
    if cursor.at >= first {
        return Ok(wait_for_growth(cursor, end));
    }
    let lag = u64::try_from(end - first).unwrap_or(0);
    Ok(TurnResult::Report(Event::Fetched(cursor.hand_over(first, lag, Payload::Deleted))))
}
