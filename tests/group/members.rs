//! Goal: pandad's group member and librdkafka's share one group on real brokers of every version.
//! Method: compare what each member is assigned and has revoked, and what remains after a kill.

use crate::support::groups::ForeignMember;
use crate::support::servers::{Kafka, kafka, readable};
use crate::support::{unique, wait};
use pandad::error::Fault;
use pandad::kafka::group::{Coordinated, GroupIntervals, MemberConfig, SubscribedTopics};
use pandad::kafka::{Cluster, GroupClient, GroupEvent, Lease, VersionsSeen};
use pandad::pattern::Pattern;
use pandad::record::{Commit, TopicPartition};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const SESSION: Duration = wait::seconds(6);

/// Every broker of this run, and 4.1.0, which the crate cannot read.
fn every() -> Vec<Kafka> {
    let mut brokers = readable();
    brokers.push(kafka("4.1.0"));
    brokers
}

/// A member without a log file. `has` are its assigned partitions; it releases revoked ones.
struct Member {
    place: Coordinated,
    lease: Lease,
    setup: MemberConfig,
    has: Vec<(String, i32)>,
    /// The committed offset of each partition when it was assigned.
    held: BTreeMap<(String, i32), Option<i64>>,
    name: Option<String>,
    revoked: u32,
    lost: u32,
    committed: Vec<(TopicPartition, i64)>,
    fault: Option<Fault>,
    fenced: Option<String>,
    /// Whether the broker leaves ApiVersions unanswered.
    silent: bool,
}

impl Member {
    fn joins(kafka: &Kafka, setup: MemberConfig) -> Member {
        Member::joins_again(kafka, setup, false)
    }

    fn joins_again(kafka: &Kafka, setup: MemberConfig, silent: bool) -> Member {
        let brokers = vec![kafka.address.clone()];
        let cluster = Cluster {
            brokers,
            client_id: "pandad-tests".to_owned(),
            read_committed: false,
            silent,
            versions_seen: VersionsSeen::default(),
            tls: None,
        };
        let place = Coordinated::new(&cluster, setup.clone(), Box::new(|_, _, _| 7)).unwrap();
        let lease = place.lease();
        Member {
            place,
            lease,
            setup,
            has: Vec::new(),
            held: BTreeMap::new(),
            name: None,
            revoked: 0,
            lost: 0,
            committed: Vec::new(),
            fault: None,
            fenced: None,
            silent: false,
        }
    }

    fn receive(&mut self) {
        loop {
            match self.place.next() {
                Ok(GroupEvent::Unchanged) => return,
                Ok(GroupEvent::Assigned(assigned)) => {
                    for one in assigned {
                        let key = (one.partition.topic.to_string(), one.partition.partition);
                        self.held.insert(key.clone(), one.committed);
                        self.has.push(key);
                    }
                    self.has.sort();
                }
                Ok(GroupEvent::Revoked(_)) => {
                    self.revoked += 1;
                    self.give();
                }
                Ok(GroupEvent::Lost) => {
                    self.lost += 1;
                    self.give();
                }
                Ok(GroupEvent::Named { id, silent }) => {
                    self.name = Some(id);
                    self.silent = silent;
                }
                Ok(GroupEvent::Fenced(why)) => self.fenced = Some(why),
                Ok(GroupEvent::Committed(offsets)) => self.committed = offsets,
                Ok(GroupEvent::Reached | GroupEvent::Refused(_)) => {}
                Ok(GroupEvent::Failed(why)) => println!("{}: {why}", self.setup.instance),
                Err(fault) => {
                    self.fault = Some(fault);
                    return;
                }
            }
        }
    }

    fn give(&mut self) {
        self.has.clear();
        self.held.clear();
        self.place.confirm_release();
    }

    fn commit(&mut self, topic: &str, number: i32, offset: i64) {
        let partition = TopicPartition::new(topic, number);
        self.place.commit(vec![Commit { partition, offset, metadata: format!("token {offset}") }]);
        let until = wait::deadline(wait::seconds(20));
        self.committed.clear();
        while self.committed.is_empty() {
            self.receive();
            assert!(Instant::now() < until, "{} is not committed", self.setup.instance);
            std::thread::sleep(wait::millis(5));
        }
    }

    fn leaves(mut self) {
        self.place.leave_group(Instant::now() + wait::seconds(5));
    }
}

fn setup(group: &str, topics: &[&str]) -> MemberConfig {
    let topics = SubscribedTopics::Named(topics.iter().map(|topic| (*topic).to_owned()).collect());
    let pace = GroupIntervals { look: wait::millis(500), ..GroupIntervals::of(SESSION) };
    MemberConfig {
        group: group.to_owned(),
        topics,
        session: SESSION,
        instance: unique("pandad"),
        id: None,
        pace,
    }
}

/// The numbers of one topic's partitions among those assigned.
fn of(has: &[(String, i32)], topic: &str) -> Vec<i32> {
    has.iter().filter(|(name, _)| name == topic).map(|(_, number)| *number).collect()
}

/// Waits until the members have the expected assignments.
#[track_caller]
fn until(what: &str, members: &mut [&mut Member], so: impl Fn(&[&mut Member]) -> bool) {
    let deadline = wait::deadline(wait::seconds(60));
    loop {
        members.iter_mut().for_each(|member| member.receive());
        if so(members) {
            return;
        }
        let state: Vec<_> = members.iter().map(|one| (&one.has, one.revoked, one.lost, &one.fault)).collect();
        assert!(Instant::now() < deadline, "in vain: {what}: {state:?}");
        std::thread::sleep(wait::millis(10));
    }
}

/// The assignor `range` among three members that subscribe to the first topic, one of them not to the
/// second.
#[test]
fn partitions_are_shared_with_librdkafka() {
    for kafka in every() {
        let tested = kafka.tested("pandads and librdkafka in one group, whoever leads");
        let (one, two, group) = (unique("shared"), unique("shared"), unique("shared"));
        kafka.create(&one, 7);
        kafka.create(&two, 2);
        // librdkafka joins first and leads; then it leaves, and pandad leads.
        let foreign: ForeignMember = kafka.foreign_member(&group, &[&one], serde_json::json!({}));
        wait::until("librdkafka is assigned all", wait::seconds(60), || foreign.assigned().len() == 7);
        let mut first = Member::joins(&kafka, setup(&group, &[&one, &two]));
        let mut second = Member::joins(&kafka, setup(&group, &[&one, &two]));
        until("all three share", &mut [&mut first, &mut second], |members| {
            let mut sizes: Vec<usize> = members.iter().map(|one_of| of(&one_of.has, &one).len()).collect();
            sizes.push(foreign.assigned().len());
            sizes.sort_unstable();
            let twos: Vec<usize> = members.iter().map(|one_of| of(&one_of.has, &two).len()).collect();
            sizes == [2, 2, 3] && twos == [1, 1]
        });
        let mut all = [
            of(&first.has, &one),
            of(&second.has, &one),
            foreign.assigned().iter().map(|(_, n)| *n).collect(),
        ];
        // Each member has consecutive partitions.
        all.sort();
        assert_eq!(all.concat(), [0, 1, 2, 3, 4, 5, 6]);
        foreign.leave();
        until("two share", &mut [&mut first, &mut second], |members| {
            members[0].has.len() + members[1].has.len() == 9
        });
        // Now librdkafka joins a group that pandad leads.
        let foreign: ForeignMember = kafka.foreign_member(&group, &[&one, &two], serde_json::json!({}));
        until("all three share again", &mut [&mut first, &mut second], |members| {
            let sizes =
                members.iter().map(|one_of| one_of.has.len()).sum::<usize>() + foreign.assigned().len();
            sizes == 9 && members.iter().all(|one| one.has.len() < 5) && !foreign.assigned().is_empty()
        });
        foreign.leave();
        assert_eq!((first.lost, second.lost), (0, 0));
        tested.passed("3 members, 9 partitions");
        first.leaves();
        second.leaves();
    }
}

#[test]
fn leaving_member_is_replaced_at_once() {
    for kafka in every() {
        let tested = kafka.tested("a member is killed, another one leaves");
        let (topic, group) = (unique("dies"), unique("dies"));
        kafka.create(&topic, 4);
        let mut stays = Member::joins(&kafka, setup(&group, &[&topic]));
        let mut leaves = Member::joins(&kafka, setup(&group, &[&topic]));
        let mut dies = Member::joins(&kafka, setup(&group, &[&topic]));
        until("three share", &mut [&mut stays, &mut leaves, &mut dies], |members| {
            let mut sizes: Vec<usize> = members.iter().map(|one| one.has.len()).collect();
            sizes.sort_unstable();
            sizes == [1, 1, 2]
        });
        // The threads of this member end without leaving the group.
        drop(dies);
        let began = Instant::now();
        until("the two share", &mut [&mut stays, &mut leaves], |members| {
            members[0].has.len() + members[1].has.len() == 4
        });
        let died = began.elapsed();
        let began = Instant::now();
        leaves.leaves();
        until("one is assigned all", &mut [&mut stays], |members| members[0].has.len() == 4);
        let left = began.elapsed();
        println!("Kafka {}: shared after {died:?}, and {left:?}", kafka.version);
        assert!(left < SESSION, "{left:?} after one left");
        tested.passed("3 members, 4 partitions");
        stays.leaves();
    }
}

/// The coordinator recognizes the member by its member id, or by its instance id.
#[test]
fn returning_member_is_assigned_at_once() {
    for kafka in every() {
        let tested = kafka.tested("a member killed and started is assigned its partitions at once");
        let (topic, group) = (unique("back"), unique("back"));
        kafka.create(&topic, 12);
        let setup = setup(&group, &[&topic]);
        let mut member = Member::joins(&kafka, setup.clone());
        until("the member is assigned all", &mut [&mut member], |members| members[0].has.len() == 12);
        member.commit(&topic, 5, 50);
        let name = member.name.clone();
        assert!(name.is_some());
        let silent = member.silent;
        assert_eq!(silent, !kafka.at_least(0, 10));
        drop(member);
        let began = Instant::now();
        let mut member = Member::joins_again(&kafka, MemberConfig { id: name, ..setup.clone() }, silent);
        until("the member is assigned all again", &mut [&mut member], |members| members[0].has.len() == 12);
        let back = began.elapsed();
        println!("Kafka {}: its share is back after {back:?}", kafka.version);
        assert!(back < SESSION / 2, "{back:?}");
        assert_eq!(member.held[&(topic.clone(), 5)], Some(50));
        assert_eq!(member.held[&(topic.clone(), 4)], None);
        tested.passed("12 partitions");
        member.leaves();
    }
}

#[test]
fn new_partitions_and_topics_are_assigned() {
    for kafka in every() {
        let tested = kafka.tested("new partitions and topics are assigned");
        let (stem, group) = (unique("later"), unique("later"));
        let (one, two) = (format!("{stem}-a"), format!("{stem}-b"));
        kafka.create(&one, 2);
        let pattern = SubscribedTopics::Like(Pattern::new(&format!("{stem}-[ab]")).unwrap());
        let setup = MemberConfig { topics: pattern, ..setup(&group, &[]) };
        let own = |number: u32| MemberConfig { instance: unique(&format!("m{number}")), ..setup.clone() };
        let (mut first, mut second) = (Member::joins(&kafka, own(1)), Member::joins(&kafka, own(2)));
        let total = |members: &[&mut Member]| members.iter().map(|one| one.has.len()).sum::<usize>();
        until("two share two", &mut [&mut first, &mut second], |members| {
            members.iter().all(|one| one.has.len() == 1)
        });
        kafka.alter(&one, 5);
        until("they share five", &mut [&mut first, &mut second], |members| total(members) == 5);
        kafka.create(&two, 3);
        until("they share eight", &mut [&mut first, &mut second], |members| {
            total(members) == 8
                && members.iter().all(|one| one.has.len() == 4 || one.has.len() == 3 || one.has.len() == 5)
        });
        // One member comes back after the other: either the other one leads, or the first one is back under
        // its own name.
        let again = second.setup.clone();
        drop(second);
        let mut second = Member::joins(&kafka, MemberConfig { id: None, ..again });
        until("they share eight again", &mut [&mut first, &mut second], |members| total(members) == 8);
        kafka.alter(&two, 6);
        until("they share eleven", &mut [&mut first, &mut second], |members| total(members) == 11);
        tested.passed("2 to 11 partitions");
        first.leaves();
        second.leaves();
    }
}

/// From Kafka 2.3 on: the first member is fenced and stays down.
#[test]
fn twin_member_is_fenced() {
    for kafka in every() {
        if !kafka.at_least(2, 3) {
            continue;
        }
        let tested = kafka.tested("a copy of a journal joins the group: the original is fenced");
        let (topic, group) = (unique("twin"), unique("twin"));
        kafka.create(&topic, 2);
        let setup = setup(&group, &[&topic]);
        let mut first = Member::joins(&kafka, setup.clone());
        until("the member is assigned both", &mut [&mut first], |members| members[0].has.len() == 2);
        let mut twin = Member::joins(&kafka, setup);
        until("the first one is down", &mut [&mut first, &mut twin], |members| {
            members[0].fenced.is_some() && members[1].has.len() == 2
        });
        assert!(!first.lease.holds() && twin.lease.holds());
        let why = first.fenced.unwrap();
        assert!(why.contains("the same journal"), "{why}");
        tested.passed("");
        twin.leaves();
    }
}

/// An assignor that pandad does not know.
#[test]
fn unknown_assignor_is_reported() {
    for kafka in every() {
        let tested = kafka.tested("a group whose members use another assignor");
        let (topic, group) = (unique("otherwise"), unique("otherwise"));
        kafka.create(&topic, 1);
        let options = serde_json::json!({"partition.assignment.strategy": "roundrobin"});
        let foreign: ForeignMember = kafka.foreign_member(&group, &[&topic], options);
        wait::until("librdkafka is assigned the partition", wait::seconds(60), || {
            foreign.assigned().len() == 1
        });
        let mut member = Member::joins(&kafka, setup(&group, &[&topic]));
        let mut said = String::new();
        wait::until("the trouble is reported", wait::seconds(30), || {
            while let Ok(event) = member.place.next() {
                match event {
                    GroupEvent::Failed(why) if why.contains("another assignor") => said = why,
                    GroupEvent::Unchanged => break,
                    _ => {}
                }
            }
            !said.is_empty()
        });
        assert!(said.contains("INCONSISTENT_GROUP_PROTOCOL"), "{said}");
        foreign.leave();
        until("the member is assigned the partition", &mut [&mut member], |members| {
            members[0].has.len() == 1
        });
        tested.passed("");
        member.leaves();
    }
}
