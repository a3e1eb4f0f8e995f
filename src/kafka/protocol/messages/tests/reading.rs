//! Fetch and ListOffsets. Versions that the oracle supports are compared with it; earlier ones with
//! bytes that are put together here field by field, after Kafka's schemas
//! (`Protocol.java` of Kafka 0.10.2, `FETCH_REQUEST_V0` and following).

use super::*;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::messages::fetch::{PartitionFetch, SessionPlace};
use crate::kafka::protocol::messages::list_offsets::{OffsetSpec, SegmentOffsets};
use crate::kafka::protocol::records::Aborted;
use kafka_protocol::messages::{FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse};

/// The first versions that the oracle supports.
pub(super) const ORACLE_FETCH: i16 = 4;
const ORACLE_LIST: i16 = 1;

fn isolations() -> impl Strategy<Value = Isolation> {
    prop_oneof![Just(Isolation::ReadUncommitted), Just(Isolation::ReadCommitted)]
}

type Asked = (i32, i32, i64, i32);

fn old_fetch(wait: i32, least: i32, most: i32, topics: &[(String, Vec<Asked>)], version: i16) -> Vec<u8> {
    let mut out = WireWriter::default();
    [-1, wait, least].into_iter().for_each(|number| out.i32(number));
    if version == 3 {
        out.i32(most);
    }
    out.list(topics.iter(), |out, (topic, items)| {
        out.string(topic);
        out.list(items.iter(), |out, (partition, _, offset, bytes)| {
            out.i32(*partition);
            out.i64(*offset);
            out.i32(*bytes);
        });
    });
    out.finish().unwrap()
}

fn their_fetch(
    wait: i32,
    least: i32,
    most: i32,
    isolation: Isolation,
    topics: &[(String, Vec<Asked>)],
    (session, forgotten): (SessionPlace, &[(String, Vec<i32>)]),
    version: i16,
) -> FetchRequest {
    use kafka_protocol::messages::fetch_request as their;
    let forgotten = forgotten.iter().map(|(topic, partitions)| {
        their::ForgottenTopic::default().with_topic(text(topic).into()).with_partitions(partitions.clone())
    });
    let topics = topics.iter().map(|(topic, items)| {
        let partitions = items.iter().map(|(partition, epoch, offset, bytes)| {
            let one = their::FetchPartition::default().with_partition(*partition);
            let one = one.with_fetch_offset(*offset).with_partition_max_bytes(*bytes);
            if version >= 9 { one.with_current_leader_epoch(*epoch) } else { one }
        });
        their::FetchTopic::default().with_topic(text(topic).into()).with_partitions(partitions.collect())
    });
    let request = FetchRequest::default()
        .with_max_wait_ms(wait)
        .with_min_bytes(least)
        .with_max_bytes(most)
        .with_isolation_level(isolation.level())
        .with_topics(topics.collect());
    if version < 7 {
        return request;
    }
    let request = request.with_session_id(session.id).with_session_epoch(session.epoch);
    request.with_forgotten_topics_data(forgotten.collect())
}

/// A partition of an answer: number, code, high watermark, last stable offset, log
/// start, aborted transactions, records.
pub(super) type Got = (i32, i16, i64, i64, i64, Option<Vec<(i64, i64)>>, Vec<u8>);

pub(super) fn got() -> impl Strategy<Value = Vec<(String, Vec<Got>)>> {
    let aborted = proptest::option::of(vec((any::<i64>(), any::<i64>()), 0..4));
    let one = (
        any::<i32>(),
        any::<i16>(),
        any::<i64>(),
        any::<i64>(),
        any::<i64>(),
        aborted,
        vec(any::<u8>(), 0..40),
    );
    topics(one)
}

fn old_fetched(topics: &[(String, Vec<Got>)], version: i16, number: i32) -> Vec<u8> {
    let mut out = WireWriter::default();
    if version >= 1 {
        out.i32(number);
    }
    out.list(topics.iter(), |out, (topic, items)| {
        out.string(topic);
        out.list(items.iter(), |out, (partition, code, high, _, _, _, records)| {
            out.i32(*partition);
            out.i16(*code);
            out.i64(*high);
            out.list(records.iter(), |out, byte| out.i8(byte.cast_signed()));
        });
    });
    out.finish().unwrap()
}

pub(super) fn their_fetched(
    topics: &[(String, Vec<Got>)],
    version: i16,
    number: i32,
    code: i16,
) -> FetchResponse {
    use kafka_protocol::messages::fetch_response as their;
    let topics = topics.iter().map(|(topic, items)| {
        let partitions = items.iter().map(|(partition, code, high, stable, start, aborted, records)| {
            let aborted = aborted.as_ref().map(|all| {
                let one = |(producer, first): &(i64, i64)| {
                    let one = their::AbortedTransaction::default().with_producer_id((*producer).into());
                    one.with_first_offset(*first)
                };
                all.iter().map(one).collect()
            });
            let one = their::PartitionData::default()
                .with_partition_index(*partition)
                .with_error_code(*code)
                .with_high_watermark(*high)
                .with_last_stable_offset(*stable)
                .with_aborted_transactions(aborted)
                .with_records(Some(records.clone().into()));
            let one = if version >= 5 { one.with_log_start_offset(*start) } else { one };
            if version >= 11 { one.with_preferred_read_replica(number.into()) } else { one }
        });
        let topic = their::FetchableTopicResponse::default().with_topic(text(topic).into());
        topic.with_partitions(partitions.collect())
    });
    let answer = FetchResponse::default().with_throttle_time_ms(number).with_responses(topics.collect());
    if version >= 7 { answer.with_error_code(code).with_session_id(number) } else { answer }
}

/// A partition of an answer: number, code, offset.
pub(super) type Listed = (i32, i16, Option<i64>);

pub(super) fn listed() -> impl Strategy<Value = Vec<(String, Vec<Listed>)>> {
    topics((any::<i32>(), any::<i16>(), proptest::option::of(any::<i64>())))
}

pub(super) fn list_answer(all: &[(String, Vec<Listed>)], version: i16, number: i32) -> Vec<u8> {
    use kafka_protocol::messages::list_offsets_response as their;
    if version < ORACLE_LIST {
        let mut out = WireWriter::default();
        out.list(all.iter(), |out, (topic, items)| {
            out.string(topic);
            out.list(items.iter(), |out, (partition, code, offset)| {
                out.i32(*partition);
                out.i16(*code);
                out.list(offset.iter(), |out, offset| out.i64(*offset));
            });
        });
        return out.finish().unwrap();
    }
    let topics = all.iter().map(|(topic, items)| {
        let items = items.iter().map(|(partition, code, offset)| {
            let one = their::ListOffsetsPartitionResponse::default();
            let one = one.with_partition_index(*partition).with_error_code(*code);
            let one = one.with_timestamp(i64::from(number)).with_offset(offset.unwrap_or(-1));
            if version >= 4 { one.with_leader_epoch(number) } else { one }
        });
        let topic = their::ListOffsetsTopicResponse::default().with_name(text(topic).into());
        topic.with_partitions(items.collect())
    });
    let throttle = if version >= 2 { number } else { 0 };
    let answer = ListOffsetsResponse::default().with_throttle_time_ms(throttle);
    theirs(&answer.with_topics(topics.collect()), version)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fetch_is_written(
        (wait, least, most) in any::<(i32, i32, i32)>(),
        isolation in isolations(),
        all in topics(any::<Asked>()),
        (id, epoch) in any::<(i32, i32)>(),
        left in topics(any::<i32>()),
    ) {
        let partitions: Vec<PartitionFetch> = all.iter().flat_map(|(topic, items)| {
            items.iter().map(|(partition, epoch, offset, bytes)| PartitionFetch {
                partition: TopicPartition::new(topic.as_str(), *partition),
                epoch: *epoch,
                offset: *offset,
                max_bytes: *bytes,
            })
        }).collect();
        let (max_wait_ms, min_bytes, max_bytes) = (wait, least, most);
        let forgotten: Vec<TopicPartition> = left.iter().flat_map(|(topic, items)| {
            items.iter().map(|partition| TopicPartition::new(topic.as_str(), *partition))
        }).collect();
        let (session, forgotten) = (SessionPlace { id, epoch }, forgotten.as_slice());
        let partitions = partitions.as_slice();
        let fetch =
            Fetch { max_wait_ms, min_bytes, max_bytes, isolation, session, partitions, forgotten };
        for version in Fetch::LOWEST..=Fetch::HIGHEST {
            let meant = if version < ORACLE_FETCH {
                old_fetch(wait, least, most, &all, version)
            } else {
                let session = (session, left.as_slice());
                theirs(&their_fetch(wait, least, most, isolation, &all, session, version), version)
            };
            prop_assert_eq!(ours(&fetch, version), meant, "version {}", version);
        }
    }

    #[test]
    fn fetch_is_read(all in got(), number in any::<i32>(), whole in any::<i16>()) {
        for version in Fetch::LOWEST..=Fetch::HIGHEST {
            let bytes = if version < ORACLE_FETCH {
                old_fetched(&all, version, number)
            } else {
                theirs(&their_fetched(&all, version, number, whole), version)
            };
            let answer = read::<Fetch<'_>>(version, &bytes).unwrap();
            prop_assert_eq!(answer.code, ErrorCode(if version >= 7 { whole } else { 0 }));
            prop_assert_eq!(answer.session, if version >= 7 { number } else { 0 });
            prop_assert_eq!(answer.throttle_ms, if version >= 1 { number } else { 0 });
            let read: Vec<_> = answer.partitions.into_iter().map(|(partition, one)| {
                let records = bytes.get(one.records).unwrap().to_vec();
                let (high, stable, start) = (one.high_watermark, one.last_stable, one.log_start);
                (partition, one.code, high, stable, start, one.aborted, records)
            }).collect();
            let meant: Vec<_> = all.iter().flat_map(|(topic, items)| items.iter().map(|one| {
                let (partition, code, high, stable, start, aborted, records) = one.clone();
                let stable = if version >= 4 { stable } else { -1 };
                let start = if version >= 5 { start } else { -1 };
                let aborted = aborted.filter(|_| version >= 4).unwrap_or_default().into_iter();
                let aborted = aborted.map(|(producer, first_offset)| Aborted { first_offset, producer });
                let partition = TopicPartition::new(topic.as_str(), partition);
                (partition, ErrorCode(code), high, stable, start, aborted.collect::<Vec<_>>(), records)
            })).collect();
            prop_assert_eq!(read, meant, "version {}", version);
        }
    }

    #[test]
    fn list_offsets_is_written(
        which in prop_oneof![Just(-2i64), Just(-1), 0..i64::MAX],
        isolation in isolations(),
        all in topics(any::<(i32, i32)>()),
    ) {
        use kafka_protocol::messages::list_offsets_request as their;
        let partitions: Vec<(TopicPartition, i32)> = all.iter().flat_map(|(topic, items)| {
            items.iter().map(|(partition, epoch)| (TopicPartition::new(topic.as_str(), *partition), *epoch))
        }).collect();
        let (spec, time) = match which {
            -2 => (OffsetSpec::First, -2),
            -1 => (OffsetSpec::Next, -1),
            since => (OffsetSpec::Since(since), since),
        };
        let request = ListOffsets { isolation, spec, partitions: &partitions };
        for version in ListOffsets::LOWEST..=ListOffsets::HIGHEST {
            let meant = if version < ORACLE_LIST {
                let mut out = WireWriter::default();
                out.i32(-1);
                out.list(all.iter(), |out, (topic, items)| {
                    out.string(topic);
                    out.list(items.iter(), |out, (partition, _)| {
                        out.i32(*partition);
                        out.i64(time);
                        out.i32(1);
                    });
                });
                out.finish().unwrap()
            } else {
                let topics = all.iter().map(|(topic, items)| {
                    let items = items.iter().map(|(partition, epoch)| {
                        let one = their::ListOffsetsPartition::default().with_partition_index(*partition);
                        let one = one.with_timestamp(time);
                        if version >= 4 { one.with_current_leader_epoch(*epoch) } else { one }
                    });
                    let topic = their::ListOffsetsTopic::default().with_name(text(topic).into());
                    topic.with_partitions(items.collect())
                });
                let level = if version >= 2 { isolation.level() } else { 0 };
                let request = ListOffsetsRequest::default().with_replica_id((-1).into());
                theirs(&request.with_isolation_level(level).with_topics(topics.collect()), version)
            };
            prop_assert_eq!(ours(&request, version), &meant[..], "version {}", version);
            if let (0, OffsetSpec::Since(since)) = (version, spec) {
                prop_assert_eq!(ours(&SegmentOffsets { since, partitions: &partitions }, 0), meant);
            }
        }
    }

    #[test]
    fn list_offsets_is_read(
        all in listed(),
        number in any::<i32>(),
    ) {
        for version in ListOffsets::LOWEST..=ListOffsets::HIGHEST {
            let bytes = list_answer(&all, version, number);
            if version == 0 {
                let segments = read::<SegmentOffsets<'_>>(0, &bytes).unwrap();
                prop_assert_eq!(segments, read::<ListOffsets<'_>>(0, &bytes).unwrap());
            }
            let read: Vec<_> = read::<ListOffsets<'_>>(version, &bytes).unwrap().into_iter()
                .map(|(partition, one)| (partition, one.code, one.offset)).collect();
            let meant: Vec<_> = all.iter().flat_map(|(topic, items)| {
                items.iter().map(|(number, code, offset)| {
                    (TopicPartition::new(topic.as_str(), *number), ErrorCode(*code), offset.unwrap_or(-1))
                })
            }).collect();
            prop_assert_eq!(read, meant, "version {}", version);
        }
    }
}
