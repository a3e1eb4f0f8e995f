//! Reads one partition through the crate without losing the records that the crate drops.
//!
//! At the first compressed batch of a reply the crate returns that batch alone and drops the records
//! before it. So each request asks for one partition, and a reply that starts above the requested offset
//! is accepted only after the gap rule ([`close_gap`]).

use std::time::Duration;

use kafka_crate::client::{FetchOffset, FetchPartition};
use kafka_crate::error::KafkaCode;

use super::client::LegacyClient;
use super::error::LegacyError;
use super::fetch_sizes::{FETCH_BYTES_FIRST, FETCH_BYTES_FULL, FETCH_BYTES_MAX};
use super::reply::{LegacyReply, ReplySummary};
use super::second_look::Gap;
use crate::kafka::fetch::divergence::{self, Comparison, PartitionLog};
use crate::kafka::seam::DecodedRecords as _;
use crate::record::TopicPartition;

/// The smallest entry of a message set, in bytes: offset, size, and an empty message of format 0.
const ENTRY_BYTES_MIN: i32 = 26;

/// The result of one attempt to read.
pub(super) enum ReadResult {
    /// Records, and the summary of their reply.
    Records(LegacyReply, ReplySummary),
    /// The crate cannot read the reply, and the second look shows that there is no record.
    Gap(Gap),
    /// No records; the log ends at the requested offset.
    Nothing,
    /// No records, although the log goes on up to this offset: more bytes must be requested.
    Short(i64),
    /// The requested offset is above this one, the end of the log.
    AboveEnd(i64),
    /// OFFSET_OUT_OF_RANGE: the broker does not have this offset any more, or not yet.
    OutOfRange,
    /// The partition has no known leader.
    Leaderless,
}

/// Configures a client so that the broker answers its requests at once, with or without records.
pub(super) fn prepare(client: &mut LegacyClient) -> Result<(), LegacyError> {
    client.call(|kafka| {
        kafka.set_fetch_min_bytes(1);
        kafka.set_fetch_max_wait_time(Duration::ZERO)
    })
}

/// Requests one partition's records from an offset on, and applies the gap rule. If the crate cannot read
/// the reply, a second look decides whether there is a record.
pub(super) fn read(
    client: &mut LegacyClient,
    partition: &TopicPartition,
    from: i64,
    max_bytes: i32,
) -> Result<ReadResult, LegacyError> {
    let why = match read_once(client, partition, from, max_bytes) {
        Err(LegacyError::Records(why)) => why,
        done => return done,
    };
    match client.look(partition, from) {
        Ok(Some(gap)) => {
            log::debug!("{partition}: offsets {from} to {} hold no record ({why})", gap.next - 1);
            Ok(ReadResult::Gap(gap))
        }
        Ok(None) => Err(LegacyError::Records(why)),
        Err(blind) => {
            log::debug!("{partition}: the second look at offset {from} failed: {blind}");
            Err(LegacyError::Records(why))
        }
    }
}

fn read_once(
    client: &mut LegacyClient,
    partition: &TopicPartition,
    from: i64,
    max_bytes: i32,
) -> Result<ReadResult, LegacyError> {
    let (reply, seen) = match fetch(client, partition, from, max_bytes)? {
        Ok(found) => found,
        Err(other) => return Ok(other),
    };
    match seen.first {
        Some(first) if first > from => close_gap(client, partition, from, max_bytes, (reply, seen)),
        Some(_) => Ok(ReadResult::Records(reply, seen)),
        None if seen.high_watermark > from => Ok(ReadResult::Short(seen.high_watermark)),
        None if seen.high_watermark < from => Ok(ReadResult::AboveEnd(seen.high_watermark)),
        None => Ok(ReadResult::Nothing),
    }
}

fn fetch(
    client: &mut LegacyClient,
    partition: &TopicPartition,
    from: i64,
    max_bytes: i32,
) -> Result<Result<(LegacyReply, ReplySummary), ReadResult>, LegacyError> {
    let request = FetchPartition::new(&partition.topic, partition.partition, from).with_max_bytes(max_bytes);
    let reply = LegacyReply::new(
        client.call_leader(partition, |kafka| kafka.fetch_messages_for_partition(&request))?,
        from,
    );
    match reply.look(partition) {
        Ok(Some(seen)) => Ok(Ok((reply, seen))),
        Ok(None) => Ok(Err(ReadResult::Leaderless)),
        Err(LegacyError::Code(KafkaCode::OffsetOutOfRange)) => Ok(Err(ReadResult::OutOfRange)),
        Err(error) => Err(error),
    }
}

/// The gap rule. The records between `from` and the first one in the reply were either dropped by the
/// crate or do not exist (compaction). To decide, the requested size is bisected between the largest
/// reply without records and the smallest reply that starts above `from`: if an earlier record existed,
/// a reply of some size in between would hold it alone. Only when no entry fits between the two sizes
/// is the gap real.
///
/// Halving the size until a reply is empty is not enough, because a reply is also empty if its first record
/// was cut.
fn close_gap(
    client: &mut LegacyClient,
    partition: &TopicPartition,
    from: i64,
    max_bytes: i32,
    above: (LegacyReply, ReplySummary),
) -> Result<ReadResult, LegacyError> {
    let (mut empty, mut smallest, mut best) = (0, max_bytes, above);
    while smallest - empty > ENTRY_BYTES_MIN {
        let middle = empty + (smallest - empty) / 2;
        let (reply, seen) = match fetch(client, partition, from, middle)? {
            Ok(found) => found,
            Err(other) => return Ok(other),
        };
        match seen.first {
            None => empty = middle,
            Some(first) if first <= from => return Ok(ReadResult::Records(reply, seen)),
            Some(_) => {
                smallest = middle;
                best = (reply, seen);
            }
        }
    }
    let (reply, seen) = best;
    log::debug!("{partition}: offsets {from} to {} are not in the log", seen.first.unwrap_or(from));
    Ok(ReadResult::Records(reply, seen))
}

/// The first offset and the end of a partition's log.
pub(super) fn bounds(
    client: &mut LegacyClient,
    partition: &TopicPartition,
) -> Result<(i64, i64), LegacyError> {
    let mut ends = [0; 2];
    for (end, which) in ends.iter_mut().zip([FetchOffset::Earliest, FetchOffset::Latest]) {
        let topic = &*partition.topic;
        let offsets = client.call_leaders(topic, |kafka| kafka.fetch_topic_offsets(topic, which))?;
        *end = offsets
            .iter()
            .find(|found| found.partition == partition.partition && found.offset >= 0)
            .map(|found| found.offset)
            .ok_or(LegacyError::Code(KafkaCode::LeaderNotAvailable))?;
    }
    let [first, end] = ends;
    Ok((first, end))
}

/// Compares a partition's log with landmarks below `at`.
pub(super) fn check(
    client: &mut LegacyClient,
    partition: &TopicPartition,
    at: i64,
    landmarks: &[(i64, u32)],
) -> Result<Comparison, LegacyError> {
    divergence::compare(&mut LegacyLog { client, partition }, at, landmarks, None)
}

/// A partition's log, read through the crate.
struct LegacyLog<'a> {
    client: &'a mut LegacyClient,
    partition: &'a TopicPartition,
}

impl PartitionLog for LegacyLog<'_> {
    type Error = LegacyError;

    fn fingerprint_at(&mut self, offset: i64) -> Result<Option<u32>, LegacyError> {
        fingerprint_at(self.client, self.partition, offset)
    }

    fn bounds(&mut self) -> Result<(i64, i64), LegacyError> {
        bounds(self.client, self.partition)
    }

    /// The crate cannot ask for it.
    fn epoch_end(&mut self, _epoch: i32) -> Result<Option<(i32, i64)>, LegacyError> {
        Ok(None)
    }
}

fn fingerprint_at(
    client: &mut LegacyClient,
    partition: &TopicPartition,
    offset: i64,
) -> Result<Option<u32>, LegacyError> {
    let mut max_bytes = FETCH_BYTES_FIRST;
    loop {
        match read(client, partition, offset, max_bytes)? {
            ReadResult::Records(reply, _) => {
                let mut found = None;
                reply.each(&mut |record| {
                    if record.offset == offset {
                        found = Some(record.fingerprint());
                    }
                });
                return Ok(found);
            }
            ReadResult::Short(_) if max_bytes < FETCH_BYTES_MAX => max_bytes = max_bytes.saturating_mul(2),
            ReadResult::Leaderless => return Err(LegacyError::Code(KafkaCode::LeaderNotAvailable)),
            _ => return Ok(None),
        }
    }
}

/// The first offset from `at` on that can be read, found in at most `tries` calls. For a position where
/// the largest request brings no record: compaction removed the last records of a compressed batch
/// there, and the crate returns nothing of it.
///
/// `Err`: no record up to this offset.
pub(super) fn first_readable(
    client: &mut LegacyClient,
    partition: &TopicPartition,
    at: i64,
    end: i64,
    tries: i64,
) -> Result<Result<i64, i64>, LegacyError> {
    let last = end.min(at.saturating_add(tries));
    let mut offset = at;
    while offset < last {
        match read(client, partition, offset, FETCH_BYTES_FULL)? {
            ReadResult::Records(_, seen) => return Ok(Ok(seen.first.unwrap_or(offset))),
            ReadResult::Gap(gap) => offset = gap.next,
            _ => offset += 1,
        }
    }
    Ok(Err(offset.max(last)))
}
