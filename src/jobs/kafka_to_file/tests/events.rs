//! What the source makes of the events of brokers and of the group that are no ordinary records.

use log::Level;

use super::*;
use crate::kafka::{DivergenceCause, FailedPartition, FailureKind};
use crate::logfile::{MemberIdentity, inspect};
use crate::record::{EpochStart, TopicId};
use crate::test_log::lines_of;

fn fetched(member: &Member, from: i64, base: i64, next: i64, payload: Payload) -> Event {
    let (partition, assignment) = (partition(), member.assignments);
    let (lag, broker, last, bytes) = (0, None, None, 1);
    Event::Fetched(Fetched {
        partition,
        from,
        base,
        next,
        assignment,
        lag,
        broker,
        last,
        bytes,
        epochs: Vec::new(),
        payload,
    })
}

impl Member {
    fn hears(&mut self, event: Event) -> Vec<Fetched> {
        self.world.events.lock().unwrap().push_back(event);
        self.poll()
    }

    /// Its log is another one, and reading may go on at this offset.
    fn diverges(&mut self, next: i64) {
        let (partition, assignment) = (partition(), self.assignments);
        let (why, topic) = (DivergenceCause::OtherRecords, None);
        self.hears(Event::Diverged { partition, assignment, next, why, topic });
    }

    fn last_assigned(&self) -> StartOffset {
        self.world.assigned.lock().unwrap().last().unwrap().1.clone()
    }
}

/// The topic was created anew. What is in flight of the old log is written, and nothing of the old log comes
/// after that.
#[test]
fn another_log_begins_when_nothing_of_the_old_one_is_in_flight() {
    let mut member = Member::at_work();
    let batch = member.fetches(0, 3);
    member.diverges(1);
    assert_eq!(member.ledger.written(&partition()).unwrap().1, 0);
    member.writes(vec![batch]).unwrap();
    let assigned = member.world.assigned.lock().unwrap().len();
    let told = lines_of(|| assert!(member.poll().is_empty()));
    assert_eq!(told, [], "logged before");
    assert_eq!(member.ledger.written(&partition()).unwrap().1, 1);
    assert_eq!(member.world.assigned.lock().unwrap().len(), assigned + 1);
    assert_eq!(member.last_assigned(), StartOffset::At(1, Vec::new()), "nothing of it was written yet");
    // Nothing is written before the group holds the position.
    member.assignments += 1;
    let batch = member.fetches(1, 2);
    member.writes(vec![batch]).unwrap();
    assert!(member.sink.holds_back());
}

/// What was found out for an earlier assignment must not move the position of a later one.
#[test]
fn late_answers_to_an_earlier_assignment_are_not_applied() {
    let mut member = Member::at_work();
    let batch = member.fetches(0, 3);
    member.writes(vec![batch]).unwrap();
    let (present, assigned) = (member.assignments, member.world.assigned.lock().unwrap().len());
    let late = present - 1;
    let told = lines_of(|| {
        member.hears(Event::resolved(partition(), late, (1, StartBasis::Bound)));
        let (why, topic) = (DivergenceCause::EndsBefore, TopicId::new(5));
        member.hears(Event::Diverged { partition: partition(), assignment: late, next: 0, why, topic });
        member.hears(Event::Identified { partition: partition(), assignment: late, topic: topic.unwrap() });
        member.poll();
    });
    assert!(!told.iter().any(|(level, _)| *level == Level::Error), "{told:?}");
    assert_eq!(member.ledger.written(&partition()).unwrap().1, 3);
    assert_eq!(member.world.assigned.lock().unwrap().len(), assigned, "it is read on");
    assert_eq!(member.ledger.topic_id(&partition()), None);
    member.diverges(1);
    member.poll();
    assert_eq!(member.ledger.written(&partition()).unwrap().1, 1, "one of the present assignment counts");
}

/// The id of the topic is journalled once its log is known to be the one that was read.
#[test]
fn the_topic_that_a_position_belongs_to_is_journalled() {
    let mut member = Member::at_work();
    let identified = |member: &mut Member, id| {
        let (assignment, topic) = (member.assignments, TopicId::new(id).unwrap());
        lines_of(|| drop(member.hears(Event::Identified { partition: partition(), assignment, topic })))
    };
    let told = identified(&mut member, 5);
    assert!(!told.iter().any(|(level, _)| *level <= Level::Warn), "it was not known before: {told:?}");
    assert_eq!(member.ledger.topic_id(&partition()), TopicId::new(5));
    assert_eq!(identified(&mut member, 5), [], "nothing is new");
    let told = identified(&mut member, 6);
    let [(Level::Warn, text)] = &told[..] else { panic!("{told:?}") };
    assert!(text.contains("another id, AAAAAAAAAAAAAAAAAAAABg in place of AAAAAAAAAAAAAAAAAAAABQ"), "{text}");
    assert_eq!(member.ledger.topic_id(&partition()), TopicId::new(6));
    // The next assignment says which topic the position belongs to.
    let batch = member.fetches(0, 3);
    member.writes(vec![batch]).unwrap();
    member.hears(Event::Relinquished(partition(), member.assignments));
    member.poll();
    assert_eq!(*member.world.expected.lock().unwrap(), TopicId::new(6));
}

#[test]
fn a_topic_that_was_recreated_is_read_from_its_first_record() {
    for (why, says) in [
        (DivergenceCause::EndsBefore, "its log ends below the position 3; going on at its first record"),
        (DivergenceCause::NothingToCompare, "none of the records that were written last is there"),
    ] {
        let mut member = Member::at_work();
        member.ledger.record_topic_id(&partition(), TopicId::new(5).unwrap()).unwrap();
        let batch = member.fetches(0, 3);
        member.writes(vec![batch]).unwrap();
        let (assignment, topic) = (member.assignments, TopicId::new(6));
        let diverged = Event::Diverged { partition: partition(), assignment, next: 0, why, topic };
        let told = lines_of(|| drop(member.hears(diverged)));
        let [(Level::Error, text)] = &told[..] else { panic!("{told:?}") };
        assert!(
            text.contains("its id is AAAAAAAAAAAAAAAAAAAABg, and AAAAAAAAAAAAAAAAAAAABQ was read"),
            "{text}"
        );
        assert!(text.contains(says), "{text}");
        member.poll();
        assert_eq!(member.ledger.written(&partition()).unwrap().1, 0);
        assert_eq!(member.ledger.topic_id(&partition()), topic);
        assert_eq!(*member.world.expected.lock().unwrap(), topic);
        assert_eq!(member.last_assigned(), StartOffset::At(0, Vec::new()));
    }
}

/// The sink refuses what does not follow the written position.
#[test]
fn refused_records_are_fetched_again_unless_their_log_is_gone() {
    for is_diverged in [false, true] {
        let mut member = Member::at_work();
        member.fetches(0, 3);
        if is_diverged {
            member.diverges(7);
        }
        let assigned = member.world.assigned.lock().unwrap().len();
        let refuse = |member: &mut Member, assignment| {
            let refused = Feedback::Refused { partition: partition(), assignment, position: 0 };
            member.source.feedback(refused);
            member.world.assigned.lock().unwrap().len() - assigned
        };
        assert_eq!(refuse(&mut member, 0), 0, "of an earlier assignment");
        let assignment = member.assignments;
        let again = refuse(&mut member, assignment);
        assert_eq!((again, refuse(&mut member, assignment)), if is_diverged { (0, 0) } else { (1, 1) });
        member.poll();
        let begins =
            if is_diverged { StartOffset::At(7, Vec::new()) } else { StartOffset::At(0, Vec::new()) };
        assert_eq!(member.last_assigned(), begins);
    }
}

#[test]
fn what_the_broker_has_deleted_is_counted_and_named() {
    let mut member = Member::at_work();
    // The first records end the line about the assignment.
    member.fetches(0, 2);
    let deleted = fetched(&member, 2, 2, 9, Payload::Deleted);
    let told = lines_of(|| assert_eq!(member.hears(deleted).len(), 1));
    let text = "kafka_to_file: t/0: the broker deleted offset 2 to 8 (7 records) before they could be read; \
                going on at 9";
    assert_eq!((told, member.counters.lost.load(Relaxed)), (vec![(Level::Error, text.to_owned())], 7));
    let absent = fetched(&member, 9, 9, 12, Payload::Absent);
    let told = lines_of(|| assert_eq!(member.hears(absent).len(), 1));
    let [(Level::Warn, text)] = &told[..] else { panic!("{told:?}") };
    assert!(text.contains("no record can be read from offset 9 to 11: "), "{text}");
    assert_eq!(member.counters.lost.load(Relaxed), 7);
}

/// The leader epochs of what is fetched are journalled before it is written, and those of an earlier
/// assignment are not. They are forgotten with the log that they belong to.
#[test]
fn leader_epochs_are_journalled() {
    let mut member = Member::at_work();
    let starts = |member: &Member| {
        let known = member.ledger.leader_epochs(&partition());
        known.starts().iter().map(|one| (one.epoch, one.from)).collect::<Vec<_>>()
    };
    for (assignment, from, next, epochs) in
        [(1, 0, 5, vec![(3, 0), (4, 2)]), (0, 0, 9, vec![(8, 1)]), (1, 5, 9, vec![(4, 5)])]
    {
        let epochs = epochs.into_iter().map(|(epoch, from)| EpochStart { epoch, from }).collect();
        let Event::Fetched(fetched) = fetched(&member, from, from, next, Payload::Absent) else { panic!() };
        member.hears(Event::Fetched(Fetched { assignment, epochs, ..fetched }));
        assert_eq!(starts(&member), [(3, 0), (4, 2)]);
    }
    member.ledger.set_position(&partition(), 1).unwrap();
    assert_eq!(starts(&member), []);
}

/// While no broker answers, only that is logged, for the partitions and for the group.
#[test]
fn the_outage_of_all_brokers_explains_the_others() {
    for is_down in [false, true] {
        let mut member = Member::at_work();
        let told = lines_of(|| {
            if is_down {
                member.hears(Event::Failed("refused".to_owned()));
            }
            for pause in [0, 5100, 1100] {
                std::thread::sleep(Duration::from_millis(pause));
                member.says(GroupEvent::Failed("no coordinator".to_owned()));
                let failed = FailedPartition {
                    lag: None,
                    partition: partition(),
                    broker: None,
                    kind: FailureKind::Partition,
                    why: "damaged".to_owned(),
                };
                member.hears(Event::PartitionFailed(failed));
            }
        });
        let begin = |what: &str| told.iter().filter(|(_, line)| line.contains(what)).count();
        let both = usize::from(!is_down);
        assert_eq!((begin("refused"), begin("no coordinator"), begin("damaged")), (1 - both, both, both));
        assert_eq!(member.counters.blocked.load(Relaxed), both as u64);
    }
}

/// The line names the records that the broker leaves out.
#[test]
fn records_that_a_broker_leaves_out_are_named() {
    let mut member = Member::at_work();
    let mut batch = member.fetches(0, 1);
    batch.truncated = Some(Truncated::Broken(UnreadableBatch { why: "damaged".to_owned(), end: None }));
    let mut messages = Vec::new();
    member.sink.take(batch);
    member.sink.write(&mut messages).unwrap();
    messages.into_iter().for_each(|message| member.source.feedback(message));
    member.assignments += 2;
    std::thread::sleep(Duration::from_millis(5100));
    assert!(member.poll().is_empty(), "the partition is assigned again");
    let leaves_out = fetched(&member, 1, 4, 5, Payload::Absent);
    assert!(member.hears(leaves_out).is_empty());
    std::thread::sleep(Duration::from_millis(1100));
    let told = lines_of(|| assert!(member.poll().is_empty()));
    let [(Level::Warn, text)] = &told[..] else { panic!("{told:?}") };
    assert!(text.contains("the broker leaves out the records from offset 1 to 3; to give up"), "{text}");
    assert!(text.contains("pandad seek /etc/t.inv t/0 4 --go"), "{text}");
}

#[test]
fn the_member_s_name_is_kept_for_the_next_run() {
    let mut member = Member::at_work();
    member.says(GroupEvent::Named { id: "pandad-7".to_owned(), silent: true });
    member.poll();
    assert_eq!(member.ledger.member(), Some(MemberIdentity { id: "pandad-7".to_owned(), silent: true }));
}

/// At the end of a run what has settled is committed, and a refused commit is tried again after a pause.
#[test]
fn the_end_commits_what_has_settled() {
    let mut member = Member::at_work();
    let batch = member.fetches(0, 3);
    member.writes(vec![batch]).unwrap();
    assert_eq!(member.sink.unsettled(), member.content().len() as u64);
    let message = member.settles();
    assert_eq!(member.sink.unsettled(), 0);
    member.source.feedback(message);
    let ordered = member.orders();
    let done = |offset| vec![(partition(), offset)];
    // The first commit is refused, and so are two that follow.
    let refused = std::iter::repeat_n(Vec::new(), 3);
    *member.world.finished.lock().unwrap() = refused.chain([done(3)]).collect();
    let begun = Instant::now();
    member.source.finish(begun + Duration::from_secs(20));
    assert!(member.world.finished.lock().unwrap().is_empty() && member.orders() == ordered + 3);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(150) && took < Duration::from_secs(15), "{took:?}");
    assert!(!member.ledger.needs_commit());
    // Nothing is left to commit: nobody is waited for.
    member.source.finish(Instant::now() + Duration::from_secs(20));
    assert!(begun.elapsed() < Duration::from_secs(15));
}

/// A write that the lease forbade is given up at the end of the run. Otherwise the next start would take what
/// others append meanwhile for the rest of that write.
#[test]
fn the_end_gives_up_a_write_that_was_not_begun() {
    let allowed = Arc::new(AtomicU32::new(1));
    let guard = Arc::clone(&allowed);
    let may = move || guard.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
    let mut member = Member::with_guard(Some(Arc::new(may))).begins();
    let batch = member.fetches(0, 3);
    assert_eq!(member.writes(vec![batch]), Ok(()));
    let unsettled = || inspect::lines(&member.dir.join("out.log")).unwrap().pop().unwrap();
    assert_eq!(unsettled(), "1 unsettled write");
    member.sink.end();
    assert_eq!(unsettled(), "0 unsettled writes");
}
