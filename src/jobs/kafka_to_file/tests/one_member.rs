//! What one member reads, writes and leaves out.

use super::*;
use crate::kafka::{FailedPartition, FailureKind};
use crate::moment::Moment;
use crate::record::Token;
use crate::report::LAG_UNKNOWN;

/// Without this, a member that took over now would begin at another position.
#[test]
fn nothing_is_written_before_the_group_holds_the_first_position() {
    let mut member = Member::new();
    member.is_given(None);
    member.ledger.set_position(&partition(), 0).unwrap();
    let batch = member.fetches(0, 3);
    member.writes(vec![batch]).unwrap();
    assert!(member.sink.holds_back() && member.content().is_empty());
    let message = member.settles();
    member.source.feedback(message);
    member.writes(Vec::new()).unwrap();
    assert!(
        member.sink.holds_back() && member.content().is_empty(),
        "the group does not hold an ordered commit yet"
    );
    member.is_committed();
    member.writes(Vec::new()).unwrap();
    assert!(!member.sink.holds_back());
    assert_eq!(member.content(), lines(3));
}

/// If the header of a batch is damaged, the broker does not find the batch, and sends the records after it.
/// The source must ask for the damaged records again.
#[test]
fn unreadable_records_are_not_skipped_if_a_broker_omits_them() {
    let mut member = Member::at_work();
    let mut batch = member.fetches(0, 1);
    batch.truncated = Some(Truncated::Broken(UnreadableBatch { why: "damaged".to_owned(), end: None }));
    let mut messages = Vec::new();
    member.sink.take(batch);
    member.sink.write(&mut messages).unwrap();
    messages.into_iter().for_each(|message| member.source.feedback(message));
    for (base, taken) in [(3, 0), (1, 1)] {
        // The first new number makes late replies old; the second is the number of the new assignment.
        member.assignments += 2;
        std::thread::sleep(Duration::from_millis(2100));
        assert!(member.poll().is_empty(), "the partition is assigned again");
        let (partition, assignment, payload) = (partition(), member.assignments, Payload::Absent);
        let fetched = Fetched {
            partition,
            from: 1,
            base,
            next: 5,
            assignment,
            lag: 0,
            broker: None,
            epochs: Vec::new(),
            last: None,
            bytes: 1,
            payload,
        };
        member.world.events.lock().unwrap().push_back(Event::Fetched(fetched));
        assert_eq!(member.poll().len(), taken, "a reply that begins at {base}");
    }
}

/// A full reply has no room for the records of every partition, but it has the number of records of each.
#[test]
fn lag_is_known_before_the_first_record() {
    let mut member = Member::new();
    member.is_given(None);
    for (assignment, lag) in [(1, 500), (0, 7)] {
        let recovered = Event::Recovered { partition: partition(), assignment, lag };
        member.world.events.lock().unwrap().push_back(recovered);
        member.poll();
        assert_eq!(member.counters.lag.load(Relaxed), 500, "the answer to assignment {assignment}");
    }
}

/// A broker that does not answer may have any number of records.
#[test]
fn lag_is_unknown_as_long_as_nobody_says_it() {
    let mut member = Member::new();
    let shown = |member: &Member| {
        [&member.counters.lag, &member.counters.lag_unknown].map(|counter| counter.load(Relaxed))
    };
    member.is_given(None);
    assert_eq!(shown(&member), [LAG_UNKNOWN, 0]);
    let says = |lag| Event::Lag { partition: partition(), assignment: 1, lag };
    let fails = |kind, lag| {
        let (broker, why) = (None, "away".to_owned());
        Event::PartitionFailed(FailedPartition { partition: partition(), broker, kind, why, lag })
    };
    let steps = [
        (says(500), [500, 0]),
        (fails(FailureKind::Broker, None), [LAG_UNKNOWN, 0]),
        (says(3), [3, 0]),
        (fails(FailureKind::NoLeader, None), [LAG_UNKNOWN, 0]),
        (says(0), [0, 0]),
        // An open transaction holds the records up.
        (fails(FailureKind::Partition, Some(7)), [7, 0]),
        (Event::Failed("away".to_owned()), [LAG_UNKNOWN, 0]),
        (says(4), [4, 0]),
    ];
    for (event, expected) in steps {
        member.world.events.lock().unwrap().push_back(event);
        member.poll();
        assert_eq!(shown(&member), expected);
    }
    member.is_given_one(&TopicPartition::new("u", 0), None);
    assert_eq!(shown(&member), [4, 1], "the other one's is not known yet");
}

#[test]
fn one_settle_batch_is_written_beyond_the_committed_offset() {
    let mut member = Member::at_work();
    let (one, two, three) = (member.fetches(0, 2), member.fetches(2, 4), member.fetches(4, 6));
    member.writes(vec![one]).unwrap();
    member.writes(vec![two]).unwrap();
    assert_eq!(member.content(), lines(4), "both belong to one settle batch");
    let message = member.settles();
    member.writes(vec![three]).unwrap();
    assert!(member.sink.holds_back());
    assert_eq!(member.content(), lines(4));
    member.source.feedback(message);
    assert_eq!(member.is_committed().0, 4);
    member.writes(Vec::new()).unwrap();
    assert_eq!(member.content(), lines(6));
}

#[test]
fn nothing_is_written_without_the_lease() {
    waits_for_the_lease(Member::at_work());
}

/// The lease is looked at before outcomes are taken for a write, too, and not only at the write: what is
/// taken may have to be completed.
#[test]
fn nothing_is_taken_for_a_write_without_the_lease() {
    waits_for_the_lease(Member::with_guard(Some(Arc::new(|| true))).begins());
}

fn waits_for_the_lease(mut member: Member) {
    let batch = member.fetches(0, 3);
    member.lease.renew(Duration::ZERO);
    member.writes(vec![batch]).unwrap();
    assert!(member.sink.holds_back() && member.sink.has_pending() && member.content().is_empty());
    member.lease.renew(Duration::from_secs(3600));
    member.writes(Vec::new()).unwrap();
    assert_eq!((member.content(), member.sink.has_pending()), (lines(3), false));
}

/// A reply to an assignment that was replaced since is dropped, whatever it holds.
#[test]
fn a_reply_to_an_older_assignment_is_dropped() {
    let mut member = Member::at_work();
    for (assignment, taken) in [(0, 0), (1, 1)] {
        let fetched = Fetched {
            partition: partition(),
            from: 0,
            base: 0,
            next: 5,
            assignment,
            lag: 0,
            broker: None,
            epochs: Vec::new(),
            last: None,
            bytes: 1,
            payload: Payload::Absent,
        };
        member.world.events.lock().unwrap().push_back(Event::Fetched(fetched));
        assert_eq!(member.poll().len(), taken, "the reply to assignment {assignment}");
    }
}

/// A partition that is added to its topic later has no records from before, whatever `kafka['start']` says.
#[test]
fn a_partition_without_a_position_begins_at_the_moment_unless_it_is_new() {
    let start = StartPolicy::Since(Moment::At(1000));
    for (new, begins) in [(false, StartOffset::Since(1000)), (true, StartOffset::Earliest)] {
        let mut member = Member::starting(start, None, Rotation::off());
        let metadata = OffsetMetadata::Text(String::new());
        let assigned = Assigned { partition: partition(), committed: None, metadata, new };
        member.says(GroupEvent::Assigned(vec![assigned]));
        member.poll();
        assert_eq!(*member.world.assigned.lock().unwrap(), [(partition(), begins)]);
    }
}

/// An operator has set the group's offset behind records that were not read.
#[test]
fn skipped_offsets_are_counted_once() {
    let mut member = Member::at_work();
    let batch = member.fetches(0, 3);
    member.writes(vec![batch]).unwrap();
    let settled = member.settles();
    member.source.feedback(settled);
    member.says(GroupEvent::Lost);
    member.poll();
    for _ in 0..2 {
        member.is_given(Some((10, Token::claim(7, 10).to_string())));
        assert_eq!(member.counters.skipped.load(Relaxed), 7);
        member.says(GroupEvent::Lost);
        member.poll();
    }
}

/// A partition whose topic is read already is new, and none of its records is older than the job. Whatever
/// else has no position begins where `kafka['start']` says.
#[test]
fn a_partition_without_a_position_begins_where_its_topic_is_known_from() {
    let of = |topic: &str, committed: bool, new| Assigned {
        partition: TopicPartition::new(topic, i32::from(committed)),
        committed: committed.then_some(5),
        metadata: OffsetMetadata::Text(String::new()),
        new,
    };
    use StartOffset::{Earliest, Latest};
    for (start, all, journalled, expected) in [
        (StartPolicy::Latest, vec![of("t", false, false)], false, Latest),
        (StartPolicy::Earliest, vec![of("t", false, false)], false, Earliest),
        (StartPolicy::Latest, vec![of("t", false, true)], false, Earliest),
        (StartPolicy::Latest, vec![of("t", false, false)], true, Earliest),
        (StartPolicy::Latest, vec![of("t", false, false), of("t", true, false)], false, Earliest),
        (StartPolicy::Latest, vec![of("t", false, false), of("u", true, false)], false, Latest),
    ] {
        let mut member = Member::starting(start, None, Rotation::off());
        if journalled {
            let before = TopicPartition::new("t", 9);
            member.ledger.resume(&before, None, &OffsetMetadata::Text(String::new())).unwrap();
            member.ledger.set_position(&before, 7).unwrap();
        }
        let case = format!("{start:?} {all:?} {journalled}");
        member.says(GroupEvent::Assigned(all));
        member.poll();
        assert_eq!(member.world.assigned.lock().unwrap()[0], (partition(), expected), "{case}");
    }
}

/// Where the brokers say that the partition begins is journalled, and the group gets it before a record is
/// written.
#[test]
fn the_first_position_is_the_brokers() {
    let mut member = Member::new();
    member.is_given(None);
    member.world.events.lock().unwrap().push_back(Event::resolved(partition(), 1, (40, StartBasis::Bound)));
    member.poll();
    assert_eq!(member.ledger.written(&partition()).map(|(_, position)| position), Some(40));
    let batch = member.fetches(40, 42);
    member.writes(vec![batch]).unwrap();
    assert!(member.content().is_empty());
    let message = member.settles();
    member.source.feedback(message);
    assert_eq!(member.is_committed().0, 40);
    member.writes(Vec::new()).unwrap();
    assert_eq!(member.content(), "line 40\nline 41\n");
}
