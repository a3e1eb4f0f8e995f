//! The requests of a group's members, against the oracle and in tampered frames.

use super::hostile::{cases, some_version, survive, tamper, tampering};
use super::*;
use crate::kafka::protocol::error_code::ErrorCode;
use kafka_protocol::messages::{
    DescribeGroupsRequest, DescribeGroupsResponse, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest, ListGroupsResponse,
    MetadataRequest, SyncGroupRequest, SyncGroupResponse,
};

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..20)
}

fn join_answers() -> impl Strategy<Value = JoinGroupResponse> {
    use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
    let member = (strings(), bytes()).prop_map(|(id, metadata)| {
        JoinGroupResponseMember::default().with_member_id(text(&id)).with_metadata(metadata.into())
    });
    let names = (strings(), strings(), strings());
    (any::<i16>(), any::<i32>(), names, vec(member, 0..6)).prop_map(
        |(code, generation, (protocol, leader, id), members)| {
            let answer = JoinGroupResponse::default().with_error_code(code).with_generation_id(generation);
            let answer = answer.with_protocol_name(Some(text(&protocol))).with_leader(text(&leader));
            answer.with_member_id(text(&id)).with_members(members)
        },
    )
}

fn sync_answers() -> impl Strategy<Value = SyncGroupResponse> {
    (any::<i16>(), bytes()).prop_map(|(code, assignment)| {
        SyncGroupResponse::default().with_error_code(code).with_assignment(assignment.into())
    })
}

fn described_answers() -> impl Strategy<Value = DescribeGroupsResponse> {
    use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
    let member =
        (strings(), strings(), strings(), bytes(), bytes()).prop_map(|(id, client, host, wants, has)| {
            let one = DescribedGroupMember::default().with_member_id(text(&id)).with_client_id(text(&client));
            one.with_client_host(text(&host))
                .with_member_metadata(wants.into())
                .with_member_assignment(has.into())
        });
    let names = (strings(), strings(), strings(), strings());
    let group =
        (any::<i16>(), names, vec(member, 0..4)).prop_map(|(code, (name, state, kind, way), members)| {
            let one = DescribedGroup::default().with_error_code(code).with_group_id(text(&name).into());
            let one = one.with_group_state(text(&state)).with_protocol_type(text(&kind));
            one.with_protocol_data(text(&way)).with_members(members)
        });
    vec(group, 0..3).prop_map(|groups| DescribeGroupsResponse::default().with_groups(groups))
}

fn listed_answers() -> impl Strategy<Value = ListGroupsResponse> {
    use kafka_protocol::messages::list_groups_response::ListedGroup;
    let group = (strings(), strings()).prop_map(|(name, kind)| {
        ListedGroup::default().with_group_id(text(&name).into()).with_protocol_type(text(&kind))
    });
    (any::<i16>(), vec(group, 0..5))
        .prop_map(|(code, groups)| ListGroupsResponse::default().with_error_code(code).with_groups(groups))
}

fn leave_answers() -> impl Strategy<Value = (i16, Vec<(String, Option<String>, i16)>)> {
    (any::<i16>(), vec((strings(), maybe_strings(), any::<i16>()), 0..4))
}

fn their_leave(version: i16, code: i16, members: &[(String, Option<String>, i16)]) -> LeaveGroupResponse {
    use kafka_protocol::messages::leave_group_response::MemberResponse;
    let members = members.iter().filter(|_| version >= 3).map(|(id, instance, code)| {
        let one = MemberResponse::default().with_member_id(text(id)).with_error_code(*code);
        one.with_group_instance_id(instance.as_deref().map(text))
    });
    LeaveGroupResponse::default().with_error_code(code).with_members(members.collect())
}

fn versions<R: Request>() -> std::ops::RangeInclusive<i16> {
    R::LOWEST..=R::HIGHEST
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn join_group_is_written(
        names in (strings(), strings(), strings()),
        instance in maybe_strings(),
        times in (any::<i32>(), any::<i32>()),
        protocols in vec((strings(), bytes()), 0..4),
    ) {
        use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
        let (group, member, kind) = &names;
        let ways: Vec<(&str, &[u8])> =
            protocols.iter().map(|(name, metadata)| (name.as_str(), metadata.as_slice())).collect();
        for version in versions::<JoinGroup<'_>>() {
            let protocols = protocols.iter().map(|(name, metadata)| {
                let named = JoinGroupRequestProtocol::default().with_name(text(name));
                named.with_metadata(metadata.clone().into())
            });
            let request = JoinGroupRequest::default()
                .with_group_id(text(group).into())
                .with_session_timeout_ms(times.0)
                .with_rebalance_timeout_ms(if version >= 1 { times.1 } else { -1 })
                .with_member_id(text(member))
                .with_group_instance_id(instance.as_deref().filter(|_| version >= 5).map(text))
                .with_protocol_type(text(kind))
                .with_protocols(protocols.collect());
            let instance = instance.as_deref();
            let (session_ms, rebalance_ms) = times;
            let protocols = &ways;
            let mine = ours(
                &JoinGroup { group, session_ms, rebalance_ms, member, instance, kind, protocols },
                version,
            );
            prop_assert_eq!(mine, theirs(&request, version), "version {}", version);
        }
    }

    #[test]
    fn join_group_is_read(answer in join_answers(), instance in maybe_strings(), throttle in any::<i32>()) {
        for version in versions::<JoinGroup<'_>>() {
            let mut answer = answer.clone();
            if version >= 2 {
                answer.throttle_time_ms = throttle;
            }
            if version >= 5 {
                for one in &mut answer.members {
                    one.group_instance_id = instance.as_deref().map(text);
                }
            }
            let read = read::<JoinGroup<'_>>(version, &theirs(&answer, version)).unwrap();
            prop_assert_eq!(read.code, ErrorCode(answer.error_code));
            prop_assert_eq!(read.generation, answer.generation_id);
            let protocol = answer.protocol_name.as_ref().map(|name| name.as_str());
            prop_assert_eq!(Some(read.protocol.as_str()), protocol);
            prop_assert_eq!(read.leader.as_str(), answer.leader.as_str());
            prop_assert_eq!(read.member.as_str(), answer.member_id.as_str());
            let members: Vec<_> =
                read.members.into_iter().map(|one| (one.id, one.instance, one.metadata)).collect();
            let meant: Vec<_> = answer.members.iter().map(|one| {
                let instance = one.group_instance_id.as_ref().map(|name| name.to_string());
                (one.member_id.to_string(), instance, one.metadata.to_vec())
            }).collect();
            prop_assert_eq!(members, meant, "version {}", version);
        }
    }

    #[test]
    fn sync_group_is_written(
        names in (strings(), strings()),
        instance in maybe_strings(),
        generation in any::<i32>(),
        assignments in vec((strings(), bytes()), 0..4),
    ) {
        use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
        let (group, id) = &names;
        for version in versions::<SyncGroup<'_>>() {
            let theirs_of = |(name, assignment): &(String, Vec<u8>)| {
                let one = SyncGroupRequestAssignment::default().with_member_id(text(name));
                one.with_assignment(assignment.clone().into())
            };
            let request = SyncGroupRequest::default()
                .with_group_id(text(group).into())
                .with_generation_id(generation)
                .with_member_id(text(id))
                .with_group_instance_id(instance.as_deref().filter(|_| version >= 3).map(text))
                .with_assignments(assignments.iter().map(theirs_of).collect());
            let member = GenerationMember { generation, id, instance: instance.as_deref() };
            let mine = ours(&SyncGroup { group, member, assignments: &assignments }, version);
            prop_assert_eq!(mine, theirs(&request, version), "version {}", version);
        }
    }

    #[test]
    fn sync_group_is_read(answer in sync_answers(), throttle in any::<i32>()) {
        for version in versions::<SyncGroup<'_>>() {
            let answer = answer.clone().with_throttle_time_ms(if version >= 1 { throttle } else { 0 });
            let read = read::<SyncGroup<'_>>(version, &theirs(&answer, version)).unwrap();
            prop_assert_eq!(read.code, ErrorCode(answer.error_code));
            prop_assert_eq!(read.assignment, answer.assignment.to_vec());
        }
    }

    #[test]
    fn heartbeat_is_written_and_read(
        names in (strings(), strings()),
        instance in maybe_strings(),
        generation in any::<i32>(),
        code in any::<i16>(),
        throttle in any::<i32>(),
    ) {
        let (group, id) = &names;
        for version in versions::<Heartbeat<'_>>() {
            let request = HeartbeatRequest::default()
                .with_group_id(text(group).into())
                .with_generation_id(generation)
                .with_member_id(text(id))
                .with_group_instance_id(instance.as_deref().filter(|_| version >= 3).map(text));
            let member = GenerationMember { generation, id, instance: instance.as_deref() };
            prop_assert_eq!(ours(&Heartbeat { group, member }, version), theirs(&request, version));
            let answer = HeartbeatResponse::default()
                .with_error_code(code)
                .with_throttle_time_ms(if version >= 1 { throttle } else { 0 });
            prop_assert_eq!(read::<Heartbeat<'_>>(version, &theirs(&answer, version)), Ok(ErrorCode(code)));
        }
    }

    #[test]
    fn leave_group_is_written(names in (strings(), strings()), instance in maybe_strings()) {
        use kafka_protocol::messages::leave_group_request::MemberIdentity;
        let (group, id) = &names;
        for version in versions::<LeaveGroup<'_>>() {
            let request = LeaveGroupRequest::default().with_group_id(text(group).into());
            let request = if version <= 2 {
                request.with_member_id(text(id))
            } else {
                let member = MemberIdentity::default().with_member_id(text(id));
                request.with_members(vec![member.with_group_instance_id(instance.as_deref().map(text))])
            };
            let mine = ours(&LeaveGroup { group, member: id, instance: instance.as_deref() }, version);
            prop_assert_eq!(mine, theirs(&request, version), "version {}", version);
        }
    }

    #[test]
    fn describe_groups_is_written_and_read(
        name in strings(),
        answer in described_answers(),
        throttle in any::<i32>(),
    ) {
        for version in versions::<DescribeGroups<'_>>() {
            let request = DescribeGroupsRequest::default().with_groups(vec![text(&name).into()]);
            prop_assert_eq!(ours(&DescribeGroups { group: &name }, version), theirs(&request, version));
            let answer = answer.clone().with_throttle_time_ms(if version >= 1 { throttle } else { 0 });
            let read = read::<DescribeGroups<'_>>(version, &theirs(&answer, version)).unwrap();
            prop_assert_eq!(read.len(), answer.groups.len());
            for (ours, theirs) in read.iter().zip(&answer.groups) {
                prop_assert_eq!(ours.code, ErrorCode(theirs.error_code));
                prop_assert_eq!(ours.group.as_str(), theirs.group_id.as_str());
                prop_assert_eq!(ours.kind.as_str(), theirs.protocol_type.as_str());
                prop_assert_eq!(ours.protocol.as_str(), theirs.protocol_data.as_str());
                let members: Vec<_> =
                    ours.members.iter().map(|one| (one.client_id.as_str(), one.host.as_str())).collect();
                let meant = theirs.members.iter();
                let meant: Vec<_> =
                    meant.map(|one| (one.client_id.as_str(), one.client_host.as_str())).collect();
                prop_assert_eq!(members, meant);
            }
        }
    }

    #[test]
    fn list_groups_is_written_and_read(answer in listed_answers(), throttle in any::<i32>()) {
        for version in versions::<ListGroups>() {
            prop_assert_eq!(ours(&ListGroups, version), theirs(&ListGroupsRequest::default(), version));
            let answer = answer.clone().with_throttle_time_ms(if version >= 1 { throttle } else { 0 });
            let read = read::<ListGroups>(version, &theirs(&answer, version)).unwrap();
            let meant: Vec<_> = answer.groups.iter().map(|one| {
                (one.group_id.to_string(), one.protocol_type.to_string())
            }).collect();
            prop_assert_eq!((read.code, read.groups), (ErrorCode(answer.error_code), meant));
        }
    }

    #[test]
    fn leave_group_is_read((code, members) in leave_answers(), throttle in any::<i32>()) {
        for version in versions::<LeaveGroup<'_>>() {
            let answer = their_leave(version, code, &members);
            let answer = answer.with_throttle_time_ms(if version >= 1 { throttle } else { 0 });
            let read = read::<LeaveGroup<'_>>(version, &theirs(&answer, version)).unwrap();
            let of_members = members.iter().map(|(_, _, code)| *code).filter(|_| version >= 3);
            let first = [code].into_iter().chain(of_members).find(|code| *code != 0);
            prop_assert_eq!(read, ErrorCode(first.unwrap_or(0)), "version {}", version);
        }
    }
}

#[test]
fn a_request_for_all_topics_matches_the_oracle() {
    for version in versions::<AllTopics>() {
        let request = MetadataRequest::default()
            .with_topics(if version == 0 { Some(Vec::new()) } else { None })
            .with_allow_auto_topic_creation(version < 4);
        assert_eq!(ours(&AllTopics, version), theirs(&request, version), "version {version}");
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn tampered_join_group(
        answer in join_answers(),
        version in some_version::<JoinGroup<'_>>(),
        changes in tampering(),
    ) {
        survive::<JoinGroup<'_>>(&tamper(theirs(&answer, version), &changes));
    }

    #[test]
    fn tampered_sync_group(
        answer in sync_answers(),
        version in some_version::<SyncGroup<'_>>(),
        changes in tampering(),
    ) {
        survive::<SyncGroup<'_>>(&tamper(theirs(&answer, version), &changes));
    }

    #[test]
    fn tampered_leave_group(
        (code, members) in leave_answers(),
        version in some_version::<LeaveGroup<'_>>(),
        changes in tampering(),
    ) {
        survive::<LeaveGroup<'_>>(&tamper(theirs(&their_leave(version, code, &members), version), &changes));
        survive::<Heartbeat<'_>>(&tamper(theirs(&their_leave(1, code, &[]), 1), &changes));
    }

    #[test]
    fn tampered_describe_groups(
        answer in described_answers(),
        version in some_version::<DescribeGroups<'_>>(),
        changes in tampering(),
    ) {
        survive::<DescribeGroups<'_>>(&tamper(theirs(&answer, version), &changes));
    }

    #[test]
    fn tampered_list_groups(
        answer in listed_answers(),
        version in some_version::<ListGroups>(),
        changes in tampering(),
    ) {
        survive::<ListGroups>(&tamper(theirs(&answer, version), &changes));
    }
}
