//! OffsetFetch (9): what a group has committed. From version 1 on that is what is
//! kept in Kafka; version 0 is ZooKeeper's.

use super::{Request, read_topics, write_topics};
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::wire::{Malformed, WireReader, WireWriter};
use crate::record::TopicPartition;

/// The request.
#[derive(Debug, Clone, Copy)]
pub struct OffsetFetch<'a> {
    /// The group's name.
    pub group: &'a str,
    /// Of which partitions.
    pub partitions: &'a [TopicPartition],
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offsets {
    /// Of the request as a whole; none before version 2.
    pub code: ErrorCode,
    /// Of each partition.
    pub partitions: Vec<(TopicPartition, Offset)>,
}

/// What the group has of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offset {
    /// Whether it could be told.
    pub code: ErrorCode,
    /// The offset; -1: there is none.
    pub offset: i64,
    /// The string beside it; null and empty are the same to brokers.
    pub metadata: String,
}

impl Request for OffsetFetch<'_> {
    const KEY: i16 = 9;
    const NAME: &'static str = "OffsetFetch";
    const LOWEST: i16 = 1;
    const HIGHEST: i16 = 5;
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
