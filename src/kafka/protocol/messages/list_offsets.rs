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
    /// From version 1 on, the first offset whose timestamp is this one or later, in milliseconds since
    /// 1970. For version 0 see [`SegmentOffsets`].
    Since(i64),
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

/// Version 0 of the request with a timestamp: the first offset of the newest segment that was not changed
/// after that time. No later version tells this, and brokers from Kafka 4 on do not have the version.
#[derive(Debug, Clone, Copy)]
pub struct SegmentOffsets<'a> {
    /// The time, in milliseconds since 1970.
    pub since: i64,
    /// The partitions; the leader epoch beside each is not sent.
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
    const THROTTLES_SINCE: i16 = 3;
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
                    // Negative numbers have meanings of their own.
                    OffsetSpec::Since(millis) => millis.max(0),
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

impl Request for SegmentOffsets<'_> {
    const KEY: i16 = 2;
    const NAME: &'static str = "ListOffsets";
    const LOWEST: i16 = 0;
    const HIGHEST: i16 = 0;
    type Answer = Vec<(TopicPartition, ListedOffset)>;

    fn write(&self, version: i16, out: &mut WireWriter) {
        let (isolation, spec) = (Isolation::ReadUncommitted, OffsetSpec::Since(self.since));
        ListOffsets { isolation, spec, partitions: self.partitions }.write(version, out);
    }

    fn read(version: i16, from: &mut WireReader<'_>) -> Result<Self::Answer, Malformed> {
        ListOffsets::read(version, from)
    }
}
