//! What a reader finds out before it reads a partition on: where it begins, whether it
//! is still the same log, what is there when the offset is not.

use super::{BrokerReader, ReaderStopped};
use crate::kafka::fetch::cursor::{Cursor, NextStep};
use crate::kafka::fetch::divergence::Comparison;
use crate::kafka::fetch::leader_queries::{LeaderQueries, QueryError};
use crate::kafka::protocol::messages::Isolation;
use crate::kafka::protocol::messages::list_offsets::PartitionEnd;
use crate::kafka::seam::{Event, Payload, StartOffset};
use crate::record::TopicPartition;

impl BrokerReader {
    /// Does what is to be done before partitions can be read on.
    pub(super) fn find_out(&mut self) -> Result<(), ReaderStopped> {
        self.connect()?;
        let curious = self.cursors.values().filter(|cursor| cursor.has_question());
        let curious: Vec<TopicPartition> = curious.map(|cursor| cursor.partition.clone()).collect();
        let mut told = Vec::new();
        for partition in curious {
            let Some(mut cursor) = self.cursors.remove(&partition) else { continue };
            let keep = match self.resolve(&mut cursor, &mut told) {
                Ok(keep) => keep,
                Err(QueryError::Lost(fault)) => {
                    self.cursors.insert(partition, cursor);
                    self.tell(told)?;
                    return Err(fault.into());
                }
                Err(QueryError::Code(code)) if code.leader_moved() => {
                    told.push(cursor.failed(format!("Kafka answers {code}")));
                    self.let_go(&cursor, &mut told);
                    false
                }
                Err(QueryError::Code(code)) => {
                    cursor.pause();
                    told.push(cursor.failed(format!("Kafka answers {code}")));
                    true
                }
                Err(QueryError::Records(why)) => {
                    cursor.pause();
                    told.push(cursor.failed(why));
                    true
                }
            };
            if keep {
                self.cursors.insert(partition, cursor);
            }
        }
        Ok(self.tell(told)?)
    }

    /// True: the partition stays with us.
    fn resolve(&mut self, cursor: &mut Cursor, told: &mut Vec<Event>) -> Result<bool, QueryError> {
        let isolation = self.isolation();
        let Self { connection, common, scratch, .. } = self;
        let pace = &common.pace;
        let Some(connection) = connection else { return Ok(true) };
        let mut leader =
            LeaderQueries { connection, partition: &cursor.partition, epoch: cursor.epoch, pace, scratch };
        match cursor.todo.clone() {
            NextStep::Read => {}
            NextStep::StartOffset(StartOffset::At(at, landmarks)) => match leader.check(at, &landmarks)? {
                Comparison::Same => cursor.todo = NextStep::Read,
                Comparison::Diverged(next) => {
                    told.push(Event::Diverged(cursor.partition.clone(), next));
                    return Ok(false);
                }
                Comparison::Behind(end) => return Ok(self.latch(cursor, end, told)),
            },
            NextStep::StartOffset(start) => {
                let end = if start == StartOffset::Latest { PartitionEnd::Next } else { PartitionEnd::First };
                cursor.at = leader.end(end, isolation)?;
                cursor.todo = NextStep::Read;
                told.push(Event::Resolved(cursor.partition.clone(), cursor.at));
            }
            NextStep::Bounds => {
                let first = leader.end(PartitionEnd::First, Isolation::ReadUncommitted)?;
                let end = leader.end(PartitionEnd::Next, Isolation::ReadUncommitted)?;
                if cursor.at >= first {
                    return Ok(self.latch(cursor, end, told));
                }
                cursor.todo = NextStep::Read;
                told.push(Event::Fetched(cursor.hand_over(first, end, Payload::Gone)));
            }
            NextStep::Inspect => {
                let why = leader.inspect(cursor.at)?;
                cursor.record_blocked_by(why);
            }
        }
        Ok(true)
    }

    /// An end below the position: nothing is read before the log has been compared
    /// again, since growth alone would also come from a topic that was made anew.
    fn latch(&self, cursor: &Cursor, end: i64, told: &mut Vec<Event>) -> bool {
        told.push(cursor.failed(format!("its end {end} is below the position {}", cursor.at)));
        self.let_go(cursor, told);
        false
    }
}
