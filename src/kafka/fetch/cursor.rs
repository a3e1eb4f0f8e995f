//! One partition in its reader's hands: from where it is read, how much is asked for,
//! and what an answer about it means. Knows no connection.

use std::sync::Arc;
use std::time::Instant;

use super::config::{BATCH_BYTES_MAX, FetchConfig};
use crate::backoff::Backoff;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::frame::Frame;
use crate::kafka::protocol::messages::fetch::{FetchedPartition, PartitionFetch};
use crate::kafka::protocol::records::{self, Span};
use crate::kafka::seam::{Event, Fetched, Payload, RecordSet, StartOffset};
use crate::record::TopicPartition;

/// See the module.
pub(super) struct Cursor {
    pub(super) partition: TopicPartition,
    pub(super) assignment: u64,
    /// The leader's epoch as far as it is known, else -1.
    pub(super) epoch: i32,
    /// The next offset to read.
    pub(super) at: i64,
    pub(super) next_step: NextStep,
    /// What is asked for, in bytes, if it is more than usual.
    max_bytes: Option<usize>,
    backoff: Backoff,
    not_before: Option<Instant>,
    /// Whether the owner knows that it is well: of nothing new it hears only then.
    reported_well: bool,
    /// Since when an open transaction is all there is at the position.
    blocked_since: Option<Instant>,
    /// What was found out about that.
    blocked_by: Option<String>,
}

/// What is to be done with it next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NextStep {
    /// Find out where it begins.
    ResolveStart(StartOffset),
    /// The offset is not there: find out what is.
    AskBounds,
    /// A transaction holds it up: find out which.
    InspectTransaction,
    /// Read on.
    Read,
}

/// What an answer means.
pub(super) enum Meaning {
    /// Nothing to tell.
    Nothing,
    /// Records.
    Records(Fetched),
    /// Nothing new, but it is well.
    Recovered,
    /// It cannot be read just now; tried again in place, a little later.
    Failed(String),
    /// A transaction holds it up; it is asked for as before.
    Blocked(String),
    /// It is to be let go of: another broker may lead it, or it is another log.
    Relinquish(String),
}

impl Cursor {
    pub(super) fn new(
        partition: TopicPartition,
        start: StartOffset,
        assignment: u64,
        epoch: i32,
        config: &FetchConfig,
    ) -> Self {
        let at = if let StartOffset::At(at, _) = start { at } else { -1 };
        Self {
            partition,
            assignment,
            epoch,
            at,
            next_step: NextStep::ResolveStart(start),
            max_bytes: None,
            backoff: Backoff::new(config.retry_pauses.0, config.retry_pauses.1),
            not_before: None,
            reported_well: false,
            blocked_since: None,
            blocked_by: None,
        }
    }

    /// When it may be asked for again, if not now.
    pub(super) fn not_before(&self) -> Option<Instant> {
        self.not_before.filter(|at| *at > Instant::now())
    }

    /// Whether something is to be found out before it is read on, now.
    pub(super) fn has_question(&self) -> bool {
        self.next_step != NextStep::Read && self.not_before().is_none()
    }

    /// How it is asked for, if it is to be read now; usually with so many bytes.
    pub(super) fn next_fetch(&self, usual: usize) -> Option<PartitionFetch> {
        let now = self.next_step == NextStep::Read && self.not_before().is_none();
        now.then(|| PartitionFetch {
            partition: self.partition.clone(),
            epoch: self.epoch,
            offset: self.at,
            max_bytes: i32::try_from(self.max_bytes.unwrap_or(usual)).unwrap_or(i32::MAX),
        })
    }

    /// It cannot be read: a pause, longer each time.
    pub(super) fn pause(&mut self) {
        self.reported_well = false;
        self.not_before = Some(Instant::now() + self.backoff.pause());
    }

    /// Goes on at this offset, having been well.
    fn advance_to(&mut self, next: i64) -> i64 {
        self.reported_well = true;
        self.not_before = None;
        self.backoff.reset();
        self.blocked_since = None;
        self.blocked_by = None;
        self.max_bytes = None;
        std::mem::replace(&mut self.at, next)
    }

    /// Makes a [`Fetched`] of what was read or skipped from the position to `next`.
    pub(super) fn hand_over(&mut self, next: i64, end: i64, payload: Payload) -> Fetched {
        let from = self.advance_to(next);
        Fetched {
            partition: self.partition.clone(),
            from,
            base: from,
            next,
            assignment: self.assignment,
            lag: u64::try_from(end - next).unwrap_or(0),
            last: None,
            bytes: 0,
            payload,
        }
    }

    /// What the broker's answer means, and goes on accordingly.
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
        let span = match records::span(set, self.at) {
            Ok(span) => span,
            Err(broken) => return Meaning::Failed(broken.to_string()),
        };
        if span.next > self.at {
            let wire = RecordSet {
                frame: Arc::clone(frame),
                set: answer.records.start..answer.records.start + span.bytes,
                aborted: committed.then(|| answer.aborted.clone()),
            };
            let mut fetched = self.hand_over(span.next, answer.high_watermark, Payload::RecordSet(wire));
            fetched.bytes = span.bytes as u64;
            fetched.base = span.base;
            return Meaning::Records(fetched);
        }
        if set.is_empty() { self.take_empty(answer, committed, config) } else { self.take_unreadable(span) }
    }

    /// Bytes came and the position stands still.
    fn take_unreadable(&mut self, span: Span) -> Meaning {
        match span.cut {
            // Brokers before 0.10.1 cut a batch that is larger than what was asked for.
            Some(needed)
                if self.max_bytes.is_none_or(|asked| needed > asked) && needed <= BATCH_BYTES_MAX =>
            {
                self.max_bytes = Some(needed);
                Meaning::Nothing
            }
            Some(needed) if needed > BATCH_BYTES_MAX => Meaning::Failed(format!(
                "the batch at offset {} has {needed} bytes, more than is taken in",
                self.at
            )),
            Some(_) => {
                Meaning::Failed(format!("the broker gives only a part of the batch at offset {}", self.at))
            }
            None => Meaning::Failed(format!("the broker gives no record at or behind offset {}", self.at)),
        }
    }

    fn take_empty(&mut self, answer: &FetchedPartition, committed: bool, config: &FetchConfig) -> Meaning {
        let end = answer.high_watermark;
        if end < self.at {
            return Meaning::Relinquish(format!("its end {end} is below the position {}", self.at));
        }
        let blocked_by = committed && (0..=self.at).contains(&answer.last_stable) && end > self.at;
        if !blocked_by {
            (self.blocked_since, self.blocked_by) = (None, None);
        } else if self.blocked_since.get_or_insert_with(Instant::now).elapsed() > config.blocked_log_after {
            if let Some(why) = &self.blocked_by {
                return Meaning::Blocked(why.clone());
            }
            self.next_step = NextStep::InspectTransaction;
            return Meaning::Nothing;
        }
        if std::mem::replace(&mut self.reported_well, true) { Meaning::Nothing } else { self.recovered() }
    }

    fn recovered(&mut self) -> Meaning {
        self.not_before = None;
        self.backoff.reset();
        Meaning::Recovered
    }

    /// What holds it up has been found out.
    pub(super) fn record_blocked_by(&mut self, why: String) {
        self.next_step = NextStep::Read;
        self.reported_well = false;
        self.blocked_by = Some(why);
    }

    /// As an event for the owner, that it is to be wanted again.
    pub(super) fn relinquished(&self) -> Event {
        Event::Relinquished(self.partition.clone(), self.assignment)
    }

    /// As an event for the owner.
    pub(super) fn failed(&self, why: String) -> Event {
        Event::Failed(Some(self.partition.clone()), why)
    }
}
