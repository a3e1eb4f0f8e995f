//! One fetch reply of the crate for one partition, and its records.

use kafka_crate::client::fetch::{Data, Message, Response};

use super::error::LegacyError;
use crate::kafka::seam::DecodedRecords;
use crate::record::{Record, TopicPartition};

/// A reply to a request for one partition.
pub struct LegacyReply {
    responses: Vec<Response>,
    from: i64,
}

/// A reply without its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kafka) struct ReplySummary {
    /// The offset of the first record; `None` if there are no records.
    pub(in crate::kafka) first: Option<i64>,
    /// The offset after the last record; without records the requested offset.
    pub(in crate::kafka) next: i64,
    /// Offset and fingerprint of the last record.
    pub(in crate::kafka) last: Option<(i64, u32)>,
    /// The high watermark of the partition.
    pub(in crate::kafka) high_watermark: i64,
    /// Bytes of keys and values, with 64 more for each record.
    pub(in crate::kafka) bytes: u64,
}

impl LegacyReply {
    pub(in crate::kafka) fn new(responses: Vec<Response>, from: i64) -> Self {
        Self { responses, from }
    }

    /// A reply without records, for an empty offset range up to `from`.
    pub(in crate::kafka) fn empty(from: i64) -> Self {
        Self::new(Vec::new(), from)
    }

    /// The summary. `None`: the crate sent no request, because it knows no leader.
    ///
    /// The crate does not compare correlation ids, so the reply may answer an earlier request. A reply for
    /// another partition is an error that drops the client.
    pub(super) fn look(&self, asked: &TopicPartition) -> Result<Option<ReplySummary>, LegacyError> {
        let answers = self.responses.iter().flat_map(|response| response.topics());
        let mut answers = answers.flat_map(|topic| topic.partitions().iter().map(move |one| (topic, one)));
        let Some((topic, partition)) = answers.next() else { return Ok(None) };
        let fits = topic.topic() == &*asked.topic && partition.partition() == asked.partition;
        if !fits || answers.next().is_some() {
            return Err(LegacyError::Client("the broker's reply answers another request".to_owned()));
        }
        match partition.data() {
            Ok(data) => Ok(Some(self.summarise(data))),
            Err(error) => Err(LegacyError::of(&error)),
        }
    }

    fn summarise(&self, data: &Data<'_>) -> ReplySummary {
        let ascending_records = || ascending(data.messages(), self.from);
        let last = ascending_records().last();
        ReplySummary {
            first: ascending_records().map(|message| message.offset).next(),
            next: last.map_or(self.from, |message| message.offset + 1),
            last: last.map(|message| (message.offset, record(message).fingerprint())),
            high_watermark: data.highwatermark_offset(),
            bytes: ascending_records()
                .map(|message| (message.key.len() + message.value.len() + 64) as u64)
                .sum(),
        }
    }
}

impl DecodedRecords for LegacyReply {
    fn each(&self, each: &mut dyn FnMut(&Record<'_>)) {
        let partitions =
            self.responses.iter().flat_map(|response| response.topics()).flat_map(|topic| topic.partitions());
        for partition in partitions {
            let Ok(data) = partition.data() else { continue };
            for message in ascending(data.messages(), self.from) {
                each(&record(message));
            }
        }
    }
}

/// The messages from an offset on, up to the first whose offset does not ascend. If a broker converts a
/// compacted batch for this client, it may send the same messages twice in one reply (seen with 2.8
/// and 3.9).
fn ascending<'a, 'm>(
    messages: &'a [Message<'m>],
    from: i64,
) -> impl Iterator<Item = &'a Message<'m>> + use<'a, 'm> {
    let mut least = from;
    let candidates = messages.iter().filter(move |message| message.offset >= from);
    candidates.take_while(move |message| message.offset >= std::mem::replace(&mut least, message.offset + 1))
}

/// The crate shows null as empty. So an empty key or value is taken for null: nearly all empty ones are
/// null.
fn record<'a>(message: &Message<'a>) -> Record<'a> {
    let some = |bytes: &'a [u8]| Some(bytes).filter(|bytes| !bytes.is_empty());
    Record::bare(message.offset, some(message.key), some(message.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_messages_are_taken_once() {
        let messages: Vec<Message<'_>> =
            [3, 5, 7, 8, 5, 7, 8, 9].map(|offset| Message { offset, key: b"", value: b"" }).into();
        let offsets: Vec<i64> = ascending(&messages, 5).map(|message| message.offset).collect();
        assert_eq!(offsets, [5, 7, 8]);
    }
}
