//! OffsetFetch (9, `OffsetFetchRequest.json`): the offsets that a group has committed. From version
//! 1 on Kafka keeps them; in version 0 ZooKeeper does.

use super::{Request, read_topics, write_topics};
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::wire::{Malformed, WireReader, WireWriter};
use crate::record::TopicPartition;

/// The request.
#[derive(Debug, Clone, Copy)]
pub struct OffsetFetch<'a> {
    /// The name of the group.
    pub group: &'a str,
    /// The partitions.
    pub partitions: &'a [TopicPartition],
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offsets {
    /// The code for the request as a whole; none before version 2.
    pub code: ErrorCode,
    /// The answer for each partition.
    pub partitions: Vec<(TopicPartition, Offset)>,
}

/// The committed offset of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offset {
    /// Whether the offset could be read.
    pub code: ErrorCode,
    /// The offset; -1 if the group has none.
    pub offset: i64,
    /// The metadata string. For brokers, null and empty are the same.
    pub metadata: String,
}

impl Request for OffsetFetch<'_> {
    const KEY: i16 = 9;
    const NAME: &'static str = "OffsetFetch";
    const LOWEST: i16 = 1;
    const HIGHEST: i16 = 5;
    const THROTTLES_SINCE: i16 = 4;
    type Answer = Offsets;

    fn write(&self, _version: i16, out: &mut WireWriter) {
        out.string(self.group);
        write_topics(out, self.partitions, |one| one, |out, one| out.i32(one.partition));
    }

    fn read(version: i16, from: &mut WireReader<'_>) -> Result<Offsets, Malformed> {
        if version >= 3 {
            let _throttled_ms = from.i32()?;
        }
        let partitions = read_topics(from, 16, |from| {
            let offset = from.i64()?;
            if version >= 5 {
                let _leader_epoch = from.i32()?;
            }
            let metadata = from.nullable_string()?.unwrap_or_default().to_owned();
            Ok(Offset { code: ErrorCode(from.i16()?), offset, metadata })
        })?;
        let code = if version >= 2 { ErrorCode(from.i16()?) } else { ErrorCode::NONE };
        Ok(Offsets { code, partitions })
    }
}
