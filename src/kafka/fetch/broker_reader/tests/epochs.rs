//! A leader that was elected uncleanly has fewer records of an epoch than were read.

use super::*;
use crate::record::{EpochStart, LeaderEpochs};
use kafka_protocol::messages::offset_for_leader_epoch_response as their;
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

const EPOCH_ENDS: i16 = 23;

/// Of epoch 3 the broker has the records up to 29; those behind are of epoch 5. `refuses`: an error code.
fn broker(refuses: i16) -> Scripted {
    Scripted::new(move |asked| match asked.key {
        API_VERSIONS => speaks(&[(FETCH, 0, 11), (2, 0, 5), (3, 0, 9), (18, 0, 3), (EPOCH_ENDS, 2, 4)]),
        2 => list(asked, 40),
        EPOCH_ENDS => {
            let request: OffsetForLeaderEpochRequest = asked.read();
            let one = &request.topics[0].partitions[0];
            let (epoch, end) = if one.leader_epoch < 5 { (3, 30) } else { (5, 40) };
            let found = their::EpochEndOffset::default().with_partition(one.partition);
            let found = found.with_error_code(refuses).with_leader_epoch(epoch).with_end_offset(end);
            let topic =
                their::OffsetForLeaderTopicResult::default().with_topic(request.topics[0].topic.clone());
            let topic = topic.with_partitions(vec![found]);
            say(&OffsetForLeaderEpochResponse::default().with_topics(vec![topic]), asked.version)
        }
        FETCH => answer(asked, 0, |_, at| match at {
            0..40 => (40, 40, batch(at, 39, 9)),
            _ => (40, 40, Vec::new()),
        }),
        _ => Reply::Close,
    })
}

/// Reads on at 40 behind a record that differs. `topics`: the present topic and the one that was read.
fn next_after(broker: &Scripted, topics: (Option<TopicId>, Option<TopicId>)) -> i64 {
    let reader = Running::over(broker, limits());
    let mut epochs = LeaderEpochs::default();
    epochs.record(EpochStart { epoch: 3, from: 0 });
    let expected = ExpectedLog { topic: topics.1, epochs };
    let (partition, leader) = (TopicPartition::new("t", 0), LedTopic { epoch: 5, topic: topics.0, expected });
    let start = StartOffset::At(40, vec![(39, print_of(100))]);
    reader.orders.send(ReaderOrder::Read { partition, start, assignment: 1, leader }).unwrap();
    let events = reader.events_until(|event| matches!(event, Event::Diverged { .. }));
    let next = events.iter().find_map(|event| match event {
        Event::Diverged { next, .. } => Some(*next),
        _ => None,
    });
    next.unwrap()
}

#[test]
fn reading_goes_on_where_the_epoch_ends_that_was_read() {
    let (own, asked) = (TopicId::new(7), |broker: &Scripted| {
        broker.asked().iter().filter(|(_, key, _)| *key == EPOCH_ENDS).count()
    });
    let one = broker(0);
    assert_eq!((next_after(&one, (own, own)), asked(&one)), (30, 1));
    // The broker refuses: landmarks alone show where the logs part.
    let refusing = broker(29);
    assert_eq!((next_after(&refusing, (own, own)), asked(&refusing)), (0, 1));
    // A topic of this name that was created anew counts its epochs anew.
    let unknown = broker(0);
    assert_eq!((next_after(&unknown, (None, None)), asked(&unknown)), (0, 0));
}

/// The epochs of what is read are passed on.
#[test]
fn the_epoch_of_a_batch_is_passed_on() {
    let broker = broker(0);
    let reader = Running::over(&broker, limits());
    reader.read(0, StartOffset::At(36, Vec::new()));
    let events = reader.events_until(|event| matches!(event, Event::Fetched(_)));
    let fetched = events.iter().find_map(|event| match event {
        Event::Fetched(fetched) => Some(fetched),
        _ => None,
    });
    assert_eq!(fetched.unwrap().epochs, [EpochStart { epoch: 0, from: 36 }]);
}
