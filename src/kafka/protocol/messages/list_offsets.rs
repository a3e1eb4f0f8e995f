//! ListOffsets (2, `ListOffsetsRequest.json`): the first offset of partitions, or their end.

use super::{Isolation, Request, read_topics, write_topics};
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::wire::{Malformed, WireReader, WireWriter};
use crate::record::TopicPartition;

/// Which offset of a partition. Its number on the wire stands in the field for a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first offset of the log (-2).
    First,
    /// The end of the log for consumers: the offset of the next record (-1).
    Next,
}

/// The request.
#[derive(Debug, Clone, Copy)]
pub struct ListOffsets<'a> {
    /// Sent from version 2 on: with `ReadCommitted` [`OffsetSpec::Next`] is the last stable
    /// offset.
    pub isolation: Isolation,
    /// Which offset is asked for.
    pub spec: OffsetSpec,
    /// The partitions, each with its leader epoch, or -1 if the epoch is not known. The epoch is sent from
    /// version 4 on (KIP-320).
    pub partitions: &'a [(TopicPartition, i32)],
}

/// The answer for one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedOffset {
    /// Whether the offset is known.
    pub code: ErrorCode,
    /// The offset; -1 if there is none.
    pub offset: i64,
}

impl Request for ListOffsets<'_> {
    const KEY: i16 = 2;
    const NAME: &'static str = "ListOffsets";
    const LOWEST: i16 = 0;
    const HIGHEST: i16 = 5;
    type Answer = Vec<(TopicPartition, ListedOffset)>;

    fn write(&self, version: i16, out: &mut WireWriter) {
        // The replica id of a consumer.
        out.i32(-1);
        if version >= 2 {
            out.i8(self.isolation.level());
        }
        write_topics(
            out,
            self.partitions,
            |(partition, _)| partition,
            |out, (partition, epoch)| {
                out.i32(partition.partition);
                if version >= 4 {
                    out.i32(*epoch);
                }
                out.i64(match self.spec {
                    OffsetSpec::First => -2,
                    OffsetSpec::Next => -1,
                });
                if version == 0 {
                    out.i32(1);
                }
            },
        );
    }

    fn read(version: i16, from: &mut WireReader<'_>) -> Result<Self::Answer, Malformed> {
        if version >= 2 {
            let _throttled_ms = from.i32()?;
        }
        read_topics(from, 10, |from| {
            let code = ErrorCode(from.i16()?);
            if version == 0 {
                let offset = from.list(8, WireReader::i64)?.first().copied().unwrap_or(-1);
                return Ok(ListedOffset { code, offset });
            }
            let _time = from.i64()?;
            let offset = from.i64()?;
            if version >= 4 {
                let _leader_epoch = from.i32()?;
            }
            Ok(ListedOffset { code, offset })
        })
    }
}
