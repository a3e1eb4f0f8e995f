//! OffsetForLeaderEpoch (23, `OffsetForLeaderEpochRequest.json`): where a leader epoch ends in the log of a
//! partition (KIP-320).

use std::sync::Arc;

use super::{Request, write_topics};
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::wire::{Malformed, WireReader, WireWriter};
use crate::record::TopicPartition;

/// The request.
#[derive(Debug, Clone, Copy)]
pub struct EpochEnds<'a> {
    /// Each with the leader epoch of the partition, -1 if it is not known, and the epoch that is asked for.
    pub partitions: &'a [(TopicPartition, i32, i32)],
}

/// The answer for one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEnd {
    /// Whether the end is known.
    pub code: ErrorCode,
    /// The highest epoch in the log that is not above the one that was asked for; -1 if there is none.
    pub epoch: i32,
    /// Where that epoch ends; -1 if there is none.
    pub end: i64,
}

impl Request for EpochEnds<'_> {
    const KEY: i16 = 23;
    const NAME: &'static str = "OffsetForLeaderEpoch";
    /// Earlier versions do not fence a broker that leads no more.
    const LOWEST: i16 = 2;
    const HIGHEST: i16 = 3;
    const THROTTLES_SINCE: i16 = 2;
    type Answer = Vec<(TopicPartition, EpochEnd)>;

    fn write(&self, version: i16, out: &mut WireWriter) {
        if version >= 3 {
            // The replica id of a consumer.
            out.i32(-1);
        }
        write_topics(
            out,
            self.partitions,
            |(partition, ..)| partition,
            |out, (partition, current, asked)| {
                out.i32(partition.partition);
                out.i32(*current);
                out.i32(*asked);
            },
        );
    }

    fn read(_version: i16, from: &mut WireReader<'_>) -> Result<Self::Answer, Malformed> {
        let _throttled_ms = from.i32()?;
        let mut all = Vec::new();
        from.list(6, |from| {
            let topic: Arc<str> = from.string()?.into();
            from.list(18, |from| {
                // Here the code comes before the number of the partition.
                let code = ErrorCode(from.i16()?);
                let partition = TopicPartition::new(Arc::clone(&topic), from.i32()?);
                all.push((partition, EpochEnd { code, epoch: from.i32()?, end: from.i64()? }));
                Ok(())
            })?;
            Ok(())
        })?;
        Ok(all)
    }
}
