//! Where reading since a moment begins. Brokers that answer as real ones were seen to: before 0.10.1, with
//! records without timestamps, and with segments of both kinds.

use std::sync::{Arc, Mutex};

use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::*;
use crate::kafka::client::dialer::Dialer;
use crate::kafka::client::tests::{API_VERSIONS, Asked, Reply, Scripted, limits, say, speaks, text};
use crate::kafka::fetch::leader_queries::withheld;
use crate::kafka::protocol::records::Scratch;
use crate::record::TopicPartition;

/// What the broker answers for a timestamp: an offset, -1 for none, or an error code.
type Told = fn(i64) -> Result<i64, i16>;

/// The bounds of a log of ten records.
fn bounds(time: i64) -> Result<i64, i16> {
    Ok(if time == -2 { 0 } else { 10 })
}

/// The answer of a broker that has these versions of ListOffsets; `by_segment` is that of version 0.
fn answer(asked: &Asked, told: Told, by_segment: &[i64]) -> Reply {
    if asked.version == 0 {
        // Topic and partition have the places in the answer that they have in the request.
        let time = i64::from_be_bytes(asked.body[19..27].try_into().unwrap());
        let offsets = if time == -2 { &[0][..] } else { by_segment };
        let offsets: Vec<u8> = offsets.iter().take(1).flat_map(|offset| offset.to_be_bytes()).collect();
        let count = i32::try_from(offsets.len() / 8).unwrap().to_be_bytes();
        return Reply::Say([&asked.body[4..19], &[0; 2], &count, &offsets].concat());
    }
    let time = asked.read::<ListOffsetsRequest>().topics[0].partitions[0].timestamp;
    let one = ListOffsetsPartitionResponse::default();
    let one = match if time < 0 { bounds(time) } else { told(time) } {
        Ok(offset) => one.with_offset(offset),
        Err(code) => one.with_offset(-1).with_error_code(code),
    };
    let topic = ListOffsetsTopicResponse::default().with_name(text("t").into()).with_partitions(vec![one]);
    say(&ListOffsetsResponse::default().with_topics(vec![topic]), asked.version)
}

/// Where reading since 1000 begins. `last` is the timestamp of the last record.
fn found(versions: (i16, i16), told: Told, by_segment: &'static [i64], last: i64) -> (i64, StartBasis) {
    found_of(versions, told, by_segment, (last, 1))
}

/// `last` also says how many bytes the value of the last record has.
fn found_of(
    versions: (i16, i16),
    told: Told,
    by_segment: &'static [i64],
    last: (i64, usize),
) -> (i64, StartBasis) {
    let broker = Scripted::new(move |asked| match asked.key {
        API_VERSIONS => speaks(&[(1, 4, 11), (2, versions.0, versions.1)]),
        2 => answer(asked, told, by_segment),
        _ => fetched(asked, last),
    });
    since_1000(&broker)
}

fn since_1000(broker: &Scripted) -> (i64, StartBasis) {
    let dialer = Dialer::new("c", limits());
    let mut connection = dialer.open(&broker.address).unwrap();
    let partition = TopicPartition::new("t", 0);
    let mut scratch = Scratch::default();
    let mut queries = LeaderQueries {
        connection: &mut connection,
        partition: &partition,
        epoch: -1,
        scratch: &mut scratch,
    };
    let found = queries.since(1000, Isolation::ReadCommitted);
    found.unwrap_or_else(|error| match error {
        QueryError::Lost(fault) => panic!("{fault}"),
        QueryError::Code(code) => panic!("{code}"),
        QueryError::Records(why) => panic!("{why}"),
        QueryError::Withheld(time) => panic!("{}", withheld(time)),
    })
}

/// The answer to Fetch with the last record, offset 9, of this timestamp and this size. It has no more bytes
/// than were asked for.
fn fetched(asked: &Asked, (timestamp, bytes): (i64, usize)) -> Reply {
    use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
    use kafka_protocol::messages::{FetchRequest, FetchResponse};
    use kafka_protocol::records::{
        Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
    };
    let record = Record {
        transactional: false,
        control: false,
        partition_leader_epoch: 0,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset: 9,
        sequence: 0,
        timestamp,
        delete_horizon: false,
        key: None,
        value: Some(vec![b'v'; bytes].into()),
        headers: Default::default(),
    };
    let mut set = bytes::BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut set, [&record], &options).unwrap();
    let most = asked.read::<FetchRequest>().topics[0].partitions[0].partition_max_bytes;
    set.truncate(most.try_into().unwrap());
    let data = PartitionData::default().with_high_watermark(10).with_records(Some(set.freeze()));
    let topic = FetchableTopicResponse::default().with_topic(text("t").into()).with_partitions(vec![data]);
    say(&FetchResponse::default().with_responses(vec![topic]), asked.version)
}

const FROM_0_10_1: (i16, i16) = (0, 5);
const FROM_4: (i16, i16) = (1, 10);

#[test]
fn the_offset_is_that_of_the_timestamp_or_the_end() {
    let timed: Told = |time| Ok(if time <= 500 { 3 } else { -1 });
    assert_eq!(found(FROM_0_10_1, |_| Ok(3), &[7], 500), (3, StartBasis::Timestamp));
    assert_eq!(found(FROM_0_10_1, timed, &[7], 500), (10, StartBasis::End));
    assert_eq!(found(FROM_4, timed, &[], 500), (10, StartBasis::End));
    assert_eq!(found(FROM_4, timed, &[], 999), (10, StartBasis::End));
}

#[test]
fn brokers_before_0_10_1_are_asked_for_segments() {
    assert_eq!(found((0, 0), |_| Ok(3), &[7, 0], 500), (7, StartBasis::Segments));
    assert_eq!(found((0, 0), |_| Ok(3), &[], 500), (0, StartBasis::Segments), "all changed since");
}

/// What is produced between the two questions is behind the end that was asked for first.
#[test]
fn the_end_is_asked_for_before_the_timestamp() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let broker = Scripted::new(move |asked| match asked.key {
        API_VERSIONS => speaks(&[(1, 4, 11), (2, 0, 5)]),
        _ => {
            let time = asked.read::<ListOffsetsRequest>().topics[0].partitions[0].timestamp;
            noted.lock().unwrap().push(time);
            answer(asked, |_| Ok(3), &[])
        }
    });
    assert_eq!(since_1000(&broker), (3, StartBasis::Timestamp));
    assert_eq!(*asked.lock().unwrap(), [-1, 1000]);
}

/// Brokers answer for records without timestamps as if all records were older. That is not believed.
#[test]
fn records_without_timestamps_are_not_passed_over() {
    let by_segment = (7, StartBasis::NoTimestamps);
    assert_eq!(found(FROM_0_10_1, |_| Err(43), &[7], -1), by_segment, "message format 0");
    assert_eq!(found(FROM_0_10_1, |_| Ok(-1), &[7], -1), by_segment, "producers of format 0");
    assert_eq!(found(FROM_4, |_| Ok(-1), &[], -1), (0, StartBasis::NoTimestamps), "nobody knows");
    let timed: Told = |time| Ok(if time <= 500 { 3 } else { -1 });
    assert_eq!(found(FROM_0_10_1, timed, &[7], -1), by_segment, "the last ones have none");
    assert_eq!(found(FROM_0_10_1, timed, &[7], 1000), by_segment, "a segment before the last has none");
}

#[test]
fn the_last_record_is_seen_also_in_a_batch_that_the_broker_cuts() {
    let timed: Told = |time| Ok(if time <= 500 { 3 } else { -1 });
    let by_segment = (7, StartBasis::NoTimestamps);
    assert_eq!(found_of(FROM_0_10_1, timed, &[7], (-1, 20_000)), by_segment);
    assert_eq!(found_of(FROM_0_10_1, timed, &[7], (500, 20_000)), (10, StartBasis::End));
}
