//! Questions to the leader of a partition before it is read, or when there is nothing at the
//! position: its bounds, whether the log is still the same, and which transaction blocks it.

use std::ops::{ControlFlow, Range};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::config::BATCH_BYTES_MAX;
use super::divergence::{self, Comparison, OtherTopic, PartitionLog};
use crate::error::Fault;
use crate::kafka::client::connection::Connection;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::frame::Frame;
use crate::kafka::protocol::messages::epoch_ends::EpochEnd;
use crate::kafka::protocol::messages::fetch::{FetchedPartition, PartitionFetch, SessionPlace};
use crate::kafka::protocol::messages::list_offsets::{ListedOffset, OffsetSpec};
use crate::kafka::protocol::messages::{EpochEnds, Fetch, Isolation, ListOffsets};
use crate::kafka::protocol::records::{self, Scratch};
use crate::plural::counted;
use crate::record::{LeaderEpochs, TopicPartition};

/// How many bytes are requested to see the record at an offset. A larger batch is requested again where the
/// broker cuts it. More would use up a quota.
pub(super) const LANDMARK_BYTES: usize = 16 * 1024;

/// Why a question has no answer.
pub(in crate::kafka) enum QueryError {
    /// The connection failed.
    Lost(Fault),
    /// The broker answers with this code for the partition.
    Code(ErrorCode),
    /// The records cannot be read. The text says why.
    Records(String),
    /// The broker throttles this client for its quota. The question may be asked again after this time.
    Withheld(Duration),
}

/// That a question has no answer because of a quota.
pub(in crate::kafka) fn withheld(time: Duration) -> String {
    format!("Kafka throttles this client for {time:.1?}, because of its quota")
}

impl From<Fault> for QueryError {
    fn from(fault: Fault) -> Self {
        QueryError::Lost(fault)
    }
}

/// A partition, and a connection to its leader.
pub(in crate::kafka) struct LeaderQueries<'a> {
    pub(in crate::kafka) connection: &'a mut Connection,
    pub(in crate::kafka) partition: &'a TopicPartition,
    pub(in crate::kafka) epoch: i32,
    pub(in crate::kafka) scratch: &'a mut Scratch,
}

impl LeaderQueries<'_> {
    /// The first offset, or the end of the log.
    pub(in crate::kafka) fn offset(
        &mut self,
        spec: OffsetSpec,
        isolation: Isolation,
    ) -> Result<i64, QueryError> {
        self.look_up(spec, isolation)?.ok_or(QueryError::Code(ErrorCode::LEADER_NOT_AVAILABLE))
    }

    /// The offset; `None` if the partition has none that fits.
    pub(super) fn look_up(
        &mut self,
        spec: OffsetSpec,
        isolation: Isolation,
    ) -> Result<Option<i64>, QueryError> {
        let partitions = [(self.partition.clone(), self.epoch)];
        let answer = self.connection.ask(&ListOffsets { isolation, spec, partitions: &partitions })?;
        self.listed(answer)
    }

    /// The offset in an answer to ListOffsets.
    pub(super) fn listed(
        &self,
        answer: Vec<(TopicPartition, ListedOffset)>,
    ) -> Result<Option<i64>, QueryError> {
        match answer.into_iter().find(|(partition, _)| partition == self.partition) {
            Some((_, listed)) if !listed.code.is_none() => Err(QueryError::Code(listed.code)),
            Some((_, listed)) => Ok(Some(listed.offset).filter(|offset| *offset >= 0)),
            None => Err(QueryError::Code(ErrorCode::LEADER_NOT_AVAILABLE)),
        }
    }

    /// Compares the log with the landmarks before `at`.
    pub(super) fn compare(
        &mut self,
        at: i64,
        landmarks: &[(i64, u32)],
        epochs: Option<&LeaderEpochs>,
    ) -> Result<Comparison, QueryError> {
        divergence::compare(self, at, landmarks, epochs)
    }

    /// Compares the log with the landmarks before `at`, if the topic has another id than is known.
    pub(super) fn compare_other_topic(
        &mut self,
        at: i64,
        landmarks: &[(i64, u32)],
    ) -> Result<OtherTopic, QueryError> {
        divergence::compare_other_topic(self, at, landmarks)
    }

    /// Requests the records at an offset, those of all transactions included; `None` if the log
    /// does not have the offset.
    pub(super) fn fetch(
        &mut self,
        offset: i64,
        max_bytes: usize,
    ) -> Result<Option<(FetchedPartition, Frame)>, QueryError> {
        let max_bytes = i32::try_from(max_bytes).unwrap_or(i32::MAX);
        let (partition, epoch) = (self.partition.clone(), self.epoch);
        let wanted = [PartitionFetch { partition, epoch, offset, max_bytes }];
        let fetch = Fetch {
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes,
            isolation: Isolation::ReadUncommitted,
            session: SessionPlace::NONE,
            forgotten: &[],
            partitions: &wanted,
        };
        let sent = self.connection.send(&fetch, Duration::ZERO)?;
        let mut frame = Frame::default();
        let answer = self.connection.receive::<Fetch<'_>>(sent, &mut frame)?;
        if let Some(pause) = answer.withheld_for() {
            return Err(QueryError::Withheld(pause));
        }
        let found = answer.partitions.into_iter().find(|(partition, _)| partition == self.partition);
        match found {
            _ if !answer.code.is_none() => Err(QueryError::Code(answer.code)),
            Some((_, found)) if found.code == ErrorCode::OFFSET_OUT_OF_RANGE => Ok(None),
            Some((_, found)) if !found.code.is_none() => Err(QueryError::Code(found.code)),
            Some((_, found)) => Ok(Some((found, frame))),
            None => Err(QueryError::Code(ErrorCode::LEADER_NOT_AVAILABLE)),
        }
    }

    /// As [`Self::fetch`], with the first batch whole, and where the record set is in the frame; `None` also
    /// if that batch is larger than what is read.
    pub(super) fn fetch_whole(&mut self, offset: i64) -> Result<Option<(Range<usize>, Frame)>, QueryError> {
        let mut max_bytes = LANDMARK_BYTES;
        loop {
            let Some((found, frame)) = self.fetch(offset, max_bytes)? else { return Ok(None) };
            let set = frame.bytes().get(found.records.clone()).unwrap_or_default();
            match records::span(set, offset) {
                Ok(span) if span.next == offset => match span.cut {
                    Some(needed) if needed > BATCH_BYTES_MAX => return Ok(None),
                    Some(needed) if needed > max_bytes => max_bytes = needed,
                    _ if offset < found.high_watermark => {
                        return Err(QueryError::Records(format!(
                            "its leader sends nothing at offset {offset}, although the log goes on"
                        )));
                    }
                    _ => return Ok(None),
                },
                Ok(_) => return Ok(Some((found.records, frame))),
                Err(broken) => return Err(QueryError::Records(broken.to_string())),
            }
        }
    }

    /// A sentence about the open transaction at `at`: its producer, and since when it is open.
    pub(super) fn describe_blocking_transaction(&mut self, at: i64) -> Result<String, QueryError> {
        let origin = self.fetch(at, LANDMARK_BYTES)?.and_then(|(found, frame)| {
            let set = frame.bytes().get(found.records.clone())?;
            let waiting = found.high_watermark - at;
            origin(set).map(|origin| (origin, waiting))
        });
        let Some((origin, waiting)) = origin else {
            return Ok(format!("an open transaction blocks it at offset {at}"));
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let age = now.saturating_sub(u128::try_from(origin.timestamp).unwrap_or(0)) / 1000;
        Ok(format!(
            "an open transaction blocks it at offset {at}: producer {} wrote there {age} s ago, and has \
             neither committed nor aborted since; {} from there on cannot be read yet",
            origin.producer,
            counted(waiting, "offset")
        ))
    }
}

impl PartitionLog for LeaderQueries<'_> {
    type Error = QueryError;

    fn fingerprint_at(&mut self, offset: i64) -> Result<Option<u32>, QueryError> {
        let Some((set, frame)) = self.fetch_whole(offset)? else { return Ok(None) };
        fingerprint(frame.bytes().get(set).unwrap_or_default(), offset, self.scratch)
    }

    fn bounds(&mut self) -> Result<(i64, i64), QueryError> {
        let all = Isolation::ReadUncommitted;
        Ok((self.offset(OffsetSpec::First, all)?, self.offset(OffsetSpec::Next, all)?))
    }

    fn epoch_end(&mut self, epoch: i32) -> Result<Option<(i32, i64)>, QueryError> {
        if self.connection.versions().choose::<EpochEnds<'_>>().is_err() {
            return Ok(None);
        }
        let partitions = [(self.partition.clone(), self.epoch, epoch)];
        let answer = self.connection.ask(&EpochEnds { partitions: &partitions })?;
        let found = answer.into_iter().find(|(partition, _)| partition == self.partition);
        let Some((_, EpochEnd { code, epoch, end })) = found else { return Ok(None) };
        if !code.is_none() {
            // Landmarks show the same, if less exactly.
            log::debug!("{}: where its leader epochs end: Kafka answers {code}", self.partition);
        }
        Ok((code.is_none() && epoch >= 0 && end >= 0).then_some((epoch, end)))
    }
}

/// The producer of a batch, and its time.
struct BatchOrigin {
    producer: i64,
    /// Milliseconds since 1970.
    timestamp: i64,
}

/// The origin of the first batch of a record set. Batches have it from format 2 on.
fn origin(set: &[u8]) -> Option<BatchOrigin> {
    let number = |at: usize| set.get(at..)?.first_chunk().copied().map(i64::from_be_bytes);
    let (timestamp, producer) = (number(35)?, number(43)?);
    (*set.get(16)? == 2 && producer >= 0).then_some(BatchOrigin { producer, timestamp })
}

/// The fingerprint of the record at this offset; `None` if the set does not have it.
pub(super) fn fingerprint(set: &[u8], offset: i64, scratch: &mut Scratch) -> Result<Option<u32>, QueryError> {
    let mut found = None;
    let decoded = records::decode(set, offset, None, scratch, &mut |record| {
        if record.offset == offset {
            found = Some(record.fingerprint());
        }
        ControlFlow::Break(())
    });
    match decoded {
        Ok(_) => Ok(found),
        Err(broken) => Err(QueryError::Records(broken.to_string())),
    }
}
