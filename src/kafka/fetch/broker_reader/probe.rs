//! What a reader finds out before it reads a partition: where to start, whether the log is still the same,
//! and the bounds of the log if the position is outside.

use super::{BrokerReader, ReaderStopped};
use crate::kafka::fetch::cursor::{Cursor, NextStep};
use crate::kafka::fetch::divergence::{Comparison, OtherTopic};
use crate::kafka::fetch::leader_queries::{LeaderQueries, QueryError};
use crate::kafka::protocol::messages::Isolation;
use crate::kafka::protocol::messages::list_offsets::OffsetSpec;
use crate::kafka::seam::{DivergenceCause, Event, Payload, StartBasis, StartOffset};
use crate::record::TopicPartition;

impl BrokerReader {
    /// Asks what must be known before partitions can be read.
    pub(super) fn probe(&mut self) -> Result<(), ReaderStopped> {
        self.connect()?;
        let mut events = Vec::new();
        if let Err(stopped) = self.ask_together(&mut events) {
            self.send(events)?;
            return Err(stopped);
        }
        let open_questions = self.cursors.values().filter(|cursor| cursor.has_question());
        let open_questions: Vec<TopicPartition> =
            open_questions.map(|cursor| cursor.partition.clone()).collect();
        for partition in open_questions {
            self.wait_until_heard()?;
            let Some(mut cursor) = self.cursors.remove(&partition) else { continue };
            let resolved = self.resolve(&mut cursor, &mut events);
            if !matches!(resolved, Ok(false)) {
                self.cursors.insert(partition.clone(), cursor);
            }
            match resolved {
                Ok(true) => {
                    self.cursors.get_mut(&partition).into_iter().for_each(Cursor::end_withheld);
                }
                Ok(false) => {}
                Err(QueryError::Lost(fault)) => {
                    self.send(events)?;
                    return Err(fault.into());
                }
                Err(error) => self.refuse(&partition, &error, &mut events),
            }
        }
        Ok(self.send(events)?)
    }

    /// A question about this partition has no answer. It is asked again after a pause, or by the reader of
    /// another broker.
    pub(super) fn refuse(&mut self, partition: &TopicPartition, error: &QueryError, events: &mut Vec<Event>) {
        let Some(cursor) = self.cursors.get_mut(partition) else { return };
        match error {
            QueryError::Lost(fault) => events.push(cursor.failed(fault.to_string())),
            QueryError::Code(code) => {
                events.push(cursor.failed(format!("Kafka answers {code}")));
                if !code.leader_moved() {
                    return cursor.pause();
                }
                if let Some(cursor) = self.cursors.remove(partition) {
                    self.relinquish(&cursor, events);
                }
            }
            // A quota is no failure: it is asked again quietly, unless it never ends.
            QueryError::Withheld(time) => {
                cursor.wait(*time);
                events.extend(cursor.withheld(self.context.config.blocked_log_after));
            }
            QueryError::Records(why) => {
                cursor.pause();
                events.push(cursor.failed(why.clone()));
            }
        }
    }

    /// Does the next step of one partition. True if the partition stays with this reader.
    fn resolve(&mut self, cursor: &mut Cursor, events: &mut Vec<Event>) -> Result<bool, QueryError> {
        let isolation = self.isolation();
        let Self { connection, scratch, .. } = self;
        let Some(connection) = connection else { return Ok(true) };
        let mut leader =
            LeaderQueries { connection, partition: &cursor.partition, epoch: cursor.epoch, scratch };
        match cursor.next_step.clone() {
            NextStep::Read => {}
            NextStep::ResolveStart(StartOffset::At(at, landmarks)) if cursor.leader.other().is_some() => {
                match leader.compare_other_topic(at, &landmarks)? {
                    OtherTopic::SameLog => cursor.next_step = NextStep::Read,
                    OtherTopic::Other(next, why) => {
                        events.push(cursor.diverged(next, why));
                        return Ok(false);
                    }
                }
                events.extend(cursor.identified());
            }
            NextStep::ResolveStart(StartOffset::At(at, landmarks)) => {
                match leader.compare(at, &landmarks, cursor.leader.known_epochs())? {
                    Comparison::Same => {
                        cursor.next_step = NextStep::Read;
                        events.extend(cursor.identified());
                    }
                    Comparison::Unseen => {
                        cursor.next_step = NextStep::Read;
                        // The landmarks say neither that the topic is the one that was read nor the contrary.
                        events.extend(cursor.identified().filter(|_| landmarks.is_empty()));
                    }
                    Comparison::Diverged(next) => {
                        events.push(cursor.diverged(next, DivergenceCause::OtherRecords));
                        return Ok(false);
                    }
                    Comparison::Behind(end) => return Ok(self.relinquish_behind(cursor, end, events)),
                }
            }
            NextStep::ResolveStart(start) => {
                let (at, basis) = match start {
                    StartOffset::Since(since) => leader.since(since, isolation)?,
                    StartOffset::Latest => (leader.offset(OffsetSpec::Next, isolation)?, StartBasis::Bound),
                    _ => (leader.offset(OffsetSpec::First, isolation)?, StartBasis::Bound),
                };
                cursor.at = at;
                cursor.next_step = NextStep::Read;
                events.push(Event::Resolved(vec![cursor.resolved(at, basis)]));
            }
            NextStep::AskBounds => {
                let first = leader.offset(OffsetSpec::First, Isolation::ReadUncommitted)?;
                let end = leader.offset(OffsetSpec::Next, Isolation::ReadUncommitted)?;
                if cursor.at >= first {
                    return Ok(self.relinquish_behind(cursor, end, events));
                }
                cursor.next_step = NextStep::Read;
                events.push(Event::Fetched(cursor.hand_over(first, end, Payload::Deleted)));
            }
            NextStep::InspectTransaction => {
                let why = leader.describe_blocking_transaction(cursor.at)?;
                cursor.record_blocked_by(why);
            }
        }
        Ok(true)
    }

    /// Relinquishes a partition whose log ends below the position. The log must be compared again before
    /// anything is read, because the topic may have been recreated and the new log may have grown beyond
    /// the position by then.
    fn relinquish_behind(&self, cursor: &mut Cursor, end: i64, events: &mut Vec<Event>) -> bool {
        let why = format!("its log ends at offset {end}, below the position {}", cursor.at);
        events.push(cursor.failed(why));
        self.relinquish(cursor, events);
        false
    }
}
