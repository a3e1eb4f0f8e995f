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

impl BrokerReader {
    /// Asks what can be asked together. Questions that are left are asked one by one.
    pub(super) fn ask_together(&mut self, events: &mut Vec<Event>) -> Result<(), ReaderStopped> {
        let mut starts = Vec::new();
        let asked = self.list_starts(&mut starts);
        let mut refused = Vec::new();
        let mut resolved = Vec::new();
        for (partition, listed, basis) in starts {
            let Some(cursor) = self.cursors.get_mut(&partition) else { continue };
            match listed {
                Ok(offset) => {
                    cursor.at = offset;
                    cursor.next_step = NextStep::Read;
                    resolved.push(cursor.resolved(offset, basis));
                }
                Err(code) => refused.push((partition, code)),
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

    /// The partitions that are asked about, and may be asked about now.
    fn asked_about(&self, is_asked: impl Fn(&NextStep) -> bool) -> Vec<(TopicPartition, i32)> {
        let open = |cursor: &&Cursor| cursor.has_question() && is_asked(&cursor.next_step);
        let open = self.cursors.values().filter(open);
        open.map(|cursor| (cursor.partition.clone(), cursor.epoch)).collect()
    }

    /// Finds where partitions begin that have no position. What was found before a failure counts.
    fn list_starts(
        &mut self,
        starts: &mut Vec<(TopicPartition, Result<i64, ErrorCode>, StartBasis)>,
    ) -> Result<(), ReaderStopped> {
        let isolation = self.isolation();
        let mut bounds = Vec::new();
        for (start, spec) in
            [(StartOffset::Earliest, OffsetSpec::First), (StartOffset::Latest, OffsetSpec::Next)]
        {
            let start = NextStep::ResolveStart(start);
            bounds.push((self.asked_about(|step| *step == start), spec));
        }
        for (partitions, spec) in bounds {
            for some in partitions.chunks(LIST_PARTITIONS_MAX) {
                self.wait_until_heard()?;
                for (partition, listed) in list(self.connection()?, some, spec, isolation)? {
                    let listed = listed.and_then(|one| one.ok_or(ErrorCode::LEADER_NOT_AVAILABLE));
                    starts.push((partition, listed, StartBasis::Bound));
                }
            }
        }
        self.list_since(starts)
    }

    /// Finds the first records since a moment. Where the broker finds none, or an error, the partition is
    /// asked about alone, see [`crate::kafka::fetch::start_time`].
    fn list_since(
        &mut self,
        starts: &mut Vec<(TopicPartition, Result<i64, ErrorCode>, StartBasis)>,
    ) -> Result<(), ReaderStopped> {
        let isolation = self.isolation();
        let knows_times = self.connection()?.versions().choose::<ListOffsets<'_>>();
        if !knows_times.is_ok_and(|version| version >= 1) {
            return Ok(());
        }
        let mut moments: BTreeMap<i64, Vec<(TopicPartition, i32)>> = BTreeMap::new();
        for cursor in self.cursors.values().filter(|cursor| cursor.has_question()) {
            if let NextStep::ResolveStart(StartOffset::Since(since)) = cursor.next_step {
                moments.entry(since).or_default().push((cursor.partition.clone(), cursor.epoch));
            }
        }
        for (since, partitions) in moments {
            for some in partitions.chunks(LIST_PARTITIONS_MAX) {
                self.wait_until_heard()?;
                for (partition, listed) in
                    list(self.connection()?, some, OffsetSpec::Since(since), isolation)?
                {
                    if let Ok(Some(offset)) = listed {
                        starts.push((partition, Ok(offset), StartBasis::Timestamp));
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
                && let Some((offset, print)) = landmarks.iter().rev().find(|(offset, _)| offset < at)
            {
                let max_bytes = i32::try_from(LANDMARK_BYTES).unwrap_or(i32::MAX);
                let (partition, epoch, offset) = (cursor.partition.clone(), cursor.epoch, *offset);
                newest.push((PartitionFetch { partition, epoch, offset, max_bytes }, *print));
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
    fn compare_some(
        &mut self,
        some: &[(PartitionFetch, u32)],
        events: &mut Vec<Event>,
    ) -> Result<bool, Fault> {
        let wanted: Vec<PartitionFetch> = some.iter().map(|(one, _)| one.clone()).collect();
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
        let prints: BTreeMap<&TopicPartition, (i64, u32)> =
            some.iter().map(|(one, print)| (&one.partition, (one.offset, *print))).collect();
        for (partition, found) in answer.partitions {
            let Some((offset, print)) = prints.get(&partition).copied() else { continue };
            let set = frame.bytes().get(found.records).unwrap_or_default();
            let agrees = found.code.is_none()
                && fingerprint(set, offset, &mut self.scratch).is_ok_and(|found| found == Some(print));
            if agrees && let Some(cursor) = self.cursors.get_mut(&partition) {
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
    partitions: &[(TopicPartition, i32)],
    spec: OffsetSpec,
    isolation: Isolation,
) -> Result<Vec<(TopicPartition, Listed)>, Fault> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let answer = connection.ask(&ListOffsets { isolation, spec, partitions })?;
    let mut answer: BTreeMap<TopicPartition, _> = answer.into_iter().collect();
    let listed = partitions.iter().map(|(partition, _)| {
        let listed = match answer.remove(partition) {
            Some(listed) if listed.code.is_none() => Ok(Some(listed.offset).filter(|offset| *offset >= 0)),
            Some(listed) => Err(listed.code),
            None => Err(ErrorCode::LEADER_NOT_AVAILABLE),
        };
        (partition.clone(), listed)
    });
    Ok(listed.collect())
}
