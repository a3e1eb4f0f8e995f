//! For tests: a broker over TCP that coordinates one group. A test says how it answers, and sees what it was
//! asked. It reads and writes with the `kafka-protocol` crate.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::sleep;
use std::time::{Duration, Instant};

use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use kafka_protocol::messages::{
    DescribeGroupsResponse, FindCoordinatorResponse, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupResponse, ListGroupsResponse, MetadataRequest, MetadataResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, SyncGroupRequest, SyncGroupResponse,
};

use super::protocol::Assignment;
use crate::kafka::client::brokers::Brokers;
use crate::kafka::client::connection::ConnectionLimits;
use crate::kafka::client::dialer::Dialer;
use crate::kafka::client::tests::{API_VERSIONS, Asked, Reply, Scripted, limits, say, speaks, text};
use crate::kafka::client::versions_seen::VersionsSeen;
use crate::kafka::cluster::Cluster;
use crate::record::TopicPartition;

pub(super) const METADATA: i16 = 3;
pub(super) const COMMIT: i16 = 8;
pub(super) const OFFSETS: i16 = 9;
pub(super) const FIND: i16 = 10;
pub(super) const JOIN: i16 = 11;
pub(super) const HEARTBEAT: i16 = 12;
pub(super) const LEAVE: i16 = 13;
pub(super) const SYNC: i16 = 14;
pub(super) const DESCRIBE: i16 = 15;
pub(super) const LIST: i16 = 16;

/// A test that waits in vain fails after this time.
pub(super) const LONG: Duration = Duration::from_secs(15);

/// What the coordinator answers.
pub(super) struct GroupScript {
    /// The number of partitions of each topic; the code where it cannot be said.
    pub(super) topics: BTreeMap<String, Result<i32, i16>>,
    /// The codes that the next requests of each kind get. After them all is well.
    pub(super) codes: BTreeMap<i16, VecDeque<i16>>,
    /// Requests of these kinds find the connection closed.
    pub(super) closes: BTreeSet<i16>,
    /// Requests of these kinds are answered once they are no longer here.
    pub(super) held: BTreeSet<i16>,
    /// The highest version of JoinGroup; static members exist from 5 on.
    pub(super) join_version: i16,
    pub(super) generation: i32,
    /// The id of the asking member, and of the member that leads.
    pub(super) member: String,
    pub(super) leader: String,
    /// The other members: id and subscription.
    pub(super) others: Vec<(String, Vec<u8>)>,
    /// The answer to a member that does not lead.
    pub(super) assignment: Vec<u8>,
    /// The committed offsets of the topic `t`.
    pub(super) offsets: BTreeMap<i32, (i64, String)>,
    /// Protocol type, assignor, and client id and host of each member, for DescribeGroups.
    pub(super) described: (String, String, Vec<(String, String)>),
    /// The groups of ListGroups, with their protocol types.
    pub(super) listed: Vec<(String, String)>,
    /// The host that FindCoordinator names.
    host: (String, i32),
}

/// See the module.
pub(super) struct FakeCoordinator {
    broker: Scripted,
    script: Arc<Mutex<GroupScript>>,
}

impl FakeCoordinator {
    /// A coordinator of a group that nobody has joined, and one topic `t` with this many partitions. The
    /// first member becomes `m` and leads.
    pub(super) fn with_partitions(partitions: i32) -> Self {
        let script = Arc::new(Mutex::new(GroupScript {
            topics: BTreeMap::from([("t".to_owned(), Ok(partitions))]),
            codes: BTreeMap::new(),
            closes: BTreeSet::new(),
            held: BTreeSet::new(),
            join_version: 9,
            generation: 7,
            member: "m".to_owned(),
            leader: "m".to_owned(),
            others: Vec::new(),
            assignment: Vec::new(),
            offsets: BTreeMap::new(),
            described: Default::default(),
            listed: Vec::new(),
            host: Default::default(),
        }));
        let used = Arc::clone(&script);
        let broker = Scripted::new(move |asked| {
            let until = Instant::now() + LONG;
            while used.lock().unwrap().held.contains(&asked.key) && Instant::now() < until {
                sleep(Duration::from_millis(2));
            }
            used.lock().unwrap().answer(asked)
        });
        let address = broker.host();
        let (host, port) = address.rsplit_once(':').unwrap();
        script.lock().unwrap().host = (host.to_owned(), port.parse().unwrap());
        Self { broker, script }
    }

    pub(super) fn script(&self) -> MutexGuard<'_, GroupScript> {
        self.script.lock().unwrap()
    }

    /// The next requests of this kind get these codes, one after the other.
    pub(super) fn answer_with(&self, key: i16, codes: &[i16]) {
        self.script().codes.entry(key).or_default().extend(codes);
    }

    pub(super) fn brokers(&self) -> Brokers {
        self.brokers_within(limits())
    }

    pub(super) fn brokers_within(&self, limits: ConnectionLimits) -> Brokers {
        Brokers::new(&[self.broker.host()], Dialer::new("c", limits))
    }

    pub(super) fn cluster(&self) -> Cluster {
        Cluster {
            brokers: vec![self.broker.host()],
            client_id: "c".to_owned(),
            read_committed: true,
            silent: false,
            versions_seen: VersionsSeen::default(),
            tls: None,
        }
    }

    /// The requests of this kind so far.
    pub(super) fn requests(&self, key: i16) -> Vec<Asked> {
        self.broker.asked.lock().unwrap().iter().filter(|one| one.key == key).cloned().collect()
    }

    pub(super) fn count(&self, key: i16) -> usize {
        self.requests(key).len()
    }

    pub(super) fn joins(&self) -> Vec<JoinGroupRequest> {
        self.requests(JOIN).iter().map(Asked::read).collect()
    }

    /// The partitions that the leader has given to each member, by its last SyncGroup.
    pub(super) fn assigned(&self) -> BTreeMap<String, Vec<TopicPartition>> {
        let sync: SyncGroupRequest = self.requests(SYNC).last().unwrap().read();
        let of = |bytes: &[u8]| Assignment::decode(bytes).unwrap().partitions;
        sync.assignments.iter().map(|one| (one.member_id.to_string(), of(&one.assignment))).collect()
    }
}

/// Waits until this holds.
#[track_caller]
pub(super) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < until, "in vain: {what}");
        sleep(Duration::from_millis(2));
    }
}

impl GroupScript {
    fn answer(&mut self, asked: &Asked) -> Reply {
        if self.closes.contains(&asked.key) {
            return Reply::Close;
        }
        let code = self.codes.get_mut(&asked.key).and_then(VecDeque::pop_front).unwrap_or(0);
        match asked.key {
            API_VERSIONS => speaks(&[
                (METADATA, 0, 7),
                (COMMIT, 2, 9),
                (OFFSETS, 1, 9),
                (FIND, 0, 6),
                (JOIN, 0, self.join_version),
                (HEARTBEAT, 0, 4),
                (LEAVE, 0, 5),
                (SYNC, 0, 5),
                (DESCRIBE, 0, 6),
                (LIST, 0, 5),
            ]),
            FIND => {
                let (host, port) = &self.host;
                let found = FindCoordinatorResponse::default().with_host(text(host)).with_port(*port);
                say(&found.with_error_code(code), asked.version)
            }
            METADATA => self.metadata(asked),
            JOIN => self.join(asked, code),
            SYNC => self.sync(asked, code),
            HEARTBEAT => say(&HeartbeatResponse::default().with_error_code(code), asked.version),
            LEAVE => {
                let members = if asked.version >= 3 { vec![MemberResponse::default()] } else { Vec::new() };
                let left = LeaveGroupResponse::default().with_members(members);
                say(&left.with_error_code(code), asked.version)
            }
            OFFSETS => self.fetch_offsets(asked, code),
            COMMIT => self.commit(asked, code),
            DESCRIBE => self.describe(asked, code),
            LIST => {
                let group = |(name, kind): &(String, String)| {
                    ListedGroup::default().with_group_id(text(name).into()).with_protocol_type(text(kind))
                };
                let groups = self.listed.iter().map(group).collect();
                say(&ListGroupsResponse::default().with_groups(groups).with_error_code(code), asked.version)
            }
            other => panic!("a member does not send requests of kind {other}"),
        }
    }

    fn metadata(&self, asked: &Asked) -> Reply {
        let request: MetadataRequest = asked.read();
        let named = request.topics.map(|topics| {
            topics.into_iter().map(|topic| topic.name.unwrap().to_string()).collect::<Vec<String>>()
        });
        let topics = named.unwrap_or_else(|| self.topics.keys().cloned().collect());
        let topics = topics.into_iter().map(|name| {
            let found = self.topics.get(&name).copied().unwrap_or(Err(3));
            // In no order.
            let numbers = (0..found.unwrap_or(0)).rev();
            let one = |number| MetadataResponsePartition::default().with_partition_index(number);
            MetadataResponseTopic::default()
                .with_name(Some(text(&name).into()))
                .with_error_code(found.err().unwrap_or(0))
                .with_partitions(numbers.map(one).collect())
        });
        say(&MetadataResponse::default().with_topics(topics.collect()), asked.version)
    }

    fn join(&mut self, asked: &Asked, code: i16) -> Reply {
        let request: JoinGroupRequest = asked.read();
        let answer = JoinGroupResponse::default().with_error_code(code).with_member_id(text(&self.member));
        if code != 0 {
            return say(&answer.with_protocol_name(Some(text(""))), asked.version);
        }
        let member = |id: &str, metadata: &[u8]| {
            let one = JoinGroupResponseMember::default().with_member_id(text(id));
            one.with_metadata(metadata.to_vec().into())
        };
        let mut members = Vec::new();
        if self.leader == self.member {
            let own = request.protocols.first().unwrap();
            members.push(member(&self.member, &own.metadata));
            members.extend(self.others.iter().map(|(id, metadata)| member(id, metadata)));
        }
        let answer = answer.with_generation_id(self.generation).with_members(members);
        let answer = answer.with_protocol_name(Some(text("range"))).with_leader(text(&self.leader));
        say(&answer, asked.version)
    }

    fn sync(&self, asked: &Asked, code: i16) -> Reply {
        let request: SyncGroupRequest = asked.read();
        let own = request.assignments.iter().find(|one| *one.member_id == *self.member);
        let own = own.map_or_else(|| self.assignment.clone(), |own| own.assignment.to_vec());
        say(&SyncGroupResponse::default().with_error_code(code).with_assignment(own.into()), asked.version)
    }

    fn fetch_offsets(&self, asked: &Asked, code: i16) -> Reply {
        let request: OffsetFetchRequest = asked.read();
        let topics = request.topics.unwrap().into_iter().map(|topic| {
            let partitions = topic.partition_indexes.into_iter().map(|number| {
                let (offset, metadata) = self.offsets.get(&number).cloned().unwrap_or((-1, String::new()));
                OffsetFetchResponsePartition::default()
                    .with_partition_index(number)
                    .with_committed_offset(offset)
                    .with_metadata(Some(text(&metadata)))
                    .with_error_code(code)
            });
            let partitions = partitions.collect();
            OffsetFetchResponseTopic::default().with_name(topic.name).with_partitions(partitions)
        });
        say(&OffsetFetchResponse::default().with_topics(topics.collect()), asked.version)
    }

    fn commit(&mut self, asked: &Asked, code: i16) -> Reply {
        let request: OffsetCommitRequest = asked.read();
        let topics = request.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.into_iter().map(|one| {
                if code == 0 {
                    let metadata = one.committed_metadata.unwrap_or_default().to_string();
                    self.offsets.insert(one.partition_index, (one.committed_offset, metadata));
                }
                OffsetCommitResponsePartition::default()
                    .with_partition_index(one.partition_index)
                    .with_error_code(code)
            });
            let partitions = partitions.collect();
            OffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
        });
        let topics = topics.collect();
        say(&OffsetCommitResponse::default().with_topics(topics), asked.version)
    }

    fn describe(&self, asked: &Asked, code: i16) -> Reply {
        let (kind, protocol, members) = &self.described;
        let members = members.iter().map(|(id, host)| {
            DescribedGroupMember::default().with_client_id(text(id)).with_client_host(text(host))
        });
        let group = DescribedGroup::default()
            .with_group_id(text("g").into())
            .with_error_code(code)
            .with_protocol_type(text(kind))
            .with_protocol_data(text(protocol))
            .with_members(members.collect());
        say(&DescribeGroupsResponse::default().with_groups(vec![group]), asked.version)
    }
}
