//! The offset at which the records since a moment begin, asked of the partition's leader.
//!
//! Brokers look for a timestamp in the first segment whose largest timestamp is not before the moment. A
//! segment without any timestamp counts there by the time of its file's last change, and then nothing is
//! found in it: the answer is that there is no such record, as if all records were older. Such segments
//! have message format 0, or come from producers of that format. So this answer is checked.

use std::ops::ControlFlow;

use super::leader_queries::{LeaderQueries, QueryError};
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::messages::list_offsets::OffsetSpec;
use crate::kafka::protocol::messages::{Isolation, ListOffsets, SegmentOffsets};
use crate::kafka::protocol::records;
use crate::kafka::seam::StartBasis;

#[cfg(test)]
mod tests;

impl LeaderQueries<'_> {
    /// The first offset whose timestamp is `since` or later, in milliseconds since 1970. If there is none,
    /// it is the end that the log had before the question, so that nothing produced meanwhile is missed.
    /// If timestamps do not show the offset, it is one that is not too late.
    pub(in crate::kafka) fn since(
        &mut self,
        since: i64,
        isolation: Isolation,
    ) -> Result<(i64, StartBasis), QueryError> {
        if !self.connection.versions().choose::<ListOffsets<'_>>().is_ok_and(|version| version >= 1) {
            return Ok((self.by_segments(since)?, StartBasis::Segments));
        }
        let end = self.offset(OffsetSpec::Next, isolation)?;
        match self.look_up(OffsetSpec::Since(since), isolation) {
            Ok(Some(offset)) => Ok((offset, StartBasis::Timestamp)),
            Ok(None) if self.lacks_timestamps(since, end, isolation)? => {
                Ok((self.by_segments(since)?, StartBasis::NoTimestamps))
            }
            Ok(None) => Ok((end, StartBasis::End)),
            Err(QueryError::Code(ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT)) => {
                Ok((self.by_segments(since)?, StartBasis::NoTimestamps))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the answer that no record has a timestamp from `since` on may come from records without
    /// timestamps: the broker finds no timestamp at all, or the last record has none or a later one.
    fn lacks_timestamps(&mut self, since: i64, end: i64, isolation: Isolation) -> Result<bool, QueryError> {
        if self.offset(OffsetSpec::First, isolation)? >= end {
            return Ok(false);
        }
        if self.look_up(OffsetSpec::Since(0), isolation)?.is_none() {
            return Ok(true);
        }
        let last = self.timestamp_at(end - 1)?;
        Ok(last.is_some_and(|last| last < 0 || last >= since))
    }

    /// The timestamp of the record at this offset, -1 if the record has none. `None` if there is no record:
    /// a transaction's marker, for example, is none.
    fn timestamp_at(&mut self, offset: i64) -> Result<Option<i64>, QueryError> {
        let (set, frame) = match self.fetch_whole(offset) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(QueryError::Records(why)) => {
                // Nothing shows then that the answer is wrong. The reading reports what cannot be read.
                log::debug!("{}: the record at offset {offset}: {why}", self.partition);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let set = frame.bytes().get(set).unwrap_or_default();
        let mut timestamp = None;
        let decoded = records::decode(set, offset, None, self.scratch, &mut |record| {
            if record.offset == offset {
                timestamp = Some(record.timestamp.unwrap_or(-1));
            }
            ControlFlow::Break(())
        });
        if let Err(broken) = decoded {
            log::debug!("{}: the record at offset {offset}: {broken}", self.partition);
        }
        Ok(timestamp)
    }

    /// The first offset of the newest segment that was not changed after the moment; if there is none, or
    /// the broker does not tell it, the first offset of the log.
    fn by_segments(&mut self, since: i64) -> Result<i64, QueryError> {
        if self.connection.versions().choose::<SegmentOffsets<'_>>().is_ok() {
            let partitions = [(self.partition.clone(), self.epoch)];
            let answer = self.connection.ask(&SegmentOffsets { since, partitions: &partitions })?;
            if let Some(offset) = self.listed(answer)? {
                return Ok(offset);
            }
        }
        self.offset(OffsetSpec::First, Isolation::ReadUncommitted)
    }
}
