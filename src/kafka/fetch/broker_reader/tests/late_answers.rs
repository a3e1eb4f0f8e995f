//! A partition is assigned again while the reader asks about many partitions. The answers to what was asked
//! for the earlier assignment say nothing of the later one.

use super::*;

/// A broker that holds each answer for a while before the reader hears the next one.
fn versions_that_throttle() -> Reply {
    speaks(&[(FETCH, 0, 11), (2, 0, 5), (3, 0, 9), (18, 0, 3)])
}

/// Waits until the broker was asked so.
fn await_asked(broker: &Scripted, is_it: impl Fn(&Asked) -> bool) {
    let began = Instant::now();
    while !broker.asked.lock().unwrap().iter().any(&is_it) {
        assert!(began.elapsed() < WAIT, "it is not asked");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_listed_start_is_not_that_of_a_later_assignment() {
    let broker = Scripted::new(|asked| match asked.key {
        API_VERSIONS => versions_that_throttle(),
        2 => {
            let request: ListOffsetsRequest = asked.read();
            let one = &request.topics[0].partitions[0];
            let offset = if one.timestamp == -2 { 3 } else { 40 };
            let found = ListOffsetsPartitionResponse::default().with_partition_index(one.partition_index);
            let topic = ListOffsetsTopicResponse::default().with_name(request.topics[0].name.clone());
            let topic = topic.with_partitions(vec![found.with_offset(offset)]);
            // Orders are taken during the pause.
            let answer = ListOffsetsResponse::default().with_throttle_time_ms(400);
            say(&answer.with_topics(vec![topic]), asked.version)
        }
        FETCH => answer(asked, 0, |_, _| (40, 40, Vec::new())),
        _ => Reply::Close,
    });
    let reader = Running::over(&broker, limits());
    // Both are asked about in one round.
    reader.read(0, StartOffset::Earliest);
    reader.read(1, StartOffset::Latest);
    await_asked(&broker, |asked| asked.key == 2);
    reader.read_again(0, StartOffset::At(7, Vec::new()));
    let events = reader.events_until(
        |event| matches!(event, Event::Recovered { partition, .. } if partition.partition == 0),
    );
    for event in &events {
        if let Event::Resolved(starts) = event {
            assert!(starts.iter().all(|one| one.partition.partition == 1), "{starts:?}");
        }
        if let Event::Recovered { partition, assignment, lag } = event
            && partition.partition == 0
        {
            assert_eq!((*assignment, *lag), (2, 33), "it is read from the offset 7 on");
        }
    }
}

#[test]
fn a_landmark_that_agrees_is_not_that_of_a_later_assignment() {
    const LAST: i32 = 150;
    let broker = Scripted::new(|asked| match asked.key {
        API_VERSIONS => versions_that_throttle(),
        2 => list(asked, 40),
        FETCH => {
            let request: FetchRequest = asked.read();
            if request.session_epoch == -1 && request.topics[0].partitions.len() > 1 {
                std::thread::sleep(Duration::from_millis(300));
            }
            answer(asked, 0, |_, at| match at {
                30..40 => (40, 40, batch(at, at, 100)),
                _ => (40, 40, Vec::new()),
            })
        }
        _ => Reply::Close,
    });
    let reader = Running::over(&broker, limits());
    // The orders are there before the reader connects.
    (0..=LAST).for_each(|one| reader.read(one, StartOffset::At(40, vec![(39, print_of(100))])));
    await_asked(&broker, |asked| {
        asked.key == FETCH && asked.read::<FetchRequest>().topics[0].partitions.len() > 1
    });
    // The last one belongs to the second request.
    reader.read_again(LAST, StartOffset::At(36, vec![(35, print_of(9))]));
    let events = reader.events_until(|event| match event {
        Event::Diverged { partition, .. } => partition.partition == LAST,
        Event::Recovered { partition, .. } => partition.partition == LAST,
        Event::Fetched(fetched) => fetched.partition.partition == LAST,
        _ => false,
    });
    let last = events.iter().find(|event| matches!(event, Event::Diverged { assignment: 2, .. }));
    assert!(last.is_some(), "its own landmark differs");
}
