//! Brokers that throttle the reader for its quota.

use super::*;
use crate::kafka::client::named_brokers::ClusterIdSource;
use crate::kafka::client::tests::text;

/// A broker before 2.0 holds an answer back for minutes because of a quota, and answers on other connections.
/// Meanwhile the partition's leader moves.
#[test]
fn a_partition_is_released_while_its_broker_delays_an_answer() {
    let broker = Scripted::new(|asked| match asked.key {
        API_VERSIONS => versions(7),
        FETCH if asked.connection == 0 => Reply::Silence,
        FETCH => answer(asked, 0, |_, at| (at, at, Vec::new())),
        _ => Reply::Close,
    });
    let patient = ConnectionLimits { answer_timeout: Duration::from_secs(600), ..limits() };
    let reader = Running::over(&broker, patient);
    let at = |at| StartOffset::At(at, Vec::new());
    [0, 1].into_iter().for_each(|number| reader.read(number, at(7)));
    let began = Instant::now();
    while broker.asked().is_empty() {
        assert!(began.elapsed() < WAIT, "nothing is asked");
        std::thread::sleep(Duration::from_millis(5));
    }
    let release = |number| {
        let partition = TopicPartition::new("t", number);
        reader.orders.send(ReaderOrder::Release { partition, assignment: 1, reassign: true }).unwrap();
        reader.events_until(|event| matches!(event, Event::Relinquished(one, 1) if one.partition == number));
    };
    release(0);
    // The other one still waits for the answer. If that one goes, too, the next partition does not wait.
    assert_eq!(broker.asked().iter().map(|(connection, ..)| *connection).max(), Some(0));
    release(1);
    reader.read(2, at(9));
    reader.events_until(
        |event| matches!(event, Event::Recovered { partition, .. } if partition.partition == 2),
    );
    assert!(began.elapsed() < WAIT, "the answer was waited for");
}

/// A broker from 2.0 to 2.4 has nothing for a request of more bytes than its quota allows for, and names a
/// pause. The quota of 50 kB/s has room for half a megabyte.
#[test]
fn landmarks_are_compared_under_a_small_quota() {
    const PARTITIONS: i32 = 120;
    for partitions in [1, PARTITIONS] {
        let withheld = Arc::new(Mutex::new(0));
        let count = Arc::clone(&withheld);
        let broker = Scripted::new(move |asked| match asked.key {
            API_VERSIONS => speaks(&[(FETCH, 0, 11), (2, 0, 5), (3, 0, 9), (18, 0, 3)]),
            2 => list(asked, 40),
            FETCH => {
                let request: FetchRequest = asked.read();
                if request.max_bytes > 500_000 && request.session_epoch == -1 {
                    *count.lock().unwrap() += 1;
                    return say(&FetchResponse::default().with_throttle_time_ms(20), asked.version);
                }
                answer(asked, 0, |_, at| match at {
                    39 => (40, 40, batch(39, 39, 100)),
                    _ => (40, 40, Vec::new()),
                })
            }
            _ => Reply::Close,
        });
        let reader = Running::over(&broker, limits());
        let start = StartOffset::At(40, vec![(39, print_of(100))]);
        (0..partitions).for_each(|number| reader.read(number, start.clone()));
        let mut read = std::collections::BTreeSet::new();
        while read.len() < usize::try_from(partitions).unwrap() {
            let events = reader.events_until(|event| matches!(event, Event::Recovered { .. }));
            assert_eq!(failures(&events), Vec::<&FailedPartition>::new(), "a quota is no failure");
            for event in events {
                if let Event::Recovered { partition, .. } = event {
                    read.insert(partition);
                }
            }
        }
        let withheld = *withheld.lock().unwrap();
        assert!(if partitions == 1 { withheld == 0 } else { (1..=3).contains(&withheld) }, "{withheld}");
    }
}

/// The broker withholds what is asked of one partition. That is no failure, and it is asked again.
#[test]
fn a_question_that_a_quota_withholds_is_asked_again() {
    let broker = Scripted::new(|asked| match asked.key {
        API_VERSIONS => speaks(&[(FETCH, 0, 11), (2, 0, 5), (3, 0, 9), (18, 0, 3)]),
        2 => list(asked, 40),
        FETCH if asked.correlation < 5 => {
            say(&FetchResponse::default().with_throttle_time_ms(20), asked.version)
        }
        FETCH => answer(asked, 0, |_, at| (40, 40, if at == 39 { batch(39, 39, 9) } else { Vec::new() })),
        _ => Reply::Close,
    });
    let reader = Running::over(&broker, limits());
    reader.read(0, StartOffset::At(40, vec![(39, print_of(100))]));
    let events = reader.events_until(|event| matches!(event, Event::Diverged { next: 0, .. }));
    assert_eq!(failures(&events), Vec::<&FailedPartition>::new());
    assert!(reader.relinquished.is_empty());
}

/// A batch that is larger than what the quota has room for is withheld for ever: that of a landmark, or that
/// at the position.
#[test]
fn what_a_quota_withholds_for_ever_is_told() {
    for landmarks in [vec![(39, print_of(100))], Vec::new()] {
        let broker = Scripted::new(|asked| match asked.key {
            API_VERSIONS => speaks(&[(FETCH, 0, 11), (2, 0, 5), (3, 0, 9), (18, 0, 3)]),
            2 => list(asked, 41),
            FETCH => say(&FetchResponse::default().with_throttle_time_ms(5), asked.version),
            _ => Reply::Close,
        });
        let reader = Running::with(&broker, limits(), Duration::from_millis(100));
        reader.read(0, StartOffset::At(40, landmarks));
        let events = reader.events_until(|event| matches!(event, Event::PartitionFailed(_)));
        let told = failures(&events);
        assert!(told[0].why.contains("because of this client's quota"), "{told:?}");
        assert!(broker.asked().len() >= 3, "not at the first time");
    }
}

/// A broker delays its answers, and another cluster has taken over its address. That is asked for nothing.
#[test]
fn the_connection_that_takes_over_from_a_delayed_one_is_of_the_same_cluster() {
    use kafka_protocol::messages::MetadataResponse;
    let broker = Scripted::new(|asked| match asked.key {
        API_VERSIONS => versions(7),
        3 => {
            let id = if asked.connection == 0 { "ours" } else { "theirs" };
            say(&MetadataResponse::default().with_cluster_id(Some(text(id))), asked.version)
        }
        FETCH if asked.connection == 0 => Reply::Silence,
        FETCH => answer(asked, 0, |_, at| (at, at, Vec::new())),
        _ => Reply::Close,
    });
    let short = ConnectionLimits { answer_timeout: Duration::from_millis(1500), ..limits() };
    let seen = VersionsSeen::default();
    seen.expect_cluster("ours", ClusterIdSource::Journal);
    let reader = Running::of(&broker, (short, Duration::from_secs(60)), seen);
    reader.read(0, StartOffset::At(7, Vec::new()));
    let events = reader.events_until(|event| {
        matches!(event, Event::PartitionFailed(_) | Event::Recovered { .. } | Event::Relinquished(..))
    });
    let told = failures(&events);
    assert!(told.iter().any(|one| one.why.contains("belongs to the cluster theirs")), "{told:?}");
    let others = broker.asked().into_iter().filter(|(connection, key, _)| *connection > 0 && *key == FETCH);
    assert_eq!(others.count(), 0);
}
