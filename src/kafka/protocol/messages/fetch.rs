//! Fetch (1): the records of partitions from offsets on. Without sessions (KIP-227):
//! every request names all it wants.

use std::ops::Range;

use super::{Isolation, Request, read_topics, write_topics};
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::records::Aborted;
use crate::kafka::protocol::wire::{Malformed, WireReader, WireWriter};
use crate::record::TopicPartition;

/// The request. Partitions of one topic stand together; a broker fills its answer in
/// their order, so who stood last the last time may stand first the next time.
#[derive(Debug, Clone, Copy)]
pub struct Fetch<'a> {
    /// How long the broker may wait for the first byte, in milliseconds.
    pub max_wait_ms: i32,
    /// For how many bytes of records it waits.
    pub min_bytes: i32,
    /// How many bytes of records it gives; from version 3 on, and one batch always.
    pub max_bytes: i32,
    /// From version 4 on.
    pub isolation: Isolation,
    /// What is wanted.
    pub partitions: &'a [PartitionFetch],
}

/// One partition that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionFetch {
    /// Which one.
    pub partition: TopicPartition,
    /// Its leader's epoch as far as it is known, else -1; sent from version 9 on (KIP-320).
    pub epoch: i32,
    /// From which offset.
    pub offset: i64,
    /// How many bytes of records at most.
    pub max_bytes: i32,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchAnswer {
    /// Of the request as a whole; none before version 7.
    pub code: ErrorCode,
    /// Of each partition.
    pub partitions: Vec<(TopicPartition, FetchedPartition)>,
}

/// What came of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedPartition {
    /// Whether it was read.
    pub code: ErrorCode,
    /// The offset up to which records are on all replicas in sync.
    pub high_watermark: i64,
    /// The offset up to which transactions are decided; -1 where the version does not tell.
    pub last_stable: i64,
    /// The first offset there is; -1 where the version does not tell.
    pub log_start: i64,
    /// Aborted transactions among the records.
    pub aborted: Vec<Aborted>,
    /// Where in the frame the record set is. Its end may be cut anywhere.
    pub records: Range<usize>,
}

impl Request for Fetch<'_> {
    const KEY: i16 = 1;
    const NAME: &'static str = "Fetch";
    const LOWEST: i16 = 0;
    const HIGHEST: i16 = 11;
    type Answer = FetchAnswer;

    fn write(&self, version: i16, out: &mut WireWriter) {
        // As a consumer, not as a replica.
        out.i32(-1);
        out.i32(self.max_wait_ms);
        out.i32(self.min_bytes);
        if version >= 3 {
            out.i32(self.max_bytes);
        }
        if version >= 4 {
            out.i8(self.isolation.level());
        }
        if version >= 7 {
            // No session.
            out.i32(0);
            out.i32(-1);
        }
        write_topics(
            out,
            self.partitions,
            |one| &one.partition,
            |out, one| {
                out.i32(one.partition.partition);
                if version >= 9 {
                    out.i32(one.epoch);
                }
                out.i64(one.offset);
                if version >= 5 {
                    out.i64(-1);
                }
                out.i32(one.max_bytes);
            },
        );
        if version >= 7 {
            // Nothing to be forgotten of a session.
            out.i32(0);
        }
        if version >= 11 {
            // In no rack: the leader is read.
            out.string("");
        }
    }

    fn read(version: i16, from: &mut WireReader<'_>) -> Result<FetchAnswer, Malformed> {
        if version >= 1 {
            let _throttled_ms = from.i32()?;
        }
        let code = if version >= 7 { ErrorCode(from.i16()?) } else { ErrorCode::NONE };
        if version >= 7 {
            let _session = from.i32()?;
        }
        let partitions = read_topics(from, 18, |from| read_partition(version, from))?;
        Ok(FetchAnswer { code, partitions })
    }
}

fn read_partition(version: i16, from: &mut WireReader<'_>) -> Result<FetchedPartition, Malformed> {
    let code = ErrorCode(from.i16()?);
    let high_watermark = from.i64()?;
    let last_stable = if version >= 4 { from.i64()? } else { -1 };
    let log_start = if version >= 5 { from.i64()? } else { -1 };
    let mut aborted = Vec::new();
    if version >= 4 {
        let one =
            |from: &mut WireReader<'_>| Ok(Aborted { producer: from.i64()?, first_offset: from.i64()? });
        aborted = from.nullable_list(16, one)?.unwrap_or_default();
    }
    if version >= 11 {
        // Told only to those who said in which rack they are.
        let _preferred_replica = from.i32()?;
    }
    let records = from.place()?;
    Ok(FetchedPartition { code, high_watermark, last_stable, log_start, aborted, records })
}
