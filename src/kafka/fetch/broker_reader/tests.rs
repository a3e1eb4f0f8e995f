//! One reader and one broker that answers as a script says.

mod epochs;
mod late_answers;
mod quotas;

use std::sync::Mutex;

use crossbeam_channel::{bounded, unbounded};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};

use super::*;
use crate::kafka::client::connection::ConnectionLimits;
use crate::kafka::client::tests::{API_VERSIONS, Asked, Reply, Scripted, limits, say, speaks};
use crate::kafka::client::versions_seen::VersionsSeen;
use crate::kafka::fetch::messages::LedTopic;
use crate::kafka::seam::{DivergenceCause, ExpectedLog, FailedPartition, StartOffset};
use crate::record::TopicId;

const FETCH: i16 = 1;

/// How long a test waits for what must come.
const WAIT: Duration = Duration::from_secs(20);

/// One batch of records from `first` to `last`, each with a value of so many bytes.
fn batch(first: i64, last: i64, bytes: usize) -> Vec<u8> {
    let record = |offset| Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 0,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset,
        // One batch has all records.
        sequence: i32::try_from(offset).unwrap(),
        timestamp: 1000,
        key: None,
        value: Some(vec![b'v'; bytes].into()),
        headers: Default::default(),
    };
    let records: Vec<Record> = (first..=last).map(record).collect();
    let mut out = bytes::BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut out, &records, &options).unwrap();
    out.to_vec()
}

/// The fingerprint of such a record.
fn print_of(bytes: usize) -> u32 {
    crate::record::Record::bare(0, None, Some(&vec![b'v'; bytes])).fingerprint()
}

/// An answer to a Fetch request. `found`: what each partition has: its end, the last stable offset, records.
fn answer(asked: &Asked, session: i32, found: impl Fn(i32, i64) -> (i64, i64, Vec<u8>)) -> Reply {
    let request: FetchRequest = asked.read();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|one| {
            let (end, stable, records) = found(one.partition, one.fetch_offset);
            PartitionData::default()
                .with_partition_index(one.partition)
                .with_high_watermark(end)
                .with_last_stable_offset(stable)
                .with_records(Some(records.into()))
        });
        let partitions = partitions.collect();
        FetchableTopicResponse::default().with_topic(topic.topic).with_partitions(partitions)
    });
    let answer = FetchResponse::default().with_session_id(session).with_responses(topics.collect());
    say(&answer, asked.version)
}

/// An answer to ListOffsets: the log goes from 0 to `end`.
fn list(asked: &Asked, end: i64) -> Reply {
    let request: ListOffsetsRequest = asked.read();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|one| {
            let offset = if one.timestamp == -2 { 0 } else { end };
            let answer = ListOffsetsPartitionResponse::default().with_partition_index(one.partition_index);
            answer.with_offset(offset)
        });
        let partitions = partitions.collect();
        ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions)
    });
    say(&ListOffsetsResponse::default().with_topics(topics.collect()), asked.version)
}

/// A reader in its thread, and the ends of its channels.
struct Running {
    orders: Sender<ReaderOrder>,
    events: Receiver<Vec<Event>>,
    relinquished: Receiver<PartitionRelinquished>,
}

impl Running {
    fn over(broker: &Scripted, limits: ConnectionLimits) -> Self {
        Self::with(broker, limits, FetchConfig::default().blocked_log_after)
    }

    /// `blocked_log_after`: see [`FetchConfig`].
    fn with(broker: &Scripted, limits: ConnectionLimits, blocked_log_after: Duration) -> Self {
        Self::of(broker, (limits, blocked_log_after), VersionsSeen::default())
    }

    fn of(
        broker: &Scripted,
        (limits, blocked_log_after): (ConnectionLimits, Duration),
        versions_seen: VersionsSeen,
    ) -> Self {
        let (orders, to_do) = unbounded();
        let (events, received) = bounded(1);
        let (report, relinquished) = unbounded();
        let cluster = Cluster {
            brokers: vec![broker.host()],
            client_id: "c".to_owned(),
            read_committed: true,
            silent: false,
            versions_seen,
            tls: None,
        };
        let config = FetchConfig { limits, blocked_log_after, ..FetchConfig::default() };
        let dialer = cluster.dialer().with_limits(limits);
        let (frames, reading) = (FramePool::new(4), Arc::default());
        let context = ReaderContext { cluster, config, events, report, frames, reading, dialer };
        let reader = BrokerReader::new(broker.address.clone(), context, to_do);
        std::thread::spawn(move || reader.run());
        Self { orders, events: received, relinquished }
    }

    fn read(&self, number: i32, start: StartOffset) {
        self.read_of(number, start, (None, None));
    }

    /// `topic`: the ids of the present topic and of that which the start belongs to.
    fn read_of(
        &self,
        number: i32,
        start: StartOffset,
        (topic, expected): (Option<TopicId>, Option<TopicId>),
    ) {
        let partition = TopicPartition::new("t", number);
        let expected = ExpectedLog { topic: expected, ..ExpectedLog::default() };
        let leader = LedTopic { epoch: -1, topic, expected };
        self.orders.send(ReaderOrder::Read { partition, start, assignment: 1, leader }).unwrap();
    }

    /// Assigns a partition once more.
    fn read_again(&self, number: i32, start: StartOffset) {
        let (partition, leader) = (TopicPartition::new("t", number), LedTopic::default());
        self.orders.send(ReaderOrder::Read { partition, start, assignment: 2, leader }).unwrap();
    }

    /// The events until one is like this.
    fn events_until(&self, is_last: impl Fn(&Event) -> bool) -> Vec<Event> {
        let (until, mut all) = (Instant::now() + WAIT, Vec::new());
        loop {
            let Ok(events) = self.events.recv_deadline(until) else {
                panic!("it did not come; failures: {:?}", failures(&all))
            };
            let ends = events.iter().any(&is_last);
            all.extend(events);
            if ends {
                return all;
            }
        }
    }
}

fn failures(of: &[Event]) -> Vec<&FailedPartition> {
    let failed = of.iter().filter_map(|event| match event {
        Event::PartitionFailed(failed) => Some(failed),
        _ => None,
    });
    failed.collect()
}

/// The broker speaks Fetch up to this version.
fn versions(fetch: i16) -> Reply {
    speaks(&[(FETCH, 0, fetch), (2, 0, 2), (3, 0, 5), (18, 0, 1)])
}

/// A transaction holds the partition up, which is told. The broker holds each request for as long as it may;
/// in a session it leaves the partition out, because nothing of it changes.
#[test]
fn a_blocked_partition_is_told_and_spins_no_reader() {
    for session in [0, 9] {
        let impatient = Arc::new(Mutex::new(0));
        let count = Arc::clone(&impatient);
        let broker = Scripted::new(move |asked| match asked.key {
            API_VERSIONS => versions(7),
            FETCH => {
                let request: FetchRequest = asked.read();
                // Questions about the transaction belong to no session, and are not held.
                let is_reading = request.session_epoch >= 0;
                *count.lock().unwrap() += u32::from(is_reading && request.max_wait_ms == 0);
                std::thread::sleep(Duration::from_millis(request.max_wait_ms.min(20).try_into().unwrap()));
                match request.session_epoch {
                    1.. => say(&FetchResponse::default().with_session_id(session), asked.version),
                    _ => answer(asked, session, |_, at| match at {
                        7 => (50, 9, batch(7, 8, 10)),
                        _ if is_reading => (50, 9, Vec::new()),
                        _ => (50, 9, batch(9, 9, 10)),
                    }),
                }
            }
            _ => Reply::Close,
        });
        let reader = Running::with(&broker, limits(), Duration::from_millis(100));
        reader.read(0, StartOffset::At(7, Vec::new()));
        reader.events_until(|event| matches!(event, Event::Fetched(fetched) if fetched.next == 9));
        let told = reader.events_until(|event| matches!(event, Event::PartitionFailed(_)));
        let told = failures(&told);
        assert!(told[0].why.contains("an open transaction blocks it at offset 9"), "{told:?}");
        let (began, asked, before) = (Instant::now(), broker.asked().len(), *impatient.lock().unwrap());
        let is_asked_on = || broker.asked().len() > asked + 5;
        while began.elapsed() < Duration::from_millis(500) || !is_asked_on() && began.elapsed() < WAIT {
            let _event = reader.events.recv_timeout(Duration::from_millis(100));
        }
        assert_eq!(*impatient.lock().unwrap(), before, "the broker may not hold these, session {session}");
        assert!(is_asked_on(), "it is asked on");
    }
}

/// The log has records 0 to 39, each of 9 bytes but the one at 30. What was read before is at the position
/// 40, or at 50, and belongs to another topic, to this one, or nobody knows.
#[test]
fn another_topic_is_told_by_its_id_and_its_records() {
    let broker = Scripted::new(|asked| match asked.key {
        API_VERSIONS => speaks(&[(FETCH, 0, 11), (2, 0, 5), (3, 0, 9), (18, 0, 3)]),
        2 => list(asked, 40),
        FETCH => answer(asked, 0, |_, at| match at {
            0..40 => (40, 40, batch(at, at, if at == 30 { 5 } else { 9 })),
            _ => (40, 40, Vec::new()),
        }),
        _ => Reply::Close,
    });
    let (own, old) = (TopicId::new(7), TopicId::new(8));
    let (same, other) = (print_of(9), print_of(100));
    // What is known of the topic; the position; the landmarks. Then why it diverges, or which topic it is
    // found to be.
    let cases = [
        (old, 40, vec![(39, same), (20, same)], Err(own)),
        (old, 40, vec![(20, other), (39, same)], Ok(DivergenceCause::OtherRecords)),
        (old, 40, vec![(45, same)], Ok(DivergenceCause::NothingToCompare)),
        (old, 40, Vec::new(), Ok(DivergenceCause::NothingToCompare)),
        (old, 50, vec![(49, same)], Ok(DivergenceCause::EndsBefore)),
        (own, 40, vec![(39, same)], Err(None)),
        (own, 40, Vec::new(), Err(None)),
        (None, 40, vec![(39, same)], Err(own)),
        (None, 40, Vec::new(), Err(own)),
        (None, 40, vec![(39, other)], Ok(DivergenceCause::OtherRecords)),
    ];
    for (expected, at, mut landmarks, wanted) in cases {
        landmarks.sort_unstable();
        let case = format!("{expected:?} {at} {landmarks:?}");
        let reader = Running::over(&broker, limits());
        reader.read_of(0, StartOffset::At(at, landmarks), (own, expected));
        let events =
            reader.events_until(|event| matches!(event, Event::Recovered { .. } | Event::Diverged { .. }));
        let mut found = Err(None);
        for event in events {
            match event {
                Event::Diverged { next, why, topic, .. } => {
                    assert_eq!((next, topic), (0, own), "{case}");
                    found = Ok(why);
                }
                Event::Identified { topic, .. } => found = Err(Some(topic)),
                _ => {}
            }
        }
        assert_eq!(found, wanted, "{case}");
    }
    // Many partitions are compared together.
    let reader = Running::over(&broker, limits());
    for number in 0..4 {
        let start = StartOffset::At(40, vec![(39, same)]);
        reader.read_of(number, start, (own, if number < 2 { None } else { old }));
    }
    let (mut found, mut count) = (Vec::new(), 0);
    while count < 4 {
        for event in reader.events_until(|event| matches!(event, Event::Recovered { .. })) {
            count += usize::from(matches!(event, Event::Recovered { .. }));
            if let Event::Identified { partition, topic, .. } = event {
                found.push((partition.partition, Some(topic)));
            }
        }
    }
    found.sort_by_key(|(number, _)| *number);
    assert_eq!(found, [(0, own), (1, own), (2, own), (3, own)]);
}
