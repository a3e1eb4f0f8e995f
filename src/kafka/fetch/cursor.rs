//! The reading of one partition: its position, how much to request, and what an answer means. Pure: the
//! caller has the connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::config::{BATCH_BYTES_MAX, FetchConfig};
use super::messages::LedTopic;
use super::session::{FetchPlace, LogEnds};
use super::turns::Turn;
use crate::backoff::Backoff;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::frame::Frame;
use crate::kafka::protocol::messages::fetch::FetchedPartition;
use crate::kafka::protocol::records::{self, Span};
use crate::kafka::seam::{
    DivergenceCause, Event, FailedPartition, FailureKind, Fetched, Payload, RecordSet, ResolvedStart,
    StartBasis, StartOffset,
};
use crate::record::TopicPartition;

/// A quota that withholds something for so many times in a row may do so for ever.
const WITHHELD_TOLD: u32 = 3;

/// One partition of a [`super::broker_reader::BrokerReader`].
pub(super) struct Cursor {
    pub(super) partition: TopicPartition,
    pub(super) assignment: u64,
    /// The broker that is asked, `host:port`.
    broker: Arc<str>,
    /// The leader epoch; -1 if it is not known.
    pub(super) epoch: i32,
    /// The ids of the topic, as far as they are known.
    pub(super) leader: LedTopic,
    /// The next offset to read.
    pub(super) at: i64,
    pub(super) next_step: NextStep,
    /// How many bytes to request, if that is more than usual.
    max_bytes: Option<usize>,
    /// Its turn among the partitions of the reader.
    pub(super) turn: Turn,
    backoff: Backoff,
    not_before: Option<Instant>,
    /// Whether the owner knows that the partition can be read. Until then an empty answer is an
    /// event, too.
    reported_well: bool,
    /// How many records the log had from the position on, as the owner knows.
    reported_lag: Option<u64>,
    /// Since when only an open transaction is at the position.
    blocked_since: Option<Instant>,
    /// A sentence about the blocking transaction; `None` before the transaction was inspected.
    blocked_by: Option<String>,
    /// Since when a quota withholds what is asked for, and how often in a row.
    withheld: Option<(Instant, u32)>,
}

/// What to do next with the partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NextStep {
    /// Find the offset to start at, or compare the log with the landmarks.
    ResolveStart(StartOffset),
    /// Ask for the bounds of the log, because the position is outside.
    AskBounds,
    /// Find out which transaction blocks the partition.
    InspectTransaction,
    /// Read on.
    Read,
}

/// What an answer means.
pub(super) enum Meaning {
    /// Nothing to report.
    Nothing,
    /// Records.
    Records(Fetched),
    /// The partition can be read, and the answer has no records. The number says how many records the log
    /// has from the position on.
    Recovered(u64),
    /// The partition cannot be read now. It is retried after a pause.
    Failed(String),
    /// A transaction blocks the partition. It is requested as before.
    Blocked(String),
    /// The partition must be relinquished: another broker may lead it, or its log is not the one that was
    /// read.
    Relinquish(String),
}

impl Cursor {
    pub(super) fn new(
        partition: TopicPartition,
        start: StartOffset,
        assignment: u64,
        (broker, leader): (Arc<str>, LedTopic),
        config: &FetchConfig,
    ) -> Self {
        let at = if let StartOffset::At(at, _) = start { at } else { -1 };
        Self {
            partition,
            assignment,
            broker,
            epoch: leader.epoch,
            leader,
            at,
            next_step: NextStep::ResolveStart(start),
            max_bytes: None,
            turn: Turn::default(),
            backoff: Backoff::new(config.retry_pauses.0, config.retry_pauses.1),
            not_before: None,
            reported_well: false,
            reported_lag: None,
            blocked_since: None,
            blocked_by: None,
            withheld: None,
        }
    }

    /// The end of the pause; `None` if there is no pause now.
    pub(super) fn not_before(&self) -> Option<Instant> {
        self.not_before.filter(|at| *at > Instant::now())
    }

    /// Whether the leader must be asked something before the next read, and may be asked now.
    pub(super) fn has_question(&self) -> bool {
        self.next_step != NextStep::Read && self.not_before().is_none()
    }

    /// What to request of this partition; `None` if it cannot be read now. `usual` is the number of
    /// bytes for a usual request.
    pub(super) fn next_fetch(&self, usual: usize) -> Option<FetchPlace> {
        let now = self.next_step == NextStep::Read && self.not_before().is_none();
        now.then(|| FetchPlace {
            epoch: self.epoch,
            offset: self.at,
            max_bytes: i32::try_from(self.max_bytes.unwrap_or(usual)).unwrap_or(i32::MAX),
        })
    }

    /// Whether the owner knows that the partition can be read, or that a transaction holds it up.
    pub(super) fn is_answered(&self) -> bool {
        self.reported_well || self.blocked_since.is_some()
    }

    /// Whether an answer that leaves the partition out, because nothing of it has changed, says something
    /// new: that the partition can be read, or for how long it is blocked.
    pub(super) fn minds_no_change(&self) -> bool {
        !self.reported_well || self.blocked_since.is_some()
    }

    /// Takes an answer in which the partition is left out, because nothing of it has changed: there are no
    /// records, and the log ends where it did.
    pub(super) fn take_no_change(&mut self, ends: LogEnds, committed: bool, config: &FetchConfig) -> Meaning {
        self.take_empty(ends, committed, config)
    }

    /// Begins a pause, longer than the one before.
    pub(super) fn pause(&mut self) {
        self.reported_well = false;
        self.not_before = Some(Instant::now() + self.backoff.pause());
    }

    /// Asks again after this time: the broker throttles this client for its quota.
    pub(super) fn wait(&mut self, time: Duration) {
        self.not_before = Some(Instant::now() + time);
    }

    /// The quota of this client withholds what is asked of this partition. A batch that is larger than the
    /// whole quota of some seconds is withheld for ever, so after the time `patience` that is an event.
    pub(super) fn withheld(&mut self, patience: Duration) -> Option<Event> {
        let (since, times) = self.withheld.get_or_insert_with(|| (Instant::now(), 0));
        *times += 1;
        if *times < WITHHELD_TOLD || since.elapsed() <= patience {
            return None;
        }
        self.reported_well = false;
        let what = match self.next_step {
            NextStep::Read => "the records at its position",
            _ => "a record that it has to see before it reads on",
        };
        Some(self.failed(format!(
            "Kafka withholds {what}, again and again, because of this client's quota: their batch may be \
             larger than the quota has room for; raise the client's consumer_byte_rate"
        )))
    }

    /// What was withheld has come.
    pub(super) fn end_withheld(&mut self) {
        self.withheld = None;
    }

    /// Moves the position after a good answer, and returns the old one.
    fn advance_to(&mut self, next: i64) -> i64 {
        self.end_withheld();
        self.reported_well = true;
        self.not_before = None;
        self.backoff.reset();
        self.blocked_since = None;
        self.blocked_by = None;
        self.max_bytes = None;
        std::mem::replace(&mut self.at, next)
    }

    /// A [`Fetched`] of what was read or skipped from the position to `next`; moves the position
    /// there.
    pub(super) fn hand_over(&mut self, next: i64, end: i64, payload: Payload) -> Fetched {
        let from = self.advance_to(next);
        let lag = u64::try_from(end - next).unwrap_or(0);
        self.reported_lag = Some(lag);
        Fetched {
            partition: self.partition.clone(),
            from,
            base: from,
            next,
            assignment: self.assignment,
            lag,
            broker: Some(Arc::clone(&self.broker)),
            epochs: Vec::new(),
            last: None,
            bytes: 0,
            payload,
        }
    }

    /// Takes the answer for this partition, and says what it means. `committed`: records of open
    /// and aborted transactions are left out.
    pub(super) fn take_answer(
        &mut self,
        answer: &FetchedPartition,
        frame: &Arc<Frame>,
        committed: bool,
        config: &FetchConfig,
    ) -> Meaning {
        match answer.code {
            ErrorCode::NONE => {}
            ErrorCode::OFFSET_OUT_OF_RANGE => {
                self.next_step = NextStep::AskBounds;
                return Meaning::Nothing;
            }
            code if code.leader_moved() => return Meaning::Relinquish(format!("Kafka answers {code}")),
            code => return Meaning::Failed(format!("Kafka answers {code}")),
        }
        let set = frame.bytes().get(answer.records.clone()).unwrap_or_default();
        let span = match records::span_below(set, self.at, answer.high_watermark) {
            Ok(span) => span,
            Err(broken) => return Meaning::Failed(broken.to_string()),
        };
        if span.next > self.at {
            let set = answer.records.start..answer.records.start + span.bytes;
            let from = self.at;
            let wire = RecordSet::new(frame, set.clone(), committed.then(|| answer.aborted.clone()));
            let mut fetched = self.hand_over(span.next, answer.high_watermark, Payload::RecordSet(wire));
            fetched.bytes = span.bytes as u64;
            fetched.base = span.base;
            fetched.epochs = records::epoch_starts(frame.bytes().get(set.clone()).unwrap_or_default(), from);
            let (high_watermark, last_stable) = (answer.high_watermark, answer.last_stable);
            // A session's later answers leave the partition out as long as the transaction is open.
            if self.is_blocked_at(LogEnds { high_watermark, last_stable }, committed) {
                self.blocked_since = Some(Instant::now());
            }
            return Meaning::Records(fetched);
        }
        if !set.is_empty() {
            return self.take_unreadable(span);
        }
        let (high_watermark, last_stable) = (answer.high_watermark, answer.last_stable);
        self.take_empty(LogEnds { high_watermark, last_stable }, committed, config)
    }

    /// Bytes came, but no whole entry at the position.
    fn take_unreadable(&mut self, span: Span) -> Meaning {
        match span.cut {
            // Brokers before 0.10.1 cut a batch that is larger than the requested size.
            Some(needed)
                if self.max_bytes.is_none_or(|asked| needed > asked) && needed <= BATCH_BYTES_MAX =>
            {
                self.max_bytes = Some(needed);
                Meaning::Nothing
            }
            Some(needed) if needed > BATCH_BYTES_MAX => Meaning::Failed(format!(
                "the batch at offset {} has {needed} bytes, more than pandad reads",
                self.at
            )),
            Some(_) => {
                Meaning::Failed(format!("the broker sends only a part of the batch at offset {}", self.at))
            }
            None => Meaning::Failed(format!("the broker sends no record at or above offset {}", self.at)),
        }
    }

    /// Whether an open transaction holds up the records behind the position.
    fn is_blocked_at(&self, ends: LogEnds, committed: bool) -> bool {
        committed && (0..=self.at).contains(&ends.last_stable) && ends.high_watermark > self.at
    }

    fn take_empty(&mut self, ends: LogEnds, committed: bool, config: &FetchConfig) -> Meaning {
        self.end_withheld();
        let end = ends.high_watermark;
        if end < self.at {
            return Meaning::Relinquish(format!(
                "its log ends at offset {end}, below the position {}",
                self.at
            ));
        }
        if !self.is_blocked_at(ends, committed) {
            (self.blocked_since, self.blocked_by) = (None, None);
        } else if self.blocked_since.get_or_insert_with(Instant::now).elapsed() > config.blocked_log_after {
            if let Some(why) = &self.blocked_by {
                return Meaning::Blocked(why.clone());
            }
            self.next_step = NextStep::InspectTransaction;
            return Meaning::Nothing;
        }
        if std::mem::replace(&mut self.reported_well, true) { Meaning::Nothing } else { self.recovered(end) }
    }

    /// `end`: the end of the log.
    fn recovered(&mut self, end: i64) -> Meaning {
        self.not_before = None;
        self.backoff.reset();
        let lag = u64::try_from(end - self.at).unwrap_or(0);
        self.reported_lag = Some(lag);
        Meaning::Recovered(lag)
    }

    /// How many records the log has from the position on, if the owner knows another number. `end`: the end
    /// of the log. Records may come that cannot be read yet, because a transaction is open.
    pub(super) fn news_of_lag(&mut self, end: i64) -> Option<u64> {
        let lag = u64::try_from(end - self.at).ok()?;
        (self.reported_lag.replace(lag) != Some(lag)).then_some(lag)
    }

    /// Keeps what was found out about the blocking transaction, and reads on.
    pub(super) fn record_blocked_by(&mut self, why: String) {
        self.next_step = NextStep::Read;
        self.reported_well = false;
        self.blocked_by = Some(why);
    }

    /// The event that the log is the one that was read, or that of which nothing was read, if the topic has
    /// another id than is known.
    pub(super) fn identified(&self) -> Option<Event> {
        let topic = self.leader.other().or(self.leader.first_seen())?;
        Some(Event::Identified { partition: self.partition.clone(), assignment: self.assignment, topic })
    }

    /// Where the partition starts that was assigned without a position.
    pub(super) fn resolved(&self, offset: i64, basis: StartBasis) -> ResolvedStart {
        let (partition, assignment, topic) = (self.partition.clone(), self.assignment, self.leader.topic);
        ResolvedStart { partition, assignment, offset, basis, topic }
    }

    /// The event that the log is another one.
    pub(super) fn diverged(&self, next: i64, why: DivergenceCause) -> Event {
        let (partition, assignment, topic) = (self.partition.clone(), self.assignment, self.leader.topic);
        Event::Diverged { partition, assignment, next, why, topic }
    }

    /// The event that the partition was relinquished.
    pub(super) fn relinquished(&self) -> Event {
        Event::Relinquished(self.partition.clone(), self.assignment)
    }

    /// The event that the partition cannot be read.
    pub(super) fn failed(&mut self, why: String) -> Event {
        self.reported_lag = None;
        self.failure(why, FailureKind::Partition)
    }

    /// The event that the records of the partition cannot be read, though its broker knows them.
    pub(super) fn held_up(&self, why: String) -> Event {
        self.failure(why, FailureKind::Partition)
    }

    /// The event that the partition cannot be read, because its broker failed.
    pub(super) fn failed_with_broker(&mut self, why: String) -> Event {
        self.reported_lag = None;
        self.failure(why, FailureKind::Broker)
    }

    fn failure(&self, why: String, kind: FailureKind) -> Event {
        let (partition, broker) = (self.partition.clone(), Some(Arc::clone(&self.broker)));
        Event::PartitionFailed(FailedPartition { partition, broker, kind, why, lag: self.reported_lag })
    }
}

#[cfg(test)]
mod tests;
