//! Fetch (1, `FetchRequest.json`): the records of partitions, each from an offset on. From version 7 on the
//! broker can remember the partitions (KIP-227, fetch sessions): a request then names only what has changed.

use std::ops::Range;
use std::time::Duration;

use super::{Isolation, Request, read_topics, write_topics};
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::records::Aborted;
use crate::kafka::protocol::wire::{Malformed, WireReader, WireWriter};
use crate::record::TopicPartition;

/// The request. Partitions of one topic must stand together. A broker fills its answer in the order
/// of the request, so the caller rotates that order to serve all partitions.
#[derive(Debug, Clone, Copy)]
pub struct Fetch<'a> {
    /// How long the broker may wait until `min_bytes` are there, in milliseconds.
    pub max_wait_ms: i32,
    /// The broker waits until it has this many bytes of records.
    pub min_bytes: i32,
    /// How many bytes of records the answer may have, except that one batch always fits. Sent from
    /// version 3 on.
    pub max_bytes: i32,
    /// Sent from version 4 on.
    pub isolation: Isolation,
    /// Sent from version 7 on.
    pub session: SessionPlace,
    /// The partitions to read; within a fetch session only those that are new in it or have changed.
    pub partitions: &'a [PartitionFetch],
    /// The partitions that leave the fetch session. None of these may stand in `partitions`, because the
    /// broker would leave that partition out. Sent from version 7 on.
    pub forgotten: &'a [TopicPartition],
}

/// Which fetch session a request belongs to, and its place in that session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionPlace {
    /// The number of the session; 0 if there is none.
    pub id: i32,
    /// 0 asks for a new session, and ends that with the number `id`; -1 asks for none. Each further request
    /// of a session counts up.
    pub epoch: i32,
}

impl SessionPlace {
    /// No session: the request names all its partitions.
    pub const NONE: Self = Self { id: 0, epoch: -1 };
}

/// One partition of a Fetch request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionFetch {
    /// The partition.
    pub partition: TopicPartition,
    /// The leader epoch; -1 if it is not known. Sent from version 9 on (KIP-320).
    pub epoch: i32,
    /// The offset to read from.
    pub offset: i64,
    /// How many bytes of records the answer may have for this partition.
    pub max_bytes: i32,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchAnswer {
    /// How long the broker throttles this client for its quota, in milliseconds. Before version 8 it has
    /// delayed the answer already; later it gives an answer without partitions and is silent (KIP-219).
    pub throttle_ms: i32,
    /// The code for the request as a whole; none before version 7.
    pub code: ErrorCode,
    /// The number of the fetch session; 0 if the broker keeps none.
    pub session: i32,
    /// The answer for each partition. In a session those partitions are left out of which nothing has
    /// changed: no records, the same end.
    pub partitions: Vec<(TopicPartition, FetchedPartition)>,
}

impl FetchAnswer {
    /// For how long the broker throttles this client, if that is why it names no partition.
    pub fn withheld_for(&self) -> Option<Duration> {
        let pause = u64::try_from(self.throttle_ms).ok().filter(|millis| *millis > 0)?;
        self.partitions.is_empty().then_some(Duration::from_millis(pause))
    }
}

/// The answer for one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedPartition {
    /// Whether the partition could be read.
    pub code: ErrorCode,
    /// The end of the log for consumers: all replicas in sync have the records below it.
    pub high_watermark: i64,
    /// The last stable offset: all transactions below it are decided. -1 where the version does not
    /// have it.
    pub last_stable: i64,
    /// The first offset of the log; -1 where the version does not have it.
    pub log_start: i64,
    /// The aborted transactions among the records.
    pub aborted: Vec<Aborted>,
    /// The range of the frame that holds the record set. The last entry of the set may be cut.
    pub records: Range<usize>,
}

impl Request for Fetch<'_> {
    const KEY: i16 = 1;
    const NAME: &'static str = "Fetch";
    const LOWEST: i16 = 0;
    const HIGHEST: i16 = 11;
    const THROTTLES_SINCE: i16 = 8;
    type Answer = FetchAnswer;

    fn write(&self, version: i16, out: &mut WireWriter) {
        // The replica id of a consumer.
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
            out.i32(self.session.id);
            out.i32(self.session.epoch);
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
            write_topics(out, self.forgotten, |one| one, |out, one| out.i32(one.partition));
        }
        if version >= 11 {
            // No rack (KIP-392), so the leader answers.
            out.string("");
        }
    }

    fn read(version: i16, from: &mut WireReader<'_>) -> Result<FetchAnswer, Malformed> {
        let throttle_ms = if version >= 1 { from.i32()? } else { 0 };
        let code = if version >= 7 { ErrorCode(from.i16()?) } else { ErrorCode::NONE };
        let session = if version >= 7 { from.i32()? } else { 0 };
        let partitions = read_topics(from, 18, |from| read_partition(version, from))?;
        Ok(FetchAnswer { throttle_ms, code, session, partitions })
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
        // Only a request with a rack gets a preferred replica.
        let _preferred_replica = from.i32()?;
    }
    let records = from.bytes_range()?;
    Ok(FetchedPartition { code, high_watermark, last_stable, log_start, aborted, records })
}
