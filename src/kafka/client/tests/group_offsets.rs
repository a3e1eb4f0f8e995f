//! A group's coordinator that is found, moves, loads or is gone; and its answers for each
//! partition.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use super::*;
use crate::error::Fault;
use crate::kafka::client::brokers::Brokers;
use crate::kafka::client::dialer::Dialer;
use crate::kafka::client::group_offsets::{CommittedOffset, GroupOffsets};
use crate::kafka::protocol::error_code::{ErrorCode, Reaction};
use crate::kafka::protocol::messages::GenerationMember;
use crate::kafka::protocol::refusal::Refusal;
use crate::record::{Commit, TopicPartition};
use kafka_protocol::messages::{
    FindCoordinatorResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest,
    OffsetFetchResponse, offset_commit_response as committed, offset_fetch_response as fetched,
};

const FIND: i16 = 10;
const COMMIT: i16 = 8;

fn partition(number: i32) -> TopicPartition {
    TopicPartition::new("t", number)
}

fn commit(number: i32, offset: i64) -> Commit {
    Commit { partition: partition(number), offset, metadata: format!("token {offset}") }
}

/// Names the broker at this address as coordinator.
fn at(asked: &Asked, address: &BrokerAddress) -> Reply {
    let address = address.to_string();
    let (host, port) = address.rsplit_once(':').unwrap();
    let answer = FindCoordinatorResponse::default().with_node_id(1.into()).with_host(text(host));
    say(&answer.with_port(port.parse().unwrap()), asked.version)
}

/// Answers each committed partition with its `code`.
fn answer_commit(asked: &Asked, code: impl Fn(i32) -> i16) -> Reply {
    let request: OffsetCommitRequest = asked.read();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|one| {
            committed::OffsetCommitResponsePartition::default()
                .with_partition_index(one.partition_index)
                .with_error_code(code(one.partition_index))
        });
        committed::OffsetCommitResponseTopic::default()
            .with_name(topic.name)
            .with_partitions(partitions.collect())
    });
    say(&OffsetCommitResponse::default().with_topics(topics.collect()), asked.version)
}

fn answer_fetch(
    asked: &Asked,
    offset: impl Fn(i32) -> (i64, Option<&'static str>, i16),
    whole: i16,
) -> Reply {
    let request: OffsetFetchRequest = asked.read();
    let topics = request.topics.unwrap().into_iter().map(|topic| {
        let partitions = topic.partition_indexes.into_iter().map(|number| {
            let (offset, metadata, code) = offset(number);
            fetched::OffsetFetchResponsePartition::default()
                .with_partition_index(number)
                .with_committed_offset(offset)
                .with_metadata(metadata.map(text))
                .with_error_code(code)
        });
        fetched::OffsetFetchResponseTopic::default()
            .with_name(topic.name)
            .with_partitions(partitions.collect())
    });
    say(&OffsetFetchResponse::default().with_topics(topics.collect()).with_error_code(whole), asked.version)
}

/// A cluster of one broker, which names itself as coordinator, and answers other requests by
/// `script`.
fn cluster(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Scripted, Brokers, GroupOffsets) {
    let own: Arc<Mutex<Option<BrokerAddress>>> = Arc::default();
    let known = Arc::clone(&own);
    let broker = Scripted::new(move |asked| match asked.key {
        API_VERSIONS => speaks_as_4_1(),
        FIND => at(asked, known.lock().unwrap().as_ref().unwrap()),
        _ => script(asked),
    });
    *own.lock().unwrap() = Some(broker.address.clone());
    let brokers = Brokers::new(&[broker.host()], Dialer::new("c", limits()));
    (broker, brokers, GroupOffsets::new("g"))
}

fn keys(broker: &Scripted) -> Vec<i16> {
    broker.asked().into_iter().map(|(_, key, _)| key).collect()
}

#[test]
fn commits_as_nobody_with_a_string_beside_each_offset() {
    let (broker, mut brokers, mut commits) = cluster(|asked| answer_commit(asked, |_| 0));
    let both = [commit(0, 5), commit(3, 9)];
    for _ in 0..3 {
        let answers = commits.commit(&mut brokers, GenerationMember::NONE, &both).unwrap();
        assert_eq!(answers, [(partition(0), Ok(())), (partition(3), Ok(()))]);
    }
    assert_eq!(keys(&broker), [FIND, COMMIT, COMMIT, COMMIT], "it is found once");
    let request: OffsetCommitRequest = broker.last().read();
    assert_eq!(request.group_id.as_str(), "g");
    assert_eq!((request.generation_id_or_member_epoch, request.member_id.as_str()), (-1, ""));
    assert_eq!(request.group_instance_id, None);
    let sent: Vec<_> = request.topics[0]
        .partitions
        .iter()
        .map(|one| {
            let metadata = one.committed_metadata.as_ref().unwrap().to_string();
            (one.partition_index, one.committed_offset, metadata)
        })
        .collect();
    assert_eq!(sent, [(0, 5, "token 5".to_owned()), (3, 9, "token 9".to_owned())]);
}

#[test]
fn commits_as_a_member() {
    let (broker, mut brokers, mut commits) = cluster(|asked| answer_commit(asked, |_| 0));
    let member = GenerationMember { generation: 4, id: "m-1", instance: Some("host") };
    commits.commit(&mut brokers, member, &[commit(0, 1)]).unwrap();
    let request: OffsetCommitRequest = broker.last().read();
    assert_eq!((request.generation_id_or_member_epoch, request.member_id.as_str()), (4, "m-1"));
    assert_eq!(request.group_instance_id.unwrap().as_str(), "host");
}

#[test]
fn tells_offset_and_string_and_where_there_is_none() {
    let offset = |number| match number {
        0 => (7, Some("beside"), 0),
        1 => (8, None, 0),
        _ => (-1, Some(""), 0),
    };
    let (_broker, mut brokers, mut commits) = cluster(move |asked| answer_fetch(asked, offset, 0));
    let asked = [0, 1, 2].map(partition);
    let answers = commits.committed(&mut brokers, &asked).unwrap();
    let found = |offset, metadata: &str| Ok(Some(CommittedOffset { offset, metadata: metadata.to_owned() }));
    assert_eq!(
        answers,
        [(partition(0), found(7, "beside")), (partition(1), found(8, "")), (partition(2), Ok(None))]
    );
}

#[test]
fn each_partition_is_answered_for_by_itself() {
    let code = |number| [0, 3, 12, 29, 14, 25][usize::try_from(number).unwrap()];
    let (_broker, mut brokers, mut commits) = cluster(move |asked| match asked.key {
        COMMIT => answer_commit(asked, code),
        _ => answer_fetch(asked, move |number| (5, None, code(number)), 0),
    });
    let all: Vec<Commit> = (0..6).map(|number| commit(number, 1)).collect();
    let reactions = |refusals: Vec<Option<Refusal>>| -> Vec<Option<Reaction>> {
        refusals.into_iter().map(|one| one.map(Refusal::reaction)).collect()
    };
    use Reaction::{Fatal, Membership, Retry};
    let expected = [None, Some(Retry), Some(Fatal), Some(Retry), Some(Retry), Some(Membership)];
    let answers = commits.commit(&mut brokers, GenerationMember::NONE, &all).unwrap();
    assert_eq!(reactions(answers.into_iter().map(|(_, one)| one.err()).collect()), expected);
    let partitions: Vec<TopicPartition> = (0..6).map(partition).collect();
    let answers = commits.committed(&mut brokers, &partitions).unwrap();
    assert_eq!(reactions(answers.into_iter().map(|(_, one)| one.err()).collect()), expected);
    let too_long = Refusal::Code(ErrorCode::OFFSET_METADATA_TOO_LARGE).fault("commit");
    assert!(matches!(too_long, Fault::Fatal(why) if why.contains("OFFSET_METADATA_TOO_LARGE")));
}

#[test]
fn a_partition_left_out_is_not_taken_for_answered() {
    let (_broker, mut brokers, mut commits) = cluster(|asked| match asked.key {
        COMMIT => say(&OffsetCommitResponse::default(), asked.version),
        _ => say(&OffsetFetchResponse::default(), asked.version),
    });
    let answers = commits.commit(&mut brokers, GenerationMember::NONE, &[commit(0, 1)]).unwrap();
    assert_eq!(answers, [(partition(0), Err(Refusal::Unanswered))]);
    let answers = commits.committed(&mut brokers, &[partition(0)]).unwrap();
    assert_eq!(answers, [(partition(0), Err(Refusal::Unanswered))], "that is not: there is none");
}

#[test]
fn a_code_for_the_whole_is_that_of_each() {
    let (_broker, mut brokers, mut commits) = cluster(|asked| answer_fetch(asked, |_| (-1, None, 0), 30));
    let answers = commits.committed(&mut brokers, &[partition(0)]).unwrap();
    assert_eq!(answers, [(partition(0), Err(Refusal::Code(ErrorCode(30))))]);
}

/// The coordinator is loading the offsets: the caller asks the same broker again.
#[test]
fn a_loading_coordinator_is_kept() {
    let loading = AtomicBool::new(true);
    let (broker, mut brokers, mut commits) =
        cluster(move |asked| answer_commit(asked, |_| if loading.swap(false, SeqCst) { 14 } else { 0 }));
    let answers = commits.commit(&mut brokers, GenerationMember::NONE, &[commit(0, 1)]).unwrap();
    assert_eq!(answers[0].1, Err(Refusal::Code(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)));
    let answers = commits.commit(&mut brokers, GenerationMember::NONE, &[commit(0, 1)]).unwrap();
    assert_eq!(answers[0].1, Ok(()));
    assert_eq!(keys(&broker), [FIND, COMMIT, COMMIT]);
}

/// The group moves to another broker, which is found within the same call.
#[test]
fn a_coordinator_that_moved_is_followed() {
    let script =
        |asked: &Asked| if asked.key == API_VERSIONS { speaks_as_4_1() } else { answer_commit(asked, |_| 0) };
    let new = Scripted::new(script);
    let (moved, to) = (Arc::new(AtomicBool::new(false)), new.address.clone());
    let own: Arc<Mutex<Option<BrokerAddress>>> = Arc::default();
    let (known, has_moved) = (Arc::clone(&own), Arc::clone(&moved));
    let old = Scripted::new(move |asked| match (asked.key, has_moved.load(SeqCst)) {
        (API_VERSIONS, _) => speaks_as_4_1(),
        (FIND, false) => at(asked, known.lock().unwrap().as_ref().unwrap()),
        (FIND, true) => at(asked, &to),
        (_, moved) => answer_commit(asked, |_| if moved { 16 } else { 0 }),
    });
    *own.lock().unwrap() = Some(old.address.clone());
    let (mut brokers, mut commits) =
        (Brokers::new(&[old.host()], Dialer::new("c", limits())), GroupOffsets::new("g"));
    commits.commit(&mut brokers, GenerationMember::NONE, &[commit(0, 1)]).unwrap();
    moved.store(true, SeqCst);
    let answers = commits.commit(&mut brokers, GenerationMember::NONE, &[commit(0, 2)]).unwrap();
    assert_eq!(answers[0].1, Ok(()));
    assert_eq!(keys(&old), [FIND, COMMIT, COMMIT, FIND]);
    assert_eq!(keys(&new), [COMMIT]);
}

/// The broker says that it is not the coordinator, and FindCoordinator names it again each time: the caller
/// gets the error, and pauses.
#[test]
fn a_coordinator_that_denies_it_is_asked_twice_a_call() {
    let (broker, mut brokers, mut commits) = cluster(|asked| answer_commit(asked, |_| 16));
    for _ in 0..2 {
        let answers = commits.commit(&mut brokers, GenerationMember::NONE, &[commit(0, 2)]).unwrap();
        assert_eq!(answers[0].1, Err(Refusal::Code(ErrorCode::NOT_COORDINATOR)));
    }
    assert_eq!(keys(&broker), [FIND, COMMIT, FIND, COMMIT, FIND, COMMIT, FIND, COMMIT]);
}

#[test]
fn without_a_coordinator_there_is_a_wait() {
    for (code, never) in [(15, false), (14, false), (30, false), (24, true)] {
        let broker = Scripted::new(move |asked| match asked.key {
            API_VERSIONS => speaks_as_4_1(),
            _ => say(&FindCoordinatorResponse::default().with_error_code(code), asked.version),
        });
        let mut brokers = Brokers::new(&[broker.host()], Dialer::new("c", limits()));
        let fault = GroupOffsets::new("g").committed(&mut brokers, &[partition(0)]).unwrap_err();
        assert_eq!(matches!(fault, Fault::Fatal(_)), never, "{fault}");
        assert!(fault.to_string().contains(&ErrorCode(code).to_string()), "{fault}");
    }
}

/// The broker was restarted or closed an idle connection: the call connects again.
#[test]
fn a_connection_that_died_meanwhile_is_made_anew() {
    let calls = AtomicUsize::new(0);
    let (broker, mut brokers, mut commits) = cluster(move |asked| match calls.fetch_add(1, SeqCst) {
        1 => Reply::Close,
        _ => answer_commit(asked, |_| 0),
    });
    for _ in 0..3 {
        let answers = commits.commit(&mut brokers, GenerationMember::NONE, &[commit(0, 1)]).unwrap();
        assert_eq!(answers[0].1, Ok(()));
    }
    assert_eq!(keys(&broker), [FIND, COMMIT, COMMIT, FIND, COMMIT, COMMIT]);
}

/// A new connection that fails is not repeated within one call.
#[test]
fn a_coordinator_that_closes_at_once_is_a_wait() {
    let (broker, mut brokers, mut commits) = cluster(|_| Reply::Close);
    let fault = commits.commit(&mut brokers, GenerationMember::NONE, &[commit(0, 1)]).unwrap_err();
    assert!(matches!(&fault, Fault::Retry(why) if why.contains("closed")), "{fault}");
    assert_eq!(keys(&broker), [FIND, COMMIT]);
}

/// A coordinator that hangs is also the broker that would be asked for another one. One call waits
/// for it only once.
#[test]
fn a_coordinator_that_hangs_is_waited_for_once() {
    let new = Scripted::new(|asked| match asked.key {
        API_VERSIONS => speaks_as_4_1(),
        _ => answer_commit(asked, |_| 0),
    });
    let (hangs, to) = (Arc::new(AtomicBool::new(false)), new.address.clone());
    let own: Arc<Mutex<Option<BrokerAddress>>> = Arc::default();
    let (known, has_hung) = (Arc::clone(&own), Arc::clone(&hangs));
    let old = Scripted::new(move |asked| match asked.key {
        _ if has_hung.load(SeqCst) => Reply::Silence,
        API_VERSIONS => speaks_as_4_1(),
        FIND => at(asked, known.lock().unwrap().as_ref().unwrap()),
        _ => answer_commit(asked, |_| 0),
    });
    *own.lock().unwrap() = Some(old.address.clone());
    let other = Scripted::new(move |asked| match asked.key {
        API_VERSIONS => speaks_as_4_1(),
        _ => at(asked, &to),
    });
    let mut brokers = Brokers::new(&[old.host(), other.host()], Dialer::new("c", limits()));
    let mut commits = GroupOffsets::new("g");
    commits.commit(&mut brokers, GenerationMember::NONE, &[commit(0, 1)]).unwrap();
    hangs.store(true, SeqCst);
    let answers = commits.commit(&mut brokers, GenerationMember::NONE, &[commit(0, 2)]).unwrap();
    assert_eq!(answers[0].1, Ok(()));
    assert_eq!(keys(&old), [FIND, COMMIT, COMMIT], "it is not asked for another one");
    assert_eq!((keys(&other), keys(&new)), (vec![FIND], vec![COMMIT]));
}
