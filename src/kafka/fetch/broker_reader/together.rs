//! What a reader asks of many partitions in one request before it reads these: a start has thousands of
//! partitions, and each question of its own costs a round trip.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{BrokerReader, ReaderStopped};
use crate::error::Fault;
use crate::kafka::client::connection::Connection;
use crate::kafka::fetch::cursor::{Cursor, NextStep};
use crate::kafka::fetch::leader_queries::{LANDMARK_BYTES, QueryError, fingerprint};
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::frame::Frame;
use crate::kafka::protocol::messages::fetch::{PartitionFetch, SessionPlace};
use crate::kafka::protocol::messages::list_offsets::OffsetSpec;
use crate::kafka::protocol::messages::{Fetch, Isolation, ListOffsets};
use crate::kafka::seam::{Event, StartBasis, StartOffset};
use crate::record::TopicPartition;

/// How many partitions a request names.
const LIST_PARTITIONS_MAX: usize = 5000;
/// How many landmarks a request asks for. What is larger than [`LANDMARK_BYTES`] is asked for alone.
const LANDMARKS_MAX: usize = 100;

/// What a broker lists for a partition: an offset, if there is one that fits.
type Listed = Result<Option<i64>, ErrorCode>;

/// A question about a partition. While others are asked, orders may come, so an answer counts only as long
/// as the partition has the assignment that the question belongs to.
struct Question {
    partition: TopicPartition,
    epoch: i32,
    assignment: u64,
}

impl Question {
    fn about(cursor: &Cursor) -> Self {
        Self { partition: cursor.partition.clone(), epoch: cursor.epoch, assignment: cursor.assignment }
    }
}

/// Where a partition begins, or why the broker does not tell it.
struct Start {
    question: Question,
    listed: Result<i64, ErrorCode>,
    basis: StartBasis,
}

/// The newest landmark of a partition, as it is asked for.
struct NewestLandmark {
    fetch: PartitionFetch,
    fingerprint: u32,
    assignment: u64,
}

impl BrokerReader {
    /// Asks what can be asked together. Questions that are left are asked one by one.
    pub(super) fn ask_together(&mut self, events: &mut Vec<Event>) -> Result<(), ReaderStopped> {
        let mut starts = Vec::new();
        let asked = self.list_starts(&mut starts);
        let mut refused = Vec::new();
        let mut resolved = Vec::new();
        for Start { question, listed, basis } in starts {
            let Some(cursor) = self.asked_cursor(&question) else { continue };
            match listed {
                Ok(offset) => {
                    cursor.at = offset;
                    cursor.next_step = NextStep::Read;
                    resolved.push(cursor.resolved(offset, basis));
                }
                Err(code) => refused.push((question.partition, code)),
            }
        }
        if !resolved.is_empty() {
            events.push(Event::Resolved(resolved));
        }
        for (partition, code) in refused {
            self.refuse(&partition, &QueryError::Code(code), events);
        }
        asked?;
        self.compare_together(events)
    }

    /// What is asked about partitions that may be asked about now.
    fn questions(&self, is_asked: impl Fn(&NextStep) -> bool) -> Vec<Question> {
        let open = |cursor: &&Cursor| cursor.has_question() && is_asked(&cursor.next_step);
        self.cursors.values().filter(open).map(Question::about).collect()
    }

    /// The partition of a question, if the answer still counts for it.
    fn asked_cursor(&mut self, question: &Question) -> Option<&mut Cursor> {
        let cursor = self.cursors.get_mut(&question.partition)?;
        (cursor.assignment == question.assignment).then_some(cursor)
    }

    /// Finds where partitions begin that have no position. What was found before a failure counts.
    fn list_starts(&mut self, starts: &mut Vec<Start>) -> Result<(), ReaderStopped> {
        let isolation = self.isolation();
        let mut bounds = Vec::new();
        for (start, spec) in
            [(StartOffset::Earliest, OffsetSpec::First), (StartOffset::Latest, OffsetSpec::Next)]
        {
            let start = NextStep::ResolveStart(start);
            bounds.push((self.questions(|step| *step == start), spec));
        }
        for (mut left, spec) in bounds {
            while !left.is_empty() {
                self.wait_until_heard()?;
                let some = left.drain(..left.len().min(LIST_PARTITIONS_MAX)).collect();
                for (question, listed) in list(self.connection()?, some, spec, isolation)? {
                    let listed = listed.and_then(|one| one.ok_or(ErrorCode::LEADER_NOT_AVAILABLE));
                    starts.push(Start { question, listed, basis: StartBasis::Bound });
                }
            }
        }
        self.list_since(starts)
    }

    /// Finds the first records since a moment. Where the broker finds none, or an error, the partition is
    /// asked about alone, see [`crate::kafka::fetch::start_time`].
    fn list_since(&mut self, starts: &mut Vec<Start>) -> Result<(), ReaderStopped> {
        let isolation = self.isolation();
        let knows_times = self.connection()?.versions().choose::<ListOffsets<'_>>();
        if !knows_times.is_ok_and(|version| version >= 1) {
            return Ok(());
        }
        let mut moments: BTreeMap<i64, Vec<Question>> = BTreeMap::new();
        for cursor in self.cursors.values().filter(|cursor| cursor.has_question()) {
            if let NextStep::ResolveStart(StartOffset::Since(since)) = cursor.next_step {
                moments.entry(since).or_default().push(Question::about(cursor));
            }
        }
        for (since, mut left) in moments {
            let spec = OffsetSpec::Since(since);
            while !left.is_empty() {
                self.wait_until_heard()?;
                let some = left.drain(..left.len().min(LIST_PARTITIONS_MAX)).collect();
                for (question, listed) in list(self.connection()?, some, spec, isolation)? {
                    if let Ok(Some(offset)) = listed {
                        let (listed, basis) = (Ok(offset), StartBasis::Timestamp);
                        starts.push(Start { question, listed, basis });
                    }
                }
            }
        }
        Ok(())
    }

    /// Compares the newest landmarks of partitions that have a position. A log of which the landmark agrees
    /// is read; all others are looked at one by one.
    fn compare_together(&mut self, events: &mut Vec<Event>) -> Result<(), ReaderStopped> {
        let mut newest = Vec::new();
        for cursor in self.cursors.values().filter(|cursor| cursor.has_question()) {
            if let NextStep::ResolveStart(StartOffset::At(at, landmarks)) = &cursor.next_step
                && cursor.leader.other().is_none()
                && let Some((offset, fingerprint)) = landmarks.iter().rev().find(|(offset, _)| offset < at)
            {
                let max_bytes = i32::try_from(LANDMARK_BYTES).unwrap_or(i32::MAX);
                let (partition, epoch, offset) = (cursor.partition.clone(), cursor.epoch, *offset);
                let fetch = PartitionFetch { partition, epoch, offset, max_bytes };
                let (fingerprint, assignment) = (*fingerprint, cursor.assignment);
                newest.push(NewestLandmark { fetch, fingerprint, assignment });
            }
        }
        if newest.len() < 2 {
            return Ok(());
        }
        let (mut left, mut most) = (newest.as_slice(), LANDMARKS_MAX);
        while !left.is_empty() {
            // What is compared first must not wait for the last one to be released.
            self.take_orders(Duration::ZERO)?;
            self.wait_until_heard()?;
            let (some, others) = left.split_at(most.min(left.len()));
            if self.compare_some(some, events)? || most == 1 {
                left = others;
            } else {
                // The quota has no room for so much at once.
                most = (most / 4).max(1);
            }
        }
        Ok(())
    }

    /// False if the broker withheld its answer because of the quota.
    fn compare_some(&mut self, some: &[NewestLandmark], events: &mut Vec<Event>) -> Result<bool, Fault> {
        let wanted: Vec<PartitionFetch> = some.iter().map(|one| one.fetch.clone()).collect();
        let fetch = Fetch {
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: i32::try_from(some.len() * LANDMARK_BYTES).unwrap_or(i32::MAX),
            isolation: Isolation::ReadUncommitted,
            session: SessionPlace::NONE,
            partitions: &wanted,
            forgotten: &[],
        };
        let mut frame = Frame::default();
        let sent = self.connection()?.send(&fetch, Duration::ZERO)?;
        let answer = self.connection()?.receive::<Fetch<'_>>(sent, &mut frame)?;
        if answer.withheld_for().is_some() {
            return Ok(false);
        }
        if !answer.code.is_none() {
            return Ok(true);
        }
        let asked: BTreeMap<&TopicPartition, &NewestLandmark> =
            some.iter().map(|one| (&one.fetch.partition, one)).collect();
        for (partition, found) in answer.partitions {
            let Some(asked) = asked.get(&partition) else { continue };
            let (offset, set) = (asked.fetch.offset, frame.bytes().get(found.records).unwrap_or_default());
            let agrees = found.code.is_none()
                && fingerprint(set, offset, &mut self.scratch)
                    .is_ok_and(|found| found == Some(asked.fingerprint));
            if agrees
                && let Some(cursor) = self.cursors.get_mut(&partition)
                && cursor.assignment == asked.assignment
            {
                cursor.next_step = NextStep::Read;
                events.extend(cursor.identified());
            }
        }
        Ok(true)
    }
}

/// What the broker lists for these partitions. One that it leaves out has no leader there.
fn list(
    connection: &mut Connection,
    questions: Vec<Question>,
    spec: OffsetSpec,
    isolation: Isolation,
) -> Result<Vec<(Question, Listed)>, Fault> {
    if questions.is_empty() {
        return Ok(Vec::new());
    }
    let partitions: Vec<(TopicPartition, i32)> =
        questions.iter().map(|one| (one.partition.clone(), one.epoch)).collect();
    let answer = connection.ask(&ListOffsets { isolation, spec, partitions: &partitions })?;
    let mut answer: BTreeMap<TopicPartition, _> = answer.into_iter().collect();
    let listed = questions.into_iter().map(|question| {
        let listed = match answer.remove(&question.partition) {
            Some(listed) if listed.code.is_none() => Ok(Some(listed.offset).filter(|offset| *offset >= 0)),
            Some(listed) => Err(listed.code),
            None => Err(ErrorCode::LEADER_NOT_AVAILABLE),
        };
        (question, listed)
    });
    Ok(listed.collect())
}
