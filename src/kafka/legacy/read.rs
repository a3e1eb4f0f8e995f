//! Reading one partition through the crate without losing what it loses.
//!
//! On the first compressed batch of a reply the crate returns that batch alone and
//! drops the records before it. So one partition is asked for at a time, and a reply
//! that starts above the offset asked for is believed only after the gap rule.

use std::time::Duration;

use kafka_crate::client::{FetchOffset, FetchPartition};
use kafka_crate::error::KafkaCode;

use super::client::{Client, Trouble};
use super::reply::{Reply, Seen};
use super::second_look::Gap;
use crate::kafka::fetch::divergence::{self, Check, Log};
use crate::record::TopicPartition;

/// What is asked for at first, in bytes.
pub(super) const FIRST_BYTES: i32 = 64 * 1024;
/// What is asked for of a partition that has much, in bytes: a broker's largest
/// ordinary record and some.
pub(super) const FULL_BYTES: i32 = 1024 * 1024 + 64 * 1024;
/// What is asked for at least, in bytes.
pub(super) const LEAST_BYTES: i32 = 4 * 1024;
/// What is asked for at most, in bytes, when nothing came although there is something.
pub(super) const MOST_BYTES: i32 = 128 * 1024 * 1024;
/// The smallest entry of a message set, in bytes: offset, size, and an empty message
/// of format 0.
const SMALLEST: i32 = 26;

/// What came of one try.
pub(super) enum Read {
    /// Records, and what the reply says of itself.
    Records(Reply, Seen),
    /// What came cannot be read, and no record is there.
    Gap(Gap),
    /// Nothing, and nothing is there yet.
    Nothing,
    /// Nothing, although the partition goes on behind the offset: ask for more bytes.
    Short(i64),
    /// The offset is above the partition's end.
    AboveEnd(i64),
    /// The broker does not have this offset (any more, or yet).
    OutOfRange,
    /// Nobody leads the partition.
    Leaderless,
}

/// Prepares a client for reading: the broker answers at once, with or without records.
pub(super) fn prepare(client: &mut Client) -> Result<(), Trouble> {
    client.call(|kafka| {
        kafka.set_fetch_min_bytes(1);
        kafka.set_fetch_max_wait_time(Duration::ZERO)
    })
}

/// Asks for one partition's records from an offset, and applies the gap rule. Where what
/// comes cannot be read, it is looked at a second time before that is believed.
pub(super) fn read(
    client: &mut Client,
    partition: &TopicPartition,
    from: i64,
    max_bytes: i32,
) -> Result<Read, Trouble> {
    let why = match read_once(client, partition, from, max_bytes) {
        Err(Trouble::Records(why)) => why,
        done => return done,
    };
    match client.look(partition, from) {
        Ok(Some(gap)) => {
            log::debug!("{partition}: offsets {from} to {} hold no record ({why})", gap.next - 1);
            Ok(Read::Gap(gap))
        }
        Ok(None) => Err(Trouble::Records(why)),
        Err(blind) => {
            log::debug!("{partition}: no second look at offset {from}: {blind}");
            Err(Trouble::Records(why))
        }
    }
}

fn read_once(
    client: &mut Client,
    partition: &TopicPartition,
    from: i64,
    max_bytes: i32,
) -> Result<Read, Trouble> {
    let (reply, seen) = match fetch(client, partition, from, max_bytes)? {
        Ok(found) => found,
        Err(other) => return Ok(other),
    };
    match seen.first {
        Some(first) if first > from => close_gap(client, partition, from, max_bytes, (reply, seen)),
        Some(_) => Ok(Read::Records(reply, seen)),
        None if seen.high_watermark > from => Ok(Read::Short(seen.high_watermark)),
        None if seen.high_watermark < from => Ok(Read::AboveEnd(seen.high_watermark)),
        None => Ok(Read::Nothing),
    }
}

fn fetch(
    client: &mut Client,
    partition: &TopicPartition,
    from: i64,
    max_bytes: i32,
) -> Result<Result<(Reply, Seen), Read>, Trouble> {
    let request = FetchPartition::new(&partition.topic, partition.partition, from).with_max_bytes(max_bytes);
    let reply = Reply::new(client.call(|kafka| kafka.fetch_messages_for_partition(&request))?, from);
    match reply.look(partition) {
        Ok(Some(seen)) => Ok(Ok((reply, seen))),
        Ok(None) => Ok(Err(Read::Leaderless)),
        Err(Trouble::Code(KafkaCode::OffsetOutOfRange)) => Ok(Err(Read::OutOfRange)),
        Err(trouble) => Err(trouble),
    }
}

/// The gap rule. The records between `from` and the first one that came were either
/// dropped by the crate or are really not there (compaction). Bisecting the size
/// between the largest reply that came back empty and the smallest that started
/// above tells: if an earlier record were there, a smaller reply would hold it alone.
/// Only when no entry fits between the two sizes is the gap real.
///
/// Halving until a reply is empty is not enough: an empty reply also means that the
/// first record was cut.
fn close_gap(
    client: &mut Client,
    partition: &TopicPartition,
    from: i64,
    max_bytes: i32,
    above: (Reply, Seen),
) -> Result<Read, Trouble> {
    let (mut empty, mut smallest, mut best) = (0, max_bytes, above);
    while smallest - empty > SMALLEST {
        let middle = empty + (smallest - empty) / 2;
        let (reply, seen) = match fetch(client, partition, from, middle)? {
            Ok(found) => found,
            Err(other) => return Ok(other),
        };
        match seen.first {
            None => empty = middle,
            Some(first) if first <= from => return Ok(Read::Records(reply, seen)),
            Some(_) => {
                smallest = middle;
                best = (reply, seen);
            }
        }
    }
    let (reply, seen) = best;
    log::debug!("{partition}: offsets {from} to {} are not in the log", seen.first.unwrap_or(from));
    Ok(Read::Records(reply, seen))
}

/// The partition's first offset and its end.
pub(super) fn bounds(client: &mut Client, partition: &TopicPartition) -> Result<(i64, i64), Trouble> {
    let mut ends = [0; 2];
    for (end, which) in ends.iter_mut().zip([FetchOffset::Earliest, FetchOffset::Latest]) {
        let offsets = client.call(|kafka| kafka.fetch_topic_offsets(&partition.topic, which))?;
        *end = offsets
            .iter()
            .find(|found| found.partition == partition.partition && found.offset >= 0)
            .map(|found| found.offset)
            .ok_or(Trouble::Code(KafkaCode::LeaderNotAvailable))?;
    }
    let [first, end] = ends;
    Ok((first, end))
}

/// Compares the log with landmarks before `at`.
pub(super) fn check(
    client: &mut Client,
    partition: &TopicPartition,
    at: i64,
    landmarks: &[(i64, u32)],
) -> Result<Check, Trouble> {
    divergence::check(&mut Asked { client, partition }, at, landmarks)
}

/// A partition's log, through the crate.
struct Asked<'a> {
    client: &'a mut Client,
    partition: &'a TopicPartition,
}

impl Log for Asked<'_> {
    type Error = Trouble;

    fn fingerprint_at(&mut self, offset: i64) -> Result<Option<u32>, Trouble> {
        fingerprint_at(self.client, self.partition, offset)
    }

    fn bounds(&mut self) -> Result<(i64, i64), Trouble> {
        bounds(self.client, self.partition)
    }
}

fn fingerprint_at(
    client: &mut Client,
    partition: &TopicPartition,
    offset: i64,
) -> Result<Option<u32>, Trouble> {
    let mut max_bytes = FIRST_BYTES;
    loop {
        match read(client, partition, offset, max_bytes)? {
            Read::Records(reply, _) => {
                let mut found = None;
                reply.each(|record| {
                    if record.offset == offset {
                        found = Some(record.fingerprint());
                    }
                });
                return Ok(found);
            }
            Read::Short(_) if max_bytes < MOST_BYTES => max_bytes = max_bytes.saturating_mul(2),
            Read::Leaderless => return Err(Trouble::Code(KafkaCode::LeaderNotAvailable)),
            _ => return Ok(None),
        }
    }
}

/// Looks behind `at` for the first offset that can be read, in at most `tries` calls,
/// when nothing can be read at `at` however much is asked for: the compressed batch
/// there has lost its last records to compaction, and the crate shows nothing of it.
///
/// `Err`: nothing up to this offset.
pub(super) fn beyond(
    client: &mut Client,
    partition: &TopicPartition,
    at: i64,
    end: i64,
    tries: i64,
) -> Result<Result<i64, i64>, Trouble> {
    let last = end.min(at.saturating_add(tries));
    let mut offset = at;
    while offset < last {
        match read(client, partition, offset, FULL_BYTES)? {
            Read::Records(_, seen) => return Ok(Ok(seen.first.unwrap_or(offset))),
            Read::Gap(gap) => offset = gap.next,
            _ => offset += 1,
        }
    }
    Ok(Err(offset.max(last)))
}
