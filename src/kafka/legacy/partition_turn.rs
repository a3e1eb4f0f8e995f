//! One partition's turn in the reading thread: begin, check, read, and what to make of
//! a reply that brings nothing.

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
use crate::kafka::seam::{Event, Fetched, Payload, StartOffset};
use crate::record::TopicPartition;

const PARTITION_PAUSE_FIRST: Duration = Duration::from_millis(100);
const PARTITION_PAUSE_MAX: Duration = Duration::from_secs(10);
/// How many records are remembered for comparing the log.
const LANDMARKS_MAX: usize = 8;
/// How many offsets are tried in one turn behind one that cannot be read.
const OFFSETS_TRIED_MAX: i64 = 1000;

/// One wanted partition.
pub(super) struct LegacyCursor {
    partition: TopicPartition,
    assignment: u64,
    /// Where to begin, until that is resolved and the log is checked.
    start: Option<StartOffset>,
    /// What the log is compared with: records handed over, oldest first.
    landmarks: Vec<(i64, u32)>,
    at: i64,
    max_bytes: i32,
    /// Nothing can be read between the position and this offset, as far as it was tried.
    empty_until_offset: Option<i64>,
    backoff: Backoff,
    not_before: Option<Instant>,
    /// Whether the comparison found another log; the owner decides what to do.
    diverged: bool,
    /// Whether the owner was told of trouble.
    pub(super) failing: bool,
}

impl LegacyCursor {
    /// `later`: not at once.
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
            failing: false,
        }
    }

    /// Whether it may have its turn now.
    pub(super) fn is_due(&self) -> bool {
        !self.diverged && self.not_before.is_none_or(|at| Instant::now() >= at)
    }

    pub(super) fn record_failure(&mut self) {
        self.failing = true;
        self.not_before = Some(Instant::now() + self.backoff.pause());
    }

    pub(super) fn record_success(&mut self) {
        self.failing = false;
        self.not_before = None;
        self.backoff.reset();
    }

    /// Before it is read on, the log is compared again: another broker may lead it,
    /// and the topic may have been made anew meanwhile.
    pub(super) fn check_again(&mut self) {
        if self.start.is_none() {
            self.start = Some(StartOffset::At(self.at, std::mem::take(&mut self.landmarks)));
        }
    }

    fn hand_over(&mut self, next: i64, lag: u64, payload: Payload) -> Fetched {
        let from = std::mem::replace(&mut self.at, next);
        self.empty_until_offset = None;
        let (partition, assignment) = (self.partition.clone(), self.assignment);
        Fetched { partition, from, base: from, next, assignment, lag, last: None, bytes: 0, payload }
    }
}

/// Keeps the last few landmarks.
pub(super) fn remember(landmarks: &mut Vec<(i64, u32)>, last: Option<(i64, u32)>) {
    if last.is_some() && landmarks.len() >= LANDMARKS_MAX {
        landmarks.remove(0);
    }
    landmarks.extend(last);
}

/// What came of a turn.
pub(super) enum TurnResult {
    /// Nothing new.
    Quiet,
    /// Something happened.
    Tell(Event),
    /// This partition cannot be read just now, and why.
    Stuck(String),
}

/// What this partition has to tell now.
pub(super) fn turn(client: &mut LegacyClient, cursor: &mut LegacyCursor) -> Result<TurnResult, LegacyError> {
    if let Some(start) = cursor.start.clone() {
        if let Some(told) = begin_at(client, cursor, start)? {
            return Ok(told);
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
                return Ok(TurnResult::Tell(Event::Fetched(Fetched {
                    last: seen.last,
                    bytes: seen.bytes,
                    ..fetched
                })));
            }
            ReadResult::Gap(Gap { next, end }) => {
                let lag = u64::try_from(end - next).unwrap_or(0);
                let none = Payload::Decoded(Box::new(LegacyReply::empty(next)));
                return Ok(TurnResult::Tell(Event::Fetched(cursor.hand_over(next, lag, none))));
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

/// Nothing can be read at the position, however much is asked for. Either the batch
/// there has lost its last records to compaction: then go on where something can be
/// read. Or only a transaction's marker is there: then there is nothing new.
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
            Ok(TurnResult::Tell(Event::Fetched(cursor.hand_over(first, lag, Payload::Absent))))
        }
        Err(empty_until_offset) => {
            cursor.empty_until_offset = Some(empty_until_offset);
            if empty_until_offset >= end {
                return Ok(TurnResult::Quiet);
            }
            Ok(TurnResult::Stuck(format!(
                "nothing can be read from offset {} to {empty_until_offset}",
                cursor.at
            )))
        }
    }
}

/// What to ask for after a reply with this many bytes of records.
///
/// Of a compressed reply the crate returns one batch and drops the rest, so asking for
/// much more than one batch has the broker read, convert and send in vain; and a reply
/// that was filled lets the next be twice as large.
fn next_size(came: u64) -> i32 {
    i32::try_from(came.saturating_mul(2)).unwrap_or(i32::MAX).clamp(FETCH_BYTES_MIN, FETCH_BYTES_FULL)
}

/// Resolves where to begin. `Some`: there is something to tell first.
fn begin_at(
    client: &mut LegacyClient,
    cursor: &mut LegacyCursor,
    start: StartOffset,
) -> Result<Option<TurnResult>, LegacyError> {
    let (at, landmarks) = match start {
        StartOffset::At(at, landmarks) => (at, landmarks),
        StartOffset::Earliest | StartOffset::Latest => {
            let (first, end) = read::bounds(client, &cursor.partition)?;
            cursor.at = if start == StartOffset::Earliest { first } else { end };
            cursor.start = None;
            return Ok(Some(TurnResult::Tell(Event::Resolved(cursor.partition.clone(), cursor.at))));
        }
    };
    cursor.at = at;
    let checked = read::check(client, &cursor.partition, at, &landmarks)?;
    cursor.landmarks = landmarks;
    match checked {
        Comparison::Same => Ok(None),
        Comparison::Diverged(next) => {
            cursor.diverged = true;
            Ok(Some(TurnResult::Tell(Event::Diverged(cursor.partition.clone(), next))))
        }
        Comparison::Behind(end) => Ok(Some(wait_for_growth(cursor, end))),
    }
}

/// An end below the position: nothing is read before the log has been compared again,
/// since growth alone would also come from a topic that was made anew.
fn wait_for_growth(cursor: &mut LegacyCursor, end: i64) -> TurnResult {
    cursor.start = Some(StartOffset::At(cursor.at, std::mem::take(&mut cursor.landmarks)));
    TurnResult::Stuck(format!("its log ends at offset {end}, below the position {}", cursor.at))
}

/// Below the log's start: go there, and say what is gone. Above its end: wait.
fn out_of_range(client: &mut LegacyClient, cursor: &mut LegacyCursor) -> Result<TurnResult, LegacyError> {
    let (first, end) = read::bounds(client, &cursor.partition)?;
    if cursor.at >= first {
        return Ok(wait_for_growth(cursor, end));
    }
    let lag = u64::try_from(end - first).unwrap_or(0);
    Ok(TurnResult::Tell(Event::Fetched(cursor.hand_over(first, lag, Payload::Deleted))))
}
