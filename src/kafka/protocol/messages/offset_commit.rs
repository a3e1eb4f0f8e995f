//! OffsetCommit (8, `OffsetCommitRequest.json`): commits a group's offsets, each with a metadata
//! string. From version 1 on Kafka keeps the offsets; in version 0 ZooKeeper does.

use super::{GenerationMember, Request, read_topics, write_topics};
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::wire::{Malformed, WireReader, WireWriter};
use crate::record::{Commit, TopicPartition};

/// The request.
#[derive(Debug, Clone, Copy)]
pub struct OffsetCommit<'a> {
    /// The name of the group.
    pub group: &'a str,
    /// The member that commits.
    pub member: GenerationMember<'a>,
    /// The offsets to commit.
    pub offsets: &'a [Commit],
}

impl Request for OffsetCommit<'_> {
    const KEY: i16 = 8;
    const NAME: &'static str = "OffsetCommit";
    const LOWEST: i16 = 2;
    const HIGHEST: i16 = 7;
    const THROTTLES_SINCE: i16 = 4;
    type Answer = Vec<(TopicPartition, ErrorCode)>;

    fn write(&self, version: i16, out: &mut WireWriter) {
        out.string(self.group);
        out.i32(self.member.generation);
        out.string(self.member.id);
        if version >= 7 {
            out.nullable_string(self.member.instance);
        }
        if version <= 4 {
            // The broker's own retention time.
            out.i64(-1);
        }
        write_topics(
            out,
            self.offsets,
            |one| &one.partition,
            |out, one| {
                out.i32(one.partition.partition);
                out.i64(one.offset);
                if version >= 6 {
                    // The leader epoch is not known here.
                    out.i32(-1);
                }
                out.string(&one.metadata);
            },
        );
    }

    fn read(version: i16, from: &mut WireReader<'_>) -> Result<Self::Answer, Malformed> {
        if version >= 3 {
            let _throttled_ms = from.i32()?;
        }
        read_topics(from, 6, |from| Ok(ErrorCode(from.i16()?)))
    }
}
